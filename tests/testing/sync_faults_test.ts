import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { ClosedError } from "../../src/errors.ts";
import type { WebSocketMessage } from "../../src/sync/message_types.ts";
import { Exchange } from "../../src/sync/exchange.ts";
import type { SyncPort } from "../../src/sync/port.ts";
import { FaultySyncPort, type FaultySyncPortOptions } from "../../src/testing/sync_faulty_port.ts";
import { SyncFortune } from "../../src/testing/sync_faults.ts";
import { syncMessages } from "../../src/testing/sync_messages.ts";
import { until } from "../endpoint/web_fixture.ts";
import { LONG_AGO, Scratch, treeOf, write } from "../sync/folder_fixture.ts";
import { portPair } from "../sync/memory_ports.ts";
import { Inputs } from "../sync/hub_fixture.ts";

const make = syncMessages(1);

/** What no connection does to messages would make a liar of the other side. */
const FAULTS = { only: "contents", drop: 0.03, duplicate: 0.05, garble: 0.1, cut: 0.05 } as const;

/** A faulty port before one whose other end is read. */
function faultyPair(options: FaultySyncPortOptions): [FaultySyncPort, SyncPort] {
  const [client, hub] = portPair();
  return [new FaultySyncPort(client, options), hub];
}

function heartbeats(count: number): WebSocketMessage[] {
  return Array.from({ length: count }, () => make.client("heartbeat"));
}

Deno.test("SyncFortune decides alike for one seed, about as often as it is told to", () => {
  const faults = { drop: 0.1, duplicate: 0.2, garble: 0.1, cut: 0.05 };
  const [a, b] = [new SyncFortune(faults, 7), new SyncFortune(faults, 7)];
  for (let n = 0; n < 10_000; n++) a.of("messages", n, (n) => n), b.of("messages", n, (n) => n);
  assertEquals(a.counts, b.counts);
  const { dropped, duplicated, garbled, cut, passed } = a.counts;
  for (
    const [count, share] of [
      [dropped, 0.1],
      [duplicated, 0.2],
      [garbled, 0.1],
      [cut, 0.05],
      [passed, 0.55],
    ] as const
  ) {
    assert(Math.abs(count / 10_000 - share) < 0.02, `${count} of ${share}`);
  }
});

Deno.test("SyncFortune garbles one character, or one bit", () => {
  const fortune = new SyncFortune({}, 3);
  for (let n = 0; n < 200; n++) {
    const text = fortune.garbledText("abcdef");
    assertEquals([...text].filter((char, at) => char !== "abcdef"[at]).length, 1);
    const bytes = fortune.garbledBytes(new Uint8Array(9));
    assertEquals(
      bytes.reduce((sum, byte) => sum + byte.toString(2).replaceAll("0", "").length, 0),
      1,
    );
  }
  assertEquals(fortune.garbledBytes(new Uint8Array()).length, 0);
});

Deno.test("SyncFaults that make no sense are refused", () => {
  for (
    const faults of [{ drop: -0.1 }, { cut: NaN }, { drop: 0.6, garble: 0.6 }, { delayMs: -1 }]
  ) {
    assertThrows(() => new SyncFortune(faults, 1), RangeError);
    const [port] = faultyPair({});
    assertThrows(() => port.faults = faults, RangeError);
  }
});

Deno.test("FaultySyncPort drops, doubles and silences what is sent, and counts it", async () => {
  const [port, hub] = faultyPair({ drop: 1 });
  const inputs = new Inputs(hub);
  const [lost, twice, last] = heartbeats(3);
  assert(lost && twice && last);
  assert(port.send(lost));
  port.faults = { duplicate: 1 };
  assert(port.send(twice));
  for (let n = 0; n < 2; n++) {
    assertEquals(await inputs.next(), { type: "message", message: twice });
  }
  await port.sendContent(Uint8Array.of(9, 1, 2));
  for (let n = 0; n < 2; n++) {
    assertEquals(await inputs.next(), { type: "content", bytes: Uint8Array.of(9, 1, 2) });
  }
  port.silence();
  assert(port.send(last));
  const { dropped, duplicated, silenced } = port.counts;
  assertEquals([dropped, duplicated, silenced], [1, 2, 1]);
  port.close();
  assertEquals(port.send(last), false);
});

Deno.test("FaultySyncPort garbles contents but not what they are, and messages", async () => {
  const [port, hub] = faultyPair({ garble: 1 });
  const inputs = new Inputs(hub);
  await port.sendContent(new Uint8Array(100).fill(4));
  const content = await inputs.next();
  assert(content.type === "content" && content.bytes[0] === 4);
  assertEquals(content.bytes.filter((byte) => byte !== 4).length, 1);
  for (const message of heartbeats(100)) port.send(message);
  port.faults = {};
  const end = make.client("client_disconnect");
  port.send(end);
  let seen = 0;
  for (let input = await inputs.next(); input.type === "message"; input = await inputs.next()) {
    if (input.message.type === "client_disconnect") break;
    seen++;
  }
  assert(seen > 5 && seen < 95, `${seen} of 100 were messages still`);
  port.close();
});

Deno.test("FaultySyncPort delays, and keeps the order", async () => {
  const clock = new ManualClock();
  const [port, hub] = faultyPair({ delayMs: 50, clock });
  const heard: unknown[] = [];
  const done = Array.fromAsync(hub.receive, (input) => heard.push(input));
  const [first, second] = heartbeats(2);
  assert(first && second);
  port.send(first);
  const content = port.sendContent(Uint8Array.of(9));
  port.faults = {};
  port.send(second);
  await clock.advance(49);
  assertEquals(heard.length, 0);
  await clock.advance(60);
  await content;
  await clock.advance(1);
  await until(() => heard.length === 3);
  port.close();
  await done;
});

Deno.test("FaultySyncPort that is cut ends for both", async () => {
  const [port, hub] = faultyPair({ cut: 1 });
  const reading = Array.fromAsync(port.receive);
  assertEquals(port.send(make.client("heartbeat")), false);
  assert(await port.closed instanceof ClosedError);
  await hub.closed;
  assertEquals(await reading, []);
  await assertRejects(() => port.sendContent(Uint8Array.of(9)), ClosedError);
});

Deno.test("FaultySyncPort hears as badly as it speaks", async () => {
  const [client, hub] = portPair();
  const port = new FaultySyncPort(client, { duplicate: 1 });
  const inputs = new Inputs(port);
  hub.send(make.server("heartbeat"));
  assertEquals(await inputs.next(), await inputs.next());
  hub.cut("resumed");
  assertEquals((await inputs.next()).type, "resumed");
  assertEquals(port.counts.duplicated, 1);
  port.close();
});

Deno.test("two folders come to the same files whatever goes wrong between them", async () => {
  await using scratch = new Scratch();
  const [ann, hub] = [await scratch.folder("ann"), await scratch.folder("hub")];
  const written = new Map<string, string>();
  const edit = (dir: string, path: string, text: string) => {
    write(dir, path, text, LONG_AGO);
    written.set(path, text);
  };
  let went = 0;
  for (let seed = 1; seed <= 12; seed++) {
    edit(ann.dir, `a/${seed}`, `of ann ${seed} `);
    edit(hub.dir, `b/${seed}`, `of the hub ${seed} `);
    await ann.scan();
    await hub.scan();
    const faults = seed === 12 ? {} : FAULTS;
    const [clientPort, hubPort] = portPair();
    const faulty = new FaultySyncPort(clientPort, { ...faults, seed });
    await using ofHub = Exchange.open(hub, hubPort, { role: "hub" });
    await using ofAnn = Exchange.open(ann, faulty, { role: "client" });
    // What is lost is not asked for again while the connection stands: a real one ends by its silence.
    const patience = setTimeout(() => faulty.cut(), seed === 12 ? 10_000 : 100);
    const isDone = await ofAnn.sync().catch(() => false);
    clearTimeout(patience);
    if (isDone) went++;
    if (seed === 12) assert(isDone);
    await ofAnn.close();
    await ofHub.closed;
  }
  assert(went < 12, "nothing went wrong");
  const tree = ["a/", "b/", ...[...written].map(([path, text]) => `${path} = ${text}`)].sort();
  assertEquals([treeOf(ann.dir), treeOf(hub.dir)], [tree, tree]);
});
