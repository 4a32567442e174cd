import { assert, assertEquals, assertThrows } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { UnsupportedError } from "../../src/errors.ts";
import { MAX_INCARNATION } from "../../src/membership/claims.ts";
import { beginIncarnation, keepIncarnation } from "../../src/membership/epoch.ts";
import { Home } from "../../src/state/home.ts";
import { Journal } from "../endpoint/fixture.ts";
import { onPosix, ScratchHome } from "../secure/home_fixture.ts";

const FILE = "membership.json";

Deno.test("beginIncarnation is later than every one before, whatever the clock says, and on the disk before it is used", () => {
  using scratch = new ScratchHome();
  const { home } = scratch;
  const clocks = [2026, 2027, 2020].map((year) => new ManualClock({ epochMs: Date.UTC(year) }));
  const lives = clocks.map((clock) => {
    const incarnation = beginIncarnation(home, clock);
    assertEquals(JSON.parse(scratch.text(FILE)), { version: 1, incarnation });
    return incarnation;
  });
  const [first = 0, second = 0, third] = lives;
  assert(second > first);
  assertEquals(third, second + 1);
  keepIncarnation(home, second + 7);
  assertEquals(beginIncarnation(home, clocks[2] as ManualClock), second + 8);
  if (onPosix) assertEquals(scratch.mode(FILE), 0o600);
});

Deno.test("beginIncarnation goes by the clock alone where nothing is kept", () => {
  const clock = new ManualClock();
  assertEquals(beginIncarnation(undefined, clock), beginIncarnation(undefined, clock));
  keepIncarnation(undefined, 1);
});

Deno.test("beginIncarnation sets aside what it cannot understand, says so once, and goes on", () => {
  const bad: readonly string[] = [
    "",
    "{",
    "null",
    "[]",
    '"version"',
    "{}",
    '{"version":1}',
    '{"version":2,"incarnation":5}',
    '{"version":1,"incarnation":"5"}',
    '{"version":1,"incarnation":-1}',
    '{"version":1,"incarnation":1.5}',
    '{"version":1,"incarnation":1e300}',
    `{"version":1,"incarnation":${MAX_INCARNATION}}`,
    '{"version":1,"incarnation":5}\u0000',
  ];
  const clock = new ManualClock();
  const fresh = beginIncarnation(undefined, clock);
  for (const text of bad) {
    using scratch = new ScratchHome();
    const log = new Journal();
    scratch.write(FILE, text);
    const home = Home.open(scratch.home.dir, { log });
    assertEquals(beginIncarnation(home, clock), fresh, text);
    assertEquals(scratch.text(`${FILE}.corrupt-1`), text);
    assertEquals(log.lines.map(({ level, message }) => [level, message]), [
      ["error", "corrupt file set aside"],
    ]);
    assertEquals(JSON.parse(scratch.text(FILE)), { version: 1, incarnation: fresh });
  }
});

Deno.test("beginIncarnation survives every bit of its file that is flipped", () => {
  const clock = new ManualClock();
  const good = new TextEncoder().encode('{"version":1,"incarnation":7}\n');
  const fresh = beginIncarnation(undefined, clock);
  using scratch = new ScratchHome();
  const { home } = scratch;
  const writeAtomic = home.writeAtomic.bind(home);
  home.writeAtomic = () => {}; // 232 times to the disk would take long
  for (let bit = 0; bit < good.length * 8; bit++) {
    const bytes = good.slice();
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    home.read = () => bytes;
    home.setAside = () => "";
    assertEquals(beginIncarnation(home, clock), fresh, `bit ${bit}`);
  }
  writeAtomic(FILE, good);
});

Deno.test("beginIncarnation does not begin where it cannot write down with what", () => {
  using scratch = new ScratchHome();
  const { home } = scratch;
  home.writeAtomic = () => {
    throw new UnsupportedError("Cannot write: read-only");
  };
  assertThrows(() => beginIncarnation(home, new ManualClock()), UnsupportedError, "read-only");
});
