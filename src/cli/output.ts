/**
 * What the command line prints: results on stdout, everything for people on stderr.
 *
 * With `--json` each result is one JSON object on a line of its own, and so is each line of the log; without, they are
 * lines for people. Progress is shown on a terminal only.
 *
 * @module
 */

import { INVISIBLE, type Logger, type LogLevel, printable } from "../log.ts";
import { encodeJson } from "../wire/json.ts";
import { LiveScreen } from "./live_screen.ts";
import type { LiveTable } from "./live_table.ts";
import type { LogLevels } from "./log_levels.ts";
import { type Paint, painted } from "./paint.ts";
import { structuredLog } from "./structured_log.ts";

// What JSON leaves as it is and a terminal obeys: C1 controls, characters that reorder a line or cannot be seen.
const UNSAFE = new RegExp(`[\\p{Cc}\\p{Cf}\\p{Zl}\\p{Zp}]|${INVISIBLE}`, "gu");

/** Between two looks whether there is room again where output goes, in milliseconds. */
const FULL_WAIT_MS = 5;

const encoder = new TextEncoder();

/** Nobody wakes who waits for this: it is a pause. */
const pause = new Int32Array(new SharedArrayBuffer(4));

/** Where a verb prints to. */
export class Output {
  /** Whether results are JSON. */
  readonly json: boolean;
  /** Whether stderr is a terminal, which can show progress. */
  readonly interactive: boolean;
  /** Whether results are looked at on a terminal, where a table can change in its place. */
  readonly live: boolean;
  /** What the library says. */
  readonly log: Logger;
  #progressShown = false;
  #screen: LiveScreen | undefined;

  /** Makes one. */
  constructor({ json, level }: { json: boolean; level: LogLevels | LogLevel }) {
    this.json = json;
    this.interactive = Deno.stderr.isTerminal();
    this.live = !json && Deno.stdout.isTerminal();
    const write = (line: string) => this.note(json ? escapeUnsafe(line) : line);
    this.log = structuredLog({ levels: level, json, write });
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

  /** What to wait for before printing more that can wait; nothing here, where printing takes as long as it takes. */
  room(): Promise<void> | undefined {
    return undefined;
  }

  /** Shows a table in place of the last one, where `live` says that there is such a place. */
  table(table: LiveTable): void {
    this.#screen ??= openScreen();
    this.#screen.draw(table);
  }

  #clearProgress(): void {
    this.#screen?.clear();
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
  return counted(count, "file");
}

/** `1 peer`, `2 peers`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
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

/** The terminal that results go to. A change of its size is followed until the program ends. */
function openScreen(): LiveScreen {
  const screen = new LiveScreen({
    size: () => {
      const { columns, rows } = Deno.consoleSize();
      return { columns: columns || 80, rows: rows || 24 }; // some terminals do not say
    },
    write: (text) => print(Deno.stdout, text),
    painted: (text, paint) => painted(text, paint, Deno.stdout),
  });
  if (Deno.build.os !== "windows") Deno.addSignalListener("SIGWINCH", () => screen.redraw());
  return screen;
}

interface SyncWriter {
  writeSync(bytes: Uint8Array): number;
}

function print(to: SyncWriter, text: string): void {
  writeAll(to, encoder.encode(text));
}

/** Writes everything, for as long as that takes: also to a pipe that another program has made non-blocking. */
function writeAll(to: SyncWriter, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) {
    try {
      at += to.writeSync(bytes.subarray(at));
    } catch (error) {
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      Atomics.wait(pause, 0, 0, FULL_WAIT_MS);
    }
  }
}
