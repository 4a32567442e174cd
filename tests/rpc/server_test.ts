import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { DatagramCalls } from "../../src/endpoint/datagram_calls.ts";
import { Dispatcher } from "../../src/endpoint/dispatcher.ts";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { RequestsDispatcher } from "../../src/endpoint/requests_dispatcher.ts";
import { RequestsEndPoint } from "../../src/endpoint/requests_endpoint.ts";
import { connectWeb, WebPort } from "../../src/endpoint/web.ts";
import { LimitError, NotFoundError, RemoteError, UnsupportedError } from "../../src/errors.ts";
import type { EndpointContext } from "../../src/rpc/endpoints.ts";
import { schema } from "../../src/rpc/schema.ts";
import { Server } from "../../src/rpc/server.ts";
import { netTransport } from "../../src/transport/net.ts";
import { identityOf, infoOf, isSettled, SERVER, settle } from "../endpoint/fixture.ts";
import { World } from "./fixture.ts";

Deno.test("Server answers what it registered, until it is taken back", async () => {
  await using world = await World.open();
  const client = await world.client();
  const added = world.server.register("add", ({ a, b }: { a: number; b: number }) => a + b);
  assertEquals(await client.call("add", { a: 1, b: 2 }), 3);
  added[Symbol.dispose]();
  const error = await assertRejects(() => client.call("add", { a: 1, b: 2 }), RemoteError);
  assertEquals([error.code, error.message], ["no-endpoint", 'No endpoint "add" here (v1)']);
  added[Symbol.dispose]();
  world.server.register("add", () => "again");
  assertEquals(await client.call("add"), "again");
});

Deno.test("Server gives a function the context of its call", async () => {
  await using world = await World.open();
  await world.clock.advance(1_000);
  const client = await world.client({ name: "bob" });
  const seen: Partial<EndpointContext>[] = [];
  world.server.register("who", (_, context) => {
    const { clientId, address, connectedAt, protocol, via, peer, deadlineMs, server } = context;
    seen.push({ clientId, address, connectedAt, protocol, via, deadlineMs, server });
    return [peer?.name, context.signal.aborted];
  });
  assertEquals(await client.call("who", undefined, { timeoutMs: 700 }), ["bob", false]);
  const [listed] = world.server.clients();
  assert(listed !== undefined);
  assertEquals(seen, [{
    clientId: listed.clientId,
    address: listed.address,
    connectedAt: Date.UTC(2026, 0, 1) + 1_000,
    protocol: "v1",
    via: "tcp",
    deadlineMs: 1_700,
    server: world.server,
  }]);
});

Deno.test("Server fires a function's signal when its caller gives up or goes away", async () => {
  await using world = await World.open();
  const aborted: string[] = [];
  world.server.register("wait", (name: string, { signal }) => {
    return new Promise((resolve) => {
      signal.addEventListener("abort", () => resolve(aborted.push(name)), { once: true });
    });
  });
  const client = await world.client();
  const giveUp = new AbortController();
  const call = client.call("wait", "caller", { signal: giveUp.signal });
  await settle();
  giveUp.abort(new Error("enough"));
  await assertRejects(() => call, Error, "enough");
  await settle();
  assertEquals(aborted, ["caller"]);
  const other = client.call("wait", "connection");
  await settle();
  await Promise.all([client.close(), assertRejects(() => other)]);
  await settle();
  assertEquals(aborted, ["caller", "connection"]);
});

Deno.test("Server tells the code of a PeerError and keeps the text of another error", async () => {
  await using world = await World.open();
  const client = await world.client();
  world.server.register("missing", () => {
    throw new NotFoundError("no-key", 'No value under "x"', { details: { key: "x" } });
  });
  world.server.register("broken", () => Promise.reject(new Error("the password is 1234")));
  const missing = await assertRejects(() => client.call("missing"), RemoteError);
  assertEquals([missing.code, missing.message], ["no-key", 'No value under "x"']);
  assertEquals(missing.details, { key: "x" });
  const broken = await assertRejects(() => client.call("broken"), RemoteError);
  assertEquals([broken.code, broken.message], ["internal", "The handler failed"]);
});

Deno.test("Server refuses data that does not fit the schema before the function is called", async () => {
  await using world = await World.open();
  const client = await world.client();
  let calls = 0;
  const input = schema.object({ a: schema.number() });
  world.server.register("twice", ({ a }) => (calls++, 2 * a), { input });
  assertEquals(await client.call("twice", { a: 4, more: true }), 8);
  const error = await assertRejects(() => client.call("twice", { a: "4" }), RemoteError);
  assertEquals(error.code, "bad-message");
  assertEquals(error.message, "Cannot use data.a: it is not a number");
  await assertRejects(() => client.call("twice"), RemoteError, "data: it is not an object");
  assertEquals(calls, 1);
});

Deno.test("Server answers in parts what is asked with stream", async () => {
  await using world = await World.open();
  const client = await world.client();
  let ended = 0;
  world.server.register("count", async function* (to: number) {
    try {
      for (let n = 1; n <= to; n++) yield n;
    } finally {
      ended++;
    }
  });
  assertEquals(await Array.fromAsync(client.stream("count", 100)), [...Array(101).keys()].slice(1));
  for await (const n of client.stream("count", 1_000_000)) if (n === 3) break;
  await settle();
  assertEquals(ended, 2);
  const error = await assertRejects(() => client.call("count", 1), RemoteError);
  assertEquals(error.code, "unsupported");
  assertEquals(await Array.fromAsync(client.stream("echo", "whole")), ["whole"]);
});

Deno.test("Server answers status, info, peers, echo and ping with the fields of witch-core", async () => {
  await using world = await World.open({
    serverName: "one",
    protocols: ["v2", "v1"],
    projectId: "proj",
    sourceHash: "00112233aabbccdd",
    peers: () => [{ id: "x", name: "far", addresses: ["far:1"], since: 5, rtt_ms: 1.5 }],
  });
  const client = await world.client({ name: "bob" });
  await world.clock.advance(2_500);
  const { server } = world;
  const timestamp = "2026-01-01T00:00:02.500Z";
  const { limits, ...status } = await client.call("status") as Record<string, unknown>;
  assertEquals(
    limits,
    world.served.endpoint.resources.describe().map((row) => {
      return row.name === "maxHandlers" ? { ...row, used: 1 } : row; // the one that answered
    }),
  );
  assertEquals(status, {
    status: "running",
    server_id: server.serverId,
    server_name: "one",
    uptime: 2.5,
    client_count: 1,
    max_connections: 10,
    port: SERVER.port,
    timestamp,
  });
  assertEquals(await client.call("info"), {
    server_id: server.serverId,
    server_name: "one",
    protocols: ["v2", "v1"],
    hash: "00112233aabbccdd",
    endpoints: ["status", "info", "peer_list", "peers", "echo", "ping", "describe"],
    client_count: 1,
    max_connections: 10,
    port: SERVER.port,
    host: "server",
    project_id: "proj",
  });
  assertEquals(await client.call("ping"), { pong: true, server_time: timestamp });
  assertEquals(await client.call("echo", { deep: [1, null, "x"] }), { deep: [1, null, "x"] });
  const peers = await client.call("peers");
  assertEquals(peers, await client.call("peer_list"));
  const [bob, far] = peers as Record<string, unknown>[];
  assertEquals([bob?.name, bob?.since], ["bob", Date.UTC(2026, 0, 1)]);
  assertEquals(far, { id: "x", name: "far", addresses: ["far:1"], since: 5, rtt_ms: 1.5 });
});

Deno.test("Server answers the same over TCP, WebSocket and UDP", async () => {
  const self = infoOf("server");
  const common = { transport: netTransport, hostname: "127.0.0.1" };
  await using endpoint = await Endpoint.open({ ...common, self, port: 0 });
  await using web = await WebPort.open(endpoint, { hostname: "127.0.0.1", port: 0 });
  await using server = new Server(endpoint);
  const { dispatcher } = endpoint;
  const requests = new RequestsDispatcher();
  await using udp = await RequestsEndPoint.open({ ...common, dispatcher: requests });
  using _calls = new DatagramCalls({ endpoint: udp, requests, dispatcher });
  const theirs = new RequestsDispatcher();
  await using theirUdp = await RequestsEndPoint.open({ ...common, dispatcher: theirs });
  const empty = new Dispatcher();
  using asking = new DatagramCalls({ endpoint: theirUdp, requests: theirs, dispatcher: empty });

  await using client = await Endpoint.open({
    ...common,
    identity: identityOf("client"),
    self: infoOf("client"),
    clientOnly: true,
  });
  await using tcp = await client.connect(endpoint.address ?? SERVER);
  await using ws = await connectWeb(client, `ws://127.0.0.1:${web.address.port}`);
  const seen: unknown[] = [];
  server.register("via", (_, { via, clientId, peer }) => {
    seen.push([via, clientId.includes(":"), peer?.name]);
  });
  for (const name of ["status", "info", "peer_list", "peers", "echo", "ping", "describe", "via"]) {
    const [header, body] = [`v1/${name}`, { data: "hello" }];
    const answers = [
      await tcp.request(header, body),
      await ws.request(header, body),
      await asking.request(udp.address, header, body),
    ].map((answer) => Object.keys((answer ?? {}) as object));
    assertEquals(answers, [answers[0], answers[0], answers[0]], name);
  }
  assertEquals(seen, [["tcp", false, "client"], ["websocket", false, "client"], [
    "udp",
    true,
    undefined,
  ]]);
  assertEquals(server.clients().length, 2);
});

Deno.test("Server describes its endpoints with input, middleware and what their calls came to", async () => {
  await using world = await World.open({ version: "1.2.3" });
  const { server, clock, served } = world;
  served.endpoint.use({ name: "outer", run: (body, _, next) => next(body) });
  const input = schema.object({ n: schema.number() });
  server.register("slow", async ({ n }) => {
    await clock.advance(n);
    if (n === 30) throw new Error("too slow");
  }, { input, description: "Takes its time" });
  const client = await world.client();
  await client.call("slow", { n: 10 });
  await assertRejects(() => client.call("slow", { n: 30 }));
  await assertRejects(() => client.call("slow", {}));
  const { version, protocols, middleware, endpoints } = server.describe();
  assertEquals({ version, protocols, middleware }, {
    version: "1.2.3",
    protocols: ["v1"],
    middleware: ["outer"],
  });
  const [slow, echo] = ["slow", "echo"].map((name) => endpoints.find((one) => one.name === name));
  assertEquals(slow, {
    name: "slow",
    protocols: ["v1"],
    description: "Takes its time",
    input: { type: "object", fields: { n: "number" } },
    middleware: ["outer", "validate"],
    calls: 3,
    errors: 2,
    mean_ms: 13.333,
  });
  assertEquals([echo?.input, echo?.middleware, echo?.mean_ms], [null, ["outer"], 0]);
});

Deno.test("Server serves a name per protocol tag, and without a tag by its preferred one", async () => {
  await using world = await World.open({ protocols: ["v2", "v1"] });
  const { server } = world;
  server.register("size", () => "old", { protocols: ["v1"] });
  const [one, two, any] = await Promise.all([["v1"], ["v2"], undefined].map((protocols) => {
    return world.client(protocols === undefined ? {} : { protocols });
  }));
  assert(one !== undefined && two !== undefined && any !== undefined);
  assertEquals(await one.call("size"), "old");
  await assertRejects(() => two.call("size"), RemoteError, 'No endpoint "size" here (v2)');
  assertEquals(await server.call("size", null), "old");
  const added = server.register("size", () => "new", { protocols: ["v2"] });
  assertEquals(await Promise.all([one.call("size"), two.call("size")]), ["old", "new"]);
  assertEquals([await any.call("size"), await server.call("size", null)], ["new", "new"]);
  added[Symbol.dispose]();
  assertEquals(await server.call("size", null), "old");
});

Deno.test("Server lets an endpoint take the place of a built-in, and the built-in return", async () => {
  await using world = await World.open({ protocols: ["v1", "v2"] });
  const { server } = world;
  const mine = server.register("echo", (data) => ({ echo: data }), { protocols: ["v1"] });
  assertEquals(await server.call("echo", 1, {}, "v1"), { echo: 1 });
  assertEquals(await server.call("echo", 1, {}, "v2"), 1);
  assertThrows(() => server.register("echo", () => 0), TypeError, 'protocol "v1" has one already');
  mine[Symbol.dispose]();
  assertEquals(await server.call("echo", 1, {}, "v1"), 1);
});

Deno.test("Server.registerAll registers all or none", async () => {
  await using world = await World.open();
  const { server } = world;
  assertThrows(
    () => server.registerAll({ one: () => 1, "a/b": () => 2 }),
    TypeError,
    'Cannot register endpoint "a/b": a name has no "/"',
  );
  assert(!server.hasEndpoint("one"));
  const all = server.registerAll({ one: () => 1, two: () => 2 }, {
    inputs: { two: schema.literal(null) },
  });
  server.registerAll({ constructor: () => 3 });
  const answers = ["one", "two", "constructor"].map((name) => server.call(name, null));
  assertEquals(await Promise.all(answers), [1, 2, 3]);
  await assertRejects(() => server.call("two", 2), Error, "data: it is not null");
  all[Symbol.dispose]();
  assert(!server.hasEndpoint("one") && !server.hasEndpoint("two"));
});

Deno.test("Server.register says what is wrong with a name or a protocol", async () => {
  await using world = await World.open();
  const { server, served } = world;
  const wrong: [string, readonly string[], string][] = [
    ["", ["v1"], "1 to 128 characters"],
    ["x".repeat(129), ["v1"], "1 to 128 characters"],
    [":ok", ["v1"], 'begins without ":"'],
    ["x", ["v9"], 'protocol "v9" is none of v1'],
    ["x", [], "no protocol"],
  ];
  for (const [name, protocols, message] of wrong) {
    assertThrows(() => server.register(name, () => 0, { protocols }), TypeError, message);
  }
  served.endpoint.handle("v1/mine", () => "kept");
  assertThrows(() => server.register("mine", () => 0), TypeError, "it has a handler already");
  assert(!server.hasEndpoint("mine"));
  const client = await world.client();
  assertEquals(await client.call("mine"), "kept");
  server.register("x".repeat(128), () => 0);
});

Deno.test("Server says what is wrong with its options, and leaves nothing behind", async () => {
  await using world = await World.open();
  const { endpoint } = world.served;
  assertThrows(() => new Server(endpoint, { protocols: [] }), TypeError, "at least one");
  assertThrows(() => new Server(endpoint, { protocols: ["a", "a"] }), TypeError, "must differ");
  assertThrows(() => new Server(endpoint, { protocols: ["a/b"] }), TypeError, '"a/b"');
  assertThrows(() => new Server(endpoint, { maxClients: -1 }), RangeError, "maxClients");
  assertThrows(() => new Server(endpoint, { sourceHash: "x" }), TypeError, "sourceHash");
  await world.server.close();
  const taken = endpoint.handle("v2/echo", () => 0);
  assertThrows(() => new Server(endpoint, { protocols: ["v2"] }), TypeError, '"v2/echo"');
  assertEquals([endpoint.dispatcher.headers, endpoint.self.capabilities], [["v2/echo"], [
    "test/1",
  ]]);
  taken[Symbol.dispose]();
  await using _ = new Server(endpoint, { protocols: ["v2"] });
  assertEquals(endpoint.self.capabilities, ["test/1", "rpc/v2"]);
});

Deno.test("Server refuses the client beyond maxClients at both ends, and takes one when one has left", async () => {
  await using world = await World.open({ maxClients: 2 });
  const { server, served } = world;
  const [first] = [await world.client({}, "a"), await world.client({}, "b")];
  const error = await assertRejects(() => world.client({}, "c"), LimitError);
  assertEquals(error.code, "limit");
  assertEquals(
    error.message,
    "Cannot connect: the peer refused: There are 2 clients already (maxClients)",
  );
  assertEquals(served.metrics.snapshot()["accept.refused.limit"], 1);
  const [line] = served.log.lines.filter(({ level }) => level === "warn");
  assertEquals([line?.fields.code, line?.fields.why], [
    "limit",
    "There are 2 clients already (maxClients)",
  ]);
  assertEquals(server.clients().map(({ dialect }) => dialect), ["native", "native"]);
  await first?.close();
  await settle();
  const late = await world.client({ name: "late" }, "c");
  assertEquals(await late.call("echo", 1), 1);
  assertEquals(server.clients().map(({ name }) => name), ["", "late"]);
});

Deno.test("Server counts eleven clients as one too many unless told otherwise", async () => {
  await using world = await World.open();
  for (let n = 0; n < 10; n++) await world.client({}, `client${n}`);
  await assertRejects(() => world.client({}, "client10"), LimitError, "10 clients");
});

Deno.test("Server does not count other servers, nor the links that it opened itself", async () => {
  await using world = await World.open({ maxClients: 1 });
  const { server, served } = world;
  const other = await served.client("other");
  const offer = other.offer("mesh/1");
  const link = await other.connect(SERVER);
  assertEquals(await link.request("v1/echo", { data: 1 }), 1);
  assertEquals(server.clients(), []);
  offer[Symbol.dispose]();
  await world.client();
  await assertRejects(() => other.connect(SERVER), LimitError, "maxClients");
  assertEquals(server.status().client_count, 1);
});

Deno.test("Server.adopt counts a client of another dialect until it has gone", async () => {
  await using world = await World.open({ maxClients: 1 });
  const { server } = world;
  const address = { hostname: "far", port: 7 };
  const adopted = server.adopt({ address, dialect: "witch", clientId: "w1" });
  assertEquals(server.clients(), [{
    clientId: "w1",
    address,
    connectedAt: Date.UTC(2026, 0, 1),
    name: "",
    dialect: "witch",
  }]);
  const error = assertThrows(() => server.adopt({ address, dialect: "witch" }), LimitError);
  assertEquals(error.details, { limit: "maxClients", max: 1 });
  await assertRejects(() => world.client(), LimitError, "maxClients");
  await world.clock.advance(100);
  server.register("who", (_, { clientId, connectedAt, address, protocol, peer }) => {
    return { clientId, connectedAt, address, protocol, peer };
  });
  const who = await server.call("who", null, { clientId: "w1", address });
  assertEquals(who, {
    clientId: "w1",
    connectedAt: Date.UTC(2026, 0, 1),
    address,
    protocol: undefined,
    peer: undefined,
  });
  adopted[Symbol.dispose]();
  assertEquals(server.clients(), []);
  await world.client();
});

Deno.test("Server.call goes through the same middleware and check, and knows only endpoints", async () => {
  await using world = await World.open();
  const { server, served } = world;
  served.endpoint.handle("transfer.offer", () => "secret");
  const seen: unknown[] = [];
  served.endpoint.use({
    name: "seen",
    run: (body, { header, remote }, next) => {
      seen.push([header, remote.hostname, body]);
      return next(body);
    },
  });
  server.register("neg", (n: number) => -n, { input: schema.number() });
  const origin = { address: { hostname: "far", port: 1 } };
  assertEquals(await server.call("neg", 5, origin), -5);
  assertEquals(await server.call("neg", 6, origin, "v1"), -6);
  assertEquals(seen, [["neg", "far", { data: 5 }], ["v1/neg", "far", { data: 6 }]]);
  await assertRejects(() => server.call("neg", "5"), Error, "data: it is not a number");
  await assertRejects(() => server.call("transfer.offer", null), NotFoundError, "transfer.offer");
  await assertRejects(() => server.call("neg", 5, {}, "v9"), NotFoundError, '"neg" here (v9)');
  server.register("parts", async function* () {});
  await assertRejects(() => server.call("parts", null), UnsupportedError, "in parts");
});

Deno.test("Server knows a caller without a connection by its address", async () => {
  await using world = await World.open();
  world.server.register("who", (_, { clientId, connectedAt }) => [clientId, connectedAt]);
  const { dispatcher } = world.served.endpoint;
  const answer = dispatcher.find("v1/who")?.handler({ data: 1 }, {
    header: "v1/who",
    endpoint: "who",
    remote: { hostname: "far", port: 9 },
    via: "udp",
    peer: undefined,
    link: undefined,
    deadlineMs: 0,
    signal: new AbortController().signal,
  });
  assertEquals(answer, ["far:9", Date.UTC(2026, 0, 1)]);
});

Deno.test("Server.close takes everything back and leaves the endpoint open", async () => {
  await using world = await World.open({ maxClients: 1 });
  const client = await world.client();
  const { endpoint } = world.served;
  await world.server.close();
  await world.server.close();
  assertEquals(endpoint.dispatcher.headers, []);
  assertEquals(endpoint.self, { ...infoOf("server"), instance: endpoint.self.instance ?? "" });
  await assertRejects(() => client.call("echo", 1), RemoteError, 'No endpoint "echo" here (v1)');
  const late = await world.client({}, "late");
  assertEquals(await isSettled(late.call("echo", 1).catch(() => {})), true);
});
