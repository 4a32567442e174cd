/**
 * Whole reads and writes on a bare connection, without any buffer of their own: what the plain programs are made of.
 *
 * @module
 */

/** Writes all of `bytes`; a single write may take less. */
export async function writeFull(conn: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

/** Reads exactly `count` bytes. @returns `undefined` when the stream ends before. */
export async function readFull(
  conn: Deno.TcpConn,
  count: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count;) {
    const read = await conn.read(bytes.subarray(at));
    if (read === null) return undefined;
    at += read;
  }
  return bytes;
}
