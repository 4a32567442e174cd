import { assertEquals, assertMatch } from "@std/assert";
import { formatBytes, formatFiles, formatProgress, Output } from "../../src/cli/output.ts";

/** What is written to stdout and stderr by `work`. */
function printed(json: boolean, work: (output: Output) => void): { out: string; err: string } {
  const texts = { out: "", err: "" };
  const decoder = new TextDecoder();
  const [stdout, stderr] = [Deno.stdout.writeSync, Deno.stderr.writeSync];
  Deno.stdout.writeSync = (bytes) => (texts.out += decoder.decode(bytes), bytes.length);
  Deno.stderr.writeSync = (bytes) => (texts.err += decoder.decode(bytes), bytes.length);
  try {
    work(new Output({ json, level: "debug" }));
  } finally {
    [Deno.stdout.writeSync, Deno.stderr.writeSync] = [stdout, stderr];
  }
  return texts;
}

Deno.test("Output prints lines and tabs, and nothing else that a terminal obeys", () => {
  const evil = "a\u001b[2J\u009b1m\u202eb\r\u0000\ufeff\u{e0041}";
  const shown = "a\\u{1b}[2J\\u{9b}1m\\u{202e}b\\u{d}\\u{0}\\u{feff}\\u{e0041}";
  const { out, err } = printed(false, (output) => {
    output.result({}, `one\n\t${evil}`);
    output.note(`two\n\t${evil}`);
  });
  assertEquals(out, `one\n\t${shown}\n`);
  assertEquals(err, `two\n\t${shown}\n`);
});

Deno.test("Output waits for room where a pipe does not, and prints each byte once", () => {
  const taken: number[] = [];
  const own = Deno.stdout.writeSync;
  let calls = 0;
  Deno.stdout.writeSync = (bytes) => {
    if (++calls % 2 === 1) throw new Deno.errors.WouldBlock("os error 11");
    taken.push(...bytes.subarray(0, 4));
    return Math.min(4, bytes.length);
  };
  try {
    new Output({ json: false, level: "error" }).result({}, "0123456789");
  } finally {
    Deno.stdout.writeSync = own;
  }
  assertEquals(new TextDecoder().decode(Uint8Array.from(taken)), "0123456789\n");
});

Deno.test("Output prints JSON that a terminal can show and that means the same", () => {
  const facts = { "k\u001b\u202e": "a\u0085\n\u2028\u200b\u{e0041}\u00ad", list: ["\ud800"] };
  const { out } = printed(true, (output) => output.result(facts, "not this"));
  assertMatch(out, /^[ -~]+\n$/);
  assertEquals(JSON.parse(out), facts);
});

Deno.test("Output.log says one line, and puts in quotes what could be taken for another field", () => {
  const { err } = printed(false, ({ log }) => {
    log.info("hello", {
      name: "bob",
      count: 3,
      from: "eve code=0",
      why: 'say "x"',
      path: "a\\",
      no: "",
    });
    log.warn("two\nlines", { text: "a\nerror: fake" });
  });
  const [first, ...others] = err.split("\n");
  assertEquals(
    first,
    'info: cli: hello name=bob count=3 from="eve code=0" why="say \\"x\\"" path="a\\\\" no=""',
  );
  assertEquals(others, ['warn: cli: two\\u{a}lines text="a\\\\u{a}error: fake"', ""]);
});

Deno.test("Output.log takes whatever it is given, and shows no more of it than fits", () => {
  const hostile = { toString: "no function", valueOf: null, inner: { a: "\u001b" } };
  const { err } = printed(false, ({ log }) => {
    log.error("odd", {
      hostile,
      bare: Object.create(null),
      nothing: undefined,
      symbol: Symbol("s"),
      error: new TypeError("no\u001b"),
      long: "x".repeat(10_000),
    });
  });
  assertMatch(
    err,
    /^error: cli: odd hostile="[^\n]+" bare=\{\} nothing=undefined symbol=Symbol\(s\) error="TypeError: no\\\\u\{1b\}" long=x{200}…\n$/,
  );
});

Deno.test("formatBytes has one digit after the point and never a thousand of a unit", () => {
  const cases: readonly (readonly [bytes: number, text: string])[] = [
    [0, "0 B"],
    [1, "1 B"],
    [999, "999 B"],
    [1000, "1.0 kB"],
    [999_949, "999.9 kB"],
    [999_950, "1.0 MB"],
    [1_234_567, "1.2 MB"],
    [999_950_000, "1.0 GB"],
    [12_345_678_901, "12.3 GB"],
    [Number.MAX_SAFE_INTEGER, "9007.2 TB"],
  ];
  for (const [bytes, text] of cases) assertEquals(formatBytes(bytes), text);
});

Deno.test("formatBytes rounds what is no whole number, as a rate is not", () => {
  assertEquals(formatBytes(432.3235336396332), "432 B");
  assertEquals(formatBytes(0.4), "0 B");
  assertEquals(formatBytes(999.7), "1.0 kB");
});

Deno.test("formatFiles knows one from many", () => {
  assertEquals([0, 1, 2].map(formatFiles), ["0 files", "1 file", "2 files"]);
});

Deno.test("formatProgress shows share, amount, rate and the time left", () => {
  assertEquals(
    formatProgress(500_000, 1_000_000, 2),
    "[##########          ]  50 %  500.0 kB  250.0 kB/s  0:02 left",
  );
  assertEquals(
    formatProgress(1_000, 91_000, 1),
    "[                    ]   1 %  1.0 kB  1.0 kB/s  1:30 left",
  );
});

Deno.test("formatProgress is defined at the beginning, at the end and for nothing", () => {
  assertEquals(
    formatProgress(0, 1000, 0),
    "[                    ]   0 %  0 B  0 B/s  0:00 left",
  );
  assertMatch(
    formatProgress(1000, 1000, 1),
    /^\[#{20}\] 100 % {2}1\.0 kB {2}1\.0 kB\/s {2}0:00 left$/,
  );
  assertMatch(formatProgress(0, 0, 0), /^\[#{20}\] 100 % {2}0 B {2}0 B\/s {2}0:00 left$/);
});

Deno.test("formatProgress does not say 100 % before the last byte, and keeps its columns", () => {
  assertMatch(formatProgress(999_999, 1_000_000, 1), / 99 % /);
  const bars = [0, 1, 333, 999, 1000].map((bytes) => formatProgress(bytes, 1000, 1).indexOf("%"));
  assertEquals(new Set(bars).size, 1);
});
