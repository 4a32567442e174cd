/**
 * Which files of a folder are not shared: the rules of its `.kithignore`, a subset of what `.gitignore` can say.
 *
 * ```
 * # a comment                    nothing, as an empty line
 * *.tmp                          every file and folder of such a name, wherever it is
 * build/                         every folder "build", not a file of that name
 * /notes.txt                     only that at the top
 * docs/*.pdf                     with a slash inside: from the top
 * docs/**\/draft                  "draft" in docs, or in a folder of it, or in one of that
 * img[0-9].png  a?c  [!a-f]*      a range, one character, what does not begin with a..f
 * !keep.tmp                      shared all the same; the last rule that fits decides
 * \#1  \!x                       a name that begins with # or !
 * ```
 *
 * What is in a folder that is not shared is not shared either, and no `!` brings it back. Names are compared in Unicode
 * normal form C, and with their case. Spaces at the end of a line do not count. The file itself is never shared: what one
 * side leaves out is nobody else's business, and nobody else can decide it.
 *
 * Every rule takes time in proportion to its length times that of the name, whatever it is: none is a regular expression.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { InvalidPacketError } from "../errors.ts";
import { printable } from "../log.ts";
import { foldPath, PARTIAL_FOLDER } from "../transfer/safe_path.ts";
import { prefixesOf } from "./path.ts";

/** Where a folder's rules are. */
export const IGNORE_FILE = ".kithignore";

const FOLDED_IGNORE_FILE = foldPath(IGNORE_FILE);

/** Longest file of rules in characters. */
export const MAX_IGNORE_CHARS: number = 64 * 1024;

/** Most rules: each is tried on each file. */
export const MAX_IGNORE_RULES = 1_000;

/** What one place of a name must be. */
type Token =
  | { readonly is: "char"; readonly char: string }
  | { readonly is: "any" }
  | {
    readonly is: "class";
    readonly ranges: readonly (readonly [string, string])[];
    readonly not: boolean;
  }
  | { readonly is: "star" };

interface IgnoreRule {
  readonly shares: boolean;
  readonly foldersOnly: boolean;
  /** Patterns of the names on the way from the top; `undefined` stands for any number of folders. */
  readonly segments: readonly (readonly Token[] | undefined)[];
}

/**
 * The rules of one folder.
 *
 * @example
 * ```ts
 * import { IgnoreRules } from "@kith/kith/sync";
 * import { assertEquals } from "@std/assert";
 *
 * const rules = IgnoreRules.parse("*.tmp\nbuild/\n!keep.tmp\n");
 * const paths = ["a.tmp", "docs/keep.tmp", "docs/build/x.js", "docs/a.txt"];
 * assertEquals(paths.filter((path) => rules.ignores(path, "file")), ["a.tmp", "docs/build/x.js"]);
 * ```
 */
export class IgnoreRules {
  /** No rules but kith's own: the file of rules, and where unfinished files are. */
  static readonly none: IgnoreRules = new IgnoreRules([], "");

  /** Another number for other rules; 0 for none. */
  readonly number: number;
  readonly #rules: readonly IgnoreRule[];
  readonly #text: string;
  readonly #apart: string | undefined;

  private constructor(rules: readonly IgnoreRule[], text: string, apart?: string) {
    this.#rules = rules;
    this.#text = text;
    this.#apart = apart;
    const says = JSON.stringify([text, apart]);
    const isNone = rules.length === 0 && apart === undefined;
    this.number = isNone ? 0 : createHash("sha256").update(says).digest().readUIntBE(0, 6);
  }

  /**
   * Reads rules.
   *
   * @throws {InvalidPacketError} `bad-message` naming the line, `too-large` naming the limit.
   */
  static parse(text: string): IgnoreRules {
    if (text.length > MAX_IGNORE_CHARS) throw tooLarge("maxIgnoreChars", MAX_IGNORE_CHARS);
    const rules = text.normalize("NFC").split(/\r?\n/).flatMap((line, at) => {
      return parseRule(line.trimEnd(), at + 1) ?? [];
    });
    if (rules.length > MAX_IGNORE_RULES) throw tooLarge("maxIgnoreRules", MAX_IGNORE_RULES);
    return new IgnoreRules(rules, text);
  }

  /** The same rules for a folder in which something is never shared, in no spelling and whatever its rules say. */
  apartFrom(path: string): IgnoreRules {
    return new IgnoreRules(this.#rules, this.#text, foldPath(path));
  }

  /** Whether a file or folder is left out, because a rule says so or because a folder on the way is. */
  ignores(path: string, kind: "file" | "directory"): boolean {
    for (const prefix of prefixesOf(path.normalize("NFC"))) {
      if (this.matches(prefix, prefix.length < path.length ? "directory" : kind)) return true;
    }
    return false;
  }

  /** Whether a rule leaves it out, the folders on the way apart: for who walks down from the top. */
  matches(path: string, kind: "file" | "directory"): boolean {
    if (path === PARTIAL_FOLDER || isIgnoreFile(path)) return true;
    if (this.#apart !== undefined && foldPath(path) === this.#apart) return true;
    if (this.#rules.length === 0) return false;
    const names = path.normalize("NFC").split("/");
    const rule = this.#rules.findLast(({ foldersOnly, segments }) => {
      return (kind === "directory" || !foldersOnly) && matchesPath(segments, names);
    });
    return rule !== undefined && !rule.shares;
  }
}

/** Whether a path is that of the rules on some system. */
function isIgnoreFile(path: string): boolean {
  if (path.length < IGNORE_FILE.length || path.includes("/")) return false;
  return path === IGNORE_FILE || foldPath(path) === FOLDED_IGNORE_FILE;
}

function parseRule(line: string, at: number): IgnoreRule | undefined {
  if (line === "" || line.startsWith("#")) return undefined;
  const shares = line.startsWith("!");
  let pattern = shares ? line.slice(1) : line;
  const foldersOnly = pattern.endsWith("/");
  if (foldersOnly) pattern = pattern.slice(0, -1);
  const fromTop = pattern.includes("/");
  if (pattern.startsWith("/")) pattern = pattern.slice(1);
  const names = pattern.split("/");
  if (names.includes("")) throw invalid(at, "an empty name between two slashes");
  const segments = names.map((name) => name === "**" ? undefined : tokensOf(name, at));
  return { shares, foldersOnly, segments: fromTop ? segments : [undefined, ...segments] };
}

function tokensOf(name: string, at: number): Token[] {
  const tokens: Token[] = [];
  const chars = [...name];
  for (let i = 0; i < chars.length; i++) {
    const char = chars[i] ?? "";
    if (char === "*") tokens.push({ is: "star" });
    else if (char === "?") tokens.push({ is: "any" });
    else if (char === "[") {
      const end = chars.indexOf("]", i + 2);
      if (end < 0) throw invalid(at, "a [ without its ]");
      tokens.push(classOf(chars.slice(i + 1, end)));
      i = end;
    } else if (char === "\\") {
      const next = chars[++i];
      if (next === undefined) throw invalid(at, "a \\ with nothing behind it");
      tokens.push({ is: "char", char: next });
    } else tokens.push({ is: "char", char });
  }
  return tokens;
}

function classOf(chars: readonly string[]): Token {
  const not = chars.length > 1 && (chars[0] === "!" || chars[0] === "^");
  const inside = not ? chars.slice(1) : chars;
  const ranges: (readonly [string, string])[] = [];
  for (let i = 0; i < inside.length; i++) {
    const first = inside[i] ?? "";
    const last = inside[i + 1] === "-" ? inside[i + 2] : undefined;
    ranges.push([first, last ?? first]);
    if (last !== undefined) i += 2;
  }
  return { is: "class", ranges, not };
}

function matchesPath(
  segments: readonly (readonly Token[] | undefined)[],
  names: readonly string[],
): boolean {
  return matchesAll(segments, names, {
    isWildcard: (tokens) => tokens === undefined,
    fits: (tokens = [], name) => {
      return matchesAll(tokens, [...name], {
        isWildcard: ({ is }) => is === "star",
        fits: fitsChar,
      });
    },
  });
}

function fitsChar(token: Token, char: string): boolean {
  switch (token.is) {
    case "star":
    case "any":
      return true;
    case "char":
      return token.char === char;
    case "class":
      return token.ranges.some(([first, last]) => first <= char && char <= last) !== token.not;
  }
}

/** What the parts of a pattern stand for. */
interface Meaning<P, T> {
  /** Whether a part stands for any number of items. */
  isWildcard(part: P): boolean;
  /** Whether one that does not stands for this item. */
  fits(part: P, item: T): boolean;
}

/**
 * Whether a pattern fits a whole list. Only the last wildcard is ever tried again, with one item more: those before it
 * have taken as little as they can, and more would help nobody (Krauss, "Matching Wildcards", 2008).
 */
function matchesAll<P, T>(
  pattern: readonly P[],
  items: readonly T[],
  { isWildcard, fits }: Meaning<P, T>,
): boolean {
  let p = 0;
  let wildcard: { p: number; i: number } | undefined;
  for (let i = 0; i < items.length;) {
    const part = pattern[p] as P;
    if (p < pattern.length && isWildcard(part)) wildcard = { p: p++, i };
    else if (p < pattern.length && fits(part, items[i] as T)) [p, i] = [p + 1, i + 1];
    else if (wildcard !== undefined) [p, i] = [wildcard.p + 1, ++wildcard.i];
    else return false;
  }
  return pattern.slice(p).every(isWildcard);
}

function invalid(line: number, why: string): InvalidPacketError {
  const text = `Cannot read ${IGNORE_FILE}: line ${line} has ${printable(why)}`;
  return new InvalidPacketError("bad-message", text, { details: { line } });
}

function tooLarge(limit: string, max: number): InvalidPacketError {
  return new InvalidPacketError(
    "too-large",
    `Cannot read ${IGNORE_FILE}: it exceeds ${limit} ${max}`,
    {
      details: { limit, max },
    },
  );
}
