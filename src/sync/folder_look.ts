/**
 * Looks at a folder for {@linkcode SyncFolder}: by its rules as they are now, and only if it is the folder it was.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { InvalidPacketError } from "../errors.ts";
import { printable } from "../log.ts";
import type { SyncEvent } from "./folder_events.ts";
import { type FolderRules, isMarked, NO_RULES, notThatFolder, readRules } from "./folder_root.ts";
import type { IgnoreRules } from "./ignore.ts";
import type { SyncIndex } from "./index.ts";
import { type Rescan, rescan } from "./rescan.ts";

/** Why a file was not looked into this time; the next look does. */
const PASSING: readonly string[] = ["gone", "changed while it was read"];

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
  /** Says in the folder that it is that of the index, where it may be written to. */
  readonly mark: (() => void) | undefined;
  /** Stops a look. */
  readonly signal: AbortSignal;
}

/** Looks at one folder. */
export class FolderLook {
  readonly #options: FolderLookOptions;
  readonly #skipped = new Set<string>();
  readonly #given: IgnoreRules | undefined;
  #rules: FolderRules;

  /** Has not looked yet. */
  constructor(options: FolderLookOptions) {
    const { ignore } = options;
    this.#options = options;
    this.#given = ignore && this.#apart(ignore);
    this.#rules = { ...NO_RULES, rules: this.#apart(NO_RULES.rules) };
  }

  /** The rules, as they were at the last look. */
  get rules(): IgnoreRules {
    return this.#given ?? this.#rules.rules;
  }

  /** Another number for other rules; 0 for none. */
  get rulesNumber(): number {
    return this.#rules.number;
  }

  /**
   * Compares the disk with the index. What is missing counts only if this is the folder that the index is of.
   *
   * @throws {UnsupportedError} when it is not.
   */
  async look(): Promise<Rescan> {
    const { dir, index, tell, mark } = this.#options;
    this.#rules = this.#readRules();
    let found = await this.#compare();
    if (found.gone.length > 0 && !isMarked(dir, index.replica)) {
      // Taken away while we looked, or the mark alone was removed.
      found = await this.#compare();
      if (found.gone.length === index.known().size) throw notThatFolder(dir);
      mark?.();
    }
    for (const { path, reason } of found.skipped) {
      if (this.#skipped.has(path) || PASSING.includes(reason)) continue;
      this.#skipped.add(path);
      tell({ type: "skipped", path: printable(path), reason });
    }
    return found;
  }

  #compare(): Promise<Rescan> {
    const { dir, index, clock, signal } = this.#options;
    return rescan(dir, index, { rules: this.rules, wallMs: clock.wallMs(), signal });
  }

  /** The rules, or those from before when they cannot be understood. */
  #readRules(): FolderRules {
    if (this.#given !== undefined) return NO_RULES;
    try {
      const { rules, number } = readRules(this.#options.dir);
      return { rules: this.#apart(rules), number };
    } catch (error) {
      if (!(error instanceof InvalidPacketError)) throw error;
      this.#options.tell({ type: "failed", reason: error.message });
      return this.#rules;
    }
  }

  #apart(rules: IgnoreRules): IgnoreRules {
    const { apart } = this.#options;
    return apart === undefined ? rules : rules.apartFrom(apart);
  }
}
