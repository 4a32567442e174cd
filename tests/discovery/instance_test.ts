import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { INSTANCE_MS, RotatingInstance } from "../../src/discovery/instance.ts";

Deno.test("RotatingInstance keeps its id for ten minutes, and then has another", async () => {
  const clock = new ManualClock();
  await clock.advance(12_345);
  const instance = new RotatingInstance(clock);
  const first = instance.now();
  assertEquals([first.id.length, first.ageMs], [8, 0]);
  await clock.advance(INSTANCE_MS - 1);
  assertEquals(instance.now(), { id: first.id, ageMs: INSTANCE_MS - 1 });
  await clock.advance(1);
  const second = instance.now();
  assertNotEquals(second.id, first.id);
  assertEquals(second.ageMs, 0);
  await clock.advance(10 * INSTANCE_MS); // nobody looked
  assertEquals(instance.now().ageMs, 0);
  assertNotEquals(instance.now().id, second.id);
});

Deno.test("RotatingInstance knows itself by its present id and the one before, and no other", async () => {
  const clock = new ManualClock();
  const [instance, other] = [new RotatingInstance(clock), new RotatingInstance(clock)];
  const ids: Uint8Array[] = [];
  for (let n = 0; n < 4; n++) {
    ids.push(instance.now().id);
    assert(!instance.isOwn(other.now().id));
    const known = ids.map((id) => instance.isOwn(id.slice()));
    assertEquals(known, ids.map((_, at) => at >= n - 1));
    await clock.advance(INSTANCE_MS);
  }
  assert(!instance.isOwn(new Uint8Array(8)));
});
