/**
 * What waits to be worked on: an inbox per source, bounded, and emptied in turn so that nobody waits for another's flood.
 *
 * Overflow policy: the newest is refused and nothing else is touched; whoever pushes says so to who sent it.
 *
 * @module
 */

/** What goes first among the items of one source: control before requests before bulk. */
export type Priority = "control" | "request" | "bulk";

/** How much may wait. */
export interface FairInboxOptions {
  /** Most requests and bulk items of one source: some seconds of work for a handler of a few milliseconds. @default {1024} */
  perSource?: number;
  /** Most requests and bulk items of all sources: sixteen that are full. Control items have the same again. @default {16384} */
  total?: number;
}

/** Most control items of one source; they are few and small, and get in where requests and bulk items have no room. */
export const MAX_WAITING_CONTROL = 64;

const FIRST_TO_LAST = ["control", "request", "bulk"] as const;

/**
 * Inboxes of many sources, taken from in turn: one item of each source that has any.
 *
 * Every operation takes constant time on average, whatever waits; a source that nothing waits of takes no memory.
 *
 * @example
 * ```ts
 * import { FairInbox } from "@kith/kith/endpoint";
 * import { assertEquals } from "@std/assert";
 *
 * const inbox = new FairInbox<string>();
 * for (const item of ["a1", "a2", "a3"]) inbox.push("alice", "request", item);
 * inbox.push("bob", "bulk", "b1");
 * inbox.push("alice", "control", "stop");
 * const order = Array.from({ length: inbox.size }, () => inbox.shift());
 * assertEquals(order, ["stop", "b1", "a1", "a2", "a3"]);
 * ```
 */
export class FairInbox<T> {
  readonly #perSource: number;
  readonly #total: number;
  readonly #sources = new Map<object | string, Source<T>>();
  // Whose turn it is, in a ring of all that have something.
  #turn: Source<T> | undefined;
  #control = 0;
  #others = 0;

  /** Makes an empty inbox. @throws {RangeError} when a limit is not a positive integer. */
  constructor(options: FairInboxOptions = {}) {
    const { perSource = 1_024, total = 16_384 } = options;
    for (const [name, limit] of Object.entries({ perSource, total })) {
      if (Number.isInteger(limit) && limit >= 1) continue;
      throw new RangeError(`${name} must be a positive integer: current value is ${limit}`);
    }
    this.#perSource = perSource;
    this.#total = total;
  }

  /** How many items wait. */
  get size(): number {
    return this.#control + this.#others;
  }

  /** How many items of a source wait. */
  sizeOf(source: object | string): number {
    return this.#sources.get(source)?.size ?? 0;
  }

  /**
   * Adds an item behind those of its source and priority; a source that had none is the last to have its turn.
   *
   * @returns `false` when its source, or all together, have as many as they may; then nothing was taken.
   */
  push(source: object | string, priority: Priority, item: T): boolean {
    const known = this.#sources.get(source);
    if (!this.#hasRoom(known, priority)) return false;
    const { lanes } = known ?? this.#enter(source);
    lanes[priority].push(item);
    this.#count(priority, 1);
    return true;
  }

  /** Takes the next item: of the source whose turn it is, the oldest of its highest priority. */
  shift(): T | undefined {
    const source = this.#turn;
    if (source === undefined) return undefined;
    this.#turn = source.next;
    const priority = source.firstPriority;
    const item = source.lanes[priority].shift();
    this.#count(priority, -1);
    if (source.size === 0) this.#leave(source);
    return item;
  }

  /** Forgets a source. @returns what waited of it, in the order in which it would have gone. */
  drop(source: object | string): T[] {
    const known = this.#sources.get(source);
    if (known === undefined) return [];
    this.#leave(known);
    return FIRST_TO_LAST.flatMap((priority) => {
      const items = known.lanes[priority].rest();
      this.#count(priority, -items.length);
      return items;
    });
  }

  // Control is counted apart, so that a flood of anything else cannot keep it out.
  #hasRoom(source: Source<T> | undefined, priority: Priority): boolean {
    const control = source?.lanes.control.size ?? 0;
    if (priority === "control") {
      return control < MAX_WAITING_CONTROL && this.#control < this.#total;
    }
    const others = (source?.size ?? 0) - control;
    return others < this.#perSource && this.#others < this.#total;
  }

  #count(priority: Priority, by: number): void {
    if (priority === "control") this.#control += by;
    else this.#others += by;
  }

  // Before the one whose turn it is: the place in the ring that comes last.
  #enter(key: object | string): Source<T> {
    const source = new Source<T>(key);
    this.#sources.set(key, source);
    this.#turn ??= source;
    source.next = this.#turn;
    source.previous = this.#turn.previous;
    source.previous.next = source;
    source.next.previous = source;
    return source;
  }

  #leave(source: Source<T>): void {
    this.#sources.delete(source.key);
    source.previous.next = source.next;
    source.next.previous = source.previous;
    if (this.#turn === source) this.#turn = source.next === source ? undefined : source.next;
  }
}

/** A source that something waits of: its lanes, and its place in the ring. */
class Source<T> {
  readonly key: object | string;
  readonly lanes: Readonly<Record<Priority, Lane<T>>> = {
    control: new Lane(),
    request: new Lane(),
    bulk: new Lane(),
  };
  next: Source<T> = this;
  previous: Source<T> = this;

  constructor(key: object | string) {
    this.key = key;
  }

  get size(): number {
    const { control, request, bulk } = this.lanes;
    return control.size + request.size + bulk.size;
  }

  get firstPriority(): Priority {
    if (this.lanes.control.size > 0) return "control";
    return this.lanes.request.size > 0 ? "request" : "bulk";
  }
}

/** Items in their order. What was taken leaves a gap at the front, closed when it is half of the array. */
class Lane<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get size(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** The oldest; the caller knows that there is one. */
  shift(): T {
    const item = this.#items[this.#head] as T;
    this.#items[this.#head++] = undefined; // nobody holds what was taken
    if (this.#head * 2 >= this.#items.length) this.#items = this.rest();
    return item;
  }

  /** Takes all, oldest first. */
  rest(): T[] {
    const items = this.#items.slice(this.#head) as T[];
    this.#items = [];
    this.#head = 0;
    return items;
  }
}
