/**
 * Peers that may belong to a part of a topic which nobody here knows of: each is tried a few times, one after the other.
 *
 * @module
 */

import type { Contact } from "./contact.ts";

/** Peers that are tried at the same time. */
const MAX_STRANGERS = 4;

/** How often each is tried, and how long that is apart at least, in milliseconds. */
const MAX_TRIES = 5;
const TRY_MS = 500;

/** See the module. */
export class Strangers {
  // Whose turn it is comes first.
  readonly #all = new Map<string, { readonly contact: Contact; tries: number }>();
  #nextMs = 0;

  /** Adds one, where there is room. */
  add(contact: Contact): void {
    if (this.#all.size < MAX_STRANGERS) this.#all.set(contact.peerId, { contact, tries: 0 });
  }

  /** One who is no stranger any more. */
  remove(peerId: string): void {
    this.#all.delete(peerId);
  }

  /** Whom to try now, if it is time. */
  next(nowMs: number): Contact | undefined {
    const [stranger] = nowMs < this.#nextMs ? [] : this.#all.values();
    if (stranger === undefined) return undefined;
    const { contact } = stranger;
    this.#nextMs = nowMs + TRY_MS;
    this.#all.delete(contact.peerId);
    if (++stranger.tries < MAX_TRIES) this.#all.set(contact.peerId, stranger); // the last now
    return contact;
  }
}
