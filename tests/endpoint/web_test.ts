import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import type { Link } from "../../src/endpoint/link.ts";
import { connectWeb, DEFAULT_HTTP_PORT, WEB_PATH, WebPort } from "../../src/endpoint/web.ts";
import {
  ClosedError,
  HandshakeError,
  InvalidPacketError,
  LimitError,
  NotFoundError,
  RemoteError,
  TimeoutError,
  TransportError,
} from "../../src/errors.ts";
import { netTransport, serveHttp, upgradeWebSocket } from "../../src/transport/mod.ts";
import { encodeWireData, wireData } from "../../src/wire/message.ts";
import { settle, shakeHands } from "./fixture.ts";
import { LOOPBACK, openEndpoint, until, WebPair } from "./web_fixture.ts";

Deno.test("A link carries the same over WebSocket as over TCP, both ways", async () => {
  await using pair = await WebPair.open();
  const { server, client, url } = pair;
  const notes: unknown[] = [];
  server.handle("echo", (body) => body);
  server.handle("via", (_, { via, peer }) => [via, peer?.name]);
  server.handle("note", (body, { via }) => void notes.push({ ...body, via }));
  server.handle("refuse", () => {
    throw new NotFoundError("no-path", "There is no such path", { details: { tried: ["a"] } });
  });
  server.handle("fail", () => {
    throw new Error("secret");
  });
  server.handle("count", async function* ({ to }) {
    for (let n = 0; n < Number(to); n++) yield n;
  });
  server.handle("never", () => new Promise(() => {}));
  server.handle("ask back", async (_, { link }) => await link?.request("name", {}));
  client.handle("name", () => "client");

  const seen = async (link: Link) => {
    const values = [
      null,
      -1,
      2 ** 40,
      1.5,
      "ä",
      true,
      [1, [2]],
      { a: { b: 1 } },
      new Uint8Array(9),
    ];
    const data = crypto.getRandomValues(new Uint8Array(65_536));
    const large = new Uint8Array(1_000_000).map((_, at) => data[at % 65_521] ?? 0);
    const echo = await link.request("echo", { values });
    assertEquals(echo, { values });
    const answers = await Promise.all([1, 2, 3].map((n) => link.request("echo", { n, large })));
    assertEquals(answers, [1, 2, 3].map((n) => ({ n, large })));
    link.post("note", { n: 1 });
    await link.forward(encodeWireData(wireData("note", { n: 2 })));
    const parts = await Array.fromAsync(link.stream("count", { to: 200 }));
    const errors = await Promise.all(["refuse", "fail", "nowhere"].map(async (header) => {
      const { code, message, details } = await assertRejects(
        () => link.request(header, {}),
        RemoteError,
      );
      return [code, message, details];
    }));
    assert(await link.ping() >= 0 && link.rttMs !== undefined);
    const timeout = await assertRejects(
      () => link.request("never", {}, { timeoutMs: 5 }),
      TimeoutError,
    );
    return {
      peer: link.peer.name,
      parts,
      errors,
      timeout: timeout.code,
      back: await link.request("ask back", {}),
    };
  };
  const tcp = await client.connect(server.address ?? { hostname: LOOPBACK, port: 0 });
  const web = await connectWeb(client, url);
  const [overTcp, overWeb] = [await seen(tcp), await seen(web)];
  assertEquals(overWeb, overTcp);
  assertEquals(overWeb.parts.length, 200);
  assertEquals(overWeb.errors.map(([code]) => code), ["no-path", "internal", "no-endpoint"]);
  assertEquals([web.via, await web.request("via", {})], ["websocket", ["websocket", "client"]]);
  assertEquals([tcp.via, await tcp.request("via", {})], ["tcp", ["tcp", "client"]]);
  assertEquals(notes, [
    ...[1, 2].map((n) => ({ n, via: "tcp" })),
    ...[1, 2].map((n) => ({ n, via: "websocket" })),
  ]);
  assertEquals([...server.links].map(({ via }) => via), ["tcp", "websocket"]);
});

Deno.test("WebPort refuses pages of other sites and counts them", async () => {
  await using pair = await WebPair.open();
  const { port } = pair.web.address;
  const refused = ["http://evil.example", `http://${LOOPBACK}:${port + 1}`, "null", "", "garbage"];
  for (const origin of refused) {
    const { connection, status } = await pair.upgrade([`Origin: ${origin}`]);
    assertEquals(status, 403, origin);
    connection.close();
  }
  assertEquals(pair.metrics.snapshot(), { "accept.refused.origin": refused.length });
  for (const headers of [[], [`Origin: http://${LOOPBACK}:${port}`]]) {
    const { connection, status } = await pair.upgrade(headers);
    assertEquals(status, 101, headers.join());
    connection.close();
  }
});

Deno.test("WebPort answers 404 at other paths, and 400 to what asks for no WebSocket", async () => {
  await using pair = await WebPair.open();
  for (const path of ["/", "/kith/", "/kit", "/%6bith"]) {
    const { connection, status } = await pair.upgrade([], path);
    assertEquals(status, 404, path);
    connection.close();
  }
  for (const [path, status] of [["/", 404], [WEB_PATH, 400]] as const) {
    const response = await fetch(`http://${LOOPBACK}:${pair.web.address.port}${path}`);
    await response.body?.cancel();
    assertEquals(response.status, status);
  }
  assertEquals(pair.metrics.snapshot(), {});
});

Deno.test("WebPort closes and counts who does not speak kith, and other links go on", async () => {
  const clock = new ManualClock();
  await using pair = await WebPair.open({ clock, limits: { handshakeMs: 500 } });
  const { server, client, metrics } = pair;
  server.handle("echo", ({ n }) => n);
  const link = await connectWeb(client, pair.url);
  const misdeeds: Record<string, (stranger: Awaited<ReturnType<WebPair["stranger"]>>) => unknown> =
    {
      "bad-message": (stranger) => stranger.text("KITH/1\n"),
      "bad-frame": (stranger) => stranger.raw(Uint8Array.of(0xff, 0xfe)),
      "unsupported": (stranger) => stranger.raw("HELLO|"),
      "timeout": async (stranger) => {
        await stranger.raw("KIT");
        await settle();
        await clock.advance(500);
      },
      "closed": (stranger) => stranger.close(),
    };
  for (const [code, misbehave] of Object.entries(misdeeds)) {
    const stranger = await pair.stranger();
    await misbehave(stranger);
    await until(() => metrics.snapshot()[`accept.refused.${code}`] === 1);
    await stranger.receive().catch((error) => assert(error instanceof ClosedError));
    stranger.close();
    assertEquals(await link.request("echo", { n: 1 }), 1, code);
  }
  assertEquals(server.links.size, 1);
});

Deno.test("WebPort survives those who vanish, before the handshake and after it", async () => {
  await using pair = await WebPair.open();
  const { server, metrics } = pair;
  const { connection } = await pair.upgrade();
  connection.close();
  await until(() => metrics.snapshot()["accept.refused.closed"] === 1);

  const link = await connectWeb(pair.client, pair.url);
  await link.ping();
  await pair.client.close();
  await until(() => server.links.size === 0);
  const { "accept.established": established, "link.cut": cut } = metrics.snapshot();
  assertEquals([established, cut], [1, undefined]);
});

Deno.test("A link over WebSocket ends at a text message, and says why", async () => {
  await using pair = await WebPair.open();
  const stranger = await pair.stranger();
  const frames = await shakeHands(stranger.framed.connection);
  assertEquals((await frames.receive())?.header, ":accept");
  const [link] = pair.server.links;
  await stranger.text("hello");
  const why = await link?.closed;
  assert(why instanceof InvalidPacketError && why.message.includes("text message"), `${why}`);
  assertEquals(pair.metrics.snapshot()["link.bad-message"], 1);
  await assertRejects(() => frames.receive(), ClosedError, "binary messages only");
  stranger.close();
});

Deno.test("WebPort.open takes the next port when the default is taken, and fails when it must not", async () => {
  await using endpoint = await openEndpoint("server", {});
  await using first = await WebPort.open(endpoint, { hostname: LOOPBACK });
  await using second = await WebPort.open(endpoint, { hostname: LOOPBACK });
  // Other programs of this machine may have some of them.
  const [low, high] = [first.address.port, second.address.port];
  assert(low >= DEFAULT_HTTP_PORT && high > low && high < DEFAULT_HTTP_PORT + 32, `${low} ${high}`);
  const taken = () => WebPort.open(endpoint, { hostname: LOOPBACK, port: low });
  const error = await assertRejects(taken, TransportError, "in use");
  assertEquals(error.details.inUse, true);
  assertEquals(endpoint.webPort, high);
});

Deno.test("WebPort is told to who speaks HTTP to the TCP port, while it is open", async () => {
  await using pair = await WebPair.open();
  const { server, web } = pair;
  const ask = async () => {
    const response = await fetch(`http://${LOOPBACK}:${server.address?.port}/`);
    return [response.status, await response.text()];
  };
  const own = "This port speaks kith's own protocol.";
  assertEquals(await ask(), [421, `${own} HTTP and WebSocket are on port ${web.address.port}.\n`]);
  await web.close();
  assertEquals(await ask(), [421, `${own} This peer has no web port.\n`]);
});

Deno.test("WebPort.close ends its links and no others, twice and at once", async () => {
  await using pair = await WebPair.open();
  const { server, client, web } = pair;
  server.handle("echo", ({ n }) => n);
  server.handle("never", () => new Promise(() => {}));
  const tcp = await client.connect(server.address ?? { hostname: LOOPBACK, port: 0 });
  const link = await connectWeb(client, pair.url);
  const asked = assertRejects(() => link.request("never", {}), ClosedError);
  const pending = await pair.stranger();
  await Promise.all([web.close(), web.close()]);
  await web.close();
  await asked;
  assertEquals(await link.closed, undefined);
  assertEquals(await pending.receive().catch(() => "broken"), undefined);
  pending.close();
  assertEquals(await tcp.request("echo", { n: 1 }), 1);
  await until(() => server.links.size === 1);
  await assertRejects(() => connectWeb(client, pair.url), TransportError);
  await using again = await WebPort.open(server, web.address);
  await (await connectWeb(client, `ws://${LOOPBACK}:${again.address.port}/kith`)).ping();
});

Deno.test("WebPort.close waits a second, not more, for who does not answer, and lets nobody in meanwhile", async () => {
  const clock = new ManualClock();
  await using pair = await WebPair.open({ clock });
  const hung = await pair.upgrade(); // will not agree to close
  const closing = pair.web.close();
  const late = await pair.upgrade();
  assertEquals([hung.status, late.status], [101, 503]);
  await clock.advance(999);
  const closed = closing.then(() => "closed");
  assertEquals(await Promise.race([closed, settle().then(() => "waiting")]), "waiting");
  await clock.advance(1);
  const startedMs = performance.now();
  await closing;
  // Its own WebSocket would wait for five seconds.
  assert(performance.now() - startedMs < 3_000);
  hung.connection.close();
  late.connection.close();
});

Deno.test("connectWeb takes WebSocket URLs only", async () => {
  await using client = await openEndpoint("client", { clientOnly: true });
  for (
    const url of ["http://127.0.0.1:1/kith", "https://127.0.0.1:1", "file:///kith", "nonsense"]
  ) {
    await assertRejects(() => connectWeb(client, url), TypeError);
  }
});

Deno.test("connectWeb says why there is no link", async () => {
  await using client = await openEndpoint("client", { clientOnly: true });
  await using page = await serving(() => new Response("a page\n"));
  await using shouter = await serving((request, remote) => {
    const { socket, response } = upgradeWebSocket(request, remote);
    socket.send(new TextEncoder().encode("GOOD DAY")).catch(() => {}); // gone already
    void socket.closed.then(() => {});
    return response;
  });
  const listener = await netTransport.listen({ hostname: LOOPBACK });
  listener.close();
  const nobody = `ws://${LOOPBACK}:${listener.address.port}`;
  await assertRejects(() => connectWeb(client, nobody), TransportError, "Cannot connect WebSocket");
  await assertRejects(() => connectWeb(client, page.url), TransportError);
  const error = await assertRejects(() => connectWeb(client, shouter.url), HandshakeError);
  assertEquals([error.code, client.links.size], ["bad-channel", 0]);
});

Deno.test("connectWeb tells what the other side refuses it for", async () => {
  await using pair = await WebPair.open({ limits: { maxLinks: 1 } });
  const link = await connectWeb(pair.client, pair.url);
  await assertRejects(() => connectWeb(pair.client, pair.url), LimitError, "maxLinks");
  await link.close();
  await until(() => pair.server.links.size === 0);
  using _ = pair.server.guard(() => {
    throw new HandshakeError("denied", "Not today");
  });
  await assertRejects(() => connectWeb(pair.client, pair.url), HandshakeError, "Not today");
  assertEquals([pair.client.links.size, pair.server.links.size], [0, 0]);
});

Deno.test("connectWeb gives up on what says nothing: in time, when its signal aborts, when its endpoint closes", async () => {
  const clock = new ManualClock();
  await using client = await openEndpoint("client", { clientOnly: true, clock });
  const listener = await netTransport.listen({ hostname: LOOPBACK });
  const silent = `ws://${LOOPBACK}:${listener.address.port}`;
  const late = assertRejects(() => connectWeb(client, silent), TimeoutError);
  const first = await listener.accept();
  await clock.advance(6_000);
  await late;

  const controller = new AbortController();
  const { signal } = controller;
  const aborted = assertRejects(() => connectWeb(client, silent, { signal }));
  const second = await listener.accept();
  controller.abort(new Error("changed my mind"));
  assertStrictEquals(await aborted, signal.reason);
  assertStrictEquals(
    await assertRejects(() => connectWeb(client, silent, { signal })),
    signal.reason,
  );

  const closed = assertRejects(() => connectWeb(client, silent), ClosedError, "endpoint is closed");
  const third = await listener.accept();
  await client.close();
  await closed;
  for (const connection of [first, second, third]) connection?.close();
  listener.close();
});

Deno.test("connectWeb of an endpoint that is closed connects to nothing", async () => {
  await using pair = await WebPair.open();
  await pair.client.close();
  await assertRejects(() => connectWeb(pair.client, pair.url), ClosedError, "endpoint is closed");
  assertEquals(pair.metrics.snapshot(), {});
});

async function serving(
  handler: Parameters<typeof serveHttp>[0],
): Promise<{ url: string } & AsyncDisposable> {
  const server = await serveHttp(handler, { hostname: LOOPBACK });
  return {
    url: `ws://${LOOPBACK}:${server.address.port}/`,
    [Symbol.asyncDispose]: () => server.close(),
  };
}
