/**
 * How to send, and what happens then.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { Link } from "../endpoint/link.ts";
import type { TransferSummary } from "./manifest.ts";
import { TOKEN_BYTES } from "./offer.ts";

/**
 * Stops a transfer for a while and lets it go on; a signal gives it up.
 *
 * @example
 * ```ts
 * import { PauseSwitch } from "@kith/kith/transfer";
 * import { assertEquals } from "@std/assert";
 *
 * const pause = new PauseSwitch();
 * const told: boolean[] = [];
 * using _listening = pause.listen((paused) => told.push(paused)); // as sendFiles does
 * pause.pause();
 * pause.resume();
 * assertEquals([told, pause.paused], [[true, false], false]);
 * ```
 */
export class PauseSwitch {
  #paused = false;
  readonly #listeners = new Set<(paused: boolean) => void>();

  /** Whether it is stopped. */
  get paused(): boolean {
    return this.#paused;
  }

  /** Stops it. Harmless when it is stopped. */
  pause(): void {
    this.#set(true);
  }

  /** Lets it go on. Harmless when it goes. */
  resume(): void {
    this.#set(false);
  }

  /** Calls a function whenever that changes. @returns what ends it. */
  listen(listener: (paused: boolean) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  #set(paused: boolean): void {
    if (this.#paused === paused) return;
    this.#paused = paused;
    for (const listener of this.#listeners) listener(paused);
  }
}

/**
 * What earlier attempts at the same transfer have sent: by that it is known what is sent twice.
 *
 * @example
 * ```ts
 * import { SentBefore } from "@kith/kith/transfer";
 * import { assertEquals } from "@std/assert";
 *
 * const before = new SentBefore(); // for every attempt the same
 * before.reach(0, 700);
 * before.begin(0, 500, 500); // 200 bytes of what was sent did not come
 * assertEquals(before.resentBytes, 200);
 * ```
 */
export class SentBefore {
  /** Names the transfer over all attempts: the receiver then gives up one whose link it does not know to be broken. */
  readonly token: Uint8Array = crypto.getRandomValues(new Uint8Array(TOKEN_BYTES));
  /** Bytes that were sent more than once. */
  resentBytes = 0;
  readonly #reached = new Map<number, number>();

  /**
   * A file is sent from a byte on.
   *
   * @param held Bytes that the receiver had of it.
   */
  begin(index: number, from: number, held: number): void {
    this.resentBytes += Math.max(0, Math.max(this.#reached.get(index) ?? 0, held) - from);
  }

  /** A file was sent up to a byte. */
  reach(index: number, end: number): void {
    this.#reached.set(index, Math.max(end, this.#reached.get(index) ?? 0));
  }
}

/** How to send. */
export interface SendOptions {
  /** How long the other side may take to accept. @default {120000} */
  acceptTimeoutMs?: number;
  /** Replaces what is there of an earlier transfer: only what has changed is sent. The receiver must let us. @default {false} */
  update?: boolean;
  /** Sends nothing: the only event is `plan`. @default {false} */
  dryRun?: boolean;
  /** Most bytes a second. @default no limit */
  maxBytesPerSecond?: number;
  /** Whether to compress what gets smaller by it; `"auto"` does it where less than 24 MiB a second go through. @default {"auto"} */
  compress?: "auto" | boolean;
  /** Further links to the same peer; each carries a part of what is sent. @default {[]} */
  lanes?: readonly Link[];
  /** Stops for a while when asked to. */
  pause?: PauseSwitch;
  /** What earlier attempts have sent. @default nothing */
  before?: SentBefore;
  /** Gives up when aborted; the other side is told. */
  signal?: AbortSignal;
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
}

/** What a transfer would come to. */
export interface SendPlan {
  /** Files that the receiver has as they are. */
  readonly unchanged: number;
  /** Files that it does not want. @default {0} */
  readonly unwanted?: number;
  /** Paths of files that it has in another version, or a part of. */
  readonly changed: readonly string[];
  /** Paths of files that it does not have. */
  readonly added: readonly string[];
  /** Bytes of those, before anything is found in older versions. */
  readonly bytes: number;
}

/** What happens while sending. */
export type SendEvent =
  | {
    readonly type: "accepted";
    /** Files that are sent, and those that the receiver has as they are. */
    readonly files: number;
    readonly unchanged: number;
    /** Files that the receiver does not want. @default {0} */
    readonly unwanted?: number;
    /** Whether the receiver keeps what has come of an interrupted transfer, to be gone on with. @default {true} */
    readonly kept?: boolean;
  }
  | ({ readonly type: "plan" } & SendPlan)
  | {
    readonly type: "progress";
    /** Bytes that the receiver has, verified. */
    readonly bytes: number;
    readonly totalBytes: number;
    /** Whether either side has stopped it for a while. */
    readonly paused: boolean;
  }
  | ({
    readonly type: "done";
    /** Bytes that had to be sent again. */
    readonly resentBytes: number;
    /** Bytes of files that left for the receiver, as far as they were not compressed. */
    readonly sentBytes: number;
    /** Files that it had as they are. */
    readonly unchanged: number;
    /** Files that it did not want. @default {0} */
    readonly unwanted?: number;
    /** From acceptance to the receiver's confirmation. */
    readonly seconds: number;
  } & TransferSummary);
