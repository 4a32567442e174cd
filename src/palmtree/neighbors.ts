/**
 * Whom a relay knows, whose packets it believes, and whom it asks when it needs a parent.
 *
 * A packet with a seal comes from a participant; with the session's seal, which all have, only from where the sender says that
 * it is. One without comes from an original if we know one at its source address, and
 * is ignored otherwise; the originals themselves believe anybody. Nothing is sent to another host than the one who names it.
 *
 * @module
 */

import type { Address } from "../transport/transport.ts";
import type { ControlMessage } from "./control.ts";
import { MAX_PARTICIPANTS } from "./hypercube.ts";
import { type Participant, withoutZone } from "./participant.ts";
import type { Envelope } from "./relay_options.ts";
import type { PalmTreeSession } from "./session.ts";

/** The participants that one relay knows. */
export class Neighbors {
  /** Who gave something else than the chunk that was announced. */
  readonly blamed: Set<string> = new Set();
  readonly #self: Participant;
  readonly #session: PalmTreeSession;
  readonly #root: { readonly hostname: string; readonly isKith: boolean };
  readonly #members = new Map<string, Participant>();
  // Those who were left lately: asked last.
  readonly #avoided = new Set<string>();
  #order: readonly string[] = [];
  #children: number | undefined;

  /** Knows nobody. @param root Where the inform came from. @default ourselves */
  constructor(
    self: Participant,
    session: PalmTreeSession,
    root: { readonly hostname: string; readonly isKith: boolean } | undefined,
  ) {
    this.#self = self;
    this.#session = session;
    this.#root = root ?? { hostname: self.passive.hostname, isKith: true };
  }

  /** The neighbours, in their order. */
  get order(): readonly string[] {
    return this.#order;
  }

  /** So many of them, from the first on, are to become children; `undefined` where the window rule decides. */
  get children(): number | undefined {
    return this.#children;
  }

  /** Takes over who the neighbours are; others who are known stay so. */
  set(neighbors: readonly Participant[], children: number | undefined): void {
    const others = neighbors.filter(({ peerId }) => peerId !== this.#self.peerId);
    for (const neighbor of others) this.#members.set(neighbor.peerId, neighbor);
    this.#order = others.map(({ peerId }) => peerId);
    this.#children = children;
  }

  /** Makes others known, who are no neighbours: they may ask. */
  know(others: readonly Participant[]): void {
    for (const one of others) {
      if (one.peerId === this.#self.peerId || this.#members.has(one.peerId)) continue;
      if (this.#members.size < MAX_PARTICIPANTS) this.#members.set(one.peerId, one);
    }
  }

  /** Somebody who is known. */
  get(peerId: string): Participant | undefined {
    return this.#members.get(peerId);
  }

  /** Whether somebody may be at an address: who is known is where the sender says; who came late says it itself. */
  isAt(peerId: string, { hostname, port }: Address): boolean {
    const known = this.#members.get(peerId)?.passive;
    return known === undefined ||
      (known.port === port && withoutZone(known.hostname) === withoutZone(hostname));
  }

  /** Somebody was a parent and gave nothing: it is asked last. */
  avoid(peerId: string): void {
    this.#avoided.add(peerId);
  }

  /** Somebody gives: those who did not may be asked like all others. */
  forgive(): void {
    this.#avoided.clear();
  }

  /** Whom to ask for chunks, one after the other: the sender and those who were left last. */
  candidates(isChild: (peerId: string) => boolean): string[] {
    const root = this.#session.originateId;
    const planned = this.#children ?? 0;
    // Who was to be a child is likely to be behind us.
    const all = [...this.#order.slice(planned), ...this.#order.slice(0, planned)];
    const able = all.filter((peerId) => {
      return peerId !== root && !this.blamed.has(peerId) && !isChild(peerId);
    });
    const isRootKnown = this.#members.has(root) && !this.blamed.has(root);
    return [
      ...able.filter((peerId) => !this.#avoided.has(peerId)),
      ...isRootKnown ? [root] : [],
      ...able.filter((peerId) => this.#avoided.has(peerId)),
    ];
  }

  /**
   * Who sent a packet.
   *
   * @returns `undefined` when it is nobody who may send it.
   */
  senderOf(message: ControlMessage, envelope: Envelope): string | undefined {
    const { sealedBy, address } = envelope;
    const root = this.#session.originateId;
    if (sealedBy === undefined) return this.#originalAt(message, address);
    switch (message.type) {
      case "state-update":
        if (sealedBy !== root) return undefined;
        this.#learn(root, address, this.#members.get(root)?.active ?? address);
        return root;
      case "gather":
        if (message.root !== root) return undefined;
        return sealedBy === root || this.#members.has(sealedBy) ? sealedBy : undefined;
      case "upgrade":
        if (message.active !== undefined && !this.#members.has(sealedBy)) {
          // Nobody may have us connect to somebody else.
          if (message.active.hostname !== address.hostname) return undefined;
          this.#learn(sealedBy, address, message.active);
        }
        break;
    }
    return message.from === sealedBy ? sealedBy : undefined;
  }

  /** Where an answer to the sender goes; `undefined` when that is not where the sender is. */
  replyTo(address: Address): Participant | undefined {
    const { hostname, isKith } = this.#root;
    const peerId = this.#session.originateId;
    if (address.hostname !== hostname) return undefined;
    return { peerId, passive: address, active: address, isKith };
  }

  #originalAt(message: ControlMessage, address: Address): string | undefined {
    if (message.type === "state-update") {
      const isRoot = !this.#root.isKith && address.hostname === this.#root.hostname;
      return isRoot ? this.#session.originateId : undefined;
    }
    // The sender asks those, too, who do not know it; the answer goes where it is, and it may be asked there.
    const root = this.#session.originateId;
    const isAsked = message.type === "gather" && message.root === root && !this.#root.isKith;
    if (isAsked && address.hostname === this.#root.hostname) {
      const { replyAddr } = message;
      this.know([{ peerId: root, passive: replyAddr, active: replyAddr, isKith: false }]);
      return root;
    }
    for (const { peerId, passive, isKith } of this.#members.values()) {
      if (isKith || passive.port !== address.port || passive.hostname !== address.hostname) {
        continue;
      }
      return message.type === "gather" || message.from === peerId ? peerId : undefined;
    }
    return undefined;
  }

  #learn(peerId: string, passive: Address, active: Address): void {
    const isKnown = this.#members.has(peerId);
    if (peerId === this.#self.peerId || (!isKnown && this.#members.size >= MAX_PARTICIPANTS)) {
      return;
    }
    this.#members.set(peerId, { peerId, passive, active, isKith: true });
  }
}
