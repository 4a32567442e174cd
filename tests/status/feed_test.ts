import { assert, assertEquals, assertThrows } from "@std/assert";
import { printable } from "../../src/log.ts";
import { MAX_PART_CHARS, MAX_SOURCES, StatusFeed } from "../../src/status/feed.ts";
import { Journal } from "../endpoint/fixture.ts";

Deno.test("StatusFeed tells what has changed since the look before, and has all of it", () => {
  const feed = new StatusFeed(new Journal());
  let [a, b]: [unknown, unknown] = [{ n: 1 }, "b"];
  feed.add({ name: "a", snapshot: () => a });
  const registration = feed.add({ name: "b", snapshot: () => b });
  assertEquals(feed.look(), { a: { n: 1 }, b: "b" });
  assertEquals(feed.look(), {});
  a = { n: 2 };
  assertEquals([feed.look(), feed.all], [{ a: { n: 2 } }, { a: { n: 2 }, b: "b" }]);
  registration[Symbol.dispose]();
  assertEquals([feed.look(), feed.all], [{ b: null }, { a: { n: 2 } }]);
  assertEquals(feed.look(), {});
  b = "again";
  using _again = feed.add({ name: "b", snapshot: () => b });
  registration[Symbol.dispose]();
  assertEquals(feed.look(), { b: "again" });
});

Deno.test("StatusFeed shows a source that fails, or has too much to say, as that, and the others all the same", () => {
  const journal = new Journal();
  const feed = new StatusFeed(journal);
  let fails = true;
  const say = () => {
    if (fails) throw new Error("secret \u001b[2J");
    return 1;
  };
  feed.add({
    name: "bad",
    snapshot: say,
    figures: () => [{ name: "x", help: "", type: "gauge", value: Number(say()) }],
  });
  feed.add({ name: "large", snapshot: () => "x".repeat(MAX_PART_CHARS) });
  feed.add({ name: "odd", snapshot: () => ({ odd: NaN }) });
  feed.add({ name: "good", snapshot: () => "good", figures: () => [] });
  const failed = { error: "it failed, the log says how" };
  assertEquals(feed.look(), {
    bad: failed,
    large: { error: `it says more than ${MAX_PART_CHARS} characters` },
    odd: failed,
    good: "good",
  });
  assertEquals([feed.look(), feed.figures()], [{}, []]);
  const lines = journal.lines.filter((line) => JSON.stringify(line).includes("bad"));
  // Once of the part, once of the figures.
  assertEquals([lines.length, JSON.stringify(lines).includes("u{1b}")], [2, true]);
  fails = false;
  assertEquals([feed.look(), feed.figures().length], [{ bad: 1 }, 1]);
});

Deno.test("StatusFeed shortens the lists of a part that says too much, and tells by how much", () => {
  const feed = new StatusFeed(new Journal());
  const name = printable("\u200b".repeat(64), 64); // a name of 64 is 512 characters here, 576 in JSON
  let peers = 200;
  feed.add({
    name: "peers",
    snapshot: () => ({ rows: Array.from({ length: peers }, (_, n) => ({ n, name })), of: peers }),
  });
  feed.add({ name: "topics", snapshot: () => [{ neighbors: Array(1_000).fill(name) }, 1] });
  feed.add({ name: "few", snapshot: () => [1, 2] });
  const { peers: shown, topics } = feed.look() as {
    peers: { rows: { n: number }[]; of: number };
    topics: [{ neighbors: string[] }, number];
  };
  assertEquals([shown.rows.length, shown.rows.at(-1)?.n, shown.of], [96, 95, 200]);
  assertEquals([topics[0].neighbors.length, topics[1]], [96, 1]);
  assertEquals(feed.notShown, { peers: 104, topics: 904 });
  assert(JSON.stringify(feed.all.peers).length <= MAX_PART_CHARS);
  assertEquals(feed.look(), {});
  peers = 100; // fits
  assertEquals((feed.look().peers as typeof shown).rows.length, 100);
  assertEquals(feed.notShown, { topics: 904 });
});

Deno.test("StatusFeed complains once of a source whose figures fail, until they work again", () => {
  const journal = new Journal();
  const feed = new StatusFeed(journal);
  let fails = true;
  const figures = () => {
    if (fails) throw new Error("no");
    return [];
  };
  feed.add({ name: "odd", snapshot: () => 1, figures });
  const ask = () => {
    for (let n = 0; n < 3; n++) [feed.look(), feed.figures()];
    return journal.lines.length;
  };
  assertEquals(ask(), 1);
  fails = false;
  assertEquals(ask(), 1);
  fails = true;
  assertEquals(ask(), 2);
});

Deno.test("StatusFeed takes a name once, and a bounded number of sources", () => {
  const feed = new StatusFeed(new Journal());
  for (let n = 0; n < MAX_SOURCES; n++) feed.add({ name: `${n}`, snapshot: () => n });
  assertThrows(() => feed.add({ name: "0", snapshot: () => 0 }), TypeError, "there is one");
  assertThrows(() => feed.add({ name: "more", snapshot: () => 0 }), RangeError, "maxSources");
});
