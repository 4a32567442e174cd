/**
 * A port over WebSockets: one connection after another, and what is said on them.
 *
 * ```
 *   send(message) -> numbered by the session, kept -> queue -> end of the turn: frames -> socket
 *   socket -> frame -> messages -> the session takes each once -> rules -> owner (connect, heartbeat) or receiver
 * ```
 *
 * The owner brings the sockets (`serve`) and decides what becomes of faults. What waits to be sent is bounded: while the
 * socket has more than a mebibyte on its way nothing leaves, and when more than `maxQueuedChars` of messages wait behind
 * it the connection is given up. What comes in is bounded by the socket's inbox, which nobody empties while the receiver
 * is behind.
 *
 * @module
 */

import { Channel } from "../channel.ts";
import type { Clock } from "../clock.ts";
import { ClosedError, LimitError, PeerError } from "../errors.ts";
import type { MessageSocket } from "../transport/transport.ts";
import { MAX_JSON_BYTES } from "../wire/json.ts";
import { closeCodeFor, dataOf, errorCodeFor } from "./close_codes.ts";
import { isJsonObject } from "./fields.ts";
import { DEFLATED, unpackMessages } from "./frames.ts";
import type { Sender, WebSocketMessage } from "./message_types.ts";
import { type Author, errorMessage, heartbeatMessage } from "./messages.ts";
import { MAX_QUEUED_CHARS, Outbox } from "./outbox.ts";
import { MAX_CONTENT_BYTES, type SyncInput, type SyncPeer, type SyncPort } from "./port.ts";
import { type Capability, encodeMessage, readMessage } from "./protocol.ts";
import { type SyncSession, unnumbered } from "./session.ts";

/** Longest message of a socket: what is a little too large is read, so that it can be said what the limit is. */
export const MAX_SOCKET_BYTES: number = 4 * MAX_JSON_BYTES;

/** Messages of a socket that may wait to be read, and their bytes: a window of contents. */
export const INBOX = { maxInboxMessages: 8_192, maxInboxBytes: 32 * 1024 * 1024 } as const;

/** Inputs that may wait for the receiver before the socket is read no further; each may be a mebibyte. */
const MAX_INPUTS = 64;

/** Time for what somebody who says too much has on its way. */
const LINGER_MS = 1_000;

/** The texts of messages that were sent, for as long as somebody has them. */
const texts = new WeakMap<WebSocketMessage, string>();

/** What a line does on behalf of its owner. */
export interface LineOptions {
  /** Who is on the other side. */
  readonly peer: SyncPeer;
  /** Whose messages come in. */
  readonly from: Sender;
  /** Who speaks here. */
  readonly clientId?: string;
  /** Where time comes from. */
  readonly clock: Clock;
  /** Whether the other side takes our changes. */
  readonly writable: () => boolean;
  /** Sees each message first. @returns whether it has dealt with it; the others go to the receiver. */
  readonly onMessage: (message: WebSocketMessage) => boolean;
  /** Whether contents are taken. A fault is thrown, and ends no connection. */
  readonly onContent: (bytes: Uint8Array) => void;
  /** Told of what could not be understood. */
  readonly onFault: (error: PeerError) => void;
  /**
   * Asked before anything of a frame is taken. @param messages What is in it; `undefined` for contents.
   *
   * @throws {LimitError} to end the connection.
   */
  readonly onFrame?: (messages: number | undefined) => void;
  /** What the other side is told before the line is closed in order. @default nothing but that it is closed */
  readonly farewell?: () => WebSocketMessage;
  /** Told how many messages were handed to the socket. */
  readonly onSent?: (messages: number) => void;
  /** Largest frame of messages in bytes. @default {MAX_JSON_BYTES} */
  readonly maxMessageBytes?: number;
  /** UTF-16 units of messages that may wait for the socket. @default {MAX_QUEUED_CHARS} */
  readonly maxQueuedChars?: number;
}

/** What was agreed on for a connection. */
export interface LineTerms {
  /** What both sides can do. */
  readonly capabilities: readonly Capability[];
  /** The session; none where they cannot resume. */
  readonly session?: SyncSession;
  /** The number of the last message that the other side took of a session that goes on; the rest is sent again. */
  readonly resumeFrom?: number;
  /** What the receiver is told of it. @default nothing, as of the first connection */
  readonly news?: "resumed" | "resync";
}

/** See the module. */
export class SyncLine implements SyncPort {
  readonly peer: SyncPeer;
  readonly closed: Promise<Error | undefined>;
  readonly #options: LineOptions;
  readonly #ended = Promise.withResolvers<Error | undefined>();
  readonly #inputs = new Channel<SyncInput>(MAX_INPUTS);
  #socket: MessageSocket | undefined;
  #capabilities: readonly Capability[] = [];
  #session: SyncSession | undefined;
  #outbox: Outbox | undefined;
  #gaveUpFor: Error | undefined;
  #isDelivering = false;
  #isOver = false;
  #heardMs = 0;
  #saidMs = 0;

  /** There is no connection yet. */
  constructor(options: LineOptions) {
    this.peer = options.peer;
    this.closed = this.#ended.promise;
    this.#options = options;
  }

  get writable(): boolean {
    return this.#options.writable();
  }

  get author(): Author {
    const { clientId, clock } = this.#options;
    const wallMs = clock.wallMs();
    return clientId === undefined ? { wallMs } : { clientId, wallMs };
  }

  get receive(): AsyncIterable<SyncInput> {
    return this.#inputs;
  }

  /** Whether there is a connection. */
  get connected(): boolean {
    return this.#socket !== undefined;
  }

  /** What both sides can do on the connection that there is, or was last. */
  get capabilities(): readonly Capability[] {
    return this.#capabilities;
  }

  /** The session, where there is one. */
  get session(): SyncSession | undefined {
    return this.#session;
  }

  /** UTF-16 units of messages that wait for the socket. */
  get queuedChars(): number {
    return this.#outbox?.queuedChars ?? 0;
  }

  /** How long nothing was heard on the connection; nobody listens while the receiver is behind. */
  silentMs(nowMs: number): number {
    return this.#isDelivering ? 0 : nowMs - this.#heardMs;
  }

  /** How long nothing was said on the connection. */
  quietMs(nowMs: number): number {
    return nowMs - this.#saidMs;
  }

  /**
   * Speaks over a socket until it ends; one that is there already is closed and replaced.
   *
   * @returns why it has ended, if not in order. The socket is closed then.
   */
  async serve(socket: MessageSocket, terms: LineTerms): Promise<Error | undefined> {
    this.disconnect();
    if (this.#isOver) return void socket.close();
    this.#socket = socket;
    this.#gaveUpFor = undefined;
    this.#capabilities = terms.capabilities;
    this.#session = terms.session;
    this.#heardMs = this.#saidMs = this.#options.clock.now();
    const outbox = this.#outbox = this.#outboxOf(socket, terms);
    if (terms.news !== undefined) void this.#inputs.push({ type: terms.news });
    const { session, resumeFrom } = terms;
    const again = resumeFrom === undefined ? undefined : session?.resume(resumeFrom);
    for (const text of again ?? []) outbox.text(text);
    const why = await this.#read(socket);
    // Of an end that came from outside, nobody is there to be told.
    if (this.#socket === socket) this.disconnect(why instanceof ClosedError ? undefined : why);
    return why ?? this.#gaveUpFor;
  }

  send(message: WebSocketMessage): boolean {
    return this.push(encodedOnce(message));
  }

  /** Sends a message that is encoded already; many lines may share the text. @returns as {@linkcode SyncLine.send}. */
  push(body: string): boolean {
    if (this.#isOver) return false;
    const text = this.#session === undefined ? body : this.#session.send(body);
    this.#outbox?.text(text);
    return this.#socket !== undefined || this.#session !== undefined;
  }

  /** Says something of the connection that there is, which no other will repeat. */
  say(message: WebSocketMessage): void {
    this.#outbox?.text(this.#unnumbered(encodeMessage(message)));
  }

  /** Gives a sign of life. */
  beat(): void {
    this.say(heartbeatMessage(this.author));
  }

  async sendContent(bytes: Uint8Array): Promise<void> {
    if (bytes[0] === DEFLATED) {
      throw new TypeError("Cannot send contents that begin as messages do");
    }
    if (bytes.length > MAX_CONTENT_BYTES) {
      throw new RangeError(
        `Contents must be at most ${MAX_CONTENT_BYTES} bytes: current length is ${bytes.length}`,
      );
    }
    if (this.#outbox === undefined) {
      throw new ClosedError("Cannot send contents: there is no connection");
    }
    await this.#outbox.content(bytes);
  }

  /** Ends the connection, if there is one. @param why What the other side is told. @default goodbye */
  disconnect(why?: Error): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    if (why !== undefined) this.say(errorMessage(this.author, dataOf(why)));
    this.#outbox?.end();
    this.#outbox = undefined;
    this.#socket = undefined;
    this.#gaveUpFor = why;
    const close = () => socket.close(closeCodeFor(why), why && errorCodeFor(why));
    if (why instanceof LimitError && why.code === "rate") void this.#closeLater(socket, close);
    else close();
  }

  close(why?: Error): void {
    if (this.#isOver) return;
    const { farewell } = this.#options;
    if (why === undefined && farewell !== undefined) this.say(farewell());
    this.disconnect(why);
    this.#isOver = true;
    this.#inputs.close();
    this.#ended.resolve(why);
  }

  async #read(socket: MessageSocket): Promise<Error | undefined> {
    try {
      while (this.#socket === socket) {
        const frame = await socket.receive();
        if (frame === undefined) return undefined;
        this.#heardMs = this.#options.clock.now();
        if (this.#socket === socket) await this.#takeFrame(frame, socket);
      }
      return undefined;
    } catch (error) {
      // A fault of our own, too, ends this connection alone.
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  async #takeFrame(frame: string | Uint8Array, socket: MessageSocket): Promise<void> {
    const values = this.#messagesIn(frame);
    this.#options.onFrame?.(values?.length);
    if (values === undefined) return await this.#takeContent(frame as Uint8Array);
    for (const value of values) {
      const input = this.#take(value);
      if (input !== undefined) await this.#deliver(input);
      if (this.#socket !== socket) return;
    }
    if (this.#session?.ackDue) this.#outbox?.departSoon();
  }

  /** The messages of a frame, none where it makes no sense; `undefined` for contents. */
  #messagesIn(frame: string | Uint8Array): unknown[] | undefined {
    if (typeof frame !== "string" && frame[0] !== DEFLATED) return undefined;
    const { maxMessageBytes = MAX_JSON_BYTES, onFault } = this.#options;
    try {
      const options = { capabilities: this.#capabilities, maxBytes: maxMessageBytes };
      return unpackMessages(frame, options);
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      onFault(error);
      return [];
    }
  }

  async #takeContent(bytes: Uint8Array): Promise<void> {
    try {
      this.#options.onContent(bytes);
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      return this.#options.onFault(error);
    }
    await this.#deliver({ type: "content", bytes });
  }

  /** @returns what the receiver gets of it. */
  #take(value: unknown): SyncInput | undefined {
    const { from, onFault, onMessage } = this.#options;
    // What breaks a rule has a number, too: not taken, it would be sent again for ever.
    if (isJsonObject(value) && this.#session?.take(value as WebSocketMessage) === false) return;
    try {
      const message = readMessage(value, from);
      const isDone = onMessage(message);
      return isDone ? undefined : { type: "message", message: unnumbered(message) };
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      onFault(error);
      return undefined;
    }
  }

  async #deliver(input: SyncInput): Promise<void> {
    const room = this.#inputs.push(input);
    if (room === undefined) return;
    this.#isDelivering = true;
    await room;
    this.#isDelivering = false;
    this.#heardMs = this.#options.clock.now();
  }

  #unnumbered(body: string): string {
    return this.#session === undefined ? body : this.#session.acknowledge(body);
  }

  /** Reads on for a while: where much is on its way still, a close breaks the connection before it can say why. */
  async #closeLater(socket: MessageSocket, close: () => void): Promise<void> {
    const timer = this.#options.clock.after(LINGER_MS, close);
    try {
      while (await socket.receive() !== undefined);
    } catch (error) {
      if (!(error instanceof PeerError)) throw error; // else it has gone, which is what it should
    }
    timer.cancel();
    close();
  }

  #outboxOf(socket: MessageSocket, { capabilities, session }: LineTerms): Outbox {
    const { clock, onSent } = this.#options;
    const { maxMessageBytes = MAX_JSON_BYTES, maxQueuedChars = MAX_QUEUED_CHARS } = this.#options;
    return new Outbox(socket, {
      capabilities,
      maxMessageBytes,
      maxQueuedChars,
      orElse: () => {
        if (!session?.ackDue) return undefined;
        return session.acknowledge(encodeMessage(heartbeatMessage(this.author)));
      },
      onSent: (messages) => {
        this.#saidMs = clock.now();
        onSent?.(messages);
      },
      onOverflow: (error) => this.disconnect(error),
    });
  }
}

/** The text of a message; what goes to many is encoded for the first. */
function encodedOnce(message: WebSocketMessage): string {
  const known = texts.get(message);
  if (known !== undefined) return known;
  const text = encodeMessage(message);
  texts.set(message, text);
  return text;
}
