/**
 * PeerConnect's files, directories and chat on the port that everything else comes in on.
 *
 * ```text
 * acceptor -- begins with 00 or 01 --> first frame -- its header --> transfers | chats | a palm tree
 * ```
 *
 * Nothing here is encrypted, and nobody proves who they are: ids are what somebody says.
 *
 * @module
 */

import type { Accepted } from "../../endpoint/acceptor.ts";
import type { Endpoint } from "../../endpoint/endpoint.ts";
import { AuthError, UnsupportedError } from "../../errors.ts";
import { layerLog } from "../../log.ts";
import type { Connection } from "../../transport/transport.ts";
import type { AllowanceLimits } from "./allowance.ts";
import { PeerConnectChats, type PeerConnectText } from "./peerconnect_chat_server.ts";
import type { ReceivingDesk } from "./peerconnect_driver_store.ts";
import { readHandshake, visitOf, withRest } from "./peerconnect_driver_visit.ts";
import type { PeerConnectHandshake } from "./peerconnect_handshake.ts";
import { encodeAnswer } from "./peerconnect_records.ts";
import { PeerConnectTransfers } from "./peerconnect_transfers.ts";

/** A palm tree's link, as it introduces itself: the frame that its connection begins with. */
export type PalmLinkHandshake = Extract<PeerConnectHandshake, { type: "link" }>;

/** Takes a link of a palm tree; the connection is closed when it is done. */
export type PalmLinkTaker = (handshake: PalmLinkHandshake, connection: Connection) => Promise<void>;

/** The handlers whose access decides about senders and writers that prove nothing. */
const FILES_HEADER = "transfer.offer";
const TEXTS_HEADER = "session.open";

/**
 * Takes the connections of PeerConnect nodes from now on: as far as somebody wants what they bring, others are refused.
 *
 * Counted are `peerconnect.refused`, `peerconnect.interrupted` and `peerconnect.resumed` transfers, and `peerconnect.texts`.
 * A connection for what is unknown, or is not taken, counts as `accept.refused.CODE`.
 */
export class PeerConnectPort implements Disposable {
  readonly #endpoint: Endpoint;
  readonly #stack = new DisposableStack();
  #transfers: PeerConnectTransfers | undefined;
  #chats: PeerConnectChats | undefined;
  #palmLink: PalmLinkTaker | undefined;

  /** Takes connections. @throws {TypeError} when somebody takes an endpoint's already. */
  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
    this.#stack.use(endpoint.take("peerconnect", (accepted) => this.#take(accepted)));
  }

  /**
   * Receives files and directories from now on.
   *
   * @returns what ends that, and gives up what is under way. @throws {TypeError} when somebody receives already.
   */
  receiveInto(desk: ReceivingDesk, limits: AllowanceLimits = {}): Disposable {
    if (this.#transfers !== undefined) throw new TypeError("Cannot receive: somebody does already");
    const { clock, metrics, dispatcher } = this.#endpoint;
    const log = layerLog(this.#endpoint.log, "transfer");
    const isPublic = () => dispatcher.isPublic(FILES_HEADER);
    const transfers = new PeerConnectTransfers(desk, { ...limits, isPublic, clock, log, metrics });
    this.#transfers = transfers;
    return this.#stack.use({
      [Symbol.dispose]: () => {
        if (this.#transfers === transfers) this.#transfers = undefined;
        transfers[Symbol.dispose]();
      },
    });
  }

  /**
   * The texts that people write, from now on; leaving the loop takes no more of them.
   *
   * @throws {TypeError} when somebody takes them already.
   */
  texts(options: { signal?: AbortSignal } = {}): AsyncIterable<PeerConnectText> {
    if (this.#chats !== undefined) throw new TypeError("Cannot take texts: somebody does already");
    const chats = new PeerConnectChats(this.#endpoint, () => this.#chats = undefined);
    this.#chats = chats;
    this.#stack.use(chats);
    const { signal } = options;
    signal?.addEventListener("abort", () => chats.close(), { once: true });
    if (signal?.aborted) chats.close();
    return chats;
  }

  /** Takes links of palm trees from now on. @returns what ends that. @throws {TypeError} when somebody does already. */
  linkWith(taker: PalmLinkTaker): Disposable {
    if (this.#palmLink !== undefined) {
      throw new TypeError("Cannot take links: somebody does already");
    }
    this.#palmLink = taker;
    return this.#stack.use({
      [Symbol.dispose]: () => {
        if (this.#palmLink === taker) this.#palmLink = undefined;
      },
    });
  }

  /** Takes no more connections, and closes those that there are, but for links of palm trees. Harmless when closed. */
  [Symbol.dispose](): void {
    this.#stack.dispose();
  }

  async #take(accepted: Accepted): Promise<void> {
    const { connection, first, established } = accepted;
    const { handshake, rest } = await readHandshake(connection, first);
    const { clock } = this.#endpoint;
    switch (handshake.type) {
      case "files":
      case "directory": {
        const transfers = this.#transfers;
        if (transfers === undefined) return await refuseTransfer(connection);
        established();
        const visit = visitOf(accepted, handshake, rest, clock);
        return handshake.type === "files"
          ? await transfers.takeFiles(visit, handshake.transferId)
          : await transfers.takeDirectory(visit, handshake.name);
      }
      case "chat": {
        const chats = this.#chats;
        if (chats === undefined) throw notTaken("texts");
        if (!this.#endpoint.dispatcher.isPublic(TEXTS_HEADER)) {
          throw new AuthError("not-allowed", "Only peers that prove who they are write");
        }
        established();
        const visit = visitOf(accepted, handshake, rest, clock);
        return await chats.take(visit, handshake.peerId);
      }
      case "link": {
        const taker = this.#palmLink;
        if (taker === undefined) throw notTaken("links of palm trees");
        established();
        await taker(handshake, withRest(connection, rest));
        return connection.close();
      }
      default:
        handshake satisfies never;
    }
  }
}

/** Says no in the way that a sender of files understands. */
async function refuseTransfer(connection: Connection): Promise<never> {
  await connection.write(encodeAnswer(false)).catch(() => {}); // it may have gone
  throw notTaken("files");
}

function notTaken(what: string): UnsupportedError {
  return new UnsupportedError(`Cannot accept a connection: no ${what} are taken here`);
}
