/**
 * Text that no terminal and no log may get from another peer, and a look for it.
 *
 * @module
 */

/** What moves the cursor, fakes a line, turns the writing round or is not seen; line feeds are for the test to allow. */
export const RAW =
  // deno-lint-ignore no-control-regex -- looking for control characters is the point
  /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/u;

/** One of everything that {@linkcode RAW} finds, in forms that terminals obey. */
export const EVIL_PIECES: readonly string[] = [
  "\u001b[2J",
  "\u001b]0;title\u0007",
  "\u001b]8;;http://x\u001b\\link",
  "\u001bP+q\u001b\\",
  "\u001b[6n",
  "\u001bc",
  "\u009b31m",
  "\u0090q\u009c",
  "\u009d0;t\u009c",
  "\u0000",
  "\u0007",
  "\b\b\b",
  "\r",
  "\u000b",
  "\u000e",
  "\u007f",
  "\u0085",
  "\u200b",
  "\u200e",
  "\u202egpj.",
  "\u2066x\u2069",
  "\u2028",
  "\u2029",
  "\ufeff",
  "\u{e0041}",
];

/** A name with as much of it as a name has room for, which also begins a line of its own. */
export const EVIL_NAME =
  "eve\u001b[2J\u0007\u001b]0;x\u0007\u009b31m\u202egnp.\u2028\r\nFAKE: owned\u0085";

/** The first thing in a text that must not be there, with what stands before it. */
export function rawIn(text: string): string | undefined {
  const at = text.search(RAW);
  return at < 0 ? undefined : JSON.stringify(text.slice(Math.max(0, at - 60), at + 20));
}
