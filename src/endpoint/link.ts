/**
 * A native connection between two peers: messages out, messages in, requests matched with their answers.
 *
 * | header    | id       | body                       |                                                      |
 * |-----------|----------|----------------------------|------------------------------------------------------|
 * | any other | 0        | the caller's               | a message that wants no answer                       |
 * | any other | 1 and up | the caller's               | a request                                            |
 * | `:ok`     | its id   | `{ result }`               | the answer                                           |
 * | `:error`  | its id   | `{ code, message, details }` | the answer is an error; id 0: about the connection |
 * | `:cancel` | its id   | `{}`                       | the caller has given up                              |
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import {
  ClosedError,
  InvalidPacketError,
  LimitError,
  NotFoundError,
  PeerError,
  TimeoutError,
} from "../errors.ts";
import { type Logger, printable, silentLogger } from "../log.ts";
import { Metrics } from "../metrics.ts";
import type { FramedConnection } from "../transport/framed.ts";
import { type Address, formatAddress } from "../transport/transport.ts";
import { Decoder } from "../wire/decoder.ts";
import { KEPT_BYTES } from "../wire/frame.ts";
import {
  type MessageBody,
  type NativeMessage,
  readMessage,
  writeMessage,
} from "../wire/message.ts";
import { Calls, holdsBytes } from "./calls.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { errorBody, remoteError } from "./error_body.ts";
import type { PeerInfo } from "./handshake.ts";
import { InFlight } from "./inflight.ts";

/** How long a request waits for its answer unless told otherwise. */
export const REQUEST_TIMEOUT_MS = 5_000;

/** Bytes that may wait for a peer that sends requests and does not read the answers: four of the largest messages. */
const MAX_UNREAD_BYTES = 64 * 1024 * 1024;

/** How long a connection that is closed for an error may take to say so to the other side. */
const LAST_WORDS_MS = 1_000;

/** How to wait for an answer. */
export interface RequestOptions {
  /** Gives up after this many milliseconds. @default {5000} */
  timeoutMs?: number;
  /** Gives up when aborted, and tells the other side. */
  signal?: AbortSignal;
}

/** What a link is made of. */
export interface LinkOptions {
  /** The frames, past the handshake. */
  framed: FramedConnection;
  /** Who is on the other side. */
  peer: PeerInfo;
  /** Who takes what comes in. */
  dispatcher: Dispatcher;
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
  /** Where to say what happens. @default {silentLogger} */
  log?: Logger;
  /** Counts `link.*`. @default {new Metrics()} */
  metrics?: Metrics;
}

/** A native connection; see the module. */
export class Link implements AsyncDisposable {
  /** Who is on the other side. */
  readonly peer: PeerInfo;
  /** When and why it ended: resolves always, to the error that ended it, or `undefined` when either side closed it. */
  readonly closed: Promise<unknown>;
  readonly #framed: FramedConnection;
  readonly #dispatcher: Dispatcher;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #inFlight: InFlight<unknown>;
  readonly #calls: Calls;
  // Bodies are handed to inline handlers as views, to everyone else as copies.
  readonly #borrowing = new Decoder({ borrow: true });
  readonly #copying = new Decoder();
  readonly #closed = Promise.withResolvers<unknown>();
  #ended = false;
  #failure: unknown;

  /** Starts reading, as soon as who makes the link has it. */
  constructor(options: LinkOptions) {
    const { framed, peer, dispatcher, clock = systemClock } = options;
    const { log = silentLogger, metrics = new Metrics() } = options;
    this.peer = peer;
    this.#framed = framed;
    this.#dispatcher = dispatcher;
    this.#clock = clock;
    this.#log = log;
    this.#metrics = metrics;
    this.#inFlight = new InFlight(clock);
    this.#calls = new Calls(this, { log, metrics, reply: (...answer) => this.#reply(...answer) });
    this.closed = this.#closed.promise;
    void this.#run();
  }

  /** The other end's address. */
  get remote(): Address {
    return this.#framed.connection.remote;
  }

  /** Who and where, for people: `bob (127.0.0.1:3485)`. Safe to print. */
  get label(): string {
    return `${printable(this.peer.name || this.peer.peerId.slice(0, 12), 64)} (${
      formatAddress(this.remote)
    })`;
  }

  /**
   * Sends a message that wants no answer. It leaves with everything else sent in the same turn.
   *
   * Byte arrays of 64 KiB and more are sent from where they are: leave them alone until {@linkcode Link.flush}.
   *
   * @returns what to wait for before sending more, where more than 512 KiB are waiting to leave; else `undefined`.
   * @throws {InvalidPacketError} `too-large`. @throws {ClosedError} when the link has ended.
   */
  post(header: string, body: MessageBody): Promise<void> | undefined {
    this.#write(header, 0, body);
    return this.#framed.congested ? this.#framed.room() : undefined;
  }

  /** Waits until everything sent so far is handed to the operating system. @throws {ClosedError} */
  flush(): Promise<void> {
    return this.#framed.flush();
  }

  /**
   * Sends a request and waits for its answer.
   *
   * @throws {RemoteError} with the code and message of the other side's error.
   * @throws {TimeoutError} after `timeoutMs`. @throws {ClosedError} when the link ends first.
   */
  request(header: string, body: MessageBody, options: RequestOptions = {}): Promise<unknown> {
    const { timeoutMs = REQUEST_TIMEOUT_MS, signal } = options;
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#isOver) return Promise.reject(this.#overError(header));
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        if (this.#inFlight.take(id) === undefined) return;
        this.#cancel(id);
        reject(signal?.reason);
      };
      const done = () => signal?.removeEventListener("abort", onAbort);
      const id = this.#inFlight.add({
        what: `"${header}" of ${this.label}`,
        deadlineMs: this.#clock.now() + timeoutMs,
        resolve: (value) => (done(), resolve(value)),
        reject: (error) => {
          done();
          if (error instanceof TimeoutError) this.#cancel(id);
          reject(error);
        },
      });
      try {
        this.#write(header, id, body);
      } catch (error) {
        this.#inFlight.take(id);
        return reject(error);
      }
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  /**
   * Sends what is waiting to leave, then closes; waiting requests reject, and nothing more is taken in. Harmless when
   * closed. A peer that does not read may delay it by a second.
   */
  async close(): Promise<void> {
    if (!this.#ended) {
      this.#stop();
      await this.#framed.hangUp(LAST_WORDS_MS);
      this.#closed.resolve(undefined);
    }
    await this.closed;
  }

  /** The same as {@linkcode Link.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #run(): Promise<void> {
    const { reader } = this.#framed;
    await undefined;
    try {
      do {
        while (!this.#ended && reader.advance()) {
          const busy = this.#receive();
          if (busy !== undefined) await busy;
        }
        if (reader.buffer.length > KEPT_BYTES) this.#releaseBuffer();
      } while (!this.#ended && await this.#framed.fill());
    } catch (error) {
      this.#failure ??= error;
      if (error instanceof InvalidPacketError) await this.#refuse(error);
      else if (!(error instanceof ClosedError)) {
        this.#log.debug("link broke", { error: String(error) });
      }
    }
    this.#end();
  }

  /** Ends the link, without waiting for handlers: they learn it from their signals. Harmless when ended. */
  #end(): void {
    if (this.#ended) return;
    this.#stop();
    this.#framed.close();
    this.#closed.resolve(this.#failure instanceof ClosedError ? undefined : this.#failure);
  }

  /** Nothing goes in or out any more for those who use the link. */
  #stop(): void {
    this.#ended = true;
    const failure = this.#failure;
    const error = failure instanceof PeerError && !(failure instanceof InvalidPacketError)
      ? failure
      : new ClosedError(`The connection to ${this.label} has ended`, { cause: failure });
    this.#inFlight.close(error);
    this.#calls.cancelAll(error);
  }

  /** Says why before the connection is closed: both ends learn the limit or the fault. */
  async #refuse(error: InvalidPacketError): Promise<void> {
    this.#metrics.counter(`link.${error.code}`).add();
    this.#log.warn("closing a connection that broke the protocol", {
      peer: this.label,
      code: error.code,
      message: error.message,
    });
    if (this.#isOver) return;
    this.#write(":error", 0, errorBody(error));
    await this.#framed.hangUp(LAST_WORDS_MS);
  }

  /** The reader is about to give a large buffer up: nobody else may hold it. */
  #releaseBuffer(): void {
    this.#borrowing.release();
    this.#copying.release();
  }

  #cancel(id: number): void {
    if (!this.#isOver) this.#write(":cancel", id, {});
  }

  get #isOver(): boolean {
    return this.#ended || this.#framed.failed;
  }

  #overError(header: string): ClosedError {
    return new ClosedError(`Cannot send "${printable(header, 64)}": the link has ended`);
  }

  #write(header: string, id: number, body: MessageBody): void {
    if (this.#isOver) throw this.#overError(header);
    const framed = this.#framed;
    const { writer } = framed;
    writer.begin();
    try {
      writeMessage(writer.encoder, header, id, body);
    } catch (error) {
      writer.abort();
      throw error;
    }
    writer.end();
    if (!framed.flushing) framed.flush().catch(this.#onWriteError);
  }

  // What cannot be written to has nothing more to read than what came before, which may be an answer, or say why.
  readonly #onWriteError = (error: unknown): void => {
    this.#failure ??= error;
  };

  /** Takes the frame that the reader stands on. @returns what to wait for before the next one is read. */
  #receive(): Promise<void> | undefined {
    const { buffer, start, stop } = this.#framed.reader;
    const borrowing = this.#borrowing;
    borrowing.reset(buffer, start, stop);
    const message = readMessage(borrowing);
    const { header, msgId } = message;
    if (header.charCodeAt(0) === 0x3a) return this.#receiveOwn(this.#copyOf(message));
    const registration = this.#dispatcher.find(header);
    if (registration === undefined) return this.#refuseUnknown(header, msgId);
    if (registration.inline) return this.#calls.inline(registration.handler, message);
    void this.#calls.start(registration.handler, this.#copyOf(message));
    return undefined;
  }

  // Reads the frame again with the decoder that copies; only messages that carry bytes need it.
  #copyOf(message: NativeMessage): NativeMessage {
    const { buffer, start, stop } = this.#framed.reader;
    if (!holdsBytes(message.body)) return message;
    this.#copying.reset(buffer, start, stop);
    return readMessage(this.#copying);
  }

  #receiveOwn({ header, msgId, body }: NativeMessage): undefined {
    if (header === ":ok") {
      this.#inFlight.take(msgId)?.resolve(body.result);
    } else if (header === ":error") {
      const error = remoteError(body);
      if (msgId !== 0) return void this.#inFlight.take(msgId)?.reject(error);
      this.#failure = error;
      this.#end();
    } else if (header === ":cancel") {
      this.#calls.cancel(msgId, new ClosedError("The caller has cancelled the request"));
    } else {
      // A later version may send what this one does not know: it must not end the connection.
      this.#metrics.counter("link.unknown-control").add();
    }
  }

  #refuseUnknown(header: string, id: number): undefined {
    this.#metrics.counter("link.no-endpoint").add();
    if (id === 0) return;
    const name = printable(header, 64);
    this.#reply(
      ":error",
      id,
      errorBody(new NotFoundError("no-endpoint", `No endpoint "${name}" here`)),
    );
  }

  /** Ends the connection to a peer that keeps asking and does not listen. */
  #cutOff(): void {
    this.#metrics.counter("link.slow-consumer").add();
    this.#failure = new LimitError(
      "slow-consumer",
      `${this.label} does not read: more than ${MAX_UNREAD_BYTES} bytes wait (maxUnreadBytes)`,
      { details: { limit: "maxUnreadBytes", max: MAX_UNREAD_BYTES } },
    );
    this.#end();
  }

  #reply(header: string, id: number, body: MessageBody): void {
    if (this.#isOver) return;
    if (this.#framed.writer.pendingBytes > MAX_UNREAD_BYTES) return this.#cutOff();
    try {
      this.#write(header, id, body);
    } catch (error) {
      // The answer cannot be encoded or is too large: the caller learns that instead.
      this.#log.error("an answer could not be sent", { error: String(error) });
      const { code, message } = errorBody(error);
      this.#write(":error", id, { code, message });
    }
  }
}
