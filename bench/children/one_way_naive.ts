/**
 * One-way messages as anyone would write it first: encode, one write per message, two reads per frame, decode.
 *
 * @module
 */

import type { ValueType } from "@std/msgpack";
import { bodyOf } from "../bodies.ts";
import { readMessage, writeMessage } from "./naive_messages.ts";
import { rawLinks, runPair } from "./pair.ts";

await runPair(rawLinks, { send, receive });

async function send(conn: Deno.TcpConn, count: number): Promise<void> {
  const body = bodyOf(Deno.args[2]) as ValueType;
  for (let i = 0; i < count; i++) await writeMessage(conn, ["note", 0, 1, body, null]);
  await writeMessage(conn, ["end", 0, 1, {}, null]);
  const received = (await readMessage(conn))?.[3];
  if (received !== count) throw new Error(`Cannot measure: ${received} of ${count} arrived`);
}

async function receive(conn: Deno.TcpConn): Promise<void> {
  let received = 0;
  for (
    let message = await readMessage(conn);
    message !== undefined;
    message = await readMessage(conn)
  ) {
    if (message[0] === "note") {
      received++;
    } else {
      await writeMessage(conn, ["got", 0, 1, received, null]);
      received = 0;
    }
  }
}
