/**
 * Asking a PeerConnect node whether it is still there.
 *
 * The original sends a probe without a service code, which no original can read, waits 4 s for anything with the same id,
 * and then tries to connect and to write an empty frame. So a peer is asked in both forms, and of an original it is the
 * connection that tells.
 *
 * Source: the PeerConnect requests module, liveness of contacts.
 *
 * @module
 */

import type { Clock } from "../../clock.ts";
import { sourceOf } from "../../endpoint/source.ts";
import { unlessAborted } from "../../endpoint/within_time.ts";
import { ClosedError, TimeoutError, TransportError } from "../../errors.ts";
import type { Address, Transport } from "../../transport/transport.ts";
import { SERVICE_CODE } from "../../wire/datagram.ts";
import { encodeProbe } from "./peerconnect_packets.ts";

/** The port that PeerConnect accepts connections on unless it is taken. */
export const PEERCONNECT_TCP_PORT = 3485;

/** How long the original waits for a sign of life, in milliseconds. */
export const LIVENESS_MS = 4_000;

/** A frame of length 0: what the original writes to see whether it can. */
const EMPTY_FRAME = new Uint8Array(4);

/** How to ask whether somebody is there. */
export interface AliveOptions {
  /** Time for a sign of life, and again for the connection, in milliseconds. @default {LIVENESS_MS} */
  timeoutMs?: number;
  /** Where it accepts connections; 0 to ask by packets alone. @default {PEERCONNECT_TCP_PORT} */
  tcpPort?: number;
  /** Gives up when aborted. */
  signal?: AbortSignal;
}

/** Sends packets to an address, from wherever that is reached. @throws {TransportError} when it cannot. */
export type SendTo = (packet: Uint8Array, to: Address) => Promise<void>;

/** What a {@linkcode PeerConnectLiveness} needs. */
export interface PeerConnectLivenessOptions {
  /** Opens connections. */
  transport: Transport;
  /** Sends probes. */
  send: SendTo;
  /** Where time comes from. */
  clock: Clock;
}

interface Asked {
  readonly of: Address;
  readonly heard: () => void;
}

/** Asks, and hears the answers; see the module. */
export class PeerConnectLiveness {
  readonly #transport: Transport;
  readonly #send: SendTo;
  readonly #clock: Clock;
  readonly #asked = new Map<string, Asked>();
  readonly #closing = new AbortController();

  /** Has asked nobody yet. */
  constructor({ transport, send, clock }: PeerConnectLivenessOptions) {
    this.#transport = transport;
    this.#send = send;
    this.#clock = clock;
  }

  /** Whether a message is the answer of somebody who was asked. */
  awaits(id: unknown, from: Address): boolean {
    return this.#askedBy(id, from) !== undefined;
  }

  /** Takes note of a message. @returns whether it was the answer of somebody who was asked. */
  hear(id: unknown, from: Address): boolean {
    const asked = this.#askedBy(id, from);
    asked?.heard();
    return asked !== undefined;
  }

  /**
   * Whether somebody is there.
   *
   * @param address The IP address and port that it takes requests on.
   * @returns `true` when a packet came from there or a connection could be made.
   * @throws {ClosedError} when closed. @throws {UnsupportedError} when the program may not send or connect there.
   */
  async isAlive(address: Address, options: AliveOptions = {}): Promise<boolean> {
    const { timeoutMs = LIVENESS_MS, tcpPort: port = PEERCONNECT_TCP_PORT } = options;
    const { signal: closing } = this.#closing;
    const signal = options.signal ? AbortSignal.any([closing, options.signal]) : closing;
    signal.throwIfAborted();
    return await this.#answers(address, timeoutMs, signal) || port > 0 &&
        await this.#accepts({ hostname: address.hostname, port }, timeoutMs, signal);
  }

  /** Gives up asking. Harmless when closed. */
  close(): void {
    this.#closing.abort(new ClosedError("Cannot ask who is alive: discovery is closed"));
  }

  #askedBy(id: unknown, from: Address): Asked | undefined {
    const asked = typeof id === "string" ? this.#asked.get(id) : undefined;
    return asked !== undefined && isSame(asked.of, from) ? asked : undefined;
  }

  async #answers(of: Address, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    const id = crypto.randomUUID(); // hard to guess: who did not see the probe cannot answer it
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = this.#clock.after(timeoutMs, () => resolve(false));
    this.#asked.set(id, { of, heard: () => resolve(true) });
    try {
      for (const packet of [encodeProbe(id, SERVICE_CODE.peerconnectDiscovery), encodeProbe(id)]) {
        await this.#send(packet, of);
      }
      return await unlessAborted(promise, signal);
    } catch (error) {
      if (error instanceof TransportError) return false; // no way there: a connection may have one
      throw error;
    } finally {
      timer.cancel();
      this.#asked.delete(id);
    }
  }

  async #accepts(to: Address, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    const late = new AbortController();
    const reason = new TimeoutError(`Cannot connect: no answer in ${timeoutMs} ms`);
    const timer = this.#clock.after(timeoutMs, () => late.abort(reason));
    try {
      const connection = await this.#transport.connect(to, {
        signal: AbortSignal.any([signal, late.signal]),
      });
      await connection.write(EMPTY_FRAME).catch(() => {}); // it accepted, whatever it does now
      connection.close();
      return true;
    } catch (error) {
      if (error instanceof TransportError || error === reason) return false;
      throw error;
    } finally {
      timer.cancel();
    }
  }
}

function isSame(a: Address, b: Address): boolean {
  return a.port === b.port && sourceOf(a.hostname).address === sourceOf(b.hostname).address;
}
