/**
 * Three clients of a hub whose folders are edited at random, while connections are cut and processes end and begin anew.
 * `KITH_SYNC_SEEDS=50` tries more, `KITH_SYNC_SEED=7` begins with that one.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import { seededRandom } from "../../src/clock.ts";
import { CuttingProxy } from "../sync/cutting_proxy.ts";
import type { Kith } from "./process.ts";
import { sha256Of } from "./scratch.ts";
import { type Served, SyncScene, treeOf, untilAlike } from "./sync_folders.ts";

const SEEDS = Number(Deno.env.get("KITH_SYNC_SEEDS") ?? 1);
const FIRST_SEED = Number(Deno.env.get("KITH_SYNC_SEED") ?? 1 + Math.floor(Math.random() * 1e6));

/** Names that meet, in case, in Unicode form, and as a file and a folder. */
const NAMES = [
  "a",
  "A",
  "b",
  "note.txt",
  "Note.txt",
  "docs",
  "Docs",
  "\u00e9t\u00e9",
  "e\u0301te\u0301",
];

const ACTIONS = 90;

/** So many of them are not edits. */
const CUTS = 5;
const RESTARTS = 2;

/** How long nothing may change before it counts as the end: a round that notes all comes 2 seconds after an edit. */
const QUIET_MS = 2_500;

/** Less than a minute: what comes only by a look around the clock was not noticed as it should be. */
const PATIENCE_MS = 45_000;

const CLIENTS = ["ann", "bob", "cat"] as const;

for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
  Deno.test(`sync keeps three clients alike that are edited, cut off and restarted (KITH_SYNC_SEED=${seed})`, async () => {
    await using run = await Run.begin(seed);
    await run.edit();
    await run.check();
  });
}

/** A hub, its clients, and what is done to them. */
class Run implements AsyncDisposable {
  readonly #scene: SyncScene;
  readonly #random: () => number;
  readonly #proxies = new Map<string, CuttingProxy>();
  readonly #clients = new Map<string, Kith>();
  readonly #written = new Map<string, string>();
  readonly #replaced = new Set<string>();
  #hub: Served;
  #trashed = 0;

  private constructor(scene: SyncScene, hub: Served, seed: number) {
    this.#scene = scene;
    this.#hub = hub;
    this.#random = seededRandom(seed);
  }

  static async begin(seed: number): Promise<Run> {
    const scene = await SyncScene.make();
    Deno.mkdirSync(scene.path("trash"));
    const run = new Run(scene, await scene.serve("hub"), seed);
    for (const name of CLIENTS) {
      run.#proxies.set(name, new CuttingProxy(() => run.#hub.port));
      Deno.mkdirSync(scene.path(name));
      run.#join(name);
    }
    // They begin while some of them are not there yet.
    await run.#clients.get("ann")?.event("ready");
    return run;
  }

  async edit(): Promise<void> {
    const others = [...Array(CUTS).fill("cut"), ...Array(RESTARTS).fill("restart")] as const;
    const when = new Map(others.map((what) => [Math.floor(this.#random() * ACTIONS), what]));
    for (let nth = 0; nth < ACTIONS; nth++) {
      const what = when.get(nth);
      if (what === "cut") await this.#cut(this.#pick(CLIENTS));
      else if (what === "restart") await this.#restart(this.#pick(["hub", ...CLIENTS]));
      else this.#edit(this.#scene.path(this.#pick(["hub", ...CLIENTS])));
      const waitMs = this.#random() < 0.7 ? 10 * this.#random() : 150 * this.#random();
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }

  async check(): Promise<void> {
    const dirs = ["hub", ...CLIENTS].map((name) => this.#scene.path(name));
    const patience = { forMs: QUIET_MS, patienceMs: PATIENCE_MS };
    const tree = await untilAlike(dirs, patience).catch((cause) => {
      throw new Error(this.#lastSaid(), { cause });
    });
    const kept = new Set([...tree, ...treeOf(this.#scene.path("trash"))].map(hashIn));
    const lost = [...this.#written].filter(([sha256]) => {
      return !kept.has(sha256) && !this.#replaced.has(sha256);
    });
    assertEquals(lost.map(([, where]) => where), []);
    assert(this.#written.size > 5);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const proxy of this.#proxies.values()) await proxy[Symbol.asyncDispose]();
    await this.#scene[Symbol.asyncDispose]();
  }

  /** A client that has not connected yet would give up. */
  async #cut(name: string): Promise<void> {
    await this.#clients.get(name)?.event("ready");
    this.#proxies.get(name)?.cut();
  }

  #join(name: string): void {
    const address = `127.0.0.1:${this.#proxies.get(name)?.port}`;
    this.#clients.set(name, this.#scene.join(name, address));
  }

  /** Ends a process, in order or not, and begins another one some edits later. */
  async #restart(name: string): Promise<void> {
    const old = name === "hub" ? this.#hub.kith : this.#clients.get(name);
    for (const client of this.#clients.values()) await client.event("ready");
    old?.signal(this.#random() < 0.5 ? "SIGKILL" : "SIGINT");
    await old?.ended();
    for (let nth = 0; nth < 5; nth++) {
      this.#edit(this.#scene.path(this.#pick(["hub", ...CLIENTS])));
    }
    if (name !== "hub") this.#join(name);
    else this.#hub = await this.#scene.serve("hub", "--http-port", `${this.#hub.port}`);
  }

  #lastSaid(): string {
    const all = [["hub", this.#hub.kith], ...this.#clients] as const;
    return all.map(([name, { events }]) => {
      return `${name}: ${events.slice(-8).map((event) => JSON.stringify(event)).join("\n  ")}`;
    }).join("\n");
  }

  #edit(dir: string): void {
    const there = this.#pick(list(dir));
    const dice = this.#random();
    const other = this.#anyPath(dir);
    try {
      if (dice < 0.35 || there === undefined) this.#create(dir, other);
      else if (dice < 0.5) this.#rewrite(dir, there);
      else if (dice < 0.55) Deno.mkdirSync(join(dir, other));
      else if (dice < 0.75) move(dir, there, other);
      else if (dice < 0.85) move(dir, there, inOtherCase(there));
      else Deno.renameSync(join(dir, there), this.#scene.path("trash", `${this.#trashed++}`));
    } catch (error) {
      // No disk does that, or it was done elsewhere just now: nothing was done.
      if (!(error instanceof Error && "code" in error)) throw error;
    }
  }

  #create(dir: string, path: string): void {
    const contents = this.#newContents(path);
    Deno.writeTextFileSync(join(dir, path), contents, { createNew: true });
    this.#written.set(sha256Of(contents), `${dir}: ${contents}`);
  }

  /** What was in it is given up; what is written counts unless somebody else has put another file in its place meanwhile. */
  #rewrite(dir: string, path: string): void {
    using file = Deno.openSync(join(dir, path), { read: true, write: true });
    const before = file.statSync();
    if (!before.isFile) return;
    const bytes = new Uint8Array(before.size);
    const count = file.readSync(bytes) ?? 0;
    const contents = this.#newContents(path);
    file.truncateSync();
    file.seekSync(0, Deno.SeekMode.Start);
    file.writeSync(new TextEncoder().encode(contents));
    this.#replaced.add(sha256Of(bytes.subarray(0, count)));
    const isThere = Deno.lstatSync(join(dir, path)).ino === before.ino;
    if (isThere) this.#written.set(sha256Of(contents), `${dir}: ${contents}`);
  }

  #newContents(path: string): string {
    return `${path} ${crypto.randomUUID()}`;
  }

  #anyPath(dir: string): string {
    const folders = list(dir).filter((path) => isFolder(join(dir, path)));
    const folder = this.#random() < 0.5 ? undefined : this.#pick(folders);
    return (folder === undefined ? "" : `${folder}/`) + this.#pick(NAMES);
  }

  #pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.#random() * items.length)] as T;
  }
}

function list(dir: string, prefix = ""): string[] {
  try {
    return [...Deno.readDirSync(join(dir, prefix))].flatMap(({ name, isDirectory }) => {
      if (name === ".kith-partial") return [];
      const path = prefix + name;
      return isDirectory ? [path, ...list(dir, `${path}/`)] : [path];
    }).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

function move(dir: string, from: string, to: string): void {
  if (isThere(join(dir, to))) return;
  // The name may be taken by now: a link is made only where nothing is.
  if (isFolder(join(dir, from))) return Deno.renameSync(join(dir, from), join(dir, to));
  Deno.linkSync(join(dir, from), join(dir, to));
  Deno.removeSync(join(dir, from));
}

function isThere(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

function isFolder(path: string): boolean {
  return isThere(path) && Deno.lstatSync(path).isDirectory;
}

function hashIn(line: string): string {
  return line.slice(line.lastIndexOf(" ") + 1);
}

function inOtherCase(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const other = name === name.toUpperCase() ? name.toLowerCase() : name.toUpperCase();
  return path.slice(0, path.length - name.length) + other;
}
