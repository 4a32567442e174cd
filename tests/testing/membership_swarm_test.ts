import { assert, assertEquals, assertThrows } from "@std/assert";
import { Simulation } from "../../src/testing/mod.ts";
import { simSigner, SwimNode } from "../../src/testing/swim_node.ts";
import { SwimSwarm } from "../../src/testing/swim_swarm.ts";

Deno.test("SwimSwarm is whole at once when its members are acquainted, without a packet", () => {
  using simulation = new Simulation({ seed: 1 });
  const swarm = new SwimSwarm(simulation, { nodes: 40 });
  assert(swarm.isWhole);
  const { packetsOut, asks } = simulation.totals;
  assertEquals([packetsOut, asks, simulation.nowMs], [0, 0, 0]);
});

Deno.test("SwimSwarm becomes whole when its members join each other, over the network", () => {
  using simulation = new Simulation({ seed: 1 });
  const swarm = new SwimSwarm(simulation, { nodes: 12, acquainted: false });
  assertEquals(swarm.isWhole, false);
  assert(swarm.untilWhole(30_000) > 0);
  assert(simulation.totals.packetsOut > 12 * 11);
});

Deno.test("SwimSwarm names who is missing, and who is a ghost", () => {
  using simulation = new Simulation({ seed: 1 });
  const swarm = new SwimSwarm(simulation, { nodes: 3 });
  simulation.kill("n2");
  assertEquals(swarm.isWhole, false);
  assertEquals(swarm.isOne, false);
  assertThrows(() => swarm.untilOne(500), Error, "n2 is a ghost at n0");
  simulation.partition([["n0"]]);
  simulation.run(60_000);
  assertThrows(() => swarm.untilWhole(500), Error, "n1 is missing at n0");
  assert(
    swarm.events.some(({ type, by, about }) => type === "dead" && by === "n0" && about === "n1"),
  );
});

Deno.test("SwimSwarm is not whole while somebody does not know the last that another one said", () => {
  using simulation = new Simulation({ seed: 1 });
  const swarm = new SwimSwarm(simulation, { nodes: 5 });
  const { swim, address: { hostname, port } } = swarm.node("n3");
  swim.describe({
    name: "n3",
    hosts: [hostname],
    tcpPort: port,
    udpPort: port,
    tags: { room: "2" },
  });
  assertEquals([swarm.isWhole, swarm.isOne], [false, true]);
  assertThrows(() => swarm.untilWhole(1), Error, "n3 is out of date at n0");
  assert(swarm.untilWhole(10_000) > 0);
});

Deno.test("SwimSwarm takes a member that has lost its key for somebody else", () => {
  using simulation = new Simulation({ seed: 1 });
  const swarm = new SwimSwarm(simulation, { nodes: 5, newIdentities: true });
  const before = swarm.node("n1").peerId;
  simulation.restart("n1");
  assert(swarm.node("n1").peerId !== before);
  assertEquals(swarm.isWhole, false); // all others still know the one before
  assert(swarm.untilWhole(120_000) > 0);
  assertThrows(() => swarm.node("n9"), RangeError, "There is no member n9");
});

Deno.test("SwimNode counts packets that it cannot read, and refuses such questions", () => {
  using simulation = new Simulation({ seed: 1 });
  const node = simulation.spawn("a", (host) => new SwimNode(host));
  node.receive(Uint8Array.of(1, 2, 3), { hostname: "10.0.0.9", port: 3486 });
  assertEquals(node.metrics.snapshot(), { "membership.malformed": 1 });
  assertEquals(node.answer(Uint8Array.of(0xc1)), undefined);
  assertEquals(node.answer(Uint8Array.of(0x80)), undefined);
});

Deno.test("simSigner signs for one key, of which the id is made", () => {
  const [alice, bob] = [simSigner("alice"), simSigner("bob")];
  const bytes = Uint8Array.of(1, 2, 3);
  const signature = alice.sign(bytes);
  assertEquals(alice.peerId, bob.idOf(alice.publicKey));
  assert(bob.verify(alice.publicKey, bytes, signature));
  assertEquals(bob.verify(bob.publicKey, bytes, signature), false);
  assertEquals(bob.verify(alice.publicKey, Uint8Array.of(1, 2, 4), signature), false);
});
