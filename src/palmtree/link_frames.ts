/**
 * What our relays say to each other over a link, each in a stream frame.
 *
 * | frame | from | payload |
 * |---|---|---|
 * | chunk | parent | MessagePack `[number, bin]`, the chunk record of the originals |
 * | have | child | `:palm-have`, body `bits`: what it has when the link begins, so that only what is missing comes |
 * | path | parent | `:palm-path`, body `path`: ids from the sender to the parent or nil, `chunks`, `lagging`; as a sign of life too |
 * | beat | child | `:palm-beat`, body `chunks`: a sign of life, and how many it has |
 * | end | both | `:palm-end`, body `why`: the link is given up |
 *
 * The path is there so that nobody becomes the descendant of its own child: who finds itself in it leaves. It is nil while its
 * relay has lost its way to the sender.
 *
 * @module
 */

import { decodeWireData, encodeWireData, wireData } from "../wire/message.ts";
import { decode, encode } from "../wire/msgpack.ts";
import { idFromDecimal } from "../wire/remote_peer.ts";
import { MAX_CHUNKS } from "./chunk_list.ts";
import { MAX_PARTICIPANTS } from "./hypercube.ts";
import { bad, readInteger, readList, readPeerId } from "./participant.ts";

/** Why a link is given up. */
export const LINK_ENDS = [
  "over",
  "leaving",
  "bad-chunk",
  "stalled",
  "loop",
  "demoted",
  "failed",
] as const;

/** A reason of {@linkcode LINK_ENDS}. */
export type LinkEnd = typeof LINK_ENDS[number];

/** A chunk. */
export interface ChunkFrame {
  /** What it is. */
  readonly type: "chunk";
  /** Its number. */
  readonly index: number;
  /** Its bytes. */
  readonly data: Uint8Array;
}

/** Where a parent is. */
export interface PathFrame {
  /** What it is. */
  readonly type: "path";
  /** Ids from the sender to the parent; `undefined` while the parent has no way to the sender. */
  readonly path: readonly string[] | undefined;
  /** Chunks that it has. */
  readonly chunks: number;
  /** Whether the child takes too little: it is to have no children of its own then. */
  readonly isLagging: boolean;
}

/** A frame that was understood. */
export type LinkFrame =
  | ChunkFrame
  | PathFrame
  | {
    /** What the child has. */
    readonly type: "have";
    /** One bit for each chunk, as `ChunkSet` has it. */
    readonly bits: Uint8Array;
  }
  | {
    /** The child is there. */
    readonly type: "beat";
    /** Chunks that it has. */
    readonly chunks: number;
  }
  | {
    /** The link is given up. */
    readonly type: "end";
    /** Why. */
    readonly why: LinkEnd;
  };

const HEADER = {
  have: ":palm-have",
  path: ":palm-path",
  beat: ":palm-beat",
  end: ":palm-end",
} as const;

/** The first byte of a chunk record, an array of 2; messages are arrays of 5. */
const CHUNK_MARK = 0x92;

/** A chunk record: `[number, bin]`. */
export function encodeChunk(index: number, data: Uint8Array): Uint8Array<ArrayBuffer> {
  return encode([index, data]);
}

/** A frame's payload. */
export function encodeLinkFrame(frame: LinkFrame): Uint8Array<ArrayBuffer> {
  switch (frame.type) {
    case "chunk":
      return encodeChunk(frame.index, frame.data);
    case "have":
      return encodeWireData(wireData(HEADER.have, { bits: frame.bits }));
    case "path": {
      const { path, chunks, isLagging: lagging } = frame;
      const ids = path?.map(idFromDecimal) ?? null;
      return encodeWireData(wireData(HEADER.path, { path: ids, chunks, lagging }));
    }
    case "beat":
      return encodeWireData(wireData(HEADER.beat, { chunks: frame.chunks }));
    case "end":
      return encodeWireData(wireData(HEADER.end, { why: frame.why }));
    default:
      return frame satisfies never;
  }
}

/**
 * Reads a frame's payload; bytes are copies.
 *
 * @throws {InvalidPacketError} `bad-message` naming the field, also for frames that are not known.
 */
export function parseLinkFrame(payload: Uint8Array): LinkFrame {
  if (payload[0] === CHUNK_MARK) return parseChunk(payload);
  const { header, body } = decodeWireData(payload);
  switch (header) {
    case HEADER.have:
      if (body.bits instanceof Uint8Array) return { type: "have", bits: body.bits };
      throw bad("bits", "it is not bin");
    case HEADER.path:
      return {
        type: "path",
        path: body.path === null ? undefined : readPath(body.path),
        chunks: readInteger(body.chunks, "chunks", 0, MAX_CHUNKS),
        isLagging: body.lagging === true,
      };
    case HEADER.beat:
      return { type: "beat", chunks: readInteger(body.chunks, "chunks", 0, MAX_CHUNKS) };
    case HEADER.end:
      return { type: "end", why: LINK_ENDS.find((why) => why === body.why) ?? "leaving" };
    default:
      throw bad("header", "it is none of a link");
  }
}

/** Reads a chunk record; `data` is a copy. @throws {InvalidPacketError} `bad-message` naming the field. */
export function parseChunk(payload: Uint8Array): ChunkFrame {
  const value = decode(payload);
  const [index, data, ...more]: readonly unknown[] = Array.isArray(value) ? value : [];
  if (!(data instanceof Uint8Array) || more.length > 0) {
    throw bad("chunk", "it is not [number, bin]");
  }
  return { type: "chunk", index: readInteger(index, "chunk", 0, Number.MAX_SAFE_INTEGER), data };
}

function readPath(value: unknown): string[] {
  const path = readList(value, "path", MAX_PARTICIPANTS, (id) => readPeerId(id, "path"));
  if (path.length > 0) return path;
  throw bad("path", "it is empty");
}
