import { assert, assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { CursorFile } from "../../src/cli/cursor_file.ts";
import { PeerError } from "../../src/errors.ts";
import { Cursor } from "../../src/gossip/cursor.ts";
import { Home } from "../../src/state/home.ts";

const MESSAGE = { from: "0a".repeat(20), seq: 7, createdMs: 1_000 };

function filesOf(home: Home): string[] {
  return [...Deno.readDirSync(home.dir)].map(({ name }) => name).sort();
}

async function withHome(work: (home: Home) => void | Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await work(Home.open(dir));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("CursorFile gives the next run what was kept, of its topic and network alone", () =>
  withHome((home) => {
    using file = new CursorFile({ home, network: "", topic: "news" });
    assertEquals(file.read(), undefined);
    const cursor = new Cursor(500);
    cursor.add(MESSAGE);
    file.keep(cursor);
    using again = new CursorFile({ home, network: "", topic: "news" });
    const kept = again.read();
    const more = { ...MESSAGE, seq: 8 };
    assertEquals([kept?.fromMs, kept?.has(MESSAGE), kept?.has(more)], [500, true, false]);
    for (const other of [{ network: "home", topic: "news" }, { network: "", topic: "old" }]) {
      using file = new CursorFile({ home, ...other });
      assertEquals(file.read(), undefined);
    }
  }));

Deno.test("CursorFile names its file after a hash, whatever is in the topic's name", () =>
  withHome((home) => {
    for (const topic of ["../../etc/passwd", "news", "x".repeat(128)]) {
      using file = new CursorFile({ home, network: "a/b", topic });
      file.keep(new Cursor());
    }
    const names = filesOf(home);
    assertEquals(names.length, 3);
    for (const name of names) assert(/^topic-[0-9a-f]{32}\.cursor$/.test(name), name);
    assertThrows(() => new CursorFile({ home, network: "", topic: "a\nb" }), TypeError);
  }));

Deno.test("CursorFile sets aside what cannot be understood, and begins anew", () =>
  withHome((home) => {
    using file = new CursorFile({ home, network: "", topic: "news" });
    file.keep(new Cursor(5));
    const [name = ""] = filesOf(home);
    const whole = Deno.readFileSync(home.path(name));
    for (
      const bytes of [
        new Uint8Array(),
        whole.slice(1),
        Uint8Array.of(255, 254, 0),
        whole.map((b) => b ^ 1),
      ]
    ) {
      Deno.writeFileSync(home.path(name), bytes);
      assertEquals(file.read(), undefined);
    }
    assertEquals(filesOf(home).filter((name) => name.includes(".corrupt-")).length, 4);
    assertEquals(file.read(), undefined);
  }));

Deno.test("CursorFile.keepSoon writes once a second, what there is then, and nothing once disposed", () =>
  withHome(async (home) => {
    const clock = new ManualClock();
    const errors: unknown[] = [];
    const file = new CursorFile({ home, network: "", topic: "news", clock });
    const cursor = new Cursor();
    for (let seq = 0; seq < 10; seq++) {
      file.keepSoon(cursor, (error) => errors.push(error));
      cursor.add({ ...MESSAGE, seq });
    }
    await clock.advance(999);
    assertEquals(filesOf(home), []);
    await clock.advance(1);
    assert(file.read()?.has({ ...MESSAGE, seq: 9 }));
    const [name = ""] = filesOf(home);
    Deno.removeSync(home.path(name));
    await clock.advance(5_000);
    assertEquals(filesOf(home), []);
    file.keepSoon(cursor, (error) => errors.push(error));
    file[Symbol.dispose]();
    await clock.advance(5_000);
    assertEquals([filesOf(home), errors], [[], []]);
  }));

Deno.test("CursorFile.keepSoon tells when it cannot write", () =>
  withHome(async (home) => {
    const clock = new ManualClock();
    const errors: unknown[] = [];
    using file = new CursorFile({ home, network: "", topic: "news", clock });
    Deno.removeSync(home.dir);
    file.keepSoon(new Cursor(), (error) => errors.push(error));
    await clock.advance(1_000);
    Deno.mkdirSync(home.dir);
    assertEquals(errors.length, 1);
    assertInstanceOf(errors[0], PeerError);
  }));

Deno.test("CursorFile keeps nothing without a home", () => {
  using file = new CursorFile({ home: undefined, network: "", topic: "news" });
  file.keep(new Cursor());
  file.keepSoon(new Cursor(), () => {});
  assertEquals(file.read(), undefined);
});
