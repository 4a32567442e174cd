import { assert, assertEquals, assertRejects } from "@std/assert";
import { LIVENESS_MS } from "../../../src/discovery/dialects/peerconnect_liveness.ts";
import { ClosedError, UnsupportedError } from "../../../src/errors.ts";
import { type Address, netTransport, type Transport } from "../../../src/transport/mod.ts";
import { decodeDatagram, SERVICE_CODE } from "../../../src/wire/datagram.ts";
import { decodeWireData } from "../../../src/wire/message.ts";
import { Served, SERVER, settle } from "../../endpoint/fixture.ts";
import { coded, interfaceOf, Node, probeOf, Village } from "./peerconnect_fixture.ts";

const UUID = "7d7e0a31-0000-4000-8000-000000000002";

/** The id of a message and its service code. */
function headOf(packet: Uint8Array, hasCode = true) {
  const { code, payload } = decodeDatagram(packet, { code: hasCode, exact: true });
  return { code, id: decodeWireData(payload, { dialect: "peerconnect" }).msgId };
}

/** Some message with that id, none of ours: header and id as text. */
function anything(code: number, id: unknown): Uint8Array {
  const bytes = [...new TextEncoder().encode(String(id))];
  return coded(code, [0x95, 0xa1, 0x78, 0xd9, bytes.length, ...bytes, 0xc0, 0x80, 0xc0]);
}

Deno.test("PeerConnectDiscovery answers a probe with and without a code, shorter than it was", async () => {
  await using village = new Village();
  const alice = await village.node("alice");
  const stranger = await village.socket("stranger");
  for (const code of [0, 1, 2, undefined]) {
    for (const id of ["x", UUID, "y".repeat(128)]) {
      const probe = probeOf(id, code);
      await stranger.send(probe, alice.address);
      const { data, from } = await stranger.receive() ?? {};
      assert(data !== undefined);
      assertEquals(headOf(data), { code: SERVICE_CODE.peerconnectDiscovery, id });
      assertEquals(from, alice.address);
      assert(data.length < probe.length, `${data.length} bytes for ${probe.length}`);
    }
  }
  assertEquals(alice.count("probes"), 12);
  assertEquals(alice.count("malformed"), 0);
});

Deno.test("PeerConnectDiscovery answers no probe that it would have to answer at length, and no sign of life", async () => {
  await using village = new Village();
  const alice = await village.node("alice");
  const stranger = await village.socket("stranger");
  await stranger.send(probeOf("y".repeat(129), 1), alice.address);
  await settle();
  assertEquals([alice.count("malformed"), alice.count("probes")], [1, 0]);
  await stranger.send(probeOf(UUID), alice.address);
  const sign = (await stranger.receive())?.data.slice() ?? new Uint8Array();
  for (const packet of [sign, anything(1, UUID), anything(2, UUID)]) {
    await stranger.send(packet, alice.address);
  }
  await settle();
  assertEquals([alice.count("malformed"), alice.count("probes")], [1, 1]);
});

Deno.test("PeerConnectDiscovery.isAlive hears a sign of life of one of ours, and connects to nobody", async () => {
  await using village = new Village();
  const bob = await village.node("bob");
  const transport = { ...only(village.network.host("alice")), connect: unexpected };
  const alice = await village.node("alice", { transport });
  assertEquals(await alice.discovery.isAlive(bob.address), true);
  await settle();
  assertEquals(bob.count("probes"), 2);
});

Deno.test("PeerConnectDiscovery.isAlive asks in both forms, and takes anything with that id from there", async () => {
  for (const code of [0, 1, 2]) {
    await using village = new Village();
    const alice = await village.node("alice");
    const bob = await village.socket("bob");
    const asking = alice.discovery.isAlive(bob.address);
    const first = headOf((await bob.receive())?.data ?? new Uint8Array());
    const second = headOf((await bob.receive())?.data ?? new Uint8Array(), false);
    assertEquals([first, second.id], [{ code: 1, id: first.id }, first.id]);
    await bob.send(anything(code, first.id), alice.address);
    assertEquals(await asking, true);
  }
});

Deno.test("PeerConnectDiscovery.isAlive believes nobody else, and no other id, and gives up in time", async () => {
  await using village = new Village();
  const alice = await village.node("alice");
  const bob = await village.socket("bob");
  const mallory = await village.socket("mallory");
  const elsewhere = await village.socket("bob");
  const asking = alice.discovery.isAlive(bob.address);
  const { id } = headOf((await bob.receive())?.data ?? new Uint8Array());
  await mallory.send(anything(1, id), alice.address);
  await elsewhere.send(anything(1, id), alice.address);
  await bob.send(anything(1, UUID), alice.address);
  let answer: boolean | undefined;
  void asking.then((alive) => answer = alive);
  await village.clock.advance(LIVENESS_MS - 1);
  assertEquals(answer, undefined);
  await village.clock.advance(1);
  assertEquals(answer, false); // and nothing listens there
  await bob.send(anything(1, id), alice.address); // too late
  await settle();
});

Deno.test("PeerConnectDiscovery.isAlive connects where no packet comes back, and writes an empty frame", async () => {
  await using village = new Village();
  const alice = await village.node("alice");
  const bob = await village.socket("bob");
  const listener = await village.network.host("bob").listen({ port: 3485 });
  const accepted = listener.accept();
  const asking = alice.discovery.isAlive(bob.address, { timeoutMs: 500 });
  await village.clock.advance(500);
  assertEquals(await asking, true);
  const connection = await accepted;
  const into = new Uint8Array(8);
  assertEquals([await connection?.read(into), into], [4, new Uint8Array(8)]);
  assertEquals(await connection?.read(into), null);
  connection?.close();
  listener.close();
  assertEquals(await alice.discovery.isAlive({ hostname: "nobody", port: 1 }), false);
});

Deno.test("PeerConnectDiscovery.isAlive gives up a connection that takes too long, or when it is told to", async () => {
  await using village = new Village();
  const transport = { ...only(village.network.host("alice")), connect: never };
  const alice = await village.node("alice", { transport });
  const { address } = await village.socket("bob");
  const slow = alice.discovery.isAlive(address, { timeoutMs: 300 });
  await village.clock.advance(599);
  assertEquals(await Promise.race([slow, Promise.resolve("waiting")]), "waiting");
  await village.clock.advance(1);
  assertEquals(await slow, false);
  for (const ms of [0, 4_000]) {
    const stop = new AbortController();
    const reason = new Error("enough");
    const asking = assertRejects(
      () => alice.discovery.isAlive(address, { signal: stop.signal }),
      Error,
      "enough",
    );
    await village.clock.advance(ms);
    stop.abort(reason);
    await asking;
  }
  const closing = assertRejects(() => alice.discovery.isAlive(address), ClosedError);
  await alice.discovery.close();
  await closing;
  await assertRejects(() => alice.discovery.isAlive(address), ClosedError, "is closed");
});

Deno.test("PeerConnectDiscovery.isAlive says so where it may not ask", async () => {
  await using village = new Village();
  const connect = () =>
    Promise.reject(new UnsupportedError("Cannot connect: run with --allow-net"));
  const transport = { ...only(village.network.host("alice")), connect };
  const alice = await village.node("alice", { transport });
  const asking = assertRejects(
    () => alice.discovery.isAlive({ hostname: "alice", port: 1 }),
    UnsupportedError,
  );
  await village.clock.advance(LIVENESS_MS);
  await asking;
});

Deno.test("an endpoint takes any number of probes of liveness for what they are", async () => {
  await using served = await Served.open();
  const { clock, network } = served;
  const transport = network.host("alice");
  await using alice = await Node.open("alice", {
    transport,
    clock,
    interfaces: () => [interfaceOf("alice")],
  });
  const target: Address = { hostname: SERVER.hostname, port: 9 };
  const probes = Array.from({ length: 40 }, () => {
    return alice.discovery.isAlive(target, { tcpPort: SERVER.port });
  });
  await clock.advance(LIVENESS_MS);
  assertEquals(await Promise.all(probes), probes.map(() => true));
  await settle();
  assertEquals(served.metrics.snapshot(), { "accept.probes": 40 });
  assertEquals(served.log.lines.filter(({ level }) => level !== "debug"), []);
  const client = await served.client("alice");
  await (await client.connect(SERVER)).close();
});

Deno.test("PeerConnectDiscovery.isAlive on real sockets of this machine", async () => {
  const hostname = "127.0.0.1";
  const interfaces = () => [interfaceOf(hostname, { name: "lo", loopback: true })];
  const common = { transport: netTransport, hostname, interfaces };
  const free = await netTransport.datagram({ hostname });
  await using alice = await Node.open("alice", { ...common, port: free.address.port });
  await using bob = await Node.open("bob", { ...common, port: free.address.port });
  assertEquals(await alice.discovery.isAlive(bob.address, { timeoutMs: 2_000 }), true);
  const listener = await netTransport.listen({ hostname });
  const tcpPort = listener.address.port;
  const accepting = listener.accept();
  assertEquals(await alice.discovery.isAlive(free.address, { timeoutMs: 50, tcpPort }), true);
  (await accepting)?.close();
  listener.close();
  assertEquals(await alice.discovery.isAlive(free.address, { timeoutMs: 50, tcpPort }), false);
  free.close();
});

function only(transport: Transport): Transport {
  return {
    listen: (options) => transport.listen(options),
    connect: (to, options) => transport.connect(to, options),
    datagram: (options) => transport.datagram(options),
  };
}

function unexpected(): Promise<never> {
  return Promise.reject(new TypeError("Nobody is to be connected to"));
}

const never: Transport["connect"] = (_, { signal } = {}) => {
  return new Promise((_, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
};
