/**
 * What one relay says to others by packets.
 *
 * @module
 */

import type { ControlMessage, Gather, RelayReport } from "./control.ts";
import type { Neighbors } from "./neighbors.ts";
import type { Participant } from "./participant.ts";
import type { PalmTreeSession } from "./session.ts";

/** Where the one who answers a gather is. */
export interface Place {
  /** Steps from the sender; `undefined` while it has no way there. */
  readonly depth: number | undefined;
  /** Who sends to it. */
  readonly parent: string | undefined;
  /** How far it is. */
  readonly report: RelayReport;
}

/** Writes and sends the control messages of one relay. */
export class Messenger {
  /** Names the tree check that is passed on. */
  messageId: string;
  readonly #self: Participant;
  readonly #session: PalmTreeSession;
  readonly #neighbors: Neighbors;
  readonly #port: (message: ControlMessage, to: Participant) => void;

  /** Speaks for `self`. @param port Sends a packet, which may get lost. */
  constructor(
    self: Participant,
    session: PalmTreeSession,
    neighbors: Neighbors,
    port: (message: ControlMessage, to: Participant) => void,
  ) {
    this.#self = self;
    this.#session = session;
    this.#neighbors = neighbors;
    this.#port = port;
    this.messageId = String(session.sessionId); // for who asks by itself and never gets a check
  }

  /** Asks somebody to become a child. */
  check(peerId: string): void {
    const { messageId, from } = this;
    this.#send({ type: "tree-check", from, messageId, sessionId: this.#session.sessionId }, peerId);
  }

  /** Asks somebody to link to us. */
  upgrade(peerId: string): void {
    const isKith = this.#neighbors.get(peerId)?.isKith === true; // originals know where we are
    const more = isKith ? { active: this.#self.active } : {};
    this.#send({ type: "upgrade", from: this.from, ...more }, peerId);
  }

  /** Refuses a check or an upgrade. */
  reject(peerId: string): void {
    this.#send({ type: "tree-reject", from: this.from }, peerId);
  }

  /** Says that a link has ended, or is to end. */
  downgrade(peerId: string): void {
    this.#send({ type: "downgrade", from: this.from }, peerId);
  }

  /** Tells the sender that a state update has come. */
  acknowledge(seq: number): void {
    this.#send({ type: "state-ack", from: this.from, seq }, this.#session.originateId);
  }

  /** Asks children where in the tree they are, and theirs. */
  gather(message: Gather, children: readonly string[]): void {
    for (const peerId of children) this.#send(message, peerId);
  }

  /** Answers where we are, and asks our children; but nothing that would not go to where the sender is. */
  answer({ root, level, replyAddr }: Gather, place: Place, children: readonly string[]): void {
    const to = this.#neighbors.replyTo(replyAddr);
    if (to === undefined || root === this.from) return;
    const { depth = level + 1, parent = null, report } = place;
    const passed = { type: "gather", root, level: depth, parent, replyAddr } as const;
    this.#port(to.isKith ? { ...passed, report } : passed, to);
    this.gather(passed, children);
  }

  /** Who we are. */
  get from(): string {
    return this.#self.peerId;
  }

  #send(message: ControlMessage, peerId: string): void {
    const to = this.#neighbors.get(peerId);
    if (to !== undefined) this.#port(message, to);
  }
}
