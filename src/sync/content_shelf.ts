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
import type { HeldTree } from "../transfer/held_tree.ts";
import type { Part, ReceiveRoot } from "../transfer/receive_root.ts";
import { writeAll } from "../transfer/disk.ts";
import { PARTIAL_FOLDER } from "../transfer/safe_path.ts";
import { removeIfThere } from "../state/home.ts";
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

/** Files that are open at once for all connections of a folder, to be written or to be read: each is a descriptor. */
const MAX_OPEN = 128;

/** The contents of one folder that are in no place. */
export class ContentShelf {
  /** For parts that grow. */
  readonly growing: Slots = new Slots(MAX_OPEN);
  /** For files that are sent. */
  readonly reading: Slots = new Slots(MAX_OPEN);
  readonly #root: ReceiveRoot;
  readonly #whole = new Set<string>();
  readonly #copies = new Map<string, Part[]>();
  readonly #stash = new Map<string, string>();
  readonly #growing = new Map<string, Promise<void>>();

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
   * @returns why they could not be got.
   */
  async only(sha256: string, get: () => Promise<string | undefined>): Promise<string | undefined> {
    for (let other = this.#growing.get(sha256); other; other = this.#growing.get(sha256)) {
      await other;
    }
    if (this.has(sha256)) return undefined;
    const getting = get();
    const settled = getting.then(() => {}, () => {});
    this.#growing.set(sha256, settled);
    try {
      return await getting;
    } finally {
      this.#growing.delete(sha256);
    }
  }

  /** Begins contents, or goes on with what is here of them. @param maxBytes More than that is none of it. */
  async begin(sha256: string, maxBytes: number): Promise<GrowingPart> {
    const found = this.#root.reopenPart({ key: sha256 });
    if (found !== undefined) {
      const grown = await this.#read(found);
      if (grown.bytes <= maxBytes) return grown;
      this.#root.discard(found);
    }
    // The path is asked for only to be checked.
    const part = this.#root.createPart(sha256, { key: sha256, mode: 0o600 });
    return { part, bytes: 0, hash: createHash("sha256") };
  }

  /** Notes that a part is whole: it was hashed, and the hash is its name. What it holds is on the disk after this. */
  async finish(sha256: string, { part }: GrowingPart): Promise<void> {
    await part.file.syncData();
    this.#root.leave(part);
    this.#whole.add(sha256);
  }

  /** Closes a part that is to be gone on with. */
  leave({ part }: GrowingPart): void {
    this.#root.leave(part);
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
    if (!this.#whole.delete(sha256)) return undefined;
    return this.#root.reopenPart({ key: sha256 });
  }

  /** Takes a part back that got no place: what has its hash for a name is kept, another removed. */
  putBack(part: Part): void {
    const name = basename(part.partPath, ".part");
    if (!SHA256.test(name)) return this.#root.discard(part);
    this.#root.leave(part);
    this.#whole.add(name);
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
    try {
      for await (const bytes of piecesOf(file)) {
        hash.update(bytes);
        writeAll(part.file, bytes);
      }
      if (hash.digest("hex") === sha256) {
        await part.file.syncData();
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
    return partials?.join(`${crypto.randomUUID()}.part`);
  }

  /** Keeps what has been put under such a name. */
  keep(sha256: string, name: string): void {
    this.#stash.set(sha256, name.slice(name.lastIndexOf("/") + 1));
  }

  /** Contents that a step of this batch has removed or replaced. */
  kept(sha256: string): Deno.FsFile | undefined {
    const name = this.#stash.get(sha256);
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
      for (const name of this.#stash.values()) removeIfThere(partials.join(name));
    }
    this.#stash.clear();
    for (const sha256 of unwanted) {
      for (let part = this.take(sha256); part !== undefined; part = this.take(sha256)) {
        this.#root.discard(part);
      }
      this.#copies.delete(sha256);
    }
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
