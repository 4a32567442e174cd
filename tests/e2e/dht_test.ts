import { assert, assertEquals, assertRejects } from "@std/assert";
import { InvalidPacketError, NotFoundError, RemoteError } from "../../src/errors.ts";
import { until } from "./process.ts";
import { Home } from "../../src/state/home.ts";
import { Identity } from "../../src/secure/identity.ts";
import { Network } from "../../src/secure/network.ts";
import { Peer, type PeerOptions } from "../../src/peer.ts";

const COMMON: PeerOptions = { hostname: "127.0.0.1", port: 0, announce: false };

/** What those in a closed network share. */
const KEY = new Uint8Array(32).fill(7);

/** Peers on real sockets, of which all but the first know the first. */
class Town implements AsyncDisposable {
  readonly peers: Peer[] = [];
  #first: Promise<unknown> | undefined;

  static async open(count: number, options: PeerOptions = {}): Promise<Town> {
    await using stack = new AsyncDisposableStack();
    const town = stack.use(new Town());
    for (let n = 0; n < count; n++) await town.#add(options);
    await town.settled();
    stack.move();
    return town;
  }

  get seeds() {
    return this.peers.slice(0, 1).flatMap(({ address = [] }) => address);
  }

  async #add(options: PeerOptions): Promise<void> {
    const peer = await Peer.open({ ...COMMON, seeds: this.seeds, ...options });
    this.peers.push(peer);
    const joining = peer.dht.join();
    // The first is there at once, and only then looks in vain for others.
    if (this.peers.length === 1) this.#first = joining;
    else await joining;
  }

  /** Who has come is asked back by each; then all know all, or as many as a table has room for. */
  async settled(others = 0): Promise<void> {
    const most = Math.min(this.peers.length - 1 + others, 19);
    const servers = this.peers.filter(({ dht }) => dht.mode === "server");
    await until("all know each other", () => {
      return servers.every(({ dht }) => dht.stat().nodes >= most);
    });
  }

  at(index: number): Peer {
    const peer = this.peers.at(index);
    if (peer === undefined) throw new RangeError(`There is no peer ${index}`);
    return peer;
  }

  async [Symbol.asyncDispose]() {
    await Promise.all(this.peers.map((peer) => peer.close()));
    await this.#first;
  }
}

Deno.test("50 nodes keep 1,000 values, and all of them when a third is gone", async () => {
  await using town = await Town.open(50);
  const { peers } = town;
  const keys: string[] = [];
  for (let n = 0; n < 1_000; n++) {
    const { key, holders } = await town.at(n % 50).dht.store(`value ${n}`);
    assert(holders >= 8, `${holders} nodes keep value ${n}`);
    keys.push(key);
  }
  const readAll = async (readers: readonly Peer[]) => {
    const missing: string[] = [];
    for (const [n, key] of keys.entries()) {
      const reader = readers[(n * 7 + 3) % readers.length];
      const found = await reader?.dht.fetch(key, { fresh: true });
      if (found?.value !== `value ${n}`) missing.push(`${n}`);
    }
    return missing;
  };
  assertEquals(await readAll(peers), []);
  const gone = peers.filter((_, n) => n % 3 === 1);
  await Promise.all(gone.map((peer) => peer.close()));
  assertEquals(await readAll(peers.filter((peer) => !gone.includes(peer))), []);
});

Deno.test("a node that comes back finds the others by itself within two seconds, and has what it kept", async () => {
  const dir = await Deno.makeTempDir();
  const home = Home.open(dir);
  const identity = Identity.generate();
  try {
    await using town = await Town.open(8);
    const key = await (async () => {
      await using before = await Peer.open({ ...COMMON, home, identity, seeds: town.seeds });
      await before.dht.join();
      await town.settled(1);
      const { key } = await town.at(3).dht.store("kept");
      assertEquals(before.dht.stat().records, 1);
      return key;
    })();
    await using after = await Peer.open({ ...COMMON, home, identity });
    const startMs = performance.now();
    assertEquals(await after.dht.join(), 8);
    assert(performance.now() - startMs < 2_000);
    assertEquals(after.dht.stat().records, 1);
    assertEquals((await after.dht.fetch(key))?.hops, 0);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("a value has an author, who alone changes it; others put theirs beside it", async () => {
  await using town = await Town.open(6);
  const [ann, bob, eve] = [town.at(1), town.at(2), town.at(3)];
  const first = await ann.dht.put("tea", { hot: true });
  await ann.dht.put("tea", { hot: false });
  await bob.dht.put("tea", "none");
  const found = await eve.dht.get("tea", { author: ann.peerId, own: false });
  assertEquals([found?.value, found?.author], [{ hot: false }, ann.peerId]);
  assert((found?.seq ?? 0) > (first.seq ?? Infinity));
  assertEquals(found?.others.map(({ value, author }) => [value, author]), [["none", bob.peerId]]);
  // What is our own is in a place of its own.
  await ann.dht.put("tea", "secret recipe", { own: true });
  assertEquals((await eve.dht.get("tea", { author: ann.peerId }))?.value, "secret recipe");
  assertEquals(await eve.dht.get("tea", { author: bob.peerId }), undefined);
  assertEquals(await eve.dht.get("coffee"), undefined);
});

Deno.test("of two that change a value at once at most one is told that it did", async () => {
  await using town = await Town.open(6);
  const ann = town.at(1);
  const { seq = 0 } = await ann.dht.put("count", 1);
  const raced = await Promise.allSettled([2, 3].map((n) => ann.dht.put("count", n, { cas: seq })));
  const won = raced.filter(({ status }) => status === "fulfilled");
  assert(won.length <= 1, "both won");
  const error = await assertRejects(() => ann.dht.put("count", 4, { cas: seq }), RemoteError);
  assertEquals(error.code, "not-allowed");
  assert(Number(error.details.seq) > seq);
});

Deno.test("a value of 64 KiB travels over connections; a larger one is refused here", async () => {
  await using town = await Town.open(5);
  const large = new Uint8Array(65_536 - 5).fill(7);
  const { key, holders } = await town.at(1).dht.store(large);
  assertEquals(holders, 4);
  assertEquals((await town.at(3).dht.fetch(key, { fresh: true }))?.value, large);
  const error = await assertRejects(() => town.at(1).dht.store(new Uint8Array(65_536)));
  assert(error instanceof RangeError || error instanceof InvalidPacketError);
});

Deno.test("values that nobody signs are for closed networks", async () => {
  await using open = await Town.open(2);
  await assertRejects(() => open.at(0).dht.put("x", 1, { plain: true }), TypeError, "sign");
  await using closed = await Town.open(3, {
    network: new Network("home", [KEY]),
  });
  await closed.at(1).dht.put("x", 1, { plain: true });
  await closed.at(2).dht.put("x", 2, { plain: true });
  const found = await closed.at(0).dht.get("x", { plain: true, fresh: true });
  assertEquals([found?.value, found?.author], [2, undefined]);
});

Deno.test("a client asks and is asked by nobody; one that is alone is told so", async () => {
  await using town = await Town.open(4);
  await using client = await Peer.open({ ...COMMON, clientOnly: true, seeds: town.seeds });
  await town.at(1).dht.put("greeting", "hello");
  assertEquals((await client.dht.get("greeting"))?.value, "hello");
  assertEquals(client.dht.mode, "client");
  assertEquals((await client.dht.put("mine", 1)).holders, 4);
  assertEquals(town.peers.map(({ dht }) => dht.stat().nodes), [3, 3, 3, 3]);
  await assertRejects(() => client.dht.provide("lamp"), TypeError, "client");
  await using alone = await Peer.open({ ...COMMON, clientOnly: true });
  const error = await assertRejects(() => alone.dht.put("x", 1), NotFoundError, "no node");
  assertEquals(error.code, "no-peer");
  assertEquals(await alone.dht.get("x"), undefined);
});

Deno.test("who provides something is found by its name, and connected to by name or id", async () => {
  await using town = await Town.open(5);
  const bob = town.at(3);
  await bob.dht.provide("lamp", { watts: 7 });
  await using client = await Peer.open({ ...COMMON, clientOnly: true });
  const [gateway] = town.seeds;
  assert(gateway !== undefined && bob.address !== undefined);
  assertEquals(await client.dht.join({ peers: [gateway] }) > 0, true);
  const [lamp, ...others] = await client.dht.providers("lamp");
  assertEquals(others, []);
  assertEquals([lamp?.peerId, lamp?.data], [bob.peerId, { watts: 7 }]);
  assert(lamp?.addresses.some(({ port }) => port === bob.address?.port));
  assertEquals(await client.find(bob.peerId), {
    peerId: bob.peerId,
    addresses: [bob.address],
    via: "dht",
  });
  {
    await using link = await client.link(bob.peerId);
    assertEquals(link.peer.peerId, bob.peerId);
    assertEquals((await client.find(bob.peerId))?.via, "table");
  }
  // Somebody who only knows the address of one of them.
  await using stranger = await Peer.open({ ...COMMON, clientOnly: true });
  for (const target of [bob.peerId, "lamp"]) {
    await using link = await stranger.link(target, { peers: [gateway] });
    assertEquals(link.peer.peerId, bob.peerId);
  }
  await assertRejects(() => client.find("bob"), TypeError, "40");
  assertEquals(await client.find("ab".repeat(20)), undefined);
});

Deno.test("a trace has who was asked, by whom it was named, and what it answered", async () => {
  await using town = await Town.open(6);
  const { key } = await town.at(1).dht.store("traced");
  const events = await Array.fromAsync(town.at(5).dht.trace(key));
  const types = new Set(events.map(({ type }) => type));
  assertEquals(types, new Set(["asked", "answered", "done"]));
  const answered = events.filter((event) => event.type === "answered");
  assert(answered.some(({ answer }) => answer.records.length > 0));
  assert(answered.every(({ rttMs, depth }) => rttMs >= 0 && depth === 1));
  await assertRejects(() => town.at(1).dht.find("nonsense"), TypeError, "40 hexadecimal");
});

Deno.test("a peer that only certain others may reach asks, and is asked by nobody", async () => {
  await using town = await Town.open(2, { access: "private" });
  assertEquals(town.peers.map(({ dht }) => dht.mode), ["client", "client"]);
});
