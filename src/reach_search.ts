/**
 * From what a person calls a peer to who that is and where: by discovery, and with the help of others beyond it.
 *
 * @module
 */

import { type Clock, sleep, type Timer } from "./clock.ts";
import type { Discovery } from "./discovery/discovery.ts";
import type { FoundPeer } from "./discovery/search.ts";
import { NotFoundError, PeerError } from "./errors.ts";
import { printable } from "./log.ts";
import { looksLikeId } from "./secure/trust_entry.ts";
import type { Trust } from "./secure/trust.ts";
import type { Address } from "./transport/transport.ts";

/** How long to go on looking after a match by name or prefix, for a second one that would make it ambiguous. */
const AMBIGUITY_MS = 200;

/** How long a name that is known beyond waits for somebody near who has it. */
const HEAD_START_MS = 1_000;

/** Peers that an error names at most. */
const MAX_NAMED = 8;

/** Ways of looking that an error's text names at most; its details have all. */
const MAX_TRIED = 3;

/** Why our own deadline aborts, to tell it from a caller's signal. */
export const LATE: Error = new Error("the time is over");

/**
 * Looks for a peer where discovery does not reach, by its full id or its name, with the help of peers at some addresses.
 *
 * @returns nobody where there is no way to.
 */
export type LookBeyond = (
  target: string,
  gateways: readonly Address[],
  signal: AbortSignal,
) => Promise<readonly Pick<FoundPeer, "peerId" | "addresses">[]>;

/** Who was found, and where. */
export interface Found extends Pick<FoundPeer, "peerId" | "addresses"> {
  /** Whether it was found beyond discovery: who provides a name need not call itself by it. @default {false} */
  readonly isFar?: boolean;
}

/** Whether a peer is the one that a target means. */
export type Fits = (peer: { peerId: string; name: string }, target: string) => boolean;

/** As {@linkcode Fits}; what is long enough to be the beginning of an id means nobody who merely calls itself that. */
export function fits(peer: { peerId: string; name: string }, target: string): boolean {
  const id = target.toLowerCase();
  const isId = /^[0-9a-f]{4,40}$/.test(id) && peer.peerId.startsWith(id);
  return isId || (peer.name === target && target !== "" && !looksLikeId(target));
}

/** What a {@linkcode ReachSearch} needs. */
export interface ReachSearchParts {
  /** Where time comes from. */
  readonly clock: Clock;
  /** Looks around. */
  readonly discovery: Discovery;
  /** Which name belongs to whom. */
  readonly trust: Trust;
}

/** Looks for peers; see the module. */
export class ReachSearch {
  /** What helps where discovery does not. @default nothing */
  lookBeyond: LookBeyond = () => Promise.resolve([]);
  readonly #clock: Clock;
  readonly #discovery: Discovery;
  readonly #trust: Trust;

  /** Looks with what it is given. */
  constructor({ clock, discovery, trust }: ReachSearchParts) {
    this.#clock = clock;
    this.#discovery = discovery;
    this.#trust = trust;
  }

  /** Looks for a peer by discovery, and beyond it at the same time; whoever is near has the better right to a name. */
  async around(target: string, isMeant: Fits, signal: AbortSignal): Promise<Found> {
    const enough = new AbortController();
    const either = AbortSignal.any([signal, enough.signal]);
    const around = this.#lookFor(target, either);
    const far = this.beyond(target, isMeant, [], either).then(async (found) => {
      if (found === undefined) return await around;
      if (!looksLikeId(target)) await sleep(this.#clock, HEAD_START_MS, { signal: either });
      return found;
    });
    try {
      return await Promise.any([around, far]);
    } catch (error) {
      throw error instanceof AggregateError ? error.errors[0] : error;
    } finally {
      enough.abort(LATE);
      await Promise.allSettled([around, far]);
    }
  }

  /** Whom those know whom we know. That this fails says nothing that a person can use. */
  async beyond(
    target: string,
    isMeant: Fits,
    gateways: readonly Address[],
    signal: AbortSignal,
  ): Promise<Found | undefined> {
    try {
      const found = await this.lookBeyond(target, gateways, signal);
      // Several may say that they have a name: which of them is meant only a name that is known tells.
      const meant = found.filter(({ peerId }) => isMeant({ peerId, name: target }, target));
      const [one, ...others] = meant;
      if (one === undefined || one.addresses.length === 0 || others.length > 0) return undefined;
      return { ...one, isFar: true };
    } catch (error) {
      if (!(error instanceof PeerError) && !signal.aborted) throw error;
      return undefined;
    }
  }

  async #lookFor(target: string, signal: AbortSignal): Promise<FoundPeer> {
    const holder = this.#trust.holderOf(target);
    const matches = new Map<string, FoundPeer>();
    const others = new Set<string>();
    const enough = new AbortController();
    let timer: Timer | undefined;
    try {
      const searching = AbortSignal.any([signal, enough.signal]);
      for await (const found of this.#discovery.find({ signal: searching })) {
        if (!fits(found, target)) {
          if (others.size < MAX_NAMED) others.add(printable(found.name || found.peerId, 40));
          continue;
        }
        if (found.peerId === target.toLowerCase() || found.peerId === holder) return found;
        if (matches.size > MAX_NAMED) continue;
        if (matches.size === 0) {
          timer = this.#clock.after(AMBIGUITY_MS, () => enough.abort());
        }
        matches.set(found.peerId, found);
      }
    } finally {
      timer?.cancel();
    }
    throwUnlessLate(signal);
    const [match] = matches.values();
    if (match !== undefined && matches.size === 1) return match;
    if (matches.size > 1) throw ambiguous(target, [...matches.keys()]);
    const { asked, obstacle } = this.#discovery;
    if (asked.length === 0 && obstacle !== undefined) throw obstacle;
    throw notFound(target, asked, [...others]);
  }
}

/** Throws the reason of a signal that somebody else aborted. */
export function throwUnlessLate(signal: AbortSignal): void {
  if (signal.aborted && signal.reason !== LATE) throw signal.reason;
}

/** The error for a peer that is nowhere. */
export function notFound(
  target: string,
  tried: readonly string[],
  found: readonly string[],
): NotFoundError {
  const where = tried.length > 0 ? describeTried(tried) : "there was no way to look";
  const others = found.length > 0
    ? `nobody called that answered, these did: ${found.join(", ")}; `
    : "";
  return new NotFoundError(
    "no-peer",
    `Cannot reach peer "${printable(target, 80)}": ${others}${where}`,
    { details: { tried, found } },
  );
}

/** What was tried, for people: the first three ways, and how many more there are. */
export function describeTried(tried: readonly string[]): string {
  const shown = `tried ${tried.slice(0, MAX_TRIED).join("; ")}`;
  const more = tried.length - MAX_TRIED;
  if (more <= 0) return shown;
  return `${shown} and ${more} more ${more === 1 ? "way" : "ways"} (--log info lists them)`;
}

function ambiguous(target: string, peerIds: readonly string[]): NotFoundError {
  const shown = peerIds.slice(0, MAX_NAMED);
  const count = peerIds.length > MAX_NAMED ? `more than ${MAX_NAMED}` : peerIds.length;
  return new NotFoundError(
    "no-peer",
    `"${printable(target, 80)}" is not one peer but ${count}: ${shown.join(", ")}; use the peer id`,
    { details: { found: shown } },
  );
}
