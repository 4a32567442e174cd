/**
 * A byte connection over a message socket, so that frames travel over a WebSocket as they do over TCP.
 *
 * Each binary message is the next piece of the stream; where one ends means nothing. WebSockets have no half-close, so
 * an empty message says that nothing more will be written.
 *
 * @module
 */

import { ClosedError, InvalidPacketError } from "../errors.ts";
import { printableAddress } from "./socket_address.ts";
import type { Address, Connection, MessageSocket } from "./transport.ts";

/** Longest piece of the stream in one message: small enough that waiting for room is waiting for the reader. */
const PIECE_BYTES = 64 * 1024;

const UNKNOWN_ADDRESS: Address = { hostname: "0.0.0.0", port: 0 };

const EMPTY = new Uint8Array(0);

/**
 * Makes a byte connection of a message socket, which then belongs to it.
 *
 * Back-pressure ends at the other side's inbox: a reader that falls behind by more than it holds is cut off, and its
 * `read` rejects with `LimitError` (`slow-consumer`). A text message rejects it with `InvalidPacketError`.
 *
 * @example
 * ```ts
 * import { asConnection, connectWebSocket, serveHttp, upgradeWebSocket } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const server = await serveHttp((request, remote) => {
 *   const { socket, response } = upgradeWebSocket(request, remote);
 *   asConnection(socket).write(new Uint8Array([1, 2, 3])).catch(() => {}); // gone already
 *   return response;
 * }, { hostname: "127.0.0.1" });
 *
 * const socket = await connectWebSocket(`ws://127.0.0.1:${server.address.port}`);
 * const connection = asConnection(socket);
 * assertEquals(await connection.read(new Uint8Array(2)), 2);
 * assertEquals(await connection.read(new Uint8Array(2)), 1);
 * connection.close();
 * await socket.closed;
 * await server.close();
 * ```
 *
 * @param local Our end, where it is known.
 */
export function asConnection(socket: MessageSocket, local: Address = UNKNOWN_ADDRESS): Connection {
  return new MessageConnection(socket, local);
}

class MessageConnection implements Connection {
  readonly local: Address;
  readonly remote: Address;
  readonly #socket: MessageSocket;
  readonly #pieceBytes: number;
  #rest: Uint8Array = EMPTY;
  #readEnded = false;
  #writeEnded = false;
  #writing = false;
  #closed = false;

  constructor(socket: MessageSocket, local: Address) {
    this.local = local;
    this.remote = socket.remote;
    this.#socket = socket;
    this.#pieceBytes = Math.min(PIECE_BYTES, socket.maxMessageBytes);
  }

  async read(into: Uint8Array): Promise<number | null> {
    if (this.#closed) throw this.#closedError();
    if (into.length === 0) return 0;
    while (this.#rest.length === 0) {
      if (this.#readEnded) return null;
      const message = await this.#socket.receive();
      if (this.#closed) throw this.#closedError();
      if (typeof message === "string") throw this.#refuseText();
      if (message === undefined || message.length === 0) this.#readEnded = true;
      else this.#rest = message;
    }
    const length = Math.min(into.length, this.#rest.length);
    into.set(this.#rest.subarray(0, length));
    this.#rest = this.#rest.subarray(length);
    return length;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#closed || this.#writeEnded) throw this.#closedError();
    if (this.#writing) throw new TypeError("Cannot write: another write is under way");
    this.#writing = true;
    try {
      for (let at = 0; at < bytes.length; at += this.#pieceBytes) {
        await this.#socket.send(bytes.subarray(at, at + this.#pieceBytes));
      }
    } finally {
      this.#writing = false;
    }
  }

  async closeWrite(): Promise<void> {
    if (this.#closed) throw this.#closedError();
    if (this.#writeEnded) return;
    this.#writeEnded = true;
    await this.#socket.send(EMPTY);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#rest = EMPTY;
    this.#socket.close();
  }

  #refuseText(): InvalidPacketError {
    this.#closed = true;
    this.#socket.close(4003, "binary messages only");
    const address = printableAddress(this.remote);
    return new InvalidPacketError(
      "bad-message",
      `Cannot read bytes from ${address}: a text message came`,
      { details: { address } },
    );
  }

  #closedError(): ClosedError {
    const address = printableAddress(this.remote);
    return new ClosedError(`Connection to ${address} was closed`, { details: { address } });
  }
}
