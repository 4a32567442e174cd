/**
 * Text between PeerConnect nodes: frames over a connection that began with the chat's handshake.
 *
 * | message | header | id | body |
 * |---|---|---|---|
 * | text | bin `this is message ` | who | `message` str |
 * | close | bin `close connection` | who | |
 *
 * Source: the PeerConnect messages protocol.
 *
 * @module
 */

import { ClosedError, InvalidPacketError } from "../../errors.ts";
import { printable } from "../../log.ts";
import { FrameReader } from "../../wire/frame.ts";
import { decodeWireData, encodeWireData, type MessageBody, wireData } from "../../wire/message.ts";
import { senderOf } from "./peerconnect_handshake.ts";
import { withLength } from "./peerconnect_records.ts";

/** Largest message in bytes: far above what people type, and small enough for an original to read it at once. */
export const MAX_CHAT_BYTES: number = 64 * 1024;

const TEXT = "this is message "; // with a blank at its end
const CLOSE = "close connection";

const ascii = new TextDecoder("latin1");
const utf8 = new TextEncoder();
const dialect = "peerconnect";

/** What the other side does. */
export type ChatEvent =
  | {
    /** It says something. */
    readonly type: "text";
    /** What: as it came, not safe to print. */
    readonly text: string;
  }
  | {
    /** It leaves. */
    readonly type: "close";
  }
  | {
    /** It sends what is not known here. */
    readonly type: "other";
    /** The header, safe to print. */
    readonly header: string;
  };

/** Who talks. */
export interface ChatOptions {
  /** Who we are, in decimal. */
  self: string;
  /** Who the other one said it is, in decimal; unless known, whoever it says with each message. */
  peer?: string;
}

/**
 * One side of a chat, behind the handshake: {@linkcode Chat.say} and {@linkcode Chat.leave} give what to write, in one
 * piece; {@linkcode Chat.push} what is read and take {@linkcode Chat.next} until it gives nothing.
 */
export class Chat {
  readonly #self: string;
  readonly #peer: string | undefined;
  readonly #reader = new FrameReader({ maxFrameBytes: MAX_CHAT_BYTES });
  #over = false;

  /** A chat in which nothing was said. */
  constructor({ self, peer }: ChatOptions) {
    this.#self = self;
    this.#peer = peer;
  }

  /** Whether one of both has left. */
  get over(): boolean {
    return this.#over;
  }

  /** A text as a frame. @throws {InvalidPacketError} `too-large`. @throws {ClosedError} when one of both has left. */
  say(text: string): Uint8Array<ArrayBuffer> {
    return this.#frame(TEXT, { message: text });
  }

  /** That we leave, as a frame. @throws {ClosedError} when one of both has left. */
  leave(): Uint8Array<ArrayBuffer> {
    const frame = this.#frame(CLOSE, {});
    this.#over = true;
    return frame;
  }

  /** Takes bytes in, a copy. */
  push(bytes: Uint8Array): void {
    this.#reader.push(bytes);
  }

  /**
   * What happens next, or `undefined` when more bytes have to come, or one of both has left.
   *
   * @throws {InvalidPacketError} `too-large` for a longer message, `bad-message` for one that breaks the format or says
   * that it comes from somebody else. Either is the end of the connection.
   */
  next(): ChatEvent | undefined {
    const payload = this.#over ? undefined : this.#reader.next();
    if (payload === undefined) return undefined;
    const message = decodeWireData(payload, { dialect });
    const { header, body } = message;
    const from = senderOf(message);
    if (from !== (this.#peer ?? from)) throw bad("id", "it is another one than before");
    switch (header instanceof Uint8Array ? ascii.decode(header) : undefined) {
      case TEXT:
        return { type: "text", text: textOf(body) };
      case CLOSE:
        this.#over = true;
        return { type: "close" };
      default:
        return { type: "other", header: shown(header) };
    }
  }

  /** Says that the connection has ended. @throws {ClosedError} when nobody has left. */
  ended(): void {
    if (this.#over) return;
    throw new ClosedError("The chat ended without a word");
  }

  #frame(header: string, body: MessageBody): Uint8Array<ArrayBuffer> {
    if (this.#over) throw new ClosedError("Cannot say anything: the chat is over");
    const message = wireData(utf8.encode(header), body, { msgId: this.#self, dialect });
    const payload = encodeWireData(message, { dialect });
    if (payload.length <= MAX_CHAT_BYTES) return withLength(payload);
    throw new InvalidPacketError(
      "too-large",
      `Cannot say that: ${payload.length} bytes exceed maxChatBytes ${MAX_CHAT_BYTES}`,
      { details: { limit: "maxChatBytes", max: MAX_CHAT_BYTES, got: payload.length } },
    );
  }
}

function textOf({ message }: MessageBody): string {
  if (typeof message === "string") return message;
  throw bad("message", "it is not text");
}

function shown(header: unknown): string {
  if (header instanceof Uint8Array) return printable(ascii.decode(header.subarray(0, 100)), 64);
  return typeof header === "string" ? printable(header, 64) : typeof header;
}

function bad(field: string, why: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot read PeerConnect chat: ${field}: ${why}`, {
    details: { field },
  });
}
