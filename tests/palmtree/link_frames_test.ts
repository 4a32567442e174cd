import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../src/errors.ts";
import {
  encodeChunk,
  encodeLinkFrame,
  type LinkFrame,
  parseChunk,
  parseLinkFrame,
} from "../../src/palmtree/link_frames.ts";
import { encodeWireData, wireData } from "../../src/wire/message.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { bytesOf, feedGarbage, fromNotation, loadVectors } from "../testdata/vectors.ts";

const CHUNKS = loadVectors("peerconnect.palm.chunk");

const FRAMES: readonly LinkFrame[] = [
  { type: "chunk", index: 300, data: Uint8Array.of(1, 2, 3) },
  { type: "have", bits: Uint8Array.of(255, 1) },
  { type: "path", path: ["1000", "1"], chunks: 7, isLagging: false },
  { type: "path", path: undefined, chunks: 0, isLagging: true },
  { type: "beat", chunks: 1 << 20 },
  { type: "end", why: "bad-chunk" },
];

Deno.test("parseChunk reads every chunk record of the originals, and encodeChunk writes it byte for byte", () => {
  for (const vector of CHUNKS) {
    const { index, data } = parseChunk(bytesOf(vector));
    assertEquals({ chunk_number: index, data }, fromNotation(vector.value), vector.name);
    assertEquals(encodeChunk(index, data).toHex(), vector.hex, vector.name);
  }
  assertEquals(CHUNKS.length, 10);
});

Deno.test("parseLinkFrame reads what encodeLinkFrame writes", () => {
  for (const frame of FRAMES) assertEquals(parseLinkFrame(encodeLinkFrame(frame)), frame);
});

Deno.test("parseLinkFrame takes a reason that it does not know for an end all the same", () => {
  const frame = encodeWireData(wireData(":palm-end", { why: "weather" }));
  assertEquals(parseLinkFrame(frame), { type: "end", why: "leaving" });
});

Deno.test("parseLinkFrame refuses what is malformed, naming the field", () => {
  const path = (body: Record<string, unknown>) => wireData(":palm-path", { chunks: 0, ...body });
  const cases: [string, Uint8Array][] = [
    ["header", encodeWireData(wireData("greet"))],
    ["bits", encodeWireData(wireData(":palm-have", { bits: "x" }))],
    ["path", encodeWireData(path({}))],
    ["path", encodeWireData(path({ path: [] }))],
    ["path", encodeWireData(path({ path: [1] }))],
    ["path", encodeWireData(path({ path: new Array(4_097).fill("1") }))],
    ["chunks", encodeWireData(path({ path: ["1"], chunks: -1 }))],
    ["chunks", encodeWireData(wireData(":palm-beat", { chunks: 2 ** 21 }))],
    ["chunk", encode([1, "x"])],
    ["chunk", encode([-1, new Uint8Array(1)])],
  ];
  for (const [field, payload] of cases) {
    const error = assertThrows(() => parseLinkFrame(payload), InvalidPacketError);
    assertEquals(error.details.field, field, error.message);
  }
  assertThrows(() => parseChunk(encode([1, new Uint8Array(1), 2])), InvalidPacketError);
});

Deno.test("parseLinkFrame refuses frames that are cut, and meets any bytes with a frame or an error of ours", () => {
  const samples = [...FRAMES.map(encodeLinkFrame), ...CHUNKS.map(bytesOf)];
  for (const sample of samples) {
    for (let length = 0; length < sample.length; length++) {
      assertThrows(() => parseLinkFrame(sample.subarray(0, length)), InvalidPacketError);
    }
  }
  const { decoded, refused } = feedGarbage(parseLinkFrame, samples, { seed: 75, cases: 2_000 });
  assert(decoded > 100 && refused > 500, `${decoded} decoded, ${refused} refused`);
});
