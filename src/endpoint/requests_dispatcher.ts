/**
 * What comes in packets, and who takes it: handlers for each service code, an inbox for each sender.
 *
 * ```
 * packet -> RequestsEndPoint -> RequestEvent -> submit -> inbox of its sender -> slot -> handler of its code
 * ```
 *
 * An event is handled at once as long as nobody waits. After 64 of them everybody else has a turn; what is submitted
 * meanwhile, or while all slots are taken, waits in the inbox of its sender, from which one sender after the other is
 * served. When an inbox is full its newest event is dropped and counted: over UDP whoever misses an answer asks again.
 *
 * Source: the PeerConnect requests module, `RequestsDispatcher` and `RequestEvent`.
 *
 * @module
 */

import { type Logger, printable, silentLogger } from "../log.ts";
import { type Counter, Metrics } from "../metrics.ts";
import { type Address, formatAddress } from "../transport/transport.ts";
import type { WireData } from "../wire/message.ts";
import { FairInbox, type Priority } from "./inbox.ts";
import { HandlerSlots } from "./slots.ts";
import { MESSAGES_A_TURN, Turns } from "./turns.ts";

/** A message that came in a packet. */
export interface RequestEvent {
  /** The service code of its packet, the seed's `root_code`: who it is for. {@linkcode UNCODED} where it had none. */
  readonly rootCode: number;
  /** The message; that of a native code is a `NativeMessage`. Nothing in it is a view of the packet. */
  readonly request: WireData;
  /** Where it came from, the only address that an answer may go to. */
  readonly fromAddr: Address;
  /** Bytes of its packet, which bound those of the answer. @default no bound: it came in no packet */
  readonly packetBytes?: number;
}

/** Takes an event. What it throws is logged and counted and goes no further. */
export type RequestHandler = (event: RequestEvent) => void | Promise<void>;

/** How the events of a service code are handled. No function may throw. */
export interface RegisterOptions {
  /**
   * Tells which events of the code are the handler's, where several parts share one. Those that take only some are asked
   * first, the newest of them first; what none of them takes is for the one that takes the rest. @default all events
   */
  takes?: (event: RequestEvent) => boolean;
  /** What goes first when more events of one sender wait. @default {"request"} */
  priority?: Priority | ((event: RequestEvent) => Priority);
  /**
   * Tells which events wait for no turn and no slot, because handlers at work may be waiting for them: answers, and
   * what is refused before it is worth a place. Handling one must cost no more than reading it, and be done when the handler returns. @default none
   */
  urgent?: (event: RequestEvent) => boolean;
}

/** What a {@linkcode RequestsDispatcher} shares with others. */
export interface RequestsDispatcherOptions {
  /** The slots that handlers run in. @default slots of its own */
  slots?: HandlerSlots;
  /** Who else has turns. @default nobody */
  turns?: Turns;
  /** Hears of handlers that fail. @default {silentLogger} */
  log?: Logger;
  /** Counts `requests.*`. @default {new Metrics()} */
  metrics?: Metrics;
}

interface Registration {
  readonly handler: RequestHandler;
  readonly takes: ((event: RequestEvent) => boolean) | undefined;
  readonly priority: Priority | ((event: RequestEvent) => Priority);
  readonly urgent: ((event: RequestEvent) => boolean) | undefined;
}

interface Waiting {
  readonly registration: Registration;
  readonly event: RequestEvent;
}

const MAX_CODE = 0xff;

/**
 * Stands for the service code of packets that have none: PeerConnect's question whether somebody is still there. It is
 * no byte, so that no packet can claim it.
 */
export const UNCODED: number = MAX_CODE + 1;

/**
 * A table from service codes to handlers, and the queue before them; see the module.
 *
 * @example
 * ```ts
 * import { RequestsDispatcher } from "@kith/kith";
 * import { SERVICE_CODE, wireData } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const dispatcher = new RequestsDispatcher();
 * const heard: unknown[] = [];
 * using gossip = dispatcher.register(SERVICE_CODE.gossip, ({ request }) => {
 *   heard.push(request.body.text);
 * });
 * dispatcher.submit({
 *   rootCode: SERVICE_CODE.gossip,
 *   request: wireData("rumor", { text: "hello" }),
 *   fromAddr: { hostname: "192.168.1.10", port: 54_321 },
 * });
 * assertEquals(heard, ["hello"]);
 * ```
 */
export class RequestsDispatcher implements Disposable {
  readonly #slots: HandlerSlots;
  readonly #turns: Turns;
  readonly #log: Logger;
  readonly #unknown: Counter;
  readonly #dropped: Counter;
  readonly #handlerErrors: Counter;
  // Who takes the rest of a code's events stands last. The lists are replaced, never changed.
  readonly #registrations = new Map<number, readonly Registration[]>();
  #inbox = new FairInbox<Waiting>();
  #leftThisTurn = MESSAGES_A_TURN;
  #resting = false;
  #awaitsSlot = false;

  /** A dispatcher without handlers. */
  constructor(options: RequestsDispatcherOptions = {}) {
    const { slots = new HandlerSlots(), turns = new Turns() } = options;
    const { log = silentLogger, metrics = new Metrics() } = options;
    this.#slots = slots;
    this.#turns = turns;
    this.#log = log;
    this.#unknown = metrics.counter("requests.unknown-code");
    this.#dropped = metrics.counter("requests.dropped");
    this.#handlerErrors = metrics.counter("requests.handler-errors");
  }

  /** How many events wait. */
  get waiting(): number {
    return this.#inbox.size;
  }

  /** Whether a service code has a handler. */
  has(code: number): boolean {
    return this.#registrations.has(code);
  }

  /**
   * Registers the handler of a service code, or of {@linkcode UNCODED} packets. @returns what takes it back.
   *
   * @throws {RangeError} when the code is neither a byte nor `UNCODED`. @throws {TypeError} when the code has a handler
   * that takes everything, or the rest, and this one would too.
   */
  register(code: number, handler: RequestHandler, options: RegisterOptions = {}): Disposable {
    const { priority = "request", takes, urgent } = options;
    if (!(Number.isInteger(code) && code >= 0 && code <= UNCODED)) {
      throw new RangeError(`Service code must be 0..${MAX_CODE}: current value is ${code}`);
    }
    const others = this.#registrations.get(code) ?? [];
    if (takes === undefined && others.some((other) => other.takes === undefined)) {
      throw new TypeError(`Cannot register service code ${code}: it has a handler already`);
    }
    const registration: Registration = { handler, takes, priority, urgent };
    const all = takes === undefined ? [...others, registration] : [registration, ...others];
    this.#registrations.set(code, all);
    return { [Symbol.dispose]: () => this.#unregister(code, registration) };
  }

  /**
   * Takes an event: handles it now, or when it is its sender's turn. It never throws.
   *
   * @returns `false` when it was dropped, because the inbox of its sender is full or nobody takes it.
   */
  submit(event: RequestEvent): boolean {
    const registration = this.#registrationFor(event);
    if (registration === undefined) {
      this.#unknown.add();
      return false;
    }
    if (registration.urgent?.(event)) {
      void this.#call(registration, event);
      return true;
    }
    const isNobodysTurn = this.#inbox.size === 0 && !this.#resting;
    if (isNobodysTurn && this.#slots.enter()) {
      this.#occupy(registration, event);
      return true;
    }
    return this.#queue(registration, event);
  }

  /** Forgets what waits and every handler. Harmless when closed. */
  close(): void {
    this.#registrations.clear();
    this.#inbox = new FairInbox();
    this.#slots.drop(this);
    this.#awaitsSlot = false;
  }

  /** The same as {@linkcode RequestsDispatcher.close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  #registrationFor(event: RequestEvent): Registration | undefined {
    for (const registration of this.#registrations.get(event.rootCode) ?? []) {
      if (registration.takes?.(event) ?? true) return registration;
    }
    return undefined;
  }

  #unregister(code: number, registration: Registration): void {
    const others = this.#registrations.get(code)?.filter((other) => other !== registration) ?? [];
    if (others.length > 0) this.#registrations.set(code, others);
    else this.#registrations.delete(code);
  }

  #queue(registration: Registration, event: RequestEvent): boolean {
    const { priority } = registration;
    const rank = typeof priority === "function" ? priority(event) : priority;
    const taken = this.#inbox.push(senderOf(event.fromAddr), rank, { registration, event });
    if (!taken) this.#dropped.add();
    this.#drain();
    return taken;
  }

  /** Handles what waits, as long as it is our turn and there are slots. */
  #drain(): void {
    while (!this.#resting && this.#inbox.size > 0) {
      if (!this.#slots.enter()) return this.#awaitSlot();
      this.#occupyNext();
    }
  }

  // One place in the line for slots, whatever waits here: it is the links that packets compete with there.
  #awaitSlot(): void {
    if (this.#awaitsSlot) return;
    this.#awaitsSlot = this.#slots.wait(this, "request", () => {
      this.#awaitsSlot = false;
      this.#occupyNext();
      this.#drain();
    });
    if (!this.#awaitsSlot) this.#rest(); // no room even in that line
  }

  #occupyNext(): void {
    const next = this.#inbox.shift();
    if (next === undefined) this.#slots.leave();
    else this.#occupy(next.registration, next.event);
  }

  /** Calls a handler in a slot that is taken, and gives it back. */
  #occupy(registration: Registration, event: RequestEvent): void {
    if (--this.#leftThisTurn <= 0) this.#rest();
    const working = this.#call(registration, event);
    if (working === undefined) this.#slots.leave();
    else void working.then(() => this.#slots.leave());
  }

  /** Lets everybody else have a turn. */
  #rest(): void {
    if (this.#resting) return;
    this.#resting = true;
    void this.#turns.next().then(() => {
      this.#resting = false;
      this.#leftThisTurn = MESSAGES_A_TURN;
      this.#drain();
    });
  }

  /** Calls a handler. @returns what to wait for until it is done, `undefined` when it is. Never throws or rejects. */
  #call({ handler }: Registration, event: RequestEvent): Promise<void> | undefined {
    try {
      const working = handler(event);
      if (working instanceof Promise) return working.catch((error) => this.#failed(event, error));
    } catch (error) {
      this.#failed(event, error);
    }
    return undefined;
  }

  #failed({ rootCode, fromAddr }: RequestEvent, error: unknown): void {
    this.#handlerErrors.add();
    this.#log.error("a handler of packets failed", {
      code: rootCode,
      from: printable(formatAddress(fromAddr), 100),
      error: printable(String(error)),
    });
  }
}

/**
 * Who shares an inbox: what comes from one host, because it may send from 65,535 ports. On this machine the ports are
 * different programs.
 */
function senderOf({ hostname, port }: Address): string {
  const isLoopback = hostname.startsWith("127.") || hostname === "::1";
  return isLoopback ? `${hostname}:${port}` : hostname;
}
