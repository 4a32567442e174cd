/**
 * Nobody takes the DHT in by being many, or by being where a value is looked for.
 */

import { assert, assertEquals } from "@std/assert";
import { type NodeId, randomIdUnder } from "../../src/dht/node_id.ts";
import { place } from "../../src/dht/placing.ts";
import { read } from "../../src/dht/reading.ts";
import { immutableRecord } from "../../src/dht/record.ts";
import { HostileDhtNode } from "../../src/testing/dht_hostile.ts";
import { honestOf, keeps } from "../../src/testing/dht_lookups.ts";
import { SimDhtNode, type SimDhtNodeOptions } from "../../src/testing/dht_node.ts";
import { type DhtStage, runDht } from "../../src/testing/dht_scenario.ts";
import type { SimHost } from "../../src/testing/host.ts";
import { encode } from "../../src/wire/msgpack.ts";

/** Makes those hostile whose name says so, with ids that begin as the one that they want to be near to. */
function hostileNear(target?: NodeId, bits = 0) {
  const hostile = { hostility: "accomplices", accomplices: [] as HostileDhtNode[] } as const;
  return (host: SimHost, options: SimDhtNodeOptions) => {
    if (!host.name.startsWith("hostile")) return new SimDhtNode(host, options);
    const id = target && randomIdUnder(target, bits, () => host.clock.random());
    return new HostileDhtNode(host, { ...options, id }, hostile);
  };
}

async function joinHostile({ swarm }: DhtStage, count: number): Promise<void> {
  const honest = swarm.running;
  for (let nth = 0; nth < count; nth++) {
    swarm.spawn(`hostile ${nth}`, honest.slice(nth % 7, nth % 7 + 3));
    await swarm.pass(50);
  }
  await swarm.pass(20_000);
}

Deno.test("T8 who was there before stays in the tables, however many hostile nodes come", async () => {
  await runDht({ seed: 1, nodes: 40 }, {
    swarm: { tuning: { k: 4 }, make: hostileNear() }, // of small buckets most are full
    measure: async (stage) => {
      const known = stage.swarm.running.map(({ node: { table } }) => {
        return { table, before: table.contacts() };
      });
      await joinHostile(stage, 100);
      for (const { table, before } of known) {
        const gone = before.filter(({ key }) => table.get(key) === undefined);
        assertEquals(gone, []);
        assert(table.size > before.length, "nobody came");
      }
    },
  });
});

Deno.test("T8 a value is found though the nodes nearest to it were made to be there", async () => {
  const record = immutableRecord(encode("wanted"));
  await runDht({ seed: 1, nodes: 60 }, {
    swarm: { tuning: { paths: 4 }, make: hostileNear(record.key, 12) },
    measure: async (stage) => {
      await joinHostile(stage, 10);
      const { swarm } = stage;
      const [first, ...others] = honestOf(swarm);
      assert(first !== undefined);
      await swarm.until(place(first.node, record, { ttlS: 600 }));
      await swarm.pass(1_000);
      const asking = others.filter(({ node }) => !keeps(node, record.key));
      const found = await swarm.until(
        Promise.all(asking.map(({ node }) => read(node, record.key))),
      );
      const without = found.filter(({ records }) => records.length === 0);
      assertEquals([asking.length >= 40, without.length], [true, 0]);
      const taken = swarm.running.find((one) => one instanceof HostileDhtNode)?.node.keeper.totals;
      assertEquals(taken?.records, 0); // it said that it would keep it
    },
  });
});
