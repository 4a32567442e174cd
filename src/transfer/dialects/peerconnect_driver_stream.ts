/**
 * A connection on which nobody is waited for without end: neither for bytes, nor for somebody to take ours.
 *
 * @module
 */

import type { Clock } from "../../clock.ts";
import { ClosedError, TimeoutError } from "../../errors.ts";
import { type Address, type Connection, formatAddress } from "../../transport/transport.ts";

/** A side that brings nothing, or takes nothing, for so long is given up, as in a native transfer. */
export const STALL_MS = 60_000;

/** Bytes read at a time: enough for one call to be worth it, few enough to stay in a core's cache (measured). */
const READ_BYTES = 256 * 1024;

/** What a {@linkcode PatientStream} needs. */
export interface PatientStreamOptions {
  /** Where time comes from. */
  clock: Clock;
  /** Closes the connection when it aborts; what waits rejects with its reason. */
  signal?: AbortSignal | undefined;
  /** What was read from the connection already. @default nothing */
  rest?: Uint8Array;
  /** Bytes read at a time. @default {262144} */
  readBytes?: number;
}

/** How long to wait. */
export interface Patience {
  /** In milliseconds. @default {60000} */
  limitMs?: number;
  /** What that time is called in the error. @default {"stallMs"} */
  limit?: string;
}

/** One side of a connection; see the module. One read and one write at a time. */
export class PatientStream implements Disposable {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #signal: AbortSignal | undefined;
  readonly #readBytes: number;
  readonly #onAbort = () => this.#connection.close();
  #buffer: Uint8Array<ArrayBuffer> | undefined;
  #rest: Uint8Array | undefined;
  #reading: Promise<number | null> | undefined;
  #hasArrived = false;
  #bytesRead = 0;

  /** Takes the connection over: disposing of the stream closes it. */
  constructor(connection: Connection, options: PatientStreamOptions) {
    const { clock, signal, rest, readBytes = READ_BYTES } = options;
    this.#connection = connection;
    this.#clock = clock;
    this.#signal = signal;
    this.#rest = rest?.length ? rest : undefined;
    this.#readBytes = readBytes;
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    if (signal?.aborted) connection.close();
  }

  /** The other end. */
  get remote(): Address {
    return this.#connection.remote;
  }

  /** Bytes that {@linkcode PatientStream.read} has given. */
  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** Whether {@linkcode PatientStream.read} gives something at once, be it the end. */
  get hasArrived(): boolean {
    return this.#rest !== undefined || this.#hasArrived;
  }

  /** Listens from now on, so that {@linkcode PatientStream.hasArrived} tells what comes. Views read before are no longer valid. */
  readAhead(): void {
    if (this.#rest === undefined) void this.#begin().catch(() => {}); // `read` says so
  }

  /** Fires when the other side hangs up before it has sent anything. */
  hungUp(): AbortSignal {
    const gone = new AbortController();
    if (this.#rest !== undefined) return gone.signal;
    const ended = () => gone.abort(new ClosedError(`${this.#label} hung up`));
    this.#begin().then((count) => count === null && ended(), ended);
    return gone.signal;
  }

  /**
   * What has come.
   *
   * @returns a view, valid until the next call; `undefined` at the end of the stream.
   * @throws {TimeoutError} when nothing comes in time; the connection is closed then.
   * @throws {ClosedError} when it breaks. @throws the signal's reason.
   */
  async read(patience: Patience = {}): Promise<Uint8Array | undefined> {
    const rest = this.#rest;
    this.#rest = undefined;
    if (rest !== undefined) {
      this.#bytesRead += rest.length;
      return rest;
    }
    const count = await this.#within(this.#begin(), "sent nothing", patience);
    this.#reading = undefined;
    this.#hasArrived = false;
    this.#bytesRead += count ?? 0;
    return count === null ? undefined : this.#buffer?.subarray(0, count);
  }

  /**
   * Writes all of `bytes`.
   *
   * @throws {TimeoutError} when they are not taken in time; the connection is closed then.
   * @throws {ClosedError} when it breaks. @throws the signal's reason.
   */
  async write(bytes: Uint8Array): Promise<void> {
    await this.#within(this.#connection.write(bytes), "took nothing", {});
  }

  /** Says that nothing more will be written. @throws {ClosedError} when the connection broke. */
  async closeWrite(): Promise<void> {
    await this.#connection.closeWrite();
  }

  /** Closes the connection. Harmless when closed. */
  close(): void {
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#connection.close();
  }

  /** The same as {@linkcode PatientStream.close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  get #label(): string {
    return formatAddress(this.remote);
  }

  #begin(): Promise<number | null> {
    if (this.#reading !== undefined) return this.#reading;
    const reading = this.#connection.read(this.#buffer ??= new Uint8Array(this.#readBytes));
    const arrived = () => void (this.#hasArrived = true);
    reading.then(arrived, arrived);
    return this.#reading = reading;
  }

  async #within<T>(work: Promise<T>, what: string, patience: Patience): Promise<T> {
    const { limitMs = STALL_MS, limit = "stallMs" } = patience;
    let late: TimeoutError | undefined;
    const timer = this.#clock.after(limitMs, () => {
      late = new TimeoutError(`${this.#label} ${what} for ${limit} ${limitMs}`, {
        details: { limit, max: limitMs },
      });
      this.#connection.close(); // what waits settles by that
    });
    try {
      return await work;
    } catch (error) {
      this.#signal?.throwIfAborted();
      throw late ?? error;
    } finally {
      timer.cancel();
    }
  }
}
