/**
 * The passive socket of one participant: takes and sends the packets of one session.
 *
 * @module
 */

import { type Clock, sleep } from "../clock.ts";
import { PeerError, TransportError } from "../errors.ts";
import { type Logger, silentLogger } from "../log.ts";
import {
  type Address,
  type DatagramSocket,
  isWildcard,
  type Transport,
} from "../transport/transport.ts";
import { decodeDatagram, encodeDatagram } from "../wire/datagram.ts";
import { type ControlMessage, encodeControl, parseControl } from "./control.ts";
import type { Participant } from "./participant.ts";
import type { Envelope } from "./relay_options.ts";
import { SessionSeal } from "./session_seal.ts";
import type { PalmTreeSession } from "./session.ts";

/** Pause after an error of the socket, in milliseconds: it may stay for a while. */
const PAUSE_MS = 100;

type Taker = (message: ControlMessage, envelope: Envelope) => void;

/** Where a session's packets come in and leave. */
export interface SessionSocketOptions {
  /** The network. */
  readonly transport: Transport;
  /** The address of ours to bind. @default all of them */
  readonly hostname?: string | undefined;
  /** Where time comes from. */
  readonly clock: Clock;
  /** The session. */
  readonly session: PalmTreeSession;
  /** Who we are, in decimal. */
  readonly self: string;
  /** Where to say what was dropped. @default {silentLogger} */
  readonly log?: Logger;
  /** Whether it is a session of originals, who seal nothing. @default {false} */
  readonly isPlain?: boolean;
}

/** See the module. */
export class SessionSocket implements AsyncDisposable {
  readonly #socket: DatagramSocket;
  // None in a session of originals.
  readonly #seal: SessionSeal | undefined;
  readonly #clock: Clock;
  readonly #log: Logger;
  #receiving: Promise<void> = Promise.resolve();

  private constructor(socket: DatagramSocket, options: SessionSocketOptions) {
    const { session: { sessionId, key }, self, log = silentLogger, isPlain = false } = options;
    this.#socket = socket;
    this.#seal = isPlain ? undefined : new SessionSeal({ sessionId, key, self });
    this.#clock = options.clock;
    this.#log = log;
  }

  /** Binds a port of its own. @throws {TransportError | UnsupportedError} when it cannot. */
  static async open(options: SessionSocketOptions): Promise<SessionSocket> {
    const { hostname, transport } = options;
    const isAny = hostname === undefined || isWildcard(hostname);
    return new SessionSocket(await transport.datagram(isAny ? {} : { hostname }), options);
  }

  /** Where it is bound, with the real port. */
  get address(): Address {
    return this.#socket.address;
  }

  /** Takes messages that those who were informed have sent, from now on. To be called once. */
  listen(take: (message: ControlMessage, envelope: Envelope) => void): void {
    this.#receiving = this.#receive(take);
  }

  /** Sends a packet, which may get lost. */
  send(message: ControlMessage, { peerId, passive }: Participant): void {
    const payload = encodeControl(message);
    const packet = encodeDatagram(undefined, this.#seal?.seal(payload, peerId) ?? payload);
    this.#socket.send(packet, passive).catch((error) => {
      this.#log.debug("a palm tree packet could not be sent", { error: String(error) });
    });
  }

  /** Closes the socket. Harmless when closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await this.#receiving;
  }

  async #receive(take: Taker): Promise<void> {
    for (;;) {
      try {
        const datagram = await this.#socket.receive();
        if (datagram === undefined) return;
        this.#open(datagram.data, datagram.from, take);
      } catch (error) {
        const isForeign = error instanceof PeerError;
        if (isForeign) this.#log.debug("a palm tree packet was dropped", { why: error.message });
        else this.#log.error("a palm tree socket failed", { error: String(error) });
        if (!isForeign || error instanceof TransportError) await sleep(this.#clock, PAUSE_MS);
      }
    }
  }

  #open(packet: Uint8Array, address: Address, take: Taker): void {
    const seal = this.#seal;
    const { payload } = decodeDatagram(packet, { code: false, exact: seal !== undefined });
    const opened = seal?.open(payload) ?? { payload, sealedBy: undefined };
    // Among our peers everything is sealed.
    if (seal !== undefined && opened.sealedBy === undefined) return;
    const message = parseControl(opened.payload);
    if (message !== undefined) take(message, { sealedBy: opened.sealedBy, address });
  }
}
