import { assert, assertEquals } from "@std/assert";
import { ALL_TARGETS, fuzz } from "./decoders.ts";

Deno.test("no decoder throws anything but its own errors, on 60,000 hostile inputs", async () => {
  const { cases, accepted } = await fuzz(60_000, 20261121);
  assertEquals(cases, 60_000);
  // Both outcomes must occur, or the inputs test nothing.
  assert(accepted > cases * 0.05 && accepted < cases * 0.95, `${accepted} accepted`);
});

Deno.test("every decoder takes something of its own corpus as it stands", async () => {
  for (const { name, corpus, decode } of ALL_TARGETS) {
    let taken = 0;
    for (const input of corpus) {
      try {
        await decode(input);
        taken++;
      } catch {
        // some vectors are there to be refused
      }
    }
    assert(taken > 0, name);
  }
});
