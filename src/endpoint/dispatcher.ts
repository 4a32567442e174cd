/**
 * Which handler takes which message, and what it passes through on the way there.
 *
 * @module
 */

import { NotFoundError, UnsupportedError } from "../errors.ts";
import { printable } from "../log.ts";
import type { Address } from "../transport/transport.ts";
import type { Trace } from "../trace.ts";
import type { MessageBody } from "../wire/message.ts";
import { type AccessLevel, type AccessRules, guarded, type IsInvited } from "./access_levels.ts";
import type { PeerInfo } from "./handshake.ts";
import type { Priority } from "./inbox.ts";
import type { Link } from "./link.ts";

/** How a message came. */
export type Via = "tcp" | "websocket" | "udp" | "memory";

/** What a handler knows about the message besides its body. */
export interface RequestContext {
  /** Its header. */
  readonly header: string;
  /** The header without a protocol's tag: an endpoint `add` may be called as `add` or `v1/add`. For who may call what. */
  readonly endpoint: string;
  /** Where it came from. */
  readonly remote: Address;
  /** How it came. */
  readonly via: Via;
  /** Who the other side has proven to be; `undefined` where nobody does, as over UDP and in dialects. */
  readonly peer: PeerInfo | undefined;
  /** The connection it came on, `undefined` over UDP; answers go back by themselves. */
  readonly link: Link | undefined;
  /** When the caller gives up, in milliseconds on the endpoint's clock. */
  readonly deadlineMs: number;
  /** Fires when the caller cancels, or the connection ends, before the answer is given. */
  readonly signal: AbortSignal;
  /** What it is a part of, where anybody wants to see that; what the handler asks of others is a part of it by itself. */
  readonly trace?: Trace | undefined;
}

/** What an endpoint is called, under whichever protocol's tag. */
export function endpointOf(header: string): string {
  return header.slice(header.lastIndexOf("/") + 1);
}

/** What to say where nobody handles a header: `No endpoint "add" here (v1)`. */
export function noEndpoint(header: string): NotFoundError {
  const name = printable(endpointOf(header), 64);
  const tag = header.slice(0, Math.max(0, header.lastIndexOf("/")));
  const under = tag === "" ? "" : ` (${printable(tag, 64)})`;
  return new NotFoundError("no-endpoint", `No endpoint "${name}" here${under}`);
}

/**
 * The connection that a message came on.
 *
 * @example A handler that asks its caller back
 * ```ts
 * import { Endpoint, linkOf } from "@kith/kith/endpoint";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const self = { name: "", capabilities: [], agent: "example" };
 * await using bob = await Endpoint.open({ transport: network.host("bob"), self, port: 1 });
 * bob.handle("greet", async (_body, context) => {
 *   return `hello, ${await linkOf(context).request("name", {})}`;
 * });
 *
 * await using alice = await Endpoint.open({ transport: network.host("a"), self, clientOnly: true });
 * alice.handle("name", () => "alice");
 * const link = await alice.connect({ hostname: "bob", port: 1 });
 * assertEquals(await link.request("greet", {}), "hello, alice");
 * ```
 *
 * @throws {UnsupportedError} when it came over UDP, which has none.
 */
export function linkOf({ link, header }: RequestContext): Link {
  if (link !== undefined) return link;
  throw new UnsupportedError(`"${printable(header, 64)}" needs a connection: ask over TCP`);
}

/**
 * Takes a message; what it returns, or its promise gives, is the answer where one is wanted. An async iterable is an
 * answer in many parts, for who asked with `stream`. An error that it throws is the caller's answer: a `PeerError` with
 * its code, anything else as `internal` without its text.
 */
export type Handler = (body: MessageBody, context: RequestContext) => unknown;

/** What every message passes through before its handler. */
export interface Middleware {
  /** What `describe` calls it. */
  readonly name: string;
  /** Does its part and calls `next`, or throws; what it returns is the answer. */
  readonly run: (
    body: MessageBody,
    context: RequestContext,
    next: (body: MessageBody) => unknown,
  ) => unknown;
}

/** How a handler is called. */
export interface HandlerOptions {
  /**
   * Give the body's byte arrays as views of the connection's buffer, valid until the handler (or its promise) is done,
   * and read nothing more from the connection until then. For streams of data, where order and speed count; other
   * handlers get copies and run side by side. @default {false}
   */
  inline?: boolean;
  /** What goes first when more messages wait than handlers may be at work. @default {"request"} */
  priority?: Priority;
  /** Who may reach it. @default what the endpoint's `access` says */
  access?: AccessLevel;
  /** What an invite must cover. @default `call:` and the endpoint's name */
  scope?: string;
}

/** A handler and how to call it. */
export interface Registration {
  /** The handler, inside what asks whether the caller may, inside the middleware. */
  readonly handler: Handler;
  /** See {@linkcode HandlerOptions}. */
  readonly inline: boolean;
  /** See {@linkcode HandlerOptions}. */
  readonly priority: Priority;
  /** See {@linkcode HandlerOptions}. */
  readonly access: AccessLevel;
  /** See {@linkcode HandlerOptions}. */
  readonly scope: string;
}

/** Who may reach the handlers of a {@linkcode Dispatcher}. */
export interface DispatcherOptions {
  /** Who may reach those that do not say. @default {"public"} */
  access?: AccessLevel;
  /** Who is invited. @default nobody */
  isInvited?: IsInvited;
  /** Whose invite is no longer good, which they are told. @default nobody's */
  lapseOf?: (context: RequestContext) => "expired" | "revoked" | undefined;
  /** Whether nobody is let in who cannot prove who they are. @default they reach what is public */
  isExclusive?: () => boolean;
}

/**
 * A table from headers to handlers.
 *
 * @example
 * ```ts
 * import { Dispatcher } from "@kith/kith/endpoint";
 * import { assertEquals } from "@std/assert";
 *
 * const dispatcher = new Dispatcher();
 * using greet = dispatcher.handle("greet", ({ name }) => `hello, ${name}`);
 * dispatcher.use({ name: "log", run: (body, _context, next) => next(body) });
 * assertEquals(dispatcher.headers, ["greet"]);
 * assertEquals(dispatcher.middleware, ["log"]);
 * ```
 */
export class Dispatcher {
  readonly #handlers = new Map<string, Registration>();
  // What messages go to: the handlers above, each inside the middleware there is.
  readonly #composed = new Map<string, Registration>();
  readonly #middleware: Middleware[] = [];
  readonly #access: AccessLevel;
  readonly #rules: AccessRules;

  /** Has no handlers yet. */
  constructor(options: DispatcherOptions = {}) {
    this.#access = options.access ?? "public";
    const { isInvited = () => false, lapseOf = () => undefined, isExclusive } = options;
    this.#rules = { isInvited, lapseOf, isExclusive };
  }

  /** The headers that have a handler. */
  get headers(): string[] {
    return [...this.#handlers.keys()];
  }

  /** The names of the middleware, outermost first. */
  get middleware(): string[] {
    return this.#middleware.map(({ name }) => name);
  }

  /** Puts a middleware around every handler, inside those there are. @returns what takes it out again. */
  use(middleware: Middleware): Disposable {
    this.#middleware.push(middleware);
    this.#composed.clear();
    return {
      [Symbol.dispose]: () => {
        const index = this.#middleware.indexOf(middleware);
        if (index >= 0) this.#middleware.splice(index, 1);
        this.#composed.clear();
      },
    };
  }

  /**
   * Registers the handler of a header. @returns what takes it back.
   *
   * @throws {TypeError} when the header has a handler, is empty, or begins with `:`, which is kith's own.
   */
  handle(header: string, handler: Handler, options: HandlerOptions = {}): Disposable {
    const { inline = false, priority = inline ? "bulk" : "request" } = options;
    const { access = this.#access, scope = `call:${endpointOf(header)}` } = options;
    if (header === "" || header.startsWith(":")) {
      throw new TypeError(
        `Cannot handle "${header}": a header is not empty and begins without ":"`,
      );
    }
    if (this.#handlers.has(header)) {
      throw new TypeError(`Cannot handle "${header}": it has a handler already`);
    }
    const registration = { handler, inline, priority, access, scope };
    this.#handlers.set(header, registration);
    return {
      [Symbol.dispose]: () => {
        if (this.#handlers.get(header) !== registration) return;
        this.#handlers.delete(header);
        this.#composed.delete(header);
      },
    };
  }

  /** Whether a header is for those, too, who cannot prove who they are; without a handler it is as handlers are by default. */
  isPublic(header: string): boolean {
    const { access = this.#access } = this.#handlers.get(header) ?? {};
    return access === "public" && !this.#rules.isExclusive?.();
  }

  /** The handler of a header, inside the middleware. */
  find(header: string): Registration | undefined {
    return this.#composed.get(header) ?? this.#compose(header);
  }

  #compose(header: string): Registration | undefined {
    const registration = this.#handlers.get(header);
    if (registration === undefined) return undefined;
    const { access, scope } = registration;
    const handler = this.#middleware.reduceRight<Handler>(
      (inner, { run }) => (body, context) => run(body, context, (body) => inner(body, context)),
      guarded(registration.handler, access, scope, this.#rules),
    );
    const composed = { ...registration, handler };
    this.#composed.set(header, composed);
    return composed;
  }
}
