/**
 * Whom a relay has asked to become its child, and whom it asks next.
 *
 * The originals ask once and take silence for nothing at all; here a question is repeated until it is answered, and silence
 * in the end counts as a refusal. Who refuses makes room for the next neighbour; the originals count it as a child for ever.
 *
 * @module
 */

import { forwardWindow } from "./hypercube.ts";

/** When a tree check is repeated, in milliseconds after the one before; after the last it is given up. */
const AGAIN_MS = [200, 400, 800, 1_600] as const;

/** What invitations need. */
export interface InvitationPorts {
  /** Sends a tree check. */
  check(peerId: string): void;
  /** Children that are there, or about to be. */
  children(): number;
  /** Whether somebody is not to be asked. */
  skips(peerId: string): boolean;
}

interface Invitation {
  sent: number;
  dueMs: number;
}

/** The tree checks of one relay. */
export class Invitations {
  readonly #ports: InvitationPorts;
  readonly #open = new Map<string, Invitation>();
  readonly #tried = new Set<string>();
  #neighbors: readonly string[] = [];
  #fanout = 0;
  #start = 0;

  /** Asks nobody yet. */
  constructor(ports: InvitationPorts) {
    this.#ports = ports;
  }

  /** Whether somebody was asked and has not answered. */
  has(peerId: string): boolean {
    return this.#open.has(peerId);
  }

  /** Asks the first window of the neighbours. */
  begin(neighbors: readonly string[], fanout: number, nowMs: number): void {
    this.#neighbors = neighbors;
    this.#fanout = fanout;
    this.#askNext(nowMs);
  }

  /** Somebody has answered and becomes a child. */
  accepted(peerId: string): void {
    this.#open.delete(peerId);
  }

  /** Somebody does not want to, or cannot be reached: somebody else is asked. */
  refused(peerId: string, nowMs: number): void {
    if (this.#open.delete(peerId) || this.#tried.has(peerId)) this.#askNext(nowMs);
  }

  /** Repeats what was not answered. */
  tick(nowMs: number): void {
    for (const [peerId, invitation] of this.#open) {
      if (nowMs < invitation.dueMs) continue;
      const waitMs = AGAIN_MS[invitation.sent++];
      if (waitMs === undefined || this.#ports.skips(peerId)) this.refused(peerId, nowMs);
      else {
        invitation.dueMs = nowMs + waitMs;
        this.#ports.check(peerId);
      }
    }
  }

  /** Asks nobody any more. */
  stop(): void {
    this.#open.clear();
    this.#start = this.#neighbors.length;
  }

  #askNext(nowMs: number): void {
    while (this.#start < this.#neighbors.length) {
      const online = this.#ports.children();
      if (online + this.#open.size >= this.#fanout) return;
      const state = { fanout: this.#fanout, start: this.#start, online };
      const { candidates, next } = forwardWindow(this.#neighbors, state, (peerId) => {
        return this.#tried.has(peerId) || this.#ports.skips(peerId);
      });
      this.#start = Math.max(next, this.#start + 1); // with children enough it would stand still
      for (const peerId of candidates) {
        this.#tried.add(peerId);
        this.#open.set(peerId, { sent: 1, dueMs: nowMs + AGAIN_MS[0] });
        this.#ports.check(peerId);
      }
    }
  }
}
