import { assertEquals, assertMatch } from "@std/assert";
import { formatBytes, formatFiles, formatProgress } from "../../src/cli/output.ts";

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
