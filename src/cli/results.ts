/**
 * What `--json` prints, verb by verb: the fields of each kind of result, and their types.
 *
 * The table is in short notation, `peerId, tcp: number?, addresses: list`: a field is text unless it says otherwise, and
 * always there unless a `?` says that it may be missing or `null`. Fields may be added to a result in a later version;
 * none is taken away or made another type as long as the version's first number stays.
 *
 * @module
 */

/** Types of fields. */
export const FIELD_TYPES = ["text", "number", "flag", "list", "object", "any"] as const;

/** A type of a field: text, a number, `true` or `false`, a list, an object, or anything that JSON knows. */
export type FieldType = typeof FIELD_TYPES[number];

/** One field of a result. */
export interface Field {
  /** Its name. */
  readonly name: string;
  /** Its type. */
  readonly type: FieldType;
  /** Whether it may be missing or `null`. */
  readonly isOptional: boolean;
}

/**
 * The fields of a verb's results, by their `event`, in short notation. What has no `event` is in brackets, as `(put)`: such
 * a result is told from others by what was asked for.
 */
export type Results = Readonly<Record<string, string>>;

/** What every verb prints when it fails. */
export const ERROR_RESULT = "code, message, details: object";

/** Fields of a member of the group. */
export const MEMBER_FIELDS = "peerId, name, state, why, confirmedBy: list, since: number, " +
  "addresses: list, tags: object, rttMs: number?, path?";

/** Fields of what was published in a topic. */
export const TOPIC_FIELDS = "topic, from, seq: number, createdMs: number, hops: number, data: any";

/** Fields of what was left out of what is sent. */
export const SKIPPED_FIELDS = "path, reason";

/** Fields of a file that came in. */
export const RECEIVED_FIELDS = "path, bytes: number, sha256, from";

/** Fields of a transfer that did not come in. */
export const FAILED_FIELDS = "code, message, from";

/** Reads the short notation. @throws {SyntaxError} when it is none. */
export function parseFields(notation: string): Field[] {
  return notation.split(",").map((part) => part.trim()).filter((part) => part !== "").map(
    (part) => {
      const [, name, word = "text", mark] = /^(\w+)(?:: (\w+))?(\?)?$/.exec(part) ?? [];
      const type = FIELD_TYPES.find((known) => known === word);
      if (name === undefined || type === undefined) throw new SyntaxError(`No field: "${part}"`);
      return { name, type, isOptional: mark !== undefined };
    },
  );
}

/** A verb's results for people: a line for those that have the same fields, beginning with their events. */
export function describeResults(results: Results): string[] {
  const byFields = new Map<string, string[]>();
  for (const [kind, notation] of Object.entries(results)) {
    byFields.set(notation, [...byFields.get(notation) ?? [], kind]);
  }
  return [...byFields].map(([notation, kinds]) => {
    const heads = kinds.map((kind) => kind.replace(/^\((.*)\)$/, "$1")).filter((kind) =>
      kind !== ""
    );
    const names = parseFields(notation).map(({ name, isOptional }) =>
      isOptional ? `${name}?` : name
    );
    return [...heads.length === 0 ? [] : [`${heads.join(", ")}:`], names.join(", ")].join(" ");
  });
}

/**
 * What is wrong with a result, as the table has it; nothing when it is as it should be.
 *
 * @param result One line of `--json`, decoded.
 */
export function problemsOf(results: Results, result: Readonly<Record<string, unknown>>): string[] {
  const { event, ...fields } = result;
  if (typeof event === "string") {
    const notation = event === "error" ? ERROR_RESULT : results[event];
    return notation === undefined
      ? [`event "${event}" is not in the table`]
      : misfits(notation, fields).map((problem) => `${event}: ${problem}`);
  }
  const kinds = Object.entries(results).filter(([kind]) => kind.startsWith("("));
  const all = kinds.map(([kind, notation]) => {
    return misfits(notation, fields).map((problem) => `${kind}: ${problem}`);
  });
  if (all.some((problems) => problems.length === 0)) return [];
  // Of the kind that it fits best.
  return all.toSorted((a, b) => a.length - b.length)[0] ?? ["a result without an event"];
}

function misfits(notation: string, result: Readonly<Record<string, unknown>>): string[] {
  const fields = parseFields(notation);
  const known = new Set(fields.map(({ name }) => name));
  const extra = Object.keys(result).filter((name) => !known.has(name))
    .map((name) => `field ${name} is not in the table`);
  const wrong = fields.flatMap(({ name, type, isOptional }) => {
    const value = result[name] ?? undefined;
    if (value === undefined) {
      return isOptional || type === "any" ? [] : [`field ${name} is missing`];
    }
    return isOf(type, value) ? [] : [`field ${name} is no ${type}`];
  });
  return [...extra, ...wrong];
}

function isOf(type: FieldType, value: unknown): boolean {
  switch (type) {
    case "text":
      return typeof value === "string";
    case "number":
      return typeof value === "number";
    case "flag":
      return typeof value === "boolean";
    case "list":
      return Array.isArray(value);
    case "object":
      return typeof value === "object" && !Array.isArray(value);
    case "any":
      return true;
  }
}
