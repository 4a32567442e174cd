/**
 * What the command line prints: results on stdout, everything for people on stderr.
 *
 * With `--json` each result is one JSON object on a line of its own; without, it is a line for people. Progress is shown
 * on a terminal only.
 *
 * @module
 */

import { BaseHandler, type LevelName, Logger as StdLogger } from "@std/log";
import { INVISIBLE, type LogFields, type Logger, printable } from "../log.ts";
import { encodeJson } from "../wire/json.ts";
import { type Paint, painted } from "./paint.ts";

/** Levels of `--log`. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;

// What JSON leaves as it is and a terminal obeys: C1 controls, characters that reorder a line or cannot be seen.
const UNSAFE = new RegExp(`[\\p{Cc}\\p{Cf}\\p{Zl}\\p{Zp}]|${INVISIBLE}`, "gu");

const encoder = new TextEncoder();

/** Where a verb prints to. */
export class Output {
  /** Whether results are JSON. */
  readonly json: boolean;
  /** Whether stderr is a terminal, which can show progress. */
  readonly interactive: boolean;
  /** What the library says. */
  readonly log: Logger;
  #progressShown = false;

  /** Makes one. */
  constructor(options: { json: boolean; level: typeof LOG_LEVELS[number] }) {
    this.json = options.json;
    this.interactive = Deno.stderr.isTerminal();
    this.log = makeLogger(options.level, (line) => this.note(line));
  }

  /** Prints a result: `facts` as JSON, or `text` for people, in a colour where there are colours. */
  result(facts: Record<string, unknown>, text: string, paint?: Paint): void {
    this.#clearProgress();
    const shown = () => painted(showable(text), paint, Deno.stdout);
    print(Deno.stdout, (this.json ? escapeUnsafe(encodeJson(facts)) : shown()) + "\n");
  }

  /** Prints bytes as they are. */
  bytes(bytes: Uint8Array): void {
    writeAll(Deno.stdout, bytes);
  }

  /** Prints a line for people that is no result. */
  note(text: string, paint?: Paint): void {
    this.#clearProgress();
    print(Deno.stderr, painted(showable(text), paint, Deno.stderr) + "\n");
  }

  /** Shows a line that the next one replaces; on a terminal only. */
  progress(text: string): void {
    if (!this.interactive) return;
    print(Deno.stderr, `\r${printable(text)}\u001b[K`);
    this.#progressShown = true;
  }

  #clearProgress(): void {
    if (!this.#progressShown) return;
    print(Deno.stderr, "\r\u001b[K");
    this.#progressShown = false;
  }
}

/** Milliseconds to the microsecond: more digits say nothing. */
export function roundMs(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}

/** `12.3 MB`, in steps of 1000. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = Math.round(bytes);
  let unit = 0;
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** `1 file`, `2 files`. */
export function formatFiles(count: number): string {
  return `${count} ${count === 1 ? "file" : "files"}`;
}

/** The bar, rate and time left of a transfer: `[#####     ] 50 %  1.2 GB  610.0 MB/s  0:02 left`. */
export function formatProgress(bytes: number, totalBytes: number, seconds: number): string {
  const share = totalBytes === 0 ? 1 : bytes / totalBytes;
  const rate = seconds > 0 ? bytes / seconds : 0;
  const left = rate > 0 ? Math.ceil((totalBytes - bytes) / rate) : 0;
  const bar = "#".repeat(Math.round(share * 20)).padEnd(20);
  const clock = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
  const percent = `${Math.floor(share * 100)}`.padStart(3);
  return `[${bar}] ${percent} %  ${formatBytes(bytes)}  ${formatBytes(rate)}/s  ${clock} left`;
}

/**
 * A text of some lines, with nothing else in it that a terminal obeys. Who puts it together bounds what came from others
 * and keeps it on its line; this is the net below.
 */
function showable(text: string): string {
  return text.replace(/[^\n\t]+/g, (part) => printable(part, Infinity));
}

/** The same JSON value, in a text that a terminal can show. */
function escapeUnsafe(json: string): string {
  return json.replace(UNSAFE, (char) => {
    const units = char.split("").map((unit) => unit.charCodeAt(0).toString(16).padStart(4, "0"));
    return units.map((digits) => `\\u${digits}`).join("");
  });
}

function makeLogger(level: typeof LOG_LEVELS[number], write: (line: string) => void): Logger {
  const levelName = level.toUpperCase() as LevelName;
  const handler = new StderrHandler(levelName, write);
  const logger = new StdLogger("kith", levelName, { handlers: [handler] });
  const withFields = (message: string, fields: LogFields = {}) => {
    const facts = Object.entries(fields).map(([name, value]) => `${name}=${fieldText(value)}`);
    return [printable(message, Infinity), ...facts].join(" ");
  };
  return {
    debug: (message, fields) => void logger.debug(withFields(message, fields)),
    info: (message, fields) => void logger.info(withFields(message, fields)),
    warn: (message, fields) => void logger.warn(withFields(message, fields)),
    error: (message, fields) => void logger.error(withFields(message, fields)),
  };
}

/** One field of a log line. In quotes where it could be taken for several. */
function fieldText(value: unknown): string {
  // An object's own conversion to text may be anything, also an error.
  const isData = typeof value === "object" && value !== null && !(value instanceof Error);
  const text = printable(isData ? Deno.inspect(value) : String(value));
  return /^[^\s"=\\]+$/.test(text) ? text : JSON.stringify(text);
}

class StderrHandler extends BaseHandler {
  readonly #write: (line: string) => void;

  constructor(levelName: LevelName, write: (line: string) => void) {
    super(levelName, { formatter: ({ levelName, msg }) => `${levelName.toLowerCase()}: ${msg}` });
    this.#write = write;
  }

  override log(line: string): void {
    this.#write(line);
  }
}

interface SyncWriter {
  writeSync(bytes: Uint8Array): number;
}

function print(to: SyncWriter, text: string): void {
  writeAll(to, encoder.encode(text));
}

function writeAll(to: SyncWriter, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
}
