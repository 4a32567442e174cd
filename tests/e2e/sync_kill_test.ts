/**
 * Folders whose hub or client is killed while contents come in, both ways. `KITH_SYNC_KILLS=20` kills each side so often.
 *
 * @module
 */

import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { CountingProxy } from "./counting_proxy.ts";
import type { Kith } from "./process.ts";
import { type Served, SyncScene, treeOf, untilAlike } from "./sync_folders.ts";

const KILLS = Number(Deno.env.get("KITH_SYNC_KILLS") ?? 2);
const isSoak = Deno.env.has("KITH_SYNC_KILLS");

const MIB = 1024 * 1024;

/** What each side has to send. */
const LARGE_BYTES = KILLS * 6 * MIB;
const SMALL_FILES = 60;
const MAX_SMALL_BYTES = 20_000;

/** What may be sent once more for each kill: what was on its way, and small files that had no place yet. */
const AGAIN_BYTES = 2 * MIB;

/** What messages add to the contents, and connections and indexes to them. */
const OVERHEAD = 0.01;
const ATTEMPT_BYTES = 256 * 1024;

/** How long nothing may come before the test fails: far longer than it takes, on a machine that is busy. */
const PATIENCE_MS = 30_000;

const seed = Number(Deno.env.get("KITH_SEED") ?? Math.floor(Math.random() * 2 ** 31));

Deno.test(`sync leaves no half of a file, and goes on, when hub and client are killed ${KILLS} times each (seed ${seed})`, async () => {
  await using scene = await SyncScene.make();
  await using proxy = new CountingProxy();
  const random = seededRandom(seed);
  const bytes = await write(scene, "hub", random) + await write(scene, "ann", random);
  const whole = new Set([...filesOf(scene.path("hub")), ...filesOf(scene.path("ann"))]);

  const serve = async (port: number) => {
    const hub = await scene.serve("hub", "--http-port", `${port}`);
    proxy.leadTo(hub.port);
    return hub;
  };
  let hub: Served = await serve(0);
  let client: Kith = scene.join("ann", proxy.address);
  const victims = shuffled([...Array(KILLS).fill("hub"), ...Array(KILLS).fill("client")], random);
  const moments = victims.map(() => random() * 0.85 * bytes + 0.05 * bytes).sort((a, b) => a - b);
  const said = (nth: number, victim: string) => {
    const last = [hub.kith, client].map(({ events }) => JSON.stringify(events.slice(-5)));
    return `kill ${nth} of the ${victim}, ${proxy.crossed} + ${proxy.returned} bytes\n${
      last.join("\n")
    }`;
  };
  for (const [nth, moment] of moments.entries()) {
    const victim = victims[nth];
    await client.event("ready"); // it would give up if there were no hub now
    const kith = victim === "hub" ? hub.kith : client;
    assert(
      await crossing(proxy, moment, () => kith.signal("SIGKILL")),
      `it goes no further: ${said(nth, victim)}`,
    );
    await kith.ended();
    for (const name of ["hub", "ann"]) {
      const halves = filesOf(scene.path(name)).filter((file) => !whole.has(file));
      assertEquals(halves, [], `in ${name}, after the ${victim} was killed`);
    }
    if (victim === "hub") hub = await serve(hub.port);
    else client = scene.join("ann", proxy.address);
  }
  const tree = await untilAlike([scene.path("hub"), scene.path("ann")], { patienceMs: 120_000 });
  assertEquals(tree.filter((line) => !line.endsWith("/")).length, whole.size);
  const sent = proxy.crossed + proxy.returned;
  const allowed = bytes * (1 + OVERHEAD) + victims.length * AGAIN_BYTES +
    (victims.length + 1) * ATTEMPT_BYTES;
  if (isSoak) report({ seed, bytes, sent, allowed, again: (sent - bytes) / victims.length });
  assertLessOrEqual(sent, allowed);
});

/** A large file and many small ones. @returns their bytes. */
async function write(scene: SyncScene, name: string, random: () => number): Promise<number> {
  let bytes = LARGE_BYTES;
  await scene.write(`${name}/large from ${name}`, noise(LARGE_BYTES));
  for (let nth = 0; nth < SMALL_FILES; nth++) {
    const size = Math.floor(random() * MAX_SMALL_BYTES);
    await scene.write(`${name}/${nth % 7}/${name} ${nth}`, noise(size));
    bytes += size;
  }
  return bytes;
}

function noise(bytes: number): Uint8Array {
  const noise = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += 65_536) {
    crypto.getRandomValues(noise.subarray(at, Math.min(at + 65_536, bytes)));
  }
  return noise;
}

function filesOf(dir: string): string[] {
  return treeOf(dir).filter((line) => !line.endsWith("/"));
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const keyed = items.map((item) => ({ item, key: random() }));
  return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item);
}

/** Does something once so many bytes have gone either way. @returns whether they have. */
async function crossing(proxy: CountingProxy, bytes: number, act: () => void): Promise<boolean> {
  const reached = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => reached.resolve(false), PATIENCE_MS);
  proxy.onBytes = () => {
    if (proxy.crossed + proxy.returned < bytes) return;
    proxy.onBytes = () => {};
    act(); // at once: a turn later much more may have crossed
    reached.resolve(true);
  };
  proxy.onBytes();
  try {
    return await reached.promise;
  } finally {
    clearTimeout(timer);
  }
}

function report(figures: Record<string, unknown>): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${JSON.stringify(figures)}\n`));
}
