/**
 * Datagrams over `node:dgram`, for programs that were started without `--unstable-net`.
 *
 * Packets are pushed here, whether somebody receives or not, so they wait in a bounded queue.
 *
 * @module
 */

import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { ClosedError, type PeerError } from "../errors.ts";
import { DatagramQueue } from "./datagram_queue.ts";
import { assertPort, fromRuntimeAddress, printableAddress, zoneOf } from "./socket_address.ts";
import { assertDatagramSize, joinError, permissionError, socketError } from "./socket_error.ts";
import {
  type Address,
  type Datagram,
  type DatagramOptions,
  type DatagramSocket,
  formatAddress,
  type MulticastGroup,
} from "./transport.ts";

/**
 * Opens a UDP socket on `node:dgram`; the same promises as `openDatagram`, which falls back to it.
 *
 * @throws {TransportError} when the port is taken or the address is not ours.
 * @throws {UnsupportedError} when the program may not listen there.
 * @throws {RangeError} for a port that is none.
 */
export async function openNodeDatagram(options: DatagramOptions = {}): Promise<DatagramSocket> {
  const { hostname = "0.0.0.0", port = 0, shared = false, groups = [] } = options;
  assertPort(port, 0);
  const address = { hostname, port };
  // Asked first: what is refused inside `bind` is thrown where nobody can catch it.
  if (!await isPermitted(address)) throw permissionError("open UDP socket on", address);
  const type = hostname.includes(":") ? "udp6" : "udp4";
  const socket = createSocket({ type, reuseAddr: shared });
  await bind(socket, address);
  socket.setBroadcast(true);
  socket.setMulticastLoopback(true);
  return new NodeUdpSocket(socket, zoneOf(hostname), joinGroups(socket, groups));
}

class NodeUdpSocket implements DatagramSocket {
  readonly address: Address;
  readonly joinErrors: readonly PeerError[];
  readonly #socket: Socket;
  readonly #queue = new DatagramQueue();
  // A closed `node:dgram` socket forgets the callbacks of what it was sending.
  readonly #sending = new Set<(reason: PeerError) => void>();
  #closed = false;

  constructor(socket: Socket, zone: string, joinErrors: readonly PeerError[]) {
    const { address, port } = socket.address();
    this.address = fromRuntimeAddress({ hostname: address, port }, zone);
    this.joinErrors = joinErrors;
    this.#socket = socket;
    socket.on("message", (data: Uint8Array, from: RemoteInfo) => {
      const sender = { hostname: from.address, port: from.port };
      // Copied: each packet comes in 64 KiB of its own, which a small one would hold on to in the queue.
      this.#queue.push({ data: new Uint8Array(data), from: fromRuntimeAddress(sender, zone) });
    });
    // A packet sent earlier met a closed port, or the like: it concerns one peer of many, not the socket.
    socket.on("error", () => {});
  }

  get dropped(): number {
    return this.#queue.dropped;
  }

  async send(data: Uint8Array, to: Address): Promise<void> {
    assertDatagramSize(data);
    if (this.#closed) throw this.#closedError();
    const { promise, resolve, reject } = Promise.withResolvers<Error | null>();
    this.#sending.add(reject);
    try {
      this.#socket.send(data, to.port, to.hostname, resolve);
      const error = await promise;
      if (error instanceof Error) throw await sendError(to, error);
    } finally {
      this.#sending.delete(reject);
    }
  }

  receive(): Promise<Datagram | undefined> {
    return this.#queue.take();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue.close();
    this.#socket.close();
    for (const reject of this.#sending) reject(this.#closedError());
  }

  #closedError(): ClosedError {
    const address = printableAddress(this.address);
    return new ClosedError(`UDP socket on ${address} was closed`, { details: { address } });
  }
}

function bind(socket: Socket, address: Address): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onError = (error: Error) => {
    socket.close();
    reject(socketError("open UDP socket on", address, error));
  };
  socket.once("error", onError);
  socket.bind({ address: address.hostname, port: address.port }, () => {
    socket.off("error", onError);
    resolve();
  });
  return promise;
}

function joinGroups(socket: Socket, groups: readonly MulticastGroup[]): readonly PeerError[] {
  const failures: PeerError[] = [];
  for (const membership of groups) {
    try {
      const on = "interfaceIndex" in membership
        ? `::%${interfaceName(membership.interfaceIndex)}`
        : membership.interfaceAddress;
      socket.addMembership(membership.group, on);
    } catch (error) {
      failures.push(joinError(membership, error));
    }
  }
  return failures;
}

// Here an interface has to be given by name; an unknown one would silently become the default interface.
function interfaceName(index: number): string {
  const found = Deno.networkInterfaces().find((entry) => entry.scopeid === index);
  if (found === undefined) throw new RangeError(`no IPv6 interface has index ${index}`);
  return found.name;
}

// A send that is not permitted fails here without a reason.
async function sendError(to: Address, cause: Error): Promise<PeerError> {
  const permitted = await isPermitted(to);
  return permitted ? socketError("send to", to, cause) : permissionError("send to", to, cause);
}

async function isPermitted(address: Address): Promise<boolean> {
  const status = await Deno.permissions.request({ name: "net", host: formatAddress(address) });
  return status.state === "granted";
}
