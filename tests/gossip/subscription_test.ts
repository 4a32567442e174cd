import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { LimitError } from "../../src/errors.ts";
import { type Overflow, Subscription } from "../../src/gossip/subscription.ts";
import { isSettled } from "../endpoint/fixture.ts";

function filled(count: number, options: { maxWaiting?: number; overflow?: Overflow } = {}) {
  let drops = 0;
  let closes = 0;
  const subscription = new Subscription<number>({
    ...options,
    onDrop: () => drops++,
    onClose: () => closes++,
  });
  for (let n = 1; n <= count; n++) subscription.push(n);
  return { subscription, told: () => ({ drops, closes }) };
}

Deno.test("Subscription gives what is pushed, in order, whoever is first", async () => {
  const subscription = new Subscription<number>();
  const reader = subscription[Symbol.asyncIterator]();
  const waiting = reader.next();
  assertEquals(await isSettled(waiting), false);
  subscription.push(1);
  subscription.push(2);
  assertEquals(subscription.waiting, 1, "the first was handed over");
  assertEquals(await waiting, { done: false, value: 1 });
  subscription.push(3);
  subscription.close();
  assertEquals(await Array.fromAsync(subscription), [2, 3]);
  assertEquals(await Array.fromAsync(subscription), []);
});

Deno.test("Subscription drops the oldest unless told otherwise, and counts them", async () => {
  const { subscription, told } = filled(7, { maxWaiting: 3 });
  assertEquals([subscription.dropped, subscription.waiting, told().drops], [4, 3, 4]);
  subscription.close();
  assertEquals(await Array.fromAsync(subscription), [5, 6, 7]);
});

Deno.test("Subscription drops the newest when told to", async () => {
  const { subscription, told } = filled(7, { maxWaiting: 3, overflow: "drop-newest" });
  assertEquals([subscription.dropped, subscription.waiting, told().drops], [4, 3, 4]);
  subscription.close();
  assertEquals(await Array.fromAsync(subscription), [1, 2, 3]);
});

Deno.test("Subscription ends with slow-consumer when told to, after what waits was given", async () => {
  const { subscription, told } = filled(7, { maxWaiting: 3, overflow: "close" });
  assertEquals([subscription.closed, subscription.dropped], [true, 1]);
  assertEquals(told(), { drops: 1, closes: 1 });
  const seen: number[] = [];
  const reading = async () => {
    for await (const value of subscription) seen.push(value);
  };
  const error = await assertRejects(reading, LimitError, "maxWaiting 3");
  assertEquals([error.code, error.details], ["slow-consumer", { limit: "maxWaiting", max: 3 }]);
  assertEquals(seen, [1, 2, 3]);
  assertEquals(await Array.fromAsync(subscription), [], "the error is told once");
});

Deno.test("Subscription keeps 16384 values unless told otherwise", () => {
  const { subscription } = filled(16_390);
  assertEquals([subscription.waiting, subscription.dropped], [16_384, 6]);
});

Deno.test("Subscription is the queue that an array would be, whatever happens when", async () => {
  for (const overflow of ["drop-oldest", "drop-newest"] as const) {
    for (let seed = 1; seed <= 20; seed++) {
      const random = seededRandom(seed);
      const maxWaiting = 1 + Math.floor(random() * 70);
      const subscription = new Subscription<number>({ maxWaiting, overflow });
      const reader = subscription[Symbol.asyncIterator]();
      const model: number[] = [];
      let lost = 0;
      for (let n = 0; n < 500; n++) {
        if (random() < 0.55 + 0.2 * Math.sin(n / 50)) {
          subscription.push(n);
          if (model.length === maxWaiting) lost++;
          if (model.length === maxWaiting && overflow === "drop-oldest") model.shift();
          if (model.length < maxWaiting) model.push(n);
        } else if (model.length > 0) {
          assertEquals(await reader.next(), { done: false, value: model.shift() ?? -1 });
        }
        assertEquals([subscription.waiting, subscription.dropped], [model.length, lost]);
      }
      subscription.close();
      assertEquals(await Array.fromAsync(subscription), model);
    }
  }
});

Deno.test("Subscription.close ends the loop of who waits, once, and ignores what comes later", async () => {
  const { subscription, told } = filled(0);
  const reader = subscription[Symbol.asyncIterator]();
  const waiting = reader.next();
  subscription.close();
  subscription.close(new Error("too late"));
  subscription.push(1);
  assertEquals(await waiting, { done: true, value: undefined });
  assertEquals(await reader.next(), { done: true, value: undefined });
  assertEquals([subscription.waiting, subscription.dropped, told().closes], [0, 0, 1]);
});

Deno.test("Subscription.close with an error throws it at the end of the loop", async () => {
  const idle = filled(2).subscription;
  idle.close(new Error("gone"));
  const reader = idle[Symbol.asyncIterator]();
  assertEquals([(await reader.next()).value, (await reader.next()).value], [1, 2]);
  await assertRejects(() => reader.next(), Error, "gone");
  assertEquals((await reader.next()).done, true);

  const waited = filled(0).subscription;
  const waiting = waited[Symbol.asyncIterator]().next();
  waited.close(new Error("gone"));
  await assertRejects(() => waiting, Error, "gone");
});

Deno.test("Subscription closes when its loop is left, and drops what waits", async () => {
  for (const leave of ["break", "throw"] as const) {
    const { subscription, told } = filled(5);
    const reading = (async () => {
      for await (const _ of subscription) {
        if (leave === "throw") throw new Error("enough");
        break;
      }
    })();
    if (leave === "throw") await assertRejects(() => reading, Error, "enough");
    else await reading;
    subscription.push(6);
    assertEquals([subscription.closed, subscription.waiting, told().closes], [true, 0, 1]);
    assertEquals(await Array.fromAsync(subscription), []);
  }
});

Deno.test("Subscription closes when its scope is left, also with a reader that waits, and twice", async () => {
  const { subscription, told } = filled(0);
  const waiting = subscription[Symbol.asyncIterator]().next();
  {
    await using scoped = subscription;
    assertEquals(scoped.closed, false);
  }
  assertEquals(await waiting, { done: true, value: undefined });
  await subscription[Symbol.asyncDispose]();
  assertEquals([subscription.closed, told().closes], [true, 1]);

  const failed = filled(3, { maxWaiting: 2, overflow: "close" }).subscription;
  await failed[Symbol.asyncDispose]();
  assertEquals(await Array.fromAsync(failed), [], "who left is told nothing");
});

Deno.test("Subscription ends when its signal aborts, with what waits, also before it is read", async () => {
  const controller = new AbortController();
  let closes = 0;
  const options = { signal: controller.signal, onClose: () => closes++ };
  const [kept, waited] = [new Subscription<number>(options), new Subscription<number>(options)];
  kept.push(1);
  const waiting = waited[Symbol.asyncIterator]().next();
  controller.abort();
  kept.push(2);
  assertEquals([await Array.fromAsync(kept), closes], [[1], 2]);
  assertEquals(await waiting, { done: true, value: undefined });
  const late = new Subscription<number>(options);
  assertEquals([late.closed, closes, await Array.fromAsync(late)], [true, 3, []]);
});

Deno.test("Subscription lets go of its signal when it is closed", () => {
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    listeners++;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    listeners--;
    removeEventListener.apply(signal, args);
  };
  const subscription = new Subscription<number>({ signal });
  assertEquals(listeners, 1);
  subscription.close();
  assertEquals(listeners, 0);
});

Deno.test("Subscription refuses a second reader while one waits", async () => {
  const { subscription } = filled(0);
  const waiting = subscription[Symbol.asyncIterator]().next();
  await assertRejects(() => subscription[Symbol.asyncIterator]().next(), TypeError, "another");
  subscription.push(1);
  assertEquals((await waiting).value, 1);
});

Deno.test("Subscription does not slow down with what waits", () => {
  const subscription = new Subscription<number>({ maxWaiting: 100_000 });
  const startMs = performance.now();
  for (let n = 0; n < 500_000; n++) subscription.push(n);
  const tookMs = performance.now() - startMs;
  assertEquals([subscription.waiting, subscription.dropped], [100_000, 400_000]);
  assert(tookMs < 1_000, `${tookMs} ms`); // moving them all each time takes ten times as long
});

Deno.test("Subscription refuses a bound out of range", () => {
  for (const maxWaiting of [0, -1, 1.5, NaN, Infinity]) {
    assertThrows(() => new Subscription({ maxWaiting }), RangeError, "maxWaiting");
  }
});
