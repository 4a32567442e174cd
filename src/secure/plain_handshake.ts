/**
 * A handshake without secrets, for measuring what the secure channel costs: nothing is proven and nothing encrypted. Who
 * uses it sees to it that both sides are on one machine, and asked for it.
 *
 * @module
 */

import { HandshakeError } from "../errors.ts";
import type { Connection } from "../transport/transport.ts";
import type { AcceptedChannel, AcceptOptions, DialOptions } from "./channel_handshake.ts";

const HEADER_BYTES = 2;
const KEY_BYTES = 32;

/** As `dialChannel`, in the clear. */
export async function dialPlain(connection: Connection, options: DialOptions): Promise<Connection> {
  const { preface, answer, staticKey } = options;
  await connection.write(preface);
  const { key, payload } = await readPart(connection);
  await writePart(connection, staticKey.publicKey, answer(key, payload));
  return connection;
}

/** As `acceptChannel`, in the clear. */
export async function acceptPlain(
  connection: Connection,
  options: AcceptOptions,
): Promise<Omit<AcceptedChannel, "channel"> & { channel: Connection }> {
  const { rest, payload, staticKey } = options;
  await writePart(connection, staticKey.publicKey, payload());
  const said = await readPart(new Prefixed(connection, rest));
  return { channel: connection, remoteStatic: said.key, payload: said.payload };
}

async function writePart(
  connection: Connection,
  key: Uint8Array,
  payload: Uint8Array,
): Promise<void> {
  const part = new Uint8Array(HEADER_BYTES + KEY_BYTES + payload.length);
  new DataView(part.buffer).setUint16(0, KEY_BYTES + payload.length);
  part.set(key, HEADER_BYTES);
  part.set(payload, HEADER_BYTES + KEY_BYTES);
  await connection.write(part);
}

async function readPart(
  connection: Pick<Connection, "read">,
): Promise<{ key: Uint8Array; payload: Uint8Array }> {
  const header = await readExactly(connection, HEADER_BYTES);
  const part = await readExactly(connection, new DataView(header.buffer).getUint16(0));
  return { key: part.slice(0, KEY_BYTES), payload: part.slice(KEY_BYTES) };
}

async function readExactly(
  connection: Pick<Connection, "read">,
  count: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count;) {
    const read = await connection.read(bytes.subarray(at));
    if (read === null) throw new HandshakeError("bad-channel", "The plain handshake was cut");
    at += read;
  }
  return bytes;
}

/** What was read already, then the connection. */
class Prefixed {
  readonly #connection: Connection;
  #rest: Uint8Array;

  constructor(connection: Connection, rest: Uint8Array) {
    this.#connection = connection;
    this.#rest = rest;
  }

  async read(into: Uint8Array): Promise<number | null> {
    if (this.#rest.length === 0) return await this.#connection.read(into);
    const count = Math.min(into.length, this.#rest.length);
    into.set(this.#rest.subarray(0, count));
    this.#rest = this.#rest.subarray(count);
    return count;
  }
}
