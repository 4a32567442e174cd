import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import {
  LIMITS_FILE,
  loadLimits,
  MAX_NAMED_RATES,
  parseLimits,
} from "../../src/endpoint/limits_file.ts";
import { type Limit, LIMIT_NAMES, LIMITS } from "../../src/endpoint/limits_table.ts";
import { InvalidPacketError } from "../../src/errors.ts";
import { Home } from "../../src/state/home.ts";

type Thrown = typeof TypeError | typeof RangeError;

Deno.test("parseLimits takes every limit from its least to its most, and nothing beyond", () => {
  for (const name of LIMIT_NAMES) {
    const { default: value, least, most }: Limit = LIMITS[name];
    const wrap = (number: number) => ({
      [name]: typeof value === "number" ? number : { echo: number },
    });
    for (const good of [least, most]) assertEquals(parseLimits(wrap(good)), wrap(good));
    for (const bad of [least - 1, -Infinity, NaN, ...(most === Infinity ? [] : [most + 1])]) {
      const { message } = assertThrows(() => parseLimits(wrap(bad)), RangeError, name);
      assert(message.endsWith(`: current value is ${bad}`), message);
    }
    if (most < Infinity) assertThrows(() => parseLimits(wrap(Infinity)), RangeError, "at most");
  }
});

Deno.test("parseLimits says what is wrong, and with which limit", () => {
  const many = Object.fromEntries(Array.from({ length: MAX_NAMED_RATES + 1 }, (_, n) => [n, 1]));
  const rows: readonly (readonly [unknown, Thrown, string])[] = [
    [null, TypeError, "Limits must be an object: current value is null"],
    [[], TypeError, "Limits must be an object: current value is a list"],
    ["x", TypeError, 'Limits must be an object: current value is "x"'],
    [{ maxLinks: "9" }, TypeError, 'maxLinks must be a number: current value is "9"'],
    [{ maxLinks: null }, TypeError, "maxLinks must be a number: current value is null"],
    [{ maxLinks: true }, TypeError, "maxLinks must be a number: current value is true"],
    [{ maxLinks: {} }, TypeError, "maxLinks must be a number: current value is an object"],
    [{ maxLinks: undefined }, TypeError, "maxLinks must be a number"],
    [{ maxLinks: 1.5 }, RangeError, "maxLinks must be a whole number: current value is 1.5"],
    [{ maxStoredBytes: 2 ** 53 }, RangeError, "maxStoredBytes must be a whole number"],
    [{ maxFrameBytes: 511 }, RangeError, "maxFrameBytes must be at least 512"],
    [{ requestsPerSecond: 5 }, TypeError, "requestsPerSecond must be an object of rates"],
    [{ requestsPerSecond: { a: "5" } }, TypeError, "requestsPerSecond.a must be a number"],
    [{ requestsPerSecond: { a: 0 } }, RangeError, "requestsPerSecond.a must be at least 0.01"],
    [{ requestsPerSecond: { a: null } }, TypeError, "requestsPerSecond.a must be a number"],
    [{ requestsPerSecond: { "": 1 } }, RangeError, "a name of 1 to 128 characters: it has 0"],
    [{ requestsPerSecond: { ["x".repeat(129)]: 1 } }, RangeError, "it has 129"],
    [{ requestsPerSecond: many }, RangeError, "at most 256 names: it has 257"],
    [{ "\u001b[2J": 1 }, TypeError, 'Unknown limit "\\u{1b}[2J"'],
  ];
  for (const [value, type, text] of rows) assertThrows(() => parseLimits(value), type, text);
});

Deno.test("parseLimits takes null for none where there may be none, and fractions where they make sense", () => {
  const given = { maxStoredBytes: null, heartbeatMs: null, handshakeMs: 1.5 };
  assertEquals(parseLimits(given), {
    maxStoredBytes: Infinity,
    heartbeatMs: Infinity,
    handshakeMs: 1.5,
  });
  assertEquals(parseLimits({}), {});
});

Deno.test("parseLimits suggests the limit that a wrong name comes closest to, or names them all", () => {
  const rows = [
    ["maxLink", "did you mean maxLinks?"],
    ["MAXLINKS", "did you mean maxLinks?"],
    ["maxFameBytes", "did you mean maxFrameBytes?"],
    ["maxLinksPerAdress", "did you mean maxLinksPerAddress?"],
    ["requestPerSecond", "did you mean requestsPerSecond?"],
    ["hartbeatMs", "did you mean heartbeatMs?"],
    ["colour", `there are ${LIMIT_NAMES.join(", ")}`],
    ["toString", `there are ${LIMIT_NAMES.join(", ")}`],
  ] as const;
  for (const [name, hint] of rows) {
    const { message } = assertThrows(() => parseLimits({ [name]: 1 }), TypeError);
    assertEquals(message, `Unknown limit "${name}": ${hint}`);
  }
  const proto = JSON.parse('{ "__proto__": { "maxLinks": 1 } }');
  assertThrows(() => parseLimits(proto), TypeError, 'Unknown limit "__proto__"');
  assertThrows(() => parseLimits({ ["x".repeat(1e6)]: 1 }), TypeError, "…");
});

Deno.test("parseLimits suggests the right limit for any one letter that is wrong, missing or too much", () => {
  const random = seededRandom(4);
  for (const name of LIMIT_NAMES) {
    for (let round = 0; round < 20; round++) {
      const at = Math.floor(random() * name.length);
      const [left, right] = [name.slice(0, at), name.slice(at + 1)];
      for (const typo of [left + right, `${left}#${right}`, `${left}#${name.slice(at)}`]) {
        assertThrows(() => parseLimits({ [typo]: 1 }), TypeError, `did you mean ${name}?`);
      }
    }
  }
});

Deno.test("parseLimits never throws but for a reason that it names, whatever it is given", () => {
  const random = seededRandom(69);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const values = [0, 1, -1, 1.5, 1e9, 2 ** 53, NaN, Infinity, null, "1", true, [], {}, { a: 1 }];
  const names = [...LIMIT_NAMES, "x", "__proto__", "", "maxlinks", "\ud800", "constructor"];
  let taken = 0;
  for (let round = 0; round < 20_000; round++) {
    const entries = Array.from({ length: Math.floor(random() * 4) }, () => {
      return [pick(names), random() < 0.5 ? pick(values) : Math.floor(random() * 1e6)] as const;
    });
    const given = Object.fromEntries(entries);
    try {
      const limits = parseLimits(given);
      assertEquals(Object.keys(limits), Object.keys(given));
      assert(Object.keys(limits).every((name) => Object.hasOwn(LIMITS, name)));
      taken++;
    } catch (error) {
      assert(error instanceof TypeError || error instanceof RangeError, String(error));
      const named = Object.keys(given).some((name) => {
        return error.message.includes(name.toWellFormed());
      });
      assert(named, error.message);
      assert(error.message.length < 500);
    }
  }
  assert(taken > 1_000 && taken < 19_000, String(taken));
});

Deno.test("loadLimits takes what the home folder says, and the defaults where it says nothing", () => {
  using folder = new Folder();
  assertEquals(loadLimits(folder.home), {});
  folder.write(
    '{ "maxLinks": 64, "heartbeatMs": null, "requestsPerSecond": { "default": 100 } }\n',
  );
  assertEquals(loadLimits(folder.home), {
    maxLinks: 64,
    heartbeatMs: Infinity,
    requestsPerSecond: { default: 100 },
  });
});

Deno.test("loadLimits names the file and the limit when something is wrong, and leaves it as it is", () => {
  using folder = new Folder();
  const rows: readonly (readonly [string, string | undefined, string])[] = [
    ['{ "maxLinks": -1 }', "maxLinks", "maxLinks must be at least 0: current value is -1"],
    ['{ "maxLink": 1 }', "maxLink", 'Unknown limit "maxLink": did you mean maxLinks?'],
    ['{ "requestsPerSecond": { "echo": "x" } }', "requestsPerSecond.echo", "must be a number"],
    ["[]", "", "Limits must be an object"],
    ["", undefined, "JSON"],
    ["{", undefined, "JSON"],
    ['{ "maxLinks": 1, }', undefined, "JSON"],
    ["\ufffe{}", undefined, "JSON"],
    [`{ "maxLinks": ${"[".repeat(70)}${"]".repeat(70)} }`, undefined, "nesting"],
  ];
  const path = folder.home.path(LIMITS_FILE);
  for (const [text, field, why] of rows) {
    folder.write(text);
    const error = assertThrows(() => loadLimits(folder.home), InvalidPacketError, why);
    assertStringIncludes(error.message, path);
    assertEquals(error.details.path, path);
    if (field !== undefined) {
      assertEquals([error.code, error.details.field], ["bad-message", field]);
    }
    assertEquals(Deno.readTextFileSync(path), text);
  }
  Deno.writeFileSync(path, Uint8Array.of(0x7b, 0xff, 0x7d));
  assertThrows(() => loadLimits(folder.home), InvalidPacketError, "it is not UTF-8");
  Deno.truncateSync(path, 2 * 1024 * 1024);
  assertThrows(() => loadLimits(folder.home), InvalidPacketError, "maxBytes");
});

/** A home folder that goes when it is disposed of. */
class Folder implements Disposable {
  readonly #dir = Deno.makeTempDirSync();
  readonly home = Home.open(this.#dir);

  write(text: string): void {
    Deno.writeTextFileSync(this.home.path(LIMITS_FILE), text);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.#dir, { recursive: true });
  }
}
