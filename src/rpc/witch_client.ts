/**
 * Calling a server of witch-core: what can be asked of it, and what its answers mean.
 *
 * Requests may be made at any time, and are answered one after the other; see `witch_exchange.ts` for why.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { HandshakeError, type InvalidPacketError, RemoteError } from "../errors.ts";
import { REQUEST_TIMEOUT_MS } from "../endpoint/terms.ts";
import { printable } from "../log.ts";
import type { Connection } from "../transport/transport.ts";
import { MAX_JSON_BYTES } from "../wire/json.ts";
import { WitchExchange } from "./witch_exchange.ts";
import { MEDIA_CHUNK_BYTES, mediaChunk, mediaObject, mediaPieces } from "./witch_media.ts";
import {
  HANDSHAKE,
  HANDSHAKE_ACK,
  isWitchRequest,
  witchLine,
  type WitchMessage,
  type WitchPeerInfo,
  type WitchRequest,
  witchTimestamp,
} from "./witch_message.ts";

/** How to talk to a server. */
export interface WitchClientOptions {
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
  /** Gives up a request after this many milliseconds. @default {5000} */
  timeoutMs?: number;
  /** Longest answer that is read, in bytes. @default {1048576} */
  maxLineBytes?: number;
}

/** How to wait for an answer. */
export interface WitchRequestOptions {
  /** Gives up after this many milliseconds, those in the queue included. @default that of the client */
  timeoutMs?: number;
  /** Gives up when aborted. What was sent already is answered all the same; requests behind it wait for that. */
  signal?: AbortSignal;
}

/** How to send media. */
export interface SendMediaOptions extends WitchRequestOptions {
  /** What it is: `image`, `audio`, `video`, `binary`. @default {"binary"} */
  mediaType?: string;
}

/** How to send a stream of media. */
export interface StreamMediaOptions extends SendMediaOptions {
  /** The stream's id. @default a new UUID */
  streamId?: string;
  /** What there is to say of it. */
  metadata?: WitchMessage;
  /** Bytes of one piece. @default {65536} */
  chunkBytes?: number;
}

/** Longest text of a server's error that is kept. */
const MAX_ERROR_CHARS = 500;

/** The beginnings of the original's error texts, and the codes that they stand for. */
const ERROR_CODES: readonly (readonly [beginning: string, code: string])[] = [
  ["Unknown endpoint: ", "no-endpoint"],
  ["Unknown protocol: ", "no-endpoint"],
  ["Unknown request type: ", "no-endpoint"],
  ["Unknown data format", "bad-message"],
];

/**
 * Talks to a witch-core server over a connection, which is the client's from now on.
 *
 * @example What is written, and what comes of the answer
 * ```ts
 * import { connectWitch } from "@kith/kith/rpc";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const listener = await network.host("server").listen({ port: 8888 });
 * const connection = await network.host("client").connect(listener.address);
 * const server = await listener.accept();
 *
 * await using client = connectWitch(connection);
 * const answer = client.call("greet", "bob");
 * const into = new Uint8Array(64);
 * const line = into.subarray(0, await server?.read(into) ?? 0);
 * assertEquals(new TextDecoder().decode(line), '{"endpoint": "greet", "data": "bob"}\n');
 * await server?.write(new TextEncoder().encode('{"status": "success", "data": "hello"}\n'));
 * assertEquals(await answer, "hello");
 * ```
 *
 * @throws {RangeError} when `maxLineBytes` is not a positive integer.
 */
export function connectWitch(
  connection: Connection,
  options: WitchClientOptions = {},
): WitchClient {
  return new WitchClient(connection, options);
}

/**
 * A connection to a witch-core server; see the module.
 *
 * @example
 * ```ts
 * import { RemoteError } from "@kith/kith";
 * import { WitchClient } from "@kith/kith/rpc";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const listener = await network.host("server").listen();
 * await using client = new WitchClient(await network.host("client").connect(listener.address));
 * const calling = client.call("sum");
 * const server = await listener.accept();
 * const answer = '{"status": "error", "message": "Unknown endpoint: sum"}\n';
 * await server?.write(new TextEncoder().encode(answer));
 * const error = await assertRejects(() => calling, RemoteError);
 * assertEquals(error.code, "no-endpoint");
 * ```
 */
export class WitchClient implements AsyncDisposable {
  /** When and why it ended: resolves always, to the error that ended it, or `undefined` when either side closed it. */
  readonly closed: Promise<unknown>;
  readonly #exchange: WitchExchange;
  readonly #clock: Clock;
  readonly #timeoutMs: number;

  /** Starts reading. */
  constructor(connection: Connection, options: WitchClientOptions = {}) {
    const { clock = systemClock, maxLineBytes = MAX_JSON_BYTES } = options;
    this.#exchange = new WitchExchange(connection, { clock, maxLineBytes });
    this.#clock = clock;
    this.#timeoutMs = options.timeoutMs ?? REQUEST_TIMEOUT_MS;
    this.closed = this.#exchange.closed;
  }

  /**
   * Calls an endpoint. The names of {@linkcode WITCH_REQUESTS} are asked as such: the original has no endpoints of them.
   *
   * @returns what it answers.
   * @throws {RemoteError} when the answer is an error: `no-endpoint` when there is none, `internal` when it failed.
   * @throws {TimeoutError} when no answer comes. @throws {LimitError} when 1024 requests wait.
   * @throws {ClosedError} when the connection ends. @throws {InvalidPacketError} when the answer is none.
   */
  async call(name: string, data?: unknown, options: WitchRequestOptions = {}): Promise<unknown> {
    if (isWitchRequest(name)) return await this.request(name, data, options);
    const answer = await this.#succeed({ endpoint: name, ...given(data) }, options);
    return answer.data;
  }

  /**
   * Asks what every server answers by itself.
   *
   * @returns the data; for `echo` what was sent, for `ping` the whole answer.
   * @throws as {@linkcode WitchClient.call}.
   */
  async request(
    kind: WitchRequest,
    data?: unknown,
    options: WitchRequestOptions = {},
  ): Promise<unknown> {
    const answer = await this.#succeed({ request: kind, ...given(data) }, options);
    if (kind === "ping") return answer;
    return kind === "echo" ? answer.echo : answer.data;
  }

  /**
   * Sends a message, an object or the text of one line, and waits for its answer, which may be an error.
   *
   * @throws {TypeError} for what JSON has no form for, and for more than one line.
   * @throws as {@linkcode WitchClient.call}, but for errors of the server, which are answers.
   */
  async sendAndReceive(
    message: WitchMessage | string | Uint8Array,
    options: WitchRequestOptions = {},
  ): Promise<WitchMessage> {
    const { timeoutMs = this.#timeoutMs, signal } = options;
    return await this.#exchange.ask(witchLine(message), { timeoutMs, signal });
  }

  /**
   * Introduces a server to the other.
   *
   * @returns who that is; `undefined` from an original, which takes the introduction and has no answer to it.
   * @throws {HandshakeError} `denied` when it is refused, `incompatible` when the other turns out to be of another project.
   * @throws as {@linkcode WitchClient.call}.
   */
  async handshake(
    self: WitchPeerInfo,
    options: WitchRequestOptions = {},
  ): Promise<WitchPeerInfo | undefined> {
    const { nodeId, name, projectId, hash } = self;
    const answer = await this.sendAndReceive({
      type: HANDSHAKE,
      node_id: nodeId,
      name,
      project_id: projectId,
      hash,
      timestamp: witchTimestamp(this.#clock.wallMs()),
    }, options);
    if (answer.type !== HANDSHAKE_ACK) {
      if (answer.status === "received") return undefined;
      throw this.#unexpected(answer);
    }
    if (answer.status === "error") {
      throw new HandshakeError(
        "denied",
        `${this.#exchange.remote} refused the handshake: ${textOf(answer)}`,
      );
    }
    const { node_id, name: otherName, project_id, hash: otherHash } = answer;
    const other = { nodeId: node_id, name: otherName, projectId: project_id, hash: otherHash };
    if (!isPeerInfo(other)) throw this.#unexpected(answer);
    if (other.projectId === projectId) return other;
    const text = `${this.#exchange.remote} is of project "${printable(other.projectId)}"`;
    throw new HandshakeError("incompatible", text);
  }

  /**
   * Sends a media object: at most what fits into one line of the server's, a third longer than the content.
   *
   * @throws as {@linkcode WitchClient.call}.
   */
  async sendMedia(content: Uint8Array, options: SendMediaOptions = {}): Promise<void> {
    const { mediaType = "binary" } = options;
    await this.#succeed(
      mediaObject(content, { mediaType, wallMs: this.#clock.wallMs() }),
      options,
    );
  }

  /**
   * Sends media as a stream, piece after piece. The timeout is that of each piece.
   *
   * @throws {RangeError} for pieces of less than a byte. @throws as {@linkcode WitchClient.call}.
   */
  async streamMedia(content: Uint8Array, options: StreamMediaOptions = {}): Promise<void> {
    const { mediaType = "binary", streamId = crypto.randomUUID(), metadata } = options;
    const pieces = [...mediaPieces(content, options.chunkBytes ?? MEDIA_CHUNK_BYTES)];
    const total = pieces.length;
    await this.#succeed({
      action: "start_stream",
      stream_id: streamId,
      media_type: mediaType,
      ...(metadata === undefined ? {} : { metadata }),
    }, options);
    for (const [index, piece] of pieces.entries()) {
      const wallMs = this.#clock.wallMs();
      const place = { streamId, mediaType, index, total, last: index === total - 1, wallMs };
      await this.#succeed(mediaChunk(piece, place), options);
    }
  }

  /** Closes the connection; what waits is rejected. Harmless when closed. */
  async close(): Promise<void> {
    await this.#exchange.close();
  }

  /** The same as {@linkcode WitchClient.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Sends a message, and waits for success. */
  async #succeed(message: WitchMessage, options: WitchRequestOptions): Promise<WitchMessage> {
    const answer = await this.sendAndReceive(message, options);
    if (answer.status === "success") return answer;
    throw this.#unexpected(answer);
  }

  #unexpected(answer: WitchMessage): RemoteError | InvalidPacketError {
    if (answer.status === "error") return new RemoteError(codeOf(answer), textOf(answer));
    const status = printable(JSON.stringify(answer.status) ?? "missing", 40);
    return this.#exchange.unreadable(`its status is ${status}`);
  }
}

function given(data: unknown): { data?: unknown } {
  return data === undefined ? {} : { data };
}

/** The code of an error: in some answers the server says it, in others it is in the text. */
function codeOf({ error, message }: WitchMessage): string {
  if (typeof error === "string" && /^[a-z][a-z_-]{0,39}$/.test(error)) {
    return error.replaceAll("_", "-");
  }
  const text = String(message);
  return ERROR_CODES.find(([beginning]) => text.startsWith(beginning))?.[1] ?? "internal";
}

function textOf({ message }: WitchMessage): string {
  return typeof message === "string" ? printable(message, MAX_ERROR_CHARS) : "no message";
}

function isPeerInfo(info: Readonly<Record<keyof WitchPeerInfo, unknown>>): info is WitchPeerInfo {
  return Object.values(info).every((value) => typeof value === "string");
}
