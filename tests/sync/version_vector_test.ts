import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { InvalidPacketError } from "../../src/errors.ts";
import {
  compareEdits,
  compareVersions,
  isReplica,
  leadingEdit,
  makeReplica,
  MAX_VERSION_COUNTER,
  MAX_VERSION_REPLICAS,
  mergeVersions,
  nextVersion,
  versionFault,
  versionFromJson,
  versionToJson,
  type VersionVector,
} from "../../src/sync/version_vector.ts";

const [ann, bob, cat] = [1, 2, 3].map((n) => `r${String(n).padStart(16, "0")}`) as [
  string,
  string,
  string,
];

function version(...rows: [string, number][]): VersionVector {
  return new Map(rows);
}

Deno.test("compareVersions tells what includes what", () => {
  const one = version([ann, 1]);
  assertEquals(compareVersions(one, version([ann, 1])), "equal");
  assertEquals(compareVersions(one, version([ann, 2])), "before");
  assertEquals(compareVersions(version([ann, 1], [bob, 1]), one), "after");
  assertEquals(compareVersions(version([ann, 2]), version([ann, 1], [bob, 1])), "concurrent");
  assertEquals(compareVersions(version(), one), "before");
});

Deno.test("mergeVersions is the least that includes both, and changes neither", () => {
  const [a, b] = [version([ann, 2]), version([ann, 1], [bob, 3])];
  assertEquals(mergeVersions(a, b), version([ann, 2], [bob, 3]));
  assertEquals([a.size, b.get(ann)], [1, 1]);
});

Deno.test("nextVersion counts above all that it includes", () => {
  assertEquals(nextVersion(version([ann, 7], [bob, 2]), bob).get(bob), 8);
  assertEquals(nextVersion(version(), ann), version([ann, 1]));
});

function versionOfMany(count: number, counter = 1): VersionVector {
  return new Map(Array.from({ length: count }, () => [makeReplica(), counter]));
}

Deno.test("nextVersion takes the place of any version that others claim, and can be read", () => {
  for (
    const claimed of [
      version([ann, MAX_VERSION_COUNTER]),
      version([ann, MAX_VERSION_COUNTER], [bob, 3]),
      version([ann, MAX_VERSION_COUNTER], [bob, MAX_VERSION_COUNTER]),
      new Map([...versionOfMany(MAX_VERSION_REPLICAS - 1), [bob, 1] as const]),
    ]
  ) {
    let last: VersionVector = claimed;
    for (let edit = 0; edit < 5; edit++) {
      const next = nextVersion(last, bob);
      assertEquals(compareVersions(last, next), "before");
      assertEquals(versionFault(versionToJson(next)), undefined);
      last = next;
    }
  }
});

Deno.test("nextVersion of a version of too many replicas is in conflict with it, and wins", () => {
  for (const counter of [1, MAX_VERSION_COUNTER - 1]) {
    const full = versionOfMany(MAX_VERSION_REPLICAS, counter);
    const next = nextVersion(full, bob);
    assertEquals([next.size, next.get(bob)], [MAX_VERSION_REPLICAS, counter + 1]);
    assertEquals(compareVersions(full, next), "concurrent");
    assert(compareEdits(leadingEdit(next), leadingEdit(full)) > 0);
  }
});

Deno.test("mergeVersions keeps the greatest edits of too many, in whatever order they are merged", () => {
  const [a, b, c] = [1, 2, 3].map((counter) => versionOfMany(700, counter));
  assert(a && b && c);
  const merged = mergeVersions(mergeVersions(a, b), c);
  assertEquals(merged.size, MAX_VERSION_REPLICAS);
  assertEquals(mergeVersions(c, mergeVersions(b, a)), merged);
  assertEquals(mergeVersions(merged, a), merged);
  assertEquals([...c.keys()].filter((replica) => !merged.has(replica)), []);
  assertEquals([...a.keys()].filter((replica) => merged.has(replica)), []);
});

// What makes the winner of a conflict the same on every replica: whatever edits a version includes, in whatever order they
// were merged, its leading edit is the greatest of them.
Deno.test("leadingEdit never contradicts what includes what", () => {
  const random = seededRandom(3);
  const edits: VersionVector[] = [version()];
  const pick = () => edits[Math.floor(random() * edits.length)] ?? version();
  for (let i = 0; i < 2_000; i++) {
    const replica = [ann, bob, cat][Math.floor(random() * 3)] ?? ann;
    edits.push(random() < 0.5 ? mergeVersions(pick(), pick()) : nextVersion(pick(), replica));
    const [a, b] = [pick(), pick()];
    const order = compareEdits(leadingEdit(a), leadingEdit(b));
    if (compareVersions(a, b) === "before") assert(order <= 0);
    const merged = leadingEdit(mergeVersions(a, b));
    assertEquals(merged, order > 0 ? leadingEdit(a) : leadingEdit(b));
  }
});

Deno.test("leadingEdit of equal counters is that of the greater replica", () => {
  assertEquals(leadingEdit(version([bob, 3], [ann, 3])), { replica: bob, counter: 3 });
  assertEquals(leadingEdit(version()).counter, 0);
});

Deno.test("versionFromJson takes what versionToJson gives, and names what is wrong with the rest", () => {
  const some = version([bob, 3], [ann, 5]);
  assertEquals(Object.keys(versionToJson(some)), [ann, bob]);
  assertEquals(versionFromJson(JSON.parse(JSON.stringify(versionToJson(some)))), some);
  const many = Array.from({ length: MAX_VERSION_REPLICAS + 1 }, () => [makeReplica(), 1]);
  const wrong: [unknown, string][] = [
    [null, "is not an object"],
    [[], "is not an object"],
    [{}, "names no replica"],
    [{ bob: 1 }, "not a replica's name"],
    [{ 7: 1 }, "not a replica's name"],
    [{ [ann]: 0 }, "1..281474976710656"],
    [{ [ann]: 1.5 }, "not an integer"],
    [{ [ann]: "1" }, "not an integer"],
    [{ [ann]: MAX_VERSION_COUNTER + 1 }, "not an integer"],
    [JSON.parse(`{"__proto__":1}`), "not a replica's name"],
    [Object.fromEntries(many), "versionReplicas 1024"],
  ];
  for (const [value, text] of wrong) {
    assertThrows(() => versionFromJson(value), InvalidPacketError, text);
  }
});

Deno.test("makeReplica makes names that are read, each another", () => {
  assertMatch(makeReplica(), /^r[0-9a-f]{16}$/);
  assert(makeReplica() !== makeReplica());
  assert(isReplica(makeReplica()) && !isReplica("bob") && !isReplica(7));
});
