import { assertEquals } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { EventQueue } from "../../src/testing/event_queue.ts";

function drain<E>(queue: EventQueue<E>): E[] {
  const events: E[] = [];
  for (let event = queue.pop(); event !== undefined; event = queue.pop()) events.push(event);
  return events;
}

/** Few different times, so that many events are due at once. */
function randomEvents(count: number): { atMs: number; order: number }[] {
  const random = seededRandom(11);
  return Array.from({ length: count }, (_, order) => ({ atMs: Math.floor(random() * 50), order }));
}

Deno.test("EventQueue gives events by time, and those of one time in the order they came", () => {
  const queue = new EventQueue<{ atMs: number; order: number }>();
  const events = randomEvents(5000); // more than it begins with room for
  for (const event of events) queue.push(event.atMs, event);
  assertEquals(queue.size, 5000);
  assertEquals(drain(queue), events.toSorted((a, b) => a.atMs - b.atMs || a.order - b.order));
});

Deno.test("EventQueue keeps its order while events come and go", () => {
  const queue = new EventQueue<number>();
  const random = seededRandom(12);
  let [now, last] = [0, 0];
  for (let turn = 0; turn < 5000; turn++) {
    const atMs = now + Math.floor(random() * 20);
    queue.push(atMs, atMs);
    if (random() < 0.6) now = queue.pop() ?? now;
    assertEquals(now >= last, true);
    last = now;
  }
});

Deno.test("EventQueue.keepOnly throws the others away and keeps the order", () => {
  const queue = new EventQueue<{ atMs: number; order: number }>();
  const events = randomEvents(2000);
  for (const event of events) queue.push(event.atMs, event);
  queue.keepOnly(({ order }) => order % 3 === 0);
  const kept = events.filter(({ order }) => order % 3 === 0);
  assertEquals(drain(queue), kept.toSorted((a, b) => a.atMs - b.atMs || a.order - b.order));
});

Deno.test("EventQueue.nextMs is when the first event is due, or never", () => {
  const queue = new EventQueue<string>();
  assertEquals([queue.nextMs, queue.pop()], [Infinity, undefined]);
  queue.push(7, "later");
  queue.push(3, "first");
  assertEquals([queue.nextMs, queue.pop(), queue.nextMs], [3, "first", 7]);
});
