/**
 * Whom a relay takes in as its child: those whom it has invited, and those who ask by themselves, as far as there is room and
 * they are not above it.
 *
 * Who asks again and again has found nobody else, because those who take the room may pass on nothing, or nothing that is
 * right. It is taken in then even if that makes twice as many.
 *
 * @module
 */

import type { Feeds } from "./feeds.ts";
import { Invitations } from "./invitations.ts";
import type { Neighbors } from "./neighbors.ts";
import type { Upstream } from "./upstream.ts";

/** How long somebody has to be refused before it is taken in all the same, in milliseconds. */
const PRESSING_MS = 1_500;

/** Refusals that are remembered. */
const MAX_REFUSED = 1_024;

/** What admission looks at. */
export interface AdmissionParts {
  /** Who is known. */
  readonly neighbors: Neighbors;
  /** Who is above. */
  readonly upstream: Upstream;
  /** Who is a child. */
  readonly feeds: Feeds;
  /** Most children, unless a plan says how many. */
  readonly fanout: number;
  /** Children beyond it for those who lost their parent. */
  readonly spare: number;
}

/** What admission does to the world. */
export interface AdmissionPorts {
  /** Sends a tree check. */
  check(peerId: string): void;
  /** Opens a link. */
  connect(peerId: string): void;
}

/** The lower side of one relay, before there is a link. */
export class Admission {
  readonly #parts: AdmissionParts;
  readonly #ports: AdmissionPorts;
  readonly #invitations: Invitations;
  readonly #connecting = new Set<string>();
  // Since when.
  readonly #refusedMs = new Map<string, number>();

  /** Takes nobody in yet. */
  constructor(parts: AdmissionParts, ports: AdmissionPorts) {
    this.#parts = parts;
    this.#ports = ports;
    this.#invitations = new Invitations({
      check: (peerId) => ports.check(peerId),
      children: () => this.#count,
      skips: (peerId) => this.#isNoChild(peerId),
    });
  }

  /** Invites the planned children, else a window of the neighbours. */
  begin(nowMs: number): void {
    const { order, children } = this.#parts.neighbors;
    const planned = children === undefined ? order : order.slice(0, children);
    const fanout = Math.min(planned.length, children ?? this.#parts.fanout);
    if (fanout > 0) this.#invitations.begin(planned, fanout, nowMs);
  }

  /** Somebody asks to be linked to. @returns whether it is, or is already about to be. */
  asked(peerId: string, nowMs: number): boolean {
    if (this.#connecting.has(peerId)) return true;
    if (!this.#hasRoomFor(peerId, nowMs)) {
      this.refused(peerId, nowMs);
      return false;
    }
    this.#invitations.accepted(peerId);
    this.#refusedMs.delete(peerId);
    this.#connecting.add(peerId);
    this.#ports.connect(peerId);
    return true;
  }

  /** A link is there. @returns whether it is still wanted. */
  linked(peerId: string): boolean {
    this.#invitations.accepted(peerId);
    return this.#connecting.delete(peerId) && !this.#isNoChild(peerId);
  }

  /** A link could not be opened. */
  failed(peerId: string, nowMs: number): void {
    if (this.#connecting.delete(peerId)) this.refused(peerId, nowMs);
  }

  /** Somebody does not become a child. */
  refused(peerId: string, nowMs: number): void {
    this.#invitations.refused(peerId, nowMs);
  }

  /** Repeats what was not answered. */
  tick(nowMs: number): void {
    this.#invitations.tick(nowMs);
  }

  /** Invites nobody any more. */
  stop(): void {
    this.#invitations.stop();
    this.#connecting.clear();
  }

  // Who lags takes little, and must not keep others out.
  get #count(): number {
    return this.#parts.feeds.active + this.#connecting.size;
  }

  #hasRoomFor(peerId: string, nowMs: number): boolean {
    const { neighbors, upstream, fanout, spare } = this.#parts;
    if (upstream.isDemoted || this.#isNoChild(peerId)) return false;
    const isInvited = this.#invitations.has(peerId);
    if (!isInvited && upstream.path === undefined) return false;
    const room = neighbors.children ?? fanout;
    if (this.#count < room + (isInvited ? 0 : spare)) return true;
    return this.#isPressing(peerId, nowMs) && this.#count <= 2 * room + spare;
  }

  #isPressing(peerId: string, nowMs: number): boolean {
    if (!this.#refusedMs.has(peerId) && this.#refusedMs.size < MAX_REFUSED) {
      this.#refusedMs.set(peerId, nowMs);
    }
    return nowMs - (this.#refusedMs.get(peerId) ?? nowMs) >= PRESSING_MS;
  }

  #isNoChild(peerId: string): boolean {
    const { neighbors, upstream, feeds } = this.#parts;
    const isAbove = upstream.parent === peerId || (upstream.path?.includes(peerId) ?? false);
    return isAbove || feeds.has(peerId) || neighbors.blamed.has(peerId) ||
      neighbors.get(peerId) === undefined;
  }
}
