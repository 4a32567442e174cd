/**
 * A file over TCP with nothing but reads and writes, as fast as they go in Deno, and how fast it is hashed: what a
 * verified copy is made of.
 *
 * ```
 * SCRIPT receive FILE    prints {"port"}, takes one connection a file into the same place each time
 * SCRIPT send PORT       prints {"seconds"} for each line of stdin: `copy FILE` or `hash FILE`
 * ```
 *
 * @module
 */

import { createHash } from "node:crypto";
import { writeFull } from "./naive_io.ts";
import { hostname, runServedPair } from "./served_pair.ts";

/** With smaller ones a copy is slower, larger ones gain nothing that can be told from noise (measured). */
const COPY_BYTES = 1024 * 1024;
/** Stays in a core's cache from the file to the hash. */
const HASH_BYTES = 256 * 1024;

await runServedPair<number>({ serve, connect: (port) => port }, (port, command) => {
  const [what, file = ""] = command.split(" ");
  return what === "copy" ? copy(file, port) : Promise.resolve(hash(file));
});

function serve(): number {
  const [, file = ""] = Deno.args;
  const listener = Deno.listen({ hostname, port: 0 });
  void receiveAll(listener, file);
  return listener.addr.port;
}

async function receiveAll(listener: Deno.TcpListener, file: string): Promise<void> {
  const buffer = new Uint8Array(COPY_BYTES);
  for await (using conn of listener) {
    using target = Deno.createSync(file);
    for (let count = await conn.read(buffer); count !== null; count = await conn.read(buffer)) {
      for (let at = 0; at < count;) at += target.writeSync(buffer.subarray(at, count));
    }
    await writeFull(conn, new Uint8Array(1));
  }
}

async function copy(file: string, port: number): Promise<unknown> {
  const buffer = new Uint8Array(COPY_BYTES);
  const startedAt = performance.now();
  using conn = await Deno.connect({ hostname, port });
  using source = Deno.openSync(file);
  for (let count = source.readSync(buffer); count !== null; count = source.readSync(buffer)) {
    await writeFull(conn, buffer.subarray(0, count));
  }
  await conn.closeWrite();
  await conn.read(new Uint8Array(1)); // everything has been written
  return { seconds: (performance.now() - startedAt) / 1000 };
}

/** The time of the hashing alone: the reads are the copy's. */
function hash(file: string): unknown {
  const buffer = new Uint8Array(HASH_BYTES);
  using source = Deno.openSync(file);
  const hash = createHash("sha256");
  let hashedMs = 0;
  for (let count = source.readSync(buffer); count !== null; count = source.readSync(buffer)) {
    const startedAt = performance.now();
    hash.update(buffer.subarray(0, count));
    hashedMs += performance.now() - startedAt;
  }
  return { seconds: hashedMs / 1000 };
}
