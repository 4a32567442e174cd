/**
 * Schemas: what an endpoint takes, said once. They check input at the edge, describe themselves to callers, and give
 * TypeScript the type.
 *
 * A schema builds its result from what it knows, so that nothing else gets in: keys that an object's schema does not name
 * are dropped, inherited ones never seen. A look takes time in proportion to the value, right or wrong: what is wrong is
 * itself a value ({@linkcode Mismatch}) until the outermost schema throws it, so that alternatives cost no exceptions.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { printable } from "../log.ts";

/**
 * What a value must be to pass as a `T`. The functions of {@linkcode schema} make them.
 *
 * @example
 * ```ts
 * import { type Infer, InvalidPacketError, schema } from "@kith/kith";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const point = schema.object({ x: schema.number(), label: schema.optional(schema.string()) });
 * const checked: Infer<typeof point> = point.check({ x: 1, extra: true });
 * assertEquals(checked, { x: 1 });
 * assertThrows(() => point.check({ x: "1" }), InvalidPacketError, "data.x: it is not a number");
 * assertEquals(schema.array(schema.boolean()).describe(), { type: "array", items: "boolean" });
 * ```
 */
export class Schema<T> {
  /** What it takes, in words that follow "it is not": `a number`. */
  readonly expected: string;
  /** As {@linkcode Schema.check}, but what is wrong is given back: for schemas made of schemas. */
  readonly match: (value: unknown) => T | Mismatch;
  readonly #description: unknown;

  /** Makes a schema of what it is called, how it is described, and what it makes of a value. */
  constructor(
    expected: string,
    parts: { description: unknown; match: (value: unknown) => T | Mismatch },
  ) {
    this.expected = expected;
    this.match = parts.match;
    this.#description = parts.description;
  }

  /**
   * The value as the schema knows it: objects, arrays and records are new, bytes the same view.
   *
   * @param path What errors call the value. @default {"data"}
   * @throws {InvalidPacketError} `bad-message` with `path` and `expected` in its details; `too-large` when something is
   * longer than a limit, which is named too.
   */
  check(value: unknown, path = "data"): T {
    const found = this.match(value);
    if (found instanceof Mismatch) throw found.toError(path);
    return found;
  }

  /** The schema as plain data, fit for JSON: a type's name, or an object with a `type`. Not to be changed. */
  describe(): unknown {
    return this.#description;
  }
}

/** The type that passes a schema. */
export type Infer<S> = S extends Schema<infer T> ? T : never;

/** Schemas of an object's fields, by name. */
export type Fields = Readonly<Record<string, Schema<unknown>>>;

/** The type that passes an object's schema: a field may be missing where its schema takes `undefined`. */
export type InferFields<F extends Fields> =
  & { -readonly [K in keyof F as undefined extends Infer<F[K]> ? never : K]: Infer<F[K]> }
  & {
    -readonly [K in keyof F as undefined extends Infer<F[K]> ? K : never]?: Exclude<
      Infer<F[K]>,
      undefined
    >;
  } extends infer Both ? { [K in keyof Both]: Both[K] } : never;

/** A value that a schema can name. */
export type Literal = string | number | boolean | null;

/** What a number may be; no limit unless given. */
export interface NumberOptions {
  /** Least. @default {-Infinity} */
  min?: number;
  /** Most. @default {Infinity} */
  max?: number;
}

/**
 * The functions that make schemas. Lengths have no limit unless given: a message has one. All throw `RangeError` for
 * limits that make no sense.
 */
export interface Schemas {
  /** A text, of at most `maxChars` UTF-16 units. */
  string(options?: { maxChars?: number }): Schema<string>;
  /** A number, neither `NaN` nor infinite. */
  number(options?: NumberOptions): Schema<number>;
  /** A number without a fraction, below 2^53 on either side of 0, where all are exact. */
  integer(options?: NumberOptions): Schema<number>;
  /** `true` or `false`. */
  boolean(): Schema<boolean>;
  /** A `Uint8Array`, which is not copied. */
  bytes(options?: { maxBytes?: number }): Schema<Uint8Array>;
  /** Whatever there is, and nothing at all; unchecked. */
  anything(): Schema<unknown>;
  /** An array of such items. */
  array<T>(item: Schema<T>, options?: { maxItems?: number }): Schema<T[]>;
  /** An object with these fields; others are dropped. @throws {TypeError} for a field `__proto__`. */
  object<F extends Fields>(fields: F): Schema<InferFields<F>>;
  /** That or nothing: missing, `undefined`, or `null`, which is what `undefined` becomes on its way. */
  optional<T>(inner: Schema<T>): Schema<T | undefined>;
  /** One of these values. */
  literal<V extends readonly Literal[]>(...values: V): Schema<V[number]>;
  /** What the first of these that takes it makes of it. */
  oneOf<S extends readonly Schema<unknown>[]>(...schemas: S): Schema<Infer<S[number]>>;
  /** An object with any keys and such values. */
  record<T>(value: Schema<T>): Schema<Record<string, T>>;
  /**
   * What a function of your own accepts; it sees the value as it came.
   *
   * @param name What errors and descriptions call it, in words that follow "it is not": `an even number`.
   */
  guard<T>(name: string, accepts: (value: unknown) => value is T): Schema<T>;
}

/** Makes schemas; see {@linkcode Schemas}. */
export const schema: Schemas = {
  string,
  number,
  integer,
  boolean,
  bytes,
  anything,
  array,
  object,
  optional,
  literal,
  oneOf,
  record,
  guard,
};

/**
 * What is wrong with a value, and where.
 *
 * @example
 * ```ts
 * import { schema } from "@kith/kith/rpc";
 * import { assertEquals } from "@std/assert";
 *
 * const found = schema.array(schema.number()).match([1, "2"]);
 * const why = "problem" in found ? `${found.path}: ${found.problem}` : "";
 * assertEquals(why, "[1]: it is not a number");
 * ```
 */
export class Mismatch {
  /** What was expected there, in words. */
  readonly expected: string;
  /** What is wrong. */
  readonly problem: string;
  /** More for the error's details; a `limit` that is exceeded makes it `too-large`. */
  readonly facts: Readonly<Record<string, unknown>>;
  #path = "";

  /** Something else than what was expected, unless told more. */
  constructor(expected: string, problem?: string, facts: Readonly<Record<string, unknown>> = {}) {
    this.expected = expected;
    this.problem = problem ?? `it is not ${expected}`;
    this.facts = facts;
  }

  /** The way there from the value that was looked at, such as `.list[3]`; safe to print. */
  get path(): string {
    return this.#path;
  }

  /** The same, seen from one step further out. */
  under(step: string): Mismatch {
    const outer = new Mismatch(this.expected, this.problem, this.facts);
    outer.#path = step + this.#path;
    return outer;
  }

  /** The error that says so about the value of that name. */
  toError(name: string): InvalidPacketError {
    const path = name + this.#path;
    return new InvalidPacketError(
      this.facts.limit === undefined ? "bad-message" : "too-large",
      `Cannot use ${path}: ${this.problem}`,
      { details: { path, expected: this.expected, ...this.facts } },
    );
  }
}

function string(options: { maxChars?: number } = {}): Schema<string> {
  const fit = atMost("maxChars", options.maxChars, "text");
  return new Schema("text", {
    description: described("string", options),
    match: (value) => typeof value === "string" ? fit(value) : new Mismatch("text"),
  });
}

function number(options: NumberOptions = {}): Schema<number> {
  return numeric("number", "a number", options, Number.isFinite);
}

function integer(options: NumberOptions = {}): Schema<number> {
  return numeric("integer", "an integer", options, Number.isSafeInteger);
}

function numeric(
  type: string,
  words: string,
  options: NumberOptions,
  accepts: (value: number) => boolean,
): Schema<number> {
  const { min = -Infinity, max = Infinity } = options;
  if (!(min <= max)) {
    throw new RangeError(`min must be at most max ${max}: current value is ${min}`);
  }
  return testing(
    words + rangeOf(min, max),
    described(type, options),
    (value): value is number =>
      typeof value === "number" && accepts(value) && value >= min && value <= max,
  );
}

function boolean(): Schema<boolean> {
  return testing("true or false", "boolean", (value) => typeof value === "boolean");
}

function bytes(options: { maxBytes?: number } = {}): Schema<Uint8Array> {
  const fit = atMost("maxBytes", options.maxBytes, "bytes");
  return new Schema<Uint8Array>("bytes", {
    description: described("bytes", options),
    match: (value) => value instanceof Uint8Array ? fit(value) : new Mismatch("bytes"),
  });
}

function anything(): Schema<unknown> {
  return new Schema<unknown>("anything", { description: "anything", match: (value) => value });
}

function array<T>(item: Schema<T>, options: { maxItems?: number } = {}): Schema<T[]> {
  const fit = atMost("maxItems", options.maxItems, "an array");
  return new Schema<T[]>("an array", {
    description: { type: "array", items: item.describe(), ...options },
    match: (value) => {
      const values = Array.isArray(value) ? fit<unknown[]>(value) : new Mismatch("an array");
      if (values instanceof Mismatch) return values;
      const items: T[] = [];
      for (const value of values) {
        const found = item.match(value);
        if (found instanceof Mismatch) return found.under(`[${items.length}]`);
        items.push(found);
      }
      return items;
    },
  });
}

function object<F extends Fields>(fields: F): Schema<InferFields<F>> {
  if (Object.hasOwn(fields, "__proto__")) {
    throw new TypeError('Cannot make a schema: "__proto__" is no name for a field');
  }
  const rows = Object.entries(fields);
  const descriptions = rows.map(([key, field]) => [key, field.describe()]);
  return new Schema<InferFields<F>>("an object", {
    description: { type: "object", fields: Object.fromEntries(descriptions) },
    match: (value) => {
      if (!isPlain(value)) return new Mismatch("an object");
      const result: Record<string, unknown> = {};
      for (const [key, field] of rows) {
        const present = Object.hasOwn(value, key);
        const found = field.match(present ? value[key] : undefined);
        if (found instanceof Mismatch) {
          const wrong = present ? found : new Mismatch(found.expected, "it is missing");
          return wrong.under(stepTo(key));
        }
        if (found !== undefined) result[key] = found;
      }
      return result as InferFields<F>;
    },
  });
}

function optional<T>(inner: Schema<T>): Schema<T | undefined> {
  return new Schema<T | undefined>(inner.expected, {
    description: { type: "optional", value: inner.describe() },
    match: (value) => value === undefined || value === null ? undefined : inner.match(value),
  });
}

function literal<V extends readonly Literal[]>(...values: V): Schema<V[number]> {
  const known = new Set<unknown>(values);
  return testing(
    values.map((value) => JSON.stringify(value)).join(" or "),
    { type: "literal", values },
    (value): value is V[number] => known.has(value),
  );
}

function oneOf<S extends readonly Schema<unknown>[]>(...schemas: S): Schema<Infer<S[number]>> {
  const expected = [...new Set(schemas.map((schema) => schema.expected))].join(" or ");
  return new Schema<Infer<S[number]>>(expected, {
    description: { type: "oneOf", schemas: schemas.map((schema) => schema.describe()) },
    match: (value) => {
      const close: Mismatch[] = [];
      for (const schema of schemas) {
        const found = schema.match(value);
        if (!(found instanceof Mismatch)) return found as Infer<S[number]>;
        if (found.path !== "" || found.facts.limit !== undefined) close.push(found);
      }
      // Where one alternative only takes values of this kind, what that one found is what is wrong.
      const [meant, ...others] = close;
      if (meant !== undefined && others.length === 0) return meant;
      return new Mismatch(expected, meant && "no alternative fits it");
    },
  });
}

function record<T>(value: Schema<T>): Schema<Record<string, T>> {
  return new Schema<Record<string, T>>("an object", {
    description: { type: "record", values: value.describe() },
    match: (values) => {
      if (!isPlain(values)) return new Mismatch("an object");
      const rows: [string, T][] = [];
      for (const [key, item] of Object.entries(values)) {
        const found = value.match(item);
        if (found instanceof Mismatch) return found.under(stepTo(key));
        rows.push([key, found]);
      }
      // Own properties all, also `__proto__` on a runtime where assigning it sets the prototype.
      return Object.fromEntries(rows);
    },
  });
}

function guard<T>(name: string, accepts: (value: unknown) => value is T): Schema<T> {
  return testing(name, { type: "guard", name }, accepts);
}

function testing<T>(
  expected: string,
  description: unknown,
  accepts: (value: unknown) => value is T,
): Schema<T> {
  return new Schema<T>(expected, {
    description,
    match: (value) => accepts(value) ? value : new Mismatch(expected),
  });
}

function atMost(
  limit: string,
  max = Infinity,
  expected: string,
): <T extends { length: number }>(value: T) => T | Mismatch {
  if (!(max >= 0)) throw new RangeError(`${limit} must be 0 or more: current value is ${max}`);
  return (value) => {
    const got = value.length;
    if (got <= max) return value;
    return new Mismatch(expected, `length ${got} exceeds ${limit} ${max}`, { limit, max, got });
  };
}

function rangeOf(min: number, max: number): string {
  if (min === -Infinity) return max === Infinity ? "" : ` of ${max} or less`;
  return max === Infinity ? ` of ${min} or more` : ` ${min}..${max}`;
}

function described(type: string, options: object): unknown {
  return Object.keys(options).length === 0 ? type : { type, ...options };
}

// Keys of a record come from outside.
function stepTo(key: string): string {
  return /^[A-Za-z_$][\w$]{0,39}$/.test(key) ? `.${key}` : `["${printable(key, 40)}"]`;
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
