import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { MAX_BUCKETS } from "../../src/endpoint/limits.ts";
import type { LimitName } from "../../src/endpoint/limits_table.ts";
import type { Link } from "../../src/endpoint/link.ts";
import { UdpPort } from "../../src/endpoint/udp_port.ts";
import { LimitError, RemoteError } from "../../src/errors.ts";
import { Client } from "../../src/rpc/client.ts";
import { Server } from "../../src/rpc/server.ts";
import { netTransport } from "../../src/transport/net.ts";
import type { Connection } from "../../src/transport/transport.ts";
import { identityOf, infoOf, Served, SERVER, settle } from "./fixture.ts";

/** What is in use of a limit. */
function used({ resources }: Endpoint, name: LimitName): number | undefined {
  return resources.describe().find((row) => row.name === name)?.used;
}

/** How often it refused something, by the status and by the counter, which must agree. */
function refused({ resources, metrics }: Endpoint, name: LimitName): number {
  const counted = metrics.counter(`limits.${name}`).value;
  assertEquals(resources.describe().find((row) => row.name === name)?.refused ?? 0, counted);
  return counted;
}

/** Waits until something holds that what was just done leads to. */
async function until(what: string, holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 1_000; turn++) {
    if (holds()) return;
    await settle();
  }
  throw new Error(`It did not come to pass: ${what}`);
}

/** Waits until nothing is in use of any limit. */
async function untilUnused({ resources }: Endpoint): Promise<void> {
  await until("unused", () => resources.describe().every(({ used = 0 }) => used === 0));
}

/** Asks, is refused, and gives the limit that the error names. */
async function refusal(asking: () => Promise<unknown>, code = "limit"): Promise<unknown> {
  const error = await assertRejects(asking, RemoteError);
  assertEquals(error.code, code);
  assertStringIncludes(error.message, String(error.details.limit));
  return error.details;
}

/** A link of a client of that name, which is also its host. */
async function linkOf(served: Served, host: string, name = host): Promise<Link> {
  const { network } = served;
  const identity = { identity: identityOf(name), self: infoOf(name) };
  return await (await served.client(host, { transport: network.host(host), ...identity })).connect(
    SERVER,
  );
}

Deno.test("Endpoint takes maxLinksPerSubnet links from one subnet, and more from another", async () => {
  await using served = await Served.open({ limits: { maxLinksPerSubnet: 2 } });
  const { endpoint } = served;
  const links = [await linkOf(served, "192.0.2.1"), await linkOf(served, "192.0.2.2")];
  const third = await served.client("192.0.2.3");
  const error = await assertRejects(() => third.connect(SERVER), LimitError);
  assertStringIncludes(error.message, "There are 2 links already (maxLinksPerSubnet)");
  assertEquals(refused(endpoint, "maxLinksPerSubnet"), 1);
  links.push(await linkOf(served, "192.0.3.1"));
  assertEquals([used(endpoint, "maxLinks"), used(endpoint, "maxLinksPerSubnet")], [3, 2]);
  await links[0]?.close();
  await until("one has gone", () => used(endpoint, "maxLinksPerSubnet") === 1);
  await third.connect(SERVER);
  for (const link of links) await link.close();
  for (const link of third.links) await link.close();
  await untilUnused(endpoint);
  assertEquals(endpoint.resources.remembered, 0);
});

Deno.test("Endpoint names maxLinks and maxLinksPerAddress to who is refused, and counts both", async () => {
  for (const name of ["maxLinks", "maxLinksPerAddress"] as const) {
    await using served = await Served.open({ limits: { [name]: 1 } });
    const client = await served.client();
    await client.connect(SERVER);
    await assertRejects(() => client.connect(SERVER), LimitError, name);
    assertEquals(refused(served.endpoint, name), 1);
    assertEquals(used(served.endpoint, name), 1);
  }
});

Deno.test("Endpoint counts its own connections for maxLinks, and refuses itself more", async () => {
  await using served = await Served.open();
  const client = await served.client("client", { limits: { maxLinks: 1 } });
  await client.connect(SERVER);
  const error = await assertRejects(() => client.connect(SERVER), LimitError);
  assertEquals(error.details, { limit: "maxLinks", max: 1 });
  assertEquals([refused(client, "maxLinks"), used(client, "maxLinksPerAddress")], [1, 0]);
});

Deno.test("Endpoint counts connections of other protocols as what they are, until they are done", async () => {
  await using served = await Served.open({ limits: { maxLinksPerAddress: 1 } });
  const { endpoint } = served;
  const taken: Connection[] = [];
  const gate = Promise.withResolvers<void>();
  endpoint.take("witch", async ({ connection, established }) => {
    established();
    taken.push(connection);
    await gate.promise;
    connection.close();
  });
  const first = await served.stranger();
  await first.write(new TextEncoder().encode("{"));
  await until("it was taken", () => taken.length === 1);
  assertEquals([used(endpoint, "maxLinks"), used(endpoint, "maxLinksPerAddress")], [1, 1]);
  const second = await served.stranger();
  await second.write(new TextEncoder().encode("{"));
  assertEquals(await second.read(new Uint8Array(1)), null);
  assertEquals([taken.length, refused(endpoint, "maxLinksPerAddress")], [1, 1]);
  gate.resolve();
  await untilUnused(endpoint);
  for (const connection of [first, second]) connection.close();
});

Deno.test("Endpoint refuses more answers in parts than maxStreams on one link, and serves the rest", async () => {
  await using served = await Served.open({ limits: { maxStreams: 2 } });
  const { endpoint } = served;
  endpoint.handle("tick", async function* () {
    yield 1;
    await new Promise<void>(() => {}); // it goes on until its caller has enough
  });
  endpoint.handle("add", () => 5);
  const [alice, bob] = [await linkOf(served, "alice"), await linkOf(served, "bob")];
  const first = [alice.stream("tick", {}), alice.stream("tick", {})];
  for (const stream of first) assertEquals((await stream.next()).value, 1);
  const third = alice.stream("tick", {});
  assertEquals(await refusal(() => third.next()), { limit: "maxStreams", max: 2 });
  assertEquals([used(endpoint, "maxStreams"), refused(endpoint, "maxStreams")], [2, 1]);
  assertEquals(await alice.request("add", {}), 5);
  assertEquals((await bob.stream("tick", {}).next()).value, 1);
  await Promise.all([alice.close(), bob.close()]);
  await until("the links have gone", () => used(endpoint, "maxStreams") === 0);
});

Deno.test("Endpoint lets a new answer in parts begin when one has ended", async () => {
  await using served = await Served.open({ limits: { maxStreams: 1 } });
  served.endpoint.handle("parts", async function* () {
    yield* [1, 2, 3];
  });
  const link = await linkOf(served, "alice");
  for (let round = 0; round < 5; round++) {
    assertEquals(await Array.fromAsync(link.stream("parts", {})), [1, 2, 3]);
  }
  assertEquals([used(served.endpoint, "maxStreams"), refused(served.endpoint, "maxStreams")], [
    0,
    0,
  ]);
});

Deno.test("Endpoint holds each link to maxActiveRequests and maxActiveBytes, and names them", async () => {
  const limits = { maxActiveRequests: 3, maxActiveBytes: 2_000 };
  await using served = await Served.open({ limits });
  const { endpoint } = served;
  const gate = Promise.withResolvers<string>();
  endpoint.handle("wait", () => gate.promise);
  const [alice, bob] = [await linkOf(served, "alice"), await linkOf(served, "bob")];
  const data = new Uint8Array(900);
  const waiting = [alice.request("wait", { data }), alice.request("wait", { data })];
  const many = await refusal(() => alice.request("wait", { data }));
  assertEquals(many, { limit: "maxActiveBytes", max: 2_000 });
  waiting.push(alice.request("wait", {}));
  const more = await refusal(() => alice.request("wait", {}));
  assertEquals(more, { limit: "maxActiveRequests", max: 3 });
  waiting.push(bob.request("wait", { data }));
  await until("all are at work", () => used(endpoint, "maxHandlers") === 4);
  assertEquals(used(endpoint, "maxActiveRequests"), 3);
  const bytes = used(endpoint, "maxActiveBytes") ?? 0;
  assert(bytes > 1_800 && bytes <= 2_000, String(bytes));
  assertEquals([refused(endpoint, "maxActiveRequests"), refused(endpoint, "maxActiveBytes")], [
    1,
    1,
  ]);
  gate.resolve("now");
  assertEquals(new Set(await Promise.all(waiting)), new Set(["now"]));
  await until("none is at work", () => used(endpoint, "maxActiveRequests") === 0);
  assertEquals(used(endpoint, "maxActiveBytes"), 0);
  await Promise.all([alice.close(), bob.close()]);
  await untilUnused(endpoint);
});

Deno.test("Endpoint cuts off who lets more than maxUnreadBytes wait, and says so in the status", async () => {
  await using served = await Served.open({ limits: { maxUnreadBytes: 1024 * 1024 } });
  const { endpoint, clock } = served;
  endpoint.handle("much", () => new Uint8Array(400_000));
  const guest = await served.guest();
  for (let id = 1; id < 9; id++) await guest.send("much", {}, id);
  await until("it waits", () => (used(endpoint, "maxUnreadBytes") ?? 0) > 256 * 1024);
  const [link] = endpoint.links;
  await clock.advance(11_000);
  const error = await link?.closed;
  assert(error instanceof LimitError);
  assertEquals(error.details, { limit: "maxUnreadBytes", max: 1024 * 1024 });
  assertEquals(refused(endpoint, "maxUnreadBytes"), 1);
  await untilUnused(endpoint);
  guest.close();
});

Deno.test("Endpoint shows handshakes that have not ended, and none afterwards", async () => {
  await using served = await Served.open();
  const silent = [await served.stranger(), await served.stranger()];
  await until("they wait", () => used(served.endpoint, "maxPendingHandshakes") === 2);
  for (const connection of silent) connection.close();
  await until("they have gone", () => used(served.endpoint, "maxPendingHandshakes") === 0);
});

Deno.test("T10: a flood of half handshakes holds maxPendingHandshakes at most, and an honest peer comes in", async () => {
  await using served = await Served.open({ limits: { maxPendingHandshakes: 64 } });
  const { endpoint, network } = served;
  const flood: Connection[] = [];
  for (let n = 0; n < 3_000; n++) {
    const connection = await network.host(`10.${n >> 8}.${n & 255}.1`).connect(SERVER);
    if (n % 2 === 0) await connection.write(new TextEncoder().encode("KITH/1\n"));
    flood.push(connection);
    assert((used(endpoint, "maxPendingHandshakes") ?? 0) <= 64);
  }
  await linkOf(served, "192.0.2.1");
  assert(refused(endpoint, "maxPendingHandshakes") >= 3_000 - 64);
  assert(endpoint.resources.remembered <= 2 * MAX_BUCKETS + 2);
  for (const connection of flood) connection.close();
  await until("the flood has gone", () => used(endpoint, "maxPendingHandshakes") === 0);
});

Deno.test("T11: requests count by the peer id that was proven, whatever address it comes from", async () => {
  await using served = await Served.open({
    limits: { requestsPerSecond: { default: 4, echo: 2 } },
  });
  const { endpoint, clock } = served;
  for (const name of ["echo", "add"]) endpoint.handle(name, () => name);
  const here = await linkOf(served, "192.0.2.1", "mallory");
  const there = await linkOf(served, "198.51.100.1", "mallory");
  const neighbour = await linkOf(served, "192.0.2.1", "alice");
  assertEquals([await here.request("echo", {}), await there.request("echo", {})], ["echo", "echo"]);
  for (const link of [here, there]) {
    const details = await refusal(() => link.request("echo", {}), "rate");
    assertEquals(details, { limit: "requestsPerSecond", max: 2 });
  }
  for (const _ of [1, 2]) assertEquals(await neighbour.request("echo", {}), "echo");
  for (const _ of [1, 2, 3, 4]) assertEquals(await here.request("add", {}), "add");
  assertEquals(await refusal(() => there.request("add", {}), "rate"), {
    limit: "requestsPerSecond",
    max: 4,
  });
  assertEquals(refused(endpoint, "requestsPerSecond"), 3);
  assertEquals(endpoint.dispatcher.middleware, ["limits"]);
  await clock.advance(500);
  assertEquals(await there.request("echo", {}), "echo");
});

Deno.test("T11: handshakes that fail count by address and subnet, whoever they claim to come from", async () => {
  await using served = await Served.open({
    limits: { failuresPerAddress: 3, failuresPerSubnet: 5 },
  });
  const { endpoint, network } = served;
  const failFrom = async (host: string, name: string) => {
    const connection = await network.host(host).connect(SERVER);
    await connection.write(new TextEncoder().encode(`KITH/1\n${name}`.padEnd(60, "?")));
    await connection.closeWrite();
    while (await connection.read(new Uint8Array(256)) !== null);
    connection.close();
  };
  for (const name of ["alice", "bob", "carol"]) await failFrom("192.0.2.1", name);
  const dave = await served.client("192.0.2.1");
  const error = await assertRejects(() => dave.connect(SERVER), LimitError);
  assertEquals([error.code, refused(endpoint, "failuresPerAddress")], ["rate", 1]);
  await linkOf(served, "192.0.2.2"); // its neighbour may come in
  for (const host of ["192.0.2.3", "192.0.2.4"]) await failFrom(host, "alice");
  const erin = await served.client("192.0.2.5");
  await assertRejects(() => erin.connect(SERVER), LimitError);
  assertEquals(refused(endpoint, "failuresPerSubnet"), 1);
  await linkOf(served, "192.0.3.1", "alice"); // whose name they used
});

Deno.test("Endpoint does not hold data that the connection slows down to a rate", async () => {
  await using served = await Served.open({ limits: { requestsPerSecond: { default: 2 } } });
  const seen: unknown[] = [];
  served.endpoint.handle("data", ({ n }) => void seen.push(n), { inline: true });
  served.endpoint.handle("note", ({ n }) => void seen.push(n));
  const link = await linkOf(served, "alice");
  for (let n = 0; n < 50; n++) void link.post("data", { n });
  for (let n = 50; n < 60; n++) void link.post("note", { n });
  await link.ping();
  assertEquals(seen, Array.from({ length: 52 }, (_, n) => n));
  assertEquals(refused(served.endpoint, "requestsPerSecond"), 8);
});

Deno.test("Endpoint holds requests over UDP to the rate of their address, on real sockets", async () => {
  const common = { transport: netTransport, hostname: "127.0.0.1" };
  const limits = { requestsPerSecond: { echo: 2 } };
  const server = { ...common, identity: identityOf("server"), self: infoOf("server"), limits };
  await using endpoint = await Endpoint.open({ ...server, port: 0 });
  endpoint.handle("echo", ({ n }) => n);
  await using port = await UdpPort.open(endpoint, { ...common, port: 0 });
  const guest = { ...common, identity: identityOf("guest"), self: infoOf("guest") };
  await using asking = await Endpoint.open({ ...guest, clientOnly: true });
  await using mine = await UdpPort.open(asking, { ...common, port: 0 });
  const ask = (n: number) => mine.request(port.address, "echo", { n });
  assertEquals([await ask(1), await ask(2)], [1, 2]);
  const details = await refusal(() => ask(3), "rate");
  assertEquals(details, { limit: "requestsPerSecond", max: 2 });
  await using link = await asking.connect(endpoint.address ?? SERVER);
  assertEquals(await link.request("echo", { n: 4 }), 4); // who has proven who it is has its own
});

Deno.test("status shows every limit with its value and use, on real sockets, and zero when all have gone", async () => {
  const common = { transport: netTransport, hostname: "127.0.0.1" };
  const limits = { maxLinks: 9, requestsPerSecond: { default: 1_000 } };
  const self = { identity: identityOf("server"), self: infoOf("server") };
  await using endpoint = await Endpoint.open({ ...common, ...self, port: 0, limits });
  await using server = new Server(endpoint);
  const gate = Promise.withResolvers<void>();
  server.register("wait", async function* () {
    yield "begun";
    await gate.promise;
  });
  const { port = 0 } = endpoint.address ?? {};
  const client = await Client.open({ host: "127.0.0.1", port });
  const parts = client.stream("wait");
  assertEquals((await parts.next()).value, "begun");
  const status = await client.call("status") as { limits: Record<string, unknown>[] };
  const rows = new Map(status.limits.map(({ name, ...row }) => [name, row]));
  assertEquals(rows.get("maxLinks"), { value: 9, default: 512, used: 1 });
  assertEquals(rows.get("maxStreams"), { value: 256, default: 256, used: 1 });
  assertEquals(rows.get("maxActiveRequests"), { value: 1_024, default: 1_024, used: 1 });
  assertEquals(rows.get("requestsPerSecond"), { value: { default: 1_000 }, default: {} });
  assertEquals(rows.get("maxStoredBytes"), { value: null, default: null, used: 0 });
  assertEquals(rows.get("maxLinksPerAddress")?.used, 0, "this machine's own do not count");
  assertEquals(status.limits.length, endpoint.resources.describe().length);
  gate.resolve();
  await parts.return();
  await client.close();
  await untilUnused(endpoint);
});
