/**
 * Serving clients of witch-core: JSON lines on the port that everything else comes in on.
 *
 * ```text
 * acceptor -- begins with "{" --> WitchLineReader -> answerLine -> one line back
 *                                      ^ the next line is taken when the answer is written
 * ```
 *
 * The original reads what one segment brings as one message, so its clients write a request and wait. Here requests may
 * be cut anywhere and follow each other at once; each is answered in its turn. One is at work at a time, and none is
 * taken while an answer waits for a reader: that is the back-pressure. The first good line makes a connection a client;
 * until then it has the acceptor's time for a handshake.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";
import { ClosedError, InvalidPacketError, PeerError, TimeoutError } from "../errors.ts";
import type { Accepted } from "../endpoint/acceptor.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { unlessAborted } from "../endpoint/within_time.ts";
import { layerLog, type Logger } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import { MAX_JSON_BYTES } from "../wire/json.ts";
import {
  answerLine,
  failure,
  undecodable,
  type WitchCaller,
  type WitchHost,
} from "./witch_answer.ts";
import { WitchLineReader } from "./witch_lines.ts";
import { type MediaEvent, MediaStreams } from "./witch_media.ts";
import { witchLine } from "./witch_message.ts";

export type { WitchCallContext, WitchCaller, WitchHost } from "./witch_answer.ts";

/** How to serve. */
export interface WitchServerOptions {
  /** Longest line that is read, in bytes. @default {1048576} */
  maxLineBytes?: number;
  /** Closes a client that sends nothing, or does not read its answer, for this long. @default {3600000} */
  idleMs?: number;
  /** Takes the media that clients send. @default nobody: it is counted and answered */
  onMedia?: (event: MediaEvent, client: WitchCaller) => void | Promise<void>;
  /** Where time comes from. @default the endpoint's */
  clock?: Clock;
  /** Where to say what happens. @default the endpoint's */
  log?: Logger;
  /** Counts `witch.*`. @default the endpoint's */
  metrics?: Metrics;
}

/** Bytes read at a time; requests are small. */
const READ_BYTES = 16 * 1024;

/** Who has hung up has its answer for this long: the time that the original's clients wait for one. */
const HUNG_UP_MS = 5_000;

/** How long a connection that is refused may take to read why, and how many reads it is listened to meanwhile. */
const LAST_WORDS = { ms: 1_000, reads: 1024 };

/**
 * Serves witch-core's JSON lines on an endpoint's port.
 *
 * Counted are `witch.requests`, `witch.malformed` lines, which are answered, and connections that end with a line too
 * long, as `witch.too-large`.
 *
 * @example A server, and a client of witch-core
 * ```ts
 * import { Endpoint, Server } from "@kith/kith";
 * import { connectWitch, serveWitch } from "@kith/kith/rpc";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const self = { name: "sums", capabilities: [], agent: "example" };
 * await using endpoint = await Endpoint.open({ transport: network.host("sums"), self });
 * await using server = new Server(endpoint);
 * server.register("add", ({ a, b }: { a: number; b: number }) => a + b);
 * using serving = serveWitch(endpoint, server);
 *
 * const { port = 0 } = endpoint.address ?? {};
 * const connection = await network.host("client").connect({ hostname: "sums", port });
 * await using client = connectWitch(connection);
 * assertEquals(await client.call("add", { a: 1, b: 2 }), 3);
 * const { status } = await client.sendAndReceive({ endpoint: "nothing" });
 * assertEquals(status, "error");
 * ```
 *
 * @returns what stops it, and closes the connections that it serves.
 * @throws {TypeError} when somebody serves them already. @throws {RangeError} for a limit below 1.
 */
export function serveWitch(
  endpoint: Endpoint,
  host: WitchHost,
  options: WitchServerOptions = {},
): Disposable {
  const { maxLineBytes = MAX_JSON_BYTES, idleMs = 3_600_000, onMedia = () => {} } = options;
  const { clock = endpoint.clock, metrics = endpoint.metrics } = options;
  const log = layerLog(options.log ?? endpoint.log, "rpc");
  if (!(idleMs >= 1)) throw new RangeError(`idleMs must be at least 1: current value is ${idleMs}`);
  new WitchLineReader(maxLineBytes); // says so now when the limit is none
  const service = { host, maxLineBytes, idleMs, onMedia, clock, log, metrics };
  const stopping = new AbortController();
  const taken = endpoint.take(
    "witch",
    (accepted) => new Conversation(accepted, service, stopping.signal).run(),
  );
  return {
    [Symbol.dispose]: () => {
      taken[Symbol.dispose]();
      stopping.abort(new ClosedError("Witch clients are served no more"));
    },
  };
}

type Service = Required<WitchServerOptions> & { readonly host: WitchHost };

/** One connection, until it ends. */
class Conversation {
  readonly #accepted: Accepted;
  readonly #service: Service;
  readonly #lines: WitchLineReader;
  readonly #media: MediaStreams;
  readonly #client: WitchCaller;
  readonly #gone = new AbortController();
  readonly #signal: AbortSignal;
  readonly #buffer = new Uint8Array(READ_BYTES);
  #reading: Promise<number | null> = Promise.resolve(0);
  #hungUp: Timer | undefined;
  #membership: Disposable | undefined;

  constructor(accepted: Accepted, service: Service, stopping: AbortSignal) {
    const { clock, maxLineBytes, onMedia } = service;
    this.#accepted = accepted;
    this.#service = service;
    this.#lines = new WitchLineReader(maxLineBytes);
    this.#client = {
      clientId: crypto.randomUUID(),
      address: accepted.connection.remote,
      dialect: "witch",
    };
    this.#media = new MediaStreams(clock, (event) => onMedia(event, this.#client));
    this.#signal = AbortSignal.any([accepted.signal, stopping, this.#gone.signal]);
  }

  /** Serves it. It rejects when the connection is refused or breaks. */
  async run(): Promise<void> {
    const { connection, first } = this.#accepted;
    this.#signal.addEventListener("abort", () => connection.close(), { once: true });
    try {
      this.#readAhead();
      await this.#answerAll(first);
      for (let chunk = await this.#chunk(); chunk !== undefined; chunk = await this.#chunk()) {
        await this.#answerAll(chunk);
      }
      if (this.#membership === undefined) throw new ClosedError("It ended without a whole line");
    } catch (error) {
      this.#signal.throwIfAborted();
      if (error instanceof PeerError && !(error instanceof ClosedError)) await this.#refuse(error);
      throw error;
    } finally {
      this.#hungUp?.cancel();
      this.#gone.abort(new ClosedError("The connection ended"));
      this.#membership?.[Symbol.dispose]();
      await this.#reading.catch(() => {}); // it ended with the connection
    }
  }

  async #answerAll(bytes: Uint8Array): Promise<void> {
    const { host, clock, log, metrics } = this.#service;
    const [client, signal, media] = [this.#client, this.#signal, this.#media];
    for (const line of this.#lines.push(bytes)) {
      if (line instanceof InvalidPacketError) {
        metrics.counter("witch.malformed").add();
        await this.#write(witchLine(undecodable(clock, line)));
        continue;
      }
      this.#membership ??= this.#admit();
      metrics.counter("witch.requests").add();
      const answering = answerLine(line, { host, client, signal, media, clock, log });
      await this.#write(await unlessAborted(answering, signal));
    }
  }

  /** Makes the connection a client's. */
  #admit(): Disposable {
    const membership = this.#service.host.adopt(this.#client);
    this.#accepted.established();
    return membership;
  }

  /** The next bytes, `undefined` at the end; reads on while they are being answered. */
  async #chunk(): Promise<Uint8Array | undefined> {
    const count = await this.#patiently(this.#reading);
    if (count === null) return undefined;
    const chunk = this.#buffer.slice(0, count);
    this.#readAhead();
    return chunk;
  }

  /** Reads once, so that a connection that breaks or ends is noticed while a handler is at work. */
  #readAhead(): void {
    const { clock } = this.#service;
    this.#reading = this.#accepted.connection.read(this.#buffer);
    this.#reading.then((count) => {
      if (count === null) this.#hungUp = clock.after(HUNG_UP_MS, () => this.#giveUp("hung up"));
    }, (error) => this.#gone.abort(error));
  }

  async #write(line: Uint8Array): Promise<void> {
    await this.#patiently(this.#accepted.connection.write(line));
  }

  /** Waits for the other side, but not for ever. */
  async #patiently<T>(wait: Promise<T>): Promise<T> {
    const { clock, idleMs } = this.#service;
    const timer = clock.after(idleMs, () => this.#giveUp(`was idle for idleMs ${idleMs}`));
    try {
      return await wait;
    } finally {
      timer.cancel();
    }
  }

  #giveUp(why: string): void {
    this.#gone.abort(new TimeoutError(`The client ${why}`));
  }

  /** Says why the connection ends. What is closed with bytes unread is reset and the answer lost, so it reads on a while. */
  async #refuse({ code, message }: PeerError): Promise<void> {
    const { connection } = this.#accepted;
    const { clock, metrics } = this.#service;
    if (code === "too-large") metrics.counter("witch.too-large").add();
    const timer = clock.after(LAST_WORDS.ms, () => connection.close());
    try {
      await connection.write(witchLine(failure(clock, message, code)));
      await connection.closeWrite();
      for (let reads = 0; reads < LAST_WORDS.reads && await this.#reading !== null; reads++) {
        this.#reading = connection.read(this.#buffer);
      }
    } catch {
      // Who does not want to hear it: why it was refused is what is reported.
    } finally {
      timer.cancel();
    }
  }
}
