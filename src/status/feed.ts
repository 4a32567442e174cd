/**
 * What the status page shows, from one look to the next: all of it for who has just come, for the others what is new.
 *
 * @module
 */

import { type Logger, printable } from "../log.ts";
import { encodeJson } from "../wire/json.ts";
import type { Figure, StatusSource } from "./source.ts";

/**
 * Most that one source may say, in UTF-16 units of JSON: two hundred peers, and more than anybody reads. Of what says more the
 * lists are shortened until it fits: names that others chose cannot keep the rest from being shown.
 */
export const MAX_PART_CHARS: number = 64 * 1024;

/** Most entries of a list of a part that says too much; where that does not do, a quarter fewer each time. */
const MAX_ENTRIES = 128;

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
  readonly #failingParts = new Set<string>();
  readonly #failingFigures = new Set<string>();
  #parts: Record<string, unknown> = {};
  #notShown: Record<string, number> = {};

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

  /** How many entries of lists were left out at the last look, by source; those alone that left some out. */
  get notShown(): Readonly<Record<string, number>> {
    return this.#notShown;
  }

  /** Takes a look. @returns the parts that are not as they were at the look before; `null` for one that has gone. */
  look(): StatusParts {
    const before = this.#parts;
    const changed: Record<string, unknown> = {};
    this.#parts = {};
    this.#notShown = {};
    for (const [name, source] of this.#sources) {
      const { part, text, notShown } = this.#ask(name, source);
      this.#parts[name] = part;
      if (notShown > 0) this.#notShown[name] = notShown;
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
        const figures = source.figures?.() ?? [];
        this.#failingFigures.delete(name);
        return figures;
      } catch (error) {
        this.#complain(this.#failingFigures, name, error);
        return [];
      }
    });
  }

  /** One that fails, or has too much to say, is shown as that: the others are shown all the same. */
  #ask(name: string, source: StatusSource): Shown {
    try {
      const part = source.snapshot();
      const shown = fitting({ part, text: encodeJson(part), notShown: 0 });
      this.#failingParts.delete(name);
      return shown;
    } catch (error) {
      this.#complain(this.#failingParts, name, error);
      return failed("it failed, the log says how");
    }
  }

  /** Once, until it works again. */
  #complain(failing: Set<string>, name: string, error: unknown): void {
    if (failing.has(name)) return;
    failing.add(name);
    this.#log.error("a status source failed", { name, error: printable(String(error)) });
  }
}

/** A part, its JSON, and how many entries of its lists are not in it. */
interface Shown {
  readonly part: unknown;
  readonly text: string;
  readonly notShown: number;
}

function fitting(whole: Shown): Shown {
  let shown = whole;
  for (let most = MAX_ENTRIES; shown.text.length > MAX_PART_CHARS; most = Math.floor(most * 0.75)) {
    if (most === 0) return failed(`it says more than ${MAX_PART_CHARS} characters`);
    shown = shortened(shown, most);
  }
  return shown;
}

/** The same with at most so many entries of each list, the first ones. */
function shortened({ text, notShown }: Shown, most: number): Shown {
  let left = notShown;
  const part: unknown = JSON.parse(text, (_key, value: unknown) => {
    if (!Array.isArray(value) || value.length <= most) return value;
    left += value.length - most;
    return value.slice(0, most);
  });
  return { part, text: encodeJson(part), notShown: left };
}

function failed(why: string): Shown {
  return { part: { error: why }, text: why, notShown: 0 };
}
