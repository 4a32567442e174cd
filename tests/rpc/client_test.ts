import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  ClosedError,
  HandshakeError,
  InvalidPacketError,
  LimitError,
  RemoteError,
  TimeoutError,
  TransportError,
} from "../../src/errors.ts";
import { Client } from "../../src/rpc/client.ts";
import { Server } from "../../src/rpc/server.ts";
import { netTransport } from "../../src/transport/net.ts";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { infoOf, isSettled, SERVER, settle } from "../endpoint/fixture.ts";
import { watch, World } from "./fixture.ts";

Deno.test("Client calls a server over real sockets", async () => {
  const transport = netTransport;
  const self = infoOf("server");
  await using endpoint = await Endpoint.open({ transport, self, hostname: "127.0.0.1", port: 0 });
  await using server = new Server(endpoint);
  server.register("sum", (numbers: number[]) => numbers.reduce((a, b) => a + b, 0));
  await using client = await Client.open({ port: endpoint.address?.port ?? 0 });
  assertEquals(await client.call("sum", [1, 2, 3]), 6);
  assertEquals(client.address.hostname, "127.0.0.1");
});

Deno.test("Client takes the first of its protocols that the server has", async () => {
  await using world = await World.open({ protocols: ["v2", "v1"] });
  world.server.register("tag", (_, { protocol }) => protocol);
  const cases: [string[] | undefined, string][] = [
    [undefined, "v2"],
    [["v1"], "v1"],
    [["v3", "v1", "v2"], "v1"],
  ];
  for (const [protocols, tag] of cases) {
    const client = await world.client(protocols === undefined ? {} : { protocols });
    assertEquals(await client.call("tag"), tag);
    assertEquals(client.status, { state: "connected", protocol: tag });
  }
  const error = await assertRejects(() => world.client({ protocols: ["v3"] }), HandshakeError);
  assertEquals([error.code, error.details], [
    "incompatible",
    { ours: ["v3"], theirs: ["v2", "v1"] },
  ]);
  await settle();
  assertEquals(world.server.clients().length, 3);
});

Deno.test("Client calls handlers of a peer without a server by their names", async () => {
  await using world = await World.open();
  await world.server.close();
  world.served.endpoint.handle("greet", ({ data }) => `hello, ${data}`);
  const client = await world.client();
  assertEquals(await client.call("greet", "bob"), "hello, bob");
  assertEquals(client.status, { state: "connected", protocol: undefined });
  await assertRejects(() => world.client({ protocols: ["v1"] }), HandshakeError, "it serves none");
});

Deno.test("Client.open says with the code why there is no connection", async () => {
  await using world = await World.open({ maxClients: 0 });
  await assertRejects(() => world.client({ port: 1 }), TransportError, "server:1");
  await assertRejects(() => world.client(), LimitError, "0 clients already (maxClients)");
  using guard = world.served.endpoint.guard(() => {
    throw new HandshakeError("denied", "Not you");
  });
  await assertRejects(() => world.client(), LimitError);
  guard[Symbol.dispose]();
  await world.server.close();
  world.served.endpoint.guard(() => {
    throw new HandshakeError("denied", "Not you");
  });
  const denied = await assertRejects(() => world.client(), HandshakeError, "Not you");
  assertEquals(denied.code, "denied");
});

Deno.test("Client.open gives up after timeoutMs, or when aborted", async () => {
  await using world = await World.open();
  const { network, clock } = world.served;
  using listener = await silence(network.host("silent"));
  const open = (options = {}) => {
    return Client.open({ host: "silent", transport: network.host("c"), clock, ...options });
  };
  const slow = open({ timeoutMs: 700 });
  await settle();
  await clock.advance(699);
  assertEquals(await isSettled(slow.catch(() => {})), false);
  const late = assertRejects(() => slow, TimeoutError, "timeoutMs 700");
  await clock.advance(1);
  await late;
  const controller = new AbortController();
  const aborted = open({ signal: controller.signal });
  await settle();
  controller.abort(new Error("never mind"));
  await assertRejects(() => aborted, Error, "never mind");
  assert(listener.accepted >= 2);
});

Deno.test("Client.open says what is wrong with its options", async () => {
  await assertRejects(() => Client.open({ timeoutMs: 0 }), RangeError, "timeoutMs must be above 0");
  await assertRejects(() => Client.open({ reconnectDelayMs: -1 }), RangeError, "reconnectDelayMs");
  await assertRejects(() => Client.open({ maxReconnectAttempts: NaN }), RangeError, "NaN");
  await assertRejects(() => Client.open({ name: "x".repeat(65) }), RangeError, "it has 65");
  await assertRejects(() => Client.open({ protocols: [] }), TypeError, "at least one");
});

Deno.test("Client.call gives up after its own time, or that of the client", async () => {
  await using world = await World.open();
  world.server.register("never", () => new Promise(() => {}));
  const client = await world.client({ timeoutMs: 900 });
  const [own, common] = [client.call("never", 0, { timeoutMs: 300 }), client.call("never")];
  const late = assertRejects(() => own, TimeoutError, "no answer in time");
  await world.clock.advance(301);
  await late;
  assertEquals(await isSettled(common.catch(() => {})), false);
  const later = assertRejects(() => common, TimeoutError);
  await world.clock.advance(600);
  await later;
});

Deno.test("Client.call rejects what is too large or cannot be sent, and goes on", async () => {
  await using world = await World.open({}, { limits: { maxFrameBytes: 2_000 } });
  const client = await world.client({ limits: { maxFrameBytes: 1_000 } });
  await assertRejects(() => client.call("echo", "x".repeat(2_000)), InvalidPacketError, "1000");
  await assertRejects(() => client.call("echo", () => {}), TypeError);
  assertEquals(await client.call("echo", "fits"), "fits");
});

Deno.test("Client.notify leaves no answer behind, whatever comes of it", async () => {
  await using world = await World.open();
  const client = await world.client();
  const seen: unknown[] = [];
  world.server.register("note", (data) => {
    seen.push(data);
    throw new Error("nobody will know");
  });
  client.notify("note", 1);
  await client.notify("note", 2);
  client.notify("no such endpoint");
  assertEquals(await client.call("echo", "after"), "after");
  assertEquals(seen, [1, 2]);
  await client.disconnect();
  assertThrows(() => client.notify("note", 3), ClosedError, 'Cannot notify "note"');
});

Deno.test("Client.sendAndReceive answers as the witch-core network module does", async () => {
  await using world = await World.open({ serverName: "one" });
  await world.clock.advance(1_000);
  const client = await world.client();
  world.server.register("greet", ({ name }: { name: string }) => `hello, ${name}`);
  const timestamp = "2026-01-01T00:00:01.000Z";
  const success = { status: "success", timestamp };
  assertEquals(await client.sendAndReceive({ endpoint: "greet", data: { name: "bob" } }), {
    ...success,
    data: "hello, bob",
  });
  assertEquals(await client.sendAndReceive({ request: "echo", data: { a: 1 } }), {
    ...success,
    echo: { a: 1 },
  });
  assertEquals(await client.sendAndReceive({ request: "ping" }), {
    ...success,
    pong: true,
    server_time: timestamp,
  });
  const { data } = await client.sendAndReceive({ request: "status" });
  assertEquals((data as Record<string, unknown>).server_name, "one");
  assertEquals(await client.sendAndReceive({ endpoint: "nope" }), {
    status: "error",
    error: "no-endpoint",
    message: 'No endpoint "nope" here (v1)',
    timestamp,
  });
  await assertRejects(() => client.sendAndReceive({ data: 1 }), TypeError, "neither endpoint");
});

Deno.test("Client.disconnect ends the connection until connect", async () => {
  await using world = await World.open();
  world.server.register("never", () => new Promise(() => {}));
  const client = await world.client();
  const { seen, done } = watch(client);
  const call = client.call("never");
  await client.connect(); // it is
  await Promise.all([client.disconnect(), assertRejects(() => call, ClosedError)]);
  await client.disconnect();
  await settle();
  assertEquals(world.server.clients(), []);
  await assertRejects(() => client.call("echo", 1), ClosedError, "was closed here");
  await Promise.all([client.connect(), client.connect()]);
  assertEquals(await client.call("echo", 2), 2);
  assertEquals(world.server.clients().length, 1);
  await Promise.all([client.close(), client.close()]);
  await assertRejects(() => client.connect(), ClosedError, "the client is closed");
  await assertRejects(() => client.call("echo", 1), ClosedError);
  await done;
  const connected = { state: "connected", protocol: "v1" };
  const connecting = { state: "connecting", attempt: 0 };
  const closed = { state: "closed" };
  assertEquals(seen, [connected, closed, connecting, connected, closed]);
});

Deno.test("Client can be disconnected and connected again while that is under way", async () => {
  await using world = await World.open();
  const client = await world.client();
  for (let run = 0; run < 5; run++) {
    const ending = client.disconnect();
    const connecting = client.connect();
    if (run % 2 === 0) await settle();
    await Promise.all([ending, connecting]);
    assertEquals(await client.call("echo", run), run);
  }
  const [given, _] = await Promise.allSettled([
    client.disconnect().then(() => client.connect()),
    client.close(),
  ]);
  assertEquals(given.status, "rejected");
  await settle();
  assertEquals([client.status, world.server.clients()], [{ state: "closed" }, []]);
});

Deno.test("Client.close settles what is under way in whatever state", async () => {
  await using world = await World.open();
  const { network, clock } = world.served;
  const connected = await world.client();
  const call = connected.call("echo", 1);
  await connected.close();
  await Promise.allSettled([call]);
  const waiting = await world.client({}, "b");
  await world.kill();
  await settle();
  const late = waiting.call("echo", 1);
  assertEquals(waiting.status.state, "reconnecting");
  await Promise.all([waiting.close(), assertRejects(() => late, ClosedError)]);
  using _ = await silence(network.host("silent"));
  const transport = network.host("c");
  const opening = Client.open({ host: "silent", transport, clock });
  const refused = assertRejects(() => opening, TimeoutError);
  await clock.advance(5_000);
  await refused;
});

Deno.test("Client leaves an endpoint that it was given open", async () => {
  await using world = await World.open();
  const endpoint = await world.served.client("shared");
  endpoint.handle("back", () => "hello from the client");
  const client = await world.client({ endpoint });
  world.server.register("ask", (_, { clientId }) => clientId);
  assertEquals(await client.call("ask"), world.server.clients()[0]?.clientId);
  await client.close();
  const link = await endpoint.connect(SERVER);
  assertEquals(await link.request("v1/echo", { data: 1 }), 1);
});

Deno.test("Client.states can be left, and is left by a signal", async () => {
  await using world = await World.open();
  const client = await world.client();
  for await (const status of client.states()) {
    assertEquals(status.state, "connected");
    break;
  }
  const controller = new AbortController();
  const states = client.states({ signal: controller.signal });
  assertEquals((await states.next()).value, { state: "connected", protocol: "v1" });
  const next = states.next();
  controller.abort();
  assertEquals(await next, { value: undefined, done: true });
});

Deno.test("Client rejects with the server's code for whoever may not call", async () => {
  await using world = await World.open();
  const client = await world.client();
  const error = await assertRejects(() => client.call("nope"), RemoteError);
  assertEquals(error.code, "no-endpoint");
});

/** A host that accepts connections and says nothing. */
async function silence(
  transport: typeof netTransport,
): Promise<{ accepted: number } & Disposable> {
  const listener = await transport.listen({ port: SERVER.port });
  const silent = { accepted: 0, [Symbol.dispose]: () => listener.close() };
  void (async () => {
    while (await listener.accept() !== undefined) silent.accepted++;
  })();
  return silent;
}
