import { assert, assertEquals, assertThrows } from "@std/assert";
import { LimitError } from "../../src/errors.ts";
import { type MeshEvent, MeshEvents, type MeshPeer } from "../../src/rpc/mesh_events.ts";
import { isSettled } from "../endpoint/fixture.ts";

const BOB: MeshPeer = {
  peerId: "b0".repeat(20),
  name: "bob",
  address: { hostname: "bob", port: 1 },
  sourceHash: "",
  since: 0,
  rttMs: undefined,
  status: undefined,
};

function events(): MeshEvents {
  return new MeshEvents(() => {});
}

async function take(events: MeshEvents): Promise<MeshEvent | undefined> {
  return (await events.next()).value;
}

Deno.test("MeshEvents gives events in their order, and waits for the next", async () => {
  const it = events();
  it.tell("joined", BOB);
  it.message(BOB, "hello");
  assertEquals(await take(it), { type: "joined", peer: BOB });
  assertEquals(await take(it), { type: "message", peer: BOB, data: "hello" });
  const [first, second] = [take(it), take(it)];
  it.tell("left", BOB);
  it.tell("joined", BOB);
  assertEquals([(await first)?.type, (await second)?.type], ["left", "joined"]);
});

Deno.test("MeshEvents keeps no view of a message's bytes", async () => {
  const it = events();
  const buffer = new Uint8Array([1, 2, 3, 4]);
  it.message(BOB, { part: buffer.subarray(1, 3), map: new Map([[1, buffer]]) });
  buffer.fill(9);
  const event = await take(it);
  assert(event?.type === "message");
  assertEquals(event.data, {
    part: new Uint8Array([2, 3]),
    map: new Map([[1, new Uint8Array([1, 2, 3, 4])]]),
  });
});

Deno.test("MeshEvents asks to wait from the 256th event on, until there is room", async () => {
  const it = events();
  for (let i = 0; i < 255; i++) assertEquals(it.message(BOB, i), undefined);
  const held = it.message(BOB, 255);
  assert(held !== undefined);
  assertEquals(await isSettled(held), false);
  await take(it);
  await held;
  assertEquals(it.tell("left", BOB) === undefined, false);
});

Deno.test("MeshEvents asks to wait from 4 MiB of messages on, until there is room", async () => {
  const it = events();
  const mega = new Uint8Array(1024 * 1024);
  for (let i = 0; i < 3; i++) assertEquals(it.message(BOB, mega), undefined);
  const held = it.message(BOB, mega);
  assert(held !== undefined);
  await take(it);
  await held;
  assertEquals(it.message(BOB, 0), undefined);
});

Deno.test("MeshEvents has no room for a server when 1024 events wait, and has again when one is taken", async () => {
  const it = events();
  for (let i = 0; i < 1023; i++) it.tell(i % 2 === 0 ? "joined" : "left", BOB);
  it.checkRoom();
  it.tell("left", BOB);
  const error = assertThrows(() => it.checkRoom(), LimitError, "1024 events wait");
  assertEquals([error.code, error.details], ["limit", { limit: "maxWaitingEvents", max: 1024 }]);
  await take(it);
  it.checkRoom();
});

Deno.test("MeshEvents gives what waits after close, then ends; who waits to push does so no more", async () => {
  const it = events();
  for (let i = 0; i < 255; i++) it.message(BOB, i);
  const held = it.message(BOB, 255);
  it.close();
  await held;
  assertEquals(it.message(BOB, "late"), undefined);
  for (let i = 0; i < 256; i++) assertEquals((await it.next()).done, false);
  assertEquals(await it.next(), { done: true, value: undefined });
});

Deno.test("MeshEvents forgets everything when its reader leaves, also one that waits", async () => {
  let left = 0;
  const it = new MeshEvents(() => left++);
  for (let i = 0; i < 255; i++) it.message(BOB, i);
  const held = it.message(BOB, 255);
  await it.return();
  await held;
  assertEquals([left, await it.next()], [1, { done: true, value: undefined }]);

  const idle = events();
  const waiting = idle.next();
  await idle.return();
  assertEquals(await waiting, { done: true, value: undefined });
});
