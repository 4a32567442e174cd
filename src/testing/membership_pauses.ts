/**
 * What a group makes of members that stop for a moment: virtual machines that are moved, processes that wait for a disk.
 *
 * @module
 */

import type { Fault } from "./faults.ts";
import { draw, type MembershipOptions, type MembershipRun, runMembership } from "./membership.ts";
import type { SwarmEvent } from "./swim_swarm.ts";

/** How often some are paused, how many of all, and for how long. */
const EVERY_MS = 30_000;
const PAUSED_SHARE = 0.05;
const PAUSE_MS = 2_000;

/** How long whoever is paused several times in a row runs in between, in milliseconds. */
const AWAKE_MS = 20;

/** How long after the beginning of its pause whoever is suspected was rightly so, in milliseconds. */
const EXCUSED_MS = 4_000;

/** How a group takes pauses. */
export interface PauseFigures {
  /** Members that were given up and ran, counted at each that gave them up. */
  readonly falseDeaths: number;
  /** Those of them that were not paused in the four seconds before. */
  readonly healthyDeaths: number;
  /** Suspicions, each counted once wherever it was heard of. */
  readonly suspicions: number;
  /** Those of them whose subject was not paused in the four seconds before. */
  readonly falseSuspicions: number;
  /** Suspicions that their subjects refuted. */
  readonly refutations: number;
  /** Pauses that there were. */
  readonly pauses: number;
}

/**
 * Pauses 5 % of all members for two seconds, others every 30 s.
 *
 * @throws {ScenarioError} when the group is not whole a minute after the last pause.
 */
export function measurePauses(
  options: MembershipOptions & {
    /** How long it goes on, in simulated seconds. @default {3600} */
    readonly seconds?: number;
    /** How often each pause is followed by another one, 20 ms later: as where a machine has too much to do. @default {1} */
    readonly inARow?: number;
  },
): MembershipRun<PauseFigures> {
  const { seconds = 3_600, inARow = 1 } = options;
  return runMembership(options, {
    faults: (names, random) => pauses(names, { seconds, inARow, random }),
    measure: (swarm, faults) => {
      swarm.simulation.run(seconds * 1_000);
      const suspicions = firstOfEach(swarm.events.filter(({ type }) => type === "suspect"));
      const pausedAt = Map.groupBy(faults, (fault) => "node" in fault ? fault.node : "");
      const isExcused = ({ about, atMs }: SwarmEvent) => {
        return (pausedAt.get(about) ?? []).some((pause) => {
          return pause.atMs <= atMs && atMs <= pause.atMs + EXCUSED_MS;
        });
      };
      const deaths = swarm.events.filter(({ type }) => type === "dead");
      const refutations = swarm.counted("refutations");
      swarm.untilWhole(60_000);
      return {
        falseDeaths: deaths.length,
        healthyDeaths: deaths.filter((event) => !isExcused(event)).length,
        suspicions: suspicions.length,
        falseSuspicions: suspicions.filter((event) => !isExcused(event)).length,
        refutations,
        pauses: faults.length,
      };
    },
  });
}

function pauses(
  names: readonly string[],
  { seconds, inARow, random }: { seconds: number; inARow: number; random: () => number },
): Fault[] {
  const faults: Fault[] = [];
  const count = Math.max(1, Math.round(names.length * PAUSED_SHARE));
  for (let startMs = EVERY_MS; startMs < seconds * 1_000; startMs += EVERY_MS) {
    for (const node of draw(names, count, random)) {
      for (let done = 0; done < inARow; done++) {
        const atMs = startMs + done * (PAUSE_MS + AWAKE_MS);
        faults.push({ atMs, kind: "pause", node, ms: PAUSE_MS });
      }
    }
  }
  return faults;
}

/** When each suspicion was heard of first: whoever refutes it has another incarnation then. */
function firstOfEach(events: readonly SwarmEvent[]): SwarmEvent[] {
  const first = new Map<string, SwarmEvent>();
  for (const event of events) {
    const key = `${event.about} ${event.incarnation}`;
    if (!first.has(key)) first.set(key, event);
  }
  return [...first.values()];
}
