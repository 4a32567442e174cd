/**
 * The same bytes without frames: whole writes at one end, reads into one buffer at the other.
 *
 * @module
 */

import { BULK_BYTES } from "../bodies.ts";
import { writeFull } from "./naive_io.ts";
import { rawLinks, runPair } from "./pair.ts";

const payload = new Uint8Array(BULK_BYTES).fill(7);
const buffer = new Uint8Array(BULK_BYTES);
/** A byte that is not in the payload: the round ends. */
const END = new Uint8Array([255]);

await runPair(rawLinks, { send, receive });

async function send(conn: Deno.TcpConn, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await writeFull(conn, payload);
  await writeFull(conn, END);
  await conn.read(new Uint8Array(1));
}

async function receive(conn: Deno.TcpConn): Promise<void> {
  for (let count = await conn.read(buffer); count !== null; count = await conn.read(buffer)) {
    if (buffer[count - 1] === END[0]) await writeFull(conn, END);
  }
}
