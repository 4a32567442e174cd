import { assertEquals, assertRejects } from "@std/assert";
import { DatagramQueue } from "../../src/transport/datagram_queue.ts";

const FROM = { hostname: "a", port: 1 };

Deno.test("DatagramQueue gives packets in order, waiting for those to come", async () => {
  const queue = new DatagramQueue();
  queue.push(packet(1));
  queue.push(packet(2));
  assertEquals(await take(queue), 1);
  assertEquals(await take(queue), 2);
  const taking = take(queue);
  queue.push(packet(3));
  assertEquals(await taking, 3);
  assertEquals(queue.dropped, 0);
});

Deno.test("DatagramQueue drops the oldest over its count, and counts them", async () => {
  const queue = new DatagramQueue({ maxPackets: 2 });
  for (const mark of [1, 2, 3, 4]) queue.push(packet(mark));
  assertEquals(queue.dropped, 2);
  assertEquals([await take(queue), await take(queue)], [3, 4]);
});

Deno.test("DatagramQueue drops the oldest over its bytes, but never the only one", async () => {
  const queue = new DatagramQueue({ maxBytes: 10 });
  queue.push(packet(1, 6));
  queue.push(packet(2, 6));
  assertEquals([queue.dropped, await take(queue)], [1, 2]);
  queue.push(packet(3, 100));
  assertEquals([queue.dropped, await take(queue)], [1, 3]);
  queue.push(packet(4, 6));
  assertEquals([queue.dropped, await take(queue)], [1, 4]);
});

Deno.test("DatagramQueue ends for who waits and who comes later when it is closed", async () => {
  const queue = new DatagramQueue();
  const waiting = queue.take();
  await assertRejects(() => queue.take(), TypeError, "another receive");
  queue.close();
  queue.push(packet(1));
  assertEquals([await waiting, await queue.take()], [undefined, undefined]);
});

function packet(mark: number, length = 1) {
  return { data: new Uint8Array(length).fill(mark), from: FROM };
}

async function take(queue: DatagramQueue): Promise<number | undefined> {
  return (await queue.take())?.data[0];
}
