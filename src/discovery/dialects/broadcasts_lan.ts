/**
 * What the broadcasts of other programs have in common: a socket on each interface that they leave from, a shared one
 * on a well-known port that takes them in, and what one bad interface or packet is allowed to spoil, which is itself.
 *
 * Interfaces are listed anew for each round of sending, so one that appears is used by the next.
 *
 * @module
 */

import { type Clock, systemClock } from "../../clock.ts";
import { InvalidPacketError } from "../../errors.ts";
import { type Logger, printable, silentLogger } from "../../log.ts";
import { Metrics } from "../../metrics.ts";
import { netTransport } from "../../transport/net.ts";
import {
  type Datagram,
  type DatagramSocket,
  formatAddress,
  type Transport,
} from "../../transport/transport.ts";
import { Attempts, reasonOf } from "../attempts.ts";
import type { ForeignDialect } from "../foreign.ts";
import { LIMITED_BROADCAST } from "../groups.ts";
import type { LocalInterface } from "../interfaces.ts";
import { UsedInterfaces } from "../used_interfaces.ts";

/** What whoever sends or takes broadcasts needs. */
export interface BroadcastOptions {
  /** The network. @default {netTransport} */
  transport?: Transport;
  /** Use only the interface with this address; one of this machine alone hears only this machine. @default every interface */
  hostname?: string | undefined;
  /** Use only interfaces of these names, `!` before those not to use; see `interfaceFilter`. @default {[]} */
  only?: readonly string[];
  /** Lists all interfaces, those too that are left out: who is there is known by that. @default {localInterfaces} */
  interfaces?: () => LocalInterface[];
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
  /** Where to say what happens. @default {silentLogger} */
  log?: Logger;
  /** Counts `discovery.witch-*`, `discovery.peerpy-*` and `discovery.failures`. @default {new Metrics()} */
  metrics?: Metrics;
}

/** Deals with a packet; what it throws is counted, and the packet dropped. */
export type TakePacket = (datagram: Datagram) => void | Promise<void>;

/** The networks that broadcasts of one program go out to and come in from; see the module. */
export class BroadcastLan {
  /** The network. */
  readonly transport: Transport;
  /** Where time comes from. */
  readonly clock: Clock;
  /** Where to say what happens. */
  readonly log: Logger;
  readonly #dialect: ForeignDialect;
  readonly #hostname: string | undefined;
  readonly #interfaces: UsedInterfaces;
  readonly #metrics: Metrics;
  readonly #attempts: Attempts;

  /** Opens nothing yet. @throws {TypeError} for an interface pattern that is none. */
  constructor(dialect: ForeignDialect, options: BroadcastOptions) {
    const { hostname, interfaces, only, metrics = new Metrics() } = options;
    this.transport = options.transport ?? netTransport;
    this.clock = options.clock ?? systemClock;
    this.log = options.log ?? silentLogger;
    this.#dialect = dialect;
    this.#hostname = hostname === "localhost" ? "127.0.0.1" : hostname;
    this.#interfaces = new UsedInterfaces({ interfaces, hostname, only, clock: this.clock });
    this.#metrics = metrics;
    this.#attempts = new Attempts(this.log, metrics);
  }

  /** The one address that is used; `undefined` for all. */
  get hostname(): string | undefined {
    return this.#hostname === "0.0.0.0" || this.#hostname === "::" ? undefined : this.#hostname;
  }

  /** Counts what happened. */
  count(what: string): void {
    this.#metrics.counter(`discovery.${this.#dialect}-${what}`).add();
  }

  /** The IPv4 interfaces that are used. @throws {UnsupportedError} when they may not be listed. */
  interfaces(): LocalInterface[] {
    return this.#interfaces.list().filter(({ family }) => family === "IPv4");
  }

  /**
   * Opens a socket of its own on each interface; one that cannot be opened is told once and left out.
   *
   * @throws {UnsupportedError} when interfaces may not be listed, or UDP is not to be had.
   */
  async openSenders(): Promise<BroadcastSenders> {
    const senders: BroadcastSender[] = [];
    for (const { name, address, broadcast, loopback } of this.interfaces()) {
      await this.tolerate(`broadcast on ${name}`, async () => {
        const socket = await this.transport.datagram({ hostname: address, port: 0 });
        // On this machine alone the limited broadcast says nothing that the directed one does not.
        const limited = loopback && broadcast !== undefined ? [] : [LIMITED_BROADCAST];
        senders.push({ socket, to: broadcast === undefined ? limited : [broadcast, ...limited] });
      });
    }
    return new BroadcastSenders(this, senders);
  }

  /**
   * Takes packets in on a well-known port, beside other programs that share it.
   *
   * @throws {TransportError | UnsupportedError} when it cannot.
   */
  async listen(port: number, take: TakePacket): Promise<BroadcastListener> {
    // A socket that is bound to one address hears no broadcasts.
    const socket = await this.transport.datagram({ hostname: "0.0.0.0", port, shared: true });
    return this.receive(socket, take);
  }

  /** Takes in what comes to a socket, until that is closed. */
  receive(socket: DatagramSocket, take: TakePacket): BroadcastListener {
    return new BroadcastListener(socket, this.#serve(socket, take));
  }

  /** Does what may fail without hurting anything else; see `Attempts`. */
  tolerate(what: string, work: () => Promise<void>): Promise<void> {
    return this.#attempts.tolerate(what, work);
  }

  #serve(socket: DatagramSocket, take: TakePacket): Promise<void> {
    return this.tolerate(`receive on ${formatAddress(socket.address)}`, async () => {
      for (;;) {
        const datagram = await socket.receive();
        if (datagram === undefined) return;
        await this.#take(datagram, take);
      }
    });
  }

  async #take(datagram: Datagram, take: TakePacket): Promise<void> {
    try {
      if (!this.#interfaces.isLeftOut(datagram.from)) await take(datagram);
    } catch (error) {
      this.count(error instanceof InvalidPacketError ? "malformed" : "failures");
      const from = formatAddress(datagram.from);
      this.log.debug("dropped a packet", {
        dialect: this.#dialect,
        from: printable(from),
        why: reasonOf(error),
      });
    }
  }
}

interface BroadcastSender {
  readonly socket: DatagramSocket;
  readonly to: readonly string[];
}

/** A socket on each interface, and where its broadcasts go. */
export class BroadcastSenders implements Disposable {
  readonly #lan: BroadcastLan;
  readonly #senders: readonly BroadcastSender[];

  /** Takes the sockets over. */
  constructor(lan: BroadcastLan, senders: readonly BroadcastSender[]) {
    this.#lan = lan;
    this.#senders = senders;
  }

  /** The sockets that packets leave from, each bound to the address of its interface. */
  get sockets(): DatagramSocket[] {
    return this.#senders.map(({ socket }) => socket);
  }

  /** Sends a packet to everybody at a port; it is made for each socket that it leaves from. */
  async send(port: number, packetOf: (socket: DatagramSocket) => Uint8Array): Promise<void> {
    for (const { socket, to } of this.#senders) {
      const packet = packetOf(socket);
      for (const hostname of to) {
        const what = `broadcast to ${hostname} from ${socket.address.hostname}`;
        await this.#lan.tolerate(what, () => socket.send(packet, { hostname, port }));
      }
    }
  }

  /** Closes the sockets. */
  [Symbol.dispose](): void {
    for (const { socket } of this.#senders) socket.close();
  }
}

/** A socket that packets come in on, and the loop that takes them. */
export class BroadcastListener implements AsyncDisposable {
  readonly #socket: DatagramSocket;
  readonly #loop: Promise<void>;

  /** Takes both over. */
  constructor(socket: DatagramSocket, loop: Promise<void>) {
    this.#socket = socket;
    this.#loop = loop;
  }

  /** Closes the socket and waits for its last packet to be dealt with. Harmless when closed. */
  async close(): Promise<void> {
    this.#socket.close();
    await this.#loop;
  }

  /** The same as {@linkcode BroadcastListener.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
