/**
 * Answers to those who look: signed, and not more of them than somebody who looks needs.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { packetSource, type RateOptions, TokenBuckets } from "../endpoint/limits.ts";
import type { Metrics } from "../metrics.ts";
import type { Identity } from "../secure/identity.ts";
import type { Address } from "../transport/transport.ts";
import type { RotatingInstance } from "./instance.ts";
import { encodeAnswer, type Question } from "./packets.ts";

/** How long an answer is to be believed in milliseconds: those who look on ask again every two seconds. */
const VALID_MS = 120_000;

/**
 * Answers per address, because each costs a signature: who begins to look sends up to 15 questions in the first two
 * seconds, five by each of three methods, and then three in two seconds; and several may look at the same time.
 */
const ANSWERS_PER_ADDRESS: Readonly<RateOptions> = { perSecond: 20, burst: 64 };

/** Answers to all addresses together, which can be forged: each costs a signature, and these a tenth of a core. */
const ANSWERS: Readonly<RateOptions> = { perSecond: 2_000, burst: 4_000 };

/** Who is to be found. */
export interface OwnAnnouncement {
  /** Signs the answers. Its public key is in them; nothing else about it, its host or its user is. */
  readonly identity: Identity;
  /** A label, which everybody can read; empty for none. */
  readonly name: string;
  /** The port it accepts connections on. */
  readonly tcpPort: number;
}

/** What an {@linkcode Announcer} needs. */
export interface AnnouncerOptions {
  /** Who is to be found. */
  announce: OwnAnnouncement;
  /** Under which instance id. */
  instance: RotatingInstance;
  /** Where time comes from. */
  clock: Clock;
  /** Counts `discovery.answers` and `discovery.rate`. */
  metrics: Metrics;
}

/** Makes answers; see the module. */
export class Announcer {
  readonly #announce: OwnAnnouncement;
  readonly #instance: RotatingInstance;
  readonly #metrics: Metrics;
  readonly #rates: TokenBuckets;
  readonly #all: TokenBuckets;

  /** Has answered nobody yet. */
  constructor({ announce, instance, clock, metrics }: AnnouncerOptions) {
    this.#announce = announce;
    this.#instance = instance;
    this.#metrics = metrics;
    this.#rates = new TokenBuckets(clock, ANSWERS_PER_ADDRESS);
    this.#all = new TokenBuckets(clock, ANSWERS);
  }

  /** The answer to a question from there; `undefined` where it is our own, or one of too many. */
  answer({ id, from, via }: Question, asker: Address): Uint8Array | undefined {
    if (this.#instance.isOwn(from)) return undefined;
    if (!this.#rates.take(packetSource(asker)) || !this.#all.take("")) {
      this.#metrics.counter("discovery.rate").add();
      return undefined;
    }
    this.#metrics.counter("discovery.answers").add();
    const { identity, name, tcpPort } = this.#announce;
    const { id: instance, ageMs } = this.#instance.now();
    const seq = Math.floor(ageMs / 1_000);
    return encodeAnswer({ id, instance, seq, validMs: VALID_MS, name, tcpPort, via }, identity);
  }
}
