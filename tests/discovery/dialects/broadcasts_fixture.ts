/**
 * A network in memory, or this machine's loopback, that the broadcasts of other programs go over.
 *
 * @module
 */

import { ManualClock } from "../../../src/clock.ts";
import type { BroadcastOptions } from "../../../src/discovery/dialects/broadcasts_lan.ts";
import type { LocalInterface } from "../../../src/discovery/interfaces.ts";
import { Metrics } from "../../../src/metrics.ts";
import { MemoryNetwork } from "../../../src/transport/memory.ts";
import { netTransport } from "../../../src/transport/net.ts";
import type { Address, DatagramSocket } from "../../../src/transport/transport.ts";
import { Journal } from "../../endpoint/fixture.ts";

/** A packet that somebody received. */
export interface Heard {
  readonly data: Uint8Array;
  readonly from: Address;
}

/** Hosts that reach each other, and a clock that they share. */
export class BroadcastTown implements AsyncDisposable {
  readonly network = new MemoryNetwork();
  readonly clock = new ManualClock();
  readonly metrics = new Metrics();
  readonly log = new Journal();
  readonly #parts = new AsyncDisposableStack();

  /** What somebody on a host of that name needs. */
  on(host: string): BroadcastOptions {
    const { network, clock, metrics, log } = this;
    return {
      transport: network.host(host),
      clock,
      metrics,
      log,
      interfaces: () => [interfaceOf(host)],
    };
  }

  /** Closes something at the end. */
  use<T extends AsyncDisposable>(part: T): T {
    return this.#parts.use(part);
  }

  /** A socket that keeps what it hears. */
  async ear(host: string, port = 0): Promise<Ear> {
    const socket = await this.network.host(host).datagram({ port, shared: true });
    return this.use(new Ear(socket));
  }

  /** Sends from a socket of its own to everybody. */
  async shout(host: string, port: number, ...packets: readonly Uint8Array[]): Promise<void> {
    const socket = await this.network.host(host).datagram();
    for (const packet of packets) await socket.send(packet, everybody(port));
    socket.close();
    await this.clock.advance(0);
  }

  count(name: string): number {
    return this.metrics.snapshot()[`discovery.${name}`] ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
    this.network.close();
  }
}

/** A socket, and the packets that came to it. */
export class Ear implements AsyncDisposable {
  readonly socket: DatagramSocket;
  readonly heard: Heard[] = [];
  readonly #loop: Promise<void>;

  constructor(socket: DatagramSocket) {
    this.socket = socket;
    this.#loop = this.#listen();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.close();
    await this.#loop;
  }

  async #listen(): Promise<void> {
    for (;;) {
      const datagram = await this.socket.receive();
      if (datagram === undefined) return;
      this.heard.push({ data: datagram.data.slice(), from: datagram.from });
    }
  }
}

/** What comes out of a search while it goes on. */
export class Collector<T> implements AsyncDisposable {
  readonly all: T[] = [];
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;

  constructor(find: (signal: AbortSignal) => AsyncIterable<T>) {
    this.#loop = this.#collect(find(this.#stop.signal));
  }

  /** Stops looking. @returns what was found. */
  async stop(): Promise<T[]> {
    this.#stop.abort();
    await this.#loop;
    return this.all;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #collect(found: AsyncIterable<T>): Promise<void> {
    for await (const item of found) this.all.push(item);
  }
}

export function interfaceOf(address: string, broadcast?: string): LocalInterface {
  const name = `to ${address}`;
  const loopback = address.startsWith("127.");
  return { name, family: "IPv4", address, broadcast, index: undefined, loopback };
}

export function everybody(port: number): Address {
  return { hostname: "255.255.255.255", port };
}

/** What somebody on this machine alone needs. */
export function onLoopback(): BroadcastOptions {
  return {
    transport: netTransport,
    hostname: "127.0.0.1",
    interfaces: () => [interfaceOf("127.0.0.1", "127.255.255.255")],
  };
}

/** A UDP port that nobody uses. */
export async function freeUdpPort(): Promise<number> {
  const socket = await netTransport.datagram({ hostname: "127.0.0.1" });
  socket.close();
  return socket.address.port;
}

export function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

export function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
