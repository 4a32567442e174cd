/**
 * Folders that real processes keep alike.
 *
 * @module
 */

import { join } from "node:path";
import { PARTIAL_FOLDER } from "../../src/transfer/safe_path.ts";
import { Kith } from "./process.ts";
import { Scratch, sha256Of } from "./scratch.ts";

/** How long folders may take to become alike: far longer than they do, on a machine that is busy. */
const PATIENCE_MS = 30_000;

const LOOK_EVERY_MS = 50;

/** Folders of one test, and the homes of who keeps them alike. */
export class SyncScene implements AsyncDisposable {
  readonly #scratch: Scratch;
  readonly #processes = new AsyncDisposableStack();

  private constructor(scratch: Scratch) {
    this.#scratch = scratch;
  }

  /** Makes a place for them. */
  static async make(): Promise<SyncScene> {
    return new SyncScene(await Scratch.make());
  }

  /** A path in that place. */
  path(...names: string[]): string {
    return this.#scratch.path(...names);
  }

  /** The option for somebody's home. */
  homeOf(name: string): string[] {
    return ["--home", this.path(`home of ${name}`)];
  }

  /** Writes a file, with the folders on the way. */
  async write(name: string, contents: string | Uint8Array): Promise<string> {
    return await this.#scratch.write(name, contents);
  }

  /** Serves the folder of that name. */
  async serve(name: string, ...options: readonly string[]): Promise<Served> {
    Deno.mkdirSync(this.path(name), { recursive: true });
    const port = options.includes("--http-port") ? [] : ["--http-port", "0"];
    const args = ["sync", "serve", this.path(name), "--host", "127.0.0.1", ...port, ...options];
    const kith = this.#start([...args, ...this.homeOf(name)]);
    const { http } = await kith.event("ready");
    return { kith, port: Number(http), address: `127.0.0.1:${http}` };
  }

  /** Joins the folder of that name with the one that is served. */
  join(name: string, url: string, ...options: readonly string[]): Kith {
    return this.#start(["sync", "join", this.path(name), url, ...options, ...this.homeOf(name)]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#processes.disposeAsync();
    await this.#scratch[Symbol.asyncDispose]();
  }

  #start(args: readonly string[]): Kith {
    return this.#processes.use(Kith.start([...args, "--json"]));
  }
}

/** A hub. */
export interface Served {
  /** Its process. */
  readonly kith: Kith;
  /** Its port. */
  readonly port: number;
  /** Its address. */
  readonly address: string;
}

/** What is in a folder, sorted: `path/`, or a path and the hash of the file; not what only this end has. */
export function treeOf(dir: string, prefix = ""): string[] {
  return [...Deno.readDirSync(dir)].flatMap(({ name, isDirectory }) => {
    if (name === PARTIAL_FOLDER) return [];
    const path = prefix + name;
    if (isDirectory) return [`${path}/`, ...treeOf(join(dir, name), `${path}/`)];
    return [`${path} ${sha256Of(Deno.readFileSync(join(dir, name)))}`];
  }).sort();
}

/** Waits until folders are alike, and have been for some time. @returns what is in them. */
export async function untilAlike(
  dirs: readonly string[],
  { forMs = 0, patienceMs = PATIENCE_MS }: { forMs?: number; patienceMs?: number } = {},
): Promise<string[]> {
  const endMs = performance.now() + patienceMs;
  let sinceMs = performance.now();
  let before = "";
  for (;;) {
    const trees = dirs.map(treeNow);
    const [first = "", ...others] = trees.map((tree) => tree.join("\n"));
    const isAlike = others.every((tree) => tree === first);
    if (!isAlike || first !== before) sinceMs = performance.now();
    before = first;
    if (isAlike && performance.now() - sinceMs >= forMs) return trees[0] ?? [];
    if (performance.now() > endMs) throw new Error(`They stay different:\n${differences(trees)}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

/** The tree, as far as nothing of it is moved while it is looked at. */
function treeNow(dir: string): string[] {
  try {
    return treeOf(dir);
  } catch (error) {
    if (error instanceof Error && "code" in error) return [`changing ${crypto.randomUUID()}`];
    throw error;
  }
}

function differences(trees: readonly (readonly string[])[]): string {
  const lines = new Set(trees.flat());
  const odd = [...lines].filter((line) => !trees.every((tree) => tree.includes(line)));
  return odd.map((line) => {
    const where = trees.flatMap((tree, nth) => tree.includes(line) ? [nth] : []);
    return `in ${where.join(", ")}: ${line}`;
  }).join("\n");
}
