/**
 * One line there, one line back: the order in which a server of witch-core can be asked.
 *
 * The original's server takes what one segment brings as one message, and its answers carry no id. So a request has a
 * write of its own, the next waits for the answer, and an answer that is late would be taken for the next one's: then
 * the connection is closed.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";
import { ClosedError, InvalidPacketError, LimitError, TimeoutError } from "../errors.ts";
import { type Connection, formatAddress } from "../transport/transport.ts";
import { LineReader } from "../wire/line.ts";
import { isMessage, type WitchMessage } from "./witch_message.ts";

/** Requests that wait for those before them, at most. */
export const MAX_WITCH_QUEUE = 1024;

/** Bytes read at a time. */
const READ_BYTES = 16 * 1024;

/** Asks one thing at a time; see the module. */
export class WitchExchange {
  /** When and why it ended: resolves always, to the error that ended it, or `undefined` when either side closed it. */
  readonly closed: Promise<unknown>;
  /** Where the other side is. */
  readonly remote: string;
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #reader: LineReader;
  readonly #queue: Question[] = [];
  // What was sent and is not answered; whoever asked may have given up meanwhile.
  #asked: Question | undefined;
  #writing = false;
  #ended: ClosedError | undefined;
  #why: unknown;

  /** Starts reading. @throws {RangeError} when `maxLineBytes` is not a positive integer. */
  constructor(connection: Connection, options: { clock: Clock; maxLineBytes: number }) {
    const { clock, maxLineBytes } = options;
    this.#connection = connection;
    this.#clock = clock;
    this.#reader = new LineReader({ maxLineBytes });
    this.remote = formatAddress(connection.remote);
    this.closed = this.#readAll();
  }

  /**
   * Sends a line, and waits for the line that answers it.
   *
   * @throws {TimeoutError} when none comes. @throws {LimitError} when {@linkcode MAX_WITCH_QUEUE} wait already.
   * @throws {ClosedError} when the connection ends. @throws {InvalidPacketError} when what comes is no answer.
   */
  async ask(
    line: Uint8Array,
    { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal | undefined },
  ): Promise<WitchMessage> {
    signal?.throwIfAborted();
    if (this.#ended !== undefined) throw this.#ended;
    if (this.#queue.length >= MAX_WITCH_QUEUE) throw queueIsFull();
    const { promise, resolve, reject } = Promise.withResolvers<WitchMessage>();
    const timer = this.#clock.after(timeoutMs, () => this.#tooLate(question, timeoutMs));
    const question: Question = { line, resolve, reject, timer };
    const abort = () => this.#withdraw(question, signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    this.#queue.push(question);
    this.#sendNext();
    try {
      return await promise;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Closes the connection; what waits is rejected. Harmless when closed. */
  async close(): Promise<void> {
    this.#end(new ClosedError(`Connection to ${this.remote} was closed`), true);
    await this.closed;
  }

  /** The error for an answer that cannot be. */
  unreadable(why: string): InvalidPacketError {
    return new InvalidPacketError("bad-message", `Cannot read an answer of ${this.remote}: ${why}`);
  }

  #sendNext(): void {
    if (this.#asked !== undefined || this.#writing) return;
    const question = this.#asked = this.#queue.shift();
    if (question === undefined) return;
    this.#writing = true;
    // What breaks the write ends the reading too, which has the answer if one came first: why it was refused.
    void this.#connection.write(question.line).catch(() => {}).then(() => {
      this.#writing = false;
      this.#sendNext();
    });
  }

  async #readAll(): Promise<unknown> {
    const connection = this.#connection;
    const buffer = new Uint8Array(READ_BYTES);
    try {
      for (let n = await connection.read(buffer); n !== null; n = await connection.read(buffer)) {
        this.#reader.push(buffer.subarray(0, n));
        for (let value = this.#reader.next(); value !== undefined; value = this.#reader.next()) {
          this.#take(value);
        }
        this.#sendNext(); // only now: what came before it was sent is not its answer
      }
      this.#reader.end();
      this.#end(new ClosedError(`Connection to ${this.remote} was closed by the other side`), true);
    } catch (error) {
      this.#end(error);
    }
    return this.#why;
  }

  #take(value: unknown): void {
    const question = this.#asked;
    if (question === undefined) throw this.unreadable("nobody asked for it");
    if (!isMessage(value)) throw this.unreadable("it is no object");
    this.#asked = undefined;
    question.timer.cancel();
    question.resolve(value);
  }

  #tooLate(question: Question, timeoutMs: number): void {
    const text = `No answer of ${this.remote} came within timeoutMs ${timeoutMs}`;
    const error = new TimeoutError(text, { details: { limit: "timeoutMs", max: timeoutMs } });
    if (question === this.#asked) this.#end(error);
    else this.#withdraw(question, error);
  }

  /** Gives a request up. One that was sent keeps its place and its time: the next line is its answer all the same. */
  #withdraw(question: Question, reason: unknown): void {
    const index = this.#queue.indexOf(question);
    if (index >= 0) this.#queue.splice(index, 1);
    if (question !== this.#asked) question.timer.cancel();
    question.reject(reason);
  }

  /** @param orderly Whether a side closed it, and nothing went wrong. */
  #end(error: unknown, orderly = false): void {
    if (this.#ended !== undefined) return;
    const text = `Connection to ${this.remote} was closed after an error`;
    const ended = error instanceof ClosedError ? error : new ClosedError(text, { cause: error });
    this.#ended = ended;
    this.#why = orderly ? undefined : error;
    this.#connection.close();
    const asked = this.#asked;
    this.#asked = undefined;
    if (asked !== undefined) this.#withdraw(asked, error);
    for (const question of this.#queue.splice(0)) this.#withdraw(question, ended);
  }
}

/** A request, from the queue to its answer. */
interface Question {
  readonly line: Uint8Array;
  readonly resolve: (answer: WitchMessage) => void;
  readonly reject: (error: unknown) => void;
  /** Ends its time. */
  readonly timer: Timer;
}

function queueIsFull(): LimitError {
  const text = `There are ${MAX_WITCH_QUEUE} requests waiting already (MAX_WITCH_QUEUE)`;
  return new LimitError("limit", text, {
    details: { limit: "MAX_WITCH_QUEUE", max: MAX_WITCH_QUEUE },
  });
}
