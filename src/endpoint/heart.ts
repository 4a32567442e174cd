/**
 * What is done for all links at a steady pace: heartbeats, and asking whether their peers are still trusted.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";
import { PeerError } from "../errors.ts";
import { type Logger, printable } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import type { PeerInfo } from "./handshake.ts";
import type { Link } from "./link.ts";

/** How long a link to a peer that is trusted no longer may stay, in milliseconds. */
const TRUST_MS = 5_000;

/** What a {@linkcode Heart} needs. */
export interface HeartOptions {
  /** The links there are. */
  links: ReadonlySet<Link>;
  /** Pace of the heartbeat in milliseconds; `Infinity`: none. */
  heartbeatMs: number;
  /** Throws for a peer that is trusted no longer. */
  trust: (peer: PeerInfo) => void;
  /** Where time comes from. */
  clock: Clock;
  /** Says which links are closed. */
  log: Logger;
  /** Counts `link.distrusted`. */
  metrics: Metrics;
}

/** One timer for each of the two, while there are links. */
export class Heart {
  readonly #options: HeartOptions;
  readonly #halfMs: number;
  #beat: Timer | undefined;
  #look: Timer | undefined;
  #stopped = false;

  /** Does nothing yet. */
  constructor(options: HeartOptions) {
    this.#options = options;
    this.#halfMs = options.heartbeatMs / 2;
  }

  /** There is a link: goes on for as long as there are any. */
  keepBeating(): void {
    if (this.#stopped || this.#options.links.size === 0) return;
    const { clock } = this.#options;
    if (this.#halfMs < Infinity) this.#beat ??= clock.after(this.#halfMs, this.#onBeat);
    this.#look ??= clock.after(TRUST_MS, this.#onLook);
  }

  /** Stops for good. */
  stop(): void {
    this.#stopped = true;
    this.#beat?.cancel();
    this.#look?.cancel();
  }

  readonly #onBeat = (): void => {
    this.#beat = undefined;
    this.keepBeating();
    for (const link of [...this.#options.links]) link.beat(this.#halfMs);
  };

  readonly #onLook = (): void => {
    this.#look = undefined;
    this.keepBeating();
    for (const link of [...this.#options.links]) if (link.open) this.#check(link);
  };

  /** Whatever is wrong with asking, nobody stays who cannot be vouched for. */
  #check(link: Link): void {
    const { trust, log, metrics } = this.#options;
    try {
      trust(link.peer);
    } catch (error) {
      metrics.counter("link.distrusted").add();
      const fields = { peer: link.label };
      if (error instanceof PeerError) {
        log.warn("closing a connection to a peer that is trusted no longer", {
          ...fields,
          code: error.code,
        });
      } else {
        const why = printable(String(error));
        log.error("closing a connection, because trust cannot be asked", { ...fields, why });
      }
      void link.close();
    }
  }
}
