/**
 * Who came and who went, between one look and the next.
 *
 * @module
 */

import type { PagePeer } from "./options.ts";

/** What is new since the look before. */
export interface PresenceChange {
  /** Who was not there, or has another name or place now. */
  readonly came: readonly PagePeer[];
  /** Who is there no more, as it was seen last. */
  readonly went: readonly PagePeer[];
}

/** Remembers who was there at the last look. */
export class Presence {
  #seen: ReadonlyMap<string, PagePeer> = new Map();

  /** Takes a look at who is there now. */
  look(peers: readonly PagePeer[]): PresenceChange {
    const before = this.#seen;
    const now = new Map(peers.map((peer) => [peer.peerId, peer]));
    this.#seen = now;
    const came = [...now.values()].filter((peer) => !isSame(peer, before.get(peer.peerId)));
    const went = [...before.values()].filter(({ peerId }) => !now.has(peerId));
    return { came, went };
  }
}

function isSame(peer: PagePeer, other: PagePeer | undefined): boolean {
  return peer.name === other?.name && peer.ip === other.ip;
}
