import { assertEquals, assertThrows } from "@std/assert";
import { describeResults, parseFields, problemsOf, type Results } from "../../src/cli/results.ts";

const RESULTS: Results = {
  ready: "peerId, tcp: number?",
  closed: "counters: object",
  "(get)": "value: any, others: list",
  "(put)": "key, ok: flag",
};

Deno.test("parseFields reads names, types and what may be missing", () => {
  assertEquals(parseFields("peerId, tcp: number?"), [
    { name: "peerId", type: "text", isOptional: false },
    { name: "tcp", type: "number", isOptional: true },
  ]);
  for (const wrong of ["a: date", "a b", "a:number", "a??", "a: "]) {
    assertThrows(() => parseFields(wrong), SyntaxError, "No field");
  }
});

Deno.test("problemsOf accepts what is in the table, and names what is not", () => {
  const cases: readonly (readonly [result: Record<string, unknown>, problems: string[]])[] = [
    [{ event: "ready", peerId: "a", tcp: 1 }, []],
    [{ event: "ready", peerId: "a", tcp: null }, []],
    [{ event: "ready", peerId: "a" }, []],
    [{ event: "ready", tcp: 1 }, ["ready: field peerId is missing"]],
    [{ event: "ready", peerId: 5 }, ["ready: field peerId is no text"]],
    [{ event: "ready", peerId: "a", tcp: "1" }, ["ready: field tcp is no number"]],
    [{ event: "ready", peerId: "a", udp: 1 }, ["ready: field udp is not in the table"]],
    [{ event: "closed", counters: [] }, ["closed: field counters is no object"]],
    [{ event: "frob" }, ['event "frob" is not in the table']],
    [{ event: "error", code: "usage", message: "no", details: {} }, []],
    [{ event: "error", code: "usage" }, [
      "error: field message is missing",
      "error: field details is missing",
    ]],
    [{ value: null, others: [] }, []],
    [{ key: "k", ok: true }, []],
    [{ key: "k", ok: 1 }, ["(put): field ok is no flag"]],
  ];
  for (const [result, problems] of cases) {
    assertEquals(problemsOf(RESULTS, result), problems, JSON.stringify(result));
  }
  assertEquals(problemsOf({}, { a: 1 }), ["a result without an event"]);
});

Deno.test("describeResults has a line for results with the same fields", () => {
  assertEquals(
    describeResults({ added: "peerId", removed: "peerId", "(ls)": "id?", "()": "a, b" }),
    [
      "added, removed: peerId",
      "ls: id?",
      "a, b",
    ],
  );
});
