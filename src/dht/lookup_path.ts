/**
 * One way of a lookup: the nodes that it knows, from the nearest on, and what became of asking them.
 *
 * A node is `unasked`, then `asked`, perhaps `stalled` when it takes long, and in the end `answered` or `failed`. What is
 * looked at is always the window: the nearest `settle` nodes that did not fail, where a stalled one does not count, so that
 * one more may be asked in its place. The path is over when the nearest `settle`, stalled ones among them, have answered.
 *
 * Anybody can name an honest node at a false address. So up to three addresses of a node are remembered, and the next
 * is asked when one fails.
 *
 * @module
 */

import { type Contact, isSameAddress } from "./contact.ts";
import { commonBits, compareDistance, type NodeId } from "./node_id.ts";

/** Addresses of one node that are tried. */
const MAX_ADDRESSES = 3;

/** A node as it was named. */
export interface Named {
  /** The node. */
  readonly contact: Contact;
  /** Who named it; `undefined` for one that the lookup began with. */
  readonly by: Contact | undefined;
  /** 1 for one that the lookup began with, else one more than that of who named it. */
  readonly depth: number;
  /** Its public network; `undefined` for one that is not counted. */
  readonly network: string | undefined;
}

/** A node that a path knows. */
export interface Known {
  /** The node, at the address where it is asked. */
  readonly named: Named;
  /** What became of it. */
  readonly state: "unasked" | "asked" | "stalled" | "answered" | "failed";
}

/** What a {@linkcode LookupPath} needs. */
export interface LookupPathOptions {
  /** How many of the nearest have to have answered. */
  readonly settle: number;
  /** Most nodes that are known, failed ones too. So the path ends, whatever it is told. */
  readonly maxKnown: number;
  /** Nodes of one public network that count, the nearest ones. */
  readonly perNetwork: number;
  /** How long a node lately took to answer, in milliseconds; `undefined` where that is not known. */
  readonly rttOf: (contact: Contact) => number | undefined;
}

interface Entry extends Known {
  named: Named;
  state: Known["state"];
  /** Everywhere it is said to be; what comes before `named` has failed. */
  readonly claims: Named[];
  /** How many bits it has in common with the target. */
  readonly bits: number;
}

/** See the module. */
export class LookupPath {
  readonly #target: NodeId;
  readonly #options: LookupPathOptions;
  readonly #entries = new Map<string, Entry>();
  // The same, the nearest first.
  readonly #nearest: Entry[] = [];
  // Made when it is looked at, gone with every change.
  #window: readonly Entry[] | undefined;
  #pending = 0;
  #stalled = 0;

  /** Knows nobody. */
  constructor(target: NodeId, options: LookupPathOptions) {
    this.#target = target;
    this.#options = options;
  }

  /** Questions that are open, stalled ones too. */
  get inFlight(): number {
    return this.#pending + this.#stalled;
  }

  /** Questions that are open and not stalled. */
  get pending(): number {
    return this.#pending;
  }

  /** Whether the nearest have answered, or there is nobody left to ask. */
  get isOver(): boolean {
    const { settle } = this.#options;
    return this.#inWindow().every(({ state }, at) => at >= settle || state === "answered");
  }

  /** Whether the nearest node has answered: what is left is to ask those around it. */
  get isNear(): boolean {
    return this.#inWindow()[0]?.state === "answered";
  }

  /** The nodes that did not fail, the nearest first. */
  get known(): readonly Known[] {
    return this.#nearest.filter(({ state }) => state !== "failed");
  }

  /** Whether it would be worth something to hear of a node at that address. */
  isNews({ key, address }: Contact): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) return true;
    if (entry.state === "answered" || entry.claims.length >= MAX_ADDRESSES) return false;
    return entry.claims.every(({ contact }) => !isSameAddress(contact.address, address));
  }

  /**
   * Takes note of a node. Where there is no room the farthest that was not asked goes for a nearer one.
   *
   * @returns whether it is known now and was not before.
   */
  add(named: Named): boolean {
    const { contact } = named;
    if (!this.isNews(contact)) return false;
    this.#window = undefined;
    const known = this.#entries.get(contact.key);
    if (known !== undefined) {
      known.claims.push(named);
      if (known.state === "failed") tryNext(known);
      return false;
    }
    if (this.#nearest.length >= this.#options.maxKnown && !this.#makeRoom(contact.id)) return false;
    const bits = commonBits(this.#target, contact.id);
    const entry: Entry = { named, state: "unasked", claims: [named], bits };
    this.#entries.set(contact.key, entry);
    this.#nearest.splice(this.#placeOf(contact.id), 0, entry);
    return true;
  }

  /** Forgets a node that was not asked, for another path asks it. @returns where it is said to be. */
  giveUp(key: string): readonly Named[] {
    const entry = this.#entries.get(key);
    if (entry === undefined) return [];
    this.#remove(entry);
    return entry.claims;
  }

  /**
   * Whom to ask next: the nearest unasked in the window, or who answers faster of those that have as many bits in common
   * with the target. A node that answered before goes before one of which nothing is known.
   */
  next(): Named | undefined {
    const { rttOf } = this.#options;
    let best: Entry | undefined;
    let bestMs: number | undefined;
    for (const entry of this.#inWindow()) {
      if (entry.state !== "unasked") continue;
      if (best === undefined) {
        best = entry;
        continue;
      }
      if (entry.bits !== best.bits) break;
      bestMs ??= rttOf(best.named.contact) ?? Infinity;
      const rttMs = rttOf(entry.named.contact) ?? Infinity;
      if (rttMs < bestMs) [best, bestMs] = [entry, rttMs];
    }
    return best?.named;
  }

  /** A node is asked. */
  asked(key: string): void {
    this.#become(key, "asked");
  }

  /** A node that is asked takes long. */
  stalled(key: string): void {
    this.#become(key, "stalled");
  }

  /** A node that is asked answered. */
  answered(key: string): void {
    this.#become(key, "answered");
  }

  /** A node that is asked refused or did not answer. It may be asked once more where it is said to be elsewhere. */
  failed(key: string): void {
    const entry = this.#become(key, "failed");
    if (entry !== undefined) tryNext(entry);
  }

  #become(key: string, state: Known["state"]): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#count(entry.state, -1);
    this.#count(state, 1);
    entry.state = state;
    this.#window = undefined;
    return entry;
  }

  #count(state: Known["state"], by: number): void {
    if (state === "asked") this.#pending += by;
    else if (state === "stalled") this.#stalled += by;
  }

  #inWindow(): readonly Entry[] {
    return this.#window ??= this.#findWindow();
  }

  #findWindow(): Entry[] {
    const { settle, perNetwork } = this.#options;
    const window: Entry[] = [];
    let count = 0;
    for (const entry of this.#nearest) {
      if (entry.state === "failed" || isCrowded(entry, window, perNetwork)) continue;
      window.push(entry);
      if (entry.state !== "stalled" && ++count >= settle) break;
    }
    return window;
  }

  #makeRoom(id: NodeId): boolean {
    const farthest = this.#nearest.findLast(({ state }) => state === "unasked");
    if (farthest === undefined) return false;
    if (compareDistance(this.#target, farthest.named.contact.id, id) < 0) return false;
    this.#remove(farthest);
    return true;
  }

  #remove(entry: Entry): void {
    const { key, id } = entry.named.contact;
    this.#entries.delete(key);
    this.#nearest.splice(this.#placeOf(id), 1);
    this.#window = undefined;
  }

  /** Where an id is, or would be, among the nearest. */
  #placeOf(id: NodeId): number {
    let [low, high] = [0, this.#nearest.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const entry = this.#nearest[middle];
      if (entry === undefined) break;
      if (compareDistance(this.#target, entry.named.contact.id, id) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/**
 * Whether so many nodes of a node's network are nearer. Stalled ones leave their place to it: somebody may have named
 * them to keep an honest one of the same network out.
 */
export function isCrowded(
  { named: { network } }: Known,
  nearer: readonly Known[],
  perNetwork: number,
): boolean {
  if (network === undefined) return false;
  let count = 0;
  for (const { named, state } of nearer) {
    if (named.network === network && state !== "stalled") count++;
  }
  return count >= perNetwork;
}

/** A node that failed is to be asked at the next address, if it has one. */
function tryNext(entry: Entry): void {
  const next = entry.claims[entry.claims.indexOf(entry.named) + 1];
  if (next === undefined) return;
  entry.named = next;
  entry.state = "unasked";
}
