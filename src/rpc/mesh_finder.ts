/**
 * How the servers of a mesh come together: looking for them at a steady pace, and trying to join whoever is found.
 *
 * Rounds do not pile up: an address is tried once in a round and never twice at the same time, a round that takes long
 * puts the next one off, and whoever turned out not to belong here is left alone for a minute.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";
import { HandshakeError, TimeoutError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { type Address, formatAddress } from "../transport/transport.ts";
import { isRefusal } from "./reconnect.ts";

/** How long a server that does not belong here is left alone. */
const LEAVE_ALONE_MS = 60_000;

/** Servers that are left alone, or known by another name, at the same time; beyond, the first are asked again. */
const MAX_REMEMBERED = 1024;

/** Servers that are tried at the same time: whoever fakes announcements cannot make us connect to all the world. */
const MAX_MEETINGS = 64;

/** How long an address may take; the system alone would wait for minutes where nothing answers. */
const ADDRESS_MS = 10_000;

/** Where servers are found. */
export interface ServerDirectory {
  /** Servers as they are found, until the signal aborts. The same one may come again. */
  find(
    options: { signal: AbortSignal },
  ): AsyncIterable<{ readonly peerId: string; readonly addresses: readonly Address[] }>;
}

/** What a {@linkcode ServerFinder} needs. */
export interface ServerFinderOptions {
  /** Where time comes from. */
  clock: Clock;
  /** Where to say who was not joined. */
  log: Logger;
  /** Where to look. */
  directory: ServerDirectory | undefined;
  /** Addresses that are tried besides. */
  addresses: readonly Address[];
  /** Time between two looks in milliseconds; the directory is asked during the first half of it. */
  everyMs: number;
  /** Who looks. */
  self: string;
  /** Whether that peer has joined already. */
  isMember: (peerId: string) => boolean;
  /** Joins a server. A `HandshakeError` names the peer in `details.peerId` where that is known. */
  join: (address: Address, options: { signal: AbortSignal }) => Promise<{ peerId: string }>;
}

/** Looks for servers; see the module. */
export class ServerFinder {
  readonly #options: ServerFinderOptions;
  readonly #closing = new AbortController();
  readonly #meetings = new Set<Promise<void>>();
  readonly #beingTried = new Set<string>();
  readonly #leftAlone = new Map<string, number>();
  // Who answered, where that is not whom we looked for: an address of the options, or a wrong announcement.
  readonly #answeredBy = new Map<string, string>();
  #looking: Promise<void> = Promise.resolve();
  #timer: Timer | undefined;

  /** Looks at once, and from then on. */
  constructor(options: ServerFinderOptions) {
    this.#options = options;
    this.#look();
  }

  /** Looks no more. Who is being tried has to be given up by whoever joins. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#timer?.cancel();
    await this.#looking;
    await Promise.all(this.#meetings);
  }

  #look(): void {
    const { clock, log, everyMs } = this.#options;
    const looking = this.#lookAround().catch((error) => {
      log.warn("could not look for servers", { why: String(error) });
    });
    this.#looking = looking;
    this.#timer = clock.after(everyMs, async () => {
      await looking;
      if (!this.#closing.signal.aborted) this.#look();
    });
  }

  async #lookAround(): Promise<void> {
    const { clock, directory, addresses, everyMs, self } = this.#options;
    const tried = new Set(this.#beingTried);
    for (const address of addresses) await this.#begin(formatAddress(address), [address], tried);
    if (directory === undefined) return;
    const enough = new AbortController();
    const timer = clock.after(everyMs / 2, () => enough.abort());
    const signal = AbortSignal.any([enough.signal, this.#closing.signal]);
    try {
      for await (const { peerId, addresses } of directory.find({ signal })) {
        if (signal.aborted) break;
        if (peerId !== self) await this.#begin(peerId, addresses, tried);
      }
    } finally {
      timer.cancel();
    }
  }

  /** Starts to try a server, as soon as there is room. */
  async #begin(who: string, addresses: readonly Address[], tried: Set<string>): Promise<void> {
    const news = addresses.filter((address) => !tried.has(formatAddress(address)));
    if (news.length === 0 || this.#isSettled(who)) return;
    for (const address of news) tried.add(formatAddress(address));
    while (this.#meetings.size >= MAX_MEETINGS) await Promise.race(this.#meetings);
    const meeting = this.#meet(who, news);
    this.#meetings.add(meeting);
    void meeting.then(() => this.#meetings.delete(meeting));
  }

  /** Tries a server's addresses, one after another. Never rejects. */
  async #meet(who: string, addresses: readonly Address[]): Promise<void> {
    const names = addresses.map(formatAddress);
    for (const name of names) this.#beingTried.add(name);
    for (const address of addresses) {
      if (this.#closing.signal.aborted || this.#isSettled(who)) break;
      await this.#try(who, address);
    }
    for (const name of names) this.#beingTried.delete(name);
  }

  async #try(who: string, address: Address): Promise<void> {
    const { clock, log, join } = this.#options;
    const where = formatAddress(address);
    const late = new AbortController();
    const timer = clock.after(ADDRESS_MS, () => late.abort(tookTooLong(where)));
    try {
      const { peerId } = await join(address, { signal: late.signal });
      if (peerId !== who) remember(this.#answeredBy, who, peerId);
    } catch (error) {
      if (isRefusal(error)) this.#leaveAlone(who, error);
      log.debug("did not join a server", { address: where, why: String(error) });
    } finally {
      timer.cancel();
    }
  }

  #isSettled(who: string): boolean {
    const { clock, isMember } = this.#options;
    const peerId = this.#answeredBy.get(who) ?? who;
    if (isMember(peerId)) return true;
    return [who, peerId].some((name) => (this.#leftAlone.get(name) ?? 0) > clock.now());
  }

  /** Lets a server be for a while; where a handshake told us who it is, by that name too. */
  #leaveAlone(who: string, error: unknown): void {
    const untilMs = this.#options.clock.now() + LEAVE_ALONE_MS;
    remember(this.#leftAlone, who, untilMs);
    const peerId = error instanceof HandshakeError ? error.details.peerId : undefined;
    if (typeof peerId === "string") remember(this.#leftAlone, peerId, untilMs);
  }
}

/** Adds to a map that forgets what is oldest in it. */
function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > MAX_REMEMBERED && oldest !== undefined) map.delete(oldest);
}

function tookTooLong(where: string): TimeoutError {
  return new TimeoutError(`Cannot join ${where}: no answer within ${ADDRESS_MS} ms`);
}
