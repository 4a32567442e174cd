import { assert, assertEquals, assertRejects } from "@std/assert";
import { Channel } from "../src/channel.ts";
import { seededRandom } from "../src/clock.ts";

Deno.test("Channel gives what is pushed, in order, whoever is first", async () => {
  const channel = new Channel<number>(100);
  const seen: number[] = [];
  const reading = (async () => {
    for await (const value of channel) seen.push(value);
  })();
  channel.push(1);
  await turn();
  assertEquals(seen, [1]);
  channel.push(2);
  channel.push(3);
  await turn();
  channel.push(4);
  channel.close();
  await reading;
  assertEquals(seen, [1, 2, 3, 4]);
});

Deno.test("Channel tells who fills it to wait, until somebody reads", async () => {
  const channel = new Channel<string>(2);
  assertEquals(channel.push("a"), undefined);
  const waiting = channel.push("b");
  assert(waiting instanceof Promise);
  assertEquals(await isSettled(waiting), false);
  const iterator = channel[Symbol.asyncIterator]();
  assertEquals(await iterator.next(), { done: false, value: "a" });
  await waiting;
  assertEquals(await iterator.next(), { done: false, value: "b" });
  assertEquals(channel.push("c"), undefined);
  await iterator.return?.();
});

Deno.test("Channel that need not be read drops the oldest, until somebody reads", async () => {
  const channel = new Channel<number>(2, { unread: "drop-oldest" });
  for (const value of [1, 2, 3]) assertEquals(channel.push(value), undefined);
  const iterator = channel[Symbol.asyncIterator]();
  assertEquals(await iterator.next(), { done: false, value: 2 });
  assertEquals(channel.push(4), undefined);
  assert(channel.push(5) instanceof Promise);
  for (const value of [3, 4, 5]) assertEquals((await iterator.next()).value, value);
  await iterator.return?.();
});

Deno.test("Channel holds no more than twice its capacity when those who push wait", async () => {
  const channel = new Channel<number>(8);
  const random = seededRandom(3);
  let pushed = 0;
  let read = 0;
  let most = 0;
  const pushing = (async () => {
    while (pushed < 300) {
      const full = channel.push(pushed++);
      most = Math.max(most, pushed - read);
      await full;
      if (random() < 0.2) await turn();
    }
    channel.close();
  })();
  for await (const value of channel) {
    assertEquals(value, read++);
    if (random() < 0.2) await turn();
  }
  await pushing;
  assertEquals(read, 300);
  assert(most <= 2 * 8 + 1, `${most} were held`);
});

Deno.test("Channel.close lets go of who waits at either end, and gives what is queued", async () => {
  const full = new Channel<number>(1);
  const waiting = full.push(1);
  full.close();
  full.close();
  await waiting;
  assertEquals(full.push(2), undefined);
  assertEquals(await collect(full), [1]);
  assertEquals(await collect(full), []);

  const empty = new Channel<number>(1);
  const reading = collect(empty);
  await turn();
  empty.close();
  assertEquals(await reading, []);
});

Deno.test("Channel closes when its reader leaves or throws, and drops what comes later", async () => {
  for (const leave of ["break", "throw"] as const) {
    const channel = new Channel<number>(1);
    const waiting = channel.push(1);
    const reading = (async () => {
      for await (const _ of channel) {
        channel.push(7); // nobody will read it
        if (leave === "throw") throw new Error("enough");
        break;
      }
    })();
    if (leave === "throw") await assertRejects(() => reading, Error, "enough");
    else await reading;
    await waiting;
    assertEquals(channel.push(2), undefined);
    assertEquals(channel.push(3), undefined);
    assertEquals(await collect(channel), []);
  }
});

async function collect<T>(channel: Channel<T>): Promise<T[]> {
  const values: T[] = [];
  for await (const value of channel) values.push(value);
  return values;
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.then(() => settled = true);
  await turn();
  return settled;
}
