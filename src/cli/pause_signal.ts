/**
 * A signal that stops transfers for a while.
 *
 * @module
 */

import type { Invocation } from "./verb.ts";

/** What can be stopped for a while. */
export interface Pausable {
  /** Whether it is. */
  readonly paused: boolean;
  /** Stops it. */
  pause(): void;
  /** Lets it go on. */
  resume(): void;
}

/**
 * The first SIGUSR2 stops what there is, the next lets it go on, until what is returned is disposed of. Not SIGUSR1: with
 * that the runtime opens its debugger.
 */
export function toggleOnSignal(what: Pausable, { output, host }: Invocation): Disposable {
  const toggle = () => {
    if (what.paused) what.resume();
    else what.pause();
    output.note(what.paused ? "paused; the same signal again goes on" : "goes on");
  };
  return host === undefined ? onToggle(toggle) : host.onToggle(toggle);
}

/** Has something done at each such signal to this process, until disposed of. */
export function onToggle(toggle: () => void): Disposable {
  if (Deno.build.os === "windows") return { [Symbol.dispose]: () => {} }; // it has no such signal
  Deno.addSignalListener("SIGUSR2", toggle);
  return { [Symbol.dispose]: () => Deno.removeSignalListener("SIGUSR2", toggle) };
}
