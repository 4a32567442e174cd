import { assert, assertEquals, assertMatch, assertNotEquals, assertThrows } from "@std/assert";
import { seededRandom } from "../src/clock.ts";
import { formatTrace, newTrace, nextSpan, parseTrace, traceOf } from "../src/trace.ts";

// The example of W3C Trace Context.
const TEXT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

Deno.test("parseTrace reads the standard's example, and formatTrace writes it", () => {
  const trace = {
    traceId: "0af7651916cd43dd8448eb211c80319c",
    spanId: "b7ad6b7169203331",
    flags: 1,
  };
  assertEquals(parseTrace(TEXT), trace);
  assertEquals(formatTrace(trace), TEXT);
  assertEquals(parseTrace(TEXT.replace(/01$/, "ff"))?.flags, 255);
});

Deno.test("parseTrace takes everything else for none", () => {
  const wrong: unknown[] = [
    undefined,
    null,
    17,
    {},
    [TEXT],
    new String(TEXT),
    "",
    TEXT.slice(1),
    `${TEXT} `,
    `${TEXT}-more`,
    "x".repeat(1_000_000),
    TEXT.toUpperCase(),
    TEXT.replace(/^00/, "01"), // what later versions mean is not known
    TEXT.replace(/^00/, "ff"),
    `00-${"0".repeat(32)}-b7ad6b7169203331-01`,
    `00-0af7651916cd43dd8448eb211c80319c-${"0".repeat(16)}-01`,
    TEXT.replaceAll("-", "_"),
    TEXT.replace("a", "\u0430"),
    TEXT.replace("01", "0\n"),
  ];
  for (const value of wrong) assertEquals(parseTrace(value), undefined, String(value).slice(0, 80));
});

Deno.test("parseTrace gives back what it was given, or nothing, for texts with one character changed", () => {
  const random = seededRandom(11);
  for (let at = 0; at < TEXT.length; at++) {
    const other = String.fromCharCode(32 + Math.floor(random() * 95));
    const text = TEXT.slice(0, at) + other + TEXT.slice(at + 1);
    const trace = parseTrace(text);
    if (trace !== undefined) assertEquals(formatTrace(trace), text);
  }
});

Deno.test("newTrace begins another one each time, nextSpan goes on with the same", () => {
  const [one, other] = [newTrace(), newTrace()];
  assertNotEquals(one.traceId, other.traceId);
  assertMatch(formatTrace(one), /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  const next = nextSpan(one);
  assertEquals([next.traceId, next.flags], [one.traceId, one.flags]);
  assertNotEquals(next.spanId, one.spanId);
});

Deno.test("traceOf makes the same of the same, and wants enough", () => {
  const digest = Uint8Array.from({ length: 32 }, (_, n) => n + 1);
  assertEquals(
    formatTrace(traceOf(digest)),
    "00-0102030405060708090a0b0c0d0e0f10-1112131415161718-01",
  );
  assert(parseTrace(formatTrace(traceOf(digest))));
  assertThrows(() => traceOf(digest.subarray(9)), RangeError, "24 bytes or more: it has 23");
});
