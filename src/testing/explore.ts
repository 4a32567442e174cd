/**
 * Search for runs in which a property does not hold, and the shortest way to see it again.
 *
 * A scenario is run once for each seed, with the faults that the seed draws. When one fails, the faults that have
 * nothing to do with it are taken away, more and more finely (delta debugging, after Zeller and Hildebrandt 2002), and
 * what is left is in the error as JSON for {@linkcode replay}.
 *
 * @module
 */

import { SimulationError } from "./failure.ts";
import type { Fault } from "./faults.ts";
import type { SimTotals, SimulationOptions } from "./options.ts";
import { Simulation } from "./simulation.ts";

/**
 * Spawns nodes, lets time go by, and throws when a property does not hold. The faults happen by themselves, at their
 * times; they are passed for those who must know when the last one is over. It must be synchronous and draw nothing
 * from outside.
 */
export type Scenario = (simulation: Simulation, faults: readonly Fault[]) => void;

/** A run that can be played again: plain JSON. */
export interface Schedule {
  /** The seed of the simulation. */
  readonly seed: number;
  /** What goes wrong. */
  readonly faults: readonly Fault[];
}

/** What to play, and on which network. */
export interface ReplayOptions {
  /** What to run. */
  readonly scenario: Scenario;
  /** The network, but for its seed. @default {{}} */
  readonly simulation?: Omit<SimulationOptions, "seed">;
}

/** How to {@linkcode explore}. */
export interface ExploreOptions extends ReplayOptions {
  /** One run for each. */
  readonly seeds: Iterable<number>;
  /** The faults of a run; they must come from the seed alone. @default none */
  readonly schedule?: (seed: number) => readonly Fault[];
  /** Most runs that may be spent on shortening the faults of a run that failed. @default {64} */
  readonly maxReruns?: number;
}

/** A run in which everything held. */
export interface ExploredRun {
  /** Its seed. */
  readonly seed: number;
  /** The fingerprint of its events. */
  readonly hash: string;
  /** What its nodes did together. */
  readonly totals: SimTotals;
}

/**
 * A scenario that failed; `cause` is what it threw, and the text ends with the JSON for {@linkcode replay}.
 *
 * @example
 * ```ts
 * import { explore, ScenarioError, type Simulation } from "@kith/kith/testing";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * function bobLives(simulation: Simulation): void {
 *   simulation.spawn("bob", () => ({ receive: () => {} }));
 *   simulation.run(100);
 *   if (!simulation.running.includes("bob")) throw new Error("bob is dead");
 * }
 * const pause = { atMs: 10, kind: "pause", node: "bob", ms: 5 } as const;
 * const kill = { atMs: 20, kind: "kill", node: "bob" } as const;
 * const run = () => explore({ seeds: [7], schedule: () => [pause, kill], scenario: bobLives });
 * const error = assertThrows(run, ScenarioError, "bob is dead");
 * assertEquals(error.schedule, { seed: 7, faults: [kill] }); // the pause has nothing to do with it
 * ```
 */
export class ScenarioError extends Error {
  /** The run that failed, shortened as far as there were reruns for. */
  readonly schedule: Schedule;

  /** Wraps what the scenario threw; `note` says how the schedule came about. */
  constructor(cause: unknown, schedule: Schedule, note = "") {
    const text = `Scenario fails with seed ${schedule.seed}${note}: ${textOf(cause)}`;
    super(`${text}\nTo replay: ${JSON.stringify(schedule)}`, { cause });
    this.name = "ScenarioError";
    this.schedule = schedule;
  }
}

/**
 * Runs a scenario for each seed.
 *
 * @example
 * ```ts
 * import { explore, type SimHost } from "@kith/kith/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const runs = explore({
 *   seeds: [1, 2, 3],
 *   simulation: { link: { delayMs: 10 } },
 *   schedule: (seed) => [{ atMs: 5, kind: "pause", node: "bob", ms: 10 * seed }],
 *   scenario: (simulation) => {
 *     let heard = 0;
 *     const node = (host: SimHost) => ({ host, receive: () => void heard++ });
 *     const { host: bob } = simulation.spawn("bob", node);
 *     simulation.spawn("alice", node).host.send(Uint8Array.of(42), bob.address);
 *     simulation.run(100);
 *     assertEquals(heard, 1); // who was paused misses nothing
 *   },
 * });
 * assertEquals(runs.map(({ seed }) => seed), [1, 2, 3]);
 * ```
 *
 * @returns the runs, in the order of the seeds.
 * @throws {ScenarioError} at the first seed that fails, with the shortened faults.
 */
export function explore(options: ExploreOptions): ExploredRun[] {
  const { seeds, schedule = () => [], maxReruns = 64 } = options;
  const runs: ExploredRun[] = [];
  for (const seed of seeds) {
    const drawn = { seed, faults: schedule(seed) };
    const outcome = play(drawn, options);
    if ("hash" in outcome) runs.push(outcome);
    else throw shorten(drawn, outcome.error, options, maxReruns);
  }
  return runs;
}

/**
 * Runs a scenario once, with the seed and the faults that an error of {@linkcode explore} has named.
 *
 * @example
 * ```ts
 * import { replay, ScenarioError, type Simulation } from "@kith/kith/testing";
 * import { assertThrows } from "@std/assert";
 *
 * function bobLives(simulation: Simulation): void {
 *   simulation.spawn("bob", () => ({ receive: () => {} }));
 *   simulation.run(100);
 *   if (!simulation.running.includes("bob")) throw new Error("bob is dead");
 * }
 * const schedule = JSON.parse('{"seed":7,"faults":[{"atMs":20,"kind":"kill","node":"bob"}]}');
 * assertThrows(() => replay(schedule, { scenario: bobLives }), ScenarioError, "bob is dead");
 * ```
 *
 * @throws {ScenarioError} when it fails (again).
 */
export function replay(schedule: Schedule, options: ReplayOptions): ExploredRun {
  const outcome = play(schedule, options);
  if ("hash" in outcome) return outcome;
  throw new ScenarioError(outcome.error, schedule);
}

function play(schedule: Schedule, options: ReplayOptions): ExploredRun | { error: unknown } {
  const { seed, faults } = schedule;
  const simulation = new Simulation({ ...options.simulation, seed });
  try {
    simulation.schedule(faults);
    const result: unknown = options.scenario(simulation, faults);
    if (result instanceof Promise) throw new TypeError("A scenario must not be asynchronous");
    const { hash, totals } = simulation;
    simulation.close();
    return { seed, hash, totals };
  } catch (error) {
    return { error };
  }
}

/** Takes faults away while the run fails in the same manner: large pieces first, in the end one by one. */
function shorten(
  drawn: Schedule,
  error: unknown,
  options: ReplayOptions,
  maxReruns: number,
): ScenarioError {
  const { seed } = drawn;
  let [best, reruns] = [{ faults: drawn.faults, error }, 0];
  const failsWith = (faults: readonly Fault[]) => {
    reruns++;
    const outcome = play({ seed, faults }, options);
    const same = "error" in outcome && kindOf(outcome.error) === kindOf(error);
    if (same) best = { faults, error: outcome.error };
    return same;
  };
  if (maxReruns > 0 && !failsWith(drawn.faults)) {
    return new ScenarioError(
      error,
      drawn,
      ", but not when it is run again: it is not deterministic",
    );
  }
  for (let size = drawn.faults.length; size > 0;) {
    const before = best.faults.length;
    for (let at = 0; at < best.faults.length && reruns < maxReruns;) {
      if (!failsWith(best.faults.toSpliced(at, size))) at += size;
    }
    if (size > 1) size >>= 1;
    else if (best.faults.length === before) break;
  }
  const count = `${best.faults.length} of ${drawn.faults.length} faults`;
  const note = ` and ${count} (${reruns} reruns)`;
  return new ScenarioError(best.error, { seed, faults: best.faults }, note);
}

/** What two failures have in common when they are the same but for times and counts. */
function kindOf(error: unknown): string {
  const cause = error instanceof SimulationError ? error.cause : error;
  const name = cause instanceof Error ? cause.name : typeof cause;
  return `${name}: ${textOf(cause).trimStart().split("\n", 1)[0]}`.replace(/\d+(\.\d+)?/g, "#");
}

function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
