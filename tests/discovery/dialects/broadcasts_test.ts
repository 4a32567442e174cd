import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import {
  broadcastServerInfo,
  type FoundServer,
  listenForServerBroadcasts,
  type ListenForServersOptions,
} from "../../../src/discovery/dialects/broadcasts.ts";
import {
  WITCH_NODE_PORT,
  WITCH_PRESENCE_PORT,
} from "../../../src/discovery/dialects/witch_announcer.ts";
import { InvalidPacketError, TransportError } from "../../../src/errors.ts";
import { netTransport } from "../../../src/transport/net.ts";
import { CountingClock } from "../../endpoint/fixture.ts";
import { BroadcastTown, Collector, freeUdpPort, onLoopback, text } from "./broadcasts_fixture.ts";

const SERVER = { serverName: "MyServer", port: 8888, protocols: ["v1"] };
const FOUND = { name: "MyServer", ip: "home", port: 8888, protocols: ["v1", "PROJECT:default"] };

Deno.test("listenForServerBroadcasts gives what broadcastServerInfo announces", async () => {
  await using town = new BroadcastTown();
  await using found = listen(town, { verify: false });
  await town.clock.advance(0);
  await using broadcast = await broadcastServerInfo({ ...town.on("home"), ...SERVER });
  await town.clock.advance(5_000);
  assertEquals(found.all, [{ ...FOUND, id: broadcast.nodeId }]);
  assertMatch(broadcast.nodeId, /^[0-9a-f-]{36}$/);
});

Deno.test("broadcastServerInfo says what it is given, and nothing of host or user", async () => {
  await using town = new BroadcastTown();
  const presence = await town.ear("ear", WITCH_PRESENCE_PORT);
  const node = await town.ear("ear", WITCH_NODE_PORT);
  await using _broadcast = await broadcastServerInfo({
    ...town.on("home"),
    ...SERVER,
    projectId: "p",
    sourceHash: "1608ea132b3bebbb",
    nodeId: "n",
  });
  await town.clock.advance(0);
  const [heard] = presence.heard;
  const { timestamp, ...rest } = JSON.parse(heard === undefined ? "{}" : text(heard.data));
  assertMatch(timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/);
  const protocols = ["v1", "PROJECT:p"];
  assertEquals(rest, {
    type: "node_discovery",
    node_id: "n",
    service_info: { name: "MyServer", ip: "home", port: 8888, protocols },
  });
  assertEquals(node.heard.map(({ data }) => JSON.parse(text(data))), [{
    type: "node_discovery",
    node_id: "n",
    hash: "1608ea132b3bebbb",
    port: 8888,
    name: "MyServer",
    protocols,
  }]);
});

Deno.test("broadcastServerInfo announces as often as it is told, until it is closed or its signal aborts", async () => {
  await using town = new BroadcastTown();
  const clock = new CountingClock();
  const ear = await town.ear("ear", WITCH_PRESENCE_PORT);
  const common = { ...town.on("home"), clock, ...SERVER };
  await using twice = await broadcastServerInfo({ ...common, repeat: 2 });
  await clock.advance(60_000);
  await twice.done;
  assertEquals(ear.heard.splice(0).length, 2);

  const controller = new AbortController();
  const { signal } = controller;
  await using aborted = await broadcastServerInfo({ ...common, signal });
  await clock.advance(5_000);
  controller.abort(new Error("enough"));
  await aborted.done;
  await clock.advance(60_000);
  assertEquals(ear.heard.splice(0).length, 2);
  await assertRejects(() => broadcastServerInfo({ ...common, signal }), Error, "enough");

  const closed = await broadcastServerInfo(common);
  await Promise.all([closed.close(), closed.close()]);
  await clock.advance(60_000);
  assert(ear.heard.length <= 1);
  assertEquals(clock.timers, 0);
});

Deno.test("broadcastServerInfo refuses what nobody could read", async () => {
  await using town = new BroadcastTown();
  const common = { ...town.on("home"), ...SERVER };
  await assertRejects(() => broadcastServerInfo({ ...common, port: 0 }), RangeError);
  await assertRejects(() => broadcastServerInfo({ ...common, nodeId: "" }), RangeError);
  await assertRejects(() => broadcastServerInfo({ ...common, sourceHash: "no" }), TypeError);
  const serverName = "n".repeat(1_000);
  await assertRejects(() => broadcastServerInfo({ ...common, serverName }), InvalidPacketError);
});

Deno.test("listenForServerBroadcasts asks a server for its status unless it is told not to", async () => {
  await using town = new BroadcastTown();
  const asked: unknown[] = [];
  const verify = (address: unknown) => Promise.resolve(asked.push(address) < 0);
  await using refused = listen(town, { verify });
  await using unasked = listen(town, { verify: false });
  await using byDefault = listen(town, {});
  await town.clock.advance(0);
  await using _broadcast = await broadcastServerInfo({ ...town.on("home"), ...SERVER });
  await town.clock.advance(0);
  assertEquals([refused.all.length, asked], [0, [{ hostname: "home", port: 8888 }]]);
  assertEquals([unasked.all.length, byDefault.all.length], [1, 0]); // nobody listens at its port
});

Deno.test("listenForServerBroadcasts tells a callback, one server after another, even if it fails", async () => {
  await using town = new BroadcastTown();
  const told: FoundServer[] = [];
  await using listener = await listenForServerBroadcasts((server) => {
    told.push(server);
    throw new Error("callback failed");
  }, { ...town.on("alice"), verify: false });
  for (const nodeId of ["a", "b"]) {
    town.use(await broadcastServerInfo({ ...town.on("home"), ...SERVER, nodeId }));
    await town.clock.advance(0);
  }
  assertEquals(told, ["a", "b"].map((id) => ({ ...FOUND, id })));
  assertEquals(town.log.lines.map(({ level, fields }) => [level, fields.why]), [
    ["error", "callback failed"],
    ["error", "callback failed"],
  ]);
  await Promise.all([listener.close(), listener.close()]);
  await listener.done;
});

Deno.test("listenForServerBroadcasts ends with its signal or its loop, and gives its ports back", async () => {
  await using town = new BroadcastTown();
  const clock = new CountingClock();
  const host = town.network.host("alice");
  const free = async () => {
    const socket = await host.datagram({ port: WITCH_NODE_PORT });
    socket.close();
  };
  const controller = new AbortController();
  const { signal } = controller;
  const common = { ...town.on("alice"), clock, verify: false as const };
  const listener = await listenForServerBroadcasts(() => {}, { ...common, signal });
  await assertRejects(free, TransportError);
  controller.abort();
  await listener.done;
  await free();

  town.use(await broadcastServerInfo({ ...town.on("home"), ...SERVER }));
  const servers = listenForServerBroadcasts(common);
  const first = servers.next();
  await town.clock.advance(5_000);
  assertEquals((await first).value?.name, "MyServer");
  await servers.return();
  await free();
  assertEquals(clock.timers, 0);
});

Deno.test("listenForServerBroadcasts finds on real sockets a server that answers, and no other", async () => {
  const server = netTransport.listen({ hostname: "127.0.0.1" });
  await using listener = await serveStatus(await server);
  const ports = { presence: await freeUdpPort(), node: await freeUdpPort() };
  const common = { ...onLoopback(), ports };
  const { port } = listener.address;
  const first = Promise.withResolvers<FoundServer>();
  await using _listening = await listenForServerBroadcasts(first.resolve, common);
  await using _dead = await broadcastServerInfo({ ...common, ...SERVER, port: 1, nodeId: "dead" });
  await using _live = await broadcastServerInfo({ ...common, ...SERVER, port, nodeId: "live" });
  assertEquals(await first.promise, { ...FOUND, ip: "127.0.0.1", port, id: "live" });
});

function listen(town: BroadcastTown, options: ListenForServersOptions): Collector<FoundServer> {
  const common = town.on("alice");
  return new Collector((signal) => listenForServerBroadcasts({ ...common, signal, ...options }));
}

/** A server that answers one connection's first line as witch-core does. */
function serveStatus(listener: Awaited<ReturnType<typeof netTransport.listen>>) {
  const answer = new TextEncoder().encode('{"status": "success"}\n');
  const done = (async () => {
    const connection = await listener.accept();
    await connection?.read(new Uint8Array(64));
    await connection?.write(answer);
    connection?.close();
  })();
  return {
    address: listener.address,
    async [Symbol.asyncDispose]() {
      listener.close();
      await done;
    },
  };
}
