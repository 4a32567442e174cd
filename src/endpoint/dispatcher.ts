/**
 * Which handler takes which message.
 *
 * @module
 */

import type { MessageBody } from "../wire/message.ts";
import type { Link } from "./link.ts";

/** What a handler knows about the message besides its body. */
export interface RequestContext {
  /** The connection it came on; answers go there by themselves. */
  readonly link: Link;
  /** Its header. */
  readonly header: string;
  /** Fires when the caller cancels, or the connection ends, before the answer is given. */
  readonly signal: AbortSignal;
}

/**
 * Takes a message; what it returns, or its promise gives, is the answer where one is wanted. An error that it throws is
 * the caller's answer: a `PeerError` with its code, anything else as `internal` without its text.
 */
export type Handler = (body: MessageBody, context: RequestContext) => unknown;

/** How a handler is called. */
export interface HandlerOptions {
  /**
   * Give the body's byte arrays as views of the connection's buffer, valid until the handler (or its promise) is done,
   * and read nothing more from the connection until then. For streams of data, where order and speed count; other
   * handlers get copies and run side by side. @default {false}
   */
  inline?: boolean;
}

/** A handler and how to call it. */
export interface Registration {
  /** The handler. */
  readonly handler: Handler;
  /** See {@linkcode HandlerOptions}. */
  readonly inline: boolean;
}

/** A table from headers to handlers. */
export class Dispatcher {
  readonly #registrations = new Map<string, Registration>();

  /**
   * Registers the handler of a header. @returns what takes it back.
   *
   * @throws {TypeError} when the header has a handler, is empty, or begins with `:`, which is kith's own.
   */
  handle(header: string, handler: Handler, options: HandlerOptions = {}): Disposable {
    const { inline = false } = options;
    if (header === "" || header.startsWith(":")) {
      throw new TypeError(
        `Cannot handle "${header}": a header is not empty and begins without ":"`,
      );
    }
    if (this.#registrations.has(header)) {
      throw new TypeError(`Cannot handle "${header}": it has a handler already`);
    }
    const registration: Registration = { handler, inline };
    this.#registrations.set(header, registration);
    return {
      [Symbol.dispose]: () => {
        if (this.#registrations.get(header) === registration) this.#registrations.delete(header);
      },
    };
  }

  /** The handler of a header. */
  find(header: string): Registration | undefined {
    return this.#registrations.get(header);
  }
}
