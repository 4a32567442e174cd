/**
 * A connection from a PeerConnect node, from its first frame on.
 *
 * @module
 */

import type { Clock } from "../../clock.ts";
import type { Accepted } from "../../endpoint/acceptor.ts";
import type { PeerInfo } from "../../endpoint/handshake.ts";
import { ClosedError, InvalidPacketError } from "../../errors.ts";
import { printable } from "../../log.ts";
import { type Address, type Connection, formatAddress } from "../../transport/transport.ts";
import { concat } from "../../wire/concat.ts";
import { FRAME_HEADER_BYTES } from "../../wire/frame.ts";
import { decodeWireData } from "../../wire/message.ts";
import { idFromDecimal, idToHex } from "../../wire/remote_peer.ts";
import { unprovenPeer } from "./peerconnect_driver_store.ts";
import { PatientStream } from "./peerconnect_driver_stream.ts";
import {
  MAX_HANDSHAKE_BYTES,
  parseHandshake,
  type PeerConnectHandshake,
} from "./peerconnect_handshake.ts";

/** How much of a header that nobody knows an error shows, in UTF-16 units. */
const SHOWN_CHARS = 64;

/** Somebody with a known service in mind. */
export interface PeerConnectVisit {
  /** Who, as far as is said. */
  readonly from: PeerInfo;
  /** Who and where, for people. Safe to print; says that nobody has proven it. */
  readonly label: string;
  /** What it sends behind the handshake. */
  readonly stream: PatientStream;
  /** Fires when it is to end. */
  readonly signal: AbortSignal;
}

/** What a connection is for, and what was read behind that. */
export interface FirstFrame {
  /** What it is for. */
  readonly handshake: PeerConnectHandshake;
  /** Bytes behind the frame. */
  readonly rest: Uint8Array;
}

/**
 * Reads the first frame, however it is cut.
 *
 * @param first What was read already, the frame's length at least.
 * @throws {InvalidPacketError} `too-large`, or `bad-message` for what is no handshake of a service that is known.
 * @throws {ClosedError} when the connection ends before that.
 */
export async function readHandshake(
  connection: Connection,
  first: Uint8Array,
): Promise<FirstFrame> {
  const buffer = new Uint8Array(MAX_HANDSHAKE_BYTES);
  let bytes = first;
  const end = FRAME_HEADER_BYTES + lengthOf(bytes);
  while (bytes.length < end) {
    const count = await connection.read(buffer);
    if (count === null) throw new ClosedError("The connection ended within its first frame");
    bytes = concat(bytes, buffer.subarray(0, count));
  }
  const payload = bytes.subarray(FRAME_HEADER_BYTES, end);
  const handshake = parseHandshake(payload);
  if (handshake === undefined) {
    throw unknownService(decodeWireData(payload, { dialect: "peerconnect" }).header);
  }
  return { handshake, rest: bytes.subarray(end) };
}

/** What somebody does who comes with a handshake. Disposing of its stream closes the connection. */
export function visitOf(
  { connection, signal }: Pick<Accepted, "connection" | "signal">,
  who: Exclude<PeerConnectHandshake, { type: "link" }>,
  rest: Uint8Array,
  clock: Clock,
): PeerConnectVisit {
  const peerId = idToHex(idFromDecimal(who.peerId));
  return {
    from: unprovenPeer(peerId),
    label: unprovenLabel(peerId, connection.remote),
    stream: new PatientStream(connection, { clock, signal, rest }),
    signal,
  };
}

/** Who somebody is to people, who says to have an id of 40 hexadecimal digits, and where. */
export function unprovenLabel(peerId: string, at: Address): string {
  return `somebody at ${formatAddress(at)}, by its own unproven word ${peerId.slice(0, 8)}`;
}

/** The same connection, from the bytes on that were read too much. */
export function withRest(connection: Connection, rest: Uint8Array): Connection {
  if (rest.length === 0) return connection;
  let left = rest;
  return {
    local: connection.local,
    remote: connection.remote,
    read: (into) => {
      if (left.length === 0 || into.length === 0) return connection.read(into);
      const count = Math.min(left.length, into.length);
      into.set(left.subarray(0, count));
      left = left.subarray(count);
      return Promise.resolve(count);
    },
    write: (bytes) => connection.write(bytes),
    closeWrite: () => connection.closeWrite(),
    close: () => connection.close(),
  };
}

function lengthOf(bytes: Uint8Array): number {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  if (length <= MAX_HANDSHAKE_BYTES) return length;
  throw new InvalidPacketError(
    "too-large",
    `Cannot read PeerConnect handshake: ${length} bytes exceed maxHandshakeBytes ${MAX_HANDSHAKE_BYTES}`,
    { details: { limit: "maxHandshakeBytes", max: MAX_HANDSHAKE_BYTES, got: length } },
  );
}

function unknownService(header: unknown): InvalidPacketError {
  const text = header instanceof Uint8Array
    ? new TextDecoder("latin1").decode(header.subarray(0, SHOWN_CHARS))
    : typeof header === "string"
    ? header
    : typeof header;
  return new InvalidPacketError(
    "bad-message",
    `Cannot accept a connection: PeerConnect has no service "${printable(text, SHOWN_CHARS)}"`,
    { details: { field: "header" } },
  );
}
