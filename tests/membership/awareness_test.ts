import { assertEquals } from "@std/assert";
import { Awareness } from "../../src/membership/awareness.ts";

Deno.test("Awareness stays within 0 and 8, and stretches time by one part for each", () => {
  const awareness = new Awareness(true);
  assertEquals([awareness.score, awareness.scaled(500)], [0, 500]);
  awareness.add(-1);
  assertEquals(awareness.score, 0);
  awareness.add(3);
  assertEquals([awareness.score, awareness.scaled(500)], [3, 2_000]);
  awareness.add(100);
  assertEquals([awareness.score, awareness.scaled(500)], [8, 4_500]);
  awareness.add(-1);
  assertEquals(awareness.score, 7);
});

Deno.test("Awareness that is off never changes", () => {
  const awareness = new Awareness(false);
  awareness.add(5);
  assertEquals([awareness.score, awareness.scaled(500)], [0, 500]);
});
