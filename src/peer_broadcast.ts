/**
 * How a peer sends files to many, and takes part in what others send to many.
 *
 * @module
 */

import type { FoundPeer } from "./discovery/search.ts";
import type { Link } from "./endpoint/link.ts";
import { Broadcast } from "./palmtree/broadcast.ts";
import type {
  BroadcastOptions,
  BroadcastProgress,
  BroadcastTarget,
} from "./palmtree/broadcast_options.ts";
import type { ReceivingProgress } from "./palmtree/receiving.ts";
import type { PalmPorts } from "./palmtree/relay_driver.ts";
import { TreeReceiver } from "./palmtree/tree_receiver.ts";
import { titleOf } from "./peer_files.ts";
import type { ReachOptions } from "./reach.ts";
import { buildManifest } from "./transfer/manifest.ts";
import type { Receiver } from "./transfer/receive.ts";

/** How long a broadcast that is over is still shown, in milliseconds. */
const SHOWN_AFTER_MS = 30_000;

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

/** A broadcast of ours, as it is shown. */
export interface ShownBroadcast {
  /** What it is called. */
  readonly what: string;
  /** Whether it is over; the last one is shown for a while. */
  readonly over: boolean;
  /** How far it is. */
  readonly progress: BroadcastProgress;
}

/** What a peer sends to many, and takes of what others do. */
export class PeerBroadcasts implements AsyncDisposable {
  readonly #broadcaster: Broadcaster;
  readonly #sending = new Map<Broadcast, string>();
  #last: (ShownBroadcast & { readonly overMs: number }) | undefined;
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
    this.#sending.set(sending, titleOf(paths));
    const ended = () => this.#ended(sending);
    sending.done.then(ended, ended);
    return sending;
  }

  /** What is sent, and for half a minute the last that was. */
  get sending(): ShownBroadcast[] {
    const { clock } = this.#broadcaster.endpoint;
    const all = [...this.#sending].map(([{ progress }, what]) => ({ what, over: false, progress }));
    const last = this.#last;
    return last === undefined || clock.now() - last.overMs > SHOWN_AFTER_MS ? all : [...all, last];
  }

  /** What comes of others. */
  get receiving(): ReceivingProgress[] {
    return this.#trees?.progress ?? [];
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
    await Promise.all([...this.#sending.keys()].map((sending) => sending.close()));
  }

  #ended(sending: Broadcast): void {
    const what = this.#sending.get(sending) ?? "";
    const { progress } = sending;
    this.#sending.delete(sending);
    this.#last = { what, over: true, progress, overMs: this.#broadcaster.endpoint.clock.now() };
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
