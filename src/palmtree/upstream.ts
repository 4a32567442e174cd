/**
 * Where a relay's chunks come from: who its parent is, by which way that is linked to the sender, what came and whether it is
 * right.
 *
 * @module
 */

import type { ChunkList } from "./chunk_list.ts";
import type { ChunkSet } from "./chunk_set.ts";
import type { ChunkFrame, PathFrame } from "./link_frames.ts";
import type { RelayTuning } from "./relay_options.ts";

interface Parent {
  readonly peerId: string;
  /** Whether it tells no way to the sender. */
  readonly isRaw: boolean;
  /** Ids from the sender to it. */
  path: readonly string[] | undefined;
  /** Since when it has no way to the sender, or has not told one. */
  rootlessMs: number | undefined;
  /** When it gave something new. */
  progressMs: number;
}

/** What a relay needs to take chunks. */
export interface UpstreamOptions {
  /** Who we are. */
  readonly peerId: string;
  /** What the content is, once that is known. */
  readonly content: () => ChunkList | undefined;
  /** What is there; it grows here. */
  readonly have: ChunkSet;
  /** Keeps a verified chunk. @throws whatever keeps it from that */
  readonly keep: (index: number, data: Uint8Array) => void;
  /** How long a parent is waited for. */
  readonly tuning: RelayTuning;
}

/** What became of a chunk: it is new, it was there, or it is not the chunk that was announced. */
export type Taken = "new" | "known" | "wrong";

/** The upper side of one relay. */
export class Upstream {
  readonly #options: UpstreamOptions;
  readonly #receivedFrom = new Map<string, number>();
  #parent: Parent | undefined;
  #isDemoted = false;

  /** Has no parent. */
  constructor(options: UpstreamOptions) {
    this.#options = options;
  }

  /** Who sends to us. */
  get parent(): string | undefined {
    return this.#parent?.peerId;
  }

  /** Whether the parent says that we take too little: we are to have no children then. */
  get isDemoted(): boolean {
    return this.#isDemoted;
  }

  /** Bytes of chunks that each parent gave, those that were there already included. */
  get receivedFrom(): ReadonlyMap<string, number> {
    return this.#receivedFrom;
  }

  /** Ids from the sender to us; who has everything and no parent stands for the sender. `undefined` without a way. */
  get path(): readonly string[] | undefined {
    const { peerId, have } = this.#options;
    if (this.#parent?.path !== undefined) return [...this.#parent.path, peerId];
    return this.#parent === undefined && have.isFull ? [peerId] : undefined;
  }

  /** Somebody sends to us from now on. @param path Its way to the sender, where it will not tell one. */
  adopt(peerId: string, path: readonly string[] | undefined, nowMs: number): void {
    const isRaw = path !== undefined;
    this.#parent = { peerId, isRaw, path, rootlessMs: nowMs, progressMs: nowMs };
    this.#isDemoted = false;
  }

  /** Nobody sends to us any more. */
  orphan(): void {
    this.#parent = undefined;
    this.#isDemoted = false;
  }

  /** Takes a chunk of the parent. @throws whatever keeps it from being kept */
  take({ index, data }: ChunkFrame, nowMs: number): Taken {
    const { content, have, keep } = this.#options;
    if (this.#parent === undefined || !content()?.verify(index, data)) return "wrong";
    const { peerId, isRaw } = this.#parent;
    this.#receivedFrom.set(peerId, (this.#receivedFrom.get(peerId) ?? 0) + data.length);
    if (have.has(index)) {
      // An original begins at the beginning, and gives nothing twice.
      if (isRaw) this.#parent.progressMs = nowMs;
      return "known";
    }
    keep(index, data);
    have.add(index);
    this.#parent.progressMs = nowMs;
    return "new";
  }

  /**
   * The parent says where it is.
   *
   * @returns whether we are above it, so that it cannot be our parent; whether our own path is another now; and whether we
   * are to give up our children.
   */
  follow(
    { path, isLagging }: PathFrame,
    nowMs: number,
  ): { readonly isLoop: boolean; readonly isOther: boolean; readonly isDemotion: boolean } {
    const nothing = { isLoop: false, isOther: false, isDemotion: false };
    if (this.#parent === undefined) return nothing;
    const { peerId, have } = this.#options;
    if (path?.includes(peerId)) return { ...nothing, isLoop: true };
    const isOther = this.#parent.path?.join() !== path?.join();
    this.#parent.path = path;
    if (path !== undefined) this.#parent.rootlessMs = undefined;
    else this.#parent.rootlessMs ??= nowMs;
    const wasDemoted = this.#isDemoted;
    this.#isDemoted = isLagging && !have.isFull;
    return { isLoop: false, isOther, isDemotion: this.#isDemoted && !wasDemoted };
  }

  /** Why the parent is of no use; `undefined` while it is. */
  faultAt(nowMs: number): string | undefined {
    if (this.#parent === undefined || this.#options.have.isFull) return undefined;
    const { stallMs, rootlessMs, beatMs } = this.#options.tuning;
    const { path, progressMs, rootlessMs: sinceMs = nowMs } = this.#parent;
    if (path === undefined && nowMs - sinceMs > rootlessMs) return "no way to the sender";
    // Who is nearer to the fault goes first, and takes its descendants with it.
    const patienceMs = stallMs + beatMs * (path?.length ?? 0);
    return nowMs - progressMs > patienceMs ? "gives nothing" : undefined;
  }
}
