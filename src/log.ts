/**
 * What the library says while it runs: a `Logger` that callers pass in, silent unless they do.
 *
 * Messages are a short fact plus fields; text that came from another peer goes through {@linkcode printable} first, so
 * that it can neither forge a log line nor reach a terminal as an escape sequence.
 *
 * @module
 */

/** Facts that go with a log message. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Where the library logs to. `console` has this shape, and so has every logger worth its name. */
export interface Logger {
  /** Detail for whoever looks for a fault: a dropped datagram, a state change. */
  debug(message: string, fields?: LogFields): void;
  /** Something a user may want to know. */
  info(message: string, fields?: LogFields): void;
  /** Something went wrong and was dealt with. */
  warn(message: string, fields?: LogFields): void;
  /** Something went wrong and stays wrong. */
  error(message: string, fields?: LogFields): void;
}

function ignore(): void {}

/** The default logger: says nothing. */
export const silentLogger: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };

// C0 and C1 controls, line and paragraph separators, whatever changes the direction of writing, and what is not visible
// (zero-width and byte-order marks, tags): what can move the cursor, fake a line or make one text look like another.
const UNSAFE =
  /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}\u180e\u200b-\u200d\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

/**
 * Makes text from outside safe to print: control and direction characters become `\u{..}`, and the length is bounded.
 *
 * @example
 * ```ts
 * import { printable } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(printable("bob\u001b[2J"), "bob\\u{1b}[2J");
 * assertEquals(printable("aaaaaaaa", 4), "aaaa…");
 * ```
 *
 * @param text What another peer, a file name or an environment gave us.
 * @param maxChars Longest result in UTF-16 units before it is cut.
 */
export function printable(text: string, maxChars = 200): string {
  const cut = text.length > maxChars ? text.slice(0, maxChars) + "…" : text;
  return cut.toWellFormed().replace(UNSAFE, (char) => `\\u{${char.codePointAt(0)?.toString(16)}}`);
}
