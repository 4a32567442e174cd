/**
 * What membership on real sockets is made of.
 *
 * @module
 */

import type { Endpoint } from "../endpoint/endpoint.ts";
import type { UdpPort } from "../endpoint/udp_port.ts";
import type { Identity } from "../secure/identity.ts";
import type { Home } from "../state/home.ts";
import type { Address } from "../transport/transport.ts";
import type { Tags } from "./claims.ts";
import type { SwimTuning } from "./options.ts";

/** Where members may be found besides by each other. */
export interface MemberDirectory {
  /** Peers as they are found, until the signal aborts. */
  find(
    options: { signal: AbortSignal },
  ): AsyncIterable<{ readonly peerId: string; readonly addresses: readonly Address[] }>;
}

/** What outlives a program: who was here before. */
export interface MemberMemory {
  /** Where those were. */
  addresses(): Promise<readonly Address[]> | readonly Address[];
  /** Takes note of a member. */
  remember(
    member: {
      readonly peerId: string;
      readonly name: string;
      readonly addresses: readonly Address[];
    },
  ): void;
}

/** How to take part. */
export interface MembershipOptions {
  /** Only members of the same project see each other. @default {"default"} */
  project?: string;
  /** Labels that others see: at most 8, of at most 24 characters. @default {{}} */
  tags?: Tags;
  /** Addresses that are joined besides; our own among them does no harm. @default {[]} */
  seeds?: readonly Address[];
  /** How the protocol is tuned. @default {SWIM_DEFAULTS} */
  tuning?: Partial<SwimTuning>;
}

/** What a {@linkcode Membership} is made of. */
export interface MembershipParts {
  /** Connections, handlers, clock, log and counters. */
  readonly endpoint: Endpoint;
  /** Packets. */
  readonly udp: UdpPort;
  /** Signs what we say. */
  readonly identity: Identity;
  /** The addresses that this machine has, without ports. */
  readonly hosts: () => readonly string[];
  /** Where to look for members. */
  readonly directory?: MemberDirectory;
  /** Who was here before. */
  readonly memory?: MemberMemory;
  /** Where our incarnation is kept. */
  readonly home?: Home | undefined;
  /** Whether a peer is wanted. @default every one is */
  readonly admits?: (peerId: string) => boolean;
}
