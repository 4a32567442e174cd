/**
 * Peers whose addresses a domain publishes, in TXT records (RFC 1035, 3.3.14):
 *
 * ```
 * peers.example.  300  IN  TXT  "kith=bob.example:3485"
 * peers.example.  300  IN  TXT  "kith=21fe31dfa154a261626bf854046fd2271b7bed4b@192.0.2.7:3485"
 * ```
 *
 * Nobody believes a name server: it says where to ask, and where it gives the id, who must be there.
 *
 * @module
 */

import { type Clock, sleep, systemClock } from "../../clock.ts";
import { type Logger, printable, silentLogger } from "../../log.ts";
import { UnsupportedError } from "../../errors.ts";
import { asPeerId } from "../../secure/trust_entry.ts";
import { isDomainName, resolveTxt } from "../../transport/dns.ts";
import { reasonOf } from "../attempts.ts";
import { type Candidate, type CandidateSource, parseCandidateAddress } from "../candidates.ts";

/** How long an answer is used, and how often there is a question at the most, in milliseconds. */
const REFRESH_MS = 60_000;

/** Most records that are looked at: more than one UDP answer holds. */
const MAX_RECORDS = 64;

/** What a record of ours begins with. */
const TAG = "kith=";

/** What is asked, and how. */
export interface DnsPeersOptions {
  /** The domain. */
  name: string;
  /** Asks for its TXT records, each as one text; none where there is no such name. @default {resolveTxt} */
  resolveTxt?: (name: string, options: { signal: AbortSignal }) => Promise<readonly string[]>;
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
  /** Told of records that say nothing, and of name servers that do not answer. @default {silentLogger} */
  log?: Logger;
}

/**
 * Peers that a domain names; it is asked again every minute.
 *
 * @example
 * ```ts
 * import { type Candidate, DnsPeers } from "@kith/kith/discovery";
 * import { assertEquals } from "@std/assert";
 *
 * const resolveTxt = () => Promise.resolve(["v=spf1 -all", "kith=bob.example:3485"]);
 * const source = new DnsPeers({ name: "peers.example", resolveTxt });
 * const found: Candidate[] = [];
 * for await (const candidate of source.find(new AbortController())) {
 *   found.push(candidate);
 *   break;
 * }
 * assertEquals(found, [{ address: { hostname: "bob.example", port: 3485 } }]);
 * ```
 */
export class DnsPeers implements CandidateSource {
  /** `dns`. */
  readonly method = "dns";
  readonly #options: DnsPeersOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  #askedMs = -Infinity;
  #asking: Promise<void> | undefined;
  #candidates: readonly Candidate[] = [];

  /** Asks nobody yet. @throws {TypeError} for what is no domain name. */
  constructor(options: DnsPeersOptions) {
    const { name, clock = systemClock, log = silentLogger } = options;
    if (!isDomainName(name)) {
      throw new TypeError(
        `Domain of peers must be a domain name: current value is "${printable(name)}"`,
      );
    }
    this.#options = options;
    this.#clock = clock;
    this.#log = log;
  }

  /**
   * Those that it names, and those it names later, until aborted. When no name server answers, those it named last.
   *
   * @throws {UnsupportedError} when none may be asked.
   */
  async *find({ signal }: { signal: AbortSignal }): AsyncGenerator<Candidate, void, void> {
    while (!signal.aborted) {
      await this.#refresh(signal);
      yield* this.#candidates;
      try {
        await sleep(this.#clock, this.#askedMs + REFRESH_MS - this.#clock.now(), { signal });
      } catch {
        return; // nobody looks any more
      }
    }
  }

  /** Asks, unless that is not long ago; searches side by side wait for the same answer. */
  async #refresh(signal: AbortSignal): Promise<void> {
    while (this.#asking !== undefined) await this.#asking;
    if (this.#clock.now() - this.#askedMs < REFRESH_MS) return;
    this.#asking = this.#ask(signal).finally(() => this.#asking = undefined);
    await this.#asking;
  }

  async #ask(signal: AbortSignal): Promise<void> {
    const { name, resolveTxt: resolve = resolveTxt } = this.#options;
    const startedMs = this.#clock.now();
    try {
      this.#candidates = this.#read(await resolve(name, { signal }));
    } catch (error) {
      if (signal.aborted) return; // whoever looks next asks again
      if (error instanceof UnsupportedError) throw error;
      this.#log.warn("no answer from name servers", { name, why: reasonOf(error) });
    }
    this.#askedMs = startedMs;
  }

  #read(records: readonly string[]): Candidate[] {
    const { name } = this.#options;
    const ours = records.filter((text) => text.startsWith(TAG));
    if (ours.length > MAX_RECORDS) {
      const why = `${ours.length} records exceed maxRecords ${MAX_RECORDS}`;
      this.#log.warn("not all peers of a domain", { name, why });
    }
    const read = ours.slice(0, MAX_RECORDS).map((text) => {
      const candidate = parsePeerRecord(text);
      if (candidate === undefined) {
        this.#log.debug("no peer in a TXT record", { name, text: printable(text, 80) });
      }
      return candidate;
    });
    return read.filter((candidate) => candidate !== undefined);
  }
}

/** Reads `kith=HOST:PORT` or `kith=PEERID@HOST:PORT`. @returns `undefined` for anything else. */
export function parsePeerRecord(text: string): Candidate | undefined {
  const match = /^kith=(?:([^@]*)@)?([^@]*)$/.exec(text);
  if (match === null) return undefined;
  const [, id, where = ""] = match;
  const address = parseCandidateAddress(where);
  if (address === undefined) return undefined;
  if (id === undefined) return { address };
  const peerId = asPeerId(id);
  return peerId === undefined ? undefined : { address, peerId };
}
