/**
 * What the status page shows, from one look to the next: all of it for who has just come, for the others what is new.
 *
 * @module
 */

import { type Logger, printable } from "../log.ts";
import { encodeJson } from "../wire/json.ts";
import type { Figure, StatusSource } from "./source.ts";

/** Most that one source may say, in UTF-16 units of JSON: two hundred peers, and more than anybody reads. */
export const MAX_PART_CHARS: number = 64 * 1024;

/** Most sources; with {@linkcode MAX_PART_CHARS} this bounds what is sent to whoever looks. */
export const MAX_SOURCES = 16;

/** Parts by the names of their sources. */
export type StatusParts = Readonly<Record<string, unknown>>;

/**
 * Asks the sources; see the module.
 *
 * @example
 * ```ts
 * import { silentLogger } from "@kith/kith";
 * import { StatusFeed } from "@kith/kith/status";
 * import { assertEquals } from "@std/assert";
 *
 * const feed = new StatusFeed(silentLogger);
 * let ripe = 7;
 * feed.add({ name: "garden", snapshot: () => ({ ripe }) });
 * feed.add({ name: "weather", snapshot: () => "fair" });
 * assertEquals(feed.look(), { garden: { ripe: 7 }, weather: "fair" });
 * ripe = 6;
 * assertEquals(feed.look(), { garden: { ripe: 6 } }); // only what is new
 * ```
 */
export class StatusFeed {
  readonly #log: Logger;
  readonly #sources = new Map<string, StatusSource>();
  readonly #texts = new Map<string, string>();
  readonly #failing = new Set<string>();
  #parts: Record<string, unknown> = {};

  /** Has no source. */
  constructor(log: Logger) {
    this.#log = log;
  }

  /**
   * Adds a source. @returns what takes it away.
   *
   * @throws {TypeError} when there is one of that name. @throws {RangeError} when there are 16.
   */
  add(source: StatusSource): Disposable {
    const { name } = source;
    if (this.#sources.has(name)) {
      throw new TypeError(`Cannot add status source "${printable(name, 40)}": there is one`);
    }
    if (this.#sources.size >= MAX_SOURCES) {
      throw new RangeError(`Cannot add status source: there are ${MAX_SOURCES} (maxSources)`);
    }
    this.#sources.set(name, source);
    return {
      [Symbol.dispose]: () => {
        if (this.#sources.get(name) === source) this.#sources.delete(name);
      },
    };
  }

  /** All that was seen at the last look. */
  get all(): StatusParts {
    return this.#parts;
  }

  /** Takes a look. @returns the parts that are not as they were at the look before; `null` for one that has gone. */
  look(): StatusParts {
    const before = this.#parts;
    const changed: Record<string, unknown> = {};
    this.#parts = {};
    for (const [name, source] of this.#sources) {
      const { part, text } = this.#ask(name, source);
      this.#parts[name] = part;
      if (this.#texts.get(name) !== text) changed[name] = part;
      this.#texts.set(name, text);
    }
    for (const name of Object.keys(before).filter((name) => !this.#sources.has(name))) {
      changed[name] = null;
      this.#texts.delete(name);
    }
    return changed;
  }

  /** The figures of all sources. */
  figures(): Figure[] {
    return [...this.#sources].flatMap(([name, source]) => {
      try {
        return source.figures?.() ?? [];
      } catch (error) {
        this.#complain(name, error);
        return [];
      }
    });
  }

  /** One that fails, or has too much to say, is shown as that: the others are shown all the same. */
  #ask(name: string, source: StatusSource): { part: unknown; text: string } {
    try {
      const part = source.snapshot();
      const text = encodeJson(part);
      if (text.length <= MAX_PART_CHARS) {
        this.#failing.delete(name);
        return { part, text };
      }
      return failed(`it says more than ${MAX_PART_CHARS} characters`);
    } catch (error) {
      this.#complain(name, error);
      return failed("it failed, the log says how");
    }
  }

  /** Once, until it works again. */
  #complain(name: string, error: unknown): void {
    if (this.#failing.has(name)) return;
    this.#failing.add(name);
    this.#log.error("a status source failed", { name, error: printable(String(error)) });
  }
}

function failed(why: string): { part: unknown; text: string } {
  return { part: { error: why }, text: why };
}
