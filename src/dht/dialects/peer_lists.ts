/**
 * The lists of peers that a node keeps for PeerConnect's network, of bounded size.
 *
 * The originals keep what they are given for ever. Here an entry is forgotten unless it is given again, which its node does
 * every 7 s; nobody has others forgotten: where a list is full, only what has not been given again for a while makes room,
 * and who put an entry in is the only one to change it until then. A host fills no list alone.
 *
 * @module
 */

import type { Clock } from "../../clock.ts";
import { isLoopback } from "../../endpoint/limits.ts";
import { sourceOf } from "../../endpoint/source.ts";
import { type Address, formatAddress } from "../../transport/transport.ts";
import { encode } from "../../wire/msgpack.ts";
import { idToHex, type RemotePeer, remotePeerToRecord } from "../../wire/remote_peer.ts";
import { type NodeId, toKey } from "../node_id.ts";
import { LIST_KEYS } from "./list_keys.ts";

/** Most entries of a list. */
export const MAX_LIST_ENTRIES = 1_024;

/** Most entries from one host, in all lists together: a node gives a newcomer what it has of a list, one by one. */
export const MAX_ENTRIES_PER_HOST = 256;

/** How long an entry stays that is not given again, in milliseconds. */
export const LIST_ENTRY_MS = 600_000;

/** When an entry that was not given again may be changed by others and makes room, in milliseconds: four times missed. */
export const LIST_ENTRY_STALE_MS = 30_000;

/** Longest entry in MessagePack: a name of a few words fits. */
export const MAX_LIST_ENTRY_BYTES = 256;

interface Entry {
  readonly peer: RemotePeer;
  readonly bytes: Uint8Array;
  readonly host: string;
  readonly atMs: number;
}

/**
 * Lists of peers; see the module.
 *
 * @example
 * ```ts
 * import { PeerLists } from "@kith/kith/dht";
 * import { decode, parseRemotePeer, type RemotePeer } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const lists = new PeerLists({ now: () => 0 });
 * const address = { hostname: "192.0.2.7", port: 3486 };
 * const ports = { tcpPort: 3485, udpPort: 3486, status: 1 } as const;
 * const id = new Uint8Array(20).fill(7);
 * const bob: RemotePeer = { id, username: "bob", ip: "192.0.2.7", ...ports };
 * const first = new Uint8Array(20); // the key of the first list
 * assertEquals(lists.store(first, bob, address), true);
 * assertEquals(lists.search("bo").map((one) => parseRemotePeer(decode(one))), [bob]);
 * ```
 */
export class PeerLists {
  readonly #clock: Pick<Clock, "now">;
  // By key and by the peer's id, in the order in which they were last given.
  readonly #lists = new Map(LIST_KEYS.map((key) => [toKey(key), new Map<string, Entry>()]));
  readonly #perHost = new Map<string, number>();

  /** They are empty. */
  constructor(clock: Pick<Clock, "now">) {
    this.#clock = clock;
  }

  /** How many entries all lists have. */
  get size(): number {
    this.#forgetOld();
    return this.#all().reduce((sum, { size }) => sum + size, 0);
  }

  /**
   * Puts a peer into a list.
   *
   * @param by Where it comes from; `undefined` for ourselves.
   * @returns whether it is there now: not where the key is none of the twenty, the entry too long or there is no room.
   */
  store(key: NodeId, peer: RemotePeer, by: Address | undefined): boolean {
    const list = this.#lists.get(toKey(key));
    const bytes = encode(remotePeerToRecord(peer));
    if (list === undefined || bytes.length > MAX_LIST_ENTRY_BYTES) return false;
    this.#forgetOld();
    const host = by === undefined ? "" : hostOf(by);
    const id = idToHex(peer.id);
    const known = list.get(id);
    if (known !== undefined && known.host !== host && !this.#isStale(known)) return true;
    if (known?.host !== host && this.#isFull(host)) return false;
    if (known === undefined && !this.#makeRoom(list)) return false;
    if (known !== undefined) this.#remove(list, id, known);
    list.set(id, { peer, bytes, host, atMs: this.#clock.now() });
    this.#perHost.set(host, (this.#perHost.get(host) ?? 0) + 1);
    return true;
  }

  /** The peers of a list, each in MessagePack, the last given first. */
  entries(key: NodeId): Uint8Array[] {
    this.#forgetOld();
    return [...this.#lists.get(toKey(key))?.values() ?? []].map(({ bytes }) => bytes).reverse();
  }

  /** The peers of all lists whose name contains a text, each once and in MessagePack. Upper and lower case differ. */
  search(text: string): Uint8Array[] {
    this.#forgetOld();
    const found = new Map<string, Uint8Array>();
    for (const list of this.#all()) {
      for (const [id, { peer, bytes }] of list) {
        if (peer.username?.includes(text)) found.set(id, bytes);
      }
    }
    return [...found.values()];
  }

  /** Drops the oldest entry of a full list if it is stale. @returns whether there is room. */
  #makeRoom(list: Map<string, Entry>): boolean {
    if (list.size < MAX_LIST_ENTRIES) return true;
    const [oldest] = list;
    if (oldest === undefined || !this.#isStale(oldest[1])) return false;
    this.#remove(list, ...oldest);
    return true;
  }

  #isFull(host: string): boolean {
    return (this.#perHost.get(host) ?? 0) >= MAX_ENTRIES_PER_HOST;
  }

  #isStale({ atMs }: Entry): boolean {
    return this.#clock.now() - atMs >= LIST_ENTRY_STALE_MS;
  }

  #forgetOld(): void {
    const sinceMs = this.#clock.now() - LIST_ENTRY_MS;
    for (const list of this.#all()) {
      for (const [id, entry] of list) {
        if (entry.atMs > sinceMs) break;
        this.#remove(list, id, entry);
      }
    }
  }

  #remove(list: Map<string, Entry>, id: string, { host }: Entry): void {
    list.delete(id);
    const left = (this.#perHost.get(host) ?? 0) - 1;
    if (left > 0) this.#perHost.set(host, left);
    else this.#perHost.delete(host);
  }

  #all(): Map<string, Entry>[] {
    return [...this.#lists.values()];
  }
}

/** What one host cannot choose. On this machine the ports are different programs. */
function hostOf(address: Address): string {
  return isLoopback(address.hostname) ? formatAddress(address) : sourceOf(address.hostname).host;
}
