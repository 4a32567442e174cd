/**
 * What the receiver has of a file already, and how the sender finds out what of it is right.
 *
 * The receiver hashes what is there and says what the hash was after every chunk; the sender hashes its own file as far, and
 * goes on where the two last agreed. Nothing that was interrupted is taken on trust, and nothing has to be written down
 * while files come.
 *
 * @module
 */

import { createHash, type Hash, timingSafeEqual } from "node:crypto";
import { type BlockList, listBlocks, parseBlocks } from "./block_match.ts";
import type { HeldKind, Placement } from "./placement.ts";
import { badField, CHUNK_BYTES, HASH_BYTES, integerOf } from "./steps.ts";

const READ_BYTES = 256 * 1024;

/** What is there of a file, hashed. */
export interface HashedFile {
  /** Bytes. */
  readonly bytes: number;
  /** The hash's state after them. */
  readonly hash: Hash;
  /** SHA-256 of the first chunk, of the first two, ... and of all of it. */
  readonly digests: Uint8Array;
}

/** What is there of a file that is gone on with. */
export interface FileSource {
  /** A part, or the whole. */
  readonly kind: HeldKind;
  /** Bytes. */
  readonly bytes: number;
  /** The hash's state after them. */
  readonly hash: Hash;
}

/** What the receiver says about one file. */
export type HeldFile =
  | {
    readonly kind: "part" | "whole";
    /** Its index in the manifest. */
    readonly index: number;
    readonly bytes: number;
    readonly digests: Uint8Array;
  }
  | { readonly kind: "older"; readonly index: number; readonly blocks: BlockList };

/** Hashes a file from its beginning. @param most Bytes at most. */
export async function hashFile(file: Deno.FsFile, most = Infinity): Promise<HashedFile> {
  const hash = createHash("sha256");
  const digests: Uint8Array[] = [];
  const buffer = new Uint8Array(READ_BYTES);
  let bytes = 0;
  while (bytes < most) {
    // Never across a checkpoint.
    const room = Math.min(buffer.length, CHUNK_BYTES - bytes % CHUNK_BYTES, most - bytes);
    const count = await file.read(buffer.subarray(0, room));
    if (count === null) break;
    hash.update(buffer.subarray(0, count));
    bytes += count;
    if (bytes % CHUNK_BYTES === 0) digests.push(hash.copy().digest());
  }
  if (bytes % CHUNK_BYTES !== 0 || bytes === 0) digests.push(hash.copy().digest());
  return { bytes, hash, digests: joined(digests) };
}

/**
 * Finds out what is there, for the receiver to say.
 *
 * @param found Told of what can be gone on with. @returns `undefined` when nothing is there any more.
 */
export async function describeHeld(
  placement: Placement,
  index: number,
  found: (source: FileSource) => void,
): Promise<Record<string, unknown> | undefined> {
  const entry = placement.manifest.entries[index];
  const kind = entry === undefined ? undefined : placement.held(entry);
  if (entry === undefined || kind === undefined) return undefined;
  if (kind === "part") {
    const part = placement.openPart(entry);
    try {
      const { bytes, hash, digests } = await hashFile(part.file, entry.size);
      found({ kind, bytes, hash });
      return { kind, index, bytes, digests };
    } finally {
      placement.leave(part);
    }
  }
  using file = placement.openPlaced(entry);
  if (file === undefined) return undefined;
  if (kind === "older") {
    const { blockBytes, signs } = await listBlocks(file, (await file.stat()).size);
    return { kind, index, blockBytes, signs };
  }
  const { bytes, hash, digests } = await hashFile(file, entry.size);
  found({ kind, bytes, hash });
  return { kind, index, bytes, digests };
}

/** Reads what the receiver says. @throws {InvalidPacketError} naming the field. */
export function parseHeld(value: unknown): HeldFile {
  if (typeof value !== "object" || value === null) throw badField("held");
  const { kind, index, bytes, digests, blockBytes, signs } = value as Record<string, unknown>;
  const at = integerOf(index, "index");
  if (kind === "older") return { kind, index: at, blocks: parseBlocks(blockBytes, signs) };
  if (kind !== "part" && kind !== "whole") throw badField("kind");
  const length = integerOf(bytes, "bytes");
  const count = Math.max(1, Math.ceil(length / CHUNK_BYTES));
  if (!(digests instanceof Uint8Array) || digests.length !== count * HASH_BYTES) {
    throw badField("digests");
  }
  return { kind, index: at, bytes: length, digests };
}

/**
 * How far the receiver's bytes are those of our file.
 *
 * @param onChunk Called now and then: a large file takes long. It may throw, which ends the search.
 * @returns bytes from the beginning: all that it has, else whole chunks; and the hash's state there.
 */
export async function agreeOn(
  file: Deno.FsFile,
  held: { readonly bytes: number; readonly digests: Uint8Array },
  onChunk: (nth: number) => void = () => {},
): Promise<{ bytes: number; hash: Hash }> {
  const hash = createHash("sha256");
  const buffer = new Uint8Array(READ_BYTES);
  let agreed = { bytes: 0, hash: hash.copy() };
  for (let bytes = 0, nth = 0; bytes < held.bytes;) {
    const room = Math.min(buffer.length, CHUNK_BYTES - bytes % CHUNK_BYTES, held.bytes - bytes);
    const count = await file.read(buffer.subarray(0, room));
    if (count === null) break;
    hash.update(buffer.subarray(0, count));
    bytes += count;
    if (bytes % CHUNK_BYTES !== 0 && bytes !== held.bytes) continue;
    const theirs = held.digests.subarray(nth * HASH_BYTES, ++nth * HASH_BYTES);
    if (!timingSafeEqual(hash.copy().digest(), theirs)) break;
    agreed = { bytes, hash: hash.copy() };
    onChunk(nth);
  }
  await file.seek(agreed.bytes, Deno.SeekMode.Start);
  return agreed;
}

function joined(digests: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(digests.length * HASH_BYTES);
  digests.forEach((digest, nth) => all.set(digest, nth * HASH_BYTES));
  return all;
}
