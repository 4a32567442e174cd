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
  #child: Deno.ChildProcess | undefined;
  #stdin: WritableStreamDefaultWriter<Uint8Array> | undefined;
  #waiting = new Map<number, (answer: Answer) => void>();
  #asked = 0;

  /** It does not run yet. */
  constructor(options: PeersOptions) {
    this.options = options;
  }

  /** Starts it, and waits until its peers are open. */
  async start(): Promise<void> {
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
    const ready = Promise.withResolvers<void>();
    void this.#read(child, ready).catch(ready.reject);
    await ready.promise;
    this.isUp = true;
  }

  /** Has one of its peers do something. */
  async tell(peer: number, command: Command): Promise<Answer> {
    const id = ++this.#asked;
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#waiting.set(id, resolve);
    const line = new TextEncoder().encode(JSON.stringify({ id, peer, ...command }) + "\n");
    this.#stdin?.write(line).catch(() => resolve({ error: "gone" }));
    const stuck = setTimeout(() => resolve({ error: "stuck" }), PATIENCE_MS);
    const answer = await promise;
    clearTimeout(stuck);
    this.#waiting.delete(id);
    return answer;
  }

  /** Its end comes without a word. */
  async kill(): Promise<void> {
    this.isUp = false;
    this.#child?.kill("SIGKILL");
    await this.#child?.status;
  }

  /** Stops it, or has it go on. */
  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#child?.kill(signal);
  }

  /** Closes its peers, and waits until it is over. */
  async close(): Promise<void> {
    await this.#stdin?.close().catch(() => {});
    await this.#child?.status;
  }

  /** Notes what it uses. */
  measure(): void {
    const pid = this.#child?.pid;
    if (!this.isUp || pid === undefined || Deno.build.os !== "linux") return;
    const [, pages = "0"] = Deno.readTextFileSync(`/proc/${pid}/statm`).split(" ");
    const handles = [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
    const residentBytes = Number(pages) * PAGE_BYTES;
    this.usage.push({ atMs: performance.now(), residentBytes, handles });
  }

  async #read(child: Deno.ChildProcess, ready: PromiseWithResolvers<void>): Promise<void> {
    let rest = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#take(JSON.parse(line), ready);
    }
    for (const answer of this.#waiting.values()) answer({ error: "gone" });
    ready.reject(new Error("A process of peers has ended before it was ready"));
  }

  #take(
    said: Answer & { event?: string; id?: number; peerIds?: string[] },
    ready: PromiseWithResolvers<void>,
  ): void {
    if (said.event === "ready") {
      this.peerIds = said.peerIds ?? [];
      ready.resolve();
    } else if (said.id !== undefined) this.#waiting.get(said.id)?.(said);
  }
}
