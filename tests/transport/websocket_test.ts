import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { ClosedError, InvalidPacketError, LimitError, TransportError } from "../../src/errors.ts";
import {
  asConnection,
  connectWebSocket,
  type ConnectWebSocketOptions,
  type HttpServer,
  type MessageSocket,
  serveHttp,
  upgradeWebSocket,
  type UpgradeWebSocketOptions,
} from "../../src/transport/mod.ts";

Deno.test("MessageSocket carries text and bytes both ways", async () => {
  await using pair = await openPair();
  const { client, server } = pair;
  await client.send("héllo");
  await client.send(Uint8Array.of(1, 2, 3));
  await client.send("");
  assertEquals(await server.receive(), "héllo");
  assertEquals(await server.receive(), Uint8Array.of(1, 2, 3));
  assertEquals(await server.receive(), "");
  await server.send("back");
  assertEquals(await client.receive(), "back");
  assertEquals(client.remote, { hostname: "127.0.0.1", port: pair.port });
  assertEquals(server.remote.hostname, "127.0.0.1");
});

Deno.test("MessageSocket takes its bytes when send is called, and sends only the view", async () => {
  await using pair = await openPair();
  const buffer = Uint8Array.of(1, 2, 3, 4);
  await pair.client.send(buffer.subarray(1, 3));
  buffer.fill(9);
  assertEquals(await pair.server.receive(), Uint8Array.of(2, 3));
});

Deno.test("MessageSocket refuses to send what is too long, and stays open", async () => {
  await using pair = await openPair({ client: { maxMessageBytes: 10 } });
  const { client, server } = pair;
  for (const message of [new Uint8Array(11), "x".repeat(11), "é".repeat(6)]) {
    const error = await assertRejects(() => client.send(message), InvalidPacketError);
    assertEquals(error.code, "too-large");
    assert(error.message.endsWith("exceeds maxMessageBytes 10"), error.message);
  }
  await client.send("é".repeat(5));
  assertEquals(await server.receive(), "é".repeat(5));
});

Deno.test("MessageSocket closes with 1009 when a server gets what is too long", async () => {
  await using pair = await openPair({ server: { maxMessageBytes: 10 } });
  const { client, server } = pair;
  await client.send("fine");
  await client.send(new Uint8Array(11));
  assertEquals(await server.receive(), "fine");
  const error = await assertRejects(() => server.receive(), InvalidPacketError, "length 11");
  assertEquals(error.details, { limit: "maxMessageBytes", max: 10 });
  await assertRejects(() => server.receive(), InvalidPacketError);
  const told = await assertRejects(() => client.receive(), ClosedError, "closed by the other side");
  assertEquals([told.details.code, told.details.reason], [1009, "message too big"]);
  await assertRejects(() => client.send("more"), ClosedError);
});

Deno.test("MessageSocket closes with 4009 when a client gets what is too long", async () => {
  await using pair = await openPair({ client: { maxMessageBytes: 10 } });
  const { client, server } = pair;
  await server.send("é".repeat(6));
  await assertRejects(() => client.receive(), InvalidPacketError, "length 12");
  const told = await assertRejects(() => server.receive(), ClosedError);
  assertEquals(told.details.code, 4009);
});

Deno.test("MessageSocket cuts off who is received too slowly, after what fits its inbox", async () => {
  for (
    const [limits, message, fits] of [
      [{ maxInboxMessages: 3 }, "x", 3],
      [{ maxInboxBytes: 10 }, new Uint8Array(4), 2],
    ] as const
  ) {
    await using pair = await openPair({ server: limits });
    const { client, server } = pair;
    // Just one too many: with more on the way the connection may break before the code gets through.
    for (let sent = 0; sent < fits + 1; sent++) await client.send(message);
    const told = await assertRejects(() => client.receive(), ClosedError);
    assertEquals(told.details.code, 1008);
    for (let received = 0; received < fits; received++) {
      assertEquals(await server.receive(), message);
    }
    const error = await assertRejects(() => server.receive(), LimitError, "inbox is full");
    assertEquals(error.code, "slow-consumer");
    assertEquals(error.details, { limit: Object.keys(limits)[0], max: Object.values(limits)[0] });
  }
});

Deno.test("MessageSocket makes a sender wait while the other side reads nothing", async () => {
  const peer = await deafServer();
  const socket = await connectWebSocket(peer.url);
  const raw = await peer.upgraded;
  const mebibyte = new Uint8Array(1024 * 1024);
  let sent = 0;
  const stuck = new Array<Promise<void>>();
  // All at once: those that have to wait wait in line.
  for (let message = 0; message < 64; message++) {
    stuck.push(socket.send(mebibyte).then(() => void sent++));
  }
  const [firstRefused] = await Promise.all([
    assertRejects(() => Promise.all(stuck), ClosedError),
    // Time enough for whatever the kernel takes: the peer reads a little and is gone.
    raw.read(new Uint8Array(1024)).then(() => raw.close()),
  ]);
  assert(firstRefused.message.includes("WebSocket to 127.0.0.1:"));
  assert(sent < 32, `${sent} MiB left though nobody read`);
  await Promise.allSettled(stuck);
  await socket.closed;
  peer.close();
});

Deno.test("MessageSocket keeps the order of messages that had to wait", async () => {
  await using pair = await openPair();
  const { client, server } = pair;
  const sending = Promise.all(Array.from({ length: 40 }, (_, mark) => {
    return client.send(new Uint8Array(300_000).fill(mark));
  }));
  for (let mark = 0; mark < 40; mark++) {
    const message = await server.receive();
    assert(message instanceof Uint8Array);
    assertEquals([message.length, message[0], message.at(-1)], [300_000, mark, mark]);
  }
  await sending;
});

Deno.test("MessageSocket ends in order for both when one side closes", async () => {
  await using pair = await openPair();
  const { client, server } = pair;
  const receiving = server.receive();
  await server.send("last words");
  server.close();
  server.close();
  assertEquals(await receiving, undefined);
  assertEquals(await server.receive(), undefined);
  await assertRejects(() => server.send("too late"), ClosedError);
  assertEquals(await client.receive(), "last words");
  assertEquals(await client.receive(), undefined);
  await Promise.all([client.closed, server.closed]);
});

Deno.test("MessageSocket hands on a code of the application", async () => {
  await using pair = await openPair();
  pair.server.close(4321, "key revoked");
  const error = await assertRejects(() => pair.client.receive(), ClosedError, "4321 key revoked");
  assertEquals([error.details.code, error.details.reason], [4321, "key revoked"]);
});

Deno.test("MessageSocket refuses close codes and reasons that cannot be sent", async () => {
  await using pair = await openPair();
  assertThrows(() => pair.client.close(1009), RangeError, "1009");
  assertThrows(() => pair.client.close(5000), RangeError, "5000");
  assertThrows(() => pair.client.close(1000, "é".repeat(62)), RangeError, "123");
  await pair.client.send("still open");
  assertEquals(await pair.server.receive(), "still open");
});

Deno.test("MessageSocket still sends what was handed over before it closed", async () => {
  await using pair = await openPair();
  for (let message = 0; message < 8; message++) await pair.client.send(new Uint8Array(1_000_000));
  pair.client.close();
  let received = 0;
  while (await pair.server.receive() !== undefined) received++;
  assertEquals(received, 8);
});

Deno.test("MessageSocket breaks when the other side is gone without a word", async () => {
  const accepted = Promise.withResolvers<MessageSocket>();
  const server = await serveHttp((request, remote) => {
    const { socket, response } = upgradeWebSocket(request, remote);
    accepted.resolve(socket);
    return response;
  }, { hostname: "127.0.0.1" });
  const raw = await Deno.connect(server.address);
  await raw.write(UPGRADE_REQUEST);
  await raw.read(new Uint8Array(1024));
  const socket = await accepted.promise;
  const receiving = assertRejects(() => socket.receive(), ClosedError, "broke");
  raw.close();
  await receiving;
  await socket.closed;
  await server.close();
});

Deno.test("MessageSocket takes one receive at a time, and gives one up when aborted", async () => {
  await using pair = await openPair();
  const { client, server } = pair;
  const abort = new AbortController();
  const receiving = server.receive({ signal: abort.signal });
  await assertRejects(() => server.receive(), TypeError, "another receive");
  const reason = new Error("enough");
  abort.abort(reason);
  assertStrictEquals(await assertRejects(() => receiving), reason);
  await assertRejects(() => server.receive({ signal: abort.signal }), Error, "enough");
  await client.send("not lost");
  assertEquals(await server.receive(), "not lost");
});

Deno.test("MessageSocket of a server can be used and closed before its response is out", async () => {
  const server = await serveHttp((request, remote) => {
    const { socket, response } = upgradeWebSocket(request, remote);
    socket.send("welcome").then(() => socket.close(4000, "and goodbye"));
    return response;
  }, { hostname: "127.0.0.1" });
  const client = await connectWebSocket(`ws://127.0.0.1:${server.address.port}`);
  assertEquals(await client.receive(), "welcome");
  await assertRejects(() => client.receive(), ClosedError, "4000 and goodbye");
  await client.closed;
  await server.close();
});

Deno.test("connectWebSocket rejects where nobody, or no WebSocket, answers", async () => {
  const server = await serveHttp(() => new Response("no"), { hostname: "127.0.0.1" });
  const { port } = server.address;
  const where = `Cannot connect WebSocket to 127.0.0.1:${port}: `;
  await assertRejects(() => connectWebSocket(`ws://127.0.0.1:${port}`), TransportError, where);
  await server.close();
  await assertRejects(() => connectWebSocket(`ws://127.0.0.1:${port}`), TransportError, where);
});

Deno.test("connectWebSocket rejects with the reason of its signal, and leaves nothing open", async () => {
  const peer = await deafServer({ answers: false });
  const reason = new Error("changed my mind");
  const signal = AbortSignal.abort(reason);
  assertStrictEquals(await assertRejects(() => connectWebSocket(peer.url, { signal })), reason);

  const abort = new AbortController();
  const connecting = assertRejects(() => connectWebSocket(peer.url, { signal: abort.signal }));
  const raw = await peer.upgraded;
  abort.abort(reason);
  assertStrictEquals(await connecting, reason);
  raw.close();
  peer.close();
});

Deno.test("connectWebSocket refuses what is no WebSocket URL, and limits that cannot be kept", async () => {
  await assertRejects(() => connectWebSocket("nonsense"), TypeError);
  await assertRejects(() => connectWebSocket("ftp://127.0.0.1/"), TypeError);
  for (const maxMessageBytes of [0, NaN, 64 * 1024 * 1024]) {
    await assertRejects(
      () => connectWebSocket("ws://127.0.0.1:9", { maxMessageBytes }),
      RangeError,
      "maxMessageBytes",
    );
  }
});

Deno.test("upgradeWebSocket chooses a sub-protocol", async () => {
  await using pair = await openPair({
    client: { protocols: ["kith.2", "kith.1"] },
    server: { protocol: "kith.1" },
  });
  await pair.client.send("agreed");
  assertEquals(await pair.server.receive(), "agreed");
});

Deno.test("asConnection refuses a text message, on both sides", async () => {
  await using pair = await openPair();
  const connection = asConnection(pair.server);
  await pair.client.send("text");
  const error = await assertRejects(
    () => connection.read(new Uint8Array(9)),
    InvalidPacketError,
    "a text message came",
  );
  assertEquals(error.code, "bad-message");
  await assertRejects(() => connection.read(new Uint8Array(9)), ClosedError);
  const told = await assertRejects(() => pair.client.receive(), ClosedError);
  assertEquals(told.details.code, 4003);
});

Deno.test("asConnection cuts the stream into pieces that the socket takes", async () => {
  await using pair = await openPair({
    client: { maxMessageBytes: 10 },
    server: { maxMessageBytes: 10 },
  });
  await asConnection(pair.client).write(new Uint8Array(25).fill(7));
  const lengths: number[] = [];
  for (let piece = 0; piece < 3; piece++) {
    const message = await pair.server.receive();
    assert(message instanceof Uint8Array);
    lengths.push(message.length);
  }
  assertEquals(lengths, [10, 10, 5]);
});

Deno.test("asConnection tells a reader that was too slow", async () => {
  await using pair = await openPair({ server: { maxInboxMessages: 2 } });
  const connection = asConnection(pair.server);
  const writing = asConnection(pair.client).write(new Uint8Array(1024 * 1024)).catch(() => {});
  await pair.client.closed;
  await writing;
  const into = new Uint8Array(1024 * 1024);
  assertEquals(await connection.read(into), 64 * 1024);
  assertEquals(await connection.read(into), 64 * 1024);
  await assertRejects(() => connection.read(into), LimitError, "maxInboxMessages is 2");
});

interface PairOptions {
  client?: ConnectWebSocketOptions;
  server?: UpgradeWebSocketOptions;
}

interface Pair extends AsyncDisposable {
  readonly client: MessageSocket;
  readonly server: MessageSocket;
  readonly port: number;
}

async function openPair(options: PairOptions = {}): Promise<Pair> {
  const accepted = Promise.withResolvers<MessageSocket>();
  const http: HttpServer = await serveHttp((request, remote) => {
    const { socket, response } = upgradeWebSocket(request, remote, options.server);
    accepted.resolve(socket);
    return response;
  }, { hostname: "127.0.0.1" });
  const { port } = http.address;
  const client = await connectWebSocket(`ws://127.0.0.1:${port}/`, options.client);
  const server = await accepted.promise;
  return {
    client,
    server,
    port,
    async [Symbol.asyncDispose]() {
      client.close();
      server.close();
      await Promise.all([client.closed, server.closed]);
      await http.close();
    },
  };
}

const UPGRADE_REQUEST = new TextEncoder().encode(
  "GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
);

interface DeafServer {
  readonly url: string;
  /** The connection, once its request has come and was answered. */
  readonly upgraded: Promise<Deno.TcpConn>;
  close(): void;
}

// A server that does no more than the handshake, or not even that.
function deafServer({ answers = true } = {}): Promise<DeafServer> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const upgrade = async () => {
    const conn = await listener.accept();
    const into = new Uint8Array(4096);
    const request = new TextDecoder().decode(into.subarray(0, await conn.read(into) ?? 0));
    if (!answers) return conn;
    const key = /^sec-websocket-key: (.*)\r$/im.exec(request)?.[1];
    // The constant is RFC 6455's, section 1.3.
    const proof = new TextEncoder().encode(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
    const accept = new Uint8Array(await crypto.subtle.digest("SHA-1", proof)).toBase64();
    await conn.write(new TextEncoder().encode(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
        `Sec-WebSocket-Accept: ${accept}\r\n\r\n`,
    ));
    return conn;
  };
  return Promise.resolve({
    url: `ws://127.0.0.1:${listener.addr.port}/`,
    upgraded: upgrade(),
    close: () => listener.close(),
  });
}
