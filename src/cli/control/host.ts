/**
 * A running peer, as verbs see it that run in it for a command line of the same home.
 *
 * @module
 */

import type { Peer } from "../../peer.ts";
import { fits } from "../../reach_search.ts";
import type { Home } from "../../state/home.ts";
import { formatAddress, isWildcard } from "../../transport/transport.ts";
import type { Options } from "../options.ts";

/** See the module. */
export interface Host extends HostPeer {
  /** Where the command line's relative paths begin. */
  readonly cwd: string;
  /** The command line's stdin. */
  readonly stdin: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Has something done whenever the command line is sent the signal that stops it for a while, until disposed of. */
  onToggle(toggle: () => void): Disposable;
}

/** What is the same for all verbs. */
export interface HostPeer {
  /** The peer, which verbs leave open. */
  readonly peer: Peer;
  /** Its home. */
  readonly home: Home;
  /** How it was started. */
  readonly options: Options;
  /** When it was started, in milliseconds since 1970. */
  readonly startedMs: number;
}

/** Thrown by a verb, before it does anything, that cannot run in the running peer: it runs in one of its own instead. */
export class OwnPeerWanted extends Error {
  /** Says why. */
  constructor(why: string) {
    super(why);
    this.name = "OwnPeerWanted";
  }
}

/** Whom a command line means: where that is the peer itself, its own address, since nobody finds itself. */
export function whomOf(target: string, host: Host | undefined): string {
  if (host === undefined) return target;
  const { peer } = host;
  const holder = peer.trust.holderOf(target);
  const isSelf = holder === undefined ? fits(peer, target) : holder === peer.peerId;
  return isSelf && !isOthers(target, peer) ? selfAddress(peer) : target;
}

/** Where a peer reaches itself. */
export function selfAddress({ address }: Peer): string {
  const { hostname, port } = address ?? { hostname: "127.0.0.1", port: 0 };
  return formatAddress({ hostname: isWildcard(hostname) ? "127.0.0.1" : hostname, port });
}

/** Whether somebody else is called the same: the search then says that it is ambiguous. */
function isOthers(target: string, { endpoint, peerId }: Peer): boolean {
  return endpoint.peers.list().some((other) => other.peerId !== peerId && fits(other, target));
}
