import { assert, assertEquals, assertMatch } from "@std/assert";
import { ManualClock, seededRandom } from "../../src/clock.ts";
import { LiveScreen } from "../../src/cli/live_screen.ts";
import {
  drawTable,
  fit,
  type LiveTable,
  readTable,
  type ScreenSize,
  widthOf,
} from "../../src/cli/live_table.ts";
import { MemberTable, tableOf } from "../../src/cli/member_table.ts";
import type { MemberDescription } from "../../src/membership/description.ts";

const TABLE: LiveTable = {
  title: "as bob sees it",
  head: ["state", "name", "why"],
  rows: [
    { cells: ["alive", "葛ann", "it answers"], paint: "good" },
    { cells: ["dead", "c", "it was silent for a long time"], paint: "bad" },
  ],
};

function texts(table: LiveTable, columns: number, rows: number): string[] {
  return drawTable(table, { columns, rows }).map(({ text }) => text);
}

Deno.test("drawTable gives columns as wide as what they hold, wide characters counted as two", () => {
  assertEquals(texts(TABLE, 80, 24), [
    "as bob sees it",
    "state  name   why",
    "alive  葛ann  it answers",
    "dead   c      it was silent for a long time",
  ]);
  const paints = drawTable(TABLE, { columns: 80, rows: 24 }).map(({ paint }) => paint);
  assertEquals(paints, ["heading", "faint", "good", "bad"]);
});

Deno.test("drawTable cuts what does not fit, in both directions, and says how much is missing", () => {
  assertEquals(texts(TABLE, 20, 24)[3], "dead   c      it wa…");
  assertEquals(texts(TABLE, 20, 4), ["as bob sees it", "state  name  why", "and 2 more"]);
  const many = { ...TABLE, rows: Array.from({ length: 50 }, (_, n) => ({ cells: [`${n}`] })) };
  const lines = texts(many, 80, 10);
  assertEquals([lines.length, lines.at(-1), lines.at(-2)], [9, "and 44 more", "5"]);
});

Deno.test("drawTable never exceeds the screen, whatever is in it", () => {
  const random = seededRandom(5);
  const chars = ["a", " ", "葛", "🦕", "\u0301", "\u001b[2J", "\n", "\u202e", "\ud800", "é"];
  const text = () =>
    Array.from({ length: Math.floor(random() * 60) }, () => chars[Math.floor(random() * 10)])
      .join("");
  for (let n = 0; n < 300; n++) {
    const row = () => ({ cells: Array.from({ length: Math.floor(random() * 7) }, text) });
    const rows = Array.from({ length: Math.floor(random() * 12) }, row);
    const size = { columns: 1 + Math.floor(random() * 90), rows: Math.floor(random() * 14) };
    const lines = drawTable({ title: text(), head: ["a", "b"], rows }, size);
    assert(lines.length <= Math.max(0, size.rows - 1), JSON.stringify(size));
    for (const { text } of lines) {
      assert(widthOf(text) <= size.columns, `${widthOf(text)} in ${JSON.stringify(size)}`);
      // deno-lint-ignore no-control-regex -- that is what must not be there
      assert(!/[\u0000-\u001f\u007f-\u009f\u202e]/.test(text));
    }
  }
});

Deno.test("fit cuts at characters, never within one", () => {
  assertEquals(fit("葛葛葛", 6), "葛葛葛");
  assertEquals(fit("葛葛葛", 5), "葛葛…");
  assertEquals(fit("葛葛葛", 4), "葛…");
  assertEquals(fit("🦕🦕", 3), "🦕…");
  assertEquals([widthOf("e\u0301"), widthOf("🦕"), widthOf("abc"), widthOf("")], [1, 2, 3, 0]);
});

Deno.test("readTable takes a table as JSON, and whatever else for an empty one", () => {
  assertEquals(readTable(JSON.parse(JSON.stringify(TABLE))), TABLE);
  for (const facts of [{}, { title: 1, head: 2, rows: 3 }, { rows: [null, 4] }]) {
    const { title, head } = readTable(facts);
    assertEquals([title, head], ["", []]);
    drawTable(readTable(facts), { columns: 10, rows: 10 });
  }
  assertEquals(readTable({ rows: [{ cells: [1, "x"], paint: "\u001b" }] }).rows, [
    { cells: ["1", "x"] },
  ]);
});

/** What a terminal obeys, and what it shows. */
const OBEYED =
  // deno-lint-ignore no-control-regex -- that is what it is about
  /\u001b\[(\d*)([AKJ])|\u001b\[\?2026[hl]|\r\n|\r|[^\u001b\r]+/g;

/** A terminal as far as it matters here: rows of text, a cursor, and what moves it. */
class Terminal {
  size: ScreenSize = { columns: 40, rows: 12 };
  rows: string[] = [""];
  #at = 0;

  readonly screen = new LiveScreen({
    size: () => this.size,
    write: (text) => this.write(text),
    painted: (text) => text,
  });

  write(text: string): void {
    for (const [part, up, code] of text.matchAll(OBEYED)) {
      if (code === "A") this.#at -= Number(up);
      else if (code === "J") this.rows.splice(this.#at, Infinity, "");
      else if (part === "\r\n") this.rows[++this.#at] ??= "";
      else if (code === undefined && part !== "\r" && !part.startsWith("\u001b")) {
        this.rows[this.#at] = part;
      }
      assert(this.#at >= 0, "above the screen");
    }
  }
}

Deno.test("LiveScreen draws each table where the last one was, and clears what is left of it", () => {
  const terminal = new Terminal();
  terminal.write("before\r\n");
  const { screen } = terminal;
  screen.draw(TABLE);
  assertEquals(terminal.rows.length, 6);
  screen.draw({ ...TABLE, rows: TABLE.rows.slice(0, 1) });
  assertEquals(terminal.rows, [
    "before",
    "as bob sees it",
    "state  name   why",
    "alive  葛ann  it answers",
    "",
  ]);
  screen.clear();
  screen.clear();
  terminal.write("a note\r\n");
  screen.draw({ ...TABLE, rows: [] });
  assertEquals(terminal.rows, ["before", "a note", "as bob sees it", "state  name  why", ""]);
});

Deno.test("LiveScreen draws again at another size, from where the wrapped lines begin", () => {
  const terminal = new Terminal();
  const written: string[] = [];
  const screen = new LiveScreen({
    size: () => terminal.size,
    write: (text) => void written.push(text),
    painted: (text) => text,
  });
  screen.redraw();
  assertEquals(written, []);
  screen.draw(TABLE);
  terminal.size = { columns: 10, rows: 12 };
  screen.redraw();
  // Four lines of 14, 17, 24 and 40 columns, now of 10 each.
  assert(written[1]?.includes(`\u001b[${2 + 2 + 3 + 4}A`), JSON.stringify(written[1]));
  assertEquals(written.length, 2); // each in one piece
});

function member(name: string, state: string, more: Partial<MemberDescription> = {}) {
  const peerId = name.charCodeAt(0).toString(16).padStart(2, "0").repeat(20);
  return {
    ...{ peerId, name, state, why: "because", confirmedBy: [], since: 0, addresses: ["h:1"] },
    ...{ tags: {}, rttMs: 1.25, path: "direct", ...more },
  } satisfies MemberDescription;
}

Deno.test("tableOf puts first who may be gone, counts, and says what happened last", () => {
  const members = [member("d", "dead"), member("b", "alive"), member("a", "alive")];
  members.push(member("e", "suspect", { rttMs: null, addresses: [] }), member("f", "gone"));
  const { title, head, rows } = tableOf(members, { seenBy: "me", latest: "joined: b" });
  assertEquals(title, "as me sees it  |  1 suspect, 2 alive, 1 dead, 1 gone  |  last: joined: b");
  assertEquals(rows.map(({ cells: [, , name] }) => name), ["e", "a", "b", "d", "f"]);
  assertEquals(rows[0]?.cells, ["suspect", "656565656565", "e", "-", "-", "because"]);
  assertEquals([head.length, rows[1]?.cells[4]], [6, "1.3 ms"]);
});

Deno.test("MemberTable draws once for what happens at once, and the rest when it ends", async () => {
  const clock = new ManualClock();
  const drawn: LiveTable[] = [];
  {
    using table = new MemberTable({ seenBy: "me", draw: (each) => void drawn.push(each), clock });
    for (const name of ["a", "b", "c"]) table.put(member(name, "alive"), "member");
    table.put(member("b", "dead"), "dead");
    assertEquals(drawn, []);
    await clock.advance(100);
    assertEquals(drawn.length, 1);
    assertMatch(drawn[0]?.title ?? "", /2 alive, 1 dead {2}\| {2}last: dead: b$/);
    await clock.advance(1_000);
    assertEquals(drawn.length, 1);
    table.note("degraded: few answers");
  }
  assertEquals(drawn.length, 2);
  await clock.advance(1_000);
  assertEquals(drawn.length, 2);
});
