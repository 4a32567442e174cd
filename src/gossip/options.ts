/**
 * What gossip needs from outside, and how it is tuned.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import type { Contact } from "./contact.ts";
import type { AuthorKey } from "./envelope.ts";
import type { TopicEvent } from "./topic_message.ts";

/** Everything that the state machine does to the world. None of these may call it back before it returns. */
export interface GossipPorts {
  /** Time, timers and chance. */
  readonly clock: Clock;
  /** Our key and our id. */
  readonly author: AuthorKey & { readonly peerId: string };
  /** Where to say who breaks the rules. */
  readonly log: Logger;
  /** Counts `gossip.*`. */
  readonly metrics: Metrics;
  /** Whether a signature is that of a key. */
  verify(publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean;
  /** The peer id of a key. */
  idOf(publicKey: Uint8Array): string;
  /** Where we are, as far as we know. */
  self(): Contact;
  /** Sends a packet, which may get lost. Control packets go before bodies where both wait. */
  send(packet: Uint8Array, to: Contact, kind: "control" | "body"): void;
  /** Whether there is room for the body of a message to a peer; it is told the id alone where there is none. */
  hasRoom(peerId: string): boolean;
  /** Whether a peer may take part in a topic. */
  admits(topic: string, peerId: string): boolean;
  /** A peer is no neighbour of ours any more, in any topic. */
  released(peerId: string): void;
  /** Tells what happened. */
  emit(topic: string, event: TopicEvent): void;
}

/** How the protocols are tuned. Sizes and walks are those of the HyParView paper, the other figures are measured here. */
export interface GossipTuning {
  /** Neighbours in a topic. @default {5} */
  readonly activeSize: number;
  /** Others in a topic that are known of. @default {30} */
  readonly passiveSize: number;
  /** How far news of who joins walks. @default {6} */
  readonly activeWalk: number;
  /** Steps before the end where it is taken note of. @default {3} */
  readonly passiveWalk: number;
  /** How long an answer to who wants to be a neighbour may take, in milliseconds. @default {1000} */
  readonly neighborMs: number;
  /** Time between two exchanges of contacts, in milliseconds. @default {20000} */
  readonly shuffleMs: number;
  /** Time between two changes of a neighbour for one who is not, which joins what is apart; in milliseconds. @default {60000} */
  readonly swapMs: number;
  /** A neighbour that was silent for so long is asked whether it is there, in milliseconds. @default {1000} */
  readonly pingMs: number;
  /** When all neighbours were silent for so long, others are asked to be some, in milliseconds. @default {1600} */
  readonly aloneMs: number;
  /** A neighbour that was silent for so long is given up, in milliseconds. @default {5000} */
  readonly goneMs: number;
  /** How long ids wait for others, to be told of together, in milliseconds. @default {50} */
  readonly lazyMs: number;
  /** How long a message may take after its id was heard of, before it is asked for, in milliseconds. @default {200} */
  readonly graftMs: number;
  /** The same where messages often come late by themselves, at most, in milliseconds. @default {400} */
  readonly graftMaxMs: number;
  /** How long it may take after it was asked for, before the next is asked, in milliseconds. @default {200} */
  readonly graftAgainMs: number;
  /** Who gave a message that did not come by itself in so long is sent to by it from then on; in milliseconds. @default {1000} */
  readonly repairMs: number;
  /** Who announces a message that came by so many more hops becomes the way that it comes. @default {12} */
  readonly optimizeHops: number;
  /** Where messages come twice, neighbours are told that they need not send one of so many bytes. @default {1024} */
  readonly bigBytes: number;
  /** Ids that a neighbour may tell of in ten seconds. @default {20000} */
  readonly idsPerTenSeconds: number;
  /** Least time between two comparisons of what is kept; where nothing happens it grows. In milliseconds. @default {5000} */
  readonly compareMs: number;
}

/** See {@linkcode GossipTuning}. */
export const GOSSIP_DEFAULTS: GossipTuning = {
  activeSize: 5,
  passiveSize: 30,
  activeWalk: 6,
  passiveWalk: 3,
  neighborMs: 1_000,
  shuffleMs: 20_000,
  swapMs: 60_000,
  pingMs: 1_000,
  aloneMs: 1_600,
  goneMs: 5_000,
  lazyMs: 50,
  graftMs: 200,
  graftMaxMs: 400,
  repairMs: 1_000,
  graftAgainMs: 200,
  optimizeHops: 12,
  bigBytes: 1_024,
  idsPerTenSeconds: 20_000,
  compareMs: 5_000,
};
