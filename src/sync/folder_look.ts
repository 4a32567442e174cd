/**
 * Looks at a folder for {@linkcode SyncFolder}: by its rules as they are now, and only if it is the folder it was.
 *
 * @module
 */

import { type Clock, sleep } from "../clock.ts";
import { PeerError } from "../errors.ts";
import { printable } from "../log.ts";
import type { SyncEvent } from "./folder_events.ts";
import { type FolderMark, readRules } from "./folder_root.ts";
import { tombstoneOf } from "./entry.ts";
import { IgnoreRules } from "./ignore.ts";
import { liveAt, type SyncIndex } from "./index.ts";
import { UNSHARED } from "./local_edits.ts";
import { type Rescan, rescan } from "./rescan.ts";

/** Why a file was not looked into this time; the next look does. */
const PASSING: readonly string[] = ["gone", "changed while it was read"];

/** Rules that are gone are looked for once more after so long: a program that saves a file may remove it a moment before. */
const SAVING_MS = 1_000;

/** What is needed to look at a folder. */
export interface FolderLookOptions {
  /** Its real path. */
  readonly dir: string;
  /** What is known of it. */
  readonly index: SyncIndex;
  /** What is not shared. @default what its file of rules says */
  readonly ignore?: IgnoreRules | undefined;
  /** What is never shared, relative to the folder. */
  readonly apart?: string | undefined;
  /** Where time comes from. */
  readonly clock: Clock;
  /** Told of what is not shared, once, and of rules that cannot be understood. */
  readonly tell: (event: SyncEvent) => void;
  /** Says in the folder that it is that of the index. */
  readonly mark: Pick<FolderMark, "isThere" | "canBePut" | "put" | "fault">;
  /** Whether that is said: where it cannot be, only what is missing all at once is not taken for deleted. */
  readonly marks: "always" | "if possible" | "never";
  /** Stops a look. */
  readonly signal: AbortSignal;
}

/** Looks at one folder. */
export class FolderLook {
  readonly #options: FolderLookOptions;
  readonly #skipped = new Set<string>();
  readonly #given: IgnoreRules | undefined;
  #rules: IgnoreRules | undefined;

  /** Has not looked yet. */
  constructor(options: FolderLookOptions) {
    const { ignore } = options;
    this.#options = options;
    this.#given = ignore && this.#apart(ignore);
  }

  /** The rules, as they were at the last look. */
  get rules(): IgnoreRules {
    return this.#given ?? this.#rules ?? this.#apart(IgnoreRules.none);
  }

  /**
   * Compares the disk with the index. What is missing counts only if this is the folder that the index is of.
   *
   * @throws {UnsupportedError} when it is not, or its rules cannot be read. @throws {InvalidPacketError} when they cannot be
   * understood. When they could be before, those stay.
   */
  async look(): Promise<Rescan> {
    const { index, tell } = this.#options;
    this.#rules = await this.#readRules();
    const found = await this.#compare();
    await this.#checkMark(found);
    index.noteStats(found.unshared.map((path) => [path, UNSHARED]));
    // Whoever has the same version and the file has more than we do.
    const lost = found.lost.flatMap((path) => liveAt(index, path) ?? []);
    index.put(lost.map((entry) => ({ entry: tombstoneOf(entry, entry.version) })));
    for (const { path, reason } of found.skipped) {
      if (this.#skipped.has(path) || PASSING.includes(reason)) continue;
      this.#skipped.add(path);
      tell({ type: "skipped", path: printable(path), reason });
    }
    return found;
  }

  /** Sees to it that files are missing only where the folder says that it is the one that the index is of. */
  async #checkMark(found: Rescan): Promise<void> {
    const { index, mark, marks } = this.#options;
    const missing = missingIn(found);
    if (mark.isThere()) return;
    if (missing === 0) return this.#putMark();
    const canBePut = marks === "always" || (marks === "if possible" && mark.canBePut());
    // Taken away while we looked, or never marked.
    const isOther = canBePut || missingIn(await this.#compare()) === index.known().size;
    if (isOther) throw mark.fault(missing);
  }

  #putMark(): void {
    const { mark, marks } = this.#options;
    if (marks === "always" || (marks === "if possible" && mark.canBePut())) mark.put();
  }

  #compare(): Promise<Rescan> {
    const { dir, index, clock, signal } = this.#options;
    return rescan(dir, index, { rules: this.rules, wallMs: clock.wallMs(), signal });
  }

  /** The rules, or those from before when they cannot be understood. */
  async #readRules(): Promise<IgnoreRules | undefined> {
    const { dir, clock, signal, tell } = this.#options;
    const before = this.#rules;
    if (this.#given !== undefined) return undefined;
    try {
      let rules = readRules(dir);
      if (rules.number === 0 && before !== undefined && before.number !== 0) {
        await sleep(clock, SAVING_MS, { signal });
        rules = readRules(dir);
      }
      return this.#apart(rules);
    } catch (error) {
      if (before === undefined || signal.aborted || !(error instanceof PeerError)) throw error;
      tell({ type: "failed", reason: error.message });
      return before;
    }
  }

  #apart(rules: IgnoreRules): IgnoreRules {
    const { apart } = this.#options;
    return apart === undefined ? rules : rules.apartFrom(apart);
  }
}

function missingIn({ gone, lost }: Rescan): number {
  return gone.length + lost.length;
}
