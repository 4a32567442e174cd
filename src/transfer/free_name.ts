/**
 * Names that are free.
 *
 * @module
 */

import { basename } from "node:path";
import { LimitError } from "../errors.ts";
import { printable } from "../log.ts";
import { MAX_SEGMENT_BYTES } from "./safe_path.ts";

/** How many of `name (1)`, `name (2)`, ... are tried. */
const MAX_NAME_TRIES = 1000;

/** An extension longer than this, with its dot, is part of the name. */
const MAX_EXTENSION_CHARS = 16;

const utf8 = new TextEncoder();

/**
 * The path, or the first `name (1).ext`, `name (2).ext` ... that is accepted, cut where the number makes it too long.
 *
 * @throws {LimitError} when 1000 names are taken.
 */
export function firstName(path: string, accepts: (candidate: string) => boolean): string {
  if (accepts(path)) return path;
  const name = basename(path);
  const dot = name.lastIndexOf(".");
  const extension = dot > 0 && name.length - dot <= MAX_EXTENSION_CHARS ? name.slice(dot) : "";
  const stem = name.slice(0, name.length - extension.length);
  for (let n = 1; n < MAX_NAME_TRIES; n++) {
    const ending = ` (${n})${extension}`;
    const room = new Uint8Array(MAX_SEGMENT_BYTES - utf8.encode(ending).length);
    const { read } = utf8.encodeInto(stem, room);
    const candidate = path.slice(0, -name.length) + stem.slice(0, read) + ending;
    if (accepts(candidate)) return candidate;
  }
  const shown = printable(path);
  throw new LimitError("limit", `Cannot receive "${shown}": ${MAX_NAME_TRIES} names are taken`, {
    details: { path: shown, limit: "maxNameTries", max: MAX_NAME_TRIES },
  });
}
