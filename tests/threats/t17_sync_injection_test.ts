import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { Access } from "../../src/secure/access.ts";
import { gateOf } from "../../src/sync/gate.ts";
import type { WebSocketMessage } from "../../src/sync/message_types.ts";
import { identityOf } from "../endpoint/fixture.ts";
import { change, hello, Hub } from "../sync/hub_fixture.ts";
import { EVIL_PIECES, rawIn } from "./raw_text.ts";

/** What must not be told to a client: folders and lines of this program. */
const OURS = /\/work\/|\/home\/|\/src\/|\.ts:\d|\bat .*\(/;

Deno.test("T17 what clients say reaches no log raw and makes no counters", async () => {
  const random = seededRandom(17);
  const evil = () => {
    return Array.from({ length: 3 }, () => EVIL_PIECES[Math.floor(random() * EVIL_PIECES.length)])
      .join("").slice(0, 60).toWellFormed();
  };
  await using hub = await Hub.open({ limits: { maxFaults: 1e6 } });
  const answers: string[] = [];
  const known = new Set<string>();
  for (let n = 0; n < 40; n++) {
    const plain = await hub.stranger();
    await plain.send(hello(`desk_${n}`, { name: evil(), room: "docs", apiKey: evil() }));
    answers.push(JSON.stringify(await plain.next()));
    const author = { clientId: `desk_${n}`, wallMs: 0 };
    const messages: WebSocketMessage[] = [
      change(author, `a${evil()}`),
      { ...change(author, "a"), client_id: evil() },
      { ...change(author, "a"), data: { [evil()]: evil() } },
      { ...change(author, "a"), type: "sync_request", data: { replica: evil() } },
    ];
    for (const message of messages) await plain.send(message);
    await plain.send(evil());
    plain.socket.close();
    if (n === 10) { for (const name of Object.keys(hub.counters)) known.add(name); }
  }
  await hub.hub.close();
  for (const { message, fields } of hub.log.lines) {
    for (const text of [message, ...Object.values(fields).map(String)]) {
      assertEquals(rawIn(text), undefined);
      assert(text.length <= 1_000);
    }
  }
  const more = Object.keys(hub.counters).filter((name) => !known.has(name));
  assert(more.length <= 3, `${more}`);
});

Deno.test("T17 what goes wrong inside a hub is told to nobody but its log", async () => {
  const gate = {
    scopeOf: (tokens: readonly string[]) => {
      if (tokens[0] === "break") throw new Error("cannot open /home/somebody/.kith/access.json");
      return "write" as const;
    },
  };
  await using hub = await Hub.open({ gate });
  const told: string[] = [];
  const broken = await hub.stranger();
  await broken.send(hello("a", { apiKey: "break" }));
  told.push(JSON.stringify(await broken.next()));
  assertEquals(await broken.ending(), 4500);
  const honest = await hub.plain("honest");
  await honest.send({ ...change({ clientId: "honest", wallMs: 0 }, "a"), type: "sync_request" });
  told.push(JSON.stringify(await honest.next()));
  for (const text of told) assert(!OURS.test(text), text);
  assertEquals(JSON.parse(told[0] ?? "").data.error_code, "INTERNAL_ERROR");
  assert(hub.log.lines.some(({ level }) => level === "error"));
});

Deno.test("T17 keys and session names are in no log, no status, no counter", async () => {
  const access = new Access({ identity: identityOf("hub") });
  await using hub = await Hub.open({ gate: gateOf(access) });
  const { token } = access.createApiKey({ scopes: ["folder:docs"] });
  const client = await hub.stranger();
  await client.send(hello("desk_1", { capabilities: ["resume"], apiKey: token }));
  const { resume } = (await client.next()).data as { resume: { session: string } };
  client.socket.close();
  await client.socket.closed;
  const again = await hub.stranger();
  const point = { session: resume.session, received: 0 };
  await again.send(hello("desk_1", { capabilities: ["resume"], apiKey: token, resume: point }));
  await again.next();
  const text = JSON.stringify([hub.log.lines, hub.hub.status, hub.counters]);
  assert(!text.includes(resume.session) && !text.includes(token.slice(-43)), text);
});
