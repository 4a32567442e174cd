import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { deflateRawSync } from "node:zlib";
import { InvalidPacketError } from "../../src/errors.ts";
import {
  bytesOf,
  CHUNK_BYTES,
  MAX_BATCH_FILES,
  owned,
  parseCopy,
  parseFiles,
  parsePiece,
  parseWhole,
  PIECE_BYTES,
  SMALL_BYTES,
  type Step,
} from "../../src/transfer/steps.ts";
import type { MessageBody } from "../../src/wire/message.ts";
import { pattern, sha256 } from "./fixture.ts";

const digest = sha256(pattern(3));
const PIECE: MessageBody = { id: 1, seq: 7, index: 2, offset: 5, data: pattern(3), digest };
const COPY: MessageBody = { seq: 7, index: 2, offset: 5, from: 9, length: 4, digest };
const FILES: MessageBody = { seq: 7, files: [[2, pattern(3), digest], [4, pattern(0), digest]] };
const WHOLE: MessageBody = { seq: 7, index: 2, digest };

const PARSERS: readonly (readonly [(body: MessageBody) => Step, MessageBody])[] = [
  [parsePiece, PIECE],
  [parseCopy, COPY],
  [parseFiles, FILES],
  [parseWhole, WHOLE],
];

Deno.test("steps are read as they are written", () => {
  const [piece, copy, files, whole] = PARSERS.map(([parse, body]) => parse(body));
  const at = { seq: 7, index: 2, digest };
  assertEquals(piece, { type: "piece", ...at, offset: 5, data: pattern(3), last: false });
  assertEquals(copy, { type: "copy", ...at, offset: 5, from: 9, length: 4 });
  const rows = [{ index: 2, data: pattern(3), digest }, { index: 4, data: pattern(0), digest }];
  assertEquals(files, { type: "files", seq: 7, files: rows });
  assertEquals(whole, { type: "whole", ...at });
  assertEquals([piece, copy, files, whole].map((step) => step && bytesOf(step)), [3, 0, 3, 0]);
});

Deno.test("steps of which a field is not what it must be are refused, naming it", () => {
  const none: readonly unknown[] = [
    ...[undefined, null, -1, 0.5, NaN, Infinity, 2 ** 53, 1n, "1", [], {}, new Uint8Array(1)],
    ...[true, new Map(), "x".repeat(1000)],
  ];
  for (const [parse, body] of PARSERS) {
    for (const field of Object.keys(body).filter((name) => name !== "id")) {
      const isBytes = field === "data";
      for (const value of none.filter((value) => !(isBytes && value instanceof Uint8Array))) {
        const wrong = () => parse({ ...body, [field]: value });
        const error = assertThrows(wrong, InvalidPacketError, `bad ${field}`);
        assertEquals([error.code, error.details], ["bad-message", { field }]);
      }
    }
  }
});

Deno.test("steps have limits: a piece, a copy, a small file, a batch", () => {
  const over = new Uint8Array(PIECE_BYTES + 1);
  assertEquals(bytesOf(parsePiece({ ...PIECE, data: over.subarray(1) })), PIECE_BYTES);
  assertThrows(() => parsePiece({ ...PIECE, data: over }), InvalidPacketError, "bad data");
  for (const length of [0, CHUNK_BYTES + 1]) {
    assertThrows(() => parseCopy({ ...COPY, length }), InvalidPacketError, "bad length");
  }
  assertEquals(parseCopy({ ...COPY, length: CHUNK_BYTES }).type, "copy");
  const row = (bytes: number) => [0, new Uint8Array(bytes), digest];
  assertEquals(bytesOf(parseFiles({ seq: 0, files: [row(SMALL_BYTES)] })), SMALL_BYTES);
  const many = Array.from({ length: MAX_BATCH_FILES + 1 }, () => row(1));
  assertEquals(bytesOf(parseFiles({ seq: 0, files: many.slice(1) })), MAX_BATCH_FILES);
  for (const files of [many, [], [row(SMALL_BYTES + 1)], [row(1).slice(1)], [[...row(1), 1]]]) {
    assertThrows(() => parseFiles({ seq: 0, files }), InvalidPacketError);
  }
  assertThrows(() => parsePiece({ ...PIECE, digest: digest.subarray(1) }), InvalidPacketError);
});

Deno.test("compressed pieces become what they were, and nothing else", () => {
  const text = new TextEncoder().encode("the same again ".repeat(1_000));
  const data = new Uint8Array(deflateRawSync(text));
  const piece = parsePiece({ ...PIECE, data, raw: text.length });
  assert(piece.type === "piece" && data.length < 1_000);
  assertEquals(new Uint8Array(piece.data), text);
  const bit = data.with(data.length >> 1, (data[data.length >> 1] ?? 0) ^ 8);
  const wrong: MessageBody[] = [
    { raw: text.length - 1, data },
    { raw: text.length + 1, data },
    { raw: 0, data },
    { raw: -1, data },
    { raw: "15000", data },
    { raw: PIECE_BYTES + 1, data },
    { raw: text.length, data: data.subarray(0, -1) },
    { raw: text.length, data: new Uint8Array(0) },
    { raw: text.length, data: pattern(100) },
  ];
  for (const fields of wrong) {
    assertThrows(() => parsePiece({ ...PIECE, ...fields }), InvalidPacketError, "bad raw");
  }
  try {
    const changed = parsePiece({ ...PIECE, data: bit, raw: text.length });
    assert(changed.type === "piece" && changed.data.length === text.length); // its digest tells
  } catch (error) {
    assert(error instanceof InvalidPacketError);
  }
});

Deno.test("a compressed piece never makes more than a piece, whatever is in it", () => {
  const bomb = new Uint8Array(deflateRawSync(new Uint8Array(32 * 1024 * 1024), { level: 1 }));
  assert(bomb.length < PIECE_BYTES, `${bomb.length}`);
  const before = Deno.memoryUsage().external;
  for (const raw of [1, PIECE_BYTES, 32 * 1024 * 1024]) {
    assertThrows(() => parsePiece({ ...PIECE, data: bomb, raw }), InvalidPacketError, "bad raw");
  }
  assert(Deno.memoryUsage().external - before < 8 * 1024 * 1024);
});

Deno.test("owned copies what belongs to a message", () => {
  for (const [parse, body] of PARSERS) {
    const step = parse(body);
    const copy = owned(step);
    assertEquals(copy, step);
    if (step.type === "piece" && copy.type === "piece") assert(step.data !== copy.data);
    if (step.type !== "files" && copy.type !== "files") assert(step.digest !== copy.digest);
    if (step.type === "files" && copy.type === "files") {
      assert(step.files[0]?.data.buffer !== copy.files[0]?.data.buffer);
      assertStrictEquals(step.seq, copy.seq);
    }
  }
});
