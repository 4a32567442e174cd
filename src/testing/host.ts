/**
 * What a simulated program sees of the world, and what the world sees of it.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { Address } from "../transport/transport.ts";

/**
 * What a node under simulation is given: its clock, its address and its network. It holds for one life of the node:
 * when the node is killed or stopped, nothing happens any more that was begun with it.
 */
export interface SimHost {
  /** The name it was spawned with. */
  readonly name: string;
  /** Where others reach it; the same in every life. */
  readonly address: Address;
  /** Which life of the node this is: 1, and one more after each restart. */
  readonly life: number;
  /**
   * The machine's clock. `now()` begins at 0 in every life, as it does in a process, and goes faster or slower by the
   * node's drift; `wallMs()` is off by its skew as well; `random()` is seeded for this life.
   */
  readonly clock: Clock;
  /**
   * Sends a datagram of at most 65,507 bytes, which are copied. Nobody tells what becomes of it.
   *
   * @throws {InvalidPacketError} `too-large`.
   */
  send(packet: Uint8Array, to: Address): void;
  /**
   * Sends a request over a reliable stream and calls `done` once with the answer, or with `undefined` when there is
   * none: after `timeoutMs`, or one round trip later when the other side refuses. What is lost is sent again. The bytes
   * are copied.
   */
  ask(
    body: Uint8Array,
    to: Address,
    options: { timeoutMs: number },
    done: (answer: Uint8Array | undefined) => void,
  ): void;
}

/** A node under simulation: a synchronous state machine that is driven by what its {@linkcode SimHost} brings. */
export interface SimNode {
  /**
   * Takes a datagram. The bytes must not be changed, and what is kept of them is better copied: they are a view of
   * 4 KiB, all of which stays. `from` is where an answer may go.
   */
  receive(packet: Uint8Array, from: Address): void;
  /** Answers a request, or refuses it with `undefined`; a node without it refuses every request. */
  answer?(body: Uint8Array, from: Address): Uint8Array | undefined;
  /** Ends the node in order, which may send a last word. Not called when the node is killed. */
  close?(): void;
}
