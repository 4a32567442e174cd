/**
 * Getting what is kept under a key, from several nodes where it can change, and mending what is old on the way.
 *
 * @module
 */

import type { Contact } from "./contact.ts";
import type { DhtNode } from "./dht_node.ts";
import type { LookupEvent } from "./lookup_events.ts";
import type { NodeId } from "./node_id.ts";
import { type DhtRecord, isNewer } from "./record.ts";

/** How long a value that was cached on the way is kept, in seconds: who asks soon finds it sooner. */
const CACHE_TTL_S = 600;

/** Nodes that are brought up to date after a read. */
const MAX_REPAIRS = 3;

/** How to read. */
export interface ReadOptions {
  /** Answers with values to wait for. @default what the node is tuned to; one for a value that cannot change */
  readonly quorum?: number | undefined;
  /** Leaves out what the node itself keeps. @default {false} */
  readonly fresh?: boolean;
  /** Which records count: a key may have others, too. @default all */
  readonly isMeant?: (record: DhtRecord) => boolean;
  /** Gives up when aborted. */
  readonly signal?: AbortSignal | undefined;
  /** Hears who was asked, and what came. */
  readonly onEvent?: ((event: LookupEvent) => void) | undefined;
}

/** What was found. */
export interface Found {
  /** The newest of each author; of a value that anybody may put the one that most nodes keep. Empty for nothing. */
  readonly records: readonly DhtRecord[];
  /** Who answered with it first; `undefined` where it was kept here. */
  readonly from: Contact | undefined;
  /** By how many nodes the way to it went, 0 for none but this one. */
  readonly hops: number;
  /** Nodes that were asked. */
  readonly asked: number;
  /** How long it took that one to answer, in milliseconds. */
  readonly rttMs: number;
}

/** Records as they come in. */
class Ballot {
  readonly #newest = new Map<string, DhtRecord>();
  // Values that anybody may put, and who has them.
  readonly #plain = new Map<string, { readonly record: DhtRecord; count: number }>();
  readonly #voters: { readonly contact: Contact; readonly records: readonly DhtRecord[] }[] = [];

  /** How many have answered with something. */
  get votes(): number {
    return this.#voters.length;
  }

  add(contact: Contact | undefined, records: readonly DhtRecord[]): void {
    if (contact !== undefined) this.#voters.push({ contact, records });
    for (const record of records) {
      if (record.kind === "plain") this.#count(record);
      else this.#take(record);
    }
  }

  result(): DhtRecord[] {
    const [first, ...others] = [...this.#plain.values()];
    const best = others.reduce((a, b) => a === undefined || b.count > a.count ? b : a, first);
    return [...this.#newest.values(), ...(best === undefined ? [] : [best.record])];
  }

  /** Who has given something older than what was found, or lacks it. */
  outdated(records: readonly DhtRecord[]): Contact[] {
    const isSame = (a: DhtRecord, b: DhtRecord) => a.slot === b.slot && !isBetter(a, b);
    return this.#voters
      .filter(({ records: given }) =>
        !records.every((one) => given.some((has) => isSame(one, has)))
      )
      .map(({ contact }) => contact);
  }

  #take(record: DhtRecord): void {
    const known = this.#newest.get(record.slot);
    if (known === undefined || isBetter(record, known)) this.#newest.set(record.slot, record);
  }

  #count(record: DhtRecord): void {
    const key = record.value.toHex();
    const known = this.#plain.get(key);
    if (known === undefined) this.#plain.set(key, { record, count: 1 });
    else known.count++;
  }
}

/** Whether a record is a newer version of another. */
function isBetter(record: DhtRecord, than: DhtRecord): boolean {
  return record.kind === "signed" && than.kind === "signed" && isNewer(record, than);
}

/**
 * Reads what is kept under a key.
 *
 * @example
 * ```ts
 * import { Peer } from "@kith/kith";
 * import { digestOf, read } from "@kith/kith/dht";
 * import { decode } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const here = { hostname: "127.0.0.1", port: 0, announce: false };
 * await using bob = await Peer.open({ ...here, dialects: ["kademlia"] });
 * await using alice = await Peer.open({ ...here, dialects: ["kademlia"] });
 * await alice.kademlia().join([{ hostname: "127.0.0.1", port: bob.udpAddress?.port ?? 0 }]);
 * await alice.kademlia().set("tea", "green");
 *
 * const found = await read(alice.kademlia().node, digestOf("tea"), { fresh: true });
 * assertEquals(found.records.map(({ value }) => decode(value)), ["green"]);
 * assertEquals(found.from?.key, bob.peerId);
 * ```
 *
 * @throws the signal's reason.
 */
export async function read(
  node: DhtNode,
  key: NodeId,
  options: ReadOptions = {},
): Promise<Found> {
  const { quorum = node.tuning.quorum, fresh = false, signal, onEvent = () => {} } = options;
  const ballot = new Ballot();
  const { isMeant = () => true } = options;
  if (!fresh) ballot.add(undefined, node.keeper.get(key).filter(isMeant));
  if (isSettled(ballot)) return { ...NOWHERE, records: ballot.result() };
  let { from, hops, rttMs, asked }: Omit<Found, "records"> = NOWHERE;
  let lacking: Contact | undefined;
  for await (const event of node.lookup(key, { type: "find-value", signal })) {
    onEvent(event);
    if (event.type === "asked") asked++;
    if (event.type !== "answered") continue;
    const { contact, answer } = event;
    const records = answer.records.filter(isMeant);
    if (records.length === 0) {
      lacking ??= contact;
      continue;
    }
    if (ballot.votes === 0) [from, hops, rttMs] = [contact, event.depth, event.rttMs];
    ballot.add(contact, records);
    if (isSettled(ballot) || ballot.votes >= quorum) break;
  }
  const records = ballot.result();
  repair(node, records, lacking, ballot.outdated(records));
  return { records, from, hops, asked, rttMs };
}

const NOWHERE: Omit<Found, "records"> = { from: undefined, hops: 0, asked: 0, rttMs: 0 };

/** Whether what came cannot be any other: its key is its hash. */
function isSettled(ballot: Ballot): boolean {
  return ballot.result().some(({ kind }) => kind === "immutable");
}

/**
 * Gives what was found to who had something older, and for a short time to the first that was asked and had nothing: the
 * paper's caching along the path.
 */
function repair(
  node: DhtNode,
  records: readonly DhtRecord[],
  lacking: Contact | undefined,
  outdated: readonly Contact[],
): void {
  const give = (contact: Contact, ttlS: number) => {
    for (const record of records) {
      node.begin(node.ask(contact, { type: "store", record, ttlS: lifeOf(node, record, ttlS) }));
    }
  };
  if (records.length === 0 || records.length > MAX_REPAIRS) return;
  for (const contact of outdated.slice(0, MAX_REPAIRS)) give(contact, node.tuning.ttlS);
  if (lacking !== undefined) give(lacking, CACHE_TTL_S);
}

/** How long a record may be kept, in seconds: what is signed says it itself. */
export function lifeOf(node: DhtNode, record: DhtRecord, ttlS: number): number {
  if (record.kind !== "signed") return ttlS;
  return Math.max(1, Math.min(ttlS, record.expiresS - Math.floor(node.clock.wallMs() / 1_000)));
}
