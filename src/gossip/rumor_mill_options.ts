/**
 * What a mill of rumors needs, and what it gives.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import type { Address } from "../transport/transport.ts";
import type { RemotePeer } from "../wire/remote_peer.ts";
import type { AuthorKey } from "./envelope.ts";
import type { GossipMessage, RumorOptions } from "./rumor.ts";
import type { RumorPort } from "./rumor_sends.ts";

/** Who can be told. */
export interface RumorNeighbor {
  /** Who it is, 40 lower-case hexadecimal digits. */
  readonly peerId: string;
  /** Where it takes packets, as it was found out and not only said. */
  readonly address: Address;
}

/** What a `RumorMill` needs. */
export interface RumorMillOptions {
  /** The peer's port; it is not closed with this. */
  readonly udp: RumorPort;
  /** Signs what is told; an `Identity` is one. */
  readonly identity: AuthorKey & { readonly peerId: string };
  /** What is said of us to whoever searches for our name; its id is that of `identity`. */
  readonly self: () => RemotePeer;
  /** Who can be told. */
  readonly neighbors: () => readonly RumorNeighbor[];
  /** Brings bytes to a peer's `RumorMill.receive` over a connection that proves it is that peer. @default none */
  readonly stream?: (peerId: string, payload: Uint8Array) => Promise<void>;
  /** Whether an author is listened to. @default everybody */
  readonly admits?: (peerId: string) => boolean;
  /** How messages spread. @default see {@linkcode RumorOptions} */
  readonly tuning?: RumorOptions;
  /** Where time comes from. @default {systemClock} */
  readonly clock?: Clock;
  /** Where to say what was dropped. @default {silentLogger} */
  readonly log?: Logger;
  /** Counts `rumor.*`. @default {new Metrics()} */
  readonly metrics?: Metrics;
}

/** A message that came. Its text is its author's own, of up to 16 KiB, and must be shown with care. */
export interface HeardRumor extends GossipMessage {
  /** Who wrote it, which its signature proves: 40 lower-case hexadecimal digits. */
  readonly author: string;
}
