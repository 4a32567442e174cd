// deno-lint-ignore-file no-console -- a program that shows something

/**
 * The main job, end to end: four peers in processes of their own, and a fifth, alice, who finds them, calls one, writes to
 * it, publishes in a topic, which a sixth who comes late reads as well, puts a value into the DHT, and broadcasts a folder to
 * all four, who pass it on to each other; with `--chaos` one of them is killed while it does. Exit status 0 only when every
 * answer is right and every hash of every receiver matches. Uses 127.0.0.1 alone and leaves nothing behind.
 *
 * `npm run demo`, or `deno task demo`; `npm run demo -- --chaos`.
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

/** Who runs a peer all along; alice, and frank who comes late, are there for moments. */
const NAMES = ["bob", "carol", "dave", "erin"];

type Event = Record<string, unknown>;

interface Process {
  readonly child: Deno.ChildProcess;
  readonly lines: AsyncGenerator<Event, void, void>;
}

interface RunningPeer {
  readonly name: string;
  readonly peerId: string;
  readonly tcp: number;
  readonly process: Process;
}

// Run from npm, the import map stands in for JSR; the processes started here need the same.
const helpText = "The main job, end to end, on 127.0.0.1: npm run demo [-- --chaos]";
const chaos = Deno.args.includes("--chaos");
const importMap = Deno.args.find((arg) => arg.startsWith("--import-map="));
const unknown = Deno.args.find((arg) => !["--chaos", "--help", importMap].includes(arg));

// A port of its own, so that peers that are at work on this machine do not take part.
const discoveryPort = String(20_000 + Math.floor(Math.random() * 20_000));
const loopback = ["--host", "127.0.0.1", "--discovery-port", discoveryPort, "--json"];

if (Deno.args.includes("--help")) {
  console.log(helpText);
  Deno.exit();
}
if (unknown !== undefined) {
  console.error(`Cannot understand ${unknown}: ${helpText}`);
  Deno.exit(2);
}
Deno.exit(await main());

async function main(): Promise<number> {
  const dir = await Deno.makeTempDir({ prefix: "kith-demo-" });
  const town = NAMES.map((name) => start(dir, name, "up", upArgs(dir, name)));
  try {
    await makeFolder(`${dir}/album`);
    const peers = await Promise.all(town.map(ready));
    for (const { name, peerId, tcp } of peers) {
      console.log(`${name.padEnd(7)}is up: peer ${peerId.slice(0, 12)}..., port ${tcp}`);
    }
    const [bob] = peers;
    if (bob === undefined) throw new Error("nobody is up");
    await findAndCall(dir, bob);
    await writeTo(dir, bob);
    await putAndGet(dir);
    const done = await sendToAll(dir, peers);
    for (const { child } of town) stop(child);
    await Promise.all(town.map(({ child }) => child.status));
    return await summary(dir, peers, done);
  } catch (error) {
    console.error(`the demo failed: ${error instanceof Error ? error.message : error}`);
    return 1;
  } finally {
    for (const { child } of town) stop(child);
    for (const { child, lines } of town) {
      await child.status;
      await lines.return();
    }
    await Deno.remove(dir, { recursive: true });
  }
}

function upArgs(dir: string, name: string): string[] {
  return [
    ...["--dir", `${dir}/${name}`, "--yes", "--name", name, "--topic", "news"],
    ...["--port", "0", "--http-port", "0"],
  ];
}

async function ready(process: Process, nth: number): Promise<RunningPeer> {
  const name = NAMES[nth] ?? "";
  const { peerId, tcp } = await nextEvent(process, "ready");
  return { name, peerId: String(peerId), tcp: Number(tcp), process };
}

async function findAndCall(dir: string, bob: RunningPeer): Promise<void> {
  const found = await all(start(dir, "alice", "discover", ["--timeout", "1"]));
  if (!found.some(({ peerId }) => peerId === bob.peerId)) throw new Error("bob was not found");
  console.log(`alice  found ${found.map(({ name }) => name).sort().join(", ")}`);
  const question = { sum: [1, 2.5, "three"], from: "alice" };
  const [answer] = await all(
    start(dir, "alice", "call", ["bob", "echo", JSON.stringify(question)]),
  );
  if (JSON.stringify(answer?.result) !== JSON.stringify(question)) {
    throw new Error(`the answer is wrong: ${JSON.stringify(answer)}`);
  }
  const [ping] = await all(start(dir, "alice", "ping", ["bob"]));
  console.log(`alice  called bob's echo: the same came back, in a round trip of ${ping?.rttMs} ms`);
}

async function writeTo(dir: string, bob: RunningPeer): Promise<void> {
  await all(start(dir, "alice", "msg", ["bob", "hello bob", "--name", "alice"]));
  const { data } = await nextEvent(bob.process, "message");
  console.log(`bob    has a message: ${data}`);
  await all(start(dir, "alice", "pub", ["news", "the kettle is on"]));
  const heard = await nextEvent(bob.process, "topic-message");
  console.log(`bob    read in the topic news: ${heard.data}`);
  const late = await all(
    start(dir, "late", "sub", ["news", "--since", "--count", "1", "--port", "0"]),
  );
  const missed = late.find(({ event }) => event === "message");
  if (missed === undefined || missed.from !== heard.from || missed.seq !== heard.seq) {
    throw new Error(`the late one missed it: ${JSON.stringify(missed)}`);
  }
  console.log(`frank  came later, and read: ${missed.data}`);
}

async function putAndGet(dir: string): Promise<void> {
  const greeting = "hello, whoever asks";
  const [put] = await all(start(dir, "alice", "dht", ["put", "greeting", greeting]));
  // Who asks is another peer, and alice's process has ended.
  const [got] = await all(start(dir, "late", "dht", ["get", "greeting"]));
  if (got?.value !== greeting || got.seq !== put?.seq) {
    throw new Error(`frank got something else: ${JSON.stringify(got)}`);
  }
  console.log(`frank  got what alice put into the DHT, in ${got.rttMs} ms: ${got.value}`);
}

/** Broadcasts the folder; with `--chaos` the first relay that gives to another is killed on the way. */
async function sendToAll(dir: string, peers: readonly RunningPeer[]): Promise<Event[]> {
  const limit = chaos ? ["--limit", "20M"] : [];
  const to = peers.flatMap(({ name }) => ["--to", name]);
  const sending = start(dir, "alice", "broadcast", [
    `${dir}/album`,
    ...to,
    ...limit,
    "--fanout",
    "2",
  ]);
  const seen: Event[] = [];
  let victim: RunningPeer | undefined;
  for await (const event of sending.lines) {
    seen.push(event);
    if (!chaos || victim !== undefined || event.event !== "progress") continue;
    victim = relayAmong(seen, peers);
    if (victim === undefined) continue;
    victim.process.child.kill("SIGKILL");
    console.log(`${victim.name.padEnd(7)}is killed while it passes the folder on`);
  }
  const { code } = await sending.child.status;
  if (code !== (victim === undefined ? 0 : 1)) throw new Error(`broadcast ended with ${code}`);
  if (chaos && victim === undefined) throw new Error("there was no relay to kill");
  return seen;
}

/** Somebody that another gets the folder from. */
function relayAmong(
  seen: readonly Event[],
  peers: readonly RunningPeer[],
): RunningPeer | undefined {
  const parents = seen.filter(({ event }) => event === "parent").map(({ parent }) => parent);
  return peers.find(({ peerId }) => parents.includes(peerId));
}

/** Compares every file of every receiver by SHA-256 and prints how it went. @returns the exit status. */
async function summary(
  dir: string,
  peers: readonly RunningPeer[],
  seen: readonly Event[],
): Promise<number> {
  const sums = await hashesOf(`${dir}/album`);
  let wrong = 0;
  console.log("\nreceiver  state   files that match   seconds   most of it from");
  for (const { name, peerId } of peers) {
    const row = seen.findLast((one) => one.event === "peer" && one.name === name) ?? {};
    const { state, seconds, parent } = row;
    const got = state === "done" ? await hashesOf(`${dir}/${name}/album`) : new Map();
    const same = [...sums].filter(([file, sum]) => got.get(file) === sum).length;
    if (state === "done" && same !== sums.size) wrong++;
    const from = peers.find((other) => other.peerId === parent)?.name ?? "alice";
    console.log(
      name.padEnd(10) + String(state).padEnd(8) + `${same} of ${sums.size}`.padEnd(19) +
        (state === "done" ? Number(seconds).toFixed(2).padEnd(10) + from : "-"),
    );
    if (state === undefined) throw new Error(`nothing is known of ${peerId}`);
  }
  const done = seen.find(({ event }) => event === "done") ?? {};
  const { bytes, egressBytes } = done as { bytes: number; egressBytes: number };
  const times = (egressBytes / bytes).toFixed(2);
  console.log(
    `alice sent ${(egressBytes / 1e6).toFixed(1)} MB for a folder of ` +
      `${(bytes / 1e6).toFixed(1)} MB (${times} times) to ${done.done} of ${peers.length}`,
  );
  console.log(wrong === 0 ? "every hash matches" : `${wrong} receivers have something else`);
  return wrong === 0 && done.done === peers.length - (chaos ? 1 : 0) ? 0 : 1;
}

/** Starts the command line in a process of its own, as somebody who keeps a home. */
function start(dir: string, who: string, verb: string, args: string[]): Process {
  const cli = new URL("../cli.ts", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", ...(importMap ? [importMap] : []), cli, verb, ...args, ...loopback],
    env: { KITH_HOME: `${dir}/home-${who}` },
    stdin: "null",
    stdout: "piped",
    stderr: "null", // it says in words what its events say
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
async function all({ child, lines }: Process): Promise<Event[]> {
  const seen = await inTime(Array.fromAsync(lines), child);
  const { code } = await child.status;
  if (code === 0) return seen;
  throw new Error(`a process ended with status ${code}: ${JSON.stringify(seen.at(-1))}`);
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

async function nextEvent({ lines }: Process, wanted: string): Promise<Event> {
  for (;;) {
    const { done, value } = await deadline(lines.next(), STEP_MS);
    if (done) throw new Error(`a process ended before "${wanted}"`);
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

/** SHA-256 of each file; of those that are not there nothing. */
async function hashesOf(dir: string): Promise<Map<string, string>> {
  const hashes = new Map<string, string>();
  for (const name of Object.keys(FILES)) {
    const hash = await hashOf(`${dir}/${name}`).catch(() => undefined);
    if (hash !== undefined) hashes.set(name, hash);
  }
  return hashes;
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
