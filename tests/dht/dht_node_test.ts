import { assert, assertEquals, assertRejects } from "@std/assert";
import { contactOf } from "../../src/dht/contact.ts";
import { place } from "../../src/dht/placing.ts";
import { read } from "../../src/dht/reading.ts";
import { immutableRecord } from "../../src/dht/record.ts";
import { LimitError, NotFoundError, RemoteError } from "../../src/errors.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { Web, type WebNode } from "./node_fixture.ts";
import { ann, bob, signed } from "./record_fixture.ts";

const VALUE = immutableRecord(encode("hello"));
const TTL = { ttlS: 3_600 };

function shared(seq: number, value: unknown, author = ann) {
  return signed({ scope: "shared", name: "tea", seq, value: encode(value) }, author);
}

Deno.test("DhtNode.join gets to know everybody there is, and them to know it", async () => {
  await using web = new Web();
  await web.grow(15);
  for (const { node } of web.nodes) {
    assertEquals(node.table.size, 14);
    assert(node.knowsAll || node === web.nodes[0]?.node);
  }
});

Deno.test("place puts a record at the nearest 20: 8 say so, 12 are given it", async () => {
  await using web = new Web();
  await web.grow(60);
  const placed = await place(web.at(7).node, VALUE, TTL);
  await web.clock.advance(10);
  assertEquals([placed.holders.length, placed.unconfirmed], [8, 12]);
  assertEquals([placed.refusals, placed.silent], [[], 0]);
  const asker = web.at(7);
  const nearest = web.nearest(VALUE.key, 21).filter((one) => one !== asker).slice(0, 20);
  const lacking = nearest.filter(({ node }) => node.keeper.get(VALUE.key).length === 0);
  assertEquals(lacking.length, 0);
});

Deno.test("place has the next in line keep what somebody refuses, and says who did not answer", async () => {
  await using web = new Web();
  const refuse = (): undefined => {
    throw new LimitError("limit", "No room");
  };
  const [asker] = await web.grow(6);
  await web.grow(3, { answer: (question) => question.type === "store" ? refuse() : undefined });
  web.dead.add(web.at(8).contact.key);
  const placed = await place(asker.node, VALUE, TTL);
  assertEquals([placed.holders.length, placed.refusals.length, placed.silent], [5, 2, 1]);
  assertEquals(placed.refusals[0]?.code, "limit");
});

Deno.test("place fails with what the nearest says when all refuse, and when nobody is there", async () => {
  await using web = new Web();
  const alone = web.add();
  const nobody = await assertRejects(() => place(alone.node, VALUE, TTL), NotFoundError);
  assertEquals(nobody.code, "no-peer");
  await web.grow(3, {
    answer: ({ type }) => {
      if (type === "store") throw new LimitError("limit", "No room");
      return undefined;
    },
  });
  const error = await assertRejects(() => place(alone.node, VALUE, TTL), RemoteError, "No room");
  assertEquals(error.code, "limit");
});

Deno.test("place asks all of them where only a certain version may be replaced", async () => {
  await using web = new Web();
  const [asker] = await web.grow(15);
  await place(asker.node, shared(5, "five"), TTL);
  const placed = await place(asker.node, shared(6, "six"), { ...TTL, cas: 5 });
  assertEquals([placed.holders.length, placed.unconfirmed], [14, 0]);
  const error = await assertRejects(
    () => place(asker.node, shared(9, "nine"), { ...TTL, cas: 5 }),
    RemoteError,
  );
  assertEquals([error.code, error.details.seq], ["not-allowed", 6]);
});

Deno.test("read ends at the first answer with a value that cannot be another, and leaves it on the way", async () => {
  await using web = new Web();
  await web.grow(60);
  await place(web.at(7).node, VALUE, TTL);
  await web.clock.advance(10);
  const [reader] = web.nodes.filter(({ node }) => node.keeper.get(VALUE.key).length === 0);
  assert(reader !== undefined);
  const before = web.holders(VALUE.key).length;
  const { records, from, hops, asked } = await read(reader.node, VALUE.key);
  await web.clock.advance(10);
  assertEquals(records, [VALUE]);
  assert(from !== undefined && hops >= 1 && asked <= 10);
  assert(web.holders(VALUE.key).length - before <= 1);
});

Deno.test("read has the newest of three answers, and brings those up to date that had an older one", async () => {
  await using web = new Web();
  const [reader] = await web.grow(12);
  const near = web.nearest(shared(1, 1).key, 4).filter((one) => one !== reader).slice(0, 3);
  for (const [n, { node }] of near.entries()) {
    const seq = n === 1 ? 2 : 1;
    node.keeper.put(shared(seq, seq), { source: "x", subnet: undefined, ttlS: 60 });
  }
  const { records } = await read(reader.node, shared(1, 1).key);
  assertEquals(records, [shared(2, 2)]);
  await web.clock.advance(10);
  for (const { node } of near) {
    assertEquals(node.keeper.get(shared(1, 1).key), [shared(2, 2)]);
  }
});

Deno.test("read has what several put under one name", async () => {
  await using web = new Web();
  const [a, b, c] = await web.grow(12);
  await place(a.node, shared(1, "black"), TTL);
  await place(b.node, shared(1, "green", bob), TTL);
  const { records } = await read(c.node, shared(1, "black").key);
  assertEquals(records.map(({ slot }) => slot).toSorted(), [ann.peerId, bob.peerId].toSorted());
});

Deno.test("who asks from where nobody answers gets into no table", async () => {
  await using web = new Web();
  const [victim] = await web.grow(3);
  const id = new Uint8Array(20).fill(9);
  const ghost = contactOf(id, { hostname: "10.9.9.9", port: 1 });
  victim.node.answer({ type: "ping" }, { address: ghost.address, contact: ghost });
  await web.clock.advance(10_000);
  assertEquals(victim.node.table.get(ghost.key), undefined);
});

Deno.test("who claims the id of a node from elsewhere does not take its place", async () => {
  await using web = new Web();
  const [victim, honest] = await web.grow(4);
  const elsewhere = contactOf(honest.contact.id, { hostname: "10.9.9.9", port: 1 });
  victim.node.answer({ type: "ping" }, { address: elsewhere.address, contact: elsewhere });
  await web.clock.advance(10_000);
  assertEquals(victim.node.table.get(honest.contact.key)?.address, honest.contact.address);
});

Deno.test("a node that comes back at another address is known there once it has answered", async () => {
  await using web = new Web();
  const [other, moving] = await web.grow(4);
  web.dead.add(moving.contact.key);
  await moving.node.close();
  web.dead.clear();
  const moved = web.add({ id: moving.contact.id, hostname: "10.0.1.1" });
  await moved.node.join([other.contact.address]);
  await web.clock.advance(1_000);
  assertEquals(other.node.table.get(moved.contact.key)?.address.hostname, "10.0.1.1");
});

function counted(nodes: readonly WebNode[], type: string): number {
  return nodes.reduce((sum, { heard }) => sum + heard.filter((one) => one === type).length, 0);
}

Deno.test("DhtNode.close ends what is under way, and asks nobody any more", async () => {
  await using web = new Web();
  const nodes = await web.grow(8);
  const [node] = nodes;
  const looking = node.node.closest(VALUE.key);
  await node.node.close();
  await assertRejects(() => looking, DOMException, "closed");
  const before = counted(nodes, "find-node");
  await assertRejects(() => node.node.closest(VALUE.key), DOMException, "closed");
  await web.clock.advance(60_000);
  assertEquals(counted(nodes, "find-node"), before);
});
