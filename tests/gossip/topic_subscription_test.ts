import { assert, assertEquals, assertRejects } from "@std/assert";
import { LimitError } from "../../src/errors.ts";
import { Cursor } from "../../src/gossip/cursor.ts";
import type { SubscribeOptions } from "../../src/gossip/gossip_options.ts";
import { TopicSubscription } from "../../src/gossip/topic_subscription.ts";
import { encode } from "../../src/wire/msgpack.ts";

const AUTHOR = "ab".repeat(20);
const NOW_MS = 1_000_000;

/** A subscription, and what it was told of its end and its losses. */
function subscribe(options: SubscribeOptions = {}) {
  const told = { closed: 0, dropped: 0 };
  const subscription = new TopicSubscription("news", {
    groupNow: () => NOW_MS,
    now: () => 0,
    ready: Promise.resolve(),
    onClose: () => void told.closed++,
    onDrop: () => void told.dropped++,
  }, options);
  const push = (seq: number, createdMs = NOW_MS) => {
    const about = { topic: "news", from: AUTHOR, seq, createdMs, hops: 1 };
    subscription.push({ ...about, bytes: encode(seq) });
  };
  const rest = async () => {
    const given: unknown[] = [];
    for await (const { data } of subscription) given.push(data);
    return given;
  };
  return { subscription, told, push, rest };
}

Deno.test("TopicSubscription drops the oldest, the newest, or ends, as it was told, and counts", async () => {
  const rows = [["drop-oldest", [3, 4]], ["drop-newest", [1, 2]]] as const;
  for (const [overflow, left] of rows) {
    const { subscription, told, push, rest } = subscribe({ maxWaiting: 2, overflow });
    for (const n of [1, 2, 3, 4]) push(n);
    subscription.close();
    assertEquals(await rest(), [...left], overflow);
    assertEquals([subscription.dropped, told.dropped, told.closed], [2, 2, 1]);
  }
  const { told, push, subscription } = subscribe({ maxWaiting: 2, overflow: "close" });
  for (const n of [1, 2, 3, 4]) push(n);
  const given: unknown[] = [];
  const error = await assertRejects(async () => {
    for await (const { data } of subscription) given.push(data);
  }, LimitError);
  assertEquals([error.code, given, told], ["slow-consumer", [1, 2], { closed: 1, dropped: 1 }]);
});

Deno.test("TopicSubscription ends by its signal, by close, and when its loop is left", async () => {
  const ending = new AbortController();
  const bySignal = subscribe({ signal: ending.signal });
  bySignal.push(1);
  ending.abort();
  bySignal.push(2);
  assertEquals(await bySignal.rest(), [1]);
  assertEquals(bySignal.told.closed, 1);
  assertEquals(await subscribe({ signal: AbortSignal.abort() }).rest(), []);

  const byLoop = subscribe();
  for (const n of [1, 2]) byLoop.push(n);
  for await (const { data } of byLoop.subscription) if (data === 1) break;
  byLoop.push(3);
  assertEquals(await byLoop.rest(), []);
  assertEquals(byLoop.told.closed, 1);

  const disposed = subscribe();
  disposed.push(1);
  await disposed.subscription[Symbol.asyncDispose]();
  assertEquals(await disposed.rest(), []);
});

Deno.test("TopicSubscription gives what its cursor has not, and what was lost on the way is given the next time", async () => {
  const { subscription, push } = subscribe({
    since: "all",
    maxWaiting: 2,
    overflow: "drop-newest",
  });
  for (const n of [1, 2, 3]) push(n); // 3 has no room
  const loop = subscription[Symbol.asyncIterator]();
  assertEquals((await loop.next()).value?.data, 1);
  const kept = subscription.cursor.toString();
  const next = subscribe({ since: Cursor.parse(kept) });
  for (const n of [1, 2, 3]) next.push(n);
  next.subscription.close();
  assertEquals(await next.rest(), [2, 3]);
  await loop.return?.();
});

Deno.test("TopicSubscription leaves the cursor that it was given as it is, and wants nothing old without one", async () => {
  const given = new Cursor(5);
  const { subscription, push, rest } = subscribe({ since: given });
  push(1);
  subscription.close();
  await rest();
  assert(!given.has({ from: AUTHOR, seq: 1, createdMs: NOW_MS }));
  const fresh = subscribe();
  fresh.push(1, NOW_MS - 2_001);
  fresh.push(2, NOW_MS - 2_000);
  fresh.subscription.close();
  assertEquals(await fresh.rest(), [2]);
});
