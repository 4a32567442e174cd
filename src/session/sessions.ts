/**
 * The side that takes offers: sessions that others open on an endpoint's port, between kith peers and, where it is
 * wanted, in the dialect of the peerpy peer.
 *
 * @module
 */

import type { Accepted } from "../endpoint/acceptor.ts";
import { linkOf, type RequestContext } from "../endpoint/dispatcher.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { Link } from "../endpoint/link.ts";
import { ClosedError, HandshakeError, LimitError, PeerError, RemoteError } from "../errors.ts";
import { layerLog, printable } from "../log.ts";
import { type Connection, formatAddress } from "../transport/transport.ts";
import type { MessageBody } from "../wire/message.ts";
import { encodeTextHeader, parseHello, type TextHello } from "../wire/text_header.ts";
import { MAX_DATA_BYTES, noPickles } from "./data_type.ts";
import { Intake } from "./intake.ts";
import { parseTerms } from "./native.ts";
import { hasSession, NativeSession, peerOf } from "./native_session.ts";
import { PeerpySession } from "./peerpy_session.ts";
import { ANSWER_MS, type Session, type SessionOffer } from "./session.ts";
import { type SessionTerms, sessionTerms } from "./terms.ts";
import { TextReader } from "./text_reader.ts";

/** Sessions at the same time unless told otherwise: each may hold the largest data, and a descriptor. */
export const MAX_SESSIONS = 256;

/** The request for a session. */
const OPEN = "session.open";

/** What a caller is told where the application gives no reason. */
const NO_REASON = "No reason given";

/** How long sessions may take to close in order when all are closed. */
const CLOSE_ALL_MS = 5_000;

/**
 * What an application says to an offer: whether it wants the session, or why it does not. With a `size` it wants the
 * stream and knows, as the other side does, how large each data is.
 */
export type Verdict = boolean | string | { readonly size: number };

/** How to take sessions. */
export interface SessionsOptions {
  /** Decides about an offer. */
  accept: (offer: SessionOffer) => Verdict | Promise<Verdict>;
  /** Further wires to speak; they are plain text, and who calls is not authenticated. @default {[]} */
  dialects?: readonly "peerpy"[];
  /** Sessions at the same time, those that nobody has iterated over yet included. @default {256} */
  maxSessions?: number;
  /**
   * How long the decision may take, in milliseconds; later is a denial, for the caller has given up. Also how long a
   * peerpy session is idle before it sends a PING.
   *
   * @default {2000}
   */
  timeoutMs?: number;
  /** Largest data in bytes, both ways. @default {16777216} */
  maxDataBytes?: number;
}

interface Arrived {
  readonly session: Session;
  /** Called when somebody has it. */
  readonly taken: () => void;
}

/**
 * Takes the sessions that others open. Iterate over it to get them; leaving the loop loses none. They end with it.
 *
 * Counts `session.accepted`, `session.denied` and, by what ended them, `session.failed.CODE`.
 *
 * @example
 * ```ts
 * import { Endpoint } from "@kith/kith/endpoint";
 * import { connectSession, Sessions } from "@kith/kith/session";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const self = { name: "alice", capabilities: [], agent: "example" };
 * await using bob = await Endpoint.open({ transport: network.host("bob"), self, port: 1 });
 * await using sessions = Sessions.open(bob, { accept: ({ strict }) => strict || "Only strict ones" });
 *
 * await using alice = await Endpoint.open({ transport: network.host("a"), self, clientOnly: true });
 * const connect = () => alice.connect({ hostname: "bob", port: 1 });
 * await assertRejects(async () => connectSession(alice, await connect()), Error, "Only strict ones");
 * await using session = await connectSession(alice, await connect(), { strict: true });
 * for await (const { from } of sessions) {
 *   assertEquals(from.name, "alice");
 *   break;
 * }
 * ```
 */
export class Sessions implements AsyncDisposable, AsyncIterable<Session> {
  readonly #endpoint: Endpoint;
  readonly #options: Required<SessionsOptions>;
  readonly #handlers = new DisposableStack();
  readonly #arrived: Intake<Arrived>;
  readonly #active = new Set<Session>();
  readonly #asking = new Set<Link>();
  // Sessions that are decided about, at work, or over and not yet given to the application.
  #slots = 0;
  #closing: Promise<void> | undefined;

  private constructor(endpoint: Endpoint, options: SessionsOptions) {
    this.#endpoint = endpoint;
    this.#options = {
      dialects: [],
      maxSessions: MAX_SESSIONS,
      timeoutMs: ANSWER_MS,
      maxDataBytes: MAX_DATA_BYTES,
      ...options,
    };
    this.#arrived = new Intake(this.#options.maxSessions);
  }

  /** Takes sessions from now on. @throws {TypeError} when somebody takes an endpoint's sessions already. */
  static open(endpoint: Endpoint, options: SessionsOptions): Sessions {
    const sessions = new Sessions(endpoint, options);
    using handlers = new DisposableStack();
    const scope = "msg";
    handlers.use(
      endpoint.handle(OPEN, (body, call) => sessions.#open(body, call), { scope }),
    );
    for (const dialect of new Set(options.dialects)) {
      handlers.use(endpoint.take(dialect, (accepted) => sessions.#takePeerpy(accepted)));
    }
    sessions.#handlers.use(handlers.move());
    return sessions;
  }

  /** The sessions at work. */
  get active(): ReadonlySet<Session> {
    return this.#active;
  }

  /** The sessions in the order in which they were accepted, until this is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Session, void, void> {
    for await (const { session, taken } of this.#arrived) {
      taken();
      yield session;
    }
  }

  /** Takes no more offers and closes the sessions, in order where that takes no longer than 5 s. Harmless when closed. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  /** The same as {@linkcode Sessions.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    this.#handlers.dispose();
    this.#arrived.end();
    const options = { timeoutMs: CLOSE_ALL_MS };
    // What goes wrong is for the owner of the session to see, in `closed`.
    await Promise.all(
      [...this.#active].map((session) => session.close("", options).catch(() => {})),
    );
  }

  /** Answers `session.open`. */
  async #open(body: MessageBody, call: RequestContext): Promise<MessageBody> {
    const link = linkOf(call);
    const terms = parseTerms(body);
    if (link.shared) throw denied("The link is shared: a session needs one of its own");
    if (this.#asking.has(link) || hasSession(this.#endpoint, link)) {
      throw denied("The link has a session");
    }
    this.#asking.add(link);
    try {
      const offer: SessionOffer = { dialect: "native", from: peerOf(link), ...terms };
      const { maxDataBytes } = this.#options;
      await this.#admit(offer, call.signal, (terms) => {
        return new NativeSession(this.#endpoint, link, { terms, maxDataBytes });
      });
      return {};
    } finally {
      this.#asking.delete(link);
    }
  }

  /** Takes a connection that begins with a HELLO. */
  async #takePeerpy({ connection, first, signal, established }: Accepted): Promise<void> {
    const reader = new TextReader(connection, first);
    const hello = await reader.readFirst(this.#endpoint.clock, parseHello);
    established();
    const session = await this.#answer(connection, reader, hello, signal);
    await session?.closed;
  }

  async #answer(
    connection: Connection,
    reader: TextReader,
    { peerName, ...wanted }: TextHello,
    signal: AbortSignal,
  ): Promise<Session | undefined> {
    const { timeoutMs, maxDataBytes } = this.#options;
    const { clock } = this.#endpoint;
    const log = layerLog(this.#endpoint.log, "session");
    const from = { name: printable(peerName, 64), address: connection.remote };
    try {
      return await this.#admit({ dialect: "peerpy", from, ...wanted }, signal, (terms) => {
        const how = { accepts: true, timeoutMs, maxDataBytes, clock };
        return new PeerpySession({ connection, reader, terms, from, ...how });
      });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      log.info("denied a session", { from: formatAddress(connection.remote), why });
      await sayDenied(connection);
      return undefined;
    }
  }

  /** Makes a session where there is room for one and the application wants it. @throws why it is not to be. */
  async #admit(
    offer: SessionOffer,
    signal: AbortSignal,
    make: (terms: SessionTerms) => Session,
  ): Promise<Session> {
    const { maxSessions } = this.#options;
    this.#slots++;
    try {
      if (this.#slots > maxSessions) throw tooMany(maxSessions);
      if (offer.dialect === "peerpy") this.#checkPeerpy(offer);
      const verdict = await this.#ask(offer, signal);
      // Nothing waits from here on, or this could be closed without the session.
      if (this.#closing !== undefined) throw new ClosedError("No more sessions are taken");
      if (verdict === false || typeof verdict === "string") throw denied(verdict || NO_REASON);
      return this.#add(make(sessionTerms(verdict === true ? offer : { ...offer, ...verdict })));
    } catch (error) {
      this.#slots--;
      this.#endpoint.metrics.counter("session.denied").add();
      throw error;
    }
  }

  /** Nobody proves who they are in that dialect, and some of its data cannot be read safely. */
  #checkPeerpy({ dataType }: SessionOffer): void {
    if (!this.#endpoint.dispatcher.isPublic(OPEN)) {
      throw denied("Sessions are for peers that prove who they are");
    }
    if (dataType === "raw") throw noPickles();
  }

  async #ask(offer: SessionOffer, signal: AbortSignal): Promise<Verdict> {
    const { accept, timeoutMs } = this.#options;
    const over = Promise.withResolvers<never>();
    const late = () => over.reject(denied(`There was no decision in ${timeoutMs} ms`));
    const abort = () => over.reject(signal.reason);
    const timer = this.#endpoint.clock.after(timeoutMs, late);
    signal.addEventListener("abort", abort, { once: true });
    try {
      signal.throwIfAborted();
      return await Promise.race([Promise.try(() => accept(offer)), over.promise]);
    } finally {
      timer.cancel();
      signal.removeEventListener("abort", abort);
    }
  }

  #add(session: Session): Session {
    const { metrics } = this.#endpoint;
    metrics.counter("session.accepted").add();
    this.#active.add(session);
    const taken = Promise.withResolvers<void>();
    void this.#arrived.push({ session, taken: taken.resolve }, 1);
    void session.closed.then((failure) => {
      this.#active.delete(session);
      if (failure instanceof PeerError) metrics.counter(`session.failed.${codeOf(failure)}`).add();
    });
    void Promise.all([session.closed, taken.promise]).then(() => this.#slots--);
    return session;
  }
}

/** Codes of our own only: what another side calls its errors must not name counters. */
function codeOf(failure: PeerError): string {
  return failure instanceof RemoteError ? "remote" : failure.code;
}

async function sayDenied(connection: Connection): Promise<void> {
  try {
    await connection.write(encodeTextHeader({ type: "DENY" }));
  } catch (error) {
    if (!(error instanceof PeerError)) throw error; // it has gone by itself
  } finally {
    connection.close();
  }
}

function denied(reason: string): HandshakeError {
  return new HandshakeError("denied", reason, { details: { reason } });
}

function tooMany(max: number): LimitError {
  return new LimitError("limit", `There are ${max} sessions already (maxSessions)`, {
    details: { limit: "maxSessions", max },
  });
}
