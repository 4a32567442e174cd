import { assert, assertEquals, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { InvalidPacketError } from "../../src/errors.ts";
import {
  encodeMetadata,
  MAX_METADATA_BYTES,
  MAX_RAW_FILES,
  parseMetadata,
  type RawEvent,
  RawReader,
} from "../../src/palmtree/raw_stream.ts";
import { concat } from "../../src/wire/concat.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { feedGarbage, loadVectors } from "../testdata/vectors.ts";

const FILES = [
  { name: "a.txt", size: 5, seeked: 0 },
  { name: "empty", size: 0, seeked: 0 },
  { name: "b.bin", size: 2_500, seeked: 100 },
];
const METADATA = encodeMetadata(FILES);
const CONTENT = Uint8Array.from({ length: 2_405 }, (_, at) => at * 11);
const STREAM = concat(METADATA, CONTENT);

Deno.test("encodeMetadata writes an array of bin, each a file record of the originals", () => {
  const [first] = loadVectors("peerconnect.fileitem");
  const record = first?.hex ?? "";
  const metadata = encodeMetadata([{ name: "a.txt", size: 5, seeked: 0 }]);
  assertEquals(
    metadata.toHex(),
    `91c4${(record.length / 2).toString(16).padStart(2, "0")}${record}`,
  );
});

Deno.test("parseMetadata reads files and where they begin, also behind the mark of older nodes", () => {
  assertEquals(parseMetadata(STREAM), { files: FILES, bytes: METADATA.length });
  const old = concat(Uint8Array.of(1), STREAM);
  assertEquals(parseMetadata(old), { files: FILES, bytes: METADATA.length + 1 });
  for (const count of [0, 15, 16, 300]) {
    const files = Array.from(
      { length: count },
      (_, nth) => ({ name: `f${nth}`, size: nth, seeked: 0 }),
    );
    assertEquals(parseMetadata(encodeMetadata(files))?.files, files);
  }
});

Deno.test("parseMetadata waits for the rest of a list that is cut", () => {
  for (let length = 0; length < METADATA.length; length++) {
    assertEquals(parseMetadata(METADATA.subarray(0, length)), undefined);
  }
});

Deno.test("parseMetadata refuses what is no list of files, or too long a one, by its first bytes", () => {
  const hostile: [string, number[]][] = [
    ["files", [0xc0]],
    ["files", [0xdd, 0xff, 0xff, 0xff, 0xff]],
    ["files", [0xdc, (MAX_RAW_FILES + 1) >> 8, (MAX_RAW_FILES + 1) & 255]],
    ["file record", [0x91, 0xa1, 0x61]],
    ["metadata", [0x91, 0xc6, 0xff, 0xff, 0xff, 0xff]],
  ];
  for (const [field, bytes] of hostile) {
    const error = assertThrows(() => parseMetadata(Uint8Array.from(bytes)), InvalidPacketError);
    assertEquals(error.details.field, field, error.message);
  }
  const record = encode(["../x", 1, 0]);
  assertThrows(() => parseMetadata(encode([record])), InvalidPacketError);
});

Deno.test("RawReader finds files and chunks whatever pieces they come in", () => {
  const random = seededRandom(9);
  for (let run = 0; run < 50; run++) {
    const reader = new RawReader(1_000);
    const events: RawEvent[] = [];
    const most = [1, 10, 3_000][run % 3] ?? 1;
    for (let at = 0; at < STREAM.length;) {
      const to = at + 1 + Math.floor(random() * most);
      events.push(...reader.push(STREAM.subarray(at, to)));
      at = to;
    }
    const [metadata, ...chunks] = events;
    assert(metadata?.type === "metadata");
    assertEquals([metadata.files, metadata.chunks.totalBytes], [FILES, 2_405]);
    const data = chunks.map((event) =>
      event.type === "chunk" ? [event.index, event.data.length] : []
    );
    assertEquals(data, [[0, 1_000], [1, 1_000], [2, 405]]);
    const whole = chunks.flatMap((event) => event.type === "chunk" ? [...event.data] : []);
    assertEquals(Uint8Array.from(whole), CONTENT);
  }
});

Deno.test("RawReader refuses more than was announced, endless lists, and more than can be counted", () => {
  const reader = new RawReader(1_000);
  reader.push(STREAM);
  assertThrows(() => reader.push(Uint8Array.of(0)), InvalidPacketError, "2405 bytes announced");
  const long = new RawReader(1_000);
  const head = Uint8Array.from([0x91, 0xc6, 0x00, 0x0f, 0xff, 0xf0]);
  assertEquals(long.push(head), []);
  assertThrows(() => long.push(new Uint8Array(MAX_METADATA_BYTES)), InvalidPacketError);
  const huge = encodeMetadata([{ name: "x", size: Number.MAX_SAFE_INTEGER, seeked: 0 }]);
  const error = assertThrows(() => new RawReader(1_000).push(huge), InvalidPacketError);
  assertEquals(error.details.limit, "maxContentBytes");
});

Deno.test("RawReader meets any bytes with events or an error of ours", () => {
  const read = (bytes: Uint8Array) => new RawReader(1_000).push(bytes);
  const { decoded, refused } = feedGarbage(read, [STREAM, METADATA], { seed: 76, cases: 1_000 });
  assert(decoded > 50 && refused > 100, `${decoded} decoded, ${refused} refused`);
});
