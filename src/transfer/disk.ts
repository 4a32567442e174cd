/**
 * What a disk says and does.
 *
 * @module
 */

import { statfsSync } from "node:fs";
import { AuthError, NotFoundError, UnsupportedError } from "../errors.ts";
import { printable } from "../log.ts";

/**
 * The bytes that are free for us on the disk of a folder, or `undefined` where that cannot be found out: without
 * `--allow-sys=statfs`, or on a file system that does not say.
 *
 * @example
 * ```ts
 * import { freeBytes } from "@kith/kith/transfer";
 * import { assertEquals } from "@std/assert";
 *
 * const free = freeBytes(Deno.cwd());
 * assertEquals(free === undefined || free > 0, true);
 * assertEquals(freeBytes("/no/such/folder"), undefined);
 * ```
 */
export function freeBytes(dir: string): number | undefined {
  try {
    const { bavail, bsize } = statfsSync(dir);
    return bavail * bsize;
  } catch {
    return undefined;
  }
}

/** Writes all of it. */
export function writeAll(file: Deno.FsFile, data: Uint8Array): void {
  for (let at = 0; at < data.length;) at += file.writeSync(data.subarray(at));
}

/** The error for a folder that cannot be made, by what the runtime threw. */
export function makeError(dir: string, cause: unknown): unknown {
  const { AlreadyExists, NotADirectory, NotCapable } = Deno.errors;
  // Something else is in its place.
  const isOther = cause instanceof AlreadyExists || cause instanceof NotADirectory;
  if (isOther || cause instanceof NotCapable || !(cause instanceof Error)) {
    return openError(dir, cause);
  }
  const why = cause instanceof Deno.errors.PermissionDenied
    ? "no right to make a folder there"
    : "code" in cause && cause.code === "EROFS"
    ? "the disk can only be read"
    : cause instanceof Deno.errors.NotFound
    ? "there can be no such folder"
    : cause.message.replace(/: mkdir .*$/, "");
  const shown = printable(dir);
  const options = { cause, details: { path: shown } };
  const text = `Cannot make folder "${shown}": ${printable(why)}`;
  if (cause instanceof Deno.errors.NotFound) return new NotFoundError("no-path", text, options);
  return new AuthError("not-allowed", text, options);
}

/** The error for a folder that cannot be used, by what the runtime threw. */
export function openError(dir: string, cause: unknown): unknown {
  const shown = printable(dir);
  const details = { path: shown };
  const { AlreadyExists, NotADirectory, NotCapable, NotFound, PermissionDenied } = Deno.errors;
  if (
    cause instanceof AlreadyExists || cause instanceof NotADirectory || cause instanceof NotFound
  ) {
    return new NotFoundError("no-path", `Cannot use folder "${shown}": it is no folder`, {
      cause,
      details,
    });
  }
  if (cause instanceof PermissionDenied) {
    return new AuthError("not-allowed", `Cannot use folder "${shown}": no right to write there`, {
      cause,
      details,
    });
  }
  if (!(cause instanceof NotCapable)) return cause;
  const flags = `--allow-read=${shown} --allow-write=${shown}`;
  return new UnsupportedError(`Cannot use folder "${shown}": run with ${flags}`, {
    cause,
    details,
  });
}
