/**
 * What is kept in the DHT is neither driven out, nor rolled back, nor lost between two who write at the same time.
 */

import { assert, assertEquals } from "@std/assert";
import { RemoteError } from "../../src/errors.ts";
import { place } from "../../src/dht/placing.ts";
import { read } from "../../src/dht/reading.ts";
import { type SignedRecord, signedRecord } from "../../src/dht/record.ts";
import { measureFlood } from "../../src/testing/dht_floods.ts";
import { runDht } from "../../src/testing/dht_scenario.ts";
import { simSigner } from "../../src/testing/swim_node.ts";
import { encode } from "../../src/wire/msgpack.ts";

const AUTHOR = simSigner("author");

/** A version of a value. The simulated network has no forgers: that signatures hold is tested where they are checked. */
function version(seq: number, value: string, nowMs: number): SignedRecord {
  const expiresS = Math.floor(nowMs / 1_000) + 3_600;
  const draft = { scope: "own", name: "door", seq, expiresS, value: encode(value) } as const;
  const author = { publicKey: AUTHOR.publicKey, sign: () => new Uint8Array(64) };
  return signedRecord(draft, author, { idOf: AUTHOR.idOf });
}

Deno.test("T9 a flood of values evicts none of those who bring little, wherever they are", async () => {
  const options = { nodes: 25, values: 30, malicious: 0.4, each: 100 };
  const { figures } = await measureFlood({ seed: 2, ...options });
  assert(figures.evicted > 0 && figures.fullestBytes > 0.95, "it was no flood");
  assert(figures.fullest <= 1 && figures.fullestBytes <= 1, "a store is larger than it may be");
  assertEquals([figures.lost, figures.success], [0, 1]);
});

Deno.test("T9 an old version does not take the place of a newer one, whoever puts it again", async () => {
  await runDht({ seed: 1, nodes: 40 }, {
    measure: async ({ swarm }) => {
      const [writer, replayer, ...readers] = swarm.running;
      assert(writer && replayer);
      const nowMs = writer.node.clock.wallMs();
      const [old, latest] = [version(1, "open", nowMs), version(2, "shut", nowMs)];
      await swarm.until(place(writer.node, old, { ttlS: 600 }));
      await swarm.until(place(writer.node, latest, { ttlS: 600 }));
      await swarm.pass(1_000);
      await swarm.until(Promise.allSettled([place(replayer.node, old, { ttlS: 600 })]));
      await swarm.pass(1_000);
      const found = readers.map(({ node }) => read(node, old.key, { fresh: true }));
      for (const { records } of await swarm.until(Promise.all(found))) {
        assertEquals(records, [latest]);
      }
    },
  });
});

Deno.test("T9 of two who write at the same time one has most nodes, and nobody has what was before", async () => {
  for (const seed of [1, 2, 3]) {
    await runDht({ seed, nodes: 40 }, {
      measure: async ({ swarm }) => {
        const [a, b, ...readers] = swarm.running;
        assert(a && b);
        const nowMs = a.node.clock.wallMs();
        await swarm.until(place(a.node, version(1, "first", nowMs), { ttlS: 600 }));
        await swarm.pass(1_000);
        const both = [version(2, "by a", nowMs), version(2, "by b", nowMs)];
        const puts = both.map(async (record, nth) => {
          const { node } = nth === 0 ? a : b;
          const { holders, refusals } = await place(node, record, { ttlS: 600, cas: 1 });
          return holders.length > refusals.length;
        });
        const won = await swarm.until(Promise.all(puts.map((put) => put.catch(lost))));
        assertEquals(won.toSorted(), [false, true]);
        const { key } = version(2, "", nowMs);
        const found = readers.map(({ node }) => read(node, key, { fresh: true }));
        for (const { records: [one] } of await swarm.until(Promise.all(found))) {
          assert(both.some((record) => record === one), "an older version was found");
        }
      },
    });
  }
});

/** Nobody took it: somebody else was there before. */
function lost(error: unknown): boolean {
  if (error instanceof RemoteError) return false;
  throw error;
}
