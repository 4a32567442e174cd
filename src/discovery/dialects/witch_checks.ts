/**
 * Asking servers that were heard of whether they are there.
 *
 * Whoever forges announcements makes us connect to where he likes. So few are asked at the same time, an address not
 * again for half a minute, and of one host no more than a burst: nobody's ports are scanned for a forger. There is no
 * queue. Who is not asked now announces itself again in 5 s.
 *
 * @module
 */

import { type RateOptions, TokenBuckets } from "../../endpoint/limits.ts";
import { unlessAborted } from "../../endpoint/within_time.ts";
import { printable } from "../../log.ts";
import { type Address, formatAddress } from "../../transport/transport.ts";
import { reasonOf } from "../attempts.ts";
import type { BroadcastLan } from "./broadcasts_lan.ts";

/** Asks a server for its status. @returns whether it is up; an error means the same as `false`. */
export type AskStatus = (address: Address, options: { signal: AbortSignal }) => Promise<boolean>;

/** Servers that are asked at the same time. */
export const MAX_WITCH_CHECKS = 16;

/** Time in milliseconds before an address is asked again. */
const ASK_AGAIN_MS = 30_000;
/** Time in milliseconds that an answer may take. */
const ANSWER_MS = 3_000;
/** How often one host's ports are asked: several servers of one machine at once, then one in two seconds. */
const PER_HOST: Readonly<RateOptions> = { perSecond: 0.5, burst: 16 };

/** Asks servers; see the module. */
export class WitchChecks {
  readonly #lan: BroadcastLan;
  readonly #ask: AskStatus;
  readonly #addresses: TokenBuckets;
  readonly #hosts: TokenBuckets;
  readonly #closing = new AbortController();
  readonly #active = new Set<Promise<void>>();

  /** Has asked nobody yet. */
  constructor(lan: BroadcastLan, ask: AskStatus) {
    this.#lan = lan;
    this.#ask = ask;
    this.#addresses = new TokenBuckets(lan.clock, { perSecond: 1_000 / ASK_AGAIN_MS, burst: 1 });
    this.#hosts = new TokenBuckets(lan.clock, PER_HOST);
  }

  /** Asks the server at an address, unless it or too many others were just asked. @param onUp called when it is up. */
  begin(address: Address, onUp: () => void): void {
    if (this.#closing.signal.aborted || this.#active.size >= MAX_WITCH_CHECKS) return;
    if (this.#addresses.peek(formatAddress(address)) < 1) return;
    if (!this.#hosts.take(address.hostname)) return this.#lan.count("rate");
    this.#addresses.take(formatAddress(address));
    this.#lan.count("asked");
    const check = this.#check(address, onUp);
    this.#active.add(check);
    void check.finally(() => this.#active.delete(check));
  }

  /** Gives up whoever is being asked. Harmless when closed. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.#active);
  }

  async #check(address: Address, onUp: () => void): Promise<void> {
    const late = new AbortController();
    const timer = this.#lan.clock.after(ANSWER_MS, () => late.abort());
    const signal = AbortSignal.any([late.signal, this.#closing.signal]);
    try {
      if (await unlessAborted(this.#ask(address, { signal }), signal)) return onUp();
      this.#isDown(address, "its status is not success");
    } catch (error) {
      const why = late.signal.aborted ? `no answer in ${ANSWER_MS} ms` : reasonOf(error);
      if (!this.#closing.signal.aborted) this.#isDown(address, why);
    } finally {
      timer.cancel();
    }
  }

  #isDown(address: Address, why: string): void {
    this.#lan.count("down");
    this.#lan.log.debug("a server that announced itself is not up", {
      address: printable(formatAddress(address)),
      why,
    });
  }
}
