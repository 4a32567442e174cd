/**
 * Where the running peer of a home is spoken to: a unix socket in a folder that is the user's alone.
 *
 * ```
 * HOME/control/up.sock                       usually
 * /tmp/kith-UID/0123456789abcdef.sock        where that is longer than a socket's path may be
 * ```
 *
 * Both sides find the second by the home alone: what an environment says may be another thing for each of them. The folder
 * has to be one's own, and for nobody else to enter: who may not enter it can neither connect to the socket nor put
 * another in its place.
 *
 * @module
 */

import { AuthError } from "../../errors.ts";
import { printable } from "../../log.ts";
import { MAX_UNIX_PATH_BYTES } from "../../transport/unix.ts";

/** Where sockets of long names are. */
const SHORT_ROOT = "/tmp";

/** Digits of a home's name there. */
const NAME_DIGITS = 16;

/** Where a socket is. */
export interface ControlPlace {
  /** Its folder. */
  readonly folder: string;
  /** The socket. */
  readonly path: string;
  /** Whose the folder has to be: who owns the home. */
  readonly uid: number | null;
}

/** The place for a home. @throws {Deno.errors.NotFound} when there is no such home. */
export async function controlPlace(home: string): Promise<ControlPlace> {
  const real = Deno.realPathSync(home); // so that one home has one place, however it is called
  const { uid } = Deno.statSync(real);
  const folder = `${real}/control`;
  const path = `${folder}/up.sock`;
  const bytes = new TextEncoder().encode(path).length;
  if (bytes <= MAX_UNIX_PATH_BYTES) return { folder, path, uid };
  const short = `${SHORT_ROOT}/kith-${uid ?? 0}`;
  return { folder: short, path: `${short}/${await nameOf(real)}.sock`, uid };
}

/** Makes the folder, if need be. @throws {AuthError} `not-allowed` when it is not the user's alone. */
export function makeFolder(place: ControlPlace): void {
  try {
    Deno.mkdirSync(place.folder, { mode: 0o700 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
  checkFolder(place);
}

/**
 * Looks at the folder.
 *
 * @throws {AuthError} `not-allowed` when it is not the user's alone. @throws {Deno.errors.NotFound} when there is none.
 */
export function checkFolder({ folder, uid }: ControlPlace): void {
  const found = Deno.lstatSync(folder); // a link would be somebody's choice of another folder
  const why = !found.isDirectory
    ? "it is no folder"
    : found.uid !== uid
    ? `it belongs to user ${found.uid}, and the home to user ${uid}`
    : ((found.mode ?? 0) & 0o077) !== 0
    ? `others may enter it (mode ${((found.mode ?? 0) & 0o7777).toString(8)}); remove it`
    : undefined;
  if (why === undefined) return;
  throw new AuthError("not-allowed", `Cannot use control folder ${printable(folder)}: ${why}`, {
    details: { path: folder },
  });
}

/** A name that follows from a path. */
async function nameOf(path: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(path));
  return new Uint8Array(hash).toHex().slice(0, NAME_DIGITS);
}
