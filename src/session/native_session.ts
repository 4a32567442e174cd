/**
 * One native session: the messages of `native.ts` on the one side, data on the other.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { linkOf } from "../endpoint/dispatcher.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { Link } from "../endpoint/link.ts";
import {
  ClosedError,
  HandshakeError,
  InvalidPacketError,
  PeerError,
  RemoteError,
  TimeoutError,
} from "../errors.ts";
import { printable } from "../log.ts";
import type { Address } from "../transport/transport.ts";
import type { MessageBody } from "../wire/message.ts";
import { decodeData, encodeData, parseDataType } from "./data_type.ts";
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

/** Longest reason of the other side that is kept. */
const MAX_REASON_CHARS = 500;

// An endpoint has one handler for the data of all its sessions, those it opened and those it accepted, as long as it
// lives.
const sessionsOfEndpoints = new WeakMap<Endpoint, Map<Link, NativeSession>>();

/** What a {@linkcode NativeSession} needs besides its link. */
export interface NativeSessionOptions {
  /** What is agreed on. */
  terms: SessionTerms;
  /** Largest data in bytes. */
  maxDataBytes: number;
}

/** A session over a link; see the module. */
export class NativeSession implements Session {
  /** See {@linkcode Session}. */
  readonly dialect = "native";
  /** See {@linkcode Session}. */
  readonly terms: SessionTerms;
  /** See {@linkcode Session}. */
  readonly from: SessionPeer;
  /** See {@linkcode Session}. */
  readonly closed: Promise<unknown>;
  /** See {@linkcode Session}. */
  closeReason = "";
  readonly #link: Link;
  readonly #clock: Clock;
  readonly #maxDataBytes: number;
  readonly #sizeOut: StreamSize;
  readonly #sizeIn: StreamSize;
  readonly #intake = new Intake<unknown>(INTAKE_BYTES);
  readonly #closed = Promise.withResolvers<unknown>();
  #sent = 0;
  #taken = 0;
  #closing: Promise<void> | undefined;
  #over = false;
  #failure: unknown;

  /** Takes the data that comes on the link from now on. */
  constructor(endpoint: Endpoint, link: Link, { terms, maxDataBytes }: NativeSessionOptions) {
    this.terms = terms;
    this.from = peerOf(link);
    this.closed = this.#closed.promise;
    this.#link = link;
    this.#clock = endpoint.clock;
    this.#maxDataBytes = maxDataBytes;
    this.#sizeOut = new StreamSize(terms);
    this.#sizeIn = new StreamSize(terms);
    const sessions = sessionsOf(endpoint);
    sessions.set(link, this);
    void link.closed.then((why) => {
      sessions.delete(link);
      this.#end(why ?? new ClosedError(`The connection to ${link.label} ended within a session`));
    });
  }

  /** See {@linkcode Session}. */
  get remote(): Address {
    return this.#link.remote;
  }

  /** See {@linkcode Session}. */
  async send(data: unknown, options: SendDataOptions = {}): Promise<void> {
    if (this.#over || this.#closing !== undefined) throw overError(this.#failure);
    const type = typeToSend(this.terms, options.type);
    const bytes = encodeData(type, data, this.#encoding);
    this.#sizeOut.sending(bytes.length);
    // Waiting until it has left is more than waiting for room.
    void this.#link.post("session.data", { type, data: bytes })?.catch(() => {});
    this.#sent++;
    await this.#link.flush();
  }

  /** See {@linkcode Session}. */
  [Symbol.asyncIterator](): AsyncIterator<unknown, undefined, void> {
    return this.#intake[Symbol.asyncIterator]();
  }

  /** See {@linkcode Session}. */
  close(reason: string = "", options: CloseSessionOptions = {}): Promise<void> {
    return this.#closing ??= this.#close(reason, options.timeoutMs ?? CLOSE_MS);
  }

  /** See {@linkcode Session}. */
  async [Symbol.asyncDispose](): Promise<void> {
    // It must not hide the error that ended the block; `closed` has it.
    await this.close().catch(() => {});
  }

  /** Takes `session.data`. @returns what to wait for before more is read. */
  take({ type, data }: MessageBody): Promise<void> | undefined {
    // What was on its way when the session was closed here is not counted as taken, which the other side is told.
    if (this.#over || this.#closing !== undefined) return undefined;
    try {
      if (!(data instanceof Uint8Array)) throw badField("session.data", "data");
      const value = this.#decode(type, data);
      this.#taken++;
      return this.#intake.push(value, data.length + VALUE_COST_BYTES);
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      this.#say({ reason: error.message, code: error.code });
      this.#end(error);
      return undefined;
    }
  }

  /** Takes `session.close`. */
  takeClose({ reason, code, taken }: MessageBody): void {
    if (this.#over) return;
    const text = typeof reason === "string" ? printable(reason, MAX_REASON_CHARS) : "";
    if (typeof code === "string") return this.#end(failureOf(this.#link, code, text));
    this.closeReason = text;
    if (this.#closing === undefined) this.#say({ reason: "" });
    // All of theirs has come, whatever became of ours.
    this.#intake.end();
    this.#end(taken === this.#sent ? undefined : notTaken(taken, this.#sent));
  }

  /** Ends it at once, for a reason of our own, and closes the link. */
  async giveUp(reason: unknown): Promise<void> {
    this.#end(reason);
    await this.closed;
  }

  get #encoding(): { dialect: "native"; maxDataBytes: number } {
    return { dialect: "native", maxDataBytes: this.#maxDataBytes };
  }

  #decode(typeName: unknown, bytes: Uint8Array): unknown {
    const type = parseDataType(typeName);
    checkType(this.terms, type);
    this.#sizeIn.received(bytes.length);
    // The link's buffer is overwritten by the next read.
    return decodeData(type, type === "bytes" ? bytes.slice() : bytes, this.#encoding);
  }

  async #close(reason: string, timeoutMs: number): Promise<void> {
    this.#intake.end();
    if (!this.#over) this.#say({ reason });
    const timer = this.#clock.after(timeoutMs, () => this.#end(notAcknowledged(timeoutMs)));
    const failure = await this.closed;
    timer.cancel();
    if (failure !== undefined) throw failure;
  }

  /** Sends `session.close`, if the link is still there; else its end says the rest. */
  #say(body: MessageBody): void {
    try {
      void this.#link.post("session.close", { ...body, taken: this.#taken })?.catch(() => {});
    } catch (error) {
      if (!(error instanceof ClosedError)) throw error;
    }
  }

  #end(failure: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#failure = failure;
    this.#intake.end(failure);
    void this.#link.close().then(() => this.#closed.resolve(failure));
  }
}

/** Whether a link has a session. */
export function hasSession(endpoint: Endpoint, link: Link): boolean {
  return sessionsOf(endpoint).has(link);
}

/** The other side of a link. */
export function peerOf({ peer, remote }: Link): SessionPeer {
  return { peerId: peer.peerId, name: printable(peer.name, 64), address: remote };
}

/** The sessions of an endpoint by their links; the first time it also registers the handlers. */
function sessionsOf(endpoint: Endpoint): Map<Link, NativeSession> {
  const known = sessionsOfEndpoints.get(endpoint);
  if (known !== undefined) return known;
  const sessions = new Map<Link, NativeSession>();
  const inline = { inline: true, access: "public" } as const; // whoever may open may do the rest
  endpoint.handle("session.data", (body, call) => sessions.get(linkOf(call))?.take(body), inline);
  endpoint.handle(
    "session.close",
    (body, call) => sessions.get(linkOf(call))?.takeClose(body),
    inline,
  );
  sessionsOfEndpoints.set(endpoint, sessions);
  return sessions;
}

/** What the other side ended the session for. */
function failureOf(link: Link, code: string, reason: string): PeerError {
  const text = `${link.label} ended the session: ${reason}`;
  if (code === "strict-violation") return new HandshakeError(code, text, { details: { reason } });
  return new RemoteError(printable(code, 40), text, { details: { reason } });
}

function notTaken(taken: unknown, sent: number): ClosedError {
  const count = typeof taken === "number" ? taken : 0;
  return new ClosedError(`The session was closed when ${count} of ${sent} data had been taken`, {
    details: { taken: count, sent },
  });
}

function notAcknowledged(timeoutMs: number): TimeoutError {
  return new TimeoutError(`Cannot close the session in order: nothing taken in ${timeoutMs} ms`, {
    details: { limit: "timeoutMs", max: timeoutMs },
  });
}

/** A field of a message is missing or wrong. */
export function badField(header: string, field: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot read ${header}: bad ${field}`, {
    details: { field },
  });
}
