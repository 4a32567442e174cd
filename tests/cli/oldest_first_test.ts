import { assertEquals } from "@std/assert";
import { oldestFirst } from "../../src/cli/oldest_first.ts";
import type { GossipMessage } from "../../src/gossip/gossip_options.ts";
import { Subscription } from "../../src/gossip/subscription.ts";

function message(seq: number, createdMs: number): GossipMessage {
  return { topic: "news", from: "0a".repeat(20), seq, createdMs, hops: 1, data: seq };
}

Deno.test("oldestFirst sorts what comes first by time and number, and gives the rest as it comes", async () => {
  const queue = new Subscription<GossipMessage>();
  for (const [seq, createdMs] of [[4, 30], [2, 20], [1, 20], [3, 25]] as const) {
    queue.push(message(seq, createdMs));
  }
  const seen: number[] = [];
  for await (const { seq } of oldestFirst(queue)) {
    seen.push(seq);
    if (seen.length === 4) { for (const seq of [9, 8]) queue.push(message(seq, seq)); }
    if (seen.length === 6) queue.close();
  }
  assertEquals(seen, [1, 2, 3, 4, 9, 8]);
});

Deno.test("oldestFirst ends when what it reads has ended, empty or not", async () => {
  for (const count of [0, 2]) {
    const queue = new Subscription<GossipMessage>();
    for (let seq = 0; seq < count; seq++) queue.push(message(seq, 0));
    queue.close();
    assertEquals((await Array.fromAsync(oldestFirst(queue))).length, count);
  }
});

Deno.test("oldestFirst waits for nothing when its reader leaves among what waited", async () => {
  await using queue = new Subscription<GossipMessage>();
  for (let seq = 0; seq < 3; seq++) queue.push(message(seq, seq));
  for await (const { seq } of oldestFirst(queue)) {
    assertEquals(seq, 0);
    break;
  }
});
