import { assertEquals, assertThrows } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { ChunkCache } from "../../src/palmtree/chunk_cache.ts";
import { UplinkMeter } from "../../src/palmtree/uplink.ts";
import { UploadLimit } from "../../src/palmtree/upload_limit.ts";

Deno.test("UploadLimit lets bytes leave at its pace, in their order", async () => {
  const clock = new ManualClock();
  const limit = new UploadLimit(clock, 1_000_000);
  const left: [number, number][] = [];
  for (let nth = 0; nth < 5; nth++) limit.take(100_000, () => left.push([nth, clock.now()]));
  await clock.advance(1_000);
  assertEquals(left, [[0, 0], [1, 100], [2, 200], [3, 300], [4, 400]]);
  // What was not used is not saved up, but for a moment.
  for (let nth = 5; nth < 8; nth++) limit.take(100_000, () => left.push([nth, clock.now()]));
  await clock.advance(1_000);
  assertEquals(left.slice(5), [[5, 1_000], [6, 1_000], [7, 1_100]]);
});

Deno.test("UploadLimit of nothing lets everything leave at once, and a closed one nothing", async () => {
  const clock = new ManualClock();
  let count = 0;
  const limit = new UploadLimit(clock);
  for (let nth = 0; nth < 3; nth++) limit.take(1e9, () => count++);
  assertEquals(count, 3);
  const slow = new UploadLimit(clock, 1);
  for (let nth = 0; nth < 3; nth++) slow.take(10, () => count++);
  slow.close();
  await clock.advance(100_000);
  assertEquals(count, 4);
  assertThrows(() => new UploadLimit(clock, 0), RangeError, "Upload limit");
});

Deno.test("UplinkMeter measures while something is on the way", async () => {
  const clock = new ManualClock();
  const meter = new UplinkMeter(clock);
  assertEquals(meter.bytesPerSecond, undefined);
  meter.begin();
  await clock.advance(100);
  meter.begin();
  meter.end(100_000);
  assertEquals(meter.bytesPerSecond, undefined, "too short to say");
  await clock.advance(100);
  meter.end(100_000);
  assertEquals(meter.bytesPerSecond, 1_000_000);
  await clock.advance(10_000); // with nothing to send
  meter.begin();
  await clock.advance(200);
  meter.end(600_000);
  assertEquals(meter.bytesPerSecond, 2_000_000, "halfway to what is new");
  meter.begin();
  await clock.advance(1_000);
  meter.end(0);
  assertEquals(meter.bytesPerSecond, 2_000_000, "what was given up says nothing");
});

Deno.test("ChunkCache keeps the chunks that came last, in copies", () => {
  const cache = new ChunkCache(4 * 1024 * 1024); // room for two of them
  const data = new Uint8Array([1, 2, 3]);
  cache.put(7, data);
  data.fill(9);
  assertEquals(cache.get(7), new Uint8Array([1, 2, 3]));
  assertEquals(cache.fill(8, 2, (into) => into.fill(8)), new Uint8Array([8, 8]));
  assertEquals(cache.get(7)?.length, 3);
  cache.put(9, data);
  assertEquals([cache.get(7), cache.get(8)?.length, cache.get(9)?.length], [undefined, 2, 3]);
});

Deno.test("ChunkCache keeps nothing of a chunk that could not be read", () => {
  const cache = new ChunkCache(16);
  cache.put(1, new Uint8Array(1));
  const fail = () => {
    throw new RangeError("broken");
  };
  assertThrows(() => cache.fill(2, 16, fail), RangeError, "broken");
  assertEquals(cache.get(2), undefined);
  assertEquals(cache.get(1)?.length, 1);
});
