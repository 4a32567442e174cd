import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ManualClock } from "../../../src/clock.ts";
import { LIST_KEYS, listKeyFor } from "../../../src/dht/dialects/list_keys.ts";
import {
  FIRST_REGISTRATION_MS,
  REGISTRATION_MS,
} from "../../../src/dht/dialects/list_registration.ts";
import { LIST_SEARCH_MS, type ListedPeer } from "../../../src/dht/dialects/list_search.ts";
import type { PeerConnectNetwork } from "../../../src/dht/dialects/peerconnect_network.ts";
import { ClosedError } from "../../../src/errors.ts";
import { type Address, MemoryNetwork } from "../../../src/transport/mod.ts";
import type { RemotePeer } from "../../../src/wire/remote_peer.ts";
import { passing } from "../lookup_fixture.ts";
import { callIn, DialectPort, idOf, peerConnectOn, Swarm, unwrap } from "./dialect_fixture.ts";

/** Calls of a method that went out of a port. */
function countCalls(port: DialectPort, method: string): { count: number } {
  const calls = { count: 0 };
  const send = port.send.bind(port);
  port.send = (packet, to) => {
    const inner = unwrap(packet);
    if (inner[0] === 0 && callIn(inner).method === method) calls.count++;
    return send(packet, to);
  };
  return calls;
}

/** Nodes of a network in memory whose time a test makes. */
class Village implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork({ clock: this.clock });
  readonly swarm = new Swarm();

  /** A node on a host of its name; it does not join. */
  async node(
    name: string,
    { onPort = () => {}, ...options }: Parameters<typeof peerConnectOn>[2] & {
      onPort?: (port: DialectPort) => void;
    } = {},
  ): Promise<PeerConnectNetwork> {
    const transport = this.network.host(name);
    const port = await DialectPort.open({ transport, clock: this.clock });
    onPort(port);
    return await this.swarm.add((port) => peerConnectOn(port, name, options), port);
  }

  /** Nodes of these names that know each other and are in the lists. */
  async crowd(...names: string[]): Promise<PeerConnectNetwork[]> {
    const nodes = [];
    for (const name of names) nodes.push(await this.joined(await this.node(name)));
    await this.clock.advance(FIRST_REGISTRATION_MS + REGISTRATION_MS);
    return nodes;
  }

  /** A node that has joined where the first one is. */
  async joined(node: PeerConnectNetwork): Promise<PeerConnectNetwork> {
    await this.passing(node.join(this.swarm.addresses.slice(0, 1)));
    return node;
  }

  /** What a search finds. */
  async found(search: AsyncIterable<ListedPeer>): Promise<ListedPeer[]> {
    return await this.passing(Array.fromAsync(search));
  }

  passing<T>(work: Promise<T>): Promise<T> {
    return passing(this.clock, work);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.swarm[Symbol.asyncDispose]();
    this.network.close();
  }
}

function namesOf(found: readonly ListedPeer[]): (string | null)[] {
  return found.map(({ peer }) => peer.username).toSorted();
}

function peerAt(id: Uint8Array, username: string): RemotePeer {
  return { id, username, ip: "192.0.2.9", tcpPort: 1, udpPort: 1, status: 1 };
}

const STRANGER: Address = { hostname: "stranger", port: 1 };

Deno.test("PeerConnectNetwork: nodes on this machine get what each other set", async () => {
  await using swarm = new Swarm();
  const nodes: PeerConnectNetwork[] = [];
  for (const name of ["alice", "bob", "carol", "dave", "erin"]) {
    const node = await swarm.add((port) => peerConnectOn(port, name));
    await node.join(swarm.addresses.slice(-2, -1));
    nodes.push(node);
  }
  for (const [nth, { values }] of nodes.entries()) await values.set(`key ${nth}`, `value ${nth}`);
  for (const { values } of nodes) {
    for (const nth of nodes.keys()) {
      const found = await values.get(`key ${nth}`, { fresh: true });
      assertEquals(found?.value, `value ${nth}`);
    }
    const names = values.neighbors().map(({ name, tcpPort }) => [name, tcpPort]);
    assert(names.length === 4 && names.every(([name, port]) => name !== null && port === 3485));
  }
});

Deno.test("PeerConnectNetwork is in the list of the nearest key 3 s after it joined, and then every 7 s", async () => {
  await using village = new Village();
  const bob = await village.node("bob");
  let calls = { count: 0 };
  const onPort = (port: DialectPort) => calls = countCalls(port, "store_peers_in_list");
  const alice = await village.joined(await village.node("alice", { onPort }));
  const key = listKeyFor(alice.values.node.self);
  const { lists } = bob.values.wire;
  const sinceMs = village.clock.now();
  await village.clock.advance(FIRST_REGISTRATION_MS - 100);
  assertEquals([calls.count, lists.size], [0, 0]);
  for (let nth = 1; nth <= 4; nth++) {
    const atMs = FIRST_REGISTRATION_MS + (nth - 1) * REGISTRATION_MS + 100;
    await village.clock.advance(sinceMs + atMs - village.clock.now());
    assertEquals([calls.count, lists.size, lists.entries(key).length], [nth, 1, 1]);
  }
  await alice.close();
  await village.clock.advance(20 * REGISTRATION_MS);
  assertEquals(calls.count, 4);
});

Deno.test("PeerConnectNetwork tries again after twice the time as long as nobody takes it", async () => {
  await using village = new Village();
  const alice = await village.node("alice", { self: idOf(0x01) });
  await village.passing(alice.join());
  const sinceMs = village.clock.now();
  await village.clock.advance(10_000); // after attempts at 3 s and 9 s
  const bob = await village.joined(await village.node("bob", { self: idOf(0xf0) }));
  const { lists } = bob.values.wire;
  const own = listKeyFor(alice.values.node.self);
  await village.clock.advance(sinceMs + 20_900 - village.clock.now());
  assertEquals(lists.entries(own).length, 0);
  await village.clock.advance(300);
  assertEquals(lists.entries(own).length, 1);
});

Deno.test("PeerConnectNetwork finds peers by name, each once and never itself", async () => {
  await using village = new Village();
  const [bob, bobby] = await village.crowd("bob", "bobby", "carol", "dave", "Bob the second");
  assert(bob !== undefined && bobby !== undefined);
  const found = await village.found(bob.search("bob"));
  assertEquals(namesOf(found), ["bobby"]);
  const [{ peerId, peer } = { peerId: "", peer: undefined }] = found;
  assertEquals([peerId, peer?.ip], [bobby.values.node.self.toHex(), "bobby"]);
  assertEquals(namesOf(await village.found(bobby.search("ob"))), ["Bob the second", "bob"]);
  assertEquals(namesOf(await village.found(bob.search(""))).length, 4);
  assertEquals(await village.found(bob.search("nobody")), []);
});

Deno.test("PeerConnectNetwork finds peers of nodes that answer no search, as the originals", async () => {
  await using village = new Village();
  const [, , , dave] = await village.crowd("bob", "bobby", "carol", "dave");
  assert(dave !== undefined);
  const port = village.swarm.ports[3];
  assert(port !== undefined);
  const send = port.send.bind(port);
  port.send = (packet, to) => {
    const inner = unwrap(packet);
    const isSearch = inner[0] === 0 && callIn(inner).method === "search_peers";
    return isSearch ? Promise.resolve() : send(packet, to);
  };
  const startMs = village.clock.now();
  const search = dave.search("bob");
  const first = await village.passing(search.next());
  const second = await village.passing(search.next());
  assert(village.clock.now() - startMs < 500, "no list waits for who does not answer");
  assertEquals([first, second].map(({ value }) => value?.peer.username).toSorted(), [
    "bob",
    "bobby",
  ]);
  assertEquals((await village.passing(search.next())).done, true);
  assert(village.clock.now() - startMs < LIST_SEARCH_MS);
});

Deno.test("PeerConnectNetwork.search gives 64 peers at most", async () => {
  await using village = new Village();
  const [alice] = await village.crowd("alice", "bob");
  assert(alice !== undefined);
  const { lists } = alice.values.wire;
  for (let nth = 0; nth < 100; nth++) {
    lists.store(LIST_KEYS[nth % 20] ?? idOf(), peerAt(idOf(1, nth), "peer"), STRANGER);
  }
  assertEquals((await village.found(alice.search("peer"))).length, 64);
});

Deno.test("PeerConnectNetwork.search ends with its time, its signal, the loop and the node", async () => {
  await using village = new Village();
  const [alice] = await village.crowd("alice", "bob", "carol");
  assert(alice !== undefined);
  for (const port of village.swarm.ports.slice(1)) await port.endpoint.close();
  const startMs = village.clock.now();
  await village.found(alice.search("x", { timeoutMs: 700 }));
  const tookMs = village.clock.now() - startMs;
  assert(tookMs >= 700 && tookMs <= 800, `${tookMs} ms`);

  const controller = new AbortController();
  const aborted = Array.fromAsync(alice.search("x", controller));
  controller.abort();
  assertEquals(await aborted, []);
  assertEquals(await Array.fromAsync(alice.search("x", controller)), []);

  alice.values.wire.lists.store(LIST_KEYS[0] ?? idOf(), peerAt(idOf(1), "x"), STRANGER);
  for await (const { peer } of alice.search("x")) {
    assertEquals(peer.username, "x");
    break;
  }

  const closed = Array.fromAsync(alice.search("y"));
  await alice.close();
  assertEquals(await closed, []);
  assertThrows(() => alice.search("y"), ClosedError);
  await alice.close();
});

Deno.test("PeerConnectNetwork.search refuses what nobody could answer", async () => {
  await using village = new Village();
  const alice = await village.node("alice");
  assertThrows(() => alice.search("x".repeat(257)), RangeError, "257");
  assertThrows(() => alice.search("x", { timeoutMs: 0 }), RangeError, "timeoutMs");
});

Deno.test("PeerConnectNetwork gives a newcomer the lists that it should keep", async () => {
  await using village = new Village();
  const [first = idOf()] = LIST_KEYS;
  // Between the newcomer and the first key, so that it is up to it to give that list.
  const alice = await village.node("alice", { self: idOf(0x01) });
  await village.joined(alice);
  const bob = await village.joined(await village.node("bob", { self: idOf(0xf0) }));
  await village.clock.advance(FIRST_REGISTRATION_MS + REGISTRATION_MS);
  for (const nth of [1, 2, 3]) {
    alice.values.wire.lists.store(first, peerAt(idOf(9, nth), `peer ${nth}`), STRANGER);
  }
  const carol = await village.joined(await village.node("carol", { self: idOf(0x02) }));
  await village.clock.advance(2 * REGISTRATION_MS);
  const { lists } = carol.values.wire;
  assertEquals(lists.search("peer").length, 3);
  assertEquals(bob.values.wire.lists.search("peer").length, 0, "who was there has had its share");
});

Deno.test("PeerConnectNetwork refuses a port whose code 00 somebody has, and joins no more once closed", async () => {
  await using village = new Village();
  const alice = await village.node("alice");
  const [port] = village.swarm.ports;
  assert(port !== undefined);
  assertThrows(() => peerConnectOn(port, "other"), TypeError);
  await alice[Symbol.asyncDispose]();
  await assertRejects(() => alice.join(), ClosedError);
});
