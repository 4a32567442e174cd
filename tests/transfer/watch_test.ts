import { assertEquals, assertRejects } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { watchFiles } from "../../src/transfer/watch.ts";

/** Runs with a folder, a clock that goes as fast as the machine does, and a signal that is fired in the end. */
async function watching(
  work: (dir: string, clock: ManualClock, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const dir = await Deno.realPath(await Deno.makeTempDir());
  const controller = new AbortController();
  try {
    await work(dir, new ManualClock(), controller.signal);
  } finally {
    controller.abort();
    await Deno.remove(dir, { recursive: true });
  }
}

/** Moves the clock on until something has come. */
async function next(
  changes: AsyncGenerator<void, void, void>,
  clock: ManualClock,
  stepMs: number,
): Promise<boolean> {
  let result: IteratorResult<void> | undefined;
  const waiting = changes.next().then((one) => result = one);
  for (let step = 0; result === undefined && step < 2_000; step++) {
    await new Promise((resolve) => setTimeout(resolve, 1)); // the system's word takes a moment
    await clock.advance(stepMs);
  }
  await waiting;
  return result?.done === false;
}

Deno.test("watchFiles tells once of many changes, when it has become quiet", async () => {
  await watching(async (dir, clock, signal) => {
    const changes = watchFiles([dir], { clock, signal });
    const first = next(changes, clock, 20);
    await new Promise((resolve) => setTimeout(resolve, 20));
    for (let n = 0; n < 20; n++) await Deno.writeTextFile(`${dir}/f`, `${n}`);
    assertEquals(await first, true);
    await changes.return();
  });
});

Deno.test("watchFiles has everything looked at now and then, although nothing was told", async () => {
  await watching(async (dir, clock, signal) => {
    const changes = watchFiles([dir], { clock, signal });
    assertEquals(await next(changes, clock, 5_000), true);
    await changes.return();
  });
});

Deno.test("watchFiles ends with its signal, at once or before it begins", async () => {
  await watching(async (dir, clock) => {
    const controller = new AbortController();
    const changes = watchFiles([dir], { clock, signal: controller.signal });
    const waiting = changes.next();
    await new Promise((resolve) => setTimeout(resolve, 5));
    controller.abort();
    assertEquals((await waiting).done, true);
    const none = watchFiles([dir], { clock, signal: controller.signal });
    assertEquals((await none.next()).done, true);
  });
});

Deno.test("watchFiles refuses a path that does not exist", async () => {
  const changes = watchFiles(["/nowhere/at/all"]);
  await assertRejects(() => changes.next(), Deno.errors.NotFound);
});
