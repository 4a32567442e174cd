/**
 * File names that a stranger sends, made harmless: {@linkcode checkPath} accepts only what names the same file below a
 * folder on every system, and {@linkcode findCollision} finds names that only some systems tell apart.
 *
 * @module
 */

import { InvalidPacketError, LimitError } from "../errors.ts";
import { INVISIBLE, printable } from "../log.ts";

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

// "Trojan Source" (Boucher and Anderson, 2021).
const HIDDEN = new RegExp(INVISIBLE, "u");

/**
 * Most folders that paths may lead through without listing them: whoever lists what it sends needs none, and a short
 * list of deep paths would otherwise make us hold, and create, sixty times as many folders as it has entries.
 */
const MAX_UNLISTED_FOLDERS = 20_000;

/** Most segments of all paths together: each has to be looked at. */
export const MAX_ALL_SEGMENTS = 1_000_000;

/** How many times shorter a text can be in normal form C: a syllable of Korean is one character instead of three. */
const MAX_NFC_SHRINKAGE = 3;

/** Most bytes of UTF-8 that a UTF-16 unit becomes: by that most names need no encoding to be short enough. */
const MAX_UNIT_BYTES = 3;

const utf8 = new TextEncoder();

const FAULTS: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/^$/, "empty path"],
  [/^(?:[/\\]|[A-Za-z]:)/, "absolute path"],
  [/\\/, "backslash"],
  [/[\p{Cc}\p{Zl}\p{Zp}]/u, "control character"],
  [/\p{Cs}/u, "lone surrogate"],
  // Wildcards and redirections; ":" leads to a drive or an alternate data stream.
  [/[<>:"|?*]/, "reserved character"],
  [/(?:^|\/)\.\.?(?:\/|$)/, "dot segment"],
  [/\/(?:\/|$)/, "empty segment"],
  // Windows drops them: "a." and "a" are one file.
  [/[ .](?:\/|$)/, "trailing space or dot"],
  // Windows opens the device instead of a file, in any folder and with any extension.
  [
    /(?:^|\/)(?:con|prn|aux|nul|clock\$|conin\$|conout\$|(?:com|lpt)[0-9¹²³]) *(?:[./]|$)/i,
    "reserved device name",
  ],
  // macOS leads by it from a file to its other contents.
  [/(?:^|\/)\.\.namedfork(?:\/|$)/i, "reserved name"],
];

/** Where files grow until they are complete, in the folder that receives them. */
export const PARTIAL_FOLDER = ".kith-partial";

/** The same folder by the short name that Windows may give it. */
const PARTIAL_SHORT_NAME = /^kith-p~\d+$/i;

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
  // Before the normal form is made: marks that pile up on one letter are put in order in quadratic time.
  const beforehand = path.length > maxPathBytes
    ? `exceeds maxPathBytes ${maxPathBytes}`
    : isLonger(segmentsOf(path).longest, MAX_SEGMENT_BYTES * MAX_NFC_SHRINKAGE)
    ? `exceeds maxSegmentBytes ${MAX_SEGMENT_BYTES}`
    : undefined;
  if (beforehand !== undefined) throw refused(path, beforehand, "too-large");
  const name = path.normalize("NFC");
  const { count, longest } = segmentsOf(name);
  const excess = isLonger(name, maxPathBytes)
    ? `exceeds maxPathBytes ${maxPathBytes}`
    : count > maxSegments
    ? `exceeds maxSegments ${maxSegments}`
    : isLonger(longest, MAX_SEGMENT_BYTES)
    ? `exceeds maxSegmentBytes ${MAX_SEGMENT_BYTES}`
    : undefined;
  if (excess !== undefined) throw refused(path, excess, "too-large");
  const reason = FAULTS.find(([pattern]) => pattern.test(name))?.[1] ??
    (HIDDEN.test(name) && HIDDEN.test(name.replace(SPELLED_JOINER, ""))
      ? "invisible character"
      : undefined);
  if (reason !== undefined) throw refused(path, reason);
  return name;
}

/**
 * The same for the path of a file to receive, which must not lead to where unfinished ones are, however that is spelled.
 *
 * @throws {InvalidPacketError} as {@linkcode checkPath}.
 */
export function checkReceivedPath(path: string): string {
  const name = checkPath(path);
  const [top = ""] = name.split("/", 1);
  if (foldPath(top) === foldPath(PARTIAL_FOLDER) || PARTIAL_SHORT_NAME.test(top)) {
    throw refused(path, "reserved folder");
  }
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
 * @throws {LimitError} when the paths lead through more than 20,000 folders that are not listed themselves, or have more
 * than 1,000,000 segments together.
 */
export function findCollision(entries: Iterable<PathEntry>): [string, string] | undefined {
  const root = new Map<string, Seen>();
  let folders = 0;
  let count = 0;
  for (const { path, kind } of entries) {
    const segments = path.split("/");
    count += segments.length;
    if (count > MAX_ALL_SEGMENTS) throw tooManySegments();
    let folder = root;
    for (const [depth, name] of segments.entries()) {
      const listed = depth === segments.length - 1;
      const here: Seen = { name, kind: listed ? kind : "directory", path, listed };
      // What looks like the index of an array V8 hashes by its value, and a stranger can choose values that all meet in
      // one place. What begins with a slash looks like none.
      const key = "/" + foldPath(name);
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

/** How many segments there are, and the one that is the longest in UTF-8. Most are short enough not to be built. */
function segmentsOf(name: string): { count: number; longest: string } {
  let count = 0;
  let longest = "";
  for (let start = 0; start <= name.length; count++) {
    const slash = name.indexOf("/", start);
    const end = slash < 0 ? name.length : slash;
    if ((end - start) * MAX_UNIT_BYTES > MAX_SEGMENT_BYTES) {
      const segment = name.slice(start, end);
      if (isLonger(segment, utf8.encode(longest).length)) longest = segment;
    }
    start = end + 1;
  }
  return { count, longest };
}

/**
 * What a file system that ignores case and Unicode form makes of a name or a path: two with the same result cannot both be
 * stored everywhere. Both ways, because neither alone joins "ß", "ẞ" and "SS"; and without what is not visible, which
 * HFS+ ignores too.
 */
export function foldPath(path: string): string {
  if (/^[ -~]*$/.test(path)) return path.toUpperCase();
  const visible = path.replace(/\p{Default_Ignorable_Code_Point}/gu, "");
  return visible.normalize("NFD").toLowerCase().toUpperCase().normalize("NFC");
}

function clash(there: Seen, here: Seen): boolean {
  return there.name !== here.name || there.kind !== here.kind || (there.listed && here.listed);
}

function isLonger(text: string, maxBytes: number): boolean {
  return text.length * MAX_UNIT_BYTES > maxBytes && utf8.encode(text).length > maxBytes;
}

/** The error for a path that cannot be accepted. */
function refused(
  path: string,
  reason: string,
  code: "bad-message" | "too-large" = "bad-message",
): InvalidPacketError {
  const shown = printable(path);
  return new InvalidPacketError(code, `Cannot accept path "${shown}": ${reason}`, {
    details: { path: shown, reason },
  });
}

/** The error for paths that are too many, or too deep. */
export function tooManySegments(): LimitError {
  const text = `Paths have more than ${MAX_ALL_SEGMENTS} segments together (maxAllSegments)`;
  return new LimitError("limit", text, {
    details: { limit: "maxAllSegments", max: MAX_ALL_SEGMENTS },
  });
}

function tooManyFolders(): LimitError {
  const text = `Paths lead through more than ${MAX_UNLISTED_FOLDERS} folders (maxUnlistedFolders)`;
  return new LimitError("limit", text, {
    details: { limit: "maxUnlistedFolders", max: MAX_UNLISTED_FOLDERS },
  });
}
