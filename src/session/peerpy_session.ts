/**
 * One session with a peerpy peer: the bytes of `peerpy.ts` on the one side, data on the other.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";
import { TimeoutError } from "../errors.ts";
import type { Address, Connection } from "../transport/transport.ts";
import { concat } from "../wire/concat.ts";
import {
  dataHeader,
  encodeTextHeader,
  parseData,
  pingHeader,
  type TextData,
} from "../wire/text_header.ts";
import { type DataType, decodeData, encodeData, noPickles } from "./data_type.ts";
import { Intake } from "./intake.ts";
import {
  CLOSE_MS,
  type CloseSessionOptions,
  INTAKE_BYTES,
  overError,
  type SendDataOptions,
  type Session,
  type SessionPeer,
  VALUE_COST_BYTES,
} from "./session.ts";
import { checkType, type SessionTerms, StreamSize, typeToSend } from "./terms.ts";
import { endsWithin, type TextReader } from "./text_reader.ts";

/** How long the other side may take to close its end, once ours is closed. */
const LAST_WORDS_MS = 1_000;

/** Room for a body at first. It grows with what comes: a size alone makes nobody allocate. */
const FIRST_BODY_BYTES = 64 * 1024;

/** What a header begins with that may come between the answer and the first data. */
const HEADER_BEGINNINGS = ["DATA|data_size=", "PING|||||||||||"].map((text) =>
  new TextEncoder().encode(text)
);
const LONGEST_BEGINNING = 15;

/** What a {@linkcode PeerpySession} is made of. */
export interface PeerpySessionOptions {
  /** The connection, past the answer. */
  connection: Connection;
  /** What reads it. */
  reader: TextReader;
  /** What is agreed on. */
  terms: SessionTerms;
  /** Who is on the other side. */
  from: SessionPeer;
  /** Idle time before a PING, in milliseconds. */
  timeoutMs: number;
  /** Largest data in bytes. */
  maxDataBytes: number;
  /** Where time comes from. */
  clock: Clock;
  /** Is the one who accepts, and says so before anything else. @default {false} */
  accepts?: boolean;
}

/** A session with a peerpy peer; see the module. */
export class PeerpySession implements Session {
  /** See {@linkcode Session}. */
  readonly dialect = "peerpy";
  /** See {@linkcode Session}. */
  readonly terms: SessionTerms;
  /** See {@linkcode Session}. */
  readonly from: SessionPeer;
  /** See {@linkcode Session}. */
  readonly closed: Promise<unknown>;
  /** The format has none. */
  readonly closeReason = "";
  readonly #connection: Connection;
  readonly #reader: TextReader;
  readonly #timeoutMs: number;
  readonly #maxDataBytes: number;
  readonly #clock: Clock;
  readonly #size: StreamSize;
  readonly #intake = new Intake<unknown>(INTAKE_BYTES);
  readonly #closed = Promise.withResolvers<unknown>();
  // The last write, which never rejects, and how many are not done.
  #written: Promise<void> = Promise.resolve();
  #writing = 0;
  #activeMs: number;
  #idle: Timer | undefined;
  // How data comes at the moment: nothing else is known of a stream's types.
  #typeIn: DataType;
  #mayCross = false;
  #closing: Promise<void> | undefined;
  #leaving = false;
  #over = false;
  #failure: unknown;

  /** Takes the data that comes from now on. */
  constructor(options: PeerpySessionOptions) {
    const { connection, reader, terms, from, timeoutMs, maxDataBytes, clock } = options;
    this.terms = terms;
    this.from = from;
    this.closed = this.#closed.promise;
    this.#connection = connection;
    this.#reader = reader;
    this.#timeoutMs = timeoutMs;
    this.#maxDataBytes = maxDataBytes;
    this.#clock = clock;
    this.#size = new StreamSize(terms);
    this.#typeIn = terms.dataType;
    this.#activeMs = clock.now();
    if (options.accepts) this.#writeUnasked(encodeTextHeader({ type: "ACCEPT" }));
    this.#keepAlive();
    void this.#run();
  }

  /** See {@linkcode Session}. */
  get remote(): Address {
    return this.#connection.remote;
  }

  /** See {@linkcode Session}. */
  async send(data: unknown, options: SendDataOptions = {}): Promise<void> {
    if (this.#over || this.#leaving) throw overError(this.#failure);
    const dataType = typeToSend(this.terms, options.type);
    const body = encodeData(dataType, data, this.#encoding);
    const bare = this.#size.bytes !== undefined;
    this.#size.sending(body.length);
    if (bare) return await this.#write(body);
    this.#mayCross = this.terms.stream;
    await this.#write(concat(dataHeader({ dataSize: body.length, dataType }), body));
  }

  /** See {@linkcode Session}. */
  [Symbol.asyncIterator](): AsyncIterator<unknown, undefined, void> {
    return this.#intake[Symbol.asyncIterator]();
  }

  /** See {@linkcode Session}. */
  close(_reason: string = "", options: CloseSessionOptions = {}): Promise<void> {
    return this.#closing ??= this.#close(options.timeoutMs ?? CLOSE_MS);
  }

  /** See {@linkcode Session}. */
  async [Symbol.asyncDispose](): Promise<void> {
    // It must not hide the error that ended the block; `closed` has it.
    await this.close().catch(() => {});
  }

  get #encoding(): { dialect: "peerpy"; maxDataBytes: number } {
    return { dialect: "peerpy", maxDataBytes: this.#maxDataBytes };
  }

  async #run(): Promise<void> {
    try {
      for (let body = await this.#read(); body !== undefined; body = await this.#read()) {
        this.#activeMs = this.#clock.now();
        const value = decodeData(this.#typeIn, body, this.#encoding);
        await this.#intake.push(value, body.length + VALUE_COST_BYTES);
      }
      await this.#leave();
      this.#end(undefined);
    } catch (error) {
      // What comes after we have closed concerns nobody.
      this.#end(this.#leaving ? undefined : error);
    }
  }

  /** The next body, `undefined` at the end of the stream. */
  async #read(): Promise<Uint8Array | undefined> {
    for (;;) {
      // Until something comes we may be the first to send, and fix a stream's size.
      if (this.terms.stream) await this.#reader.peek(1);
      const { bytes: size } = this.#size;
      if (size !== undefined && !await this.#crosses(size)) {
        this.#mayCross = false;
        return await this.#readBody(size);
      }
      const header = await this.#reader.readHeader();
      if (header === undefined) return undefined;
      this.#activeMs = this.#clock.now();
      if (header.type === "PING") continue;
      const announced = this.#announced(parseData(header, this.#maxDataBytes));
      const body = await this.#readBody(announced);
      if (body === undefined) throw endsWithin(0, announced);
      return body;
    }
  }

  /** A body of that size, `undefined` when the stream ends before it. */
  async #readBody(size: number): Promise<Uint8Array | undefined> {
    let body = new Uint8Array(Math.min(size, FIRST_BODY_BYTES));
    let got = 0;
    for (;;) {
      got += await this.#reader.readInto(body.subarray(got));
      if (got === size) return body;
      if (got < body.length) break;
      const larger = new Uint8Array(Math.min(size, body.length * 2));
      larger.set(body);
      body = larger;
    }
    if (got === 0) return undefined;
    throw endsWithin(got, size);
  }

  #announced({ dataSize, dataType }: TextData): number {
    checkType(this.terms, dataType);
    if (dataType === "raw") throw noPickles();
    this.#size.received(dataSize);
    this.#mayCross = false;
    this.#typeIn = dataType;
    return dataSize;
  }

  /** Whether a header comes on a stream although we have sent one: the other side did not know yet. */
  async #crosses(size: number): Promise<boolean> {
    if (!this.#mayCross) return false;
    const came = await this.#reader.peek(Math.min(size, LONGEST_BEGINNING));
    return HEADER_BEGINNINGS.some((beginning) => isPrefix(came, beginning));
  }

  /** Writes after everything before it, all in one piece. @throws {ClosedError} */
  #write(bytes: Uint8Array): Promise<void> {
    this.#writing++;
    const write = this.#written.then(() => this.#connection.write(bytes));
    this.#written = write.catch(() => {}).then(() => {
      this.#writing--;
      this.#activeMs = this.#clock.now();
    });
    return write;
  }

  /** Writes what no caller waits for; a connection that is broken is noticed by who reads it. */
  #writeUnasked(bytes: Uint8Array): void {
    this.#write(bytes).catch(() => {});
  }

  /** Sends a PING whenever nothing came or went for a while. */
  #keepAlive(): void {
    if (this.terms.stream) return;
    const idleMs = this.#clock.now() - this.#activeMs;
    this.#idle = this.#clock.after(Math.max(this.#timeoutMs - idleMs, 1), () => {
      // A timer may fire a fraction of a millisecond early.
      const isIdle = this.#clock.now() - this.#activeMs >= this.#timeoutMs - 1;
      if (isIdle && this.#writing === 0) this.#writeUnasked(pingHeader());
      if (isIdle) this.#activeMs = this.#clock.now();
      this.#keepAlive();
    });
  }

  async #close(timeoutMs: number): Promise<void> {
    const timer = this.#clock.after(timeoutMs, () => this.#end(notWritten(timeoutMs)));
    await Promise.race([this.#leave(), this.closed]);
    timer.cancel();
    // Those who know the format only from one side never close theirs.
    const giveUp = this.#clock.after(LAST_WORDS_MS, () => this.#end(undefined));
    const failure = await this.closed;
    giveUp.cancel();
    if (failure !== undefined) throw failure;
  }

  /** Takes on nothing new, and says so once everything has been written. What comes is read and dropped. */
  async #leave(): Promise<void> {
    this.#leaving = true;
    this.#intake.end();
    this.#idle?.cancel();
    await this.#written;
    if (!this.#over) await this.#connection.closeWrite().catch(() => {}); // it has gone by itself
  }

  #end(failure: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#failure = failure;
    this.#idle?.cancel();
    this.#intake.end(failure);
    this.#connection.close();
    this.#closed.resolve(failure);
  }
}

/** Whether something came, and it begins like `beginning` or is a part of it. */
function isPrefix(came: Uint8Array, beginning: Uint8Array): boolean {
  return came.length > 0 && came.every((byte, at) => byte === beginning[at]);
}

function notWritten(timeoutMs: number): TimeoutError {
  return new TimeoutError(`Cannot close the session in order: not all written in ${timeoutMs} ms`, {
    details: { limit: "timeoutMs", max: timeoutMs },
  });
}
