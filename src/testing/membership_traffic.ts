/**
 * What membership costs a group in which nothing happens.
 *
 * @module
 */

import { type MembershipOptions, type MembershipRun, runMembership } from "./membership.ts";

/** How long the group is left alone before its traffic is counted, in milliseconds. */
const CALM_MS = 60_000;

/** What membership costs. */
export interface TrafficFigures {
  /** Bytes that a member sends in a second, in packets and on streams: payload, without what UDP, TCP and IP add. */
  readonly bytesPerSecond: number;
  /** Packets that a member sends in a second. */
  readonly packetsPerSecond: number;
  /** Suspicions, counted at each that heard of one. */
  readonly suspicions: number;
}

/**
 * Counts what is sent in a calm group.
 *
 * @throws {ScenarioError} when it is not whole in the end.
 */
export function measureTraffic(
  options: MembershipOptions & {
    /** How long it is counted, in simulated seconds. @default {300} */
    readonly seconds?: number;
  },
): MembershipRun<TrafficFigures> {
  const { seconds = 300 } = options;
  return runMembership(options, {
    measure: (swarm) => {
      const { simulation, names } = swarm;
      simulation.run(CALM_MS);
      const before = simulation.totals;
      simulation.run(seconds * 1_000);
      const after = simulation.totals;
      const bytes = after.bytesOut + after.streamBytesOut - before.bytesOut - before.streamBytesOut;
      swarm.untilWhole(60_000);
      return {
        bytesPerSecond: bytes / names.length / seconds,
        packetsPerSecond: (after.packetsOut - before.packetsOut) / names.length / seconds,
        suspicions: swarm.events.filter(({ type }) => type === "suspect").length,
      };
    },
  });
}
