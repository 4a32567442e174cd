/**
 * What a peer is made from.
 *
 * @module
 */

import type { Clock } from "./clock.ts";
import type { DhtOptions } from "./dht/dht_options.ts";
import type { LocalInterface } from "./discovery/interfaces.ts";
import type { AccessLevel } from "./endpoint/access_levels.ts";
import type { EndpointLimits } from "./endpoint/endpoint.ts";
import type { Logger } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { Identity } from "./secure/identity.ts";
import type { Network } from "./secure/network.ts";
import type { ReachOptions } from "./reach.ts";
import type { SessionOptions } from "./session/session.ts";
import type { Home } from "./state/home.ts";
import type { SkippedPath, TransferSummary } from "./transfer/manifest.ts";
import type { ReceiverOptions } from "./transfer/receive.ts";
import type { SendOptions } from "./transfer/send_options.ts";
import type { TlsIdentity } from "./transport/http.ts";
import type { Address, Transport } from "./transport/transport.ts";
import { VERSION } from "./version.ts";

/** The software and version that a peer names in its handshake. */
export const AGENT: string = `kith/${VERSION}`;

/** What a peer can do, as it says in its handshake. */
export const CAPABILITIES: readonly string[] = ["transfer/2"];

/** A protocol of another program, spoken only when asked to: it is plain text, and nobody proves who they are. */
export type Dialect = "peerconnect" | "witch" | "peerpy" | "kademlia";

/** Every dialect there is. */
export const DIALECTS: readonly Dialect[] = ["peerconnect", "witch", "peerpy", "kademlia"];

/** How to open a {@linkcode Peer}; every field has a default. */
export interface PeerOptions {
  /** Who it is. @default a new identity for this run */
  identity?: Identity;
  /** Whether its identity ends with it, so that nobody remembers whose its name is. @default {true} without `identity` */
  ephemeral?: boolean;
  /** A label for people, at most 64 characters. @default {""} */
  name?: string;
  /**
   * Where it keeps what outlives it: whom it trusts, and which invites and keys it gave away. @default nowhere
   */
  home?: Home;
  /** Only peers of the same network find, understand and reach each other: a name, or one with keys. @default the open one */
  network?: string | Network;
  /** Who may reach handlers that do not say. @default {"public"} */
  access?: AccessLevel;
  /** How it takes part in the DHT, once it is used. @default as a node that others ask, too */
  dht?: DhtOptions;
  /** Invites and API keys, each of which is shown to the peer that made it, when it connects to that. @default {[]} */
  tokens?: readonly string[];
  /** Address to listen on and interface to look on. @default all */
  hostname?: string | undefined;
  /** TCP port, 0 for any. @default {3485 or the next free one} */
  port?: number | undefined;
  /** UDP port that requests come in on and that discovery answers from, 0 for any. @default {0} */
  udpPort?: number | undefined;
  /** UDP port that discovery asks on. @default {3486} */
  discoveryPort?: number | undefined;
  /**
   * Interfaces to use: names such as `eth0` or `wl*`, `!` before those not to use. @default {[]} all of them
   */
  onlyInterfaces?: readonly string[];
  /** Addresses where peers may be, `HOST:PORT` each. @default {[]} */
  seeds?: readonly (string | Address)[];
  /** A text file with such addresses, read again when it changes. @default none */
  peersFile?: string | undefined;
  /** A domain whose TXT records name such addresses. @default none */
  dnsName?: string | undefined;
  /** Be listed by, and look with, the network's own tools (mDNS, DNS-SD); never in a closed network. @default {false} */
  mdns?: boolean;
  /** What it belongs to: the group that `join` means, and the project that witch-core servers are told. @default {"default"} */
  project?: string | undefined;
  /** What witch-core nodes are told of its sources, lower-case hex: those with others ignore it. @default none */
  sourceHash?: string | undefined;
  /** Neither listen nor be found: only look, connect and send. @default {false} */
  clientOnly?: boolean;
  /** Let others find it; without that they need its address. @default {true} */
  announce?: boolean;
  /** Serve HTTP and WebSocket, too. @default {false} */
  web?: boolean;
  /** Port for HTTP and WebSocket, 0 for any. @default {3488 or the next free one} */
  httpPort?: number | undefined;
  /** Certificate and key, in PEM: then HTTP is served as `https:`, and WebSockets as `wss:`. @default none */
  tls?: TlsIdentity | undefined;
  /** Other programs whose protocols are served, who are looked for and told of us. @default {[]} */
  dialects?: readonly Dialect[];
  /** Limits of the endpoint. */
  limits?: EndpointLimits;
  /** The network. @default {netTransport} */
  transport?: Transport;
  /** Lists the network interfaces. @default those of the machine */
  interfaces?: () => LocalInterface[];
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
  /** Where to say what happens. @default {silentLogger} */
  log?: Logger;
  /** Counters. @default {new Metrics()} */
  metrics?: Metrics;
}

/** How to connect for a session. */
export interface ConnectOptions extends ReachOptions, Omit<SessionOptions, "timeoutMs"> {
  /** How long the answer to the offer may take in milliseconds. @default {2000} */
  answerMs?: number;
  /** Whom to speak to: a kith peer, or a peerpy peer at `host:port`. @default {"native"} */
  dialect?: "native" | "peerpy";
}

/** How to send files. */
export interface SendFilesOptions
  extends ReachOptions, Omit<SendOptions, "clock" | "lanes" | "before" | "signal"> {
  /** Who shall have them: a peer id or an unambiguous beginning of one, a name, or `host:port`. */
  to: string;
  /** Called as bytes arrive. */
  onProgress?: (bytes: number, totalBytes: number) => void;
  /** Links that carry the files at the same time, at most 8. @default 4 for much over a long way, else 1 */
  streams?: number;
  /** When a link breaks, tries for so many milliseconds to go on with another. @default {0} */
  retryMs?: number;
  /** Goes on to send what changes, as `update` does, until the signal fires. @default {false} */
  watch?: boolean;
}

/** How to receive files. */
export interface ReceiveFilesOptions extends ReceiverOptions {
  /** Most bytes a second that it passes on of what others broadcast. @default no limit */
  maxBytesPerSecond?: number | undefined;
}

/** What was sent, and what was not. */
export interface SentFiles extends TransferSummary {
  /** Bytes that had to be sent again. */
  readonly resentBytes: number;
  /** Bytes of files that left for the receiver, as far as they were not compressed. */
  readonly sentBytes: number;
  /** Files that it had as they are. */
  readonly unchanged: number;
  /** From acceptance to the receiver's confirmation. */
  readonly seconds: number;
  /** What was found in folders and is neither file nor folder. */
  readonly skipped: readonly SkippedPath[];
}
