/**
 * One request over UDP that waits for its answer.
 *
 * @module
 */

import { printable } from "../log.ts";
import { type Address, formatAddress } from "../transport/transport.ts";

/** A request that waits for its answer, and what it takes to send it again. */
export class DatagramAsked {
  /** What the answer repeats. */
  readonly id: number;
  /** Who is asked. */
  readonly to: Address;
  /** How long it may take from when it is first found waiting. */
  readonly timeoutMs: number;
  /** What is sent, the next time as well. */
  packet: Uint8Array;
  /** Whether it was made large for a long answer, which happens once. */
  padded = false;
  /** How often it was sent again because proof was wanted. */
  proofs = 0;
  /** The next pause before it is sent again. */
  retryMs: number;
  /** When it is sent again; set by the first tick that finds it. */
  retryAtMs: number | undefined;
  /** When it is given up; set by the first tick that finds it. */
  deadlineMs: number | undefined;
  /** Settles when the request is answered or given up. */
  readonly answer: Promise<unknown>;
  readonly #header: string;
  #resolve: (value: unknown) => void = () => {};
  #reject: (error: unknown) => void = () => {};
  #forgetSignal: (() => void) | undefined;

  /** Waits from now on; `retryMs` is the first pause. */
  constructor(
    id: number,
    header: string,
    to: Address,
    packet: Uint8Array,
    timeoutMs: number,
    retryMs: number,
  ) {
    this.id = id;
    this.#header = header;
    this.to = to;
    this.packet = packet;
    this.timeoutMs = timeoutMs;
    this.retryMs = retryMs;
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** For errors: `"greet" of 192.0.2.7:3486`. */
  get what(): string {
    return `"${printable(this.#header, 64)}" of ${printable(formatAddress(this.to), 100)}`;
  }

  /** Calls `onAbort` when the signal fires before the answer comes. */
  listen(signal: AbortSignal, onAbort: (reason: unknown) => void): void {
    const listener = () => onAbort(signal.reason);
    signal.addEventListener("abort", listener, { once: true });
    this.#forgetSignal = () => signal.removeEventListener("abort", listener);
  }

  /** Gives the answer to who waits for it. */
  resolve(value: unknown): void {
    this.#forgetSignal?.();
    this.#resolve(value);
  }

  /** Tells who waits that there will be no answer. */
  reject(error: unknown): void {
    this.#forgetSignal?.();
    this.#reject(error);
  }
}
