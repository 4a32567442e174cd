/**
 * Asking who is at an address by connecting to it, for no more addresses at a time than this machine and its network
 * bear.
 *
 * Addresses come from files, name servers and strangers' packets. Whoever names many must not make us connect to many at
 * once, nor to one of them often: it may be a third party's. What strangers say is hearsay: it waits until nobody else
 * wants to be asked for, and of one host a few ports are asked, so that nobody's are scanned for a forger.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { TimeoutError } from "../errors.ts";
import { isLoopback, type RateOptions, TokenBuckets } from "../endpoint/limits.ts";
import { unlessAborted } from "../endpoint/within_time.ts";
import { type Logger, printable } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import { type Address, formatAddress } from "../transport/transport.ts";
import { type Attempts, reasonOf } from "./attempts.ts";

/** Most addresses asked at the same time: a connection each, and dead ones take long to give up. */
const MAX_PROBES = 16;

/** Most addresses of either kind that wait for their turn: at the worst 12 seconds, all before them dead. */
const MAX_WAITING = 64;

/** How many ports of one host are asked by hearsay: several peers of one machine at once, then one in two seconds. */
const HEARSAY_PER_HOST: Readonly<RateOptions> = { perSecond: 0.5, burst: 16 };

/** How long one may take to say who it is, in milliseconds: a connection and a handshake across the world, twice. */
const PROBE_MS = 3_000;

/** How long after it was asked an address is not asked again, in milliseconds; what it said counts until then. */
export const ASK_AGAIN_MS = 30_000;

/** Most addresses whose last answer is known. */
const MAX_KNOWN = 4_096;

/** Who is there, as a connection has proven it. */
export interface ProvenPeer {
  /** 40 hexadecimal digits. */
  readonly peerId: string;
  /** A label, empty for none. */
  readonly name: string;
}

/**
 * Connects to an address and proves who is there; rejects where nobody is, or no kith peer, and soon after the signal
 * has aborted.
 */
export type Probe = (address: Address, options: { signal: AbortSignal }) => Promise<ProvenPeer>;

/** What a {@linkcode Prober} needs. */
export interface ProberOptions {
  /** Asks. */
  probe: Probe;
  /** Told of permissions that are missing. */
  attempts: Attempts;
  /** Where time comes from. */
  clock: Clock;
  /** Told of those who are not there. */
  log: Logger;
  /** Counts `discovery.candidates`, `discovery.candidates-failed` and `discovery.candidates-dropped`. */
  metrics: Metrics;
}

/** How to ask. */
export interface ProbeOptions {
  /** Gives up when aborted. */
  readonly signal: AbortSignal;
  /** Whether strangers named the address. @default {false} */
  readonly isHearsay?: boolean;
}

/** Asks addresses; see the module. */
export class Prober {
  readonly #options: ProberOptions;
  // In the order they were last asked.
  readonly #known = new Map<string, Question>();
  readonly #named = new Queue();
  readonly #hearsay = new Queue();
  readonly #hosts: TokenBuckets;
  readonly #atWork = new Set<Promise<void>>();

  /** Has asked nobody yet. */
  constructor(options: ProberOptions) {
    this.#options = options;
    this.#hosts = new TokenBuckets(options.clock, HEARSAY_PER_HOST);
  }

  /** Resolves when one more may wait. @throws the signal's reason. */
  room({ signal, isHearsay = false }: ProbeOptions): Promise<void> {
    return (isHearsay ? this.#hearsay : this.#named).room(signal);
  }

  /**
   * Asks who is at an address when it is its turn, or says what came of it where that was asked less than 30 seconds ago.
   *
   * @returns `undefined` where nobody proved anything, or where hearsay names too many ports of that host.
   * @throws the signal's reason; then, and if nobody else waits for it, the question is taken back.
   */
  async ask(address: Address, options: ProbeOptions): Promise<ProvenPeer | undefined> {
    const { signal, isHearsay = false } = options;
    await this.room(options);
    signal.throwIfAborted();
    const question = this.#questionTo(address, isHearsay);
    if (question === undefined) return undefined;
    question.askers++;
    try {
      return await unlessAborted(question.answer.promise, signal);
    } finally {
      if (--question.askers === 0 && !question.isOver) this.#takeBack(question);
    }
  }

  /** Resolves when no question is under way. */
  async idle(): Promise<void> {
    await Promise.all(this.#atWork);
  }

  #questionTo(address: Address, isHearsay: boolean): Question | undefined {
    const key = formatAddress(address);
    const known = this.#known.get(key);
    const nowMs = this.#options.clock.now();
    if (known !== undefined && !(known.isOver && nowMs - known.atMs >= ASK_AGAIN_MS)) {
      if (!isHearsay && this.#hearsay.remove(known)) this.#named.add(known);
      return known;
    }
    if (isHearsay && !isLoopback(address.hostname) && !this.#hosts.take(address.hostname)) {
      this.#options.metrics.counter("discovery.candidates-dropped").add();
      return undefined;
    }
    const question: Question = {
      key,
      address,
      answer: Promise.withResolvers(),
      taken: new AbortController(),
      askers: 0,
      atMs: nowMs,
      isOver: false,
    };
    this.#known.delete(key);
    this.#known.set(key, question);
    this.#forgetOldest();
    (isHearsay ? this.#hearsay : this.#named).add(question);
    this.#start();
    return question;
  }

  #forgetOldest(): void {
    for (const [key, { isOver }] of this.#known) {
      if (this.#known.size <= MAX_KNOWN) return;
      if (isOver) this.#known.delete(key);
    }
  }

  #takeBack(question: Question): void {
    if (this.#known.get(question.key) === question) this.#known.delete(question.key);
    this.#named.remove(question);
    this.#hearsay.remove(question);
    question.taken.abort();
  }

  #start(): void {
    while (this.#atWork.size < MAX_PROBES) {
      const question = this.#named.next() ?? this.#hearsay.next();
      if (question === undefined) return;
      const work = this.#put(question);
      this.#atWork.add(work);
      void work.then(() => {
        this.#atWork.delete(work);
        this.#start();
      });
    }
  }

  /** Puts a question; the answer is there when it resolves, and it never rejects. */
  async #put(question: Question): Promise<void> {
    const { probe, clock, metrics } = this.#options;
    const { address, answer, taken } = question;
    question.atMs = clock.now();
    metrics.counter("discovery.candidates").add();
    const timer = clock.after(PROBE_MS, () => taken.abort(tooSlow()));
    try {
      answer.resolve(await probe(address, { signal: taken.signal }));
    } catch (error) {
      if (question.askers > 0) this.#failed(address, error);
      answer.resolve(undefined);
    } finally {
      question.isOver = true;
      timer.cancel();
    }
  }

  #failed(address: Address, error: unknown): void {
    const { attempts, log, metrics } = this.#options;
    metrics.counter("discovery.candidates-failed").add();
    attempts.hindered(error);
    log.debug("no peer at an address", {
      address: printable(formatAddress(address)),
      why: reasonOf(error),
    });
  }
}

/** Those that wait for their turn. */
class Queue {
  readonly #waiting: Question[] = [];
  #room: PromiseWithResolvers<void> | undefined;

  /** Resolves when one more may wait. @throws the signal's reason. */
  async room(signal: AbortSignal): Promise<void> {
    while (this.#waiting.length >= MAX_WAITING) { // several may have waited for the same room
      await unlessAborted((this.#room ??= Promise.withResolvers()).promise, signal);
    }
  }

  add(question: Question): void {
    this.#waiting.push(question);
  }

  next(): Question | undefined {
    const question = this.#waiting.shift();
    if (question !== undefined) this.#wake();
    return question;
  }

  /** @returns whether it was there. */
  remove(question: Question): boolean {
    const at = this.#waiting.indexOf(question);
    if (at < 0) return false;
    this.#waiting.splice(at, 1);
    this.#wake();
    return true;
  }

  #wake(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }
}

interface Question {
  readonly key: string;
  readonly address: Address;
  readonly answer: PromiseWithResolvers<ProvenPeer | undefined>;
  /** Aborts when nobody wants to know any more, or the time is over. */
  readonly taken: AbortController;
  /** How many wait for the answer. */
  askers: number;
  /** When it was put. */
  atMs: number;
  isOver: boolean;
}

function tooSlow(): TimeoutError {
  return new TimeoutError(`Cannot tell who is there: no answer within probeMs ${PROBE_MS}`, {
    details: { limit: "probeMs", max: PROBE_MS },
  });
}
