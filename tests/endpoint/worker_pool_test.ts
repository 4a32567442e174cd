import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Dispatcher } from "../../src/endpoint/dispatcher.ts";
import { WorkerPool, type WorkerPoolOptions } from "../../src/endpoint/worker_pool.ts";
import { ClosedError, LimitError, NotFoundError, PeerError } from "../../src/errors.ts";
import { Metrics } from "../../src/metrics.ts";
import { Journal } from "./fixture.ts";
import { BEGUN, GATE, ROUNDS } from "./worker_fixture.ts";

const ROOT = new URL("../../", import.meta.url);
const MODULE = import.meta.resolve("./worker_fixture.ts");

function openPool(options: Partial<WorkerPoolOptions> = {}): WorkerPool {
  return new WorkerPool({ module: MODULE, size: 1, ...options });
}

/** The test's side of the memory that it shares with jobs. */
class Shared {
  readonly cells = new Int32Array(new SharedArrayBuffer(12));

  /** Resolves when so many jobs have begun. */
  async begun(jobs: number): Promise<void> {
    for (;;) {
      const begun = Atomics.load(this.cells, BEGUN);
      if (begun >= jobs) return;
      await Atomics.waitAsync(this.cells, BEGUN, begun).value;
    }
  }

  open(): void {
    Atomics.store(this.cells, GATE, 1);
    Atomics.notify(this.cells, GATE);
  }

  /** Rejects unless the loop of `spin` stops. It goes round 100,000 times in a millisecond, but has to share processors. */
  async stopped(): Promise<void> {
    let calm = 0;
    for (let tries = 0; calm < 5; tries++) {
      assert(tries < 60, "the loop goes round for ever");
      const rounds = Atomics.load(this.cells, ROUNDS);
      await new Promise((resolve) => setTimeout(resolve, 40));
      calm = rounds === Atomics.load(this.cells, ROUNDS) ? calm + 1 : 0;
    }
  }
}

/** Runs a program in a process of its own, which has no configuration. @returns what it prints. */
async function output(permissions: string[], program: string): Promise<string> {
  const dir = await Deno.makeTempDir();
  try {
    const process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", ...permissions, "-"],
      cwd: dir,
      env: { DENO_DIR: `${dir}/cache`, NO_COLOR: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = process.stdin.getWriter();
    await writer.write(new TextEncoder().encode(program));
    await writer.close();
    const { stdout, stderr } = await process.output();
    const decoder = new TextDecoder();
    return decoder.decode(stdout) || decoder.decode(stderr);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** A program that imports the pool from under `base`, has `module` double 21 and prints the result, or why not. */
function program(base: URL, module: string | URL): string {
  return `
    import { WorkerPool } from "${new URL("src/endpoint/worker_pool.ts", base)}";
    await using pool = new WorkerPool({ module: "${module}" });
    console.log(await pool.run("double", 21).catch(String));
  `;
}

// Where dependencies come from npm, `deno test` checks the types of what a worker loads every time that one starts. So
// tests that can do with the same workers share them.

Deno.test("WorkerPool.run", async (t) => {
  const metrics = new Metrics();
  await using pool = openPool({ metrics });

  await t.step("gives what a function of the module returns or promises", async () => {
    assertEquals(await pool.run("double", 21), 42);
    const value = { text: "x", bytes: new Uint8Array([1, 2]), when: new Date(3), big: 4n };
    assertEquals(await pool.run("later", value), value);
    assertEquals(await pool.run("later", undefined), undefined);
  });

  await t.step("takes jobs in the order they came", async () => {
    const done: number[] = [];
    const jobs = [1, 2, 3, 4].map(async (n) => done.push(await pool.run("double", n) as number));
    assertEquals([pool.atWork, pool.queued], [1, 3]);
    await Promise.all(jobs);
    assertEquals(done, [2, 4, 6, 8]);
    assertEquals([pool.atWork, pool.queued], [0, 0]);
  });

  await t.step("rejects with an error of the table as it was thrown", async () => {
    const details = { limit: "rate", max: 3 };
    const error = await assertRejects(() => pool.run("refuse", details), PeerError);
    assertEquals([error.code, error.message], ["rate", "Cannot serve: too many"]);
    assertEquals(error.details, details);
    assertStringIncludes(String(error.stack), "worker_fixture.ts");

    const foreign = { message: "no", code: "denied", details: "none" }; // of another copy of kith, say
    const other = await assertRejects(() => pool.run("fail", foreign), PeerError, "no");
    assertEquals([other.code, other.details], ["denied", {}]);
  });

  await t.step("leaves out details that cannot be cloned", async () => {
    const error = await assertRejects(() => pool.run("refuseWithFunction", null), PeerError);
    assertEquals([error.code, error.details], ["rate", {}]);
  });

  await t.step("rejects with a plain Error for whatever else is thrown", async () => {
    for (const code of [undefined, "ENOENT", "constructor", 7]) {
      const error = await assertRejects(() => pool.run("fail", { message: "ouch", code }), Error);
      assertStrictEquals(Object.getPrototypeOf(error), Error.prototype);
      assertEquals([error.name, error.message], ["Error", "ouch"]);
    }
    for (const thrown of [undefined, null, "text", 7, { plain: true }]) {
      const error = await assertRejects(() => pool.run("raise", thrown), Error);
      assertStringIncludes(error.message, Deno.inspect(thrown));
    }
  });

  await t.step("knows the functions that the module exports and no others", async () => {
    for (const name of ["", "nothing", "GATE", "begin", "toString", "__proto__", "constructor"]) {
      const error = await assertRejects(() => pool.run(name, null), NotFoundError, `"${name}"`);
      assertEquals(error.code, "no-endpoint");
    }
  });

  await t.step("refuses data that cannot be cloned, at once or when its turn comes", async () => {
    await assertRejects(() => pool.run("later", () => {}), TypeError, "cannot be cloned");
    const jobs = [pool.run("later", 1), pool.run("later", Symbol()), pool.run("later", 2)];
    const [first, refused, last] = await Promise.allSettled(jobs);
    assertEquals([first?.status, last?.status], ["fulfilled", "fulfilled"]);
    assert(refused?.status === "rejected");
    assertInstanceOf(refused.reason, TypeError);
  });

  await t.step("rejects when the result cannot be cloned", async () => {
    await assertRejects(() => pool.run("giveFunction", null), Error, "The result cannot be cloned");
  });

  await t.step("does not mind a signal that is aborted after the job", async () => {
    const caller = new AbortController();
    await pool.run("double", 1, { signal: caller.signal });
    caller.abort();
    assertEquals(await pool.run("double", 2), 4);
  });

  await t.step("is what WorkerPool.handler calls for a header", async () => {
    const handler = pool.handler("double");
    new Dispatcher().handle("double", handler);
    assertEquals(await handler(21, { signal: new AbortController().signal }), 42);
    const reason = new Error("never mind");
    const ending = handler(21, { signal: AbortSignal.abort(reason) });
    assertStrictEquals(await ending.catch((error) => error), reason);
  });

  await t.step("did all this in the same worker", async () => {
    assertEquals(await pool.run("count", null), 1);
    assertEquals(await pool.run("count", null), 2);
    assertEquals(Object.keys(metrics.snapshot()), ["workers.jobs"]);
  });
});

Deno.test("WorkerPool has as many jobs at work as it has workers, one each", async () => {
  await using pool = openPool({ size: 2 });
  assertEquals([pool.atWork, pool.queued], [0, 0]);
  const shared = new Shared();
  const jobs = [1, 2, 3].map(() => pool.run("hold", shared.cells));
  await shared.begun(2);
  assertEquals([pool.atWork, pool.queued], [2, 1]);
  shared.open();
  await Promise.all(jobs);
  assertEquals(Atomics.load(shared.cells, BEGUN), 3);
});

Deno.test("WorkerPool refuses jobs beyond maxQueue and goes on", async () => {
  await using pool = openPool({ maxQueue: 1 });
  const shared = new Shared();
  const running = pool.run("hold", shared.cells);
  const queued = pool.run("double", 1);
  const error = await assertRejects(() => pool.run("double", 2), LimitError, "maxQueue");
  assertEquals(error.code, "limit");
  assertEquals(error.details, { limit: "maxQueue", max: 1 });
  assertEquals([pool.atWork, pool.queued], [1, 1]);
  shared.open();
  assertEquals(await running, 1);
  assertEquals(await queued, 2);
});

Deno.test("WorkerPool with maxQueue 0 takes what a worker is free for", async () => {
  await using pool = openPool({ maxQueue: 0 });
  const running = pool.run("double", 1);
  await assertRejects(() => pool.run("double", 2), LimitError);
  assertEquals(await running, 2);
  assertEquals(await pool.run("double", 3), 6);
});

Deno.test("WorkerPool.run with an aborted signal does nothing", async () => {
  const metrics = new Metrics();
  await using pool = openPool({ metrics });
  const reason = new Error("never mind");
  const ending = pool.run("count", null, { signal: AbortSignal.abort(reason) });
  assertStrictEquals(await ending.catch((error) => error), reason);
  assertEquals(metrics.snapshot(), {});
});

Deno.test("WorkerPool takes an aborted job out of the queue and runs the others", async () => {
  const metrics = new Metrics();
  await using pool = openPool({ metrics });
  const shared = new Shared();
  const caller = new AbortController();
  const running = pool.run("hold", shared.cells);
  const aborted = pool.run("count", null, { signal: caller.signal });
  const next = pool.run("count", null);
  const reason = new Error("never mind");
  caller.abort(reason);
  assertEquals([pool.atWork, pool.queued], [1, 1]);
  assertStrictEquals(await aborted.catch((error) => error), reason);
  shared.open();
  await running;
  assertEquals(await next, 1); // the aborted one was not counted, and the worker is the same
  assertEquals(metrics.snapshot(), { "workers.cancelled": 1, "workers.jobs": 2 });
});

Deno.test("WorkerPool stops an aborted job and replaces its worker", async (t) => {
  const metrics = new Metrics();
  await using pool = openPool({ metrics });

  await t.step("while the worker starts", async () => {
    const caller = new AbortController();
    const aborted = pool.run("count", null, { signal: caller.signal });
    caller.abort();
    await assertRejects(() => aborted, DOMException, "aborted");
    assertEquals(await pool.run("count", null), 1);
  });

  for (const busy of ["spin", "hold", "idle"]) {
    await t.step(`in "${busy}"`, async () => {
      const shared = new Shared();
      const caller = new AbortController();
      const aborted = pool.run(busy, shared.cells, { signal: caller.signal });
      const next = pool.run("count", null);
      await shared.begun(1);
      const reason = new Error("never mind");
      caller.abort(reason);
      assertStrictEquals(await aborted.catch((error) => error), reason);
      assertEquals(await next, 1); // by another worker, which loaded the module anew
      await shared.stopped();
    });
  }

  assertEquals(metrics.snapshot(), { "workers.cancelled": 4, "workers.jobs": 8 });
});

Deno.test("WorkerPool replaces a worker that dies", async (t) => {
  const metrics = new Metrics();
  const log = new Journal();
  await using pool = openPool({ metrics, log });

  await t.step("of an uncaught error", async () => {
    const crashed = pool.run("crash", null);
    const next = pool.run("count", null);
    await assertRejects(() => crashed, Error, 'Cannot run "crash": its worker died');
    assertEquals(await next, 1);
    const [line] = log.lines;
    assertEquals([line?.level, line?.message], ["warn", "a worker died"]);
    assertStringIncludes(String(line?.fields.why), "on the rocks");
  });

  await t.step("by leaving", async () => {
    await assertRejects(() => pool.run("quit", 3), Error, "ended with status 3");
    assertEquals(await pool.run("count", null), 1);
  });

  await t.step("while it has nothing to do", async () => {
    const died = Promise.withResolvers<void>();
    log.warn = () => died.resolve();
    await pool.run("crashLater", null);
    await died.promise;
    assertEquals(await pool.run("count", null), 1);
  });

  assertEquals(metrics.snapshot(), { "workers.crashed": 3, "workers.jobs": 6 });
});

Deno.test("WorkerPool rejects every job of a module that cannot be loaded", async () => {
  const metrics = new Metrics();
  await using pool = openPool({ module: import.meta.resolve("./nowhere.ts"), metrics });
  const jobs = await Promise.allSettled([pool.run("double", 1), pool.run("double", 2)]);
  for (const job of jobs) {
    assert(job.status === "rejected");
    assertStringIncludes(String(job.reason), "Module not found");
  }
  assertEquals(metrics.snapshot(), { "workers.crashed": 2, "workers.jobs": 2 });
});

Deno.test("WorkerPool.close rejects what runs and what waits, and is harmless twice", async () => {
  const metrics = new Metrics();
  const pool = openPool({ metrics });
  const shared = new Shared();
  const jobs = [pool.run("spin", shared.cells), pool.run("double", 1)];
  const endings = Promise.allSettled(jobs);
  await shared.begun(1);
  await Promise.all([pool.close(), pool.close()]);
  for (const job of await endings) {
    assert(job.status === "rejected");
    assertInstanceOf(job.reason, ClosedError);
  }
  assertEquals([pool.atWork, pool.queued], [0, 0]);
  await shared.stopped();
  await assertRejects(() => pool.run("double", 1), ClosedError, "the worker pool is closed");
  await pool.close();
  assertEquals(metrics.snapshot(), { "workers.jobs": 1 });
});

Deno.test("WorkerPool.close has nothing to do before the first job, and ends a worker that starts", async () => {
  await openPool().close();
  const pool = openPool();
  const job = assertRejects(() => pool.run("double", 1), ClosedError);
  await pool.close();
  await job;
});

Deno.test("WorkerPool needs to read the module and its own, and nothing else", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const module = pathToFileURL(`${dir}/jobs.ts`);
    await Deno.writeTextFile(module, "export const double = (value: number) => 2 * value;");
    const main = fileURLToPath(new URL("src/endpoint/worker_main.ts", ROOT));
    const read = (...paths: string[]) => `--allow-read=${paths.join(",")}`;
    assertEquals(await output([read(`${dir}/jobs.ts`, main)], program(ROOT, module)), "42\n");
    for (const path of [main, `${dir}/jobs.ts`]) {
      assertStringIncludes(await output([read(path)], program(ROOT, module)), "read access to");
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("WorkerPool works when it is imported from a web server", async () => {
  const folder = "/100%25%20/"; // what is escaped in a URL stays so
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async ({ url }) => {
      const path = new URL(url).pathname.replace(folder, "");
      const file = await Deno.readTextFile(new URL(path, ROOT));
      return new Response(file, { headers: { "content-type": "application/typescript" } });
    },
  );
  const { hostname, port } = server.addr;
  const base = new URL(`http://${hostname}:${port}${folder}`);
  const module = "data:text/javascript,export const double = (value) => 2 * value;";
  const permissions = [`--allow-import=${base.host}`];
  assertEquals(await output(permissions, program(base, module)), "42\n");
});

Deno.test("WorkerPool refuses options that make no sense", () => {
  for (const module of ["", "./jobs.ts", "/jobs.ts", "jobs"]) {
    assertThrows(() => openPool({ module }), TypeError, "absolute URL");
  }
  for (const size of [0, -1, 1.5, NaN, Infinity]) {
    assertThrows(() => openPool({ size }), RangeError, "Size must be");
  }
  for (const maxQueue of [-1, 0.5, NaN, Infinity]) {
    assertThrows(() => openPool({ maxQueue }), RangeError, "maxQueue must be");
  }
  new WorkerPool({ module: new URL(MODULE) });
});
