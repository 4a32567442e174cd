/**
 * What is still to happen, earliest first: a binary heap that keeps the times apart from the events, so that finding a
 * place touches plain numbers and no objects. What is due at the same time comes out in the order it was put in.
 *
 * @module
 */

/** Slots a queue begins with; it doubles when it is full. */
const FIRST_CAPACITY = 1024;

/** Events by time; see the module. */
export class EventQueue<E> {
  #times = new Float64Array(FIRST_CAPACITY);
  #orders = new Float64Array(FIRST_CAPACITY);
  #events: E[] = [];
  #pushed = 0;

  /** How many events wait. */
  get size(): number {
    return this.#events.length;
  }

  /** When the first event is due, in milliseconds; `Infinity` when none waits. */
  get nextMs(): number {
    return this.#events.length === 0 ? Infinity : this.#times[0] ?? Infinity;
  }

  /** Puts an event in. */
  push(atMs: number, event: E): void {
    const size = this.#events.length;
    if (size === this.#times.length) this.#grow();
    this.#events.push(event);
    this.#rise(size, atMs, this.#pushed++, event);
  }

  /** Takes the first event out, or `undefined` when none waits. */
  pop(): E | undefined {
    const first = this.#events[0];
    const last = this.#events.pop();
    const size = this.#events.length;
    if (last !== undefined && size > 0) {
      this.#sink(0, size, this.#times[size] as number, this.#orders[size] as number, last);
    }
    return first;
  }

  /** Throws away the events that are not to be kept; the others keep their times and their order. */
  keepOnly(keep: (event: E) => boolean): void {
    const [times, orders, events] = [this.#times, this.#orders, this.#events];
    let kept = 0;
    for (let at = 0; at < events.length; at++) {
      if (!keep(events[at] as E)) continue;
      times[kept] = times[at] as number;
      orders[kept] = orders[at] as number;
      events[kept++] = events[at] as E;
    }
    events.length = kept;
    for (let at = (kept >> 1) - 1; at >= 0; at--) {
      this.#sink(at, kept, times[at] as number, orders[at] as number, events[at] as E);
    }
  }

  #rise(from: number, atMs: number, order: number, event: E): void {
    const [times, orders, events] = [this.#times, this.#orders, this.#events];
    let at = from;
    while (at > 0) {
      const up = (at - 1) >> 1;
      if ((times[up] as number) <= atMs) break; // as early and older
      times[at] = times[up] as number;
      orders[at] = orders[up] as number;
      events[at] = events[up] as E;
      at = up;
    }
    times[at] = atMs;
    orders[at] = order;
    events[at] = event;
  }

  #sink(from: number, size: number, atMs: number, order: number, event: E): void {
    const [times, orders, events] = [this.#times, this.#orders, this.#events];
    let at = from;
    for (let down = 2 * at + 1; down < size; down = 2 * at + 1) {
      if (down + 1 < size && this.#isBefore(down + 1, times[down], orders[down])) down++;
      if (!this.#isBefore(down, atMs, order)) break;
      times[at] = times[down] as number;
      orders[at] = orders[down] as number;
      events[at] = events[down] as E;
      at = down;
    }
    times[at] = atMs;
    orders[at] = order;
    events[at] = event;
  }

  #isBefore(at: number, atMs = 0, order = 0): boolean {
    const time = this.#times[at] as number;
    return time < atMs || (time === atMs && (this.#orders[at] as number) < order);
  }

  #grow(): void {
    const [times, orders] = [this.#times, this.#orders];
    this.#times = new Float64Array(2 * times.length);
    this.#orders = new Float64Array(2 * orders.length);
    this.#times.set(times);
    this.#orders.set(orders);
  }
}
