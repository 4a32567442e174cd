import { assert, assertEquals } from "@std/assert";
import { printable, silentLogger } from "../src/log.ts";

Deno.test("printable escapes what moves a cursor, fakes a line or turns the writing round", () => {
  const unsafe = [
    ...range(0x00, 0x1f),
    ...range(0x7f, 0x9f),
    0x00ad,
    0x034f,
    0x115f, // Hangul fillers: letters that are blank
    0x3164,
    0xffa0,
    0x061c, // the only mark of direction outside the block of punctuation
    0x180e,
    ...range(0x200b, 0x200f),
    ...range(0x2028, 0x202e),
    ...range(0x2060, 0x206f),
    0xfeff,
    ...range(0xfff9, 0xfffb),
    ...range(0xe0000, 0xe007f), // tags: text within text that nobody sees
  ];
  for (const code of unsafe) {
    const escaped = `a\\u{${code.toString(16)}}b`;
    assertEquals(printable(`a${String.fromCodePoint(code)}b`), escaped);
  }
});

Deno.test("printable leaves what people write alone", () => {
  for (
    const text of [
      "",
      " ~",
      "päivää",
      "שלום",
      "नमस्ते",
      "日本",
      "🦕❤\ufe0f",
      "葛\u{e0100}",
      "\u00a0",
      "a\\u{1b}",
    ]
  ) {
    assertEquals(printable(text), text);
  }
});

Deno.test("printable is bounded, and well-formed where it cuts", () => {
  assertEquals(printable("x".repeat(201)), "x".repeat(200) + "…");
  assertEquals(printable("x".repeat(200)), "x".repeat(200));
  assertEquals(printable("ab🦕", 3), "ab\ufffd…");
  assertEquals(printable("\ud800x\udc00"), "\ufffdx\ufffd");
  // Each character that is kept can become an escape, and no more than that.
  assert(printable("\u001b".repeat(1e6)).length <= 200 * "\\u{1b}".length + 1);
});

Deno.test("silentLogger says nothing and takes everything", () => {
  for (const level of ["debug", "info", "warn", "error"] as const) {
    assertEquals(silentLogger[level]("text", { field: 1n }), undefined);
  }
});

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, at) => first + at);
}
