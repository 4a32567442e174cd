/**
 * PeerConnect's dialect of Kademlia, both ways: rpcudp in messages of service code 00, a peer's record wherever the plain
 * one has an id, and three methods for lists of peers.
 *
 * | method | arguments | result |
 * |---|---|---|
 * | `store_peers_in_list` | caller, key of a list, array of records | true, or false for another key |
 * | `find_list_of_peers` | caller, key of a list | `{"value": [record, ...]}`, or nodes |
 * | `search_peers` | caller, text | array of records whose name contains it |
 *
 * A record says where its peer is, and the originals send their own questions there. Here nothing goes to an address
 * because it is declared: replies go where the call came from, and a node that asks is taken to be there, too, as the
 * originals use one socket for everything. What somebody puts into a list of itself is corrected alike.
 *
 * Source: the PeerConnect Kademlia module.
 *
 * @module
 */

import type { RequestsDispatcher } from "../../endpoint/requests_dispatcher.ts";
import type { Address } from "../../transport/transport.ts";
import { encodeDatagram, SERVICE_CODE } from "../../wire/datagram.ts";
import { encodeWireData, PEERCONNECT_VERSION } from "../../wire/message.ts";
import { decode, encode } from "../../wire/msgpack.ts";
import { type RemotePeer, remotePeerToRecord } from "../../wire/remote_peer.ts";
import type { Contact } from "../contact.ts";
import { isSameId, type NodeId } from "../node_id.ts";
import type { Answer, Asker, DhtWire, Question } from "../questions.ts";
import { LIST_KEYS, listKeyFor } from "./list_keys.ts";
import { PeerLists } from "./peer_lists.ts";
import { peerNotation, readPeers, seenAs } from "./peer_notation.ts";
import { isRpcResponse } from "./rpcudp.ts";
import {
  assertCount,
  bad,
  foundValue,
  type NodeNotation,
  readId,
  readNodes,
  resultOf,
  valueIn,
} from "./rpcudp_questions.ts";
import { type AskOptions, type DialectParts, RpcWire } from "./rpcudp_wire.ts";
import { itemsFor } from "./welcome.ts";

/** Most bytes of a result that is read: the originals answer with a whole list, in one packet. */
const MAX_RESULT_BYTES = 65_507;

/** Most bytes of a value in MessagePack: a call of the largest has room for the longest record of its caller, too. */
export const MAX_PEERCONNECT_VALUE_BYTES = 6_144;

/** Most bytes of records in an answer of ours; of a longer list some by chance, others the next time. */
const MAX_RECORDS_BYTES = 8_192;

/** Most records of an answer to a search, and of one that is read. */
export const MAX_FOUND_PEERS = 64;

/** Most records of a list that are read. */
const MAX_LISTED_PEERS = 1_024;

/** Longest text that is searched for, in UTF-16 units. */
export const MAX_SEARCH_CHARS = 256;

/** The peer's UDP port, as far as this dialect needs it. */
export interface PeerConnectKademliaPort {
  /** Who takes what comes in. */
  readonly requests: Pick<RequestsDispatcher, "register">;
  /** Sends one packet. */
  send(packet: Uint8Array, to: Address): Promise<void>;
}

/** What a {@linkcode PeerConnectKademlia} needs. */
export interface PeerConnectKademliaParts extends DialectParts {
  /** The peer's port; it is not closed with this. */
  readonly udp: PeerConnectKademliaPort;
  /** The node's id, 20 bytes. */
  readonly self: NodeId;
  /** Who we are, for somebody: with the address by which that one reaches us. */
  readonly record: (asker: Address) => RemotePeer;
}

/** What somebody has of a list. */
export interface ListAnswer {
  /** The peers of it, at most 1,024. What they say of themselves is their own word, or that of others. */
  readonly peers: readonly RemotePeer[];
  /** Where it has none: nodes that are nearer. */
  readonly nodes: readonly Contact[];
}

/**
 * Asks and answers in PeerConnect's dialect; see the module. It counts `peerconnect-dht.*`.
 *
 * @example
 * ```ts
 * import { Peer } from "@kith/kith";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const open = (name: string) =>
 *   Peer.open({ name, transport: network.host(name), dialects: ["peerconnect"] });
 * await using bob = await open("bob");
 * await using alice = await open("alice");
 *
 * const { wire } = alice.kademlia("peerconnect").values;
 * const there = { hostname: "bob", port: bob.udpAddress?.port ?? 0 };
 * const first = new Uint8Array(20); // the key of the first list
 * await wire.register(there, first);
 * const { peers } = await wire.findList(there, first);
 * assertEquals(peers.map(({ username }) => username), ["alice"]);
 * ```
 */
export class PeerConnectKademlia implements DhtWire, Disposable {
  /** Most bytes of a value in MessagePack. */
  readonly maxValueBytes: number = MAX_PEERCONNECT_VALUE_BYTES;
  /** The lists that it keeps for others. */
  readonly lists: PeerLists;
  readonly #parts: PeerConnectKademliaParts;
  readonly #notation: NodeNotation;
  readonly #rpc: RpcWire;
  readonly #registration: Disposable;
  #isListed = false;

  /**
   * Asks, and answers from now on.
   *
   * @throws {TypeError} when somebody else takes what is left of code 00 on that port. @throws {RangeError} when the time is
   * not above 0.
   */
  constructor(parts: PeerConnectKademliaParts) {
    const { udp, clock, record, metrics } = parts;
    this.#parts = parts;
    this.lists = new PeerLists(clock);
    this.#notation = peerNotation(record);
    this.#rpc = new RpcWire({
      ...parts,
      name: "peerconnect-dht",
      notation: this.#notation,
      send: (packet, to) => udp.send(wrap(packet), to),
      maxResultBytes: MAX_RESULT_BYTES,
      maxValueBytes: this.maxValueBytes,
      methods: new Map([
        ["store_peers_in_list", (args, asker) => this.#storeAll(args, asker)],
        ["find_list_of_peers", (args, asker) => this.#findList(args, asker)],
        ["search_peers", (args, asker) => this.#search(args, asker)],
      ]),
    });
    this.#registration = udp.requests.register(
      SERVICE_CODE.peerconnectKademlia,
      ({ request: { body: { data } }, fromAddr }) => {
        if (data instanceof Uint8Array) this.#rpc.take(data, fromAddr);
        else metrics.counter("peerconnect-dht.malformed").add();
      },
      // Handlers at work may be waiting for answers.
      {
        urgent: ({ request: { body: { data } } }) =>
          data instanceof Uint8Array && isRpcResponse(data),
      },
    );
  }

  /** Asks a node. @throws as {@linkcode DhtWire.ask}. @throws {TypeError} for a record that is not `plain`. */
  ask(to: Contact, question: Question, options: AskOptions = {}): Promise<Answer> {
    return this.#rpc.ask(to, question, options);
  }

  /** Asks who is at an address. @throws as {@linkcode DhtWire.ask}. */
  meet(address: Address, options: AskOptions = {}): Promise<Contact> {
    return this.#rpc.meet(address, options);
  }

  /**
   * Puts peers into a list of a node.
   *
   * @param records Each in MessagePack. @returns whether it says that they are there.
   * @throws as {@linkcode DhtWire.ask}.
   */
  async storeInList(
    to: Address,
    key: NodeId,
    records: readonly Uint8Array[],
    options: AskOptions = {},
  ): Promise<boolean> {
    const args = [encode(key), encode(records)];
    return decode(await this.#rpc.call(to, "store_peers_in_list", args, options)) === true;
  }

  /** Puts ourselves into a list of a node. @throws as {@linkcode DhtWire.ask}. */
  async register(to: Address, key: NodeId, options: AskOptions = {}): Promise<boolean> {
    const record = encode(remotePeerToRecord(this.#parts.record(to)));
    return await this.storeInList(to, key, [record], options);
  }

  /** From now on our own list has ourselves in it, for whoever asks us: at the address by which that one reaches us. */
  listSelf(): void {
    this.#isListed = true;
  }

  /** Asks a node what it has of a list. @throws as {@linkcode DhtWire.ask}. */
  async findList(to: Address, key: NodeId, options: AskOptions = {}): Promise<ListAnswer> {
    const result = await this.#rpc.call(to, "find_list_of_peers", [encode(key)], options);
    const value = valueIn(result);
    if (value !== undefined) {
      return { peers: readPeers(decode(value), MAX_LISTED_PEERS), nodes: [] };
    }
    const nodes = readNodes(decode(result), { by: to, notation: this.#notation });
    return { peers: [], nodes };
  }

  /** Asks a node for peers whose name contains a text. The originals do not answer. @throws as {@linkcode DhtWire.ask}. */
  async searchAt(to: Address, text: string, options: AskOptions = {}): Promise<RemotePeer[]> {
    const result = await this.#rpc.call(to, "search_peers", [encode(text)], options);
    return readPeers(decode(result), MAX_FOUND_PEERS);
  }

  /**
   * Gives a newcomer the lists that it is one of those to keep, an entry at a time as the original does, until it does not
   * answer.
   *
   * @param nearestTo As in {@linkcode itemsFor}.
   * @throws as {@linkcode DhtWire.ask}.
   */
  async welcome(
    { id: newcomer, address }: Contact,
    nearestTo: (key: NodeId) => readonly NodeId[],
    options: AskOptions = {},
  ): Promise<void> {
    for (const key of itemsFor({ self: this.#parts.self, newcomer }, LIST_KEYS, nearestTo)) {
      for (const entry of this.lists.entries(key)) {
        if (!await this.storeInList(address, key, [entry], options)) break;
      }
    }
  }

  /** Answers nobody any more, and rejects what waits for answers. Harmless when closed. */
  [Symbol.dispose](): void {
    this.#registration[Symbol.dispose]();
    this.#rpc[Symbol.dispose]();
  }

  #storeAll(args: readonly Uint8Array[], asker: Asker): Uint8Array {
    assertCount("store_peers_in_list", args, 2);
    const [key, records] = args.map((arg) => decode(arg));
    if (!(key instanceof Uint8Array)) throw bad("key", "it is not bin");
    const peers = readPeers(records, MAX_LISTED_PEERS).map((peer) => seenAs(peer, asker));
    const stored = peers.map((peer) => this.lists.store(key, peer, asker.address));
    return encode(stored.includes(true));
  }

  #findList(args: readonly Uint8Array[], asker: Asker): Uint8Array {
    assertCount("find_list_of_peers", args, 1);
    const target = readId("key", args[0]);
    const others = this.lists.entries(target);
    const isOurs = this.#isListed && isSameId(target, listKeyFor(this.#parts.self));
    const own = isOurs ? [encode(remotePeerToRecord(this.#parts.record(asker.address)))] : [];
    if (own.length + others.length > 0) return foundValue([...own, ...this.#someOf(others)]);
    const question: Question = { type: "find-node", target };
    const notation = this.#notation;
    return resultOf(question, this.#parts.answer(question, asker), { asker, notation });
  }

  #search(args: readonly Uint8Array[], { address }: Asker): Uint8Array {
    assertCount("search_peers", args, 1);
    const text = args[0] === undefined ? undefined : decode(args[0]);
    if (typeof text !== "string" || text.length > MAX_SEARCH_CHARS) {
      throw bad("text", `it is not text of at most ${MAX_SEARCH_CHARS} characters`);
    }
    const self = this.#parts.record(address);
    const own = self.username?.includes(text) ? [encode(remotePeerToRecord(self))] : [];
    const others = this.#someOf(this.lists.search(text)).slice(0, MAX_FOUND_PEERS - own.length);
    return encode([...own, ...others]);
  }

  /** As many as an answer may hold: from somewhere on, and round. */
  #someOf(records: readonly Uint8Array[]): Uint8Array[] {
    const from = Math.floor(this.#parts.clock.random() * records.length);
    const turned = [...records.slice(from), ...records.slice(0, from)];
    const bytes = records.reduce((sum, { length }) => sum + length, 0);
    if (bytes <= MAX_RECORDS_BYTES) return [...records];
    let left = MAX_RECORDS_BYTES;
    return turned.filter(({ length }) => (left -= length) >= 0);
  }
}

/** A packet of rpcudp as a packet of the peer's port. */
export function wrap(data: Uint8Array): Uint8Array<ArrayBuffer> {
  const nobody = { header: null, msgId: null, peerId: null };
  const message = { ...nobody, version: PEERCONNECT_VERSION, body: { data } };
  const payload = encodeWireData(message, { dialect: "peerconnect" });
  return encodeDatagram(SERVICE_CODE.peerconnectKademlia, payload);
}
