/**
 * The command line that a verb runs for: its stdin, its signals, and whether it is still there.
 *
 * @module
 */

import { ClosedError, InvalidPacketError } from "../../errors.ts";
import type { ControlLine } from "./control_line.ts";
import { badField, type ControlMessage } from "./messages.ts";

/** Pieces of stdin that are asked for ahead of the verb, so that it need not wait for each to be asked for. */
const AHEAD = 4;

/** See the module. */
export class Remote implements AsyncDisposable {
  /** Fires when the command line is interrupted or gone, or the peer is closed. */
  readonly signal: AbortSignal;
  /** Its stdin, read as far as it is wanted. */
  readonly stdin: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly #line: ControlLine;
  readonly #gone = new AbortController();
  readonly #toggles = new Set<() => void>();
  /** Takes stdin, until that has ended. */
  #input: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>> | undefined;
  #asked = 0;
  #over = false;

  /** Listens to it from now on. */
  constructor(line: ControlLine, closing: AbortSignal) {
    this.#line = line;
    this.signal = AbortSignal.any([this.#gone.signal, closing]);
    this.stdin = new ReadableStream({
      start: (controller) => void (this.#input = controller),
      pull: () => this.#askAhead(),
      cancel: () => void (this.#input = undefined),
    }, { highWaterMark: 0 });
    void this.#listen();
  }

  /** See `Host.onToggle`. */
  onToggle(toggle: () => void): Disposable {
    this.#toggles.add(toggle);
    this.#line.send({ type: "pausable" });
    return { [Symbol.dispose]: () => this.#toggles.delete(toggle) };
  }

  /** Listens no more, once what was said has left; the line is closed then. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#over = true;
    await this.#line.flushed().catch(() => {}); // it is gone
  }

  /** Takes what it says until the line closes. Never rejects. */
  async #listen(): Promise<void> {
    try {
      for (
        let message = await this.#line.receive();
        message !== undefined;
        message = await this.#line.receive()
      ) this.#take(message);
      this.#end(gone());
    } catch (error) {
      this.#end(error instanceof ClosedError ? gone() : error);
    }
  }

  #take(message: ControlMessage): void {
    if (message.type === "cancel") {
      this.#gone.abort(new DOMException("Interrupted", "AbortError"));
    } else if (message.type === "toggle") {
      for (const toggle of this.#toggles) toggle();
    } else if (message.type === "input") {
      this.#give(bytesOf(message));
    } else {
      throw badField("type");
    }
  }

  /** A line that broke, or said what cannot be read, ends its verb. */
  #end(why: unknown): void {
    if (!this.#over) this.#gone.abort(why);
    this.#input?.error(why);
    this.#input = undefined;
  }

  #askAhead(): void {
    for (; this.#asked < AHEAD; this.#asked++) this.#line.send({ type: "read" });
  }

  /** Takes a piece of stdin, or its end. */
  #give(bytes: Uint8Array<ArrayBuffer> | undefined): void {
    if (this.#asked-- === 0) throw badField("type"); // nobody asked for it, and nobody may read it
    if (bytes !== undefined) return this.#input?.enqueue(bytes);
    this.#input?.close();
    this.#input = undefined;
  }
}

function gone(): DOMException {
  return new DOMException("The command line is gone", "AbortError");
}

/** What stood on stdin; `undefined` for its end. */
function bytesOf({ bytes }: ControlMessage): Uint8Array<ArrayBuffer> | undefined {
  if (bytes === null) return undefined;
  if (typeof bytes !== "string") throw badField("bytes");
  try {
    return Uint8Array.fromBase64(bytes);
  } catch (cause) {
    throw new InvalidPacketError("bad-message", "Cannot read control message: bad bytes", {
      cause,
    });
  }
}
