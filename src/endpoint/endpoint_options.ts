/**
 * What an endpoint is made of.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import type { Identity } from "../secure/identity.ts";
import type { Network } from "../secure/network.ts";
import type { Address, Transport } from "../transport/transport.ts";
import type { AccessLevel, IsInvited } from "./access_levels.ts";
import type { RequestContext } from "./dispatcher.ts";
import type { Hello, PeerInfo } from "./handshake.ts";
import type { EndpointLimits } from "./limits_table.ts";

/** What an endpoint says of itself; its id follows from its key. */
export type SelfInfo = Omit<PeerInfo, "peerId" | "publicKey">;

/** Decides about a peer that wants to connect: throws a `PeerError` that the peer is told. */
export type Guard = (hello: Hello, remote: Address) => void;

/** What an endpoint needs. */
export interface EndpointOptions {
  /** The network. */
  transport: Transport;
  /** Proves who we are. @default a new identity */
  identity?: Identity;
  /** What we say of ourselves. */
  self: SelfInfo;
  /** Who belongs to us: peers of another network can neither connect nor be connected to. @default {new Network()} */
  network?: Network;
  /**
   * Throws for a peer that we want nothing to do with, whoever connects to whom: it is asked once the peer has proven who
   * it is, and every five seconds from then on. @default nobody is refused
   */
  trust?: (peer: PeerInfo) => void;
  /** Invites and keys, each of which is shown to the peer that made it, when we connect to that. @default {[]} */
  tokens?: readonly string[];
  /** Who may reach handlers that do not say. @default {"public"} */
  access?: AccessLevel;
  /** Whether a caller was given a scope. @default nobody was */
  isInvited?: IsInvited;
  /** Whose invite is no longer good, which they are told. @default nobody's */
  lapseOf?: (context: RequestContext) => "expired" | "revoked" | undefined;
  /** Whether nobody is let in who cannot prove who they are. @default they reach what is public */
  isExclusive?: () => boolean;
  /**
   * Neither encrypt nor prove anything, to measure what that costs. Both sides must ask for it, and be on this machine:
   * with others no connection comes about. @default {false}
   */
  plain?: boolean;
  /** Address to listen on. @default every address of the machine, IPv6 and IPv4 */
  hostname?: string | undefined;
  /** Port to listen on, 0 for any. @default {3485 or the next free one} */
  port?: number | undefined;
  /** Do not listen: only connect. @default {false} */
  clientOnly?: boolean;
  /** Limits. */
  limits?: EndpointLimits;
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
  /** Where to say what happens. @default {silentLogger} */
  log?: Logger;
  /** Counts `accept.*` and `link.*`. @default {new Metrics()} */
  metrics?: Metrics;
}
