/**
 * A folder on the disk that is kept alike with others: its index, what is looked at and what is taken in.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { ClosedError, NotFoundError, PeerError } from "../errors.ts";
import { type Logger, printable, silentLogger } from "../log.ts";
import { ReceiveRoot } from "../transfer/receive_root.ts";
import { Watchers } from "../watchers.ts";
import { changesOf, isVisible } from "./changes.ts";
import { ContentShelf } from "./content_shelf.ts";
import { ContentSource } from "./content_source.ts";
import type { SyncEntry } from "./entry.ts";
import { FolderDisk } from "./folder_disk.ts";
import type { SyncEvent } from "./folder_events.ts";
import { FolderLook } from "./folder_look.ts";
import { FolderMark, isFolderThere, partBelow } from "./folder_root.ts";
import { watchFolder, type WatchFolderOptions } from "./folder_watch.ts";
import type { IgnoreRules } from "./ignore.ts";
import { liveAt, type SyncIndex } from "./index.ts";
import { intake, wantedContents } from "./intake.ts";
import { localEdits } from "./local_edits.ts";
import type { FileChanged } from "./message_types.ts";
import { commitStep, noteStep, type Step } from "./steps.ts";
import { nextVersion } from "./version_vector.ts";

/** Somebody who edits while steps are carried out makes them begin anew; so often in a row nobody is that quick. */
const MAX_TRIES = 20;

/** A thing that fails so often in the same way does not get better by trying at once. */
const MAX_SAME_FAILURES = 3;

/** Looks at the whole folder because of entries that came together: of more, each is tried once. */
const MAX_LOOKS = 20;

/** What cannot be done, and is as good as done. */
const FOLDER_STAYS = "a folder has to stay";

/** Events that may wait for a watcher. */
const MAX_WAITING_EVENTS = 10_000;

/** What is left of interrupted transfers is kept so long: a week. */
const KEEP_PARTS_MS = 7 * 24 * 3_600_000;

/** How to open a {@linkcode SyncFolder}. */
export interface SyncFolderOptions {
  /** The folder; made where there is none, unless its index knows of files. */
  readonly dir: string;
  /** Its index, which the folder does not close. */
  readonly index: SyncIndex;
  /** What is not shared. @default what its `.kithignore` says, read anew at every look */
  readonly ignore?: IgnoreRules;
  /** Where we keep our keys, which is never shared, should it be in the folder. @default nowhere */
  readonly homeDir?: string | undefined;
  /** Whether the disk is left as it is, whatever others do. @default {false} */
  readonly readOnly?: boolean;
  /** Whether nothing at all is written into the folder, not even which index it belongs to. @default {false} */
  readonly dryRun?: boolean;
  /** Where time comes from. @default {systemClock} */
  readonly clock?: Clock;
  /** Where it logs to. @default {silentLogger} */
  readonly log?: Logger;
}

/** Something that has been done, for whoever tells others. */
export interface FolderChange {
  /** What, in the words of the protocol, without a client's id. */
  readonly change: FileChanged;
  /** The replica that it came from exactly as it is; empty when it is an edit of ours. */
  readonly source: string;
}

/** A step that was not carried out. */
interface StoppedStep {
  readonly step: Step;
  /** What is in the way; nothing is when it only has to wait. */
  readonly reason?: string;
}

/**
 * A folder. Everything that changes it happens one after the other.
 *
 * @example
 * ```ts
 * import { MemoryIndex, SyncFolder } from "@kith/kith/sync";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * const folder = await SyncFolder.open({ dir, index: new MemoryIndex() });
 * const told: string[] = [];
 * folder.onChange((changes) => told.push(...changes.map(({ change }) => change.file_path)));
 * await Deno.writeTextFile(`${dir}/a.txt`, "one");
 * await folder.scan();
 * assertEquals([told, folder.index.get("a.txt")?.size], [["a.txt"], 3]);
 * await folder.close();
 * await Deno.remove(dir, { recursive: true });
 * ```
 */
export class SyncFolder implements AsyncDisposable {
  /** Its real path. */
  readonly dir: string;
  /** What is in it, and was. */
  readonly index: SyncIndex;
  /** Contents without a place. */
  readonly shelf: ContentShelf;
  /** Whether the disk is left as it is. */
  readonly readOnly: boolean;
  /** Where time comes from. */
  readonly clock: Clock;
  /** Where it logs to. */
  readonly log: Logger;
  readonly #root: ReceiveRoot;
  readonly #disk: FolderDisk;
  readonly #dryRun: boolean;
  readonly #events = new Watchers<SyncEvent>({ maxWaiting: MAX_WAITING_EVENTS });
  #untold: SyncEvent[] | undefined = [];
  readonly #listeners = new Set<(changes: readonly FolderChange[]) => void>();
  readonly #onRules = new Set<() => void>();
  readonly #mark: FolderMark;
  readonly #look: FolderLook;
  readonly #source: ContentSource;
  readonly #closing = new AbortController();
  #last: Promise<unknown> = Promise.resolve();
  /** Who counts what is being taken in. */
  #onTaken: ((changes: number) => void) | undefined;

  private constructor(root: ReceiveRoot, options: SyncFolderOptions) {
    const { index, ignore, clock = systemClock, log = silentLogger } = options;
    const { readOnly = false, dryRun = false } = options;
    this.dir = root.dir;
    this.index = index;
    this.readOnly = readOnly;
    this.#dryRun = dryRun;
    this.clock = clock;
    this.log = log;
    this.#root = root;
    this.shelf = new ContentShelf(root);
    const tell = (event: SyncEvent) => this.tell(event);
    const { signal } = this.#closing;
    const mark = this.#mark = new FolderMark(root, index);
    const marks = dryRun ? "never" : readOnly ? "if possible" : "always";
    const apart = partBelow(root.dir, options.homeDir);
    const parts = { dir: root.dir, index, ignore, apart, clock, tell, signal };
    this.#look = new FolderLook({ ...parts, mark, marks });
    this.#source = new ContentSource({ root, index, clock, log });
    this.#disk = new FolderDisk(root, index, this.shelf, () => clock.wallMs());
  }

  /**
   * Opens a folder, and notes what was done to it in the meantime.
   *
   * @throws {NotFoundError} `no-path` when it is not there, and its index knows of files.
   * @throws {AuthError} `not-allowed` when we may not write into it, unless it is only read.
   * @throws {UnsupportedError} when files that its index knows are not there, and the folder does not say that it is that of
   * the index: as when its disk is not mounted. Also for the root of all folders, and for where we keep our keys.
   * @throws {UnsupportedError} and {@linkcode InvalidPacketError} when its rules cannot be read or understood.
   */
  static async open(options: SyncFolderOptions): Promise<SyncFolder> {
    const { dir, index } = options;
    const isNew = index.known().size === 0;
    if (!isNew && !isFolderThere(dir)) {
      const shown = printable(dir, 400);
      throw new NotFoundError("no-path", `Cannot find folder "${shown}"`, {
        details: { path: shown },
      });
    }
    const root = ReceiveRoot.open(dir);
    const folder = new SyncFolder(root, options);
    try {
      if (!folder.#dryRun) {
        root.forgetParts(KEEP_PARTS_MS);
        // Others may know edits by our name that it does not.
        if (folder.#mark.isNewer()) index.renew(index.seq);
      }
      await folder.scan();
      folder.#noteOpening();
      return folder;
    } catch (error) {
      await folder.close();
      throw error;
    }
  }

  /**
   * What happens from this call on; the first to call also gets what was worth telling since the folder was opened, which
   * what is in it is not. Whoever reads too slowly misses the oldest.
   */
  events(options: { signal?: AbortSignal } = {}): AsyncGenerator<SyncEvent, void, void> {
    const watching = this.#events.watch(options);
    for (const event of this.#untold ?? []) this.#events.push(event);
    this.#untold = undefined;
    return watching;
  }

  /** Tells everybody who watches. */
  tell(event: SyncEvent): void {
    if (this.#untold === undefined) return this.#events.push(event);
    const isWorthIt = event.type !== "changed" && this.#untold.length < MAX_WAITING_EVENTS;
    if (isWorthIt) this.#untold.push(event);
  }

  /** Calls somebody for whatever is done from now on, in order, as soon as the index has it. */
  onChange(listener: (changes: readonly FolderChange[]) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Another number for other rules of what is shared; 0 for none. */
  get rulesNumber(): number {
    return this.#look.rules.number;
  }

  /** Calls somebody when the rules have become others, as soon as the index has what that makes of the folder. */
  onRules(listener: () => void): Disposable {
    this.#onRules.add(listener);
    return { [Symbol.dispose]: () => void this.#onRules.delete(listener) };
  }

  /** Whether a file or folder is shared. */
  shares(path: string, kind: "file" | "directory"): boolean {
    return !this.#look.rules.ignores(path, kind);
  }

  /**
   * Looks at the whole folder, and notes what was done to it.
   *
   * @throws {UnsupportedError} when files are missing, and the folder does not say that it is that of the index.
   * @throws {ClosedError} when closed.
   */
  scan(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#scan();
      this.shelf.clear([]);
    });
  }

  /** Looks at the folder whenever something may have changed, until it is closed or the signal fires. */
  async watch(options: WatchFolderOptions = {}): Promise<void> {
    const signal = AbortSignal.any([
      this.#closing.signal,
      ...options.signal ? [options.signal] : [],
    ]);
    const { clock, log } = this;
    for await (const _ of watchFolder(this.dir, { clock, log, ...options, signal })) {
      try {
        await this.scan();
      } catch (error) {
        if (signal.aborted) return;
        this.#fail(error);
      }
    }
  }

  /**
   * Takes in what another replica has. Contents that are not here under any name have to be on the shelf; what is without
   * them is left out.
   *
   * @param source The replica.
   * @param onChanged Told of how many files and folders have come, gone or become others.
   * @returns what was left out, or could not be done: all of it when the folder's disk is not there.
   */
  takeIn(
    entries: readonly SyncEntry[],
    source: string,
    onChanged?: (changes: number) => void,
  ): Promise<SyncEntry[]> {
    const shared = entries.filter(({ path, kind }) => this.shares(path, kind));
    return this.#inTurn(async () => {
      const { index, shelf } = this;
      const elsewhere = shared.filter(({ sha256 }) => !shelf.has(sha256));
      const missing = new Set(wantedContents(index, elsewhere));
      const there = shared.filter((entry) => !missing.has(entry));
      try {
        this.#onTaken = onChanged;
        if (!await this.#isThere()) return shared;
        return [...missing, ...await this.#takeAll(there, source)];
      } finally {
        this.#onTaken = undefined;
        shelf.clear(there.map(({ sha256 }) => sha256));
        this.#disk.lookAgain();
      }
    });
  }

  /** Opens a file that has, as far as is known, these contents. @returns `undefined` when there is none. */
  openContents(sha256: string): Deno.FsFile | undefined {
    return this.#source.open(sha256);
  }

  /** Opens the file that is under a path now, whatever is in it. */
  openFile(path: string): Deno.FsFile | undefined {
    return this.#root.openFile(path);
  }

  /** Ends all work, and waits for the step that is being carried out. Harmless when repeated. */
  async close(): Promise<void> {
    this.#closing.abort(new ClosedError("The folder was closed"));
    await this.#last;
    this.#source[Symbol.dispose]();
    this.#disk[Symbol.dispose]();
    this.shelf[Symbol.dispose]();
    this.#events.close();
  }

  /** Closes it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Has the folder say when its index was open last. */
  #noteOpening(): void {
    const mark = this.#mark;
    if (this.#dryRun || !mark.isThere()) return;
    if (!this.readOnly || mark.canBePut()) mark.put();
  }

  /** Carries work out when all that was asked for before is done. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const { signal } = this.#closing;
    const done = this.#last.then(() => {
      signal.throwIfAborted();
      return work();
    });
    this.#last = done.catch(() => {});
    return done;
  }

  /** Whether this is the folder that the index is of: a disk may be gone, and what is put into its place is hidden later. */
  async #isThere(): Promise<boolean> {
    try {
      // Without its mark, it is the one if everything is there.
      if (!this.#mark.isThere()) await this.#scan();
      return true;
    } catch (error) {
      if (!(error instanceof PeerError) || error instanceof ClosedError) throw error;
      this.#fail(error);
      return false;
    }
  }

  async #scan(): Promise<void> {
    const { rulesNumber } = this;
    await this.#noteAll();
    if (rulesNumber === this.rulesNumber) return;
    for (const listener of this.#onRules) listener();
  }

  async #noteAll(): Promise<void> {
    let reason = "it changes all the time";
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const found = await this.#look.look();
      let isSettled = true;
      for (const step of localEdits(this.index, found.changed, found.gone)) {
        const isOnDisk = step.disk.do !== "nothing";
        if (isOnDisk && (this.readOnly || this.#dryRun)) continue;
        const failure = await this.#carryOut(step, "here");
        reason = failure ?? reason;
        // What was renamed, and what is in it, is noted by the next look.
        if (isOnDisk || failure !== undefined) isSettled = false;
        if (failure !== undefined) break;
      }
      this.#disk.lookAgain();
      if (isSettled) return;
    }
    this.tell({ type: "failed", reason });
  }

  /** Together; one by one when one of them cannot be done. */
  async #takeAll(entries: readonly SyncEntry[], source: string): Promise<SyncEntry[]> {
    const patience = { looks: MAX_LOOKS };
    const reason = await this.#takeTogether(entries, source, patience);
    if (reason === undefined) return [];
    const failed: SyncEntry[] = [];
    for (const entry of entries) {
      const why = entries.length === 1
        ? reason
        : await this.#takeTogether([entry], source, patience);
      if (why === undefined) continue;
      failed.push(entry);
      this.tell({ type: "failed", path: entry.path, reason: printable(why) });
    }
    return failed;
  }

  /** @returns why not. */
  async #takeTogether(
    entries: readonly SyncEntry[],
    source: string,
    patience: { looks: number },
  ): Promise<string | undefined> {
    let same = 0;
    let before: string | undefined;
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const failed = await this.#carryOutAll(intake(this.index, entries, source));
      if (failed === undefined) return undefined;
      // Files that are not shared are in the way: the folder stays, for all.
      const isLooked = same > 0 || patience.looks <= 0;
      const stays = isLooked && this.#keepFolder(failed.step);
      const failure = stays ? FOLDER_STAYS : failed.reason;
      same = failure === before ? same + 1 : 0;
      if (same === MAX_SAME_FAILURES) return failure;
      before = failure;
      if (patience.looks-- > 0) await this.#scan();
      else if (failure !== FOLDER_STAYS) return failure;
    }
    return before;
  }

  /** Carries steps out, up to the first that cannot be. @returns that one, and what went wrong. */
  async #carryOutAll(steps: Iterator<Step>): Promise<Required<StoppedStep> | undefined> {
    for (;;) {
      const stopped = this.#carryOutNow(steps);
      if (stopped === undefined) return undefined;
      const { step } = stopped;
      const reason = stopped.reason ?? await this.#carryOut(step, "there");
      if (reason !== undefined) return { step, reason };
    }
  }

  /**
   * Carries steps out that wait for nothing, and has the index note them together: each on its own takes it longer than it
   * takes to put a small file in its place.
   *
   * @returns the first that has to wait, or cannot be carried out.
   */
  #carryOutNow(steps: Iterator<Step>): StoppedStep | undefined {
    return this.index.together(() => {
      for (let next = steps.next(); !next.done; next = steps.next()) {
        const step = next.value;
        const outcome = this.#disk.carryOutNow(
          step.disk,
          (stat) => this.#commit(step, "there", stat),
        );
        if (outcome === undefined) return { step };
        if (!outcome.done) return { step, reason: outcome.reason };
      }
      return undefined;
    });
  }

  /** @returns what went wrong. */
  async #carryOut(step: Step, by: "here" | "there"): Promise<string | undefined> {
    const outcome = await this.#disk.carryOut(step.disk, (stat) => this.#commit(step, by, stat));
    return outcome.done ? undefined : outcome.reason;
  }

  #commit(step: Step, by: "here" | "there", stat?: string): void {
    const { index } = this;
    const changes = changesOf(index, step, "");
    const visible = changes.filter((change) => isVisible(index, change));
    const sources = new Map(step.writes.map(({ entry, source = "" }) => [entry.path, source]));
    // What was moved has what it had, unless it was looked at again: somebody may have written to it.
    const statNow = (path: string) => step.disk.do === "move" ? undefined : this.#disk.statOf(path);
    commitStep(index, step, (path) => stat ?? statNow(path));
    if (step.disk.do === "copy") {
      this.tell({ type: "conflict", path: step.disk.from, keptAs: step.disk.to });
    }
    // A copy of what was here has not come, nor has a file that only gets another time.
    const isOurs = by === "here" || step.disk.do === "copy" || step.disk.do === "touch";
    if (!isOurs) this.#onTaken?.(visible.length);
    for (const { operation, file_path: path, old_path: oldPath } of visible) {
      const from = oldPath === undefined ? {} : { oldPath };
      this.tell({ type: "changed", path, operation, by, ...from });
    }
    if (this.#listeners.size === 0) return;
    const told = changes.map((change): FolderChange => {
      const source = sources.get(change.file_path) ?? "";
      const isWhole = change.old_path === undefined || sources.get(change.old_path) === source;
      return { change, source: isWhole ? source : "" };
    });
    for (const listener of this.#listeners) listener(told);
  }

  /** Where a folder cannot be removed because of what is in it, it is there for everybody again. */
  #keepFolder({ disk, writes: [write] }: Step): boolean {
    const ours = disk.do === "remove" ? liveAt(this.index, disk.path) : undefined;
    if (ours?.kind !== "directory" || write === undefined) return false;
    const version = nextVersion(write.entry.version, this.index.replica);
    this.#commit(noteStep({ entry: { ...ours, version } }), "here");
    return true;
  }

  #fail(error: unknown): void {
    const reason = printable(error instanceof Error ? error.message : String(error), 400);
    this.log.warn("folder not looked at", { reason });
    this.tell({ type: "failed", reason });
  }
}
