/**
 * What may come out of a decoder: plain data, and nothing that does something when it is touched.
 *
 * @module
 */

import { Extension, Float64 } from "../../src/wire/msgpack_types.ts";

/** Prototypes of everything that is data and no more. */
const PLAIN: ReadonlySet<unknown> = new Set([
  null,
  ...[Object, Array, Map, Uint8Array, Date, Float64, Extension].map(({ prototype }) => prototype),
]);

/** Names that mean something to the language: what an attacker would put into a map. */
export const SPECIAL_KEYS = [
  "__proto__",
  "constructor",
  "prototype",
  "then",
  "toJSON",
  "toString",
  "valueOf",
  "hasOwnProperty",
  "__defineGetter__",
  "__lookupSetter__",
] as const;

/** What is wrong with a value, if it is not plain all the way down. */
export function unplain(value: unknown, where = "$"): string | undefined {
  if (typeof value === "function" || typeof value === "symbol") {
    return `${where} is a ${typeof value}`;
  }
  if (typeof value !== "object" || value === null) return undefined;
  if (!PLAIN.has(Object.getPrototypeOf(value))) return `${where} has a prototype of its own`;
  if (value instanceof Uint8Array || value instanceof Date) return undefined;
  if (value instanceof Map) {
    for (const [key, item] of value) {
      const found = unplain(key, `${where} key`) ?? unplain(item, `${where}[${String(key)}]`);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  for (const key of Reflect.ownKeys(value)) {
    if (typeof key === "symbol") return `${where} has a symbol`;
    const { get, set, value: item } = Object.getOwnPropertyDescriptor(value, key) ?? {};
    if (get !== undefined || set !== undefined) return `${where}.${key} is an accessor`;
    const found = unplain(item, `${where}.${key}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The same value, with a key that is special in every map of it. */
export function poisoned(value: unknown, key: string): unknown {
  if (Array.isArray(value)) return value.map((item) => poisoned(item, key));
  if (
    typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype
  ) {
    return value;
  }
  const entries = Object.entries(value).map(([name, item]) => [name, poisoned(item, key)]);
  // Unlike an assignment, this makes an ordinary property of any name.
  return Object.fromEntries([...entries, [key, { polluted: true, [key]: [1] }]]);
}
