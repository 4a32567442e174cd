/**
 * A strict reader of the text format of Prometheus (exposition format 0.0.4): it takes nothing that a scraper might not.
 *
 * @module
 */

/** A metric as it was read. */
export interface ReadMetric {
  readonly type: string;
  readonly help: string;
  /** Values by their labels as they stand there; `""` for none. */
  readonly samples: ReadonlyMap<string, number>;
}

const NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const LABEL = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\\\\\|\\\\"|\\\\n)*"';
const HELP = new RegExp(`^# HELP (${NAME}) ((?:[^\\\\]|\\\\\\\\|\\\\n)*)$`);
const TYPE = new RegExp(`^# TYPE (${NAME}) (counter|gauge)$`);
const SAMPLE = new RegExp(
  `^(${NAME})(\\{${LABEL}(?:,${LABEL})*\\})? (NaN|[+-]Inf|-?\\d+(?:\\.\\d+)?(?:e[+-]?\\d+)?)$`,
);

/** Reads a whole answer. @throws {Error} naming the line that is wrong. */
export function readMetrics(text: string): Map<string, ReadMetric> {
  if (text !== "" && !text.endsWith("\n")) throw new Error("the last line does not end");
  // deno-lint-ignore no-control-regex -- that there are none is what is tested
  if (/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/.test(text)) throw new Error("control character");
  const metrics = new Map<string, ReadMetric & { readonly samples: Map<string, number> }>();
  let help: readonly string[] | undefined;
  let current = "";
  for (const line of text.split("\n").slice(0, -1)) {
    const bad = () => new Error(`wrong line: ${line}`);
    const [, helped, words] = HELP.exec(line) ?? [];
    const [, typed, type] = TYPE.exec(line) ?? [];
    const [, name, labels = "", value] = SAMPLE.exec(line) ?? [];
    if (helped !== undefined) {
      if (help !== undefined || metrics.has(helped)) throw bad();
      help = [helped, words ?? ""];
    } else if (typed !== undefined) {
      if (help?.[0] !== typed) throw bad();
      metrics.set(typed, { type: type ?? "", help: help[1] ?? "", samples: new Map() });
      [current, help] = [typed, undefined];
    } else {
      const metric = metrics.get(name ?? "");
      if (help !== undefined || metric === undefined || name !== current) throw bad();
      if (metric.samples.has(labels)) throw bad();
      if (metric.type === "counter" && !name.endsWith("_total")) throw bad();
      metric.samples.set(labels, Number(value?.replace("Inf", "Infinity")));
    }
  }
  if (help !== undefined) throw new Error("help without a metric");
  for (const [name, { samples }] of metrics) {
    if (samples.size === 0) throw new Error(`no sample of ${name}`);
  }
  return metrics;
}
