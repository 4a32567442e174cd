/**
 * Connecting: one's own links, and those that are shared with whoever else wants the same.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { FramedConnection } from "../transport/framed.ts";
import {
  type Address,
  type Connection,
  formatAddress,
  type Transport,
} from "../transport/transport.ts";
import type { Via } from "./dispatcher.ts";
import type { Greeter, GreetOptions } from "./greeter.ts";
import type { PeerInfo } from "./handshake.ts";
import type { Direction, Link } from "./link.ts";
import { unlessAborted, withinTime } from "./within_time.ts";

/** How to connect. */
export interface ConnectLinkOptions {
  /** Gives up when aborted. */
  signal?: AbortSignal;
  /**
   * Make it the one link between the two that all may use: when there is one already, or the other side opens one at
   * the same time, both end up with the same. Whoever uses it leaves it open. @default {false}
   */
  shared?: boolean;
  /**
   * Throws when the peer that answers is not the one that was meant: what it throws ends the connection, in the open
   * network before the other side has learnt who we are. Of a shared link it is asked when that is there, because others
   * may be waiting for the same one; it stays, then.
   */
  expect?: (peer: PeerInfo) => void;
}

/** Where a link comes from. */
export interface LinkOrigin {
  /** Who opened it. */
  readonly direction: Direction;
  /** What carries it. */
  readonly via: Via;
  /** Whether others may use it, too. */
  readonly shared: boolean;
}

/** What a {@linkcode Dialer} needs of its endpoint. */
export interface DialerOptions {
  /** Connects. */
  transport: Transport;
  /** Shakes hands. */
  greeter: Greeter;
  /** Where time comes from. */
  clock: Clock;
  /** Time for a handshake in milliseconds. */
  handshakeMs: number;
  /** Fires when the endpoint closes. */
  signal: AbortSignal;
  /** Throws where there may be no more links. */
  check: () => void;
  /** The links there are. */
  links: ReadonlySet<Link>;
  /** Makes a link. @returns the one to use, which may be another. */
  link: (framed: FramedConnection, peer: PeerInfo, origin: LinkOrigin) => Link;
}

/** Connects an endpoint to others. */
export class Dialer {
  readonly #options: DialerOptions;
  readonly #dialing = new Map<string, Promise<Link>>();

  /** Connects for an endpoint. */
  constructor(options: DialerOptions) {
    this.#options = options;
  }

  /** See `Endpoint.connect`. */
  async connect(to: Address, options: ConnectLinkOptions): Promise<Link> {
    const { shared = false, signal, expect } = options;
    signal?.throwIfAborted();
    if (!shared) return await this.#dial(to, { shared, expect }, this.#until(signal));
    const key = formatAddress(to);
    const existing = [...this.#options.links].find((link) => {
      return link.shared && link.open && formatAddress(link.remote) === key;
    });
    // Whoever gives up does so for itself: others may be waiting for the same link.
    const dialing = existing ?? this.#dialing.get(key) ??
      this.#dial(to, { shared }, this.#until(undefined)).finally(() => this.#dialing.delete(key));
    if (dialing instanceof Promise) this.#dialing.set(key, dialing);
    const link = await unlessAborted(Promise.resolve(dialing), signal);
    expect?.(link.peer);
    return link;
  }

  /** See `Endpoint.attach`. */
  async attach(
    connection: Connection,
    options: ConnectLinkOptions & { via?: Via },
  ): Promise<Link> {
    const { shared = false, via = "tcp", expect } = options;
    const abort = () => connection.close();
    let signal: AbortSignal | undefined;
    try {
      signal = this.#until(options.signal);
      signal.addEventListener("abort", abort, { once: true });
      signal.throwIfAborted();
      this.#options.check();
      const { clock, handshakeMs } = this.#options;
      return await withinTime(connection, clock, handshakeMs, async () => {
        const { peer, framed } = await this.#options.greeter.greet(connection, { shared, expect });
        this.#options.check(); // others may have been made meanwhile
        return this.#options.link(framed, peer, { direction: "out", via, shared });
      });
    } catch (error) {
      connection.close();
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  async #dial(to: Address, options: GreetOptions, signal: AbortSignal): Promise<Link> {
    this.#options.check();
    const { shared, expect } = options;
    const connection = await this.#options.transport.connect(to, { signal });
    return await this.attach(connection, {
      shared,
      signal,
      ...(expect === undefined ? {} : { expect }),
    });
  }

  #until(signal: AbortSignal | undefined): AbortSignal {
    const closing = this.#options.signal;
    closing.throwIfAborted();
    return signal === undefined ? closing : AbortSignal.any([closing, signal]);
  }
}
