import { assertEquals } from "@std/assert";
import { PeerConnectSearch } from "../../../src/discovery/dialects/peerconnect_search.ts";
import { CountingClock } from "../../endpoint/fixture.ts";

/** A search, when it asked, and what ends it. */
function begin() {
  const [clock, stop] = [new CountingClock(), new AbortController()];
  const asked: number[] = [];
  const ask = () => Promise.resolve(void asked.push(clock.now()));
  const search = new PeerConnectSearch({ ask, clock, signal: stop.signal });
  return { clock, stop, asked, search };
}

Deno.test("PeerConnectSearch asks twice and rests, until it is over", async () => {
  const { clock, stop, asked, search } = begin();
  await clock.advance(7_000);
  stop.abort();
  await search.over;
  assertEquals([asked, clock.timers], [[100, 300, 3_400, 3_600, 6_700, 6_900], 0]);
  assertEquals(await Array.fromAsync(search.results), []);
});

Deno.test("PeerConnectSearch gives each once for every address, 1,024 at most", async () => {
  const { stop, search } = begin();
  for (const _ of [1, 2]) {
    for (let port = 1; port <= 1_100; port++) search.add("7", { hostname: "crowd", port });
  }
  stop.abort();
  search.add("8", { hostname: "late", port: 1 });
  const found = await Array.fromAsync(search.results);
  assertEquals(found.map(({ address }) => address.port), [
    ...Array(1_024).keys().map((n) => n + 1),
  ]);
  assertEquals(found[0]?.id, "7");
});
