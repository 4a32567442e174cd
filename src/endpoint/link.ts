/**
 * A native connection between two peers: messages out, messages in, requests matched with their answers.
 *
 * | header    | id       | body                         |                                                      |
 * |-----------|----------|------------------------------|------------------------------------------------------|
 * | any other | 0        | the caller's                 | a message that wants no answer                       |
 * | any other | 1 and up | the caller's                 | a request; its terms under the reserved key `:`      |
 * | `:ok`     | its id   | `{ result }`                 | the answer, or the end of one in parts               |
 * | `:item`   | its id   | `{ value }`                  | a part of an answer                                  |
 * | `:credit` | its id   | `{ n }`                      | that many more parts may come                        |
 * | `:error`  | its id   | `{ code, message, details }` | the answer is an error; id 0: about the connection   |
 * | `:cancel` | its id   | `{}`                         | the caller has given up                              |
 * | `:ping`   | 1 and up | `{}`                         | answered at once: still here, and how long it takes  |
 * | `:drain`  | 0        | `{}`                         | no new requests will come from this side             |
 * | `:show`   | 0        | `{ tokens }`                 | invites and API keys, once, before what they are for |
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import {
  ClosedError,
  IntegrityError,
  InvalidPacketError,
  type LimitError,
  PeerError,
  TimeoutError,
} from "../errors.ts";
import { type Logger, printable, silentLogger } from "../log.ts";
import { Metrics } from "../metrics.ts";
import type { FramedConnection } from "../transport/framed.ts";
import { type Address, formatAddress } from "../transport/transport.ts";
import { Decoder } from "../wire/decoder.ts";
import { KEPT_BYTES } from "../wire/frame.ts";
import { type MessageBody, type NativeMessage, readMessage } from "../wire/message.ts";
import { Calls } from "./calls.ts";
import { type Dispatcher, noEndpoint, type Via } from "./dispatcher.ts";
import { errorBody, remoteError } from "./error_body.ts";
import { FlightRecorder } from "./flight_recorder.ts";
import type { PeerInfo } from "./handshake.ts";
import type { Direction, LinkOptions } from "./link_options.ts";
import { Outgoing, type RequestOptions, type StreamOptions } from "./outgoing.ts";
import { Pulse, SILENT_HALVES } from "./pulse.ts";
import { Sender } from "./sender.ts";
import { countRefusal, LinkShare } from "./resources.ts";
import { NO_TOKENS, parseShown, showBody } from "./shown_tokens.ts";
import { HandlerSlots } from "./slots.ts";
import { Tracing } from "./tracing.ts";
import { Traffic } from "./traffic.ts";
import { MESSAGES_A_TURN, Turns } from "./turns.ts";

/** Turns of the microtask queue from an answer to the request that follows it, through the caller's own promises. */
const HOPS_BEFORE_READING = 4;

/** Bytes that take as long as a small message. */
const BYTES_A_MESSAGE = 1024;

/** What a read costs that completes no message, in messages. */
const MESSAGES_A_READ = 8;

/** How long {@linkcode Link.drain} waits for what is in flight unless told otherwise. */
export const DRAIN_MS = 5_000;

export type { Direction, LinkOptions } from "./link_options.ts";

/**
 * A native connection; see the module.
 *
 * @example
 * ```ts
 * import { Endpoint } from "@kith/kith/endpoint";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const self = { name: "bob", capabilities: [], agent: "example" };
 * await using bob = await Endpoint.open({ transport: network.host("bob"), self, port: 1 });
 * bob.handle("count", async function* ({ to }) {
 *   for (let n = 1; n <= Number(to); n++) yield n;
 * });
 *
 * await using alice = await Endpoint.open({ transport: network.host("a"), self, clientOnly: true });
 * const link = await alice.connect({ hostname: "bob", port: 1 });
 * assertEquals(link.peer.name, "bob");
 * assertEquals(await Array.fromAsync(link.stream("count", { to: 3 })), [1, 2, 3]);
 * await link.close();
 * assertEquals(await link.closed, undefined); // nothing went wrong
 * ```
 */
export class Link implements AsyncDisposable {
  /** Who is on the other side. */
  readonly peer: PeerInfo;
  /** When and why it ended: resolves always, to the error that ended it, or `undefined` when either side closed it. */
  readonly closed: Promise<unknown>;
  /** Who opened it. */
  readonly direction: Direction;
  /** What carries it. */
  readonly via: Via;
  /** Whether it is the one connection between the two, which others may be using. */
  readonly shared: boolean;
  /** Which one it is among those of its endpoint, in the order in which they were opened; 0 where nobody counts. */
  readonly number: number;
  readonly #framed: FramedConnection;
  readonly #sender: Sender;
  readonly #dispatcher: Dispatcher;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #turns: Turns;
  readonly #traffic: Traffic;
  readonly #recorder: FlightRecorder;
  readonly #outgoing: Outgoing;
  readonly #calls: Calls;
  readonly #pulse: Pulse;
  readonly #decoder = new Decoder({ slabs: true });
  readonly #closed = Promise.withResolvers<unknown>();
  readonly #otherDrains = Promise.withResolvers<void>();
  // In a private field: whoever prints a link does not print secrets.
  #tokens: readonly string[] = NO_TOKENS;
  #draining: Promise<void> | undefined;
  #ended = false;
  #readAtMs = 0;
  #failedHalves = 0;
  #failure: unknown;

  /** Starts reading, as soon as who makes the link has it. */
  constructor(options: LinkOptions) {
    const { framed, peer, dispatcher, clock = systemClock } = options;
    const { log = silentLogger, metrics = new Metrics(), turns = new Turns() } = options;
    const { direction = "out", via = "tcp", shared = false, slots = new HandlerSlots() } = options;
    this.peer = peer;
    this.direction = direction;
    this.via = via;
    this.shared = shared;
    this.#framed = framed;
    this.#dispatcher = dispatcher;
    this.#clock = clock;
    this.#log = log;
    this.#metrics = metrics;
    this.#turns = turns;
    const label = () => this.label;
    const onSlow = (error: LimitError) => {
      metrics.counter("link.slow-consumer").add();
      countRefusal(metrics, error);
      options.onSlow?.();
      this.#failure = error;
      this.#end();
    };
    const { share = new LinkShare(), traffic = new Traffic() } = options;
    this.#traffic = traffic;
    const { recorder = new FlightRecorder(clock), number = 0 } = options;
    this.#recorder = recorder;
    this.number = number;
    const onBroken = this.#onWriteError;
    const counted = { share, traffic, recorder, number };
    const sender = new Sender({ framed, clock, log, label, ...counted, onBroken, onSlow });
    this.#sender = sender;
    const tracing = new Tracing(log, clock);
    this.#outgoing = new Outgoing({
      clock,
      tracing,
      label,
      check: (header) => this.#check(header),
      write: (header, id, body) => sender.write(header, id, body),
      tell: (header, id, body) => {
        if (!sender.over) sender.write(header, id, body);
      },
    });
    const reply = (...answer: [string, number, MessageBody]) => sender.reply(...answer);
    this.#calls = new Calls(this, { clock, log, tracing, metrics, slots, share, reply });
    this.#pulse = new Pulse(clock);
    this.closed = this.#closed.promise;
    turns.join();
    this.#run().catch(this.#onFault);
  }

  /**
   * The invites and API keys that the other side has shown, whatever they are worth: secrets, not to be printed. The same
   * list as long as it shows no others.
   */
  get tokens(): readonly string[] {
    return this.#tokens;
  }

  /** Shows invites and API keys to the other side, which made them, for what is asked from now on; at most eight. */
  show(tokens: readonly string[]): void {
    this.#sender.write(":show", 0, showBody(tokens));
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
    this.#sender.write(header, 0, body);
    return this.#sender.room();
  }

  /**
   * Sends a message that is encoded already: to many it is then encoded once. As {@linkcode Link.post}.
   *
   * @param message From `encodeWireData`, with id 0.
   */
  forward(message: Uint8Array): Promise<void> | undefined {
    this.#sender.forward(message);
    return this.#sender.room();
  }

  /** Whether something new may be asked: it has neither ended nor is about to. */
  get open(): boolean {
    return !this.#sender.over && this.#draining === undefined;
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
    return this.#outgoing.request(header, body, options);
  }

  /**
   * Sends a request whose answer comes in parts, no faster than they are taken: at most `window` are on their way.
   * Leaving the loop cancels it. An answer that is not in parts is the only part.
   *
   * @throws as {@linkcode Link.request}, from the loop.
   */
  stream(
    header: string,
    body: MessageBody,
    options: StreamOptions = {},
  ): AsyncGenerator<unknown, void, void> {
    return this.#outgoing.stream(header, body, options);
  }

  /**
   * How long an answer takes at the moment, in milliseconds, smoothed over the last heartbeats; `undefined` before the
   * first. The estimate is RFC 6298's.
   */
  get rttMs(): number | undefined {
    return this.#pulse.rttMs;
  }

  /** Asks the other side whether it is there. @returns the round trip in milliseconds. @throws as `request`. */
  async ping(options: RequestOptions = {}): Promise<number> {
    const startedMs = this.#clock.now();
    await this.request(":ping", {}, options);
    const rttMs = this.#clock.now() - startedMs;
    this.#pulse.measured(rttMs);
    return rttMs;
  }

  /**
   * One half of a heartbeat: sends a ping every other time, and ends the link when nothing at all came from the other
   * side for four halves. To be called at a steady pace.
   *
   * @param halfMs The pace.
   */
  beat(halfMs: number): void {
    if (this.#ended) return;
    if (this.#framed.failed) return this.#endUnlessRead();
    const verdict = this.#pulse.beat(halfMs);
    if (verdict === "ping") {
      // Whoever is silent is found out by its silence; an answer that is late says no more.
      this.ping({ timeoutMs: 4 * halfMs }).catch(() => {});
    } else if (verdict === "dead") {
      this.#metrics.counter("link.stale").add();
      const text = `${this.label} was silent for ${Math.round(4 * halfMs)} ms`;
      this.#failure = new TimeoutError(text, { details: { limit: "heartbeatMs" } });
      this.#end();
    }
  }

  /**
   * Lets what is in flight finish, in both directions, takes on nothing new, and closes. Harmless when repeated.
   *
   * @param limitMs After this the link is closed all the same. @default {5000}
   */
  drain(limitMs: number = DRAIN_MS): Promise<void> {
    return this.#draining ??= this.#drain(limitMs);
  }

  /**
   * Sends what is waiting to leave, then closes; waiting requests reject, and nothing more is taken in. Harmless when
   * closed. A peer that does not read may delay it by a second.
   */
  async close(): Promise<void> {
    if (!this.#ended) {
      this.#stop();
      try {
        await this.#framed.hangUp();
      } finally {
        this.#closed.resolve(this.#verdict());
      }
    }
    await this.closed;
  }

  /** The same as {@linkcode Link.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #run(): Promise<void> {
    const { reader } = this.#framed;
    const turns = this.#turns;
    let left = MESSAGES_A_TURN;
    let came = true;
    await undefined;
    try {
      do {
        this.#pulse.heard();
        this.#readAtMs = this.#clock.now();
        this.#recorder.now(this.#readAtMs);
        while (!this.#ended && reader.advance()) {
          came = true;
          left -= 1 + (reader.stop - reader.start) / BYTES_A_MESSAGE;
          const busy = this.#receive();
          if (busy !== undefined) await this.#pulse.during(busy);
          if (this.#sender.congested) await this.#pulse.during(this.#sender.untilTaken());
          if (left > 0 || !turns.contended) continue;
          left = MESSAGES_A_TURN;
          await turns.next();
        }
        // A read decrypts many records, also where no message is whole by then.
        if (!came) left -= MESSAGES_A_READ;
        came = false;
        if (left <= 0 && turns.contended) {
          left = MESSAGES_A_TURN;
          await turns.next();
        }
        // The reader is about to give a large buffer up: nobody else may hold it.
        if (reader.buffer.length > KEPT_BYTES) this.#decoder.release();
        // What was just read leads to something to write, and who waits for that should not wait for the next read.
        for (let hop = 0; hop < HOPS_BEFORE_READING; hop++) await undefined;
      } while (!this.#ended && await this.#framed.fill());
    } catch (error) {
      this.#failure ??= error;
      if (error instanceof InvalidPacketError) await this.#refuse(error);
      else this.#note(error);
    }
    this.#end();
  }

  /** What cannot be written to may still have something to read, but not for ever: a handler may hold up the reading. */
  #endUnlessRead(): void {
    // Up to one half has passed before the write that failed.
    if (++this.#failedHalves >= SILENT_HALVES - 1) this.#end();
  }

  /** Ends the link, without waiting for handlers: they learn it from their signals. Harmless when ended. */
  #end(): void {
    if (this.#ended) return;
    this.#stop();
    this.#framed.close();
    this.#closed.resolve(this.#verdict());
  }

  /** What `closed` says: an end in order has no error. */
  #verdict(): unknown {
    return this.#failure instanceof ClosedError ? undefined : this.#failure;
  }

  /** Nothing goes in or out any more for those who use the link. */
  #stop(): void {
    this.#ended = true;
    this.#sender.end();
    this.#turns.leave();
    this.#otherDrains.resolve();
    const failure = this.#failure;
    const error = failure instanceof PeerError && !(failure instanceof InvalidPacketError)
      ? failure
      : new ClosedError(`The connection to ${this.label} has ended`, { cause: failure });
    this.#outgoing.close(error);
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
    if (this.#sender.over) return;
    this.#sender.write(":error", 0, errorBody(error));
    await this.#framed.hangUp();
  }

  /** Counts an end that was not meant, and says so where somebody may have meddled. */
  #note(error: unknown): void {
    if (error instanceof IntegrityError) {
      this.#metrics.counter(`link.${error.code}`).add();
      const { code, message } = error;
      this.#log.warn("closing a connection that was tampered with", {
        peer: this.label,
        code,
        message,
      });
    } else if (error instanceof ClosedError) {
      // Whoever is told that it is over may hang up without a word.
      if (error.details.cut === true && !this.#ended) this.#metrics.counter("link.cut").add();
    } else {
      this.#log.debug("link broke", { error: String(error) });
    }
  }

  async #drain(limitMs: number): Promise<void> {
    if (!this.#sender.over) this.#sender.write(":drain", 0, {});
    const done = Promise.all([
      this.#otherDrains.promise,
      this.#outgoing.idle(),
      this.#calls.idle(),
    ]);
    const late = Promise.withResolvers<void>();
    const timer = this.#clock.after(limitMs, late.resolve);
    await Promise.race([done, late.promise, this.closed]);
    timer.cancel();
    await this.close();
  }

  /** Whether something new may be asked. */
  #check(header: string): void {
    this.#sender.check(header);
    if (this.#draining === undefined) return;
    throw new ClosedError(`Cannot send "${printable(header, 64)}": the link is draining`);
  }

  // What cannot be written to has nothing more to read than what came before, which may be an answer, or say why.
  readonly #onWriteError = (error: unknown): void => {
    this.#failure ??= error;
  };

  // A fault of ours must not take the program along with one connection.
  readonly #onFault = (error: unknown): void => {
    this.#log.error("a link failed", { peer: this.label, error: String(error) });
    this.#failure ??= error;
    this.#end();
  };

  /** Takes the frame that the reader stands on. @returns what to wait for before the next one is read. */
  #receive(): Promise<void> | undefined {
    const { buffer, start, stop } = this.#framed.reader;
    this.#traffic.came(stop - start);
    this.#decoder.reset(buffer, start, stop);
    const message = readMessage(this.#decoder, this.#borrows);
    const { header, msgId } = message;
    this.#recorder.came(header, stop - start, this.number);
    if (isOwn(header)) return this.#receiveOwn(message);
    const registration = this.#dispatcher.find(header);
    if (registration === undefined) return this.#refuseUnknown(header, msgId);
    const arrival = { atMs: this.#readAtMs, bytes: stop - start };
    if (registration.inline) return this.#calls.inline(registration, message, arrival);
    return this.#calls.start(registration, message, arrival);
  }

  // Bodies are handed to inline handlers, and to nobody, as views; to everyone else as copies.
  readonly #borrows = (header: unknown): boolean => {
    if (typeof header !== "string" || isOwn(header)) return false;
    return this.#dispatcher.find(header)?.inline ?? true;
  };

  #receiveOwn(message: NativeMessage): undefined {
    const { header, msgId, body } = message;
    if (header === ":ok" || header === ":item" || (header === ":error" && msgId !== 0)) {
      this.#outgoing.settle(message);
    } else if (header === ":error") {
      this.#failure = remoteError(body);
      this.#end();
    } else if (header === ":credit") {
      this.#calls.addCredit(msgId, body.n);
    } else if (header === ":cancel") {
      this.#calls.cancel(msgId, new ClosedError("The caller has cancelled the request"));
    } else if (header === ":ping") {
      if (msgId !== 0) this.#sender.reply(":ok", msgId, {});
    } else if (header === ":show") {
      this.#tokens = parseShown(body);
    } else if (header === ":drain") {
      this.#otherDrains.resolve();
      this.drain().catch(this.#onFault);
    } else {
      // A later version may send what this one does not know: it must not end the connection.
      this.#metrics.counter("link.unknown-control").add();
    }
  }

  #refuseUnknown(header: string, id: number): undefined {
    this.#metrics.counter("link.no-endpoint").add();
    if (id === 0) return;
    this.#sender.reply(":error", id, errorBody(noEndpoint(header)));
  }
}

function isOwn(header: string): boolean {
  return header.charCodeAt(0) === 0x3a;
}
