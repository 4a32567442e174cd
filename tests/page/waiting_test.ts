import { assertEquals } from "@std/assert";
import { Waiting } from "../../src/page/waiting.ts";

Deno.test("Waiting drops the oldest beyond either limit, and counts them", () => {
  const waiting = new Waiting({ maxMessages: 3, maxChars: 10 });
  assertEquals(["a", "b", "c", "d"].map((text) => waiting.push(text)), [0, 0, 0, 1]);
  assertEquals([waiting.push("123456789"), waiting.size], [2, 2]);
  assertEquals(waiting.take(), { texts: ["d", "123456789"], dropped: 3 });
  assertEquals(waiting.take(), { texts: [], dropped: 0 });
  assertEquals([waiting.push("12345678901"), waiting.size], [1, 0]);
});
