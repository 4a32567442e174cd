/**
 * Workers for handlers that compute: while they are at it, the event loop is free for everybody else.
 *
 * A job goes from the queue to a worker, which runs it alone, and its outcome comes back as the promise of
 * {@linkcode WorkerPool.run}. See `worker_main.ts` for the other end.
 *
 * @module
 */

import { SHARE_ENV, Worker } from "node:worker_threads";
import { systemClock, type Timer } from "../clock.ts";
import { ClosedError, EXIT_STATUS, LimitError, NotFoundError, PeerError } from "../errors.ts";
import { type Logger, printable, silentLogger } from "../log.ts";
import { Metrics } from "../metrics.ts";
import type { Failure, Outcome, Task } from "./worker_main.ts";

/** Most jobs that wait for a worker: more than that would only wait until nobody wants the answer any more. */
export const MAX_QUEUED_JOBS = 1024;

/**
 * Time in milliseconds that a worker has to end by itself, which it does at once unless it is in the midst of computing.
 * Only then is it stopped by force: that is safe in a loop, but takes the whole process along in the rare moment in
 * which the worker is loading a built-in module.
 */
const END_MS = 500;

const MAIN = entry(new URL("./worker_main.ts", import.meta.url));

/** What a pool needs. */
export interface WorkerPoolOptions {
  /** The module whose exported functions are called: an absolute URL, as `import.meta.resolve("./jobs.ts")` gives. */
  module: string | URL;
  /** Most workers at the same time. @default {one less than there are processors, at least 1} */
  size?: number;
  /** Most jobs that wait for a worker; further ones are refused with `limit`. @default {1024} */
  maxQueue?: number;
  /** Hears of workers that die. @default {silentLogger} */
  log?: Logger;
  /**
   * Counts `workers.jobs` (given to a worker), `workers.cancelled` (aborted while they waited or ran) and
   * `workers.crashed` (workers that died). @default {new Metrics()}
   */
  metrics?: Metrics;
}

interface Job extends Task, PromiseWithResolvers<unknown> {}

interface Member {
  readonly thread: Worker;
  readonly ended: PromiseWithResolvers<void>;
  /** What it is at, `undefined` when it is idle. */
  job: Job | undefined;
  /** Set when it has been told to end: forces it. */
  force: Timer | undefined;
  /** Its uncaught error. */
  failure: string | undefined;
}

/**
 * A pool of threads that call the exported functions of one module: one job per worker at a time, the others first come,
 * first served. Workers start when they are first needed and stay until the pool is closed.
 *
 * The module is loaded once per worker, by the import map and with the permissions of the program: it needs
 * `--allow-read` for itself and the local files it imports, or `--allow-import` where it comes from elsewhere. Where kith
 * itself is run from files, that goes for its `worker_main.ts`, too. Arguments and results travel as structured clones;
 * `data` is cloned when its turn comes. In the module everything is as in the main program, but for `self`, which these
 * threads lack.
 *
 * @example
 * ```ts
 * import { WorkerPool } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const module = `data:text/javascript,
 *   export const fib = (n) => n < 2 ? n : fib(n - 1) + fib(n - 2);
 * `;
 * await using pool = new WorkerPool({ module, size: 2 });
 * assertEquals(await Promise.all([pool.run("fib", 20), pool.run("fib", 25)]), [6765, 75025]);
 * ```
 */
export class WorkerPool implements AsyncDisposable {
  readonly #module: string;
  readonly #size: number;
  readonly #maxQueue: number;
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #members = new Set<Member>();
  readonly #queue = new Set<Job>(); // in the order they came; who aborts is taken out of the middle
  #closing: Promise<void> | undefined;

  /**
   * Makes a pool without any worker yet.
   *
   * @throws {TypeError} when `module` is not an absolute URL.
   * @throws {RangeError} when `size` is not a whole number from 1, or `maxQueue` not one from 0.
   */
  constructor(options: WorkerPoolOptions) {
    const {
      module,
      size = Math.max(1, navigator.hardwareConcurrency - 1),
      maxQueue = MAX_QUEUED_JOBS,
      log = silentLogger,
      metrics = new Metrics(),
    } = options;
    if (!URL.canParse(module)) {
      throw new TypeError(`Module must be an absolute URL: current value is "${module}"`);
    }
    if (!Number.isInteger(size) || size < 1) {
      throw new RangeError(`Size must be a whole number from 1: current value is ${size}`);
    }
    if (!Number.isInteger(maxQueue) || maxQueue < 0) {
      throw new RangeError(`maxQueue must be a whole number from 0: current value is ${maxQueue}`);
    }
    this.#module = String(module);
    this.#size = size;
    this.#maxQueue = maxQueue;
    this.#log = log;
    this.#metrics = metrics;
  }

  /** Jobs that a worker is at. */
  get atWork(): number {
    return this.#members.values().filter(({ job }) => job !== undefined).toArray().length;
  }

  /** Jobs that wait for a worker. */
  get queued(): number {
    return this.#queue.size;
  }

  /**
   * Calls the module's exported function `name` with `data` in a worker. @returns what it returns, or its promise gives.
   *
   * Aborting takes the job out of the queue, or stops its worker, which another replaces when it is needed: at once where
   * the function waits, within half a second where it computes. What the function throws comes back as a `PeerError` of the same code, message and details if that is a code
   * of the error table, else as an `Error` with the message.
   *
   * @throws {NotFoundError} `no-endpoint` when the module exports no such function.
   * @throws {LimitError} `limit` when `maxQueue` jobs wait already.
   * @throws {ClosedError} when the pool is closed, before or meanwhile.
   * @throws {TypeError} when `data` cannot be cloned.
   * @throws {Error} when the worker dies: the module cannot be loaded, or it leaves an error uncaught.
   * @throws the reason of `signal` when it is aborted.
   */
  async run(
    name: string,
    data: unknown,
    options: { signal?: AbortSignal } = {},
  ): Promise<unknown> {
    const { signal } = options;
    if (this.#closing !== undefined) throw closedError(name);
    signal?.throwIfAborted();
    const job: Job = { name, data, ...Promise.withResolvers<unknown>() };
    const cancel = () => this.#cancel(job, signal?.reason);
    signal?.addEventListener("abort", cancel, { once: true });
    try {
      this.#enqueue(job);
      return await job.promise;
    } finally {
      signal?.removeEventListener("abort", cancel);
    }
  }

  /** {@linkcode WorkerPool.run} of one function, to be registered as a handler. */
  handler(name: string): (data: unknown, context: { signal: AbortSignal }) => Promise<unknown> {
    return (data, { signal }) => this.run(name, data, { signal });
  }

  /** Stops all workers; whatever waits or runs is rejected with `closed`. Harmless when it is closed already. */
  close(): Promise<void> {
    return this.#closing ??= this.#end();
  }

  /** See {@linkcode WorkerPool.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #end(): Promise<void> {
    const members = [...this.#members];
    const running = members.flatMap(({ job }) => job ?? []);
    for (const job of [...running, ...this.#queue]) job.reject(closedError(job.name));
    this.#queue.clear();
    await Promise.all(members.map(dismiss));
  }

  #enqueue(job: Job): void {
    this.#queue.add(job);
    this.#dispatch();
    if (this.#queue.size <= this.#maxQueue) return;
    this.#queue.delete(job); // the newest, so it is this one that is left over
    throw new LimitError(
      "limit",
      `Cannot run ${quoted(job.name)}: ${this.#maxQueue} jobs wait already (maxQueue)`,
      { details: { limit: "maxQueue", max: this.#maxQueue } },
    );
  }

  #dispatch(): void {
    for (const job of this.#queue) {
      const member = this.#vacant();
      if (member === undefined) return;
      this.#queue.delete(job);
      this.#assign(member, job);
    }
  }

  #vacant(): Member | undefined {
    const idle = this.#members.values().find(({ job, force }) => !job && !force);
    return idle ?? (this.#members.size < this.#size ? this.#hire() : undefined);
  }

  #hire(): Member {
    // Without SHARE_ENV the environment would be copied, for which Deno asks the user's permission.
    const thread = new Worker(MAIN, { workerData: this.#module, env: SHARE_ENV });
    const member: Member = {
      thread,
      ended: Promise.withResolvers(),
      job: undefined,
      force: undefined,
      failure: undefined,
    };
    thread.on("message", (outcome: Outcome) => this.#finish(member, outcome));
    thread.on("error", (error) => member.failure = String(error)); // and then it ends
    thread.on("exit", (status) => this.#bury(member, status));
    this.#members.add(member);
    return member;
  }

  #assign(member: Member, job: Job): void {
    const { name, data } = job;
    try {
      member.thread.postMessage({ name, data } satisfies Task);
    } catch (cause) {
      job.reject(new TypeError(`Cannot run ${quoted(name)}: its data cannot be cloned`, { cause }));
      return;
    }
    member.job = job;
    this.#metrics.counter("workers.jobs").add();
  }

  #finish(member: Member, outcome: Outcome): void {
    const { job } = member;
    member.job = undefined;
    switch (outcome.type) {
      case "value":
        job?.resolve(outcome.value);
        break;
      case "failure":
        job?.reject(errorOf(outcome));
        break;
      case "missing":
        job?.reject(
          new NotFoundError("no-endpoint", `The module exports no function ${quoted(job.name)}`),
        );
        break;
      default:
        outcome satisfies never;
    }
    this.#dispatch();
  }

  #cancel(job: Job, reason: unknown): void {
    this.#metrics.counter("workers.cancelled").add();
    job.reject(reason);
    if (this.#queue.delete(job)) return;
    const member = this.#members.values().find((member) => member.job === job);
    if (member !== undefined) dismiss(member);
  }

  #bury(member: Member, status: number): void {
    const { job, force, failure = `it ended with status ${status}` } = member;
    this.#members.delete(member);
    member.ended.resolve();
    if (force === undefined) {
      const why = printable(failure);
      this.#metrics.counter("workers.crashed").add();
      this.#log.warn("a worker died", { why });
      job?.reject(new Error(`Cannot run ${quoted(job.name)}: its worker died: ${why}`));
    }
    force?.cancel();
    this.#dispatch();
  }
}

// Its place is taken by another only when it has ended, so that there are never more at work than there should be.
function dismiss(member: Member): Promise<void> {
  const { thread, ended } = member;
  member.job = undefined;
  member.force ??= systemClock.after(END_MS, () => void thread.terminate());
  thread.postMessage("end");
  return ended.promise;
}

// A thread starts from a file or from `data:`. Where kith was imported from a web server it is from a program of one line
// that imports the real one.
function entry(main: URL): URL {
  if (main.protocol === "file:") return main;
  return new URL(`data:text/javascript,import ${encodeURIComponent(JSON.stringify(main.href))}`);
}

function errorOf({ code, message, stack, details }: Failure): Error {
  const error = code !== undefined && Object.hasOwn(EXIT_STATUS, code)
    ? new PeerError(code, message, { details: { ...details } })
    : new Error(message);
  if (stack !== undefined) error.stack = stack; // where it was thrown, in the worker
  return error;
}

function closedError(name: string): ClosedError {
  return new ClosedError(`Cannot run ${quoted(name)}: the worker pool is closed`);
}

function quoted(name: string): string {
  return `"${printable(name, 64)}"`;
}
