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
type Whereabouts = (peerId: string, address: Address) => boolean;

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
  /** The key that only we and somebody have. @default there is none */
  readonly keyWith?: ((peerId: string) => Uint8Array | undefined) | undefined;
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
    const { session: { sessionId, key }, self, keyWith, log = silentLogger } = options;
    const { isPlain = false } = options;
    const keys = { key, ...(keyWith === undefined ? {} : { keyWith }) };
    this.#socket = socket;
    this.#seal = isPlain ? undefined : new SessionSeal({ sessionId, self, ...keys });
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

  /**
   * Takes messages that those who were informed have sent, from now on. To be called once.
   *
   * @param isAt Whether somebody may be at the address that a packet with the session's key comes from. @default everybody
   */
  listen(
    take: (message: ControlMessage, envelope: Envelope) => void,
    isAt: (peerId: string, address: Address) => boolean = () => true,
  ): void {
    this.#receiving = this.#receive(take, isAt);
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

  async #receive(take: Taker, isAt: Whereabouts): Promise<void> {
    for (;;) {
      try {
        const datagram = await this.#socket.receive();
        if (datagram === undefined) return;
        this.#open(datagram.data, datagram.from, take, isAt);
      } catch (error) {
        const isForeign = error instanceof PeerError;
        if (isForeign) this.#log.debug("a palm tree packet was dropped", { why: error.message });
        else this.#log.error("a palm tree socket failed", { error: String(error) });
        if (!isForeign || error instanceof TransportError) await sleep(this.#clock, PAUSE_MS);
      }
    }
  }

  #open(packet: Uint8Array, address: Address, take: Taker, isAt: Whereabouts): void {
    const seal = this.#seal;
    const { payload } = decodeDatagram(packet, { code: false, exact: seal !== undefined });
    const opened = seal?.open(payload, (peerId) => isAt(peerId, address)) ??
      { payload, sealedBy: undefined };
    // Among our peers everything is sealed.
    if (seal !== undefined && opened.sealedBy === undefined) return;
    const message = parseControl(opened.payload);
    if (message !== undefined) take(message, { sealedBy: opened.sealedBy, address });
  }
}
