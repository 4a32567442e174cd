/**
 * File names that a stranger sends, made harmless: {@linkcode checkPath} accepts only what names the same file below a
 * folder on every system, and {@linkcode findCollision} finds names that only some systems tell apart.
 *
 * @module
 */

import { InvalidPacketError, LimitError } from "../errors.ts";
import { printable } from "../log.ts";

/** Longest segment of a path in UTF-8 bytes: what ext4, APFS and most others store. */
export const MAX_SEGMENT_BYTES: number = 255;

// U+200C and U+200D are invisible, yet Persian, the Indic scripts and emoji families are spelled with them: they pass
// between two letters of such a script or two pictographs, and nowhere else (after Unicode UAX 31, section 2.3).
const JOINED_SCRIPTS = "Arab Syrc Mong Deva Beng Guru Gujr Orya Taml Telu Knda Mlym Sinh Khmr Mymr";
const JOINED = `[${JOINED_SCRIPTS.replace(/(\w+) ?/g, "\\p{scx=$1}")}]`;
const SPELLED_JOINER = new RegExp(
  `(?<=${JOINED}\\p{M}*)[\\u200c\\u200d](?=${JOINED})|` +
    "(?<=\\p{ExtPict}[\\ufe0f\\p{EMod}]?)\\u200d(?=\\p{ExtPict})",
  "gu",
);

// What makes one name look like another, or reorders the line it is shown on ("Trojan Source", Boucher and Anderson,
// 2021). Variation selectors are not among it: they choose the form of a visible character.
const INVISIBLE =
  /(?![\ufe00-\ufe0f\u180b-\u180d\u180f\u{e0100}-\u{e01ef}])[\p{Default_Ignorable_Code_Point}\ufff9-\ufffb]/u;

/**
 * Most folders that paths may lead through without listing them: whoever lists what it sends needs none, and a short
 * list of deep paths would otherwise make us hold, and create, sixty times as many folders as it has entries.
 */
const MAX_UNLISTED_FOLDERS = 20_000;

const utf8 = new TextEncoder();

type Faults = readonly (readonly [pattern: RegExp, reason: string])[];

const PATH_FAULTS: Faults = [
  [/^$/, "empty path"],
  [/^(?:[/\\]|[A-Za-z]:)/, "absolute path"],
  [/\\/, "backslash"],
  [/[\p{Cc}\p{Zl}\p{Zp}]/u, "control character"],
  [/\p{Cs}/u, "lone surrogate"],
  // Wildcards and redirections; ":" leads to a drive or an alternate data stream.
  [/[<>:"|?*]/, "reserved character"],
];

const SEGMENT_FAULTS: Faults = [
  [/^$/, "empty segment"],
  [/^\.\.?$/, "dot segment"],
  // Windows drops them: "a." and "a" are one file.
  [/[ .]$/, "trailing space or dot"],
  // Windows opens the device instead of a file, in any folder and with any extension.
  [
    /^(?:con|prn|aux|nul|clock\$|conin\$|conout\$|(?:com|lpt)[0-9¹²³]) *(?:\.|$)/i,
    "reserved device name",
  ],
];

/** How long and how deep a path may be. */
export interface PathLimits {
  /** Longest path in UTF-8 bytes; Linux takes 4096. @default {4096} */
  maxPathBytes?: number;
  /** Most segments: the folders that one path can make. @default {64} */
  maxSegments?: number;
}

/**
 * Checks a relative path that came from outside and returns it in Unicode normal form C.
 *
 * A path passes when it means the same file below a folder on Linux, macOS and Windows, and shows what it is: segments
 * of at most 255 bytes separated by `/`, none of them `.` or `..`, nothing reserved, nothing invisible. A refusal has
 * the printable `path` and the `reason` in its `details`.
 *
 * @example
 * ```ts
 * import { checkPath, InvalidPacketError } from "@kith/kith";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * assertEquals(checkPath("photos/été.jpg"), "photos/été.jpg");
 * assertThrows(() => checkPath("photos/../../.ssh/config"), InvalidPacketError, "dot segment");
 * ```
 *
 * @throws {InvalidPacketError} `too-large` for a limit, which it names, else `bad-message`.
 */
export function checkPath(path: string, limits: PathLimits = {}): string {
  const { maxPathBytes = 4096, maxSegments = 64 } = limits;
  const name = path.slice(0, maxPathBytes + 1).normalize("NFC");
  const segments = name.split("/");
  const excess = path.length > maxPathBytes || isLonger(name, maxPathBytes)
    ? `exceeds maxPathBytes ${maxPathBytes}`
    : segments.length > maxSegments
    ? `exceeds maxSegments ${maxSegments}`
    : segments.some((segment) => isLonger(segment, MAX_SEGMENT_BYTES))
    ? `exceeds maxSegmentBytes ${MAX_SEGMENT_BYTES}`
    : undefined;
  if (excess !== undefined) throw refused(path, excess, "too-large");
  const reason = firstFault(name, PATH_FAULTS) ??
    segments.map((segment) => firstFault(segment, SEGMENT_FAULTS)).find((found) => found) ??
    (INVISIBLE.test(name.replace(SPELLED_JOINER, "")) ? "invisible character" : undefined);
  if (reason !== undefined) throw refused(path, reason);
  return name;
}

/** A path and what it names. */
export interface PathEntry {
  /** The path, as {@linkcode checkPath} returns it. */
  readonly path: string;
  /** What is there. */
  readonly kind: "file" | "directory";
}

interface Seen {
  readonly name: string;
  readonly kind: "file" | "directory";
  /** The path that came here first. */
  readonly path: string;
  /** Whether a path ends here, or only leads through. */
  listed: boolean;
  inside?: Map<string, Seen>;
}

/**
 * Finds two paths that cannot both be stored everywhere: a path listed twice, two that differ only in case or Unicode
 * form (of the file's name or of a folder on the way), or a file where the other needs a folder.
 *
 * @example
 * ```ts
 * import { findCollision } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const entries = ["Read.me", "docs/a", "read.me"].map((path) => ({ path, kind: "file" as const }));
 * assertEquals(findCollision(entries), ["Read.me", "read.me"]);
 * assertEquals(findCollision(entries.slice(0, 2)), undefined);
 * ```
 *
 * @returns the first such pair, in the order of the entries, or `undefined`.
 * @throws {LimitError} when the paths lead through more than 20,000 folders that are not listed themselves.
 */
export function findCollision(entries: Iterable<PathEntry>): [string, string] | undefined {
  const root = new Map<string, Seen>();
  let folders = 0;
  for (const { path, kind } of entries) {
    const segments = path.split("/");
    let folder = root;
    for (const [depth, name] of segments.entries()) {
      const listed = depth === segments.length - 1;
      const here: Seen = { name, kind: listed ? kind : "directory", path, listed };
      const key = fold(name);
      const there = folder.get(key) ?? here;
      if (there === here) {
        folder.set(key, here);
        if (!listed && ++folders > MAX_UNLISTED_FOLDERS) throw tooManyFolders();
      } else if (clash(there, here)) return [there.path, path];
      there.listed ||= listed;
      folder = there.inside ??= new Map();
    }
  }
  return undefined;
}

function firstFault(text: string, faults: Faults): string | undefined {
  return faults.find(([pattern]) => pattern.test(text))?.[1];
}

/**
 * What a file system that ignores case sees of a name. Both ways, because neither alone joins "ß", "ẞ" and "SS"; and
 * without what is not visible, which HFS+ ignores too.
 */
export function fold(name: string): string {
  if (/^[ -~]*$/.test(name)) return name.toUpperCase();
  const visible = name.replace(/\p{Default_Ignorable_Code_Point}/gu, "");
  return visible.normalize("NFD").toLowerCase().toUpperCase().normalize("NFC");
}

function clash(there: Seen, here: Seen): boolean {
  return there.name !== here.name || there.kind !== here.kind || (there.listed && here.listed);
}

// A UTF-16 unit becomes at most 3 bytes of UTF-8, so most names need no encoding to be short enough.
function isLonger(text: string, maxBytes: number): boolean {
  return text.length * 3 > maxBytes && utf8.encode(text).length > maxBytes;
}

/** The error for a path that cannot be accepted. */
export function refused(
  path: string,
  reason: string,
  code: "bad-message" | "too-large" = "bad-message",
): InvalidPacketError {
  const shown = printable(path);
  return new InvalidPacketError(code, `Cannot accept path "${shown}": ${reason}`, {
    details: { path: shown, reason },
  });
}

function tooManyFolders(): LimitError {
  const text = `Paths lead through more than ${MAX_UNLISTED_FOLDERS} folders (maxUnlistedFolders)`;
  return new LimitError("limit", text, {
    details: { limit: "maxUnlistedFolders", max: MAX_UNLISTED_FOLDERS },
  });
}
