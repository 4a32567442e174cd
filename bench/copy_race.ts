/**
 * Two ways to copy the same files between two processes, from memory to memory.
 *
 * Every copy is compared with its source, outside the time. One of each goes before those that count, so that the machine
 * has the memory at hand and the programs are warm.
 *
 * @module
 */

import { type Amount, digestOf, empty, MemoryFolder } from "./memory_folder.ts";
import type { Contest, Race } from "./question.ts";
import { spread } from "./stats.ts";

/** A way to copy, ready to run. */
export interface Copier extends AsyncDisposable {
  /** Copies once. @returns the seconds it took. */
  copy(): Promise<number>;
  /** What else was seen, in a few words. */
  note?(): string;
}

/** Makes a way ready that copies `source` into the folder `target`. @throws {Unavailable} where it cannot be had. */
export type Way = (source: string, target: string) => Promise<Copier>;

/** What is copied. */
export interface Load {
  /** How much, all copies together. */
  readonly amount: Amount;
  /** Copies that are made at once, each into a folder of its own. @default one, into the target itself */
  readonly copies?: number;
  /** What a speed counts. */
  readonly counts: keyof Amount;
  /** Makes the file or folder. */
  make(path: string): void;
}

/** A question about copying. */
export interface CopyRace extends Omit<Race, "type" | "unit" | "open"> {
  readonly load: Load;
  readonly ours: Way;
  readonly baseline: Way;
}

/** The question as the table takes it. */
export function copyRace({ load, ours, baseline, ...rest }: CopyRace): Race {
  const unit = load.counts === "bytes" ? "bytes" : "messages";
  return { type: "race", unit, ...rest, open: () => contest(load, { ours, baseline }) };
}

/** Where the copies of one source go. @param copies As in {@linkcode Load}. */
export function placesOf(target: string, copies?: number): string[] {
  if (copies === undefined) return [target];
  return Array.from({ length: copies }, (_, at) => `${target}/${at}`);
}

/** The median of some times, for a note. */
export function medianSeconds(times: readonly number[]): string {
  return `${spread(times).median.toFixed(2)} s`;
}

async function contest(load: Load, ways: Record<"ours" | "baseline", Way>): Promise<Contest> {
  await using opened = new AsyncDisposableStack();
  const { path } = opened.use(MemoryFolder.make(load.amount));
  const source = `${path}/source`;
  const targets = { ours: `${path}/ours`, baseline: `${path}/baseline` };
  const places = {
    ours: placesOf(targets.ours, load.copies),
    baseline: placesOf(targets.baseline, load.copies),
  };
  for (const place of [...places.ours, ...places.baseline]) {
    Deno.mkdirSync(place, { recursive: true });
  }
  const copiers = {
    baseline: opened.use(await ways.baseline(source, targets.baseline)),
    ours: opened.use(await ways.ours(source, targets.ours)),
  };
  load.make(source);
  const digest = digestOf(source);

  async function run(side: keyof typeof targets): Promise<number> {
    const seconds = await copiers[side].copy();
    for (const place of places[side]) {
      if (digestOf(`${place}/source`) !== digest) {
        throw new Error("Cannot measure: the copy differs");
      }
      empty(place);
    }
    return load.amount[load.counts] / seconds;
  }

  await run("baseline");
  await run("ours");
  const { ours, baseline } = copiers;
  const all = opened.move();
  return {
    ours: () => run("ours"),
    baseline: () => run("baseline"),
    ...((ours.note ?? baseline.note) && { note: () => noteOf(copiers) }),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

function noteOf({ ours, baseline }: Record<"ours" | "baseline", Copier>): string {
  const notes = [["ours", ours.note?.()], ["baseline", baseline.note?.()]];
  return notes.filter(([, note]) => note !== undefined).map((pair) => pair.join(": ")).join("; ");
}
