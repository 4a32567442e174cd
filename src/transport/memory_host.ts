/**
 * One host of a {@linkcode MemoryNetwork}: its ports and what is open on them.
 *
 * @module
 */

import { ClosedError, TransportError } from "../errors.ts";
import { groupOf, MemoryDatagramSocket } from "./memory_datagram.ts";
import type { Fabric } from "./memory_fabric.ts";
import { MemoryListener } from "./memory_listener.ts";
import { connectionPair, type MemoryConnection } from "./memory_stream.ts";
import { assertPort, printableAddress } from "./socket_address.ts";
import type {
  Address,
  Connection,
  ConnectOptions,
  DatagramOptions,
  DatagramSocket,
  Listener,
  ListenOptions,
  Transport,
} from "./transport.ts";

/** Ports for who asks for any, as RFC 6335 has them. */
const EPHEMERAL_PORTS = { first: 49_152, last: 65_535 };

/** Names by which every host knows itself. */
const OWN_NAMES: readonly string[] = ["0.0.0.0", "::", "127.0.0.1", "::1", "localhost"];

/** A host; the map of all hosts is how it finds the others. */
export class MemoryHost implements Transport {
  readonly #name: string;
  readonly #fabric: Fabric;
  readonly #hosts: ReadonlyMap<string, MemoryHost>;
  readonly #listeners = new Map<number, MemoryListener>();
  readonly #sockets = new Map<number, MemoryDatagramSocket[]>();
  readonly #connections = new Set<MemoryConnection>();
  #life = new AbortController();
  #nextPort = EPHEMERAL_PORTS.first;

  constructor(name: string, fabric: Fabric, hosts: ReadonlyMap<string, MemoryHost>) {
    this.#name = name;
    this.#fabric = fabric;
    this.#hosts = hosts;
  }

  listen(options: ListenOptions = {}): Promise<Listener> {
    return Promise.try(() => {
      const port = this.#bind("listen on", options, (port) => this.#listeners.has(port));
      const listener = new MemoryListener({ hostname: this.#name, port });
      listener.onClose = () => this.#listeners.delete(port);
      this.#listeners.set(port, listener);
      return listener;
    });
  }

  async connect(to: Address, options: ConnectOptions = {}): Promise<Connection> {
    assertPort(to.port, 1);
    options.signal?.throwIfAborted();
    const life = this.#life.signal;
    const signal = options.signal === undefined ? life : AbortSignal.any([life, options.signal]);
    const host = this.#find("connect to", to);
    await this.#fabric.cross(this.#name, host.#name, signal);
    await this.#fabric.cross(host.#name, this.#name, signal);
    signal.throwIfAborted();
    const listener = host.#listeners.get(to.port);
    if (listener === undefined || listener.full) throw failure("connect to", to, "refused");
    const [ours, theirs] = connectionPair(
      { hostname: this.#name, port: this.#freePort(() => false) },
      listener.address,
      this.#fabric.path(this.#name, host.#name),
      this.#fabric.path(host.#name, this.#name),
    );
    this.#own(ours);
    host.#own(theirs);
    listener.deliver(theirs);
    return ours;
  }

  datagram(options: DatagramOptions = {}): Promise<DatagramSocket> {
    return Promise.try(() => {
      const { shared = false } = options;
      const port = this.#bind(
        "open datagram socket on",
        options,
        (port) => this.#sockets.get(port)?.some((other) => !shared || !other.shared) ?? false,
      );
      const socket = new MemoryDatagramSocket(
        { hostname: this.#name, port },
        options,
        (data, from, to) => this.#carry(data, from, to),
      );
      const others = this.#sockets.get(port) ?? [];
      this.#sockets.set(port, [...others, socket]);
      socket.onClose = () => this.#release(port, socket);
      return socket;
    });
  }

  /** Closes everything at once, as the kernel does for a process that was killed. */
  kill(): void {
    this.#life.abort(new ClosedError(`Host ${this.#name} was killed`));
    this.#life = new AbortController();
    for (const listener of [...this.#listeners.values()]) listener.close();
    for (const socket of [...this.#sockets.values()].flat()) socket.close();
    for (const connection of [...this.#connections]) connection.reset();
  }

  #own(connection: MemoryConnection): void {
    this.#connections.add(connection);
    connection.onClose = () => this.#connections.delete(connection);
  }

  #release(port: number, socket: MemoryDatagramSocket): void {
    const others = this.#sockets.get(port)?.filter((other) => other !== socket) ?? [];
    if (others.length === 0) this.#sockets.delete(port);
    else this.#sockets.set(port, others);
  }

  #carry(data: Uint8Array, from: Address, to: Address): void {
    const group = groupOf(to.hostname);
    const hosts = group === undefined ? [this.#find("send to", to)] : this.#hosts.values();
    for (const host of hosts) {
      for (const socket of host.#receivers(to.port, group)) {
        this.#fabric.carry(this.#name, host.#name, data, (copy) => socket.deliver(copy, from));
      }
    }
  }

  // Of sockets that share a port all hear a group, but only the last that was opened hears what is for the host.
  #receivers(port: number, group: string | undefined): readonly MemoryDatagramSocket[] {
    const sockets = this.#sockets.get(port) ?? [];
    return group === undefined
      ? sockets.slice(-1)
      : sockets.filter((socket) => socket.isMember(group));
  }

  #find(doing: string, to: Address): MemoryHost {
    const host = OWN_NAMES.includes(to.hostname) ? this : this.#hosts.get(to.hostname);
    if (host === undefined) throw failure(doing, to, "no such host");
    return host;
  }

  #bind(doing: string, options: ListenOptions, taken: (port: number) => boolean): number {
    const { hostname = this.#name, port = 0 } = options;
    assertPort(port, 0);
    if (hostname !== this.#name && !OWN_NAMES.includes(hostname)) {
      throw failure(doing, { hostname, port }, `not an address of host ${this.#name}`);
    }
    if (port === 0) return this.#freePort(taken);
    if (taken(port)) {
      throw failure(doing, { hostname, port }, "address already in use", { inUse: true });
    }
    return port;
  }

  #freePort(taken: (port: number) => boolean): number {
    const { first, last } = EPHEMERAL_PORTS;
    for (let tried = first; tried <= last; tried++) {
      const port = this.#nextPort;
      this.#nextPort = port === last ? first : port + 1;
      if (!taken(port)) return port;
    }
    throw failure("find a free port on", { hostname: this.#name, port: 0 }, "none left");
  }
}

function failure(
  doing: string,
  address: Address,
  why: string,
  facts: Record<string, unknown> = {},
): TransportError {
  const where = printableAddress(address);
  const details = { address: where, ...facts };
  return new TransportError(`Cannot ${doing} ${where}: ${why}`, { details });
}
