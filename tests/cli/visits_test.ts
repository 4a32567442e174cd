import { assertEquals } from "@std/assert";
import { visits } from "../../src/cli/visits.ts";
import { ManualClock } from "../../src/clock.ts";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { MemoryNetwork } from "../../src/transport/mod.ts";
import { identityOf, settle } from "../endpoint/fixture.ts";

const HERE = { hostname: "bob", port: 1 };
const THERE = { hostname: "carol", port: 1 };

Deno.test("visits are those of others at once, and our own when they last", async () => {
  const clock = new ManualClock();
  const network = new MemoryNetwork({ clock });
  const open = (name: string) => {
    const self = { name, capabilities: [], agent: "test" };
    const limits = { heartbeatMs: Infinity };
    const transport = network.host(name);
    return Endpoint.open({ transport, clock, self, limits, identity: identityOf(name), port: 1 });
  };
  await using bob = await open("bob");
  await using carol = await open("carol");
  const end = new AbortController();
  const seen: string[] = [];
  const watching = (async () => {
    for await (const { type, peer } of visits(bob, end.signal)) seen.push(`${type} ${peer.name}`);
  })();

  const question = await bob.connect(THERE);
  await clock.advance(900);
  await question.close();
  await clock.advance(5_000);
  assertEquals(seen, []);

  const talk = await bob.connect(THERE);
  await clock.advance(1_000);
  await settle();
  assertEquals(seen, ["added carol"]);
  await talk.close();
  await settle();
  assertEquals(seen.splice(0), ["added carol", "removed carol"]);

  const theirs = await carol.connect(HERE);
  await settle();
  assertEquals(seen, ["added carol"]);
  await theirs.close();
  await settle();
  assertEquals(seen.splice(0), ["added carol", "removed carol"]);

  await using _open = await bob.connect(THERE);
  await settle();
  end.abort();
  await watching;
  assertEquals(seen, []);
});
