/**
 * What gossip in a program is made of, and how topics are used.
 *
 * @module
 */

import type { Endpoint } from "../endpoint/endpoint.ts";
import type { Link } from "../endpoint/link.ts";
import type { Identity } from "../secure/identity.ts";
import type { Address } from "../transport/transport.ts";
import type { Contact } from "./contact.ts";
import type { Cursor } from "./cursor.ts";
import type { GossipTuning } from "./options.ts";
import type { Overflow } from "./subscription.ts";
import type { Delivery, TopicSettings } from "./topic.ts";
import type { TopicMessage, Verdict } from "./topic_message.ts";

/** Where peers may be found that take part in a topic. */
export interface TopicDirectory {
  /** Peers as they are found, until the signal aborts. */
  find(
    options: { signal: AbortSignal },
  ): AsyncIterable<{ readonly peerId: string; readonly addresses: readonly Address[] }>;
}

/** What a {@linkcode Gossip} is made of. */
export interface GossipParts {
  /** Connections, handlers, clock, log and counters. */
  readonly endpoint: Endpoint;
  /** Signs what we publish. */
  readonly identity: Identity;
  /** The addresses that this machine has, without ports. */
  readonly hosts: () => readonly string[];
  /** Where to look for others. */
  readonly directory?: TopicDirectory;
  /** Peers that are known to be there, who are asked first. @default nobody */
  readonly known?: () => readonly Contact[];
  /** Whether whoever is on a connection was given a scope such as `topic:news`. @default nobody was */
  readonly isInvited?: (scope: string, link: Link) => boolean;
  /** Whether topics that do not say are for the invited alone. @default {false} */
  readonly isPrivate?: boolean;
}

/** How gossip works here. */
export interface GossipOptions {
  /** Addresses of peers that may take part, who are asked besides those that are found. @default {[]} */
  readonly seeds?: readonly Address[];
  /** How the protocols are tuned. @default {GOSSIP_DEFAULTS} */
  readonly tuning?: Partial<GossipTuning>;
}

/** What a topic is like here: for this program alone. Every field has a default. */
export interface TopicOptions extends Omit<TopicSettings, "validate"> {
  /**
   * Decides what becomes of a message before it is passed on: `accept`; `ignore`, which drops it; `reject`, which besides is
   * held against its author. It must be quick. What it throws rejects nobody: the message is ignored and the error logged.
   *
   * @default accepts everything
   */
  readonly validate?: (message: GossipMessage) => Verdict;
  /**
   * Who may take part in it together with us: every peer of the network, or those that show an invite or API key with the
   * scope `topic:` and its name, and those named by hand. Whoever takes part vouches for whom it lets in.
   *
   * @default {"private"}
   */
  readonly access?: "private" | "invited";
}

/** A message of a topic. */
export interface GossipMessage extends Omit<TopicMessage, "bytes"> {
  /** What was published. */
  readonly data: unknown;
}

/** How to subscribe. */
export interface SubscribeOptions {
  /** Ends the subscription. */
  signal?: AbortSignal;
  /**
   * What was published before is wanted, too, as far as others keep it: everything; what is not older than a time, in
   * milliseconds since 1970; or what a {@linkcode Cursor} has not seen. @default only what is published from now on
   */
  since?: "all" | number | Cursor;
  /** Messages that may wait for the reader. @default {16384} */
  maxWaiting?: number;
  /** What happens where more would wait. @default {"drop-oldest"} */
  overflow?: Overflow;
}

/** How to publish. */
export interface PublishOptions {
  /** Wait until so many neighbours have it. @default {0} */
  confirm?: number;
  /** How long that may take in milliseconds. @default {10000} */
  timeoutMs?: number;
  /** Gives up waiting. */
  signal?: AbortSignal;
}

/** What was published. */
export interface Published {
  /** The topic's name. */
  readonly topic: string;
  /** Who published it: we. */
  readonly from: string;
  /** Its number, which with `from` names it. */
  readonly seq: number;
  /** Neighbours that have said that they have it, at least as many as were asked for. */
  readonly confirmedBy: readonly string[];
}

/** What is known of a topic that is taken part in. */
export interface TopicStatus {
  /** Its name. */
  readonly topic: string;
  /** Who the neighbours are. */
  readonly neighbors: readonly string[];
  /** Those of them that are sent messages; the others are told ids. */
  readonly eager: readonly string[];
  /** Others in it that are known of. */
  readonly known: number;
  /** Messages that are kept for those who come late, and their bytes. */
  readonly kept: number;
  /** Bytes of these. */
  readonly keptBytes: number;
  /** Who reads it here. */
  readonly subscriptions: number;
  /** How many peers have said that we may not take part. */
  readonly refusals: number;
  /** What is promised of it here. */
  readonly delivery: Delivery;
}
