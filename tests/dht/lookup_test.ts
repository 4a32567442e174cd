import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ManualClock, systemClock } from "../../src/clock.ts";
import type { Contact } from "../../src/dht/contact.ts";
import { lookup, type LookupOptions } from "../../src/dht/lookup.ts";
import type { LookupEvent } from "../../src/dht/lookup_events.ts";
import type { NodeId } from "../../src/dht/node_id.ts";
import type { Answer } from "../../src/dht/questions.ts";
import { ClosedError, RemoteError, TimeoutError } from "../../src/errors.ts";
import {
  answerLater,
  collect,
  naming,
  nearest,
  nodeAt,
  passing,
  randomId,
  resultOf,
  silence,
  Swarm,
  ZERO,
} from "./lookup_fixture.ts";

/** How long who asks waits for an answer. */
const TIMEOUT_MS = 2_000;

function keysOf(contacts: readonly Contact[]): string[] {
  return contacts.map(({ key }) => key);
}

interface SwarmLookup extends Partial<LookupOptions> {
  /** Nodes that do not answer. */
  readonly silent?: ReadonlySet<string>;
}

/** A lookup among many nodes, each of which takes 10 to 90 ms to answer. */
function lookupIn(swarm: Swarm, target: NodeId, { silent, ...more }: SwarmLookup = {}) {
  const clock = new ManualClock();
  const ask = (contact: Contact, signal: AbortSignal) =>
    silent?.has(contact.key)
      ? silence(clock, TIMEOUT_MS, signal)
      : answerLater(clock, 10 + 80 * swarm.random(), swarm.answer(contact, target), signal);
  const seeds = swarm.seeds(target);
  return passing(clock, resultOf(lookup(target, { ask, clock, seeds, ...more })));
}

Deno.test("lookup finds the nearest nodes of all that there are, and asks few of them", async () => {
  const swarm = new Swarm();
  for (let round = 0; round < 8; round++) {
    const target = randomId(swarm.random);
    const done = await lookupIn(swarm, target);
    const expected = keysOf(nearest(target, swarm.contacts, 20));
    assertEquals(keysOf(done.closest), expected);
    assert(expected.every((key) => done.answered.has(key)), "they have all answered");
    assert(done.asked <= 45 && done.hops <= 4, `${done.asked} asked, ${done.hops} hops`);
  }
});

Deno.test("lookup finds the nearest nodes that answer where a fifth is silent", async () => {
  const swarm = new Swarm({ seed: 2 });
  let [found, failed] = [0, 0];
  for (let round = 0; round < 8; round++) {
    const target = randomId(swarm.random);
    const silent = new Set<string>();
    for (const { key } of swarm.contacts) if (swarm.random() < 0.2) silent.add(key);
    const done = await lookupIn(swarm, target, { silent });
    const live = swarm.contacts.filter(({ key }) => !silent.has(key));
    const expected = keysOf(nearest(target, live, 20));
    // Silent ones take up room in answers, so those at the edge may not be named by anybody.
    assertEquals(keysOf(done.closest.slice(0, 12)), expected.slice(0, 12));
    const closest = new Set(keysOf(done.closest));
    found += expected.filter((key) => closest.has(key)).length;
    failed += done.failed;
    assert(done.ms < 2 * TIMEOUT_MS, `it took ${done.ms} ms`); // they are waited for side by side
  }
  assert(found > 0.9 * 8 * 20 && failed > 16, `${found} of ${8 * 20} found, ${failed} failed`);
});

Deno.test("lookup by paths that share no node finds the same and asks hardly more", async () => {
  const swarm = new Swarm({ seed: 3 });
  let [found, asked] = [0, 0];
  for (let round = 0; round < 8; round++) {
    const target = randomId(swarm.random);
    const done = await lookupIn(swarm, target, { paths: 4 }); // that no two ask the same is checked
    const expected = new Set(keysOf(nearest(target, swarm.contacts, 20)));
    found += keysOf(done.closest).filter((key) => expected.has(key)).length;
    asked += done.asked;
  }
  assert(found >= 0.99 * 8 * 20 && asked < 8 * 30, `${found} of ${8 * 20} found, ${asked} asked`);
});

Deno.test("lookup ends early where few have to have answered", async () => {
  const swarm = new Swarm({ seed: 4 });
  const target = randomId(swarm.random);
  const done = await lookupIn(swarm, target, { settle: 3 });
  const first = nearest(target, swarm.contacts, 3);
  assertEquals(keysOf(done.closest.slice(0, 3)), keysOf(first));
  assert(keysOf(first).every((key) => done.answered.has(key)));
  assert(done.closest.length === 20 && done.asked < 20, `${done.asked} asked`);
});

/**
 * The three nearest seeds say nothing for 5 s, the fourth names who is looked for.
 *
 * @returns when that one answered, in milliseconds.
 */
async function foundMs(options: Partial<LookupOptions>): Promise<number> {
  const clock = new ManualClock();
  const [wanted, ...seeds] = [1, 16, 17, 18, 128].map((first) => nodeAt(first));
  const ask = ({ key, id: [first = 0] }: Contact, signal: AbortSignal): Promise<Answer> =>
    first === 1 || first === 128
      ? answerLater(clock, 40, naming(...(wanted && key !== wanted.key ? [wanted] : [])), signal)
      : silence(clock, 5_000, signal);
  const search = async () => {
    for await (const event of lookup(ZERO, { ask, clock, seeds, ...options })) {
      if (event.type === "answered" && event.contact.key === wanted?.key) return clock.now();
    }
    return NaN;
  };
  return await passing(clock, search());
}

Deno.test("lookup is not held up by slow nodes, as it would be if it waited for them", async () => {
  assertEquals(await foundMs({}), 500 + 2 * 40);
  assertEquals(
    await foundMs({ rttOf: () => 50 }),
    2 * 50 + 2 * 40,
    "sooner where they were faster",
  );
  assertEquals(await foundMs({ rttOf: () => 1 }), 20 + 2 * 40, "never sooner than 20 ms");
  assertEquals(await foundMs({ rttOf: () => 9_000 }), 500 + 2 * 40);
  assertEquals(await foundMs({ patienceMs: 70 }), 70 + 2 * 40);
  assertEquals(await foundMs({ patienceMs: Infinity }), 5_000 + 2 * 40);
  assertEquals(await foundMs({ maxAlpha: 3 }), 5_000 + 2 * 40, "there is no other place");
});

/** Questions that are answered by hand. */
class Desk {
  readonly clock = new ManualClock();
  readonly signals: AbortSignal[] = [];
  readonly #open = new Map<string, PromiseWithResolvers<Answer>>();

  readonly ask = (contact: Contact, signal: AbortSignal): Promise<Answer> => {
    const question = Promise.withResolvers<Answer>();
    this.#open.set(contact.key, question);
    this.signals.push(signal);
    return question.promise;
  };

  get asked(): string[] {
    return [...this.#open.keys()];
  }

  answer(contact: Contact, ...nodes: Contact[]): void {
    this.#open.get(contact.key)?.resolve(naming(...nodes));
  }

  fail(contact: Contact, error: unknown): void {
    this.#open.get(contact.key)?.reject(error);
  }
}

const [A, B, C, D, E] = [nodeAt(1), nodeAt(2), nodeAt(3), nodeAt(4), nodeAt(5)];

/** What comes next, without the asking. */
async function nextOutcome(events: AsyncIterator<LookupEvent, void>): Promise<LookupEvent> {
  for (;;) {
    const { value } = await events.next();
    assert(value, "it is over");
    if (value.type !== "asked") return value;
  }
}

Deno.test("lookup asks nobody before it is iterated over, and the next as soon as one has answered", async () => {
  const desk = new Desk();
  const events = lookup(ZERO, { ...desk, seeds: [A, B, C, D, E] });
  assertEquals(desk.asked, []);
  assertEquals((await events.next()).value, {
    type: "asked",
    contact: A,
    depth: 1,
    path: 0,
    by: undefined,
  });
  assertEquals(desk.asked, keysOf([A, B, C]));
  await desk.clock.advance(7);
  desk.answer(C, A);
  const event = await nextOutcome(events);
  const common = { contact: C, depth: 1, path: 0 };
  assertEquals(event, { type: "answered", ...common, rttMs: 7, answer: naming(A), nearer: 0 });
  await events.next();
  assertEquals(desk.asked, keysOf([A, B, C, D]), "though A and B are still open");
  await events.return();
});

Deno.test("lookup says why somebody failed, safe to print, and goes on", async () => {
  const desk = new Desk();
  const all = collect(lookup(ZERO, { ...desk, seeds: [A, B] }));
  await desk.clock.advance(3);
  desk.fail(A, new RemoteError("busy", `\u001b[2J${"x".repeat(9_999)}`));
  desk.answer(B);
  const events = await all;
  const failed = events.find(({ type }) => type === "failed");
  assert(failed?.type === "failed" && failed.code === "busy" && failed.contact === A);
  assert(!failed.why.includes("\u001b") && failed.why.length < 1_000);
  const done = { closest: [B], answered: new Set([B.key]), hops: 1, asked: 2, failed: 1, ms: 3 };
  assertEquals(events.at(-1), { type: "done", ...done });
});

Deno.test("lookup is over at once where there is nobody to ask", async () => {
  const done = await resultOf(lookup(ZERO, { ...new Desk(), seeds: [] }));
  const nothing = { closest: [], answered: new Set<string>(), hops: 0, asked: 0, failed: 0, ms: 0 };
  assertEquals(done, { type: "done", ...nothing });
});

Deno.test("lookup takes a late answer of a node that took long", async () => {
  const desk = new Desk();
  const result = resultOf(lookup(ZERO, { ...desk, seeds: [B], settle: 1 }));
  await desk.clock.advance(1_500);
  desk.answer(B, A);
  await desk.clock.advance(0);
  desk.answer(A);
  const { closest, answered, hops, ms } = await result;
  assertEquals([keysOf(closest), answered.size, hops, ms], [keysOf([A, B]), 2, 2, 1_500]);
});

Deno.test("lookup cancels what is open when the consumer leaves the loop, and hears nothing more", async () => {
  const desk = new Desk();
  for await (const event of lookup(ZERO, { ...desk, seeds: [A, B, C, D] })) {
    if (event.type === "asked" && event.contact === C) desk.answer(A);
    if (event.type === "answered") break;
  }
  assertEquals(desk.asked.length, 3);
  for (const { aborted, reason } of desk.signals) {
    assert(aborted && reason instanceof ClosedError);
  }
  desk.answer(B, D); // late
  desk.fail(C, new TimeoutError("No answer")); // and a rejection that nobody handles else
  await desk.clock.advance(60_000);
  assertEquals(desk.asked.length, 3, "nobody was asked any more");
});

Deno.test("lookup cancels who takes long when the others have settled it", async () => {
  const desk = new Desk();
  const result = resultOf(lookup(ZERO, { ...desk, seeds: [A, B], settle: 1, alpha: 1 }));
  await desk.clock.advance(500);
  assertEquals(desk.asked, keysOf([A, B]), "B in place of A, which takes long");
  desk.answer(A);
  assertEquals(keysOf((await result).closest), keysOf([A, B]));
  assertEquals(desk.signals.map(({ aborted }) => aborted), [true, true]);
});

Deno.test("lookup ends with the reason of its signal, while it waits and while its consumer is busy", async () => {
  for (const reason of [new Error("enough"), new ClosedError("The node is closed")]) {
    for (const isBusy of [false, true]) {
      const desk = new Desk();
      const controller = new AbortController();
      const { signal } = controller;
      const events = lookup(ZERO, { ...desk, seeds: [A, B, C], signal });
      for (let i = 0; i < 3; i++) await events.next();
      const ended = () => assertRejects(() => events.next());
      const waiting = isBusy ? undefined : ended();
      controller.abort(reason);
      for (const node of [A, B, C]) desk.fail(node, reason);
      await desk.clock.advance(0);
      const error = await (waiting ?? ended());
      assert(error === reason, `${error}`);
      assert(desk.signals.every((signal) => signal.aborted && signal.reason === reason));
      assertEquals((await events.next()).done, true);
    }
  }
});

Deno.test("lookup asks nobody where its signal was aborted before", async () => {
  const desk = new Desk();
  const signal = AbortSignal.abort(new Error("too late"));
  const events = lookup(ZERO, { ...desk, seeds: [A], signal });
  await assertRejects(() => events.next(), Error, "too late");
  assertEquals(desk.asked, []);
});

Deno.test("lookup leaves no listener at the signal, and no timer", async () => {
  const { signal } = new AbortController();
  let listeners = 0;
  const [add, remove] = [signal.addEventListener, signal.removeEventListener];
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    listeners++;
    add.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    listeners--;
    remove.apply(signal, args);
  };
  const { ask } = new Desk();
  const clock = systemClock; // a timer that is left fails the test
  const answer = () => Promise.resolve(naming());
  await collect(lookup(ZERO, { ask: answer, clock, seeds: [A, B], signal }));
  for await (const { type } of lookup(ZERO, { ask, clock, seeds: [A], signal })) {
    if (type === "asked") break;
  }
  assertEquals(listeners, 0);
});

Deno.test("lookup throws what is our own fault, and cancels the others", async () => {
  for (const isSync of [false, true]) {
    const desk = new Desk();
    const fault = () => {
      throw new TypeError("Cannot read what is not there");
    };
    const ask = (contact: Contact, signal: AbortSignal) =>
      contact !== B ? desk.ask(contact, signal) : isSync ? fault() : Promise.reject().catch(fault);
    const events = lookup(ZERO, { ...desk, ask, seeds: [A, B, C] });
    await assertRejects(() => collect(events), TypeError, "what is not there");
    assertEquals(desk.signals.map(({ aborted }) => aborted), [true, true]);
  }
});

Deno.test("lookup survives hostile answers of 10,000 nodes that lead nowhere", async () => {
  const swarm = new Swarm({ count: 100, seed: 5 });
  const hostile = new Set(keysOf(swarm.contacts.filter(() => swarm.random() < 0.2)));
  const target = randomId(swarm.random);
  const clock = new ManualClock();
  const flood = naming(
    ...Array.from(
      { length: 10_000 },
      (_, at) => nodeAt([at >> 8, at & 255], `198.18.${at >> 8}.${at & 255}`, at % 3),
    ),
  );
  let asked = 0;
  const ask = (contact: Contact, signal: AbortSignal) => {
    asked++;
    if (hostile.has(contact.key)) return answerLater(clock, 5, flood, signal);
    const exists = swarm.contacts.some(({ key }) => key === contact.key);
    if (!exists) return silence(clock, TIMEOUT_MS, signal);
    return answerLater(clock, 5, swarm.answer(contact, target), signal);
  };
  const options = { ask, clock, seeds: swarm.seeds(target), paths: 4 };
  const done = await passing(clock, resultOf(lookup(target, options)));
  const live = nearest(target, swarm.contacts, 20);
  const found = keysOf(live).filter((key) => done.answered.has(key)).length;
  assert(asked < 100 && found >= 19, `${asked} asked, ${found} found`);
});

Deno.test("lookup refuses what makes no sense at once", () => {
  for (const patienceMs of [0, -1, NaN]) {
    assertThrows(
      () => lookup(ZERO, { ...new Desk(), seeds: [], patienceMs }),
      RangeError,
      "patienceMs must be above 0",
    );
  }
  assertThrows(() => lookup(ZERO, { ...new Desk(), seeds: [], k: 0 }), RangeError, "k must be");
});
