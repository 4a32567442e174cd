/**
 * Relative paths with `/`, taken apart.
 *
 * @module
 */

/** The folder that a path is in; empty for the root. */
export function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

/** Whether a path is that of a folder, or below it. */
export function isIn(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

/** The folders on the way to a path, outermost first, and the path itself. */
export function* prefixesOf(path: string): Generator<string> {
  for (let at = path.indexOf("/"); at >= 0; at = path.indexOf("/", at + 1)) yield path.slice(0, at);
  yield path;
}
