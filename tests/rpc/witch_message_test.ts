import { assertEquals, assertThrows } from "@std/assert";
import { isMessage, witchLine, witchTimestamp } from "../../src/rpc/witch_message.ts";
import { VECTOR_MS } from "./witch_fixture.ts";

Deno.test("witchTimestamp is local time with six digits of a second", () => {
  assertEquals(witchTimestamp(VECTOR_MS), "2026-01-02T03:04:05.678901");
  const local = (...fields: [number, number, number, number, number, number, number]) =>
    new Date(...fields).getTime();
  assertEquals(witchTimestamp(local(2026, 11, 31, 23, 59, 59, 0)), "2026-12-31T23:59:59.000000");
  assertEquals(
    witchTimestamp(local(2026, 11, 31, 23, 59, 59, 999) + 0.9999),
    "2027-01-01T00:00:00.000000",
  );
  assertEquals(witchTimestamp(local(2026, 6, 9, 1, 2, 3, 4) + 0.001), "2026-07-09T01:02:03.004001");
});

Deno.test("witchLine ends a line once, and makes no two", () => {
  const text = (line: Uint8Array) => new TextDecoder().decode(line);
  assertEquals(text(witchLine({ "é": [1] })), '{"\\u00e9": [1]}\n');
  assertEquals(text(witchLine("x")), "x\n");
  assertEquals(text(witchLine("x\n")), "x\n");
  assertEquals(text(witchLine("")), "\n");
  const bytes = Uint8Array.of(0x78, 0x0a);
  const line = witchLine(bytes);
  bytes[0] = 0;
  assertEquals(text(line), "x\n");
  for (const two of ["a\nb", "a\nb\n", "\n\n"]) {
    assertThrows(() => witchLine(two), TypeError, "one line");
    assertThrows(() => witchLine(new TextEncoder().encode(two)), TypeError, "one line");
  }
  assertThrows(() => witchLine({ a: undefined }), TypeError, "$.a");
});

Deno.test("isMessage knows an object", () => {
  assertEquals([{}, { a: 1 }].map(isMessage), [true, true]);
  assertEquals([null, [], "x", 5, undefined].map(isMessage), [false, false, false, false, false]);
});
