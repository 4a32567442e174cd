/**
 * Standard input, as far as it is wanted.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";

/**
 * All of stdin.
 *
 * @throws {InvalidPacketError} `too-large` as soon as there is more. @throws the signal's reason when it aborts.
 */
export async function readStdin(maxBytes: number, signal: AbortSignal): Promise<Uint8Array> {
  const interruptible = new TransformStream<Uint8Array, Uint8Array<ArrayBuffer>>();
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  for await (const chunk of Deno.stdin.readable.pipeThrough(interruptible, { signal })) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > maxBytes) throw tooLong(maxBytes);
  }
  return await new Blob(chunks).bytes();
}

function tooLong(maxBytes: number): InvalidPacketError {
  return new InvalidPacketError("too-large", `Cannot read stdin: it exceeds maxBytes ${maxBytes}`, {
    details: { limit: "maxBytes", max: maxBytes },
  });
}
