import { assertEquals, assertInstanceOf, assertStrictEquals, assertThrows } from "@std/assert";
import { reachOptions } from "../../src/cli/open_peer.ts";
import { COMMON_OPTIONS, REACH_OPTIONS } from "../../src/cli/option_groups.ts";
import {
  asUsage,
  durationMs,
  Options,
  type OptionSpecs,
  type Setting,
  UsageError,
} from "../../src/cli/options.ts";
import { exitStatus } from "../../src/errors.ts";

const SPECS: OptionSpecs = {
  ...COMMON_OPTIONS,
  ...REACH_OPTIONS,
  name: { value: "NAME", help: "" },
  port: { value: "N", help: "" },
  level: { value: "LEVEL", help: "" },
  yes: { help: "" },
};

function read(...line: string[]): Options {
  return new Options(line, SPECS);
}

Deno.test("Options reads switches, values, repeated values and arguments in any order", () => {
  const options = read(
    "a",
    "--yes",
    "--name",
    "bob",
    "b",
    "--peer=h:1",
    "--peer",
    "h:2",
    "007",
    "--",
    "--c",
  );
  assertEquals(options.args, ["a", "b", "007", "--c"]);
  assertEquals([options.has("yes"), options.has("json"), options.has("name")], [
    true,
    false,
    false,
  ]);
  assertEquals([options.text("name"), options.text("port")], ["bob", undefined]);
  assertEquals([options.texts("peer"), options.texts("name")], [["h:1", "h:2"], []]);
  assertEquals([options.port("port"), options.milliseconds("timeout")], [undefined, undefined]);
});

Deno.test("Options keeps values that look like numbers as the text they are", () => {
  const options = read("--name", "0x10", "1e3", "0123");
  assertEquals([options.text("name"), options.args], ["0x10", ["1e3", "0123"]]);
});

Deno.test("Options takes -h for --help and nothing else with one dash", () => {
  assertEquals(read("-h").has("help"), true);
  assertThrows(() => read("-j"), UsageError, "Unknown option -j");
});

Deno.test("Options refuses an unknown option and shows it harmless and short", () => {
  assertThrows(() => read("--frob"), UsageError, "Unknown option --frob");
  assertThrows(() => read("--frob=1"), UsageError, "Unknown option --frob");
  assertThrows(() => read("--no-yes"), UsageError, "Unknown option --no-yes");
  assertThrows(() => read("--a\u001b[2J"), UsageError, "Unknown option --a\\u{1b}[2J");
  const error = assertThrows(() => read(`--${"x".repeat(1000)}`), UsageError);
  assertEquals(error.message.length < 100, true);
});

Deno.test("Options refuses an option without its value, repeated or not", () => {
  assertThrows(() => read("--name"), UsageError, "Option --name needs NAME");
  assertThrows(() => read("--name", "--yes"), UsageError, "Option --name needs NAME");
  assertThrows(() => read("--peer", "h:1", "--peer"), UsageError, "Option --peer needs HOST:PORT");
  assertThrows(() => read("--name", ""), UsageError, "Option --name needs NAME");
  assertThrows(() => read("--name="), UsageError, "Option --name needs NAME");
  assertThrows(() => read("--peer=h:1", "--peer="), UsageError, "Option --peer needs HOST:PORT");
});

Deno.test("Options.port takes 0..65535 in digits and nothing else", () => {
  for (const port of [0, 1, 3485, 65535]) {
    assertEquals(read("--port", `${port}`).port("port"), port);
  }
  for (const text of ["65536", "99999", "100000", "1.0", "1e3", "0x10", " 1", "1 ", "one", "٣"]) {
    assertThrows(
      () => read(`--port=${text}`).port("port"),
      UsageError,
      "Option --port must be a whole number, 0..65535",
    );
  }
});

Deno.test("Options.milliseconds takes seconds that a timer can hold", () => {
  const ms = (text: string) => read(`--timeout=${text}`).milliseconds("timeout");
  assertEquals([ms("0"), ms("0.25"), ms("10"), ms("2000000")], [0, 250, 10_000, 2e9]);
  for (const text of ["2000001", "1e3", "-1", "soon", ".5", "5s", "Infinity", "NaN"]) {
    assertThrows(() => ms(text), UsageError, "Option --timeout must be seconds, 0..2000000: it is");
  }
});

Deno.test("Options.duration takes a whole number with its unit", () => {
  const ms = (text: string) => read(`--timeout=${text}`).duration("timeout");
  assertEquals([ms("30s"), ms("10m"), ms("1h"), ms("7d")], [3e4, 6e5, 3.6e6, 6.048e8]);
  assertEquals(read().duration("timeout"), undefined);
  for (
    const text of ["0s", "5", "s", "-1h", "1.5h", "1w", "1H", "1 h", "01h", "1h1h", "99999999s"]
  ) {
    assertThrows(() => ms(text), UsageError, "must be a time such as 30s, 10m, 1h or 7d: it is");
  }
});

Deno.test("asUsage makes wrong arguments mistakes of usage, and leaves other errors alone", () => {
  assertEquals(asUsage(() => 5), 5);
  for (const error of [new TypeError("no"), new RangeError("no")]) {
    assertThrows(() => asUsage(() => raise(error)), UsageError, "no");
  }
  const other = new SyntaxError("no");
  assertStrictEquals(assertThrows(() => asUsage(() => raise(other))), other);
});

function raise(error: Error): never {
  throw error;
}

Deno.test("Options.choice takes one of the words, as it is written", () => {
  const levels = ["debug", "info"] as const;
  assertEquals(read("--level", "info").choice("level", levels), "info");
  assertEquals(read().choice("level", levels), undefined);
  for (const text of ["INFO", "loud", "inf"]) {
    assertThrows(
      () => read("--level", text).choice("level", levels),
      UsageError,
      `Option --level must be one of debug, info: it is ${text}`,
    );
  }
});

Deno.test("reachOptions reads addresses and the time, and refuses what is no address", () => {
  const { signal } = new AbortController();
  assertEquals(reachOptions(read(), signal), { signal, peers: [] });
  assertEquals(reachOptions(read("--peer", "[fe80::1%eth0]:5", "--timeout", "2"), signal), {
    signal,
    peers: [{ hostname: "fe80::1%eth0", port: 5 }],
    timeoutMs: 2000,
  });
  for (const text of ["bob", "bob:", ":1", "bob:65536", "fe80::1:5"]) {
    assertThrows(() => reachOptions(read("--peer", text), signal), UsageError, "must be HOST:PORT");
  }
});

Deno.test("UsageError is a TypeError and ends with 2", () => {
  const error = new UsageError("no");
  assertInstanceOf(error, TypeError);
  assertEquals([error.name, exitStatus(error)], ["UsageError", 2]);
});

Deno.test("Options.number takes a number of its range, with or without a fraction", () => {
  const specs: OptionSpecs = { loss: { value: "SHARE", help: "" } };
  const read = (text: string) => new Options([`--loss=${text}`], specs).number("loss", 0, 0.9);
  assertEquals(["0", "0.01", "0.9"].map(read), [0, 0.01, 0.9]);
  assertEquals(new Options([], specs).number("loss", 0, 0.9), undefined);
  for (
    const text of ["0.91", "1", "-0.1", "1e-3", "0x0", ".5", "0.", "NaN", "0,1", "0.1234567890"]
  ) {
    assertThrows(() => read(text), UsageError, "Option --loss must be a number, 0..0.9: it is");
  }
});

Deno.test("Options takes an option that may do without a value as what it means then, never the next word", () => {
  const specs: OptionSpecs = { ...SPECS, since: { value: "[=WHEN]", help: "", bare: "last" } };
  const cases: readonly (readonly [line: string[], since: string | undefined, args: string[]])[] = [
    [["news"], undefined, ["news"]],
    [["--since", "news"], "last", ["news"]],
    [["news", "--since"], "last", ["news"]],
    [["--since=10m", "news"], "10m", ["news"]],
    [["news", "--", "--since"], undefined, ["news", "--since"]],
    [["since", "--name", "x"], undefined, ["since"]],
  ];
  for (const [line, since, args] of cases) {
    const options = new Options(line, specs);
    assertEquals([options.text("since"), options.args], [since, args], line.join(" "));
  }
  assertThrows(() => new Options(["--since="], specs), UsageError);
});

Deno.test("durationMs reads a number and its unit, and nothing else", () => {
  const cases = [["30s", 30_000], ["10m", 600_000], ["2h", 7_200_000], [
    "7d",
    604_800_000,
  ]] as const;
  for (const [text, ms] of cases) assertEquals(durationMs(text), ms);
  for (const text of ["", "0s", "1", "s", "1.5h", "-1m", "10m ", "1w"]) {
    assertEquals(durationMs(text), undefined, text);
  }
});

Deno.test("Options says which option may be meant", () => {
  assertThrows(
    () => read("--nmae", "x"),
    UsageError,
    "Unknown option --nmae; did you mean --name?",
  );
  assertThrows(() => read("--timeuot=1"), UsageError, "did you mean --timeout?");
});

Deno.test("Options takes a switch as off with =false, and no other value of it", () => {
  assertEquals([read("--yes=false").has("yes"), read("--yes=true").has("yes")], [false, true]);
  for (const text of ["--yes=maybe", "--yes=", "--yes=0"]) {
    assertThrows(() => read(text), UsageError, "Option --yes is a switch");
  }
  assertEquals(read("--", "--yes=maybe").args, ["--yes=maybe"]);
});

Deno.test("Options takes settings for what the command line does not have, and says where from", () => {
  const settings = new Map<string, Setting>([
    ["name", { value: "ann", from: "KITH_NAME" }],
    ["yes", { value: true, from: "line 2" }],
    ["peer", { value: ["h:1", "h:2"], from: "line 3" }],
    ["frob", { value: "x", from: "line 4" }],
  ]);
  const options = new Options([], SPECS, settings);
  assertEquals([options.text("name"), options.has("yes")], ["ann", true]);
  assertEquals([options.texts("peer"), options.text("frob")], [["h:1", "h:2"], undefined]);
  assertEquals([options.from("name"), options.from("frob")], ["KITH_NAME", undefined]);

  const given = new Options(["--name=bob", "--yes=false", "--peer", "h:3"], SPECS, settings);
  assertEquals([given.text("name"), given.has("yes")], ["bob", false]);
  assertEquals([given.texts("peer"), given.from("name")], [["h:3"], undefined]);
});
