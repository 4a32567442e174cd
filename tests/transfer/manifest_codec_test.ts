import { assert, assertEquals, assertThrows } from "@std/assert";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { InvalidPacketError, LimitError, PeerError } from "../../src/errors.ts";
import { manifestOf } from "../../src/transfer/manifest.ts";
import { encodeManifest, parseManifest } from "../../src/transfer/manifest_codec.ts";
import { decode, encode } from "../../src/wire/msgpack.ts";
import { entryOf } from "./fixture.ts";

const MIB = 1024 * 1024;
const many = manifestOf(Array.from({ length: 1_000 }, (_, at) => entryOf(`d/file ${at}`, at)));

function pack(value: unknown): unknown {
  return { packed: new Uint8Array(deflateRawSync(encode(value))) };
}

function packedOf(value: unknown): Uint8Array {
  const { packed } = value as { packed: unknown };
  assert(packed instanceof Uint8Array);
  return packed;
}

Deno.test("encodeManifest packs a long list, and parseManifest reads it", () => {
  const value = encodeManifest(many);
  const bytes = packedOf(value);
  assert(bytes.length < 10_000, `${bytes.length}`);
  assertEquals(parseManifest(value), many);
  const { entries } = decode(inflateRawSync(bytes)) as { entries: unknown[] };
  assertEquals([entries.length, entries[7]], [1_000, ["d/file 7", false, 7, 0o644, 0]]);
});

Deno.test("parseManifest refuses what is packed and is no list, or is damaged", () => {
  const bytes = packedOf(encodeManifest(many));
  const wrong: unknown[] = [
    ...[null, "x", 5, [], {}].map((packed) => ({ packed })),
    ...[0, 1, bytes.length >> 1, bytes.length - 1].map((n) => ({ packed: bytes.subarray(0, n) })),
    ...[null, 1, [], "entries", { entries: 5 }, { packed: bytes }].map(pack),
    { packed: new Uint8Array(deflateRawSync(Uint8Array.of(0xc1))) },
    { packed: new Uint8Array(deflateRawSync(Uint8Array.of(0x81, 0xa1, 0x61))) },
    { packed: new Uint8Array(deflateRawSync(Uint8Array.of(0x90, 0x90))) },
  ];
  for (const value of wrong) assertThrows(() => parseManifest(value), InvalidPacketError);
});

Deno.test("parseManifest answers flipped bits of a packed list by an error of ours, or a list", () => {
  const short = manifestOf(many.entries.slice(0, 100));
  const bytes = packedOf(encodeManifest(short));
  let refused = 0;
  for (let bit = 0; bit < 8 * bytes.length; bit += 5) {
    const damaged = bytes.with(bit >> 3, (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7)));
    try {
      assert(parseManifest({ packed: damaged }).entries.length <= 250_000);
    } catch (error) {
      assert(error instanceof PeerError, `bit ${bit}: ${error}`);
      refused++;
    }
  }
  assert(refused > bytes.length / 2, `${refused} of ${8 * bytes.length}`);
});

Deno.test("parseManifest unpacks no more than its limit, and counts elements and entries", () => {
  const zeros = new Uint8Array(deflateRawSync(new Uint8Array(64 * MIB), { level: 1 }));
  assert(zeros.length < MIB);
  const before = Deno.memoryUsage().external;
  assertThrows(() => parseManifest({ packed: zeros }), InvalidPacketError, "at most 33554432");
  assert(Deno.memoryUsage().external - before < 128 * MIB);

  // Arrays in arrays: few bytes, many elements.
  const nils = new Uint8Array(5 + 20 * MIB).fill(0xc0);
  nils.set([0xdd, 0x01, 0x40, 0x00, 0x00]);
  const packed = new Uint8Array(deflateRawSync(nils));
  assertThrows(() => parseManifest({ packed }), PeerError);
  const deep = new Uint8Array(deflateRawSync(new Uint8Array(MIB).fill(0x91)));
  assertThrows(() => parseManifest({ packed: deep }), PeerError);

  const rows = Array.from({ length: 101 }, (_, at) => [`${at}`, false, 1, 0, 0]);
  const limits = { maxEntries: 100 };
  assertThrows(() => parseManifest(pack({ entries: rows }), limits), LimitError, "maxEntries 100");
});
