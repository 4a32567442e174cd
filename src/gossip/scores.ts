/**
 * What others did lately, in one number: who may stay a neighbour, and who is not listened to at all.
 *
 * Everything that is noted counts half as much after each half-life. A score is what somebody was useful for, which has
 * a small maximum, less the weighted squares of what it did wrong: one slip is hardly seen, a habit is. A newcomer has 0,
 * less than one that proved useful; no usefulness makes up for a wrong signature. The idea is that of gossipsub 1.1's peer
 * score (libp2p, pubsub/gossipsub/gossipsub-v1.1.md), much smaller.
 *
 * Nobody lowers the score of another, because each deed is noted only of who must have done it:
 *
 * - `invalid`: of the neighbour that the bytes came from, over a link that proves who it is. It checks signatures before
 *   it passes anything on, so it knew. Never of the author they name: anybody can name one.
 * - `authored`: of the author, once its signature is proven, and once per message, however often it arrives.
 * - `rejected`: of the neighbour that passed it on. An author can send what only we refuse through an innocent one, so
 *   this costs the innocent its place at the most; and what a graylisted author wrote is to be noted of nobody.
 * - `broken`: of who announced or offered it on its own link. A pause of its machine breaks promises too, so again it
 *   costs its place at the most.
 * - `flooding`: of who sent one message on its own link more often than the trees do and an answer to a question explains.
 * - `useful`: of who was first. Another can be faster and take this gain away, but never more than the gain.
 * - a crowded network: those who came after the first few of it pay, so no latecomer moves one that is there; and it
 *   costs no more than the place either.
 *
 * @module
 */

import { isLoopback, subnetOf } from "../endpoint/limits.ts";

/** What may be noted of a peer; see the module for of whom. */
export type Deed = "invalid" | "authored" | "rejected" | "broken" | "flooding" | "useful";

/** How scores are kept. */
export interface ScoresOptions {
  /** What is noted counts half as much after so many milliseconds. @default {60000} */
  halfLifeMs?: number;
  /** Below this score, a negative one, nothing from a peer is read. @default {-100} */
  graylist?: number;
  /** Below this score, a negative one above `graylist`, a peer may be no neighbour. @default {-4} */
  unwelcome?: number;
}

/** Most peers remembered, gone or not. */
export const MAX_SCORED = 1_024;

/** Neighbours in one public network that cost nothing. */
export const MAX_PER_NETWORK = 3;

/** The most that usefulness is worth: a sixth of what one wrong signature costs. */
const MOST_USEFUL = 4;

/** So much was useful lately that more is worth nothing. */
const USEFUL_ENOUGH = 100;

/** What may have happened to an innocent costs together at the most this part of what it takes to be graylisted. */
const DOUBT_PART = 0.9;

interface Weight {
  /** What the square of its count costs. */
  readonly cost: number;
  /** Counts no further, so that everybody recovers in a few half-lives. */
  readonly most: number;
}

// With `unwelcome` at -4 and `graylist` at -100, within a half-life, and however useful one was:
const WEIGHTS: Readonly<Record<Exclude<Deed, "useful">, Weight>> = {
  // One makes unwelcome, three graylist.
  invalid: { cost: 24, most: 20 },
  authored: { cost: 24, most: 20 },
  // Ten make unwelcome, nothing more.
  rejected: { cost: 0.2, most: 20 },
  // Twenty make unwelcome, nothing more; one is not noticed.
  broken: { cost: 0.05, most: 40 },
  // One is not noticed, but sixty-five graylist.
  flooding: { cost: 0.05, most: 400 },
};

/** The first too many of a network is dropped before a newcomer, the second is unwelcome, however useful. */
const CROWD: Weight = { cost: 2.5, most: 4 };

type Counts = Record<Deed, number>;

interface Standing {
  atMs: number;
  readonly counts: Counts;
}

/** The scores of peers, neighbours and authors alike; see the module. Times are those of a clock that never runs back. */
export class Scores {
  readonly #halfLifeMs: number;
  readonly #graylist: number;
  readonly #unwelcome: number;
  readonly #standings = new Map<string, Standing>();
  // The neighbours of each public network, the first to come first.
  readonly #networks = new Map<string, Set<string>>();
  readonly #networkOf = new Map<string, string>();

  /** Nobody has done anything. @throws {RangeError} when an option is out of range. */
  constructor(options: Readonly<ScoresOptions> = {}) {
    const { halfLifeMs = 60_000, graylist = -100, unwelcome = -4 } = options;
    assertRange("halfLifeMs", halfLifeMs, halfLifeMs > 0 && halfLifeMs < Infinity, "above 0");
    assertRange("unwelcome", unwelcome, unwelcome < 0 && unwelcome > -Infinity, "below 0");
    const isBelow = graylist < unwelcome && graylist > -Infinity;
    assertRange("graylist", graylist, isBelow, `below unwelcome ${unwelcome}`);
    this.#halfLifeMs = halfLifeMs;
    this.#graylist = graylist;
    this.#unwelcome = unwelcome;
  }

  /** Peers of whom something is remembered. */
  get size(): number {
    return this.#standings.size;
  }

  /**
   * Notes what a peer did. Where there is no room, the one whose score is nearest to a newcomer's is forgotten.
   *
   * @param count How often, 0 or more. @default {1}
   * @throws {RangeError} when the count is negative or not a number.
   */
  note(peerId: string, what: Deed, nowMs: number, count = 1): void {
    assertRange("count", count, count >= 0, "0 or more");
    const standing = this.#standings.get(peerId) ?? this.#admit(peerId, nowMs);
    const { counts } = standing;
    const kept = this.#kept(standing, nowMs);
    for (const deed of DEEDS) counts[deed] *= kept;
    const most = what === "useful" ? USEFUL_ENOUGH : WEIGHTS[what].most;
    counts[what] = Math.min(most, counts[what] + count);
    standing.atMs = Math.max(standing.atMs, nowMs);
  }

  /** What a peer is worth now: 0 for a newcomer, 4 at the best. */
  score(peerId: string, nowMs: number): number {
    const standing = this.#standings.get(peerId);
    const crowd = cost(CROWD, this.#surplus(peerId));
    if (standing === undefined) return 0 - this.#doubt(crowd);
    return this.#scoreOf(standing, nowMs, crowd);
  }

  /** Whether nothing from a peer is to be read, for as long as this lasts. Leaving and coming back changes nothing. */
  isGraylisted(peerId: string, nowMs: number): boolean {
    return this.score(peerId, nowMs) < this.#graylist;
  }

  /** Whether a peer may be a neighbour. */
  isWelcome(peerId: string, nowMs: number): boolean {
    return this.score(peerId, nowMs) >= this.#unwelcome;
  }

  /** Whom to drop: the one with the lowest score, of equals the first; `undefined` for nobody. */
  worst(peerIds: Iterable<string>, nowMs: number): string | undefined {
    let worst: string | undefined;
    let lowest = Infinity;
    for (const peerId of peerIds) {
      const score = this.score(peerId, nowMs);
      if (score < lowest) [worst, lowest] = [peerId, score];
    }
    return worst;
  }

  /**
   * A peer is a neighbour now, in whichever topics, which counts in its network until it has left. Need not be called
   * where nobody knows addresses.
   *
   * @param hostname Where its link comes from or leads to, not what it says of itself.
   */
  joined(peerId: string, hostname: string): void {
    const network = publicNetworkOf(hostname);
    if (network === this.#networkOf.get(peerId)) return;
    this.left(peerId);
    if (network === undefined) return;
    this.#networkOf.set(peerId, network);
    const inside = this.#networks.get(network);
    if (inside === undefined) this.#networks.set(network, new Set([peerId]));
    else inside.add(peerId);
  }

  /** A peer is a neighbour no more. What it did is remembered. Harmless when it was none. */
  left(peerId: string): void {
    const network = this.#networkOf.get(peerId);
    if (network === undefined) return;
    this.#networkOf.delete(peerId);
    const inside = this.#networks.get(network);
    inside?.delete(peerId);
    if (inside?.size === 0) this.#networks.delete(network);
  }

  #admit(peerId: string, nowMs: number): Standing {
    if (this.#standings.size >= MAX_SCORED) this.#forgetOne(nowMs);
    const standing = { atMs: nowMs, counts: nothing() };
    this.#standings.set(peerId, standing);
    return standing;
  }

  // Forgetting whoever is nearest to 0 changes least, and the worst are remembered longest. Looking at all of them costs
  // about what checking a signature does, and each new id had to bring one at the least.
  #forgetOne(nowMs: number): void {
    let nearest: string | undefined;
    let least = Infinity;
    for (const [peerId, standing] of this.#standings) {
      const distance = Math.abs(this.#scoreOf(standing, nowMs, 0));
      if (distance < least) [nearest, least] = [peerId, distance];
    }
    if (nearest !== undefined) this.#standings.delete(nearest);
  }

  #scoreOf(standing: Standing, nowMs: number, crowd: number): number {
    const { counts } = standing;
    const kept = this.#kept(standing, nowMs);
    const useful = MOST_USEFUL * counts.useful * kept / USEFUL_ENOUGH;
    const costOf = (deed: keyof typeof WEIGHTS) => cost(WEIGHTS[deed], counts[deed] * kept);
    const certain = costOf("invalid") + costOf("authored") + costOf("flooding");
    return useful - certain - this.#doubt(costOf("rejected") + costOf("broken") + crowd);
  }

  #doubt(cost: number): number {
    return Math.min(cost, -this.#graylist * DOUBT_PART);
  }

  // The part of what was noted that still counts.
  #kept({ atMs }: Standing, nowMs: number): number {
    return 2 ** (-Math.max(0, nowMs - atMs) / this.#halfLifeMs);
  }

  // How many too many a neighbour is in its network: those who came first are none.
  #surplus(peerId: string): number {
    const network = this.#networkOf.get(peerId);
    const inside = network === undefined ? undefined : this.#networks.get(network);
    if (inside === undefined || inside.size <= MAX_PER_NETWORK) return 0;
    return Math.max(0, [...inside].indexOf(peerId) + 1 - MAX_PER_NETWORK);
  }
}

/**
 * The public network that an address is counted with: /24 of IPv4, /48 of IPv6, which is what one customer gets
 * (RFC 6177).
 *
 * @returns its name; `undefined` for what is no address, and for those of private networks, where all are neighbours:
 * loopback, link-local, RFC 1918, RFC 4193, and what providers and overlays share (RFC 6598).
 */
export function publicNetworkOf(hostname: string): string | undefined {
  const subnet = isLoopback(hostname) ? undefined : subnetOf(hostname);
  if (subnet === undefined) return undefined;
  if (!subnet.includes(":")) return PRIVATE_IPV4.test(subnet) ? undefined : subnet;
  const groups = subnet.split(":", 3);
  return PRIVATE_IPV6.test(subnet) ? undefined : `${groups.join(":")}::/48`;
}

const PRIVATE_IPV4 =
  /^(10|127|169\.254|192\.168|172\.(1[6-9]|2\d|3[01])|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7]))\./;
const PRIVATE_IPV6 = /^(f[cd][0-9a-f]{2}|fe[89ab][0-9a-f]):/;

function nothing(): Counts {
  return { invalid: 0, authored: 0, rejected: 0, broken: 0, flooding: 0, useful: 0 };
}

const DEEDS = Object.keys(nothing()) as readonly Deed[];

function cost({ cost, most }: Weight, count: number): number {
  return cost * Math.min(most, count) ** 2;
}

function assertRange(name: string, value: number, inside: boolean, range: string): void {
  if (!inside) throw new RangeError(`${name} must be ${range}: current value is ${value}`);
}
