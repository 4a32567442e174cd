/**
 * What a doctor says: one fact after another, each with its reason and, where something is wrong, what to do.
 *
 * @module
 */

import { type PeerError, TransportError } from "../../errors.ts";

/** One thing that was looked at. */
export interface Check {
  /** What was looked at, such as `multicast4 on eth0 192.0.2.2`. */
  readonly check: string;
  /** Whether it is as it should be; `null` where that could not be told. */
  readonly ok: boolean | null;
  /** Why, in a sentence without a final period. */
  readonly why: string;
  /** What to do about it. */
  readonly fix?: string;
  /** The same for programs. */
  readonly facts?: Readonly<Record<string, unknown>>;
}

/** What goes with a check. */
export type CheckDetails = Pick<Check, "fix" | "facts">;

/** It is as it should be. */
export function passed(check: string, why: string, details: CheckDetails = {}): Check {
  return { check, ok: true, why, ...details };
}

/** It is not. */
export function failed(check: string, why: string, details: CheckDetails = {}): Check {
  return { check, ok: false, why, ...details };
}

/** It could not be told, or does not matter here. */
export function skipped(check: string, why: string, details: CheckDetails = {}): Check {
  return { check, ok: null, why, ...details };
}

/** Whether a port could not be had because somebody else has it. */
export function isInUse(error: unknown): error is PeerError {
  return error instanceof TransportError && error.details.inUse === true;
}

/** `1 peer`, `2 peers`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** `a`, `a and b`, `a, b and c`; each only once. */
export function listed(items: Iterable<string>): string {
  const all = [...new Set(items)];
  return all.length < 2 ? all.join() : `${all.slice(0, -1).join(", ")} and ${all.at(-1)}`;
}
