/**
 * What a soak run has counted, and how it is shown.
 *
 * @module
 */

import type { Usage } from "./swarm.ts";

/** Every kind of operation. */
export const KINDS = ["call", "publish", "put", "get", "send", "edit"] as const;

/** A kind of operation. */
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

/** How the use of something has changed: its mean at first and at last, and what it grows by in a minute. */
export function trendOf(
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
