/**
 * How a relay finds a parent and leaves one: it answers those who invite it, takes the first who links to it, and asks by
 * itself when nobody invites it, when the parent is gone, or when it is of no use.
 *
 * @module
 */

import type { ChunkSet } from "./chunk_set.ts";
import type { Neighbors } from "./neighbors.ts";
import { ParentSearch } from "./parent_search.ts";
import type { Upstream } from "./upstream.ts";

/** What attachment looks at. */
export interface AttachmentParts {
  /** Who is known. */
  readonly neighbors: Neighbors;
  /** Who is above. */
  readonly upstream: Upstream;
  /** What is there: who has everything needs no parent. */
  readonly have: ChunkSet;
  /** How long an invitation is waited for before anybody is asked, in milliseconds. */
  readonly joinMs: number;
  /** How long after a question a link is still taken, in milliseconds. */
  readonly linkWaitMs: number;
}

/** What attachment does to the world. */
export interface AttachmentPorts {
  /** Sends an upgrade. */
  ask(peerId: string): void;
  /** Whether somebody is our child. */
  isChild(peerId: string): boolean;
}

/** The upper side of one relay, before there is a link. */
export class Attachment {
  readonly #parts: AttachmentParts;
  readonly #search: ParentSearch;
  #aloneMs = 0;

  /** Asks nobody yet. */
  constructor(parts: AttachmentParts, ports: AttachmentPorts) {
    this.#parts = parts;
    this.#search = new ParentSearch({
      ask: (peerId) => ports.ask(peerId),
      candidates: () => parts.neighbors.candidates((peerId) => ports.isChild(peerId)),
    }, parts.linkWaitMs);
  }

  /** The neighbours are known: an invitation is waited for from now on. */
  wait(nowMs: number): void {
    this.#aloneMs = nowMs;
  }

  /** Somebody invites us. @returns whether we have answered that we want to. */
  invited(peerId: string, nowMs: number): boolean {
    const { upstream, have } = this.#parts;
    if (upstream.parent !== undefined || have.isFull || !this.#isTrusted(peerId)) return false;
    this.#search.answer(peerId, nowMs);
    return true;
  }

  /** Somebody does not want to. */
  refused(peerId: string, nowMs: number): void {
    this.#search.refused(peerId, nowMs);
  }

  /** Somebody has linked to us. @returns whether it is the parent now: the first who was asked, or the same again. */
  offered(peerId: string, nowMs: number): boolean {
    const { upstream, neighbors } = this.#parts;
    const isFirst = upstream.parent === undefined && this.#search.isAsked(peerId);
    if ((!isFirst && upstream.parent !== peerId) || !this.#isTrusted(peerId)) return false;
    this.#search.stop();
    const isRaw = neighbors.get(peerId)?.isKith !== true;
    upstream.adopt(peerId, isRaw ? [peerId] : undefined, nowMs); // an original tells no path
    return true;
  }

  /** The parent is gone: neighbours are asked at once, and that one last. */
  lost(peerId: string, nowMs: number): void {
    const { upstream, neighbors, have } = this.#parts;
    upstream.orphan();
    neighbors.avoid(peerId);
    this.#aloneMs = nowMs;
    if (!have.isFull) this.#search.seek(nowMs);
  }

  /** Repeats what was not answered. @returns why the parent is to be left, if it is. */
  tick(nowMs: number): string | undefined {
    const { upstream, have, joinMs } = this.#parts;
    this.#search.tick(nowMs);
    if (upstream.parent !== undefined) return upstream.faultAt(nowMs);
    const isAlone = nowMs - this.#aloneMs >= joinMs && !this.#search.isWaiting(nowMs);
    if (isAlone && !have.isFull) this.#search.seek(nowMs);
    return undefined;
  }

  /** Asks nobody any more. */
  stop(): void {
    this.#search.stop();
    this.#parts.upstream.orphan();
  }

  #isTrusted(peerId: string): boolean {
    const { neighbors } = this.#parts;
    return neighbors.get(peerId) !== undefined && !neighbors.blamed.has(peerId);
  }
}
