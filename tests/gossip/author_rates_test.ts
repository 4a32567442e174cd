import { assert, assertEquals, assertThrows } from "@std/assert";
import { ManualClock, seededRandom } from "../../src/clock.ts";
import { AuthorRates } from "../../src/gossip/author_rates.ts";

/** Who brought them. */
const BY = "neighbor";

function takeAll(rates: AuthorRates, author: string, most = 100_000): number {
  let taken = 0;
  while (taken < most && rates.take(author, BY)) taken++;
  return taken;
}

Deno.test("AuthorRates gives a newcomer a second's worth, and a whole burst after a rest", async () => {
  const clock = new ManualClock();
  const rates = new AuthorRates(clock);
  assertEquals(takeAll(rates, "bob"), 1 + 10_000);
  await clock.advance(1_000);
  assertEquals(takeAll(rates, "bob"), 10_000);
  await clock.advance(60_000);
  assertEquals(takeAll(rates, "bob"), 50_000);
});

Deno.test("AuthorRates counts each author on its own", () => {
  const rates = new AuthorRates(new ManualClock());
  takeAll(rates, "flooder");
  assertEquals(rates.take("bob", BY), true);
  assertEquals(rates.take("bob", BY), true);
  assertEquals(rates.take("flooder", BY), false);
});

Deno.test("AuthorRates keeps out nobody whom another neighbour brings", () => {
  const rates = new AuthorRates(new ManualClock());
  for (let i = 0; i < 5_000; i++) rates.take(`invented ${i}`, BY);
  assertEquals([rates.take("carol", BY), rates.take("carol", "another")], [false, true]);
});

Deno.test("AuthorRates lets newcomers in from one bucket for each neighbour, and known ones past them", async () => {
  const clock = new ManualClock();
  const rates = new AuthorRates(clock);
  assertEquals(rates.take("bob", BY), true);
  const came = Array.from({ length: 5_000 }, (_, i) => rates.take(`invented ${i}`, BY));
  assertEquals(came.filter(Boolean).length, 2_000 - 1);
  assertEquals([rates.take("bob", BY), rates.take("carol", BY), rates.size], [true, false, 2_000]);
  await clock.advance(100);
  assertEquals(came.map((_, i) => rates.take(`more ${i}`, BY)).filter(Boolean).length, 10);
});

Deno.test("AuthorRates gives a thousand invented authors no thousand bursts", () => {
  const rates = new AuthorRates(new ManualClock(), { perAuthor: { perSecond: 10, burst: 200 } });
  let taken = 0;
  for (let i = 0; i < 1_000; i++) taken += takeAll(rates, `invented ${i}`);
  assertEquals(taken, 1_000 * (1 + 10));
});

Deno.test("AuthorRates forgets who was silent for longest, who gains nothing by it", async () => {
  const clock = new ManualClock();
  const rates = new AuthorRates(clock, {
    perAuthor: { perSecond: 1, burst: 50 },
    newcomers: { perSecond: 10, burst: 3 },
    maxAuthors: 2,
  });
  assertEquals(["a", "b", "a", "c"].map((author) => rates.take(author, BY)), [
    true,
    true,
    true,
    true,
  ]);
  assertEquals(rates.size, 2);
  assertEquals(rates.take("b", BY), false, "forgotten, and a newcomer again");
  await clock.advance(100);
  assertEquals(rates.take("b", BY), true);
  assertEquals(takeAll(rates, "b"), 1, "it had one token left");
});

Deno.test("AuthorRates never gives an author more than its bucket, however many others there are", async () => {
  const clock = new ManualClock();
  const random = seededRandom(9);
  const perAuthor = { perSecond: 5, burst: 20 };
  const newcomers = { perSecond: 1_000, burst: 1_000 };
  const rates = new AuthorRates(clock, { perAuthor, newcomers, maxAuthors: 16 });
  let taken = 0;
  for (let i = 0; i < 2_000; i++) {
    if (rates.take("flooder", BY)) taken++;
    if (rates.take(`other ${Math.floor(random() * 60)}`, BY)) assert(rates.size <= 16);
    if (i % 10 === 0) await clock.advance(10);
  }
  assert(taken <= 1 + 20 + 2 * 5, `${taken} in two seconds`);
});

Deno.test("AuthorRates fills nobody's bucket by forgetting it, as long as its author is known", () => {
  const perAuthor = { perSecond: 1, burst: 100 };
  const rates = new AuthorRates(new ManualClock(), { perAuthor, maxAuthors: 64 });
  for (let i = 0; i < 64; i++) assertEquals(takeAll(rates, `author ${i}`), 2);
  assertEquals(rates.take("one more", BY), true);
  for (let i = 1; i < 64; i++) assertEquals(rates.take(`author ${i}`, BY), false, `author ${i}`);
});

Deno.test("AuthorRates is bounded to 4096 authors unless told otherwise", () => {
  const newcomers = { perSecond: 1, burst: 20_000 };
  const rates = new AuthorRates(new ManualClock(), { newcomers });
  for (let i = 0; i < 10_000; i++) assert(rates.take(`author ${i}`, BY));
  assertEquals(rates.size, 4_096);
});

Deno.test("AuthorRates refuses bounds out of range", () => {
  const clock = new ManualClock();
  for (const maxAuthors of [0, 1.5, NaN]) {
    assertThrows(() => new AuthorRates(clock, { maxAuthors }), RangeError, "maxAuthors");
  }
  assertThrows(
    () => new AuthorRates(clock, { perAuthor: { perSecond: 0, burst: 1 } }),
    RangeError,
    "perSecond",
  );
});
