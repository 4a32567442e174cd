import { assertEquals, assertThrows } from "@std/assert";
import { toNotation } from "../../src/cli/notation.ts";
import { ReplyCache } from "../../src/endpoint/reply_cache.ts";
import { InvalidPacketError, PeerError } from "../../src/errors.ts";
import { printable } from "../../src/log.ts";
import { parseManifest } from "../../src/transfer/manifest_codec.ts";
import { checkPath, findCollision } from "../../src/transfer/safe_path.ts";
import { Decoder, MAX_MIXED_KEYS } from "../../src/wire/decoder.ts";
import { FrameReader, FrameWriter } from "../../src/wire/frame.ts";
import { decodeJson, encodeJson } from "../../src/wire/json.ts";
import { LineReader } from "../../src/wire/line.ts";
import { decode, encode } from "../../src/wire/msgpack.ts";
import { concat } from "../fuzz/generate.ts";
import { assertAsCheap, assertLinear } from "./cost.ts";

/** As many names as meet in one place of a hash table of their number, where names that look like numbers are not mixed. */
const COLLIDING = 4_096;

const utf8 = new TextEncoder();

/** Numbers whose lowest bits are all the same, as text. */
function strided(count: number): string[] {
  return Array.from({ length: count }, (_, at) => String(at * COLLIDING));
}

/** As many of about the same length, spread by a multiplication. */
function spread(count: number): string[] {
  return Array.from({ length: count }, (_, at) => String(Math.imul(at + 1, 0x9e3779b1) >>> 8));
}

function packedMap(keys: readonly string[]): Uint8Array {
  return encode(Object.fromEntries(keys.map((key) => [`k${key}`, 1])));
}

/** A map with these very keys, in this order, which an object would sort. */
function mapBytes(keys: readonly string[]): Uint8Array {
  const head = new Uint8Array([0xde, keys.length >> 8, keys.length & 0xff]);
  return concat(head, ...keys.map((key) => concat(encode(key), Uint8Array.of(1))));
}

function jsonOf(keys: readonly string[]): string {
  return `{${keys.map((key) => `"${key}":1`).join(",")}}`;
}

function files(names: readonly string[]): { path: string; kind: "file" }[] {
  return names.map((path) => ({ path, kind: "file" }));
}

function refusal(run: () => unknown): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof PeerError)) throw error;
  }
}

Deno.test("T21 MessagePack maps are decoded as fast with keys that were chosen as with any", () => {
  const [hostile, ordinary] = [mapBytes(strided(COLLIDING)), mapBytes(spread(COLLIDING))];
  assertAsCheap("keys that look like numbers", {
    hostile: () => void decode(hostile),
    ordinary: () => void decode(ordinary),
  });
  assertLinear("keys that look like numbers", 512, (size) => {
    const bytes = mapBytes(strided(size));
    return () => void decode(bytes);
  });
  assertLinear("keys that begin alike", 512, (size) => {
    const bytes = packedMap(Array.from({ length: size }, (_, at) => "x".repeat(60) + at));
    return () => void decode(bytes);
  });
});

Deno.test("T21 MessagePack maps with numbers for keys are as long as numbers that collide allow", () => {
  const bytesOf = (keys: readonly number[]) => {
    const head = new Uint8Array([0xde, keys.length >> 8, keys.length & 0xff]);
    return concat(head, ...keys.map((key) => concat(encode(key), Uint8Array.of(1))));
  };
  const hostile = bytesOf(collidingNumbers(MAX_MIXED_KEYS));
  const ordinary = bytesOf(Array.from({ length: MAX_MIXED_KEYS }, (_, at) => at + 2 ** 20));
  assertAsCheap("a map as long as may be", {
    hostile: () => void decode(hostile),
    ordinary: () => void decode(ordinary),
    factor: 80,
  });
  const keys = Array.from({ length: MAX_MIXED_KEYS + 1 }, (_, at) => at);
  const error = assertThrows(() => decode(bytesOf(keys)), InvalidPacketError, "maxMixedKeys");
  assertEquals(error.code, "too-large");
  // A single key that is no string makes a map of all.
  const mixed = [
    0xde,
    keys.length >> 8,
    keys.length & 0xff,
    ...keys.slice(1).flatMap((key) => [...encode(`k${key}`), 1]),
    1,
    1,
  ];
  assertThrows(() => decode(Uint8Array.from(mixed)), InvalidPacketError, "maxMixedKeys");
});

/** Small integers whose hashes in V8 have the same lowest 16 bits. */
function collidingNumbers(count: number): number[] {
  const found: number[] = [];
  for (let key = 0; found.length < count; key++) if ((hashOf(key) & 0xffff) === 0) found.push(key);
  return found;
}

/** What V8 makes of a small integer that is the key of a map (Thomas Wang's hash of 32 bits). */
function hashOf(key: number): number {
  let hash = (~key + (key << 15)) | 0;
  hash ^= hash >>> 12;
  hash = (hash + (hash << 2)) | 0;
  hash ^= hash >>> 4;
  hash = Math.imul(hash, 2057);
  return hash ^ (hash >>> 16);
}

Deno.test("T21 what a decoder remembers of maps slows no later map down", () => {
  const readAll = (decoder: Decoder, maps: readonly Uint8Array[]) => {
    for (const bytes of maps) {
      decoder.reset(bytes);
      decoder.value();
    }
  };
  // Every map leaves the known ways at every key.
  const unknown = (count: number) => {
    return Array.from({ length: count }, (_, at) => packedMap([`${at}`, `${at}+`, `${at}++`]));
  };
  // Not for fewer: up to about 1500 the engine itself remembers what follows an empty object.
  assertLinear("maps that never have the same keys", 3_000, (size) => {
    const maps = unknown(size);
    return () => readAll(new Decoder(), maps);
  });
  const known = packedMap(["a", "b", "c", "d"]);
  const [tried, fresh] = [new Decoder(), new Decoder()];
  readAll(tried, unknown(20_000));
  assertAsCheap("a known map after many unknown ones", {
    hostile: () => readAll(tried, [known]),
    ordinary: () => readAll(fresh, [known]),
  });
});

Deno.test("T21 JSON is read and written in the time of its length, whatever it is made of", () => {
  const [hostile, ordinary] = [jsonOf(strided(COLLIDING)), jsonOf(spread(COLLIDING))];
  assertAsCheap("keys that look like numbers", {
    hostile: () => void decodeJson(hostile),
    ordinary: () => void decodeJson(ordinary),
  });
  const shapes: Record<string, (size: number) => string> = {
    "keys": (size) => jsonOf(strided(size)),
    "the same key": (size) => jsonOf(new Array(size).fill("a")),
    "escapes": (size) => `"${"\\u0041\\\\".repeat(size)}"`,
    "an open string": (size) => `"${'\\"'.repeat(size)}`,
    "brackets in strings": (size) => JSON.stringify("[{".repeat(size)),
    "digits": (size) => "1".repeat(size),
    "a long exponent": (size) => `1e${"1".repeat(size)}`,
    "blanks": (size) => " ".repeat(size),
    "brackets that close": (size) => "]".repeat(size),
    "empty lists": (size) => `[${"[],".repeat(size)}[]]`,
    "minus signs": (size) => "-".repeat(size),
  };
  for (const [what, shape] of Object.entries(shapes)) {
    assertLinear(`JSON of ${what}`, 2_000, (size) => {
      const text = shape(size);
      return () => refusal(() => encodeJson(toNotation(decodeJson(text))));
    });
  }
});

Deno.test("T21 no path takes longer to check than its length allows", () => {
  const shapes: Record<string, string> = {
    "blanks": "a ",
    "dots": "a.",
    "slashes": "/",
    "devices that are none": "con ",
    "devices with blanks": "con       x/",
    "joiners": "\u200d",
    "joiners after marks": "\u0941\u0941\u0941\u0941\u200d",
    "marks": "\u0301\u0323",
    "letters with many marks": `x${"\u0301\u0323".repeat(60)}/`,
    "spelled joiners": "\u0915\u200d",
    "pictographs": "👩\u200d",
    "variation selectors": "a\ufe0f",
    "surrogates": "\ud800",
    "letters that decompose": "\u0958",
  };
  for (const [what, unit] of Object.entries(shapes)) {
    assertLinear(`a path of ${what}`, 500, (size) => {
      const path = "x" + unit.repeat(Math.ceil(size / unit.length)).slice(0, size);
      return () => refusal(() => checkPath(path, { maxPathBytes: 1 << 20, maxSegments: 1 << 20 }));
    });
  }
});

Deno.test("T21 names that were chosen to collide slow no manifest down", () => {
  const inFolders = (names: readonly string[]) => {
    return files([0, 1, 2, 3].flatMap((folder) => names.map((name) => `f${folder}/${name}`)));
  };
  const [hostile, ordinary] = [inFolders(strided(COLLIDING)), inFolders(spread(COLLIDING))];
  assertAsCheap("names that look like numbers", {
    hostile: () => assertEquals(findCollision(hostile), undefined),
    ordinary: () => assertEquals(findCollision(ordinary), undefined),
    factor: 4,
  });
  const shapes: Record<string, (at: number) => string> = {
    "names that look like numbers": (at) => String((at * COLLIDING) % 2 ** 24 + at),
    "two deep folders in turns": (at) => `${"ab"[at % 2]}/${"x/".repeat(60)}${at}`,
    "letters with many cases": (at) => `ǅßﬁ${at}`,
    "marks": (at) => `${"a\u0301\u0323".repeat(30)}${at}`,
  };
  for (const [what, shape] of Object.entries(shapes)) {
    assertLinear(`a manifest of ${what}`, 250, (size) => {
      const entries = Array.from({ length: size }, (_, at) => [shape(at), false, 1, 0o644, 0]);
      return () => void parseManifest({ entries });
    });
  }
});

Deno.test("T21 what comes in single bytes is read in the time of its length", () => {
  assertLinear("a line", 4_000, (size) => {
    const line = utf8.encode(`"${"x".repeat(size)}"\n`);
    return () => {
      const reader = new LineReader({ maxLineBytes: 1 << 20 });
      for (let at = 0; at < line.length; at++) {
        reader.push(line.subarray(at, at + 1));
        reader.next();
      }
    };
  });
  assertLinear("a frame", 4_000, (size) => {
    const writer = new FrameWriter();
    writer.frame(new Uint8Array(size));
    const bytes = concat(...writer.take());
    return () => {
      const reader = new FrameReader();
      for (let at = 0; at < bytes.length; at++) {
        reader.push(bytes.subarray(at, at + 1));
        reader.next();
      }
    };
  });
});

Deno.test("T21 ids that others choose find their answers as fast as any", () => {
  const from = { hostname: "192.0.2.1", port: 1 };
  const packet = new Uint8Array(8);
  const useOf = (idOf: (at: number) => number) => () => {
    const cache = new ReplyCache();
    for (let at = 1; at < 4_000; at++) {
      cache.put(idOf(at), from, packet);
      cache.get(idOf(at), from);
    }
  };
  const ordinary = useOf((at) => at);
  for (
    const step of [
      2 ** 8,
      2 ** 15,
      2 ** 16,
      2 ** 24,
      2 ** 32,
      2 ** 40,
      2 ** 32 + 1,
      2 ** 40 + 2 ** 16,
    ]
  ) {
    assertAsCheap(`ids that are multiples of ${step}`, {
      hostile: useOf((at) => at * step),
      ordinary,
    });
  }
});

Deno.test("T21 text is made safe to print in the time of its length", () => {
  const shapes = ["\u001b", "x", "\ud800", "\u202e\ufe0f", "\ufe0f", "\u{e0001}", "a\u0301"];
  for (const unit of shapes) {
    assertLinear(`printable of ${printable(unit)}`, 2_000, (size) => {
      const text = unit.repeat(size);
      return () => void printable(text, Infinity);
    });
  }
});
