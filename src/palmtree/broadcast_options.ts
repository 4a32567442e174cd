/**
 * What a broadcast is told, and what it tells.
 *
 * @module
 */

import type { Link } from "../endpoint/link.ts";
import type { TransferSummary } from "../transfer/manifest.ts";

/** The shape of a tree: chosen by what is known of the uplinks, a chain, or so many children for everybody. */
export type TreeShape = "auto" | "chain" | number;

/** Somebody who shall have the files. */
export interface BroadcastTarget {
  /** What to call it in events. */
  readonly name: string;
  /** Connects to it; the broadcast closes the link at its end. @throws what keeps it from that */
  connect(signal: AbortSignal): Promise<Link>;
}

/** How to broadcast. */
export interface BroadcastOptions {
  /** Most children of anybody; the sender uploads at most so many times the size. @default {5} */
  fanout?: number;
  /** The shape of the tree. @default {"auto"} */
  shape?: TreeShape;
  /** Bytes of a chunk. @default by the size of the content, from 256 KiB to 1 MiB */
  chunkBytes?: number;
  /** How long a receiver may take to accept, in milliseconds: a person may have to think. @default {120000} */
  acceptTimeoutMs?: number;
  /**
   * How long after the first has accepted the others are waited for before it begins, in milliseconds, at most 120,000:
   * who has accepted waits no longer either. @default {3000}
   */
  patienceMs?: number;
  /** How long links between the participants are waited for, and may be silent, in milliseconds. @default {5000} */
  linkWaitMs?: number;
  /** Gives up when aborted; the receivers are told. */
  signal?: AbortSignal;
}

/** What became of one receiver. */
export interface RecipientSummary {
  /** What it was called. */
  readonly name: string;
  /** Who it is; `undefined` where it was not reached. */
  readonly peerId: string | undefined;
  /** Whether it has everything, did not want it, or something went wrong. */
  readonly state: "done" | "refused" | "failed";
  /** Bytes that it has, verified, as far as is known. */
  readonly bytes: number;
  /** What it has; `undefined` unless it is done. */
  readonly sha256: string | undefined;
  /** From the beginning of the tree to its confirmation; 0 unless it is done. */
  readonly seconds: number;
  /** Who gave it most, or the last that is known to give to it. */
  readonly parent: string | undefined;
  /** Bytes of chunks that came to it from each peer, where it is done. */
  readonly sources: readonly (readonly [peerId: string, bytes: number])[];
  /** Why it is not done. */
  readonly error: unknown;
}

/** How far one receiver is. */
export interface RecipientProgress {
  /** What it was called. */
  readonly name: string;
  /** Who it is; `undefined` before it was reached. */
  readonly peerId: string | undefined;
  /** Whether it still has to accept, gets it, or what became of it. */
  readonly state: "asked" | "receiving" | RecipientSummary["state"];
  /** Bytes that it has, verified, as far as is known. */
  readonly bytes: number;
  /** Who gives to it, as far as is known. */
  readonly parent: string | undefined;
}

/** How far a broadcast is. */
export interface BroadcastProgress {
  /** Bytes in all. */
  readonly totalBytes: number;
  /** Bytes of contents that the sender itself wrote. */
  readonly egressBytes: number;
  /** Since the tree began. */
  readonly seconds: number;
  /** Everybody, in the order in which they were named. */
  readonly receivers: readonly RecipientProgress[];
}

/** What became of a broadcast. */
export interface BroadcastSummary extends TransferSummary {
  /** Bytes of contents that the sender itself wrote. */
  readonly egressBytes: number;
  /** Bytes that came to receivers which had them already. */
  readonly resentBytes: number;
  /** From the beginning of the tree to the end. */
  readonly seconds: number;
  /** Everybody, in the order in which they were named. */
  readonly receivers: readonly RecipientSummary[];
}

/** What happens while broadcasting. */
export type BroadcastEvent =
  | {
    /** It takes part. */
    readonly type: "accepted";
    /** What it was called. */
    readonly name: string;
    /** Who. */
    readonly peerId: string;
  }
  | {
    /** How far it is, about once a second. */
    readonly type: "progress";
    /** What it was called. */
    readonly name: string;
    /** Who. */
    readonly peerId: string;
    /** Bytes that it has, verified. */
    readonly bytes: number;
    /** Bytes in all. */
    readonly totalBytes: number;
  }
  | {
    /** Somebody else gives to it now. */
    readonly type: "parent";
    /** What it was called. */
    readonly name: string;
    /** Who. */
    readonly peerId: string;
    /** Who gives to it; nobody at the moment where that is `undefined`. */
    readonly parent: string | undefined;
  }
  | {
    /** A relay gave something else than what was announced, and is cut off. */
    readonly type: "corrupt";
    /** Which. */
    readonly peerId: string;
    /** Who says so. */
    readonly by: string;
  }
  | ({
    /** It is done, did not want it, or something went wrong. */
    readonly type: RecipientSummary["state"];
  } & RecipientSummary);
