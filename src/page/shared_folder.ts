/**
 * The one folder below which a page may name files.
 *
 * @module
 */

import { isAbsolute, relative, resolve } from "node:path";
import { AuthError, NotFoundError, UnsupportedError } from "../errors.ts";
import { printable } from "../log.ts";

/** Turns the paths that a page names into real ones, if they are below the folder. */
export class SharedFolder {
  readonly #dir: string;

  /** @param dir The folder; it need not exist yet. */
  constructor(dir: string) {
    this.#dir = resolve(dir);
  }

  /**
   * The real path of what a page names, relative to the folder or absolute. Links are followed first: one that leads
   * out of the folder is refused. An error has the page's own text, never where the folder is.
   *
   * @throws {AuthError} `not-allowed` when it is not below the folder. @throws {NotFoundError} `no-path`.
   * @throws {UnsupportedError} when the program may not read there.
   */
  async find(path: string): Promise<string> {
    if (path.includes("\0") || !isBelow(this.#dir, resolve(this.#dir, path))) throw outside(path);
    try {
      const root = await Deno.realPath(this.#dir);
      const real = await Deno.realPath(resolve(this.#dir, path));
      if (isBelow(root, real)) return real;
    } catch (error) {
      throw readError(path, error);
    }
    throw outside(path);
  }
}

/** Whether a path is below a folder; the folder itself is not. */
function isBelow(dir: string, path: string): boolean {
  const way = relative(dir, path);
  return way !== "" && !/^\.\.(?:[/\\]|$)/.test(way) && !isAbsolute(way);
}

function outside(path: string): AuthError {
  const text = `Cannot send "${printable(path)}": it is not below the folder that is shared`;
  return new AuthError("not-allowed", text);
}

function readError(path: string, cause: unknown): unknown {
  const text = `Cannot send "${printable(path)}"`;
  if (cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.NotADirectory) {
    return new NotFoundError("no-path", `${text}: it does not exist`, { cause });
  }
  if (cause instanceof Deno.errors.NotCapable) {
    return new UnsupportedError(`${text}: run with --allow-read for the folder that is shared`, {
      cause,
    });
  }
  return new AuthError("not-allowed", `${text}: it cannot be read`, { cause });
}
