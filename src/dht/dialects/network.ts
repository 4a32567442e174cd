/**
 * A network of plain Kademlia nodes, joined as one of them: values that anybody may set under a key and everybody gets.
 *
 * Nothing in it is signed, sealed or hard to capture: a value is what most of the nodes that were asked say, and whoever sets
 * it last. It is kept for a week, and put again each hour by those who keep it, as the originals do. Who sets a value keeps
 * it, too, where it is one of the nodes nearest to it, and only there: from elsewhere it would put its own again when
 * somebody else has long set another.
 *
 * Source: kademlia 2.2, `Server`.
 *
 * @module
 */

import type { Clock } from "../../clock.ts";
import { ClosedError } from "../../errors.ts";
import type { Logger } from "../../log.ts";
import type { Metrics } from "../../metrics.ts";
import type { Address } from "../../transport/transport.ts";
import { decode } from "../../wire/msgpack.ts";
import type { Contact } from "../contact.ts";
import { DhtNode } from "../dht_node.ts";
import type { DhtStat } from "../dht_options.ts";
import type { LookupEvent } from "../lookup_events.ts";
import { compareDistance, type NodeId, toKey } from "../node_id.ts";
import { DHT_DEFAULTS, type DhtTuning } from "../options.ts";
import { place } from "../placing.ts";
import type { DhtWire } from "../questions.ts";
import { read } from "../reading.ts";
import { type PlainRecord, plainRecord } from "../record.ts";
import { statOf } from "../stat.ts";
import { type DhtStorage, MemoryStorage } from "../storage.ts";
import { KADEMLIA_TTL_S, valueTooLarge } from "./rpcudp_questions.ts";
import type { AskOptions, DialectParts } from "./rpcudp_wire.ts";
import { digestOf, encodeKademliaValue, type KademliaValue } from "./values.ts";

/** How long an answer may take, in milliseconds: less than the originals wait, since a lookup asks others meanwhile. */
export const NETWORK_TIMEOUT_MS = 2_000;

/** Most addresses of a network that are remembered, to join it again when nobody is left. */
const MAX_SEEDS = 64;

/** A dialect's wire. */
export interface DialectWire extends DhtWire, Disposable {
  /** Most bytes of a value in MessagePack. */
  readonly maxValueBytes: number;
}

/** What a network gives its wire. */
export interface WireParts extends DialectParts {
  /** The node's id, 20 bytes. */
  readonly self: NodeId;
}

/** What a {@linkcode KademliaNetwork} needs. */
export interface KademliaNetworkParts<Wire extends DialectWire> {
  /** The node's id, 20 bytes. */
  readonly self: NodeId;
  /** Makes the wire, which is closed with the network. */
  readonly wire: (parts: WireParts) => Wire;
  /** Where the node keeps what it is given; closed with the network. @default {new MemoryStorage()} */
  readonly storage?: DhtStorage;
  /** Where time and chance come from. */
  readonly clock: Clock;
  /** Hears what goes wrong. */
  readonly log: Logger;
  /** Counts what the node and its wire do. */
  readonly metrics: Metrics;
}

/** How a node takes part. */
export interface KademliaNetworkOptions {
  /** What differs from the originals' counts and times. */
  readonly tuning?: Partial<DhtTuning>;
  /** How long an answer may take, in milliseconds. @default {NETWORK_TIMEOUT_MS} */
  readonly timeoutMs?: number;
}

/** What became of a value that was set. */
export interface SetValue {
  /** Where it is: 40 hexadecimal digits. */
  readonly key: string;
  /** How many nodes keep it, without this one. */
  readonly holders: number;
  /** How many did not want it. */
  readonly refused: number;
  /** How many did not answer. */
  readonly silent: number;
  /** By how many nodes, one naming the next, the way there went. */
  readonly hops: number;
}

/** How to get a value. */
export interface GetValueOptions extends AskOptions {
  /** Not what this node keeps itself. @default {false} */
  readonly fresh?: boolean;
}

/** A value that was found. */
export interface FoundValue {
  /** The value: of any type that MessagePack has, for not all who set some use the library. */
  readonly value: unknown;
  /** By how many nodes, one naming the next, the way to it went; 0 where it was here. */
  readonly hops: number;
  /** How long who had it took to answer, in milliseconds. */
  readonly rttMs: number;
  /** How many nodes were asked. */
  readonly asked: number;
}

/**
 * A network of plain Kademlia nodes; see the module.
 *
 * @example
 * ```ts
 * import { Peer } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const here = { hostname: "127.0.0.1", port: 0, announce: false };
 * await using bob = await Peer.open({ ...here, dialects: ["kademlia"] });
 * await using alice = await Peer.open({ ...here, dialects: ["kademlia"] });
 *
 * await alice.kademlia().join([{ hostname: "127.0.0.1", port: bob.udpAddress?.port ?? 0 }]);
 * const { holders } = await alice.kademlia().set("tea", "green");
 * const found = await bob.kademlia().get("tea");
 * assertEquals([holders, found?.value], [1, "green"]);
 * ```
 */
export class KademliaNetwork<Wire extends DialectWire = DialectWire> implements AsyncDisposable {
  /** The node: its table, what it keeps, its lookups. */
  readonly node: DhtNode;
  /** How it asks others. */
  readonly wire: Wire;
  readonly #storage: DhtStorage;
  #seeds: readonly Address[] = [];
  #closed: Promise<void> | undefined;

  /** Answers others from now on; asks nobody before {@linkcode KademliaNetwork.join}. @throws what making the wire does. */
  constructor(parts: KademliaNetworkParts<Wire>, options: KademliaNetworkOptions = {}) {
    const { self, clock, log, metrics, storage = new MemoryStorage() } = parts;
    const { tuning = {}, timeoutMs = NETWORK_TIMEOUT_MS } = options;
    this.#storage = storage;
    this.wire = parts.wire({
      ...{ self, clock, log, metrics, timeoutMs },
      answer: (question, asker) => this.node.answer(question, asker),
    });
    this.node = new DhtNode(
      { self, wire: this.wire, storage, clock, log, metrics },
      { ttlS: KADEMLIA_TTL_S, confirms: tuning.replicas ?? DHT_DEFAULTS.replicas, ...tuning },
    );
  }

  /**
   * Takes part from now on: gets to know others by some who are there, else by those of former times. From then on it looks
   * after its table and puts again what it keeps.
   *
   * @param addresses UDP addresses of nodes, the hosts as IP addresses. @default those of the last time
   * @returns how many nodes are known.
   * @throws {ClosedError} when closed. @throws the signal's reason.
   */
  async join(addresses: readonly Address[] = [], options: AskOptions = {}): Promise<number> {
    this.#assertOpen();
    const { signal = this.node.signal } = options;
    if (addresses.length > 0) this.#seeds = addresses.slice(0, MAX_SEEDS);
    this.node.start();
    const known = await this.node.join(this.#seeds, { signal });
    return known > 0 ? known : await this.node.recall({ signal });
  }

  /**
   * Sets a value under a key: at the nodes that are nearest to it, of which this may be one.
   *
   * @returns where it is, and how many nodes keep it.
   * @throws {TypeError} for a value that the originals cannot set. @throws {NotFoundError} `no-peer` when nobody keeps it.
   * @throws {InvalidPacketError} `too-large` when no call could hold it. @throws {RemoteError} `limit` when all refuse.
   * @throws {ClosedError} when closed. @throws the signal's reason.
   */
  async set(
    key: KademliaValue,
    value: KademliaValue,
    { signal }: AskOptions = {},
  ): Promise<SetValue> {
    const record = this.#recordOf(key, value);
    await this.#ready(signal);
    const placed = await place(this.node, record, { ttlS: KADEMLIA_TTL_S, signal });
    const { holders, refusals, silent, hops } = placed;
    if (this.#shouldKeep(record, holders)) {
      const place = { source: "", subnet: undefined, ttlS: this.node.tuning.ttlS, own: true };
      this.node.keeper.put(record, place);
    }
    const [held, refused] = [holders.length, refusals.length];
    return { key: toKey(record.key), holders: held, refused, silent, hops };
  }

  /**
   * The value of a key: where nodes differ, what most of them say.
   *
   * @returns `undefined` where there is none.
   * @throws {ClosedError} when closed. @throws the signal's reason.
   */
  async get(key: KademliaValue, options: GetValueOptions = {}): Promise<FoundValue | undefined> {
    await this.#ready(options.signal);
    const { records: [record], hops, rttMs, asked } = await read(this.node, digestOf(key), options);
    return record === undefined ? undefined : { value: decode(record.value), hops, rttMs, asked };
  }

  /** What happens while the value of a key is looked for. @throws as {@linkcode KademliaNetwork.get}. */
  async *trace(
    key: KademliaValue,
    { signal }: AskOptions = {},
  ): AsyncGenerator<LookupEvent, void, void> {
    await this.#ready(signal);
    yield* this.node.lookup(digestOf(key), { type: "find-value", signal });
  }

  /** The nodes that are nearest to this one, of those that it knows. */
  neighbors(): Contact[] {
    return this.node.table.closest(this.node.self);
  }

  /** What the node knows and keeps. */
  stat(): DhtStat {
    return statOf(this.node, "server");
  }

  /** Takes part no more. Harmless when closed. */
  close(): Promise<void> {
    return this.#closed ??= this.#end();
  }

  /** The same as {@linkcode KademliaNetwork.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #end(): Promise<void> {
    await this.node.close();
    this.wire[Symbol.dispose]();
    this.#storage[Symbol.dispose]();
  }

  #recordOf(key: KademliaValue, value: KademliaValue): PlainRecord {
    const bytes = encodeKademliaValue(value);
    const { maxValueBytes } = this.wire;
    if (bytes.length > maxValueBytes) throw valueTooLarge(bytes.length, maxValueBytes);
    return plainRecord(digestOf(key), bytes);
  }

  /** Whether it is one of the nearest to a value, or has another one that would contradict it. */
  #shouldKeep({ key }: PlainRecord, holders: readonly Contact[]): boolean {
    const { self, tuning: { replicas }, keeper } = this.node;
    const isNear = holders.length < replicas ||
      holders.some(({ id }) => compareDistance(key, self, id) < 0);
    return isNear || keeper.get(key).length > 0;
  }

  async #ready(signal: AbortSignal | undefined): Promise<void> {
    this.#assertOpen();
    if (this.node.table.size === 0) await this.join([], { signal });
  }

  #assertOpen(): void {
    if (this.#closed !== undefined) throw new ClosedError("The node of the network is closed");
  }
}
