/**
 * One-way messages as anyone would write it first: encode, one write per message, two reads per frame, decode.
 *
 * @module
 */

import { decode, encode, type ValueType } from "@std/msgpack";
import { bodyOf } from "../bodies.ts";
import { readFull, writeFull } from "./naive_io.ts";
import { rawLinks, runPair } from "./pair.ts";

await runPair(rawLinks, { send, receive });

async function send(conn: Deno.TcpConn, count: number): Promise<void> {
  const body = bodyOf(Deno.args[2]) as ValueType;
  for (let i = 0; i < count; i++) await write(conn, ["note", 0, 1, body, null]);
  await write(conn, ["end", 0, 1, {}, null]);
  const received = (await read(conn))?.[3];
  if (received !== count) throw new Error(`Cannot measure: ${received} of ${count} arrived`);
}

async function receive(conn: Deno.TcpConn): Promise<void> {
  let received = 0;
  for (let message = await read(conn); message !== undefined; message = await read(conn)) {
    if (message[0] === "note") {
      received++;
    } else {
      await write(conn, ["got", 0, 1, received, null]);
      received = 0;
    }
  }
}

async function write(conn: Deno.TcpConn, message: ValueType): Promise<void> {
  const payload = encode(message);
  const frame = new Uint8Array(4 + payload.length);
  new DataView(frame.buffer).setUint32(0, payload.length);
  frame.set(payload, 4);
  await writeFull(conn, frame);
}

async function read(conn: Deno.TcpConn): Promise<ValueType[] | undefined> {
  const head = await readFull(conn, 4);
  if (head === undefined) return undefined;
  const payload = await readFull(conn, new DataView(head.buffer).getUint32(0));
  return payload && decode(payload) as ValueType[];
}
