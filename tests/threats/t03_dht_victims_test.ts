/**
 * The DHT sends nobody who is not in it more than a little, whoever says that nodes are there.
 */

import { assert } from "@std/assert";
import { type Contact, contactOf } from "../../src/dht/contact.ts";
import { type NodeId, randomIdUnder } from "../../src/dht/node_id.ts";
import type { Answer, Asker, Question } from "../../src/dht/questions.ts";
import { randomId } from "../../src/testing/dht_node.ts";
import { runDht } from "../../src/testing/dht_scenario.ts";
import type { SimHost } from "../../src/testing/host.ts";
import type { Simulation } from "../../src/testing/simulation.ts";
import type { Address } from "../../src/transport/transport.ts";

Deno.test("T3 a node of the DHT asks back at one address now and then, however many ask from there", async () => {
  await runDht({ seed: 1, nodes: 10 }, {
    measure: async ({ swarm, random }) => {
      const { address } = victimIn(swarm.simulation);
      const [asked] = swarm.running;
      assert(asked !== undefined);
      for (let nth = 0; nth < 1_000; nth++) {
        const target = randomId(random);
        asked.node.answer({ type: "find-node", target }, {
          address,
          contact: contactOf(randomId(random), address),
        });
        await swarm.pass(10);
      }
      await swarm.pass(5_000);
      const { packetsIn } = swarm.simulation.stats("victim");
      assert(packetsIn > 0 && packetsIn <= 150, `${packetsIn} packets for 1000`);
    },
  });
});

Deno.test("T3 nodes of the DHT send little to a network in which a hostile one says that many are", async () => {
  await runDht({ seed: 1, nodes: 30 }, {
    measure: async ({ swarm, random }) => {
      const [asking, ...others] = swarm.running;
      assert(asking !== undefined);
      const victim = { hostname: "203.0.113.9", port: 53 };
      let answers = 0;
      for (const one of others.slice(-10)) {
        one.heard = (question: Question, asker: Asker): Answer | undefined => {
          if (question.type !== "find-node") return one.node.answer(question, asker);
          answers++;
          return { nodes: inventedAt(victim, question.target, random), records: [] };
        };
      }
      for (let nth = 0; nth < 20; nth++) {
        await swarm.until(asking.node.closest(randomId(random)));
      }
      // Nobody is there, so all that is sent there is lost, and nothing else is.
      const { packetsLost } = swarm.simulation.stats(asking.name);
      assert(answers >= 100 && packetsLost > 0, "nobody was named");
      assert(packetsLost <= 8 * answers, `${packetsLost} packets for ${answers} answers`);
    },
  });
});

function victimIn(simulation: Simulation): SimHost {
  return simulation.spawn("victim", (host) => ({ host, receive: () => {} })).host;
}

function inventedAt(address: Address, target: NodeId, random: () => number): Contact[] {
  return Array.from({ length: 20 }, () => contactOf(randomIdUnder(target, 100, random), address));
}
