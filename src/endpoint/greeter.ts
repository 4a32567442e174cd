/**
 * Both sides of the native handshake, over any byte connection.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import {
  ClosedError,
  HandshakeError,
  InvalidPacketError,
  type LimitError,
  PeerError,
} from "../errors.ts";
import { printable } from "../log.ts";
import { FramedConnection } from "../transport/framed.ts";
import { type Address, type Connection, formatAddress } from "../transport/transport.ts";
import { decodeWireData, encodeWireData, type NativeMessage, wireData } from "../wire/message.ts";
import {
  acceptBody,
  commonVersion,
  denyBody,
  type Hello,
  helloBody,
  MAX_HANDSHAKE_BYTES,
  parseAccept,
  parseDeny,
  parseHello,
  type PeerInfo,
  PREFACE,
  VERSIONS,
} from "./handshake.ts";

/** What a {@linkcode Greeter} needs. */
export interface GreeterOptions {
  /** Who we are, at the time of each handshake. */
  self: () => PeerInfo;
  /** Where time comes from. */
  clock: Clock;
  /** Largest message once the two know each other. */
  maxFrameBytes: number;
}

/** Shakes hands. */
export class Greeter {
  readonly #options: GreeterOptions;

  /** Shakes hands for somebody. */
  constructor(options: GreeterOptions) {
    this.#options = options;
  }

  /**
   * The acceptor's side.
   *
   * @param rest What was read beyond the preface.
   * @param admit Decides, and makes the link: called once, right before the other side is told. What it throws is the
   * reason that the other side gets.
   */
  async welcome(
    connection: Connection,
    rest: Uint8Array,
    admit: (hello: Hello, framed: FramedConnection) => void,
  ): Promise<void> {
    const greeter = this.#greeter(connection);
    greeter.reader.push(rest);
    try {
      const { header, body } = await receiveMessage(greeter);
      if (header !== ":hello") throw unexpected(header, ":hello");
      const hello = parseHello(body);
      const version = commonVersion(VERSIONS, hello.versions);
      const framed = this.#framed(greeter);
      const accept = acceptBody(this.#options.self(), version);
      // Nothing waits between the check and the link, or others could be admitted in between.
      framed.writer.frame(encodeWireData(wireData(":accept", accept)));
      admit(hello, framed);
      await framed.flush();
    } catch (error) {
      if (error instanceof PeerError && !(error instanceof ClosedError)) {
        await this.#deny(greeter, error);
      }
      throw error;
    }
  }

  /** The dialer's side. @returns who answered, and the connection from then on. */
  async greet(
    connection: Connection,
    options: { shared: boolean },
  ): Promise<{ peer: PeerInfo; framed: FramedConnection }> {
    const greeter = this.#greeter(connection);
    greeter.writer.encoder.raw(PREFACE);
    const hello = helloBody(this.#options.self(), options);
    greeter.writer.frame(encodeWireData(wireData(":hello", hello)));
    // Who is turned away unheard cannot write, but can read why.
    greeter.flush().catch(() => {});
    const { header, body } = await receiveMessage(greeter).catch((cause) => {
      throw notKith(connection.remote, cause);
    });
    if (header === ":deny") throw parseDeny(body);
    if (header !== ":accept") throw unexpected(header, ":accept");
    const { version, ...peer } = parseAccept(body);
    commonVersion(VERSIONS, { min: version, max: version });
    return { peer, framed: this.#framed(greeter) };
  }

  /** Says why a connection is not wanted, in one write and without waiting for it to be read, and closes it. */
  async turnAway(connection: Connection, why: LimitError): Promise<void> {
    const framed = this.#greeter(connection);
    try {
      await framed.send(encodeWireData(wireData(":deny", denyBody(why))));
    } catch (error) {
      if (!(error instanceof PeerError)) throw error; // it has gone by itself
    } finally {
      framed.close();
    }
  }

  async #deny(greeter: FramedConnection, why: PeerError): Promise<void> {
    if (greeter.failed) return;
    greeter.writer.frame(encodeWireData(wireData(":deny", denyBody(why))));
    await greeter.hangUp();
  }

  /** The connection until both sides know each other: it carries small messages only. */
  #greeter(connection: Connection): FramedConnection {
    const { clock } = this.#options;
    const maxFrameBytes = Math.min(this.#options.maxFrameBytes, MAX_HANDSHAKE_BYTES);
    return new FramedConnection(connection, { maxFrameBytes, clock });
  }

  /** The connection from then on, with what has come already. */
  #framed({ connection, reader }: FramedConnection): FramedConnection {
    const { clock, maxFrameBytes } = this.#options;
    const framed = new FramedConnection(connection, { maxFrameBytes, clock });
    framed.reader.push(reader.buffer.subarray(reader.stop, reader.stop + reader.pendingBytes));
    return framed;
  }
}

async function receiveMessage(framed: FramedConnection): Promise<NativeMessage> {
  const frame = await framed.receive();
  if (frame === undefined) throw new ClosedError("The connection ended during the handshake");
  return decodeWireData(frame);
}

function unexpected(header: string, wanted: string): InvalidPacketError {
  return new InvalidPacketError(
    "bad-message",
    `Cannot shake hands: "${printable(header, 40)}" came instead of "${wanted}"`,
  );
}

function notKith(remote: Address, cause: unknown): unknown {
  if (!(cause instanceof InvalidPacketError || cause instanceof ClosedError)) return cause;
  return new HandshakeError(
    "bad-channel",
    `Cannot connect: what answers at ${formatAddress(remote)} is no kith peer`,
    { cause },
  );
}
