/**
 * Bytes behind bytes.
 *
 * @module
 */

/** Two byte strings as one; a copy. */
export function concat(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}
