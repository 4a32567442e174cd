/**
 * How simulations and their nodes are made, and what they count.
 *
 * @module
 */

import type { LinkOptions } from "./link.ts";
import type { NodeStats } from "./machine.ts";

/** How a {@linkcode Simulation} is made. */
export interface SimulationOptions {
  /** Decides everything that is drawn. */
  readonly seed: number;
  /** How links are, unless they are changed. @default {DEFAULT_LINK} */
  readonly link?: Partial<LinkOptions>;
  /** What each node can send in a second, in bytes of payload. @default {Infinity} */
  readonly uplinkBytesPerSecond?: number;
  /** How long datagrams wait for a busy uplink before further ones are lost, in milliseconds. @default {1000} */
  readonly uplinkQueueMs?: number;
  /**
   * Bytes of datagrams that wait while a node is paused before further ones are lost; Linux's `rmem_default` unless
   * given. @default {212992}
   */
  readonly inboxBytes?: number;
}

/** What a node has of its own. */
export interface SpawnOptions {
  /** How far its wall clock is ahead, in milliseconds. @default {0} */
  readonly skewMs?: number;
  /** How much faster its clocks go: 1e-4 gains 100 ms in 1,000 s. Above -1. @default {0} */
  readonly drift?: number;
  /** What it can send in a second, in bytes of payload. @default that of the simulation */
  readonly uplinkBytesPerSecond?: number;
}

/** What all nodes did together. */
export interface SimTotals extends NodeStats {
  /** Events that happened: timers that fired, packets that arrived, faults. */
  events: number;
}

/** @throws {RangeError} for what is not more than 0. */
export function requirePositive(what: string, value: number): void {
  if (!(value > 0)) throw new RangeError(`${what} must be more than 0: it is ${value}`);
}

/** @throws {RangeError} for what is not finite, or less than 0. */
export function requireZeroOrMore(what: string, value: number): void {
  if (!(value >= 0 && value < Infinity)) {
    throw new RangeError(`${what} must be finite and 0 or more: it is ${value}`);
  }
}
