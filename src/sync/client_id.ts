/**
 * How a client calls itself and its folder, and what it learns of the server's clock.
 *
 * @module
 */

import { randomBytes } from "node:crypto";
import { INVISIBLE } from "../log.ts";

/** Longest id of a client in characters. */
export const MAX_CLIENT_ID_CHARS = 128;

/** Longest name of a client and longest label of a folder, in characters. */
export const MAX_LABEL_CHARS = 64;

/** Bytes of chance in an id: a guess is right once in 2^64. The seed's ids, name and time, collide and are guessed. */
const SUFFIX_BYTES = 8;

/** What an id of the seed's form has between its parts. */
const SEPARATOR = "_";

const OWN_ID = /^[\w.-]{1,128}$/;

// What is not seen or begins another line, and the colon, which ends a label in a scope.
const NO_LABEL = new RegExp(`[\\p{C}\\p{Zl}\\p{Zp}:]|${INVISIBLE}`, "gu");

/**
 * Makes a client's id: its name, the time in seconds and a random suffix, such as `desk_1767323045_9f86d081884c7d65`.
 *
 * @example
 * ```ts
 * import { makeClientId } from "@kith/kith/sync";
 * import { assertMatch } from "@std/assert";
 *
 * const id = makeClientId("Ann's desk", Date.UTC(2026, 0, 2));
 * assertMatch(id, /^Annsdesk_1767312000_[0-9a-f]{16}$/);
 * ```
 *
 * @param wallMs Milliseconds since 1970, for people who read logs.
 */
export function makeClientId(name: string, wallMs: number): string {
  const plain = name.normalize("NFKD").replace(/[^\w.-]+/g, "").slice(0, MAX_LABEL_CHARS);
  const parts = [
    plain || "client",
    Math.floor(wallMs / 1_000),
    randomBytes(SUFFIX_BYTES).toString("hex"),
  ];
  return parts.join(SEPARATOR);
}

/**
 * Whether a text can be a client's id: letters, digits, `_`, `.` and `-`, 1 to 128 of them.
 *
 * @example
 * ```ts
 * import { isClientId } from "@kith/kith/sync";
 * import { assertEquals } from "@std/assert";
 *
 * const ids = ["desk_1767312000_9f86d081", "a desk", ""];
 * assertEquals(ids.map((id) => isClientId(id)), [true, false, false]);
 * ```
 */
export function isClientId(value: string): boolean {
  return OWN_ID.test(value);
}

/**
 * What a folder is called towards others: the last name of its path, without anything that is not seen. It says neither
 * where the folder is nor whose.
 *
 * @example
 * ```ts
 * import { folderLabel } from "@kith/kith/sync";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(folderLabel("/home/ann/Photos/"), "Photos");
 * assertEquals(folderLabel("C:\\Users\\ann\\Photos"), "Photos");
 * assertEquals(folderLabel("/"), "folder"); // has no name of its own
 * ```
 */
export function folderLabel(path: string): string {
  const [last = ""] = path.split(/[/\\]+/).filter((name) => name !== "").slice(-1);
  const label = last.replace(NO_LABEL, "").slice(0, MAX_LABEL_CHARS).toWellFormed().trim();
  return /^\.*$/.test(label) ? "folder" : label;
}

/**
 * How far the server's clock is ahead of ours, in milliseconds: for showing times to people. No order depends on it.
 *
 * The server is taken to have looked at its clock half-way between question and answer; the truth is at most half the
 * round trip away. A time without a zone is the server's local time, and read as if that were ours.
 *
 * @example
 * ```ts
 * import { clockOffsetMs } from "@kith/kith/sync";
 * import { assertEquals } from "@std/assert";
 *
 * const sentMs = Date.UTC(2026, 0, 2);
 * assertEquals(clockOffsetMs("2026-01-02T00:00:05Z", sentMs, sentMs + 200), 4_900);
 * assertEquals(clockOffsetMs("teatime", sentMs, sentMs + 200), undefined);
 * ```
 *
 * @returns `undefined` when the time cannot be read.
 */
export function clockOffsetMs(
  serverTime: string | undefined,
  sentMs: number,
  receivedMs: number,
): number | undefined {
  const serverMs = serverTime === undefined ? NaN : Date.parse(serverTime);
  return Number.isNaN(serverMs) ? undefined : serverMs - (sentMs + receivedMs) / 2;
}
