/**
 * Requests on their way out over UDP: what waits for an answer, sent again until there is one, and at once when the
 * other side asks for proof of our address.
 *
 * The first repetition comes after `retryMs`, each further one after twice the time, up to a second, each up to half as
 * late again by chance, so that many who lost their packets at once do not meet again. All have the id of the first.
 *
 * One timer serves all requests: it ticks as long as any is in flight. The time of a request counts from the first tick
 * that finds it waiting, so the many that are answered before cost no look at the clock; what is due is done up to two
 * ticks late and never early.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";
import { ClosedError, LimitError, TimeoutError } from "../errors.ts";
import { printable } from "../log.ts";
import type { Counter, Metrics } from "../metrics.ts";
import { type Address, formatAddress } from "../transport/transport.ts";
import type { Trace } from "../trace.ts";
import { MAX_DATAGRAM_OUT_BYTES } from "../wire/datagram.ts";
import type { MessageBody, NativeMessage } from "../wire/message.ts";
import { type AddressProofs, NO_TOKEN, retryTokenOf } from "./address_proofs.ts";
import { DatagramAsked } from "./datagram_asked.ts";
import { remoteError } from "./error_body.ts";
import { MAX_IN_FLIGHT } from "./inflight.ts";
import { REQUEST_TIMEOUT_MS, withTerm, withTerms } from "./terms.ts";
import type { Tracing } from "./tracing.ts";

/** Before a request is sent again for the first time: above the round trip of any network that is in order. */
export const RETRY_MS = 200;

/**
 * Longest wait for an answer over UDP: well below the 30 s that the other side keeps it for, so that whoever still asks
 * again finds it.
 */
export const MAX_DATAGRAM_TIMEOUT_MS = 25_000;

/**
 * How many times a request's bytes its answer may have, though the address is proven: a proof is good for a minute or
 * two, and an address may have another owner by then.
 */
export const AMPLIFICATION = 3;

/** How often one request may be sent again at once because proof is wanted: once does, unless the network changes. */
const MAX_PROOFS = 3;

/**
 * Longest pause between two repetitions. Doubled on, five seconds would see five of them, and where 30 % are lost each
 * way one request in thirty would fail.
 */
const MAX_RETRY_MS = 1_000;

/** The largest packet of an answer. */
const MAX_ANSWER_BYTES = MAX_DATAGRAM_OUT_BYTES + 5;

/** Pace of the timer: to look at 65,536 requests takes half a millisecond. */
const TICK_MS = 10;

/** How to wait for an answer over UDP. */
export interface DatagramRequestOptions {
  /** Gives up after this many milliseconds, at most 25,000. @default {5000} */
  timeoutMs?: number;
  /** Sends again after this many milliseconds, then after twice as many, and so on up to a second. @default {200} */
  retryMs?: number;
  /** Gives up when aborted, and tells the other side. */
  signal?: AbortSignal;
  /** What it is a part of. @default what the handler that asks is a part of */
  trace?: Trace;
}

/** What {@linkcode DatagramOutgoing} needs. */
export interface DatagramOutgoingOptions {
  /** Where time and chance come from. */
  clock: Clock;
  /** Begins the steps of what is asked. */
  tracing: Tracing;
  /** Counts `requests.*`. */
  metrics: Metrics;
  /** Makes a packet. @throws {InvalidPacketError} `too-large`. */
  encode: (header: string, id: number, body: MessageBody) => Uint8Array;
  /** The message in a packet that `encode` made. */
  decode: (packet: Uint8Array) => NativeMessage;
  /** Sends a packet. */
  send: (packet: Uint8Array, to: Address) => Promise<void>;
  /** What proves our address to others. @default nobody wants proof */
  proofs?: AddressProofs | undefined;
}

/** How to ask, with another token than the one that is kept. */
interface AskOptions extends DatagramRequestOptions {
  token?: Uint8Array | undefined;
}

/** See the module. */
export class DatagramOutgoing {
  readonly #options: DatagramOutgoingOptions;
  readonly #stray: Counter;
  // By the last 30 bits of their ids: a table of small integers is several times as fast as one of other numbers.
  readonly #inFlight = new Map<number, DatagramAsked>();
  // By address: who waits for a token shares it.
  readonly #proving = new Map<string, Promise<void>>();
  readonly #ids = new RandomIds();
  #timer: Timer | undefined;
  #closed = false;

  /** Nothing is asked yet. */
  constructor(options: DatagramOutgoingOptions) {
    this.#options = options;
    this.#stray = options.metrics.counter("requests.stray");
  }

  /** How many requests wait for their answers. */
  get size(): number {
    return this.#inFlight.size;
  }

  /** Asks, and waits for the answer. */
  request(
    to: Address,
    header: string,
    body: MessageBody,
    options: DatagramRequestOptions,
  ): Promise<unknown> {
    const { tracing } = this.#options;
    const step = tracing.asking(header, () => printable(formatAddress(to), 100), options.trace);
    try {
      if (step === undefined) return this.#ask(to, header, body, options).answer;
      return step.until(this.#ask(to, header, body, { ...options, trace: step.trace }).answer);
    } catch (error) {
      step?.end(error);
      return Promise.reject(error);
    }
  }

  /** Sends a message that wants no answer, as soon as there is proof of our address to send along. */
  async notify(to: Address, header: string, body: MessageBody): Promise<void> {
    const { proofs, encode, send } = this.#options;
    const message = withTerms(body, REQUEST_TIMEOUT_MS);
    if (proofs === undefined) return await send(encode(header, 0, message), to);
    if (!proofs.isFresh(to)) await this.#prove(to, proofs);
    await send(encode(header, 0, withTerm(message, "token", proofs.tokenFor(to))), to);
  }

  /** Takes `:ok`, `:error` or `:pad`. What was not asked for, or not from where it comes, is only counted. */
  settle({ header, msgId, body }: NativeMessage, from: Address): void {
    const asked = this.#find(msgId, from);
    if (asked === undefined) return this.#stray.add();
    if (header === ":pad") return this.#pad(asked, body.bytes);
    this.#inFlight.delete(keyOf(msgId));
    if (header === ":ok") asked.resolve(body.result);
    else asked.reject(remoteError(body));
  }

  /** Takes `:retry`: keeps the token, and asks again with it. Counts as in {@linkcode DatagramOutgoing.settle}. */
  retry({ msgId, body }: NativeMessage, from: Address): void {
    const [asked, token] = [this.#find(msgId, from), retryTokenOf(body)];
    if (asked === undefined || token === undefined) return this.#stray.add();
    this.#options.proofs?.keep(asked.to, token);
    if (asked.proofs++ < MAX_PROOFS) this.#askWith(asked, "token", token);
  }

  /** Rejects everything that waits and takes nothing more. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    const asked = [...this.#inFlight.values()];
    this.#inFlight.clear();
    for (const each of asked) each.reject(new ClosedError(`Cannot call ${each.what}: closed`));
  }

  #find(id: number, from: Address): DatagramAsked | undefined {
    const asked = this.#inFlight.get(keyOf(id));
    return asked?.id === id && isSameAddress(asked.to, from) ? asked : undefined;
  }

  /** Gets a fresh token from an address; who wants one from the same waits for the same. */
  #prove(to: Address, proofs: AddressProofs): Promise<void> {
    const key = formatAddress(to);
    const others = this.#proving.get(key);
    if (others !== undefined) return others;
    const proving = this.#fetchToken(to, proofs).finally(() => this.#proving.delete(key));
    this.#proving.set(key, proving);
    return proving;
  }

  async #fetchToken(to: Address, proofs: AddressProofs): Promise<void> {
    await this.#ask(to, ":ping", {}, { token: NO_TOKEN }).answer;
    proofs.keep(to, proofs.tokenFor(to)); // who has answered without wanting proof wants none of the next either
  }

  #ask(to: Address, header: string, body: MessageBody, options: AskOptions): DatagramAsked {
    const { timeoutMs = REQUEST_TIMEOUT_MS, retryMs = RETRY_MS, signal } = options;
    const { token = this.#options.proofs?.tokenFor(to) } = options;
    assertWithin("timeoutMs", timeoutMs, MAX_DATAGRAM_TIMEOUT_MS);
    assertWithin("retryMs", retryMs, Infinity);
    signal?.throwIfAborted();
    this.#assertRoom();
    const id = this.#freeId();
    const terms = withTerms(body, timeoutMs, options);
    const message = token === undefined ? terms : withTerm(terms, "token", token);
    const packet = this.#options.encode(header, id, message);
    const asked = new DatagramAsked(id, header, to, packet, timeoutMs, retryMs);
    if (signal !== undefined) asked.listen(signal, (reason) => this.#giveUp(asked, reason));
    this.#inFlight.set(keyOf(id), asked);
    this.#keepTicking();
    this.#options.send(packet, to).catch((error) => this.#drop(asked, error));
    return asked;
  }

  /** A request that cannot even be sent is not waited for. */
  #drop(asked: DatagramAsked, error: unknown): void {
    if (this.#inFlight.delete(keyOf(asked.id))) asked.reject(error);
  }

  #assertRoom(): void {
    if (this.#closed) throw new ClosedError("Cannot request: the calls over UDP are closed");
    if (this.#inFlight.size < MAX_IN_FLIGHT) return;
    throw new LimitError("limit", `Cannot request: ${MAX_IN_FLIGHT} are in flight (maxInFlight)`, {
      details: { limit: "maxInFlight", max: MAX_IN_FLIGHT },
    });
  }

  #freeId(): number {
    for (;;) {
      const id = this.#ids.next();
      if (!this.#inFlight.has(keyOf(id))) return id;
    }
  }

  /** Sends what may as well be lost. */
  #tell(packet: Uint8Array, to: Address): void {
    this.#options.send(packet, to).catch(() => {
      this.#options.metrics.counter("requests.send-errors").add();
    });
  }

  /** Stops waiting and tells the other side. */
  #giveUp(asked: DatagramAsked, reason: unknown): void {
    if (!this.#inFlight.delete(keyOf(asked.id))) return;
    asked.reject(reason);
    this.#tell(this.#options.encode(":cancel", asked.id, {}), asked.to);
  }

  /**
   * The answer is there, and larger than a request as small as ours may bring about: asks again with one that is large
   * enough, once.
   */
  #pad(asked: DatagramAsked, bytes: unknown): void {
    if (asked.padded || typeof bytes !== "number") return;
    if (!(bytes <= MAX_ANSWER_BYTES)) return;
    const missing = Math.ceil(bytes / AMPLIFICATION) - asked.packet.length;
    if (missing <= 0) return;
    asked.padded = true;
    this.#askWith(asked, "pad", new Uint8Array(missing));
  }

  /** Sends a request again with another term, now and whenever it is sent again. */
  #askWith(asked: DatagramAsked, term: "token" | "pad", bytes: Uint8Array): void {
    const { header, msgId, body } = this.#options.decode(asked.packet);
    asked.packet = this.#options.encode(header, msgId, withTerm(body, term, bytes));
    this.#tell(asked.packet, asked.to);
  }

  #keepTicking(): void {
    this.#timer ??= this.#options.clock.after(TICK_MS, () => {
      this.#timer = undefined;
      if (this.#inFlight.size === 0) return;
      this.#keepTicking();
      this.#tick(this.#options.clock.now());
    });
  }

  #tick(nowMs: number): void {
    for (const asked of this.#inFlight.values()) {
      asked.deadlineMs ??= nowMs + asked.timeoutMs;
      asked.retryAtMs ??= this.#nextRetryMs(asked, nowMs);
      if (asked.deadlineMs <= nowMs) {
        this.#giveUp(asked, new TimeoutError(`Cannot call ${asked.what}: no answer in time`));
      } else if (asked.retryAtMs <= nowMs) {
        asked.retryAtMs = this.#nextRetryMs(asked, nowMs);
        this.#tell(asked.packet, asked.to);
      }
    }
  }

  #nextRetryMs(asked: DatagramAsked, nowMs: number): number {
    const pauseMs = asked.retryMs;
    asked.retryMs = Math.max(pauseMs, Math.min(pauseMs * 2, MAX_RETRY_MS));
    return nowMs + pauseMs * (1 + this.#options.clock.random() / 2);
  }
}

/** Random numbers in 1..2^53-1 that nobody can guess, fetched many at a time: one by one each costs a microsecond. */
class RandomIds {
  readonly #words = new Uint32Array(512);
  #at = this.#words.length;

  next(): number {
    if (this.#at === this.#words.length) {
      crypto.getRandomValues(this.#words);
      this.#at = 0;
    }
    const high = (this.#words[this.#at++] ?? 0) & 0x1f_ffff;
    const low = this.#words[this.#at++] ?? 0;
    return high * 2 ** 32 + low || this.next();
  }
}

/** Where a request is found in the table of those in flight: no two there have the same. */
function keyOf(id: number): number {
  return id & 0x3fff_ffff;
}

/** Whether two addresses are of the same socket, however they are written. */
function isSameAddress(a: Address, b: Address): boolean {
  if (a.port !== b.port) return false;
  return a.hostname === b.hostname || canonical(a.hostname) === canonical(b.hostname);
}

/**
 * One spelling for each address: that of the URL standard, where IPv4 in IPv6's form (RFC 4291, 2.5.5.2) is IPv4. Zones
 * are left out, because the runtime does not tell them of what it received.
 */
function canonical(hostname: string): string {
  const host = hostname.replace(/%.*/, "").toLowerCase();
  if (!host.includes(":")) return host;
  const six = URL.parse(`http://[${host}]`)?.hostname.slice(1, -1) ?? host;
  const [, high, low] = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(six) ?? [];
  if (high === undefined || low === undefined) return six;
  const groups = [parseInt(high, 16), parseInt(low, 16)];
  return groups.flatMap((group) => [group >> 8, group & 0xff]).join(".");
}

function assertWithin(name: string, value: number, max: number): void {
  if (value > 0 && value <= max) return;
  const range = max === Infinity ? "above 0" : `above 0 and at most ${max}`;
  throw new RangeError(`${name} must be ${range} over UDP: current value is ${value}`);
}
