/**
 * How contents travel: binary messages, asked for by who wants them.
 *
 * ```
 *   02 | id u32 | SHA-256 32 | size f64 | offset f64 | block bytes u32 | signs bytes u32    want
 *   03 | id u32 | signs                                       checksums of blocks of an older version
 *   04 | id u32 | bytes                                       the next bytes
 *   05 | id u32 | from f64 | length u32                       the next bytes are those of the older version
 *   06 | id u32 | bytes                                       the last bytes, maybe none
 *   07 | id u32                                               these contents are not here (any more)
 *   08 | id u32 | bytes u32                                   so many more may be sent
 *   09 | id u32                                               wanted no more
 *   0a | 00000000                                             nothing: to wait until what was sent before is on its way
 * ```
 *
 * Numbers are big-endian; the id is the asker's choice. Nobody sends more than {@linkcode WINDOW_BYTES} of one file before
 * he is granted more.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { type BlockList, parseBlocks } from "../transfer/block_match.ts";

/** Bytes of one file that may be on their way. */
export const WINDOW_BYTES: number = 1024 * 1024;

/** Most bytes of contents or signs in one message. */
export const PAYLOAD_BYTES: number = 512 * 1024;

/** Bytes before the contents of a message. */
export const HEAD_BYTES = 5;

/** Most bytes of signs: 200,000 blocks. */
const MAX_SIGNS_BYTES = 4_000_000;

const HASH_BYTES = 32;

/** The first byte of each kind. */
export const ContentCode = {
  WANT: 2,
  SIGNS: 3,
  DATA: 4,
  COPY: 5,
  END: 6,
  NONE: 7,
  GRANT: 8,
  DROP: 9,
  NOTHING: 10,
} as const;

/** Somebody wants contents. */
export interface WantFrame {
  /** What it is. */
  readonly type: "want";
  /** What the answers are called by. */
  readonly id: number;
  /** Which contents. */
  readonly sha256: string;
  /** How many bytes they are. */
  readonly size: number;
  /** How many of them are there already. */
  readonly offset: number;
  /** Bytes of a block of the older version; 0 when there is none. */
  readonly blockBytes: number;
  /** Bytes of signs that follow. */
  readonly signsBytes: number;
}

/** A message about contents. */
export type ContentFrame =
  | WantFrame
  | { readonly type: "signs"; readonly id: number; readonly signs: Uint8Array }
  | { readonly type: "data"; readonly id: number; readonly data: Uint8Array }
  | { readonly type: "copy"; readonly id: number; readonly from: number; readonly length: number }
  | { readonly type: "end"; readonly id: number; readonly data: Uint8Array }
  | { readonly type: "none"; readonly id: number }
  | { readonly type: "grant"; readonly id: number; readonly bytes: number }
  | { readonly type: "drop"; readonly id: number }
  | { readonly type: "nothing"; readonly id: number };

/** Encodes a message that has few bytes, or none, of contents. */
export function encodeContent(frame: ContentFrame): Uint8Array {
  switch (frame.type) {
    case "want": {
      const bytes = framed(ContentCode.WANT, frame.id, HASH_BYTES + 24);
      const view = new DataView(bytes.buffer);
      bytes.set(Uint8Array.fromHex(frame.sha256), HEAD_BYTES);
      view.setFloat64(37, frame.size);
      view.setFloat64(45, frame.offset);
      view.setUint32(53, frame.blockBytes);
      view.setUint32(57, frame.signsBytes);
      return bytes;
    }
    case "signs":
      return withBytes(ContentCode.SIGNS, frame.id, frame.signs);
    case "data":
      return withBytes(ContentCode.DATA, frame.id, frame.data);
    case "end":
      return withBytes(ContentCode.END, frame.id, frame.data);
    case "copy": {
      const bytes = framed(ContentCode.COPY, frame.id, 12);
      const view = new DataView(bytes.buffer);
      view.setFloat64(5, frame.from);
      view.setUint32(13, frame.length);
      return bytes;
    }
    case "grant": {
      const bytes = framed(ContentCode.GRANT, frame.id, 4);
      new DataView(bytes.buffer).setUint32(HEAD_BYTES, frame.bytes);
      return bytes;
    }
    case "none":
      return framed(ContentCode.NONE, frame.id, 0);
    case "drop":
      return framed(ContentCode.DROP, frame.id, 0);
    case "nothing":
      return framed(ContentCode.NOTHING, frame.id, 0);
    default:
      return frame satisfies never;
  }
}

/**
 * Decodes a message.
 *
 * @returns bytes in it are views.
 * @throws {InvalidPacketError} `bad-message` naming what is wrong.
 */
export function decodeContent(bytes: Uint8Array): ContentFrame {
  if (bytes.length < HEAD_BYTES) throw invalid("it is too short");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [id, rest] = [view.getUint32(1), bytes.subarray(HEAD_BYTES)];
  const expect = (length: number) => {
    if (rest.length !== length) throw invalid(`${rest.length} bytes instead of ${length}`);
  };
  const count = (at: number) => {
    const value = view.getFloat64(at);
    if (Number.isSafeInteger(value) && value >= 0) return value;
    throw invalid(`no number of bytes at offset ${at}`);
  };
  switch (bytes[0]) {
    case ContentCode.WANT: {
      expect(HASH_BYTES + 24);
      const [size, offset] = [count(37), count(45)];
      const [blockBytes, signsBytes] = [view.getUint32(53), view.getUint32(57)];
      if (offset > size) throw invalid("an offset beyond the size");
      if (signsBytes > MAX_SIGNS_BYTES) {
        throw invalid(`${signsBytes} bytes of signs exceed maxSignsBytes ${MAX_SIGNS_BYTES}`);
      }
      const sha256 = rest.subarray(0, HASH_BYTES).toHex();
      return { type: "want", id, sha256, size, offset, blockBytes, signsBytes };
    }
    case ContentCode.SIGNS:
      return { type: "signs", id, signs: rest };
    case ContentCode.DATA:
      return { type: "data", id, data: rest };
    case ContentCode.END:
      return { type: "end", id, data: rest };
    case ContentCode.COPY:
      expect(12);
      return { type: "copy", id, from: count(5), length: view.getUint32(13) };
    case ContentCode.GRANT:
      expect(4);
      return { type: "grant", id, bytes: view.getUint32(HEAD_BYTES) };
    case ContentCode.NONE:
    case ContentCode.DROP:
    case ContentCode.NOTHING:
      expect(0);
      return { type: EMPTY[bytes[0]], id };
    default:
      throw invalid("it begins with no code that is known");
  }
}

/** The blocks that a want speaks of, once all of their signs are there. @throws {InvalidPacketError} when they are none. */
export function blocksOf(want: WantFrame, signs: Uint8Array): BlockList {
  return parseBlocks(want.blockBytes, signs);
}

/**
 * A message whose contents are still to be put behind its head.
 *
 * @param buffer Where, if it is large enough. @default new memory
 */
export function framed(code: number, id: number, length: number, buffer?: Uint8Array): Uint8Array {
  const bytes = buffer?.subarray(0, HEAD_BYTES + length) ?? new Uint8Array(HEAD_BYTES + length);
  bytes[0] = code;
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(1, id);
  return bytes;
}

const EMPTY = {
  [ContentCode.NONE]: "none",
  [ContentCode.DROP]: "drop",
  [ContentCode.NOTHING]: "nothing",
} as const;

function withBytes(code: number, id: number, data: Uint8Array): Uint8Array {
  const bytes = framed(code, id, data.length);
  bytes.set(data, HEAD_BYTES);
  return bytes;
}

function invalid(why: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot decode contents: ${why}`);
}
