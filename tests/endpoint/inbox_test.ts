import { assert, assertEquals, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { FairInbox, MAX_WAITING_CONTROL, type Priority } from "../../src/endpoint/inbox.ts";

const PRIORITIES = ["control", "request", "bulk"] as const;

function shiftAll<T>(inbox: FairInbox<T>): T[] {
  return Array.from({ length: inbox.size }, () => inbox.shift() as T);
}

Deno.test("FairInbox gives items of one source by priority, then age", () => {
  const inbox = new FairInbox<string>();
  const pushed: [Priority, string][] = [
    ["bulk", "b1"],
    ["request", "r1"],
    ["bulk", "b2"],
    ["control", "c1"],
    ["request", "r2"],
    ["control", "c2"],
  ];
  for (const [priority, item] of pushed) assert(inbox.push("alice", priority, item));
  assertEquals([inbox.size, inbox.sizeOf("alice"), inbox.sizeOf("bob")], [6, 6, 0]);
  assertEquals(shiftAll(inbox), ["c1", "c2", "r1", "r2", "b1", "b2"]);
  assertEquals([inbox.shift(), inbox.size, inbox.sizeOf("alice")], [undefined, 0, 0]);
});

Deno.test("FairInbox lets one item of a source past a thousand of another", () => {
  const inbox = new FairInbox<string>();
  for (let i = 0; i < 1_000; i++) assert(inbox.push("flood", "request", "flood"));
  for (let i = 0; i < 10; i++) inbox.shift();
  assert(inbox.push("honest", "bulk", "honest"));
  assert([inbox.shift(), inbox.shift()].includes("honest"));
});

Deno.test("FairInbox takes turns: nobody goes twice while another waits", () => {
  const inbox = new FairInbox<string>();
  const waiting = { a: 5, b: 2, c: 3 };
  for (const [source, count] of Object.entries(waiting)) {
    for (let i = 0; i < count; i++) inbox.push(source, "request", source);
  }
  assertEquals(shiftAll(inbox).join(""), "abcabcacaa");
});

Deno.test("FairInbox tells sources apart by identity, and text by its characters", () => {
  const inbox = new FairInbox<number>();
  const [first, second] = [{ id: 1 }, { id: 1 }];
  inbox.push(first, "request", 1);
  inbox.push(second, "request", 2);
  inbox.push("text", "request", 3);
  inbox.push(["te", "xt"].join(""), "request", 4);
  assertEquals([first, second, "text"].map((source) => inbox.sizeOf(source)), [1, 1, 2]);
});

Deno.test("FairInbox refuses the newest when its source has as many as it may", () => {
  const inbox = new FairInbox<number>({ perSource: 3 });
  assert(inbox.push("a", "request", 1));
  assert(inbox.push("a", "bulk", 2));
  assert(inbox.push("a", "request", 3));
  assert(!inbox.push("a", "request", 4));
  assert(!inbox.push("a", "bulk", 5));
  assert(inbox.push("b", "bulk", 6));
  assert(inbox.push("a", "control", 7));
  assertEquals(inbox.shift(), 7); // room for control again, not for others
  assert(!inbox.push("a", "bulk", 8));
  assertEquals(shiftAll(inbox), [6, 1, 3, 2]);
  assert(inbox.push("a", "bulk", 9));
});

Deno.test("FairInbox refuses the newest when all together have as many as they may", () => {
  const inbox = new FairInbox<number>({ perSource: 3, total: 4 });
  for (let i = 0; i < 4; i++) assert(inbox.push(`peer ${i}`, "request", i));
  assert(!inbox.push("peer 4", "request", 4));
  assertEquals(inbox.sizeOf("peer 4"), 0);
  for (let i = 0; i < 4; i++) assert(inbox.push(`peer ${i}`, "control", 10 + i));
  assert(!inbox.push("peer 4", "control", 14)); // control has a bound of its own
  assertEquals(shiftAll(inbox), [10, 11, 12, 13, 0, 1, 2, 3]);
});

Deno.test("FairInbox lets control in where nothing else fits, up to its own bound", () => {
  const inbox = new FairInbox<string>({ perSource: 10 });
  while (inbox.push("a", "bulk", "bulk"));
  while (inbox.push("a", "control", "control"));
  assertEquals(inbox.sizeOf("a"), 10 + MAX_WAITING_CONTROL);
  assertEquals(inbox.shift(), "control");
  assert(inbox.push("a", "control", "control"));
  assert(inbox.push("b", "control", "control"));
});

Deno.test("FairInbox.drop gives back what waited and leaves the others their turns", () => {
  const inbox = new FairInbox<string>({ perSource: 2, total: 4 });
  for (const source of ["a", "b", "c"]) inbox.push(source, "request", source);
  inbox.push("b", "bulk", "b bulk");
  inbox.push("b", "control", "b control");
  assertEquals(inbox.shift(), "a");
  assertEquals(inbox.drop("b"), ["b control", "b", "b bulk"]); // whose turn it was
  assertEquals(inbox.drop("b"), []);
  assertEquals([inbox.size, inbox.sizeOf("b")], [1, 0]);
  inbox.push("b", "request", "b again");
  assertEquals(shiftAll(inbox), ["c", "b again"]);
  for (let i = 0; i < 4; i++) assert(inbox.push(`${i}`, "bulk", "room for all again"));
});

Deno.test("FairInbox does what a plain list of lists does", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = seededRandom(seed);
    const limits = { perSource: 5, total: 12 };
    const inbox = new FairInbox<number>(limits);
    const model = new NaiveInbox(limits.perSource, limits.total);
    const tendency = 0.3 + 0.4 * random(); // some runs stay full, some empty
    for (let step = 0; step < 2_000; step++) {
      const source = `peer ${Math.floor(random() * 6)}`;
      const note = `seed ${seed}, step ${step}`;
      const action = random();
      if (action < 0.05) assertEquals(inbox.drop(source), model.drop(source), note);
      else if (action < 0.05 + tendency) {
        const priority = PRIORITIES[Math.floor(random() * 3)] ?? "bulk";
        assertEquals(inbox.push(source, priority, step), model.push(source, priority, step), note);
      } else assertEquals(inbox.shift(), model.shift(), note);
      assertEquals(inbox.size, model.items.length, note);
      assertEquals(inbox.sizeOf(source), model.of(source).length, note);
    }
  }
});

Deno.test("FairInbox keeps its pace however much waits", () => {
  const [count, sources] = [200_000, 50_000];
  const inbox = new FairInbox<number>({ perSource: count, total: count });
  const startMs = performance.now();
  for (let i = 0; i < count; i++) inbox.push("one", "request", i);
  for (let i = 0; i < count; i++) assert(inbox.shift() === i);
  for (let i = 0; i < sources; i++) inbox.push(`${i}`, "request", i);
  for (let i = 0; i < sources; i += 2) inbox.drop(`${i}`);
  for (let i = 1; i < sources; i += 2) assert(inbox.shift() === i);
  // Quadratic work would take minutes.
  assert(performance.now() - startMs < 5_000);
});

Deno.test("FairInbox refuses limits that are no positive integers", () => {
  for (const limit of [0, -1, 1.5, NaN, Infinity]) {
    assertThrows(() => new FairInbox({ perSource: limit }), RangeError, "perSource must be");
    assertThrows(() => new FairInbox({ total: limit }), RangeError, `current value is ${limit}`);
  }
});

interface Item {
  readonly source: string;
  readonly priority: Priority;
  readonly value: number;
}

/** The same, slow and obvious: one list of items and one of turns. */
class NaiveInbox {
  items: Item[] = [];
  turns: string[] = [];
  readonly #perSource: number;
  readonly #total: number;

  constructor(perSource: number, total: number) {
    this.#perSource = perSource;
    this.#total = total;
  }

  of(source: string): Item[] {
    return this.items.filter((item) => item.source === source);
  }

  push(source: string, priority: Priority, value: number): boolean {
    const control = priority === "control";
    const alike = this.items.filter((item) => (item.priority === "control") === control);
    const own = alike.filter((item) => item.source === source);
    if (own.length >= (control ? MAX_WAITING_CONTROL : this.#perSource)) return false;
    if (alike.length >= this.#total) return false;
    this.items.push({ source, priority, value });
    if (!this.turns.includes(source)) this.turns.push(source);
    return true;
  }

  shift(): number | undefined {
    const source = this.turns.shift();
    if (source === undefined) return undefined;
    const item = this.#inOrder(source)[0];
    this.items = this.items.filter((other) => other !== item);
    if (this.of(source).length > 0) this.turns.push(source);
    return item?.value;
  }

  drop(source: string): number[] {
    const dropped = this.#inOrder(source);
    this.items = this.items.filter((item) => item.source !== source);
    this.turns = this.turns.filter((turn) => turn !== source);
    return dropped.map(({ value }) => value);
  }

  #inOrder(source: string): Item[] {
    return PRIORITIES.flatMap((priority) =>
      this.of(source).filter((item) => item.priority === priority)
    );
  }
}
