import { assert, assertEquals } from "@std/assert";
import { type Given, givenTo, GossipProcess, untilGiven } from "./gossip_process.ts";
import { allOf } from "./up.ts";
import { Scratch } from "./scratch.ts";

const PROCESSES = ["ann", "bob", "carol", "dave"];
const PEERS = 5;

/** What each peer publishes, half of it before dave is killed. */
const MESSAGES = 500;
const HALF = MESSAGES / 2;

/** How fast, so that processes are killed and started while there is much on the way. */
const PACE = { burst: 25, everyMs: 400 };

Deno.test("10,000 messages of 20 peers in 4 processes come to all others once, also where a process is killed and started again", async () => {
  await using parts = new AsyncDisposableStack();
  const { dir } = parts.use(await Scratch.make());
  const common = {
    dir,
    topic: "news",
    hostname: "127.0.0.1",
    network: crypto.randomUUID(),
    discoveryPort: 20_000 + Math.floor(Math.random() * 12_000),
  };
  const start = (name: string, seeds: readonly string[]) => {
    return parts.use(new GossipProcess({ ...common, names: namesIn(name), seeds }));
  };
  const ann = start("ann", []);
  const { addresses } = await ann.event("ready");
  const seeds = (addresses as string[]).slice(0, 1);
  const [bob, carol, dave] = [start("bob", seeds), start("carol", seeds), start("dave", seeds)];
  await allOf([bob, carol, dave].map((process) => process.event("ready")));

  for (const process of [ann, bob, carol]) {
    await process.publish({ from: 0, count: MESSAGES, ...PACE });
  }
  await dave.publish({ from: 0, count: HALF, ...PACE });
  // What dave has published is safe with others; these are still publishing.
  const ofDave = ({ data }: Given) => data.startsWith("dave");
  await untilGiven(dir, namesIn("ann"), HALF * PEERS, ofDave);
  dave.kill();
  const before = namesIn("dave").map((name) => givenTo(dir, name).length);
  const again = start("dave", seeds);
  await again.event("ready");
  await again.publish({ from: HALF, count: HALF, ...PACE });

  const names = PROCESSES.flatMap(namesIn);
  await untilGiven(dir, names, MESSAGES * (names.length - 1));
  await allOf([ann, bob, carol, again].map((process) => process.close()));
  for (const name of names) assertEquals(unexpected(givenTo(dir, name), name, names), [], name);
  assert(before.every((count) => count > 0 && count < MESSAGES * (names.length - 1)), `${before}`);
});

function namesIn(process: string): string[] {
  return Array.from({ length: PEERS }, (_, n) => `${process}${n}`);
}

/** Messages that a peer should have been given and was not, or was given twice, or should not have been. */
function unexpected(given: readonly Given[], name: string, names: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const other of names) {
    for (let n = 0; other !== name && n < MESSAGES; n++) counts.set(`${other} ${n}`, -1);
  }
  for (const { data } of given) counts.set(data, (counts.get(data) ?? 0) + 1);
  return [...counts].filter(([, count]) => count !== 0).map(([data, count]) => `${data}: ${count}`);
}
