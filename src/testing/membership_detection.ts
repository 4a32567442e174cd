/**
 * How soon everybody knows that a member is dead, and that those who said goodbye are not.
 *
 * @module
 */

import type { Fault } from "./faults.ts";
import { draw, type MembershipOptions, type MembershipRun, runMembership } from "./membership.ts";
import type { SwimSwarm } from "./swim_swarm.ts";

/** When the first one is killed, and how long until the next, in milliseconds. */
const FIRST_MS = 10_000;
const APART_MS = 45_000;

/** How dead members are found. */
export interface DetectionFigures {
  /** For each that was killed: milliseconds until the last of the others had given it up. */
  readonly everywhereMs: readonly number[];
  /** For each that was killed, at each of the others. */
  readonly anywhereMs: readonly number[];
  /** Deaths of members that ran, counted at each that believed it. */
  readonly falseDeaths: number;
}

/** How members go that say so. */
export interface LeavingFigures {
  /** For each that left: milliseconds until the last of the others knew. */
  readonly everywhereMs: readonly number[];
  /** Others that suspected one that left, or took it for dead, before they knew. */
  readonly mistaken: number;
}

/**
 * Kills some members, one after another.
 *
 * @throws {ScenarioError} when one is not found to be dead everywhere before the next is killed.
 */
export function measureDetection(
  options: MembershipOptions & {
    /** How many are killed. @default {3} */
    readonly kills?: number;
  },
): MembershipRun<DetectionFigures> {
  const { kills = 3 } = options;
  return runMembership(options, {
    faults: (names, random) => oneByOne("kill", draw(names, kills, random)),
    measure: (swarm, faults) => {
      const times = faults.map((fault) => timesUntil(swarm, fault, "dead"));
      const killed = new Map(faults.map((fault) => [nodeOf(fault), fault.atMs]));
      const falseDeaths = swarm.events.filter(({ type, about, atMs }) => {
        return type === "dead" && atMs < (killed.get(about) ?? Infinity);
      });
      return {
        everywhereMs: times.map((each) => Math.max(...each)),
        anywhereMs: times.flat(),
        falseDeaths: falseDeaths.length,
      };
    },
  });
}

/**
 * Lets some members leave in order, one after another.
 *
 * @throws {ScenarioError} when not everybody else knows that before the next one leaves.
 */
export function measureLeaving(
  options: MembershipOptions & {
    /** How many leave. @default {3} */
    readonly leaves?: number;
  },
): MembershipRun<LeavingFigures> {
  const { leaves = 3 } = options;
  return runMembership(options, {
    faults: (names, random) => oneByOne("stop", draw(names, leaves, random)),
    measure: (swarm, faults) => {
      const times = faults.map((fault) => timesUntil(swarm, fault, "left"));
      const left = new Map(faults.map((fault) => [nodeOf(fault), fault.atMs]));
      const mistaken = swarm.events.filter(({ type, about, atMs }) => {
        return (type === "dead" || type === "suspect") && atMs >= (left.get(about) ?? Infinity);
      });
      return {
        everywhereMs: times.map((each) => Math.max(...each)),
        mistaken: mistaken.length,
      };
    },
  });
}

function oneByOne(kind: "kill" | "stop", nodes: readonly string[]): Fault[] {
  return nodes.map((node, index) => ({ atMs: FIRST_MS + index * APART_MS, kind, node }));
}

/** Runs until the time of the next fault. @returns when each of the others knew, after it had happened. */
function timesUntil(swarm: SwimSwarm, fault: Fault, type: "dead" | "left"): number[] {
  const { simulation, events } = swarm;
  const node = nodeOf(fault);
  simulation.run(Math.max(0, fault.atMs + APART_MS - 1 - simulation.nowMs));
  const knew = events.filter((event) => {
    return event.type === type && event.about === node && event.atMs >= fault.atMs;
  });
  const knowers = new Set(knew.map(({ by }) => by));
  for (const name of simulation.running) {
    if (name !== node && !knowers.has(name)) {
      throw new Error(`${name} does not know that ${node} is ${type} after ${APART_MS} ms`);
    }
  }
  return knew.map(({ atMs }) => atMs - fault.atMs);
}

function nodeOf(fault: Fault): string {
  return "node" in fault ? fault.node : "";
}
