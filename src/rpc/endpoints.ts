/**
 * What a server offers to be called, as types: a client typed from the server's own functions needs no generated code.
 *
 * @module
 */

import type { PeerInfo } from "../endpoint/handshake.ts";
import type { Via } from "../endpoint/dispatcher.ts";
import type { Address } from "../transport/transport.ts";
import type { BuiltIns } from "./handlers.ts";
import type { Server } from "./server.ts";

/** What an endpoint's function knows about a call besides its data. */
export interface EndpointContext {
  /** Which client calls: one id per connection, drawn when it is made. */
  readonly clientId: string;
  /** Where the call came from. */
  readonly address: Address;
  /** When the client connected, in milliseconds since 1970. */
  readonly connectedAt: number;
  /** The protocol tag that was asked for, such as `v1`; `undefined` where the caller left it open. */
  readonly protocol: string | undefined;
  /** What carried the call. */
  readonly via: Via;
  /** Who the other side has proven to be; `undefined` for datagrams and other dialects, where nobody does. */
  readonly peer: PeerInfo | undefined;
  /** Fires when the caller gives up or goes away before the answer is given. */
  readonly signal: AbortSignal;
  /** When the caller gives up, in milliseconds on the server's clock. */
  readonly deadlineMs: number;
  /** The server that was called. */
  readonly server: Server;
}

/** A function that can be called from elsewhere: it returns the answer, its promise, or an iterable of its parts. */
export type EndpointFunction = (data: never, context: EndpointContext) => unknown;

/**
 * An object of such functions by name: what `Server.registerAll` takes, and what types a client. A type alias or
 * `typeof` an object fits, an `interface` does not.
 *
 * @example
 * ```ts
 * import type { CallResult } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const endpoints = { add: ({ a, b }: { a: number; b: number }) => a + b };
 * const sum: CallResult<typeof endpoints, "add"> = endpoints.add({ a: 1, b: 2 });
 * assertEquals(sum, 3);
 * ```
 */
export type Endpoints = Readonly<Record<string, EndpointFunction>>;

/** What a client may call when nobody said what there is: anything, with anything. */
export type AnyEndpoints = Readonly<Record<string, (data: unknown) => unknown>>;

/** The names that a client of these endpoints can call: theirs, and what every server answers. */
export type CallName<E extends Endpoints> = Extract<keyof E | keyof BuiltIns, string>;

/** The function of that name: the server's own before what every server has. */
export type FunctionOf<E extends Endpoints, Name extends string> = Name extends keyof E ? E[Name]
  : Name extends keyof BuiltIns ? BuiltIns[Name]
  : never;

/** What a function takes; `unknown` where it takes nothing. */
export type InputOf<F> = F extends (data: infer I, ...rest: never[]) => unknown ? I : never;

/** What a function answers, once it is there. */
export type OutputOf<F> = F extends (...parameters: never[]) => infer O ? Awaited<O> : never;

/** What follows the name in a call: its data, which may be left out where the function does without, and options. */
export type CallArguments<E extends Endpoints, Name extends string, Options> = undefined extends
  InputOf<FunctionOf<E, Name>> ? [data?: InputOf<FunctionOf<E, Name>>, options?: Options]
  : [data: InputOf<FunctionOf<E, Name>>, options?: Options];

/** What a call gives; nothing for an endpoint that answers in parts, which is asked with `stream`. */
export type CallResult<E extends Endpoints, Name extends string> =
  OutputOf<FunctionOf<E, Name>> extends AsyncIterable<unknown> ? never
    : OutputOf<FunctionOf<E, Name>>;

/** What the parts of a streamed answer are; an answer that is not in parts is the only one. */
export type StreamPart<E extends Endpoints, Name extends string> =
  OutputOf<FunctionOf<E, Name>> extends AsyncIterable<infer Part> ? Part
    : OutputOf<FunctionOf<E, Name>>;
