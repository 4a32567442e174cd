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
import {
  acceptChannel,
  dialChannel,
  MAX_HANDSHAKE_BYTES,
  refusal,
} from "../secure/channel_handshake.ts";
import type { Identity } from "../secure/identity.ts";
import type { Network } from "../secure/network.ts";
import { acceptPlain, dialPlain } from "../secure/plain_handshake.ts";
import { FramedConnection } from "../transport/framed.ts";
import { type Address, type Connection, formatAddress } from "../transport/transport.ts";
import { decodeWireData, encodeWireData, type NativeMessage, wireData } from "../wire/message.ts";
import {
  commonVersion,
  denyBody,
  type Hello,
  infoOfHello,
  parseAccept,
  parseDeny,
  type PeerInfo,
  PREFACE,
  unexpected,
  VERSIONS,
} from "./handshake.ts";
import { Introduction } from "./introduction.ts";
import { isLoopback } from "./limits.ts";

/** What a {@linkcode Greeter} needs. */
export interface GreeterOptions {
  /** Proves who we are. */
  identity: Identity;
  /** What we say of ourselves, at the time of each handshake. */
  self: () => PeerInfo;
  /** Who belongs to us. */
  network: Network;
  /** Throws for a peer that we want nothing to do with, whoever connects to whom. */
  trust: (peer: PeerInfo) => void;
  /** Where time comes from. */
  clock: Clock;
  /** Largest message once the two know each other. */
  maxFrameBytes: number;
  /** Neither encrypt nor prove, on this machine, to measure what that costs. */
  plain: boolean;
  /** Waited for before the work of a handshake that others began. */
  turn: () => Promise<void>;
}

/** How to greet. */
export interface GreetOptions {
  /** Make it the one connection between the two. */
  shared: boolean;
  /** Throws when it is not the peer that was meant; in the open network before we have said who we are. */
  expect?: ((peer: PeerInfo) => void) | undefined;
}

/** Shakes hands. */
export class Greeter {
  readonly #options: GreeterOptions;
  readonly #introduction: Introduction;

  /** Shakes hands for somebody. */
  constructor(options: GreeterOptions) {
    this.#options = options;
    this.#introduction = new Introduction(options.identity, options.self);
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
    const { channel, remoteStatic, payload } = await this.#accept(connection, rest);
    const framed = this.#framed(channel);
    try {
      const hello = this.#introduction.read(payload, remoteStatic);
      const version = commonVersion(VERSIONS, hello.versions);
      this.#options.trust(infoOfHello(hello));
      const late = this.#isClosed ? { hello: this.#introduction.hello() } : {};
      framed.writer.frame(encodeWireData(wireData(":accept", { version, ...late })));
      // Nothing waits between the check and the link, or others could be admitted in between.
      admit(hello, framed);
      await framed.flush();
    } catch (error) {
      if (error instanceof PeerError && !(error instanceof ClosedError)) {
        await this.#deny(channel, error);
      }
      throw error;
    }
  }

  /** The dialer's side. @returns who answered, and the connection from then on. */
  async greet(
    connection: Connection,
    options: GreetOptions,
  ): Promise<{ peer: PeerInfo; framed: FramedConnection }> {
    let remoteStatic = new Uint8Array();
    let hello: Hello | undefined;
    const read = (payload: Uint8Array): Hello => {
      hello = this.#introduction.read(payload, remoteStatic);
      const peer = infoOfHello(hello);
      this.#options.trust(peer);
      options.expect?.(peer);
      return hello;
    };
    const channel = await this.#dial(connection, (key, payload) => {
      remoteStatic = key.slice();
      if (!this.#isClosed) read(payload);
      return this.#introduction.hello({ shared: options.shared });
    });
    const greeter = this.#framed(channel, MAX_HANDSHAKE_BYTES);
    const { header, body } = await receiveMessage(greeter).catch((cause) => {
      throw this.#explain(connection.remote, cause);
    });
    if (header === ":deny") throw parseDeny(body);
    if (header !== ":accept") throw unexpected(header, ":accept");
    const version = parseAccept(body);
    commonVersion(VERSIONS, { min: version, max: version });
    if (this.#isClosed) read(body.hello instanceof Uint8Array ? body.hello : new Uint8Array());
    if (hello === undefined) throw unexpected(header, ":hello");
    return { peer: infoOfHello(hello), framed: this.#goOn(greeter) };
  }

  /** Says why a connection is not wanted, in one write and without waiting for it to be read, and closes it. */
  async turnAway(connection: Connection, why: LimitError): Promise<void> {
    const framed = new FramedConnection(connection, { clock: this.#options.clock });
    try {
      await connection.write(refusal(why));
    } catch (error) {
      if (!(error instanceof PeerError)) throw error; // it has gone by itself
    } finally {
      framed.close();
    }
  }

  /** Whether only those who know the network's name or key may learn who we are. */
  get #isClosed(): boolean {
    return !this.#options.network.isOpen;
  }

  async #accept(connection: Connection, rest: Uint8Array) {
    const payload = () => this.#isClosed ? new Uint8Array() : this.#introduction.hello();
    const options = { ...this.#common(), rest, payload, turn: this.#options.turn };
    if (!this.#options.plain) return await acceptChannel(connection, options);
    assertLoopback(connection.remote);
    return await acceptPlain(connection, options);
  }

  async #dial(
    connection: Connection,
    answer: (remoteStatic: Uint8Array, payload: Uint8Array) => Uint8Array,
  ): Promise<Connection> {
    const options = { ...this.#common(), preface: PREFACE, answer };
    try {
      if (!this.#options.plain) return await dialChannel(connection, options);
      assertLoopback(connection.remote);
      return await dialPlain(connection, options);
    } catch (cause) {
      throw this.#explain(connection.remote, cause);
    }
  }

  #common() {
    const { clock, network } = this.#options;
    const psks = network.keys.map(({ psk }) => psk);
    return { prologue: PREFACE, staticKey: this.#introduction.staticKey, psks, clock };
  }

  #framed(channel: Connection, maxFrameBytes = this.#options.maxFrameBytes): FramedConnection {
    const { clock } = this.#options;
    return new FramedConnection(channel, { maxFrameBytes, clock });
  }

  /** The connection once both know each other, with what has come already. */
  #goOn({ connection, reader }: FramedConnection): FramedConnection {
    const framed = this.#framed(connection);
    framed.reader.push(reader.buffer.subarray(reader.stop, reader.stop + reader.pendingBytes));
    return framed;
  }

  async #deny(channel: Connection, why: PeerError): Promise<void> {
    const framed = this.#framed(channel);
    framed.writer.frame(encodeWireData(wireData(":deny", denyBody(why))));
    await framed.hangUp();
  }

  /** What a handshake that was cut short or made no sense means to whoever began it. */
  #explain(remote: Address, cause: unknown): unknown {
    const at = formatAddress(remote);
    const bad = (text: string) => new HandshakeError("bad-channel", text, { cause });
    if (cause instanceof ClosedError || cause instanceof InvalidPacketError) {
      return bad(
        `Cannot connect: what answers at ${at} is no kith peer, or one of another network`,
      );
    }
    if (cause instanceof HandshakeError && cause.code === "bad-channel") {
      const text = `what answers at ${at} belongs to another network, or is no kith peer`;
      return bad(`Cannot connect: ${text} (${cause.message})`);
    }
    return cause;
  }
}

/** @throws {HandshakeError} `bad-channel` when the other side is not on this machine. */
function assertLoopback({ hostname }: Address): void {
  if (isLoopback(hostname)) return;
  throw new HandshakeError("bad-channel", "A plain connection must stay on this machine");
}

async function receiveMessage(framed: FramedConnection): Promise<NativeMessage> {
  const frame = await framed.receive();
  if (frame === undefined) throw new ClosedError("The connection ended during the handshake");
  return decodeWireData(frame);
}
