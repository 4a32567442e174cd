import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { InvalidPacketError } from "../../src/errors.ts";
import { type Infer, Mismatch, Schema, schema } from "../../src/rpc/schema.ts";

/** Whether two types are the same, not only assignable to each other. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true
  : false;

// The compiler does it; a wrong type is an error of `deno check`.
function assertType<_T extends true>(): void {}

function assertRefused(by: Schema<unknown>, value: unknown, text: string): InvalidPacketError {
  const error = assertThrows(() => by.check(value), InvalidPacketError);
  assertEquals(error.message, `Cannot use ${text}`);
  return error;
}

Deno.test("Schema.check says where and what, for people and for programs", () => {
  const add = schema.object({ a: schema.number(), b: schema.number() });
  assertEquals(add.check({ a: 1, b: 2 }), { a: 1, b: 2 });
  const error = assertRefused(add, { a: "1", b: 2 }, "data.a: it is not a number");
  assertEquals(error.code, "bad-message");
  assertEquals(error.details, { path: "data.a", expected: "a number" });
  assertThrows(() => add.check(null, "body"), InvalidPacketError, "body: it is not an object");
});

Deno.test("schema takes what each kind is and nothing else", () => {
  const one = new Uint8Array([1]);
  class Named {}
  const kinds: [kind: Schema<unknown>, expected: string, good: unknown[], bad: unknown[]][] = [
    [schema.string(), "text", ["", "é\0"], [1, null, undefined, ["a"], new String("a")]],
    [schema.number(), "a number", [0, -0.5, Number.MAX_VALUE], ["1", NaN, -Infinity, 1n, null]],
    [schema.integer(), "an integer", [0, -1, 2 ** 53 - 1], ["1", 0.5, 2 ** 53, NaN, 1n]],
    [schema.boolean(), "true or false", [true, false], [0, 1, "true", null, undefined]],
    [schema.bytes(), "bytes", [one, one.subarray(1)], ["a", [1], one.buffer, { length: 1 }]],
    [schema.array(schema.number()), "an array", [[], [1, 2]], [{ length: 0 }, one, "ab", null]],
    [schema.object({}), "an object", [{}], [[], one, null, new Named(), new Date(0), "{}"]],
    [schema.record(schema.number()), "an object", [{}, { a: 1 }], [[1], null, new Map(), one]],
    [schema.literal("a", 7, null), '"a" or 7 or null', ["a", 7, null], ["b", "7", undefined, NaN]],
  ];
  for (const [kind, expected, good, bad] of kinds) {
    assertEquals(kind.expected, expected);
    for (const value of good) assertEquals(kind.check(value), value);
    for (const value of bad) {
      const { details } = assertRefused(kind, value, `data: it is not ${expected}`);
      assertEquals(details, { path: "data", expected });
    }
    for (const value of [...good, ...bad]) {
      assertStrictEquals(schema.anything().check(value), value);
    }
  }
});

Deno.test("schema keeps numbers in their range, the ends included", () => {
  const ranges: [kind: Schema<number>, expected: string, good: number[], bad: number[]][] = [
    [schema.integer({ min: 0, max: 65535 }), "an integer 0..65535", [0, 65535], [-1, 65536, 0.5]],
    [schema.number({ min: -0.5 }), "a number of -0.5 or more", [-0.5, 1e300], [-0.51, -Infinity]],
    [schema.number({ max: 0 }), "a number of 0 or less", [0, -1e300], [1e-300, Infinity]],
  ];
  for (const [kind, expected, good, bad] of ranges) {
    for (const value of good) assertEquals(kind.check(value), value);
    for (const value of bad) assertRefused(kind, value, `data: it is not ${expected}`);
  }
});

Deno.test("schema names the limit of what is too long", () => {
  const limited: [kind: Schema<unknown>, limit: string, fits: unknown, long: unknown][] = [
    [schema.string({ maxChars: 2 }), "maxChars", "ab", "abc"],
    [schema.bytes({ maxBytes: 2 }), "maxBytes", new Uint8Array(2), new Uint8Array(3)],
    [schema.array(schema.number(), { maxItems: 2 }), "maxItems", [1, 2], [1, 2, "x"]],
  ];
  for (const [kind, limit, fits, long] of limited) {
    assertEquals(kind.check(fits), fits);
    const error = assertRefused(
      schema.object({ part: kind }),
      { part: long },
      `data.part: length 3 exceeds ${limit} 2`,
    );
    assertEquals(error.code, "too-large");
    const { expected } = kind;
    assertEquals(error.details, { path: "data.part", expected, limit, max: 2, got: 3 });
  }
});

Deno.test("schema refuses limits and fields that make no sense", () => {
  assertThrows(() => schema.string({ maxChars: -1 }), RangeError, "maxChars must be 0 or more");
  assertThrows(() => schema.bytes({ maxBytes: NaN }), RangeError, "current value is NaN");
  assertThrows(() => schema.array(schema.number(), { maxItems: -1 }), RangeError, "maxItems");
  assertThrows(() => schema.integer({ min: 2, max: 1 }), RangeError, "min must be at most max 1");
  assertThrows(() => schema.object({ ["__proto__"]: schema.number() }), TypeError, "__proto__");
});

Deno.test("schema.object drops what it does not name and sees own keys only", () => {
  const named = schema.object({ a: schema.number(), toString: schema.optional(schema.number()) });
  const sent = JSON.parse('{"a":1,"b":2,"__proto__":{"toString":5},"constructor":3}');
  const checked = named.check(sent);
  assertEquals(Object.keys(checked), ["a"]);
  assertStrictEquals(Object.getPrototypeOf(checked), Object.prototype);
  assert(checked !== sent);
  assertRefused(
    schema.object({ toString: schema.anything(), b: schema.number() }),
    {},
    "data.b: it is missing",
  );

  const inheriting = Object.create({ a: 1 });
  assertRefused(named, inheriting, "data: it is not an object");
  const bare = Object.assign(Object.create(null), { a: 1, toString: 2 });
  assertEquals(named.check(bare), { a: 1, toString: 2 });
});

Deno.test("schema.record keeps every key, also __proto__, without touching a prototype", () => {
  const numbers = schema.record(schema.number());
  const checked = numbers.check(JSON.parse('{"__proto__":1,"constructor":2,"":3}'));
  assertEquals(Object.entries(checked), [["__proto__", 1], ["constructor", 2], ["", 3]]);
  assertStrictEquals(Object.getPrototypeOf(checked), Object.prototype);
  const evil = JSON.parse('{"__proto__":{"admin":true}}');
  assertRefused(numbers, evil, "data.__proto__: it is not a number");
  const { admin } = schema.record(schema.anything()).check(evil);
  assertEquals(admin, undefined);
});

Deno.test("schema.optional takes a missing key, undefined and null as nothing", () => {
  const greet = schema.object({ name: schema.string(), times: schema.optional(schema.integer()) });
  for (const nothing of [{}, { times: undefined }, { times: null }]) {
    assertEquals(Object.keys(greet.check({ name: "bob", ...nothing })), ["name"]);
  }
  assertEquals(greet.check({ name: "bob", times: 0 }), { name: "bob", times: 0 });
  assertRefused(greet, { name: "bob", times: "2" }, "data.times: it is not an integer");
  const error = assertRefused(greet, { times: 2 }, "data.name: it is missing");
  assertEquals(error.details, { path: "data.name", expected: "text" });
  assertRefused(greet, { name: undefined }, "data.name: it is not text");
});

Deno.test("schema.oneOf gives what the first that fits makes of a value", () => {
  const shape = schema.oneOf(
    schema.string(),
    schema.object({ a: schema.number() }),
    schema.object({ b: schema.number() }),
  );
  assertEquals(shape.check("x"), "x");
  assertEquals(shape.check({ a: 1, b: 2 }), { a: 1 });
  assertEquals(shape.check({ a: "1", b: 2 }), { b: 2 });
  assertRefused(shape, 7, "data: it is not text or an object");
  assertRefused(shape, { c: 1 }, "data: no alternative fits it");

  const port = schema.oneOf(schema.integer(), schema.object({ port: schema.integer() }));
  assertRefused(port, { port: "80" }, "data.port: it is not an integer");
  const short = schema.oneOf(schema.integer(), schema.string({ maxChars: 1 }));
  assertEquals(assertRefused(short, "ab", "data: length 2 exceeds maxChars 1").code, "too-large");
});

Deno.test("schema.guard asks a function, whose own errors pass", () => {
  const even = schema.guard(
    "an even number",
    (value): value is number => typeof value === "number" && value % 2 === 0,
  );
  assertEquals(even.check(4), 4);
  assertRefused(schema.array(even), [2, 3], "data[1]: it is not an even number");
  const broken = schema.guard("x", (_value): _value is string => {
    throw new Error("a fault of the program");
  });
  assertThrows(() => schema.oneOf(broken, even).check(2), Error, "a fault of the program");
});

Deno.test("Schema can be made by hand, to make something else of a value", () => {
  const date = new Schema<Date>("a time", {
    description: "time",
    match: (value) => typeof value === "number" ? new Date(value) : new Mismatch("a time"),
  });
  const event = schema.object({ at: date });
  assertEquals(event.check({ at: 5 }), { at: new Date(5) });
  assertRefused(event, { at: "5" }, "data.at: it is not a time");
  assertEquals(event.describe(), { type: "object", fields: { at: "time" } });
});

Deno.test("Schema prints the way to a fault, with remote keys bounded and harmless", () => {
  const deep = schema.object({ list: schema.array(schema.record(schema.integer())) });
  assertRefused(deep, { list: [{}, { ok: 1, x: "" }] }, "data.list[1].x: it is not an integer");
  assertRefused(deep, { list: [{ "a b": "" }] }, 'data.list[0]["a b"]: it is not an integer');
  for (const evil of ["\u001b[2J\n".repeat(1_000), "a".repeat(5_000)]) {
    const error = assertThrows(() => deep.check({ list: [{ [evil]: 1.5 }] }), InvalidPacketError);
    const { path } = error.details;
    assert(typeof path === "string" && path.length < 250 && path.endsWith('…"]'), String(path));
    for (const text of [error.message, path]) assert(/^[\x20-\x7e…]+$/.test(text), text);
  }
});

Deno.test("Schema.describe is plain data that JSON carries", () => {
  const everything = schema.object({
    a: schema.number(),
    b: schema.integer({ min: 1 }),
    c: schema.string({ maxChars: 5 }),
    d: schema.optional(schema.boolean()),
    e: schema.array(schema.bytes({ maxBytes: 9 }), { maxItems: 3 }),
    f: schema.literal("x", 1, null),
    g: schema.oneOf(schema.string(), schema.bytes()),
    h: schema.record(schema.anything()),
    i: schema.guard("a date", (value) => value instanceof Date),
  });
  const description = {
    type: "object",
    fields: {
      a: "number",
      b: { type: "integer", min: 1 },
      c: { type: "string", maxChars: 5 },
      d: { type: "optional", value: "boolean" },
      e: { type: "array", items: { type: "bytes", maxBytes: 9 }, maxItems: 3 },
      f: { type: "literal", values: ["x", 1, null] },
      g: { type: "oneOf", schemas: ["string", "bytes"] },
      h: { type: "record", values: "anything" },
      i: { type: "guard", name: "a date" },
    },
  };
  assertEquals(everything.describe(), description);
  assertEquals(JSON.parse(JSON.stringify(everything.describe())), description);
});

Deno.test("Infer is the type that a schema lets through", () => {
  const point = schema.object({ x: schema.number(), tag: schema.optional(schema.string()) });
  const nested = schema.object({ points: schema.array(point), extra: schema.anything() });
  const mode = schema.literal("fast", "safe", 0);
  const either = schema.oneOf(schema.bytes(), point);
  const counts = schema.record(schema.integer());
  const date = schema.guard("a date", (value) => value instanceof Date);
  assertType<Same<Infer<typeof point>, { x: number; tag?: string }>>();
  assertType<
    Same<Infer<typeof nested>, { points: { x: number; tag?: string }[]; extra?: unknown }>
  >();
  assertType<Same<Infer<typeof mode>, "fast" | "safe" | 0>>();
  assertType<Same<Infer<typeof either>, Uint8Array | { x: number; tag?: string }>>();
  assertType<Same<Infer<typeof counts>, Record<string, number>>>();
  assertType<Same<Infer<typeof date>, Date>>();
  assertType<Same<Infer<number>, never>>();
  // @ts-expect-error: the helper itself can fail
  assertType<Same<Infer<typeof point>, { x: number; tag: string }>>();
  const general: Schema<unknown> = point;
  assertStrictEquals(general, point);
});

Deno.test("Schema takes or refuses random values, and never lets a wrong one through", () => {
  const random = seededRandom(11);
  const pick = <T>(choices: readonly T[]): T => choices[Math.floor(random() * choices.length)] as T;
  const leaves = [0, 1.5, NaN, "a", "", null, undefined, true, 2n, new Uint8Array(1), new Date(0)];
  const valueOf = (depth: number): unknown => {
    if (depth === 0 || random() < 0.3) return pick(leaves);
    if (random() < 0.4) return Array.from({ length: 3 }, () => valueOf(depth - 1));
    return Object.fromEntries(
      ["a", "b", "__proto__"].slice(0, Math.floor(random() * 4)).map((
        key,
      ) => [key, valueOf(depth - 1)]),
    );
  };
  const item = schema.oneOf(
    schema.number(),
    schema.object({ a: schema.optional(schema.string()) }),
  );
  const picky = schema.object({ a: schema.oneOf(item, schema.array(item)), b: schema.anything() });
  const isItem = (value: unknown): boolean =>
    typeof value === "number"
      ? Number.isFinite(value)
      : Object.entries(value ?? { x: 1 }).every(([k, v]) => k === "a" && typeof v === "string");
  let [taken, refused] = [0, 0];
  for (let round = 0; round < 20_000; round++) {
    const value = valueOf(3);
    try {
      const { a } = picky.check(value);
      assert(Array.isArray(a) ? a.every(isItem) : isItem(a), String(round));
      taken++;
    } catch (error) {
      assert(error instanceof InvalidPacketError, String(error));
      refused++;
    }
  }
  assert(taken > 500 && refused > 500, `${taken} taken, ${refused} refused`);
});

Deno.test("Schema refuses a large list of alternatives as fast as it takes one", () => {
  const text = schema.oneOf(schema.string(), schema.number());
  const list = schema.array(schema.oneOf(schema.boolean(), text));
  const items: unknown[] = Array.from({ length: 300_000 }, (_, i) => i);
  const startMs = performance.now();
  assertEquals(list.check(items).length, items.length);
  assertRefused(
    list,
    [...items, null],
    "data[300000]: it is not true or false or text or a number",
  );
  assert(performance.now() - startMs < 1_500); // an exception per alternative takes several times as long
});
