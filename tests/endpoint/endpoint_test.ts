import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import type { Link } from "../../src/endpoint/link.ts";
import { DEFAULT_TCP_PORT } from "../../src/endpoint/listen.ts";
import {
  ClosedError,
  HandshakeError,
  InvalidPacketError,
  LimitError,
  PeerError,
  RemoteError,
  TimeoutError,
  TransportError,
} from "../../src/errors.ts";
import { type Connection, netTransport, type Transport } from "../../src/transport/mod.ts";
import { encodeWireData, type MessageBody, wireData } from "../../src/wire/message.ts";
import {
  type GuestHello,
  identityOf,
  infoOf,
  Served,
  SERVER,
  settle,
  Stranger,
  takeHands,
} from "./fixture.ts";

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
  assertEquals(served.metrics.snapshot(), { "accept.established": 1 });
  await link.close();
  assertEquals(client.links.size, 0);
  await settle();
  assertEquals(served.endpoint.links.size, 0);
});

Deno.test("Endpoint serves all its links with the same handlers, until they are taken back", async () => {
  await using served = await Served.open();
  const handling = served.endpoint.handle("whoami", (_, { peer }) => peer?.name);
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
    [":accept", { version: null }, "bad-message", "version"],
    [":accept", { version: 9 }, "incompatible", "9..9"],
    [":welcome", { version: 1 }, "bad-message", ":welcome"],
    [":deny", { code: "denied", reason: "I know you" }, "denied", "I know you"],
  ];
  for (const [header, body, code, text] of wrong) {
    await using scene = await Dialed.open();
    const stranger = await takeHands(scene.connection);
    await stranger.send(header, body);
    const error = await assertRejects(() => scene.connecting, Error, text);
    assert(error instanceof HandshakeError || error instanceof InvalidPacketError);
    assertEquals(error.code, code);
    stranger.close();
  }
});

Deno.test("Endpoint.connect names what is wrong with the other side's HELLO", async () => {
  const wrong: readonly (readonly [Partial<GuestHello>, string, string])[] = [
    [{ header: ":accept" }, "bad-channel", "no kith peer"],
    [{ body: { key: null } }, "bad-channel", "no kith peer"],
    [{ body: { sig: new Uint8Array(64) } }, "bad-signature", "does not have the key of peer"],
    [{ body: { key: identityOf("bob").publicKey } }, "bad-signature", infoOf("bob").peerId],
  ];
  for (const [hello, code, text] of wrong) {
    await using scene = await Dialed.open();
    const taking = assertRejects(() => takeHands(scene.connection, "stranger", hello), ClosedError);
    const error = await assertRejects(() => scene.connecting, PeerError, text);
    assertEquals(error.code, code);
    await taking;
  }
});

Deno.test("Endpoint.connect takes messages that come together with the ACCEPT, however large", async () => {
  await using scene = await Dialed.open();
  const taken = Promise.withResolvers<unknown>();
  scene.client.handle("early", ({ data }) => taken.resolve(data));
  const stranger = await takeHands(scene.connection);
  const data = new Uint8Array(100_000).fill(7);
  for (const message of [wireData(":accept", { version: 1 }), wireData("early", { data })]) {
    stranger.framed.writer.frame(encodeWireData(message));
  }
  await stranger.framed.flush();
  assertEquals((await scene.connecting).peer.name, "stranger");
  assertEquals(await taken.promise, data);
  stranger.close();
});

Deno.test("Endpoint.connect takes an answer of 16 KiB at most", async () => {
  await using scene = await Dialed.open();
  const stranger = await takeHands(scene.connection);
  const sent = stranger.send(":accept", { version: 1, pad: new Uint8Array(16_384) });
  const error = await assertRejects(() => scene.connecting, HandshakeError);
  assertStringIncludes(String(error.cause), "exceeds maxFrameBytes 16384");
  await sent;
  stranger.close();
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
  assertEquals(served.metrics.snapshot(), { "accept.established": 1 });
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
  await using endpoint = await Endpoint.open({
    transport: netTransport,
    self: infoOf("server"),
    hostname: "127.0.0.1",
    port: 0,
  });
  endpoint.handle("echo", ({ data }) => data);
  const address = endpoint.address ?? SERVER;
  await using client = await Endpoint.open({
    transport: netTransport,
    identity: identityOf("client"),
    self: infoOf("client"),
    clientOnly: true,
  });
  const silent = await netTransport.connect(address);
  for (const bytes of [Uint8Array.of(0xff, 0xff, 0xff, 0xff), "HELP / HTTP/1.1\r\n\r\n"]) {
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

Deno.test("Endpoint tells over real sockets which limit a message broke, while it is still coming", async () => {
  const common = { transport: netTransport, hostname: "127.0.0.1", port: 0 };
  const limits = { maxFrameBytes: 100_000 };
  await using server = await Endpoint.open({
    ...common,
    identity: identityOf("server"),
    self: infoOf("server"),
    limits,
  });
  await using client = await Endpoint.open({
    ...common,
    identity: identityOf("client"),
    self: infoOf("client"),
  });
  for (let round = 0; round < 5; round++) {
    const link = await client.connect(server.address ?? SERVER);
    const asking = () => link.request("any", { data: new Uint8Array(8_000_000) });
    const error = await assertRejects(asking, RemoteError, "maxFrameBytes 100000");
    assertEquals(error.code, "too-large");
    await link.close();
  }
});

/** Somebody who connects to where a stranger listens. */
class Dialed implements AsyncDisposable {
  readonly #served: Served;
  readonly client: Endpoint;
  readonly connection: Connection;
  readonly connecting: Promise<Link>;

  private constructor(
    served: Served,
    client: Endpoint,
    connection: Connection,
    connecting: Promise<Link>,
  ) {
    this.#served = served;
    this.client = client;
    this.connection = connection;
    this.connecting = connecting;
  }

  static async open(): Promise<Dialed> {
    const served = new Served();
    const listener = await served.network.host("server").listen({ port: SERVER.port });
    const client = await served.client();
    const connecting = client.connect(SERVER);
    connecting.catch(() => {}); // looked at later
    const connection = await listener.accept();
    listener.close();
    assert(connection !== undefined);
    return new Dialed(served, client, connection, connecting);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.connection.close();
    await this.#served[Symbol.asyncDispose]();
  }
}

function write(connection: Connection, text: string): Promise<void> {
  return connection.write(new TextEncoder().encode(text));
}
