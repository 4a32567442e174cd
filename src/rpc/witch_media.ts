/**
 * Media in witch-core's JSON lines: single objects and streams in pieces, their bytes as base64.
 *
 * ```text
 * {"action": "start_stream", "stream_id", "media_type"}                  -> stream_started
 * {"content", "chunk_index", "is_last": false, "stream_id", ...}         -> chunk_received
 * {"content", "chunk_index", "is_last": true, "stream_id", ...}          -> stream_completed
 * {"content", "media_type", ...}                                         -> Received 3 bytes of media data (image)
 * ```
 *
 * The original keeps everything that was ever sent to it, and lets every client write into every stream. Here a stream
 * belongs to the connection that started it and is counted, not kept: who wants the bytes gives a sink, which takes each
 * piece before it is answered.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { printable } from "../log.ts";
import { pythonJson } from "../wire/json.ts";
import { Float64 } from "../wire/msgpack_types.ts";
import { type WitchMessage, witchTimestamp } from "./witch_message.ts";

/** Streams of one connection that are known at the same time; a completed one makes room for the next. */
export const MAX_MEDIA_STREAMS = 16;

/** Longest id of a stream and longest media type, in characters: an id is a UUID. */
export const MAX_MEDIA_NAME_CHARS = 200;

/** Bytes of one piece of a stream, unless told otherwise: the original's. */
export const MEDIA_CHUNK_BYTES = 64 * 1024;

/** Media that has come. */
export type MediaEvent =
  | {
    /** A stream begins. */
    readonly type: "started";
    /** The sender's name for the stream. */
    readonly streamId: string;
    /** Such as `audio`. */
    readonly mediaType: string;
    /** What the sender says of it, as it was sent. */
    readonly metadata: unknown;
  }
  | {
    /** A piece of a stream. */
    readonly type: "chunk";
    /** The sender's name for the stream. */
    readonly streamId: string;
    /** Such as `audio`. */
    readonly mediaType: string;
    /** Its place, from 0, as the sender counts. */
    readonly index: number;
    /** Whether the sender says that it is the last. */
    readonly last: boolean;
    /** The bytes, the sink's to keep. */
    readonly content: Uint8Array;
    /** What the sender says of it, as it was sent: JSON text by the original. */
    readonly metadata: unknown;
  }
  | {
    /** A whole object. */
    readonly type: "object";
    /** Such as `image`. */
    readonly mediaType: string;
    /** The bytes, the sink's to keep. */
    readonly content: Uint8Array;
    /** What the sender says of it, as it was sent. */
    readonly metadata: unknown;
  };

/** Takes media; the sender has its answer, and may send the next piece, when the promise is done. */
export type MediaSink = (event: MediaEvent) => void | Promise<void>;

/** A stream, as far as it has come. */
interface MediaStream {
  readonly mediaType: string;
  readonly startedMs: number;
  chunks: number;
  bytes: number;
  completed: boolean;
}

/** Whether a line is about media, by the original's test. */
export function isMedia(message: WitchMessage): boolean {
  const has = (key: string) => Object.hasOwn(message, key);
  const { action } = message;
  return has("stream_id") || has("media_type") && has("content") ||
    typeof action === "string" && (action.startsWith("stream_") || action === "start_stream");
}

/** The streams of one connection. */
export class MediaStreams {
  readonly #clock: Clock;
  readonly #sink: MediaSink;
  readonly #streams = new Map<string, MediaStream>();

  /** None yet. */
  constructor(clock: Clock, sink: MediaSink) {
    this.#clock = clock;
    this.#sink = sink;
  }

  /** Takes a line that {@linkcode isMedia}. @returns the answer, but for its timestamp. */
  async take(message: WitchMessage): Promise<WitchMessage> {
    const { stream_id: streamId, media_type: mediaType = "binary", action } = message;
    if (!isName(mediaType)) return refusal("invalid_media", misnamed("media_type"));
    if (!Object.hasOwn(message, "stream_id") && Object.hasOwn(message, "content")) {
      return await this.#object(message, mediaType);
    }
    if (!isName(streamId)) return refusal("invalid_media", misnamed("stream_id"));
    if (action === "start_stream") return await this.#start(message, streamId, mediaType);
    const stream = this.#streams.get(streamId);
    if (stream !== undefined) return await this.#chunk(message, streamId, stream);
    return refusal("unknown_stream", `Stream ${printable(streamId)} is not registered`);
  }

  async #start(message: WitchMessage, streamId: string, mediaType: string): Promise<WitchMessage> {
    if (!this.#streams.has(streamId) && !this.#makeRoom()) {
      const text = `There are ${MAX_MEDIA_STREAMS} streams already (MAX_MEDIA_STREAMS)`;
      return refusal("limit", text);
    }
    const startedMs = this.#clock.now();
    this.#streams.delete(streamId); // so that one that is started again is the newest
    this.#streams.set(streamId, { mediaType, startedMs, chunks: 0, bytes: 0, completed: false });
    await this.#sink({ type: "started", streamId, mediaType, metadata: message.metadata });
    return success({ data: { status: "stream_started", stream_id: streamId } });
  }

  async #chunk(
    message: WitchMessage,
    streamId: string,
    stream: MediaStream,
  ): Promise<WitchMessage> {
    const { chunk_index: index = stream.chunks, is_last: last = false, metadata } = message;
    const content = contentOf(message);
    if (content === undefined || !isCount(index) || typeof last !== "boolean") {
      const wanted = "content is base64, chunk_index a number from 0, is_last true or false";
      return refusal("invalid_media", `Cannot take a piece of a stream: ${wanted}`);
    }
    const { mediaType } = stream;
    await this.#sink({ type: "chunk", streamId, mediaType, index, last, content, metadata });
    stream.chunks++;
    stream.bytes += content.length;
    stream.completed ||= last;
    const about = { status: last ? "stream_completed" : "chunk_received", stream_id: streamId };
    if (!last) {
      return success({ data: { ...about, chunk_index: index, received_chunks: stream.chunks } });
    }
    const duration = new Float64((this.#clock.now() - stream.startedMs) / 1000);
    const totals = { total_chunks: stream.chunks, total_bytes: stream.bytes, duration };
    return success({ data: { ...about, ...totals } });
  }

  async #object(message: WitchMessage, mediaType: string): Promise<WitchMessage> {
    const content = contentOf(message);
    if (content === undefined) {
      return refusal("invalid_media", "Cannot take media: content is base64");
    }
    const size = content.length;
    await this.#sink({ type: "object", mediaType, content, metadata: message.metadata });
    const text = `Received ${size} bytes of media data (${printable(mediaType)})`;
    return success({ message: text, size, media_type: mediaType });
  }

  /** Forgets the oldest completed stream when there are too many. @returns whether there is room for one more. */
  #makeRoom(): boolean {
    if (this.#streams.size < MAX_MEDIA_STREAMS) return true;
    const completed = [...this.#streams].find(([, stream]) => stream.completed);
    return completed !== undefined && this.#streams.delete(completed[0]);
  }
}

/** How to describe media that is sent. */
export interface MediaOptions {
  /** What it is: `image`, `audio`, `video`, `binary`. @default {"binary"} */
  mediaType?: string;
  /** When, in milliseconds since 1970. */
  wallMs: number;
}

/**
 * A media object as one message. Its line is a third longer than the content, and must fit into what the server reads:
 * 1 MiB here.
 */
export function mediaObject(content: Uint8Array, options: MediaOptions): WitchMessage {
  const { mediaType = "binary", wallMs } = options;
  return {
    content: content.toBase64(),
    media_type: mediaType,
    size: content.length,
    encoding: "base64",
    timestamp: witchTimestamp(wallMs),
  };
}

/** How to describe a piece of a stream. */
export interface MediaChunkOptions extends MediaOptions {
  /** The stream's id. */
  streamId: string;
  /** The piece's place, from 0. */
  index: number;
  /** How many pieces there are, -1 while that is unknown. @default {-1} */
  total?: number;
  /** Whether it is the last. @default {false} */
  last?: boolean;
  /** What there is to say of it; sent as JSON text. */
  metadata?: WitchMessage;
}

/** A piece of a stream as one message. */
export function mediaChunk(content: Uint8Array, options: MediaChunkOptions): WitchMessage {
  const { mediaType = "binary", wallMs, streamId, index, total = -1, last = false } = options;
  return {
    content: content.toBase64(),
    media_type: mediaType,
    encoding: "base64",
    chunk_index: index,
    total_chunks: total,
    is_last: last,
    stream_id: streamId,
    size: content.length,
    timestamp: witchTimestamp(wallMs),
    ...(options.metadata === undefined ? {} : { metadata: pythonJson(options.metadata) }),
  };
}

/** Cuts content into pieces, as views; empty content is one empty piece. @throws {RangeError} for a size below 1. */
export function* mediaPieces(
  content: Uint8Array,
  chunkBytes: number = MEDIA_CHUNK_BYTES,
): Generator<Uint8Array, void, void> {
  if (!(chunkBytes >= 1)) {
    throw new RangeError(`chunkBytes must be at least 1: current value is ${chunkBytes}`);
  }
  yield content.subarray(0, chunkBytes);
  for (let at = chunkBytes; at < content.length; at += chunkBytes) {
    yield content.subarray(at, at + chunkBytes);
  }
}

function success(fields: WitchMessage): WitchMessage {
  return { status: "success", ...fields };
}

function refusal(error: string, message: string): WitchMessage {
  return { status: "error", error, message };
}

function misnamed(field: string): string {
  return `Cannot take media: ${field} is text of 1 to ${MAX_MEDIA_NAME_CHARS} characters`;
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value.length >= 1 && value.length <= MAX_MEDIA_NAME_CHARS;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

/** The bytes of a message, `undefined` when they are not base64. */
function contentOf({ content, encoding = "base64" }: WitchMessage): Uint8Array | undefined {
  if (typeof content !== "string" || encoding !== "base64") return undefined;
  try {
    return Uint8Array.fromBase64(content);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
