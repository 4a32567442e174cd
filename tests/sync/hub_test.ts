import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { TransportError } from "../../src/errors.ts";
import { Access } from "../../src/secure/access.ts";
import { gateOf } from "../../src/sync/gate.ts";
import type { SyncPort } from "../../src/sync/port.ts";
import { heartbeatMessage } from "../../src/sync/messages.ts";
import { identityOf } from "../endpoint/fixture.ts";
import { until } from "../endpoint/web_fixture.ts";
import { change, hello, Hub, Inputs } from "./hub_fixture.ts";

/** A hub that asks for keys, and some of them. */
async function keyed(clock = new ManualClock()) {
  const access = new Access({ identity: identityOf("hub"), clock });
  const keyFor = (...scopes: readonly `folder:${string}`[]) => access.createApiKey({ scopes });
  const hub = await Hub.open({ gate: gateOf(access), clock });
  return { hub, access, clock, keyFor };
}

Deno.test("SyncHub passes a change on to everybody in the room but who made it", async () => {
  await using hub = await Hub.open();
  const [a, b] = [await hub.client("a"), await hub.client("b")];
  const elsewhere = await hub.client("c", { folder: "/home/somebody/photos" });
  const plain = await hub.plain("plain_1");
  a.port.send(change(a.port.author, "one.txt"));
  assertEquals(await new Inputs(b.port).path(), "one.txt");
  const { timestamp: _, ...message } = await plain.next();
  assertEquals(message, {
    type: "file_changed",
    data: { operation: "update", file_path: "one.txt", client_id: a.clientId },
    client_id: "server",
  });
  await plain.send(change({ clientId: "plain_1", wallMs: 0 }, "two.txt"));
  assertEquals(await new Inputs(a.port).path(), "two.txt");
  elsewhere.port.send(change(elsewhere.port.author, "three.txt"));
  b.port.send(change(b.port.author, "four.txt"));
  assertEquals((await plain.next()).data.file_path, "four.txt");
  assertEquals(hub.hub.status.rooms, 2);
});

Deno.test("SyncHub answers a client of the seed as the seed says, and no more", async () => {
  const clock = new ManualClock();
  await using hub = await Hub.open({ clock });
  const plain = await hub.stranger();
  await plain.send(hello("desk_1"));
  assertEquals(await plain.next(), {
    type: "client_connect",
    data: {
      success: true,
      message: "Connected successfully",
      server_time: "2026-01-01T00:00:00.000Z",
    },
    client_id: "server",
    timestamp: "2026-01-01T00:00:00.000Z",
  });
  await plain.send(heartbeatMessage({ clientId: "desk_1", wallMs: 0 }));
  assertEquals(await plain.next(), {
    type: "heartbeat",
    data: { timestamp: "2026-01-01T00:00:00.000Z" },
    client_id: "server",
    timestamp: "2026-01-01T00:00:00.000Z",
  });
});

Deno.test("SyncHub refuses a second client with the same id, and keeps the first", async () => {
  await using hub = await Hub.open();
  const first = await hub.plain("desk_1");
  const second = await hub.stranger();
  await second.send(hello("desk_1"));
  const { data } = await second.next();
  assertEquals([data.success, data.error_code], [false, "CLIENT_ID_IN_USE"]);
  assertEquals(await second.ending(), 4409);
  await first.send(heartbeatMessage({ clientId: "desk_1", wallMs: 0 }));
  assertEquals((await first.next()).type, "heartbeat");
  assertEquals(hub.counters["sync.error.client_id_in_use"], 1);
});

for (const path of ["/sync/desk_1", "/sync?client_id=desk_1"]) {
  Deno.test(`SyncHub takes the id that a socket is opened with, as in ${path}`, async () => {
    await using hub = await Hub.open();
    const own = await hub.stranger(path);
    await own.send(hello("desk_1"));
    assertEquals((await own.next()).data.success, true);
    const another = await hub.stranger(path.replace("desk_1", "desk_2"));
    await another.send(hello("desk_3"));
    assertEquals((await another.next()).data.error_code, "INVALID_MESSAGE");
  });
}

Deno.test("SyncHub lets in by key, to write or to read", async () => {
  const { hub, keyFor } = await keyed();
  await using _hub = hub;
  const writer = await hub.plain("w", { apiKey: keyFor("folder:docs").token });
  const reader = await hub.plain("r", { apiKey: keyFor("folder:docs:read").token });
  const all = await hub.client("all", { apiKey: keyFor("folder:*").token });
  assertEquals([all.scope, all.port.writable], ["write", true]);
  await reader.send(change({ clientId: "r", wallMs: 0 }, "no.txt"));
  assertEquals((await reader.next()).data.error_code, "NOT_ALLOWED");
  await writer.send(change({ clientId: "w", wallMs: 0 }, "yes.txt"));
  assertEquals((await reader.next()).data.file_path, "yes.txt");
  const scopes = hub.hub.status.clients.map(({ scope }) => scope);
  assertEquals(scopes, ["write", "read", "write"]);
});

Deno.test("SyncHub tells nobody without the right key which rooms there are", async () => {
  const clock = new ManualClock();
  const access = new Access({ identity: identityOf("hub"), clock });
  await using hub = await Hub.open({ gate: gateOf(access), clock, rooms: ["docs"] });
  const { token } = access.createApiKey({ scopes: ["folder:photos", "folder:docs:read"] });
  const answers = [];
  for (
    const options of [
      { room: "docs" },
      { room: "secret" },
      { room: "docs:read", apiKey: token },
      { room: "../docs", apiKey: token },
      { room: "docs", apiKey: token.replace(/.$/, "") },
      { room: "photos", apiKey: token },
    ]
  ) {
    const plain = await hub.stranger();
    await plain.send(hello("desk_1", options));
    const { data } = await plain.next();
    answers.push([data.error_code, data.message, await plain.ending()]);
  }
  const needsKey = "A key is needed: an invite or API key with scope folder:NAME";
  const keyless = ["AUTHENTICATION_FAILED", needsKey, 4401];
  const denied = ["AUTHENTICATION_FAILED", "The key does not open this room", 4401];
  const unknown = ["UNKNOWN_ROOM", 'There is no room "photos"', 4404];
  assertEquals(answers, [keyless, keyless, denied, denied, denied, unknown]);
});

Deno.test("SyncHub ends a client whose key is revoked", async () => {
  const { hub, access, clock, keyFor } = await keyed();
  await using _hub = hub;
  const { id, token } = keyFor("folder:docs");
  const client = await hub.client("desk", { apiKey: token });
  access.revoke(id);
  await clock.advance(5_000);
  const why = await client.closed;
  assertMatch(String(why?.message), /4401 AUTHENTICATION_FAILED/);
  assertEquals(hub.hub.status.clients, []);
});

Deno.test("SyncHub logs who did what, and never a key or a session's name", async () => {
  const { hub, keyFor } = await keyed();
  await using _hub = hub;
  const { token } = keyFor("folder:docs");
  const a = await hub.client("a", { apiKey: token });
  a.port.send(change(a.port.author, "one\u001b.txt"));
  const wrong = await hub.stranger();
  await wrong.send(hello("desk_1", { apiKey: "kithkey1.wrong" }));
  await wrong.ending();
  await until(() => hub.log.lines.some(({ message }) => message === "sync client broke a rule"));
  await a.close();
  await until(() => hub.log.lines.some(({ message }) => message === "sync client left"));
  const text = JSON.stringify(hub.log.lines);
  for (const secret of [token, "kithkey1", token.slice(-20)]) assert(!text.includes(secret), text);
  const messages = new Set(hub.log.lines.map(({ message }) => message));
  assert(messages.has("sync client connected") && messages.has("sync client refused"), text);
  assert(text.includes(a.clientId));
});

for (
  const [what, text, code, ending] of [
    ["no JSON", "{", "INVALID_JSON", 4400],
    [
      "another type",
      JSON.stringify(change({ clientId: "a", wallMs: 0 }, "a")),
      "NOT_CONNECTED",
      4425,
    ],
    ["wrong types", JSON.stringify({ ...hello("a"), client_id: 1 }), "INVALID_MESSAGE", 4400],
    ["contents", new Uint8Array([2, 3]), "NOT_CONNECTED", 4425],
  ] as const
) {
  Deno.test(`SyncHub turns away who begins with ${what}`, async () => {
    await using hub = await Hub.open();
    const plain = await hub.stranger();
    await plain.send(text);
    const message = await plain.next();
    assertEquals([message.type, message.data.error_code], ["error", code]);
    assertEquals(await plain.ending(), ending);
    assertEquals(hub.counters["sync.refused"], 1);
  });
}

Deno.test("SyncHub names what is wrong with a message, keeps the connection, and has enough of many", async () => {
  await using hub = await Hub.open({ limits: { maxFaults: 5 } });
  const plain = await hub.plain("desk_1");
  const author = { clientId: "desk_1", wallMs: 0 };
  await plain.send("{{");
  assertEquals((await plain.next()).data.error_code, "INVALID_JSON");
  await plain.send({ ...change(author, "../up"), client_id: "desk_1" });
  assertMatch(String((await plain.next()).data.message), /data\.file_path/);
  await plain.send(change({ clientId: "desk_2", wallMs: 0 }, "a"));
  assertEquals((await plain.next()).data.error_code, "INVALID_MESSAGE");
  await plain.send({ ...change(author, "a"), type: "sync_request" });
  assertEquals((await plain.next()).data.error_code, "UNKNOWN_TYPE");
  await plain.send(new Uint8Array([7, 7]));
  assertEquals((await plain.next()).data.error_code, "INVALID_MESSAGE");
  await plain.send(hello("desk_1"));
  assertEquals((await plain.next()).data.error_code, "INVALID_MESSAGE");
  assertEquals(await plain.ending(), 4400);
  assertEquals(hub.counters["sync.violations"], 6);
});

Deno.test("SyncHub passes on what it does not know, for newer clients", async () => {
  await using hub = await Hub.open();
  const [a, b] = [await hub.plain("a"), await hub.plain("b")];
  await a.send({
    type: "colour",
    data: { hue: 7 },
    client_id: "a",
    timestamp: "2026-01-01T00:00:00Z",
    more: 1,
  });
  const { type, data, more } = await b.next();
  assertEquals({ type, data, more }, { type: "colour", data: { hue: 7, client_id: "a" }, more: 1 });
});

Deno.test("SyncHub gives signs of life, and ends connections that give none", async () => {
  const clock = new ManualClock();
  await using hub = await Hub.open({ clock });
  const stranger = await hub.stranger();
  const plain = await hub.plain("desk_1");
  await clock.advance(11_000);
  assertEquals((await stranger.next()).data.error_code, "HEARTBEAT_TIMEOUT");
  assertEquals(await stranger.ending(), 4408);
  await clock.advance(25_000);
  assertEquals((await plain.next()).type, "heartbeat");
  await plain.send(heartbeatMessage({ clientId: "desk_1", wallMs: 0 }));
  assertEquals((await plain.next()).type, "heartbeat");
  await clock.advance(70_000);
  assertEquals(hub.hub.status.clients.length, 1);
  await clock.advance(10_000);
  assertEquals(await plain.ending(), 4408);
  assertEquals(hub.counters["sync.timeouts"], 1);
  assertEquals(hub.hub.status.clients, []);
});

Deno.test("SyncHub says who comes and goes, if it is to", async () => {
  await using hub = await Hub.open({ announces: true });
  const a = await hub.plain("a");
  const b = await hub.plain("b");
  const joined = await a.next();
  assertEquals([joined.type, joined.data], ["client_joined", { client_id: "b", name: "b" }]);
  b.socket.close();
  const left = await a.next();
  assertEquals([left.type, left.data], ["client_left", { client_id: "b" }]);
});

Deno.test("SyncHub has room for so many and says so", async () => {
  await using hub = await Hub.open({ limits: { maxClients: 2, maxStrangers: 1 } });
  await hub.plain("a");
  await hub.plain("b");
  const c = await hub.stranger();
  await assertRejects(() => hub.stranger(), TransportError);
  await c.send(hello("c"));
  const { data } = await c.next();
  assertEquals([data.error_code, data.message], [
    "CONNECTION_LIMIT",
    "There are 2 clients already",
  ]);
  assertEquals(await c.ending(), 4509);
});

Deno.test("SyncHub says that it stops, and no session outlives it", async () => {
  await using hub = await Hub.open();
  const plain = await hub.plain("a");
  await hub.hub.close();
  assertEquals((await plain.next()).data.error_code, "SHUTTING_DOWN");
  assertEquals(await plain.ending(), 4503);
  await hub.hub.close();
});

Deno.test("SyncHub gives what comes to whoever keeps the folder", async () => {
  const opened: { port: SyncPort; room: string }[] = [];
  await using hub = await Hub.open({
    rooms: ["photos"],
    onPort: (port, room) => void opened.push({ port, room }),
  });
  const client = await hub.client("desk");
  const [first] = opened;
  assert(first !== undefined);
  const { port, room } = first;
  assertEquals([room, client.port.peer.label], ["photos", "photos"]);
  assertEquals([port.peer.clientId, port.peer.canWrite], [client.clientId, true]);
  assertEquals(port.peer.capabilities, client.port.peer.capabilities);
  const [inputs, outputs] = [new Inputs(port), new Inputs(client.port)];
  client.port.send(change(client.port.author, "one.txt"));
  await client.port.sendContent(new Uint8Array([2, 3, 4]));
  client.port.send(change(client.port.author, "two.txt"));
  const input = await inputs.next();
  assert(input.type === "message");
  const { type, data, seq } = input.message;
  assertEquals([type, data.file_path, seq], ["file_changed", "one.txt", undefined]);
  assertEquals(await inputs.next(), { type: "content", bytes: new Uint8Array([2, 3, 4]) });
  assertEquals(await inputs.path(), "two.txt");
  port.send(change(port.author, "three.txt"));
  await port.sendContent(new Uint8Array(1024 * 1024).fill(7));
  assertEquals(await outputs.path(), "three.txt");
  const content = await outputs.next();
  assertEquals(content.type === "content" && content.bytes.length, 1024 * 1024);
  await client.close();
  assertEquals(await port.closed, undefined);
  assertEquals(port.send(change(port.author, "four.txt")), false);
  await assertRejects(() => port.sendContent(new Uint8Array([2])));
});

Deno.test("SyncHub counts and tells its rates", async () => {
  const clock = new ManualClock();
  await using hub = await Hub.open({ clock });
  const [a, b] = [await hub.plain("a"), await hub.plain("b")];
  await a.send(change({ clientId: "a", wallMs: 0 }, "one.txt"));
  await b.next();
  await clock.advance(10_000);
  const { clients, rates, strangers } = hub.hub.status;
  assertEquals(clients.map(({ clientId, silentMs }) => [clientId, silentMs]), [["a", 10_000], [
    "b",
    10_000,
  ]]);
  assertEquals([rates.received, rates.sent, rates.errors, strangers], [0.1, 0.1, 0, 0]);
  const { "sync.messages.in": received, "sync.messages.out": sent } = hub.counters;
  assertEquals([received, sent, hub.counters["sync.connected"]], [1, 1, 2]);
});

Deno.test("SyncHub.broadcast reaches a room", async () => {
  await using hub = await Hub.open();
  const a = await hub.plain("a");
  assertEquals(hub.hub.broadcast("docs", { type: "notice", data: { n: 1 } }), 1);
  assertEquals(hub.hub.broadcast("photos", { type: "notice", data: { n: 1 } }), 0);
  const { type, data, client_id } = await a.next();
  assertEquals({ type, data, client_id }, { type: "notice", data: { n: 1 }, client_id: "server" });
});

Deno.test("SyncHub takes the number of a message that breaks a rule, and misses none", async () => {
  await using hub = await Hub.open();
  const plain = await hub.plain("desk_1", { capabilities: ["resume"] });
  const reader = await hub.plain("pad_1");
  const author = { clientId: "desk_1", wallMs: 0 };
  await plain.send({ ...change(author, "../up"), seq: 1, ack: 0 });
  await plain.send({ ...change(author, "one.txt"), seq: 2, ack: 0 });
  await plain.send({ ...change(author, "again.txt"), seq: 2, ack: 0 });
  await plain.send({ ...change(author, "two.txt"), seq: 3, ack: 0 });
  assertEquals((await reader.next()).data.file_path, "one.txt");
  const { data, seq } = await reader.next();
  assertEquals([data.file_path, seq], ["two.txt", undefined]);
  await plain.send({ ...change(author, "four.txt"), seq: 5, ack: 0 });
  assertEquals(await plain.ending(), 4412);
  assertEquals(hub.hub.status.clients.map(({ connected }) => connected), [false, true]);
});
