/**
 * Carries out steps on the disk, each only if what it would change is as the index knows it.
 *
 * Names are looked up in folders that are held (see `HeldTree`), so no link is followed out of the root. A file gets its
 * contents as a part that is whole and on the disk, and its name in one step.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { rmdirSync } from "node:fs";
import { AuthError, PeerError } from "../errors.ts";
import { moveNew } from "../state/home.ts";
import { type HeldFolder, lstat } from "../transfer/held_folder.ts";
import type { HeldTree } from "../transfer/held_tree.ts";
import type { Part, ReceiveRoot } from "../transfer/receive_root.ts";
import { conflictPath } from "./conflict.ts";
import type { ContentShelf } from "./content_shelf.ts";
import type { SyncEntry } from "./entry.ts";
import { hashOf, hasMode, hasSameFacts, isSame, momentOf, setFacts } from "./file_facts.ts";
import { liveAt, type StoredEntry, type SyncIndex } from "./index.ts";
import { folderStat, otherDisk } from "./mounts.ts";
import { parentOf } from "./path.ts";
import { piecesOf } from "./pieces.ts";
import { hasFacts, isYoung, statOf } from "./rescan.ts";
import { type Conditions, conditionsOf, type DiskAction } from "./steps.ts";

/** Larger files are read before, so that others get their turn. */
const MAX_READ_AT_ONCE = 4 * 1024 * 1024;

/** Where a name is: the folder that it is in, and what it is called there. */
interface Place {
  readonly folder: HeldFolder;
  readonly name: string;
}

/** A file that is known: of the index, or what was found just now. */
type KnownFile = Pick<StoredEntry, "kind" | "size" | "sha256"> & { readonly stat?: string };

/** What an action needs that may have to be waited for. */
interface AtHand {
  /** The contents that it writes. */
  readonly part: Part | undefined;
  /** Large files that have just been found to be as known, and what the disk said of them before that. */
  readonly read: ReadonlyMap<string, string>;
}

type Commit = (stat?: string) => void;

const NOTHING_READ: ReadonlyMap<string, string> = new Map();

const CHANGED = "it was changed just now";

/** What became of an action. */
export type Outcome =
  /** It was done. `stat` is what the disk says of the file that was put into its place, where one was. */
  | { readonly done: true; readonly stat?: string }
  /** Somebody has changed what it is about: nothing was done. `reason` is what is in the way, if it is still there. */
  | { readonly done: false; readonly reason: string };

const DONE: Outcome = { done: true };

/** Carries out steps. One at a time: whoever calls it sees to that. */
export class FolderDisk implements Disposable {
  readonly #root: ReceiveRoot;
  readonly #index: SyncIndex;
  readonly #shelf: ContentShelf;
  readonly #wallMs: () => number;
  #tree: HeldTree | undefined;

  /** Looks at nothing yet. */
  constructor(root: ReceiveRoot, index: SyncIndex, shelf: ContentShelf, wallMs: () => number) {
    this.#root = root;
    this.#index = index;
    this.#shelf = shelf;
    this.#wallMs = wallMs;
  }

  /**
   * Does what an action says, if what it is about is as the index knows it.
   *
   * @param commit Called when it was done, before anybody else has a turn; with what is said of it in {@linkcode Outcome}.
   */
  async carryOut(action: DiskAction, commit: Commit): Promise<Outcome> {
    try {
      const read = await this.#readLarge(this.#toBeAsKnown(action));
      const part = await this.#contentsFor(action);
      if (part === "missing") return failed("its contents are not here");
      return this.#carryOut(action, { part, read }, commit);
    } catch (error) {
      return failedOnDisk(error);
    }
  }

  /**
   * The same without waiting for anything.
   *
   * @returns `undefined` when something has to be waited for: contents that are not on the shelf, or a look into a large file.
   */
  carryOutNow(action: DiskAction, commit: Commit): Outcome | undefined {
    try {
      const isLarge = this.#toBeAsKnown(action).some(([, { size }]) => size > MAX_READ_AT_ONCE);
      if (action.do === "copy" || isLarge) return undefined;
      const part = action.do === "write" ? this.#shelf.take(action.entry.sha256) : undefined;
      if (action.do === "write" && part === undefined) return undefined;
      return this.#carryOut(action, { part, read: NOTHING_READ }, commit);
    } catch (error) {
      return failedOnDisk(error);
    }
  }

  /** What the disk says of a path; empty when it is to be looked into again. */
  statOf(path: string): string {
    const info = this.#lstat(path);
    if (info?.isDirectory) return folderStat(info.dev, this.#held().root.device);
    return info === undefined || isYoung(info, this.#wallMs()) ? "" : statOf(info);
  }

  /** Looks folders up anew from here on. */
  lookAgain(): void {
    this.#tree?.[Symbol.dispose]();
    this.#tree = undefined;
  }

  /** Lets go of the folders. */
  [Symbol.dispose](): void {
    this.lookAgain();
  }

  #carryOut(action: DiskAction, { part, read }: AtHand, commit: Commit): Outcome {
    let outcome: Outcome | undefined;
    try {
      // Nothing waits here: whoever else edits files does it before or after.
      const why = this.#fault(action, conditionsOf(this.#index, action), read);
      outcome = why === undefined ? this.#perform(action, part) : failed(why);
      if (outcome.done) commit(outcome.stat);
      return outcome;
    } finally {
      if (part !== undefined && outcome?.done !== true) this.#shelf.putBack(part);
      // A folder that was moved or removed would be held under its old name.
      if (action.do === "move" || action.do === "remove") this.lookAgain();
    }
  }

  #perform(action: DiskAction, part: Part | undefined): Outcome {
    switch (action.do) {
      case "folder":
        this.#root.createFolder(action.path, this.#held());
        return DONE;
      case "write":
        return this.#write(part, action.path, action.entry);
      case "copy":
        return this.#put(part, action.to, liveAt(this.#index, action.from), false);
      case "move":
        return this.#move(action.from, action.to);
      case "remove":
        return this.#remove(action.path, action.found);
      case "touch":
        return this.#touch(action.path, action.entry);
      case "nothing":
        return DONE;
      default:
        return action satisfies never;
    }
  }

  /** The contents that an action writes, as a part. */
  async #contentsFor(action: DiskAction): Promise<Part | undefined | "missing"> {
    if (action.do !== "write" && action.do !== "copy") return undefined;
    const sha256 = action.do === "write"
      ? action.entry.sha256
      : liveAt(this.#index, action.from)?.sha256;
    if (sha256 === undefined) return "missing";
    const taken = action.do === "write" ? this.#shelf.take(sha256) : undefined;
    if (taken !== undefined) return taken;
    const kept = this.#shelf.kept(sha256);
    const copied = kept === undefined ? undefined : await this.#shelf.copy(kept, sha256);
    if (copied !== undefined) return copied;
    for (const { path } of this.#index.withContents(sha256)) {
      const file = this.#root.openFile(path, this.#held());
      const part = file === undefined ? undefined : await this.#shelf.copy(file, sha256);
      if (part !== undefined) return part;
    }
    return "missing";
  }

  /** Why an action must not be done now. */
  #fault(
    action: DiskAction,
    { unchanged, absent }: Conditions,
    read: AtHand["read"],
  ): string | undefined {
    // Whether there is a file where a new one comes is found out when it gets its name.
    const isNew = (path: string) =>
      action.do === "write" && liveAt(this.#index, path) === undefined;
    const isAsKnown = (path: string) => isNew(path) || this.#isAsKnown(path, read);
    if (!unchanged.every(isAsKnown)) return CHANGED;
    const found = action.do === "remove" ? action.found : undefined;
    if (found !== undefined && !this.#isAsKnown(found.path, read, found)) return CHANGED;
    if (!this.#isOnItsDisk(action)) return "its disk is not there";
    const isFree = absent.every((path) => {
      const there = this.#lstat(path);
      return there === undefined ||
        (action.do === "move" && isSame(there, this.#lstat(action.from)));
    });
    return isFree ? undefined : "something else has its name";
  }

  /** Whether what comes into a folder is not put there instead of into a disk that was mounted there, or below one. */
  #isOnItsDisk(action: DiskAction): boolean {
    if (action.do === "nothing" || action.do === "remove" || action.do === "touch") return true;
    const path = parentOf("to" in action ? action.to : action.path);
    const { stat = "" } = path === "" ? {} : liveAt(this.#index, path) ?? {};
    if (stat === "") return true;
    const tree = this.#held();
    const folder = tree.find(path.split("/"));
    return folder === undefined ||
      otherDisk(stat, folderStat(folder.device, tree.root.device)) === undefined;
  }

  #isAsKnown(
    path: string,
    read: AtHand["read"],
    known: KnownFile | undefined = liveAt(this.#index, path),
  ): boolean {
    const there = this.#lstat(path);
    if (known === undefined || there === undefined) return known === there;
    if (known.kind === "directory") return there.isDirectory;
    if (!there.isFile) return false;
    const open = () => this.#root.openFile(path, this.#held());
    const { stat = "" } = known;
    if (stat !== "") return stat === statOf(there);
    return this.#isFileAsKnown(known, there, open) ?? read.get(path) === momentOf(there);
  }

  /**
   * The same for a file that may have another name by now.
   *
   * @returns `undefined` when only a look into a large file could tell.
   */
  #isFileAsKnown(
    known: KnownFile,
    there: Deno.FileInfo,
    open: () => Deno.FsFile | undefined,
  ): boolean | undefined {
    const { stat = "" } = known;
    if (stat !== "") return hasFacts(there, stat);
    if (there.size !== known.size) return false;
    if (there.size > MAX_READ_AT_ONCE) return undefined;
    using file = open();
    return file !== undefined && hashOf(file, there.size) === known.sha256;
  }

  /** Files that have to be as they are known, or were found. */
  #toBeAsKnown(action: DiskAction): [path: string, KnownFile][] {
    const { unchanged } = conditionsOf(this.#index, action);
    const known = unchanged.map((path): [string, KnownFile | undefined] => {
      return [path, liveAt(this.#index, path)];
    });
    if (action.do === "remove") known.push([action.path, action.found]);
    return known.flatMap(([path, file]) => file?.kind === "file" ? [[path, file]] : []);
  }

  /** Looks into large files of which it cannot be said otherwise whether they are as known. */
  async #readLarge(files: readonly [path: string, KnownFile][]): Promise<Map<string, string>> {
    const read = new Map<string, string>();
    for (const [path, { size, sha256, stat = "" }] of files) {
      if (size <= MAX_READ_AT_ONCE || stat !== "") continue;
      const there = this.#lstat(path);
      if (!there?.isFile || there.size !== size) continue;
      using file = this.#root.openFile(path, this.#held());
      if (file === undefined) continue;
      const hash = createHash("sha256");
      for await (const piece of piecesOf(file)) hash.update(piece);
      if (hash.digest("hex") === sha256) read.set(path, momentOf(there));
    }
    return read;
  }

  #put(
    part: Part | undefined,
    path: string,
    entry: SyncEntry | undefined,
    replace: boolean,
  ): Outcome {
    if (part === undefined || entry === undefined) return failed("its contents are not here");
    const time = new Date(entry.mtimeMs);
    part.file.utimeSync(time, time);
    let info = part.file.statSync();
    if (info.size !== entry.size) return failed("its contents are not of the size that was told");
    if (!hasMode(info, entry.mode)) {
      // Its own name is in the folder of partial files, where nobody but us makes any.
      setFacts(part.partPath, { mode: entry.mode });
      info = part.file.statSync();
    }
    this.#root.place(part, path, { replace, tree: this.#held() });
    return { done: true, stat: isYoung(info, this.#wallMs()) ? "" : this.#statAt(path, info) };
  }

  /** What the disk says of a file in its new place; empty when it is not what was put there. */
  #statAt(path: string, put: Deno.FileInfo): string {
    const there = this.#lstat(path);
    return there !== undefined && hasSameFacts(there, put) ? statOf(there) : "";
  }

  /** Nothing is replaced but what is known: another process may have made a file in this very moment. */
  #write(part: Part | undefined, path: string, entry: SyncEntry): Outcome {
    const known = liveAt(this.#index, path);
    if (known?.kind !== "file") return this.#putNew(part, path, entry);
    const name = this.#keepReplaced(path, known);
    const outcome = this.#put(part, path, entry, true);
    if (outcome.done && name !== undefined) this.#rescue(name, path, known);
    return outcome;
  }

  #putNew(part: Part | undefined, path: string, entry: SyncEntry): Outcome {
    try {
      return this.#put(part, path, entry, false);
    } catch (error) {
      if (error instanceof AuthError && error.details.reason === "exists") return failed(CHANGED);
      throw error;
    }
  }

  /** @returns the name under which it is kept. */
  #keepReplaced(path: string, known: StoredEntry): string | undefined {
    const place = this.#placeOf(path);
    const name = this.#shelf.newName(this.#held());
    if (place === undefined || name === undefined) return undefined;
    try {
      Deno.linkSync(at(place), name);
    } catch {
      // Where there are no hard links, whoever wants these contents asks for them once more.
      return undefined;
    }
    this.#shelf.keep(known.sha256, name);
    return name;
  }

  /** A replaced file that another process has written to in the moment before that is put beside the new one. */
  #rescue(name: string, path: string, known: StoredEntry): void {
    const there = lstat(name);
    const open = () => Deno.openSync(name);
    if (there === undefined || this.#isFileAsKnown(known, there, open) !== false) return;
    using file = open();
    const place = this.#placeOf(conflictPath(path, hashOf(file, there.size)));
    if (place !== undefined && lstat(at(place)) === undefined) Deno.linkSync(name, at(place));
  }

  #move(from: string, to: string): Outcome {
    const [source, target] = [this.#placeOf(from), this.#placeOf(to)];
    if (source === undefined || target === undefined) return failed("its folder is not there");
    const [there, here] = [lstat(at(target)), lstat(at(source))];
    if (here === undefined) return failed("it is not there");
    // A folder takes no other's place unless that is empty; a file would.
    if (here.isDirectory || isSame(there, here)) Deno.renameSync(at(source), at(target));
    else if (!moveNew(at(source), at(target))) return failed("something else has its name");
    const { kind, stat = "" } = liveAt(this.#index, from) ?? {};
    if (kind !== "file" || stat !== statOf(here)) return DONE;
    return { done: true, stat: this.#statAt(to, here) };
  }

  #remove(path: string, looked: KnownFile | undefined): Outcome {
    const place = this.#placeOf(path);
    const found = place === undefined ? undefined : lstat(at(place));
    if (place === undefined || found === undefined) return DONE;
    if (found.isDirectory) {
      rmdirSync(at(place));
      return DONE;
    }
    const name = this.#shelf.newName(this.#held());
    if (name === undefined) return failed("there is no place to keep it");
    Deno.renameSync(at(place), name);
    const known = liveAt(this.#index, path) ?? looked;
    const kept = lstat(name);
    const isFound = kept !== undefined && hasSameFacts(kept, found);
    const isKnown = known?.kind === "file" && isFound &&
      this.#isFileAsKnown(known, kept, () => Deno.openSync(name)) !== false;
    if (!isKnown) {
      moveNew(name, at(place)); // somebody has put another there, or has written to it
      return failed(CHANGED);
    }
    this.#shelf.keep(known.sha256, name);
    return DONE;
  }

  #touch(path: string, { mode, mtimeMs }: SyncEntry): Outcome {
    const place = this.#placeOf(path);
    if (place === undefined) return failed("it is not there");
    setFacts(at(place), { mode, mtimeMs });
    return DONE;
  }

  #lstat(path: string): Deno.FileInfo | undefined {
    const place = this.#placeOf(path);
    return place === undefined ? undefined : lstat(at(place));
  }

  /** @returns `undefined` when its folder is not there. */
  #placeOf(path: string): Place | undefined {
    const segments = path.split("/");
    const folder = this.#held().find(segments.slice(0, -1));
    return folder === undefined ? undefined : { folder, name: segments.at(-1) ?? "" };
  }

  #held(): HeldTree {
    return this.#tree ??= this.#root.hold();
  }
}

function at({ folder, name }: Place): string {
  return folder.join(name);
}

/** Whether the disk refuses something, or a link is in the way; any other error is a fault of ours. */
function isOfDisk(error: unknown): error is Error {
  if (error instanceof AuthError) return true;
  return error instanceof Error && !(error instanceof PeerError) && "code" in error;
}

/** What a system says, without names by which only we know the files. */
function withoutPaths(message: string): string {
  return message.replace(/(: \w+)? '\/.*$/s, "");
}

/** @throws any error that the disk has no part in. */
function failedOnDisk(error: unknown): Outcome {
  if (isOfDisk(error)) return failed(withoutPaths(error.message));
  throw error;
}

function failed(reason: string): Outcome {
  return { done: false, reason };
}
