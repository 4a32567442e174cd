/**
 * What went wrong in a simulation, and where.
 *
 * @module
 */

/**
 * Something a node threw, with what is needed to see it again; `cause` is what it threw.
 *
 * @example
 * ```ts
 * import { Simulation, SimulationError } from "@kith/kith/testing";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * using simulation = new Simulation({ seed: 7 });
 * const fail = () => {
 *   throw new Error("lost count");
 * };
 * simulation.spawn("bob", ({ clock }) => {
 *   clock.after(20, fail);
 *   return { receive: () => {} };
 * });
 * const { node, atMs } = assertThrows(() => simulation.run(100), SimulationError, "lost count");
 * assertEquals([node, atMs], ["bob", 20]);
 * ```
 */
export class SimulationError extends Error {
  /** The seed of the simulation. */
  readonly seed: number;
  /** When it happened, in simulated milliseconds. */
  readonly atMs: number;
  /** The node it happened on; `undefined` for a fault of the whole network. */
  readonly node: string | undefined;

  /** Wraps what was thrown; its text comes first. */
  constructor(cause: unknown, options: { seed: number; atMs: number; node: string | undefined }) {
    const { seed, atMs, node } = options;
    const text = cause instanceof Error ? cause.message : String(cause);
    const where = node === undefined ? "" : `node ${node} at `;
    super(`${text} (${where}${atMs} ms, seed ${seed})`, { cause });
    this.name = "SimulationError";
    this.seed = seed;
    this.atMs = atMs;
    this.node = node;
  }
}
