/**
 * Simulated networks for tests and figures: {@linkcode Simulation} runs real protocol cores on a virtual clock,
 * {@linkcode explore} looks for seeds and faults that break them.
 *
 * @module
 */

export type { Clock, Timer } from "../clock.ts";
export type { Address } from "../transport/transport.ts";
export {
  explore,
  type ExploredRun,
  type ExploreOptions,
  replay,
  type ReplayOptions,
  type Scenario,
  ScenarioError,
  type Schedule,
} from "./explore.ts";
export { SimulationError } from "./failure.ts";
export { type Fault } from "./faults.ts";
export { type SimHost, type SimNode } from "./host.ts";
export { DEFAULT_LINK, type LinkOptions } from "./link.ts";
export { type NodeStats } from "./machine.ts";
export { type SimTotals, type SimulationOptions, type SpawnOptions } from "./options.ts";
export { Simulation } from "./simulation.ts";
