import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { ManualClock } from "../../src/clock.ts";
import { MAX_VALUE_BYTES } from "../../src/dht/record.ts";
import {
  SqliteStorage,
  type SqliteStorageOptions,
  STATEMENTS,
} from "../../src/dht/sqlite_storage.ts";
import { ClosedError, UnsupportedError } from "../../src/errors.ts";
import { type Logger, silentLogger } from "../../src/log.ts";
import { Home } from "../../src/state/home.ts";
import { onPosix, ScratchHome } from "../secure/home_fixture.ts";
import { itemOf, numbered, signed, unproven } from "./record_fixture.ts";
import { testStorage } from "./storage_contract.ts";

const FILE = "dht.sqlite";

function open({ home }: ScratchHome, options: SqliteStorageOptions = {}): SqliteStorage {
  return SqliteStorage.open(home, FILE, { clock: new ManualClock(), ...options });
}

/** A home that is told of what goes wrong in it. */
function told() {
  const scratch = new ScratchHome();
  const said: string[] = [];
  const hear = (message: string, fields = {}) =>
    void said.push(`${message} ${JSON.stringify(fields)}`);
  const log: Logger = { ...silentLogger, warn: hear, error: hear };
  const home = Home.open(scratch.home.dir, { log });
  return { scratch, home, log, said, [Symbol.dispose]: () => scratch[Symbol.dispose]() };
}

/** Keeps some records in a file, in several pages, and closes it. */
function fill(scratch: ScratchHome, count = 50): void {
  using storage = open(scratch);
  for (let n = 0; n < count; n++) storage.put(itemOf(numbered(n, 1_000)));
}

testStorage("SqliteStorage", () => {
  const scratch = new ScratchHome();
  const storage = open(scratch);
  return {
    storage,
    [Symbol.dispose]() {
      storage[Symbol.dispose]();
      scratch[Symbol.dispose]();
    },
  };
});

Deno.test("SqliteStorage has what was put when it is opened again", () => {
  using scratch = new ScratchHome();
  const item = itemOf(signed({ value: new Uint8Array(MAX_VALUE_BYTES).fill(7) }), {
    subnet: "192.0.2.0/24",
  });
  {
    using storage = open(scratch);
    storage.put(item);
  }
  using storage = open(scratch);
  assertEquals(storage.get(item.key), [item]);
  const { source, subnet, bytes } = item;
  assertEquals([...storage.usage()], [{ source, subnet, records: 1, bytes }]);
  assertEquals(storage.totals(), { records: 1, bytes });
});

Deno.test("SqliteStorage commits after its time, and after so many writes", async () => {
  using scratch = new ScratchHome();
  const clock = new ManualClock();
  using storage = open(scratch, { clock, commitMs: 1_000, commitWrites: 3 });
  const logBytes = () => Deno.statSync(scratch.home.path(`${FILE}-wal`)).size;
  const before = logBytes();
  storage.put(itemOf(numbered(1)));
  await clock.advance(999);
  assertEquals(logBytes(), before);
  await clock.advance(1);
  const committed = logBytes();
  assert(committed > before);
  for (const n of [2, 3]) storage.put(itemOf(numbered(n)));
  assertEquals(logBytes(), committed);
  storage.put(itemOf(numbered(4)));
  assert(logBytes() > committed);
});

Deno.test("SqliteStorage reads no whole table for what is asked often", () => {
  using scratch = new ScratchHome();
  open(scratch)[Symbol.dispose]();
  const db = new DatabaseSync(scratch.home.path(FILE));
  try {
    const often = Object.entries(STATEMENTS).filter(([, sql]) => /\bWHERE\b.*\?/s.test(sql));
    assertEquals(often.length, 9);
    for (const [name, sql] of often) {
      const plan = db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(
        ...sql.split("?").slice(1).map(() => 1),
      );
      const steps = plan.map(({ detail }) => String(detail)).join("; ");
      assert(!/SCAN|TEMP B-TREE/.test(steps) && /SEARCH/.test(steps), `${name}: ${steps}`);
    }
  } finally {
    db.close();
  }
});

Deno.test("SqliteStorage is its owner's alone, with its log", { ignore: !onPosix }, () => {
  using scratch = new ScratchHome();
  const before = Deno.umask(0);
  try {
    using storage = open(scratch);
    storage.put(itemOf(numbered(1)));
    storage.commit();
    for (const { name } of Deno.readDirSync(scratch.home.dir)) {
      assertEquals(scratch.mode(name), 0o600, name);
    }
  } finally {
    Deno.umask(before);
  }
});

for (
  const [what, damage] of [
    ["is none of SQLite's", (bytes: Uint8Array) => bytes.fill(7)],
    ["was overwritten in the middle", (bytes: Uint8Array) => bytes.fill(7, 4_096, 40_960)],
    ["was cut", (bytes: Uint8Array) => bytes.subarray(0, 20_000)],
    ["has an index that is not the table's", (bytes: Uint8Array) => bytes.fill(0, 8_192, 12_288)],
    ["is of another version", (bytes: Uint8Array) => bytes.fill(9, 63, 64)],
  ] as const
) {
  Deno.test(`SqliteStorage sets a file aside that ${what}`, () => {
    using it = told();
    fill(it.scratch);
    const path = it.home.path(FILE);
    const damaged = damage(Deno.readFileSync(path));
    Deno.writeFileSync(path, damaged);
    using storage = SqliteStorage.open(it.home, FILE);
    assertEquals(storage.totals(), { records: 0, bytes: 0 });
    storage.put(itemOf(numbered(1)));
    assertEquals(Deno.readFileSync(`${path}.corrupt-1`), damaged);
    assertEquals(it.said.length, 1);
    assertStringIncludes(it.said[0] ?? "", "corrupt file set aside");
  });
}

Deno.test("SqliteStorage plays no log into a file that it does not belong to", () => {
  using scratch = new ScratchHome();
  const log = scratch.home.path(`${FILE}-wal`);
  let logged: Uint8Array;
  {
    using storage = open(scratch);
    storage.put(itemOf(numbered(1)));
    storage.commit();
    logged = Deno.readFileSync(log);
  }
  assert(logged.length > 0);
  Deno.removeSync(scratch.home.path(FILE));
  Deno.writeFileSync(log, logged);
  using storage = open(scratch);
  assertEquals(storage.totals().records, 0);
});

Deno.test("SqliteStorage drops a record that the disk has changed, and only that", () => {
  using it = told();
  const [one, other] = [itemOf(signed({ name: "one" })), itemOf(signed({ name: "other" }))];
  {
    using storage = open(it.scratch);
    for (const item of [one, other]) storage.put(item);
  }
  const path = it.home.path(FILE);
  const bytes = Deno.readFileSync(path);
  const { signature } = one.record as ReturnType<typeof signed>;
  const at = bytes.toHex().indexOf(signature.toHex()) / 2;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  Deno.writeFileSync(path, bytes);
  using storage = SqliteStorage.open(it.home, FILE, { log: it.log });
  assertEquals(storage.get(one.key), []);
  assertEquals(storage.get(other.key), [other]);
  assertEquals(storage.totals().records, 1);
  assertEquals(it.said.length, 1);
  assertStringIncludes(it.said[0] ?? "", `damaged record dropped`);
});

Deno.test("SqliteStorage is not opened while somebody else has it open", () => {
  using scratch = new ScratchHome();
  using storage = open(scratch);
  storage.put(itemOf(numbered(1)));
  assertThrows(() => open(scratch), UnsupportedError, "another process does");
  assertEquals(storage.totals().records, 1);
});

Deno.test("SqliteStorage says what it cannot use", () => {
  using scratch = new ScratchHome();
  Deno.mkdirSync(scratch.home.path(FILE));
  assertThrows(() => open(scratch), UnsupportedError, "unable to open database file");
});

Deno.test("SqliteStorage does nothing more once it is closed", () => {
  using scratch = new ScratchHome();
  const storage = open(scratch);
  storage.put(itemOf(numbered(1)));
  for (let i = 0; i < 2; i++) storage[Symbol.dispose]();
  storage.commit();
  assertThrows(() => storage.put(itemOf(numbered(2))), ClosedError);
  assertThrows(() => storage.get("00"), ClosedError);
  assertEquals([...Deno.readDirSync(scratch.home.dir)].map(({ name }) => name), [FILE]);
});

Deno.test("SqliteStorage counts anew what a failure left", () => {
  using scratch = new ScratchHome();
  using storage = open(scratch);
  storage.put(itemOf(numbered(1)));
  storage.commit();
  storage.put(itemOf(numbered(2)));
  assertEquals(storage.losses, 0);
  // What a table refuses fails as what a disk refuses does.
  assertThrows(() => storage.put(itemOf(numbered(3), { dueMs: 0.5 })), UnsupportedError, "dueMs");
  assertEquals(storage.losses, 1);
  assertEquals(storage.totals().records, 1);
  storage.put(itemOf(numbered(4)));
  storage.commit();
  assertEquals([...storage.keys()].length, 2);
});

Deno.test("SqliteStorage killed at any moment has whatever was committed, and whole", async () => {
  using scratch = new ScratchHome();
  let next = 0;
  for (const waitMs of [0, 7, 19, 40]) {
    const acknowledged = await killAfter(waitMs, scratch, next);
    using storage = open(scratch);
    const { records } = storage.totals();
    assert(records >= acknowledged, `${records} of ${acknowledged}`);
    const found = [...storage.keys()].flatMap((key) => storage.get(key));
    assertEquals(found.length, records);
    const numbers = found.map(({ record }) => record.kind === "signed" ? record.seq : -1);
    assertEquals(numbers.sort((a, b) => a - b), Array.from({ length: records }, (_, n) => n));
    for (const { record } of found) {
      if (record.kind !== "signed") throw new Error("of another kind");
      const value = new Uint8Array(record.seq % 4_000).fill(record.seq);
      assertEquals(record, unproven(record.seq, { scope: "shared", value, seq: record.seq }));
    }
    assert(records > next);
    next = records;
  }
  assertEquals([...Deno.readDirSync(scratch.home.dir)].map(({ name }) => name), [FILE]);
});

/** @returns how many records the child said were kept when it was killed. */
async function killAfter(waitMs: number, { home }: ScratchHome, first: number): Promise<number> {
  const script = fileURLToPath(new URL("sqlite_child.ts", import.meta.url));
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--no-config", "-A", script, home.dir, FILE, `${first}`],
    stdout: "piped",
  }).spawn();
  let said = "";
  let isKilled = false;
  for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
    said += part;
    if (isKilled) continue;
    isKilled = true;
    setTimeout(() => child.kill("SIGKILL"), waitMs);
  }
  assertEquals((await child.status).signal, "SIGKILL");
  return Number(said.trimEnd().split("\n").at(-1));
}
