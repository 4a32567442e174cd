/**
 * How much is done at the same time.
 *
 * @module
 */

/**
 * Slots for work; who finds none waits, first come, first served.
 *
 * @example
 * ```ts
 * import { MemoryIndex, SyncFolder } from "@kith/kith/sync";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * const folder = await SyncFolder.open({ dir, index: new MemoryIndex() });
 * await Deno.writeTextFile(`${dir}/a.txt`, "one");
 * const text = await folder.shelf.reading.use(() => Deno.readTextFile(`${dir}/a.txt`));
 * assertEquals(text, "one");
 * await folder.close();
 * await Deno.remove(dir, { recursive: true });
 * ```
 */
export class Slots {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  /** All free. */
  constructor(count: number) {
    this.#free = count;
  }

  /** Does work in a slot, as soon as there is one. */
  async use<T>(work: () => Promise<T>): Promise<T> {
    await this.take();
    try {
      return await work();
    } finally {
      this.give();
    }
  }

  /** Takes a slot, as soon as there is one. */
  async take(): Promise<void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Gives a slot back that was taken. */
  give(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}
