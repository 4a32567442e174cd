import { assertEquals, assertRejects } from "@std/assert";
import { NewestFirst } from "../../src/endpoint/newest_first.ts";
import { nextTurn } from "../../src/endpoint/turns.ts";
import { LimitError } from "../../src/errors.ts";

Deno.test("NewestFirst lets who comes alone go on at once", async () => {
  const line = new NewestFirst();
  for (let n = 0; n < 3; n++) {
    await line.next();
    await nextTurn();
  }
});

Deno.test("NewestFirst lets the newest of those who wait go on, one a turn", async () => {
  const line = new NewestFirst();
  const went: number[] = [];
  const all = [1, 2, 3, 4, 5].map((n) => line.next().then(() => went.push(n)));
  await Promise.resolve();
  assertEquals(went, [1]);
  for (const expected of [[1, 5], [1, 5, 4]]) {
    await nextTurn();
    assertEquals(went, expected);
  }
  all.push(line.next().then(() => went.push(6)));
  await Promise.all(all);
  assertEquals(went, [1, 5, 4, 6, 3, 2]);
});

Deno.test("NewestFirst gives up the oldest when too many wait, so that a flood holds nothing", async () => {
  const line = new NewestFirst(2);
  const went: number[] = [];
  const results = await Promise.allSettled(
    [1, 2, 3, 4, 5].map((n) => line.next().then(() => went.push(n))),
  );
  assertEquals(results.map(({ status }) => status), [
    "fulfilled",
    "rejected",
    "rejected",
    "fulfilled",
    "fulfilled",
  ]);
  assertEquals(went, [1, 5, 4]);
  await nextTurn();
  await line.next(); // it goes on as if nothing had been
  const over = [line.next(), line.next(), line.next()];
  const error = await assertRejects(() => over[0] ?? Promise.resolve(), LimitError, "maxWaiting");
  assertEquals([error.code, error.details], ["rate", { limit: "maxWaiting", max: 2 }]);
  await Promise.all(over.slice(1));
});
