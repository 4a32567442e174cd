/**
 * What the library says, as lines on stderr: for people, or with `--json` as one JSON object each.
 *
 * ```
 * debug: gossip: a neighbour came topic=news peerId=5ad0…
 * {"time":"2026-01-31T12:00:00.000Z","level":"debug","layer":"gossip","message":"a neighbour came","fields":{"topic":"news"}}
 * ```
 *
 * What is said within a request names its trace, whichever layer says it. `@std/log` decides what is said.
 *
 * @module
 */

import { BaseHandler, type LevelName, Logger as StdLogger, type LogRecord } from "@std/log";
import { currentTrace } from "../endpoint/tracing.ts";
import {
  LOG_LAYERS,
  LOG_LEVELS,
  type LogFields,
  type Logger,
  type LogLayer,
  type LogLevel,
  printable,
} from "../log.ts";
import { encodeJson } from "../wire/json.ts";
import { levelOf, type LogLevels } from "./log_levels.ts";
import { redacted, shownField } from "./redact.ts";

/** How lines are written. */
export interface LogOptions {
  /** What is said. */
  readonly levels: LogLevels | LogLevel;
  /** Whether lines are JSON. */
  readonly json: boolean;
  /** Writes a line. */
  readonly write: (line: string) => void;
  /** The time, in milliseconds since 1970. @default {Date.now} */
  readonly now?: () => number;
}

/** The logger of the command line itself, which has those of all layers. */
export function structuredLog(options: LogOptions): Logger {
  const { json, write, now = Date.now } = options;
  const handler = new LineHandler(json ? (record) => jsonLine(record, now()) : textLine, write);
  const loggers = new Map(LOG_LAYERS.map((layer) => {
    return [layer, new LayerLogger(layer, levelOf(options.levels, layer), handler, of)];
  }));
  function of(layer: LogLayer): Logger {
    return loggers.get(layer) ?? ofCli;
  }
  const ofCli = new LayerLogger("cli", levelOf(options.levels, "cli"), handler, of);
  return ofCli;
}

/** What one layer says. */
class LayerLogger implements Logger {
  readonly #logger: StdLogger;
  readonly #least: number;
  readonly layer: (layer: LogLayer) => Logger;

  constructor(
    name: LogLayer,
    level: LogLevel,
    handler: BaseHandler,
    layer: (layer: LogLayer) => Logger,
  ) {
    this.#logger = new StdLogger(name, level.toUpperCase() as LevelName, { handlers: [handler] });
    this.#least = LOG_LEVELS.indexOf(level);
    this.layer = layer;
  }

  enabled(level: LogLevel): boolean {
    return LOG_LEVELS.indexOf(level) >= this.#least;
  }

  debug(message: string, fields?: LogFields): void {
    this.#logger.debug(message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#logger.info(message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#logger.warn(message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.#logger.error(message, fields);
  }
}

class LineHandler extends BaseHandler {
  readonly #write: (line: string) => void;

  constructor(formatter: (record: LogRecord) => string, write: (line: string) => void) {
    super("DEBUG", { formatter });
    this.#write = write;
  }

  override log(line: string): void {
    this.#write(line);
  }
}

function textLine(record: LogRecord): string {
  const { levelName, loggerName, msg } = record;
  const facts = fieldsOf(record).map(([name, value]) => ` ${name}=${quoted(String(value))}`);
  return `${levelName.toLowerCase()}: ${loggerName}: ${printable(redacted(msg), Infinity)}${
    facts.join("")
  }`;
}

function jsonLine(record: LogRecord, nowMs: number): string {
  const { levelName, loggerName: layer, msg } = record;
  const time = new Date(nowMs).toISOString();
  const fields = Object.fromEntries(fieldsOf(record));
  return encodeJson({
    time,
    level: levelName.toLowerCase(),
    layer,
    message: redacted(msg),
    fields,
  });
}

/** The fields of a line, with the trace at work where they do not name one. */
function fieldsOf({ args }: LogRecord): [string, string | number | boolean | null][] {
  const given: LogFields = typeof args[0] === "object" && args[0] !== null ? { ...args[0] } : {};
  const trace = given.trace === undefined ? currentTrace()?.traceId : undefined;
  const fields = trace === undefined ? given : { ...given, trace };
  return Object.entries(fields).map(([name, value]) => [
    printable(name, 64),
    shownField(name, value),
  ]);
}

/** A value of a line for people: in quotes where it could be taken for several. */
function quoted(text: string): string {
  return /^[^\s"=\\]+$/.test(text) ? text : JSON.stringify(text);
}
