import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { Commands } from "../../src/cli/control/commands.ts";
import { runHosted } from "../../src/cli/control/control_client.ts";
import { ControlLine } from "../../src/cli/control/control_line.ts";
import { ControlServer, MAX_COMMANDS } from "../../src/cli/control/control_server.ts";
import { openDoor } from "../../src/cli/control/door.ts";
import { OwnPeerWanted } from "../../src/cli/control/host.ts";
import { knock } from "../../src/cli/control/knock.ts";
import type { ControlMessage } from "../../src/cli/control/messages.ts";
import { Options, UsageError } from "../../src/cli/options.ts";
import { interrupted } from "../../src/cli/running.ts";
import { stdinOf } from "../../src/cli/stdin.ts";
import { ManualClock } from "../../src/clock.ts";
import {
  ClosedError,
  exitStatus,
  LimitError,
  NotFoundError,
  TimeoutError,
} from "../../src/errors.ts";
import { layerLog } from "../../src/log.ts";
import { Peer } from "../../src/peer.ts";
import { Home } from "../../src/state/home.ts";
import { VERSION } from "../../src/version.ts";
import { connectUnix } from "../../src/transport/unix.ts";
import { KeptOutput, RunningPeer, verbOf } from "./control_fixture.ts";

const windows = Deno.build.os === "windows";

/** A verb that does nothing but wait, and tells when it was told to end. */
function waiting() {
  const [begun, ended] = [Promise.withResolvers<void>(), Promise.withResolvers<unknown>()];
  const verb = verbOf(async ({ signal }) => {
    begun.resolve();
    await interrupted(signal);
    ended.resolve(signal.reason);
    signal.throwIfAborted();
  });
  return { verb, begun: begun.promise, ended: ended.promise };
}

/** What a command line sends first. */
function runMessage(verb: string, more: Record<string, unknown> = {}): ControlMessage {
  const line: string[] = [];
  return {
    ...{ type: "run", version: VERSION, verb, line, json: true, interactive: false, cwd: "/" },
    ...more,
  };
}

/** Has a verb run, whose line has nothing else to say yet. */
async function begin(line: ControlLine, verb: string): Promise<void> {
  line.send(runMessage(verb));
  assertEquals(await line.receive(), { type: "taken" });
}

async function connected(running: RunningPeer): Promise<ControlLine> {
  const line = await knock(running.home.dir);
  assert(line !== undefined);
  return line;
}

Deno.test("ControlServer runs a verb, and the command line prints what it prints in its order", async () => {
  const verb = verbOf(({ output, options, host }) => {
    output.progress("half");
    output.note("beware");
    output.result({ args: options.args, count: options.integer("count") ?? null }, "for people");
    output.bytes(Uint8Array.of(1, 255));
    output.log.error("kept apart", { is: NaN });
    return Promise.resolve(host === undefined ? 1 : 7);
  }, ["count"]);
  await using running = await RunningPeer.start({ verbs: { verb } });
  const json = ["verb", "--json", "--count", "3", "-", "--", "--peer", "ü\u0000"];
  const facts = `{"args":["-","--peer","ü\\u0000"],"count":3}`;
  const { status, printed } = await running.run(json);
  assertEquals(status, 7);
  assertEquals(printed.slice(0, -1), ["~ half", "! beware", facts, "01ff"]);
  const { level, layer, message, fields } = JSON.parse(printed.at(-1)?.slice(2) ?? "");
  assertEquals([level, layer, message, fields], ["error", "cli", "kept apart", { is: null }]);
  const people = await running.run(["verb"]);
  assertEquals(people.printed[2], "for people");
});

Deno.test("ControlServer passes errors on with code, details, exit status and class", async () => {
  const rows = [
    [new NotFoundError("no-peer", "Nobody", { details: { tried: ["a"], big: 2n } }), 5],
    [new LimitError("rate", "Too often", { details: { max: Infinity } }), 4],
    [new UsageError("Wrong"), 2],
    [new RangeError("Far"), 2],
    [new Error("Odd", { cause: new Error("No space (os error 28)") }), 1],
  ] as const;
  const verbs = Object.fromEntries(rows.map(([error], at) => {
    return [`fail${at}`, verbOf(() => Promise.reject(error))];
  }));
  await using running = await RunningPeer.start({ verbs });
  for (const [at, [error, status]] of rows.entries()) {
    const got = await assertRejects(() => running.run([`fail${at}`]), Error, error.message);
    assertEquals(exitStatus(got), status, error.message);
    assertEquals(got instanceof UsageError, error instanceof UsageError);
    assertEquals(got instanceof NotFoundError, error instanceof NotFoundError);
    assertEquals((got.cause as Error | undefined)?.message, (error.cause as Error)?.message);
  }
  const got = await assertRejects(() => running.run(["fail0"]), NotFoundError);
  assertEquals(got.details, { tried: ["a"], big: "2" });
});

Deno.test("ControlServer ends a verb when its command line is interrupted, and when it is gone", async () => {
  const [one, two] = [waiting(), waiting()];
  await using running = await RunningPeer.start({ verbs: { one: one.verb, two: two.verb } });
  const interrupt = new AbortController();
  const asked = running.run(["one"], interrupt.signal);
  await one.begun;
  interrupt.abort();
  await assertRejects(() => asked, Error, "Interrupted");
  assertEquals((await one.ended as Error).name, "AbortError");

  const line = await connected(running);
  line.send(runMessage("two"));
  await two.begun;
  line[Symbol.dispose]();
  assertStringIncludes(String(await two.ended), "gone");
});

Deno.test("ControlServer ends verbs when the peer goes, and their command lines say so", async () => {
  const { verb, begun } = waiting();
  const running = await RunningPeer.start({ verbs: { verb } });
  const asked = running.run(["verb"]);
  await begun;
  await Promise.all([
    assertRejects(() => asked, Error, "The running peer was ended"),
    running[Symbol.asyncDispose](),
  ]);
});

Deno.test("ControlServer ends no verb as done that ends in silence because the peer goes", async () => {
  const begun = Promise.withResolvers<void>();
  const verb = verbOf(async ({ signal }) => {
    begun.resolve();
    await interrupted(signal);
  });
  const running = await RunningPeer.start({ verbs: { verb } });
  const asked = running.run(["verb"]);
  await begun.promise;
  await Promise.all([
    assertRejects(() => asked, Error, "The running peer was ended"),
    running[Symbol.asyncDispose](),
  ]);
});

Deno.test("ControlServer says how a verb ended whose result is larger than what may wait", async () => {
  const verb = verbOf(({ output }) => {
    output.result({}, "x".repeat(17 * 1024 * 1024));
    return Promise.resolve(3);
  });
  await using running = await RunningPeer.start({ verbs: { verb } });
  assertEquals((await running.run(["verb"])).status, 3);
});

Deno.test("ControlServer passes log lines on under the layer that says them", async () => {
  const verb = verbOf(({ output }) => {
    layerLog(output.log, "endpoint").error("asked");
    return Promise.resolve();
  });
  await using running = await RunningPeer.start({ verbs: { verb } });
  const { printed } = await running.run(["verb"]);
  assertEquals(printed, ["! error: endpoint: asked"]);
});

Deno.test("ControlServer lets a verb wait until what it has printed is read", async () => {
  const verb = verbOf(async ({ output }) => {
    let waits = 0;
    for (let n = 0; n < 40; n++) {
      output.result({}, "x".repeat(500_000));
      const room = output.room();
      if (room !== undefined) waits++;
      await room;
    }
    return waits > 0 ? 0 : 1;
  });
  await using running = await RunningPeer.start({ verbs: { verb } });
  const { status, printed } = await running.run(["verb"]);
  assertEquals([status, printed.length], [0, 40]);
});

Deno.test("a command line that was interrupted before it was taken is interrupted", async () => {
  const { verb } = waiting();
  await using running = await RunningPeer.start({ verbs: { verb } });
  await assertRejects(() => running.run(["verb"], AbortSignal.abort()), Error, "Interrupted");
});

Deno.test("a command line gives up a peer that says nothing, or does not end what is interrupted", {
  ignore: windows,
}, async () => {
  const dir = await Deno.makeTempDir();
  using door = await openDoor(Home.open(dir));
  const lines: ControlLine[] = [];
  const accepting = (async () => {
    for (let it = await door.accept(); it !== undefined; it = await door.accept()) {
      const line = new ControlLine(it, 1024 * 1024);
      if (lines.push(line) === 2) line.send({ type: "taken" });
    }
  })();
  const { verb } = waiting();
  const ask = (signal: AbortSignal, takenMs: number) => {
    const options = new Options([`--home=${dir}`], verb.options);
    const output = new KeptOutput({ json: false, level: "error" });
    return runHosted("verb", verb, { options, output, signal }, { takenMs, cancelMs: 10 });
  };
  await assertRejects(() => ask(new AbortController().signal, 10), TimeoutError, "nothing");
  await assertRejects(() => ask(AbortSignal.abort(), 60_000), ClosedError);
  for (const line of lines) line[Symbol.dispose]();
  door[Symbol.dispose]();
  await accepting;
  await Deno.remove(dir, { recursive: true });
});

Deno.test("Commands of a home are taken over from a peer that has gone", async () => {
  const dir = await Deno.makeTempDir();
  const home = Home.open(dir);
  await using peer = await Peer.open({ hostname: "127.0.0.1", clientOnly: true });
  const verb = verbOf(() => Promise.resolve(9));
  const options = new Options([], verb.options);
  const parts = { peer, options, startedMs: 1, verbs: { verb } };
  const first = await ControlServer.open({ ...parts, home });
  const [clock, output] = [new ManualClock(), new KeptOutput({ json: false, level: "error" })];
  const held = { home, isShared: true, [Symbol.dispose]: () => {} };
  const second = new Commands(parts, held, output, clock);
  await second.take();
  await first[Symbol.asyncDispose]();
  assertEquals(await knock(dir), undefined);
  await clock.advance(5_000);
  await second.take();
  const line = await knock(dir);
  assertEquals([line === undefined, output.printed], [false, []]);
  line?.[Symbol.dispose]();
  await second[Symbol.asyncDispose]();
  await Deno.remove(dir, { recursive: true });
});

Deno.test("ControlServer leaves to a peer of its own what the verb, or an option, wants there", async () => {
  const verb = verbOf(() => Promise.reject(new OwnPeerWanted("it may not read")), ["count"]);
  await using running = await RunningPeer.start({ verbs: { verb }, line: ["--host", "127.0.0.1"] });
  const rows = [
    [[], "it may not read"],
    [["--host", "127.0.0.1", "--count", "2"], "it may not read"],
    [["--host", "127.0.0.2"], "--host is not as the running peer has it"],
    [["--name", "eve"], "--name is not as the running peer has it"],
    [["--dialect", "witch"], "--dialect witch wants a peer of its own"],
    [["--network", "lab"], "the running peer is in another network"],
    [["--ephemeral"], "--ephemeral is another peer"],
    [["--no-daemon"], "--no-daemon asks for another peer"],
  ] as const;
  for (const [line, why] of rows) {
    assertEquals((await running.run(["verb", ...line])).apart, why, line.join(" "));
  }
  const line = await connected(running);
  line.send(runMessage("verb", { version: "0.0.1" }));
  assertEquals(await line.receive(), {
    type: "own",
    why: `the running peer is kith ${VERSION}`,
  });
  line[Symbol.dispose]();
});

Deno.test("ControlServer gives a verb stdin piece by piece, as far as it is wanted", async () => {
  const verb = verbOf(async (invocation) => {
    const got = await new Response(stdinOf(invocation)).text();
    invocation.output.result({ got }, "");
  });
  await using running = await RunningPeer.start({ verbs: { verb } });
  using line = await connected(running);
  await begin(line, "verb");
  for (let ahead = 0; ahead < 4; ahead++) assertEquals(await line.receive(), { type: "read" });
  for (const bytes of ["aGVs", "bG8="]) {
    line.send({ type: "input", bytes });
    assertEquals(await line.receive(), { type: "read" });
  }
  for (const bytes of [null, null]) line.send({ type: "input", bytes });
  assertEquals(await line.receive(), { type: "result", facts: '{"got":"hello"}' });
  assertEquals(await line.receive(), { type: "end", status: 0 });
  assertEquals(await line.receive(), undefined);
});

Deno.test("ControlServer tells a verb of the signal that stops it for a while", async () => {
  const { promise: toggled, resolve } = Promise.withResolvers<void>();
  const verb = verbOf(async ({ host }) => {
    using _toggle = host?.onToggle(resolve);
    await toggled;
  });
  await using running = await RunningPeer.start({ verbs: { verb } });
  using line = await connected(running);
  await begin(line, "verb");
  assertEquals(await line.receive(), { type: "pausable" });
  line.send({ type: "toggle" });
  assertEquals(await line.receive(), { type: "end", status: 0 });
});

Deno.test("ControlServer answers what it cannot read with an error, closes that line, and goes on", async () => {
  const { verb, begun } = waiting();
  await using running = await RunningPeer.start({ verbs: { verb } });
  const place = `${running.home.dir}/control/up.sock`;
  const first = [
    ["not json\n", "bad-message"],
    ["[1]\n", "bad-message"],
    ['{"type":"walk"}\n', "bad-message"],
    [JSON.stringify(runMessage("verb", { line: [1] })) + "\n", "bad-message"],
    [JSON.stringify(runMessage("id")) + "\n", "no-endpoint"],
    [JSON.stringify(runMessage("verb", { line: ["--bogus"] })) + "\n", undefined],
  ] as const;
  for (const [text, code] of first) {
    const connection = await connectUnix(place);
    await connection.write(new TextEncoder().encode(text));
    const answer = JSON.parse(await readAll(connection));
    assertEquals([answer.type, answer.code], ["error", code], text);
  }
  using line = await connected(running);
  await begin(line, "verb");
  await begun;
  line.send({ type: "dance" });
  assertEquals((await line.receive())?.code, "bad-message");
  assertEquals(await line.receive(), undefined);
});

Deno.test("ControlServer refuses more command lines than it has room for, and takes others later", async () => {
  const verb = verbOf(async ({ signal, output }) => {
    output.result({}, "");
    await interrupted(signal);
  });
  await using running = await RunningPeer.start({ verbs: { verb } });
  const lines: ControlLine[] = [];
  for (let count = 0; count < MAX_COMMANDS; count++) {
    const line = await connected(running);
    await begin(line, "verb");
    assertEquals((await line.receive())?.type, "result");
    lines.push(line);
  }
  using over = await connected(running);
  assertEquals((await over.receive())?.code, "limit");
  lines[0]?.send({ type: "cancel" });
  assertEquals((await lines[0]?.receive())?.type, "end");
  assertEquals(await lines[0]?.receive(), undefined);
  using next = await connected(running);
  await begin(next, "verb");
  assertEquals((await next.receive())?.type, "result");
  for (const line of lines) line[Symbol.dispose]();
});

Deno.test("ControlServer ends a verb that prints more than its command line reads", async () => {
  const { promise: failed, resolve } = Promise.withResolvers<unknown>();
  const text = "x".repeat(4 * 1024 * 1024);
  const verb = verbOf(({ output }) => {
    try {
      for (;;) output.note(text);
    } catch (error) {
      resolve(error);
      return Promise.reject(error);
    }
  });
  await using running = await RunningPeer.start({ verbs: { verb } });
  using line = await connected(running);
  await begin(line, "verb");
  assert(await failed instanceof LimitError);
});

Deno.test("a command line whose running peer dies says so", { ignore: windows }, async () => {
  await using running = await RunningPeer.start({
    verbs: { verb: verbOf(() => Promise.resolve()) },
  });
  const dir = await Deno.makeTempDir();
  Deno.mkdirSync(`${dir}/control`, { mode: 0o700 });
  using listener = Deno.listen({ transport: "unix", path: `${dir}/control/up.sock` });
  const output = new KeptOutput({ json: false, level: "error" });
  const asked = running.runWith(["verb", "--home", dir], output, new AbortController().signal);
  (await listener.accept()).close();
  await assertRejects(() => asked, ClosedError);
  await Deno.remove(dir, { recursive: true });
});

async function readAll(connection: Awaited<ReturnType<typeof connectUnix>>): Promise<string> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  const into = new Uint8Array(4096);
  for (let got = await connection.read(into); got !== null; got = await connection.read(into)) {
    chunks.push(into.slice(0, got));
  }
  connection.close();
  return await new Blob(chunks).text();
}
