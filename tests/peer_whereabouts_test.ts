import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { Dht } from "../src/dht/dht.ts";
import { DHT_CAPABILITY } from "../src/dht/native_wire.ts";
import { NotFoundError } from "../src/errors.ts";
import type { Peer, PeerOptions } from "../src/peer.ts";
import { locate, lookBeyond } from "../src/peer_whereabouts.ts";
import { Identity } from "../src/secure/identity.ts";
import type { Address } from "../src/transport/mod.ts";
import { passing } from "./dht/lookup_fixture.ts";
import { settle } from "./endpoint/fixture.ts";
import { FAST } from "./membership/group_fixture.ts";
import { Town } from "./town.ts";

const [A, B, C, D, E] = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"] as const;
const NOBODY = "ab".repeat(20);

/** Peers that no discovery finds, on a network in memory. */
class Region extends Town {
  async peer(host: string, options: PeerOptions = {}): Promise<Peer> {
    return await this.open(host, {
      announce: false,
      limits: { heartbeatMs: Infinity },
      ...options,
    });
  }

  /** A peer whose node joins by that of another. */
  async node(host: string, by: readonly string[] = [], options: PeerOptions = {}): Promise<Peer> {
    const seeds = by.map((host) => this.addressOf(host));
    const peer = await this.peer(host, { seeds, ...options });
    await this.run(peer.dht.join());
    await this.clock.advance(1_000); // who has come is asked back
    return peer;
  }

  run<T>(work: Promise<T>): Promise<T> {
    return passing(this.clock, work);
  }

  async failure(work: Promise<unknown>): Promise<Error> {
    return await this.run(work.then(() => {
      throw new Error("It did not fail");
    }, (error) => error));
  }

  async until(holds: () => boolean): Promise<void> {
    for (let n = 0; !holds(); n++) {
      assert(n < 1_000, `It did not come to that: ${holds}`);
      await this.clock.advance(20);
    }
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await this.run(super[Symbol.asyncDispose]());
  }
}

function never(): Dht {
  throw new Error("The DHT is not to be asked");
}

/** Whether a peer has begun to take part in the DHT. */
function usesDht({ endpoint }: Peer): boolean {
  return endpoint.self.capabilities.includes(DHT_CAPABILITY);
}

/** An address of somebody that there has to be. */
function doorOf({ address }: Peer): Address {
  assert(address !== undefined);
  return address;
}

Deno.test("locate takes nothing but a whole peer id, in upper case, too", async () => {
  await using region = new Region();
  const { endpoint } = await region.peer(A);
  const parts = { endpoint, membership: undefined, dht: never };
  for (const odd of ["", "bob", NOBODY.slice(1), `${NOBODY}0`, "xy".repeat(20), ` ${NOBODY}`]) {
    await assertRejects(() => locate(odd, parts), TypeError, "40 hexadecimal digits", odd);
  }
  await assertRejects(() => locate(NOBODY.toUpperCase(), parts), Error, "not to be asked");
});

Deno.test("locate has whom we have connected to, before the group and the DHT are asked", async () => {
  await using region = new Region();
  const [ann, bob] = [await region.peer(A), await region.peer(B)];
  await using _link = await ann.link(region.at(B));
  const there = { peerId: bob.peerId, addresses: [doorOf(bob)], via: "table" };
  const parts = { endpoint: ann.endpoint, membership: undefined, dht: never };
  assertEquals(await locate(bob.peerId, parts), there as never);
  assertEquals(await locate(bob.peerId.toUpperCase(), parts), there as never);
  await settle();
  // Where ann's connection comes from she accepts nobody.
  const fromBob = { endpoint: bob.endpoint, membership: undefined, dht: never };
  assertEquals(bob.endpoint.links.size, 1);
  await assertRejects(() => locate(ann.peerId, fromBob), Error, "not to be asked");
});

Deno.test("Peer.find looks in the table, then in the group, then in the DHT", async () => {
  await using region = new Region();
  const bob = await region.node(B);
  const ann = await region.node(A, [B]);
  const door = [doorOf(bob)];
  const find = async () => await region.run(ann.find(bob.peerId));
  assertEquals(await find(), { peerId: bob.peerId, addresses: door, via: "dht" });
  bob.join({ tuning: FAST });
  ann.join({ tuning: FAST, seeds: door });
  await region.until(() => ann.membership?.get(bob.peerId)?.state === "alive");
  assertEquals(await find(), { peerId: bob.peerId, addresses: door, via: "membership" });
  {
    await using _link = await ann.link(region.at(B));
    assertEquals((await find())?.via, "table");
  }
  await settle();
  assertEquals((await find())?.via, "membership");
});

Deno.test("Peer.find does not go by members that are not alive", async () => {
  await using region = new Region();
  const [ann, bob] = [await region.peer(A), await region.peer(B)];
  bob.join({ tuning: FAST });
  ann.join({ tuning: FAST, seeds: [doorOf(bob)] });
  await region.until(() => ann.membership?.get(bob.peerId)?.state === "alive");
  await region.run(bob.close());
  await region.until(() => ann.membership?.get(bob.peerId)?.state !== "alive");
  assertEquals(await region.run(ann.find(bob.peerId)), undefined);
  assert(usesDht(ann));
});

Deno.test("Peer.find does not know itself, a client, or who is not there; a signal ends it", async () => {
  await using region = new Region();
  await region.node(B);
  const ann = await region.node(A, [B]);
  const client = await region.node(C, [B], { clientOnly: true });
  for (const id of [ann.peerId, client.peerId, NOBODY]) {
    assertEquals(await region.run(ann.find(id)), undefined);
  }
  const why = new Error("never mind");
  assertEquals(await region.failure(ann.find(NOBODY, { signal: AbortSignal.abort(why) })), why);
  await assertRejects(() => ann.find("bob"), TypeError, "A peer id has 40");
});

Deno.test("lookBeyond has the peer of an id, or those who provide a name", async () => {
  await using region = new Region();
  const bob = await region.node(B);
  const carol = await region.node(C, [B]);
  const client = await region.peer(A, { clientOnly: true });
  const { signal } = new AbortController();
  const look = (target: string, gateways: readonly Address[] = [doorOf(carol)]) =>
    region.run(lookBeyond(client.dht, target, gateways, signal));
  const place = { peerId: bob.peerId, addresses: [doorOf(bob)] };
  assertEquals(await look(bob.peerId), [place]);
  assertEquals(await look(bob.peerId.toUpperCase(), []), [place]);
  assertEquals(await look("lamp"), []);
  for (const peer of [bob, carol]) await region.run(peer.dht.provide("lamp", peer.name));
  const found = await look("lamp");
  assertEquals(
    found.map(({ peerId, addresses }) => [peerId, addresses]).toSorted(),
    [bob, carol].map((peer) => [peer.peerId, [doorOf(peer)]]).toSorted(),
  );
  assertEquals(await look(NOBODY), []);
});

Deno.test("lookBeyond takes the beginning of an id for no name, and has nothing where no gateway answers", async () => {
  await using region = new Region();
  const bob = await region.node(B);
  const short = bob.peerId.slice(0, 8);
  await region.run((await region.node(C, [B])).dht.provide(short));
  const client = await region.peer(A, { clientOnly: true });
  const { signal } = new AbortController();
  const look = (target: string, gateways: readonly Address[]) =>
    region.run(lookBeyond(client.dht, target, gateways, signal));
  assertEquals(await look(bob.peerId, [{ hostname: D, port: 1 }]), []);
  assertEquals(await look(short, [doorOf(bob)]), []);
  assertEquals((await look(bob.peerId, [])).length, 1);
  // Who names gateways means those, and not the seeds.
  const seeded = await region.peer(E, { clientOnly: true, seeds: [region.addressOf(B)] });
  const nobody = [{ hostname: D, port: 1 }];
  assertEquals(await region.run(lookBeyond(seeded.dht, bob.peerId, nobody, signal)), []);
  assertEquals((await region.run(lookBeyond(seeded.dht, bob.peerId, [], signal))).length, 1);
});

Deno.test("Peer.link finds a peer by its whole id beyond, where discovery finds nobody", async () => {
  await using region = new Region();
  await region.node(B);
  const carol = await region.node(C, [B]);
  const ann = await region.peer(A, { seeds: [region.addressOf(B)] });
  assert(!usesDht(ann));
  await using link = await region.run(ann.link(carol.peerId));
  assertEquals([link.peer.peerId, link.remote], [carol.peerId, doorOf(carol)]);
  assert(usesDht(ann));
  // The beginning of an id is looked for nearby only.
  const error = await region.failure(ann.link(carol.peerId.slice(0, 12), { timeoutMs: 3_000 }));
  assertEquals((error as NotFoundError).code, "no-peer");
});

Deno.test("Peer.link asks nobody beyond where the DHT is not in use and nobody was named", async () => {
  await using region = new Region();
  const bob = await region.node(B);
  const ann = await region.peer(A);
  for (const target of [bob.peerId, "lamp"]) await region.cannotReach(ann, target);
  assertEquals(usesDht(ann), false);
  // Once it is, it is asked.
  await region.run(ann.dht.join({ peers: [doorOf(bob)] }));
  await using link = await region.run(ann.link(bob.peerId));
  assertEquals(link.peer.peerId, bob.peerId);
});

Deno.test("Peer.link finds who alone provides a name, whatever it calls itself, but not one of two", async () => {
  await using region = new Region();
  const bob = await region.node(B, [], { name: "bob" });
  const carol = await region.node(C, [B], { name: "carol" });
  await region.run(bob.dht.provide("lamp"));
  for (const peers of [[], [region.addressOf(C)]]) {
    const ann = await region.open(peers.length === 0 ? A : D, {
      announce: false,
      seeds: [region.addressOf(C)],
    });
    await using link = await region.run(ann.link("lamp", { peers }));
    assertEquals([link.peer.peerId, link.peer.name], [bob.peerId, "bob"]);
  }
  await region.run(carol.dht.provide("lamp"));
  const late = await region.peer(E, { seeds: [region.addressOf(C)] });
  for (const peers of [[], [region.addressOf(C)]]) {
    const error = await region.failure(late.link("lamp", { peers, timeoutMs: 3_000 }));
    assertEquals((error as NotFoundError).code, "no-peer");
  }
  // Who is known by that name is meant.
  late.trust.add(carol.peerId, { name: "lamp", policy: "pin" });
  await using link = await region.run(late.link("lamp", { peers: [region.addressOf(C)] }));
  assertEquals(link.peer.peerId, carol.peerId);
});

Deno.test("Peer.link prefers who has a name nearby to who provides it elsewhere", async () => {
  await using region = new Region();
  const far = await region.node(B);
  const near = await region.open(C, { name: "lamp" });
  const ann = await region.node(A, [B]);
  await region.run(far.dht.provide("lamp"));
  await using link = await region.run(ann.link("lamp"));
  assertEquals(link.peer.peerId, near.peerId);
});

Deno.test("Peer.link goes by gateways where they are not the peer themselves", async () => {
  await using region = new Region();
  const bob = await region.node(B);
  await region.node(C, [B]);
  const client = await region.peer(A, { clientOnly: true });
  const peers = [region.addressOf(C)];
  await using link = await region.run(client.link(bob.peerId, { peers }));
  assertEquals(link.remote, doorOf(bob));
  const error = await region.failure(client.link(NOBODY, { peers }));
  assert(error instanceof NotFoundError);
  assertStringIncludes(error.message, `${region.at(C)}: another peer is there`);
});

Deno.test("Peer.link finds a peer nearby though the DHT knows an address where it no longer is", async () => {
  await using region = new Region();
  const identity = Identity.generate();
  const before = await region.open(B, { identity, port: 4_000, udpPort: 4_001 });
  const ann = await region.peer(A);
  await region.run(before.dht.join());
  await region.run(ann.dht.join({ peers: [region.addressOf(B)] }));
  assertEquals(ann.dht.stat().nodes, 1);
  await region.run(before.close());
  await region.open(B, { identity, port: 5_000 });
  await using link = await region.run(ann.link(identity.peerId));
  assertEquals([link.peer.peerId, link.remote.port], [identity.peerId, 5_000]);
});
