/**
 * Datagrams over UDP, on the runtime's own sockets where it has them, else on `node:dgram`.
 *
 * `Deno.listenDatagram` exists only in a program that was started with `--unstable-net` (or has `"unstable": ["net"]`
 * in its `deno.json`). It is three to five times as fast as the other, so a program that sends much wants the flag; one
 * that only looks for peers does without.
 *
 * @module
 */

import { type PeerError, UnsupportedError } from "../errors.ts";
import { assertPort, fromRuntimeAddress, zoneOf } from "./socket_address.ts";
import {
  assertDatagramSize,
  isClosedResource,
  joinError,
  reasonOf,
  socketError,
} from "./socket_error.ts";
import type {
  Address,
  Datagram,
  DatagramOptions,
  DatagramSocket,
  MulticastGroup,
} from "./transport.ts";

/** More than any packet has: the runtime cuts a longer packet silently. */
const RECEIVE_BUFFER_BYTES = 65_536;

/**
 * Opens a UDP socket. Broadcast is always allowed, and what is sent to a multicast group also reaches its members on
 * this machine.
 *
 * A group that cannot be joined does not fail the socket: see {@linkcode DatagramSocket.joinErrors}.
 *
 * @example
 * ```ts
 * import { openDatagram } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const alice = await openDatagram({ hostname: "127.0.0.1" });
 * const bob = await openDatagram({ hostname: "127.0.0.1" });
 * await alice.send(new Uint8Array([7]), bob.address);
 * const datagram = await bob.receive();
 * assertEquals(datagram?.data, new Uint8Array([7]));
 * assertEquals(datagram?.from, alice.address);
 * alice.close();
 * bob.close();
 * ```
 *
 * @throws {TransportError} when the port is taken or the address is not ours.
 * @throws {UnsupportedError} when the program may not listen there, or this runtime has no UDP without a flag.
 * @throws {RangeError} for a port that is none.
 */
export async function openDatagram(options: DatagramOptions = {}): Promise<DatagramSocket> {
  const { hostname = "0.0.0.0", port = 0, shared = false, groups = [] } = options;
  assertPort(port, 0);
  if (typeof Deno.listenDatagram !== "function") return await openFallback(options);
  let conn: Deno.DatagramConn;
  try {
    conn = Deno.listenDatagram({
      transport: "udp",
      hostname,
      port,
      reuseAddress: shared,
      loopback: true,
    });
  } catch (error) {
    throw socketError("open UDP socket on", { hostname, port }, error);
  }
  return new UdpSocket(conn, zoneOf(hostname), await joinGroups(conn, groups));
}

async function openFallback(options: DatagramOptions): Promise<DatagramSocket> {
  const { openNodeDatagram } = await import("./udp_node.ts").catch((cause: unknown) => {
    throw new UnsupportedError(
      'This runtime has no UDP sockets: run again with --unstable-net, or "unstable": ["net"] in deno.json',
      { cause, details: { flag: "--unstable-net", reason: reasonOf(cause) } },
    );
  });
  return await openNodeDatagram(options);
}

async function joinGroups(
  conn: Deno.DatagramConn,
  groups: readonly MulticastGroup[],
): Promise<readonly PeerError[]> {
  const failures: PeerError[] = [];
  for (const membership of groups) {
    try {
      if ("interfaceIndex" in membership) {
        await conn.joinMulticastV6(membership.group, membership.interfaceIndex);
      } else {
        await conn.joinMulticastV4(membership.group, membership.interfaceAddress);
      }
    } catch (error) {
      failures.push(joinError(membership, error));
    }
  }
  return failures;
}

class UdpSocket implements DatagramSocket {
  readonly address: Address;
  readonly joinErrors: readonly PeerError[];
  readonly dropped = 0;
  readonly #conn: Deno.DatagramConn;
  readonly #zone: string;
  readonly #buffer = new Uint8Array(RECEIVE_BUFFER_BYTES);
  #closed = false;
  #receiving = false;

  constructor(conn: Deno.DatagramConn, zone: string, joinErrors: readonly PeerError[]) {
    this.address = fromRuntimeAddress(conn.addr as Deno.NetAddr, zone);
    this.joinErrors = joinErrors;
    this.#conn = conn;
    this.#zone = zone;
  }

  async send(data: Uint8Array, to: Address): Promise<void> {
    assertDatagramSize(data);
    try {
      const { hostname, port } = to;
      await this.#conn.send(data, { transport: "udp", hostname, port });
    } catch (error) {
      throw socketError("send to", to, error);
    }
  }

  async receive(): Promise<Datagram | undefined> {
    if (this.#receiving) throw new TypeError("Cannot receive: another receive is under way");
    this.#receiving = true;
    try {
      while (!this.#closed) {
        try {
          const [data, from] = await this.#conn.receive(this.#buffer);
          return { data, from: fromRuntimeAddress(from as Deno.NetAddr, this.#zone) };
        } catch (error) {
          if (isClosedResource(error)) break;
          if (!isUnreachable(error)) throw socketError("receive on", this.address, error);
        }
      }
      return undefined;
    } finally {
      this.#receiving = false;
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#conn.close();
  }
}

// Windows reports in `receive` that a packet sent earlier met a closed port. Linux never does on a socket that is not
// connected. Either way it concerns one peer of many, and its silence will be noticed where it matters.
function isUnreachable(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionRefused ||
    error instanceof Deno.errors.ConnectionReset;
}
