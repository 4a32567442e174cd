/**
 * Standard input, as far as it is wanted.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import type { Invocation } from "./verb.ts";

/** The stdin of whoever typed the command: this process's, unless it does it for another one. */
export function stdinOf(
  { host }: Pick<Invocation, "host">,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  return host?.stdin ?? Deno.stdin.readable;
}

/**
 * All of stdin.
 *
 * @throws {InvalidPacketError} `too-large` as soon as there is more. @throws the signal's reason when it aborts.
 */
export async function readStdin(invocation: Invocation, maxBytes: number): Promise<Uint8Array> {
  const { signal } = invocation;
  const interruptible = new TransformStream<Uint8Array, Uint8Array<ArrayBuffer>>();
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  for await (const chunk of stdinOf(invocation).pipeThrough(interruptible, { signal })) {
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
