/**
 * A group in which one member dies: the figures of membership at a glance, a piece at a time.
 *
 * @module
 */

import { seededRandom } from "../clock.ts";
import { LAN, type MembershipOptions } from "./membership.ts";
import { seedFrom } from "./machine.ts";
import { Simulation } from "./simulation.ts";
import { SwimSwarm } from "./swim_swarm.ts";

/** How long a piece is, in simulated milliseconds. */
const PIECE_MS = 1_000;

/** Figures of a group. */
export interface GroupFigures {
  /** Milliseconds until half of the others had given up the one that died; `undefined` when they have not. */
  readonly deadAtHalfMs: number | undefined;
  /** Milliseconds until all of the others had given it up; `undefined` when they have not. */
  readonly deadEverywhereMs: number | undefined;
  /** Suspicions of members that ran, each counted once wherever it was heard of. */
  readonly falseSuspicions: number;
  /** Members that were given up and ran, counted at each that gave them up. */
  readonly falseDeaths: number;
  /** Bytes that a member sends in a second, in packets and on streams: payload alone. */
  readonly bytesPerSecond: number;
  /** Packets that a member sends in a second. */
  readonly packetsPerSecond: number;
  /** Events that happened. */
  readonly events: number;
  /** The fingerprint of all that happened: the same for the same options. */
  readonly hash: string;
}

/**
 * Simulates a group whose members know each other, and kills one of them when half of the time is over.
 *
 * @returns the figures, after it has yielded the simulated milliseconds that are over, every second of them.
 */
export function* simulateGroup(
  options: MembershipOptions & {
    /** How long, in simulated seconds. @default {120} */
    readonly seconds?: number;
  },
): Generator<number, GroupFigures> {
  const { seed, nodes = 100, loss = 0.01, lifeguard = true, seconds = 120 } = options;
  using simulation = new Simulation({ seed, link: { ...LAN, loss } });
  const swarm = new SwimSwarm(simulation, { nodes, tuning: { lifeguard } });
  const random = seededRandom(seedFrom(`${seed} faults`));
  const victim = swarm.names[Math.floor(random() * nodes)] ?? "n0";
  const killedMs = seconds * 500;
  simulation.schedule([{ kind: "kill", node: victim, atMs: killedMs }]);
  while (simulation.nowMs < seconds * 1_000) {
    simulation.run(Math.min(PIECE_MS, seconds * 1_000 - simulation.nowMs));
    yield simulation.nowMs;
  }
  const { hash, totals: { events, bytesOut, streamBytesOut, packetsOut } } = simulation;
  const isFalse = ({ about, atMs }: { about: string; atMs: number }) => {
    return about !== victim || atMs < killedMs;
  };
  const deaths = swarm.events.filter(({ type }) => type === "dead");
  const suspicions = swarm.events.filter(({ type }) => type === "suspect").filter(isFalse);
  // In the order they happened.
  const timesMs = deaths.filter((death) => !isFalse(death)).map(({ atMs }) => atMs - killedMs);
  const nodeSeconds = (nodes - 0.5) * seconds;
  return {
    deadAtHalfMs: timesMs[Math.ceil((nodes - 1) / 2) - 1],
    deadEverywhereMs: timesMs.length >= nodes - 1 ? Math.max(...timesMs) : undefined,
    falseSuspicions: new Set(suspicions.map((one) => `${one.about} ${one.incarnation}`)).size,
    falseDeaths: deaths.filter(isFalse).length,
    bytesPerSecond: (bytesOut + streamBytesOut) / nodeSeconds,
    packetsPerSecond: packetsOut / nodeSeconds,
    events,
    hash,
  };
}
