import {
  assert,
  assertEquals,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { InvalidPacketError, LimitError } from "../../src/errors.ts";
import { badRecord, isTimeMs, MAX_RECORDS, RecordFile } from "../../src/secure/record_file.ts";
import type { Home } from "../../src/state/home.ts";
import { inProcesses, onPosix, ScratchHome } from "./home_fixture.ts";

interface Pair {
  readonly id: string;
  readonly n: number;
}

const NAME = "pairs.json";

function pairs(home?: Home, more: { clock?: ManualClock; recheckMs?: number } = {}) {
  return new RecordFile<Pair>({
    home,
    name: NAME,
    what: "pair file",
    parse({ id, n }) {
      if (typeof id !== "string" || typeof n !== "number") throw badRecord("it is no pair");
      return { id, n };
    },
    keyOf: ({ id }) => id,
    ...more,
  });
}

function put(file: RecordFile<Pair>, id: string, n: number): void {
  file.update((records) => void records.set(id, { id, n }));
}

function all(file: RecordFile<Pair>): Pair[] {
  return [...file.records.values()];
}

Deno.test("RecordFile writes a file for its owner alone, a record per line, and reads it back", () => {
  using scratch = new ScratchHome();
  const file = pairs(scratch.home);
  assertEquals(all(file), []);
  put(file, "a", 1);
  put(file, "b\n\u202e", 2);
  put(file, "a", 3);
  const text = '{"version":1,"records":[\n{"id":"a","n":3},\n{"id":"b\\n\u202e","n":2}\n]}\n';
  assertEquals(scratch.text(NAME), text);
  assertEquals(all(pairs(scratch.home)), all(file));
  if (onPosix) assertEquals([scratch.mode(NAME), scratch.mode(`${NAME}.lock`)], [0o600, 0o600]);
});

Deno.test("RecordFile without a folder keeps its records in memory", () => {
  const file = pairs();
  put(file, "a", 1);
  assertEquals([all(file), all(pairs())], [[{ id: "a", n: 1 }], []]);
});

Deno.test("RecordFile changes nothing when the change throws, and gives what it returns", () => {
  using scratch = new ScratchHome();
  for (const file of [pairs(), pairs(scratch.home)]) {
    put(file, "a", 1);
    assertThrows(() =>
      file.update((records) => {
        records.clear();
        throw new RangeError("no");
      }), RangeError);
    assertEquals(all(file), [{ id: "a", n: 1 }]);
    assertEquals(file.update((records) => records.size), 1);
  }
  assertEquals(all(pairs(scratch.home)), [{ id: "a", n: 1 }]);
});

Deno.test("RecordFile sees what another one writes, also with the same size and time", () => {
  using scratch = new ScratchHome();
  const [one, two] = [pairs(scratch.home), pairs(scratch.home)];
  const path = scratch.home.path(NAME);
  for (let n = 1; n <= 9; n++) {
    put(one, "a", n);
    Deno.utimeSync(path, 1_000, 1_000);
    assertEquals(all(two), [{ id: "a", n }]);
  }
  put(two, "b", 1);
  assertEquals(all(one).length, 2);
  Deno.removeSync(path);
  assertEquals([all(one), all(two)], [[], []]);
});

Deno.test("RecordFile looks at the file no more often than it is told, but sees its own changes", async () => {
  using scratch = new ScratchHome();
  const clock = new ManualClock();
  const slow = pairs(scratch.home, { clock, recheckMs: 1_000 });
  assertEquals(all(slow), []);
  put(pairs(scratch.home), "a", 1);
  await clock.advance(999);
  assertEquals(all(slow), []);
  await clock.advance(1);
  assertEquals(all(slow), [{ id: "a", n: 1 }]);
  put(slow, "b", 2);
  assertEquals(all(slow).length, 2);
});

Deno.test("RecordFile never replaces a file that it cannot understand, and says what to do", () => {
  using scratch = new ScratchHome();
  const cases: readonly (readonly [text: string, why: string])[] = [
    ["", "Unexpected end of JSON"],
    ["{", "Cannot decode JSON"],
    ["[]", "it is no object"],
    ["null", "it is no object"],
    ['{"records":[]}', "its version is not 1"],
    ['{"version":2,"records":[]}', "its version is not 1"],
    ['{"version":1,"records":{}}', "it has no list of records"],
    ['{"version":1,"records":[{"id":"a","n":1},{"id":"b"}]}', "record 1: it is no pair"],
    ['{"version":1,"records":[null]}', "record 0: it is no object"],
    [`{"version":1,"records":[${"0,".repeat(MAX_RECORDS)}0]}`, "more than maxRecords 4096"],
    ['{"version":1,"records":' + "[".repeat(100), "MAX_JSON_DEPTH"],
    [" ".repeat(8 * 1024 * 1024 + 1), "maxBytes"],
  ];
  const kept = pairs(scratch.home);
  for (const [text, why] of cases) {
    const path = scratch.write(NAME, text);
    for (const file of [kept, pairs(scratch.home)]) {
      const error = assertThrows(() => file.records, InvalidPacketError);
      assertEquals(error.code, "bad-message");
      assertStringIncludes(error.message, `Cannot use pair file ${path}: `);
      assertStringIncludes(error.message, why);
      assertStringIncludes(
        error.message,
        "; correct it, restore it from a backup, or move it away",
      );
      assert(error.message.length < 700, error.message);
      assertThrows(() => put(file, "a", 1), InvalidPacketError);
      assertStrictEquals(assertThrows(() => file.records), error);
    }
    assertEquals(scratch.text(NAME), text);
  }
  scratch.write(NAME, '{"version":1,"records":[{"id":"a","n":1,"more":2}]}');
  assertEquals(all(kept), [{ id: "a", n: 1 }]);
});

Deno.test("RecordFile keeps 4096 records and refuses the next", () => {
  using scratch = new ScratchHome();
  for (const file of [pairs(), pairs(scratch.home)]) {
    file.update((records) => {
      for (let n = 0; n < MAX_RECORDS; n++) records.set(`${n}`, { id: `${n}`, n });
    });
    const error = assertThrows(() => put(file, "one more", 1), LimitError, "maxRecords 4096");
    assertEquals([error.code, error.details], ["limit", { limit: "maxRecords", max: 4096 }]);
    put(file, "5", 0);
    assertEquals(all(file).length, MAX_RECORDS);
  }
  assertEquals(all(pairs(scratch.home)).length, MAX_RECORDS);
});

Deno.test("RecordFile loses nothing of what processes write at the same time", async () => {
  using scratch = new ScratchHome();
  const from = (path: string) => JSON.stringify(import.meta.resolve(path));
  await inProcesses(
    4,
    `
    import { Home } from ${from("../../src/state/home.ts")};
    import { RecordFile } from ${from("../../src/secure/record_file.ts")};
    const home = Home.open(${JSON.stringify(scratch.home.dir)});
    const file = new RecordFile({
      home, name: ${JSON.stringify(NAME)}, what: "", parse: (row) => row, keyOf: ({ id }) => id,
    });
    /* begin */
    for (let n = 0; n < 25; n++) {
      const id = Deno.args[0] + "-" + n;
      file.update((records) => void records.set(id, { id, n }));
    }
    `,
  );
  assertEquals(all(pairs(scratch.home)).length, 100);
});

Deno.test("isTimeMs takes what a date can show", () => {
  for (const time of [0, 1, -1, 8.64e15]) assert(isTimeMs(time));
  for (const other of [0.5, 8.64e15 + 1, NaN, Infinity, "0", null, 0n]) assert(!isTimeMs(other));
});
