import { assert, assertEquals } from "@std/assert";
import { fuzz, FUZZ_TARGETS } from "./decoders.ts";

Deno.test("no decoder throws anything but its own errors, on 60,000 hostile inputs", () => {
  const { cases, accepted } = fuzz(60_000, 20261121);
  assertEquals(cases, 60_000);
  // Both outcomes must occur, or the inputs test nothing.
  assert(accepted > cases * 0.05 && accepted < cases * 0.95, `${accepted} accepted`);
});

Deno.test("every decoder takes something of its own corpus as it stands", () => {
  for (const { name, corpus, decode } of FUZZ_TARGETS) {
    const taken = corpus.filter((input) => {
      try {
        decode(input);
        return true;
      } catch {
        return false; // some vectors are there to be refused
      }
    });
    assert(taken.length > 0, name);
  }
});
