/**
 * How fast folders get alike, against rsync's client and daemon, and how soon an edit is seen on the other side.
 *
 * Hub and client are two processes that speak over a WebSocket on loopback; each keeps its index in a file. As users have
 * it: the hub runs, as rsync's daemon does, and for each round a client is started, the time of which is from its start to
 * its end. Where the client runs already and stays connected, the row says so; rsync has no such thing.
 *
 * A first sync gets what a hub serves, which knew its folder before. The other way, the client has to hash all of it
 * first, as the hub does with a folder that is new to it: what rsync never does. That row has no target.
 *
 * Trees are compared after each round, outside the time.
 *
 * @module
 */

import { PARTIAL_FOLDER } from "../../src/transfer/safe_path.ts";
import { Child } from "../child.ts";
import { type Copier, copyRace, type Load, medianSeconds } from "../copy_race.ts";
import { CountingProxy } from "../counting_proxy.ts";
import { digestOf, makeFile, MemoryFolder } from "../memory_folder.ts";
import type { Contest, Gauge, Question, Race } from "../question.ts";
import { RsyncDaemon } from "../rsync_daemon.ts";
import { spread } from "../stats.ts";
import { byRsync } from "../ways.ts";

const MIB = 1024 ** 2;
const KIB = 1024;

/** Files of one folder. */
const FILES_EACH = 100;

const large: Load = {
  amount: { files: 1024, bytes: 1024 * MIB },
  counts: "bytes",
  make: (path) => makeFiles(path, 1024, MIB),
};

const small: Load = {
  amount: { files: 10_000, bytes: 10_000 * KIB },
  counts: "files",
  make: (path) => makeFiles(path, 10_000, KIB),
};

/** What a second sync may cost of the contents. */
const MAX_SHARE = 0.01;

/** Files in the folder that is edited, and edits of a round. */
const EDITED = { files: 1_000, edits: 24 } as const;
/** Until the next edit, at the most. */
const PAUSE_MS = 400;
/** Between two looks whether an edit has come. */
const LOOK_MS = 1;
/** An edit is told once nothing has changed for so long. */
const DEBOUNCE_MS = 200;
/** What it may take besides. */
const MAX_EDIT_MS = 50;

/** Files look as if they were made so long ago: those that were made just now are looked into once more. */
const AGE_MS = 3_600_000;

/** Every question about folders that are kept alike. */
export const syncFolderQuestions: readonly Question[] = [
  copyRace({
    name: "sync 1 GiB in 1 MiB files vs rsync daemon",
    ours: intoNewClient,
    baseline: fromRsync,
    load: large,
    atLeast: 0.5,
    maxRounds: 5,
  }),
  copyRace({
    name: "sync 1 GiB from a client that hashes it first",
    ours: fromNewClient,
    baseline: byRsync,
    load: large,
    maxRounds: 5,
  }),
  copyRace({
    name: "sync 10,000 x 1 KiB vs rsync daemon",
    ours: intoNewClient,
    baseline: fromRsync,
    load: small,
    maxRounds: 5,
  }),
  unchanged("sync 10,000 unchanged vs rsync daemon", startedAnew),
  unchanged("sync 10,000 unchanged, connected, vs rsync", connected),
  unchangedBytes(),
  edits(),
];

/** A first sync by a client that is started for it and has nothing yet, with a hub that has all. */
async function intoNewClient(source: string, target: string): Promise<Copier> {
  const place = `${target}/source`;
  const hub = await Hub.start();
  const times: number[] = [];
  let port: number | undefined;
  return {
    copy: async () => {
      port ??= await hub.keep(source);
      const { seconds, processSeconds } = await syncOnce(place, port);
      times.push(seconds);
      forget(place);
      return processSeconds;
    },
    note: () => `without the start of the process ${medianSeconds(times)}`,
    [Symbol.asyncDispose]: () => hub[Symbol.asyncDispose](),
  };
}

/** The same by rsync's client. */
async function fromRsync(source: string, target: string): Promise<Copier> {
  const daemon = await RsyncDaemon.start(source);
  return {
    copy: () => daemon.pull(`${target}/source/`, PARTIAL_FOLDER),
    note: () => daemon.version,
    [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose](),
  };
}

/** A first sync by a client that is started for it, of a folder that neither side knows. */
async function fromNewClient(source: string, target: string): Promise<Copier> {
  const place = `${target}/source`;
  const hub = await Hub.start();
  const times: number[] = [];
  return {
    copy: async () => {
      const port = await hub.keep(place);
      const { seconds, processSeconds } = await syncOnce(source, port);
      times.push(seconds);
      await hub.keep("");
      for (const dir of [source, place]) forget(dir);
      return processSeconds;
    },
    note: () => `without the start of the process ${medianSeconds(times)}`,
    [Symbol.asyncDispose]: () => hub[Symbol.asyncDispose](),
  };
}

/** Two folders that are alike, of one source each, for us and for rsync. */
interface Alike {
  readonly source: string;
  readonly port: number;
  readonly opened: AsyncDisposableStack;
}

/** How a second sync is done. @returns what takes the time of one, in seconds. */
type Again = (alike: Alike) => Promise<{ run(): Promise<number>; note?(): string }>;

function unchanged(name: string, again: Again): Race {
  const open = async (): Promise<Contest> => {
    await using opened = new AsyncDisposableStack();
    const { path } = opened.use(MemoryFolder.make(small.amount));
    const [ours, theirs] = [`${path}/ours`, `${path}/theirs`];
    for (const dir of [theirs, `${path}/copies`]) Deno.mkdirSync(dir);
    small.make(`${theirs}/source`);
    const daemon = opened.use(await RsyncDaemon.start(`${path}/copies`));
    await daemon.push(`${theirs}/source`);
    const digest = digestOf(`${theirs}/source`);
    const alike = await madeAlike(ours, opened);
    const { run, note } = await again(alike);
    const all = opened.move();
    return {
      ours: async () => {
        const seconds = await run();
        assertAlike(alike.source, `${ours}/kept`);
        return small.amount.files / seconds;
      },
      baseline: async () => {
        const seconds = await daemon.push(`${theirs}/source`);
        if (digestOf(`${path}/copies/source`) !== digest) throw differs();
        return small.amount.files / seconds;
      },
      note: () => [daemon.version, ...note === undefined ? [] : [`ours: ${note()}`]].join("; "),
      [Symbol.asyncDispose]: () => all.disposeAsync(),
    };
  };
  return { type: "race", name, unit: "messages", atLeast: 0.3, open };
}

async function startedAnew({ source, port }: Alike): ReturnType<Again> {
  const times: number[] = [];
  const run = async () => {
    const { seconds, processSeconds } = await syncOnce(source, port);
    times.push(seconds);
    return processSeconds;
  };
  await run();
  return { run, note: () => `without the start of the process ${medianSeconds(times)}` };
}

async function connected({ source, port, opened }: Alike): ReturnType<Again> {
  const client = opened.use(await stayingClient(source, port));
  return {
    run: async () => {
      const { seconds } = await client.ask("") as { seconds: number };
      return seconds;
    },
  };
}

function unchangedBytes(): Gauge {
  const measure = async () => {
    await using opened = new AsyncDisposableStack();
    const { path } = opened.use(MemoryFolder.make(small.amount));
    const { source, port } = await madeAlike(`${path}/ours`, opened);
    const proxy = new CountingProxy(port);
    await syncOnce(source, proxy.port);
    await proxy[Symbol.asyncDispose]();
    return proxy.bytes;
  };
  return {
    type: "gauge",
    name: "sync 10,000 unchanged: bytes on the wire",
    unit: "bytes",
    atMost: small.amount.bytes * MAX_SHARE,
    maxRounds: 1,
    measure,
  };
}

/** From the moment a file is written on one side until what is in it can be read on the other, now here, now there. */
function edits(): Gauge {
  const seen: number[] = [];
  const measure = async () => {
    await using opened = new AsyncDisposableStack();
    const { files, edits } = EDITED;
    const bytes = files * KIB;
    const { path } = opened.use(MemoryFolder.make({ files, bytes }));
    const [source, kept] = [`${path}/source`, `${path}/kept`];
    makeFiles(source, files, KIB);
    const hub = opened.use(await Hub.start());
    opened.use(await stayingClient(source, await hub.keep(kept)));
    const times: number[] = [];
    for (let edit = 0; edit < edits; edit++) {
      const [here, there] = edit % 2 === 0 ? [source, kept] : [kept, source];
      await pause(Math.random() * PAUSE_MS);
      times.push(await msUntilSeen(here, there, `0/${edit}`));
    }
    assertAlike(source, kept);
    seen.push(...times);
    return spread(times).median;
  };
  const p95 = () => seen.toSorted((a, b) => a - b)[Math.floor(0.95 * seen.length)] ?? NaN;
  return {
    type: "gauge",
    name: "sync: edit to visible there",
    unit: "milliseconds",
    atMost: DEBOUNCE_MS + MAX_EDIT_MS,
    maxRounds: 3,
    measure,
    note: () => `p95 ${p95().toFixed(0)} ms, of which ${DEBOUNCE_MS} ms debounce`,
  };
}

async function msUntilSeen(here: string, there: string, path: string): Promise<number> {
  const text = crypto.randomUUID();
  const startedAt = performance.now();
  Deno.writeTextFileSync(`${here}/${path}`, text);
  while (Deno.readTextFileSync(`${there}/${path}`) !== text) await pause(LOOK_MS);
  return performance.now() - startedAt;
}

/** A running hub. */
class Hub implements AsyncDisposable {
  readonly #child: Child;

  private constructor(child: Child) {
    this.#child = child;
  }

  static async start(): Promise<Hub> {
    const child = new Child("bench/children/sync_folder_hub.ts");
    await child.answer();
    return new Hub(child);
  }

  /** Has it keep a folder, none if empty, in place of the one before. @returns its port. */
  async keep(dir: string): Promise<number> {
    const { port } = await this.#child.ask(dir) as { port: number };
    return port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]();
  }
}

async function madeAlike(dir: string, opened: AsyncDisposableStack): Promise<Alike> {
  const [source, kept] = [`${dir}/source`, `${dir}/kept`];
  small.make(source);
  const hub = opened.use(await Hub.start());
  const port = await hub.keep(kept);
  await syncOnce(source, port);
  return { source, port, opened };
}

/** What a client's run took: from its look at the folder on, and from the start of its process to the end. */
interface Run {
  readonly seconds: number;
  readonly processSeconds: number;
}

async function syncOnce(dir: string, port: number): Promise<Run> {
  const startedAt = performance.now();
  await using client = clientOf(dir, port, "once");
  const { seconds } = await client.answer() as { seconds: number };
  await client.status;
  return { seconds, processSeconds: (performance.now() - startedAt) / 1000 };
}

async function stayingClient(dir: string, port: number): Promise<Child> {
  const client = clientOf(dir, port);
  await client.answer();
  return client;
}

function clientOf(dir: string, port: number, ...args: string[]): Child {
  return new Child("bench/children/sync_folder_client.ts", [dir, String(port), ...args]);
}

function makeFiles(path: string, files: number, bytes: number): void {
  const made = new Date(Date.now() - AGE_MS);
  for (let file = 0; file < files; file++) {
    const folder = `${path}/${Math.floor(file / FILES_EACH)}`;
    if (file % FILES_EACH === 0) Deno.mkdirSync(folder, { recursive: true });
    const name = `${folder}/${file}`;
    makeFile(name, bytes);
    Deno.utimeSync(name, made, made);
  }
}

/** Removes what a sync leaves behind, so that the next one is the first again. */
function forget(dir: string): void {
  Deno.removeSync(`${dir}/${PARTIAL_FOLDER}`, { recursive: true });
  Deno.removeSync(`${dir}.index`, { recursive: true });
}

/** Compares what is shared of two folders. */
function assertAlike(a: string, b: string): void {
  const [one, other] = [a, b].map((dir) => {
    const names = [...Deno.readDirSync(dir)].map(({ name }) => name).sort();
    const shared = names.filter((name) => name !== PARTIAL_FOLDER);
    return JSON.stringify(shared.map((name) => [name, digestOf(`${dir}/${name}`)]));
  });
  if (one !== other) throw differs();
}

function differs(): Error {
  return new Error("Cannot measure: the folders differ");
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
