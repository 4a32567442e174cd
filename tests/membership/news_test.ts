import { assert, assertEquals } from "@std/assert";
import { News } from "../../src/membership/news.ts";

const claim = (fill: number, bytes = 100) => new Uint8Array(bytes).fill(fill);
const shown = (claims: readonly Uint8Array[]) => claims.map(([fill]) => fill);

Deno.test("News passes every claim on so many times and no more", () => {
  const news = new News();
  for (let topic = 0; topic < 7; topic++) news.add(`${topic}`, claim(topic));
  const counts = new Map<number, number>();
  for (let packet = 0; packet < 50; packet++) {
    for (const fill of shown(news.take(3 * 103, 4))) {
      counts.set(fill ?? -1, (counts.get(fill ?? -1) ?? 0) + 1);
    }
  }
  assertEquals([...counts.values()], Array.from({ length: 7 }, () => 4));
  assertEquals([news.size, news.take(10_000, 4)], [0, []]);
});

Deno.test("News takes no more than fits, overhead included, and skips what is too large", () => {
  const news = new News();
  news.add("a", claim(1, 300));
  news.add("b", claim(2, 120));
  assertEquals(news.take(122, 4), []);
  assertEquals(shown(news.take(123, 4)), [2]);
  assertEquals(shown(news.take(425, 4)), [1]);
  assertEquals(shown(news.take(426, 4)), [2, 1]);
});

Deno.test("News lets what was passed on least often go first", () => {
  const news = new News();
  news.add("old", claim(1));
  news.take(103, 8);
  news.take(103, 8);
  news.add("new", claim(2));
  assertEquals(shown(news.take(103, 8)), [2]);
  assertEquals(shown(news.take(103, 8)), [2]);
  assertEquals(shown(news.take(206, 8)), [1, 2]);
});

Deno.test("News replaces what is out of date, and begins to count anew", () => {
  const news = new News();
  news.add("a", claim(1));
  for (let passed = 0; passed < 3; passed++) news.take(200, 4);
  news.add("a", claim(2));
  assertEquals(news.size, 1);
  const taken = Array.from({ length: 6 }, () => shown(news.take(200, 4)));
  assertEquals(taken, [[2], [2], [2], [2], [], []]);
});

Deno.test("News forgets what is removed, and nothing else", () => {
  const news = new News();
  news.add("a", claim(1));
  news.add("b", claim(2));
  news.remove("a");
  news.remove("never there");
  assertEquals(shown(news.take(1_000, 4)), [2]);
});

Deno.test("News holds a bounded number; beyond, what went out most often is forgotten", () => {
  const news = new News();
  news.add("tired", claim(1));
  news.take(103, 4);
  for (let topic = 0; topic < 9_000; topic++) news.add(`${topic}`, claim(2));
  assertEquals(news.size, 8_192);
  news.add("last", claim(3));
  const all = shown(news.take(10_000_000, 4));
  assert(!all.includes(1) && all.includes(3));
});

Deno.test("News forgets at once what was passed on enough for a group that shrank", () => {
  const news = new News();
  news.add("a", claim(1));
  for (let passed = 0; passed < 5; passed++) news.take(200, 12);
  assertEquals(shown(news.take(200, 4)), [1]);
  assertEquals(news.size, 0);
});
