/**
 * What runs inside each worker of a `WorkerPool`: loads the module it was given, then calls one function at a time.
 *
 * It imports nothing of kith's, so that a worker may be given read access to this file and to the module alone.
 *
 * @module
 */

import { type MessagePort, parentPort, workerData } from "node:worker_threads";

/** What a worker is asked to do. */
export interface Task {
  /** An exported function of the module. */
  readonly name: string;
  /** Its argument. */
  readonly data: unknown;
}

/** A failure in plain data: what is left of an error on its way between threads. */
export interface Failure {
  /** What kind of outcome it is. */
  readonly type: "failure";
  /** The error's `code`, where it has one. */
  readonly code: string | undefined;
  /** Its text. */
  readonly message: string;
  /** Where it was thrown. */
  readonly stack: string | undefined;
  /** Its facts for programs. */
  readonly details: object;
}

/** What became of a task; `missing` is one that the module has no function for. */
export type Outcome =
  | { readonly type: "value"; readonly value: unknown }
  | { readonly type: "missing" }
  | Failure;

/** The part of Web Locks that is used here; Deno's types have none of it. */
interface Locks {
  request(
    name: string,
    options: { mode: "shared" },
    hold: () => Promise<never>,
  ): Promise<never>;
}

type Namespace = Readonly<Record<string, unknown>>;

if (parentPort !== null) serve(parentPort, workerData);

function serve(port: MessagePort, url: string): void {
  // What comes before somebody listens is lost, so tasks are taken at once and wait for the module. If that cannot be
  // loaded, it is an uncaught error, which ends the worker.
  const module = load(url);
  port.on("message", async (message: Task | "end") => {
    if (message === "end") Deno.exit(); // this worker, that is
    report(port, await perform(await module, message));
  });
}

async function load(url: string): Promise<Namespace> {
  const namespace: Namespace = await import(url);
  await holdLock();
  return namespace;
}

// A worker that is terminated goes on with what it computes, for ever if it is a loop, unless it holds a lock: only then
// does Deno (2.9) stop it there and then. All workers share this one, and whoever has it keeps it. It is taken after the
// module is loaded because Deno does not survive a thread that is stopped while it loads a built-in module.
function holdLock(): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const hold = () => {
    resolve();
    return new Promise<never>(() => {});
  };
  const { locks } = navigator as typeof navigator & { locks: Locks };
  locks.request("kith worker", { mode: "shared" }, hold).catch(reject);
  return promise;
}

async function perform(namespace: Namespace, { name, data }: Task): Promise<Outcome> {
  const run = Object.hasOwn(namespace, name) ? namespace[name] : undefined;
  if (typeof run !== "function") return { type: "missing" };
  try {
    return { type: "value", value: await run(data) };
  } catch (thrown) {
    return failure(thrown);
  }
}

function report(port: MessagePort, outcome: Outcome): void {
  try {
    port.postMessage(outcome);
  } catch (cause) {
    port.postMessage(
      outcome.type === "failure"
        ? { ...outcome, details: {} }
        : failure(new Error(`The result cannot be cloned: ${cause}`)),
    );
  }
}

function failure(thrown: unknown): Failure {
  const { code, message, stack, details } = Object(thrown) as Readonly<Record<string, unknown>>;
  return {
    type: "failure",
    code: typeof code === "string" ? code : undefined,
    message: typeof message === "string" ? message : Deno.inspect(thrown),
    stack: typeof stack === "string" ? stack : undefined,
    details: typeof details === "object" && details !== null ? details : {},
  };
}
