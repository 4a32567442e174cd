/**
 * What leaves together: all that is said in one turn of the event loop goes out at its end, one write for each line.
 *
 * A message to a thousand clients costs a thousand writes, and those are nearly all that it costs. Ten messages in one
 * turn cost no more where the other side reads batches.
 *
 * @module
 */

import { setImmediate } from "node:timers";

/** What has something to send. */
export interface Departing {
  /** Sends it. */
  flush(): void;
}

let waiting: Departing[] = [];

/** Has something flushed at the end of this turn. Who is waiting already need not ask again. */
export function departLater(one: Departing): void {
  if (waiting.push(one) === 1) setImmediate(departAll);
}

function departAll(): void {
  const leaving = waiting;
  waiting = [];
  for (const one of leaving) one.flush();
}
