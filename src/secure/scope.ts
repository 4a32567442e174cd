/**
 * What an invite or an API key lets its holder do.
 *
 * @module
 */

import { printable } from "../log.ts";

/** Scopes that are about all of something. */
const PLAIN: readonly string[] = ["send", "msg", "mesh"];

/** Kinds of things that scopes name one by one, or all with `*`. */
const NAMED: readonly string[] = ["call", "topic", "folder"];

/** Longest name in a scope, in UTF-16 units: that of an endpoint. */
const MAX_NAME_CHARS = 128;

/** One thing that may be done: `send`, `msg`, `mesh`, or `call:`, `topic:`, `folder:` with a name or `*` for all. */
export type Scope =
  | "send"
  | "msg"
  | "mesh"
  | `call:${string}`
  | `topic:${string}`
  | `folder:${string}`;

/**
 * Reads a scope.
 *
 * @example
 * ```ts
 * import { parseScope } from "@kith/kith";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * assertEquals(parseScope("call:greet"), "call:greet");
 * assertThrows(() => parseScope("call"), TypeError, "A scope is one of send, msg, mesh");
 * ```
 *
 * @throws {TypeError} naming what a scope can be, when it is none.
 */
export function parseScope(text: string): Scope {
  if (isScope(text)) return text;
  const named = NAMED.map((kind) => `${kind}:NAME`).join(", ");
  throw new TypeError(
    `A scope is one of ${PLAIN.join(", ")}, ${named} (NAME of 1 to ${MAX_NAME_CHARS} characters, ` +
      `or * for all): current value is "${printable(text, 60)}"`,
  );
}

/**
 * Whether a value is a scope.
 *
 * @example
 * ```ts
 * import { isScope } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const scopes = ["send", "topic:*", "topic:news*", "shout", 7].filter(isScope);
 * assertEquals(scopes, ["send", "topic:*"]);
 * ```
 */
export function isScope(value: unknown): value is Scope {
  if (typeof value !== "string") return false;
  if (PLAIN.includes(value)) return true;
  const colon = value.indexOf(":");
  if (colon < 0 || !NAMED.includes(value.slice(0, colon))) return false;
  const name = value.slice(colon + 1);
  // A star within a name would look like a pattern, which there is none of.
  return name === "*" || (name.length <= MAX_NAME_CHARS && /^[^\p{Cc}*]+$/u.test(name));
}

/**
 * Whether one of the scopes allows what is wanted: that itself, or all of its kind.
 *
 * @example
 * ```ts
 * import { covers } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(covers(["send", "call:*"], "call:greet"), true);
 * assertEquals(covers(["send", "call:*"], "topic:news"), false);
 * ```
 */
export function covers(scopes: readonly Scope[], wanted: Scope): boolean {
  const all = `${wanted.slice(0, wanted.indexOf(":") + 1)}*`;
  return scopes.some((scope) => scope === wanted || scope === all);
}
