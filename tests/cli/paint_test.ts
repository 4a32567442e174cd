import { assertEquals } from "@std/assert";
import { painted, wantsColour } from "../../src/cli/paint.ts";

const TERMINAL = { isTerminal: () => true };
const FILE = { isTerminal: () => false };

Deno.test("wantsColour: a terminal, unless NO_COLOR, TERM=dumb or FORCE_COLOR say otherwise", () => {
  const cases:
    readonly (readonly [env: Record<string, string>, terminal: boolean, file: boolean])[] = [
      [{}, true, false],
      [{ NO_COLOR: "1" }, false, false],
      [{ TERM: "dumb" }, false, false],
      [{ FORCE_COLOR: "1" }, true, true],
      [{ FORCE_COLOR: "0" }, false, false],
      [{ FORCE_COLOR: "1", NO_COLOR: "1" }, true, true],
    ];
  for (const [env, terminal, file] of cases) {
    const read = (name: string) => env[name];
    const found = [wantsColour(TERMINAL, read), wantsColour(FILE, read)];
    assertEquals(found, [terminal, file], JSON.stringify(env));
  }
});

Deno.test("painted leaves text alone where there are no colours", () => {
  assertEquals(painted("a\nb", "bad", FILE), "a\nb");
  assertEquals(painted("a\nb", undefined, TERMINAL), "a\nb");
});
