/**
 * The UDP port: packets in, checked and made into events; packets out.
 *
 * ```
 * service code (1 byte) | length, unsigned, 32 bit, big-endian | WireData of that length
 * ```
 *
 * A packet must be as long as it says. Those of native codes, 0x10 to 0x1f, hold one native message, those of other codes
 * one of PeerConnect's. Its nodes ask whether somebody is still there in packets without a code, which begin with their
 * length and so with a 0: {@linkcode UNCODED} stands for the code. What is malformed is counted and dropped, and so is
 * what nobody takes.
 *
 * Plain Kademlia's packets are no messages and share the first bytes 00 and 01 with PeerConnect's. They are told apart in
 * this order: what is native, what is as long as a packet of PeerConnect says and holds an array, what the handler of bare
 * packets takes, what has no code, the rest. A Kademlia packet with a random id passes for one of PeerConnect's three times
 * in 10^12.
 *
 * Source: the PeerConnect requests module, `RequestsEndPoint`.
 *
 * @module
 */

import { type Clock, sleep, systemClock } from "../clock.ts";
import { ClosedError, InvalidPacketError } from "../errors.ts";
import { type Logger, printable, silentLogger } from "../log.ts";
import { Metrics } from "../metrics.ts";
import {
  type Address,
  type Datagram,
  type DatagramSocket,
  formatAddress,
  type Transport,
} from "../transport/transport.ts";
import { decodeDatagram, encodeDatagram, SOFT_DATAGRAM_BYTES } from "../wire/datagram.ts";
import { Decoder } from "../wire/decoder.ts";
import { decodeWireData, readMessage, type WireData } from "../wire/message.ts";
import { FlightRecorder } from "./flight_recorder.ts";
import { type RequestsDispatcher, UNCODED } from "./requests_dispatcher.ts";
import { Traffic } from "./traffic.ts";
import { MESSAGES_A_TURN, Turns } from "./turns.ts";

/**
 * Packets read before everybody else has a turn: more than are handled in one, so that a flood fills the inbox of its
 * sender, where it hurts nobody, and not the kernel's buffer, where it pushes out what others send.
 */
const PACKETS_A_TURN = 4 * MESSAGES_A_TURN;

/** Service code and length. */
const HEADER_BYTES = 5;

/** The length, where there is no service code. */
const UNCODED_HEADER_BYTES = 4;

/** What a message begins with in MessagePack: an array of five. */
const MESSAGE_BYTE = 0x95;

/** The largest service code of PeerConnect's. */
const MAX_PEERCONNECT_CODE = 2;

/** What packets are called, by their first byte. */
const KINDS: readonly string[] = Array.from(
  { length: 256 },
  (_, code) => `udp ${code.toString(16).padStart(2, "0")}`,
);

/** Pause after an error of the socket, which may stay for a while. */
const RECEIVE_PAUSE_MS = 100;

/**
 * Takes a packet that is no message, which it may look at until it returns. It has no turns and no slots: whatever it does
 * must cost little, and it must not throw.
 *
 * @returns whether the packet is one of its own.
 */
export type BareHandler = (datagram: Datagram) => boolean;

/** What a {@linkcode RequestsEndPoint} needs. */
export interface RequestsEndPointOptions {
  /** The network. */
  transport: Transport;
  /** Who takes what comes in. */
  dispatcher: RequestsDispatcher;
  /** Address to bind. @default {"0.0.0.0"} */
  hostname?: string | undefined;
  /** Port to bind, 0 for any. @default {0} */
  port?: number | undefined;
  /** Who else has turns. @default nobody */
  turns?: Turns;
  /** Where its packets are noted. @default one of its own */
  recorder?: FlightRecorder;
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
  /** Where to say what was dropped. @default {silentLogger} */
  log?: Logger;
  /** Counts `requests.*`. @default {new Metrics()} */
  metrics?: Metrics;
}

/**
 * A UDP port for requests; see the module.
 *
 * @example
 * ```ts
 * import { RequestsDispatcher, RequestsEndPoint } from "@kith/kith";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { encodeWireData, SERVICE_CODE, wireData } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const dispatcher = new RequestsDispatcher();
 * await using alice = await RequestsEndPoint.open({ transport: network.host("alice"), dispatcher });
 * await using bob = await RequestsEndPoint.open({
 *   transport: network.host("bob"),
 *   dispatcher: new RequestsDispatcher(),
 * });
 *
 * const heard = Promise.withResolvers<unknown>();
 * dispatcher.register(SERVICE_CODE.gossip, ({ request }) => heard.resolve(request.body));
 * await bob.send(SERVICE_CODE.gossip, encodeWireData(wireData("rumor", { n: 1 })), alice.address);
 * assertEquals(await heard.promise, { n: 1 });
 * ```
 */
export class RequestsEndPoint implements AsyncDisposable {
  /** What went in and out. */
  readonly traffic: Traffic = new Traffic();
  readonly #recorder: FlightRecorder;
  readonly #socket: DatagramSocket;
  readonly #dispatcher: RequestsDispatcher;
  readonly #turns: Turns;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #decoder = new Decoder({ slabs: true });
  readonly #closing = new AbortController();
  readonly #receiving: Promise<void>;
  // All of the buffer that the socket receives into: as long as it stays the same, the decoder need not be set up anew.
  #buffer = new Uint8Array(0);
  #bare: BareHandler | undefined;

  private constructor(socket: DatagramSocket, options: RequestsEndPointOptions) {
    const { dispatcher, turns = new Turns(), clock = systemClock } = options;
    const { log = silentLogger, metrics = new Metrics() } = options;
    this.#socket = socket;
    this.#dispatcher = dispatcher;
    this.#turns = turns;
    this.#clock = clock;
    this.#recorder = options.recorder ?? new FlightRecorder(clock);
    this.#log = log;
    this.#metrics = metrics;
    this.#receiving = this.#receiveAll();
  }

  /**
   * Opens a port and starts to receive.
   *
   * @throws {TransportError} when the port is taken or the address is not ours.
   * @throws {UnsupportedError} when the program may not listen there.
   */
  static async open(options: RequestsEndPointOptions): Promise<RequestsEndPoint> {
    const { transport, hostname, port = 0 } = options;
    const socket = await transport.datagram(hostname === undefined ? { port } : { hostname, port });
    return new RequestsEndPoint(socket, options);
  }

  /** Where it is bound, with the real port. */
  get address(): Address {
    return this.#socket.address;
  }

  /**
   * Sends a payload to who takes a service code there.
   *
   * @throws {InvalidPacketError} `too-large` for more than 64,512 bytes. @throws {RangeError} when the code is no byte.
   * @throws {TransportError} when the packet cannot leave. @throws {ClosedError} when the port is closed.
   */
  async send(code: number, payload: Uint8Array, to: Address): Promise<void> {
    await this.sendPacket(encodeDatagram(code, payload), to);
  }

  /**
   * Sends a packet that has its code and its length already, as `encodeDatagram` makes them. The bytes belong to the
   * socket until it resolves. One that the network may have to fragment is counted, as `requests.large`.
   *
   * @throws as {@linkcode RequestsEndPoint.send}.
   */
  sendPacket(packet: Uint8Array, to: Address): Promise<void> {
    if (packet.length > SOFT_DATAGRAM_BYTES) this.#metrics.counter("requests.large").add();
    this.traffic.went(packet.length);
    this.#recorder.now();
    this.#recorder.went(kindOf(packet[0]), packet.length, 0);
    return this.#socket.send(packet, to);
  }

  /**
   * Gives packets that are no messages to a handler; see the module for which. @returns what ends that.
   *
   * @throws {TypeError} when they have one already.
   */
  takeBare(handler: BareHandler): Disposable {
    if (this.#bare !== undefined) {
      throw new TypeError("Cannot take bare packets: they have a handler already");
    }
    this.#bare = handler;
    return {
      [Symbol.dispose]: () => {
        if (this.#bare === handler) this.#bare = undefined;
      },
    };
  }

  /** Closes the port; nothing more is received or sent. Harmless when closed. */
  async close(): Promise<void> {
    this.#closing.abort(new ClosedError("The port for requests is closed"));
    this.#socket.close();
    await this.#receiving;
  }

  /** The same as {@linkcode RequestsEndPoint.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #receiveAll(): Promise<void> {
    this.#turns.join();
    for (let left = PACKETS_A_TURN; !this.#closing.signal.aborted; left--) {
      if (left === 0) {
        left = PACKETS_A_TURN;
        await this.#turns.next();
      }
      try {
        const datagram = await this.#socket.receive();
        if (datagram === undefined) break;
        this.traffic.came(datagram.data.length);
        this.#recorder.now();
        this.#recorder.came(kindOf(datagram.data[0]), datagram.data.length, 0);
        this.#take(datagram);
      } catch (error) {
        await this.#survive(error);
      }
    }
    this.#turns.leave();
  }

  #take(datagram: Datagram): void {
    if (this.#bare !== undefined && mayBeBare(datagram.data) && this.#bare(datagram)) return;
    const { data, from } = datagram;
    const rootCode = codeOf(data);
    if (rootCode !== undefined && !this.#dispatcher.has(rootCode)) {
      this.#metrics.counter("requests.unknown-code").add();
      return;
    }
    try {
      const request = this.#read(data, rootCode);
      const packetBytes = data.length;
      this.#dispatcher.submit({
        rootCode: rootCode as number,
        request,
        fromAddr: from,
        packetBytes,
      });
    } catch (error) {
      if (!(error instanceof InvalidPacketError)) throw error;
      this.#metrics.counter("requests.malformed").add();
      const { code, message } = error;
      this.#log.debug("dropped a malformed packet", { from: shown(from), code, message });
    }
  }

  /** The message in a packet. @throws {InvalidPacketError} when it is malformed. */
  #read(packet: Uint8Array, rootCode: number | undefined): WireData {
    if (!isNative(rootCode)) {
      const { payload } = decodeDatagram(packet, { code: rootCode !== UNCODED, exact: true });
      return decodeWireData(payload, { dialect: "peerconnect" });
    }
    // What is exact needs no further look; of what is not, the decoder of packets says what is wrong.
    if (!isExact(packet)) decodeDatagram(packet, { code: true, exact: true });
    if (packet.buffer !== this.#buffer.buffer) {
      this.#buffer = new Uint8Array(packet.buffer as ArrayBuffer);
    }
    const { byteOffset, length } = packet;
    this.#decoder.reset(this.#buffer, byteOffset + HEADER_BYTES, byteOffset + length);
    return readMessage(this.#decoder);
  }

  /** An error concerns one packet, or passes: the port stays open. */
  async #survive(error: unknown): Promise<void> {
    const { signal } = this.#closing;
    this.#metrics.counter("requests.receive-errors").add();
    this.#log.error("could not receive a packet", { error: printable(String(error)) });
    await sleep(this.#clock, RECEIVE_PAUSE_MS, { signal }).catch(() => {}); // closed meanwhile
  }
}

/** What a flight recorder calls a packet: by its service code, for what it holds may not be a message at all. */
function kindOf(code = 0): string {
  return KINDS[code] ?? "";
}

/** Whom a packet is for; `undefined` for an empty one. */
function codeOf(packet: Uint8Array): number | undefined {
  const code = packet[0];
  return code === 0 && isUncoded(packet) ? UNCODED : code;
}

/**
 * Whether a packet is a message behind its length. It is none of code 0 then: that length, one byte further on and one
 * less, would be 256 times as large.
 */
function isUncoded(packet: Uint8Array): boolean {
  const { 1: a = 0, 2: b = 0, 3: c = 0, 4: next, length } = packet;
  return next === MESSAGE_BYTE && (a << 16 | b << 8 | c) === length - UNCODED_HEADER_BYTES;
}

/** Whether a packet may be no message: it is neither native nor does it look like one of PeerConnect's. */
function mayBeBare(packet: Uint8Array): boolean {
  const { 0: code = 0, 5: first } = packet;
  if (isNative(code)) return false;
  // The two longer forms of an array no original writes, but all read them.
  const holdsArray = first === MESSAGE_BYTE || first === 0xdc || first === 0xdd;
  return !(code <= MAX_PEERCONNECT_CODE && holdsArray && isExact(packet));
}

function isNative(code = 0): boolean {
  return code >= 0x10 && code <= 0x1f;
}

/** Whether a packet is as long as it says. Allocates nothing, because every packet is asked. */
function isExact(packet: Uint8Array): boolean {
  const { 1: a = 0, 2: b = 0, 3: c = 0, 4: d = 0, length } = packet;
  return length >= HEADER_BYTES && (a << 24 | b << 16 | c << 8 | d) >>> 0 === length - HEADER_BYTES;
}

function shown(address: Address): string {
  return printable(formatAddress(address), 100);
}
