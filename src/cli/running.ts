/**
 * What verbs share that run until they are interrupted: one peer for a home, what others sent, the end.
 *
 * @module
 */

import { printable } from "../log.ts";
import type { Peer } from "../peer.ts";
import { Home, resolveHome } from "../state/home.ts";
import { encodeJson } from "../wire/json.ts";
import { toNotation } from "./notation.ts";
import type { Output } from "./output.ts";
import type { Invocation } from "./verbs.ts";

/** Longest data that people are shown, in UTF-16 units. */
const MAX_SHOWN_CHARS = 2_000;

/** A home that a running peer holds. */
export interface HeldHome extends Disposable {
  /** The home; `undefined` where nothing is kept. */
  readonly home: Home | undefined;
  /** Whether another peer runs with it, which was said. @default {false} */
  readonly isShared?: boolean;
}

/** Holds the home, and says so when another peer runs with it, and so as the same peer. */
export function holdHome(invocation: Invocation): HeldHome {
  const { options, output, host } = invocation;
  if (host !== undefined) return { home: host.home, [Symbol.dispose]: () => {} };
  if (options.has("ephemeral")) return { home: undefined, [Symbol.dispose]: () => {} };
  const home = homeOf(invocation);
  const file = openLock(home);
  const isShared = !file.tryLockSync(true);
  if (isShared) {
    output.note(
      "Another kith runs with this home, as the same peer: each will be taken for the other, and " +
        "that one takes the commands until it ends. With --home DIR or --ephemeral this one is another peer",
    );
  }
  return { home, isShared, [Symbol.dispose]: () => file.close() };
}

/** Whether another peer runs with this home. */
export function isHomeHeld(invocation: Invocation): boolean {
  if (invocation.host !== undefined || invocation.options.has("ephemeral")) return false;
  using file = openLock(homeOf(invocation));
  return !file.tryLockSync(true);
}

function homeOf({ options, output }: Invocation): Home {
  return Home.open(options.text("home") ?? resolveHome(), { log: output.log });
}

/** What a peer locks while it runs. The system frees the lock of a process that ends, however that happens. */
function openLock(home: Home): Deno.FsFile {
  return Deno.openSync(home.path("up.lock"), { create: true, write: true, mode: 0o600 });
}

/** Resolves when the signal aborts. */
export function interrupted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => resolve(), { once: true });
  if (signal.aborted) resolve();
  return promise;
}

/** Prints data of any type that somebody sent. What is nested too deeply for JSON is theirs to answer for: it is noted. */
export function showData(
  facts: Record<string, unknown>,
  who: string,
  data: unknown,
  output: Output,
): void {
  const shown = toNotation(data);
  try {
    const text = typeof shown === "string" ? shown : encodeJson(shown);
    output.result({ ...facts, data: shown }, `${who}: ${printable(text, MAX_SHOWN_CHARS)}`);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    output.note(`${who}: ${error.message}`);
  }
}

/** Says what was counted: to programs as the last line, to people where they ask for it by `--log info`. */
export function announceClosed(peer: Peer, output: Output): void {
  const counters = peer.metrics.snapshot();
  if (output.json) output.result({ event: "closed", counters }, "");
  else output.log.info("closed", counters);
}
