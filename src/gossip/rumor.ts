/**
 * Rumor: a message is told to a few, each of whom tells a few others, until nobody is left to tell.
 *
 * ```
 * new       refused where it claims to be older than a minute, else kept, and passed on to up to 3 peers
 * known     passed on to up to 3 further peers while it is young, by chance: 1 at first, 0.6 from 2.4 s on
 * each hop  ttl - 1; what gets down to 0 is not passed on
 * ```
 *
 * It reaches most and not certainly all, which is what it is for: a word that costs every peer a handful of packets and
 * needs no state. How old a message is is counted by our own clock from when it was first heard here, so that nobody makes
 * one immortal by writing a time of the future into it. Three bounds hold whatever others send: hops by `ttl`, never more
 * than our own `hops`; copies by `maxCopies` for each id; and never one to whom it came from.
 *
 * The state machine does no I/O and knows neither packets nor addresses: the drivers (`rumor_mill.ts` and
 * `dialects/peerconnect_gossip.ts`) give it peers of their own kind.
 *
 * Source: the PeerConnect gossip protocol, `GossipMessage`. There `ttl` is never read, ids are never forgotten, and a
 * message goes back to its sender.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { Recent } from "./recent.ts";
import { shuffled } from "./shuffled.ts";

/** The seed's message, and the id by which it is known again. */
export interface GossipMessage<Content = string> {
  /** Which message it is. */
  readonly id: string;
  /** What it says. */
  readonly message: Content;
  /** How many hops it may still make; one that has 0 or less is for whoever gets it alone. */
  readonly ttl: number;
  /** When its author says it was made, in seconds since 1970, with fractions. */
  readonly created: number;
}

/** How rumors spread. */
export interface RumorOptions {
  /** Peers that a message is passed on to each time, 1 or more. @default {3} */
  readonly fanOut?: number;
  /** Hops that a message makes, ours and at most anybody's; 1..255. @default {6} */
  readonly hops?: number;
  /** How long after it was first heard here a message is passed on, in milliseconds. @default {6000} */
  readonly maxAgeMs?: number;
  /** The least chance that a known message is passed on while it is young enough, 0..1. @default {0.6} */
  readonly minProbability?: number;
  /**
   * The age beyond which a message is refused as a replay, in milliseconds; by its own claim and our wall clock, so it
   * leaves room for clocks that differ. @default {60000}
   */
  readonly maxClaimedAgeMs?: number;
  /** Most copies of one message that we send, in all. @default {12} */
  readonly maxCopies?: number;
  /** Most messages that may still be passed on again, 2 or more; of others only the id is remembered. @default {512} */
  readonly maxYoung?: number;
}

/** What a {@linkcode Rumor} is connected to. */
export interface RumorPorts<Content, Peer> {
  /** Time and chance. */
  readonly clock: Pick<Clock, "now" | "wallMs" | "random">;
  /** Takes note of a message's id. @returns `false` when it was known, or is not to be heard for another reason. */
  readonly remember: (message: GossipMessage<Content>, nowMs: number) => boolean;
  /** Who can be told this message. */
  readonly peers: (message: GossipMessage<Content>) => readonly Peer[];
  /** What tells a peer apart from others. */
  readonly keyOf: (peer: Peer) => string;
  /** Sends the message that {@linkcode RumorPorts.peers} was asked about to some of them. Must not throw. */
  readonly send: (message: GossipMessage<Content>, to: readonly Peer[]) => void;
}

/** What became of a message: it is new, it was known, or it is refused because it claims to be old. */
export type RumorVerdict = "heard" | "known" | "stale";

/** A message that may be passed on again, and who needs no copy. */
interface Young<Content> {
  readonly message: GossipMessage<Content>;
  readonly heardMs: number;
  /** A few keys, so a list of them is quicker than a set. */
  readonly used: string[];
  copies: number;
}

/** Peers that are remembered for one message: more can bring it only if somebody invents them, and then it is enough. */
const MAX_USED = 128;

/** Spreads messages; see the module. */
export class Rumor<Content, Peer> {
  /** Hops that messages of ours make. */
  readonly hops: number;
  readonly #ports: RumorPorts<Content, Peer>;
  readonly #tuning: Required<RumorOptions>;
  readonly #young: Recent<Young<Content>>;

  /** Knows no message. @throws {RangeError} when an option is out of range. */
  constructor(ports: RumorPorts<Content, Peer>, options: RumorOptions = {}) {
    const tuning = tuningOf(options);
    this.hops = tuning.hops;
    this.#ports = ports;
    this.#tuning = tuning;
    this.#young = new Recent({ keepMs: tuning.maxAgeMs, maxEntries: tuning.maxYoung });
  }

  /** How many messages are kept to be passed on again. */
  get young(): number {
    return this.#young.size;
  }

  /** Spreads a message of ours. @returns how many were told. */
  tell(message: GossipMessage<Content>): number {
    const nowMs = this.#ports.clock.now();
    if (!this.#ports.remember(message, nowMs)) return 0;
    return this.#passOn(this.#begin(message, nowMs), message);
  }

  /**
   * Takes a message from somebody, and passes it on.
   *
   * @param from Who brought it.
   * @param author Who else has it for certain.
   */
  hear(message: GossipMessage<Content>, from: string, author: string = from): RumorVerdict {
    const { clock, remember } = this.#ports;
    const { maxClaimedAgeMs, hops } = this.#tuning;
    const claimedAgeMs = clock.wallMs() - 1_000 * message.created;
    if (!(claimedAgeMs <= maxClaimedAgeMs)) return "stale";
    const nowMs = clock.now();
    const isNew = remember(message, nowMs);
    const young = isNew ? this.#begin(message, nowMs) : this.#young.get(message.id);
    if (young !== undefined) note(young.used, from, author);
    const ttl = Math.min(message.ttl, hops) - 1;
    // What was heard first is passed on, whatever stands in a copy.
    if (young !== undefined && ttl > 0 && this.#isKept(young, nowMs)) {
      this.#passOn(young, { ...young.message, ttl });
    }
    return isNew ? "heard" : "known";
  }

  #begin(message: GossipMessage<Content>, heardMs: number): Young<Content> {
    const young: Young<Content> = { message, heardMs, used: [], copies: 0 };
    this.#young.add(message.id, young, heardMs);
    return young;
  }

  /** Whether a message is passed on now. The chance is that of the original. */
  #isKept({ message, heardMs, used, copies }: Young<Content>, nowMs: number): boolean {
    const { maxAgeMs, minProbability, maxCopies } = this.#tuning;
    const ageMs = nowMs - heardMs;
    if (ageMs > maxAgeMs || copies >= maxCopies || used.length > MAX_USED) {
      this.#young.delete(message.id);
      return false;
    }
    const probability = Math.max(minProbability, (maxAgeMs - ageMs) / maxAgeMs);
    return this.#ports.clock.random() < probability;
  }

  #passOn(young: Young<Content>, message: GossipMessage<Content>): number {
    const { peers, keyOf, send, clock } = this.#ports;
    const { fanOut, maxCopies } = this.#tuning;
    const wanted = Math.min(fanOut, maxCopies - young.copies);
    const chosen: Peer[] = [];
    for (const peer of shuffled(peers(message), () => clock.random())) {
      if (chosen.length >= wanted) break;
      const key = keyOf(peer);
      if (young.used.includes(key)) continue;
      young.used.push(key);
      chosen.push(peer);
    }
    young.copies += chosen.length;
    if (chosen.length > 0) send(message, chosen);
    return chosen.length;
  }
}

function note(used: string[], ...keys: readonly string[]): void {
  for (const key of keys) {
    if (!used.includes(key)) used.push(key);
  }
}

function tuningOf(options: RumorOptions): Required<RumorOptions> {
  const { fanOut = 3, hops = 6, maxAgeMs = 6_000, minProbability = 0.6 } = options;
  const { maxClaimedAgeMs = 60_000, maxCopies = 12, maxYoung = 512 } = options;
  assertRange("fanOut", fanOut, Number.isInteger(fanOut) && fanOut >= 1);
  assertRange("hops", hops, Number.isInteger(hops) && hops >= 1 && hops <= 255);
  assertRange("maxAgeMs", maxAgeMs, maxAgeMs > 0);
  assertRange("minProbability", minProbability, minProbability >= 0 && minProbability <= 1);
  assertRange("maxClaimedAgeMs", maxClaimedAgeMs, maxClaimedAgeMs > 0);
  assertRange("maxCopies", maxCopies, Number.isInteger(maxCopies) && maxCopies >= 1);
  assertRange("maxYoung", maxYoung, Number.isInteger(maxYoung) && maxYoung >= 2);
  return { fanOut, hops, maxAgeMs, minProbability, maxClaimedAgeMs, maxCopies, maxYoung };
}

function assertRange(name: string, value: number, inside: boolean): void {
  if (!inside) throw new RangeError(`${name} is out of range: current value is ${value}`);
}
