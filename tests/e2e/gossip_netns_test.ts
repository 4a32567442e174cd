import { assertEquals } from "@std/assert";
import { givenTo, GossipProcess, untilGiven } from "./gossip_process.ts";
import { Cables, whyNoNamespaces } from "./netns.ts";
import { Scratch } from "./scratch.ts";
import { allOf } from "./up.ts";

const whyNot = await whyNoNamespaces();
// deno-lint-ignore no-console -- who reads the results shall know
if (whyNot !== undefined) console.log(`skipped, no network namespaces for topics: ${whyNot}`);

/** How many each of the two publishes while it is connected, while it is not, and afterwards. */
const COUNT = 50;

/** How long a look at who is there may find nothing new. */
const PATIENCE_MS = 30_000;

Deno.test({
  name:
    "What is published in a topic while a cable is out comes to the other side once, when it is put back",
  ignore: whyNot !== undefined,
  async fn() {
    await using parts = new AsyncDisposableStack();
    const { dir } = parts.use(await Scratch.make());
    const cables = parts.use(await Cables.lay());
    const common = { dir, topic: "news", network: crypto.randomUUID(), discoveryPort: 23_486 };
    const start = (host: "ann" | "bob", hostname: string, seeds: readonly string[]) => {
      const options = { ...common, names: [host], hostname, seeds };
      return parts.use(new GossipProcess(options, cables.within(host)));
    };
    const ann = start("ann", "10.77.1.1", []);
    const { addresses } = await ann.event("ready");
    const bob = start("bob", "10.77.1.2", addresses as string[]);
    await bob.event("ready");
    const both = [ann, bob];
    const publish = async (from: number) => {
      const command = { from, count: COUNT, burst: 10, everyMs: 20 };
      await allOf(both.map((process) => process.publish(command)));
      await allOf(
        both.map((process) => process.event("published", (event) => event.from === from)),
      );
    };

    await publish(0);
    await untilGiven(dir, ["ann", "bob"], COUNT);
    await cables.pull();
    await publish(COUNT);
    await allOf(both.map((process) => untilNeighbors(process, 0)));
    assertEquals(["ann", "bob"].map((name) => givenTo(dir, name).length), [COUNT, COUNT]);
    await cables.putBack();
    await untilGiven(dir, ["ann", "bob"], 2 * COUNT);
    await publish(2 * COUNT);
    await untilGiven(dir, ["ann", "bob"], 3 * COUNT);

    await allOf(both.map((process) => process.close()));
    for (const [name, other] of [["ann", "bob"], ["bob", "ann"]] as const) {
      const all = Array.from({ length: 3 * COUNT }, (_, n) => `${other} ${n}`);
      const given = givenTo(dir, name).map(({ data }) => data);
      assertEquals(given.toSorted(), all.toSorted(), name);
    }
  },
});

/** Waits until the peer of a process has so many neighbours. */
async function untilNeighbors(process: GossipProcess, count: number): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS;
  for (;;) {
    const [peer] = await process.state();
    const neighbors = peer?.topics[0]?.neighbors.length ?? 0;
    if (neighbors === count) return;
    if (performance.now() > endMs) throw new Error(`It has ${neighbors} neighbours, not ${count}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
