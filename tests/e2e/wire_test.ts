import { assertEquals, AssertionError, assertStringIncludes } from "@std/assert";
import { decode as decodeStd } from "@std/msgpack";
import { fromNotation } from "../../src/cli/notation.ts";
import { VECTORS } from "../../src/cli/vectors.ts";
import { Float64 } from "../../src/wire/msgpack_types.ts";
import { run } from "./process.ts";

const LINES = VECTORS.map(({ value }) => JSON.stringify(value)).join("\n");
const VALUES = VECTORS.map(({ value }) => value);
const HEX = VECTORS.map(({ hex }) => hex);

/** The length and the bytes of a MessagePack value, as a frame. */
function frameOf(hex: string): string {
  return (hex.length / 2).toString(16).padStart(8, "0") + hex;
}

Deno.test("wire vectors are all right, and as many as there are", async () => {
  const { code, stderr, events } = await run(["wire", "vectors", "--json"]);
  assertEquals([code, stderr, events.length], [0, "", VECTORS.length]);
  assertEquals(events.filter(({ ok }) => ok !== true), []);
  const text = await run(["wire", "vectors"]);
  assertEquals(text.stdout.match(/^ok {2}/gm)?.length, VECTORS.length);
});

Deno.test("wire encode gives the vectors' bytes, as values, frames and datagrams", async () => {
  const datagrams = VECTORS.map(({ value }) => JSON.stringify({ code: 16, value })).join("\n");
  const [bare, frames, packets, binary] = await Promise.all([
    run(["wire", "encode", "--bare", "--hex"], { input: LINES }),
    run(["wire", "encode", "--hex"], { input: `${LINES}\n\n` }),
    run(["wire", "encode", "--datagram", "--hex"], { input: datagrams }),
    run(["wire", "encode"], { input: "97\n98" }),
  ]);
  for (const { code, stderr } of [bare, frames, packets, binary]) {
    assertEquals([code, stderr], [0, ""]);
  }
  assertEquals(bare.stdout.trimEnd().split("\n"), HEX);
  assertEquals(frames.stdout.trimEnd().split("\n"), HEX.map(frameOf));
  assertEquals(packets.stdout.trimEnd().split("\n"), HEX.map((hex) => `10${frameOf(hex)}`));
  assertEquals(binary.stdout, "\0\0\0\u0001a\0\0\0\u0001b");
});

Deno.test("wire decode gives the vectors' values back, with offsets", async () => {
  const [bare, frames, binary, datagram] = await Promise.all([
    run(["wire", "decode", "--bare", "--hex", "--json"], { input: HEX.join("\n") }),
    run(["wire", "decode", "--hex", "--json"], { input: HEX.map(frameOf).join("  \n") }),
    run(["wire", "decode", "--json"], { input: Uint8Array.fromHex(HEX.map(frameOf).join("")) }),
    run(["wire", "decode", "--datagram", "--json"], {
      input: Uint8Array.fromHex(`10${frameOf("c3")}`),
    }),
  ]);
  for (const { code, stderr } of [bare, frames, binary, datagram]) {
    assertEquals([code, stderr], [0, ""]);
  }
  assertEquals(bare.events.map(({ value }) => value), VALUES);
  assertEquals(frames.events.map(({ value }) => value), VALUES);
  assertEquals(binary.events, frames.events);
  assertEquals(datagram.events, [{ offset: 0, bytes: 6, code: 16, value: true }]);
  let offset = 0;
  for (const [index, event] of frames.events.entries()) {
    const bytes = frameOf(HEX[index] as string).length / 2;
    assertEquals([event.offset, event.bytes], [offset, bytes]);
    offset += bytes;
  }
});

Deno.test("wire decode shows an empty frame, and for people one line a value", async () => {
  const input = Uint8Array.fromHex(`00000000${frameOf("c0")}${frameOf("a178")}`);
  const [text, json] = await Promise.all([
    run(["wire", "decode"], { input }),
    run(["wire", "decode", "--json"], { input }),
  ]);
  assertEquals([text.code, json.code], [0, 0], text.stderr + json.stderr);
  assertEquals(json.events.slice(0, 2), [{ offset: 0, bytes: 4 }, {
    offset: 4,
    bytes: 5,
    value: null,
  }]);
  assertEquals(text.stdout, '0: (empty)\n4: null\n9: "x"\n');
});

Deno.test("wire prints no character that a terminal would obey", async () => {
  const hostile = "\u009b2J\u202e\u2028";
  const hex = new TextEncoder().encode(hostile).toHex();
  const input = (0xa0 + hex.length / 2).toString(16) + hex;
  const [text, json] = await Promise.all([
    run(["wire", "decode", "--bare", "--hex"], { input }),
    run(["wire", "decode", "--bare", "--hex", "--json"], { input }),
  ]);
  assertEquals(text.stdout, '0: "\\u{9b}2J\\u{202e}\\u{2028}"\n');
  assertStringIncludes(json.stdout, '"\\u009b2J\\u202e\\u2028"');
  assertEquals(json.events[0]?.value, hostile);
});

Deno.test("wire ends with 1 for input that is broken, and shows what came before", async () => {
  const cases: readonly (readonly [options: string, input: string, says: string, lines: number])[] =
    [
      ["decode --hex", "ffffffff", "length 4294967295 exceeds maxFrameBytes", 0],
      ["decode --hex", `${frameOf("c0")}00000005c0`, "the stream ended after 5 of 9 bytes", 1],
      ["decode --hex", frameOf("c1"), "Cannot decode MessagePack", 0],
      ["decode --bare --hex", "c00192", "the input ends inside a value", 2],
      ["decode --datagram --hex", "10", "Cannot decode datagram", 0],
      ["decode --hex", "no hex", "it is not hexadecimal", 0],
      ["encode --hex", "garbage", "Cannot decode line 1", 0],
      ["encode --hex", '1\n{"$int":"18446744073709551616"}', 'Cannot read {"$int": ...}', 1],
      ["encode --hex", '{"$float":"one"}', 'Cannot read {"$float": ...}', 0],
      ["encode --hex", '{"$time":"now"}', 'Cannot read {"$time": ...}', 0],
      ["encode --hex", '{"$ext":[128,"00"]}', 'Cannot read {"$ext": ...}', 0],
      ["encode --hex", '{"$\\u001b[2J":1}', 'Cannot read {"$\\u{1b}[2J": ...}', 0],
      ["encode --hex --datagram", '{"code":256,"value":1}', "Service code", 0],
      ["encode --hex --datagram", "[1]", "A datagram is", 0],
    ];
  const outcomes = await Promise.all(
    cases.map(([options, input]) => run(["wire", ...options.split(" ")], { input })),
  );
  for (const [index, { code, stdout, stderr }] of outcomes.entries()) {
    const [options, input, says, lines] = cases[index] as typeof cases[number];
    assertEquals(code, 1, `${options}: ${input}`);
    assertStringIncludes(stderr, says);
    assertEquals(stdout.split("\n").length - 1, lines, stdout);
  }
});

Deno.test("every vector that @std/msgpack can read means the same to it", () => {
  // It makes objects of every map, so keys become text and `__proto__` is what the runtime makes of it.
  const otherwise = ["map with a key __proto__", "map with integer keys"];
  const unread: string[] = [];
  for (const { name, hex, value } of VECTORS.filter(({ name }) => !otherwise.includes(name))) {
    try {
      assertEquals(plain(decodeStd(Uint8Array.fromHex(hex))), plain(fromNotation(value)), name);
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      unread.push(name);
    }
  }
  assertEquals(unread, ["extension", "timestamp 32", "timestamp 64", "timestamp 96"]);
});

/** Integers of any kind as bigints: that package reads 64 bits as one, and kith only what is beyond 2^53. */
function plain(value: unknown): unknown {
  if (typeof value === "number" && Number.isSafeInteger(value) && !Object.is(value, -0)) {
    return BigInt(value);
  }
  if (value instanceof Float64) return value.value;
  if (Array.isArray(value)) return value.map(plain);
  if (Object.prototype.toString.call(value) !== "[object Object]") return value;
  return Object.fromEntries(Object.entries(Object(value)).map(([key, item]) => [key, plain(item)]));
}
