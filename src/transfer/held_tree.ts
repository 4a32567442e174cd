/**
 * The folders below one root, for as long as they are needed.
 *
 * @module
 */

import { HeldFolder } from "./held_folder.ts";

/** Folders that are held open at once; the one that has been held longest goes first. */
const MAX_HELD = 64;

/** How to hold a {@linkcode HeldTree}. */
export interface HeldTreeOptions {
  /** Whether to hold folders where that is possible. */
  hold: boolean;
  /** For tests: called with a folder between its check and its use. */
  afterCheck: (folder: string) => void;
}

/**
 * Folders below a root, each looked up in the one above it, so that no link is followed on the way. What can be held stays
 * open until the tree is let go of: many files of one folder then look it up once.
 *
 * @example
 * ```ts
 * import { ReceiveRoot } from "@kith/kith/transfer";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * await Deno.symlink("..", `${dir}/out`);
 * {
 *   using tree = ReceiveRoot.open(dir).hold();
 *   assertEquals(tree.find(["notes"]), undefined);
 *   assertEquals(tree.find(["notes"], 0o755), tree.find(["notes"]));
 *   assertThrows(() => tree.find(["out"]), Error, "is a link");
 * }
 * await Deno.remove(dir, { recursive: true });
 * ```
 */
export class HeldTree implements Disposable {
  readonly #dir: string;
  readonly #options: HeldTreeOptions;
  // By the path below the root; the root itself is not among them.
  readonly #held = new Map<string, HeldFolder>();
  readonly #inPlace = new Set<HeldFolder>();
  #root: HeldFolder | undefined;

  /** Holds nothing yet. @param dir The root's real path. */
  constructor(dir: string, options: HeldTreeOptions) {
    this.#dir = dir;
    this.#options = options;
  }

  /** The root. */
  get root(): HeldFolder {
    return this.#root ??= HeldFolder.open(this.#dir, this.#options);
  }

  /**
   * A folder, which belongs to the tree: nobody else closes it.
   *
   * @param makeMode Makes it, and those on the way, first, with these permission bits, where there is none.
   * @returns `undefined` when there is none.
   * @throws {AuthError} `not-allowed` when a link or a file is there.
   */
  find(segments: readonly string[], makeMode?: number): HeldFolder | undefined {
    let folder = this.root;
    let way = "";
    for (const segment of segments) {
      way = way === "" ? segment : `${way}/${segment}`;
      let next = this.#kept(way);
      if (next === undefined) {
        next = folder.enter(segment, way, makeMode);
        if (next === undefined) return undefined;
        this.#keep(way, next);
      }
      folder = next;
    }
    this.#options.afterCheck(folder.path);
    return folder;
  }

  /**
   * Whether a folder is where it was found, as it was when that was asked first since {@linkcode HeldTree.lookAgain}: what is
   * put into many files at once is not swapped in between.
   */
  isInPlace(folder: HeldFolder): boolean {
    if (this.#inPlace.has(folder)) return true;
    if (!folder.isInPlace(this.#dir)) return false;
    this.#inPlace.add(folder);
    return true;
  }

  /** Looks anew where folders are. */
  lookAgain(): void {
    this.#inPlace.clear();
  }

  /** Lets go of all of them. Harmless when repeated. */
  [Symbol.dispose](): void {
    for (const folder of this.#held.values()) folder[Symbol.dispose]();
    this.#held.clear();
    this.#inPlace.clear();
    this.#root?.[Symbol.dispose]();
    this.#root = undefined;
  }

  // What is no more than a path has to be looked at each time.
  #kept(way: string): HeldFolder | undefined {
    const folder = this.#held.get(way);
    return folder?.isHeld ? folder : undefined;
  }

  #keep(way: string, folder: HeldFolder): void {
    this.#held.delete(way);
    this.#held.set(way, folder);
    if (this.#held.size <= MAX_HELD) return;
    const [oldest] = this.#held;
    if (oldest === undefined) return;
    this.#held.delete(oldest[0]);
    this.#inPlace.delete(oldest[1]);
    oldest[1][Symbol.dispose]();
  }
}
