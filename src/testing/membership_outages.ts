/**
 * What a group is after an outage: divided and joined again, half of it restarted, packets blocked.
 *
 * @module
 */

import type { Fault } from "./faults.ts";
import { draw, type MembershipOptions, type MembershipRun, runMembership } from "./membership.ts";
import type { SwimSwarm } from "./swim_swarm.ts";

/** When things go wrong, in milliseconds. */
const OUTAGE_MS = 10_000;

/** How long packets stay blocked, in milliseconds. */
const BLOCKED_MS = 120_000;

/** How long a group is waited for before it counts as one that never gets well, in milliseconds. */
const PATIENCE_MS = 180_000;

/** How a group was divided, and became one again. */
export interface PartitionFigures {
  /** Milliseconds until no member took anybody of the other part for present. */
  readonly dividedMs: number;
  /** Milliseconds from the end of the partition until everybody saw everybody. */
  readonly healedMs: number;
  /** Milliseconds from that end until everybody also knew the last that each had said of itself. */
  readonly agreedMs: number;
}

/** How a group took the restart of many. */
export interface RestartFigures {
  /** Milliseconds until everybody saw the running ones, in their present lives, and nobody else. */
  readonly wholeMs: number;
}

/** How a group does without packets. */
export interface BlockedFigures {
  /** Milliseconds until everybody saw everybody, over streams. */
  readonly wholeMs: number;
  /** Milliseconds until everybody said that packets do not get through. */
  readonly degradedMs: number;
  /** Milliseconds from the end of the blockade until nobody said so any more. */
  readonly restoredMs: number;
  /** Members that were given up, counted at each that gave them up. */
  readonly falseDeaths: number;
  /** Bytes on streams for each member and second while packets were blocked. */
  readonly streamBytesPerSecond: number;
}

/**
 * Divides a group for ten minutes.
 *
 * @throws {ScenarioError} when it is not whole three minutes after the end.
 */
export function measurePartition(
  options: MembershipOptions & {
    /** The share of the first part, 0..1. @default {0.5} */
    readonly share?: number;
    /** How long the partition lasts, in simulated seconds. @default {600} */
    readonly seconds?: number;
  },
): MembershipRun<PartitionFigures> {
  const { share = 0.5, seconds = 600 } = options;
  const healMs = OUTAGE_MS + seconds * 1_000;
  return runMembership(options, {
    faults: (names, random) => [
      { atMs: OUTAGE_MS, kind: "partition", groups: [draw(names, share * names.length, random)] },
      { atMs: healMs, kind: "heal" },
    ],
    measure: (swarm, faults) => {
      const { simulation } = swarm;
      const parts = faults.flatMap((fault) => fault.kind === "partition" ? fault.groups : []);
      const part = new Set(parts.flat());
      simulation.run(OUTAGE_MS);
      const isDivided = () => {
        return swarm.running.every(({ swim }, index) => {
          const isInPart = part.has(swarm.names[index] ?? "");
          return swim.present === (isInPart ? part.size : swarm.names.length - part.size);
        });
      };
      simulation.runUntil(isDivided, healMs - OUTAGE_MS);
      const dividedMs = simulation.nowMs - OUTAGE_MS;
      simulation.run(Math.max(0, healMs - simulation.nowMs));
      const healedMs = swarm.untilOne(PATIENCE_MS);
      return { dividedMs, healedMs, agreedMs: healedMs + swarm.untilWhole(PATIENCE_MS) };
    },
  });
}

/**
 * Restarts half of a group at once.
 *
 * @throws {ScenarioError} when somebody is missing three minutes later, or somebody is still seen who is no more.
 */
export function measureRestart(
  options: MembershipOptions & {
    /** Whether those who are restarted have lost their keys. @default {false} */
    readonly newIdentities?: boolean;
  },
): MembershipRun<RestartFigures> {
  const { newIdentities = false } = options;
  return runMembership(options, {
    swarm: { newIdentities },
    faults: (names, random) => {
      return draw(names, names.length / 2, random).map((node): Fault => {
        return { atMs: OUTAGE_MS, kind: "restart", node };
      });
    },
    measure: (swarm) => {
      swarm.simulation.run(OUTAGE_MS);
      return { wholeMs: swarm.untilWhole(PATIENCE_MS) };
    },
  });
}

/**
 * Blocks all packets for two minutes, so that only streams get through.
 *
 * @throws {ScenarioError} when the group does not become whole, does not notice, or does not notice the end.
 */
export function measureBlocked(
  options: MembershipOptions & {
    /** Whether they are blocked while the group comes together; else it is whole before. @default {false} */
    readonly fromStart?: boolean;
  },
): MembershipRun<BlockedFigures> {
  const { fromStart = false } = options;
  const fromMs = fromStart ? 0 : OUTAGE_MS;
  return runMembership(options, {
    swarm: { acquainted: !fromStart },
    faults: () => [
      { atMs: fromMs, kind: "block", blocked: true },
      { atMs: fromMs + BLOCKED_MS, kind: "block", blocked: false },
    ],
    measure: (swarm) => {
      const { simulation, names } = swarm;
      simulation.run(fromMs);
      const before = simulation.totals.streamBytesOut;
      let degradedMs = NaN;
      simulation.runUntil(() => {
        if (swarm.running.every(({ swim }) => swim.degraded)) {
          degradedMs = simulation.nowMs - fromMs;
        }
        return degradedMs >= 0;
      }, BLOCKED_MS - 1);
      if (Number.isNaN(degradedMs)) throw new Error("Not everybody says that packets are blocked");
      const leftMs = fromMs + BLOCKED_MS - 1 - simulation.nowMs;
      const wholeMs = degradedMs + swarm.untilOne(leftMs);
      simulation.run(fromMs + BLOCKED_MS - simulation.nowMs);
      const streamBytes = simulation.totals.streamBytesOut - before;
      return {
        wholeMs,
        degradedMs,
        restoredMs: untilRestored(swarm),
        falseDeaths: swarm.events.filter(({ type }) => type === "dead").length,
        streamBytesPerSecond: Math.round(streamBytes / names.length / (BLOCKED_MS / 1_000)),
      };
    },
  });
}

function untilRestored({ simulation, running }: SwimSwarm): number {
  const fromMs = simulation.nowMs;
  if (simulation.runUntil(() => running.every(({ swim }) => !swim.degraded), PATIENCE_MS)) {
    return simulation.nowMs - fromMs;
  }
  throw new Error("Not everybody says that packets get through again");
}
