import { assert, assertEquals, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { InvalidPacketError } from "../../src/errors.ts";
import { type WitchLine, WitchLineReader } from "../../src/rpc/witch_lines.ts";
import { bytesOf, feedGarbage, loadVectors } from "../testdata/vectors.ts";

const STREAM = [
  '{"protocol_name":"a"}\n',
  "\n",
  '{ "protocol_name":"b"}\r\n',
  " \t\r\n",
  '{"x":1,"protocol_name":"c"}\n',
  '{"protocol_name":oops}\n',
  '{"protocol_name"\n',
  "[5]\n",
  '{"protocol_name": "d"}\n',
].join("");

const READ = [
  { value: { protocol_name: "a" }, literal: true },
  { value: { protocol_name: "b" }, literal: false },
  { value: { x: 1, protocol_name: "c" }, literal: false },
  "bad-message",
  "bad-message",
  { value: [5], literal: false },
  { value: { protocol_name: "d" }, literal: true },
];

function read(pieces: Iterable<Uint8Array>, maxLineBytes = 1000): (WitchLine | string)[] {
  const reader = new WitchLineReader(maxLineBytes);
  const lines: (WitchLine | string)[] = [];
  for (const piece of pieces) {
    for (const line of reader.push(piece)) {
      lines.push(line instanceof InvalidPacketError ? line.code : line);
    }
  }
  return lines;
}

function* cut(bytes: Uint8Array, size: () => number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length;) yield bytes.subarray(at, at += size());
}

Deno.test("WitchLineReader knows a message to a protocol by its first bytes, however they are cut", () => {
  const bytes = new TextEncoder().encode(STREAM);
  assertEquals(read([bytes]), READ);
  assertEquals(read(cut(bytes, () => 1)), READ);
  const random = seededRandom(9);
  for (let n = 0; n < 50; n++) {
    assertEquals(read(cut(bytes, () => 1 + Math.floor(random() * 30))), READ);
  }
});

Deno.test("WitchLineReader gives one line at a time", () => {
  const lines = new WitchLineReader(100).push(new TextEncoder().encode("{}\n[]\nx\n"));
  assertEquals(lines.next().value, { value: {}, literal: false });
  assertEquals(lines.next().value, { value: [], literal: false });
  assert(lines.next().value instanceof InvalidPacketError);
  assertEquals(lines.next().done, true);
});

Deno.test("WitchLineReader ends at a line too long, after those before it, and not at one too deep", () => {
  const reader = new WitchLineReader(100);
  const lines = reader.push(new TextEncoder().encode(`{}\n${"[".repeat(65)}\n${"x".repeat(101)}`));
  assertEquals(lines.next().value, { value: {}, literal: false });
  const deep = lines.next().value;
  assert(deep instanceof InvalidPacketError && deep.code === "too-large");
  assertThrows(() => lines.next(), InvalidPacketError, "exceeds maxLineBytes 100");
  assertThrows(() => reader.push(Uint8Array.of(10)).next(), InvalidPacketError);
  assertThrows(() => new WitchLineReader(0), RangeError);
});

Deno.test("WitchLineReader meets garbage with lines or PeerErrors", () => {
  const samples = loadVectors("witch.request").map(bytesOf);
  const { decoded, refused } = feedGarbage((bytes) => read([bytes], 60), samples, {
    seed: 4,
    cases: 2000,
  });
  assert(decoded > 0 && refused > 0);
});
