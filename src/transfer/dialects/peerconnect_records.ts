/**
 * The small parts that PeerConnect's transfers of files and directories are made of, behind the handshake:
 *
 * ```
 * files       ( 01 | length, 4 bytes | [name, size, seeked] | content from seeked on )*  00
 * directory   ( 01 | length, 4 bytes | [parent, name] | size, 8 bytes | content    )*
 *             ( 02 | length, 4 bytes | [parent, name]                              )*  00
 * ```
 *
 * Numbers outside MessagePack are unsigned and big-endian. Content is neither framed nor hashed. The originals read each
 * of the small parts with a single receive, so what belongs together is written in one piece: marks, lengths, records.
 *
 * Whatever name comes in is checked here, by the rules for every name that a stranger sends; it is returned in Unicode
 * normal form C.
 *
 * Source: the PeerConnect transfer protocol, `FileItem`, `Sender`, `DirSender`.
 *
 * @module
 */

import { InvalidPacketError } from "../../errors.ts";
import { concat } from "../../wire/concat.ts";
import { Decoder } from "../../wire/decoder.ts";
import { encode } from "../../wire/msgpack.ts";
import { checkReceivedPath } from "../safe_path.ts";

/** What comes next, in one byte. */
export const MARK = { end: 0, file: 1, directory: 2 } as const;

/** Bytes of a record's length. */
export const LENGTH_BYTES = 4;

/** Bytes of a size, and of the point at which to resume. */
export const SIZE_BYTES = 8;

/** Longest record in bytes: the longest path, thrice as long as its normal form, with a name behind it. */
export const MAX_RECORD_BYTES: number = 16 * 1024;

const MIN_CHUNK_BYTES = 64 * 1024;
const MAX_CHUNK_BYTES = 2 * 1024 * 1024;
const CHUNK_STEP_BYTES = 1024;
/** Files up to this size have the smallest chunks, in bytes. */
const SMALL_FILE_BYTES = 1024;
/** Files from this size on have the largest chunks, in bytes. */
const LARGE_FILE_BYTES = 10 * 1024 ** 3;

/** The parent of what lies at the top of a directory. */
const TOP = ".";

/** A file that comes, or goes on. */
export interface FileRecord {
  /** Its name, without a folder. */
  readonly name: string;
  /** Its size in bytes. */
  readonly size: number;
  /** Bytes of it that the receiver has; the others follow. */
  readonly seeked: number;
}

// Decoding calls nobody back, so one is enough.
const decoder = new Decoder({ maxStringBytes: MAX_RECORD_BYTES });

/** What a receiver says to a handshake, as bytes. */
export function encodeAnswer(isAccepted: boolean): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(isAccepted ? 1 : 0);
}

/**
 * How much of a file an original writes at once: 64 KiB, and more in proportion to the size, up to 2 MiB for 10 GiB. The
 * stream shows nothing of it.
 *
 * @param size The file's, in bytes.
 */
export function chunkBytesOf(size: number): number {
  const share = (size - SMALL_FILE_BYTES) / (LARGE_FILE_BYTES - SMALL_FILE_BYTES);
  const bytes = MIN_CHUNK_BYTES +
    (MAX_CHUNK_BYTES - MIN_CHUNK_BYTES) * Math.min(1, Math.max(0, share));
  return bytes - bytes % CHUNK_STEP_BYTES;
}

/** A file record, without its length. */
export function encodeFileRecord({ name, size, seeked }: FileRecord): Uint8Array<ArrayBuffer> {
  return encode([name, size, seeked]);
}

/**
 * Reads a file record; bytes behind it are ignored, as the originals do.
 *
 * @throws {InvalidPacketError} `bad-message` naming the field or what is wrong with the name, `too-large` for a name that
 * is too long.
 */
export function parseFileRecord(bytes: Uint8Array): FileRecord {
  const [name, size, seeked] = elementsOf(bytes, 3);
  const file = { name: nameOf(name), size: sizeOf("size", size), seeked: sizeOf("seeked", seeked) };
  if (file.seeked > file.size) {
    throw badField("seeked", `${file.seeked} is beyond the size ${file.size}`);
  }
  return file;
}

/** The record of something in a directory, without its length. @param path Where it is below the directory. */
export function encodeDirectoryItem(path: string): Uint8Array<ArrayBuffer> {
  const slash = path.lastIndexOf("/");
  return encode([slash < 0 ? TOP : path.slice(0, slash), path.slice(slash + 1)]);
}

/**
 * Reads the record of something in a directory; bytes behind it are ignored.
 *
 * @returns where it is below the directory.
 * @throws {InvalidPacketError} as {@linkcode parseFileRecord}.
 */
export function parseDirectoryItem(bytes: Uint8Array): string {
  const [parent, name] = elementsOf(bytes, 2);
  if (typeof parent !== "string") throw badField("parent", "it is not text");
  const last = nameOf(name);
  return parent === TOP ? last : checkReceivedPath(`${parent}/${last}`);
}

/** Bytes behind their length, 4 bytes. */
export function withLength(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const length = new Uint8Array(LENGTH_BYTES);
  new DataView(length.buffer).setUint32(0, bytes.length);
  return concat(length, bytes);
}

/** The length of a record. @throws {InvalidPacketError} `too-large`, before any of it is waited for. */
export function parseLength(bytes: Uint8Array): number {
  const length = viewOf(bytes).getUint32(0);
  if (length <= MAX_RECORD_BYTES) return length;
  throw new InvalidPacketError(
    "too-large",
    `Cannot read PeerConnect transfer: record of ${length} bytes exceeds maxRecordBytes ${MAX_RECORD_BYTES}`,
    { details: { limit: "maxRecordBytes", max: MAX_RECORD_BYTES, got: length } },
  );
}

/** A size, or a point in a file, 8 bytes. */
export function encodeSize(size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(SIZE_BYTES);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(size));
  return bytes;
}

/** Reads a size of 8 bytes. @throws {InvalidPacketError} `too-large` beyond 2^53 - 1. */
export function parseSize(bytes: Uint8Array): number {
  return sizeOf("size", viewOf(bytes).getBigUint64(0));
}

/**
 * Checks the name of one file or folder, as a stranger gave it.
 *
 * @throws {InvalidPacketError} `bad-message` when it is not text, leads elsewhere or is hostile, `too-large`.
 */
export function nameOf(value: unknown): string {
  if (typeof value !== "string") throw badField("name", "it is not text");
  const name = checkReceivedPath(value);
  if (name.includes("/")) throw badField("name", "it leads into a folder");
  return name;
}

/** The error for a field that is not what it should be. */
export function badField(field: string, why: string): InvalidPacketError {
  return new InvalidPacketError(
    "bad-message",
    `Cannot read PeerConnect transfer: ${field}: ${why}`,
    { details: { field } },
  );
}

function elementsOf(bytes: Uint8Array, count: number): unknown[] {
  decoder.reset(bytes);
  try {
    const value = decoder.value();
    if (Array.isArray(value) && value.length === count) return value;
    throw badField("record", `it is not an array of ${count}`);
  } finally {
    decoder.release();
  }
}

function sizeOf(field: string, value: unknown): number {
  const max = Number.MAX_SAFE_INTEGER;
  if (typeof value === "bigint" && value > max) {
    throw new InvalidPacketError(
      "too-large",
      `Cannot read PeerConnect transfer: ${field} ${value} exceeds ${max}`,
      { details: { field, limit: "MAX_SAFE_INTEGER", max } },
    );
  }
  const size = Number(value);
  const isNumber = typeof value === "number" || typeof value === "bigint";
  if (isNumber && Number.isSafeInteger(size) && size >= 0) return size;
  throw badField(field, "it is not an integer of 0 or more");
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
