import { assertEquals, assertMatch } from "@std/assert";
import { adviceFor, networkNote, traceOf, waysTried } from "../../src/cli/advice.ts";
import { Options, UsageError } from "../../src/cli/options.ts";
import { NotFoundError, RemoteError, TransportError, UnsupportedError } from "../../src/errors.ts";

Deno.test("adviceFor says what to try, by the error or by what caused it", () => {
  const full = new Error("No space left on device (os error 28)");
  const cases: readonly (readonly [error: unknown, advice: RegExp | undefined])[] = [
    [new UsageError("no"), /"kith up --help" shows the options/],
    [new Deno.errors.NotCapable("no"), /"kith up --help" shows the permissions/],
    [new UnsupportedError("no", { cause: new Deno.errors.NotCapable("no") }), /permissions/],
    [new TransportError("no", { cause: new Deno.errors.AddrInUse("no") }), /another one, or 0/],
    [new NotFoundError("no-peer", "no"), /^kith doctor says/],
    [full, /The disk is full/],
    [new NotFoundError("no-peer", "no; kith doctor says more"), undefined],
    [new NotFoundError("no-peer", "kept", { details: { kept: true } }), undefined],
    [
      new NotFoundError("no-peer", "nobody called that answered, these did: bob"),
      /kith up --provide NAME\) is found with --peer .* kith doctor says/,
    ],
    [new UnsupportedError("no; make room on that disk", { cause: full }), undefined],
    [new NotFoundError("no-key", "no"), undefined],
    [new Error("no"), undefined],
    ["no", undefined],
  ];
  for (const [error, advice] of cases) {
    const said = adviceFor(error, "up");
    if (advice === undefined) assertEquals(said, undefined, String(error));
    else assertMatch(said ?? "", advice, String(error));
  }
  assertEquals(adviceFor(new NotFoundError("no-peer", "no"), "trust"), undefined);
  const missing = new RemoteError("no-endpoint", 'No endpoint "nope" here');
  assertEquals(adviceFor(missing, "send"), undefined);
  assertMatch(
    adviceFor(missing, "call") ?? "",
    /other side's answer: kith call PEER describe lists/,
  );
});

Deno.test("networkNote names a network that nobody has typed, where nobody was found", () => {
  const specs = { network: { value: "NAME", help: "" } };
  const typed = new Options(["--network", "home"], specs);
  const settings = new Map([["network", { value: "attic", from: "line 2 of config.toml" }]]);
  const set = new Options([], specs, settings);
  const none = new Options([], specs);
  const nobody = new NotFoundError("no-peer", "no");
  const unset = () => undefined;
  assertEquals(networkNote(nobody, typed, unset), "");
  assertEquals(networkNote(nobody, none, unset), "");
  assertEquals(networkNote(new Error("no"), set, unset), "");
  assertEquals(
    networkNote(nobody, set, unset),
    '; looked in the network "attic" (from line 2 of config.toml)',
  );
  const env = (name: string) => name === "KITH_NETWORK" ? "shed" : undefined;
  assertEquals(networkNote(nobody, typed, env), "");
  assertMatch(networkNote(nobody, none, env), /"shed" \(from KITH_NETWORK\)$/);
});

Deno.test("waysTried lists the ways of an error where nobody was found", () => {
  const details = { tried: ["a", "b"] };
  assertEquals(waysTried(new NotFoundError("no-peer", "no", { details })), ["a", "b"]);
  for (const error of [new NotFoundError("no-key", "no", { details }), new Error("no"), "no"]) {
    assertEquals(waysTried(error), []);
  }
});

Deno.test("traceOf shows where an error and its causes were thrown, also where those are a ring", () => {
  const inner = new Error("inner");
  const outer = new Error("outer", { cause: inner });
  assertMatch(traceOf(outer), /^Error: outer\n +at [^]*\nCaused by: Error: inner\n +at /);
  inner.cause = outer;
  assertEquals(traceOf(outer).split("Caused by").length, 5);
  assertEquals(traceOf("no\u001b"), "no\\u{1b}");
});
