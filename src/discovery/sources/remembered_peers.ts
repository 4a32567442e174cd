/**
 * Peers that were found before, in `peers.json` of a home folder: where to ask when nothing else finds anybody.
 *
 * A peer gets here because it signed an answer or a connection proved that it is there, never because somebody only named
 * it. The signature proves the key and not the address: a sender can make up both, as many as it likes. Peers that only
 * answered are therefore few, forgotten first, and asked last.
 *
 * Several processes may have the same home: what each has found is added to what the others have.
 *
 * @module
 */

import { type Clock, systemClock, type Timer } from "../../clock.ts";
import { InvalidPacketError } from "../../errors.ts";
import { type Logger, silentLogger } from "../../log.ts";
import { badRecord, isTimeMs, RecordFile } from "../../secure/record_file.ts";
import { asPeerId, MAX_NAME_CHARS } from "../../secure/trust_entry.ts";
import type { Home } from "../../state/home.ts";
import { formatAddress } from "../../transport/transport.ts";
import { reasonOf } from "../attempts.ts";
import {
  type Candidate,
  type CandidateSource,
  MAX_CANDIDATES,
  parseCandidateAddress,
} from "../candidates.ts";
import type { FoundPeer } from "../search.ts";

/** The file's name in the home folder. */
export const PEERS_FILE_NAME = "peers.json";

/** How long after something was found it is written, in milliseconds, and so how much a crash loses. */
const WRITE_AFTER_MS = 5_000;

/** Most peers that are remembered; of those that were never proven the one that was seen longest ago is forgotten first. */
const MAX_PEERS = 1_024;

/** Most of them that were never proven. */
const MAX_UNPROVEN = 256;

/** Most addresses of one peer: those of two machines that move between two networks, by IPv4 and IPv6. */
const MAX_ADDRESSES = 8;

/** A peer that was found. */
export interface RememberedPeer {
  /** 40 hexadecimal digits. */
  readonly peerId: string;
  /** What it called itself; empty for none. At most 64 characters, and to be shown with care. */
  readonly name: string;
  /** Where it was, as `HOST:PORT`: where it was seen last, best first, then where it was before. At most 8. */
  readonly addresses: readonly string[];
  /** When it was seen last, in milliseconds since 1970. */
  readonly lastSeen: number;
  /** Whether a connection has ever proven that it was at one of its addresses. */
  readonly proven: boolean;
}

/** Remembers who was found, and says where that was. */
export interface PeerMemory extends CandidateSource {
  /** Takes note of a peer, and whether a connection has proven that it was there; must not throw. */
  remember(
    peer: Pick<FoundPeer, "peerId" | "name" | "addresses"> & Partial<Pick<FoundPeer, "isProven">>,
  ): void;
}

/** How to open {@linkcode RememberedPeers}. */
export interface RememberedPeersOptions {
  /** Where to keep them. */
  home: Home;
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
  /** Told when the file cannot be read or written. @default {silentLogger} */
  log?: Logger;
}

/**
 * Peers that were found before; see the module. Closing writes what was found last.
 *
 * @example
 * ```ts
 * import { Home } from "@kith/kith";
 * import { RememberedPeers } from "@kith/kith/discovery";
 * import { assertEquals } from "@std/assert";
 *
 * const home = Home.open(await Deno.makeTempDir());
 * const peers = new RememberedPeers({ home });
 * const addresses = [{ hostname: "192.0.2.7", port: 3485 }];
 * peers.remember({ peerId: "0b".repeat(20), name: "bob", addresses });
 * peers.close();
 *
 * using later = new RememberedPeers({ home });
 * assertEquals(later.all.map(({ name, addresses }) => [name, ...addresses]), [
 *   ["bob", "192.0.2.7:3485"],
 * ]);
 * await Deno.remove(home.dir, { recursive: true });
 * ```
 */
export class RememberedPeers implements PeerMemory, Disposable {
  /** `remembered`. */
  readonly method = "remembered";
  readonly #home: Home;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #file: RecordFile<RememberedPeer>;
  readonly #unwritten = new Map<string, RememberedPeer>();
  #timer: Timer | undefined;
  #closed = false;

  /** Reads nothing yet. */
  constructor(options: RememberedPeersOptions) {
    const { home, clock = systemClock, log = silentLogger } = options;
    const [name, what] = [PEERS_FILE_NAME, "remembered peers"];
    const keyOf = ({ peerId }: RememberedPeer) => peerId;
    this.#file = new RecordFile({ home, name, what, clock, parse: parsePeer, keyOf });
    this.#home = home;
    this.#clock = clock;
    this.#log = log;
  }

  /** All of them, those that were proven before the others; of the same kind the one that was seen last first. */
  get all(): readonly RememberedPeer[] {
    let peers: readonly RememberedPeer[] = [];
    this.#tolerate("read", () => {
      const merged = new Map(this.#file.records);
      this.#mergeInto(merged);
      peers = inOrderToForget(merged).reverse();
    });
    return peers;
  }

  /** Takes note of a peer, at the addresses where it is now. It is written within five seconds, or on close. */
  remember(
    { peerId, name, addresses, isProven = false }:
      & Pick<FoundPeer, "peerId" | "name" | "addresses">
      & Partial<Pick<FoundPeer, "isProven">>,
  ): void {
    if (this.#closed) return;
    const proven = isProven || this.#unwritten.get(peerId)?.proven === true;
    this.#unwritten.delete(peerId);
    this.#unwritten.set(peerId, {
      peerId,
      name: name.slice(0, MAX_NAME_CHARS).toWellFormed(),
      addresses: addresses.slice(0, MAX_ADDRESSES).map(formatAddress),
      lastSeen: this.#clock.wallMs(),
      proven,
    });
    forgetSurplus(this.#unwritten);
    this.#timer ??= this.#clock.after(WRITE_AFTER_MS, () => this.#write());
  }

  /**
   * Where they were: the best address of each first. Whoever is there now is told from them by proving who it is, and as
   * welcome.
   */
  async *find(_options: { signal: AbortSignal }): AsyncGenerator<Candidate, void, void> {
    const peers = this.all;
    let given = 0;
    for (let nth = 0; nth < MAX_ADDRESSES; nth++) {
      for (const { addresses } of peers) {
        const address = parseCandidateAddress(addresses[nth] ?? "");
        if (address === undefined) continue;
        yield await Promise.resolve({ address });
        if (++given === MAX_CANDIDATES) return;
      }
    }
  }

  /** Writes what was found last. Harmless when closed. */
  close(): void {
    this.#closed = true;
    this.#write();
  }

  /** The same as {@linkcode RememberedPeers.close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  #write(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#unwritten.size === 0) return;
    this.#tolerate("write", () => this.#file.update((records) => this.#mergeInto(records)));
    this.#unwritten.clear();
  }

  /** Puts what is not written yet behind what is, and forgets what is too much. */
  #mergeInto(records: Map<string, RememberedPeer>): void {
    for (const peer of this.#unwritten.values()) {
      const before = records.get(peer.peerId);
      const addresses = [...new Set([...peer.addresses, ...before?.addresses ?? []])];
      const proven = peer.proven || before?.proven === true;
      records.delete(peer.peerId);
      records.set(peer.peerId, { ...peer, addresses: addresses.slice(0, MAX_ADDRESSES), proven });
    }
    forgetSurplus(records);
  }

  /** Does what may fail: nobody is stopped by what is a convenience. What is corrupt is set aside. */
  #tolerate(doing: string, work: () => void): void {
    try {
      try {
        work();
      } catch (error) {
        if (!(error instanceof InvalidPacketError)) throw error;
        this.#home.setAside(PEERS_FILE_NAME, error.message);
        work();
      }
    } catch (error) {
      this.#log.warn(`could not ${doing} remembered peers`, { why: reasonOf(error) });
    }
  }
}

/** First those that were never proven, of the same kind first the one that was seen longest ago. */
function inOrderToForget(records: ReadonlyMap<string, RememberedPeer>): RememberedPeer[] {
  return [...records.values()].sort((a, b) => Number(a.proven) - Number(b.proven));
}

/** Forgets those that are too many. */
function forgetSurplus(records: Map<string, RememberedPeer>): void {
  const all = inOrderToForget(records);
  const unproven = all.filter(({ proven }) => !proven).length;
  const surplus = Math.max(all.length - MAX_PEERS, unproven - MAX_UNPROVEN, 0);
  for (const { peerId } of all.slice(0, surplus)) records.delete(peerId);
}

/** Checks a record of the file. @throws {InvalidPacketError} */
function parsePeer(row: Readonly<Record<string, unknown>>): RememberedPeer {
  const { peerId, name, addresses, lastSeen, proven = false } = row; // older files do not say
  if (typeof peerId !== "string" || asPeerId(peerId) !== peerId) {
    throw badRecord("peerId is no peer id");
  }
  if (typeof name !== "string" || name.length > MAX_NAME_CHARS) throw badRecord("name is no name");
  if (!isTimeMs(lastSeen)) throw badRecord("lastSeen is no time");
  if (typeof proven !== "boolean") throw badRecord("proven is neither true nor false");
  if (!Array.isArray(addresses) || addresses.length > MAX_ADDRESSES) {
    throw badRecord("addresses is no list of addresses");
  }
  const known: string[] = addresses.filter((text) => typeof text === "string");
  const isBad = known.some((text) => parseCandidateAddress(text) === undefined);
  if (isBad || known.length < addresses.length) throw badRecord("addresses has what is none");
  return { peerId, name, addresses: known, lastSeen, proven };
}
