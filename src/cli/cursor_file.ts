/**
 * How far this home has read a topic, kept between runs.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { type Clock, systemClock, type Timer } from "../clock.ts";
import { InvalidPacketError } from "../errors.ts";
import { Cursor } from "../gossip/cursor.ts";
import { topicKeyOf } from "../gossip/envelope.ts";
import type { Home } from "../state/home.ts";

/** Least time between two writes, in milliseconds: after a crash, what was read since the last comes again. */
const PAUSE_MS = 1_000;

/** What belongs to which file. */
export interface CursorFileOptions {
  /** Where files are kept; without one nothing is. */
  readonly home: Home | undefined;
  /** The network's name: the same topic in another network is another topic. */
  readonly network: string;
  /** The topic's name. */
  readonly topic: string;
  /** Where time comes from. @default {systemClock} */
  readonly clock?: Clock;
}

/** The file of one topic's cursor. */
export class CursorFile implements Disposable {
  readonly #home: Home | undefined;
  readonly #name: string;
  readonly #clock: Clock;
  #timer: Timer | undefined;

  /** Touches nothing yet. @throws {TypeError | RangeError} for a topic that is none. */
  constructor({ home, network, topic, clock = systemClock }: CursorFileOptions) {
    const key = topicKeyOf(topic).toHex();
    const digest = createHash("sha256").update(`kith cursor\n${network}\n${key}`).digest("hex");
    this.#home = home;
    this.#clock = clock;
    this.#name = `topic-${digest.slice(0, 32)}.cursor`;
  }

  /** What was kept last, if anything was. A file that cannot be understood is set aside, which the home logs. */
  read(): Cursor | undefined {
    const bytes = this.#home?.read(this.#name);
    if (bytes === undefined) return undefined;
    try {
      return Cursor.parse(new TextDecoder().decode(bytes).trimEnd());
    } catch (error) {
      if (!(error instanceof InvalidPacketError)) throw error;
      this.#home?.setAside(this.#name, error.message);
      return undefined;
    }
  }

  /** Keeps a cursor as it is now. @throws {UnsupportedError} when it cannot be written. */
  keep(cursor: Cursor): void {
    this.#home?.writeAtomic(this.#name, new TextEncoder().encode(`${cursor}\n`));
  }

  /**
   * Keeps a cursor as it is a second from now, once for however many calls.
   *
   * @param failed Told when it cannot be written.
   */
  keepSoon(cursor: Cursor, failed: (error: unknown) => void): void {
    if (this.#home === undefined) return;
    this.#timer ??= this.#clock.after(PAUSE_MS, () => {
      this.#timer = undefined;
      try {
        this.keep(cursor);
      } catch (error) {
        failed(error);
      }
    });
  }

  /** Forgets what was to be kept soon. */
  [Symbol.dispose](): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
