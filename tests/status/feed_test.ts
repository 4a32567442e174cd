import { assertEquals, assertThrows } from "@std/assert";
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
  assertEquals([lines.length, JSON.stringify(lines).includes("u{1b}")], [1, true]);
  fails = false;
  assertEquals([feed.look(), feed.figures().length], [{ bad: 1 }, 1]);
});

Deno.test("StatusFeed takes a name once, and a bounded number of sources", () => {
  const feed = new StatusFeed(new Journal());
  for (let n = 0; n < MAX_SOURCES; n++) feed.add({ name: `${n}`, snapshot: () => n });
  assertThrows(() => feed.add({ name: "0", snapshot: () => 0 }), TypeError, "there is one");
  assertThrows(() => feed.add({ name: "more", snapshot: () => 0 }), RangeError, "maxSources");
});
