/**
 * Rules for the fields of a JSON object from outside. Unlike `rpc/schema.ts`, which builds what it knows and stops at the
 * first fault, these leave the object as it is and name every field that is wrong.
 *
 * @module
 */

import type { JsonObject } from "./message_types.ts";

/** A field that is wrong. */
export interface Fault {
  /** Where it is, such as `data.entries[3].size`. */
  readonly field: string;
  /** What is wrong, in words that follow the field's name: `is missing`. */
  readonly problem: string;
}

/** Looks at a value, and reports what is wrong with it. */
export type Rule = (value: unknown, field: string, faults: Faults) => void;

/** Rules by field. */
export type Rules = Readonly<Record<string, FieldRule>>;

/** A rule, and whether the field may be missing. */
export interface FieldRule {
  /** What its value must be. */
  readonly rule: Rule;
  /** Whether it must be there. */
  readonly required: boolean;
}

/** Most faults that are named; the rest is only counted. */
const MAX_NAMED_FAULTS = 64;

/** The faults found so far. */
export class Faults {
  /** Those that are named. */
  readonly named: Fault[] = [];
  #count = 0;

  /** How many there are. */
  get count(): number {
    return this.#count;
  }

  /** Adds one. */
  add(field: string, problem: string): void {
    this.#count++;
    if (this.named.length < MAX_NAMED_FAULTS) this.named.push({ field, problem });
  }

  /** All of them in a sentence. */
  toString(): string {
    const named = this.named.map(({ field, problem }) => `${field} ${problem}`).join("; ");
    const more = this.#count - this.named.length;
    return more > 0 ? `${named}; and ${more} more` : named;
  }
}

/** The field must be there. */
export function required(rule: Rule): FieldRule {
  return { rule, required: true };
}

/** The field may be missing. */
export function optional(rule: Rule): FieldRule {
  return { rule, required: false };
}

/** Looks at the fields of an object that have rules. @param path What comes before a field's name: `data.`, or nothing. */
export function checkFields(object: JsonObject, rules: Rules, path: string, faults: Faults): void {
  for (const [name, { rule, required }] of Object.entries(rules)) {
    const value = Object.hasOwn(object, name) ? object[name] : undefined;
    if (value !== undefined) rule(value, path + name, faults);
    else if (required) faults.add(path + name, "is missing");
  }
}

/** Whether a value is a JSON object. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A text of at most so many UTF-16 units. */
export function text(maxChars: number): Rule {
  return (value, field, faults) => {
    if (typeof value !== "string") faults.add(field, "is not text");
    else if (value.length > maxChars) faults.add(field, `is longer than ${maxChars} characters`);
  };
}

/** A text that a test accepts. @param problem What is wrong with others. */
export function textThat(accepts: (value: string) => boolean, problem: string): Rule {
  return (value, field, faults) => {
    if (typeof value !== "string") faults.add(field, "is not text");
    else if (!accepts(value)) faults.add(field, problem);
  };
}

/** An integer of a range. */
export function integer(min: number, max: number): Rule {
  return (value, field, faults) => {
    const fits = typeof value === "number" && Number.isInteger(value) && value >= min &&
      value <= max;
    if (!fits) faults.add(field, `is not an integer of ${min}..${max}`);
  };
}

/** `true` or `false`. */
export function boolean(value: unknown, field: string, faults: Faults): void {
  if (typeof value !== "boolean") faults.add(field, "is neither true nor false");
}

/** One of some texts. */
export function oneOf(...values: readonly string[]): Rule {
  return textThat((value) => values.includes(value), `is not one of ${values.join(", ")}`);
}

/** An object whose fields have rules. @param whole What else is looked at, once each field for itself is right. */
export function objectOf(rules: Rules, whole: Rule = () => {}): Rule {
  return (value, field, faults) => {
    if (!isJsonObject(value)) return faults.add(field, "is not an object");
    const before = faults.count;
    checkFields(value, rules, `${field}.`, faults);
    if (faults.count === before) whole(value, field, faults);
  };
}

/** An array of at most so many items. */
export function arrayOf(item: Rule, maxItems: number): Rule {
  return (value, field, faults) => {
    if (!Array.isArray(value)) return faults.add(field, "is not an array");
    if (value.length > maxItems) return faults.add(field, `has more than ${maxItems} items`);
    for (const [at, found] of value.entries()) item(found, `${field}[${at}]`, faults);
  };
}
