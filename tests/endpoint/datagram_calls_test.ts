import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { Clock } from "../../src/clock.ts";
import type { RequestContext } from "../../src/endpoint/dispatcher.ts";
import { HandlerSlots } from "../../src/endpoint/slots.ts";
import {
  ClosedError,
  InvalidPacketError,
  LimitError,
  NotFoundError,
  RemoteError,
  TimeoutError,
  TransportError,
} from "../../src/errors.ts";
import { printable } from "../../src/log.ts";
import type { Address } from "../../src/transport/mod.ts";
import { encodeWireData, wireData } from "../../src/wire/message.ts";
import { Datagrams, packetOf, ScriptedSocket } from "./datagram_fixture.ts";
import { isSettled, settle } from "./fixture.ts";

/** A server on whose handlers the tests call. */
async function openPair(datagrams: Datagrams) {
  return { server: await datagrams.peer("server"), client: await datagrams.peer("client") };
}

Deno.test("DatagramCalls.request gives what the handler of the other side returns", async () => {
  await using datagrams = new Datagrams();
  const { server, client } = await openPair(datagrams);
  const contexts: RequestContext[] = [];
  server.dispatcher.handle("add", ({ a, b }, context) => {
    contexts.push(context);
    return Number(a) + Number(b);
  });
  server.dispatcher.handle("later", async ({ data }) => {
    await settle();
    return data;
  });
  assertEquals(await client.calls.request(server.address, "add", { a: 1, b: 2 }), 3);
  const data = Uint8Array.of(1, 2, 3);
  assertEquals(await client.calls.request(server.address, "later", { data }), data);
  assertEquals(client.calls.inFlight, 0);
  const [context] = contexts;
  const { header, remote, via, peer, link, deadlineMs, signal } = context as RequestContext;
  assertEquals({ header, remote, via, peer, link, deadlineMs, aborted: signal.aborted }, {
    header: "add",
    remote: client.address,
    via: "udp",
    peer: undefined,
    link: undefined,
    deadlineMs: 5000,
    aborted: false,
  });
});

Deno.test("DatagramCalls pass through the middleware, and the terms reach no handler", async () => {
  await using datagrams = new Datagrams();
  const { server, client } = await openPair(datagrams);
  const seen: unknown[] = [];
  server.dispatcher.handle("echo", (body, { deadlineMs }) => {
    seen.push(deadlineMs);
    return body;
  });
  server.dispatcher.use({ name: "mark", run: (body, _, next) => next({ ...body, mark: true }) });
  const options = { timeoutMs: 700 };
  const answer = await client.calls.request(server.address, "echo", { n: 1 }, options);
  assertEquals(answer, { n: 1, mark: true });
  assertEquals(seen, [700]);
});

Deno.test("DatagramCalls.request rejects with the other side's error", async () => {
  await using datagrams = new Datagrams();
  const { server, client } = await openPair(datagrams);
  server.dispatcher.handle("coded", () => {
    throw new NotFoundError("no-key", "No key 7 here", { details: { key: 7 } });
  });
  server.dispatcher.handle("secret", () => Promise.reject(new Error("the password is 1234")));
  const ask = (header: string) => client.calls.request(server.address, header, {});
  const coded = await assertRejects(() => ask("coded"), RemoteError, "No key 7 here");
  assertEquals([coded.code, coded.details], ["no-key", { key: 7 }]);
  const secret = await assertRejects(() => ask("secret"), RemoteError);
  assertEquals([secret.code, secret.message.includes("1234")], ["internal", false]);
  assertEquals(server.count("handler-errors"), 2);
  assertEquals(server.log.lines.map(({ message }) => message), ["a handler failed"]);
});

Deno.test("DatagramCalls offer what can be answered in one packet, and nothing else", async () => {
  await using datagrams = new Datagrams();
  const { server, client } = await openPair(datagrams);
  server.dispatcher.handle("file", () => 1, { inline: true });
  server.dispatcher.handle("parts", async function* () {
    yield await Promise.resolve(1);
  });
  server.dispatcher.handle("whole", () => 1);
  const codeOf = async (header: string, body = {}) => {
    const asked = client.calls.request(server.address, header, body);
    return (await assertRejects(() => asked, RemoteError)).code;
  };
  assertEquals(await codeOf("file"), "no-endpoint");
  assertEquals(await codeOf("nothing"), "no-endpoint");
  assertEquals(await codeOf("parts"), "unsupported");
  const stranger = await datagrams.caller("stranger", server);
  for (
    const [terms, code] of [
      [{ credit: 1 }, "unsupported"],
      [{ timeout: -1 }, "bad-message"],
    ] as const
  ) {
    // Padded, so that an answer as long as an error's may come.
    await stranger.send(server.address, "whole", 5, { ":": terms, pad: new Uint8Array(200) });
    const { message } = await stranger.receive();
    assertEquals([message.header, message.body.code], [":error", code]);
  }
});

Deno.test("DatagramCalls.notify brings a message that nobody answers", async () => {
  await using datagrams = new Datagrams();
  const server = await datagrams.peer("server");
  const stranger = await datagrams.caller("stranger", server);
  const heard: unknown[] = [];
  server.dispatcher.handle("note", ({ n }) => heard.push(n));
  server.dispatcher.handle("broken", () => Promise.reject(new Error("broken")));
  for (const [header, n] of [["note", 1], ["nothing", 2], ["broken", 3], ["note", 4]] as const) {
    await stranger.send(server.address, header, 0, { n });
  }
  await stranger.send(server.address, ":ping", 9);
  const { message } = await stranger.receive();
  assertEquals([message.header, message.msgId], [":ok", 9]); // the only answer
  assertEquals(heard, [1, 4]);
  assertEquals([server.count("refused"), server.count("handler-errors")], [1, 1]);
  const client = await datagrams.peer("client");
  await client.calls.notify(server.address, "note", { n: 5 });
  await settle();
  assertEquals(heard, [1, 4, 5]);
});

Deno.test("DatagramCalls.request asks again, later and later, with the same packet", async () => {
  await using datagrams = new Datagrams();
  const client = await datagrams.peer("client");
  const silent = await datagrams.stranger("silent");
  const { clock } = datagrams;
  const asked = client.calls.request(silent.address, "greet", { n: 1 }, { timeoutMs: 5000 });
  const failure = assertRejects(() => asked, TimeoutError, '"greet" of silent:');
  const times: number[] = [];
  const packets: string[] = [];
  const reading = (async () => {
    for (
      let packet = await silent.socket.receive();
      packet;
      packet = await silent.socket.receive()
    ) {
      times.push(clock.now());
      packets.push(packet.data.toHex());
    }
  })();
  await clock.advance(5020);
  await failure;
  silent.socket.close();
  await reading;
  const cancel = packets.pop() ?? "";
  const cancelledMs = times.pop() ?? 0;
  assertEquals(new Set(packets).size, 1);
  assertStringIncludes(cancel, new TextEncoder().encode(":cancel").toHex());
  assert(cancelledMs >= 5000 && cancelledMs <= 5020, `gave up at ${cancelledMs}`);
  const pauses = times.slice(1).map((at, index) => at - (times[index] ?? 0));
  pauses.forEach((pause, index) => {
    const least = Math.min(200 * 2 ** index, 1000);
    assert(pause >= least && pause <= least * 1.5 + 20, `pause ${index} was ${pause} ms`);
  });
  assert(pauses.length >= 4 && pauses.length <= 7, `${pauses.length} repetitions`);
  assertEquals(client.calls.inFlight, 0);
});

Deno.test("DatagramCalls.request has its whole time, however long the program was busy before", async () => {
  await using datagrams = new Datagrams();
  const { clock: manual } = datagrams;
  let busyMs = 0;
  const clock: Clock = {
    now: () => manual.now() + busyMs,
    wallMs: () => manual.wallMs(),
    after: (delayMs, callback) => manual.after(delayMs, callback),
    random: () => manual.random(),
  };
  const client = await datagrams.peer("client", { clock });
  const silent = await datagrams.stranger("silent");
  const ask = () => client.calls.request(silent.address, "greet", {}, { timeoutMs: 1000 });
  const first = assertRejects(ask, TimeoutError);
  busyMs = 3000; // the timer is late
  const second = assertRejects(ask, TimeoutError);
  await manual.advance(990);
  assertEquals([await isSettled(first), await isSettled(second)], [false, false]);
  await manual.advance(30);
  await Promise.all([first, second]);
});

Deno.test("DatagramCalls run a handler once for repeated requests, and answer each", async () => {
  await using datagrams = new Datagrams();
  const server = await datagrams.peer("server");
  const stranger = await datagrams.caller("stranger", server);
  const other = await datagrams.caller("other", server);
  const held = Promise.withResolvers<unknown>();
  let runs = 0;
  server.dispatcher.handle("slow", () => {
    runs++;
    return held.promise;
  });
  for (let i = 0; i < 3; i++) await stranger.send(server.address, "slow", 7, { pad: "-----" });
  await settle();
  assertEquals([runs, server.count("repeats")], [1, 2]);
  held.resolve("done");
  assertEquals((await stranger.receive()).message.body, { result: "done" });
  for (let i = 0; i < 3; i++) {
    await stranger.send(server.address, "slow", 7, { pad: "-----" });
    assertEquals((await stranger.receive()).message.body, { result: "done" });
  }
  assertEquals([runs, server.count("repeats")], [1, 5]);
  await stranger.send(server.address, "slow", 8);
  assertEquals((await stranger.receive()).message.msgId, 8);
  await other.send(server.address, "slow", 7); // somebody else's 7
  assertEquals((await other.receive()).message.msgId, 7);
  assertEquals(runs, 3);
});

Deno.test("DatagramCalls keep errors as they keep results", async () => {
  await using datagrams = new Datagrams();
  const server = await datagrams.peer("server");
  const stranger = await datagrams.caller("stranger", server);
  let runs = 0;
  server.dispatcher.handle("fail", () => {
    runs++;
    throw new NotFoundError("no-key", "No key");
  });
  for (let i = 0; i < 3; i++) {
    await stranger.send(server.address, "fail", 7, { pad: new Uint8Array(60) });
    assertEquals((await stranger.receive()).message.body.code, "no-key");
  }
  assertEquals(runs, 1);
});

Deno.test("DatagramCalls keep an answer for half a minute, and not for ever", async () => {
  await using datagrams = new Datagrams();
  const server = await datagrams.peer("server");
  const stranger = await datagrams.caller("stranger", server);
  let runs = 0;
  server.dispatcher.handle("count", () => ++runs);
  const answers: unknown[] = [];
  for (const waitMs of [0, 15_000, 14_999, 60_001]) {
    await datagrams.clock.advance(waitMs);
    await stranger.send(server.address, "count", 7);
    answers.push((await stranger.receive()).message.body.result);
  }
  assertEquals(answers, [1, 1, 1, 2]);
});

Deno.test("DatagramCalls take an answer only from who was asked, under the id of the request", async () => {
  await using datagrams = new Datagrams();
  const client = await datagrams.peer("client");
  const server = await datagrams.stranger("server", 3486);
  const neighbour = await datagrams.stranger("server", 3487);
  const forger = await datagrams.stranger("forger", 3486);
  const asked = client.calls.request(server.address, "greet", {});
  const { message: { msgId } } = await server.receive();
  for (const liar of [neighbour, forger]) {
    for (const header of [":ok", ":error", ":pad"]) {
      await liar.send(client.address, header, msgId, { result: "forged", bytes: 5000 });
    }
  }
  const others = [0, msgId + 1, msgId - 1, msgId % 2 ** 30, msgId % 2 ** 32];
  for (const id of others) await server.send(client.address, ":ok", id, { result: "wrong id" });
  assertEquals(await isSettled(asked), false);
  assertEquals(client.count("stray"), 6 + others.length);
  await server.send(client.address, ":ok", msgId, { result: "hello" });
  assertEquals(await asked, "hello");
  await server.send(client.address, ":ok", msgId, { result: "again" });
  await settle();
  assertEquals(client.count("stray"), 7 + others.length);
});

for (
  const [to, from] of [
    ["127.0.0.1", "127.0.0.1"],
    ["::ffff:127.0.0.1", "127.0.0.1"],
    ["::FFFF:7f00:1", "127.0.0.1"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["2001:DB8::0:7", "2001:db8::7"],
    ["fe80::1%eth0", "fe80::1"],
  ] as const
) {
  Deno.test(`DatagramCalls know ${from} for who was asked as ${to}`, async () => {
    await using datagrams = new Datagrams();
    const socket = new ScriptedSocket("::");
    const client = await datagrams.peer("client", { transport: socket.transport });
    const asked = client.calls.request({ hostname: to, port: 4000 }, "greet", {});
    const answer = (from: Address) => {
      const id = new DataView((socket.sent[0]?.data ?? new Uint8Array()).buffer).getBigUint64(13);
      socket.push({ data: packetOf(":ok", Number(id), { result: from.hostname }), from });
    };
    answer({ hostname: from.replace("1", "2"), port: 4000 });
    answer({ hostname: from, port: 4001 });
    await settle();
    assertEquals(client.count("stray"), 2);
    answer({ hostname: from, port: 4000 });
    assertEquals(await asked, from);
  });
}

Deno.test("DatagramCalls refuse names where answers come from numbers", async () => {
  await using datagrams = new Datagrams();
  const socket = new ScriptedSocket("0.0.0.0");
  const client = await datagrams.peer("client", { transport: socket.transport });
  const to = { hostname: "bob.example", port: 4000 };
  await assertRejects(() => client.calls.request(to, "greet", {}), TypeError, "bob.example");
  assertEquals(socket.sent.length, 0);
});

Deno.test("DatagramCalls have ids that cannot be guessed", async () => {
  await using datagrams = new Datagrams();
  const socket = new ScriptedSocket("0.0.0.0");
  const client = await datagrams.peer("client", { transport: socket.transport });
  const to = { hostname: "192.0.2.1", port: 4000 };
  const asked = Array.from({ length: 1000 }, () => client.calls.request(to, "g", {}));
  const settled = Promise.allSettled(asked);
  const heads = socket.sent.map(({ data }) => data.subarray(0, 20));
  // Behind the service code and the length: an array, "g" and, but for one in two million, an unsigned 64-bit id.
  const ids = heads.filter((head) => head[8] === 0xcf).map((head) => {
    return Number(new DataView(head.buffer).getBigUint64(9));
  });
  assert(ids.length >= 998, `${ids.length} large ids`);
  assertEquals(new Set(ids).size, ids.length);
  assert(ids.every((id) => Number.isSafeInteger(id) && id >= 1));
  for (let bit = 0; bit < 53; bit++) {
    const set = ids.filter((id) => Math.floor(id / 2 ** bit) % 2 === 1).length;
    assert(set > 400 && set < 600, `bit ${bit} is set in ${set} of ${ids.length}`);
  }
  client.calls.close();
  await settled;
});

Deno.test("DatagramCalls tell the handler once that the caller has aborted", async () => {
  await using datagrams = new Datagrams();
  const { server, client } = await openPair(datagrams);
  const signals: AbortSignal[] = [];
  const held = Promise.withResolvers<unknown>();
  server.dispatcher.handle("slow", (_, { signal }) => {
    signals.push(signal);
    return held.promise;
  });
  const controller = new AbortController();
  const { signal } = controller;
  const asked = client.calls.request(server.address, "slow", {}, { signal });
  await settle();
  assertEquals(signals.map(({ aborted }) => aborted), [false]);
  controller.abort(new RangeError("enough"));
  await assertRejects(() => asked, RangeError, "enough");
  await settle();
  assertEquals(signals.map(({ aborted }) => aborted), [true]);
  assert(signals[0]?.reason instanceof ClosedError);
  held.resolve(1);
  await settle();
  assertEquals(client.count("stray"), 0); // nobody waits for it, so it is not sent
  await assertRejects(
    () => client.calls.request(server.address, "slow", {}, { signal }),
    RangeError,
    "enough",
  );
});

Deno.test("DatagramCalls let nobody else cancel a request", async () => {
  await using datagrams = new Datagrams();
  const server = await datagrams.peer("server");
  const stranger = await datagrams.caller("a", server);
  const other = await datagrams.caller("b", server);
  const signals: AbortSignal[] = [];
  server.dispatcher.handle("slow", (_, { signal }) => {
    signals.push(signal);
    return new Promise(() => {});
  });
  await stranger.send(server.address, "slow", 7);
  await settle();
  await other.send(server.address, ":cancel", 7);
  await settle();
  assertEquals(signals.map(({ aborted }) => aborted), [false]);
  await stranger.send(server.address, ":cancel", 7);
  await settle();
  assertEquals(signals.map(({ aborted }) => aborted), [true]);
});

Deno.test("DatagramCalls.close rejects what waits, tells the handlers, and takes nothing more", async () => {
  await using datagrams = new Datagrams();
  const { server, client } = await openPair(datagrams);
  const signals: AbortSignal[] = [];
  const held = Promise.withResolvers<unknown>();
  server.dispatcher.handle("slow", (_, { signal }) => {
    signals.push(signal);
    return held.promise;
  });
  const asked = client.calls.request(server.address, "slow", {});
  await settle();
  client.calls.close();
  await assertRejects(() => asked, ClosedError, '"slow"');
  await assertRejects(() => client.calls.request(server.address, "slow", {}), ClosedError);
  client.calls[Symbol.dispose]();
  server.calls.close();
  assertEquals(signals.map(({ aborted }) => aborted), [true]);
  held.resolve(1);
  await settle();
  assertEquals(client.metrics.snapshot(), {});
});

Deno.test("DatagramCalls.request rejects at once what cannot be sent", async () => {
  await using datagrams = new Datagrams();
  const { server, client } = await openPair(datagrams);
  const ask = (to: Address, body: Record<string, unknown>) => client.calls.request(to, "g", body);
  await assertRejects(() => ask({ hostname: "nowhere", port: 1 }, {}), TransportError, "nowhere");
  await assertRejects(() => ask(server.address, { f: () => {} }), TypeError, "function");
  await assertRejects(() => ask(server.address, { ":": {} }), TypeError, "reserved");
  const tooLarge = await assertRejects(
    () => ask(server.address, { data: new Uint8Array(64_512) }),
    InvalidPacketError,
    "maxDatagramOutBytes 64512",
  );
  assertEquals(tooLarge.code, "too-large");
  await assertRejects(
    () => client.calls.notify(server.address, "g", { data: new Uint8Array(64_512) }),
    InvalidPacketError,
  );
  for (
    const options of [{ timeoutMs: 0 }, { timeoutMs: 25_001 }, { retryMs: -1 }, { retryMs: NaN }]
  ) {
    await assertRejects(() => client.calls.request(server.address, "g", {}, options), RangeError);
  }
  assertEquals(client.calls.inFlight, 0);
  server.dispatcher.handle("g", ({ data }) => (data as Uint8Array).length);
  assertEquals(await ask(server.address, { data: new Uint8Array(64_400) }), 64_400);
  assertEquals(client.count("large"), 1);
});

Deno.test("DatagramCalls.request says so when the answer fits no packet", async () => {
  await using datagrams = new Datagrams();
  const { server, client } = await openPair(datagrams);
  server.dispatcher.handle("huge", ({ count }) => new Uint8Array(Number(count)));
  const ask = (count: number) => client.calls.request(server.address, "huge", { count });
  const error = await assertRejects(() => ask(64_512), RemoteError, "ask over TCP");
  assertEquals(error.code, "too-large");
  assertEquals(await ask(64_400), new Uint8Array(64_400));
});

Deno.test("DatagramCalls take answers though every slot is taken", async () => {
  await using datagrams = new Datagrams();
  const slots = new HandlerSlots(1);
  const front = await datagrams.peer("front", { slots });
  const { server: back, client } = await openPair(datagrams);
  back.dispatcher.handle("name", () => "back");
  front.dispatcher.handle("forward", () => front.calls.request(back.address, "name", {}));
  const asked = client.calls.request(front.address, "forward", {});
  assertEquals(await isSettled(asked), true);
  assertEquals(await asked, "back");
  assertEquals(slots.atWork, 0);
});

Deno.test("DatagramCalls have a limit for requests in flight", async () => {
  await using datagrams = new Datagrams();
  const socket = new ScriptedSocket("0.0.0.0");
  socket.send = () => Promise.resolve();
  const client = await datagrams.peer("client", { transport: socket.transport });
  const ask = () => client.calls.request({ hostname: "192.0.2.1", port: 1 }, "g", {});
  const asked = Promise.allSettled(Array.from({ length: 65_536 }, ask));
  const error = await assertRejects(ask, LimitError, "65536");
  assertEquals(error.details.limit, "maxInFlight");
  assertEquals(client.calls.inFlight, 65_536);
  client.calls.close();
  const outcomes = await asked;
  assert(outcomes.every((outcome) => outcome.status === "rejected"));
});

Deno.test("DatagramCalls count control messages of a later version, and events that are none", async () => {
  await using datagrams = new Datagrams();
  const server = await datagrams.peer("server");
  const stranger = await datagrams.stranger("stranger");
  await stranger.send(server.address, ":later", 1);
  await settle();
  assertEquals(server.metrics.snapshot(), { "requests.unknown-control": 1 });
  const request = wireData(new Uint8Array([1]), {});
  server.requests.submit({ rootCode: 0x14, request, fromAddr: stranger.address });
  assertEquals(server.count("handler-errors"), 1);
});

Deno.test("DatagramCalls send no more than three times what a packet from a proven address brings", async () => {
  await using datagrams = new Datagrams();
  const server = await datagrams.peer("server");
  const stranger = await datagrams.caller("stranger", server);
  server.dispatcher.handle("repeat", ({ count }) => new Uint8Array(Number(count)));
  server.dispatcher.handle("fail", () => {
    throw new NotFoundError("no-key", "x".repeat(400));
  });
  server.dispatcher.handle("f", () => 1);
  let id = 1;
  let answered = 0;
  const probe = async (header: string, body: Record<string, unknown>, msgId: number) => {
    const sent = await stranger.send(server.address, header, msgId, body);
    await stranger.send(server.address, ":ping", 1); // is answered last
    for (;;) {
      const { message, bytes } = await stranger.receive();
      if (message.msgId === 1) break;
      assert(bytes <= 3 * sent, `${header}: ${bytes} bytes for ${sent}`);
      answered++;
    }
  };
  for (const count of [0, 10, 100, 200, 1000, 30_000, 70_000]) {
    for (const pad of [0, 50, 500, 20_000]) {
      await probe("repeat", { count, pad: new Uint8Array(pad) }, id += 2);
      await probe("repeat", { count, pad: new Uint8Array(pad) }, id); // from the replies
    }
  }
  for (const header of ["fail", "f", "none", "", ":ping", ":cancel", ":ok", ":error", ":pad"]) {
    for (const msgId of [id += 2, id += 2 ** 20, id += 2 ** 40]) await probe(header, {}, msgId);
  }
  assert(answered > 60, `${answered} answers`);
  assert(server.count("amplification") > 10);
});

Deno.test("DatagramCalls.request gets a long answer to a short question, handled once", async () => {
  await using datagrams = new Datagrams({ latencyMs: 10 });
  const { server, client } = await openPair(datagrams);
  let runs = 0;
  server.dispatcher.handle("status", ({ count }) => {
    runs++;
    return "x".repeat(Number(count));
  });
  const hasProof = client.calls.request(server.address, ":ping", {});
  await datagrams.clock.advance(40);
  await hasProof;
  for (const count of [20, 300, 5000, 64_000]) {
    const options = count === 300 ? { timeoutMs: 4000 } : {}; // with terms of its own, and without
    const asked = client.calls.request(server.address, "status", { count }, options);
    await datagrams.clock.advance(count === 20 ? 20 : 40); // one more round trip for the long ones
    assertEquals(await asked, "x".repeat(count));
  }
  assertEquals([runs, server.count("amplification"), server.count("repeats")], [4, 3, 3]);
  assertEquals(client.count("stray"), 0);
});

Deno.test("DatagramCalls.request is not made to send much by who answers", async () => {
  await using datagrams = new Datagrams();
  const client = await datagrams.peer("client");
  const server = await datagrams.stranger("server");
  const asked = client.calls.request(server.address, "greet", {});
  const { message: { msgId }, bytes } = await server.receive();
  for (const lie of [2 ** 40, Infinity, NaN, -1, 0, "5000", undefined, 64_518]) {
    await server.send(client.address, ":pad", msgId, { bytes: lie });
  }
  await server.send(client.address, ":pad", msgId, { bytes: 3000 });
  await server.send(client.address, ":pad", msgId, { bytes: 60_000 });
  const padded = await server.receive();
  assertEquals(padded.message.msgId, msgId);
  assert(padded.bytes >= 1000 && padded.bytes < 1000 + 40, `${bytes} -> ${padded.bytes} bytes`);
  const more = server.socket.receive();
  assertEquals(await isSettled(more), false);
  await server.send(client.address, ":ok", msgId, { result: 1 });
  assertEquals(await asked, 1);
  server.socket.close();
  assertEquals(await more, undefined);
});

Deno.test("DatagramCalls.request lives with answers that are none", async () => {
  await using datagrams = new Datagrams();
  const client = await datagrams.peer("client");
  const server = await datagrams.stranger("server");
  for (
    const body of [{}, { code: 7, message: [] }, { code: "\u001b", message: "x\n".repeat(999) }]
  ) {
    const asked = client.calls.request(server.address, "greet", {});
    const { message: { msgId } } = await server.receive();
    await server.send(client.address, ":error", msgId, body);
    const error = await assertRejects(() => asked, RemoteError);
    assert(error.message.length < 5100, `${error.message.length} units of text`);
    assertEquals(error.code + error.message, printable(error.code + error.message, 6000));
  }
  const asked = client.calls.request(server.address, "greet", {});
  const { message: { msgId } } = await server.receive();
  const raw = encodeWireData(wireData(":ok", {}, { msgId }));
  await server.socket.send(raw, client.address); // without a service code
  assertEquals(await isSettled(asked), false);
  await server.send(client.address, ":ok", msgId);
  assertEquals(await asked, undefined);
});
