import { assertEquals } from "@std/assert";
import { compareByName } from "../../src/cli/discover.ts";

Deno.test("compareByName orders by name, and by id only where names are the same", () => {
  const peers = ["bob 3", "bob 9", "carol 1", "dave 2"].map((text) => {
    const [name = "", peerId = ""] = text.split(" ");
    return { name, peerId };
  });
  for (const a of peers) {
    for (const b of peers) {
      const wanted = Math.sign(peers.indexOf(a) - peers.indexOf(b));
      assertEquals(compareByName(a, b), wanted, `${a.name} ${a.peerId}, ${b.name} ${b.peerId}`);
    }
  }
});
