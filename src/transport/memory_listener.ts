/**
 * Listeners in memory.
 *
 * @module
 */

import type { MemoryConnection } from "./memory_stream.ts";
import type { Address, Connection, Listener } from "./transport.ts";

/** Connections that may wait to be accepted, as in the runtime's own listeners. */
const BACKLOG = 511;

/** A listener on a host of the memory network. */
export class MemoryListener implements Listener {
  readonly address: Address;
  /** Called once, when the listener is closed. */
  onClose: () => void = () => {};
  readonly #waiting: MemoryConnection[] = [];
  #acceptor: PromiseWithResolvers<Connection | undefined> | undefined;
  #closed = false;

  constructor(address: Address) {
    this.address = address;
  }

  /** Whether one more connection would be refused. */
  get full(): boolean {
    return this.#waiting.length >= BACKLOG;
  }

  /** Takes a connection that arrived. */
  deliver(connection: MemoryConnection): void {
    if (this.#acceptor === undefined) {
      this.#waiting.push(connection);
    } else {
      this.#acceptor.resolve(connection);
      this.#acceptor = undefined;
    }
  }

  accept(): Promise<Connection | undefined> {
    if (this.#acceptor !== undefined) {
      return Promise.reject(new TypeError("Cannot accept: another accept is under way"));
    }
    const next = this.#waiting.shift();
    if (next !== undefined || this.#closed) return Promise.resolve(next);
    this.#acceptor = Promise.withResolvers();
    return this.#acceptor.promise;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const connection of this.#waiting.splice(0)) connection.reset();
    this.#acceptor?.resolve(undefined);
    this.#acceptor = undefined;
    this.onClose();
  }
}
