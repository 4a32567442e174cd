/**
 * Byte streams of the runtime as connections and listeners: what TCP and unix sockets have in common.
 *
 * @module
 */

import { sleep, systemClock } from "../clock.ts";
import { ClosedError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { printableAddress } from "./socket_address.ts";
import { isClosedResource, reasonOf } from "./socket_error.ts";
import type { Address, Connection, Listener } from "./transport.ts";

/** How long to wait before accepting again when the machine lacks descriptors or memory: doubles from the first. */
const ACCEPT_RETRY_MS = { first: 5, longest: 1000 };

/** What is wanted of the runtime's listener. */
type RuntimeListener<C extends Deno.Conn> = Pick<Deno.Listener<C>, "accept" | "close">;

/** A socket of the runtime that connections come in on. */
export class StreamListener<C extends Deno.Conn> implements Listener {
  readonly address: Address;
  readonly #listener: RuntimeListener<C>;
  readonly #take: (conn: C) => Connection;
  readonly #logger: Logger;
  readonly #closing = new AbortController();
  #accepting = false;

  /** Takes it over. @param take Makes a connection of one of the runtime's. */
  constructor(
    listener: RuntimeListener<C>,
    address: Address,
    take: (conn: C) => Connection,
    logger: Logger,
  ) {
    this.address = address;
    this.#listener = listener;
    this.#take = take;
    this.#logger = logger;
  }

  /** See {@linkcode Listener.accept}. */
  async accept(): Promise<Connection | undefined> {
    if (this.#accepting) throw new TypeError("Cannot accept: another accept is under way");
    this.#accepting = true;
    try {
      for (let failures = 0; !this.#closing.signal.aborted; failures++) {
        try {
          return this.#take(await this.#listener.accept());
        } catch (error) {
          if (isClosedResource(error)) break;
          await this.#recover(error, failures);
        }
      }
      return undefined;
    } finally {
      this.#accepting = false;
    }
  }

  close(): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    this.#listener.close();
  }

  // The kernel reports two kinds of trouble in accept, and neither is a reason to stop. A connection that died in the
  // queue has left it, so the next one can be taken at once. When descriptors or memory are short the same error comes
  // back until some are free: trying again at once would spin.
  async #recover(error: unknown, failures: number): Promise<void> {
    const fields = { address: printableAddress(this.address), reason: reasonOf(error) };
    if (diedInQueue(error)) {
      return this.#logger.debug("connection died before it was accepted", fields);
    }
    const waitMs = Math.min(ACCEPT_RETRY_MS.first * 2 ** failures, ACCEPT_RETRY_MS.longest);
    this.#logger.warn("cannot accept connections for now", { ...fields, waitMs });
    // Rejects only because the listener closes, which the loop looks at next.
    await sleep(systemClock, waitMs, { signal: this.#closing.signal }).catch(() => {});
  }
}

/** A connection of the runtime. */
export class StreamConnection implements Connection {
  readonly local: Address;
  readonly remote: Address;
  readonly #conn: Deno.Conn;
  #closed = false;
  #writing = false;

  /** Takes it over. */
  constructor(conn: Deno.Conn, ends: { readonly local: Address; readonly remote: Address }) {
    this.local = ends.local;
    this.remote = ends.remote;
    this.#conn = conn;
  }

  read(into: Uint8Array): Promise<number | null> {
    return this.#conn.read(into).catch(this.#fail);
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#writing) throw new TypeError("Cannot write: another write is under way");
    this.#writing = true;
    try {
      let written = await this.#conn.write(bytes);
      while (written < bytes.length) written += await this.#conn.write(bytes.subarray(written));
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#writing = false;
    }
  }

  closeWrite(): Promise<void> {
    return this.#conn.closeWrite().catch(this.#fail);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#conn.close();
  }

  // Bound once: a read in the hot path makes no closure.
  readonly #fail = (cause: unknown): never => {
    const address = printableAddress(this.remote);
    const how = this.#closed ? "was closed" : `broke: ${reasonOf(cause)}`;
    throw new ClosedError(`Connection to ${address} ${how}`, { cause, details: { address } });
  };
}

function diedInQueue(error: unknown): boolean {
  return error instanceof Deno.errors.NotConnected ||
    error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.ConnectionAborted;
}
