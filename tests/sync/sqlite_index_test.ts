import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { ClosedError, UnsupportedError } from "../../src/errors.ts";
import { Home } from "../../src/state/home.ts";
import { SqliteIndex } from "../../src/sync/sqlite_index.ts";
import { fileEntry, testIndex } from "./index_contract.ts";

const opened: SqliteIndex[] = [];

testIndex("SqliteIndex", () => {
  for (const index of opened.splice(0)) index[Symbol.dispose]();
  const index = SqliteIndex.inMemory();
  opened.push(index);
  return index;
});

Deno.test("SqliteIndex finds all again when it is opened again, its replica's name too", () => {
  using scratch = home();
  const before = SqliteIndex.open(scratch.home, "sync.sqlite");
  before.put([{ entry: fileEntry("a"), stat: "f1" }, { entry: fileEntry("b") }]);
  before.setMark("x", { ours: 1, theirs: 2 });
  before[Symbol.dispose]();
  using after = SqliteIndex.open(scratch.home, "sync.sqlite");
  assertMatch(after.replica, /^r[0-9a-f]{16}$/);
  assertEquals(after.replica, before.replica);
  assertEquals([after.seq, after.get("a")?.stat, after.mark("x").theirs], [2, "f1", 2]);
  if (Deno.build.os !== "windows") {
    assertEquals((Deno.statSync(scratch.home.path("sync.sqlite")).mode ?? 0) & 0o777, 0o600);
  }
});

Deno.test("SqliteIndex sets a damaged file aside and is another replica then", () => {
  using scratch = home();
  const before = SqliteIndex.open(scratch.home, "sync.sqlite");
  before.put([{ entry: fileEntry("a") }]);
  before[Symbol.dispose]();
  Deno.writeFileSync(scratch.home.path("sync.sqlite"), new Uint8Array(8_192).fill(7));
  using after = SqliteIndex.open(scratch.home, "sync.sqlite");
  assert(after.replica !== before.replica);
  assertEquals(after.seq, 0);
  const names = [...Deno.readDirSync(scratch.path)].map(({ name }) => name);
  assert(names.some((name) => name.startsWith("sync.sqlite.")), names.join());
});

Deno.test("SqliteIndex is one process's, and nobody's when it is closed", () => {
  using scratch = home();
  const index = SqliteIndex.open(scratch.home, "sync.sqlite");
  assertThrows(() => SqliteIndex.open(scratch.home, "sync.sqlite"), UnsupportedError, "another");
  index[Symbol.dispose]();
  index[Symbol.dispose]();
  assertThrows(() => index.get("a"), ClosedError);
});

Deno.test("SqliteIndex that is opened for a look leaves its file as it is, and makes none", () => {
  using scratch = home();
  SqliteIndex.openForLook(scratch.home, "none.sqlite")[Symbol.dispose]();
  assertEquals([...Deno.readDirSync(scratch.path)], []);
  const before = SqliteIndex.open(scratch.home, "sync.sqlite");
  before.put([{ entry: fileEntry("a") }]);
  before[Symbol.dispose]();
  const look = SqliteIndex.openForLook(scratch.home, "sync.sqlite");
  look.put([{ entry: fileEntry("b") }]);
  look.setMark("x", { ours: 1, theirs: 2 });
  assertEquals([look.replica, look.seq, look.known().size], [before.replica, 2, 2]);
  look[Symbol.dispose]();
  using after = SqliteIndex.open(scratch.home, "sync.sqlite");
  assertEquals([after.seq, [...after.known().keys()], after.mark("x").theirs], [1, ["a"], 0]);
});

Deno.test("SqliteIndex writes all or none", () => {
  using index = SqliteIndex.inMemory();
  function* broken() {
    yield { entry: fileEntry("a") };
    throw new Error("gone");
  }
  assertThrows(() => index.put(broken()), Error, "gone");
  assertEquals([index.get("a"), index.seq], [undefined, 0]);
  index.put([{ entry: fileEntry("b") }]);
  assertEquals(index.get("b")?.seq, 1);
});

function home(): Disposable & { home: Home; path: string } {
  const path = Deno.makeTempDirSync();
  Deno.chmodSync(path, 0o700);
  return {
    home: Home.open(path),
    path,
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}

Deno.test("SqliteIndex.together keeps nothing of what was written when the work throws", () => {
  using index = SqliteIndex.inMemory();
  index.put([{ entry: fileEntry("a"), stat: "f1" }]);
  assertThrows(
    () =>
      index.together(() => {
        index.put([{ entry: fileEntry("a"), stat: "f2" }, { entry: fileEntry("b") }]);
        assertEquals(index.get("b")?.seq, 3);
        throw new RangeError("no further");
      }),
    RangeError,
  );
  assertEquals([index.seq, index.get("a")?.stat, index.get("b")], [1, "f1", undefined]);
  index.put([{ entry: fileEntry("b") }]);
  assertEquals(index.get("b")?.seq, 2);
});
