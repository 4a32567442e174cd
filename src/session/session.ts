/**
 * Sessions as programs see them: data of an agreed type between two peers, in order, both ways.
 *
 * A session is the peerpy peer's connection. Between kith peers it runs over a link of its own (`native.ts`), with an
 * original over a byte connection (`peerpy.ts`). Who does not read holds the other side back, so a program that sends
 * much reads at the same time: two sides that only send wait for each other.
 *
 * @module
 */

import { ClosedError, PeerError } from "../errors.ts";
import type { Address } from "../transport/transport.ts";
import type { DataType, SessionDialect } from "./data_type.ts";
import type { SessionTerms, TermsOptions } from "./terms.ts";

/** How long the answer to an offer may take unless told otherwise, as the peerpy peer has it. */
export const ANSWER_MS = 2_000;

/** How long {@linkcode Session.close} waits unless told otherwise: a reader that is busy for a while must not lose data. */
export const CLOSE_MS = 30_000;

/** Encoded data that may wait to be read before the other side is held back: fills a connection, costs little. */
export const INTAKE_BYTES: number = 1024 * 1024;

/** What waiting data costs beyond its bytes, so that empty data is bounded too. */
export const VALUE_COST_BYTES = 64;

/** Who is on the other side, as it says itself. Safe to print. */
export interface SessionPeer {
  /** 40 hexadecimal digits; a peerpy peer has none. */
  readonly peerId?: string;
  /** A label; a peerpy peer's is `host:port` of its listener. */
  readonly name: string;
  /** Where the connection comes from or goes to. */
  readonly address: Address;
}

/** Somebody wants a session. */
export interface SessionOffer extends SessionTerms {
  /** Whose wire it speaks. */
  readonly dialect: SessionDialect;
  /** Who. */
  readonly from: SessionPeer;
}

/** How to open a session. */
export interface SessionOptions extends TermsOptions {
  /** How long the answer may take in milliseconds. @default {2000} */
  timeoutMs?: number;
  /** Largest data in bytes, both ways. @default {16777216} */
  maxDataBytes?: number;
  /** Gives up opening it when aborted. */
  signal?: AbortSignal;
}

/** How to send data. */
export interface SendDataOptions {
  /** Another type than the agreed one, where the session is neither strict nor a stream. @default the agreed type */
  type?: DataType;
}

/** How to close a session. */
export interface CloseSessionOptions {
  /** Longest wait in milliseconds; then the connection is closed all the same. @default {30000} */
  timeoutMs?: number;
}

/** A session; see the module. */
export interface Session extends AsyncDisposable, AsyncIterable<unknown> {
  /** Whose wire it speaks. */
  readonly dialect: SessionDialect;
  /** What was agreed on. */
  readonly terms: SessionTerms;
  /** Who is on the other side. */
  readonly from: SessionPeer;
  /** The other end's address. */
  readonly remote: Address;
  /**
   * Resolves always, when it has ended: to `undefined` when either side closed it and all was taken, else to what ended
   * it, such as a {@linkcode HandshakeError} `strict-violation`.
   */
  readonly closed: Promise<unknown>;
  /** The reason that the other side gave for closing it; empty where it gave none. Safe to print. */
  readonly closeReason: string;
  /**
   * Sends data, and resolves when it is handed to the operating system; that is the back-pressure. Leave byte arrays
   * alone until then. Data leaves in the order of the calls.
   *
   * @throws {TypeError | RangeError} for data that the type has no form for, another type on a strict session or stream,
   * another size on a stream. @throws {InvalidPacketError} `too-large`.
   * @throws {PeerError} what ended the session; {@linkcode ClosedError} when it was closed.
   */
  send(data: unknown, options?: SendDataOptions): Promise<void>;
  /**
   * The data that comes, in order, until either side closes the session. Leaving the loop loses nothing: another one
   * goes on. Data is given to one reader.
   *
   * @throws what ended the session, from the loop, once everything that came before was given.
   */
  [Symbol.asyncIterator](): AsyncIterator<unknown, undefined, void>;
  /**
   * Ends the session: nothing more is taken in, and all that was sent leaves. Harmless when repeated.
   *
   * Between kith peers it resolves when the other side has taken everything, so a reader that sleeps delays it. A peerpy
   * peer cannot say that; there it waits, a second at most, until that side has closed too.
   *
   * @param reason For people.
   * @throws {TimeoutError} after `timeoutMs`. @throws {PeerError} what had ended the session before.
   */
  close(reason?: string, options?: CloseSessionOptions): Promise<void>;
  /** Closes it like {@linkcode Session.close}; what goes wrong then is only in {@linkcode Session.closed}. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** The error of whoever sends on a session that is over, for what ended it. */
export function overError(failure: unknown): PeerError {
  if (failure instanceof PeerError) return failure;
  return new ClosedError("Cannot send: the session is closed", { cause: failure });
}
