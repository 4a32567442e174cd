import { assert, assertEquals, assertRejects } from "@std/assert";
import { ClosedError, IntegrityError, RemoteError } from "../../src/errors.ts";
import type { Broadcast } from "../../src/palmtree/broadcast.ts";
import type { BroadcastEvent } from "../../src/palmtree/broadcast_options.ts";
import { CHUNK_BYTES, eventsOf, listing, type Neighbor, noise, Town } from "./town.ts";

/** Slow enough for something to happen on the way: bytes a second. */
const SLOW = 6_000_000;

async function statesOf(sending: Broadcast): Promise<string[]> {
  return (await sending.done).receivers.map(({ state }) => state);
}

async function untilPart({ trees }: Neighbor, part: number): Promise<void> {
  for (;;) {
    const [one] = trees.progress;
    if (one !== undefined && one.bytes >= part * one.totalBytes) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function assertHave(neighbors: readonly Neighbor[], name: string, data: Uint8Array) {
  for (const { dir } of neighbors) assertEquals(await Deno.readFile(`${dir}/${name}`), data);
}

function typesOf(events: readonly BroadcastEvent[], name: string): string[] {
  return events.flatMap((event) => "name" in event && event.name === name ? [event.type] : []);
}

Deno.test("broadcast gives a file to two receivers, verified, and tells how", async () => {
  await using town = await Town.open();
  const receivers = await town.add(2);
  const data = noise(40 * CHUNK_BYTES + 17);
  const sending = await town.send([await town.write("song.ogg", data)], receivers);
  const events = await eventsOf(sending);
  const { files, bytes, sha256, egressBytes, resentBytes, receivers: all } = await sending.done;
  assertEquals([files, bytes, resentBytes], [1, data.length, 0]);
  await assertHave(receivers, "song.ogg", data);
  assertEquals(all.map((one) => [one.state, one.sha256]), [["done", sha256], ["done", sha256]]);
  const [source] = all.flatMap(({ sources }) => sources);
  assertEquals(source, [town.senderId, data.length]);
  assert(egressBytes <= 2 * data.length, `${egressBytes}`);
  assertEquals(typesOf(events, "r0").filter((type) => type !== "parent"), ["accepted", "done"]);
  for (const { next, events } of receivers) {
    const done = await next("done");
    assert(done.type === "done" && done.sha256 === sha256 && done.from.peerId === town.senderId);
    assertEquals(events.map(({ type }) => type), ["received", "done"]);
  }
});

Deno.test("broadcast gives a folder as it is, whatever lies on the border of chunks", async () => {
  await using town = await Town.open();
  const receivers = await town.add(3);
  const sizes = [0, 1, CHUNK_BYTES - 2, CHUNK_BYTES, 3 * CHUNK_BYTES + 5, 7, 0, 9];
  for (const [at, size] of sizes.entries()) await town.write(`d/${at}/f`, noise(size, at));
  await Deno.mkdir(`${town.dir}/out/d/none`);
  const path = `${town.dir}/out/d`;
  for (const top of ["d", "d (1)"]) {
    const sending = await town.send([path], receivers, { shape: "chain" });
    assertEquals(await statesOf(sending), ["done", "done", "done"]);
    // Each gives to the next.
    const { receivers: all, egressBytes, bytes } = await sending.done;
    const before = [town.senderId, ...all.map(({ peerId }) => peerId)];
    assertEquals(all.map(({ parent }) => parent), before.slice(0, -1));
    assertEquals(egressBytes, bytes);
    for (const { dir } of receivers) {
      assertEquals(listing(`${dir}/${top}`), listing(path));
      for (const [at, size] of sizes.entries()) {
        assertEquals(await Deno.readFile(`${dir}/${top}/${at}/f`), noise(size, at));
      }
    }
  }
});

Deno.test("broadcast of an empty file is one", async () => {
  await using town = await Town.open();
  const receivers = await town.add(1);
  const sending = await town.send([await town.write("empty", noise(0))], receivers);
  assertEquals(await statesOf(sending), ["done"]);
  await assertHave(receivers, "empty", noise(0));
});

for (const shape of ["chain", 2] as const) {
  Deno.test(`broadcast goes on without an inner node that dies, ${shape}`, async () => {
    await using town = await Town.open();
    const receivers = await town.add(8, { maxBytesPerSecond: SLOW });
    const data = noise(50 * CHUNK_BYTES);
    const path = await town.write("song.ogg", data);
    const sending = await town.send([path], receivers, { shape, maxBytesPerSecond: SLOW });
    const events = eventsOf(sending);
    const [inner] = receivers.splice(1, 1);
    assert(inner !== undefined);
    await untilPart(inner, 0.3);
    await inner.leave();
    const { receivers: all, egressBytes } = await sending.done;
    assertEquals(all.filter(({ state }) => state === "done").length, 7);
    assertEquals(all[1]?.state, "failed");
    assert(all[1]?.error instanceof ClosedError);
    assertEquals(typesOf(await events, "r1").at(-1), "failed");
    await assertHave(receivers, "song.ogg", data);
    assert(egressBytes <= 4 * data.length, `${egressBytes / data.length}`);
  });
}

Deno.test("broadcast to eight of whom one refuses gives to seven", async () => {
  await using town = await Town.open();
  const receivers = await town.add(7);
  const refusing = await town.add(1, { accept: () => false });
  const data = noise(20 * CHUNK_BYTES);
  const path = await town.write("song.ogg", data);
  const sending = await town.send([path], [...refusing, ...receivers]);
  const [first, ...others] = (await sending.done).receivers;
  assertEquals(first?.state, "refused");
  assert(first?.error instanceof RemoteError && first.error.code === "not-allowed");
  assert(others.every(({ state }) => state === "done"));
  await assertHave(receivers, "song.ogg", data);
});

Deno.test("broadcast names a relay that gives wrong chunks, and everybody has the right ones", async () => {
  await using town = await Town.open();
  const [liar] = await town.add(1, { beforeGive: (chunk) => void (chunk[0] = ~(chunk[0] ?? 0)) });
  assert(liar !== undefined);
  const receivers = [liar, ...await town.add(3)];
  const data = noise(20 * CHUNK_BYTES);
  const path = await town.write("song.ogg", data);
  const sending = await town.send([path], receivers, { shape: "chain" });
  const events = await eventsOf(sending);
  assertEquals(await statesOf(sending), ["done", "done", "done", "done"]);
  await assertHave(receivers, "song.ogg", data);
  const corrupt = events.flatMap((event) => event.type === "corrupt" ? [event.peerId] : []);
  assertEquals(corrupt, [liar.endpoint.self.peerId]);
});

Deno.test("broadcast takes in who accepts late", async () => {
  await using town = await Town.open();
  const receivers = await town.add(2, { maxBytesPerSecond: SLOW });
  const accepted = Promise.withResolvers<boolean>();
  const [late] = await town.add(1, { accept: () => accepted.promise });
  assert(late !== undefined && receivers[0] !== undefined);
  const data = noise(40 * CHUNK_BYTES);
  const path = await town.write("song.ogg", data);
  const all = [...receivers, late];
  const sending = await town.send([path], all, { patienceMs: 50, maxBytesPerSecond: SLOW });
  await untilPart(receivers[0], 0.2);
  accepted.resolve(true);
  assertEquals(await statesOf(sending), ["done", "done", "done"]);
  await assertHave(all, "song.ogg", data);
});

Deno.test("broadcast that is given up tells the receivers, who keep what they have", async () => {
  await using town = await Town.open();
  const receivers = await town.add(2, { maxBytesPerSecond: SLOW });
  const path = await town.write("song.ogg", noise(80 * CHUNK_BYTES));
  const sending = await town.send([path], receivers, { maxBytesPerSecond: SLOW });
  await Promise.all(receivers.map((receiver) => untilPart(receiver, 0.2)));
  await sending.close();
  await assertRejects(() => sending.done, ClosedError, "given up");
  for (const { next, dir } of receivers) {
    const failed = await next("failed");
    assert(failed.type === "failed" && failed.error instanceof RemoteError);
    assertEquals(failed.error.message, "The broadcast was given up");
    assertEquals(listing(dir).filter((path) => path.endsWith(".part")).length, 1);
  }
});

for (const what of ["song.ogg", "songs"]) {
  Deno.test(`broadcast that comes again goes on where it ended, ${what}`, async () => {
    await using town = await Town.open();
    const receivers = await town.add(2, { maxBytesPerSecond: SLOW });
    const [first] = receivers;
    assert(first !== undefined);
    const data = noise(40 * CHUNK_BYTES + 11);
    const names = what === "song.ogg" ? [what] : [1, 2].map((at) => `${what}/${at}/song.ogg`);
    for (const name of [...names, ...what === "songs" ? ["songs/empty"] : []]) {
      await town.write(name, name === "songs/empty" ? noise(0) : data);
    }
    const path = `${town.dir}/out/${what}`;
    const options = { maxBytesPerSecond: SLOW, shape: "chain" } as const;
    const broken = await town.send([path], receivers, options);
    await untilPart(first, 0.6);
    await broken.close();
    await Promise.all(receivers.map(({ next }) => next("failed")));
    const sending = await town.send([path], receivers, { shape: "chain" });
    const { bytes, egressBytes, resentBytes } = await sending.done;
    assertEquals(await statesOf(sending), ["done", "done"]);
    assert(egressBytes <= 0.5 * bytes, `${egressBytes} of ${bytes}`);
    assertEquals(resentBytes, 0);
    for (const name of names) await assertHave(receivers, name, data);
    assertEquals(listing(first.dir).filter((path) => path.includes("(")), []);
    assertEquals(listing(first.dir).filter((path) => path.endsWith(".part")), []);
  });
}

Deno.test("receivers of a sender that is gone fail, and keep what they have", async () => {
  await using town = await Town.open();
  const receivers = await town.add(2, { maxBytesPerSecond: SLOW });
  const [first] = receivers;
  assert(first !== undefined);
  const path = await town.write("song.ogg", noise(80 * CHUNK_BYTES));
  const sending = await town.send([path], receivers, { maxBytesPerSecond: SLOW });
  await untilPart(first, 0.2);
  await town.cutSender();
  for (const { next, dir } of receivers) {
    const failed = await next("failed");
    assert(failed.type === "failed" && failed.error instanceof ClosedError);
    assertEquals(failed.error.message, "The sender is gone");
    assertEquals(listing(dir).filter((path) => path.endsWith(".part")).length, 1);
  }
  await sending.close();
});

Deno.test("broadcast goes on without who cannot store it", async () => {
  await using town = await Town.open();
  const receivers = await town.add(3);
  const [inner] = receivers;
  assert(inner !== undefined);
  await Deno.writeTextFile(`${inner.dir}/.kith-partial`, "in the way");
  const data = noise(20 * CHUNK_BYTES);
  const path = await town.write("song.ogg", data);
  const sending = await town.send([path], receivers, { shape: 3 });
  const [first, ...others] = (await sending.done).receivers;
  assertEquals([first?.state, others.map(({ state }) => state)], ["failed", ["done", "done"]]);
  assert(first?.error instanceof RemoteError && first.error.code === "not-allowed");
  await assertHave(receivers.slice(1), "song.ogg", data);
  assertEquals((await inner.next("failed")).type, "failed");
});

Deno.test("broadcast of a file that changes fails on both sides", async () => {
  await using town = await Town.open();
  const receivers = await town.add(1);
  const path = await town.write("song.ogg", noise(80 * CHUNK_BYTES));
  const sending = await town.send([path], receivers, { maxBytesPerSecond: SLOW });
  await untilPart(receivers[0] as Neighbor, 0.2);
  await Deno.writeFile(path, noise(80 * CHUNK_BYTES, 2));
  await assertRejects(() => sending.done, IntegrityError, "it changed while it was being read");
  const failed = await receivers[0]?.next("failed");
  assert(failed?.type === "failed" && failed.error instanceof RemoteError);
  assertEquals(failed.error.code, "bad-hash");
});

Deno.test("broadcast tells who was not reached, and who was named twice", async () => {
  await using town = await Town.open();
  const [one, gone] = await town.add(2);
  assert(one !== undefined && gone !== undefined);
  await gone.leave();
  const path = await town.write("song.ogg", noise(CHUNK_BYTES));
  const sending = await town.send([path], [one, gone, { ...one, name: "again" }]);
  const { receivers } = await sending.done;
  const states = receivers.map(({ state }) => state);
  assertEquals(states.toSorted(), ["done", "failed", "failed"]);
  assertEquals(receivers[1]?.peerId, undefined);
});

Deno.test("Broadcast refuses what makes no sense", async () => {
  await using town = await Town.open();
  const path = await town.write("song.ogg", noise(1));
  const [one] = await town.add(1);
  assert(one !== undefined);
  await assertRejects(() => town.send([path], []), RangeError, "somebody");
  await assertRejects(() => town.send([path], [one], { fanout: 0 }), RangeError, "Fan-out");
  await assertRejects(() => town.send([path], [one], { shape: 1.5 }), RangeError, "Fan-out");
  const patienceMs = 120_001;
  await assertRejects(() => town.send([path], [one], { patienceMs }), RangeError, "patienceMs");
});
