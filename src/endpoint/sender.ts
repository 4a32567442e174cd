/**
 * What leaves on one connection: messages into the outgoing batch, and patience with a peer that does not take them.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { ClosedError, LimitError } from "../errors.ts";
import { type Logger, printable } from "../log.ts";
import type { FramedConnection } from "../transport/framed.ts";
import { FRAME_HEADER_BYTES } from "../wire/frame.ts";
import { type MessageBody, writeMessage } from "../wire/message.ts";
import { errorBody } from "./error_body.ts";
import { FlightRecorder } from "./flight_recorder.ts";
import { LinkShare } from "./resources.ts";
import { Traffic } from "./traffic.ts";

/**
 * The part of `maxUnreadBytes` from which on no more requests are read: who reads what it asked for never notices. The
 * rest is for the handlers that are at work then.
 */
const PAUSE_PART = 1 / 4;

/** How long a peer that is sent so much may take none of it, and how often that is looked at. */
const STALLED_MS = 10_000;
const LOOK_EVERY_MS = 1_000;

/** What a {@linkcode Sender} needs. */
export interface SenderOptions {
  /** The frames. */
  framed: FramedConnection;
  /** Where time comes from. */
  clock: Clock;
  /** Hears of answers that could not be sent. */
  log: Logger;
  /** Who is on the other side, for people. */
  label: () => string;
  /** What may be in use on the connection, and is. @default {new LinkShare()} */
  share?: LinkShare;
  /** Where what is sent is counted. @default {new Traffic()} */
  traffic?: Traffic;
  /** Where what is sent is noted. @default one of its own */
  recorder?: FlightRecorder;
  /** What the connection is called there. @default {0} */
  number?: number;
  /** Told when the connection cannot be written to. */
  onBroken: (error: unknown) => void;
  /** Told when the other side does not read; it ends the connection. */
  onSlow: (error: LimitError) => void;
}

/** See the module. */
export class Sender {
  readonly #options: SenderOptions;
  readonly #framed: FramedConnection;
  readonly #traffic: Traffic;
  readonly #recorder: FlightRecorder;
  readonly #number: number;
  readonly #maxUnreadBytes: number;
  readonly #pauseBytes: number;
  readonly #end = Promise.withResolvers<void>();
  #ended = false;

  /** Sends on a connection that others read. */
  constructor(options: SenderOptions) {
    this.#options = options;
    const { framed, share = new LinkShare(), traffic = new Traffic() } = options;
    this.#framed = framed;
    this.#traffic = traffic;
    this.#recorder = options.recorder ?? new FlightRecorder(options.clock);
    this.#number = options.number ?? 0;
    this.#maxUnreadBytes = share.limits.maxUnreadBytes;
    this.#pauseBytes = this.#maxUnreadBytes * PAUSE_PART;
    share.unreadBytes = () => framed.unwrittenBytes;
  }

  /** Whether nothing can be sent any more. */
  get over(): boolean {
    return this.#ended || this.#framed.failed;
  }

  /** Whether so much waits that no more should be asked for. */
  get congested(): boolean {
    return this.#framed.unwrittenBytes > this.#pauseBytes;
  }

  /** Nothing is sent any more. */
  end(): void {
    this.#ended = true;
    this.#end.resolve();
  }

  /** Throws where nothing can be sent any more. @throws {ClosedError} */
  check(header: string): void {
    if (!this.over) return;
    throw new ClosedError(`Cannot send "${printable(header, 64)}": the link has ended`);
  }

  /** Sends a message with everything else of the same turn. @throws {InvalidPacketError} @throws {ClosedError} */
  write(header: string, id: number, body: MessageBody): void {
    this.check(header);
    const { writer } = this.#framed;
    const before = writer.pendingBytes;
    writer.begin();
    try {
      writeMessage(writer.encoder, header, id, body);
    } catch (error) {
      writer.abort();
      throw error;
    }
    writer.end();
    this.#went(header, writer.pendingBytes - before - FRAME_HEADER_BYTES);
  }

  /** Sends a message that is encoded already. @throws {InvalidPacketError} @throws {ClosedError} */
  forward(message: Uint8Array): void {
    this.check("forward");
    this.#framed.writer.frame(message);
    this.#went("(passed on)", message.length);
  }

  /** What to wait for before sending more, where much is waiting to leave. */
  room(): Promise<void> | undefined {
    return this.#framed.congested ? this.#framed.room() : undefined;
  }

  /** Answers, if the connection is still there. @returns what to wait for before sending more. */
  reply(header: string, id: number, body: MessageBody): Promise<void> | undefined {
    if (this.over) return undefined;
    if (this.#framed.unwrittenBytes > this.#maxUnreadBytes) {
      return this.#giveUp(this.#maxUnreadBytes);
    }
    try {
      this.write(header, id, body);
      return this.room();
    } catch (error) {
      // The answer cannot be encoded or is too large: the caller learns that instead.
      this.#options.log.error("an answer could not be sent", { error: String(error) });
      const { code, message } = errorBody(error);
      this.write(":error", id, { code, message });
      return undefined;
    }
  }

  /** Waits for a peer that asks for more than it takes; one that takes nothing at all is given up. */
  async untilTaken(): Promise<void> {
    const framed = this.#framed;
    let least = framed.unwrittenBytes;
    let stalledMs = 0;
    while (this.congested && !this.over) {
      const looked = Promise.withResolvers<void>();
      const timer = this.#options.clock.after(LOOK_EVERY_MS, looked.resolve);
      const written = framed.flush().catch(this.#options.onBroken);
      await Promise.race([written, looked.promise, this.#end.promise]);
      timer.cancel();
      stalledMs = framed.unwrittenBytes < least ? 0 : stalledMs + LOOK_EVERY_MS;
      least = Math.min(least, framed.unwrittenBytes);
      if (stalledMs >= STALLED_MS) return this.#giveUp(this.#pauseBytes);
    }
  }

  #went(header: string, bytes: number): void {
    this.#traffic.went(bytes);
    const isFirst = !this.#framed.flushing;
    if (isFirst) this.#recorder.now();
    this.#recorder.went(header, bytes, this.#number);
    if (isFirst) this.#framed.flush().catch(this.#options.onBroken);
  }

  #giveUp(bytes: number): undefined {
    const { label, onSlow } = this.#options;
    const max = this.#maxUnreadBytes;
    const text = `${label()} does not read: more than ${bytes} bytes wait (maxUnreadBytes)`;
    onSlow(new LimitError("slow-consumer", text, { details: { limit: "maxUnreadBytes", max } }));
  }
}
