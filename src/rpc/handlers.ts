/**
 * What every server answers: who it is, how it does, whom it knows, what it can be called for.
 *
 * The names of the fields are those of the witch-core network module, whose clients read them.
 *
 * @module
 */

import type { LimitReport } from "../endpoint/limits_table.ts";
import type { PeerRecord } from "../endpoint/peer_table.ts";
import { formatAddress } from "../transport/transport.ts";
import type { Server } from "./server.ts";

/** How a server does. */
export interface ServerStatus {
  /** Always `running`: one that does not run does not answer. */
  readonly status: "running";
  /** Drawn when it started. */
  readonly server_id: string;
  /** Its label. */
  readonly server_name: string;
  /** Seconds since it started. */
  readonly uptime: number;
  /** Clients connected now. */
  readonly client_count: number;
  /** Most clients at the same time. */
  readonly max_connections: number;
  /** The port it listens on, 0 where it does not. */
  readonly port: number;
  /** The server's time: ISO 8601, UTC. */
  readonly timestamp: string;
  /** The limits of its endpoint, what of them is in use, and how often they refused something. */
  readonly limits: readonly LimitReport[];
}

/** What a server is. */
export interface ServerInfo {
  /** Drawn when it started. */
  readonly server_id: string;
  /** Its label. */
  readonly server_name: string;
  /** Protocol tags it serves, the preferred first. */
  readonly protocols: readonly string[];
  /** The hash of its sources, 16 hexadecimal digits. */
  readonly hash: string;
  /** Names of its endpoints. */
  readonly endpoints: readonly string[];
  /** Clients connected now. */
  readonly client_count: number;
  /** Most clients at the same time. */
  readonly max_connections: number;
  /** The port it listens on, 0 where it does not. */
  readonly port: number;
  /** The address it listens on, empty where it does not. */
  readonly host: string;
  /** Servers of other projects are none of its business. */
  readonly project_id: string;
}

/** Somebody a server is connected to. */
export interface PeerListEntry {
  /** A peer id or, of a server of another kind, whatever it is known by. */
  readonly id: string;
  /** Its label. */
  readonly name: string;
  /** Where it is, as `host:port`. */
  readonly addresses: readonly string[];
  /** When it was first connected, in milliseconds since 1970. */
  readonly since: number;
  /** Its round trip in milliseconds, `null` before one was measured. */
  readonly rtt_ms: number | null;
}

/** The answer to a ping. */
export interface Pong {
  /** Always true. */
  readonly pong: true;
  /** The server's time: ISO 8601, UTC. */
  readonly server_time: string;
}

/** An endpoint, as `describe` tells of it. */
export interface EndpointDescription {
  /** What it is called by. */
  readonly name: string;
  /** The protocol tags it is served under. */
  readonly protocols: readonly string[];
  /** A sentence for people. */
  readonly description: string;
  /** What it takes, as plain data; `null` where nothing was said. */
  readonly input: unknown;
  /** What a call of it passes through, outermost first; `validate` is its own. */
  readonly middleware: readonly string[];
  /** How often it was called since it was registered. */
  readonly calls: number;
  /** How often that failed. */
  readonly errors: number;
  /** How long it took on average, in milliseconds; of an answer in parts until the first could come. */
  readonly mean_ms: number;
}

/** What a server can be called for. */
export interface ServerDescription {
  /** Drawn when it started. */
  readonly server_id: string;
  /** Its label. */
  readonly server_name: string;
  /** The version of its program. */
  readonly version: string;
  /** Servers of other projects are none of its business. */
  readonly project_id: string;
  /** Protocol tags it serves, the preferred first. */
  readonly protocols: readonly string[];
  /** What every call passes through, outermost first. */
  readonly middleware: readonly string[];
  /** Its endpoints. */
  readonly endpoints: readonly EndpointDescription[];
}

/** What every server answers, as a client sees it. */
export interface BuiltIns {
  /** How it does. */
  readonly status: () => ServerStatus;
  /** What it is. */
  readonly info: () => ServerInfo;
  /** Whom it is connected to. */
  readonly peer_list: () => readonly PeerListEntry[];
  /** The same as `peer_list`. */
  readonly peers: () => readonly PeerListEntry[];
  /** What was sent. */
  readonly echo: (data: unknown) => unknown;
  /** That it is there, and its time. */
  readonly ping: () => Pong;
  /** What it can be called for. */
  readonly describe: () => ServerDescription;
}

/** What each built-in does, for `describe`. */
export const BUILT_IN_DESCRIPTIONS: Readonly<Record<keyof BuiltIns, string>> = {
  status: "How the server does",
  info: "What the server is",
  peer_list: "Whom the server is connected to",
  peers: "The same as peer_list",
  echo: "Answers with what it is sent",
  ping: "Answers that it is there, with its time",
  describe: "What the server can be called for",
};

/** The built-ins of a server. */
export function builtIns(server: Server): BuiltIns {
  return {
    status: () => server.status(),
    info: () => server.info(),
    peer_list: () => server.peerList(),
    peers: () => server.peerList(),
    echo: (data) => data,
    ping: () => ({ pong: true, server_time: server.timestamp() }),
    describe: () => server.describe(),
  };
}

/** A peer of an endpoint, as `peer_list` tells of it. */
export function peerListEntry(
  { peerId, name, addresses, since, rttMs }: PeerRecord,
): PeerListEntry {
  return {
    id: peerId,
    name,
    addresses: addresses.map(formatAddress),
    since,
    rtt_ms: rttMs ?? null,
  };
}
