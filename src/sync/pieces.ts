/**
 * Reads files from their beginning to their end.
 *
 * @module
 */

const READ_BYTES = 256 * 1024;

/** Bytes that are read before others get their turn: reading synchronously is four times as fast. */
const BYTES_PER_TURN = 8 * 1024 * 1024;

/** What is left of a file, in views that are valid until the next; others get their turn now and then. */
export async function* piecesOf(file: Deno.FsFile): AsyncGenerator<Uint8Array, void, void> {
  const buffer = new Uint8Array(READ_BYTES);
  let [read, turnAt] = [0, BYTES_PER_TURN];
  for (;;) {
    const count = file.readSync(buffer);
    if (count === null) return;
    yield buffer.subarray(0, count);
    read += count;
    if (read < turnAt) continue;
    turnAt += BYTES_PER_TURN;
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}
