/**
 * What rumors leave by: the peer's UDP port, without waiting for it.
 *
 * @module
 */

import type { RequestsDispatcher } from "../endpoint/requests_dispatcher.ts";
import { InvalidPacketError, PeerError } from "../errors.ts";
import { type Logger, printable } from "../log.ts";
import type { Counter } from "../metrics.ts";
import type { Address } from "../transport/transport.ts";
import { SOFT_DATAGRAM_BYTES } from "../wire/datagram.ts";

/** A UDP port that rumors come in on and leave from: the peer's own. */
export interface RumorPort {
  /** Who takes what comes in. */
  readonly requests: Pick<RequestsDispatcher, "register">;
  /** Sends one packet. */
  send(packet: Uint8Array, to: Address): Promise<void>;
}

/** What a {@linkcode RumorSends} needs. */
export interface RumorSendsOptions {
  /** Where packets leave. */
  readonly port: RumorPort;
  /** Counts what could not leave. */
  readonly unsent: Counter;
  /** Where to say why. */
  readonly log: Logger;
}

/** What is on its way out. That something cannot leave is counted and told in the log, and no more: rumors reach most. */
export class RumorSends {
  readonly #port: RumorPort;
  readonly #unsent: Counter;
  readonly #log: Logger;
  readonly #pending = new Set<Promise<void>>();

  /** Nothing is. */
  constructor({ port, unsent, log }: RumorSendsOptions) {
    this.#port = port;
    this.#unsent = unsent;
    this.#log = log;
  }

  /** Sends a packet, whose bytes must stay as they are. */
  packet(packet: Uint8Array, to: Address): void {
    this.track(this.#port.send(packet, to));
  }

  /** Looks after a promise that nobody waits for. */
  track(sending: Promise<void>): void {
    const done = sending.catch((error) => this.#failed(error)).finally(() => {
      this.#pending.delete(done);
    });
    this.#pending.add(done);
  }

  /** Resolves when nothing is on its way any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#pending);
  }

  #failed(error: unknown): void {
    this.#unsent.add();
    const level = error instanceof PeerError ? "debug" : "error"; // else a fault of whoever sends for us
    this.#log[level]("could not send a rumor", { error: printable(String(error)) });
  }
}

/** Refuses to begin a rumor that a network may have to fragment. @throws {InvalidPacketError} `too-large`. */
export function assertFits({ length }: Uint8Array): void {
  if (length <= SOFT_DATAGRAM_BYTES) return;
  throw new InvalidPacketError(
    "too-large",
    `Cannot tell a rumor: its packet of ${length} bytes exceeds SOFT_DATAGRAM_BYTES ${SOFT_DATAGRAM_BYTES}`,
    { details: { limit: "SOFT_DATAGRAM_BYTES", max: SOFT_DATAGRAM_BYTES, got: length } },
  );
}
