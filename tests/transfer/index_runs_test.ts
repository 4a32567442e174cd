import { assert, assertEquals, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { InvalidPacketError } from "../../src/errors.ts";
import { encodeRuns, parseRuns } from "../../src/transfer/index_runs.ts";

Deno.test("encodeRuns has the documented form", () => {
  assertEquals(encodeRuns([]), []);
  assertEquals(encodeRuns([0]), [0, 1]);
  assertEquals(encodeRuns([0, 1, 2, 5, 7, 8]), [0, 3, 5, 1, 7, 2]);
});

Deno.test("parseRuns reads what encodeRuns writes", () => {
  const random = seededRandom(3);
  for (let round = 0; round < 300; round++) {
    const size = Math.floor(random() * 200);
    const share = random();
    const indexes = Array.from({ length: size }, (_, at) => at).filter(() => random() < share);
    assertEquals([...parseRuns(encodeRuns(indexes), size, "wanted")], indexes);
  }
});

Deno.test("parseRuns refuses what are no ascending runs of entries, and names the field", () => {
  const wrong: unknown[] = [
    ...[null, undefined, 1, "x", {}, new Uint8Array(2)],
    ...[[0], [0, 1, 2], [0, 0], [1, -1], [-1, 1], [0.5, 1], [0, 1.5], [NaN, 1], ["0", 1], [0n, 1]],
    ...[[5, 1, 0, 1], [0, 2, 1, 1], [0, 2, 2, 1], [3, 1, 3, 1]],
    ...[[0, 11], [10, 1], [2 ** 53, 1], [0, 2 ** 53], [0, Infinity]],
    [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  ];
  for (const runs of wrong) {
    const error = assertThrows(() => parseRuns(runs, 10, "held"), InvalidPacketError, "held is no");
    assertEquals([error.code, error.details], ["bad-message", { field: "held" }]);
  }
  assertEquals(parseRuns([0, 10], 10, "held").size, 10);
});

Deno.test("parseRuns makes no more than there are entries, however long the list is", () => {
  const many = Array.from({ length: 2_000_000 }, (_, at) => at % 2 === 0 ? at : 1);
  const startedMs = performance.now();
  assertThrows(() => parseRuns(many, 100, "wanted"), InvalidPacketError);
  assert(performance.now() - startedMs < 100);
});
