import { assertEquals } from "@std/assert";
import { tombstoneOf } from "../../src/sync/entry.ts";
import { judge } from "../../src/sync/judge.ts";
import type { VersionVector } from "../../src/sync/version_vector.ts";
import { fileEntry } from "./index_contract.ts";

const [ann, bob] = ["r000000000000000a", "r000000000000000b"];
const [one, other] = ["11".repeat(32), "22".repeat(32)];

function v(a: number, b: number): VersionVector {
  return new Map([[ann, a], [bob, b]].filter(([, n]) => n !== 0) as [string, number][]);
}

Deno.test("judge follows what includes what", () => {
  const [older, newer] = [
    fileEntry("a", { version: v(1, 0), sha256: one }),
    fileEntry("a", { version: v(1, 2), sha256: other }),
  ];
  assertEquals(judge(older, newer), { verdict: "take", entry: newer });
  assertEquals(judge(newer, older), { verdict: "ours" });
  assertEquals(judge(newer, newer), { verdict: "equal" });
  assertEquals(judge(undefined, newer), { verdict: "take", entry: newer });
  const touched = { ...older, mode: 0o600, version: v(1, 2) };
  assertEquals(judge(older, touched), { verdict: "adopt", entry: touched });
});

Deno.test("judge takes a tombstone for what it stands for", () => {
  const file = fileEntry("a", { version: v(1, 0) });
  const gone = tombstoneOf(file, v(1, 2));
  assertEquals(judge(undefined, gone), { verdict: "adopt", entry: gone });
  assertEquals(judge(file, gone), { verdict: "take", entry: gone });
  assertEquals(judge(gone, file), { verdict: "ours" });
  const elsewhere = tombstoneOf(file, v(2, 0));
  assertEquals(judge(gone, elsewhere), {
    verdict: "adopt",
    entry: { ...gone, version: v(2, 2) },
  });
});

Deno.test("judge has one winner of a conflict, whoever is asked, and the loser keeps its contents", () => {
  const wins = fileEntry("a", { version: v(1, 3), sha256: one });
  const loses = fileEntry("a", { version: v(2, 0), sha256: other });
  assertEquals(judge(wins, loses), { verdict: "ours" });
  assertEquals(judge(loses, wins), { verdict: "conflict", entry: { ...wins, version: v(2, 3) } });
  // Equal counters: the greater replica's.
  const [a, b] = [{ ...loses, version: v(2, 0) }, { ...wins, version: v(0, 2) }];
  assertEquals([judge(a, b).verdict, judge(b, a).verdict], ["conflict", "ours"]);
});

Deno.test("judge joins the same contents without a conflict", () => {
  const a = fileEntry("a", { version: v(2, 0), mtimeMs: 1 });
  const b = fileEntry("a", { version: v(1, 3), mtimeMs: 2 });
  const joined = { ...b, version: v(2, 3) };
  assertEquals(judge(a, b), { verdict: "adopt", entry: joined });
  assertEquals(judge(b, a), { verdict: "adopt", entry: joined });
});

Deno.test("judge never lets a deletion take what was changed in the meantime", () => {
  const edited = fileEntry("a", { version: v(2, 0) });
  const gone = tombstoneOf(edited, v(1, 3));
  assertEquals(judge(edited, gone), { verdict: "revive", entry: { ...edited, version: v(2, 3) } });
  assertEquals(judge(gone, edited), { verdict: "ours" }); // they have the contents: they act
  const late = fileEntry("a", { version: v(4, 0) });
  assertEquals(judge(late, gone), { verdict: "ours" });
  assertEquals(judge(gone, late), { verdict: "take", entry: { ...late, version: v(4, 3) } });
});

Deno.test("judge sees a conflict where a replica has made another edit under a number that it gave before", () => {
  const [a, b] = [one, other].map((sha256) => fileEntry("a", { version: v(1, 0), sha256 }));
  if (a === undefined || b === undefined) throw new Error("unreachable");
  assertEquals([judge(a, b).verdict, judge(b, a).verdict], ["conflict", "ours"]);
});

Deno.test("judge keeps an edit of a replica that has forgotten a later one of its own", () => {
  const ours = fileEntry("a", { version: v(2, 1), sha256: one });
  const theirs = fileEntry("a", { version: v(4, 1), sha256: other });
  assertEquals(judge(ours, theirs, bob), { verdict: "take", entry: theirs });
  assertEquals(judge(ours, theirs, ann).verdict, "conflict");
  assertEquals(judge(ours, { ...theirs, sha256: one }, ann).verdict, "adopt");
  assertEquals(judge(ours, tombstoneOf(theirs, v(4, 1)), ann).verdict, "revive");
  // What another has made of it since is no edit that we have forgotten.
  assertEquals(judge(ours, { ...theirs, version: v(2, 5) }, ann).verdict, "take");
});
