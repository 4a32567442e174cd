/**
 * What the DHT of a peer is made from, and what it gives.
 *
 * @module
 */

import type { Endpoint } from "../endpoint/endpoint.ts";
import type { Identity } from "../secure/identity.ts";
import type { Address } from "../transport/transport.ts";
import type { DhtPort } from "./native_wire.ts";
import type { DhtTuning } from "./options.ts";
import type { BucketInfo } from "./bucket.ts";
import type { DhtDirectory } from "./seeker.ts";
import type { DhtStorage } from "./storage.ts";

/** Whether a peer is asked by others, or only asks. */
export type DhtMode = "server" | "client";

/** How a peer takes part in the DHT. */
export interface DhtOptions {
  /**
   * Whether others may ask it: `client` never, `auto` once it was up for a minute, so that nobody relies on what soon goes
   * again, `server` from the start. @default {"server"}
   */
  readonly mode?: DhtMode | "auto";
  /** What differs from the protocol's defaults. */
  readonly tuning?: Partial<DhtTuning>;
}

/** Where to get to know a DHT. */
export interface DhtEntry {
  /** Where nodes take packets. @default {[]} */
  readonly nodes?: readonly Address[];
  /** Where peers that have a node accept connections. @default {[]} */
  readonly peers?: readonly Address[];
}

/** What a `Dht` needs. */
export interface DhtParts {
  /** Connections, handlers, clock. */
  readonly endpoint: Endpoint;
  /** Its UDP port. */
  readonly udp: DhtPort;
  /** Who we are. */
  readonly identity: Identity;
  /** Addresses of the machine; none where that may not be asked. */
  readonly hosts: () => readonly string[];
  /** Where it keeps what it is given; closed with the DHT. */
  readonly storage: DhtStorage & Disposable;
  /** Whether values that nobody vouches for are let in: in closed networks. */
  readonly allowPlain: boolean;
  /** Whether others can and may reach it at all. */
  readonly canServe: () => boolean;
  /** Addresses of peers that take connections. */
  readonly seeds: readonly Address[];
  /** Where peers are found. @default nowhere */
  readonly directory: DhtDirectory | undefined;
  /** Where nodes may take packets: the members of a group. */
  readonly known: () => readonly Address[];
}

/** How to put something. */
export interface DhtPutOptions {
  /** In a place of our own, where nobody else can put anything: to be got with `author`. @default {false} */
  readonly own?: boolean;
  /** Not signed, so that everybody can change it; only in closed networks. @default {false} */
  readonly plain?: boolean;
  /** Only where this is the version that is there now, 0 for none: of two who try at once at most one succeeds. */
  readonly cas?: number;
  /**
   * How long it is kept, in seconds, at most a week.
   *
   * @default as long as this peer is there, and up to a day longer
   */
  readonly ttlS?: number;
  /** Gives up when aborted. */
  readonly signal?: AbortSignal;
}

/** What became of it. */
export interface DhtPut {
  /** Where it is: 40 hexadecimal digits. */
  readonly key: string;
  /** Its version; `undefined` where it has none. */
  readonly seq: number | undefined;
  /** How many other nodes say that they keep it; 0 where there is none, and this one alone keeps it for those who come. */
  readonly holders: number;
  /** How many more were given it without being asked whether they keep it. */
  readonly unconfirmed: number;
  /** How many did not want it. */
  readonly refused: number;
  /** How many did not answer. */
  readonly silent: number;
  /** By how many nodes, one naming the next, the way there went. */
  readonly hops: number;
}

/** How to get something. */
export interface DhtGetOptions {
  /** Whose: a peer id. @default anybody's, our own first */
  readonly author?: string;
  /** What was put with `own`. @default {true with `author`} */
  readonly own?: boolean;
  /** What was put with `plain`. @default {false} */
  readonly plain?: boolean;
  /** Answers with values to wait for. @default {3} */
  readonly quorum?: number;
  /** Not what this peer keeps itself. @default {false} */
  readonly fresh?: boolean;
  /** Gives up when aborted. */
  readonly signal?: AbortSignal;
}

/** A value that was found. */
export interface DhtValue {
  /** The value. */
  readonly value: unknown;
  /** Who put it; `undefined` where nobody signed it. */
  readonly author: string | undefined;
  /** Its version; `undefined` where it has none. */
  readonly seq: number | undefined;
  /** What others have put under the same name. */
  readonly others: readonly {
    readonly value: unknown;
    readonly author: string;
    readonly seq: number;
  }[];
  /** By how many nodes, one naming the next, the way to it went; 0 where only this peer has it. */
  readonly hops: number;
  /** How long who had it took to answer, in milliseconds. */
  readonly rttMs: number;
  /** How many nodes were asked. */
  readonly asked: number;
}

/** Somebody who has something. */
export interface DhtProvider {
  /** Who: its peer id. */
  readonly peerId: string;
  /** Where it accepts connections, as it says itself. */
  readonly addresses: readonly Address[];
  /** What it says about it; `undefined` for nothing. */
  readonly data: unknown;
}

/** What a node knows and keeps. */
export interface DhtStat {
  /** Its id. */
  readonly id: string;
  /** Whether others ask it. */
  readonly mode: DhtMode;
  /** Nodes that it knows. */
  readonly nodes: number;
  /** How many of them failed lately. */
  readonly failing: number;
  /** Its table. */
  readonly buckets: readonly BucketInfo[];
  /** How many nodes there are, by how near the nearest are. */
  readonly estimatedNodes: number;
  /** Values that it keeps, and their bytes. */
  readonly records: number;
  /** The same in bytes. */
  readonly bytes: number;
  /** How well it is connected: 1 for a full bucket of nodes that answer, 0 for nobody. */
  readonly health: number;
}
