import { assertEquals } from "@std/assert";
import { ParentSearch } from "../../src/palmtree/parent_search.ts";

Deno.test("ParentSearch waits for a link as long as it asks, and takes one that comes later", () => {
  const asked: [string, number][] = [];
  let nowMs = 0;
  const ports = { ask: (peerId: string) => void asked.push([peerId, nowMs]), candidates: () => [] };
  const search = new ParentSearch(ports, 5_000);
  search.answer("a", 0);
  for (nowMs = 100; nowMs <= 700; nowMs += 100) {
    assertEquals(search.isWaiting(nowMs - 1), true, `${nowMs}`);
    search.tick(nowMs);
  }
  assertEquals(asked, [["a", 0], ["a", 100], ["a", 300]]);
  assertEquals([search.isWaiting(700), search.isAsked("a")], [false, true]);
  search.tick(5_000);
  assertEquals(search.isAsked("a"), false);
});
