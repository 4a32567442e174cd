/**
 * What the tests of `WorkerPool` have done in workers.
 *
 * @module
 */

import { assertEquals } from "@std/assert"; // found by the import map, in a worker as anywhere
import { LimitError } from "../../src/errors.ts";

/** Memory that a test shares with its jobs: whether they may go on, how many began, and how often a loop went round. */
export const GATE = 0, BEGUN = 1, ROUNDS = 2;

let calls = 0;

/** How often it was called in this worker. */
export function count(): number {
  return ++calls;
}

export function double(value: number): number {
  assertEquals(typeof value, "number");
  return 2 * value;
}

export function later(value: unknown): Promise<unknown> {
  return Promise.resolve(value);
}

/** Keeps its worker busy until the gate opens. */
export function hold(cells: Int32Array): number {
  begin(cells);
  Atomics.wait(cells, GATE, 0);
  return Atomics.load(cells, BEGUN);
}

/** Keeps its worker busy for ever, whatever is thrown at it. */
export function spin(cells: Int32Array): void {
  begin(cells);
  for (;;) {
    try {
      for (;;) Atomics.add(cells, ROUNDS, 1);
    } finally {
      // deno-lint-ignore no-unsafe-finally -- so that nothing that can be caught ends it
      continue;
    }
  }
}

/** Waits for ever, but in the event loop. */
export function idle(cells: Int32Array): Promise<never> {
  begin(cells);
  return new Promise(() => {});
}

export function refuse(details: Record<string, unknown>): never {
  throw new LimitError("rate", "Cannot serve: too many", { details });
}

export function refuseWithFunction(): never {
  refuse({ limit: "rate", retry: () => {} });
}

/** Throws an error with properties of any kind. */
export function fail({ message, ...rest }: { message: string }): never {
  throw Object.assign(new RangeError(message), rest);
}

export function raise(value: unknown): never {
  throw value;
}

export function giveFunction(): () => void {
  return () => {};
}

/** An error that nobody catches, while the job runs. */
export function crash(): Promise<never> {
  queueMicrotask(() => raise(new Error("on the rocks")));
  return new Promise(() => {});
}

/** An error that nobody catches, after the job. */
export function crashLater(): void {
  setTimeout(() => raise(new Error("on the rocks")));
}

export function quit(status: number): void {
  Deno.exit(status);
}

function begin(cells: Int32Array): void {
  Atomics.add(cells, BEGUN, 1);
  Atomics.notify(cells, BEGUN);
}
