/**
 * An index in memory: for a folder that is shared once, and for simulations.
 *
 * @module
 */

import { compareCodePoints } from "../wire/code_point_order.ts";
import { foldPath } from "../transfer/safe_path.ts";
import {
  type IndexWrite,
  type KnownFile,
  MAX_SAME_CONTENTS,
  NO_MARK,
  type Opening,
  signedAnew,
  type StoredEntry,
  type SyncIndex,
  type SyncMark,
} from "./index.ts";
import { makeReplica } from "./version_vector.ts";

/**
 * Keeps an index as long as the program runs; see {@linkcode SyncIndex}.
 *
 * @example
 * ```ts
 * import { MemoryIndex } from "@kith/kith/sync";
 * import { assertEquals } from "@std/assert";
 *
 * const index = new MemoryIndex();
 * const version = new Map([[index.replica, 1]]);
 * const common = { deleted: false, size: 0, mode: 0o755, mtimeMs: 0, sha256: "", version };
 * const folder = (path: string) => ({ entry: { path, kind: "directory" as const, ...common } });
 * index.put([folder("docs"), folder("photos")]);
 * assertEquals(index.get("photos")?.seq, 2);
 * assertEquals(index.since(1).map(({ path }) => path), ["photos"]);
 * ```
 */
export class MemoryIndex implements SyncIndex {
  /** The index' own name. */
  readonly id: string;
  /** It is open once. */
  readonly openings: readonly Opening[];
  readonly #entries = new Map<string, StoredEntry>();
  readonly #alike = new Map<string, Set<string>>();
  readonly #marks = new Map<string, SyncMark>();
  #replica: string;
  #seq = 0;

  /** An empty index. @param replica Its name, where chance is not wanted. @default a new one */
  constructor(replica: string = makeReplica()) {
    this.id = this.#replica = replica;
    this.openings = [{ name: makeReplica(), began: 0 }];
  }

  /** This replica's name. */
  get replica(): string {
    return this.#replica;
  }

  /** The number of the last change. */
  get seq(): number {
    return this.#seq;
  }

  /** What is under a path. */
  get(path: string): StoredEntry | undefined {
    return this.#entries.get(path);
  }

  /** Writes entries. */
  put(writes: Iterable<IndexWrite>): void {
    for (const { entry, stat, source = "" } of writes) {
      const before = this.#entries.get(entry.path);
      const known = entry.deleted ? "" : stat ?? before?.stat ?? "";
      const { path, kind, deleted, size, mode, mtimeMs, sha256, version } = entry;
      const facts = { path, kind, deleted, size, mode, mtimeMs, sha256, version };
      this.#entries.set(path, { ...facts, seq: ++this.#seq, stat: known, source });
      const fold = foldPath(path);
      const spellings = this.#alike.get(fold) ?? new Set();
      this.#alike.set(fold, spellings.add(path));
    }
  }

  /** Does work: nothing outlives the program anyway. */
  together<T>(work: () => T): T {
    return work();
  }

  /** Notes what the disk says. */
  noteStats(stats: Iterable<readonly [path: string, stat: string]>): void {
    for (const [path, stat] of stats) {
      const entry = this.#entries.get(path);
      if (entry !== undefined && !entry.deleted) this.#entries.set(path, { ...entry, stat });
    }
  }

  /** Everything that is there. */
  known(): Map<string, KnownFile> {
    return new Map(this.#live().map(({ path, kind, stat }) => [path, { kind, stat }]));
  }

  /** What changed after a number. */
  since(seq: number, except?: string): StoredEntry[] {
    const changed = [...this.#entries.values()].filter((entry) => {
      return entry.seq > seq && (except === undefined || entry.source !== except);
    });
    return changed.sort((a, b) => a.seq - b.seq);
  }

  /** What is there below a folder. */
  within(folder: string): StoredEntry[] {
    return this.#live().filter(({ path }) => path.startsWith(`${folder}/`)).sort(byPath);
  }

  /** What is there under other spellings. */
  alike(path: string): StoredEntry[] {
    const others = [...this.#alike.get(foldPath(path)) ?? []].filter((other) => other !== path);
    return others.flatMap((other) => this.#entries.get(other) ?? []).filter(isLive).sort(byPath);
  }

  /** Files that are there with these contents. */
  withContents(sha256: string, limit: number = MAX_SAME_CONTENTS): StoredEntry[] {
    return this.#live().filter((entry) => entry.kind === "file" && entry.sha256 === sha256)
      .sort(byPath).slice(0, limit);
  }

  /** How far this index and another know each other. */
  mark(replica: string): SyncMark {
    return this.#marks.get(replica) ?? NO_MARK;
  }

  /** Notes it. */
  setMark(replica: string, mark: SyncMark): void {
    this.#marks.set(replica, mark);
  }

  /** Takes a new replica's name. */
  renew(after: number): void {
    const [before, name] = [this.#replica, makeReplica()];
    this.put(signedAnew(this.since(after), before, name));
    this.#replica = name;
  }

  #live(): StoredEntry[] {
    return [...this.#entries.values()].filter(isLive);
  }
}

function isLive({ deleted }: StoredEntry): boolean {
  return !deleted;
}

function byPath(a: StoredEntry, b: StoredEntry): number {
  return compareCodePoints(a.path, b.path);
}
