/**
 * The sockets that informs leave from: one for each who is informed, because an answer says by nothing else whose it is.
 *
 * @module
 */

import { type Clock, systemClock, type Timer } from "../../clock.ts";
import { PeerError } from "../../errors.ts";
import { type Logger, silentLogger } from "../../log.ts";
import {
  type Address,
  type Datagram,
  type DatagramSocket,
  isWildcard,
} from "../../transport/transport.ts";
import { decodeDatagram, encodeDatagram } from "../../wire/datagram.ts";
import {
  encodeInform,
  type PalmTreeInformResponse,
  type PalmTreeSession,
  parseInformResponse,
} from "../session.ts";
import type { PeerConnectPalmPorts } from "./peerconnect_relay.ts";

/** Time between two looks at what is due, in milliseconds. */
const TICK_MS = 50;

/** What {@linkcode InformSockets} need. */
export interface InformSocketsOptions extends PeerConnectPalmPorts {
  /** What they are informed of. */
  readonly session: PalmTreeSession;
  /** Whom, by what they are called. */
  readonly addresses: ReadonlyMap<string, Address>;
  /** Somebody has answered; it is where the answer came from. */
  readonly answered: (response: PalmTreeInformResponse, asked: string) => void;
  /** Is called twenty times a second. */
  readonly tick: () => void;
}

/** See the module. */
export class InformSockets implements AsyncDisposable {
  readonly #options: InformSocketsOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #packet: Uint8Array;
  readonly #sockets = new Map<string, DatagramSocket>();
  readonly #receiving: Promise<void>[] = [];
  #timer: Timer | undefined;

  private constructor(options: InformSocketsOptions) {
    const { clock = systemClock, log = silentLogger, session } = options;
    this.#options = options;
    this.#clock = clock;
    this.#log = log;
    this.#packet = encodeDatagram(undefined, encodeInform(session));
  }

  /** Binds the sockets; nobody is informed yet. @throws {TransportError | UnsupportedError} when one cannot be. */
  static async open(options: InformSocketsOptions): Promise<InformSockets> {
    const sockets = new InformSockets(options);
    try {
      for (const [name, address] of options.addresses) await sockets.#bind(name, address);
    } catch (error) {
      await sockets[Symbol.asyncDispose]();
      throw error;
    }
    sockets.#tick();
    return sockets;
  }

  /** Informs somebody; the packet may get lost. */
  inform(name: string): void {
    const to = this.#options.addresses.get(name);
    if (to === undefined) return;
    this.#sockets.get(name)?.send(this.#packet, to).catch((error) => {
      this.#log.debug("an inform could not be sent", { error: String(error) });
    });
  }

  /** Closes the sockets. Harmless when closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer?.cancel();
    for (const socket of this.#sockets.values()) socket.close();
    await Promise.all(this.#receiving);
  }

  async #bind(name: string, to: Address): Promise<void> {
    const { transport, hostname } = this.#options;
    const isAny = hostname === undefined || isWildcard(hostname);
    const any = to.hostname.includes(":") ? { hostname: "::" } : {};
    const socket = await transport.datagram(isAny ? any : { hostname });
    this.#sockets.set(name, socket);
    this.#receiving.push(this.#receive(name, socket));
  }

  async #receive(name: string, socket: DatagramSocket): Promise<void> {
    for (;;) {
      try {
        const datagram = await socket.receive();
        if (datagram === undefined) return;
        this.#take(name, datagram);
      } catch (error) {
        // An address at which nobody listens is told like that, too: the others go on, and so does this one.
        this.#log.debug("an answer was not understood", { why: String(error) });
        if (!(error instanceof PeerError)) return;
      }
    }
  }

  #take(name: string, { data, from: { hostname } }: Datagram): void {
    const { payload } = decodeDatagram(data, { code: false, exact: false });
    const { passive, active, ...said } = parseInformResponse(payload);
    const seen = ({ port }: Address) => ({ hostname, port });
    this.#options.answered({ ...said, passive: seen(passive), active: seen(active) }, name);
  }

  #tick(): void {
    this.#timer = this.#clock.after(TICK_MS, () => this.#tick());
    this.#options.tick();
  }
}
