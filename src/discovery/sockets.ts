/**
 * The datagram sockets that discovery opened, and the loops that read them.
 *
 * @module
 */

import { ClosedError, IntegrityError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import {
  type Datagram,
  type DatagramOptions,
  type DatagramSocket,
  formatAddress,
  type Transport,
} from "../transport/transport.ts";
import { type Attempts, reasonOf } from "./attempts.ts";
import { keyOf, type LocalInterface } from "./interfaces.ts";

/** What {@linkcode Sockets} needs. */
export interface SocketsOptions {
  /** Opens them. */
  transport: Transport;
  /** Told of what fails. */
  attempts: Attempts;
  /** Told of packets that are dropped. */
  log: Logger;
  /** Counts `discovery.malformed` and `discovery.bad-signature`. */
  metrics: Metrics;
}

/** Takes a packet in; what it throws is counted, and the packet dropped. */
export type Take = (datagram: Datagram) => Promise<void> | undefined;

/** Sockets with one owner; see the module. */
export class Sockets {
  readonly #options: SocketsOptions;
  readonly #open = new Set<DatagramSocket>();
  readonly #loops = new Set<Promise<void>>();
  readonly #opening = new Set<Promise<unknown>>();
  #closed = false;

  /** None is open. */
  constructor(options: SocketsOptions) {
    this.#options = options;
  }

  /** Opens a socket. @throws as `Transport.datagram`; {@linkcode ClosedError} when all were closed meanwhile. */
  async open(options: DatagramOptions): Promise<DatagramSocket> {
    const opening = this.#options.transport.datagram(options);
    this.#opening.add(opening);
    const socket = await opening.finally(() => this.#opening.delete(opening));
    if (this.#closed) {
      socket.close();
      throw new ClosedError("Cannot open socket: discovery is closed");
    }
    this.#open.add(socket);
    for (const error of socket.joinErrors) {
      this.#options.attempts.failed(`receive multicast: ${error.message}`, error);
    }
    return socket;
  }

  /** Reads a socket until it is closed or broken. @returns when that is so; never rejects. */
  serve(socket: DatagramSocket, what: string, take: Take): Promise<void> {
    const loop = this.#options.attempts.tolerate(what, async () => {
      for (;;) {
        const datagram = await socket.receive();
        if (datagram === undefined) return;
        try {
          await take(datagram);
        } catch (error) {
          this.#drop(datagram, error);
        }
      }
    });
    this.#loops.add(loop);
    void loop.finally(() => this.#loops.delete(loop));
    return loop;
  }

  /** Closes one. */
  close(socket: DatagramSocket): void {
    this.#open.delete(socket);
    socket.close();
  }

  /** Closes all for good, and waits for the loops. */
  async closeAll(): Promise<void> {
    this.#closed = true;
    for (const socket of [...this.#open]) this.close(socket);
    await Promise.allSettled([...this.#opening, ...this.#loops]);
  }

  #drop({ from }: Datagram, error: unknown): void {
    const { log, metrics } = this.#options;
    const fault = error instanceof IntegrityError ? "bad-signature" : "malformed";
    metrics.counter(`discovery.${fault}`).add();
    log.debug("dropped a packet", { from: formatAddress(from), why: reasonOf(error) });
  }
}

/** What {@linkcode InterfaceSockets} needs. */
export interface InterfaceSocketsOptions {
  /** Opens and closes them. */
  sockets: Sockets;
  /** Told of an interface on which it cannot be done. */
  attempts: Attempts;
  /** What they are for: the log says "could not {what} on eth0". */
  what: string;
  /** Opens the one of an interface. */
  open: (local: LocalInterface) => Promise<DatagramSocket>;
  /** Takes what comes in. */
  take: Take;
}

/** A socket per interface: opened where one appears, closed where one goes. */
export class InterfaceSockets {
  readonly #options: InterfaceSocketsOptions;
  readonly #byKey = new Map<string, OnInterface>();
  #closed = false;

  /** None is open. */
  constructor(options: InterfaceSocketsOptions) {
    this.#options = options;
  }

  /** Those that are open. */
  get all(): Iterable<OnInterface> {
    return this.#byKey.values();
  }

  /** Has a socket on each of these interfaces that lets it, and on no other. @returns those that have a new one. */
  async update(interfaces: readonly LocalInterface[]): Promise<OnInterface[]> {
    const wanted = new Map(interfaces.map((local) => [keyOf(local), local]));
    for (const key of [...this.#byKey.keys()]) if (!wanted.has(key)) this.#drop(key);
    const added: OnInterface[] = [];
    for (const [key, local] of wanted) {
      const opened = this.#byKey.has(key) ? undefined : await this.#open(key, local);
      if (opened !== undefined) added.push(opened);
    }
    return added;
  }

  /** Closes all for good. Harmless when closed. */
  close(): void {
    this.#closed = true;
    for (const key of [...this.#byKey.keys()]) this.#drop(key);
  }

  async #open(key: string, local: LocalInterface): Promise<OnInterface | undefined> {
    const { attempts, sockets, what, open, take } = this.#options;
    let opened: OnInterface | undefined;
    await attempts.tolerate(`${what} on ${local.name} (${local.address})`, async () => {
      const socket = await open(local);
      if (this.#closed) return sockets.close(socket);
      opened = { local, socket };
      this.#byKey.set(key, opened);
      const receiving = `receive on ${local.name} (${local.address})`;
      void sockets.serve(socket, receiving, take).then(() => this.#forget(key, socket));
    });
    return opened;
  }

  /** One that broke is no longer there, and is opened again. */
  #forget(key: string, socket: DatagramSocket): void {
    if (this.#byKey.get(key)?.socket === socket) this.#drop(key);
  }

  #drop(key: string): void {
    const dropped = this.#byKey.get(key);
    this.#byKey.delete(key);
    if (dropped !== undefined) this.#options.sockets.close(dropped.socket);
  }
}

/** A socket and whose it is. */
export interface OnInterface {
  /** The interface. */
  readonly local: LocalInterface;
  /** Its socket. */
  readonly socket: DatagramSocket;
}
