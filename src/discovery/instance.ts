/**
 * The random number under which a peer looks and is found. It changes, so that who listens for a long time cannot tell
 * by it who is there again.
 *
 * @module
 */

import { randomBytes } from "node:crypto";
import type { Clock } from "../clock.ts";
import { INSTANCE_BYTES } from "./packets.ts";

/** How long an instance id is used, in milliseconds. */
export const INSTANCE_MS = 600_000;

/** An instance id that changes every ten minutes; see the module. */
export class RotatingInstance {
  readonly #clock: Pick<Clock, "now">;
  #current = newInstance();
  // Its last questions may still be on their way when the next one is in use.
  #previous = this.#current;
  #sinceMs: number;

  /** Begins with a new one. */
  constructor(clock: Pick<Clock, "now">) {
    this.#clock = clock;
    this.#sinceMs = clock.now();
  }

  /** The instance id to use now, {@linkcode INSTANCE_BYTES} bytes, and how old it is in milliseconds. */
  now(): { readonly id: Uint8Array; readonly ageMs: number } {
    const nowMs = this.#clock.now();
    if (nowMs - this.#sinceMs >= INSTANCE_MS) {
      this.#previous = this.#current;
      this.#current = newInstance();
      this.#sinceMs = nowMs;
    }
    return { id: this.#current, ageMs: nowMs - this.#sinceMs };
  }

  /** Whether an instance id is ours, or was just before. */
  isOwn(id: Uint8Array): boolean {
    const hex = id.toHex();
    return hex === this.#current.toHex() || hex === this.#previous.toHex();
  }
}

function newInstance(): Uint8Array {
  return new Uint8Array(randomBytes(INSTANCE_BYTES));
}
