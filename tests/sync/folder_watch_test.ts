import { assert, assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { watchFolder } from "../../src/sync/folder_watch.ts";
import { Scratch, write } from "./folder_fixture.ts";

Deno.test("watchFolder says that something has changed, not that we have written to a part", async () => {
  await using scratch = new Scratch();
  write(scratch.dir, ".kith-partial/a.part", "0");
  const ending = new AbortController();
  const watched = watchFolder(scratch.dir, { quietMs: 30, signal: ending.signal });
  let hints = 0;
  const watching = (async () => {
    for await (const _ of watched) hints++;
  })();
  const until = async (wanted: number, work: () => void) => {
    for (let tries = 0; hints < wanted; tries++) {
      assert(tries < 200, "nothing was heard");
      if (tries % 20 === 0) work();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  await until(1, () => write(scratch.dir, "a", crypto.randomUUID()));
  await new Promise((resolve) => setTimeout(resolve, 60));
  const before = hints;
  for (let n = 0; n < 10; n++) {
    write(scratch.dir, `.kith-partial/${n}.part`, "1");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assertEquals(hints, before);
  await until(before + 1, () => write(scratch.dir, "b", crypto.randomUUID()));
  ending.abort();
  await watching;
});

Deno.test("watchFolder says so now and then though nothing was heard", async () => {
  await using scratch = new Scratch();
  const clock = new ManualClock();
  const ending = new AbortController();
  const options = { clock, lookEveryMs: 5_000, signal: ending.signal };
  const watched = watchFolder(scratch.dir, options);
  for (let n = 0; n < 3; n++) {
    const next = watched.next();
    await clock.advance(5_000);
    assertEquals((await next).done, false);
  }
  ending.abort();
  assertEquals((await watched.next()).done, true);
});

Deno.test("watchFolder goes by the clock where nothing can be watched", async () => {
  const clock = new ManualClock();
  const ending = new AbortController();
  const options = { clock, lookEveryMs: 5_000, signal: ending.signal };
  const watched = watchFolder("/nowhere/at all", options);
  const next = watched.next();
  await clock.advance(5_000);
  assertEquals((await next).done, false);
  const last = watched.next();
  ending.abort();
  assertEquals((await last).done, true);
});
