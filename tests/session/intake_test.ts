import { assertEquals, assertRejects } from "@std/assert";
import { Intake } from "../../src/session/intake.ts";
import { isSettled } from "../endpoint/fixture.ts";

async function rest<T>(intake: Intake<T>): Promise<T[]> {
  const values: T[] = [];
  for await (const value of intake) values.push(value);
  return values;
}

Deno.test("Intake makes who pushes wait when it is full, until there is room again", async () => {
  const intake = new Intake<string>(10);
  assertEquals(intake.push("a", 4), undefined);
  assertEquals(intake.push("b", 5), undefined);
  const room = intake.push("c", 20);
  const more = intake.push("d", 1);
  if (room === undefined || more === undefined) throw new Error("It was not full");
  const reader = intake[Symbol.asyncIterator]();
  for (const value of ["a", "b"]) {
    assertEquals(await isSettled(room), false);
    assertEquals(await reader.next(), { value, done: false });
  }
  assertEquals(await isSettled(more), false);
  await reader.next();
  await Promise.all([room, more]);
});

Deno.test("Intake loses nothing when a loop is left", async () => {
  const intake = new Intake<number>(100);
  for (const value of [1, 2, 3]) intake.push(value, 1);
  for await (const value of intake) {
    assertEquals(value, 1);
    break;
  }
  intake.push(4, 1);
  intake.end();
  assertEquals(await rest(intake), [2, 3, 4]);
  assertEquals(await rest(intake), []);
});

Deno.test("Intake gives what came before an error, then throws it, to every reader", async () => {
  const intake = new Intake<number>(1);
  const room = intake.push(1, 1);
  intake.end(new Error("over"));
  await room;
  intake.end();
  assertEquals(intake.push(2, 1), undefined);
  const reader = intake[Symbol.asyncIterator]();
  assertEquals(await reader.next(), { value: 1, done: false });
  await assertRejects(() => reader.next(), Error, "over");
  await assertRejects(() => rest(intake), Error, "over");
});

Deno.test("Intake wakes every reader that waits", async () => {
  const intake = new Intake<number>(100);
  const readers = [1, 2, 3, 4].map(() => intake[Symbol.asyncIterator]().next());
  intake.push(1, 1);
  const late = intake[Symbol.asyncIterator]().next();
  intake.push(2, 1);
  intake.push(3, 1);
  intake.end();
  const values = (await Promise.all([...readers, late])).map(({ value }) => value ?? 0);
  assertEquals(values.sort(), [0, 0, 1, 2, 3]);
});
