/**
 * What somebody recorded and plays again is not handled again: at once, an hour later, after a restart, under any clock.
 * (Recorded connections: T12.)
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { TimeoutError } from "../../src/errors.ts";
import { nextTurn } from "../../src/endpoint/turns.ts";
import type { PeerOptions } from "../../src/peer.ts";
import { Identity } from "../../src/secure/identity.ts";
import { Network } from "../../src/secure/network.ts";
import { MemoryNetwork } from "../../src/transport/memory.ts";
import { type Address, formatAddress } from "../../src/transport/transport.ts";
import { openDatagram } from "../../src/transport/udp.ts";
import type { Packet } from "./tap.ts";
import { LOOPBACK, TappedPeer } from "./tapped_peer.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const STRANGER: Address = { hostname: "stranger", port: 4_000 };

/** How far the clocks of the two are ahead. */
const CLOCKS = [
  { clocks: "right clocks", alice: 0, bob: 0 },
  { clocks: "the sender's clock a day ahead", alice: DAY_MS, bob: 0 },
  { clocks: "the sender's clock a day behind", alice: -DAY_MS, bob: 0 },
  { clocks: "the receiver's clock a day ahead", alice: 0, bob: DAY_MS },
  { clocks: "the receiver's clock a day behind", alice: 0, bob: -DAY_MS },
];

const keyed = () => new Network("home", [new Uint8Array(32).fill(7)]);

/** Peers in memory, each with a clock of its own, which a test moves together. */
class Scene implements AsyncDisposable {
  /** How often bob was paid. */
  paid = 0;
  readonly network = new MemoryNetwork();
  readonly #home: () => Network;
  readonly #identities = new Map<string, Identity>();
  readonly #open = new Map<string, { peer: TappedPeer; clock: ManualClock }>();
  #nowMs = 0;

  constructor(home: () => Network) {
    this.#home = home;
  }

  /** Milliseconds that have passed. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** Starts a peer, or starts it anew at the same ports. @param skewMs How far its clock is ahead. */
  async start(host: string, skewMs: number): Promise<TappedPeer> {
    await this.stop(host);
    const clock = new ManualClock({ epochMs: Date.UTC(2026, 0, 1) + this.#nowMs + skewMs });
    const identity = this.#identities.get(host) ?? Identity.generate();
    this.#identities.set(host, identity);
    const options: PeerOptions = { identity, network: this.#home(), port: 3_485, udpPort: 3_487 };
    const peer = await TappedPeer.at(this.network, host, clock, options);
    peer.peer.handle("pay", () => ++this.paid);
    this.#open.set(host, { peer, clock });
    return peer;
  }

  /** Ends a peer, if it runs: what it would do from time to time takes long to play through. */
  async stop(host: string): Promise<void> {
    await this.#open.get(host)?.peer.peer.close();
    this.#open.delete(host);
  }

  async advance(ms: number): Promise<void> {
    this.#nowMs += ms;
    for (const { clock } of this.#open.values()) await clock.advance(ms);
  }

  /** Pays over UDP. */
  async pay(from: TappedPeer, to: TappedPeer): Promise<void> {
    const before = this.paid;
    const paying = from.peer.request(`udp://${formatAddress(to.udp)}`, "pay");
    await settle();
    assertEquals(await paying, before + 1, `at ${this.#nowMs} ms`);
  }

  /**
   * Plays packets to a peer, at each of its sockets, from where they came, from the peer itself and from elsewhere.
   *
   * @throws {AssertionError} when one of them is handled.
   */
  async replay(recorded: readonly Packet[], to: TappedPeer, what: string): Promise<void> {
    const before = [this.paid, answersOf(to)];
    for (const socket of new Set(to.tap.sockets.filter(({ closed }) => !closed))) {
      for (const { data, from } of recorded) {
        for (const source of [from, to.udp, STRANGER]) socket.inject(data, source);
        await settle();
      }
    }
    assertEquals([this.paid, answersOf(to)], before, `${what}, at ${this.#nowMs} ms`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#open.values()].map(({ peer }) => peer.peer.close()));
    this.network.close();
  }
}

/** How often a peer has told somebody who it is. */
function answersOf({ peer }: TappedPeer): number {
  return peer.metrics.counter("discovery.answers").value;
}

/** Lets packets go to and fro until none is under way. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 8; turn++) await nextTurn();
}

/** Looks for others once. @returns the names of hosts that were found. */
async function look(scene: Scene, from: TappedPeer): Promise<string[]> {
  const looking = Array.fromAsync(from.peer.find({ timeoutMs: 1_000 }));
  await scene.advance(1_000);
  const found = (await looking).flatMap(({ addresses }) =>
    addresses.map(({ hostname }) => hostname)
  );
  return [...new Set(found)];
}

function sentBy(...peers: readonly TappedPeer[]): readonly Packet[] {
  return peers.flatMap(({ tap }) => [...tap.sent]);
}

for (const { clocks, alice: aliceMs, bob: bobMs } of CLOCKS) {
  Deno.test(`T6 no sealed packet is handled twice: ${clocks}`, async () => {
    await using scene = new Scene(keyed);
    let alice = await scene.start("alice", aliceMs);
    let bob = await scene.start("bob", bobMs);
    await scene.advance(10);
    for (let n = 0; n < 3; n++) await scene.pay(alice, bob);
    assertEquals(await look(scene, alice), ["bob"]);
    const recorded = sentBy(alice, bob);
    assert(recorded.length > 8 && recorded.every(({ data }) => data[0] === 0x1f));

    await scene.replay(recorded, bob, "at once");
    await scene.replay(recorded, alice, "at once, to the sender");
    await scene.advance(HOUR_MS);
    await scene.replay(recorded, bob, "an hour later");
    await scene.pay(alice, bob);

    bob = await scene.start("bob", bobMs);
    await scene.replay(recorded, bob, "after a restart");
    await scene.pay(alice, bob);
    await scene.replay(recorded, bob, "after a restart and a word");

    // A clock that stands where it stood when the recording was made.
    bob = await scene.start("bob", bobMs - scene.nowMs);
    await scene.replay(recorded, bob, "with the clock set back");
    alice = await scene.start("alice", aliceMs);
    await scene.replay(recorded, bob, "after a restart of the sender");
    await scene.replay(recorded, alice, "after a restart of the sender, to itself");
    await scene.pay(alice, bob);

    // Now a clock that was a day ahead would have been right.
    for (const host of ["alice", "bob"]) await scene.stop(host);
    await scene.advance(DAY_MS - scene.nowMs);
    bob = await scene.start("bob", bobMs);
    await scene.replay(recorded, bob, "a day later, with nobody to ask");
    assertEquals(scene.paid, 6);
  });

  Deno.test(`T6 no recorded announcement finds anybody: ${clocks}`, async () => {
    await using scene = new Scene(() => new Network());
    let alice = await scene.start("alice", aliceMs);
    const bob = await scene.start("bob", bobMs);
    assertEquals(await look(scene, alice), ["bob"]);
    const recorded = sentBy(bob);
    assert(recorded.length > 0);
    await bob.peer.close();

    const search = async (what: string) => {
      const looking = Array.fromAsync(alice.peer.find({ timeoutMs: 4_000 }));
      for (let second = 0; second < 4; second++) {
        await scene.replay(recorded, alice, what);
        await scene.advance(1_000);
      }
      assertEquals(await looking, [], what);
    };
    await search("at once");
    await scene.advance(HOUR_MS);
    await search("an hour later");
    alice = await scene.start("alice", aliceMs);
    await search("after a restart");
    alice = await scene.start("alice", aliceMs - scene.nowMs);
    await search("with the clock set back");
    await scene.advance(DAY_MS);
    await search("a day later");
  });
}

Deno.test("T6 an announcement that is played again within the search it was for says nothing new", async () => {
  await using scene = new Scene(() => new Network());
  const alice = await scene.start("alice", 0);
  const bob = await scene.start("bob", 0);
  const found: string[] = [];
  const looking = (async () => {
    for await (const { addresses, via } of alice.peer.find({ timeoutMs: 2 * HOUR_MS })) {
      found.push(`${addresses.map(formatAddress)} ${via}`);
    }
  })();
  await scene.advance(2_000);
  const seen = [...found];
  assert(seen.length > 0);
  const recorded = sentBy(bob);
  await bob.peer.close();
  const { port = 0 } = alice.tap.sockets.findLast(({ closed }) => !closed)?.address ?? {};
  const replay = async (from: Address) => {
    for (const { data } of recorded) alice.tap.socket(port).inject(data, from);
    await settle();
  };
  await replay(bob.udp);
  await scene.advance(HOUR_MS);
  await replay(bob.udp);
  await replay(STRANGER);
  assertEquals(found, seen);
  assert(alice.peer.metrics.counter("discovery.stale").value > 0);
  await scene.advance(HOUR_MS);
  await looking;
});

Deno.test("T6 a request of the open network is handled once, and its proof of address ends", async () => {
  await using scene = new Scene(() => new Network());
  const alice = await scene.start("alice", 0);
  let bob = await scene.start("bob", 0);
  await scene.pay(alice, bob);
  const recorded = sentBy(alice);
  await scene.replay(recorded, bob, "at once");
  await scene.advance(HOUR_MS);
  await scene.replay(recorded, bob, "an hour later");
  await scene.pay(alice, bob);
  bob = await scene.start("bob", 0);
  await scene.replay(recorded, bob, "after a restart");
  bob = await scene.start("bob", -scene.nowMs);
  await scene.replay(recorded, bob, "with the clock set back");
  assertEquals(scene.paid, 2);
});

Deno.test("T6 what a stranger sends back to its sender is not handled by that one", async () => {
  await using scene = new Scene(keyed);
  const bob = await scene.start("bob", 0);
  await scene.advance(10);
  const mirror = await scene.network.host("mirror").datagram();
  let reflected = 0;
  const reflecting = (async () => {
    for (let got = await mirror.receive(); got !== undefined; got = await mirror.receive()) {
      reflected++;
      await mirror.send(got.data, got.from);
    }
  })();
  for (let n = 0; n < 3; n++) {
    const asking = bob.peer.request(`udp://${formatAddress(mirror.address)}`, "pay");
    const failed = assertRejects(() => asking, TimeoutError);
    await scene.advance(6_000);
    await failed;
  }
  assertEquals([scene.paid, reflected > 8], [0, true]);
  mirror.close();
  await reflecting;
});

Deno.test("T6 on real sockets nothing that passed is handled again, not even from the sender's own address", async () => {
  let paid = 0;
  const open = async (options: PeerOptions = {}) => {
    const peer = await TappedPeer.open({ network: keyed(), ...options });
    peer.peer.handle("pay", () => ++paid);
    return peer;
  };
  await using bob = await open();
  const alice = await open();
  for (let n = 1; n <= 3; n++) {
    assertEquals(await alice.peer.request(`udp://${formatAddress(bob.udp)}`, "pay"), n);
  }
  await alice.peer.close();
  const socket = await openDatagram({ hostname: LOOPBACK, port: alice.udp.port });
  const replay = async ({ tap, udp }: TappedPeer) => {
    for (const { data } of sentBy(alice, bob)) {
      const came = tap.received.length;
      await socket.send(data, udp);
      await tap.handled(came + 1);
    }
  };
  await replay(bob);
  // Not even as far as the memory of what was answered.
  assertEquals(bob.peer.metrics.counter("requests.repeats").value, 0);
  const { port } = bob.udp;
  await bob.peer.close();
  await using again = await open({ udpPort: port });
  await replay(again);
  socket.close();
  assertEquals(paid, 3);
  assert(again.peer.metrics.counter("seal.challenged").value > 0);
});
