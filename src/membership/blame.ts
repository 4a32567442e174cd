/**
 * Whoever says what is wrong is counted and named, but not so often that naming it becomes the harm.
 *
 * @module
 */

import { type RateOptions, TokenBuckets } from "../endpoint/limits.ts";
import { printable } from "../log.ts";
import type { SwimPorts } from "./options.ts";

/** How often one and the same is named. */
const EACH: Readonly<RateOptions> = { perSecond: 1 / 60, burst: 1 };

/** How often anybody is: ids and addresses can be made up. */
const ALL: Readonly<RateOptions> = { perSecond: 1 / 6, burst: 10 };

/** Where a claim came from. */
export interface Told {
  /** Who passed it on. */
  readonly by: string;
  /** Whether that is proven: by a stream, or by having answered at the address that the packet came from. */
  readonly isProven: boolean;
  /** The host that it came from. */
  readonly host: string | undefined;
  /** Whether it is part of all that somebody knows, and not news. */
  readonly isOld: boolean;
}

/** Names liars; see the module. */
export class Blame {
  readonly #ports: SwimPorts;
  readonly #each: TokenBuckets;
  readonly #all: TokenBuckets;

  /** Has named nobody. */
  constructor(ports: SwimPorts) {
    this.#ports = ports;
    this.#each = new TokenBuckets(ports.clock, EACH);
    this.#all = new TokenBuckets(ports.clock, ALL);
  }

  /** Somebody passed on what is wrong. */
  refused({ by, isProven, host = "a stream" }: Told, why: string): void {
    this.#count("refused-claims");
    // Who proves nothing is known by its address alone, and may be anybody there.
    this.#name(isProven ? by : host, "a member's claim was refused", {
      from: isProven ? by : `somebody at ${printable(host, 60)}`,
      why: printable(why, 200),
    });
  }

  /** A member was shown to be wrong about others too often. */
  muted(peerId: string, refuted: number): void {
    this.#count("muted-members");
    this.#name(peerId, "a member accuses others wrongly and is not listened to for a while", {
      peerId,
      refuted,
    });
  }

  #name(who: string, what: string, facts: Record<string, unknown>): void {
    if (this.#each.take(who) && this.#all.take("")) this.#ports.log.warn(what, facts);
  }

  #count(what: string): void {
    this.#ports.metrics.counter(`membership.${what}`).add();
  }
}
