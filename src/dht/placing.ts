/**
 * Putting a record where it will be looked for: at the nodes that are nearest to its key.
 *
 * @module
 */

import { NotFoundError, PeerError, RemoteError } from "../errors.ts";
import type { Contact } from "./contact.ts";
import type { DhtNode } from "./dht_node.ts";
import type { LookupEvent } from "./lookup_events.ts";
import type { DhtRecord } from "./record.ts";

/** How to put something. */
export interface PlaceOptions {
  /** How long it is to be kept, in seconds. */
  readonly ttlS: number;
  /** Only where this version is kept now, 0 for none. */
  readonly cas?: number | undefined;
  /** How many of the nearest have to have answered before. @default what the node is tuned to; k among strangers */
  readonly settle?: number | undefined;
  /** Gives up when aborted. */
  readonly signal?: AbortSignal | undefined;
  /** Hears how the nodes were found, where they had to be looked for. */
  readonly onEvent?: ((event: LookupEvent) => void) | undefined;
}

/** What became of it. */
export interface Placed {
  /** The nodes that say that they keep it, in the order of their answers. */
  readonly holders: readonly Contact[];
  /** Those that were given it and have not been asked whether they keep it. */
  readonly unconfirmed: number;
  /** Those that refused, and why. */
  readonly refusals: readonly RemoteError[];
  /** Those that did not answer. */
  readonly silent: number;
  /** By how many nodes, one naming the next, the way to the nearest one went. */
  readonly hops: number;
}

/**
 * Stores a record at the `replicas` nearest nodes: the nearest `confirms` of those that take it say so, the others get it
 * without a question. Where it may only take the place of a certain version all of them are asked.
 *
 * @example
 * ```ts
 * import { Peer } from "@kith/kith";
 * import { place, plainKey, plainRecord } from "@kith/kith/dht";
 * import { assertEquals } from "@std/assert";
 *
 * const here = { hostname: "127.0.0.1", port: 0, announce: false };
 * await using bob = await Peer.open({ ...here, dialects: ["kademlia"] });
 * await using alice = await Peer.open({ ...here, dialects: ["kademlia"] });
 * await alice.kademlia().join([{ hostname: "127.0.0.1", port: bob.udpAddress?.port ?? 0 }]);
 *
 * const record = plainRecord(plainKey("tea"), new Uint8Array([7]));
 * const { holders } = await place(alice.kademlia().node, record, { ttlS: 60 });
 * assertEquals(holders.map(({ key }) => key), [bob.peerId]);
 * ```
 *
 * @throws {NotFoundError} `no-peer` when there is nobody. @throws the refusal of the nearest when nobody took it.
 * @throws the signal's reason.
 */
export async function place(
  node: DhtNode,
  record: DhtRecord,
  options: PlaceOptions,
): Promise<Placed> {
  const { ttlS, cas } = options;
  // Whatever signal of its own somebody has: a node that is closed asks nobody.
  const signal = options.signal === undefined
    ? node.signal
    : AbortSignal.any([options.signal, node.signal]);
  const { replicas } = node.tuning;
  const confirms = cas === undefined ? Math.min(node.tuning.confirms, replicas) : replicas;
  const { nearest, hops } = await nearestTo(node, record, options);
  const question = { type: "store", record, ttlS, cas } as const;
  const holders: Contact[] = [];
  const refusals: RemoteError[] = [];
  let silent = 0;
  const left = [...nearest];
  // Each takes the next in line when somebody does not want it.
  const storeSomewhere = async () => {
    for (let contact = left.shift(); contact !== undefined; contact = left.shift()) {
      try {
        await node.ask(contact, question, signal);
        return void holders.push(contact);
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof RemoteError) refusals.push(error);
        else if (error instanceof PeerError) silent++;
        else throw error;
      }
    }
  };
  const storing = Array.from({ length: Math.min(confirms, left.length) }, storeSomewhere);
  const others = left.slice(0, Math.max(0, replicas - confirms));
  for (const contact of others) node.give(contact, { record, ttlS });
  await Promise.all(storing);
  const [refusal] = refusals;
  if (holders.length === 0 && refusal !== undefined) throw refusal;
  if (holders.length === 0) throw nobody(silent);
  const unconfirmed = others.filter((contact) => left.includes(contact)).length;
  return { holders, unconfirmed, refusals, silent, hops };
}

/** The nodes that are to keep a record, the nearest first. */
async function nearestTo(
  node: DhtNode,
  { key }: DhtRecord,
  options: PlaceOptions,
): Promise<{ readonly nearest: readonly Contact[]; readonly hops: number }> {
  const { replicas, k } = node.tuning;
  // Where hostile nodes are expected, the first few that answer may have named only their own.
  const { settle = node.paths > 1 ? k : node.tuning.settle, signal, onEvent } = options;
  if (node.knowsAll) return { nearest: node.table.closest(key, replicas), hops: 1 };
  for await (const event of node.lookup(key, { settle, signal })) {
    onEvent?.(event);
    if (event.type === "done") return { nearest: event.closest, hops: event.hops };
  }
  return { nearest: [], hops: 0 };
}

function nobody(silent: number): NotFoundError {
  const why = silent === 0 ? "no node of the DHT is known" : `${silent} did not answer`;
  return new NotFoundError("no-peer", `Nobody keeps the value: ${why}`, { details: { silent } });
}
