/**
 * Messages as anyone would write them first: encode, one write per message, two reads per frame, decode.
 *
 * @module
 */

import { decode, encode, type ValueType } from "@std/msgpack";
import { readFull, writeFull } from "./naive_io.ts";

/** Writes a message as one frame. */
export async function writeMessage(conn: Deno.TcpConn, message: ValueType): Promise<void> {
  const payload = encode(message);
  const frame = new Uint8Array(4 + payload.length);
  new DataView(frame.buffer).setUint32(0, payload.length);
  frame.set(payload, 4);
  await writeFull(conn, frame);
}

/** Reads one message. @returns `undefined` when the stream ends. */
export async function readMessage(conn: Deno.TcpConn): Promise<ValueType[] | undefined> {
  const head = await readFull(conn, 4);
  if (head === undefined) return undefined;
  const payload = await readFull(conn, new DataView(head.buffer).getUint32(0));
  return payload && decode(payload) as ValueType[];
}
