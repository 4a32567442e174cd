/**
 * What nodes of the DHT ask each other, however it is written: the native way or that of a dialect.
 *
 * Source: Maymounkov and Mazières, "Kademlia: A Peer-to-Peer Information System Based on the XOR Metric", 2002,
 * section 2.3 (PING, STORE, FIND_NODE, FIND_VALUE).
 *
 * @module
 */

import type { Address } from "../transport/transport.ts";
import type { Contact } from "./contact.ts";
import type { NodeId } from "./node_id.ts";
import type { DhtRecord } from "./record.ts";

/** A question of one node to another. */
export type Question =
  /** Are you there? */
  | { readonly type: "ping" }
  /** Which nodes are nearest to an id? */
  | { readonly type: "find-node"; readonly target: NodeId }
  /** What is kept under a key? Where nothing is: which nodes are nearest to it? */
  | { readonly type: "find-value"; readonly target: NodeId }
  /** Keep this, for at most so many seconds; with `cas` only where version `cas` is kept now, 0 for none. */
  | {
    readonly type: "store";
    readonly record: DhtRecord;
    readonly ttlS: number;
    readonly cas?: number | undefined;
  };

/** What came back. A refusal or silence is an error instead. */
export interface Answer {
  /** The nodes that were named, at most k; empty where a value was found. */
  readonly nodes: readonly Contact[];
  /** What is kept under the key, checked already: nothing in here is forged. */
  readonly records: readonly DhtRecord[];
  /** Whether there are some that the answer has no room for. @default {false} */
  readonly isMore?: boolean;
}

/** Who asks. */
export interface Asker {
  /** Where it is, as its packets or its connection say. */
  readonly address: Address;
  /** Who it says it is, where it serves others; `undefined` for one that only asks. */
  readonly contact: Contact | undefined;
  /** Most bytes of values that its answer has room for. @default any */
  readonly maxValueBytes?: number;
}

/** A record to be kept without an answer. */
export interface Gift {
  /** The record. */
  readonly record: DhtRecord;
  /** How long it is to be kept, in seconds. */
  readonly ttlS: number;
}

/** An answer to nothing but that a question was heard. */
export const HEARD: Answer = { nodes: [], records: [] };

/** Asks other nodes, in one way of writing. */
export interface DhtWire {
  /**
   * Asks a node.
   *
   * @throws {PeerError} when it refuses, does not answer in time, answers with nonsense, or is not who it was said to be.
   * @throws the signal's reason.
   */
  ask(
    to: Contact,
    question: Question,
    options?: { readonly signal?: AbortSignal },
  ): Promise<Answer>;

  /**
   * Gives a node a record that it need not say that it keeps, now or soon. Absent where that cannot be.
   *
   * @throws {PeerError} when it cannot.
   */
  give?(to: Contact, gift: Gift): Promise<void>;

  /**
   * A node as it has itself proven to be; `undefined` where it has not, at that address. Absent where nobody proves
   * anything.
   */
  proven?(contact: Contact): Contact | undefined;

  /**
   * Asks who is at an address.
   *
   * @throws as {@linkcode DhtWire.ask}.
   */
  meet(address: Address, options?: { readonly signal?: AbortSignal }): Promise<Contact>;
}
