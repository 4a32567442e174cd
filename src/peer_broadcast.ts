/**
 * How a peer sends files to many, and takes part in what others send to many.
 *
 * @module
 */

import type { FoundPeer } from "./discovery/search.ts";
import type { Link } from "./endpoint/link.ts";
import { Broadcast } from "./palmtree/broadcast.ts";
import type { BroadcastOptions, BroadcastTarget } from "./palmtree/broadcast_options.ts";
import type { PalmPorts } from "./palmtree/relay_driver.ts";
import { TreeReceiver } from "./palmtree/tree_receiver.ts";
import type { ReachOptions } from "./reach.ts";
import { buildManifest } from "./transfer/manifest.ts";
import type { Receiver } from "./transfer/receive.ts";

/** What the peer gives. */
export interface Broadcaster extends Omit<PalmPorts, "maxBytesPerSecond" | "tuning"> {
  /** Connects to whom it is asked to. */
  readonly link: (target: string, options: ReachOptions) => Promise<Link>;
}

/** How to send files to many. */
export interface BroadcastFilesOptions extends ReachOptions, Omit<BroadcastOptions, "signal"> {
  /** Who shall have them: peer ids or unambiguous beginnings of them, names, `host:port`, or peers that were found. */
  to: readonly (string | FoundPeer)[];
  /** Most bytes of contents that we send in a second. @default {Infinity} */
  maxBytesPerSecond?: number;
}

/** What a peer sends to many, and takes of what others do. */
export class PeerBroadcasts implements AsyncDisposable {
  readonly #broadcaster: Broadcaster;
  readonly #sending = new Set<Broadcast>();
  #trees: TreeReceiver | undefined;

  /** Takes part in nothing yet. */
  constructor(broadcaster: Broadcaster) {
    this.#broadcaster = broadcaster;
  }

  /** Begins to send files and folders; see `Peer.broadcast`. */
  async send(paths: readonly string[], options: BroadcastFilesOptions): Promise<Broadcast> {
    const { to, timeoutMs, peers, maxBytesPerSecond, ...rest } = options;
    const { signal } = rest;
    const { link, ...ports } = this.#broadcaster;
    const reach = {
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(peers === undefined ? {} : { peers }),
    };
    const targets = to.map((target) => targetOf(target, link, reach));
    const built = await buildManifest(paths, signal === undefined ? {} : { signal });
    const sending = new Broadcast({ ...ports, maxBytesPerSecond }, built, targets, rest);
    this.#sending.add(sending);
    const forget = () => void this.#sending.delete(sending);
    sending.done.then(forget, forget);
    return sending;
  }

  /** Begins to take part, where the owner of a receiver wants it; of a peer's receivers the last one counts. */
  receiveInto(
    desk: Receiver,
    options: { maxBytesPerSecond?: number | undefined } = {},
  ): TreeReceiver {
    void this.#trees?.close(); // that of a receiver that was closed
    const { link: _, ...ports } = this.#broadcaster;
    return this.#trees = TreeReceiver.open({ ...ports, ...options, desk });
  }

  /** Gives up what is being sent. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#sending].map((sending) => sending.close()));
  }
}

function targetOf(
  target: string | FoundPeer,
  link: Broadcaster["link"],
  reach: ReachOptions,
): BroadcastTarget {
  if (typeof target === "string") {
    return { name: target, connect: (signal) => link(target, { ...reach, signal }) };
  }
  const { name, peerId, addresses } = target;
  return {
    name: name || peerId.slice(0, 12),
    connect: (signal) => link(peerId, { ...reach, peers: addresses, signal }),
  };
}
