/**
 * Parts of files that grow in any order, a few of them open at once: a content may begin any number of files.
 *
 * @module
 */

import type { Part, ReceiveRoot } from "../transfer/receive_root.ts";

/** Parts that are open at once; the one that was used longest ago is closed first. */
const MAX_OPEN = 64;

/** Parts, named by what they were when they were added. */
export class OpenParts {
  readonly #root: ReceiveRoot;
  // The one used last at the end: maps keep their order.
  readonly #open = new Map<Part, Part>();
  readonly #held = new Map<Part, Part>();

  /** Has none. @param root Where they are. */
  constructor(root: ReceiveRoot) {
    this.#root = root;
  }

  /** Looks after a part that is open; from now on it may be closed between two calls of {@linkcode OpenParts.get}. */
  add(part: Part): Part {
    this.#use(part, part);
    return part;
  }

  /** A part, open until the next call. @throws {AuthError} `not-allowed` when it has gone. */
  get(part: Part): Part {
    const held = this.#held.get(part);
    if (held !== undefined) return held;
    return this.#use(part, this.#open.get(part) ?? this.#root.reopenPart(part.partPath));
  }

  /** A part, open until it is let go of. @throws as {@linkcode OpenParts.get}. */
  hold(part: Part): Part {
    const open = this.get(part);
    this.#open.delete(part);
    this.#held.set(part, open);
    return open;
  }

  /** Closes a part, and looks after it no more. */
  letGo(part: Part): void {
    for (const parts of [this.#held, this.#open]) {
      const open = parts.get(part);
      if (open === undefined) continue;
      this.#root.leave(open);
      parts.delete(part);
    }
  }

  #use(part: Part, open: Part): Part {
    this.#open.delete(part);
    this.#open.set(part, open);
    const [oldest] = this.#open;
    if (this.#open.size > MAX_OPEN && oldest !== undefined) {
      this.#open.delete(oldest[0]);
      this.#root.leave(oldest[1]);
    }
    return open;
  }
}
