/**
 * Requests as anyone would write them first: text ids, a map of who waits, every message on its own.
 *
 * @module
 */

import type { ValueType } from "@std/msgpack";
import { readMessage, writeMessage } from "./naive_messages.ts";
import { rawLinks } from "./pair.ts";
import { type Ask, runRequests } from "./requests.ts";

await runRequests({
  serve: () =>
    new Promise((onPort, onError) => {
      rawLinks.accept(onPort).then(echoAll).catch(onError);
    }),
  async connect(port) {
    return asker(await rawLinks.connect(port));
  },
});

async function echoAll(conn: Deno.TcpConn): Promise<void> {
  for (let asked = await readMessage(conn); asked !== undefined; asked = await readMessage(conn)) {
    const [, id, , body] = asked as [string, string, number, { data: ValueType }, null];
    await writeMessage(conn, [":ok", id, 1, { result: body.data }, null]);
  }
}

function asker(conn: Deno.TcpConn): Ask {
  const waiting = new Map<string, (echo: Uint8Array) => void>();
  const receive = async () => {
    for (let told = await readMessage(conn); told !== undefined; told = await readMessage(conn)) {
      const [, id, , body] = told as [string, string, number, { result: Uint8Array }, null];
      waiting.get(id)?.(body.result);
      waiting.delete(id);
    }
  };
  void receive();
  return async (payload) => {
    const id = crypto.randomUUID();
    const answered = new Promise<Uint8Array>((resolve) => waiting.set(id, resolve));
    await writeMessage(conn, ["echo", id, 1, { data: payload }, null]);
    return await answered;
  };
}
