import { assert, assertEquals } from "@std/assert";
import { Bucket, type Entry, isFailing } from "../../src/dht/bucket.ts";
import { contactOf } from "../../src/dht/contact.ts";
import { bitOf, ID_BYTES } from "../../src/dht/node_id.ts";

const K = 3;

function emptyBucket(): Bucket {
  return new Bucket(new Uint8Array(ID_BYTES), 0, { k: K, perNetwork: 2, lookedUpMs: 5 });
}

/** A node whose id begins with a byte, which is its port too. */
function entryOf(byte: number, { network, failures = 0 }: Partial<Entry> = {}): Entry {
  const id = new Uint8Array(ID_BYTES);
  id[0] = byte;
  const contact = contactOf(id, { hostname: "10.0.0.1", port: byte });
  return { contact, network, rttMs: undefined, seenMs: 0, checkedMs: 0, failures };
}

function portsOf(entries: Iterable<Entry>): number[] {
  return Array.from(entries, ({ contact }) => contact.address.port);
}

Deno.test("Bucket begins with the node that was seen least recently", () => {
  const bucket = emptyBucket();
  assertEquals([bucket.oldest, bucket.isFull], [undefined, false]);
  const entries = [1, 2, 3].map((byte) => entryOf(byte));
  for (const entry of entries) bucket.put(entry);
  assertEquals([portsOf(bucket.entries), bucket.size, bucket.isFull], [[1, 2, 3], 3, true]);
  const [first] = entries;
  assert(first);
  bucket.put(first);
  assertEquals([portsOf(bucket.entries), bucket.size], [[2, 3, 1], 3]);
  assertEquals(bucket.oldest?.contact.address.port, 2);
  bucket.delete(first.contact.key);
  assertEquals([portsOf(bucket.entries), bucket.get(first.contact.key)], [[2, 3], undefined]);
});

Deno.test("Bucket.worst is the one with the most failures of those that failed twice, else nobody", () => {
  const bucket = emptyBucket();
  bucket.put(entryOf(1, { failures: 1 }));
  assertEquals([bucket.worst, isFailing(entryOf(1, { failures: 1 }))], [undefined, false]);
  for (const [byte, failures] of [[2, 2], [3, 4], [4, 4]] as const) {
    bucket.put(entryOf(byte, { failures }));
  }
  assertEquals(bucket.worst?.contact.address.port, 3);
});

Deno.test("Bucket keeps 5 x k replacements, the newest first", () => {
  const bucket = emptyBucket();
  for (let byte = 1; byte <= 20; byte++) bucket.wait(entryOf(byte));
  bucket.wait(entryOf(7)); // again
  const expected = [7, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 6];
  assertEquals([portsOf(bucket.replacements), bucket.waiting], [expected, 5 * K]);
  assertEquals([bucket.forget(entryOf(7).contact.key), bucket.waiting], [true, 14]);
  assertEquals(bucket.forget(entryOf(7).contact.key), false);
  assertEquals(bucket.size, 0);
});

Deno.test("Bucket has a share of its replacements for a network, which drives out only its own", () => {
  const bucket = emptyBucket();
  bucket.wait(entryOf(1));
  for (let byte = 2; byte <= 99; byte++) bucket.wait(entryOf(byte, { network: "192.0.2.0/24" }));
  bucket.wait(entryOf(100, { network: "198.51.100.0/24" }));
  assertEquals(portsOf(bucket.replacements), [100, 99, 98, 1]);
});

Deno.test("Bucket.promote makes a replacement the next to be asked whether it is there", () => {
  const bucket = emptyBucket();
  bucket.put(entryOf(1));
  const entry = entryOf(2);
  bucket.wait(entry);
  assertEquals(bucket.replacement(entry.contact.key), entry);
  bucket.promote(entry);
  assertEquals([portsOf(bucket.entries), bucket.waiting], [[2, 1], 0]);
  assertEquals(bucket.replacement(entry.contact.key), undefined);
});

Deno.test("Bucket.split gives each half its nodes and replacements in their order", () => {
  const bucket = emptyBucket();
  for (const byte of [0x90, 0x10, 0x80]) bucket.put(entryOf(byte));
  for (const byte of [0x7f, 0x81, 0x20]) bucket.wait(entryOf(byte));
  const [zero, one] = bucket.split();
  assertEquals([portsOf(zero.entries), portsOf(zero.replacements)], [[0x10], [0x20, 0x7f]]);
  assertEquals([portsOf(one.entries), portsOf(one.replacements)], [[0x90, 0x80], [0x81]]);
  assertEquals([zero.bits, one.bits, bitOf(zero.prefix, 0), bitOf(one.prefix, 0)], [1, 1, 0, 1]);
  assertEquals([zero.lookedUpMs, one.lookedUpMs], [5, 5]);
});

Deno.test("Bucket.describe names its range and counts what is in it", () => {
  const [, bucket] = emptyBucket().split();
  bucket.put(entryOf(0x80, { failures: 2 }));
  bucket.put(entryOf(0x81));
  bucket.wait(entryOf(0xff));
  assertEquals(bucket.describe(), {
    bits: 1,
    low: "8" + "0".repeat(39),
    high: "f".repeat(40),
    size: 2,
    failing: 1,
    replacements: 1,
    lastLookedUpMs: 5,
  });
});
