/**
 * What this node says of itself.
 *
 * @module
 */

import { type RateOptions, TokenBuckets } from "../endpoint/limits.ts";
import { MAX_INCARNATION, writeClaim } from "./claims.ts";
import type { News } from "./news.ts";
import type { SelfDescription, SwimPorts } from "./options.ts";

/** How often something newer than what we say may be heard in our name, before we take it that there are two of us. */
const RIVALS: Readonly<RateOptions> = { perSecond: 1 / 300, burst: 3 };

/** What an {@linkcode OwnClaim} needs. */
export interface OwnClaimParts {
  readonly ports: SwimPorts;
  readonly project: string;
  readonly self: SelfDescription;
  readonly incarnation: number;
  readonly news: News;
}

/** Our own claim; see the module. */
export class OwnClaim {
  readonly #parts: OwnClaimParts;
  readonly #rivals: TokenBuckets;
  #self: SelfDescription;
  #incarnation: number;
  #signed: Uint8Array;
  #isGoing = false;

  /** @throws {RangeError} when the description is too long. */
  constructor(parts: OwnClaimParts) {
    this.#parts = parts;
    this.#self = parts.self;
    this.#incarnation = parts.incarnation;
    this.#rivals = new TokenBuckets(parts.ports.clock, RIVALS);
    this.#signed = this.#write(parts.self, parts.incarnation);
  }

  /** Our incarnation. */
  get incarnation(): number {
    return this.#incarnation;
  }

  /** "I am here", signed. */
  get signed(): Uint8Array {
    return this.#signed;
  }

  /** Whether it has said goodbye. */
  get isGoing(): boolean {
    return this.#isGoing;
  }

  /** Says something new. @throws {RangeError} when it is too long; nothing is changed then. */
  describe(self: SelfDescription): void {
    this.#publish(self, this.#incarnation + 1);
  }

  /** Says the same anew, so that it counts more than an incarnation that others doubt or believe in. */
  raiseAbove(incarnation: number): void {
    this.#publish(this.#self, incarnation + 1);
  }

  /**
   * Somebody shows what we have signed and do not say. @returns `false` when that has happened too often to be our past:
   * another program has our key and answers back.
   */
  outdo(incarnation: number): boolean {
    if (!this.#rivals.take("")) return false;
    this.raiseAbove(incarnation);
    return true;
  }

  /** "I am going", signed; it is news. */
  goodbye(): Uint8Array {
    const { ports: { signer }, project, news } = this.#parts;
    const [subject, incarnation] = [signer.peerId, this.#incarnation];
    const signed = writeClaim({ kind: "left", subject, incarnation }, project, signer);
    news.add(subject, signed);
    this.#isGoing = true;
    return signed;
  }

  #publish(self: SelfDescription, incarnation: number): void {
    const next = Math.min(incarnation, MAX_INCARNATION);
    const signed = this.#write(self, next);
    [this.#self, this.#incarnation, this.#signed] = [self, next, signed];
    this.#parts.news.add(this.#parts.ports.signer.peerId, signed);
  }

  #write(self: SelfDescription, incarnation: number): Uint8Array {
    const { ports: { signer }, project } = this.#parts;
    const { peerId: subject, publicKey: key } = signer;
    return writeClaim({ kind: "alive", subject, incarnation, key, ...self }, project, signer);
  }
}
