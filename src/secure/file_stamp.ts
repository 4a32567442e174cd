/**
 * Whether a file is still the one that was read.
 *
 * @module
 */

/** What {@linkcode fileStamp} says of a file that cannot be looked at: reading it will tell why. */
const UNKNOWN = "unknown";

/**
 * What changes when a file does, from one look at its folder: `undefined` when there is none. A file that takes the
 * place of another is another one, even if it has the same size and time.
 */
export function fileStamp(path: string): string | undefined {
  try {
    const { mtime, size, ino, mode } = Deno.statSync(path);
    return [mtime?.getTime(), size, ino, mode].join(" ");
  } catch (error) {
    return error instanceof Deno.errors.NotFound ? undefined : UNKNOWN;
  }
}
