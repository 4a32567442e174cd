/**
 * Hints where peers may be: a list, a file, a name server, what was known last time.
 *
 * A hint proves nothing. Each address is connected to, and who proves to be there is found; until then nobody is.
 *
 * @module
 */

import { type Clock, sleep } from "../clock.ts";
import { type Logger, printable } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import { type Address, formatAddress, parseAddress } from "../transport/transport.ts";
import type { Attempts } from "./attempts.ts";
import type { DiscoveryMethod } from "./packets.ts";
import { ASK_AGAIN_MS, type Prober } from "./prober.ts";
import type { Search } from "./search.ts";

/**
 * How long to look before remembered addresses are asked, in milliseconds: on a link that works an answer is there long
 * before, and where one came nobody has to connect to all that were ever met.
 */
export const REMEMBERED_AFTER_MS = 400;

/**
 * How many remembered addresses are asked although somebody was found by then: one forged answer, which costs nothing,
 * must not keep us from all whom we know.
 */
const REMEMBERED_ANYWAY = 8;

/** How long after it has proven itself a peer is asked again, in milliseconds. */
const PROVEN_AGAIN_MS = 120_000;

/** How long a peer is believed to be where it has proven itself, in milliseconds: until it is asked again, and longer. */
const PROVEN_VALID_MS = PROVEN_AGAIN_MS + 2 * ASK_AGAIN_MS;

/** Longest rest before an address is asked again that strangers named and where nobody is, in milliseconds. */
const LONGEST_REST_MS = 16 * ASK_AGAIN_MS;

/** What strangers can say, or could before it was remembered; see the prober. */
const HEARSAY: ReadonlySet<DiscoveryMethod> = new Set<DiscoveryMethod>(["mdns", "remembered"]);

/** Whose sources name an address again as long as it is published, so that one where nobody is can be forgotten. */
const NAMED_AGAIN: ReadonlySet<DiscoveryMethod> = new Set<DiscoveryMethod>(["mdns", "dns"]);

/** How often in a row nobody is there until it is. */
const MAX_FAILURES = 4;

/** Most addresses that one source has asked at the same time in one search. */
export const MAX_CANDIDATES = 1_024;

/** Longest host name (RFC 1035, 2.3.4), or address with its zone. */
const MAX_HOST_CHARS = 253;

/** Where a peer may be. */
export interface Candidate {
  /** Where to connect to; a host may be a name. */
  readonly address: Address;
  /** Who is to be there; where it is somebody else, nobody was found. @default whoever it is */
  readonly peerId?: string;
}

/** Names addresses; see the module. */
export interface CandidateSource {
  /** The way of finding that it is. */
  readonly method: DiscoveryMethod;
  /**
   * Names addresses, until aborted or until there are no more; the next is taken when there is room to ask it. An
   * address need not be named twice: it is asked again as long as somebody looks.
   */
  find(options: { signal: AbortSignal }): AsyncIterable<Candidate>;
}

/** What {@linkcode Candidates} need. */
export interface CandidatesOptions {
  /** Who names them. */
  sources: readonly CandidateSource[];
  /** Asks them. */
  prober: Prober;
  /** Who we are: who proves to be that is not somebody else. */
  ownId: string | undefined;
  /** Told what was tried, and which source failed. */
  attempts: Attempts;
  /** Where time comes from. */
  clock: Clock;
  /** Told of those who are somebody else. */
  log: Logger;
  /** Counts `discovery.candidates-failed` and `discovery.candidates-dropped`. */
  metrics: Metrics;
}

/** Follows all sources for one search, and tells it who is there. */
export class Candidates {
  readonly #options: CandidatesOptions;
  readonly #search: Search;
  // Where we are ourselves.
  readonly #own = new Set<string>();

  /** Has asked for nobody yet. */
  constructor(options: CandidatesOptions, search: Search) {
    this.#options = options;
    this.#search = search;
  }

  /** Looks until the search is stopped; never rejects. */
  async look(): Promise<void> {
    const { sources } = this.#options;
    await Promise.all(sources.map((source) => this.#guard(source, () => this.#follow(source))));
  }

  async #follow(source: CandidateSource): Promise<void> {
    const { prober, clock, metrics } = this.#options;
    const { signal } = this.#search;
    let most = Infinity;
    if (source.method === "remembered") {
      await sleep(clock, REMEMBERED_AFTER_MS, { signal });
      if (this.#search.size > 0) most = REMEMBERED_ANYWAY;
    }
    const pursuits = new Map<string, Promise<void>>();
    try {
      for await (const candidate of source.find({ signal })) {
        if (this.#own.has(formatAddress(candidate.address))) continue;
        if (most-- <= 0) break;
        const key = `${formatAddress(candidate.address)} ${candidate.peerId ?? ""}`;
        if (pursuits.has(key)) continue;
        if (pursuits.size >= MAX_CANDIDATES) {
          metrics.counter("discovery.candidates-dropped").add();
          continue;
        }
        await prober.room({ signal, isHearsay: HEARSAY.has(source.method) });
        const pursuit = this.#guard(source, () => this.#pursue(candidate, source.method));
        pursuits.set(key, pursuit.finally(() => pursuits.delete(key)));
      }
    } finally {
      await Promise.all(pursuits.values());
    }
  }

  /** Asks a candidate again and again, unless we are there, or nobody ever is and its source names it again. */
  async #pursue({ address, peerId: expected }: Candidate, via: DiscoveryMethod): Promise<void> {
    const { prober, clock, ownId, attempts } = this.#options;
    const { signal } = this.#search;
    const isHearsay = HEARSAY.has(via);
    attempts.tried(`${via} to ${printable(formatAddress(address))}`);
    for (let failures = 0; failures < MAX_FAILURES || !NAMED_AGAIN.has(via);) {
      const peer = await prober.ask(address, { signal, isHearsay });
      if (peer !== undefined && peer.peerId === ownId) return this.#isUs(address);
      const isMeant = peer !== undefined && (expected ?? peer.peerId) === peer.peerId;
      if (isMeant) this.#search.addProven({ ...peer, address, via, validMs: PROVEN_VALID_MS });
      else if (peer !== undefined) this.#another(address, peer.peerId);
      failures = isMeant ? 0 : failures + 1;
      const restMs = isHearsay
        ? Math.min(ASK_AGAIN_MS * 2 ** (failures - 1), LONGEST_REST_MS)
        : ASK_AGAIN_MS;
      await sleep(clock, isMeant ? PROVEN_AGAIN_MS : restMs, { signal });
    }
  }

  /** Notes where nobody else is; whoever hands our connections on to us may be at many addresses. */
  #isUs(address: Address): void {
    if (this.#own.size < MAX_CANDIDATES) this.#own.add(formatAddress(address));
  }

  #another(address: Address, peerId: string): void {
    const { log, metrics } = this.#options;
    metrics.counter("discovery.candidates-failed").add();
    log.debug("another peer at an address", { address: printable(formatAddress(address)), peerId });
  }

  /** Does what may fail; what ends because the search does has not. */
  async #guard({ method }: CandidateSource, work: () => Promise<void>): Promise<void> {
    await this.#options.attempts.tolerate(`find peers by ${method}`, async () => {
      try {
        await work();
      } catch (error) {
        if (!this.#search.signal.aborted) throw error;
      }
    });
  }
}

/**
 * Reads `HOST:PORT` as something to connect to. @returns `undefined` for what is none: port 0, a host that is longer
 * than a name can be.
 */
export function parseCandidateAddress(text: string): Address | undefined {
  const address = parseAddress(text);
  if (address === undefined || address.port === 0) return undefined;
  return address.hostname.length <= MAX_HOST_CHARS ? address : undefined;
}
