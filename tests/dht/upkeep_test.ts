import { assert, assertEquals } from "@std/assert";
import { place } from "../../src/dht/placing.ts";
import { immutableRecord, type SignedRecord } from "../../src/dht/record.ts";
import { MemoryStorage } from "../../src/dht/storage.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { Web } from "./node_fixture.ts";
import { NOW_S, signed } from "./record_fixture.ts";

const VALUE = immutableRecord(encode("hello"));
const HOUR_MS = 3_600_000;
const TUNING = { tuning: { replicas: 3, confirms: 3, k: 20 } };

async function passHours(web: Web, hours: number): Promise<void> {
  for (let n = 0; n < hours * 60; n++) await web.clock.advance(HOUR_MS / 60);
}

Deno.test("a value outlives those who kept it: the others put it again within two republish periods", async () => {
  await using web = new Web();
  await web.grow(12, TUNING);
  for (const { node } of web.nodes) node.start();
  await place(web.at(4).node, VALUE, { ttlS: 86_400 });
  const [first, second] = web.holders(VALUE.key);
  assert(first !== undefined && second !== undefined);
  for (const { node, contact } of [first, second]) {
    web.dead.add(contact.key);
    await node.close();
  }
  await passHours(web, 3);
  const alive = web.holders(VALUE.key).filter(({ contact }) => !web.dead.has(contact.key));
  assert(alive.length >= 3, `${alive.length} keep it`);
});

Deno.test("a value that nobody puts again is forgotten by all at its end, and not kept alive by them", async () => {
  await using web = new Web();
  await web.grow(8, TUNING);
  for (const { node } of web.nodes) node.start();
  await place(web.at(4).node, VALUE, { ttlS: 3 * 3_600 });
  await passHours(web, 2);
  assert(web.holders(VALUE.key).length >= 3);
  await passHours(web, 2);
  assertEquals(web.holders(VALUE.key).length, 0);
});

Deno.test("what is our own is put again as a newer version, for as long as we are there", async () => {
  await using web = new Web();
  await web.grow(5, TUNING);
  const first = signed({ scope: "shared", expiresS: NOW_S + 7_200 });
  const renew = () => {
    const seq = Math.floor(web.clock.now());
    return signed({ scope: "shared", seq, expiresS: Math.floor(NOW_S + seq / 1_000) + 7_200 });
  };
  const [, , author] = await web.grow(3, { ...TUNING, renew });
  for (const { node } of web.nodes) node.start();
  author.node.keeper.put(first, { source: "", subnet: undefined, ttlS: 7_200, own: true });
  await passHours(web, 6);
  const holders = web.holders(first.key);
  assert(holders.length >= 3);
  for (const { node } of holders) {
    const [record] = node.keeper.get(first.key) as SignedRecord[];
    assert(record !== undefined && record.expiresS > NOW_S + 5 * 3_600);
  }
  web.dead.add(author.contact.key);
  await author.node.close();
  await passHours(web, 4);
  assertEquals(web.holders(first.key).filter((one) => one !== author).length, 0);
});

Deno.test("nodes that keep the same do not all put it again", async () => {
  await using web = new Web();
  await web.grow(12, TUNING);
  for (const { node } of web.nodes) node.start();
  await place(web.at(4).node, VALUE, { ttlS: 86_400 });
  for (const { heard } of web.nodes) heard.length = 0;
  await passHours(web, 10);
  const stores = web.nodes.flatMap(({ heard }) => heard.filter((type) => type === "store")).length;
  // Three replicas, once an hour each: three times as many if nobody took note of the others.
  assert(stores >= 20 && stores < 60, `${stores} in ten hours`);
});

Deno.test("a newcomer is given at once what it is to keep", async () => {
  await using web = new Web();
  await web.grow(6, TUNING);
  await place(web.at(4).node, VALUE, { ttlS: 86_400 });
  const near = VALUE.key.slice();
  near[19] = (near[19] ?? 0) ^ 1;
  const newcomer = web.add({ ...TUNING, id: near });
  await newcomer.node.join([web.at(0).contact.address]);
  await web.clock.advance(1_000);
  assertEquals(newcomer.node.keeper.get(VALUE.key), [VALUE]);
});

Deno.test("a newcomer gets what it is to keep wherever its id is among thousands of keys", async () => {
  await using web = new Web();
  await web.grow(40, TUNING);
  const last = Array.from({ length: 2_000 }, (_, n) => immutableRecord(encode(["last", n])));
  const [near] = last.filter(({ key }) => key[0] === 0xff);
  assert(near !== undefined);
  const [keeper] = web.nearest(near.key, 1);
  assert(keeper !== undefined);
  await keeper.node.join([]);
  for (let n = 0; n < 5_000; n++) {
    const record = n === 2_500 ? near : immutableRecord(encode(n));
    keeper.node.keeper.put(record, { source: "x", subnet: undefined, ttlS: 86_400 });
  }
  const id = near.key.slice();
  id[19] = (id[19] ?? 0) ^ 1;
  const newcomer = web.add({ ...TUNING, id });
  await newcomer.node.join([keeper.contact.address]);
  await web.clock.advance(1_000);
  assertEquals(newcomer.node.keeper.get(near.key), [near]);
});

Deno.test("parts of the table that nobody looks into are refreshed within an hour or so", async () => {
  await using web = new Web();
  await web.grow(8, TUNING);
  const [node] = web.nodes;
  assert(node !== undefined);
  for (const { heard } of web.nodes) heard.length = 0;
  node.node.start();
  await passHours(web, 1.2);
  const asked = web.nodes.filter(({ heard }) => heard.includes("find-node")).length;
  assertEquals(asked, 7);
});

Deno.test("a node that starts again asks those it knew, and is there once the first have answered", async () => {
  await using web = new Web();
  const storage = new MemoryStorage();
  await web.grow(6);
  const before = web.add({ storage });
  await before.node.join([web.at(0).contact.address]);
  await before.node.close();
  web.dead.add(web.at(1).contact.key);
  const after = web.add({ storage, id: before.contact.id, hostname: "10.0.1.1" });
  const joining = after.node.recall();
  await web.clock.advance(2_000);
  assertEquals(await joining, 5);
});

Deno.test("a node remembers nobody's address that it was only told", async () => {
  const storage = new MemoryStorage();
  {
    await using web = new Web();
    await web.grow(4);
    const node = web.add({ storage });
    web.dead.add(web.at(2).contact.key);
    await node.node.join([web.at(0).contact.address]);
    await node.node.close();
  }
  assertEquals(storage.loadContacts().length, 3);
});
