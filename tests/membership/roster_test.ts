import { assert, assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import type { Member } from "../../src/membership/member.ts";
import {
  bucketOf,
  BUCKETS,
  differences,
  DIGEST_BYTES,
  Roster,
} from "../../src/membership/roster.ts";
import { Generator } from "../fuzz/generate.ts";
import { bucketByHand, FIRST, memberOf } from "./fixture.ts";

const SELF = { peerId: "5e".repeat(20), incarnation: FIRST };

function idOf(generator: Generator): string {
  return generator.bytes(20).toHex();
}

function rosterOf(members: readonly Member[], seed = 1): Roster {
  const roster = new Roster(new ManualClock({ seed }));
  for (const member of members) roster.put(member);
  return roster;
}

function asked(roster: Roster, count: number): (Member | undefined)[] {
  return Array.from({ length: count }, () => roster.next());
}

Deno.test("Roster asks everybody once in a round, in another order each time", () => {
  const generator = new Generator(1);
  const members = Array.from({ length: 40 }, () => memberOf(idOf(generator)));
  const roster = rosterOf(members);
  const rounds = Array.from({ length: 5 }, () => asked(roster, 40));
  for (const round of rounds) assertEquals(new Set(round), new Set(members));
  assertEquals(new Set(rounds.map((round) => round.map((one) => one?.peerId).join())).size, 5);
});

Deno.test("Roster has nobody to ask where nobody is present", () => {
  const roster = rosterOf([]);
  assertEquals([roster.next(), roster.sample(3), roster.present], [undefined, [], 0]);
});

Deno.test("Roster asks a newcomer within the next round, wherever the present one stands", () => {
  const generator = new Generator(2);
  for (let place = 0; place <= 20; place++) {
    const roster = rosterOf(Array.from({ length: 20 }, () => memberOf(idOf(generator))), place + 1);
    asked(roster, place);
    const newcomer = memberOf(idOf(generator));
    roster.put(newcomer);
    assert(asked(roster, 2 * 21 - place).includes(newcomer), `at ${place}`);
  }
});

Deno.test("Roster asks nobody twice in a round in which somebody joins", () => {
  const generator = new Generator(6);
  for (let run = 0; run < 200; run++) {
    const members = Array.from({ length: 12 }, () => memberOf(idOf(generator)));
    const roster = rosterOf(members, run);
    const before = asked(roster, generator.below(13));
    roster.put(memberOf(idOf(generator)));
    const rest = asked(roster, 12 - before.length);
    assertEquals(new Set([...before, ...rest]).size, 12);
  }
});

Deno.test("Roster skips nobody when somebody leaves within a round", () => {
  const generator = new Generator(3);
  for (let run = 0; run < 200; run++) {
    const members = Array.from({ length: 12 }, () => memberOf(idOf(generator)));
    const roster = rosterOf(members, run);
    const place = generator.below(13);
    const before = asked(roster, place);
    const leaver = generator.pick(members);
    if (generator.below(2) === 0) roster.remove(leaver);
    else {
      leaver.state = generator.pick(["dead", "gone"] as const);
      roster.put(leaver);
    }
    const rest = asked(roster, 12 - place - (before.includes(leaver) ? 0 : 1));
    const expected = members.filter((member) => member !== leaver || before.includes(member));
    assertEquals(new Set([...before, ...rest]), new Set(expected));
  }
});

Deno.test("Roster keeps the dead and those who went, asks them nothing, and takes them back", () => {
  const [one, two, three] = ["aa", "bb", "cc"].map((byte) => memberOf(byte.repeat(20)));
  assert(one !== undefined && two !== undefined && three !== undefined);
  const roster = rosterOf([one, two, three]);
  [one.state, two.state, three.state] = ["dead", "gone", "suspect"];
  for (const member of [one, two, three]) roster.put(member);
  assertEquals([roster.size, roster.present, roster.lost], [3, 1, [one]]);
  assertEquals(new Set(asked(roster, 9)), new Set([three]));
  one.state = "alive";
  roster.put(one);
  roster.put(one);
  assertEquals([roster.present, roster.lost], [2, []]);
  roster.remove(one);
  assertEquals([roster.size, roster.present, roster.get(one.peerId)], [2, 1, undefined]);
});

Deno.test("Roster draws others once each, and finds the few that fit in a small group", () => {
  const generator = new Generator(4);
  const members = Array.from({ length: 12 }, () => memberOf(idOf(generator)));
  const roster = rosterOf(members);
  for (let run = 0; run < 50; run++) {
    assertEquals(new Set(roster.sample(3)).size, 3);
    const fits = members.slice(0, 2);
    assertEquals(new Set(roster.sample(3, (one) => fits.includes(one))), new Set(fits));
  }
  assertEquals(roster.sample(20).length, 12);
});

Deno.test("digests differ in exactly the buckets in which two know different things", () => {
  const generator = new Generator(5);
  for (let run = 0; run < 60; run++) {
    const known = Array.from({ length: 1 + generator.below(60) }, () => {
      return { peerId: idOf(generator), incarnation: FIRST + generator.below(1e9) };
    });
    const changed = known.filter(() => generator.below(8) === 0);
    const theirs = known.flatMap((one) => {
      if (!changed.includes(one)) return [one];
      const incarnation = one.incarnation + 1;
      return generator.below(2) === 0 ? [] : [{ ...one, incarnation }];
    });
    const rosters = [known, theirs.reverse()].map((all) => {
      return rosterOf(all.map(({ peerId, incarnation }) => memberOf(peerId, incarnation)), run);
    });
    const [a, b] = rosters.map((roster) => roster.digest(SELF));
    assert(a !== undefined && b !== undefined);
    assertEquals(a.length, DIGEST_BYTES);
    const expected = new Set(changed.map(({ peerId }) => bucketByHand(peerId)));
    assertEquals(differences(a, b), expected);
  }
});

Deno.test("digests are of those who are present, whoever counts himself", () => {
  const [bob, ann] = [memberOf("b0".repeat(20)), memberOf("a0".repeat(20))];
  const dead = memberOf("d0".repeat(20));
  dead.state = "dead";
  const byAnn = rosterOf([bob, dead]).digest({ peerId: ann.peerId, incarnation: FIRST });
  const byBob = rosterOf([ann]).digest({ peerId: bob.peerId, incarnation: FIRST });
  assertEquals(byAnn, byBob);
});

Deno.test("bucketOf spreads peers over all buckets", () => {
  const buckets = new Set<number>();
  for (let byte = 0; byte < 256; byte++) {
    const id = byte.toString(16).padStart(2, "0").repeat(20);
    assertEquals(bucketOf(id), bucketByHand(id));
    buckets.add(bucketOf(id));
  }
  assertEquals(buckets.size, BUCKETS);
});
