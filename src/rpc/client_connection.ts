/**
 * One connection of a client, whatever dialect it speaks: what a `Client` keeps, loses and makes again.
 *
 * @module
 */

import type { RequestOptions, StreamOptions } from "../endpoint/outgoing.ts";
import type { Address } from "../transport/transport.ts";

/** A message of the witch-core network module: one of `endpoint` and `request` says what for. */
export interface RequestMessage {
  /** The endpoint to call. */
  readonly endpoint?: string;
  /** What every server answers: `ping`, `status`, `info`, `echo`, `peer_list`. */
  readonly request?: string;
  /** What for. */
  readonly data?: unknown;
  /** Whatever else the dialect takes. */
  readonly [field: string]: unknown;
}

/** What it is answered: `status` is `success`, `error` (with a `message`) or, for what nobody takes, `received`. */
export type AnswerMessage = Readonly<Record<string, unknown>>;

/** A connection to a server. */
export interface ClientConnection {
  /** Who and where, safe to print. */
  readonly label: string;
  /** The protocol tag that is spoken, where both sides have tags. */
  readonly protocol: string | undefined;
  /** When and why it ended: resolves always, to the error that ended it, or `undefined` when either side closed it. */
  readonly closed: Promise<unknown>;
  /** Calls an endpoint. @throws {ClosedError} when the connection ends first. */
  call(name: string, data: unknown, options: RequestOptions): Promise<unknown>;
  /**
   * Calls an endpoint and wants no answer.
   *
   * @returns what to wait for before sending more, where much is waiting to leave; nobody need.
   * @throws {ClosedError} when the connection has ended.
   */
  notify(name: string, data: unknown): Promise<void> | undefined;
  /** Calls an endpoint that answers in parts. */
  stream(name: string, data: unknown, options: StreamOptions): AsyncGenerator<unknown, void, void>;
  /** Sends a message and gives the whole answer, errors of the server too. */
  ask(message: RequestMessage, options: RequestOptions): Promise<AnswerMessage>;
  /** Ends it. Harmless when it has. */
  close(): Promise<void>;
}

/** Connects, and agrees on a protocol. @throws what the table of errors has for it; the signal's reason when aborted. */
export type Connector = (
  to: Address,
  options: { signal: AbortSignal },
) => Promise<ClientConnection>;
