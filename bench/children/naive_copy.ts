/**
 * A file over TCP as anyone would write it first: 64 KiB at a time, each with its length in front, hashed at both ends.
 *
 * ```
 * SCRIPT receive FILE     prints {"port"}, takes one file, prints {"sha256"}
 * SCRIPT send FILE PORT   prints {"seconds", "sha256"}
 * ```
 *
 * @module
 */

import { createHash } from "node:crypto";
import { answer } from "./command_loop.ts";
import { readFull, writeFull } from "./naive_io.ts";

const CHUNK_BYTES = 64 * 1024;
const hostname = "127.0.0.1";

const [role, file = "", port] = Deno.args;
if (role === "receive") await receive();
else await send();

async function send(): Promise<void> {
  const startedAt = performance.now();
  using conn = await Deno.connect({ hostname, port: Number(port) });
  using source = await Deno.open(file);
  const hash = createHash("sha256");
  const chunk = new Uint8Array(CHUNK_BYTES);
  for (let count = await source.read(chunk); count !== null; count = await source.read(chunk)) {
    hash.update(chunk.subarray(0, count));
    await writeFrame(conn, chunk.subarray(0, count));
  }
  await writeFrame(conn, new Uint8Array(0));
  const sha256 = hash.digest("hex");
  const theirs = await readFrame(conn);
  if (new TextDecoder().decode(theirs) !== sha256) throw new Error("The copy is not the same");
  answer({ seconds: (performance.now() - startedAt) / 1000, sha256 });
}

async function receive(): Promise<void> {
  using listener = Deno.listen({ hostname, port: 0 });
  answer({ port: listener.addr.port });
  using conn = await listener.accept();
  using target = await Deno.create(file);
  const hash = createHash("sha256");
  for (let chunk = await readFrame(conn); chunk.length > 0; chunk = await readFrame(conn)) {
    hash.update(chunk);
    for (let at = 0; at < chunk.length;) at += await target.write(chunk.subarray(at));
  }
  const sha256 = hash.digest("hex");
  await writeFrame(conn, new TextEncoder().encode(sha256));
  answer({ sha256 });
}

async function writeFrame(conn: Deno.TcpConn, payload: Uint8Array): Promise<void> {
  const frame = new Uint8Array(4 + payload.length);
  new DataView(frame.buffer).setUint32(0, payload.length);
  frame.set(payload, 4);
  await writeFull(conn, frame);
}

async function readFrame(conn: Deno.TcpConn): Promise<Uint8Array<ArrayBuffer>> {
  const head = await readFull(conn, 4);
  const payload = head && await readFull(conn, new DataView(head.buffer).getUint32(0));
  if (payload === undefined) throw new Error("The connection ended inside the file");
  return payload;
}
