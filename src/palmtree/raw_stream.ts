/**
 * What the originals send over a link: which files come, then their contents, one behind the other and without frames.
 *
 * ```
 * [ record, record, ... ]     MessagePack array of bin, each a file record
 * content of all files        chunk n is what lies at n times the chunk size
 * ```
 *
 * Between our peers links have frames instead (`link_frames.ts`). The chunk record `[number, bin]`, which the originals
 * define and do not use, is one of them.
 *
 * Source: the PeerConnect palm tree protocol. Some older nodes put the byte 01 in front, which is read and not written.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import {
  encodeFileRecord,
  type FileRecord,
  parseFileRecord,
} from "../transfer/dialects/peerconnect_records.ts";
import { encode } from "../wire/msgpack.ts";
import { ChunkList, MAX_CHUNKS } from "./chunk_list.ts";
import { bad } from "./participant.ts";

/** Most files of one session of the originals; what they are and where they end is read before the first byte of them. */
export const MAX_RAW_FILES = 4_096;

/** Largest list of files in bytes: what is read of a link before it is known what comes. */
export const MAX_METADATA_BYTES: number = 1024 * 1024;

const OLD_MARK = 0x01;

/** Which files come, as the first bytes of a link. */
export function encodeMetadata(files: readonly FileRecord[]): Uint8Array<ArrayBuffer> {
  return encode(files.map(encodeFileRecord));
}

/** Which files come, and where their contents begin. */
export interface Metadata {
  /** The files, in their order. */
  readonly files: readonly FileRecord[];
  /** Bytes that the list took. */
  readonly bytes: number;
}

/**
 * Reads which files come from the first bytes of a link.
 *
 * @returns `undefined` while the list has not come as a whole.
 * @throws {InvalidPacketError} `bad-message` for anything else, `too-large` for a list that is too long.
 */
export function parseMetadata(bytes: Uint8Array): Metadata | undefined {
  const reader = new MetadataReader();
  reader.push(bytes);
  return reader.metadata;
}

/** Reads the list of files in whatever pieces it comes, each byte once. */
class MetadataReader {
  readonly #files: FileRecord[] = [];
  readonly #scan: Scan = { bytes: new Uint8Array(0), at: 0 };
  #buffer = new Uint8Array(0);
  #count: number | undefined;
  #length: number | undefined;

  /** Takes the next bytes, and all that are behind the list. @throws as {@linkcode parseMetadata}. */
  push(bytes: Uint8Array): void {
    this.#append(bytes);
    const scan = this.#scan;
    if (this.#count === undefined) {
      if (scan.at === 0 && scan.bytes[0] === OLD_MARK) scan.at = 1;
      this.#count = readLength(scan, ARRAY_FORMS);
    }
    const count = this.#count ?? 0;
    if (count > MAX_RAW_FILES) throw tooLarge("files", count, "maxRawFiles", MAX_RAW_FILES);
    while (this.#files.length < count) {
      this.#length ??= readLength(scan, BIN_FORMS);
      if (this.#length === undefined) break;
      const end = scan.at + this.#length;
      if (end > MAX_METADATA_BYTES) {
        throw tooLarge("metadata", end, "maxMetadataBytes", MAX_METADATA_BYTES);
      }
      if (end > scan.bytes.length) break;
      this.#files.push(parseFileRecord(scan.bytes.subarray(scan.at, end)));
      scan.at = end;
      this.#length = undefined;
    }
  }

  /** The list, once it is whole. */
  get metadata(): Metadata | undefined {
    if (this.#files.length !== this.#count) return undefined;
    return { files: this.#files, bytes: this.#scan.at };
  }

  /** What has come behind the list. */
  get rest(): Uint8Array {
    return this.#scan.bytes.subarray(this.#scan.at);
  }

  // Bytes may come one by one: the buffer grows to twice its size each time.
  #append(bytes: Uint8Array): void {
    const { length } = this.#scan.bytes;
    const total = length + bytes.length;
    if (total > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(total, 2 * this.#buffer.length));
      larger.set(this.#buffer.subarray(0, length));
      this.#buffer = larger;
    }
    this.#buffer.set(bytes, length);
    this.#scan.bytes = this.#buffer.subarray(0, total);
  }
}

/** What {@linkcode RawReader} found. */
export type RawEvent =
  | {
    /** It is known what comes. */
    readonly type: "metadata";
    /** The files. */
    readonly files: readonly FileRecord[];
    /** Their chunks, without hashes. */
    readonly chunks: ChunkList;
  }
  | {
    /** A chunk is whole. */
    readonly type: "chunk";
    /** Its number. */
    readonly index: number;
    /** Its bytes, the receiver's own. */
    readonly data: Uint8Array;
  };

/** Takes the bytes of a link to an original apart, whatever pieces they come in. */
export class RawReader {
  readonly #chunkBytes: number;
  #head: MetadataReader | undefined;
  #chunks: ChunkList | undefined;
  #chunk: Uint8Array = new Uint8Array(0);
  #index = 0;
  #filled = 0;
  #excess = false;

  /** Reads chunks of that size. */
  constructor(chunkBytes: number) {
    this.#chunkBytes = chunkBytes;
  }

  /** Bytes of contents that have come. */
  get contentBytes(): number {
    return this.#index * this.#chunkBytes + this.#filled;
  }

  /**
   * Takes the next bytes. What is whole before something wrong is still returned, and then the next call throws.
   *
   * @returns what has become whole by them.
   * @throws {InvalidPacketError} when they are no list of files, when that is more than can be taken, or more comes than
   * was announced.
   */
  push(bytes: Uint8Array): RawEvent[] {
    if (this.#excess) throw this.#tooMuch();
    const events: RawEvent[] = [];
    let rest = bytes;
    if (this.#chunks === undefined) {
      const head = this.#head ??= new MetadataReader();
      head.push(bytes);
      const { files } = head.metadata ?? {};
      if (files === undefined) return refuseLong(head.rest);
      const totalBytes = files.reduce((sum, { size, seeked }) => sum + size - seeked, 0);
      const most = MAX_CHUNKS * this.#chunkBytes;
      if (totalBytes > most) throw tooLarge("content", totalBytes, "maxContentBytes", most);
      this.#chunks = new ChunkList(totalBytes, this.#chunkBytes);
      events.push({ type: "metadata", files, chunks: this.#chunks });
      rest = head.rest;
      this.#head = undefined;
    }
    this.#fill(rest, this.#chunks, events);
    return events;
  }

  #tooMuch(): InvalidPacketError {
    return bad("content", `more than the ${this.#chunks?.totalBytes} bytes announced`);
  }

  #fill(bytes: Uint8Array, chunks: ChunkList, events: RawEvent[]): void {
    for (let rest = bytes; rest.length > 0;) {
      const size = chunks.sizeOf(this.#index);
      if (size === 0 && events.length === 0) throw this.#tooMuch();
      this.#excess = size === 0;
      if (this.#excess) return;
      if (this.#filled === 0) this.#chunk = new Uint8Array(size);
      const part = rest.subarray(0, size - this.#filled);
      this.#chunk.set(part, this.#filled);
      this.#filled += part.length;
      rest = rest.subarray(part.length);
      if (this.#filled < size) return;
      events.push({ type: "chunk", index: this.#index++, data: this.#chunk });
      this.#filled = 0;
    }
  }
}

/** A record that is not whole is no longer than the list may be. */
function refuseLong({ length }: Uint8Array): [] {
  if (length <= MAX_METADATA_BYTES) return [];
  throw tooLarge("metadata", length, "maxMetadataBytes", MAX_METADATA_BYTES);
}

interface Scan {
  bytes: Uint8Array;
  at: number;
}

/** How MessagePack writes a length: by itself in a byte of `fixed`, else behind one of `marks`, in 1, 2 or 4 bytes. */
interface LengthForms {
  readonly what: string;
  readonly fixed: number | undefined;
  readonly marks: ReadonlyMap<number, 1 | 2 | 4>;
}

const ARRAY_FORMS: LengthForms = {
  what: "files",
  fixed: 0x90,
  marks: new Map([[0xdc, 2], [0xdd, 4]]),
};
const BIN_FORMS: LengthForms = {
  what: "file record",
  fixed: undefined,
  marks: new Map([[0xc4, 1], [0xc5, 2], [0xc6, 4]]),
};

// By hand and not by the decoder, which cannot tell a list that is not whole yet from one that is broken.
function readLength(scan: Scan, { what, fixed, marks }: LengthForms): number | undefined {
  const mark = scan.bytes[scan.at];
  if (mark === undefined) return undefined;
  if (fixed !== undefined && (mark & 0xf0) === fixed) {
    scan.at++;
    return mark & 0x0f;
  }
  const width = marks.get(mark);
  if (width === undefined) {
    throw bad(what, `byte ${mark} at offset ${scan.at} begins no such thing`);
  }
  if (scan.at + 1 + width > scan.bytes.length) return undefined;
  let length = 0;
  for (let nth = 1; nth <= width; nth++) length = 256 * length + (scan.bytes[scan.at + nth] ?? 0);
  scan.at += 1 + width;
  return length;
}

function tooLarge(what: string, got: number, limit: string, max: number): InvalidPacketError {
  return new InvalidPacketError(
    "too-large",
    `Cannot read palm tree message: ${what}: ${got} exceeds ${limit} ${max}`,
    { details: { field: what, limit, max, got } },
  );
}
