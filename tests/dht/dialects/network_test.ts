import { assert, assertEquals, assertRejects } from "@std/assert";
import { ManualClock, seededRandom } from "../../../src/clock.ts";
import { KademliaWire } from "../../../src/dht/dialects/kademlia.ts";
import { KademliaNetwork, type WireParts } from "../../../src/dht/dialects/network.ts";
import { digestOf, type KademliaValue } from "../../../src/dht/dialects/values.ts";
import { MemoryStorage } from "../../../src/dht/storage.ts";
import { ClosedError, InvalidPacketError, NotFoundError } from "../../../src/errors.ts";
import { MemoryNetwork } from "../../../src/transport/mod.ts";
import { Float64 } from "../../../src/wire/msgpack_types.ts";
import { passing, randomId } from "../lookup_fixture.ts";
import { DialectPort, idOf, kademliaOn, Swarm, valueAt } from "./dialect_fixture.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Nodes of this machine, each joined by the one before. Their ids are always the same. */
async function neighbors(
  swarm: Swarm,
  count: number,
  options: Parameters<typeof kademliaOn>[1] = {},
): Promise<KademliaNetwork<KademliaWire>[]> {
  const random = seededRandom(count);
  const nodes = [];
  for (let nth = 0; nth < count; nth++) {
    const self = randomId(random);
    const node = await swarm.add((port) => kademliaOn(port, { self, ...options }));
    await node.join(swarm.addresses.slice(-2, -1));
    nodes.push(node);
  }
  return nodes;
}

/** Nodes of a network in memory whose time a test makes. */
class Village implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork({ clock: this.clock });
  readonly swarm = new Swarm();

  async node(
    name: string,
    options: Parameters<typeof kademliaOn>[1] = {},
  ): Promise<KademliaNetwork<KademliaWire>> {
    const transport = this.network.host(name);
    const port = await DialectPort.open({ transport, clock: this.clock });
    return await this.swarm.add((port) => kademliaOn(port, options), port);
  }

  /** Lets time pass until something is done. */
  passing<T>(work: Promise<T>): Promise<T> {
    return passing(this.clock, work);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.swarm[Symbol.asyncDispose]();
    this.network.close();
  }
}

// With k = 20 each keeps everything; with k = 3 what is asked for is mostly elsewhere.
for (const k of [20, 3]) {
  Deno.test(`KademliaNetwork: ten nodes on this machine get what each of them set, k = ${k}`, async () => {
    await using swarm = new Swarm();
    const nodes = await neighbors(swarm, 10, { tuning: { k, replicas: k } });
    for (const [nth, node] of nodes.entries()) {
      for (let at = 0; at < 3; at++) {
        const { key, holders, refused, silent } = await node.set(`${nth} ${at}`, `${nth}-${at}`);
        assertEquals([key, refused, silent], [digestOf(`${nth} ${at}`).toHex(), 0, 0]);
        assert(holders >= Math.min(k, 8), `${holders} keep it`);
      }
    }
    for (const reader of nodes) {
      for (const nth of nodes.keys()) {
        for (let at = 0; at < 3; at++) {
          const found = await reader.get(`${nth} ${at}`, { fresh: true });
          assert(found?.value === `${nth}-${at}`, `it is ${found?.value}`);
          assert(found.hops > 0 && found.asked > 0);
        }
      }
    }
    if (k === 3) assert(nodes.every(({ node }) => node.keeper.totals.records < 20));
    const faults = swarm.ports.flatMap(({ log }) => log.lines);
    assertEquals(faults.filter(({ level }) => level !== "debug"), []);
  });
}

Deno.test("KademliaNetwork gives values of every type back, and undefined for none", async () => {
  await using swarm = new Swarm();
  const [alice, bob] = await neighbors(swarm, 2);
  assert(alice !== undefined && bob !== undefined);
  const values: KademliaValue[] = [0, -1, 2 ** 40, 1.5, true, false, "", "hé ☃", new Uint8Array(3)];
  for (const [nth, value] of values.entries()) {
    await alice.set(nth, value);
    assertEquals((await bob.get(nth, { fresh: true }))?.value, value);
    assertEquals((await bob.get(`${nth}`))?.value, value, "a number and its text are one key");
  }
  await alice.set(new Uint8Array([1, 2]), new Float64(2));
  assertEquals((await bob.get(new Uint8Array([1, 2])))?.value, 2);
  assertEquals(await bob.get("nothing"), undefined);
});

Deno.test("KademliaNetwork gives what others keep of types that nobody can set", async () => {
  await using swarm = new Swarm();
  const [alice, bob] = await neighbors(swarm, 2);
  const record = valueAt(digestOf("list"), [1, { a: null }]);
  alice?.node.keeper.put(record, { source: "x", subnet: undefined, ttlS: 60 });
  assertEquals((await bob?.get("list"))?.value, [1, { a: null }]);
});

Deno.test("KademliaNetwork: who set a value first gets what another set later, wherever it is kept", async () => {
  await using swarm = new Swarm();
  const nodes = await neighbors(swarm, 10, { tuning: { k: 3, replicas: 3 } });
  let elsewhere = 0;
  for (let nth = 0; nth < 30; nth++) {
    const [first, second] = [nodes[nth % 10], nodes[(nth + 3) % 10]];
    await first?.set(`key ${nth}`, "old");
    await second?.set(`key ${nth}`, "new");
    assertEquals((await first?.get(`key ${nth}`))?.value, "new");
    if (second?.node.keeper.get(digestOf(`key ${nth}`)).length === 0) elsewhere++;
  }
  assert(elsewhere > 5, "who sets a value keeps it only where it is one of the nearest");
});

Deno.test("KademliaNetwork finds every value when nodes have gone without a word", async () => {
  await using swarm = new Swarm();
  const tuning = { k: 8, replicas: 4 };
  const nodes = await neighbors(swarm, 12, { tuning, timeoutMs: 150 });
  for (let nth = 0; nth < 20; nth++) await nodes[nth % 12]?.set(`key ${nth}`, nth);
  for (const gone of [2, 6, 10]) await swarm.ports[gone]?.endpoint.close();
  const left = nodes.filter((_, nth) => ![2, 6, 10].includes(nth));
  const found = await Promise.all(Array.from({ length: 20 }, (_, nth) => {
    return left[nth % left.length]?.get(`key ${nth}`, { fresh: true });
  }));
  assertEquals(found.map((one) => one?.value), Array.from({ length: 20 }, (_, nth) => nth));
});

Deno.test("KademliaNetwork puts a value again each hour, where nodes have come meanwhile", async () => {
  await using village = new Village();
  const tuning = { welcomes: false };
  const alice = await village.node("alice", { tuning });
  const bob = await village.node("bob", { tuning });
  const [address] = village.swarm.addresses;
  assert(address !== undefined);
  await village.passing(bob.join([address]));
  await village.passing(alice.join());
  await village.passing(bob.set("key", "value"));
  const carol = await village.node("carol", { tuning });
  await village.passing(carol.join([address]));
  assertEquals(carol.stat().records, 0);
  await village.clock.advance(0.7 * HOUR_MS);
  assertEquals(carol.stat().records, 0);
  await village.clock.advance(0.7 * HOUR_MS);
  assertEquals(carol.stat().records, 1);
});

Deno.test("KademliaNetwork gives a newcomer at once what it should keep", async () => {
  await using village = new Village();
  const near = digestOf("key").with(19, 0);
  const alice = await village.node("alice", { self: digestOf("key").with(0, 0) });
  const bob = await village.node("bob");
  const [address] = village.swarm.addresses;
  assert(address !== undefined);
  await village.passing(alice.join());
  await village.passing(bob.join([address]));
  await village.passing(bob.set("key", "value"));
  const carol = await village.node("carol", { self: near });
  await village.passing(carol.join([address]));
  await village.clock.advance(1_000);
  assertEquals(carol.stat().records, 1);
});

Deno.test("KademliaNetwork keeps a value for a week", async () => {
  await using village = new Village();
  const tuning = { tickMs: HOUR_MS };
  const alice = await village.node("alice", { tuning });
  const bob = await village.node("bob", { tuning });
  const [address] = village.swarm.addresses;
  assert(address !== undefined);
  await village.passing(bob.join([address]));
  await village.passing(bob.set("key", "value"));
  await bob.close();
  await village.clock.advance(7 * DAY_MS - 60_000);
  assertEquals(alice.node.keeper.get(digestOf("key")).length, 1);
  await village.clock.advance(61_000);
  assertEquals(alice.node.keeper.get(digestOf("key")).length, 0);
});

Deno.test("KademliaNetwork joins again where it once did when nobody is left", async () => {
  await using village = new Village();
  const alice = await village.node("alice");
  const bob = await village.node("bob");
  const [address] = village.swarm.addresses;
  assert(address !== undefined);
  assertEquals(await village.passing(bob.join([address])), 1);
  bob.node.table.remove(bob.neighbors()[0]?.key ?? "");
  assertEquals(bob.stat().nodes, 0);
  await village.passing(bob.set("key", 1));
  assertEquals((await village.passing(alice.get("key")))?.value, 1);
});

Deno.test("KademliaNetwork finds the nodes of former times without being told any", async () => {
  await using village = new Village();
  await village.node("alice");
  const storage = new MemoryStorage();
  const [address] = village.swarm.addresses;
  assert(address !== undefined);
  const port = await DialectPort.open({
    transport: village.network.host("bob"),
    clock: village.clock,
  });
  const open = (port: DialectPort) => {
    const { clock, log, metrics } = port;
    const wire = (parts: WireParts) => new KademliaWire({ ...parts, udp: port });
    return new KademliaNetwork({ self: idOf(5), clock, log, metrics, storage, wire });
  };
  const before = await village.swarm.add(open, port);
  await village.passing(before.join([address]));
  await before.close();
  const after = open(port);
  assertEquals(await village.passing(after.join()), 1);
  await after.close();
});

Deno.test("KademliaNetwork.set says what is wrong", async () => {
  await using village = new Village();
  const alone = await village.node("alone");
  await assertRejects(() => village.passing(alone.set("key", 1)), NotFoundError, "no node");
  assertEquals(await village.passing(alone.get("key")), undefined);
  const bob = await village.node("bob");
  await village.passing(bob.join(village.swarm.addresses.slice(0, 1)));
  const tooLong = await assertRejects(() => bob.set("key", "x".repeat(8_138)), InvalidPacketError);
  assertEquals(tooLong.details, { limit: "MAX_VALUE_BYTES", max: 8_140, got: 8_141 });
  for (const value of [null, [1], { a: 1 }, undefined]) {
    await assertRejects(() => bob.set("key", value as never), TypeError, "must be");
  }
  assertEquals(bob.stat().failing, 0, "what we may not ask is nobody's silence");
  const controller = new AbortController();
  controller.abort(new Error("enough"));
  await assertRejects(() => village.passing(bob.set("key", 1, controller)), Error, "enough");
  await assertRejects(() => village.passing(bob.get("key", controller)), Error, "enough");
});

Deno.test("KademliaNetwork traces a search, and tells whom it knows", async () => {
  await using swarm = new Swarm();
  const [alice, bob, carol] = await neighbors(swarm, 3);
  assert(alice !== undefined && bob !== undefined && carol !== undefined);
  await carol.set("key", "value");
  const events = [];
  for await (const event of alice.trace("key")) events.push(event);
  const values = events.flatMap((event) => event.type === "answered" ? event.answer.records : []);
  assert(values.length > 0 && events.at(-1)?.type === "done");
  const known = alice.neighbors().map(({ key }) => key).toSorted();
  assertEquals(known, [bob.stat().id, carol.stat().id].toSorted());
  const { nodes, records, mode } = alice.stat();
  assertEquals([nodes, records, mode], [2, 1, "server"]);
});

Deno.test("KademliaNetwork takes part no more once closed, whatever is under way", async () => {
  await using village = new Village();
  const alice = await village.node("alice");
  const bob = await village.node("bob");
  const nobody = { hostname: "nobody", port: 1 };
  await village.passing(bob.join(village.swarm.addresses.slice(0, 1)));
  const work = [bob.set("key", 1), bob.get("key"), bob.join([nobody])];
  const rejected = work.map((one) => assertRejects(() => one));
  await Promise.all([bob.close(), bob.close()]);
  await Promise.all(rejected);
  await assertRejects(() => bob.set("key", 1), ClosedError);
  await assertRejects(() => bob.get("key"), ClosedError);
  await assertRejects(() => bob.join(), ClosedError);
  const meeting = assertRejects(() => alice.wire.meet(village.swarm.addresses[1] ?? nobody));
  await village.passing(meeting);
  await bob[Symbol.asyncDispose]();
});
