/**
 * What the sender of files says, step by step. Steps are numbered, because they may come over several links; they are taken
 * in order.
 *
 * @module
 */

import { inflateRawSync } from "node:zlib";
import { InvalidPacketError } from "../errors.ts";
import type { MessageBody } from "../wire/message.ts";

/**
 * Bytes of a file per message: enough for one socket write to be worth it, few enough to stay in a core's cache from the
 * file to the hash to the socket (measured).
 */
export const PIECE_BYTES: number = 512 * 1024;

/**
 * Bytes of a file that may be on their way on each link, and between two checkpoints of what is there already: no more is
 * sent twice when either side is killed.
 */
export const CHUNK_BYTES: number = 4 * 1024 * 1024;

/** Files up to this size travel several in a message. */
export const SMALL_BYTES: number = 64 * 1024;

/** Most files in a message. */
export const MAX_BATCH_FILES = 1024;

/** Bytes of a SHA-256. */
export const HASH_BYTES = 32;

/** What a file in a step costs besides its bytes, when it is kept. */
const ROW_COST = 1024;

/** A whole small file. */
export interface SmallFile {
  /** Its index in the manifest. */
  readonly index: number;
  /** Its contents. */
  readonly data: Uint8Array;
  /** Their SHA-256. */
  readonly digest: Uint8Array;
}

/** A step; `seq` counts them from 0. */
export type Step =
  | {
    /** The next bytes of a file. */
    readonly type: "piece";
    readonly seq: number;
    readonly index: number;
    /** Where they belong. */
    readonly offset: number;
    readonly data: Uint8Array;
    /** SHA-256 of the file from its beginning to the end of this piece. */
    readonly digest: Uint8Array;
    /** Whether a file whose size nobody knew ends here. */
    readonly last: boolean;
  }
  | {
    /** The next bytes of a file are those of an older version that is there. */
    readonly type: "copy";
    readonly seq: number;
    readonly index: number;
    readonly offset: number;
    /** Where they are in the older version, and how many. */
    readonly from: number;
    readonly length: number;
    readonly digest: Uint8Array;
  }
  | { readonly type: "files"; readonly seq: number; readonly files: readonly SmallFile[] }
  | {
    /** What is there of a file is the whole of it. */
    readonly type: "whole";
    readonly seq: number;
    readonly index: number;
    readonly digest: Uint8Array;
  };

/** Bytes of files in a step, as the window on a link counts them. */
export function bytesOf(step: Step): number {
  if (step.type === "piece") return step.data.length;
  if (step.type === "files") return step.files.reduce((sum, { data }) => sum + data.length, 0);
  return 0;
}

/** About what it takes to keep a step: many small things take more than their bytes. */
export function costOf(step: Step): number {
  return bytesOf(step) + ROW_COST * (step.type === "files" ? step.files.length + 1 : 1);
}

/** Reads `transfer.data`. @throws {InvalidPacketError} naming the field, also when compressed bytes are not what they say. */
export function parsePiece(body: MessageBody): Step {
  const { index, offset, data, digest, raw, last } = body;
  return {
    type: "piece",
    seq: integerOf(body.seq, "seq"),
    index: integerOf(index, "index"),
    offset: integerOf(offset, "offset"),
    data: raw === undefined ? pieceOf(data) : inflate(pieceOf(data), integerOf(raw, "raw")),
    digest: digestOf(digest),
    last: last === true,
  };
}

/** Reads `transfer.copy`. @throws {InvalidPacketError} naming the field. */
export function parseCopy(body: MessageBody): Step {
  const length = integerOf(body.length, "length");
  if (length < 1 || length > CHUNK_BYTES) throw badField("length");
  return {
    type: "copy",
    seq: integerOf(body.seq, "seq"),
    index: integerOf(body.index, "index"),
    offset: integerOf(body.offset, "offset"),
    from: integerOf(body.from, "from"),
    length,
    digest: digestOf(body.digest),
  };
}

/** Reads `transfer.files`. @throws {InvalidPacketError} naming the field. */
export function parseFiles(body: MessageBody): Step {
  const { files } = body;
  if (!Array.isArray(files) || files.length < 1 || files.length > MAX_BATCH_FILES) {
    throw badField("files");
  }
  return { type: "files", seq: integerOf(body.seq, "seq"), files: files.map(parseSmall) };
}

/** Reads `transfer.whole`. @throws {InvalidPacketError} naming the field. */
export function parseWhole(body: MessageBody): Step {
  return {
    type: "whole",
    seq: integerOf(body.seq, "seq"),
    index: integerOf(body.index, "index"),
    digest: digestOf(body.digest),
  };
}

/** The step with bytes of its own: those of a message are overwritten by the next. */
export function owned(step: Step): Step {
  if (step.type === "piece") {
    return { ...step, data: step.data.slice(), digest: step.digest.slice() };
  }
  if (step.type !== "files") return { ...step, digest: step.digest.slice() };
  const files = step.files.map(({ index, data, digest }) => ({
    ...{ index, data: data.slice(), digest: digest.slice() },
  }));
  return { ...step, files };
}

/** The error for a field that is not what it has to be. */
export function badField(field: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot receive: bad ${field}`, {
    details: { field },
  });
}

/** A whole number from 0 up. @throws {InvalidPacketError} for anything else. */
export function integerOf(value: unknown, field: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw badField(field);
}

function parseSmall(row: unknown): SmallFile {
  if (!Array.isArray(row) || row.length !== 3) throw badField("files");
  const [index, data, digest]: readonly unknown[] = row;
  if (!(data instanceof Uint8Array) || data.length > SMALL_BYTES) throw badField("data");
  return { index: integerOf(index, "index"), data, digest: digestOf(digest) };
}

function pieceOf(data: unknown): Uint8Array {
  if (data instanceof Uint8Array && data.length <= PIECE_BYTES) return data;
  throw badField("data");
}

function digestOf(digest: unknown): Uint8Array {
  if (digest instanceof Uint8Array && digest.length === HASH_BYTES) return digest;
  throw badField("digest");
}

/** Never makes more than was announced, which is never more than a piece. */
function inflate(data: Uint8Array, length: number): Uint8Array {
  if (length > PIECE_BYTES) throw badField("raw");
  try {
    const raw = inflateRawSync(data, { maxOutputLength: Math.max(1, length) });
    if (raw.length === length) return new Uint8Array(raw.buffer, raw.byteOffset, length);
  } catch {
    // Said below.
  }
  throw badField("raw");
}
