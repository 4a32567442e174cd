import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { entryToMessage } from "../../src/sync/entry.ts";
import { parentOf } from "../../src/sync/path.ts";
import { liveAt } from "../../src/sync/index.ts";
import { DiskError } from "./sim_disk.ts";
import { Cut, exchange, type OnStep, SimReplica, tell } from "./sim_replica.ts";

/** `KITH_SYNC_SEEDS=1000` tries more, `KITH_SYNC_SEED=7` begins with that one. */
const SEEDS = Number(Deno.env.get("KITH_SYNC_SEEDS") ?? 50);
const FIRST_SEED = Number(Deno.env.get("KITH_SYNC_SEED") ?? 1);

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

const ACTIONS = 150;
const MAX_ROUNDS = 20;

type Link = readonly [client: SimReplica, server: SimReplica];

Deno.test("replicas that are edited at random and cut off anywhere end with the same files, and lose none", () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
    try {
      new Run(seed).finish();
    } catch (cause) {
      throw new Error(`KITH_SYNC_SEED=${seed} KITH_SYNC_SEEDS=1`, { cause });
    }
  }
});

/** Four folders, those who edit them, and what they have written. */
class Run {
  readonly #random: () => number;
  readonly #replicas: readonly SimReplica[];
  readonly #links: readonly Link[];
  /** All contents ever written: each is another. */
  readonly #written = new Set<string>();
  /** Those that somebody has overwritten or deleted, who had them before his eyes. */
  readonly #givenUp = new Set<string>();

  constructor(seed: number) {
    this.#random = seededRandom(seed);
    const [hub, ann, bob, cat] = ["hub", "ann", "bob", "cat"].map((name, at) => {
      const replica = `r${String(seed * 10 + at).padStart(16, "0")}`;
      return new SimReplica(name, replica, { ignoresCase: name === "cat" });
    }) as [SimReplica, SimReplica, SimReplica, SimReplica];
    this.#replicas = [hub, ann, bob, cat];
    // All at one hub, or a hub that joins a hub that joins a hub.
    this.#links = seed % 3 === 0
      ? [[ann, hub], [bob, ann], [cat, bob]]
      : [[ann, hub], [bob, hub], [cat, hub]];
  }

  /** Edits, exchanges and cuts; then peace until nothing changes any more. */
  finish(): void {
    for (let i = 0; i < ACTIONS; i++) {
      const dice = this.#random();
      if (dice < 0.7) this.#edit(this.#pick(this.#replicas));
      else this.#talk(dice < 0.9 ? exchange : (...link) => this.#tellSome(...link));
    }
    this.#settle();
    const trees = this.#replicas.map(({ disk }) => disk.tree());
    for (const tree of trees) assertEquals(tree, trees[0]);
    const indexes = this.#replicas.map(({ index }) => stated(index));
    for (const rows of indexes) assertEquals(rows, indexes[0]);
    for (const { index } of this.#replicas) {
      for (const path of index.known().keys()) {
        assertEquals(index.alike(path), [], path);
        const parent = parentOf(path);
        if (parent !== "") assertEquals(liveAt(index, parent)?.kind, "directory", path);
      }
    }
    const kept = new Set(this.#replicas[0]?.disk.contentsIn(""));
    const lost = [...this.#written].filter((one) => !kept.has(one) && !this.#givenUp.has(one));
    assertEquals(lost, []);
  }

  #settle(): void {
    let before = "";
    for (let round = 0; round < MAX_ROUNDS; round++) {
      for (const [client, server] of this.#links) exchange(client, server);
      const now = JSON.stringify(this.#replicas.map(({ disk, index }) => [disk.tree(), index.seq]));
      if (now === before) return;
      before = now;
    }
    throw new Error("it never comes to rest");
  }

  #talk(talk: (client: SimReplica, server: SimReplica, onStep: OnStep) => unknown): void {
    const [client, server] = this.#pick(this.#links);
    try {
      talk(client, server, (replica, when) => {
        if (this.#random() < 0.02) throw new Cut();
        if (when === "before" && this.#random() < 0.05) this.#edit(replica);
      });
    } catch (error) {
      if (!(error instanceof Cut)) throw error;
    }
  }

  /** Some of what a server has is told at once, before anybody asks; the rest of it got lost. */
  #tellSome(client: SimReplica, server: SimReplica, onStep: OnStep): void {
    const entries = server.index.since(0).slice(-8).filter(() => this.#random() < 0.5);
    tell(entries, client, server, onStep);
  }

  #edit({ name, disk }: SimReplica): void {
    const there = this.#pick(disk.list())?.path;
    const giveUp = (path: string) => {
      for (const contents of disk.contentsIn(path)) this.#givenUp.add(contents);
    };
    const write = (path: string) => {
      if (disk.find(path)?.kind === "directory") return;
      const contents = `${name}-${this.#written.size}`;
      giveUp(path);
      disk.write(path, contents);
      this.#written.add(contents);
    };
    const dice = this.#random();
    try {
      if (dice < 0.3 || there === undefined) write(this.#anyPath(disk));
      else if (dice < 0.45) write(there);
      else if (dice < 0.55) disk.makeFolder(this.#anyPath(disk));
      else if (dice < 0.75) disk.move(there, this.#anyPath(disk));
      else if (dice < 0.85) disk.move(there, inOtherCase(there));
      else {
        giveUp(there);
        disk.removeAll(there);
      }
    } catch (error) {
      if (!(error instanceof DiskError)) throw error; // no disk does that, and nothing was done
    }
  }

  #anyPath(disk: SimReplica["disk"]): string {
    const folders = disk.list().filter(({ kind }) => kind === "directory");
    const folder = this.#random() < 0.5 ? undefined : this.#pick(folders);
    return (folder === undefined ? "" : `${folder.path}/`) + this.#pick(NAMES);
  }

  #pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.#random() * items.length)] as T;
  }
}

/** What an index says of the folder, and tells others. */
function stated(index: SimReplica["index"]): string[] {
  return index.since(0).map((entry) => JSON.stringify(entryToMessage(entry))).sort();
}

function inOtherCase(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const other = name === name.toUpperCase() ? name.toLowerCase() : name.toUpperCase();
  return path.slice(0, path.length - name.length) + other;
}

Deno.test("a renamed file, and a folder of such, are not sent again", () => {
  const [hub, ann, bob] = ["hub", "ann", "bob"].map((name, at) => {
    return new SimReplica(name, `r${String(at).padStart(16, "0")}`);
  }) as [SimReplica, SimReplica, SimReplica];
  ann.disk.makeFolder("docs");
  ann.disk.write("docs/a", "long contents");
  ann.disk.write("b", "other contents");
  for (const client of [ann, bob]) exchange(client, hub);
  const before = [hub.fetched, bob.fetched];
  assert(before.every((chars) => chars > 0));
  ann.disk.move("docs", "texts");
  ann.disk.move("b", "B");
  for (const client of [ann, bob]) exchange(client, hub);
  assertEquals(bob.disk.tree(), ["B = other contents", "texts/", "texts/a = long contents"]);
  assertEquals([hub.fetched, bob.fetched], before);
});

Deno.test("a second exchange of what is alike is about nothing", () => {
  const [hub, ann] = ["hub", "ann"].map((name, at) => {
    return new SimReplica(name, `r${String(at).padStart(16, "0")}`);
  }) as [SimReplica, SimReplica];
  for (let n = 0; n < 20; n++) ann.disk.write(`a${n}`, `a${n}`);
  for (let n = 0; n < 20; n++) hub.disk.write(`h${n}`, `h${n}`);
  exchange(ann, hub);
  const { ours, theirs } = ann.index.mark(hub.index.replica);
  assertEquals(ann.index.since(ours, hub.index.replica), []);
  assertEquals(hub.index.since(theirs, ann.index.replica), []);
});
