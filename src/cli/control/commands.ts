/**
 * What a peer that runs does for command lines of the same home, where it can: without that each of them opens a peer of
 * its own.
 *
 * @module
 */

import { type Clock, systemClock, type Timer } from "../../clock.ts";
import { LimitError } from "../../errors.ts";
import { printable } from "../../log.ts";
import type { Output } from "../output.ts";
import type { HeldHome } from "../running.ts";
import { type ControlParts, ControlServer } from "./control_server.ts";

/** How often it is looked whether the peer that has the door of the home has gone, in milliseconds. */
const LOOK_EVERY_MS = 5_000;

/** See the module. */
export class Commands implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #parts: Omit<ControlParts, "home">;
  readonly #held: HeldHome;
  readonly #output: Output;
  #server: ControlServer | undefined;
  #timer: Timer | undefined;
  #taking: Promise<void> | undefined;
  #closed = false;

  /** Takes none yet. */
  constructor(
    parts: Omit<ControlParts, "home">,
    held: HeldHome,
    output: Output,
    clock: Clock = systemClock,
  ) {
    this.#clock = clock;
    this.#parts = parts;
    this.#held = held;
    this.#output = output;
  }

  /** Takes them from now on, or says why not; while another peer of the home does, once that has gone. Never rejects. */
  take(): Promise<void> {
    return this.#taking ??= this.#take().finally(() => this.#taking = undefined);
  }

  /** Takes none any more, and ends what was begun. Harmless when closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#taking;
    await this.#server?.[Symbol.asyncDispose]();
  }

  async #take(): Promise<void> {
    const { home, isShared } = this.#held;
    if (home === undefined || this.#server !== undefined) return;
    const { log } = this.#output;
    try {
      this.#server = await ControlServer.open({ ...this.#parts, home }, { log });
    } catch (error) {
      if (isShared && error instanceof LimitError) return this.#takeLater(); // as was said already
      const why = error instanceof Error ? error.message : String(error);
      this.#output.note(`Other commands open peers of their own: ${printable(why, 400)}`);
    }
  }

  #takeLater(): void {
    if (this.#closed) return;
    this.#timer = this.#clock.after(LOOK_EVERY_MS, () => void this.take());
  }
}
