/**
 * Looking for peers of PeerConnect's network by name: in the twenty lists, in each of which every node is that belongs
 * there.
 *
 * The originals answer no search, but show what they have of a list; others answer from all their lists at once, also where
 * one of them has more entries than an answer. So both are asked for, of a few nodes for each list.
 *
 * @module
 */

import { Channel } from "../../channel.ts";
import { ClosedError, PeerError } from "../../errors.ts";
import type { Address } from "../../transport/transport.ts";
import { decode } from "../../wire/msgpack.ts";
import { idToHex, parseRemotePeer, type RemotePeer } from "../../wire/remote_peer.ts";
import type { Contact } from "../contact.ts";
import type { DhtNode } from "../dht_node.ts";
import { type NodeId, toKey } from "../node_id.ts";
import { LIST_KEYS } from "./list_keys.ts";
import {
  MAX_FOUND_PEERS,
  MAX_SEARCH_CHARS,
  type PeerConnectKademlia,
} from "./peerconnect_kademlia.ts";
import type { AskOptions } from "./rpcudp_wire.ts";

/** How long a search takes at most, in milliseconds. */
export const LIST_SEARCH_MS = 3_000;

/** Nodes that are asked for each list, and lists that are looked for at the same time. */
const NODES_PER_LIST = 3;
const LISTS_AT_ONCE = 5;

/** A peer that is in a list. */
export interface ListedPeer {
  /** Who it is, 40 lower-case hexadecimal digits; nobody has proven that. */
  readonly peerId: string;
  /** What is said of it: nothing may go to its addresses for that alone. */
  readonly peer: RemotePeer;
  /** Who says so; `undefined` where it is in a list that is kept here. */
  readonly from: Address | undefined;
}

/** How to search. */
export interface ListSearchOptions extends AskOptions {
  /** How long it may take, in milliseconds. @default {LIST_SEARCH_MS} */
  readonly timeoutMs?: number;
}

/** Where to search. */
export interface ListSearchParts {
  /** Whose node it is. */
  readonly node: DhtNode;
  /** How it asks others. */
  readonly wire: PeerConnectKademlia;
}

/**
 * The peers whose name contains a text, each once, as they are found: at most 64, until all lists were looked into, the time
 * is over or the signal aborts. Upper and lower case differ.
 *
 * @throws {RangeError} at once, when the text has more than 256 characters or the time is not above 0.
 */
export function searchLists(
  text: string,
  parts: ListSearchParts,
  options: ListSearchOptions = {},
): AsyncGenerator<ListedPeer, void, void> {
  const { timeoutMs = LIST_SEARCH_MS, signal } = options;
  if (text.length > MAX_SEARCH_CHARS) {
    throw new RangeError(
      `text must be at most ${MAX_SEARCH_CHARS} characters: current length ${text.length}`,
    );
  }
  if (!(timeoutMs > 0)) {
    throw new RangeError(`timeoutMs must be above 0: current value is ${timeoutMs}`);
  }
  return follow(new ListSearch(text, parts), parts.node, { signal, timeoutMs });
}

async function* follow(
  search: ListSearch,
  node: DhtNode,
  { signal, timeoutMs }: ListSearchOptions & { readonly timeoutMs: number },
): AsyncGenerator<ListedPeer, void, void> {
  const end = () => search.end();
  const timer = node.clock.after(timeoutMs, end);
  const ends = signal === undefined ? node.signal : AbortSignal.any([signal, node.signal]);
  ends.addEventListener("abort", end, { once: true });
  try {
    if (ends.aborted) return;
    node.begin(search.run());
    yield* search.found;
  } finally {
    search.end();
    ends.removeEventListener("abort", end);
    timer.cancel();
  }
}

/** A search that is under way. */
class ListSearch {
  readonly found = new Channel<ListedPeer>(MAX_FOUND_PEERS);
  readonly #text: string;
  readonly #node: DhtNode;
  readonly #wire: PeerConnectKademlia;
  readonly #over = new AbortController();
  readonly #taken = new Set<string>();
  readonly #asked = new Set<string>();
  readonly #searches: Promise<void>[] = [];

  constructor(text: string, { node, wire }: ListSearchParts) {
    this.#text = text;
    this.#node = node;
    this.#wire = wire;
  }

  /** Gives what is here and looks everywhere else. */
  async run(): Promise<void> {
    const here = this.#wire.lists.search(this.#text).map((one) => parseRemotePeer(decode(one)));
    this.#take(here, undefined);
    const keys = [...LIST_KEYS];
    const lookIntoSome = async () => {
      for (let key = keys.shift(); key && !this.#over.signal.aborted; key = keys.shift()) {
        await this.#lookInto(key);
      }
    };
    await Promise.all(Array.from({ length: LISTS_AT_ONCE }, lookIntoSome));
    await Promise.all(this.#searches); // the originals leave them unanswered: no list waits for that
    this.end();
  }

  /** Asks nobody any more. Harmless when over. */
  end(): void {
    this.#over.abort(new ClosedError("The search is over"));
    this.found.close();
  }

  async #lookInto(key: NodeId): Promise<void> {
    const { settle } = this.#node.tuning;
    const signal = this.#over.signal;
    const nearest = await this.#tolerate(this.#node.closest(key, { settle, signal })) ?? [];
    await Promise.all(nearest.slice(0, NODES_PER_LIST).map((contact) => this.#ask(contact, key)));
  }

  async #ask({ key: id, address }: Contact, key: NodeId): Promise<void> {
    const { signal } = this.#over;
    if (!this.#asked.has(id)) {
      this.#asked.add(id);
      const searched = this.#tolerate(this.#wire.searchAt(address, this.#text, { signal }));
      this.#searches.push(searched.then((peers) => this.#take(peers ?? [], address)));
    }
    const list = await this.#tolerate(this.#wire.findList(address, key, { signal }));
    this.#take(list?.peers ?? [], address);
  }

  #take(peers: readonly RemotePeer[], from: Address | undefined): void {
    for (const peer of peers) {
      const peerId = idToHex(peer.id);
      const isNew = !this.#taken.has(peerId) && peerId !== toKey(this.#node.self);
      if (!isNew || !peer.username?.includes(this.#text)) continue;
      this.#taken.add(peerId);
      void this.found.push({ peerId, peer, from });
      if (this.#taken.size === MAX_FOUND_PEERS) return this.end();
    }
  }

  /** What came of it; `undefined` where somebody does not answer or the search is over. */
  async #tolerate<T>(work: Promise<T>): Promise<T | undefined> {
    try {
      return await work;
    } catch (error) {
      if (error instanceof PeerError || this.#over.signal.aborted) return undefined;
      throw error;
    }
  }
}
