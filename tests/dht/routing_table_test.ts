import { createHash } from "node:crypto";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { ManualClock, seededRandom } from "../../src/clock.ts";
import type { BucketInfo } from "../../src/dht/bucket.ts";
import { type Contact, contactOf } from "../../src/dht/contact.ts";
import type { DiversityOptions } from "../../src/dht/diversity.ts";
import {
  commonBits,
  compareDistance,
  ID_BYTES,
  type NodeId,
  randomIdIn,
  randomIdUnder,
} from "../../src/dht/node_id.ts";
import { RoutingTable } from "../../src/dht/routing_table.ts";
import { fromNotation, loadVectors } from "../testdata/vectors.ts";

const MINUTE_MS = 60_000;

function sha1(text: string): NodeId {
  return new Uint8Array(createHash("sha1").update(text).digest());
}

const SELF = sha1("self");

/** An id that begins with these bits; all others are 0, but for a number at its end. */
function idOf(bits: string, number = 0): NodeId {
  const id = new Uint8Array(ID_BYTES);
  for (const [at, bit] of [...bits].entries()) {
    if (bit === "1") id[at >> 3] = (id[at >> 3] ?? 0) | 0x80 >> (at & 7);
  }
  new DataView(id.buffer).setUint32(16, number);
  return id;
}

let ports = 0;

function contact(id: NodeId, hostname = "10.0.0.1"): Contact {
  return contactOf(id, { hostname, port: 1 + ports++ % 65_535 });
}

interface TestTableOptions {
  readonly self?: NodeId;
  readonly k?: number;
  readonly diversity?: DiversityOptions;
  readonly seed?: number;
}

function testTable({ self = SELF, seed = 1, ...more }: TestTableOptions = {}) {
  const clock = new ManualClock({ seed });
  return { clock, table: new RoutingTable({ self, clock, ...more }) };
}

/** A table whose one bucket that does not split, of ids that begin with 1, has k nodes; the first is the oldest. */
function fullTable(k: number, hostname?: string) {
  const { clock, table } = testTable({ self: idOf("0"), k, seed: 2 });
  const nodes = Array.from({ length: k }, (_, i) => contact(idOf("11111", i), hostname));
  for (const node of nodes) assertEquals(table.add(node).type, "added");
  // Brings about the splits down to 5 bits.
  const split = contact(idOf("11111", 999));
  assertEquals(table.add(split).type, "replacement");
  table.failed(split);
  return { clock, table, nodes, newcomer: () => contact(idOf("11111", 1_000 + ports)) };
}

function nearestOf(contacts: readonly Contact[], target: NodeId, count: number): Contact[] {
  return contacts.toSorted((a, b) => compareDistance(target, a.id, b.id)).slice(0, count);
}

function keysOf(contacts: readonly Contact[]): string[] {
  return contacts.map(({ key }) => key);
}

interface TableCase {
  readonly self: NodeId;
  readonly k: number;
  readonly contacts: readonly string[];
  readonly bucket_ranges: readonly (readonly [string, string])[];
  readonly bucket_sizes: readonly number[];
  readonly replacement_sizes: readonly number[];
  readonly neighbours_of_sha1_target: readonly number[];
}

/**
 * Whom the original finds: from the bucket of the target it goes to the left and to the right in turn, in the order of ids,
 * until it has k nodes, and never looks whether others are nearer.
 */
function neighboursOfOriginal(table: RoutingTable, target: NodeId): Contact[] {
  const ranges = table.buckets();
  const inside = ({ bits, low }: BucketInfo, id: NodeId) =>
    commonBits(Uint8Array.fromHex(low), id) >= bits;
  const contacts = table.contacts();
  const youngestFirst = ranges.map((range) =>
    contacts.filter(({ id }) => inside(range, id)).reverse()
  );
  const at = ranges.findIndex((range) => inside(range, target));
  const [left, right] = [youngestFirst.slice(0, at).reverse(), youngestFirst.slice(at + 1)];
  const found = youngestFirst[at]?.slice() ?? [];
  for (let isLeft = true; left.length + right.length > 0; isLeft = !isLeft) {
    found.push(...(isLeft ? left : right).shift() ?? []);
  }
  return nearestOf(found.slice(0, table.k), target, table.k);
}

Deno.test("RoutingTable has the buckets of the original, and neighbours that are as near or nearer", () => {
  const nearer: string[] = [];
  for (const { name, value } of loadVectors("kademlia.find_neighbors")) {
    const expected = fromNotation(value) as TableCase;
    const { table } = testTable({ self: expected.self, k: expected.k });
    const contacts = expected.contacts.map((_, i) => contact(sha1(`c${i}`)));
    for (const node of contacts) table.add(node);
    const buckets = table.buckets();
    // The original writes the first id of a range as one more than it is, but goes by "id < end"; its end is not inside.
    const ranges = buckets.map(({ low, high }, i) => [
      (BigInt(`0x${low}`) + (i === 0 ? 0n : 1n)).toString(16),
      (BigInt(`0x${high}`) + 1n).toString(16),
    ]);
    assertEquals(ranges, expected.bucket_ranges.map((range) => [...range]), name);
    assertEquals(buckets.map(({ size }) => size), expected.bucket_sizes, name);
    assertEquals(buckets.map((bucket) => bucket.replacements), expected.replacement_sizes, name);

    const target = sha1("target");
    const indexesOf = (found: readonly Contact[]) =>
      found.map(({ key }) => keysOf(contacts).indexOf(key));
    assertEquals(
      indexesOf(neighboursOfOriginal(table, target)),
      expected.neighbours_of_sha1_target,
      name,
    );
    assertEquals(keysOf(table.closest(target)), keysOf(nearestOf(contacts, target, table.k)), name);
    if (indexesOf(table.closest(target)).join() !== expected.neighbours_of_sha1_target.join()) {
      nearer.push(name);
    }
  }
  // The target's bucket has 14 nodes: the original takes the other 6 from the next as they come, the youngest first, and
  // not the nearest of them.
  assertEquals(nearer, ["k=20 contacts=60"]);
});

Deno.test("RoutingTable.closest finds nodes that the original's search misses", () => {
  const { table } = testTable({ k: 4 });
  for (let i = 0; i < 60; i++) table.add(contact(sha1(`c${i}`)));
  let missed = 0;
  for (let i = 0; i < 100; i++) {
    const target = sha1(`target ${i}`);
    const nearest = keysOf(nearestOf(table.contacts(), target, 4));
    assertEquals(keysOf(table.closest(target)), nearest);
    if (keysOf(neighboursOfOriginal(table, target)).join() !== nearest.join()) missed++;
  }
  // The neighbour in the order of ids may be far away: 0111... and 1000... differ in every bit.
  assert(missed > 10, `${missed} of 100`);
});

/** Ids of all kinds: by chance, near to our own, and many that begin alike somewhere else. */
function anyId(self: NodeId, random: () => number): NodeId {
  const kind = random();
  if (kind < 0.3) return randomIdUnder(self, 0, random);
  if (kind < 0.7) return randomIdIn(self, Math.floor(random() * 160), random);
  return randomIdUnder(sha1(`crowd ${Math.floor(random() * 3)}`), 150, random);
}

Deno.test("RoutingTable.closest is exact, whatever ids there are and whoever is left out", () => {
  const random = seededRandom(11);
  for (const k of [1, 3, 20]) {
    const { table } = testTable({ k });
    for (let i = 0; i < 1_500; i++) table.add(contact(anyId(SELF, random)));
    const contacts = table.contacts();
    for (let i = 0; i < 150; i++) {
      const target = i % 10 === 0 ? SELF : anyId(SELF, random);
      const count = Math.floor(random() * 40);
      assertEquals(
        keysOf(table.closest(target, count)),
        keysOf(nearestOf(contacts, target, count)),
      );
      const accepts = ({ id }: Contact) => (id[19] ?? 0) % 3 !== 0;
      assertEquals(
        keysOf(table.closest(target, count, accepts)),
        keysOf(nearestOf(contacts.filter(accepts), target, count)),
      );
    }
    assertEquals(table.closest(SELF, Infinity).length, table.size);
  }
});

Deno.test("RoutingTable.closest looks at few of its nodes", () => {
  const random = seededRandom(15);
  const { table } = testTable();
  for (let i = 0; i < 3_000; i++) table.add(contact(randomIdUnder(SELF, 0, random)));
  let looked = 0;
  const accepts = () => ++looked > 0;
  for (let i = 0; i < 20; i++) table.closest(randomIdUnder(SELF, 0, random), 20, accepts);
  assert(table.size > 500 && looked <= 20 * 60, `${looked / 20} of ${table.size}`);
});

function assertSound(table: RoutingTable, networks: (contact: Contact) => string | undefined) {
  const contacts = table.contacts();
  const buckets = table.buckets();
  assertEquals(new Set(keysOf(contacts)).size, contacts.length, "nobody is there twice");
  assertEquals(contacts.length, table.size);
  let index = 0;
  const inTable = new Map<string, number>();
  for (const { bits, low, size, replacements } of buckets) {
    assert(size <= table.k && replacements <= 5 * table.k);
    const inBucket = new Map<string, number>();
    for (const node of contacts.slice(index, index += size)) {
      assert(commonBits(Uint8Array.fromHex(low), node.id) >= bits, "in the right bucket");
      assertEquals(table.get(node.key), node);
      const network = networks(node);
      if (network === undefined) continue;
      for (const counts of [inBucket, inTable]) counts.set(network, (counts.get(network) ?? 0) + 1);
    }
    for (const count of inBucket.values()) assert(count <= 2, "2 of a network in a bucket");
  }
  for (const count of inTable.values()) assert(count <= 10, "10 of a network in the table");
  assertEquals(table.hasPublic, inTable.size > 0);
  return contacts;
}

Deno.test("RoutingTable stays sound whatever happens in whichever order", async () => {
  const random = seededRandom(12);
  const { clock, table } = testTable({ k: 4 });
  const ids = Array.from({ length: 600 }, () => anyId(SELF, random));
  const any = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
  const seen = new Set<string>();
  let isPublic = 0;
  for (let i = 0; i < 6_000; i++) {
    const network = Math.floor(random() * 40);
    const hostname = network < 20 ? `10.0.${network}.1` : `198.51.${network}.7`;
    const action = random();
    if (action < 0.6) seen.add(table.add(contact(any(ids), hostname)).type);
    else if (action < 0.9 && table.size > 0) table.failed(any(table.contacts()));
    else if (action < 0.92) table.remove(any(ids).toHex());
    else if (action < 0.93) await clock.advance(random() * 60 * MINUTE_MS);
    if (i % 100 !== 0) continue;
    const contacts = assertSound(table, ({ address }) => {
      const [first, , third] = address.hostname.split(".");
      return first === "10" ? undefined : third;
    });
    const target = any(ids);
    const nearest = table.closest(target, Infinity);
    assertEquals(keysOf(nearest).sort(), keysOf(contacts).sort());
    if (table.hasPublic) isPublic++;
  }
  assertEquals([...seen].sort(), ["added", "refused", "replacement", "updated"]);
  assert(table.size > 100 && isPublic > 50, `${table.size} nodes, ${isPublic} times public`);
});

Deno.test("RoutingTable keeps who is there, and has newcomers wait for a place", async () => {
  const { clock, table, nodes, newcomer } = fullTable(3);
  await clock.advance(2 * MINUTE_MS);
  const [first, second, third] = nodes;
  assert(first && second && third);
  assertEquals(table.add(newcomer()), { type: "replacement", oldest: first });
  assertEquals(table.add(newcomer()), { type: "replacement" }, "it is being asked already");
  assertEquals(table.add(first), { type: "updated" }); // it answers, and is the youngest now
  assertEquals(table.add(newcomer()), { type: "replacement", oldest: second });
  await clock.advance(MINUTE_MS);
  assertEquals(
    table.add(newcomer()),
    { type: "replacement", oldest: second },
    "again after a while",
  );
  assertEquals(keysOf(table.contacts()), keysOf([second, third, first]));
  assertEquals(table.buckets().at(-1)?.replacements, 4);
});

Deno.test("RoutingTable gives the place of a node that failed twice to who came last", () => {
  const { table, nodes, newcomer } = fullTable(2);
  const [first, second] = nodes;
  assert(first && second);
  const [early, late] = [newcomer(), newcomer()];
  for (const node of [early, late]) table.add(node);
  assertEquals([table.failed(first), table.get(first.key)], [false, first]);
  table.add(first);
  assertEquals(table.failed(first), false, "it answered in between");
  assertEquals([table.failed(first), table.get(first.key)], [true, undefined]);
  assertEquals(keysOf(table.contacts()), keysOf([late, second]), "late is to be asked first");
  table.failed(early);
  for (let i = 0; i < 2; i++) assertEquals(table.failed(second), false, "early waits no more");
  assertEquals(table.size, 2);
});

Deno.test("RoutingTable gives the place of a node at its first failure when nobody heard of it for long", async () => {
  const { clock, table, nodes: [first], newcomer } = fullTable(1);
  assert(first);
  await clock.advance(16 * MINUTE_MS);
  const next = newcomer();
  table.add(next);
  assertEquals([table.failed(first), keysOf(table.contacts())], [true, [next.key]]);
});

Deno.test("RoutingTable keeps a failing node that nobody replaces, behind all others, for five failures", () => {
  const { table, nodes: [first, second], newcomer } = fullTable(2);
  assert(first && second);
  assertEquals(keysOf(table.closest(first.id)), keysOf([first, second]));
  table.failed(first);
  assertEquals(keysOf(table.closest(first.id)), keysOf([first, second]), "one packet may get lost");
  table.failed(first);
  assertEquals(keysOf(table.closest(first.id)), keysOf([second, first]));
  assertEquals(keysOf(table.closest(first.id, 1)), [second.key]);
  assertEquals(table.buckets().at(-1)?.failing, 1);
  table.add(first);
  assertEquals(keysOf(table.closest(first.id, 1)), [first.key]);
  for (let i = 0; i < 4; i++) assertEquals(table.failed(first), false);
  assertEquals([table.failed(first), table.size], [true, 1]);
  for (let i = 0; i < 3; i++) table.failed(second);
  const [third, fourth] = [newcomer(), newcomer()];
  assertEquals([table.add(third).type, table.size], ["added", 2]);
  assertEquals(table.add(fourth).type, "added", "it takes the place of the one that fails");
  assertEquals(keysOf(table.contacts()), keysOf([third, fourth]));
});

Deno.test("RoutingTable does not hold against a node that it did not answer where it is not", () => {
  const { table, nodes: [first], newcomer } = fullTable(1);
  assert(first);
  const waiting = newcomer();
  table.add(waiting);
  for (let i = 0; i < 9; i++) {
    assertEquals(table.failed(contact(first.id, "203.0.113.6")), false);
    assertEquals(table.failed(contact(waiting.id, "203.0.113.6")), false);
  }
  assertEquals([table.get(first.key), table.buckets().at(-1)?.replacements], [first, 1]);
});

Deno.test("RoutingTable has a node where it answered last, and knows itself not", () => {
  const { table } = testTable();
  const before = contact(sha1("bob"), "10.0.0.1");
  const after = { ...before, address: { hostname: "10.0.0.2", port: 7 }, name: "bob", tcpPort: 9 };
  assertEquals([table.add(before).type, table.add(after).type], ["added", "updated"]);
  assertEquals([table.get(before.key), table.size], [after, 1]);
  assertEquals(table.add(contact(SELF)), { type: "refused", why: "self" });
  assertEquals([table.remove(before.key), table.remove(before.key)], [true, false]);
  assertEquals([table.size, table.get(before.key)], [0, undefined]);
  assertThrows(() => table.get("bob"), TypeError, "Key must be 40");
});

Deno.test("RoutingTable.remove gives the place to a replacement, and forgets one", () => {
  const { table, nodes: [first], newcomer } = fullTable(1);
  assert(first);
  const [early, late] = [newcomer(), newcomer()];
  for (const node of [early, late]) table.add(node);
  assertEquals(table.remove(late.key), false);
  assertEquals([table.remove(first.key), keysOf(table.contacts())], [true, [early.key]]);
});

Deno.test("RoutingTable smooths round trips, also of who waits", () => {
  const { table, nodes: [first], newcomer } = fullTable(1);
  assert(first);
  assertEquals(table.rttOf(first), undefined);
  for (const rttMs of [80, 160]) table.add(first, { rttMs });
  table.add(first);
  assertEquals(table.rttOf(first), 90);
  const waiting = newcomer();
  for (const rttMs of [8, 16]) table.add(waiting, { rttMs });
  assertEquals(table.rttOf(waiting), undefined, "it is not in the table");
  table.remove(first.key);
  assertEquals(table.rttOf(waiting), 9);
});

Deno.test("RoutingTable has at most 2 nodes of a public network in a bucket, and as many as there are of a private one", () => {
  for (
    const [hostname, other, expected] of [
      ["192.0.2", "198.51.100.1", 2],
      ["2001:db8:7", "2001:db8:8::1", 2],
      ["192.168.7", "10.0.0.1", 6],
    ] as const
  ) {
    const { table } = testTable({ self: idOf("0"), k: 6 });
    const host = (i: number) => hostname.includes(":") ? `${hostname}:${i}::1` : `${hostname}.${i}`;
    const results = Array.from(
      { length: 6 },
      (_, i) => table.add(contact(idOf("11111", i), host(i))),
    );
    assertEquals(table.size, expected, hostname);
    if (expected === 6) continue;
    assertEquals(results.at(-1), { type: "refused", why: "network-in-bucket" });
    assertEquals([table.hasPublic, table.add(contact(idOf("1"), other)).type], [true, "added"]);
    assertEquals(table.add(contact(idOf("0111"), host(9))).type, "refused", "the same bucket");
  }
});

Deno.test("RoutingTable has at most 10 nodes of a public network, and room again once one goes", () => {
  const { table } = testTable({ self: idOf("0"), k: 1 });
  const nodes = Array.from(
    { length: 12 },
    (_, i) => contact(idOf("0".repeat(i) + "1"), `192.0.2.${i}`),
  );
  const results = nodes.map((node) => table.add(node));
  assertEquals(results.map(({ type }) => type).lastIndexOf("added"), 9);
  assertEquals(results.at(-1), { type: "refused", why: "network-in-table" });
  const [first, ...others] = nodes;
  assert(first);
  table.remove(first.key);
  const last = others.at(-1);
  assertEquals(last && table.add(last).type, "added");
  const stranger = contact(first.id, "198.51.100.1");
  assertEquals(table.add(stranger).type, "added");
  const moved = { ...stranger, address: first.address };
  assertEquals(table.add(moved), { type: "refused", why: "network-in-table" });
  assertEquals(table.get(stranger.key), stranger, "it is known where it was");
  if (last) table.add({ ...last, address: { hostname: "203.0.113.1", port: 1 } });
  assertEquals(table.add(moved), { type: "updated" }, "somebody else has left the network");
});

Deno.test("RoutingTable passes over replacements whose network has its share", () => {
  const { table, nodes, newcomer } = fullTable(3, "10.0.0.1");
  const [first, second, third] = nodes;
  assert(first && second && third);
  const crowd = [4, 5].map((i) => contact(idOf("11111", i), `192.0.2.${i}`));
  const honest = newcomer();
  for (const node of [honest, ...crowd]) assertEquals(table.add(node).type, "replacement");
  table.add({ ...first, address: { hostname: "192.0.2.1", port: 1 } });
  table.remove(second.key);
  assertEquals(keysOf(table.contacts()), keysOf([...crowd.slice(1), third, first]));
  table.remove(third.key);
  assertEquals(table.get(honest.key), honest, "though another came later");
});

Deno.test("RoutingTable lets no 20 chosen ids keep half of all others out", () => {
  const { table } = testTable({ self: idOf("0") });
  // They have 10 bits in common: by the bits that ids share, and not their range, this bucket would never split.
  for (let i = 0; i < 20; i++) table.add(contact(idOf("1".repeat(10) + "0", i)));
  for (const bits of ["1000", "1001", "1010", "1011", "1100", "1101"]) {
    assertEquals(table.add(contact(idOf(bits))).type, "added");
  }
});

Deno.test("RoutingTable stays within its bounds under ids that are made to split it", () => {
  const random = seededRandom(13);
  const { table } = testTable({ k: 2 });
  const far = randomIdIn(SELF, 0, random);
  for (let i = 0; i < 3_000; i++) {
    table.add(contact(randomIdIn(far, 1 + Math.floor(random() * 159), random)));
  }
  assertEquals(table.buckets().length, 17, "one of our half, and 16 of 5 bits");
  for (let i = 0; i < 10_000; i++) {
    table.add(contact(randomIdIn(SELF, Math.floor(random() * 160), random)));
  }
  const buckets = table.buckets();
  assert(buckets.length > 400 && buckets.length <= 993, `${buckets.length} buckets`);
  assert(Math.max(...buckets.map(({ bits }) => bits)) <= 160);
  for (const { bits, low } of buckets) {
    const common = commonBits(Uint8Array.fromHex(low), SELF);
    assert(common >= bits || bits <= 5 * (Math.floor(common / 5) + 1), `${bits} at ${common}`);
  }
});

Deno.test("RoutingTable.stale has an id of each bucket that nobody looked into for long", async () => {
  const { clock, table } = testTable({ k: 2 });
  for (let i = 0; i < 60; i++) table.add(contact(sha1(`c${i}`)));
  const ranges = table.buckets();
  assertEquals(table.stale(MINUTE_MS), []);
  await clock.advance(MINUTE_MS);
  const targets = table.stale(MINUTE_MS);
  assertEquals(targets.length, ranges.length);
  for (const [i, { bits, low }] of ranges.entries()) {
    const target = targets[i];
    assert(target && commonBits(Uint8Array.fromHex(low), target) >= bits);
  }
  const [first, ...others] = targets;
  assert(first);
  table.lookedUp(first);
  assertEquals(table.buckets()[0]?.lastLookedUpMs, MINUTE_MS);
  assertEquals(table.stale(MINUTE_MS).length, others.length);
  for (const target of others) table.lookedUp(target);
  assertEquals(table.stale(MINUTE_MS), []);
});

Deno.test("RoutingTable.farTargets has an id at each distance beyond the k nearest nodes", () => {
  const { table } = testTable({ k: 3 });
  const random = seededRandom(14);
  for (const bits of [9, 8]) table.add(contact(randomIdIn(SELF, bits, random)));
  assertEquals(table.farTargets(), [], "all there are");
  for (const bits of [0, 5]) table.add(contact(randomIdIn(SELF, bits, random)));
  const distances = table.farTargets().map((target) => commonBits(SELF, target));
  assertEquals(distances, [0, 1, 2, 3, 4]);
});

Deno.test("RoutingTable refuses options that make no sense", () => {
  const clock = new ManualClock();
  for (const k of [0, -1, 1.5, NaN, Infinity]) {
    assertThrows(() => new RoutingTable({ self: SELF, clock, k }), RangeError, "k must be");
  }
  const self = SELF.slice(1);
  assertThrows(() => new RoutingTable({ self, clock }), RangeError, "self must have 20 bytes");
  const diversity = { perBucket: 0 };
  assertThrows(() => new RoutingTable({ self: SELF, clock, diversity }), RangeError, "perBucket");
});
