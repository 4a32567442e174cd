/**
 * The attack of `folder_swapper.ts` as tests use it: started, counted, and watched for anything that gets out.
 *
 * @module
 */

import type { SwapOrder } from "./folder_swapper.ts";

/** A folder beside the one that is attacked: nothing may ever be written to it, not even for a moment. */
export class Secret implements Disposable {
  readonly dir: string;
  readonly #watcher: Deno.FsWatcher;
  readonly #seen: Promise<string[]>;

  /** Makes the folder, with a file in it, and watches it. */
  constructor(dir: string) {
    this.dir = dir;
    Deno.mkdirSync(dir);
    Deno.writeTextFileSync(`${dir}/canary`, "alive");
    this.#watcher = Deno.watchFs(dir);
    this.#seen = collect(this.#watcher);
  }

  /** Everything that happened in it, also what is gone again. */
  async touched(): Promise<string[]> {
    // What the system has noticed is delivered in order: once this mark is seen, so is all before it.
    Deno.writeTextFileSync(`${this.dir}/mark`, "");
    return (await this.#seen).filter((path) => path !== `${this.dir}/mark`);
  }

  [Symbol.dispose](): void {
    try {
      this.#watcher.close();
    } catch {
      // The mark has ended it.
    }
  }
}

async function collect(watcher: Deno.FsWatcher): Promise<string[]> {
  const seen: string[] = [];
  for await (const { kind, paths } of watcher) {
    if (kind === "access") continue;
    seen.push(...paths);
    if (paths.some((path) => path.endsWith("/mark"))) break;
  }
  return seen;
}

/** Somebody who swaps a folder for a link to another, thousands of times a second, until disposed of. */
export class Swapper implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #over = Promise.withResolvers<void>();
  readonly #swaps = new SharedArrayBuffer(4);
  readonly #stop = new SharedArrayBuffer(4);

  private constructor() {
    this.#worker = new Worker(new URL("./folder_swapper.ts", import.meta.url), { type: "module" });
    this.#worker.onmessage = () => this.#over.resolve();
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#over.reject(new Error(event.message));
    };
  }

  /** Starts one, and waits until it is at work. */
  static async start(folder: string, secret: string): Promise<Swapper> {
    const swapper = new Swapper();
    const order: SwapOrder = {
      folder,
      secret,
      swaps: swapper.#swaps,
      stop: swapper.#stop,
    };
    swapper.#worker.postMessage(order);
    while (swapper.swaps === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    return swapper;
  }

  /** How often the link was in place so far. */
  get swaps(): number {
    return Atomics.load(new Int32Array(this.#swaps), 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    Atomics.store(new Int32Array(this.#stop), 0, 1);
    await this.#over.promise;
    this.#worker.terminate();
  }
}
