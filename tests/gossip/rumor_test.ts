import { assert, assertEquals, assertThrows } from "@std/assert";
import { ManualClock, seededRandom } from "../../src/clock.ts";
import { Recent } from "../../src/gossip/recent.ts";
import { type GossipMessage, Rumor, type RumorOptions } from "../../src/gossip/rumor.ts";
import { Seen } from "../../src/gossip/seen.ts";

/** A copy on its way. */
interface Copy {
  readonly message: GossipMessage;
  readonly from: string;
  readonly to: string;
}

/** A rumor machine among peers that a test plays. */
class Teller {
  readonly clock: ManualClock;
  readonly ids = new Recent<true>({ keepMs: 600_000, maxEntries: 65_536 });
  readonly rumor: Rumor<string, string>;
  sent: Copy[] = [];

  constructor(
    readonly name: string,
    public peers: readonly string[],
    options: RumorOptions = {},
    clock = new ManualClock({ seed: 7 }),
  ) {
    this.clock = clock;
    this.rumor = new Rumor({
      clock,
      remember: ({ id }, nowMs) => this.ids.add(id, true, nowMs),
      peers: () => this.peers,
      keyOf: (peer) => peer,
      send: (message, to) =>
        this.sent.push(...to.map((peer) => ({ message, from: name, to: peer }))),
    }, options);
  }

  /** A message of somebody's, made now unless told otherwise. */
  message(id: string, change: Partial<GossipMessage> = {}): GossipMessage {
    return { id, message: "hello", ttl: 6, created: this.clock.wallMs() / 1_000, ...change };
  }

  /** Takes what was sent. */
  take(): Copy[] {
    return this.sent.splice(0);
  }
}

const CROWD = Array.from({ length: 40 }, (_, n) => `peer ${n}`);

/** Machines that carry each other's copies, in an order that chance decides, until nothing is on its way. */
class Town {
  readonly clock: ManualClock;
  readonly tellers = new Map<string, Teller>();
  readonly heard: string[] = [];
  readonly copies: Copy[] = [];

  constructor(graph: ReadonlyMap<string, readonly string[]>, seed: number, options?: RumorOptions) {
    this.clock = new ManualClock({ seed });
    for (const [name, peers] of graph) {
      this.tellers.set(name, new Teller(name, peers, options, this.clock));
    }
  }

  get(name: string): Teller {
    const teller = this.tellers.get(name);
    assert(teller !== undefined);
    return teller;
  }

  /** Lets everybody hear, and tell, until it is quiet. */
  settle(): void {
    const underWay: Copy[] = [];
    const collect = () => {
      for (const teller of this.tellers.values()) underWay.push(...teller.take());
    };
    for (collect(); underWay.length > 0; collect()) {
      const [copy] = underWay.splice(Math.floor(this.clock.random() * underWay.length), 1);
      if (copy === undefined) break;
      this.copies.push(copy);
      const { message, from, to } = copy;
      if (this.get(to).rumor.hear(message, from) === "heard") this.heard.push(to);
    }
  }
}

function everybodyKnowsEverybody(count: number): Map<string, string[]> {
  const names = Array.from({ length: count }, (_, n) => `n${n}`);
  return new Map(names.map((name) => [name, names.filter((other) => other !== name)]));
}

Deno.test("Rumor tells a message of ours to as many as it may, with all its hops", () => {
  const alice = new Teller("alice", CROWD);
  assertEquals(alice.rumor.tell(alice.message("a")), 3);
  const copies = alice.take();
  assertEquals(copies.map(({ message }) => message.ttl), [6, 6, 6]);
  assertEquals(new Set(copies.map(({ to }) => to)).size, 3);
  assertEquals(alice.rumor.tell(alice.message("a")), 0);
  assertEquals(new Teller("bob", []).rumor.tell(alice.message("a")), 0);
  assertEquals(new Teller("bob", ["one", "one"]).rumor.tell(alice.message("a")), 1);
});

Deno.test("Rumor goes as many hops as its ttl says, and no further", () => {
  for (const ttl of [1, 2, 6]) {
    const names = Array.from({ length: 9 }, (_, n) => `n${n}`);
    const line = new Map(names.map((name, n) => [name, names.slice(n + 1, n + 2)]));
    const town = new Town(line, 1);
    const first = town.get("n0");
    first.rumor.tell(first.message("a", { ttl }));
    town.settle();
    assertEquals(town.heard, names.slice(1, 1 + ttl));
    assertEquals(town.copies.map(({ message }) => message.ttl), [6, 5, 4, 3, 2, 1].slice(-ttl));
  }
});

Deno.test("Rumor passes on nothing that has no hop left, and none more than its own hops", () => {
  const alice = new Teller("alice", CROWD);
  for (const ttl of [1, 0, -1, -(2 ** 40)]) {
    assertEquals(alice.rumor.hear(alice.message(`ttl ${ttl}`, { ttl }), "bob"), "heard");
    assertEquals(alice.take(), []);
  }
  for (const ttl of [7, 255, 2 ** 40]) {
    alice.rumor.hear(alice.message(`ttl ${ttl}`, { ttl }), "bob");
    assertEquals(alice.take().map(({ message }) => message.ttl), [5, 5, 5]);
  }
});

Deno.test("Rumor never goes back to who brought it nor to its author, and to nobody twice", () => {
  const random = seededRandom(11);
  for (let round = 0; round < 200; round++) {
    const alice = new Teller("alice", CROWD, {}, new ManualClock({ seed: round }));
    const has = new Set(["author"]);
    const told = new Set<string>();
    alice.peers = [...CROWD, "author"];
    for (let copy = 0; copy < 20; copy++) {
      const from = CROWD[Math.floor(random() * CROWD.length)] ?? "";
      has.add(from);
      alice.rumor.hear(alice.message("a", { ttl: 1 + Math.floor(random() * 8) }), from, "author");
      for (const { to } of alice.take()) {
        assert(!has.has(to), `${to} has it already`);
        assert(!told.has(to), `${to} was told already`);
        told.add(to);
      }
    }
    assert(told.size <= 12, `${told.size} copies`);
  }
});

Deno.test("Rumor passes a known message on to up to 3 further peers, 12 in all", () => {
  const alice = new Teller("alice", CROWD);
  const counts = CROWD.slice(0, 8).map((from) => {
    alice.rumor.hear(alice.message("a"), from);
    return alice.take().length;
  });
  assertEquals(counts, [3, 3, 3, 3, 0, 0, 0, 0]);
  assertEquals(alice.rumor.young, 0); // there is nothing left to do with it
});

Deno.test("Rumor tells who is left where there are few", () => {
  const alice = new Teller("alice", ["a", "b", "c", "d", "e"]);
  const counts = ["a", "x", "y"].map((from) => {
    alice.rumor.hear(alice.message("m"), from);
    return alice.take().length;
  });
  assertEquals(counts, [3, 1, 0]);
});

Deno.test("Rumor keeps a known message with the chance of its age here, at least 0.6", async () => {
  const chances: [ageMs: number, probability: number][] = [
    [0, 1],
    [600, 0.9],
    [1_800, 0.7],
    [2_400, 0.6],
    [5_999, 0.6],
    [6_000, 0.6],
    [6_001, 0],
  ];
  const rounds = 2_000;
  for (const [ageMs, probability] of chances) {
    const alice = new Teller("alice", CROWD, { maxYoung: 2 * rounds });
    const messages = Array.from({ length: rounds }, (_, n) => alice.message(`m${n}`));
    for (const message of messages) alice.rumor.hear(message, "bob");
    alice.take();
    await alice.clock.advance(ageMs);
    let kept = 0;
    for (const message of messages) {
      alice.rumor.hear(message, "carol");
      kept += Number(alice.take().length > 0);
    }
    const share = kept / rounds;
    assert(Math.abs(share - probability) < 0.04, `${share} at ${ageMs} ms`);
  }
});

Deno.test("Rumor counts an age from when it was first heard here, whatever time a message claims", async () => {
  for (const created of [0, 59, -1e3, -1e9]) {
    const alice = new Teller("alice", CROWD, { minProbability: 1 });
    const forged = alice.message("forged", { created: alice.clock.wallMs() / 1_000 - created });
    assertEquals(alice.rumor.hear(forged, "mallory"), "heard");
    assertEquals(alice.take().length, 3);
    await alice.clock.advance(5_000);
    const later = { ...forged, created: alice.clock.wallMs() / 1_000 };
    assertEquals(alice.rumor.hear(later, "bob"), "known");
    assertEquals(alice.take().length, 3);
    await alice.clock.advance(1_001);
    assertEquals(alice.rumor.hear({ ...later, created: Infinity }, "carol"), "known");
    assertEquals(alice.take().length, 0);
  }
});

Deno.test("Rumor from the future dies out, however often it is told again", async () => {
  const town = new Town(everybodyKnowsEverybody(30), 5);
  const forged = town.get("n0").message("forged", { created: 4e9, ttl: 2 ** 30 });
  let quiet = 0;
  for (let second = 0; second < 60; second++) {
    const before = town.copies.length;
    for (const name of ["n1", "n2"]) town.get(name).rumor.hear(forged, "mallory");
    town.settle();
    if (town.copies.length === before) quiet++;
    await town.clock.advance(1_000);
  }
  assert(quiet >= 52, `quiet for ${quiet} of 60 s`);
  assert(town.copies.length <= 30 * 12, `${town.copies.length} copies`);
  assertEquals(town.heard.length, new Set(town.heard).size);
});

Deno.test("Rumor refuses a message that claims to be older than a minute as a replay", () => {
  const alice = new Teller("alice", CROWD);
  const nowS = alice.clock.wallMs() / 1_000;
  const verdicts = [3_600, 86_400, 60.001, Infinity, NaN].map((ageS) => {
    return alice.rumor.hear(alice.message(`age ${ageS}`, { created: nowS - ageS }), "bob");
  });
  assertEquals([...new Set(verdicts)], ["stale"]);
  assertEquals([alice.take(), alice.ids.size], [[], 0]);
  for (const ageS of [60, 59, 0, -3_600, -86_400]) {
    assertEquals(
      alice.rumor.hear(alice.message(`${ageS}`, { created: nowS - ageS }), "b"),
      "heard",
    );
  }
});

Deno.test("Rumor of an hour ago is refused when it is replayed, and so is one that was heard", async () => {
  const alice = new Teller("alice", CROWD);
  const message = alice.message("a");
  assertEquals(alice.rumor.hear(message, "bob"), "heard");
  await alice.clock.advance(59_000);
  assertEquals(alice.rumor.hear(message, "mallory"), "known");
  await alice.clock.advance(3_600_000 - 59_000);
  assertEquals(alice.rumor.hear(message, "mallory"), "stale");
});

Deno.test("Rumor passes on what it heard first, whatever stands in a copy", () => {
  const alice = new Teller("alice", CROWD);
  alice.rumor.hear(alice.message("a", { message: "true", created: 1e10 }), "bob");
  alice.rumor.hear(alice.message("a", { message: "forged", created: 2e10, ttl: 3 }), "mallory");
  const said = alice.take().map(({ message }) => [message.message, message.created, message.ttl]);
  assertEquals(said, [...Array(3).fill(["true", 1e10, 5]), ...Array(3).fill(["true", 1e10, 2])]);
});

Deno.test("Rumor reaches nearly all of 200 peers for a handful of copies each", () => {
  const graph = everybodyKnowsEverybody(200);
  let missed = 0;
  for (let seed = 1; seed <= 5; seed++) {
    const town = new Town(graph, seed);
    const first = town.get("n0");
    first.rumor.tell(first.message("a"));
    town.settle();
    assertEquals(new Set(town.heard).size, town.heard.length, "somebody heard it twice");
    assert(town.copies.every(({ message }) => message.ttl >= 1 && message.ttl <= 6));
    assert(town.copies.length <= 12 * 200, `${town.copies.length} copies`);
    missed += 199 - town.heard.length;
  }
  assert(missed <= 5 * 199 * 0.05, `${missed} of ${5 * 199} were missed`);
});

Deno.test("Rumor's memory stays flat over the numbers of authors", () => {
  const seen = new Seen();
  const rumor = new Rumor<null, string>({
    clock: new ManualClock(),
    remember: ({ id }, nowMs) => seen.add(id.slice(0, 1), Number(id.slice(2)), nowMs),
    peers: () => [],
    keyOf: (peer) => peer,
    send: () => {},
  });
  for (let n = 0; n < 100_000; n++) {
    const id = `${n % 8}:${n >> 3}`;
    rumor.hear({ id, message: null, ttl: 6, created: 1e10 }, "bob");
  }
  assert(rumor.young <= 512, `${rumor.young} young ones`);
  assertEquals([seen.authors, seen.ranges], [8, 8]);
});

Deno.test("Rumor's memory stays flat over a million ids of the dialect", () => {
  const alice = new Teller("alice", []);
  const created = alice.clock.wallMs() / 1_000;
  let most = 0;
  for (let n = 0; n < 1_000_000; n++) {
    alice.rumor.hear({ id: String(n), message: "hello", ttl: n % 8, created }, "bob");
    most = Math.max(most, alice.rumor.young, alice.ids.size);
  }
  assertEquals(alice.rumor.hear(alice.message("999999"), "bob"), "known");
  assert(alice.rumor.young <= 512, `${alice.rumor.young} young ones`);
  assert(most <= 65_536, `${most} ids`);
});

Deno.test("Rumor tells nobody who is invented to fill its memory of one message", () => {
  const alice = new Teller("alice", CROWD, { fanOut: 1, maxCopies: 1_000, minProbability: 1 });
  alice.peers = [];
  for (let n = 0; n < 1_000; n++) alice.rumor.hear(alice.message("a"), `invented ${n}`);
  alice.peers = CROWD;
  alice.rumor.hear(alice.message("a"), "bob");
  assertEquals([alice.take(), alice.rumor.young], [[], 0]);
});

Deno.test("Rumor refuses options out of range", () => {
  const wrong: RumorOptions[] = [
    { fanOut: 0 },
    { fanOut: 1.5 },
    { hops: 0 },
    { hops: 256 },
    { maxAgeMs: 0 },
    { minProbability: 1.1 },
    { minProbability: NaN },
    { maxClaimedAgeMs: 0 },
    { maxCopies: 0 },
    { maxYoung: 1 },
  ];
  for (const options of wrong) {
    const [name = ""] = Object.keys(options);
    assertThrows(() => new Teller("alice", [], options), RangeError, name);
  }
});
