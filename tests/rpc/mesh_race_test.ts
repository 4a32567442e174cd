import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { addressOf, countOf, MeshWorld, type Node, type NodeOptions } from "./mesh_fixture.ts";

/** Opens servers at random times within 50 ms: about as long as a handshake takes. */
async function openAtRandom(
  world: MeshWorld,
  names: readonly string[],
  seed: number,
  optionsOf: (name: string) => NodeOptions,
): Promise<Node[]> {
  const random = seededRandom(seed);
  const opening = names.map(async (name) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    world.clock.after(random() * 50, resolve);
    await promise;
    return await world.join(name, optionsOf(name));
  });
  return await world.run(Promise.all(opening));
}

/** Lets servers race for each other, who greet whoever joins at once, and looks at what has become of it. */
async function race(seed: number, names: readonly string[], options: NodeOptions): Promise<number> {
  await using world = new MeshWorld(seed);
  const nodes = await openAtRandom(world, names, seed, () => ({
    // As early as possible, on whatever link there is at that moment.
    onEvent: ({ type, peer }, mesh) => type === "joined" && mesh.send(peer.peerId, "hi"),
    findEveryMs: 500,
    ...options,
  }));
  await world.clock.advance(3_000);
  let duplicates = 0;
  for (const { name, endpoint, mesh, seen } of nodes) {
    const hint = `${name}, seed ${seed}`;
    const others = names.filter((other) => other !== name);
    assertEquals(mesh.peers().map((peer) => peer.name).sort(), others, hint);
    assertEquals(endpoint.links.size, others.length, hint);
    const expected = others.flatMap((other) => [`joined ${other}`, `${other}: "hi"`]);
    assertEquals(seen.toSorted(), expected.sort(), hint);
    assertEquals([countOf(endpoint, "mesh.refused"), countOf(endpoint, "link.stale")], [0, 0]);
    duplicates += countOf(endpoint, "link.duplicates");
  }
  return duplicates;
}

Deno.test("ServerPeer joins two servers that dial each other at once: one link, no flapping, no greeting lost", async () => {
  let races = 0;
  for (let seed = 1; seed <= 200; seed++) races += await race(seed, ["a", "b"], {}) > 0 ? 1 : 0;
  assert(races > 100, `only ${races} of 200 were races`);
});

Deno.test("ServerPeer joins five servers that find each other at once, with one link for each pair", async () => {
  const addresses = ["a", "b", "c", "d", "e"].map(addressOf); // which has everybody's own in it
  for (let seed = 1; seed <= 40; seed++) { // ten pairs each time
    await race(seed, ["a", "b", "c", "d", "e"], seed % 2 === 0 ? { addresses } : {});
  }
});

Deno.test("ServerPeer dials nobody who has joined, whoever opened the link", async () => {
  await using world = new MeshWorld();
  const addresses = ["a", "b", "c"].map(addressOf);
  const nodes = await openAtRandom(world, ["a", "b", "c"], 1, () => ({ addresses }));
  await world.clock.advance(15_000);
  const established = () => nodes.map((node) => countOf(node.endpoint, "accept.established"));
  const before = established();
  await world.clock.advance(40_000);
  assertEquals(established(), before);
});
