/**
 * Whom a lookup asks next, what an answer changes, and when it is over: all of it but the asking.
 *
 * Several paths are searched side by side that share no node: who names only its accomplices captures its own path, and the
 * others go past it. Each path settles its share of the nearest nodes, so that together, as nobody is asked twice, they
 * ask hardly more than one path would.
 *
 * Sources: Maymounkov and Mazières, "Kademlia", 2002, section 2.3; Baumgart and Mies, "S/Kademlia: A Practicable Approach
 * Towards Secure Key-Based Routing", 2007, section 4.4.
 *
 * @module
 */

import { formatAddress } from "../transport/transport.ts";
import type { Contact } from "./contact.ts";
import { publicNetworkOf } from "./diversity.ts";
import type { LookupNode } from "./lookup_events.ts";
import { isCrowded, LookupPath, type Named } from "./lookup_path.ts";
import { compareDistance, type NodeId, toKey } from "./node_id.ts";

/** A path knows so many times k nodes at most. */
const KNOWN_PER_K = 8;

/** However many paths there are, each waits for so many of its nearest nodes. */
const LEAST_SETTLED = 3;

/** What a {@linkcode LookupPlan} goes by. */
export interface LookupPlanOptions {
  /** The nodes to begin with. */
  readonly seeds: readonly Contact[];
  /** Our own id, which nobody has to name. @default none */
  readonly self?: NodeId | undefined;
  /** How many of the nearest nodes are found, and how many an answer may name. @default {20} */
  readonly k?: number;
  /** Questions that are open at the same time; each path has at least one. @default {3} */
  readonly alpha?: number;
  /**
   * Most of them: where some stall, and to ask the others around the nearest node once that has answered (section 2.3 of
   * the paper). @default {10}
   */
  readonly maxAlpha?: number;
  /** Paths that share no node; there are no more than seeds. @default {1} */
  readonly paths?: number;
  /** It is over when so many of the nearest have answered. @default {k} */
  readonly settle?: number;
  /** Nodes of one public network (/24, or /48 of IPv6) that count on a path, in an answer and in the result. @default {2} */
  readonly perNetwork?: number;
  /** Whether a node may be asked. @default {() => true} */
  readonly isWanted?: (contact: Contact) => boolean;
  /** How long a node lately took to answer, in milliseconds, if that is known. @default {() => undefined} */
  readonly rttOf?: (contact: Contact) => number | undefined;
}

/** A question to ask. */
export interface LookupStep extends LookupNode {
  /** Who named the node. */
  readonly by: Contact | undefined;
}

/** What was found. */
export interface LookupResult {
  /** The nearest k nodes of those that did not fail, the nearest first. */
  readonly closest: readonly Contact[];
  /** The depth of the nearest that answered; 0 where nobody did. */
  readonly hops: number;
}

/** See the module. Every step that it gives gets one outcome: answered or failed, and perhaps stalled before. */
export class LookupPlan {
  readonly #target: NodeId;
  readonly #self: string | undefined;
  readonly #k: number;
  readonly #alpha: number;
  readonly #maxAlpha: number;
  readonly #perNetwork: number;
  readonly #isWanted: (contact: Contact) => boolean;
  readonly #paths: readonly LookupPath[];
  // Where somebody was asked in vain.
  readonly #silent = new Set<string>();
  // The path that asked a node.
  readonly #owners = new Map<string, LookupPath>();

  /** Nobody is asked yet. @throws {RangeError} when a count is not a whole number of 1 or more. */
  constructor(target: NodeId, options: LookupPlanOptions) {
    const { self, k = 20, alpha = 3, maxAlpha = 10, paths = 1, settle = k, perNetwork = 2 } =
      options;
    const { isWanted = () => true, rttOf = () => undefined } = options;
    assertCounts({ k, alpha, maxAlpha, paths, settle, perNetwork });
    this.#target = target;
    this.#self = self && toKey(self);
    this.#k = k;
    this.#alpha = alpha;
    this.#maxAlpha = Math.max(alpha, maxAlpha);
    this.#perNetwork = perNetwork;
    this.#isWanted = isWanted;
    const seeds = options.seeds.filter((contact) => this.#isFit(contact));
    const count = Math.max(1, Math.min(paths, seeds.length));
    this.#paths = Array.from({ length: count }, () =>
      new LookupPath(target, {
        settle: Math.max(Math.min(settle, LEAST_SETTLED), Math.ceil(settle / count)),
        maxKnown: KNOWN_PER_K * k,
        perNetwork,
        rttOf,
      }));
    this.#deal(seeds);
  }

  /** Whether every path is over. When it is not, there is a question to ask or one that is open. */
  get isOver(): boolean {
    return this.#paths.every((path) => path.isOver);
  }

  /** Who is to be asked now; `undefined` for nobody before something happens. */
  next(): LookupStep | undefined {
    const running = this.#paths.filter((path) => !path.isOver);
    let chosen: { readonly path: LookupPath; readonly named: Named } | undefined;
    for (const [at, path] of running.entries()) {
      if (chosen !== undefined && chosen.path.inFlight <= path.inFlight) continue;
      if (!this.#hasSlot(path, at, running.length)) continue;
      const named = path.next();
      if (named !== undefined) chosen = { path, named };
    }
    if (chosen === undefined) return undefined;
    const { path, named: { contact, by, depth } } = chosen;
    this.#claim(contact.key, path);
    path.asked(contact.key);
    return { contact, by, depth, path: this.#paths.indexOf(path) };
  }

  /** A question takes long: somebody else may be asked meanwhile. */
  stalled({ contact }: LookupStep): void {
    this.#owners.get(contact.key)?.stalled(contact.key);
  }

  /** A question was refused, or nobody answered: then nobody else is asked there either. */
  failed(
    { contact }: LookupStep,
    { isSilent = false }: { readonly isSilent?: boolean } = {},
  ): void {
    this.#owners.get(contact.key)?.failed(contact.key);
    if (isSilent) this.#silent.add(formatAddress(contact.address));
  }

  /**
   * A question was answered.
   *
   * @param nodes The nodes that were named. Those beyond k are not looked at.
   * @returns how many of them are nearer than the one that answered and were not known to its path.
   */
  answered({ contact: by, depth }: LookupStep, nodes: readonly Contact[]): number {
    const path = this.#owners.get(by.key);
    path?.answered(by.key);
    const named = new Set<string>();
    const networks: string[] = [];
    let nearer = 0;
    for (const contact of nodes.slice(0, this.#k)) {
      const place = formatAddress(contact.address);
      // Who names a node at many addresses, or many nodes at one, has but one guess.
      if (named.has(contact.key) || named.has(place)) continue;
      named.add(contact.key).add(place);
      if (this.#silent.has(place)) continue;
      const to = this.#owners.get(contact.key) ?? path;
      if (to === undefined || !to.isNews(contact) || !this.#isFit(contact)) continue;
      const network = publicNetworkOf(contact.address.hostname);
      if (network !== undefined) {
        networks.push(network);
        if (networks.filter((other) => other === network).length > this.#perNetwork) continue;
      }
      const isNew = to.add({ contact, by, depth: depth + 1, network });
      if (isNew && compareDistance(this.#target, contact.id, by.id) < 0) nearer++;
    }
    return nearer;
  }

  /** What was found so far. */
  result(): LookupResult {
    const known = this.#paths.flatMap((path) => path.known);
    known.sort((a, b) => compareDistance(this.#target, a.named.contact.id, b.named.contact.id));
    const closest: typeof known = [];
    for (const entry of known) {
      if (closest.length >= this.#k) break;
      // Two paths may know a node that neither has asked.
      if (closest.at(-1)?.named.contact.key === entry.named.contact.key) continue;
      if (!isCrowded(entry, closest, this.#perNetwork)) closest.push(entry);
    }
    const nearest = closest.find(({ state }) => state === "answered");
    return {
      closest: closest.map(({ named }) => named.contact),
      hops: nearest?.named.depth ?? 0,
    };
  }

  /** The seeds go to the paths in turn, the nearest first. */
  #deal(seeds: readonly Contact[]): void {
    const nearestFirst = seeds.toSorted((a, b) => compareDistance(this.#target, a.id, b.id));
    for (const [at, contact] of nearestFirst.entries()) {
      const network = publicNetworkOf(contact.address.hostname);
      const path = this.#paths[at % this.#paths.length];
      path?.add({ contact, by: undefined, depth: 1, network });
    }
  }

  #isFit(contact: Contact): boolean {
    const { key, address: { port } } = contact;
    return key !== this.#self && port >= 1 && port <= 65_535 && this.#isWanted(contact);
  }

  /** Whether a path may ask one more: it has its share of what may be open, and of what may be open and not stalled. */
  #hasSlot(path: LookupPath, at: number, running: number): boolean {
    if (path.inFlight === 0) return true;
    const open = this.#paths.reduce((sum, { inFlight }) => sum + inFlight, 0);
    const most = share(this.#maxAlpha, at, running);
    if (open >= this.#maxAlpha || path.inFlight >= most) return false;
    return path.pending < (path.isNear ? most : share(this.#alpha, at, running));
  }

  /** A node is asked by one path alone, which hears from the others where else it may be. */
  #claim(key: string, owner: LookupPath): void {
    this.#owners.set(key, owner);
    for (const path of this.#paths) {
      if (path === owner) continue;
      for (const named of path.giveUp(key)) owner.add(named);
    }
  }
}

/** The part of a whole that one of several has, 1 at the least. */
function share(whole: number, at: number, count: number): number {
  return Math.max(1, Math.floor((whole + count - 1 - at) / count));
}

function assertCounts(counts: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(counts)) {
    if (value >= 1 && (Number.isInteger(value) || value === Infinity)) continue;
    throw new RangeError(`${name} must be a whole number of 1 or more: current value is ${value}`);
  }
}
