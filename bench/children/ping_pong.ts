/**
 * The least that a request over TCP can be: a bare frame there and back, one at a time, in buffers made once.
 *
 * @module
 */

import { writeFull } from "./naive_io.ts";
import { rawLinks } from "./pair.ts";
import { type Ask, runRequests } from "./requests.ts";

const HEADER_BYTES = 4;
const BUFFER_BYTES = 1024;

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
  const buffer = new Uint8Array(BUFFER_BYTES);
  for (;;) await writeFull(conn, await readFrame(conn, buffer));
}

function asker(conn: Deno.TcpConn): Ask {
  const [question, buffer] = [new Uint8Array(BUFFER_BYTES), new Uint8Array(BUFFER_BYTES)];
  const view = new DataView(question.buffer);
  return async (payload) => {
    view.setUint32(0, payload.length);
    question.set(payload, HEADER_BYTES);
    await writeFull(conn, question.subarray(0, HEADER_BYTES + payload.length));
    return (await readFrame(conn, buffer)).subarray(HEADER_BYTES);
  };
}

/** Reads the one frame under way, header included: nearly always in one read. */
async function readFrame(conn: Deno.TcpConn, buffer: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const view = new DataView(buffer.buffer);
  let got = 0;
  do {
    const count = await conn.read(buffer.subarray(got));
    if (count === null) throw new Error("Cannot measure: the connection ended");
    got += count;
  } while (got < HEADER_BYTES || got < HEADER_BYTES + view.getUint32(0));
  return buffer.subarray(0, got);
}
