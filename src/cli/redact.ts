/**
 * What a log keeps to itself: the net below the rule that nobody logs a secret.
 *
 * Invites, API keys and private keys are known by their look wherever they stand, everything else that is secret by the name
 * of its field. Bytes are never shown, only how many there are.
 *
 * @module
 */

import { printable } from "../log.ts";

/** What stands in place of a secret. */
export const HIDDEN = "(hidden)";

/** Deepest that is looked into a field, and most that is shown of one level. */
const MAX_DEPTH = 4;
const MAX_ENTRIES = 32;

/** Longest text of a field, in UTF-16 units. */
const MAX_CHARS = 200;

/** Invites and API keys, or the beginning of one, and private keys in PEM. */
const SECRETS =
  /kith(?:key)?1\.[A-Za-z0-9._~+/=-]{8,}|-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]*-----|$)/g;

/** Names of fields whose value is nobody's business. */
const SECRET_NAME =
  /secret|token|passw|passphrase|\bpsk\b|credential|api_?key|authorization|cookie|private_?key|network_?key|\bpem\b|^keys?$|^invites?$/i;

/** A text without the secrets in it that are known by their look. */
export function redacted(text: string): string {
  return text.replace(SECRETS, HIDDEN);
}

/** What a log shows of a field: a number, a truth value, nothing, or a bounded text. It never throws. */
export function shownField(name: string, value: unknown): string | number | boolean | null {
  if (SECRET_NAME.test(name)) return HIDDEN;
  switch (typeof value) {
    case "boolean":
      return value;
    case "number":
      return Number.isFinite(value) ? value : String(value);
    case "object":
      if (value === null) return null;
      return bounded(value instanceof Error ? errorText(value) : Deno.inspect(plain(value, 0)));
    default:
      return bounded(String(value));
  }
}

function bounded(text: string): string {
  // Before it is cut: half a secret is one, too.
  return printable(redacted(text), MAX_CHARS);
}

/** An error's text is its own doing. */
function errorText(error: Error): string {
  try {
    return String(error);
  } catch {
    return "an error that cannot be shown";
  }
}

/** Data of the same shape without secrets, bytes and whatever else could show more than it should. */
function plain(value: unknown, depth: number): unknown {
  if (typeof value === "string") return redacted(value);
  if (typeof value === "function" || typeof value === "symbol") return String(value);
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Error) return errorText(value);
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `${value.byteLength} bytes`;
  if (depth === MAX_DEPTH) return "…";
  try {
    if (value instanceof Map) return plain(Object.fromEntries(value), depth);
    if (Array.isArray(value) || value instanceof Set) {
      return [...value].slice(0, MAX_ENTRIES).map((item) => plain(item, depth + 1));
    }
    const entries = Object.entries(value).slice(0, MAX_ENTRIES);
    return Object.fromEntries(entries.map(([name, item]) => {
      return [redacted(name), SECRET_NAME.test(name) ? HIDDEN : plain(item, depth + 1)];
    }));
  } catch {
    return "an object that cannot be shown"; // a getter, or a proxy, that fails
  }
}
