import { assert, assertEquals } from "@std/assert";
import { type Contact, contactOf } from "../../src/dht/contact.ts";
import { compareDistance, distanceOf, ID_BITS } from "../../src/dht/node_id.ts";
import { immutableRecord } from "../../src/dht/record.ts";
import { statOf } from "../../src/dht/stat.ts";
import { ITEM_OVERHEAD } from "../../src/dht/storage.ts";
import { randomId } from "./lookup_fixture.ts";
import { Web, type WebNode } from "./node_fixture.ts";

/** Nodes by chance, each on a host of its own. */
function strangers(web: Web, count: number): Contact[] {
  return Array.from({ length: count }, (_, n) => {
    return contactOf(randomId(web.random), { hostname: `10.1.${n >> 8}.${n & 255}`, port: 1 });
  });
}

/** A node in a network of so many, each of which has answered it: the table keeps those that fit. */
function nodeAmong(web: Web, count: number): WebNode {
  const one = web.add();
  for (const contact of strangers(web, count)) one.node.table.add(contact);
  return one;
}

Deno.test("statOf: a node alone knows and keeps nothing, and is not well", async () => {
  await using web = new Web();
  const { node, contact } = web.add();
  const { buckets, ...stat } = statOf(node, "client");
  assertEquals(stat, {
    id: contact.key,
    mode: "client",
    nodes: 0,
    failing: 0,
    estimatedNodes: 0,
    records: 0,
    bytes: 0,
    health: 0,
  });
  assertEquals(buckets, node.table.buckets());
});

Deno.test("statOf knows how many nodes there are where they are fewer than a bucket holds", async () => {
  await using web = new Web();
  for (const count of [1, 7, 19]) {
    const { estimatedNodes, nodes, health } = statOf(nodeAmong(web, count).node, "server");
    assertEquals([estimatedNodes, nodes, health], [count, count, 1]);
  }
});

Deno.test("statOf guesses the size of a network of 200 within a factor of two", async () => {
  await using web = new Web();
  const ratios = Array.from({ length: 40 }, () => {
    return statOf(nodeAmong(web, 200).node, "server").estimatedNodes / 200;
  });
  const off = ratios.filter((ratio) => ratio < 0.5 || ratio > 2);
  assertEquals(off, []);
  const mean = ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
  assert(new Set(ratios).size > 20, "it counts instead of guessing");
  assert(mean > 0.85 && mean < 1.2, `the mean is ${mean}`);
});

Deno.test("statOf guesses right where nodes are spread evenly", async () => {
  await using web = new Web();
  const { node } = web.add();
  for (const size of [99, 9_999]) {
    const step = 2n ** BigInt(ID_BITS) / BigInt(size + 1);
    const even = web.add({ id: node.self, hostname: `10.2.0.${size % 255}` }).node;
    for (let nth = 1n; nth <= 20n; nth++) {
      const far = Uint8Array.fromHex((nth * step).toString(16).padStart(40, "0"));
      const id = far.map((byte, at) => byte ^ (even.self[at] ?? 0));
      assertEquals(distanceOf(id, even.self), nth * step);
      even.table.add(contactOf(id, { hostname: `10.3.0.${nth}`, port: 1 }));
    }
    assertEquals(statOf(even, "server").estimatedNodes, size);
  }
});

Deno.test("statOf: nodes that do not answer count as failing, and the node is less well", async () => {
  await using web = new Web();
  const { node } = nodeAmong(web, 10);
  const [one, two, three] = node.table.contacts();
  assert(one !== undefined && two !== undefined && three !== undefined);
  for (const contact of [one, two, three]) {
    // Nobody waits for their place: they stay, and are known to fail.
    for (let n = 0; n < 3; n++) node.table.failed(contact);
  }
  const { nodes, failing, health } = statOf(node, "server");
  assertEquals([nodes, failing, health], [10, 3, 0.7]);
});

Deno.test("statOf: a full bucket of nodes that answer is enough, however many there are", async () => {
  await using web = new Web();
  const { node } = nodeAmong(web, 200);
  const far = node.table.contacts().toSorted((a, b) => compareDistance(node.self, b.id, a.id));
  for (const contact of far.slice(0, 5)) {
    for (let n = 0; n < 3; n++) node.table.failed(contact);
  }
  const { health, nodes, failing } = statOf(node, "server");
  assert(nodes - failing >= 20);
  assertEquals(health, 1);
});

Deno.test("statOf counts what the node keeps", async () => {
  await using web = new Web();
  const { node } = web.add();
  for (const size of [10, 100]) {
    const record = immutableRecord(new Uint8Array(size));
    node.keeper.put(record, { source: "10.0.0.9", subnet: undefined, ttlS: 60 });
  }
  const { records, bytes } = statOf(node, "server");
  assertEquals([records, bytes], [2, 110 + 2 * ITEM_OVERHEAD]);
});
