/**
 * `/metrics`: counters and figures in the text format that Prometheus reads (exposition format 0.0.4).
 *
 * ```
 * # HELP kith_link_stale_total Counter link.stale of kith
 * # TYPE kith_link_stale_total counter
 * kith_link_stale_total 3
 * ```
 *
 * @module
 */

import type { Figure } from "./source.ts";

/** The media type of the text. */
export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

const PREFIX = "kith_";

/** One metric: its lines belong together, and its name stands there once. */
interface Family {
  readonly help: string;
  readonly type: Figure["type"];
  readonly samples: Map<string, number>;
}

/**
 * Writes the text.
 *
 * Counters whose names become one are added up; of figures with one name the last counts.
 *
 * @example
 * ```ts
 * import { writeMetrics } from "@kith/kith/status";
 * import { assertEquals } from "@std/assert";
 *
 * const text = writeMetrics({ "link.stale": 3 });
 * assertEquals(text.split("\n").at(-2), "kith_link_stale_total 3");
 * ```
 *
 * @param counters By name, as `Metrics.snapshot` returns them.
 */
export function writeMetrics(
  counters: Readonly<Record<string, number>>,
  figures: readonly Figure[] = [],
): string {
  const families = new Map<string, Family>();
  for (const [counter, value] of Object.entries(counters)) addCounter(families, counter, value);
  for (const figure of figures) families.set(PREFIX + wordOf(figure.name), familyOf(figure));
  const names = [...families.keys()].sort();
  return names.map((name) => textOf(name, families.get(name))).join("");
}

function addCounter(families: Map<string, Family>, counter: string, value: number): void {
  const name = `${PREFIX}${wordOf(counter).replace(/_total$/, "")}_total`;
  const help = `Counter ${counter} of kith`;
  const { samples } = families.get(name) ?? { samples: new Map<string, number>() };
  samples.set("", (samples.get("") ?? 0) + value);
  families.set(name, { help: families.get(name)?.help ?? help, type: "counter", samples });
}

function familyOf({ help, type, value }: Figure): Family {
  if (typeof value === "number") return { help, type, samples: new Map([["", value]]) };
  const label = wordOf(value.label);
  const samples = Object.entries(value.values).map(([text, value]) => {
    return [`{${label}="${escaped(text).replaceAll('"', '\\"')}"}`, value] as const;
  });
  return { help, type, samples: new Map(samples) };
}

function textOf(name: string, family: Family | undefined): string {
  if (family === undefined || family.samples.size === 0) return "";
  const { help, type, samples } = family;
  const lines = [...samples].map(([labels, value]) => `${name}${labels} ${numberOf(value)}\n`);
  return `# HELP ${name} ${escaped(help)}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

/** A name in which nothing but lower case letters, digits and `_` is left. */
function wordOf(name: string): string {
  const word = name.toLowerCase().replace(/[^a-z0-9]+/g, "_");
  return /^[a-z]/.test(word) ? word : `x${word}`;
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll(/\r\n|\r|\n/g, "\\n");
}

function numberOf(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (Number.isFinite(value)) return String(value);
  return value > 0 ? "+Inf" : "-Inf";
}
