/**
 * What is done for an address that is not proven, which is next to nothing, and how callers prove theirs.
 */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { DatagramCalls } from "../../src/endpoint/datagram_calls.ts";
import { HandlerSlots } from "../../src/endpoint/slots.ts";
import { nextTurn } from "../../src/endpoint/turns.ts";
import { NotFoundError, TimeoutError, TransportError } from "../../src/errors.ts";
import { SERVICE_CODE } from "../../src/wire/datagram.ts";
import type { MessageBody } from "../../src/wire/message.ts";
import { Datagrams, packetOf, ScriptedSocket } from "./datagram_fixture.ts";
import { isSettled, settle } from "./fixture.ts";

/** Somebody who receives nothing of what is sent to him. */
const VICTIM = { hostname: "192.0.2.66", port: 4000 };

/** A server behind a socket whose packets the test makes up. */
async function openScripted(datagrams: Datagrams) {
  const socket = new ScriptedSocket("192.0.2.1");
  const server = await datagrams.peer("server", { transport: socket.transport });
  let runs = 0;
  const run = (result: unknown) => () => {
    runs++;
    return result;
  };
  server.dispatcher.handle("known", run(1));
  server.dispatcher.handle("large", run("x".repeat(9000)));
  server.dispatcher.handle("huge", run("x".repeat(70_000)));
  server.dispatcher.handle("silent", run(new Promise(() => {})));
  server.dispatcher.handle("failing", () => {
    runs++;
    throw new NotFoundError("no-key", "x".repeat(400), { details: { key: "y".repeat(400) } });
  });
  const take = async (data: Uint8Array) => {
    socket.push({ data, from: VICTIM });
    for (let turn = 0; turn < 3; turn++) await nextTurn(); // it may be others' turn once to receive and once to handle
    return socket.sent.splice(0);
  };
  return { server, take, runs: () => runs };
}

/** Every kind of packet, each with its name. */
function packetsOf(terms: MessageBody): [string, Uint8Array][] {
  const body = { ":": terms };
  const padded = { ":": { ...terms, pad: new Uint8Array(3000) } };
  const packets: [string, Uint8Array][] = [];
  const ids = [1, 1, 200, 70_000, 2 ** 40, 2 ** 53 - 1000, 0];
  const headers = ["known", "unknown", "failing", "large", "huge", "silent", ""];
  for (const [at, header] of headers.entries()) {
    for (const id of ids) {
      packets.push([header, packetOf(header, id && id + 20 * at, body)]);
      packets.push([`${header}, padded`, packetOf(header, id && id + 20 * at + 10, padded)]);
    }
  }
  const controls = [":ping", ":cancel", ":ok", ":error", ":pad", ":retry", ":later", ":"];
  for (const header of controls) {
    for (const id of ids) packets.push([header, packetOf(header, id, body)]);
    packets.push([`${header}, padded`, packetOf(header, 5, padded)]);
    packets.push([`${header}, bare`, packetOf(header, 5, {})]);
  }
  const whole = packetOf("known", 7, body);
  for (let cut = 0; cut < whole.length; cut++) packets.push(["cut", whole.subarray(0, cut)]);
  for (let bit = 0; bit < 8 * Math.min(whole.length, 64); bit++) {
    const damaged = whole.slice();
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    packets.push(["damaged", damaged]);
  }
  for (let code = 0; code < 256; code++) {
    const other = packetOf(":retry", 7, { t: new Uint8Array(16), ...body });
    other[0] = code;
    packets.push([`code ${code}`, other]);
  }
  return packets;
}

const TOKENS: [string, MessageBody][] = [
  ["no token", {}],
  ["zeros", { token: new Uint8Array(16) }],
  ["a guess", { token: new Uint8Array(16).fill(7) }],
  ["a short one", { token: new Uint8Array(15) }],
  ["a long one", { token: new Uint8Array(700) }],
  ["text", { token: "x".repeat(16) }],
];

for (const [name, terms] of TOKENS) {
  Deno.test(`DatagramCalls send no more to a forged address than came, and handle nothing (${name})`, async () => {
    await using datagrams = new Datagrams();
    const { server, take, runs } = await openScripted(datagrams);
    let [bytesIn, bytesOut, retries] = [0, 0, 0];
    for (const [kind, packet] of packetsOf(terms)) {
      const sent = await take(packet);
      const bytes = sent.reduce((sum, { data }) => sum + data.length, 0);
      assert(bytes <= packet.length, `${kind}: ${bytes} bytes for ${packet.length}`);
      assert(sent.length <= 1 && sent.every(({ to }) => to === VICTIM), kind);
      assert(sent.every(({ data }) => data[0] === SERVICE_CODE.retryToken), kind);
      bytesIn += packet.length;
      bytesOut += bytes;
      retries += sent.length;
    }
    assert(bytesOut / bytesIn <= 1, `${bytesOut} bytes for ${bytesIn}`);
    assert(retries > 20 && server.count("unproven") > retries, `${retries} were asked for proof`);
    assertEquals([runs(), server.count("repeats"), server.count("refused")], [0, 0, 0]);
    assertEquals([server.requests.waiting, server.count("handler-errors")], [0, 0]);
  });
}

Deno.test("DatagramCalls have room for a token in every first question", async () => {
  await using datagrams = new Datagrams();
  const { take } = await openScripted(datagrams);
  const body = { ":": { token: new Uint8Array(16) } };
  for (const header of ["", "x", "known", "unknown", ":ping"]) {
    for (const id of [1, 127, 128, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]) {
      assertEquals((await take(packetOf(header, id, body))).length, 1, `${header} ${id}`);
    }
  }
});

Deno.test("DatagramCalls send a proven address three times what came, and no more", async () => {
  await using datagrams = new Datagrams();
  const { take, runs } = await openScripted(datagrams);
  const [retry] = await take(packetOf("known", 3, { ":": { token: new Uint8Array(16) } }));
  const token = retry?.data.slice(-17, -1);
  let [bytesIn, bytesOut] = [0, 0];
  for (const [kind, packet] of packetsOf({ token })) {
    const sent = await take(packet);
    const bytes = sent.reduce((sum, { data }) => sum + data.length, 0);
    assert(bytes <= 3 * packet.length, `${kind}: ${bytes} bytes for ${packet.length}`);
    bytesIn += packet.length;
    bytesOut += bytes;
  }
  assert(bytesOut <= 3 * bytesIn && runs() > 40, `${runs()} runs, ${bytesOut} for ${bytesIn}`);
});

Deno.test("DatagramCalls accept a token from the address and port that it was told, and no other", async () => {
  await using datagrams = new Datagrams();
  const server = await datagrams.peer("server");
  const owner = await datagrams.caller("owner", server);
  const neighbour = await datagrams.stranger("owner");
  const thief = await datagrams.stranger("thief");
  server.dispatcher.handle("greet", () => "hello");
  await owner.send(server.address, "greet", 4);
  assertEquals((await owner.receive()).message.header, ":ok");
  for (const other of [neighbour, thief]) {
    await other.send(server.address, "greet", 4, { ":": { token: owner.token } });
    const { message, code } = await other.receive();
    assertEquals([message.header, message.msgId, code], [":retry", 4, SERVICE_CODE.retryToken]);
  }
});

Deno.test("DatagramCalls accept no token for ever", async () => {
  await using datagrams = new Datagrams();
  const server = await datagrams.peer("server");
  const caller = await datagrams.caller("caller", server);
  server.dispatcher.handle("greet", () => "hello");
  await caller.send(server.address, "greet", 4);
  await caller.receive();
  await datagrams.clock.advance(130_000);
  const headers: string[] = [];
  for (let id = 5; id < 75; id++) {
    await caller.send(server.address, "greet", id);
    headers.push((await caller.receive()).message.header);
  }
  assertEquals(headers.at(-1), ":retry");
  assert(headers.filter((header) => header === ":ok").length <= 64); // asked again at the latest then
});

Deno.test("DatagramCalls let nobody without proof into a queue", async () => {
  await using datagrams = new Datagrams();
  const slots = new HandlerSlots(1);
  const server = await datagrams.peer("server", { slots });
  const forger = await datagrams.stranger("forger");
  const client = await datagrams.peer("client");
  server.dispatcher.handle("greet", () => "hello");
  assert(slots.enter());
  for (let round = 0; round < 10; round++) {
    for (let id = 1; id <= 200; id++) await forger.send(server.address, "greet", id);
    await settle();
  }
  assertEquals([server.requests.waiting, server.count("unproven")], [0, 2000]);
  const asked = client.calls.request(server.address, "greet", {});
  await settle();
  assertEquals(server.requests.waiting, 1);
  slots.leave();
  assertEquals(await asked, "hello");
});

Deno.test("DatagramCalls.request proves its address by a round trip, once for many requests", async () => {
  await using datagrams = new Datagrams({ latencyMs: 10 });
  const { clock } = datagrams;
  const server = await datagrams.peer("server");
  const clients = [await datagrams.peer("one"), await datagrams.peer("another")];
  let runs = 0;
  server.dispatcher.handle("count", () => ++runs);
  for (const [waitMs, roundTrips] of [[0, 2], [0, 1], [40_000, 1], [130_000, 2], [0, 1]] as const) {
    await clock.advance(waitMs);
    for (const { calls } of clients) {
      const asked = calls.request(server.address, "count", {});
      await clock.advance(20 * roundTrips - 1);
      assertEquals(await isSettled(asked), false);
      await clock.advance(1);
      assertEquals(await asked, runs);
    }
  }
  assertEquals([runs, server.count("unproven")], [10, 4]);
});

Deno.test("DatagramCalls.request keeps its proof when it is padded, and its padding when it proves", async () => {
  await using datagrams = new Datagrams();
  const client = await datagrams.peer("client");
  const server = await datagrams.stranger("server");
  const asked = client.calls.request(server.address, "greet", { n: 1 }, { timeoutMs: 700 });
  const { message: { msgId } } = await server.receive();
  const token = new Uint8Array(16).fill(9);
  await server.send(client.address, ":pad", msgId, { bytes: 3000 });
  const padded = await server.receive();
  await server.retry(client.address, msgId, token);
  const proven = await server.receive();
  assertEquals(proven.bytes, padded.bytes);
  const { ":": terms, ...body } = proven.message.body;
  assertEquals(body, { n: 1 });
  const { timeout, pad, ...rest } = terms as MessageBody;
  assertEquals([timeout, (pad as Uint8Array).length > 900, rest], [700, true, { token }]);
  await server.send(client.address, ":ok", msgId, { result: 1 });
  assertEquals(await asked, 1);
});

Deno.test("DatagramCalls.request is not kept busy by who always wants another proof", async () => {
  await using datagrams = new Datagrams();
  const client = await datagrams.peer("client");
  const server = await datagrams.stranger("server");
  const options = { timeoutMs: 100, retryMs: 1000 };
  const failure = assertRejects(
    () => client.calls.request(server.address, "greet", {}, options),
    TimeoutError,
  );
  const { message: { msgId } } = await server.receive();
  for (let n = 1; n <= 20; n++) {
    await server.retry(client.address, msgId, new Uint8Array(16).fill(n));
  }
  const tokens: unknown[] = [];
  for (let n = 0; n < 3; n++) {
    tokens.push(((await server.receive()).message.body[":"] as { token: Uint8Array }).token[0]);
  }
  assertEquals(tokens, [1, 2, 3]);
  await datagrams.clock.advance(200);
  await failure;
  assertEquals((await server.receive()).message.header, ":cancel"); // and nothing in between
});

Deno.test("DatagramCalls.request believes a token only from who was asked, under the id of the request", async () => {
  await using datagrams = new Datagrams();
  const client = await datagrams.peer("client");
  const server = await datagrams.stranger("server", 3486);
  const neighbour = await datagrams.stranger("server", 3487);
  const asked = client.calls.request(server.address, "greet", {});
  const { message: { msgId } } = await server.receive();
  const token = new Uint8Array(16).fill(9);
  await neighbour.retry(client.address, msgId, token);
  for (const id of [0, msgId + 1, msgId % 2 ** 30]) await server.retry(client.address, id, token);
  for (const t of [undefined, null, "0123456789abcdef", new Uint8Array(15), new Uint8Array(17)]) {
    await server.retry(client.address, msgId, t);
  }
  await settle();
  assertEquals(client.count("stray"), 9);
  await server.retry(client.address, msgId, token, ":later");
  await settle();
  assertEquals(client.count("unknown-control"), 1);
  const more = server.socket.receive();
  assertEquals(await isSettled(more), false); // it was not sent again
  await server.send(client.address, ":ok", msgId, { result: 1 });
  assertEquals(await asked, 1);
  server.socket.close();
  await more;
});

Deno.test("DatagramCalls.notify asks for a token first, all who send there at once for the same", async () => {
  await using datagrams = new Datagrams({ latencyMs: 10 });
  const { clock } = datagrams;
  const [server, client] = [await datagrams.peer("server"), await datagrams.peer("client")];
  const heard: unknown[] = [];
  server.dispatcher.handle("note", ({ n }) => heard.push(n));
  const notify = async (...notes: number[]) => {
    const sent = notes.map((n) => client.calls.notify(server.address, "note", { n }));
    await clock.advance(50); // two round trips, and a way
    await Promise.all(sent);
  };
  await notify(1, 2, 3);
  assertEquals([heard, server.count("unproven")], [[1, 2, 3], 1]);
  await clock.advance(44_000);
  await notify(4);
  assertEquals(server.count("unproven"), 1);
  await clock.advance(1_000); // now the token may soon be too old
  await notify(5);
  assertEquals([heard, server.count("unproven")], [[1, 2, 3, 4, 5], 2]);
  assertEquals(client.calls.inFlight, 0);
});

Deno.test("DatagramCalls.notify says when nobody is there to prove an address to, and tries anew", async () => {
  await using datagrams = new Datagrams();
  const client = await datagrams.peer("client");
  const silent = await datagrams.stranger("silent");
  const notify = () => client.calls.notify(silent.address, "note", {});
  for (let round = 0; round < 2; round++) {
    const failures = [assertRejects(notify, TimeoutError), assertRejects(notify, TimeoutError)];
    await datagrams.clock.advance(6000);
    await Promise.all(failures);
  }
  await assertRejects(
    () => client.calls.notify({ hostname: "nowhere", port: 1 }, "note", {}),
    TransportError,
    "nowhere",
  );
  await assertRejects(() => client.calls.notify(silent.address, "note", { ":": 1 }), TypeError);
});

Deno.test("DatagramCalls.notify finds out once that no proof is wanted", async () => {
  await using datagrams = new Datagrams();
  const client = await datagrams.peer("client");
  const server = await datagrams.stranger("server");
  const notify = () => client.calls.notify(server.address, "note", {});
  const first = notify();
  const { message } = await server.receive();
  assertEquals(message.header, ":ping");
  await server.send(client.address, ":ok", message.msgId);
  await Promise.all([first, notify()]);
  for (let n = 0; n < 2; n++) assertEquals((await server.receive()).message.header, "note");
  await notify();
  assertEquals((await server.receive()).message.header, "note");
});

Deno.test("DatagramCalls prove nothing where they are told so", async () => {
  await using datagrams = new Datagrams();
  const options = { proveAddresses: false };
  const server = await datagrams.peer("server", options);
  const client = await datagrams.peer("client", options);
  const stranger = await datagrams.stranger("stranger");
  const heard: unknown[] = [];
  server.dispatcher.handle("note", ({ n }) => heard.push(n));
  assertEquals(server.requests.has(SERVICE_CODE.retryToken), false);
  await client.calls.notify(server.address, "note", { n: 1 });
  assertEquals(await client.calls.request(server.address, "note", { n: 2 }), 2);
  await stranger.send(server.address, "note", 0, { n: 3 });
  await stranger.send(server.address, ":ping", 7);
  assertEquals((await stranger.receive()).message.header, ":ok");
  assertEquals(heard, [1, 2, 3]);
  const asked = client.calls.request(stranger.address, "greet", {});
  const { message } = await stranger.receive();
  assertEquals(message.body, {});
  await stranger.send(client.address, ":ok", message.msgId, { result: 1 });
  assertEquals(await asked, 1);
});

Deno.test("DatagramCalls need both of their codes, and take none when one is taken", async () => {
  await using datagrams = new Datagrams();
  const { endpoint, requests, dispatcher, calls } = await datagrams.peer("server");
  calls.close();
  const codes = [SERVICE_CODE.requests, SERVICE_CODE.retryToken];
  for (const code of codes) {
    using _taken = requests.register(code, () => {});
    const open = () => new DatagramCalls({ endpoint, requests, dispatcher });
    assertThrows(open, TypeError, "has a handler already");
    assertEquals(codes.filter((code) => requests.has(code)), [code]);
  }
});
