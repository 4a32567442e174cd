/**
 * The visible side of peerpy's discovery: who asks is told where we listen.
 *
 * A PING may come without its padding, and then the answer is up to six times as long as the question. Who can forge
 * where a packet comes from could have others flooded by that; what an address gets is therefore limited.
 *
 * @module
 */

import { type RateOptions, TokenBuckets } from "../../endpoint/limits.ts";
import { InvalidPacketError } from "../../errors.ts";
import { printable } from "../../log.ts";
import {
  type Address,
  type Datagram,
  type DatagramSocket,
  formatAddress,
  parseAddress,
} from "../../transport/transport.ts";
import { decodeTextHeader, parsePing, pongHeader } from "../../wire/text_header.ts";
import type { BroadcastLan, BroadcastListener } from "./broadcasts_lan.ts";
import { sharedBits } from "../interface_network.ts";

/**
 * Answers per address: who looks sends two questions by each interface we share, and several programs of one machine
 * may look at the same time. What a forger makes of it for his victim is 512 bytes per second.
 */
export const PEERPY_ANSWERS: Readonly<RateOptions> = { perSecond: 4, burst: 16 };

/** Answers to all addresses together, which can be forged. */
const ANSWERS: Readonly<RateOptions> = { perSecond: 200, burst: 400 };

/** Who is to be found. */
export interface PeerpyAnnouncement {
  /** The TCP port of the listener. */
  readonly port: number;
  /** Its address, where it listens on one alone. @default the address on the network that is asked from */
  readonly hostname?: string;
}

/** What a {@linkcode PeerpyResponder} needs. */
export interface PeerpyResponderOptions {
  /** Who is to be found. */
  announce: PeerpyAnnouncement;
  /** The port that questions come to. */
  port: number;
  /** Whether a question is our own: we know by which socket we asked, whatever its address. */
  isOwn: (asker: Address) => boolean;
}

/** Answers questions; see the module. */
export class PeerpyResponder implements AsyncDisposable {
  readonly #lan: BroadcastLan;
  readonly #options: PeerpyResponderOptions;
  readonly #socket: DatagramSocket;
  readonly #rates: TokenBuckets;
  readonly #all: TokenBuckets;
  #listener: BroadcastListener | undefined;

  private constructor(lan: BroadcastLan, options: PeerpyResponderOptions, socket: DatagramSocket) {
    this.#lan = lan;
    this.#options = options;
    this.#socket = socket;
    this.#rates = new TokenBuckets(lan.clock, PEERPY_ANSWERS);
    this.#all = new TokenBuckets(lan.clock, ANSWERS);
  }

  /**
   * Starts to answer. Answers leave from a socket of their own: the shared one is for questions alone.
   *
   * @throws {TransportError | UnsupportedError} when there is no socket to be had.
   */
  static async open(lan: BroadcastLan, options: PeerpyResponderOptions): Promise<PeerpyResponder> {
    const socket = await lan.transport.datagram({ hostname: lan.hostname ?? "0.0.0.0", port: 0 });
    const responder = new PeerpyResponder(lan, options, socket);
    try {
      responder.#listener = await lan.listen(options.port, (ping) => responder.#answer(ping));
      return responder;
    } catch (error) {
      await responder.close();
      throw error;
    }
  }

  /** Stops answering. Harmless when closed. */
  async close(): Promise<void> {
    await this.#listener?.close();
    this.#socket.close();
  }

  /** The same as {@linkcode PeerpyResponder.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Answers to where the question came from, and to nowhere that it names. */
  async #answer({ data, from }: Datagram): Promise<void> {
    const pinger = readPinger(data);
    if (this.#options.isOwn(from)) return;
    if (parseAddress(pinger)?.hostname !== from.hostname) {
      this.#lan.count("refused");
      this.#lan.log.debug("refused to answer somebody else than who asks", {
        asker: printable(formatAddress(from)),
        named: printable(pinger),
      });
      return;
    }
    if (!this.#rates.take(from.hostname) || !this.#all.take("")) {
      this.#lan.count("rate");
      return;
    }
    const hostname = this.#hostnameFor(from.hostname);
    if (hostname === undefined) return;
    this.#lan.count("answers");
    const { port } = this.#options.announce;
    await this.#socket.send(pongHeader(formatAddress({ hostname, port })), from);
  }

  /** The address that an asker can reach us at. */
  #hostnameFor(asker: string): string | undefined {
    const { hostname } = this.#options.announce;
    if (hostname !== undefined && hostname !== "0.0.0.0" && hostname !== "::") return hostname;
    // That which begins most like its own is on the same network, where there is one.
    const addresses = this.#lan.interfaces().map(({ address }) => address);
    return addresses.toSorted((a, b) => sharedBits(b, asker) - sharedBits(a, asker))[0];
  }
}

function readPinger(data: Uint8Array): string {
  const pinger = parsePing(decodeTextHeader(data));
  if (pinger !== undefined) return pinger;
  throw new InvalidPacketError("bad-message", "Cannot decode text header: PING without pinger", {
    details: { field: "pinger" },
  });
}
