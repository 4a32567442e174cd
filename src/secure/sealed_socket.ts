/**
 * Datagram sockets of a closed network: like any other for who uses them, sealed for everybody else.
 *
 * @module
 */

import { sleep } from "../clock.ts";
import { ClosedError, type PeerError } from "../errors.ts";
import { printable } from "../log.ts";
import { DatagramQueue } from "../transport/datagram_queue.ts";
import {
  type Address,
  type Datagram,
  type DatagramSocket,
  formatAddress,
  type Transport,
} from "../transport/transport.ts";
import { isNativeCode } from "./datagram_seal.ts";
import type { SealedPort, Sealer } from "./sealer.ts";

/** Size of the buffers that packets are sealed in: room for what networks carry whole. Longer ones get their own. */
const BUFFER_BYTES = 2_048;

/** Most such buffers that wait for the next packet. */
const MAX_SPARE_BUFFERS = 32;

/** Pause after an error of the socket, in milliseconds: it may stay for a while. */
const RECEIVE_PAUSE_MS = 100;

/**
 * A network whose datagram sockets seal every native packet that leaves and pass on only what a member of the network
 * sealed; dialects pass unchanged. Connections are left as they are: they have a channel of their own.
 *
 * @example
 * ```ts
 * import { Network, Sealer, sealTransport } from "@kith/kith";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { encodeDatagram, SERVICE_CODE } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new Network("home", [crypto.getRandomValues(new Uint8Array(32))]);
 * const memory = new MemoryNetwork();
 * const [alice, bob] = await Promise.all(["alice", "bob"].map((name) =>
 *   sealTransport(memory.host(name), new Sealer({ network })).datagram({ port: 1 })
 * ));
 * const packet = encodeDatagram(SERVICE_CODE.gossip, new Uint8Array([7]));
 * await alice?.send(packet, { hostname: "bob", port: 1 });
 * assertEquals((await bob?.receive())?.data, packet);
 * memory.close();
 * ```
 *
 * @param sealer What the sockets share: all of a peer's in one network should share one.
 */
export function sealTransport(transport: Transport, sealer: Sealer): Transport {
  return {
    listen: (options) => transport.listen(options),
    connect: (to, options) => transport.connect(to, options),
    async datagram(options = {}) {
      return new SealedSocket(await transport.datagram(options), sealer, options.shared);
    },
  };
}

/**
 * A datagram socket that seals and opens; see {@linkcode sealTransport}. It reads on its own, whether or not somebody
 * receives, because peers want to know whether packets are fresh; what it received waits in a bounded queue.
 *
 * @example
 * ```ts
 * import { Network, SealedSocket, Sealer } from "@kith/kith";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { encodeDatagram, SERVICE_CODE } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new Network("home", [crypto.getRandomValues(new Uint8Array(32))]);
 * const memory = new MemoryNetwork();
 * const open = async (name: string) =>
 *   new SealedSocket(await memory.host(name).datagram(), new Sealer({ network }));
 * const [alice, bob] = [await open("alice"), await open("bob")];
 * const packet = encodeDatagram(SERVICE_CODE.gossip, new Uint8Array([7]));
 * await alice.send(packet, bob.address);
 * assertEquals(await bob.receive(), { data: packet, from: alice.address });
 * for (const socket of [alice, bob]) socket.close();
 * ```
 */
export class SealedSocket implements DatagramSocket, SealedPort {
  /** Whether others have the same port. */
  readonly shared: boolean;
  readonly #socket: DatagramSocket;
  readonly #sealer: Sealer;
  readonly #received = new DatagramQueue();
  readonly #closing = new AbortController();
  readonly #spare: Uint8Array[] = [];

  /**
   * Decorates a socket, which it owns from now on.
   *
   * @param shared Whether others have the same port. @default {false}
   */
  constructor(socket: DatagramSocket, sealer: Sealer, shared = false) {
    this.#socket = socket;
    this.#sealer = sealer;
    this.shared = shared;
    sealer.attach(this);
    void this.#receiveAll();
  }

  /** Where it is bound, with the real port. */
  get address(): Address {
    return this.#socket.address;
  }

  /** Why groups could not be joined. */
  get joinErrors(): readonly PeerError[] {
    return this.#socket.joinErrors;
  }

  /** Packets thrown away because they came faster than `receive` took them. */
  get dropped(): number {
    return this.#socket.dropped + this.#received.dropped;
  }

  /**
   * Seals a native packet and sends it; sends others as they are.
   *
   * @throws as `DatagramSocket.send`; {@linkcode InvalidPacketError} `too-large` for native packets of more than 65,466
   * bytes.
   */
  async send(data: Uint8Array, to: Address): Promise<void> {
    if (!isNativeCode(data[0] ?? 0)) return await this.#socket.send(data, to);
    const buffer = this.#spare.pop() ?? new Uint8Array(BUFFER_BYTES);
    try {
      await this.#socket.send(this.#sealer.seal(data, buffer), to);
    } finally {
      if (this.#spare.length < MAX_SPARE_BUFFERS) this.#spare.push(buffer);
    }
  }

  /** The next packet, opened, or `undefined` once the socket is closed. @throws {TypeError} when another waits. */
  receive(): Promise<Datagram | undefined> {
    return this.#received.take();
  }

  /** Closes the socket. Harmless when closed. */
  close(): void {
    this.#sealer.detach(this);
    this.#closing.abort();
    this.#socket.close();
    this.#received.close();
  }

  /** Hands on a packet that was held. */
  deliver(datagram: Datagram): void {
    this.#received.push(datagram);
  }

  /** Sends a packet as it is. What cannot leave is counted: whoever waits for it tries again. */
  transmit(sealed: Uint8Array, to: Address): void {
    this.#socket.send(sealed, to).catch((error) => this.#note("send-errors", to, error));
  }

  /** Reads until the socket is closed. An error concerns one packet, or passes. */
  async #receiveAll(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        const datagram = await this.#socket.receive();
        if (datagram === undefined) break;
        this.#take(datagram);
      } catch (error) {
        this.#note("receive-errors", this.address, error);
        await sleep(this.#sealer.clock, RECEIVE_PAUSE_MS, { signal }).catch(() => {}); // closed meanwhile
      }
    }
    this.#received.close();
  }

  #take(datagram: Datagram): void {
    const opened = this.#sealer.open(datagram, this);
    if (opened === undefined) return;
    // What passed as it is lies in the socket's buffer, which the next packet overwrites.
    this.#received.push(
      opened === datagram ? { data: datagram.data.slice(), from: datagram.from } : opened,
    );
  }

  #note(counter: "send-errors" | "receive-errors", address: Address, error: unknown): void {
    if (error instanceof ClosedError) return;
    const { log, metrics } = this.#sealer;
    metrics.counter(`seal.${counter}`).add();
    const why = error instanceof Error ? error.message : String(error);
    log.warn(`socket has ${counter}`, {
      address: printable(formatAddress(address), 100),
      why: printable(why),
    });
  }
}
