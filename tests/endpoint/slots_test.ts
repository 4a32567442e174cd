import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { MAX_ACTIVE_REQUESTS } from "../../src/endpoint/calls.ts";
import type { Priority } from "../../src/endpoint/inbox.ts";
import { HandlerSlots } from "../../src/endpoint/slots.ts";
import { MESSAGES_A_TURN } from "../../src/endpoint/turns.ts";
import { ClosedError, RemoteError } from "../../src/errors.ts";
import { seededRandom } from "../../src/clock.ts";
import { isSettled, Served, SERVER, settle } from "./fixture.ts";

Deno.test("HandlerSlots.enter gives as many slots as there are, and those that are given back", () => {
  const slots = new HandlerSlots(2);
  assertEquals([slots.enter(), slots.enter(), slots.enter()], [true, true, false]);
  slots.leave();
  assertEquals([slots.atWork, slots.enter(), slots.enter()], [1, true, false]);
  for (const max of [0, -1, 1.5, NaN, Infinity]) {
    assertThrows(() => new HandlerSlots(max), RangeError, `current value is ${max}`);
  }
});

Deno.test("HandlerSlots never has more at work than it may, whoever comes and goes in whatever order", async () => {
  const random = seededRandom(5);
  const max = 7;
  const slots = new HandlerSlots(max);
  const sources = [{}, {}, {}];
  const priorities: readonly Priority[] = ["control", "request", "bulk"];
  let [running, most, asked, ended] = [0, 0, 0, 0];
  const begin = () => {
    running++;
    most = Math.max(most, running);
    if (random() < 0.3) end(); // done at once
  };
  const end = () => {
    running--;
    ended++;
    slots.leave();
  };
  const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)] as T;
  for (let step = 0; step < 5_000; step++) {
    if (random() < 0.5) {
      asked++;
      if (slots.enter()) begin();
      else assert(slots.wait(pick(sources), pick(priorities), begin));
    } else if (running > 0) end();
    if (step % 50 === 0) await settle();
    assert(slots.atWork <= max);
  }
  while (running > 0 || slots.waiting > 0) {
    if (running > 0) end();
    else await settle();
  }
  assertEquals([most, ended, slots.atWork], [max, asked, 0]);
});

Deno.test("HandlerSlots serves who has one message waiting within two turns of who has a thousand", () => {
  const slots = new HandlerSlots(1);
  const [alice, bob] = [{}, {}];
  const started: string[] = [];
  slots.enter();
  for (let n = 0; n < 1_000; n++) slots.wait(alice, "request", () => started.push(`alice ${n}`));
  slots.wait(bob, "request", () => started.push("bob"));
  slots.leave();
  slots.leave();
  assert(started.includes("bob"), started.join());
  assertEquals([slots.atWork, slots.waiting], [1, 999]);
  slots.leave();
  assertEquals(started.filter((name) => name !== "bob"), ["alice 0", "alice 1"]);
});

Deno.test("HandlerSlots lets nobody who comes later go before those who wait", async () => {
  const slots = new HandlerSlots(1);
  const alice = {};
  let started = 0;
  slots.enter();
  for (let n = 0; n < 2 * MESSAGES_A_TURN; n++) {
    slots.wait(alice, "request", () => {
      started++;
      assertEquals(slots.enter(), false);
      slots.leave();
    });
  }
  slots.leave();
  // Between two turns a slot is free, and is for those who wait.
  assertEquals([slots.atWork, slots.enter()], [0, false]);
  while (slots.waiting > 0) await settle();
  assertEquals([started, slots.enter()], [2 * MESSAGES_A_TURN, true]);
});

Deno.test("HandlerSlots starts control before requests before bulk of one source", () => {
  const slots = new HandlerSlots(1);
  const source = {};
  const started: Priority[] = [];
  slots.enter();
  for (const priority of ["bulk", "request", "bulk", "control", "request", "control"] as const) {
    slots.wait(source, priority, () => started.push(priority));
  }
  while (slots.atWork > 0) slots.leave();
  assertEquals(started, ["control", "control", "request", "request", "bulk", "bulk"]);
});

Deno.test("HandlerSlots starts any number of handlers that are done at once, a turn of them at a time", async () => {
  const slots = new HandlerSlots(1);
  const sources = Array.from({ length: 16 }, () => ({}));
  let started = 0;
  const start = () => {
    started++;
    slots.leave();
  };
  slots.enter();
  // As many as may wait at all: a stack that grew with each would not hold them.
  for (let n = 0; n < 16 * 1_024; n++) {
    assert(slots.wait(sources[n % 16] ?? {}, "request", start));
  }
  assertEquals(slots.wait({}, "request", start), false);
  slots.leave();
  assertEquals(started, MESSAGES_A_TURN);
  await slots.idle();
  assertEquals([started, slots.atWork, slots.waiting], [16 * 1_024, 0, 0]);
});

Deno.test("HandlerSlots.room tells whoever found none that somebody has left the line", async () => {
  const slots = new HandlerSlots(1);
  const [alice, bob] = [{}, {}];
  const start = () => {};
  slots.enter();
  slots.wait(bob, "request", start);
  while (slots.wait(alice, "request", start));
  const room = Promise.all([slots.room(), slots.room()]);
  assertEquals(await isSettled(room), false);
  slots.leave();
  slots.leave();
  await room;
  assertEquals(slots.wait(alice, "request", start), true);
  const again = slots.room();
  assertEquals(await isSettled(again), false);
  slots.drop(alice);
  await again;
});

Deno.test("HandlerSlots.drop forgets what waits of one source, and nothing else", () => {
  const slots = new HandlerSlots(1);
  const [alice, bob] = [{}, {}];
  const started: string[] = [];
  slots.enter();
  for (let n = 0; n < 10; n++) {
    slots.wait(alice, "request", () => started.push("alice"));
    slots.wait(bob, "request", () => started.push("bob"));
  }
  slots.drop(alice);
  slots.drop(alice);
  slots.drop({});
  assertEquals(slots.waiting, 10);
  while (slots.atWork > 0) slots.leave();
  assertEquals(started, new Array(10).fill("bob"));
});

Deno.test("HandlerSlots.idle resolves for all who ask, once nothing is at work and nobody waits", async () => {
  const slots = new HandlerSlots(1);
  const source = {};
  await slots.idle();
  slots.enter();
  slots.wait(source, "request", () => {});
  const idle = Promise.all([slots.idle(), slots.idle()]);
  assertEquals(await isSettled(idle), false);
  slots.leave(); // to who waits
  assertEquals(await isSettled(idle), false);
  slots.leave();
  await idle;

  // Half way between two turns those who wait are forgotten.
  slots.enter();
  const start = () => slots.leave();
  for (let n = 0; n < 2 * MESSAGES_A_TURN; n++) slots.wait(source, "request", start);
  slots.leave();
  assert(slots.atWork === 0 && slots.waiting > 0);
  const dropped = slots.idle();
  assertEquals(await Promise.race([dropped, Promise.resolve("not yet")]), "not yet");
  slots.drop(source);
  await dropped;
  await settle();
});

Deno.test("Endpoint refuses with limit what one peer has too much of at work, and serves the others", async () => {
  await using served = await Served.open();
  const { endpoint } = served;
  const gate = Promise.withResolvers<string>();
  endpoint.handle("wait", () => gate.promise);
  endpoint.handle("echo", ({ n }) => n);
  const [alice, bob] = await links(served, "alice", "bob");
  const ask = () => alice.request("wait", {}, { timeoutMs: Infinity });
  const waiting = Array.from({ length: MAX_ACTIVE_REQUESTS }, ask);
  const error = await assertRejects(ask, RemoteError, "maxActiveRequests");
  assertEquals([error.code, error.details], [
    "limit",
    { limit: "maxActiveRequests", max: MAX_ACTIVE_REQUESTS },
  ]);
  assertEquals(await bob.request("echo", { n: 1 }), 1);
  assertEquals(endpoint.slots.atWork, MAX_ACTIVE_REQUESTS);
  gate.resolve("now");
  assertEquals(new Set(await Promise.all(waiting)), new Set(["now"]));
  await endpoint.slots.idle();
  assertEquals(served.metrics.snapshot()["link.refused"], 1);
});

Deno.test("Endpoint makes a request wait while another peer's handlers take every slot, and not longer", async () => {
  await using served = await Served.open({ limits: { maxHandlers: 4 } });
  const { endpoint } = served;
  const gates: PromiseWithResolvers<void>[] = [];
  endpoint.handle("slow", () => {
    const gate = Promise.withResolvers<void>();
    gates.push(gate);
    return gate.promise;
  });
  endpoint.handle("echo", ({ n }) => n);
  const [alice, bob] = await links(served, "alice", "bob");
  const slow = Array.from({ length: 500 }, () => alice.request("slow", {}));
  await until(() => endpoint.slots.waiting === 496);
  assertEquals([gates.length, endpoint.slots.atWork], [4, 4]);
  const echo = bob.request("echo", { n: 1 });
  assertEquals(await isSettled(echo), false);
  assertEquals(await bob.ping(), 0, "what needs no handler does not wait for one");
  gates[0]?.resolve();
  gates[1]?.resolve();
  assertEquals(await echo, 1);
  for (let done = 2; done < slow.length; done++) {
    await until(() => gates[done] !== undefined);
    gates[done]?.resolve();
  }
  await Promise.all(slow);
  assertEquals([endpoint.slots.atWork, endpoint.slots.waiting], [0, 0]);
});

Deno.test("Endpoint loses no message that wants no answer: its connection waits with those beyond the limits", async () => {
  await using served = await Served.open({ limits: { maxHandlers: 1 } });
  const { endpoint } = served;
  const gate = Promise.withResolvers<void>();
  const notes: unknown[] = [];
  endpoint.handle("slow", () => gate.promise);
  endpoint.handle("note", ({ n }) => void notes.push(n));
  endpoint.handle("echo", ({ n }) => n);
  const [alice, bob] = await links(served, "alice", "bob");
  const slow = alice.request("slow", {});
  await settle();
  const sent = Array.from({ length: 3_000 }, (_, n) => n);
  for (const n of sent) await bob.post("note", { n });
  await until(() => endpoint.slots.waiting === 1_024);
  const echo = bob.request("echo", { n: 1 });
  assertEquals([await isSettled(echo), notes], [false, []]);
  gate.resolve();
  await slow;
  assertEquals(await echo, 1);
  assertEquals(notes, sent);
});

Deno.test("Endpoint.drain lets finish what waits for a slot, too", async () => {
  await using served = await Served.open({ limits: { maxHandlers: 1 } });
  const { endpoint } = served;
  const gate = Promise.withResolvers<string>();
  endpoint.handle("slow", () => gate.promise);
  endpoint.handle("echo", ({ n }) => n);
  const [alice, bob] = await links(served, "alice", "bob");
  const slow = alice.request("slow", {});
  await settle();
  const echo = bob.request("echo", { n: 1 });
  await until(() => endpoint.slots.waiting === 1);
  const drained = endpoint.drain();
  assertEquals(await isSettled(Promise.race([echo, drained])), false);
  gate.resolve("done");
  assertEquals([await slow, await echo], ["done", 1]);
  await drained;
});

Deno.test("Endpoint frees the slots of a link that has ended, and starts nothing of it any more", async () => {
  await using served = await Served.open({ limits: { maxHandlers: 2 } });
  const { endpoint } = served;
  let started = 0;
  endpoint.handle("slow", (_, { signal }) => {
    started++;
    return new Promise((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
    });
  });
  endpoint.handle("echo", ({ n }) => n);
  const [alice, bob] = await links(served, "alice", "bob");
  const failures = Array.from(
    { length: 100 },
    () => assertRejects(() => alice.request("slow", {}), ClosedError),
  );
  const echo = bob.request("echo", { n: 1 });
  await until(() => endpoint.slots.waiting === 99);
  assertEquals([started, endpoint.slots.atWork], [2, 2]);
  await alice.close();
  await Promise.all(failures);
  assertEquals(await echo, 1);
  await endpoint.slots.idle();
  assertEquals([started, await bob.request("echo", { n: 2 })], [2, 2]);
});

/** Waits for what comes of messages that are under way. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await settle();
}

/** A link of each of two clients to the server. */
async function links(served: Served, ...names: [string, string]) {
  const [first, second] = names.map(async (name) => {
    return await (await served.client(name)).connect(SERVER);
  });
  if (first === undefined || second === undefined) throw new Error("unreachable");
  return await Promise.all([first, second]);
}
