import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { ManualClock, seededRandom } from "../../src/clock.ts";
import { RemoteError, TimeoutError, TransportError } from "../../src/errors.ts";
import { Metrics } from "../../src/metrics.ts";
import { SyncClient } from "../../src/sync/client.ts";
import type { SyncPort } from "../../src/sync/port.ts";
import { serveHttp } from "../../src/transport/http.ts";
import type { MessageSocket } from "../../src/transport/transport.ts";
import { upgradeWebSocket } from "../../src/transport/websocket.ts";
import { until } from "../endpoint/web_fixture.ts";
import { CuttingProxy } from "./cutting_proxy.ts";
import { change, Hub, Inputs } from "./hub_fixture.ts";

const MESSAGES = 1_000;
const CUTS = 50;

/** Reads the paths of changes until so many have come. */
async function pathsOf(port: SyncPort, count: number, seen: unknown[] = []): Promise<unknown[]> {
  for await (const input of port.receive) {
    if (input.type === "message") seen.push(input.message.data.file_path);
    if (seen.length === count) break;
  }
  return seen;
}

/** A server of somebody else's, of which a test says what it does. */
async function serve(talk: (socket: MessageSocket, url: URL) => Promise<void>) {
  const sockets = new Set<MessageSocket>();
  const talks: Promise<void>[] = [];
  const server = await serveHttp((request, remote) => {
    const { socket, response } = upgradeWebSocket(request, remote, { idleTimeoutMs: 0 });
    sockets.add(socket);
    talks.push(talk(socket, new URL(request.url)));
    return response;
  }, { hostname: "127.0.0.1" });
  const close = async () => {
    for (const socket of sockets) socket.close();
    await Promise.allSettled(talks);
    await Promise.all([...sockets].map(({ closed }) => closed));
    await server.close();
  };
  return { url: `ws://127.0.0.1:${server.address.port}`, [Symbol.asyncDispose]: close };
}

Deno.test(`SyncClient brings ${MESSAGES} messages each way, each once and in order, through ${CUTS} cuts`, async () => {
  const ports: SyncPort[] = [];
  await using hub = await Hub.open({ onPort: (port) => void ports.push(port) });
  await using proxy = new CuttingProxy(hub.port);
  const metrics = new Metrics();
  const url = `ws://127.0.0.1:${proxy.port}/sync`;
  const client = await hub.client("desk", { metrics, reconnectMs: 1 }, url);
  const [port] = ports;
  assert(port !== undefined);
  const seen: [unknown[], unknown[]] = [[], []];
  const reading = Promise.all([
    pathsOf(port, MESSAGES, seen[0]),
    pathsOf(client.port, MESSAGES, seen[1]),
  ]);
  const random = seededRandom(7);
  let cuts = 0;
  const part = MESSAGES / CUTS;
  for (let n = 0; n < MESSAGES; n++) {
    assert(client.port.send(change(client.port.author, `${n}`)));
    assert(port.send(change(port.author, `${n}`)));
    if (n % part !== part - 1) continue;
    // Some of them are on their way, or none yet, or all have come.
    for (let turns = Math.floor(random() * 4); turns > 0; turns--) {
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    const before = hub.counters["sync.resumed"] ?? 0;
    cuts += proxy.cut();
    await until(() => (hub.counters["sync.resumed"] ?? 0) > before);
  }
  await reading;
  const all = Array.from({ length: MESSAGES }, (_, n) => `${n}`);
  assertEquals(seen, [all, all]);
  assertEquals([cuts, ports.length], [CUTS, 1]);
  // Some cuts came before the client had its answer.
  assert((metrics.snapshot()["sync.client.resumed"] ?? 0) > CUTS / 2);
  assertEquals(hub.counters["sync.violations"], undefined);
});

Deno.test("SyncClient tells its owner after a cut that contents were lost, and nothing else", async () => {
  const ports: SyncPort[] = [];
  await using hub = await Hub.open({ onPort: (port) => void ports.push(port) });
  await using proxy = new CuttingProxy(hub.port);
  const client = await hub.client("desk", {}, `ws://127.0.0.1:${proxy.port}/sync`);
  const [port] = ports;
  assert(port !== undefined);
  const [atHub, atClient] = [new Inputs(port), new Inputs(client.port)];
  proxy.isDown = true;
  proxy.cut();
  await until(() => !client.connected && hub.hub.status.clients[0]?.connected === false);
  await assertRejects(() => client.port.sendContent(new Uint8Array([2])));
  assert(client.port.send(change(client.port.author, "one.txt")));
  assert(port.send(change(port.author, "two.txt")));
  proxy.isDown = false;
  assertEquals([await atHub.path(), await atHub.path()], ["resumed", "one.txt"]);
  assertEquals([await atClient.path(), await atClient.path()], ["resumed", "two.txt"]);
});

for (const who of ["client", "hub"] as const) {
  Deno.test(`SyncClient has the indexes exchanged when the ${who} said more than is kept`, async () => {
    const ports: SyncPort[] = [];
    await using hub = await Hub.open({ onPort: (port) => void ports.push(port) });
    await using proxy = new CuttingProxy(hub.port);
    const client = await hub.client("desk", {}, `ws://127.0.0.1:${proxy.port}/sync`);
    const inputs = new Inputs(client.port);
    const [port] = ports;
    assert(port !== undefined);
    proxy.isDown = true;
    proxy.cut();
    await until(() => !client.connected && hub.hub.status.clients[0]?.connected === false);
    const speaker = who === "client" ? client.port : port;
    for (let n = 0; n < 1_025; n++) assert(speaker.send(change(speaker.author, `${n}`)));
    proxy.isDown = false;
    assertEquals(await inputs.path(), "resync");
    await until(() => ports.length === 2);
    assertEquals(await port.closed, undefined);
    ports[1]?.send(change(port.author, "anew.txt"));
    assertEquals(await inputs.path(), "anew.txt");
  });
}

Deno.test("SyncClient has the indexes exchanged with a hub that was restarted", async () => {
  await using first = await Hub.open();
  await using second = await Hub.open();
  let port = first.port;
  await using proxy = new CuttingProxy(() => port);
  const client = await first.client("desk", {}, `ws://127.0.0.1:${proxy.port}/sync`);
  port = second.port;
  await first.hub.close();
  const inputs = new Inputs(client.port);
  const last = await inputs.next();
  assertEquals(last.type === "message" && last.message.data.error_code, "SHUTTING_DOWN");
  assertEquals(await inputs.path(), "resync");
  assertEquals(second.hub.status.clients.map(({ clientId }) => clientId), [client.clientId]);
  await client.close();
});

Deno.test("SyncHub gives a session up when its client stays away, and then knows it no more", async () => {
  const clock = new ManualClock();
  await using hub = await Hub.open({ clock, limits: { resumeMs: 60_000 } });
  await using proxy = new CuttingProxy(hub.port);
  await hub.client("desk", { reconnectMs: 1e6 }, `ws://127.0.0.1:${proxy.port}/sync`);
  proxy.cut();
  await until(() => hub.hub.status.clients[0]?.connected === false);
  await clock.advance(59_000);
  assertEquals(hub.hub.status.clients.length, 1);
  await clock.advance(6_000);
  assertEquals(hub.hub.status.clients, []);
});

Deno.test("SyncClient does not get in where it may not, and does not try again", async () => {
  await using hub = await Hub.open({ rooms: ["a", "b"] });
  const error = await assertRejects(() => hub.client("desk"), RemoteError);
  assertEquals([error.code, error.details.errorCode], ["denied", "UNKNOWN_ROOM"]);
  await assertRejects(
    () => SyncClient.open("http://127.0.0.1", { name: "a", folder: "a" }),
    TypeError,
  );
  await assertRejects(
    () => SyncClient.open("ws://127.0.0.1:1", { name: "a", folder: "a" }),
    TransportError,
  );
  const bad = { name: "a", folder: "a", clientId: "a b" };
  await assertRejects(() => SyncClient.open(hub.url, bad), TypeError);
});

Deno.test("SyncClient gives up on a hub that does not answer", async () => {
  const clock = new ManualClock();
  const asked = Promise.withResolvers<void>();
  await using server = await serve(async (socket) => {
    await socket.receive();
    asked.resolve();
    await socket.closed;
  });
  const opening = assertRejects(
    () => SyncClient.open(server.url, { name: "a", folder: "a", clock }),
    TimeoutError,
  );
  await asked.promise;
  await clock.advance(10_000);
  await opening;
});

Deno.test("SyncClient understands a server of the original program", async () => {
  const heard = Promise.withResolvers<string>();
  await using server = await serve(async (socket, { pathname }) => {
    const say = (type: string, data: unknown) => socket.send(JSON.stringify({ type, data }));
    await say("client_joined", { client_id: "x", name: "x" });
    const request = JSON.parse(String(await socket.receive()));
    assertEquals([pathname, request.client_id, request.type], [
      "/ws/desk_1",
      "desk_1",
      "client_connect",
    ]);
    await say("client_connect", {
      success: true,
      message: "Connected successfully",
      server_time: "2026-01-02T03:04:05.678901",
    });
    const change = { operation: "update", file_path: "a.txt", client_id: "x" };
    await say("file_changed", change);
    await say("error", { error: "no such thing" });
    heard.resolve(String(await socket.receive()));
    await socket.receive();
  });
  await using client = await SyncClient.open(`${server.url}/ws/{client_id}`, {
    name: "desk",
    clientId: "desk_1",
    folder: "/home/somebody/docs",
  });
  const inputs = new Inputs(client.port);
  assertEquals(client.port.peer.capabilities, []);
  assertEquals(await inputs.path(), "a.txt");
  const error = await inputs.next();
  assertEquals(error.type === "message" && error.message.data, { error: "no such thing" });
  client.port.send(change(client.port.author, "b.txt"));
  const { seq, client_id, data } = JSON.parse(await heard.promise);
  assertEquals([seq, client_id, data.file_path], [undefined, "desk_1", "b.txt"]);
});

Deno.test("SyncClient gives signs of life, and leaves a hub that gives none", async () => {
  const clock = new ManualClock();
  const metrics = new Metrics();
  const beat = Promise.withResolvers<{ type: string; data: unknown }>();
  let connections = 0;
  await using server = await serve(async (socket) => {
    connections++;
    await socket.receive();
    await socket.send(
      JSON.stringify({ type: "client_connect", data: { success: true, message: "" } }),
    );
    beat.resolve(JSON.parse(String(await socket.receive())));
    await socket.closed;
  });
  await using client = await SyncClient.open(server.url, {
    name: "desk",
    clientId: "desk_1",
    folder: "docs",
    clock,
    metrics,
  });
  const inputs = new Inputs(client.port);
  await clock.advance(30_000);
  assertEquals((await beat.promise).type, "heartbeat");
  await clock.advance(50_000);
  await until(() => !client.connected);
  assertEquals(metrics.snapshot()["sync.client.timeouts"], 1);
  await clock.advance(1_000);
  await until(() => client.connected);
  assertEquals([await inputs.path(), connections], ["resync", 2]);
});

Deno.test("SyncClient says goodbye, twice as well as once, and its id is free again", async () => {
  await using hub = await Hub.open();
  const client = await hub.client("desk", { clientId: "desk_1" });
  await Promise.all([client.close(), client.close()]);
  assertEquals(await client.closed, undefined);
  assertEquals(client.port.send(change(client.port.author, "a")), false);
  await until(() => hub.hub.status.clients.length === 0);
  assertEquals((await hub.client("desk", { clientId: "desk_1" })).connected, true);
});

Deno.test("SyncClient ends with its signal", async () => {
  await using hub = await Hub.open();
  const ending = new AbortController();
  const client = await hub.client("desk", { signal: ending.signal });
  ending.abort();
  assertEquals(await client.closed, undefined);
  await until(() => hub.hub.status.clients.length === 0);
});

Deno.test("SyncClient trusts the authority that it is told of, and no other", async () => {
  const read = (name: string) =>
    Deno.readTextFile(new URL(`../testdata/tls/${name}`, import.meta.url));
  const [cert, key, authority] = await Promise.all([
    read("hub.pem"),
    read("hub.key"),
    read("ca.pem"),
  ]);
  await using hub = await Hub.open({}, { cert, key });
  const url = hub.url.replace("ws:", "wss:");
  const error = await assertRejects(() => hub.client("desk", {}, url), TransportError);
  assertMatch(error.message, /certificate/i);
  await assertRejects(() => hub.client("desk", { caCerts: ["none"] }, url), TypeError);
  await assertRejects(() => Hub.open({}, { cert: "none", key }), TransportError);
  const client = await hub.client("desk", { caCerts: [authority] }, url);
  const other = await hub.client("pad", { caCerts: [authority] }, url);
  client.port.send(change(client.port.author, "one.txt"));
  assertEquals(await new Inputs(other.port).path(), "one.txt");
});
