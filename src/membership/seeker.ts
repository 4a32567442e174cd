/**
 * Looking for members where others than members know of them: given addresses, and whatever discovery finds.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";
import { LeftAlone } from "../endpoint/left_alone.ts";
import type { Logger } from "../log.ts";
import type { Address } from "../transport/transport.ts";
import type { MemberDirectory } from "./membership_options.ts";

/** How long a look takes, in milliseconds: questions leave at 0, 0.1, 0.3, 0.7 and 1.5 s. */
const LOOK_MS = 2_000;

/** Time between two looks: while there are others they are told of newcomers by each other. */
const EVERY_MS = 60_000;
const ALONE_EVERY_MS = 10_000;

/** How long a peer that did not let us in is left alone, in milliseconds: twice as long each time. */
const LEAVE_ALONE = { firstMs: 30_000, mostMs: 600_000, max: 1_024 };

/** Peers that are joined at the same time in one look: one is enough, the others know it. */
const MAX_JOINING = 8;

/** What a {@linkcode Seeker} needs. */
export interface SeekerParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly seeds: readonly Address[];
  readonly directory: MemberDirectory | undefined;
  /** Whether that peer is a member that answers. */
  readonly isKnown: (peerId: string) => boolean;
  /** Whether there is nobody else. */
  readonly isAlone: () => boolean;
  /** Joins whoever is there. */
  readonly join: (address: Address) => Promise<boolean>;
}

/** Looks for members; see the module. */
export class Seeker {
  /** Resolves when the first look is over, or has found somebody. */
  readonly firstLook: Promise<void>;
  readonly #parts: SeekerParts;
  readonly #closing = new AbortController();
  readonly #leftAlone: LeftAlone;
  #looking: Promise<void>;
  #timer: Timer | undefined;

  /** Looks at once, and from then on. */
  constructor(parts: SeekerParts) {
    this.#parts = parts;
    this.#leftAlone = new LeftAlone(parts.clock, LEAVE_ALONE);
    this.#looking = this.#look();
    this.firstLook = this.#looking;
  }

  /** Looks no more. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#timer?.cancel();
    await this.#looking;
  }

  async #look(): Promise<void> {
    const { clock, log, seeds, isAlone } = this.#parts;
    try {
      await Promise.all([...seeds.map((seed) => this.#parts.join(seed)), this.#lookAround()]);
    } catch (error) {
      log.warn("could not look for members", { why: String(error) });
    }
    if (this.#closing.signal.aborted) return;
    const afterMs = (isAlone() ? ALONE_EVERY_MS : EVERY_MS) * (0.75 + clock.random() / 2);
    this.#timer = clock.after(afterMs, () => this.#looking = this.#look());
  }

  async #lookAround(): Promise<void> {
    const { clock, directory, isKnown } = this.#parts;
    if (directory === undefined) return;
    const enough = new AbortController();
    const timer = clock.after(LOOK_MS, () => enough.abort());
    const signal = AbortSignal.any([enough.signal, this.#closing.signal]);
    const joining = new Set<Promise<void>>();
    try {
      for await (const { peerId, addresses } of directory.find({ signal })) {
        if (isKnown(peerId) || this.#leftAlone.has(peerId)) continue;
        if (joining.size >= MAX_JOINING) continue;
        const attempt = this.#joinAny(peerId, addresses).finally(() => joining.delete(attempt));
        joining.add(attempt);
      }
    } finally {
      timer.cancel();
    }
    await Promise.all(joining);
  }

  async #joinAny(peerId: string, addresses: readonly Address[]): Promise<void> {
    this.#leftAlone.add(peerId); // it may be found again before it has answered
    for (const address of addresses) {
      if (this.#closing.signal.aborted) return;
      if (await this.#parts.join(address)) return void this.#leftAlone.delete(peerId);
    }
  }
}
