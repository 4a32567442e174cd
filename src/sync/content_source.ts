/**
 * Where contents are read from: the files of the folder that have them.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";
import { type Logger, printable } from "../log.ts";
import type { HeldTree } from "../transfer/held_tree.ts";
import type { ReceiveRoot } from "../transfer/receive_root.ts";
import type { SyncIndex } from "./index.ts";

/** Folders are held for so long, so that many files of one are opened without looking it up for each. */
const HOLD_MS = 250;

/** What a source needs. */
export interface ContentSourceOptions {
  /** The folder. */
  readonly root: ReceiveRoot;
  /** What is in it. */
  readonly index: SyncIndex;
  /** Where time comes from. */
  readonly clock: Clock;
  /** Where it logs to. */
  readonly log: Logger;
}

/** Folders that are held, as long as nothing changes. */
interface Held {
  readonly seq: number;
  readonly tree: HeldTree;
  readonly timer: Timer;
}

/** Opens contents. */
export class ContentSource implements Disposable {
  readonly #options: ContentSourceOptions;
  #held: Held | undefined;
  #isOver = false;

  /** Holds nothing yet. */
  constructor(options: ContentSourceOptions) {
    this.#options = options;
  }

  /** Opens a file that has, as far as is known, these contents. @returns `undefined` when there is none. */
  open(sha256: string): Deno.FsFile | undefined {
    const { root, index, log } = this.#options;
    for (const { path, size } of index.withContents(sha256)) {
      try {
        const file = root.openFile(path, this.#tree());
        if (file?.statSync().size === size) return file;
        file?.close();
      } catch (error) {
        log.debug("contents not readable", { path: printable(path), error: String(error) });
      }
    }
    return undefined;
  }

  /** Lets go of the folders, and holds none any more. */
  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#letGo();
  }

  #tree(): HeldTree | undefined {
    const { root, index: { seq }, clock } = this.#options;
    if (this.#isOver) return undefined;
    if (this.#held?.seq !== seq) this.#letGo();
    const hold = () => ({
      seq,
      tree: root.hold(),
      timer: clock.after(HOLD_MS, () => this.#letGo()),
    });
    return (this.#held ??= hold()).tree;
  }

  #letGo(): void {
    this.#held?.timer.cancel();
    this.#held?.tree[Symbol.dispose]();
    this.#held = undefined;
  }
}
