/**
 * What a benchmark asks, and how the answer is measured: a race of ours against a baseline in the same run, or an
 * amount against a bound.
 *
 * Speeds in themselves say little on a shared machine. So every round runs both sides, in an order left to chance, and
 * only the ratio of the two is judged.
 *
 * @module
 */

import { shuffled, type Spread, spread } from "./stats.ts";

/** What is counted. */
export type Unit = "messages" | "bytes" | "milliseconds";

/** Two ways of doing the same, ready to run. */
export interface Contest extends AsyncDisposable {
  /** Runs ours once. @returns its speed in the question's unit per second. */
  ours(): Promise<number> | number;
  /** Runs the baseline once. @returns its speed. */
  baseline(): Promise<number> | number;
  /** What else was seen, in a few words. */
  note?(): string;
}

/** How much faster ours is than the baseline. */
export interface Race {
  readonly type: "race";
  /** What is compared, the baseline after "vs". */
  readonly name: string;
  /** What the speeds count. */
  readonly unit: Unit;
  /** The median ratio that is wanted; without it the ratio is only shown. */
  readonly atLeast?: number;
  /** Most rounds, for what takes seconds each. @default {Infinity} */
  readonly maxRounds?: number;
  /** Makes both sides ready. @throws {Unavailable} when one of them cannot be had here. */
  open(): Promise<Contest> | Contest;
}

/** How much of something there is. */
export interface Gauge {
  readonly type: "gauge";
  /** What is measured. */
  readonly name: string;
  /** What the amount counts. */
  readonly unit: Unit;
  /** The median amount that is wanted. */
  readonly atMost: number;
  /** Most rounds, for what takes seconds each. @default {Infinity} */
  readonly maxRounds?: number;
  /** Measures once. */
  measure(): Promise<number>;
  /** What else was seen, in a few words. */
  note?(): string;
}

/** Anything the table has a row for. */
export type Question = Race | Gauge;

/** What came out. */
export interface Answer {
  /** The question's name. */
  readonly question: string;
  /** What `ours` and `baseline` count. */
  readonly unit: Unit;
  /** Median speed or amount; missing when ours was not available. */
  readonly ours?: number;
  /** Median speed of the baseline; missing for a gauge. */
  readonly baseline?: number;
  /** The ratios of the rounds, or the amounts of a gauge; missing when there are none. */
  readonly result?: Spread;
  /** The target as text. */
  readonly target: string;
  /** Whether the median meets the target; missing when nothing was measured. */
  readonly holds?: boolean;
  /** What else there is to say. */
  readonly note?: string;
}

/** One side of a question cannot be measured on this machine; the message says why. */
export class Unavailable extends Error {}

/** How to measure. */
export interface AskOptions {
  /** How often. */
  rounds: number;
  /** Decides who goes first in each round. */
  random: () => number;
}

/** Measures a question. What is not available gives an answer that says so. */
export async function ask(question: Question, options: AskOptions): Promise<Answer> {
  const rounds = Math.min(options.rounds, question.maxRounds ?? Infinity);
  try {
    return question.type === "race"
      ? await race(question, { ...options, rounds })
      : await gauge(question, rounds);
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    return { ...heading(question), note: `not available: ${error.message}` };
  }
}

async function race(question: Race, { rounds, random }: AskOptions): Promise<Answer> {
  await using contest = await question.open();
  const speeds = { ours: [] as number[], baseline: [] as number[] };
  let missing: string | undefined;
  for (let round = 0; round < rounds; round++) {
    for (const side of shuffled(["ours", "baseline"] as const, random)) {
      if (side === "ours" && missing !== undefined) continue;
      try {
        speeds[side].push(await contest[side]());
      } catch (error) {
        if (side === "baseline" || !(error instanceof Unavailable)) throw error;
        missing = `not available: ${error.message}`;
      }
    }
  }
  const baseline = spread(speeds.baseline).median;
  if (missing !== undefined) return { ...heading(question), baseline, note: missing };
  const result = spread(speeds.ours.map((speed, round) => speed / (speeds.baseline[round] ?? NaN)));
  return {
    ...heading(question),
    ours: spread(speeds.ours).median,
    baseline,
    result,
    ...(question.atLeast !== undefined && { holds: result.median >= question.atLeast }),
    ...(contest.note && { note: contest.note() }),
  };
}

async function gauge(question: Gauge, rounds: number): Promise<Answer> {
  const amounts: number[] = [];
  for (let round = 0; round < rounds; round++) amounts.push(await question.measure());
  const result = spread(amounts);
  return {
    ...heading(question),
    ours: result.median,
    result,
    holds: result.median <= question.atMost,
    ...(question.note && { note: question.note() }),
  };
}

function heading(question: Question): Pick<Answer, "question" | "unit" | "target"> {
  return { question: question.name, unit: question.unit, target: targetOf(question) };
}

/** The target of a question as text; `-` where it has none. */
export function targetOf(question: Question): string {
  if (question.type === "gauge") return `<= ${question.atMost}`;
  return question.atLeast === undefined ? "-" : `>= ${question.atLeast}`;
}
