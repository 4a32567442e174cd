/**
 * What is on the disk around a folder that strangers may write to.
 *
 * @module
 */

import { join } from "node:path";

/** Files that must stay as they are, in and beside a folder, and a list of everything that is there. */
export class Surroundings {
  readonly #top: string;
  readonly #before: readonly string[];

  /** Puts canaries into a folder, around those that are there already, and notes what is there. */
  constructor(top: string) {
    this.#top = top;
    for (const name of ["canary", "root", "..canary", "etc/passwd", "outside/canary"]) {
      const path = join(top, name);
      Deno.mkdirSync(join(path, ".."), { recursive: true });
      Deno.writeTextFileSync(path, "alive");
    }
    this.#before = contentsOf(top);
  }

  /** What has come, gone or changed since, as `+path`, `-path`. */
  changes(): string[] {
    const now = contentsOf(this.#top);
    return [
      ...now.filter((line) => !this.#before.includes(line)).map((line) => `+${line}`),
      ...this.#before.filter((line) => !now.includes(line)).map((line) => `-${line}`),
    ];
  }
}

/** Everything below a folder: `path/`, or `path: contents`; links are not followed. */
export function contentsOf(dir: string, prefix = ""): string[] {
  return [...Deno.readDirSync(dir)].flatMap(({ name, isDirectory, isFile }) => {
    const path = join(dir, name);
    if (isDirectory) return [`${prefix}${name}/`, ...contentsOf(path, `${prefix}${name}/`)];
    return [`${prefix}${name}: ${isFile ? Deno.readTextFileSync(path) : "no plain file"}`];
  }).sort();
}
