import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { DEFAULT_TCP_PORT, Endpoint } from "../../src/endpoint/endpoint.ts";
import { acceptBody, helloBody, PREFACE } from "../../src/endpoint/handshake.ts";
import {
  ClosedError,
  HandshakeError,
  InvalidPacketError,
  LimitError,
  TimeoutError,
  TransportError,
} from "../../src/errors.ts";
import { type Connection, netTransport, type Transport } from "../../src/transport/mod.ts";
import type { MessageBody } from "../../src/wire/message.ts";
import { infoOf, Served, SERVER, settle, Stranger } from "./fixture.ts";

Deno.test("Endpoint links two peers that know each other afterwards", async () => {
  await using served = await Served.open();
  const client = await served.client("client");
  const link = await client.connect(SERVER);
  assertEquals(link.peer.peerId, infoOf("server").peerId);
  assertEquals([link.peer.name, link.peer.agent], ["server", "test/0"]);
  await settle();
  const [back] = served.endpoint.links;
  assertEquals(back?.peer.peerId, infoOf("client").peerId);
  assertEquals(back?.peer.capabilities, ["test/1"]);
  assertEquals([client.links.size, client.address], [1, undefined]);
  assertEquals(served.metrics.snapshot(), { "accept.linked": 1 });
  await link.close();
  assertEquals(client.links.size, 0);
  await settle();
  assertEquals(served.endpoint.links.size, 0);
});

Deno.test("Endpoint serves all its links with the same handlers, until they are taken back", async () => {
  await using served = await Served.open();
  const handling = served.endpoint.handle("whoami", (_, { link }) => link.peer.name);
  const answers = ["a", "b", "c"].map(async (name) => {
    const link = await (await served.client(name)).connect(SERVER);
    return await link.request("whoami", {});
  });
  assertEquals(await Promise.all(answers), ["a", "b", "c"]);
  handling[Symbol.dispose]();
  const link = await (await served.client("d")).connect(SERVER);
  const error = await assertRejects(() => link.request("whoami", {}));
  assertStringIncludes(String(error), 'No endpoint "whoami"');
});

Deno.test("Endpoint accepts a handshake that comes one byte at a time", async () => {
  await using served = await Served.open();
  const stranger = new Stranger(await served.stranger());
  const hello = await helloBytes({});
  for (const byte of hello) await stranger.raw(Uint8Array.of(byte));
  const accept = await stranger.receive();
  assertEquals([accept?.header, accept?.body.version], [":accept", 1]);
  assertEquals(served.endpoint.links.size, 1);
  stranger.close();
});

Deno.test("Endpoint takes messages that come together with the HELLO, once the link is made", async () => {
  await using served = await Served.open();
  const closed = Promise.withResolvers<unknown>();
  served.endpoint.handle("early", (_, { link }) => {
    assert(served.endpoint.links.has(link), "the link is not known yet");
    void link.closed.then(closed.resolve);
    return "fine";
  }, { inline: true });
  const stranger = new Stranger(await served.stranger());
  const early = await helloBytes({}, { header: "early", msgId: 7 });
  await stranger.raw(early);
  assertEquals((await stranger.receive())?.header, ":accept");
  const answer = await stranger.receive();
  assertEquals([answer?.header, answer?.msgId, answer?.body], [":ok", 7, { result: "fine" }]);
  stranger.close();
  assertEquals(await closed.promise, undefined);
});

Deno.test("Endpoint closes and counts garbage, and other links go on", async () => {
  await using served = await Served.open();
  served.endpoint.handle("echo", ({ text }) => text);
  const link = await (await served.client()).connect(SERVER);
  const garbage = [
    Uint8Array.of(0xff, 0xff, 0xff, 0xff),
    "GET / HTTP/1.1\r\nHost: server\r\n\r\n",
    "{",
    "HELLO|bob|1|\n",
    Uint8Array.of(0, 0, 0, 1, 7),
    "KITH/9\n",
  ];
  for (const [at, bytes] of garbage.entries()) {
    const stranger = new Stranger(await served.stranger());
    await stranger.raw(bytes);
    assertEquals(await stranger.receive(), undefined);
    stranger.close();
    assertEquals(await link.request("echo", { text: `still ${at}` }), `still ${at}`);
  }
  const byteWise = new Stranger(await served.stranger());
  await byteWise.raw("K", "I", "T", "H", "?");
  assertEquals(await byteWise.receive(), undefined);
  byteWise.close();
  const count = garbage.length + 1;
  assertEquals(served.metrics.snapshot(), {
    "accept.linked": 1,
    "accept.refused.bad-frame": count,
  });
  const refusals = served.log.lines.filter(({ message }) => message === "refused a connection");
  assertEquals(refusals.length, count);
});

Deno.test("Endpoint closes and counts who stays silent, at any point of the handshake", async () => {
  await using served = await Served.open({ limits: { handshakeMs: 500 } });
  const hello = await helloBytes({});
  for (
    const bytes of [hello.slice(0, 0), hello.slice(0, 3), hello.slice(0, 7), hello.slice(0, 30)]
  ) {
    const stranger = new Stranger(await served.stranger());
    await stranger.raw(bytes);
    await served.clock.advance(499);
    const ended = stranger.receive();
    assertEquals(await isSettled(ended), false);
    await served.clock.advance(1);
    assertEquals(await ended, undefined);
    stranger.close();
  }
  assertEquals(served.metrics.snapshot(), { "accept.refused.timeout": 4 });
});

Deno.test("Endpoint counts who leaves during the handshake", async () => {
  await using served = await Served.open();
  for (const count of [0, 3, 7, 20]) {
    const stranger = new Stranger(await served.stranger());
    await stranger.raw((await helloBytes({})).slice(0, count));
    stranger.close();
    await settle();
  }
  const { "accept.refused.closed": closed, "accept.refused.bad-frame": cut } = served.metrics
    .snapshot();
  assertEquals([closed, cut], [3, 1]);
});

Deno.test("Endpoint tells a dialer what is wrong with its HELLO, counts it, and logs it harmless", async () => {
  await using served = await Served.open();
  const cases: readonly (readonly [Partial<MessageBody>, string, string, string])[] = [
    [{ peer: "x" }, ":hello", "bad-message", "peer: it is not 20 bytes"],
    [{ name: 7 }, ":hello", "bad-message", "name: it is not a string"],
    [{}, ":accept", "bad-message", '":accept" came instead of ":hello"'],
    [{}, "\u001b[2J" + "x".repeat(999), "bad-message", '"\\u{1b}[2Jxxx'],
    [{ min: 2, max: 3 }, ":hello", "incompatible", "2..3 was offered, 1..1"],
    [{ pad: new Uint8Array(16_384) }, ":hello", "too-large", "maxFrameBytes 16384"],
  ];
  for (const [fields, header, code, text] of cases) {
    const stranger = new Stranger(await served.stranger());
    await stranger.raw(await helloBytes(fields, { helloHeader: header }));
    const deny = await stranger.receive();
    assertEquals([deny?.header, deny?.body.code], [":deny", code]);
    assertStringIncludes(String(deny?.body.reason), text);
    assertEquals(await stranger.receive(), undefined);
    stranger.close();
    await settle();
    const { fields: logged } = served.log.lines.at(-1) ?? {};
    assertStringIncludes(String(logged?.why), text);
    // deno-lint-ignore no-control-regex -- it must not be there
    assert(!/[\u0000-\u001f]/.test(String(logged?.why)) && String(logged?.why).length < 200);
  }
  assertEquals(served.metrics.snapshot(), {
    "accept.refused.bad-message": 4,
    "accept.refused.incompatible": 1,
    "accept.refused.too-large": 1,
  });
});

Deno.test("Endpoint takes a DENY's time from who does not leave, and no more", async () => {
  await using served = await Served.open();
  const stranger = new Stranger(await served.stranger());
  await stranger.raw(await helloBytes({ peer: null }));
  assertEquals((await stranger.receive())?.header, ":deny");
  assertEquals(served.metrics.snapshot(), {});
  await served.clock.advance(1_000);
  assertEquals(served.metrics.snapshot(), { "accept.refused.bad-message": 1 });
  stranger.close();
});

Deno.test("Endpoint refuses handshakes beyond maxPendingHandshakes, and names the limit at both ends", async () => {
  await using served = await Served.open({ limits: { maxPendingHandshakes: 3, handshakeMs: 500 } });
  const silent = await Promise.all([1, 2, 3].map(() => served.stranger()));
  await settle();
  const client = await served.client();
  const error = await assertRejects(
    () => client.connect(SERVER),
    LimitError,
    "maxPendingHandshakes",
  );
  assertEquals([error.code, error.details.reason], ["limit", "limit"]);
  assertEquals(served.metrics.snapshot(), { "accept.refused.maxPendingHandshakes": 1 });
  silent[0]?.close();
  await settle();
  await (await client.connect(SERVER)).close();
  await served.clock.advance(500);
  assertEquals(served.metrics.snapshot()["accept.refused.timeout"], 2);
  for (const connection of silent) connection.close();
});

Deno.test("Endpoint refuses links beyond maxLinks, also when all come at once, and names the limit", async () => {
  await using served = await Served.open({ limits: { maxLinks: 3 } });
  const clients = await Promise.all(
    Array.from({ length: 8 }, (_, at) => served.client(`client ${at}`)),
  );
  const results = await Promise.allSettled(clients.map((client) => client.connect(SERVER)));
  const refused = results.flatMap((result) => result.status === "rejected" ? [result.reason] : []);
  assertEquals([refused.length, served.endpoint.links.size], [5, 3]);
  for (const error of refused) {
    assert(error instanceof LimitError);
    assertStringIncludes(error.message, "3 links already (maxLinks)");
  }
  await settle();
  assertEquals(served.metrics.snapshot()["accept.refused.limit"], 5);
  const [link] = served.endpoint.links;
  await link?.close();
  await (await clients[7]?.connect(SERVER))?.close();
});

Deno.test("Endpoint makes no more links than maxLinks when it dials them itself at once", async () => {
  await using served = await Served.open();
  const client = await served.client("client", { limits: { maxLinks: 2 } });
  const results = await Promise.allSettled([1, 2, 3, 4].map(() => client.connect(SERVER)));
  assertEquals(results.map(({ status }) => status).sort(), [
    "fulfilled",
    "fulfilled",
    "rejected",
    "rejected",
  ]);
  assertEquals(client.links.size, 2);
  await assertRejects(() => client.connect(SERVER), LimitError, "maxLinks");
  await settle();
  assertEquals(served.endpoint.links.size, 2);
});

Deno.test("Endpoint.connect says that what answers is no kith peer", async () => {
  const answers: Record<string, (connection: Connection) => Promise<void>> = {
    "closes at once": () => Promise.resolve(),
    "an HTTP server": (connection) => write(connection, "HTTP/1.1 400 Bad Request\r\n\r\n"),
    "a mail server": (connection) => write(connection, "220 mail ESMTP\r\n"),
    "frames of noise": (connection) => write(connection, "\0\0\0\u0003abc"),
    "half a frame": (connection) => write(connection, "\0\0\0\u0003a"),
  };
  for (const [what, answer] of Object.entries(answers)) {
    await using served = new Served();
    const listener = await served.network.host("server").listen({ port: SERVER.port });
    const client = await served.client();
    const connecting = assertRejects(() => client.connect(SERVER), HandshakeError, "no kith peer");
    const connection = await listener.accept();
    assert(connection !== undefined);
    await answer(connection);
    connection.close();
    assertEquals((await connecting).code, "bad-channel", what);
    assertEquals(client.links.size, 0);
    listener.close();
  }
});

Deno.test("Endpoint.connect names what is wrong with an ACCEPT", async () => {
  const wrong: readonly (readonly [string, MessageBody, string, string])[] = [
    [":accept", { ...acceptBody(infoOf("fake"), 1), peer: null }, "bad-message", "peer"],
    [":accept", acceptBody(infoOf("fake"), 9), "incompatible", "9..9"],
    [":welcome", acceptBody(infoOf("fake"), 1), "bad-message", ":welcome"],
    [":deny", { code: "denied", reason: "I know you" }, "denied", "I know you"],
  ];
  for (const [header, body, code, text] of wrong) {
    await using served = new Served();
    const listener = await served.network.host("server").listen({ port: SERVER.port });
    const client = await served.client();
    const connecting = client.connect(SERVER);
    const connection = await listener.accept();
    assert(connection !== undefined);
    const stranger = new Stranger(connection);
    await stranger.send(header, body);
    const error = await assertRejects(() => connecting, Error, text);
    assert(error instanceof HandshakeError || error instanceof InvalidPacketError);
    assertEquals(error.code, code);
    stranger.close();
    listener.close();
  }
});

Deno.test("Endpoint.connect gives up when nobody answers in time, or its signal aborts", async () => {
  await using served = new Served();
  const listener = await served.network.host("server").listen({ port: SERVER.port });
  const client = await served.client("client", { limits: { handshakeMs: 500 } });
  const late = assertRejects(() => client.connect(SERVER), TimeoutError, "handshakeMs 500");
  await settle();
  await served.clock.advance(500);
  await late;

  const reason = new Error("changed my mind");
  const controller = new AbortController();
  const { signal } = controller;
  const aborted = assertRejects(() => client.connect(SERVER, { signal }));
  await settle();
  controller.abort(reason);
  assertStrictEquals(await aborted, reason);
  assertStrictEquals(await assertRejects(() => client.connect(SERVER, { signal })), reason);
  listener.close();
  await assertRejects(() => client.connect(SERVER), TransportError, "refused");
});

Deno.test("Endpoint.connect notices an abort at the moment in which it is connected", async () => {
  await using served = await Served.open();
  const reason = new Error("changed my mind");
  const controller = new AbortController();
  const inner = served.network.host("client");
  const transport: Transport = {
    listen: (options) => inner.listen(options),
    datagram: (options) => inner.datagram(options),
    connect: async (to) => {
      const connection = await inner.connect(to);
      controller.abort(reason);
      return connection;
    },
  };
  const client = await served.client("client", { transport });
  const connecting = () => client.connect(SERVER, { signal: controller.signal });
  assertStrictEquals(await assertRejects(connecting), reason);
  await settle();
  assertEquals([client.links.size, served.endpoint.links.size], [0, 0]);
});

Deno.test("Endpoint.close ends links, handshakes of both kinds and listening, twice and at once", async () => {
  await using served = await Served.open();
  const deaf = await served.network.host("deaf").listen({ port: 1 });
  const { endpoint } = served;
  const link = await (await served.client()).connect(SERVER);
  const silent = new Stranger(await served.stranger());
  await settle();
  const dialing = assertRejects(
    () => endpoint.connect({ hostname: "deaf", port: 1 }),
    ClosedError,
    "the endpoint is closed",
  );
  await settle();
  await Promise.all([endpoint.close(), endpoint.close(), dialing]);
  await endpoint.close();
  assertEquals(await link.closed, undefined);
  assertEquals(await silent.receive(), undefined);
  await assertRejects(() => served.stranger(), TransportError, "refused");
  await assertRejects(() => endpoint.connect(SERVER), ClosedError, "the endpoint is closed");
  assertEquals(served.metrics.snapshot(), { "accept.linked": 1 });
  silent.close();
  deaf.close();
});

Deno.test("Endpoint.open takes the next port when the default is taken, and fails when it must not", async () => {
  await using served = new Served();
  const first = await served.open("server", {});
  const second = await served.open("server", {});
  assertEquals(first.address?.port, DEFAULT_TCP_PORT);
  assertEquals(second.address?.port, DEFAULT_TCP_PORT + 1);
  const taken = () => served.open("server", { port: DEFAULT_TCP_PORT });
  await assertRejects(taken, TransportError, "in use");
});

Deno.test("Endpoint works on real sockets: garbage, a silent caller and a good one side by side", async () => {
  const self = infoOf("server");
  await using endpoint = await Endpoint.open({
    transport: netTransport,
    self,
    hostname: "127.0.0.1",
    port: 0,
  });
  endpoint.handle("echo", ({ data }) => data);
  const address = endpoint.address ?? SERVER;
  await using client = await Endpoint.open({
    transport: netTransport,
    self: infoOf("client"),
    clientOnly: true,
  });
  const silent = await netTransport.connect(address);
  for (const bytes of [Uint8Array.of(0xff, 0xff, 0xff, 0xff), "GET / HTTP/1.1\r\n\r\n"]) {
    const stranger = new Stranger(await netTransport.connect(address));
    await stranger.raw(bytes);
    await stranger.receive().catch((error) => assert(error instanceof ClosedError));
    stranger.close();
  }
  const link = await client.connect(address);
  const data = crypto.getRandomValues(new Uint8Array(60_000));
  assertEquals(await link.request("echo", { data }), data);
  silent.close();

  const listener = await netTransport.listen({ hostname: "127.0.0.1" });
  const rude = assertRejects(
    () => client.connect(listener.address),
    HandshakeError,
    "no kith peer",
  );
  (await listener.accept())?.close();
  await rude;
  listener.close();
});

/** A handshake as a dialer writes it, perhaps followed by a message. */
async function helloBytes(
  fields: Partial<MessageBody>,
  options: { helloHeader?: string; header?: string; msgId?: number } = {},
): Promise<Uint8Array> {
  const { helloHeader = ":hello", header, msgId = 0 } = options;
  const pieces: Uint8Array[] = [];
  const stranger = new Stranger({
    local: SERVER,
    remote: SERVER,
    read: () => Promise.resolve(null),
    write: (bytes) => Promise.resolve(void pieces.push(bytes.slice())),
    closeWrite: () => Promise.resolve(),
    close: () => {},
  });
  await stranger.raw(PREFACE);
  await stranger.send(helloHeader, { ...helloBody(infoOf("stranger")), ...fields });
  if (header !== undefined) await stranger.send(header, {}, msgId);
  return Uint8Array.from(pieces.flatMap((piece) => [...piece]));
}

function write(connection: Connection, text: string): Promise<void> {
  return connection.write(new TextEncoder().encode(text));
}

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.then(() => settled = true);
  await settle();
  return settled;
}
