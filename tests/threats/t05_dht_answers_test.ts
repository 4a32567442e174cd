/**
 * What a node of the DHT is told by who was not asked, too late, twice, of others at false addresses, or of another key
 * than was asked for changes nothing.
 */

import { assert, assertEquals } from "@std/assert";
import { place } from "../../src/dht/placing.ts";
import { read } from "../../src/dht/reading.ts";
import { type DhtRecord, immutableRecord } from "../../src/dht/record.ts";
import { measureLookups } from "../../src/testing/dht_lookups.ts";
import type { SimDhtNode } from "../../src/testing/dht_node.ts";
import { type DhtStage, runDht } from "../../src/testing/dht_scenario.ts";
import { encode } from "../../src/wire/msgpack.ts";

const RECORD = immutableRecord(encode("true"));

/** Answers a question that somebody else may have been asked. */
function meddle(by: SimDhtNode, victim: SimDhtNode, call: number, record: DhtRecord): void {
  const answer = { nodes: [], records: [record] };
  by.wire.send({ kind: "answer", call, answer, by: by.contact }, victim.contact.address);
}

/** Puts a value, and has somebody without it look for it. */
async function lookFor(
  { swarm }: DhtStage,
  meanwhile: (victim: SimDhtNode, others: readonly SimDhtNode[]) => void = () => {},
): Promise<{ victim: SimDhtNode; records: readonly DhtRecord[] }> {
  const [victim, ...others] = swarm.running;
  const [first] = others;
  assert(victim !== undefined && first !== undefined);
  await swarm.until(place(first.node, RECORD, { ttlS: 600 }));
  await swarm.pass(1_000);
  victim.node.keeper.remove(RECORD);
  const found = read(victim.node, RECORD.key);
  meanwhile(victim, others);
  const { records } = await swarm.until(found);
  await swarm.pass(2_000);
  return { victim, records };
}

Deno.test("T5 a node of the DHT takes no answer of somebody whom it has not asked", async () => {
  await runDht({ seed: 1, nodes: 12 }, {
    measure: async (stage) => {
      const { victim, records } = await lookFor(stage, (victim, others) => {
        // Everybody answers everything that it may have asked: of each question one was asked.
        for (const by of others) {
          const asked = victim.wire.asked;
          for (let call = asked - 3; call < asked; call++) meddle(by, victim, call, RECORD);
        }
      });
      assertEquals(records, [RECORD]);
      assert(victim.wire.ignored.foreign >= 20, `${victim.wire.ignored.foreign} were ignored`);
    },
  });
});

Deno.test("T5 a node of the DHT takes no answer that comes late, and none twice", async () => {
  await runDht({ seed: 1, nodes: 12 }, {
    measure: async (stage) => {
      stage.swarm.simulation.setLink({ duplication: 1 });
      const { victim, records } = await lookFor(stage);
      assertEquals(records, [RECORD]);
      assert(victim.wire.ignored.late >= 3, `${victim.wire.ignored.late} were ignored`);
      const before = victim.wire.ignored.late;
      const [, by] = stage.swarm.running;
      assert(by !== undefined);
      meddle(by, victim, 0, RECORD);
      await stage.swarm.pass(100);
      assert(victim.wire.ignored.late > before, "an answer to what is over was taken");
    },
  });
});

Deno.test("T5 a value of another key is nobody's answer, however genuine it is", async () => {
  const hostile = { nodes: 60, values: 60, malicious: 0.3, hostility: "forgeries" } as const;
  const { figures } = await measureLookups({ seed: 1, ...hostile });
  assertEquals(figures.forged, 0);
  assert(figures.success >= 0.95, `${figures.success} were found`);
});

Deno.test("T5 nodes that are named at false addresses are found all the same", async () => {
  const hostile = { nodes: 60, values: 60, malicious: 0.2, hostility: "misplaced" } as const;
  const { figures } = await measureLookups({ seed: 1, ...hostile, paths: 4 });
  assert(figures.success >= 0.95, `${figures.success} were found`);
  assert(figures.known >= 30, `a node knows ${figures.known}`);
});
