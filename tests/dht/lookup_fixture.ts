import { assert, assertEquals } from "@std/assert";
import { type Clock, type ManualClock, seededRandom, sleep } from "../../src/clock.ts";
import { type Contact, contactOf } from "../../src/dht/contact.ts";
import type { LookupDone, LookupEvent } from "../../src/dht/lookup_events.ts";
import { commonBits, compareDistance, type NodeId } from "../../src/dht/node_id.ts";
import type { Answer } from "../../src/dht/questions.ts";
import { TimeoutError } from "../../src/errors.ts";

/** An id that begins with some bytes and ends with zeros. */
export function idOf(...first: number[]): NodeId {
  const id = new Uint8Array(20);
  id.set(first);
  return id;
}

/** The id that is all zeros: what is looked for, so that the distance of an id is the id itself. */
export const ZERO: NodeId = idOf();

/** A node whose distance from {@linkcode ZERO} begins with some bytes; each is at a port of its own. */
export function nodeAt(first: number | number[], hostname = "10.0.0.1", port?: number): Contact {
  const id = idOf(...[first].flat());
  const [a = 0, b = 0, c = 0] = id;
  return contactOf(id, { hostname, port: port ?? 1_000 + (((a << 8 | b) + 257 * c) % 60_000) });
}

export function naming(...nodes: Contact[]): Answer {
  return { nodes, records: [] };
}

export function randomId(random: () => number): NodeId {
  return Uint8Array.from({ length: 20 }, () => Math.floor(random() * 256));
}

/** Nodes in memory with the tables that they would have: of every distance at most k nodes. */
export class Swarm {
  readonly contacts: readonly Contact[];
  readonly random: () => number;
  readonly #tables = new Map<string, readonly Contact[]>();
  readonly #k = 20;

  constructor({ count = 500, seed = 1 } = {}) {
    const random = seededRandom(seed);
    this.random = random;
    this.contacts = Array.from(
      { length: count },
      (_, at) => contactOf(randomId(random), { hostname: "10.0.0.1", port: 1_000 + at }),
    );
  }

  /** Nodes by chance. */
  some(count: number): Contact[] {
    const from = Math.floor(this.random() * (this.contacts.length - count));
    return this.contacts.slice(from, from + count);
  }

  /** The nodes that somebody knows who are nearest to an id. */
  seeds(target: NodeId): Contact[] {
    const [someone] = this.some(1);
    assert(someone !== undefined);
    return nearest(target, this.#tableOf(someone), this.#k);
  }

  /** What a node answers. */
  answer({ key }: Contact, target: NodeId): Answer {
    const contact = this.contacts.find((other) => other.key === key);
    assert(contact !== undefined, "somebody was asked who does not exist");
    return naming(...nearest(target, this.#tableOf(contact), this.#k));
  }

  #tableOf({ id, key }: Contact): readonly Contact[] {
    const known = this.#tables.get(key);
    if (known !== undefined) return known;
    const counts = new Array<number>(161).fill(0);
    const table = this.contacts.filter((other) => {
      const bits = commonBits(id, other.id);
      return other.key !== key && (counts[bits] = (counts[bits] ?? 0) + 1) <= this.#k;
    });
    this.#tables.set(key, table);
    return table;
  }
}

/** The nearest of many, by sorting them all. */
export function nearest(target: NodeId, contacts: readonly Contact[], count: number): Contact[] {
  return contacts.toSorted((a, b) => compareDistance(target, a.id, b.id)).slice(0, count);
}

/** Answers after so long. */
export async function answerLater(
  clock: Clock,
  ms: number,
  answer: Answer,
  signal: AbortSignal,
): Promise<Answer> {
  await sleep(clock, ms, { signal });
  return answer;
}

/** Says nothing, until who asks gives up. */
export async function silence(clock: Clock, ms: number, signal: AbortSignal): Promise<never> {
  await sleep(clock, ms, { signal });
  throw new TimeoutError(`No answer in ${ms} ms`);
}

/** Lets time pass until something is done. */
export async function passing<T>(clock: ManualClock, work: Promise<T>): Promise<T> {
  let isDone = false;
  const done = () => void (isDone = true);
  work.then(done, done);
  for (let steps = 0; !isDone; steps++) {
    assert(steps < 10_000, "it never ends");
    await clock.advance(50);
  }
  return await work;
}

/** All that a lookup tells, in order; fails where that does not fit together. */
export async function collect(events: AsyncIterable<LookupEvent>): Promise<LookupEvent[]> {
  const all: LookupEvent[] = [];
  for await (const event of events) all.push(event);
  assertConsistent(all);
  return all;
}

/** The last event of a lookup, which says what was found. */
export async function resultOf(events: AsyncIterable<LookupEvent>): Promise<LookupDone> {
  const last = (await collect(events)).at(-1);
  assert(last?.type === "done");
  return last;
}

/** Whoever answers was asked, whoever is asked was named by one who answered, and the sums are right. */
function assertConsistent(events: readonly LookupEvent[]): void {
  const open = new Map<string, number>();
  const answered = new Map<string, number>();
  let [asked, failed] = [0, 0];
  for (const [at, event] of events.entries()) {
    if (event.type === "done") {
      assertEquals(at, events.length - 1, "nothing comes after the end");
      assertEquals([event.asked, event.failed], [asked, failed]);
      assertEquals([...event.answered], [...answered.keys()]);
      return;
    }
    const { contact: { key }, depth, path } = event;
    if (event.type === "asked") {
      assert(!open.has(key) && !answered.has(key), "somebody was asked twice");
      assertEquals(depth, event.by === undefined ? 1 : (answered.get(event.by.key) ?? NaN) + 1);
      open.set(key, path);
      asked++;
      continue;
    }
    assertEquals(open.get(key), path, "somebody was heard who was not asked");
    open.delete(key);
    if (event.type === "answered") answered.set(key, depth);
    else failed++;
  }
  assert(false, "it did not say that it is over");
}
