/**
 * Peers of other programs, as discovery finds them: what they say of themselves, which nobody proves.
 *
 * @module
 */

import type { Address } from "../transport/transport.ts";

/** The other programs whose discovery is spoken. */
export const FOREIGN_DIALECTS = ["peerconnect", "witch", "peerpy"] as const;

/** One of the other programs. */
export type ForeignDialect = typeof FOREIGN_DIALECTS[number];

/** A peer of another program. Every text in it is that peer's own and must be shown with care. */
export interface ForeignPeer {
  /** Which program's way it speaks. */
  readonly dialect: ForeignDialect;
  /** What it calls itself by; empty where its program has no ids. At most 128 characters. */
  readonly id: string;
  /** A label; empty for none. At most 128 characters. */
  readonly name: string;
  /** Where it is to be reached. Its host is always the one that the packet came from. */
  readonly address: Address;
  /** What it speaks, where its program says so. */
  readonly protocols: readonly string[];
}

/** How to look for foreign peers. */
export interface FindForeignOptions {
  /** Stops looking when aborted; without one, looking ends when the finder is closed. */
  signal?: AbortSignal;
}

/** Finds the peers of one program, and is found by them where there is something to announce. */
export interface ForeignDiscovery extends AsyncDisposable {
  /** Which program's way it speaks. */
  readonly dialect: ForeignDialect;
  /** Peers as they are found; each is given once, and again when its name or protocols change. */
  find(options?: FindForeignOptions): AsyncGenerator<ForeignPeer, void, void>;
}
