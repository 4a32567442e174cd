/**
 * Waiting for no longer than somebody wants to: a handshake's time, a caller's signal.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { TimeoutError } from "../errors.ts";
import type { Connection } from "../transport/transport.ts";

/**
 * Runs `work` on a connection that is closed when it takes longer than `limitMs` or fails.
 *
 * @throws {TimeoutError} when the time is over, whatever `work` makes of the closed connection.
 */
export async function withinTime<T>(
  connection: Pick<Connection, "close">,
  clock: Clock,
  limitMs: number,
  work: () => Promise<T>,
): Promise<T> {
  let late = false;
  const timer = clock.after(limitMs, () => {
    late = true;
    connection.close();
  });
  try {
    return await work();
  } catch (error) {
    connection.close();
    throw late ? tookTooLong(limitMs, error) : error;
  } finally {
    timer.cancel();
  }
}

/** The error of a handshake that is not done in time. */
export function tookTooLong(limitMs: number, cause?: unknown): TimeoutError {
  return new TimeoutError(`The handshake took longer than handshakeMs ${limitMs}`, {
    cause,
    details: { limit: "handshakeMs", max: limitMs },
  });
}

/** A promise that rejects with the signal's reason when that aborts first. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
