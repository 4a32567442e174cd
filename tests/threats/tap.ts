/**
 * Somebody at a peer's own sockets: sees every packet and every byte that passes them, and puts packets into them that
 * come from wherever he says.
 *
 * @module
 */

import { nextTurn } from "../../src/endpoint/turns.ts";
import { DatagramQueue } from "../../src/transport/datagram_queue.ts";
import type {
  Address,
  Connection,
  ConnectOptions,
  Datagram,
  DatagramOptions,
  DatagramSocket,
  Listener,
  ListenOptions,
  Transport,
} from "../../src/transport/transport.ts";

/** A packet that passed. */
export interface Packet {
  readonly data: Uint8Array;
  readonly from: Address;
  readonly to: Address;
}

/** A network with somebody at its sockets. */
export class Tap implements Transport {
  /** What left. */
  readonly sent: Packet[] = [];
  /** What came. */
  readonly received: Packet[] = [];
  /** What passed on connections, both ways. */
  readonly bytes: Uint8Array[] = [];
  /** Where connections were opened to. */
  readonly dialled: Address[] = [];
  /** The sockets for packets, with those that were closed. */
  readonly sockets: TappedSocket[] = [];
  readonly #transport: Transport;
  #wake: () => void = () => {};

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  async listen(options?: ListenOptions): Promise<Listener> {
    const listener = await this.#transport.listen(options);
    return {
      address: listener.address,
      accept: async () => {
        const connection = await listener.accept();
        return connection && this.#tapped(connection);
      },
      close: () => listener.close(),
    };
  }

  async connect(to: Address, options?: ConnectOptions): Promise<Connection> {
    this.dialled.push(to);
    return this.#tapped(await this.#transport.connect(to, options));
  }

  async datagram(options?: DatagramOptions): Promise<DatagramSocket> {
    const socket = new TappedSocket(await this.#transport.datagram(options), this);
    this.sockets.push(socket);
    return socket;
  }

  /** The socket that is bound to a port. */
  socket(port: number): TappedSocket {
    const socket = this.sockets.findLast(({ address }) => address.port === port);
    if (socket === undefined) throw new Error(`No socket has port ${port}`);
    return socket;
  }

  /** Waits until so many packets have come in all, and whoever has these sockets has done what follows from them. */
  async handled(packets: number): Promise<void> {
    while (this.received.length < packets) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    // From socket to seal, to inbox, to handler, and the answer back.
    for (let turn = 0; turn < 6; turn++) await nextTurn();
  }

  /** Notes a packet that came. */
  take(packet: Packet): void {
    this.received.push(packet);
    this.#wake();
  }

  #tapped(connection: Connection): Connection {
    return {
      local: connection.local,
      remote: connection.remote,
      read: async (into) => {
        const count = await connection.read(into);
        if (count !== null) this.bytes.push(into.slice(0, count));
        return count;
      },
      write: (bytes) => {
        this.bytes.push(bytes.slice());
        return connection.write(bytes);
      },
      closeWrite: () => connection.closeWrite(),
      close: () => connection.close(),
    };
  }
}

/** A socket with somebody at it. */
export class TappedSocket implements DatagramSocket {
  readonly address: Address;
  closed = false;
  readonly #socket: DatagramSocket;
  readonly #tap: Tap;
  readonly #queue = new DatagramQueue();

  constructor(socket: DatagramSocket, tap: Tap) {
    this.address = socket.address;
    this.#socket = socket;
    this.#tap = tap;
    void this.#receiveAll();
  }

  get joinErrors(): DatagramSocket["joinErrors"] {
    return this.#socket.joinErrors;
  }

  get dropped(): number {
    return this.#socket.dropped + this.#queue.dropped;
  }

  /** Lets a packet come in from anywhere. */
  inject(data: Uint8Array, from: Address): void {
    this.#tap.take({ data, from, to: this.address });
    this.#queue.push({ data: data.slice(), from });
  }

  send(data: Uint8Array, to: Address): Promise<void> {
    this.#tap.sent.push({ data: data.slice(), from: this.address, to });
    return this.#socket.send(data, to);
  }

  receive(): Promise<Datagram | undefined> {
    return this.#queue.take();
  }

  close(): void {
    this.closed = true;
    this.#socket.close();
    this.#queue.close();
  }

  async #receiveAll(): Promise<void> {
    for (
      let got = await this.#socket.receive();
      got !== undefined;
      got = await this.#socket.receive()
    ) {
      const { data, from } = got;
      this.inject(data.slice(), from);
    }
  }
}
