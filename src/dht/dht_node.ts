/**
 * A node of the DHT: what it knows of others, what it keeps for them, and how it finds what they keep. The same for the
 * native DHT, for dialects and in the simulator, which differ in the {@linkcode DhtWire} that carries the questions.
 *
 * Source: Maymounkov and Mazières, "Kademlia: A Peer-to-Peer Information System Based on the XOR Metric", 2002.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { IntegrityError, PeerError, RemoteError, UnsupportedError } from "../errors.ts";
import { type Logger, printable } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import type { Address } from "../transport/transport.ts";
import { type Contact, isSameAddress } from "./contact.ts";
import { publicNetworkOf } from "./diversity.ts";
import { Keeper } from "./keeper.ts";
import { lookup } from "./lookup.ts";
import type { LookupEvent } from "./lookup_events.ts";
import { hostOf, Newcomers } from "./newcomers.ts";
import { isSameId, type NodeId, toKey } from "./node_id.ts";
import { DHT_DEFAULTS, type DhtTuning } from "./options.ts";
import {
  type Answer,
  type Asker,
  type DhtWire,
  type Gift,
  HEARD,
  type Question,
} from "./questions.ts";
import { type DhtRecord, MAX_LIFETIME_S } from "./record.ts";
import { RoutingTable } from "./routing_table.ts";
import type { DhtStorage } from "./storage.ts";
import { Upkeep } from "./upkeep.ts";

/** What a {@linkcode DhtNode} needs. */
export interface DhtNodeParts {
  /** Its id. */
  readonly self: NodeId;
  /** Asks others. */
  readonly wire: DhtWire;
  /** Where it keeps what it is given, and whom it knows. It is not closed with the node. */
  readonly storage: DhtStorage;
  /** Where time and chance come from. */
  readonly clock: Clock;
  /** Hears what goes wrong. */
  readonly log: Logger;
  /** Counts `dht.*`. */
  readonly metrics: Metrics;
  /** Makes what we put ourselves again, so that it lasts longer. @default {(record) => record} */
  readonly renew?: (record: DhtRecord) => DhtRecord;
}

/** Ways of a lookup that share no node, where anybody may take part. */
const HOSTILE_PATHS = 4;

/** How to look for something. */
export interface NodeLookupOptions {
  /** What is asked. @default {"find-node"} */
  readonly type?: "find-node" | "find-value";
  /** How many of the nearest have to have answered. @default {DHT_DEFAULTS.k} */
  readonly settle?: number;
  /** Ways that share no node. @default what the node is tuned to */
  readonly paths?: number;
  /** Gives up when aborted. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * A node; see the module.
 *
 * @example
 * ```ts
 * import { ManualClock, Metrics, silentLogger as log } from "@kith/kith";
 * import { contactOf, DhtNode, type DhtWire, MemoryStorage } from "@kith/kith/dht";
 * import { assertEquals } from "@std/assert";
 *
 * // One other node, which knows nobody.
 * const bob = contactOf(new Uint8Array(20).fill(7), { hostname: "192.0.2.7", port: 3486 });
 * const answer = { nodes: [], records: [] };
 * const wire: DhtWire = { ask: () => Promise.resolve(answer), meet: () => Promise.resolve(bob) };
 * const parts = { wire, storage: new MemoryStorage(), clock: new ManualClock(), log };
 * const self = new Uint8Array(20);
 * await using node = new DhtNode({ ...parts, self, metrics: new Metrics() });
 * assertEquals(await node.join([bob.address]), 1);
 * assertEquals(await node.closest(self), [bob]);
 * ```
 */
export class DhtNode implements AsyncDisposable {
  /** Its id. */
  readonly self: NodeId;
  /** The nodes that it knows. */
  readonly table: RoutingTable;
  /** What it keeps. */
  readonly keeper: Keeper;
  /** What it is tuned by. */
  readonly tuning: DhtTuning;
  readonly #selfKey: string;
  readonly #parts: DhtNodeParts;
  readonly #newcomers: Newcomers;
  readonly #upkeep: Upkeep;
  readonly #closing = new AbortController();
  readonly #work = new Set<Promise<unknown>>();

  /** Knows nobody but those whom it knew before; asks nobody before {@linkcode DhtNode.join}. */
  constructor(parts: DhtNodeParts, tuning: Partial<DhtTuning> = {}) {
    const { self, storage, clock } = parts;
    this.self = self;
    this.#selfKey = toKey(self);
    this.#parts = parts;
    this.tuning = { ...DHT_DEFAULTS, ...tuning };
    const { k, republishMs, quotas } = this.tuning;
    this.table = new RoutingTable({ self, k, clock });
    this.keeper = new Keeper(storage, clock, {
      ...{ maxTtlS: MAX_LIFETIME_S, republishS: republishMs / 1_000, quotas },
    });
    this.#newcomers = new Newcomers({
      clock,
      isWanted: (contact) => !this.#isKnown(contact),
      ask: (contact) => this.#askBack(contact),
    });
    this.#upkeep = new Upkeep(this, storage);
  }

  /** Where time and chance come from. */
  get clock(): Clock {
    return this.#parts.clock;
  }

  /** Counts `dht.*`. */
  get metrics(): Metrics {
    return this.#parts.metrics;
  }

  /** What of ours is put again: the same, or a newer version that lasts longer. */
  renew(record: DhtRecord): DhtRecord {
    return this.#parts.renew?.(record) ?? record;
  }

  /** Whether there is nobody whom it does not know: it has looked for its neighbours, and they are no full bucket. */
  get knowsAll(): boolean {
    return this.#upkeep.isSettled && this.table.size < this.tuning.k;
  }

  /** Ways of a lookup that share no node: where everybody is on a private network nobody needs several. */
  get paths(): number {
    const { paths } = this.tuning;
    if (paths !== "auto") return paths;
    return this.table.hasPublic ? HOSTILE_PATHS : 1;
  }

  /** Fires when it is closed. */
  get signal(): AbortSignal {
    return this.#closing.signal;
  }

  /** Answers a question of another node. @throws {PeerError} to refuse. */
  answer(question: Question, asker: Asker): Answer {
    this.#heardOf(asker);
    switch (question.type) {
      case "ping":
        return HEARD;
      case "find-node":
        return { nodes: this.#nearest(question.target, asker), records: [] };
      case "find-value": {
        const { maxValueBytes = Infinity } = asker;
        if (this.keeper.bytesUnder(question.target) > maxValueBytes) {
          return { nodes: [], records: [], isMore: true };
        }
        const records = this.keeper.get(question.target);
        if (records.length > 0) return { nodes: [], records };
        return { nodes: this.#nearest(question.target, asker), records };
      }
      case "store":
        this.#keep(question, asker.address);
        return HEARD;
      default:
        return question satisfies never;
    }
  }

  /** Asks a node, and takes note of how that went. @throws as {@linkcode DhtWire.ask}. */
  async ask(to: Contact, question: Question, signal: AbortSignal = this.signal): Promise<Answer> {
    const { wire, clock } = this.#parts;
    const startMs = clock.now();
    try {
      const answer = await wire.ask(to, question, { signal });
      checkKeys(question, answer);
      this.#answered(to, clock.now() - startMs);
      return answer;
    } catch (error) {
      // Who refuses is there, if it is who it was said to be; what it cannot be asked at all says nothing of it.
      if (error instanceof RemoteError) this.#answered(to, clock.now() - startMs);
      else if (error instanceof PeerError && !(error instanceof UnsupportedError)) {
        if (!signal.aborted) this.table.failed(to);
      }
      throw error;
    }
  }

  /** Gives a node a record without an answer, where the wire can; else its answer is waited for by nobody. */
  give(to: Contact, gift: Gift): void {
    const { wire } = this.#parts;
    this.begin(wire.give?.(to, gift) ?? this.ask(to, { type: "store", ...gift }));
  }

  /** Looks for the nodes that are nearest to an id, or for what is kept under it. */
  async *lookup(
    target: NodeId,
    options: NodeLookupOptions = {},
  ): AsyncGenerator<LookupEvent, void, void> {
    const { type = "find-node", settle = this.tuning.k, signal } = options;
    const { k, alpha, maxAlpha } = this.tuning;
    const question: Question = { type, target };
    this.table.lookedUp(target);
    yield* lookup(target, {
      ask: (contact, signal) => this.ask(contact, question, signal),
      self: this.self,
      seeds: this.table.closest(target, k),
      k,
      alpha,
      maxAlpha,
      settle,
      paths: options.paths ?? this.paths,
      rttOf: (contact) => this.table.rttOf(contact),
      clock: this.clock,
      signal: signal === undefined ? this.signal : AbortSignal.any([signal, this.signal]),
    });
  }

  /** The nodes that are nearest to an id, of all that there are. @throws the signal's reason. */
  async closest(target: NodeId, options: NodeLookupOptions = {}): Promise<Contact[]> {
    for await (const event of this.lookup(target, options)) {
      if (event.type === "done") return [...event.closest];
    }
    return [];
  }

  /**
   * Gets to know others by some who are there.
   *
   * @returns how many nodes are known now.
   * @throws the signal's reason.
   */
  async join(
    addresses: readonly Address[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<number> {
    await Promise.all(addresses.map((address) => this.meet(address, options.signal)));
    return await this.#upkeep.settleIn(options.signal);
  }

  /** Asks those whom it knew when it was closed. @returns how many nodes are known now. */
  async recall(options: { readonly signal?: AbortSignal } = {}): Promise<number> {
    await this.#upkeep.recall(options.signal);
    return await this.#upkeep.settleIn(options.signal);
  }

  /** Looks after what is due from now on: refreshes the table, puts again what is kept, forgets what is over. */
  start(): void {
    this.#upkeep.start();
  }

  /** Begins work that nobody waits for; closing does. What fails is logged. */
  begin(work: Promise<unknown>): void {
    const done = work.catch((error) => {
      if (this.#closing.signal.aborted) return;
      const level = error instanceof PeerError ? "debug" : "error"; // else it is our own fault
      this.#parts.log[level]("the DHT could not do something", { why: printable(String(error)) });
    }).finally(() => this.#work.delete(done));
    this.#work.add(done);
  }

  /** Asks nobody any more, and saves whom it knows. Harmless when closed. */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    try {
      this.#upkeep.stop();
    } finally { // also where the disk is full
      this.#closing.abort(new DOMException("The node of the DHT is closed", "AbortError"));
      this.#newcomers.close();
      while (this.#work.size > 0) await Promise.all(this.#work);
    }
  }

  /** The same as {@linkcode DhtNode.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #nearest(target: NodeId, { contact }: Asker): readonly Contact[] {
    const { k } = this.tuning;
    if (contact === undefined) return this.table.closest(target, k);
    return this.table.closest(target, k, ({ key }) => key !== contact.key);
  }

  #keep(
    { record, ttlS, cas }: Extract<Question, { type: "store" }>,
    address: Address,
  ): void {
    this.keeper.put(record, {
      source: hostOf(address),
      subnet: publicNetworkOf(address.hostname),
      ttlS,
      ...(cas === undefined ? {} : { cas }),
    });
  }

  /** Who asks and is not known there is asked back before it counts. */
  #heardOf({ contact }: Asker): void {
    if (contact === undefined || contact.key === this.#selfKey) return;
    if (!this.table.heard(contact)) this.#newcomers.add(contact);
  }

  #isKnown({ key, address }: Contact): boolean {
    const known = this.table.get(key);
    return known !== undefined && isSameAddress(known.address, address);
  }

  #answered(to: Contact, rttMs: number): void {
    const { wire } = this.#parts;
    // What others say of it, its TCP port among that, counts for nothing.
    const contact = wire.proven === undefined ? to : wire.proven(to);
    if (contact === undefined) return;
    const added = this.table.add(contact, { rttMs });
    if (added.type === "replacement" && added.oldest !== undefined) {
      this.begin(this.ask(added.oldest, { type: "ping" }));
    }
    if (added.type !== "added" || !this.tuning.welcomes) return;
    // Before, we are the newcomer.
    if (this.#upkeep.isSettled) this.begin(this.#upkeep.welcome(contact));
  }

  async #askBack(contact: Contact): Promise<void> {
    const asked = this.ask(contact, { type: "ping" }).then(() => {});
    this.begin(asked);
    await asked.catch(() => {}); // that it failed was said
  }

  /** Gets to know who is at an address. That nobody is there is only logged. @throws the reason of the signal. */
  async meet(address: Address, signal: AbortSignal = this.signal): Promise<void> {
    const startMs = this.clock.now();
    try {
      const contact = await this.#parts.wire.meet(address, { signal });
      if (contact.key !== this.#selfKey) this.#answered(contact, this.clock.now() - startMs);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof PeerError)) throw error;
      this.#parts.log.debug("nobody to join", { why: printable(error.message) });
    }
  }
}

/** Each record is genuine, but it may be that of another key. */
function checkKeys(question: Question, { records }: Answer): void {
  if (question.type !== "find-value") return;
  if (records.every(({ key }) => isSameId(key, question.target))) return;
  throw new IntegrityError("bad-hash", "Cannot accept DHT answer: it has the value of another key");
}
