/**
 * Manifests on the wire.
 *
 * @module
 */

import { deflateRawSync, inflateRawSync } from "node:zlib";
import { InvalidPacketError } from "../errors.ts";
import { decode, encode } from "../wire/msgpack.ts";
import {
  collisionError,
  type Manifest,
  type ManifestEntry,
  manifestOf,
  MAX_ENTRIES,
  MAX_MTIME_MS,
  MODE_BITS,
  overLimit,
} from "./manifest.ts";
import {
  checkReceivedPath,
  findCollision,
  MAX_ALL_SEGMENTS,
  tooManySegments,
} from "./safe_path.ts";

/** From so many entries on it is worth to compress them. */
const PACKED_ENTRIES = 100;

/** What an entry is made of, itself included. */
const ELEMENTS_AN_ENTRY = 6;

const MAX_ELEMENTS = (MAX_ENTRIES + 1) * ELEMENTS_AN_ENTRY;

/** Most bytes of a manifest before it is compressed: as many entries as there may be, with names of 100 bytes. */
const MAX_UNPACKED_BYTES = 32 * 1024 * 1024;

/**
 * A manifest as plain data for MessagePack: `{ entries: [[path, isFolder, size, mode, mtimeMs], ...] }`; a long one as
 * `{ packed }`, the same in MessagePack and DEFLATE (RFC 1951).
 *
 * @example
 * ```ts
 * import { encodeManifest } from "@kith/kith/transfer";
 * import { assertEquals } from "@std/assert";
 *
 * const file = { path: "a.txt", kind: "file", size: 5, mode: 0o644, mtimeMs: 0 } as const;
 * const encoded = encodeManifest({ entries: [file], files: 1, totalBytes: 5 });
 * assertEquals(encoded, { entries: [["a.txt", false, 5, 0o644, 0]] });
 * ```
 */
export function encodeManifest(manifest: Manifest): unknown {
  const entries = manifest.entries.map((entry) => {
    const { path, kind, size, mode, mtimeMs } = entry;
    return [path, kind === "directory", size, mode, mtimeMs];
  });
  if (entries.length < PACKED_ENTRIES) return { entries };
  return { packed: new Uint8Array(deflateRawSync(encode({ entries }), { level: 1 })) };
}

/** How much {@linkcode parseManifest} accepts. */
export interface ManifestLimits {
  /** Most entries. @default {250_000} */
  maxEntries?: number;
  /** Most bytes of all files together. @default {Number.MAX_SAFE_INTEGER} */
  maxTotalBytes?: number;
}

/**
 * Reads a manifest that came from outside: every path passes `checkPath` and leads to no partial file of ours, no two
 * collide, sizes and their sum are safe integers, and of the mode only the permission bits are kept.
 *
 * @example
 * ```ts
 * import { encodeManifest, parseManifest } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const manifest = parseManifest({ entries: [["a.txt", false, 5, 0o4755, 0]] });
 * assertEquals(manifest.totalBytes, 5);
 * assertEquals(encodeManifest(manifest), { entries: [["a.txt", false, 5, 0o755, 0]] });
 * ```
 *
 * @throws {InvalidPacketError} `bad-message`, naming the entry and the field, or `too-large` for a path.
 * @throws {LimitError} when there are too many entries or bytes.
 */
export function parseManifest(value: unknown, limits: ManifestLimits = {}): Manifest {
  const { maxEntries = MAX_ENTRIES, maxTotalBytes = Number.MAX_SAFE_INTEGER } = limits;
  const rows = rowsOf(value);
  if (!Array.isArray(rows)) throw badManifest("entries is not an array");
  if (rows.length > maxEntries) throw overLimit("maxEntries", maxEntries);
  if (segmentsOf(rows) > MAX_ALL_SEGMENTS) throw tooManySegments();
  const entries = rows.map(parseEntry);
  const pair = findCollision(entries);
  if (pair !== undefined) throw collisionError("accept", pair);
  const manifest = manifestOf(entries);
  if (manifest.totalBytes > maxTotalBytes) throw overLimit("maxTotalBytes", maxTotalBytes);
  return manifest;
}

/** Segments of all paths together, counted before anything is made of them. */
function segmentsOf(rows: readonly unknown[]): number {
  let count = rows.length;
  for (const row of rows) {
    const path: unknown = Array.isArray(row) ? row[0] : undefined;
    if (typeof path !== "string") continue;
    for (let at = path.indexOf("/"); at >= 0; at = path.indexOf("/", at + 1)) count++;
  }
  return count;
}

function rowsOf(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  if (!("packed" in value)) return "entries" in value ? value.entries : undefined;
  const { packed } = value;
  if (!(packed instanceof Uint8Array)) throw badManifest("packed is not bytes");
  const unpacked = unpack(packed);
  return typeof unpacked === "object" && unpacked !== null && "entries" in unpacked
    ? unpacked.entries
    : undefined;
}

function unpack(packed: Uint8Array): unknown {
  let bytes: Uint8Array;
  try {
    bytes = inflateRawSync(packed, { maxOutputLength: MAX_UNPACKED_BYTES });
  } catch {
    throw badManifest(`packed is not DEFLATE of at most ${MAX_UNPACKED_BYTES} bytes`);
  }
  return decode(bytes, { maxElements: MAX_ELEMENTS });
}

function parseEntry(row: unknown, index: number): ManifestEntry {
  if (!Array.isArray(row) || row.length !== 5) {
    throw badManifest(`entry ${index} is not an array of 5`);
  }
  const [path, isFolder, size, mode, mtimeMs]: readonly unknown[] = row;
  if (typeof path !== "string") throw badManifest(`path of entry ${index} is not a string`);
  if (typeof isFolder !== "boolean") throw badManifest(`kind of entry ${index} is not a boolean`);
  const maxSize = isFolder ? 0 : Number.MAX_SAFE_INTEGER;
  return {
    path: checkReceivedPath(path),
    kind: isFolder ? "directory" : "file",
    size: parseInteger(size, maxSize, `size of entry ${index}`),
    mode: parseInteger(mode, 0xffffffff, `mode of entry ${index}`) & MODE_BITS,
    mtimeMs: parseInteger(mtimeMs, MAX_MTIME_MS, `mtimeMs of entry ${index}`),
  };
}

function parseInteger(value: unknown, max: number, what: string): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= max) {
    // Also makes 0 of -0.
    return value + 0;
  }
  throw badManifest(`${what} is not an integer of 0..${max}`);
}

function badManifest(why: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot accept manifest: ${why}`);
}
