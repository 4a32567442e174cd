import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import type { PeerConnectNetwork } from "../src/dht/dialects/peerconnect_network.ts";
import { ClosedError, NotFoundError } from "../src/errors.ts";
import { type Dialect, Peer, type PeerOptions } from "../src/peer.ts";
import type { KademliaDialect } from "../src/peer_kademlia.ts";
import type { Address } from "../src/transport/mod.ts";
import { hostFacing } from "../src/peer_record.ts";
import { Identity } from "../src/secure/identity.ts";
import { passing } from "./dht/lookup_fixture.ts";
import { CountingClock } from "./endpoint/fixture.ts";
import { ScratchHome } from "./secure/home_fixture.ts";
import { Town } from "./town.ts";

const BOTH: readonly Dialect[] = ["kademlia", "peerconnect"];
const NETWORKS: readonly KademliaDialect[] = ["kademlia", "peerconnect"];

/** Peers of this machine. */
function open(options: PeerOptions = {}): Promise<Peer> {
  const here = { hostname: "127.0.0.1", port: 0, announce: false };
  return Peer.open({ ...here, dialects: ["kademlia"], ...options });
}

/** Where a peer takes packets. */
function udpOf({ udpAddress }: Peer): Address {
  assert(udpAddress !== undefined);
  return udpAddress;
}

/** What is set and got in a network, whichever it is. */
function valuesOf(peer: Peer, dialect: KademliaDialect) {
  return dialect === "kademlia" ? peer.kademlia() : peer.kademlia("peerconnect").values;
}

/** Peers on a network in memory. */
class Village extends Town {
  override readonly clock = new CountingClock();

  async peer(host: string, options: PeerOptions = {}): Promise<Peer> {
    const limits = { heartbeatMs: Infinity };
    return await this.open(host, { name: host, limits, dialects: BOTH, ...options });
  }

  run<T>(work: Promise<T>): Promise<T> {
    return passing(this.clock, work);
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await this.run(super[Symbol.asyncDispose]());
    assertEquals(this.clock.timers, 0, "a timer is left");
  }
}

Deno.test("Peer.kademlia: two peers on this machine get what each other set", async () => {
  await using alice = await open();
  await using bob = await open();
  assertEquals(await bob.kademlia().join([udpOf(alice)]), 1);
  assertEquals((await bob.kademlia().set("tea", "green")).holders, 1);
  assertEquals((await alice.kademlia().get("tea", { fresh: true }))?.value, "green");
  await alice.kademlia("kademlia").set("tea", 7);
  assertEquals((await bob.kademlia("kademlia").get("tea"))?.value, 7);
  // The native DHT of the same peers is another.
  assertEquals(bob.dht.stat().nodes, 0);
});

for (const dialect of NETWORKS) {
  Deno.test(`Peer.kademlia: peers of dialect ${dialect} set and get, each with its own id`, async () => {
    await using village = new Village();
    const [ann, bob] = [await village.peer("10.0.0.1"), await village.peer("10.0.0.2")];
    const [ours, theirs] = [valuesOf(ann, dialect), valuesOf(bob, dialect)];
    assertEquals([ours.stat().id, theirs.stat().id], [ann.peerId, bob.peerId]);
    await village.run(ours.join([udpOf(bob)]));
    await village.clock.advance(1_000);
    assertEquals(theirs.neighbors().map(({ key }) => key), [ann.peerId]);
    await village.run(ours.set("tea", "green"));
    assertEquals((await village.run(theirs.get("tea")))?.value, "green");
    // What is in one network is not in the other.
    const other = dialect === "kademlia" ? "peerconnect" : "kademlia";
    assertEquals(await village.run(valuesOf(bob, other).get("tea")), undefined);
  });
}

Deno.test("Peer.kademlia gives the same network each time, and none to a client or for a dialect that is off", async () => {
  await using village = new Village();
  const both = await village.peer("10.0.0.1");
  assertStrictEquals(both.kademlia(), both.kademlia("kademlia"));
  assertStrictEquals(both.kademlia("peerconnect"), both.kademlia("peerconnect"));
  const plain = await village.peer("10.0.0.2", { dialects: [] });
  const half = await village.peer("10.0.0.3", { dialects: ["peerconnect"] });
  const client = await village.peer("10.0.0.4", { clientOnly: true });
  for (
    const [peer, dialect] of [
      ...NETWORKS.flatMap((dialect) => [[plain, dialect], [client, dialect]] as const),
      [half, "kademlia"],
    ] as const
  ) {
    const get = () => dialect === "kademlia" ? peer.kademlia() : peer.kademlia(dialect);
    assertThrows(get, TypeError, `does not speak ${dialect} (dialects), or is a client`);
  }
  assert(half.kademlia("peerconnect").values !== undefined);
});

Deno.test("Peer.kademlia answers from the start, and asks nobody before it joins", async () => {
  await using village = new Village();
  const [ann, bob] = [await village.peer("10.0.0.1"), await village.peer("10.0.0.2")];
  assertEquals(await village.run(ann.kademlia().join([udpOf(bob)])), 1);
  const silent = await village.peer("10.0.0.3");
  await village.clock.advance(60_000);
  assertEquals(silent.kademlia().stat().nodes, 0);
  const error = await assertRejects(
    () => village.run(silent.kademlia().set("tea", 1)),
    NotFoundError,
  );
  assertEquals(error.code, "no-peer");
});

Deno.test("Peer.kademlia: PeerConnect's nodes find each other by its discovery, and by name in its lists", async () => {
  await using village = new Village();
  const dialects: readonly Dialect[] = ["peerconnect"];
  const ann = await village.peer("10.0.0.1", { dialects, name: "ann" });
  const bob = await village.peer("10.0.0.2", { dialects, name: "bob" });
  const quiet = await village.peer("10.0.0.3", { dialects, name: "quiet", announce: false });
  const all: PeerConnectNetwork[] = [ann, bob, quiet].map((peer) => peer.kademlia("peerconnect"));
  const [a, b] = all;
  assert(a !== undefined && b !== undefined);
  for (let n = 0; n < 100 && a.values.stat().nodes === 0; n++) await village.clock.advance(100);
  assert(a.values.neighbors().some(({ key }) => key === bob.peerId));
  await village.clock.advance(15_000);
  const found = await village.run(Array.fromAsync(a.search("bob")));
  const record = found.map(({ peer }) => [peer.id.toHex(), peer.username, peer.ip, peer.tcpPort]);
  assertEquals(record, [[bob.peerId, "bob", "10.0.0.2", village.addressOf("10.0.0.2").port]]);
  // Who is not to be found by name gives none.
  assertEquals(await village.run(Array.fromAsync(a.search("quiet"))), []);
});

Deno.test("Peer.kademlia keeps what others set in the home, and knows them when it comes back", async () => {
  using scratch = new ScratchHome();
  await using village = new Village();
  const bob = await village.peer("10.0.0.2");
  const options: PeerOptions = { home: scratch.home, identity: Identity.generate() };
  const before = await village.peer("10.0.0.1", options);
  for (const dialect of NETWORKS) {
    await village.run(valuesOf(before, dialect).join([udpOf(bob)]));
    await village.clock.advance(1_000);
    await village.run(valuesOf(bob, dialect).set(dialect, "kept"));
  }
  await village.run(before.close());
  const after = await village.peer("10.0.0.1", options);
  for (const dialect of NETWORKS) {
    const values = valuesOf(after, dialect);
    assertEquals(values.stat().records, 1, dialect);
    assertEquals(await village.run(values.join()), 1, dialect);
    assertEquals((await village.run(values.get(dialect)))?.value, "kept");
  }
});

Deno.test("Peer.kademlia ends with the peer", async () => {
  await using village = new Village();
  const [ann, bob] = [await village.peer("10.0.0.1"), await village.peer("10.0.0.2")];
  for (const dialect of NETWORKS) {
    await village.run(valuesOf(ann, dialect).join([udpOf(bob)]));
  }
  const [plain, peerconnect] = [ann.kademlia(), ann.kademlia("peerconnect")];
  await village.run(ann.close());
  await village.run(ann.close());
  for (const work of [() => plain.get("tea"), () => peerconnect.values.set("tea", 1)]) {
    await assertRejects(() => work(), ClosedError);
  }
  assertThrows(() => peerconnect.search("bob"), ClosedError);
  await assertRejects(() => plain.join([udpOf(bob)]), ClosedError);
});

Deno.test("hostFacing is of our addresses the one most like the asker's", () => {
  const interfaces = () =>
    ["192.168.7.2", "10.0.0.5", "10.9.0.5"].map((address, index) => ({
      ...{ name: `eth${index}`, family: "IPv4", address, index, loopback: false } as const,
      broadcast: undefined,
    }));
  for (
    const [asker, own] of [
      ["10.0.0.77", "10.0.0.5"],
      ["10.9.200.1", "10.9.0.5"],
      ["192.168.1.1", "192.168.7.2"],
      ["127.0.0.1", "127.0.0.1"],
    ] as const
  ) {
    assertEquals(hostFacing(asker, { interfaces }), own, asker);
  }
  assertEquals(hostFacing("10.0.0.1", { interfaces: () => [] }), "");
  assertEquals(hostFacing("8.8.8.8", { interfaces, hostname: "10.9.0.5" }), "10.9.0.5");
});
