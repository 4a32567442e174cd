import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { Exchange } from "../../src/sync/exchange.ts";
import type { SyncEvent } from "../../src/sync/folder_events.ts";
import { errorMessage } from "../../src/sync/messages.ts";
import { syncMessages } from "../../src/testing/sync_messages.ts";
import { Journal } from "../endpoint/fixture.ts";
import { until } from "../endpoint/web_fixture.ts";
import { Scratch, write } from "../sync/folder_fixture.ts";
import { change, hello, Hub } from "../sync/hub_fixture.ts";
import { portPair } from "../sync/memory_ports.ts";
import { EVIL_PIECES, rawIn } from "./raw_text.ts";

const make = syncMessages(17);

/** Longest text of a field: what is said of somebody in one line. */
const MAX_FIELD_CHARS = 2_000;

function evil(random: () => number, pieces = 4): string {
  const pick = () => EVIL_PIECES[Math.floor(random() * EVIL_PIECES.length)] ?? "";
  return Array.from({ length: pieces }, pick).join("x").toWellFormed();
}

/** Every text in a value, keys too. */
function* textsIn(value: unknown): Generator<string> {
  if (typeof value === "string") yield value;
  if (typeof value !== "object" || value === null) return;
  for (const [key, item] of Object.entries(value)) {
    yield key;
    yield* textsIn(item);
  }
}

function assertClean(value: unknown): void {
  for (const text of textsIn(value)) {
    assertEquals(rawIn(text), undefined);
    assert(text.length <= MAX_FIELD_CHARS, `${text.length}`);
  }
}

Deno.test("T17 what the status of a hub says of its clients can be shown as it is", async () => {
  const random = seededRandom(1);
  await using hub = await Hub.open();
  for (let n = 0; n < 20; n++) {
    const plain = await hub.stranger();
    await plain.send(
      hello(`desk_${n}`, { name: evil(random, 3).slice(0, 60), folder: evil(random) }),
    );
    await plain.next();
  }
  assertEquals(hub.hub.status.clients.length, 20);
  assertClean(hub.hub.status);
  assertClean(hub.counters);
});

Deno.test("T17 what others in a room are told of a client can be shown as it is", async () => {
  const random = seededRandom(2);
  await using hub = await Hub.open({ announces: true });
  const honest = await hub.plain("honest", { room: "docs" });
  for (let n = 0; n < 10; n++) {
    await hub.plain(`desk_${n}`, { name: evil(random, 3).slice(0, 60), room: "docs" });
    assertClean(await honest.next());
  }
});

Deno.test("T17 what a folder's events and its log say of the other side can be shown as it is", async () => {
  const random = seededRandom(3);
  const log = new Journal();
  await using scratch = new Scratch();
  const folder = await scratch.folder("hub", { log });
  const events: SyncEvent[] = [];
  void Array.fromAsync(folder.events(), (event) => events.push(event));
  const [eve, port] = portPair({ clientId: make.clientId });
  await using exchange = Exchange.open(folder, port, { role: "hub" });
  const author = { clientId: make.clientId, wallMs: 0 };
  for (let n = 0; n < 30; n++) {
    const [message, details] = [evil(random, 200), evil(random, 50)];
    eve.send(errorMessage(author, { error_code: evil(random, 3).slice(0, 60), message, details }));
    const text = { [evil(random)]: evil(random) };
    eve.send({ ...make.client("file_changed", { operation: "delete" }), ...text });
    eve.send({
      ...make.client("client_disconnect"),
      type: evil(random, 3).slice(0, 60),
      data: text,
    });
  }
  // A name that this disk can have and others cannot is said, too.
  write(folder.dir, `a${"\u001b"}[2J`, "x");
  await folder.scan();
  await until(() => events.length >= 31);
  assertClean(events);
  for (const { message, fields } of log.lines) assertClean([message, { ...fields }]);
  assertEquals(await Promise.race([exchange.closed, Promise.resolve("open")]), "open");
});

Deno.test("T17 clients make no counters, however many codes and types they think of", async () => {
  const random = seededRandom(4);
  await using hub = await Hub.open({ limits: { maxFaults: 1e6 } });
  const plain = await hub.plain("desk");
  const author = { clientId: "desk", wallMs: 0 };
  const counts: number[] = [];
  for (let n = 0; n < 20; n++) {
    const word = evil(random, 2).slice(0, 60);
    await plain.send({ ...change(author, "a"), type: `${word}${n}` });
    await plain.send(errorMessage(author, { error_code: `${word}${n}`, message: word }));
    await plain.send(`{"type":"${n}"}`);
    await plain.next();
    counts.push(Object.keys(hub.counters).length);
  }
  assertEquals(counts.at(-1), counts[10]);
  for (const name of Object.keys(hub.counters)) assert(/^[a-z._]+$/.test(name), name);
});
