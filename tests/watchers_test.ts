import { assertEquals } from "@std/assert";
import { Watchers } from "../src/watchers.ts";
import { isSettled } from "./endpoint/fixture.ts";

Deno.test("Watchers give everybody every event, in order, at a pace of its own", async () => {
  const watchers = new Watchers<number>();
  const [quick, slow] = [watchers.watch(), watchers.watch()];
  watchers.push(1);
  assertEquals((await quick.next()).value, 1);
  const waiting = quick.next();
  assertEquals(await isSettled(waiting), false);
  watchers.push(2);
  assertEquals((await waiting).value, 2);
  watchers.push(3);
  watchers.close();
  assertEquals([await Array.fromAsync(quick), await Array.fromAsync(slow)], [[3], [1, 2, 3]]);
});

Deno.test("Watchers.watch gives what happens from its call on, not from the first read", async () => {
  const watchers = new Watchers<number>();
  watchers.push(1);
  const late = watchers.watch();
  watchers.push(2);
  watchers.close();
  assertEquals(await Array.fromAsync(late), [2]);
});

Deno.test("Watchers drop the oldest of who does not read, count them, and nobody else's", async () => {
  let dropped = 0;
  const watchers = new Watchers<number>({ maxWaiting: 3, onDrop: () => dropped++ });
  const [slow, quick] = [watchers.watch(), watchers.watch()];
  const seen: number[] = [];
  for (let n = 1; n <= 5; n++) {
    watchers.push(n);
    seen.push((await quick.next()).value ?? 0);
  }
  watchers.close();
  assertEquals(await Array.fromAsync(slow), [3, 4, 5]);
  assertEquals([seen, dropped], [[1, 2, 3, 4, 5], 2]);
});

Deno.test("Watchers keep 1024 events unless told otherwise", async () => {
  let dropped = 0;
  const watchers = new Watchers<number>({ onDrop: () => dropped++ });
  const watcher = watchers.watch();
  for (let n = 0; n < 1_030; n++) watchers.push(n);
  watchers.close();
  const all = await Array.fromAsync(watcher);
  assertEquals([all.length, all[0], all.at(-1), dropped], [1_024, 6, 1_029, 6]);
});

Deno.test("Watchers.watch ends when aborted, with what waits, also before it is read", async () => {
  const watchers = new Watchers<number>();
  const controller = new AbortController();
  const { signal } = controller;
  const [idle, waiting] = [watchers.watch({ signal }), watchers.watch({ signal })];
  const next = waiting.next();
  controller.abort();
  watchers.push(1); // too late
  assertEquals([await Array.fromAsync(idle), await next], [[], { done: true, value: undefined }]);
  assertEquals(await Array.fromAsync(watchers.watch({ signal })), []);
  const before = new AbortController();
  const kept = watchers.watch({ signal: before.signal });
  watchers.push(2);
  before.abort();
  assertEquals(await Array.fromAsync(kept), [2]);
});

Deno.test("Watchers forget who leaves its loop, and who watches after the end sees nothing", async () => {
  let dropped = 0;
  const watchers = new Watchers<number>({ maxWaiting: 1, onDrop: () => dropped++ });
  const leaving = watchers.watch();
  watchers.push(1);
  for await (const _ of leaving) break;
  for (let n = 0; n < 3; n++) watchers.push(n);
  assertEquals(dropped, 0);
  watchers.close();
  watchers.close(); // harmless
  watchers.push(4);
  assertEquals(await Array.fromAsync(watchers.watch()), []);
});
