import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { parseData, readable, run } from "../../src/cli/call.ts";
import type { Host } from "../../src/cli/control/host.ts";
import { Options, UsageError } from "../../src/cli/options.ts";
import { Output } from "../../src/cli/output.ts";
import { VERBS } from "../../src/cli/verbs.ts";
import { InvalidPacketError } from "../../src/errors.ts";

Deno.test("parseData reads JSON and its notation, as text and as bytes", () => {
  const cases: readonly (readonly [json: string, value: unknown])[] = [
    ["null", null],
    [" [1, -0.5, true] ", [1, -0.5, true]],
    ['"h\\u00e9 \u2603"', "h\u00e9 \u2603"],
    ['{"a": {"$bytes": "00ff"}}', { a: Uint8Array.of(0, 255) }],
    ['{"$int": "9007199254740993"}', 9007199254740993n],
    ['{"$map": [[1, "a"]]}', new Map([[1, "a"]])],
    ['[9007199254740993, "9007199254740993"]', [9007199254740993n, "9007199254740993"]],
    ["-9223372036854775808", -(2n ** 63n)],
    ["12345678901234567.5", 12345678901234567.5],
  ];
  for (const [json, value] of cases) {
    assertEquals(parseData(json), value);
    assertEquals(parseData(new TextEncoder().encode(json)), value);
  }
  const parsed = parseData('{"__proto__": 1}');
  assertEquals(Object.keys(parsed as Record<string, unknown>), ["__proto__"]);
});

Deno.test("parseData refuses what is no JSON, and says why without the controls in it", () => {
  const cases: readonly (readonly [json: string | Uint8Array, why: string])[] = [
    ["", "Cannot decode data as JSON: Unexpected end of JSON input"],
    ["hello", '"hello" is not valid JSON'],
    ["\u001b[2J", "\\u{1b}"],
    ["[1,]", "Cannot decode data as JSON: "],
    [Uint8Array.of(0x22, 0xff, 0x22), "it is not UTF-8"],
    ["[".repeat(65) + "]".repeat(65), "its nesting exceeds MAX_JSON_DEPTH 64"],
    ["[".repeat(1_000_000), "its nesting exceeds MAX_JSON_DEPTH 64"],
    ['"' + "x".repeat(33_554_432), "its size exceeds maxBytes 33554432"],
    ['{"$bytes": "0"}', 'Cannot read {"$bytes": ...}'],
    ['{"$frob": 1}', 'Cannot read {"$frob": ...}'],
    ["18446744073709551616", "18446744073709551616 needs more than 64 bits"],
    ["[1e400]", "1e400 is too large"],
  ];
  for (const [json, why] of cases) {
    const { message } = assertThrows(() => parseData(json), UsageError);
    assertStringIncludes(message, why);
    assert(message.length < 250 && !message.includes("\u001b"), message);
  }
});

Deno.test("readable shows text as it is, anything else as JSON, and no control but lines and tabs", () => {
  const cases: readonly (readonly [shown: unknown, text: string])[] = [
    ["a\n\tb", "a\n\tb"],
    ["", ""],
    [5, "5"],
    [null, "null"],
    [{ a: [1] }, '{\n  "a": [\n    1\n  ]\n}'],
    [
      "\u001b[2J\r\u007f\u009b\u202e\u2028\ufeff",
      "\\u{1b}[2J\\u{d}\\u{7f}\\u{9b}\\u{202e}\\u{2028}\\u{feff}",
    ],
    [["\u001b\u202e\u2028"], '[\n  "\\u001b\\u{202e}\\u{2028}"\n]'],
    ["\ud800", "\ufffd"],
    ["x".repeat(100_000), "x".repeat(100_000)],
  ];
  for (const [shown, text] of cases) assertEquals(readable(shown), text);
});

Deno.test("call reads no more of stdin than a message can hold", async () => {
  let pulls = 0;
  const chunk = new Uint8Array(1_048_576).fill(0x20);
  const stdin = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      if (++pulls > 40) controller.error(new Error("it read on"));
      else controller.enqueue(chunk);
    },
  });
  const calling = run({
    options: new Options(["nobody", "echo", "-"], VERBS.call?.options ?? {}),
    output: new Output({ json: false, level: "error" }),
    signal: new AbortController().signal,
    host: { stdin } as Host,
  });
  const error = await assertRejects(() => calling, InvalidPacketError, "it exceeds maxBytes");
  assertEquals(error.code, "too-large");
});
