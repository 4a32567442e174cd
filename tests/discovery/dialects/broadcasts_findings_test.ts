import { assert, assertEquals } from "@std/assert";
import { Findings, isSamePeer } from "../../../src/discovery/dialects/broadcasts_findings.ts";
import type { ForeignPeer } from "../../../src/discovery/foreign.ts";

Deno.test("Findings gives what was found, and of each peer the newest that waits", async () => {
  const findings = new Findings();
  const results = findings.results();
  const first = results.next();
  findings.add("a", peer("a1"));
  assertEquals((await first).value, peer("a1"));
  for (const name of ["a2", "a3"]) findings.add("a", peer(name));
  findings.add("b", peer("b1"));
  findings.stop();
  findings.add("c", peer("too late"));
  const rest = await Array.fromAsync(results);
  assertEquals(rest.map(({ name }) => name), ["a3", "b1"]);
});

Deno.test("Findings ends with its signal, also one that was aborted before", async () => {
  const controller = new AbortController();
  const ended = Array.fromAsync(new Findings(controller.signal).results());
  controller.abort();
  assertEquals(await ended, []);
  assertEquals(await Array.fromAsync(new Findings(controller.signal).results()), []);
});

Deno.test("isSamePeer tells by name and protocols", () => {
  assert(isSamePeer(peer("a", ["p"]), peer("a", ["p"])));
  assert(!isSamePeer(peer("a"), peer("b")));
  assert(!isSamePeer(peer("a", ["p"]), peer("a", ["q"])));
  assert(!isSamePeer(peer("a", ["p"]), peer("a", ["p", "q"])));
});

function peer(name: string, protocols: readonly string[] = []): ForeignPeer {
  return { dialect: "witch", id: "", name, address: { hostname: "h", port: 1 }, protocols };
}
