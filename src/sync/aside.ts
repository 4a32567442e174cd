/**
 * Work on bytes that other threads do, while this one goes on.
 *
 * It takes a moment to hand the work over and the bytes are copied to be hashed, so it is worth while only for many of them.
 *
 * @module
 */

/** From so many bytes on it is faster to have others do it. */
export const MIN_ASIDE_BYTES: number = 64 * 1024;

/** The SHA-256 of some bytes in hexadecimal. */
export async function sha256Aside(bytes: Uint8Array): Promise<string> {
  // They come from sockets and files: nobody shares their memory.
  const digest = await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>);
  return new Uint8Array(digest).toHex();
}

/** Writes all of it; nobody else may change the bytes meanwhile. */
export async function writeAllAside(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}
