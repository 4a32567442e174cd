/**
 * Sets off every bomb in a process of its own, and says what each of them cost.
 *
 * @module
 */

import { PeerError } from "../../src/errors.ts";
import { BOMBS } from "./bombs.ts";

/** What a bomb did. */
export interface Damage {
  readonly name: string;
  /** What the error was, if there was one. */
  readonly error?: string;
  /** Whether it was one of ours. */
  readonly isOurs: boolean;
  /** By how much memory grew: of the process, and outside the heap. */
  readonly rssBytes: number;
  readonly externalBytes: number;
  readonly ms: number;
}

/** What a bomb made is still there when memory is looked at. */
const held: unknown[] = [];

const collect = Reflect.get(globalThis, "gc") as () => void;

if (import.meta.main) {
  for (const { name, arm } of BOMBS) {
    const explode = arm();
    collect();
    const before = Deno.memoryUsage();
    const startedMs = performance.now();
    let error: unknown;
    try {
      held.push(await explode());
    } catch (thrown) {
      error = thrown;
    }
    const ms = performance.now() - startedMs;
    const after = Deno.memoryUsage();
    const damage: Damage = {
      name,
      ...(error === undefined ? {} : { error: String(error) }),
      isOurs: error instanceof PeerError,
      rssBytes: after.rss - before.rss,
      externalBytes: after.external - before.external,
      ms,
    };
    // deno-lint-ignore no-console -- whoever started it has to know
    console.log(JSON.stringify(damage));
    held.length = 0;
  }
}
