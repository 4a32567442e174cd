/**
 * A connection between a command line and the running peer: a line of JSON for each message, both ways.
 *
 * @module
 */

import { ClosedError, LimitError } from "../../errors.ts";
import type { Connection } from "../../transport/transport.ts";
import { encodeLine, LineReader } from "../../wire/line.ts";
import { badField, type ControlMessage } from "./messages.ts";

/** Longest line that the running peer takes: more than an operating system lets a command line have. */
export const MAX_REQUEST_BYTES: number = 8 * 1024 * 1024;

/** When so much waits for somebody who does not read, nothing more is taken; in bytes, the last message apart. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;

/** Who can wait with the next message does so when this much waits. */
const AMPLE_BYTES = 1024 * 1024;

/** What is read at once. */
const READ_BYTES = 64 * 1024;

/** See the module. */
export class ControlLine implements Disposable {
  readonly #connection: Connection;
  readonly #reader: LineReader;
  readonly #buffer = new Uint8Array(READ_BYTES);
  #queue: Uint8Array[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | undefined;

  /** Takes a connection over. @param maxLineBytes The longest line that the other side may send. */
  constructor(connection: Connection, maxLineBytes: number) {
    this.#connection = connection;
    this.#reader = new LineReader({ maxLineBytes });
  }

  /**
   * Sends a message, after those that wait already. That the other side is gone {@linkcode ControlLine.receive} tells.
   *
   * @throws {LimitError} `slow-consumer` when too much waits already.
   */
  send(message: ControlMessage): void {
    if (this.#waitingBytes > MAX_WAITING_BYTES) {
      throw new LimitError("slow-consumer", "Cannot print: nobody reads what is printed", {
        details: { limit: "maxWaitingBytes", max: MAX_WAITING_BYTES },
      });
    }
    this.finish(message);
  }

  /** Sends the last message, however much waits before it. */
  finish(message: ControlMessage): void {
    const bytes = encodeLine(message);
    this.#queue.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#writing ??= this.#write();
  }

  /** What to wait for before sending more that can wait; nothing where there is room. */
  room(): Promise<void> | undefined {
    return this.#waitingBytes < AMPLE_BYTES ? undefined : this.#writing;
  }

  /**
   * The next message, or `undefined` when the other side has closed.
   *
   * @throws {InvalidPacketError} for what is no message, or too long. @throws {ClosedError} when it broke.
   */
  async receive(): Promise<ControlMessage | undefined> {
    for (;;) {
      const value = this.#reader.next();
      if (value !== undefined) return readMessage(value);
      const length = await this.#connection.read(this.#buffer);
      if (length === null) return undefined;
      this.#reader.push(this.#buffer.subarray(0, length));
    }
  }

  /** Resolves when everything has left, or cannot any more. */
  async flushed(): Promise<void> {
    await this.#writing;
  }

  /** Closes it at once. Harmless when closed. */
  [Symbol.dispose](): void {
    this.#connection.close();
  }

  async #write(): Promise<void> {
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        await this.#connection.write(next);
        this.#waitingBytes -= next.length;
      }
    } catch (error) {
      if (!(error instanceof ClosedError)) throw error;
      this.#queue = [];
      this.#waitingBytes = 0;
    } finally {
      this.#writing = undefined;
    }
  }
}

function readMessage(value: unknown): ControlMessage {
  const isRecord = typeof value === "object" && value !== null && !Array.isArray(value);
  if (isRecord && "type" in value && typeof value.type === "string") return value as ControlMessage;
  throw badField("type");
}
