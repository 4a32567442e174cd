/**
 * Peers that are written down in a text file:
 *
 * ```
 * # the machine room
 * 192.0.2.7:3485
 * [fe80::2%eth0]:3485
 * bob.example:3485  21fe31dfa154a261626bf854046fd2271b7bed4b   # nobody else
 * ```
 *
 * @module
 */

import { type Clock, sleep, systemClock } from "../../clock.ts";
import { type Logger, printable, silentLogger } from "../../log.ts";
import { fileStamp } from "../../secure/file_stamp.ts";
import { asPeerId } from "../../secure/trust_entry.ts";
import {
  type Candidate,
  type CandidateSource,
  MAX_CANDIDATES,
  parseCandidateAddress,
} from "../candidates.ts";

/** Largest file in bytes: the most peers there may be, at 256 bytes a line. */
const MAX_FILE_BYTES = 262_144;

/** Most lines, comments among them. */
const MAX_LINES = 8_192;

/** How often to look whether the file has changed, in milliseconds, as long as somebody looks for peers. */
const LOOK_EVERY_MS = 2_000;

/** Bad lines that are told one by one. */
const MAX_TOLD = 16;

/** What to know besides the file's name. */
export interface PeersFileOptions {
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
  /** Told of lines that say nothing, and of a file that cannot be read. @default {silentLogger} */
  log?: Logger;
}

/** What a peers file says. */
export interface PeersFileContents {
  /** The peers, in the order of their lines. At most 1024. */
  readonly candidates: readonly Candidate[];
  /** What is wrong with other lines: `line 3: "bob" is no HOST:PORT`. */
  readonly faults: readonly string[];
}

/**
 * Peers that a file names; it is read again when it changes.
 *
 * @example
 * ```ts
 * import { type Candidate, PeersFile } from "@kith/kith/discovery";
 * import { assertEquals } from "@std/assert";
 *
 * const path = await Deno.makeTempFile();
 * await Deno.writeTextFile(path, "# the machine room\n192.0.2.7:3485\n");
 * const found: Candidate[] = [];
 * for await (const candidate of new PeersFile(path).find(new AbortController())) {
 *   found.push(candidate);
 *   break;
 * }
 * assertEquals(found, [{ address: { hostname: "192.0.2.7", port: 3485 } }]);
 * await Deno.remove(path);
 * ```
 */
export class PeersFile implements CandidateSource {
  /** `file`. */
  readonly method = "file";
  readonly #path: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  #stamp: string | undefined | null = null; // before the first look
  #candidates: readonly Candidate[] = [];

  /** Reads nothing yet. */
  constructor(path: string, options: PeersFileOptions = {}) {
    const { clock = systemClock, log = silentLogger } = options;
    this.#path = path;
    this.#clock = clock;
    this.#log = log;
  }

  /** Those that it names, and those it names later, until aborted. A file that cannot be read leaves what it said last. */
  async *find({ signal }: { signal: AbortSignal }): AsyncGenerator<Candidate, void, void> {
    let given: readonly Candidate[] = [];
    while (!signal.aborted) {
      this.#refresh();
      if (given !== this.#candidates) yield* this.#candidates;
      given = this.#candidates;
      try {
        await sleep(this.#clock, LOOK_EVERY_MS, { signal });
      } catch {
        return; // nobody looks any more
      }
    }
  }

  #refresh(): void {
    // Looked at before it is read: what changes in between is seen the next time.
    const stamp = fileStamp(this.#path);
    if (stamp === this.#stamp) return;
    this.#stamp = stamp;
    try {
      const { candidates, faults } = parsePeersFile(readText(this.#path));
      this.#candidates = candidates;
      for (const fault of faults.slice(0, MAX_TOLD)) this.#warn(fault);
      const more = faults.length - MAX_TOLD;
      if (more > 0) this.#warn(`${more} more lines that name nobody`);
    } catch (error) {
      const why = printable(error instanceof Error ? error.message : String(error), 400);
      this.#log.error("could not read peers file", { path: printable(this.#path, 400), why });
    }
  }

  #warn(why: string): void {
    this.#log.warn("peers file", { path: printable(this.#path, 400), why: printable(why, 400) });
  }
}

/** Reads the text of a peers file: `HOST:PORT` on each line, then the peer's id or nothing; `#` begins a comment. */
export function parsePeersFile(text: string): PeersFileContents {
  const candidates: Candidate[] = [];
  const faults: string[] = [];
  const lines = text.split("\n", MAX_LINES + 1);
  if (lines.length > MAX_LINES) {
    faults.push(`line ${MAX_LINES + 1}: more than maxLines ${MAX_LINES}`);
  }
  for (const [at, line] of lines.slice(0, MAX_LINES).entries()) {
    const said = line.replace(/(^|\s)#.*$/s, "").trim();
    if (said === "") continue;
    const candidate = parseLine(said);
    const where = `line ${at + 1}`;
    if (typeof candidate === "string") faults.push(`${where}: ${candidate}`);
    else if (candidates.length < MAX_CANDIDATES) candidates.push(candidate);
    else faults.push(`${where}: more than maxCandidates ${MAX_CANDIDATES}`);
  }
  return { candidates, faults };
}

/** What a line says, or what is wrong with it. */
function parseLine(line: string): Candidate | string {
  const [where = "", id, more] = line.split(/\s+/, 3);
  const address = parseCandidateAddress(where);
  if (address === undefined) return `"${printable(where, 60)}" is no HOST:PORT`;
  if (id === undefined) return { address };
  const peerId = asPeerId(id);
  if (peerId === undefined) return `"${printable(id, 60)}" is no peer id`;
  return more === undefined ? { address, peerId } : `"${printable(more, 60)}" is too much`;
}

/** @throws {Error} for what is no file, is too large or cannot be read. */
function readText(path: string): string {
  // Looked at first: reading a pipe would wait for ever.
  const { isFile, size } = Deno.statSync(path);
  if (!isFile) throw new Error("it is no file");
  if (size > MAX_FILE_BYTES) throw new Error(`${size} bytes exceed maxFileBytes ${MAX_FILE_BYTES}`);
  return Deno.readTextFileSync(path);
}
