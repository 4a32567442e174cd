// deno-lint-ignore-file no-console -- a program that shows something

/**
 * The main job, end to end: two peers in two processes find each other, one calls the other, writes to it, publishes in a
 * topic, which a third who comes late reads as well, puts a value into the DHT, which the third gets when it is gone, and
 * sends a folder, of which every file is compared. Exit status 0 only when the answer is right and every hash matches. Uses
 * 127.0.0.1 alone and leaves nothing behind.
 *
 * `npm run demo`, or `deno task demo`.
 */

import { deadline } from "@std/async/deadline";
import { createHash } from "node:crypto";

/** Files of the folder that is sent, in bytes; made by the demo. */
const FILES: Readonly<Record<string, number>> = {
  "empty.txt": 0,
  "hello.txt": 14,
  "notes/just one byte.bin": 1,
  "notes/größe ☃.bin": 100_000,
  "pictures/2026/first.bin": 3_000_000,
  "pictures/large.bin": 64 * 1024 * 1024,
};

/** How long any one step may take. */
const STEP_MS = 60_000;

type Event = Record<string, unknown>;

// Run from npm, the import map stands in for JSR; the processes started here need the same.
const importMap = Deno.args.find((arg) => arg.startsWith("--import-map="));

// A port of its own, so that peers that are at work on this machine do not take part.
const discoveryPort = String(20_000 + Math.floor(Math.random() * 20_000));
const loopback = ["--host", "127.0.0.1", "--discovery-port", discoveryPort, "--json"];

Deno.exit(await main());

async function main(): Promise<number> {
  const dir = await Deno.makeTempDir({ prefix: "kith-demo-" });
  const { child: bob, lines } = start("up", [
    ...["--dir", `${dir}/inbox`, "--yes", "--name", "bob", "--topic", "news"],
    ...["--port", "0", "--http-port", "0"],
  ], dir);
  try {
    await makeFolder(`${dir}/album`);
    const events = lines[Symbol.asyncIterator]();
    const { peerId, tcp, http } = await nextEvent(events, "ready");
    console.log(`bob    is up: peer ${String(peerId).slice(0, 12)}..., ports ${tcp} and ${http}`);

    const [found] = await all(start("discover", ["--timeout", "0.5"], dir));
    if (found === undefined) throw new Error("nobody was found");
    const via = (found.via as string[]).join(" and ");
    console.log(`alice  found ${found.name} at ${found.addresses}, via ${via}`);

    const question = { sum: [1, 2.5, "three"], from: "alice" };
    const [answer] = await all(start("call", ["bob", "echo", JSON.stringify(question)], dir));
    if (JSON.stringify(answer?.result) !== JSON.stringify(question)) {
      throw new Error(`the answer is wrong: ${JSON.stringify(answer)}`);
    }
    const [ping] = await all(start("ping", ["bob"], dir));
    console.log(
      `alice  called bob's echo: the same came back, in a round trip of ${ping?.rttMs} ms`,
    );

    await all(start("msg", ["bob", "hello bob", "--name", "alice"], dir));
    const { data } = await nextEvent(events, "message");
    console.log(`bob    has a message: ${data}`);

    await all(start("pub", ["news", "the kettle is on"], dir));
    const heard = await nextEvent(events, "topic-message");
    console.log(`bob    read in the topic news: ${heard.data}`);
    const late = await all(start("sub", ["news", "--since", "--count", "1", "--port", "0"], dir));
    const missed = late.find(({ event }) => event === "message");
    if (missed === undefined || missed.from !== heard.from || missed.seq !== heard.seq) {
      throw new Error(`carol missed it: ${JSON.stringify(missed)}`);
    }
    console.log(`carol  came later, and read: ${missed.data}`);

    const greeting = "hello, whoever asks";
    const [put] = await all(start("dht", ["put", "greeting", greeting], dir));
    // Carol is another peer, and alice's process has ended.
    const [got] = await all(start("dht", ["get", "greeting", "--ephemeral"], dir));
    if (got?.value !== greeting || got.seq !== put?.seq) {
      throw new Error(`carol got something else: ${JSON.stringify(got)}`);
    }
    console.log(`carol  got what alice put into the DHT, in ${got.rttMs} ms: ${got.value}`);

    const sent = await all(start("send", [`${dir}/album`, "--to", "bob", "--name", "alice"], dir));
    const done = sent.find(({ event }) => event === "done");
    if (done === undefined) throw new Error("the transfer did not finish");
    const { files, bytes, seconds } = done as { files: number; bytes: number; seconds: number };
    const rate = (bytes / seconds / 1e6).toFixed(0);
    console.log(
      `alice  sent ${files} files, ${(bytes / 1e6).toFixed(1)} MB, in ${
        seconds.toFixed(2)
      } s (${rate} MB/s)`,
    );

    stop(bob);
    await nextEvent(events, "closed");
    return await compare(`${dir}/album`, `${dir}/inbox/album`);
  } catch (error) {
    console.error(`the demo failed: ${error instanceof Error ? error.message : error}`);
    return 1;
  } finally {
    stop(bob);
    await bob.status;
    await lines.return();
    await Deno.remove(dir, { recursive: true });
  }
}

/** Starts the command line in a process of its own, with a home of its own. */
function start(
  verb: string,
  args: string[],
  dir: string,
): { child: Deno.ChildProcess; lines: AsyncGenerator<Event, void, void> } {
  const cli = new URL("../cli.ts", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", ...(importMap ? [importMap] : []), cli, verb, ...args, ...loopback],
    env: { KITH_HOME: `${dir}/home-${verb}` },
    stdin: "null",
    stdout: "piped",
    stderr: verb === "up" ? "null" : "inherit", // it says in words what its events say
  }).spawn();
  return { child, lines: events(child.stdout) };
}

/** The NDJSON lines of a process. */
async function* events(stdout: ReadableStream<Uint8Array>): AsyncGenerator<Event, void, void> {
  let rest = "";
  for await (const text of stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield JSON.parse(line);
  }
}

/** Every event of a process that is expected to end well. */
async function all(
  { child, lines }: { child: Deno.ChildProcess; lines: AsyncGenerator<Event> },
): Promise<Event[]> {
  const seen = await inTime(Array.fromAsync(lines), child);
  const { code } = await child.status;
  if (code !== 0) {
    throw new Error(`a process ended with status ${code}: ${JSON.stringify(seen.at(-1))}`);
  }
  return seen;
}

/** Waits for a step; a process that takes too long is stopped. */
async function inTime<T>(step: Promise<T>, child: Deno.ChildProcess): Promise<T> {
  try {
    return await deadline(step, STEP_MS);
  } catch (error) {
    stop(child);
    throw error;
  }
}

async function nextEvent(events: AsyncIterator<Event>, wanted: string): Promise<Event> {
  for (;;) {
    const { done, value } = await deadline(events.next(), STEP_MS);
    if (done) throw new Error(`bob ended before "${wanted}"`);
    if (value.event === wanted) return value;
  }
}

function stop(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGTERM");
  } catch {
    // it has ended already
  }
}

async function makeFolder(dir: string): Promise<void> {
  for (const [name, size] of Object.entries(FILES)) {
    const path = `${dir}/${name}`;
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    using file = await Deno.create(path);
    for (let left = size; left > 0;) {
      const chunk = crypto.getRandomValues(new Uint8Array(Math.min(left, 65_536)));
      left -= file.writeSync(chunk);
    }
  }
}

/** Compares every file by SHA-256. @returns the exit status. */
async function compare(from: string, to: string): Promise<number> {
  let wrong = 0;
  for (const name of Object.keys(FILES)) {
    const [a, b] = await Promise.all([hashOf(`${from}/${name}`), hashOf(`${to}/${name}`)]);
    if (a !== b) wrong++;
    console.log(`${a === b ? "same " : "WRONG"}  ${a.slice(0, 16)}...  ${name}`);
  }
  console.log(wrong === 0 ? "every hash matches" : `${wrong} files differ`);
  return wrong === 0 ? 0 : 1;
}

async function hashOf(path: string): Promise<string> {
  using file = await Deno.open(path);
  const hash = createHash("sha256");
  const buffer = new Uint8Array(256 * 1024);
  for (let count = file.readSync(buffer); count !== null; count = file.readSync(buffer)) {
    hash.update(buffer.subarray(0, count));
  }
  return hash.digest("hex");
}
