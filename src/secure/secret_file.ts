/**
 * Where secrets come from: files that nobody but their owner can read, and the environment. Never arguments, which every
 * user of the machine can list.
 *
 * @module
 */

import {
  AuthError,
  InvalidPacketError,
  NotFoundError,
  type PeerError,
  UnsupportedError,
} from "../errors.ts";
import { printable } from "../log.ts";

/** Largest file with secrets, in bytes: a thousand times what one needs. */
export const MAX_SECRET_FILE_BYTES: number = 64 * 1024;

/** Reads an environment variable. */
export type ReadEnv = (name: string) => string | undefined;

/** A line of a file with secrets. */
export interface SecretLine {
  /** Which it is, from 1. */
  readonly number: number;
  /** What it says, without the white space around it. */
  readonly text: string;
}

/**
 * The text of a file with secrets, of at most 64 KiB of UTF-8.
 *
 * @param what What an error calls the file.
 * @throws {AuthError} `not-allowed` when the group or others can access it.
 * @throws {InvalidPacketError} `too-large`, or `bad-message` when it is no text.
 * @throws {NotFoundError} `no-path` when it is not there.
 * @throws {UnsupportedError} when it cannot be read.
 */
export function readSecretFile(path: string, what = "key file"): string {
  using file = openSecret(path, what);
  // The open file is asked, not the name: between two looks at a name it can become another file's.
  refuseShared(file.statSync(), path, what);
  const bytes = readBounded(file, path, what);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new InvalidPacketError("bad-message", `Cannot read ${shown(path, what)}: it is no text`, {
      details: { path },
    });
  }
}

/** The lines of a text with secrets that say something: those that are not empty and do not begin with `#`. */
export function secretLines(text: string): SecretLine[] {
  return text.split("\n")
    .map((line, index) => ({ number: index + 1, text: line.trim() }))
    .filter((line) => line.text !== "" && !line.text.startsWith("#"));
}

/**
 * Refuses a file with secrets that the group or others can access. Windows has no such bits; there the profile folder
 * protects what is in it.
 *
 * @throws {AuthError} `not-allowed` with the mode and what to do.
 */
export function refuseShared(
  info: Pick<Deno.FileInfo, "mode" | "isDirectory">,
  path: string,
  what = "key file",
): void {
  const { mode, isDirectory } = info;
  if (isDirectory) throw new UnsupportedError(`Cannot use ${shown(path, what)}: it is a folder`);
  if (Deno.build.os === "windows" || mode === null || (mode & 0o077) === 0) return;
  const bits = (mode & 0o777).toString(8).padStart(4, "0");
  const remedy = `run: chmod 600 ${printable(path, 400)}`;
  throw new AuthError(
    "not-allowed",
    `Cannot use ${shown(path, what)}: others may access it (mode ${bits}); ${remedy}`,
    { details: { path, mode: bits } },
  );
}

/** An environment variable of this process; one that is empty, or that may not be read, counts as not set. */
export function readEnv(name: string): string | undefined {
  // Asked first, because reading would make a terminal ask the user.
  const { state } = Deno.permissions.querySync({ name: "env", variable: name });
  return state === "granted" ? Deno.env.get(name) || undefined : undefined;
}

function openSecret(path: string, what: string): Deno.FsFile {
  try {
    return Deno.openSync(path);
  } catch (error) {
    throw unreadable(path, what, error);
  }
}

// By reading, not by its size: a pipe has none.
function readBounded(file: Deno.FsFile, path: string, what: string): Uint8Array {
  const buffer = new Uint8Array(MAX_SECRET_FILE_BYTES + 1);
  let length = 0;
  try {
    while (length < buffer.length) {
      const count = file.readSync(buffer.subarray(length));
      if (count === null) return buffer.subarray(0, length);
      length += count;
    }
  } catch (error) {
    throw unreadable(path, what, error);
  }
  const limit = { limit: "maxSecretFileBytes", max: MAX_SECRET_FILE_BYTES };
  throw new InvalidPacketError(
    "too-large",
    `Cannot read ${shown(path, what)}: its size exceeds ${limit.limit} ${limit.max}`,
    { details: { path, ...limit } },
  );
}

function unreadable(path: string, what: string, cause: unknown): PeerError {
  const doing = `Cannot read ${shown(path, what)}`;
  const details = { path };
  if (cause instanceof Deno.errors.NotFound) {
    return new NotFoundError("no-path", `${doing}: not found`, { cause, details });
  }
  const why = cause instanceof Deno.errors.NotCapable
    ? `run with --allow-read=${printable(path, 400)}`
    : printable(cause instanceof Error ? cause.message : String(cause), 400);
  return new UnsupportedError(`${doing}: ${why}`, { cause, details });
}

function shown(path: string, what: string): string {
  return `${what} ${printable(path, 400)}`;
}
