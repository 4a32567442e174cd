/**
 * Contents that have no place in the folder yet, or have it no more.
 *
 * What comes in grows as a part that is named by the hash it is to have, so that it is gone on with after any interruption,
 * whoever sends the rest. What a step removes or replaces is kept until the last step of its batch is done.
 *
 * @module
 */

import { createHash, type Hash } from "node:crypto";
import { basename } from "node:path";
import { ClosedError } from "../errors.ts";
import type { HeldTree } from "../transfer/held_tree.ts";
import type { Part, ReceiveRoot } from "../transfer/receive_root.ts";
import { writeAll } from "../transfer/disk.ts";
import { PARTIAL_FOLDER } from "../transfer/safe_path.ts";
import { removeIfThere } from "../state/home.ts";
import { DiskSync } from "./aside.ts";
import { piecesOf } from "./pieces.ts";
import { Slots } from "./slots.ts";

const SHA256 = /^[0-9a-f]{64}$/;

/** A part that contents are being put into. */
export interface GrowingPart {
  /** The part, at its end. */
  readonly part: Part;
  /** Bytes that are in it. */
  readonly bytes: number;
  /** Their hash so far. */
  readonly hash: Hash;
}

/** Contents that somebody is getting. */
interface Getting {
  readonly settled: Promise<void>;
  readonly letGo: () => void;
}

/** Files that are open at once for all connections of a folder, to be written or to be read: each is a descriptor. */
const MAX_OPEN = 128;

/** Whole parts that stay open until they are put into their places. */
const MAX_WHOLE_OPEN = 64;

const PART = ".part";

/**
 * The contents of one folder that are in no place.
 *
 * @example
 * ```ts
 * import { MemoryIndex, SyncFolder } from "@kith/kith/sync";
 * import { assertEquals } from "@std/assert";
 * import { createHash } from "node:crypto";
 *
 * const dir = await Deno.makeTempDir();
 * const folder = await SyncFolder.open({ dir, index: new MemoryIndex() });
 * const { shelf } = folder;
 * const bytes = new TextEncoder().encode("hello");
 * const sha256 = createHash("sha256").update(bytes).digest("hex");
 * const growing = await shelf.begin(sha256, bytes.length);
 * await growing.part.file.write(bytes);
 * await shelf.finish(sha256, growing);
 * assertEquals(shelf.has(sha256), true); // `SyncFolder.takeIn` gives it a place
 * await folder.close();
 * await Deno.remove(dir, { recursive: true });
 * ```
 */
export class ContentShelf implements Disposable {
  /** For parts that grow. */
  readonly growing: Slots = new Slots(MAX_OPEN);
  /** For files that are sent. */
  readonly reading: Slots = new Slots(MAX_OPEN);
  readonly #root: ReceiveRoot;
  readonly #disk = new DiskSync();
  /** Hashes of whole parts, and those of them that are open. */
  readonly #whole = new Map<string, Part | undefined>();
  readonly #copies = new Map<string, Part[]>();
  /** Names of what was removed or replaced. */
  readonly #stash = new Map<string, string[]>();
  readonly #growing = new Map<string, Getting>();
  // To look for a part that is not there takes longer than to make one.
  #left: Set<string> | undefined;
  #tree: HeldTree | undefined;
  #openCount = 0;
  #isClosed = false;

  /** Keeps them in the folder of partial files. */
  constructor(root: ReceiveRoot) {
    this.#root = root;
  }

  /** Whether contents are here as a whole, verified. */
  has(sha256: string): boolean {
    return this.#whole.has(sha256);
  }

  /**
   * Gets contents once, however many want them: who comes while they are being got waits, and tries himself only if that
   * fails.
   *
   * @param letGo Called when somebody else waits: for who knows that he gets no further now.
   * @returns why they could not be got.
   */
  async only(
    sha256: string,
    get: () => Promise<string | undefined>,
    letGo: () => void = () => {},
  ): Promise<string | undefined> {
    for (let other = this.#growing.get(sha256); other; other = this.#growing.get(sha256)) {
      other.letGo();
      await other.settled;
    }
    if (this.has(sha256)) return undefined;
    const getting = get();
    const settled = getting.then(() => {}, () => {});
    this.#growing.set(sha256, { settled, letGo });
    try {
      return await getting;
    } finally {
      this.#growing.delete(sha256);
    }
  }

  /**
   * Begins contents, or goes on with what is here of them.
   *
   * @param maxBytes More than that is none of it.
   * @param mode The permission bits that they will most likely get. @default {0o600}
   */
  async begin(sha256: string, maxBytes: number, mode = 0o600): Promise<GrowingPart> {
    if (this.#isClosed) throw new ClosedError("The folder was closed");
    const found = this.#leftOver(sha256);
    if (found !== undefined) {
      const grown = await this.#read(found);
      if (grown.bytes <= maxBytes) return grown;
      this.#root.discard(found);
    }
    return { part: this.#create(sha256, mode), bytes: 0, hash: createHash("sha256") };
  }

  /**
   * Notes that a part is whole: it was hashed, and the hash is its name. What it holds is on the disk after this.
   *
   * @param bytes How much that is. @default much
   */
  async finish(sha256: string, { part }: GrowingPart, bytes = Infinity): Promise<void> {
    await this.#disk.sync(part.file, bytes);
    const staysOpen = this.#openCount < MAX_WHOLE_OPEN && !this.#isClosed;
    if (staysOpen) this.#openCount++;
    else this.leave({ part });
    this.#whole.set(sha256, staysOpen ? part : undefined);
  }

  /** Closes a part that is to be gone on with. */
  leave({ part }: Pick<GrowingPart, "part">): void {
    this.#root.leave(part);
    this.#left?.add(keyOf(part));
  }

  /** Removes a part. */
  discard({ part }: GrowingPart): void {
    this.#root.discard(part);
  }

  /**
   * Makes a copy of contents that are in the folder, so that the disk need not be waited for when they are put into a place.
   *
   * @param from The file; it is closed.
   * @returns whether they were what the file is taken for.
   */
  async prepare(from: Deno.FsFile, sha256: string): Promise<boolean> {
    const part = await this.copy(from, sha256);
    if (part === undefined) return false;
    this.#root.leave(part);
    this.#copies.set(sha256, [...this.#copies.get(sha256) ?? [], part]);
    return true;
  }

  /** Whole contents, to be put into a place. @returns `undefined` when they are not here. */
  take(sha256: string): Part | undefined {
    const copy = this.#copies.get(sha256)?.pop();
    if (copy !== undefined) return this.#root.reopenPart(copy.partPath);
    if (!this.#whole.has(sha256)) return undefined;
    const open = this.#whole.get(sha256);
    this.#whole.delete(sha256);
    if (open === undefined) return this.#leftOver(sha256);
    this.#openCount--;
    return open;
  }

  /** Takes a part back that got no place: what has its hash for a name is kept, another removed. */
  putBack(part: Part): void {
    const key = keyOf(part);
    if (!SHA256.test(key)) return this.#root.discard(part);
    this.leave({ part });
    this.#whole.set(key, undefined);
  }

  /**
   * A part with the contents of a file.
   *
   * @param from The file; it is closed.
   * @returns `undefined` when its contents are others than those.
   */
  async copy(from: Deno.FsFile, sha256: string): Promise<Part | undefined> {
    using file = from;
    const part = this.#root.createPart(sha256, { mode: 0o600 });
    const hash = createHash("sha256");
    let size = 0;
    try {
      for await (const bytes of piecesOf(file)) {
        hash.update(bytes);
        writeAll(part.file, bytes);
        size += bytes.length;
      }
      if (hash.digest("hex") === sha256) {
        await this.#disk.sync(part.file, size);
        return part;
      }
    } catch (error) {
      this.#root.discard(part);
      throw error;
    }
    this.#root.discard(part);
    return undefined;
  }

  /** A new name among the parts, for a file that is removed or replaced. */
  newName(tree: HeldTree): string | undefined {
    const partials = tree.find([PARTIAL_FOLDER], 0o700);
    return partials?.join(crypto.randomUUID() + PART);
  }

  /** Keeps what has been put under such a name. */
  keep(sha256: string, name: string): void {
    const names = this.#stash.get(sha256) ?? [];
    this.#stash.set(sha256, names);
    names.push(name.slice(name.lastIndexOf("/") + 1));
  }

  /** Contents that a step of this batch has removed or replaced. */
  kept(sha256: string): Deno.FsFile | undefined {
    const [name] = this.#stash.get(sha256) ?? [];
    if (name === undefined) return undefined;
    using tree = this.#root.hold();
    const partials = tree.find([PARTIAL_FOLDER]);
    return partials === undefined ? undefined : Deno.openSync(partials.join(name));
  }

  /** Lets go of what was removed or replaced, and of whole contents that nobody wanted after all. */
  clear(unwanted: Iterable<string>): void {
    using tree = this.#root.hold();
    const partials = tree.find([PARTIAL_FOLDER]);
    if (partials !== undefined) {
      for (const names of this.#stash.values()) {
        for (const name of names) removeIfThere(partials.join(name));
      }
    }
    this.#stash.clear();
    for (const sha256 of unwanted) {
      for (let part = this.take(sha256); part !== undefined; part = this.take(sha256)) {
        this.#root.discard(part);
      }
      this.#copies.delete(sha256);
    }
    this.#lookAgain();
  }

  /** Closes what is open. */
  [Symbol.dispose](): void {
    this.#isClosed = true;
    for (const part of this.#whole.values()) if (part !== undefined) this.#root.leave(part);
    this.#whole.clear();
    this.#lookAgain();
  }

  #create(key: string, mode: number): Part {
    try {
      // The path is asked for only to be checked.
      return this.#root.createPart(key, { key, mode, tree: this.#held() });
    } catch (error) {
      this.#lookAgain(); // the folder of parts may have been removed
      throw error;
    }
  }

  /** Opens a part that was left. */
  #leftOver(key: string): Part | undefined {
    this.#left ??= this.#findLeft();
    return this.#left.delete(key) ? this.#root.reopenPart({ key }, this.#held()) : undefined;
  }

  #findLeft(): Set<string> {
    const partials = this.#held().find([PARTIAL_FOLDER]);
    const names = partials === undefined ? [] : [...Deno.readDirSync(partials.join("."))];
    return new Set(names.map(({ name }) => basename(name, PART)));
  }

  #held(): HeldTree {
    return this.#tree ??= this.#root.hold();
  }

  #lookAgain(): void {
    this.#tree?.[Symbol.dispose]();
    this.#tree = undefined;
  }

  async #read(part: Part): Promise<GrowingPart> {
    const hash = createHash("sha256");
    let bytes = 0;
    for await (const piece of piecesOf(part.file)) {
      hash.update(piece);
      bytes += piece.length;
    }
    return { part, bytes, hash };
  }
}

function keyOf({ partPath }: Part): string {
  return basename(partPath, PART);
}
