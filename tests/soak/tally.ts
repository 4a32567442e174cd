/**
 * What a soak run has counted, and how it is shown.
 *
 * @module
 */

import type { Usage } from "./swarm.ts";

/** Runs up to this long tell nothing of what a minute adds, in seconds. */
const SHORT_S = 300;

/** Every kind of operation, and the lives of processes, which end as they should, are killed, or crash. */
export const KINDS = ["call", "publish", "put", "get", "send", "edit", "process"] as const;

/** A kind of operation, or a process. */
export type Kind = typeof KINDS[number];

/** What became of operations of one kind. */
interface Row {
  done: number;
  excused: number;
  lost: number;
}

/** Counts. */
export class Tally {
  /** Faults by name. */
  readonly faults: Record<string, number> = { kill: 0, restart: 0, cut: 0, pause: 0 };
  /** What was lost, for whoever looks for the reason. */
  readonly losses: string[] = [];
  readonly #rows = new Map(
    KINDS.map((kind): [Kind, Row] => [kind, { done: 0, excused: 0, lost: 0 }]),
  );

  /** It has gone well, or was hit by a fault while it was at work, or neither. */
  count(kind: Kind, what: keyof Row, why = ""): void {
    const row = this.#rows.get(kind);
    if (row !== undefined) row[what]++;
    if (what === "lost") this.losses.push(`${kind}: ${why}`);
  }

  /** The table. */
  lines(seconds: number): string[] {
    const rows = [...this.#rows].map((
      [kind, { done, excused, lost }],
    ) => [kind, done, excused, lost]);
    const sum = (at: number) => rows.reduce((total, row) => total + Number(row[at]), 0);
    const all = [...rows, ["all", sum(1), sum(2), sum(3)]];
    const faults = Object.entries(this.faults).map(([name, count]) => `${count} ${name}s`);
    return [
      "| operation | done | hit by a fault | lost |",
      "|-----------|-----:|---------------:|-----:|",
      ...all.map((cells) => `| ${cells.join(" | ")} |`),
      "",
      `faults in ${Math.round(seconds)} s: ${faults.join(", ")}`,
    ];
  }
}

/** What memory and handles did. @param usages Of each process since its last start; the last one was never killed. */
export function usageLines(usages: readonly (readonly Usage[])[], seconds: number): string[] {
  const usage = usages.at(-1) ?? [];
  // What a few minutes grow by is caches that fill, and would mislead as a rate.
  const isTold = seconds > SHORT_S;
  const memory = trendOf(usage, ({ residentBytes }) => residentBytes / 1e6);
  const handles = trendOf(usage, ({ handles }) => handles);
  const trends = [
    "of the process that was never killed, first third and last:",
    `memory ${trendText(memory, "MB", isTold)}`,
    `open handles ${trendText(handles, "", isTold)}`,
  ];
  // One that has just begun has the same state as the others: what these have beyond it is not given back.
  const ages = usages.flatMap(([first, ...more]) => {
    const last = more.at(-1);
    return first === undefined || last === undefined ? [] : [{
      seconds: (last.atMs - first.atMs) / 1_000,
      megabytes: last.residentBytes / 1e6,
    }];
  }).toSorted((a, b) => b.seconds - a.seconds);
  const shown = ages.map((one) => `${Math.round(one.megabytes)} MB (${Math.round(one.seconds)} s)`);
  return [
    ...(usage.length > 0 ? trends : []),
    `memory of each at the end, by time since its start: ${shown.join(", ")}`,
  ];
}

/** How the use of something has changed: its mean at first and at last, and what it grows by in a minute. */
function trendOf(
  usage: readonly Usage[],
  valueOf: (usage: Usage) => number,
): { first: number; last: number; perMinute: number } {
  const third = Math.max(1, Math.floor(usage.length / 3));
  const mean = (part: readonly Usage[]) =>
    part.reduce((sum, one) => sum + valueOf(one), 0) / Math.max(1, part.length);
  // What is filled once, such as caches, is full after a third.
  const later = usage.slice(third);
  const [meanMs, meanValue] = [
    later.reduce((sum, { atMs }) => sum + atMs, 0) / later.length,
    mean(later),
  ];
  let [above, below] = [0, 0];
  for (const one of later) {
    above += (one.atMs - meanMs) * (valueOf(one) - meanValue);
    below += (one.atMs - meanMs) ** 2;
  }
  const perMinute = below === 0 ? 0 : above / below * 60_000;
  return { first: mean(usage.slice(0, third)), last: mean(usage.slice(-third)), perMinute };
}

function trendText(
  { first, last, perMinute }: ReturnType<typeof trendOf>,
  unit: string,
  isTold: boolean,
): string {
  const [from, to] = [first, last].map((value) => `${Math.round(value)} ${unit}`.trim());
  return `${from}, then ${to}` + (isTold ? `, ${perMinute.toFixed(1)} a minute` : "");
}
