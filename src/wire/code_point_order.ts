/**
 * The order of texts that is the same everywhere: that of map keys in canonical encoding, and of paths in a manifest.
 *
 * @module
 */

/**
 * Compares two texts by code point, which is the order of their UTF-8 bytes. JavaScript's own order differs where
 * surrogates meet U+E000 and up.
 */
export function compareCodePoints(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return isSurrogate(x) === isSurrogate(y) ? x - y : isSurrogate(x) ? 1 : -1;
  }
  return a.length - b.length;
}

function isSurrogate(unit: number): boolean {
  return (unit & 0xf800) === 0xd800;
}
