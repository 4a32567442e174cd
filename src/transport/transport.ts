/**
 * The ports between kith and a network: byte connections, listeners, datagram sockets and message sockets. Everything
 * above this layer is written against these; {@linkcode https://jsr.io/@kith/kith | kith} has them on real sockets
 * (`tcp`, `udp`, `websocket`) and in memory (`memory`), and a test or a simulation swaps one for the other.
 *
 * @module
 */

import type { PeerError } from "../errors.ts";
import type { Logger } from "../log.ts";

/** Where a peer's socket is. */
export interface Address {
  /** IPv4, IPv6 (with `%zone` where it is link-local and the zone is known) or a host name; never in brackets. */
  readonly hostname: string;
  /** 0..65535. */
  readonly port: number;
}

/** An ordered, reliable stream of bytes in both directions. One read and one write at a time. */
export interface Connection {
  /** Our end; `0.0.0.0:0` where the runtime does not tell. */
  readonly local: Address;
  /** The other end. */
  readonly remote: Address;
  /**
   * Reads what has come, at most `into.length` bytes, waiting for at least one.
   *
   * @returns the number of bytes (0 only when `into` is empty), or `null` at the end of the stream.
   * @throws {ClosedError} when the connection was closed by us or broke.
   */
  read(into: Uint8Array): Promise<number | null>;
  /**
   * Writes all of `bytes`; waiting for it is the back-pressure. The bytes belong to the connection until it resolves.
   *
   * @throws {ClosedError} when the connection was closed or broke, or after `closeWrite`.
   * @throws {TypeError} when another write is under way: the two would be mixed.
   */
  write(bytes: Uint8Array): Promise<void>;
  /**
   * Says that nothing more will be written; reading goes on. Harmless the second time.
   *
   * @throws {ClosedError} when the connection was closed or broke.
   */
  closeWrite(): Promise<void>;
  /** Closes both directions at once; a waiting read or write rejects. Harmless when closed. */
  close(): void;
}

/** A socket that connections come in on. */
export interface Listener {
  /** Where it listens, with the real port. */
  readonly address: Address;
  /**
   * The next connection, or `undefined` once the listener is closed. What goes wrong with one connection, or a lack of
   * descriptors that passes, does not end the listener. One accept at a time.
   *
   * @throws {TypeError} when another accept is under way.
   */
  accept(): Promise<Connection | undefined>;
  /** Stops listening; accepted connections stay open. Harmless when closed. */
  close(): void;
}

/** A datagram and where it came from. */
export interface Datagram {
  /** The payload: a view that is valid until the next `receive`. */
  readonly data: Uint8Array;
  /** The sender's address as seen on this socket; the only address an answer may go to. */
  readonly from: Address;
}

/** An unordered, unreliable packet socket. */
export interface DatagramSocket {
  /** Where it is bound, with the real port. */
  readonly address: Address;
  /** Why groups of {@linkcode DatagramOptions.groups} could not be joined; empty when all were. The socket works. */
  readonly joinErrors: readonly PeerError[];
  /** Packets this end threw away because they came faster than `receive` took them; the kernel does not tell its own. */
  readonly dropped: number;
  /**
   * Sends one packet of at most 65,507 bytes. The bytes belong to the socket until it resolves, which says nothing about
   * arrival.
   *
   * @throws {TransportError} when the packet cannot leave (no route, closed interface).
   * @throws {UnsupportedError} when the program may not send there.
   * @throws {InvalidPacketError} `too-large`, before anything is sent.
   * @throws {ClosedError} when the socket was closed.
   */
  send(data: Uint8Array, to: Address): Promise<void>;
  /**
   * The next packet, or `undefined` once the socket is closed. One receive at a time.
   *
   * @throws {TypeError} when another receive is under way.
   */
  receive(): Promise<Datagram | undefined>;
  /** Closes the socket. Harmless when closed. */
  close(): void;
}

/**
 * An ordered, reliable stream of messages in both directions: a WebSocket.
 *
 * A WebSocket cannot be told to stop receiving, so what arrives waits in a bounded inbox; a peer whose application
 * takes messages more slowly than they come is cut off, and protocols that send much need credit of their own.
 */
export interface MessageSocket {
  /** The other end. */
  readonly remote: Address;
  /** Longest message this end sends or takes, in bytes (UTF-8 bytes for text). */
  readonly maxMessageBytes: number;
  /** Resolves, and never rejects, when the socket is closed and no message will come or go any more. */
  readonly closed: Promise<void>;
  /**
   * Hands one message over, after waiting until the socket has room; waiting for it is the back-pressure. The bytes
   * belong to the socket until it resolves. Messages leave in the order of the calls.
   *
   * @throws {InvalidPacketError} `too-large`, before anything is sent.
   * @throws {ClosedError} when the socket was closed or broke.
   */
  send(message: string | Uint8Array): Promise<void>;
  /**
   * The next message, or `undefined` once either side closed in order and every message was taken. One at a time.
   *
   * @throws {InvalidPacketError} `too-large`, when a message was longer than {@linkcode MessageSocket.maxMessageBytes}.
   * @throws {LimitError} `slow-consumer`, when the inbox ran over.
   * @throws {ClosedError} when the connection broke or the other side closed with an error code (in `details.code`).
   * @throws {TypeError} when another receive is under way.
   */
  receive(options?: { signal?: AbortSignal }): Promise<string | Uint8Array | undefined>;
  /**
   * Closes the socket: what waits settles now, what was sent still leaves. Harmless when closed.
   *
   * @param code 1000, or 3000..4999 with a meaning of the application's. @default {1000}
   * @param reason At most 123 bytes.
   * @throws {RangeError} for another code or a longer reason.
   */
  close(code?: number, reason?: string): void;
}

/** How to open a {@linkcode DatagramSocket}. */
export interface DatagramOptions {
  /** Address to bind. @default {"0.0.0.0"} */
  hostname?: string;
  /** Port to bind, 0 for any. @default {0} */
  port?: number;
  /** Share the port with other sockets of this machine that do the same; for receiving multicast and broadcast only. @default {false} */
  shared?: boolean;
  /** Groups to join, each on the interface with that address (v4) or index (v6). @default {[]} */
  groups?: readonly MulticastGroup[];
}

/** A multicast group on one interface. */
export type MulticastGroup =
  | { readonly group: string; readonly interfaceAddress: string }
  | { readonly group: string; readonly interfaceIndex: number };

/** How to listen for connections. */
export interface ListenOptions {
  /** Address to bind. @default {"0.0.0.0"} */
  hostname?: string;
  /** Port to bind, 0 for any. @default {0} */
  port?: number;
  /** Told when connections cannot be accepted for a while. @default {silentLogger} */
  logger?: Logger;
}

/** How to connect. */
export interface ConnectOptions {
  /** Gives up when aborted. */
  signal?: AbortSignal;
}

/** A network: real sockets or memory. */
export interface Transport {
  /**
   * Listens for connections.
   *
   * @throws {TransportError} when the port is taken (`details.inUse`) or the address is not ours.
   * @throws {UnsupportedError} when the program may not listen there.
   */
  listen(options?: ListenOptions): Promise<Listener>;
  /**
   * Connects; rejects with the signal's reason when aborted.
   *
   * @throws {TransportError} when nobody answers there.
   * @throws {UnsupportedError} when the program may not connect there.
   */
  connect(to: Address, options?: ConnectOptions): Promise<Connection>;
  /** Opens a datagram socket. @throws {TransportError | UnsupportedError} when it cannot. */
  datagram(options?: DatagramOptions): Promise<DatagramSocket>;
}

/**
 * Whether a host means every address of this machine.
 *
 * @example
 * ```ts
 * import { isWildcard } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(["0.0.0.0", "::", "127.0.0.1"].map(isWildcard), [true, true, false]);
 * ```
 */
export function isWildcard(hostname: string): boolean {
  return hostname === "0.0.0.0" || hostname === "::";
}

/**
 * `host:port`, with brackets around an IPv6 host.
 *
 * @example
 * ```ts
 * import { formatAddress } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(formatAddress({ hostname: "192.0.2.7", port: 3485 }), "192.0.2.7:3485");
 * assertEquals(formatAddress({ hostname: "fd00::7", port: 3485 }), "[fd00::7]:3485");
 * ```
 */
export function formatAddress(address: Address): string {
  const { hostname, port } = address;
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

/**
 * Reads `host:port`, `[v6]:port`.
 *
 * @example
 * ```ts
 * import { formatAddress, parseAddress } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseAddress("[fe80::1%eth0]:3485"), { hostname: "fe80::1%eth0", port: 3485 });
 * assertEquals(formatAddress({ hostname: "127.0.0.1", port: 80 }), "127.0.0.1:80");
 * assertEquals(parseAddress("bob"), undefined);
 * ```
 *
 * @returns the address, or `undefined` when the text is not one.
 */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([^\s:[\]/]+)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const hostname = match[1] ?? match[2] ?? "";
  const port = Number(match[3]);
  return port <= 65535 ? { hostname, port } : undefined;
}
