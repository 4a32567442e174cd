/**
 * Messages that want no answer, as many as each command says, each taken by a handler; the same loop for every way to
 * send. Prints `{ seconds }`, until the handlers have taken all.
 *
 * @module
 */

import { type Ends, runServedPair } from "./served_pair.ts";

const PAYLOAD_BYTES = 64;

/** One way to send. */
export interface Notifier {
  /** Sends. @returns what to wait for before more is sent, if anything. */
  post(payload: Uint8Array): Promise<void> | undefined;
  /** Asks how many have been taken since it was last asked; overtakes none. */
  taken(): Promise<number>;
}

/** Counts what a handler takes. */
export class Counter {
  #count = 0;

  /** One more. */
  readonly add = (): void => {
    this.#count++;
  };

  /** The count, which starts anew. */
  take(): number {
    const count = this.#count;
    this.#count = 0;
    return count;
  }
}

/** Is the server with the handler, or the client that sends. */
export async function runNotify(ends: Ends<Notifier>): Promise<void> {
  const payload = crypto.getRandomValues(new Uint8Array(PAYLOAD_BYTES));
  await runServedPair(ends, async (notifier, command) => {
    const count = Number(command);
    const startedAt = performance.now();
    for (let i = 0; i < count; i++) {
      const busy = notifier.post(payload);
      if (busy !== undefined) await busy;
    }
    const taken = await notifier.taken();
    if (taken !== count) throw new Error(`Cannot measure: ${taken} of ${count} arrived`);
    return { seconds: (performance.now() - startedAt) / 1000 };
  });
}
