/**
 * The handshake that a secure connection begins with, over any connection.
 *
 * ```
 * dialer                                              acceptor
 *   KITH/1\n  record(e)                          ->
 *                          <-  record(e, ee, s, es + what the acceptor says of itself)
 *   record(s, se [, psk] + what the dialer says) ->
 *   records both ways: see `channel.ts`
 * ```
 *
 * A record is a length of two bytes and a message of the Noise framework; the preface is its prologue. Where an acceptor
 * turns somebody away without having listened, a few letters stand in place of its message, such as
 * `rate failuresPerAddress`: too short to be one. Nobody proves who says that, and it ends the connection as anybody on
 * the way could.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { ClosedError, HandshakeError, LimitError } from "../errors.ts";
import { printable } from "../log.ts";
import type { Connection } from "../transport/transport.ts";
import { concat } from "../wire/concat.ts";
import { TAG_BYTES } from "./aead.ts";
import { RECORD_HEADER_BYTES, SecureConnection } from "./channel.ts";
import { DH_BYTES, type DhKey, NoiseHandshake, type NoisePattern } from "./noise.ts";

/** Longest message of a handshake, in bytes: what a stranger can make us hold. */
export const MAX_HANDSHAKE_BYTES: number = 16 * 1024;

/** Most bytes of the dialer's first message: its ephemeral key and, with a pre-shared key, a tag. */
const FIRST_MESSAGE_BYTES: Readonly<Record<NoisePattern, number>> = {
  XX: DH_BYTES,
  XXpsk3: DH_BYTES + TAG_BYTES,
};

/** Longest refusal: no message of an acceptor, with its two keys, is as short. */
const MAX_REFUSAL_BYTES = 64;

/** What both sides of a handshake need. */
export interface ChannelHandshakeOptions {
  /** What came before: both sides must have seen the same. */
  prologue: Uint8Array;
  /** Our key. */
  staticKey: DhKey;
  /** Pre-shared keys: the dialer uses the first, the acceptor takes all. @default {[]} */
  psks?: readonly Uint8Array[];
  /** Where time comes from. */
  clock: Clock;
}

/** How to shake hands as the one who connected. */
export interface DialOptions extends ChannelHandshakeOptions {
  /** Bytes to send first, in the same write. */
  preface: Uint8Array;
  /**
   * What to say of ourselves, once the other side has: called with its static key and its payload. What it throws ends
   * the handshake before we have said anything.
   */
  answer: (remoteStatic: Uint8Array, payload: Uint8Array) => Uint8Array;
}

/** How to shake hands as the one who was connected to. */
export interface AcceptOptions extends ChannelHandshakeOptions {
  /** What was read beyond the preface. */
  rest: Uint8Array;
  /** What to say of ourselves. */
  payload: () => Uint8Array;
  /** Waited for before anything is computed, which is what a handshake costs. @default not at all */
  turn?: () => Promise<void>;
}

/** What an acceptor has learnt. */
export interface AcceptedChannel {
  /** The connection from now on. */
  readonly channel: SecureConnection;
  /** The dialer's static key. */
  readonly remoteStatic: Uint8Array;
  /** What the dialer says of itself. */
  readonly payload: Uint8Array;
}

/**
 * The dialer's side.
 *
 * @throws {HandshakeError} `bad-channel` when what answers does not do so rightly. @throws {LimitError} when it turns us
 * away. @throws {ClosedError} when the connection ends. @throws what `answer` does.
 */
export async function dialChannel(
  connection: Connection,
  options: DialOptions,
): Promise<SecureConnection> {
  const { preface, answer, clock } = options;
  const noise = handshakeOf(options, true);
  const records = new RecordReader(connection, new Uint8Array(0));
  const first = record(noise.write(new Uint8Array(0)));
  // Who is turned away unheard cannot write, but can read why.
  connection.write(concat(preface, first)).catch(() => {});
  const message = await records.next(MAX_HANDSHAKE_BYTES);
  if (message.length <= MAX_REFUSAL_BYTES) throw refusalOf(message);
  const payload = noise.read(message);
  await connection.write(record(noise.write(answer(noise.remoteStatic, payload))));
  return new SecureConnection(connection, { ciphers: noise.split(), rest: records.rest, clock });
}

/**
 * The acceptor's side.
 *
 * @throws {HandshakeError} `bad-channel` when what comes in is no handshake, or one with another pre-shared key.
 * @throws {ClosedError} when the connection ends.
 */
export async function acceptChannel(
  connection: Connection,
  options: AcceptOptions,
): Promise<AcceptedChannel> {
  const { rest, payload, turn, clock } = options;
  const records = new RecordReader(connection, rest);
  const first = await records.next(FIRST_MESSAGE_BYTES[patternOf(options)]);
  await turn?.();
  const noise = handshakeOf(options, false);
  noise.read(first);
  await connection.write(record(noise.write(payload())));
  const said = noise.read(await records.next(MAX_HANDSHAKE_BYTES));
  const { remoteStatic } = noise;
  const ciphers = noise.split();
  const channel = new SecureConnection(connection, { ciphers, rest: records.rest, clock });
  return { channel, remoteStatic, payload: said };
}

/** What is sent to a dialer that is turned away unheard: which limit was hit. */
export function refusal({ code, details }: LimitError): Uint8Array {
  const text = `${code === "rate" ? "rate" : "limit"} ${details.limit}`;
  return record(new TextEncoder().encode(text).subarray(0, MAX_REFUSAL_BYTES));
}

function refusalOf(message: Uint8Array): Error {
  const [code, limit = ""] = new TextDecoder().decode(message).split(" ");
  if (code !== "limit" && code !== "rate") {
    return new HandshakeError("bad-channel", `Cannot shake hands: ${message.length} bytes came`);
  }
  const why = code === "rate" ? "too many came from here" : "there are too many already";
  const text = `Cannot connect: the peer refused: ${why} (${printable(limit)})`;
  return new LimitError(code, text, { details: { reason: code } });
}

function handshakeOf(options: ChannelHandshakeOptions, initiator: boolean): NoiseHandshake {
  const { prologue, staticKey, psks = [] } = options;
  const pattern = patternOf(options);
  return new NoiseHandshake({ pattern, initiator, prologue, staticKey, psks });
}

function patternOf({ psks = [] }: ChannelHandshakeOptions): NoisePattern {
  return psks.length > 0 ? "XXpsk3" : "XX";
}

/** Reads the records of a handshake, one at a time. */
class RecordReader {
  readonly #connection: Connection;
  #buffer: Uint8Array;

  constructor(connection: Connection, rest: Uint8Array) {
    this.#connection = connection;
    this.#buffer = rest;
  }

  /** What was read and not taken. */
  get rest(): Uint8Array {
    return this.#buffer;
  }

  async next(maxBytes: number): Promise<Uint8Array> {
    await this.#want(RECORD_HEADER_BYTES);
    const length = (this.#buffer[0] ?? 0) << 8 | (this.#buffer[1] ?? 0);
    if (length > maxBytes) {
      const text = `Cannot shake hands: length ${length} exceeds maxHandshakeBytes ${maxBytes}`;
      throw new HandshakeError("bad-channel", text, {
        details: { limit: "maxHandshakeBytes", max: maxBytes, got: length },
      });
    }
    await this.#want(RECORD_HEADER_BYTES + length);
    const message = this.#buffer.subarray(RECORD_HEADER_BYTES, RECORD_HEADER_BYTES + length);
    this.#buffer = this.#buffer.subarray(RECORD_HEADER_BYTES + length);
    return message;
  }

  async #want(bytes: number): Promise<void> {
    while (this.#buffer.length < bytes) {
      const space = new Uint8Array(Math.max(1024, bytes - this.#buffer.length));
      const count = await this.#connection.read(space);
      if (count === null) throw new ClosedError("The connection ended during the handshake");
      this.#buffer = concat(this.#buffer, space.subarray(0, count));
    }
  }
}

function record(message: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(message.length >>> 8, message.length & 0xff), message);
}
