/**
 * One message at work: what its handler knows of it, and what became of it.
 *
 * @module
 */

import type { Address } from "../transport/transport.ts";
import type { Trace } from "../trace.ts";
import type { MessageBody, NativeMessage } from "../wire/message.ts";
import { endpointOf, type RequestContext, type Via } from "./dispatcher.ts";
import type { PeerInfo } from "./handshake.ts";
import type { Link } from "./link.ts";
import { Credit } from "./stream.ts";
import { termsOf } from "./terms.ts";
import type { Step } from "./tracing.ts";

/** How a message came. */
export interface Arrival {
  /** When, on the endpoint's clock. */
  readonly atMs: number;
  /** The length of its frame: what it weighs while it waits or is at work. */
  readonly bytes: number;
}

/** A message at work. Its signal is made only when a handler asks for it, which few do. */
export class Call implements RequestContext {
  readonly link: Link;
  readonly header: string;
  readonly deadlineMs: number;
  /** What its answer goes by; 0 where none is wanted. */
  readonly id: number;
  /** What the handler gets. */
  readonly body: MessageBody;
  /** What it weighs. */
  readonly bytes: number;
  /** How much of an answer in parts may be sent; `undefined` where one was not asked for. */
  readonly credit: Credit | undefined;
  /** What the caller says that it is a part of. */
  readonly came: Trace | undefined;
  /** What it is here, where anybody wants to see it. */
  step: Step | undefined;
  #controller: AbortController | undefined;
  #cancelled = false;
  #reason: unknown;

  /** A call that came on `link`. @throws {InvalidPacketError} when its terms are none. */
  constructor(link: Link, message: NativeMessage, arrival: Arrival) {
    const { body, timeoutMs, credit, trace } = termsOf(message.body);
    this.link = link;
    this.header = message.header;
    this.id = message.msgId;
    this.body = body;
    this.bytes = arrival.bytes;
    this.deadlineMs = arrival.atMs + timeoutMs;
    this.credit = credit === undefined ? undefined : new Credit(credit);
    this.came = trace;
  }

  get trace(): Trace | undefined {
    return this.step?.trace;
  }

  get endpoint(): string {
    return endpointOf(this.header);
  }

  get remote(): Address {
    return this.link.remote;
  }

  get via(): Via {
    return this.link.via;
  }

  get peer(): PeerInfo {
    return this.link.peer;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#cancelled) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Whether nobody waits for its answer any more. */
  get cancelled(): boolean {
    return this.#cancelled;
  }

  /** Tells the handler that nobody waits any more. */
  cancel(reason: unknown): void {
    if (this.#cancelled) return;
    this.#cancelled = true;
    this.#reason = reason;
    this.#controller?.abort(reason);
    this.credit?.cancel(reason);
  }
}
