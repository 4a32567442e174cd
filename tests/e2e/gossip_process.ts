/**
 * Processes of peers that take part in a topic (`gossip_peers.ts`), and what was given to these.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { TopicStatus } from "../../src/gossip/gossip_options.ts";
import { type Event, PROJECT } from "./process.ts";

/** How long a process may live before the test fails: far more than it does. */
const PATIENCE_MS = 180_000;

/** How long nothing may come to anybody before a test fails. */
const SILENCE_MS = 30_000;

/** What a process is told at its start. */
export interface PeersOptions {
  /** Where its peers keep their keys and what they were given. */
  readonly dir: string;
  /** Its peers. */
  readonly names: readonly string[];
  readonly topic: string;
  /** Addresses of others. */
  readonly seeds: readonly string[];
  readonly hostname: string;
  readonly network: string;
  readonly discoveryPort: number;
}

/** What each peer of a process publishes. */
export interface PublishCommand {
  /** Number of the first. */
  readonly from: number;
  readonly count: number;
  /** Messages in one turn. */
  readonly burst: number;
  /** Time between two turns in milliseconds. */
  readonly everyMs: number;
  readonly confirm?: number;
}

/** A peer of a process. */
export interface PeerState {
  readonly name: string;
  readonly metrics: Readonly<Record<string, unknown>>;
  readonly topics: readonly TopicStatus[];
}

/** A message that a peer was given. */
export interface Given {
  readonly from: string;
  readonly seq: number;
  /** Its author's name and its number. */
  readonly data: string;
}

/** A process of peers; disposing kills it. */
export class GossipProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reading: Promise<void>;
  readonly #deadline: ReturnType<typeof setTimeout>;
  readonly #events: Event[] = [];
  #asked = 0;
  #isOver = false;
  #wake: () => void = () => {};

  /** @param within What comes before `deno`, such as `ip netns exec NAME`. */
  constructor(options: PeersOptions, within: readonly string[] = []) {
    const map = Deno.env.get("KITH_IMPORT_MAP");
    const mapped = map === undefined ? [] : [`--import-map=${resolve(PROJECT, map)}`];
    const script = resolve(PROJECT, "tests/e2e/gossip_peers.ts");
    const deno = [Deno.execPath(), "run", "-A", "--no-prompt", ...mapped, script];
    const [program = "", ...args] = [...within, ...deno, JSON.stringify(options)];
    this.#child = new Deno.Command(program, {
      args,
      cwd: PROJECT,
      env: { NO_COLOR: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#stdin = this.#child.stdin.getWriter();
    this.#deadline = setTimeout(() => this.kill(), PATIENCE_MS);
    this.#reading = this.#read();
  }

  /** Has each of its peers publish. */
  async publish(command: PublishCommand): Promise<void> {
    await this.#tell(command);
  }

  /** What each of its peers has counted, and knows of the topic. */
  async state(): Promise<PeerState[]> {
    const asked = ++this.#asked;
    await this.#tell({ tell: asked });
    const { peers } = await this.event("told", (event) => event.tell === asked);
    return peers as PeerState[]; // as `gossip_peers.ts` says it
  }

  /** The first event of that name that fits. @throws {Error} when the process ends without it. */
  async event(name: string, fits: (event: Event) => boolean = () => true): Promise<Event> {
    for (;;) {
      const wasOver = this.#isOver;
      const found = this.#events.find((event) => event.event === name && fits(event));
      if (found !== undefined) return found;
      if (wasOver) throw new Error(`No ${name} of a process of peers`);
      const { promise, resolve } = Promise.withResolvers<void>();
      const before = this.#wake;
      this.#wake = () => (before(), resolve());
      await promise;
    }
  }

  /** Its end comes without a word. */
  kill(): void {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
  }

  /** Closes its peers, and waits until it is over. */
  async close(): Promise<void> {
    await this.#stdin.close();
    await this.event("closed");
    await this.#child.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#deadline);
    this.kill();
    await this.#stdin.abort().catch(() => {}); // it is closed already
    await Promise.all([this.#reading, this.#child.status]);
  }

  async #read(): Promise<void> {
    let rest = "";
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#events.push(JSON.parse(line));
      this.#wakeUp();
    }
    this.#isOver = true;
    this.#wakeUp();
  }

  async #tell(what: unknown): Promise<void> {
    await this.#stdin.write(new TextEncoder().encode(JSON.stringify(what) + "\n"));
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = () => {};
    wake();
  }
}

/** What a peer was given in all its lives. */
export function givenTo(dir: string, name: string): Given[] {
  const lines = Deno.readTextFileSync(`${dir}/${name}.given`).split("\n");
  return lines.slice(0, -1).map((line) => JSON.parse(line));
}

/**
 * Waits until each of the peers was given so many that fit.
 *
 * @throws {Error} when nothing came to anybody for a long time; it says how far each has got.
 */
export async function untilGiven(
  dir: string,
  names: readonly string[],
  count: number,
  fits: (given: Given) => boolean = () => true,
): Promise<void> {
  const notes = names.map((name) => new Notes(`${dir}/${name}.given`, fits));
  let [sum, sinceMs] = [0, performance.now()];
  for (;;) {
    for (const note of notes) note.read();
    if (notes.every((note) => note.count >= count)) return;
    const now = notes.reduce((total, note) => total + note.count, 0);
    if (now > sum) [sum, sinceMs] = [now, performance.now()];
    if (performance.now() - sinceMs > SILENCE_MS) {
      const got = names.map((name, at) => `${name} ${notes[at]?.count}`);
      throw new Error(`Each should be given ${count}, and has: ${got.join(", ")}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** What a peer was given, read as it grows. */
class Notes {
  /** Messages that fit. */
  count = 0;
  readonly #path: string;
  readonly #fits: (given: Given) => boolean;
  #at = 0;

  constructor(path: string, fits: (given: Given) => boolean) {
    this.#path = path;
    this.#fits = fits;
  }

  read(): void {
    if (!existsSync(this.#path)) return;
    using file = Deno.openSync(this.#path);
    file.seekSync(this.#at, Deno.SeekMode.Start);
    const bytes = new Uint8Array(Math.max(0, file.statSync().size - this.#at));
    const read = file.readSync(bytes) ?? 0;
    const stop = bytes.subarray(0, read).lastIndexOf(0x0a) + 1;
    this.#at += stop;
    const lines = new TextDecoder().decode(bytes.subarray(0, stop)).split("\n").slice(0, -1);
    this.count += lines.filter((line) => this.#fits(JSON.parse(line))).length;
  }
}
