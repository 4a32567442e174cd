/**
 * For tests and figures. Simulated networks: {@linkcode Simulation} runs real protocol cores on a virtual clock,
 * {@linkcode explore} looks for seeds and faults that break them. Live-sync: {@linkcode syncMessages} makes its messages,
 * {@linkcode checkTranscript} checks conversations, {@linkcode FaultySyncPort} and {@linkcode FaultySyncProxy} make things
 * go wrong, {@linkcode loadSync} makes load.
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
export type { SyncFate, SyncFateCounts, SyncFaults } from "./sync_faults.ts";
export { FaultySyncPort, type FaultySyncPortOptions } from "./sync_faulty_port.ts";
export { FaultySyncProxy, type FaultySyncProxyOptions } from "./sync_faulty_proxy.ts";
export { loadSync, type SyncLoadOptions, type SyncLoadResult } from "./sync_load.ts";
export {
  type BrokenSyncMessage,
  type ClientMessageType,
  type ServerMessageType,
  type SyncMessageOf,
  SyncMessages,
  syncMessages,
} from "./sync_messages.ts";
export {
  checkTranscript,
  type TranscriptLine,
  type TranscriptViolation,
} from "./sync_transcript.ts";
