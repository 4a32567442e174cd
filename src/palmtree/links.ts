/**
 * The links of one relay: with whom, since when, and when something was heard over them last.
 *
 * @module
 */

import type { LinkEnd, LinkFrame } from "./link_frames.ts";

interface Link {
  readonly isRaw: boolean;
  readonly sinceMs: number;
  heardMs: number;
}

/** What links need. */
export interface LinkPorts {
  /** Sends a small frame. */
  tell(peerId: string, frame: LinkFrame): void;
  /** Closes a link, once what was told is written. */
  close(peerId: string): void;
}

/** The links to parent and children. */
export class Links {
  readonly #ports: LinkPorts;
  readonly #links = new Map<string, Link>();

  /** Has none. */
  constructor(ports: LinkPorts) {
    this.#ports = ports;
  }

  /** With whom. */
  get ids(): string[] {
    return [...this.#links.keys()];
  }

  /** Whether there is one. */
  has(peerId: string): boolean {
    return this.#links.has(peerId);
  }

  /** A link is there. @param isRaw Whether it is with an original, which neither says nor understands anything. */
  add(peerId: string, isRaw: boolean, nowMs: number): void {
    this.#links.set(peerId, { isRaw, sinceMs: nowMs, heardMs: nowMs });
  }

  /** A link has ended. */
  remove(peerId: string): void {
    this.#links.delete(peerId);
  }

  /** Something came. */
  heard(peerId: string, nowMs: number): void {
    const link = this.#links.get(peerId);
    if (link !== undefined) link.heardMs = nowMs;
  }

  /** How old a link is in milliseconds; 0 where there is none. */
  ageOf(peerId: string, nowMs: number): number {
    return nowMs - (this.#links.get(peerId)?.sinceMs ?? nowMs);
  }

  /** Those over which nothing was heard for longer than that. */
  silent(longerThanMs: number, nowMs: number): string[] {
    return this.ids.filter((peerId) => {
      const { isRaw = true, heardMs = nowMs } = this.#links.get(peerId) ?? {};
      return !isRaw && nowMs - heardMs > longerThanMs;
    });
  }

  /** Sends a small frame, unless it is to an original. */
  tell(peerId: string, frame: LinkFrame): void {
    if (this.#links.get(peerId)?.isRaw === false) this.#ports.tell(peerId, frame);
  }

  /** Ends a link. @param why What the other side is told. */
  end(peerId: string, why: LinkEnd): void {
    this.tell(peerId, { type: "end", why });
    this.#ports.close(peerId);
    this.#links.delete(peerId);
  }
}
