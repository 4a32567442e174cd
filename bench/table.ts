/**
 * How answers are printed: one line each, as they come.
 *
 * @module
 */

import type { Answer, Unit } from "./question.ts";

const WIDTHS = { question: 44, ours: 10, baseline: 10, result: 22, target: 9 } as const;

const SYMBOLS: Record<Unit, string> = { messages: "", bytes: "B", milliseconds: "ms" };
const PREFIXES = [["G", 1e9], ["M", 1e6], ["k", 1e3]] as const;

/** The line above the answers. */
export function tableHead(): string {
  return line("question", "ours", "baseline", "ratio (min..max)", "target", "holds");
}

/** An answer's line. */
export function tableRow(answer: Answer): string {
  const { question, unit, ours, baseline, result, target, holds, note } = answer;
  const isRace = baseline !== undefined;
  const row = line(
    question,
    ours === undefined ? "-" : isRace ? speed(ours, unit) : `${ours.toFixed(3)} ${SYMBOLS[unit]}`,
    isRace ? speed(baseline, unit) : "-",
    result === undefined
      ? "-"
      : `${decimals(result.median)} (${decimals(result.min)}..${decimals(result.max)})`,
    target,
    holds === undefined ? "-" : holds ? "yes" : "NO",
  );
  return note === undefined ? row : `${row}\n    ${note}`;
}

/** What was wanted, what was measured, and whether it holds, as a table of Markdown. */
export function targetTable(answers: readonly Answer[]): string[] {
  const rows = answers.map(({ question, target, result, holds }) => {
    const measured = result === undefined ? "not available here" : decimals(result.median);
    return `| ${question} | ${target} | ${measured} | ${
      holds === undefined ? "-" : holds ? "yes" : "no"
    } |`;
  });
  return ["", "| | target | measured | holds |", "|-|-:|-:|-|", ...rows];
}

function speed(perSecond: number, unit: Unit): string {
  const [prefix, scale] = PREFIXES.find(([, scale]) => perSecond >= scale) ?? ["", 1];
  return `${(perSecond / scale).toPrecision(3)} ${prefix}${SYMBOLS[unit]}/s`;
}

function decimals(ratio: number): string {
  return ratio.toFixed(Math.abs(ratio) < 10 ? 2 : 1);
}

function line(
  question: string,
  ours: string,
  baseline: string,
  result: string,
  target: string,
  holds: string,
): string {
  return [
    question.padEnd(WIDTHS.question),
    ours.padStart(WIDTHS.ours),
    baseline.padStart(WIDTHS.baseline),
    result.padStart(WIDTHS.result),
    target.padStart(WIDTHS.target),
    " " + holds,
  ].join(" ").trimEnd();
}
