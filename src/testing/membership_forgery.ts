/**
 * What a group makes of those who lie about others: somebody without a member's key, and a member.
 *
 * @module
 */

import { silentLogger } from "../log.ts";
import { type MembershipOptions, type MembershipRun, runMembership } from "./membership.ts";
import type { Simulation } from "./simulation.ts";
import { Forger, Liar } from "./swim_liar.ts";
import { simSigner, SwimNode } from "./swim_node.ts";

/** How long a group is left alone before, and how long it is lied to, in milliseconds. */
const CALM_MS = 60_000;
const LIES_MS = 60_000;

/** The member that lies. */
const LIAR = "n0";

/** What forged claims did. */
export interface ForgeryFigures {
  /** What members took to have happened to others: suspicions, deaths, goodbyes, returns. */
  readonly changes: number;
  /** Members that said something new of themselves. */
  readonly refutations: number;
  /** Forged claims that were refused, and whoever passed them on named. */
  readonly refused: number;
}

/** What a lying member did. */
export interface LiarFigures {
  /** Members that were given up, counted at each that gave them up. */
  readonly deaths: number;
  /** Suspicions that honest members heard of. */
  readonly suspicions: number;
  /** Suspicions that were refuted. */
  readonly refutations: number;
  /** Suspicions with an incarnation that the subject had not said it has. */
  readonly unproven: number;
  /** Suspicions that were ignored because too many of the liar's had been refuted. */
  readonly muted: number;
  /** Honest members that named the liar in their log. */
  readonly namedBy: number;
  /** Bytes that honest members sent meanwhile, to those they sent in as long a calm. */
  readonly traffic: number;
}

/**
 * Lets somebody who is no member forge claims about everybody, 50 times a second.
 *
 * @throws {ScenarioError} when the group is not whole afterwards.
 */
export function measureForgery(options: MembershipOptions): MembershipRun<ForgeryFigures> {
  return runMembership(options, {
    measure: (swarm) => {
      const { simulation, events, running } = swarm;
      simulation.run(CALM_MS);
      const [before, refuted] = [events.length, swarm.counted("refutations")];
      simulation.spawn("forger", (host) => new Forger(host, running));
      simulation.run(LIES_MS);
      simulation.kill("forger");
      swarm.untilWhole(1_000);
      return {
        changes: events.length - before,
        refutations: swarm.counted("refutations") - refuted,
        refused: swarm.counted("refused-claims"),
      };
    },
  });
}

/**
 * Lets a member accuse all others, 50 times a second.
 *
 * @throws {ScenarioError} when the group is not whole afterwards.
 */
export function measureLiar(options: MembershipOptions): MembershipRun<LiarFigures> {
  const named = new Set<string>();
  const liarId = simSigner(LIAR).peerId;
  return runMembership(options, {
    swarm: {
      make: (host, nodeOptions) => {
        if (host.name === LIAR) return new Liar(host, nodeOptions);
        const warn = (_: string, fields = {}) => {
          if (Object.values(fields).includes(liarId)) named.add(host.name);
        };
        return new SwimNode(host, { ...nodeOptions, log: { ...silentLogger, warn } });
      },
    },
    measure: (swarm) => {
      const { simulation, events, names } = swarm;
      const liar = swarm.node(LIAR);
      if (!(liar instanceof Liar)) throw new TypeError(`${LIAR} is no liar`);
      const honest = names.filter((name) => name !== LIAR);
      simulation.run(CALM_MS);
      const calmFrom = bytesOf(simulation, honest);
      simulation.run(LIES_MS);
      const [calmTo, before] = [bytesOf(simulation, honest), events.length];
      const lies = liar.begin(honest.map((name) => swarm.node(name)));
      simulation.run(LIES_MS);
      lies.cancel();
      const liedTo = bytesOf(simulation, honest);
      swarm.untilWhole(60_000);
      const since = events.slice(before).filter(({ by }) => by !== LIAR);
      return {
        deaths: since.filter(({ type }) => type === "dead").length,
        suspicions: since.filter(({ type }) => type === "suspect").length,
        refutations: swarm.counted("refutations"),
        unproven: swarm.counted("unproven-incarnations"),
        muted: swarm.counted("muted"),
        namedBy: named.size,
        traffic: (liedTo - calmTo) / (calmTo - calmFrom),
      };
    },
  });
}

function bytesOf(simulation: Simulation, names: readonly string[]): number {
  const stats = names.map((name) => simulation.stats(name));
  return stats.reduce((sum, { bytesOut, streamBytesOut }) => sum + bytesOut + streamBytesOut, 0);
}
