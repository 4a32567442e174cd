/**
 * The processes of a soak run: started, asked, measured, killed and started again.
 *
 * @module
 */

import { resolve } from "node:path";
import type { Command, PeersOptions } from "./peers.ts";

const PROJECT = resolve(import.meta.dirname ?? ".", "../..");

/** Time for an answer before the process counts as stuck. */
const PATIENCE_MS = 120_000;

/** Bytes of a page of memory. */
const PAGE_BYTES = 4_096;

/** What became of a command. */
export interface Answer {
  readonly result?: unknown;
  /** The code of its error; `gone` when the process was killed. */
  readonly error?: string;
  readonly message?: string;
}

/** What a process uses at a moment. */
export interface Usage {
  readonly atMs: number;
  readonly residentBytes: number;
  readonly handles: number;
}

/** A process that lives on when it is killed. */
export class Member {
  /** What it was told. */
  readonly options: PeersOptions;
  /** The ids of its peers. */
  peerIds: readonly string[] = [];
  /** When a fault last hit it, in milliseconds. */
  hitMs = -Infinity;
  /** What it used, since its last start. */
  usage: Usage[] = [];
  /** Whether it runs. */
  isUp = false;
  /** How it has ended, when nobody had it end. */
  crash: string | undefined;
  #child: Deno.ChildProcess | undefined;
  #stdin: WritableStreamDefaultWriter<Uint8Array> | undefined;
  #waiting = new Map<number, (answer: Answer) => void>();
  #asked = 0;
  #over = Promise.resolve();
  #isWanted = false;

  /** It does not run yet. */
  constructor(options: PeersOptions) {
    this.options = options;
  }

  /** What it is called: the first of its peers and the last. */
  get name(): string {
    const { peers } = this.options;
    return `${peers[0]?.name} to ${peers.at(-1)?.name}`;
  }

  /** Starts it, and waits until its peers are open. @returns whether they are; else it has crashed. */
  async start(): Promise<boolean> {
    const map = Deno.env.get("KITH_IMPORT_MAP");
    const mapped = map === undefined ? [] : [`--import-map=${resolve(PROJECT, map)}`];
    const script = resolve(PROJECT, "tests/soak/peers.ts");
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-prompt", ...mapped, script, JSON.stringify(this.options)],
      ...{ cwd: PROJECT, stdin: "piped", stdout: "piped", stderr: "inherit" },
    }).spawn();
    this.#child = child;
    this.#stdin = child.stdin.getWriter();
    this.usage = [];
    this.crash = undefined;
    this.#isWanted = true;
    const ready = Promise.withResolvers<void>();
    this.#over = this.#follow(child, ready);
    await Promise.race([ready.promise, this.#over]);
    return this.isUp;
  }

  /** Has one of its peers do something. */
  async tell(peer: number, command: Command): Promise<Answer> {
    const id = ++this.#asked;
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#waiting.set(id, resolve);
    const line = new TextEncoder().encode(JSON.stringify({ id, peer, ...command }) + "\n");
    const over = this.#over;
    this.#stdin?.write(line).catch(() => over.then(() => resolve({ error: "gone" })));
    const stuck = setTimeout(() => resolve({ error: "stuck" }), PATIENCE_MS);
    const answer = await promise;
    clearTimeout(stuck);
    this.#waiting.delete(id);
    return answer;
  }

  /** Its end comes without a word. */
  async kill(): Promise<void> {
    this.#isWanted = false;
    this.signal("SIGKILL");
    this.isUp = false;
    await this.#over;
  }

  /** Kills or stops it, or has it go on. */
  signal(signal: "SIGKILL" | "SIGSTOP" | "SIGCONT"): void {
    if (this.isUp) this.#child?.kill(signal);
  }

  /** Closes its peers, and waits until it is over. @returns whether it has ended well. */
  async close(): Promise<boolean> {
    this.#isWanted = false;
    this.signal("SIGCONT");
    await this.#stdin?.close().catch(() => {});
    await this.#over;
    return (await this.#child?.status)?.success === true;
  }

  /** Notes what it uses. */
  measure(): void {
    const pid = this.#child?.pid;
    if (!this.isUp || pid === undefined || Deno.build.os !== "linux") return;
    try {
      const [, pages = "0"] = Deno.readTextFileSync(`/proc/${pid}/statm`).split(" ");
      const handles = [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
      const residentBytes = Number(pages) * PAGE_BYTES;
      this.usage.push({ atMs: performance.now(), residentBytes, handles });
    } catch {
      // It has just ended, which its own end tells: there is nothing to measure.
    }
  }

  /** Takes what it says, until it is over. */
  async #follow(child: Deno.ChildProcess, ready: PromiseWithResolvers<void>): Promise<void> {
    let rest = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#take(JSON.parse(line), ready);
    }
    const { signal, code } = await child.status;
    this.isUp = false;
    if (this.#isWanted) {
      this.crash = signal ?? `exit status ${code}`;
      this.hitMs = performance.now();
    }
    for (const answer of this.#waiting.values()) answer({ error: "gone" });
  }

  #take(
    said: Answer & { event?: string; id?: number; peerIds?: string[] },
    ready: PromiseWithResolvers<void>,
  ): void {
    if (said.event === "ready") {
      this.peerIds = said.peerIds ?? [];
      this.isUp = true;
      ready.resolve();
    } else if (said.id !== undefined) this.#waiting.get(said.id)?.(said);
  }
}
