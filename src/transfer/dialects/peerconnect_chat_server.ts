/**
 * Texts that PeerConnect nodes write, taken off their connections.
 *
 * @module
 */

import { Channel } from "../../channel.ts";
import type { Endpoint } from "../../endpoint/endpoint.ts";
import { unlessAborted } from "../../endpoint/within_time.ts";
import { ClosedError } from "../../errors.ts";
import { layerLog } from "../../log.ts";
import type { Address } from "../../transport/transport.ts";
import { Chat } from "./peerconnect_chat.ts";
import type { PeerConnectVisit } from "./peerconnect_driver_visit.ts";

/** Texts that wait to be read before those who write are slowed down. */
const TEXT_CAPACITY = 256;

/** Somebody who writes nothing for so long is hung up on, in milliseconds. */
const IDLE_MS = 3_600_000;

/** What somebody writes. */
export interface PeerConnectText {
  /** Who it says it is, 40 hexadecimal digits that nobody has proven. */
  readonly from: string;
  /** Where it writes from. */
  readonly address: Address;
  /** What: as it came, not safe to print. */
  readonly text: string;
}

/** Conversations of an endpoint. Iterate over it to read them; leaving the loop ends them. */
export class PeerConnectChats implements AsyncIterable<PeerConnectText>, Disposable {
  readonly #endpoint: Pick<Endpoint, "clock" | "log" | "metrics">;
  readonly #texts = new Channel<PeerConnectText>(TEXT_CAPACITY);
  readonly #closing = new AbortController();
  readonly #onClose: () => void;

  /** Nobody writes yet. @param onClose Called when no more texts are taken. */
  constructor(endpoint: Pick<Endpoint, "clock" | "log" | "metrics">, onClose: () => void) {
    this.#endpoint = endpoint;
    this.#onClose = onClose;
  }

  /** The texts, until this is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<PeerConnectText, void, void> {
    try {
      yield* this.#texts;
    } finally {
      this.close();
    }
  }

  /** Takes no more texts, and hangs up. Harmless when closed. */
  close(): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(new ClosedError("Texts are taken no more"));
    this.#texts.close();
    this.#onClose();
  }

  /** The same as {@linkcode PeerConnectChats.close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Reads a conversation to its end.
   *
   * @param peer Who writes, in decimal.
   * @throws {ClosedError} when it ends without a word. @throws {TimeoutError} when nothing is said for an hour.
   * @throws {InvalidPacketError} when what is said breaks the format, or comes from somebody else.
   */
  async take({ from, stream, signal }: PeerConnectVisit, peer: string): Promise<void> {
    const { metrics } = this.#endpoint;
    const log = layerLog(this.#endpoint.log, "transfer");
    const ending = AbortSignal.any([signal, this.#closing.signal]);
    const chat = new Chat({ self: peer, peer });
    using _stream = stream;
    const hangUp = () => stream.close();
    this.#closing.signal.addEventListener("abort", hangUp, { once: true });
    try {
      while (!chat.over) {
        const bytes = await stream.read({ limit: "idleMs", limitMs: IDLE_MS });
        if (bytes === undefined) return chat.ended();
        chat.push(bytes);
        for (let event = chat.next(); event !== undefined; event = chat.next()) {
          if (event.type === "other") log.debug("no text came", { header: event.header });
          if (event.type !== "text") continue;
          metrics.counter("peerconnect.texts").add();
          const said = { from: from.peerId, address: stream.remote, text: event.text };
          await unlessAborted(Promise.resolve(this.#texts.push(said)), ending);
        }
      }
    } finally {
      this.#closing.signal.removeEventListener("abort", hangUp);
    }
  }
}
