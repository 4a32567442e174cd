// deno-lint-ignore-file no-console -- a program that shows something

// Twenty peers in five processes that call, publish, store, send and keep folders alike, while processes are killed,
// started again and stopped for a while, and connections cut: `npm run soak -- --minutes N [--seed S]`. Ends with a table,
// and status 1 when anything was lost that no fault had hit, or a process has crashed.
import { parseArgs } from "@std/cli/parse-args";
import type { Command } from "./peers.ts";
import { type Answer, Member } from "./swarm.ts";
import { type Kind, Tally, usageLines } from "./tally.ts";

const PROCESSES = 5;
const PEERS_EACH = 4;
const FIRST_PORT = 26_200;
const HUB_PORT = 26_190;

/** Operations at the same time, and the pause of each worker after one. */
const WORKERS = 6;
const PAUSE_MS = 40;

/** Time between two faults. */
const FAULT_EVERY_MS = 15_000;

/** So long after a fault something may still fail because of it. */
const AFTERMATH_MS = 15_000;

/** So long what was published, or written into a folder, may take to get to everybody. */
const SETTLE_MS = 90_000;

/** So long peers may take to get to know each other. */
const WARM_UP_MS = 5_000;

const MEASURE_EVERY_MS = 2_000;

/** So soon a process that has crashed is started again. */
const RESTART_MS = 500;

const args = parseArgs(Deno.args, { string: ["minutes", "seed"] });
const minutes = Number(args.minutes ?? 20);
const seed = Number(args.seed ?? 1);
if (!(minutes > 0) || !Number.isInteger(seed)) {
  console.error("--minutes N, more than 0; --seed S, a whole number");
  Deno.exit(2);
}

let state = seed >>> 0 || 1;
/** The same numbers for the same seed (xorshift). */
function random(below: number): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % below;
}

const dir = Deno.makeTempDirSync({ prefix: "kith-soak-" });
const seeds = Array.from(
  { length: PROCESSES },
  (_, index) => `127.0.0.1:${FIRST_PORT + index * PEERS_EACH}`,
);
const members = Array.from({ length: PROCESSES }, (_, index) => {
  const folder = `${dir}/folder${index}`;
  Deno.mkdirSync(folder);
  const peers = Array.from({ length: PEERS_EACH }, (_, at) => {
    const number = index * PEERS_EACH + at;
    return { name: `p${number}`, port: FIRST_PORT + number };
  });
  const network = `soak ${Deno.pid}`;
  const isHub = index === 0;
  const ports = { discoveryPort: HUB_PORT - 1, hubPort: HUB_PORT };
  return new Member({ dir, peers, seeds, network, folder, isHub, ...ports });
});
const tally = new Tally();
/** Who has published what; nobody is given what it has published itself. */
const published = new Map<string, string>();
const stored = new Map<string, { value: string; author: string; owner: Member }>();
const written = new Map<string, { owner: Member; text: string | undefined }>();
const files = [1_000, 100_000, 3_000_000].map((size, index) => {
  const path = `${dir}/file${index}.bin`;
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65_536) {
    crypto.getRandomValues(bytes.subarray(at, Math.min(at + 65_536, size)));
  }
  Deno.writeFileSync(path, bytes);
  return { path, bytes };
});
let operations = 0;

const startedMs = performance.now();
let untilMs = startedMs + minutes * 60_000;
let isOver = false;
let failure: unknown;
const measuring = setInterval(
  () => members.forEach((member) => member.measure()),
  MEASURE_EVERY_MS,
);
try {
  for (const member of members) {
    if (!await member.start()) throw new Error(`${member.name} do not start: ${member.crash}`);
  }
  await pause(WARM_UP_MS);
  console.log(`${PROCESSES * PEERS_EACH} peers in ${PROCESSES} processes, seed ${seed}, ${dir}`);
  await Promise.all([lookAfter(), operateAndSettle()]);
} catch (error) {
  failure = error;
}
[untilMs, isOver] = [0, true];
clearInterval(measuring);
await Promise.all(members.map(end));
show();
const isWell = failure === undefined && tally.losses.length === 0;
if (isWell) Deno.removeSync(dir, { recursive: true });
else console.log(`what is left is in ${dir}`);
if (failure !== undefined) console.error("the run itself has failed:", failure);
Deno.exit(isWell ? 0 : 1);

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function pick<T>(list: readonly T[]): T {
  return list[random(list.length)] as T;
}

async function operateAndSettle(): Promise<void> {
  await Promise.all([makeFaults(), ...Array.from({ length: WORKERS }, work)]);
  await settle();
  isOver = true;
}

/** Starts processes again that have crashed, each of which is a loss. */
async function lookAfter(): Promise<void> {
  while (!isOver) {
    for (const member of members.filter(({ crash }) => crash !== undefined)) {
      countCrash(member);
      await member.start();
      member.hitMs = performance.now();
    }
    await pause(RESTART_MS);
  }
}

function countCrash({ name, crash }: Member): void {
  tally.count("process", "lost", `${name} crashed: ${crash}`);
}

async function end(member: Member): Promise<void> {
  const wasUp = member.isUp;
  const hasEndedWell = await member.close();
  if (member.crash !== undefined) countCrash(member);
  else if (wasUp) judge("process", hasEndedWell, `${member.name} did not end well`);
}

/** One operation after another. */
async function work(): Promise<void> {
  while (performance.now() < untilMs) {
    const up = members.filter(({ isUp }) => isUp);
    if (up.length > 1) await operate(pick(up), pick(up));
    await pause(PAUSE_MS);
  }
}

async function operate(member: Member, other: Member): Promise<void> {
  const number = ++operations;
  const [peer, target] = [random(PEERS_EACH), random(PEERS_EACH)];
  const to = `127.0.0.1:${other.options.peers[target]?.port}`;
  const kind = pick(
    ["call", "call", "call", "publish", "publish", "put", "get", "send", "edit"] as const,
  );
  switch (kind) {
    case "call": {
      if (member === other && peer === target) return;
      const text = `call ${number}`;
      const answer = await ask(kind, member, peer, other, { do: "call", to, text });
      if (answer !== undefined) judge(kind, answer.result === text, `${text} got ${answer.result}`);
      return;
    }
    case "publish": {
      const text = `news ${number}`;
      const answer = await ask(kind, member, peer, member, { do: "publish", text });
      if (answer === undefined) return;
      published.set(text, member.options.peers[peer]?.name ?? "");
      return tally.count(kind, "done");
    }
    case "put": {
      const [name, value] = [`key ${number % 200}`, `value ${number}`];
      const author = member.peerIds[peer] ?? "";
      const key = `${author} ${name}`;
      // While it is being put, either value is right.
      stored.delete(key);
      const answer = await ask(kind, member, peer, member, { do: "put", name, value });
      if (answer === undefined) return;
      stored.set(key, { value, author, owner: member });
      return tally.count(kind, "done");
    }
    case "get": {
      const [key, known] = pick([...stored]) ?? [];
      if (key === undefined || known === undefined) return;
      const { author, value } = known;
      const name = key.slice(author.length + 1);
      const answer = await ask(kind, member, peer, known.owner, { do: "get", name, author });
      if (answer === undefined || stored.get(key) !== known) return;
      return judge(kind, answer.result === value, `${key}: ${answer.result}, not ${value}`);
    }
    case "send": {
      if (member === other && peer === target) return;
      const file = pick(files);
      const answer = await ask(kind, member, peer, other, { do: "send", to, path: file.path });
      if (answer === undefined) return;
      const inbox = `${dir}/${other.options.peers[target]?.name}.inbox`;
      const got = unlessMissing(() => Deno.readFileSync(`${inbox}/${file.path.split("/").at(-1)}`));
      const isRight = got !== undefined && equal(got, file.bytes);
      return judge(
        kind,
        isRight,
        `${file.path} at ${inbox}${got === undefined ? ", missing" : ""}`,
      );
    }
    case "edit":
      return edit(member, number);
  }
}

/** Has something done. @returns the answer; nothing when it has failed, which is counted. */
async function ask(
  kind: Kind,
  member: Member,
  peer: number,
  other: Member,
  command: Command,
): Promise<Answer | undefined> {
  const sinceMs = performance.now() - AFTERMATH_MS;
  const answer = await member.tell(peer, command);
  if (answer.error === undefined) return answer;
  const isHit = member.hitMs > sinceMs || other.hitMs > sinceMs;
  const why = `${command.do} of ${
    member.options.peers[peer]?.name
  }: ${answer.error} ${answer.message}`;
  tally.count(kind, isHit ? "excused" : "lost", why);
  return undefined;
}

function judge(kind: Kind, isRight: boolean, why: string): void {
  tally.count(kind, isRight ? "done" : "lost", why);
}

/** Writes or deletes a file in the folder of a process, which nobody else writes to. */
function edit(owner: Member, number: number): void {
  const place = members.indexOf(owner);
  const path = `of${place}/${number % 40}/note ${number % 7}.txt`;
  const file = `${owner.options.folder}/${path}`;
  const isThere = written.get(path)?.text !== undefined;
  if (isThere && random(4) === 0) {
    Deno.removeSync(file);
    written.set(path, { owner, text: undefined });
  } else {
    const text = `${number} `.repeat(1 + random(500));
    Deno.mkdirSync(file.slice(0, file.lastIndexOf("/")), { recursive: true });
    Deno.writeTextFileSync(file, text);
    written.set(path, { owner, text });
  }
  tally.count("edit", "done");
}

/** Kills, stops and cuts. The last process is never killed: it shows what memory does. */
async function makeFaults(): Promise<void> {
  while (performance.now() + FAULT_EVERY_MS < untilMs) {
    await pause(FAULT_EVERY_MS);
    const fault = pick(["kill", "kill", "cut", "cut", "pause"] as const);
    const member = pick(
      (fault === "kill" ? members.slice(0, -1) : members).filter(({ isUp }) => isUp),
    );
    if (member === undefined) continue;
    member.hitMs = performance.now();
    tally.faults[fault] = (tally.faults[fault] ?? 0) + 1;
    if (fault === "kill") {
      await member.kill();
      tally.count("process", "excused");
      await pause(random(3_000));
      await member.start();
      tally.faults.restart = (tally.faults.restart ?? 0) + 1;
    } else if (fault === "cut") {
      await Promise.all(member.options.peers.map((_, peer) => member.tell(peer, { do: "cut" })));
    } else {
      member.signal("SIGSTOP");
      await pause(1_000 + random(4_000));
      member.signal("SIGCONT");
    }
    member.hitMs = performance.now();
  }
}

/** Waits until everybody has what was published, and all folders are alike; what does not come is lost. */
async function settle(): Promise<void> {
  const deadlineMs = performance.now() + SETTLE_MS;
  for (;;) {
    const missing = [...missingNews(), ...missingFiles()];
    if (missing.length === 0) return;
    if (performance.now() > deadlineMs) {
      for (const [kind, what] of missing) tally.count(kind, "lost", what);
      return;
    }
    await pause(1_000);
  }
}

function missingNews(): [Kind, string][] {
  return members.flatMap(({ options }) => options.peers).flatMap(({ name }) => {
    const lines = readText(`${dir}/${name}.given`)?.split("\n").slice(0, -1) ?? [];
    const given = new Map<string, number>();
    for (const line of lines) {
      const { data } = JSON.parse(line);
      given.set(data, (given.get(data) ?? 0) + 1);
    }
    return [...published].flatMap(([text, author]): [Kind, string][] => {
      const count = (given.get(text) ?? 0) + (author === name ? 1 : 0);
      return count === 1 ? [] : [["publish", `${name} was given "${text}" ${count} times`]];
    });
  });
}

function missingFiles(): [Kind, string][] {
  return members.flatMap(({ options: { folder } }) => {
    return [...written].flatMap(([path, { text }]): [Kind, string][] => {
      const is = readText(`${folder}/${path}`);
      return is === text ? [] : [["edit", `${path} in ${folder}`]];
    });
  });
}

function readText(path: string): string | undefined {
  return unlessMissing(() => Deno.readTextFileSync(path));
}

function unlessMissing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return undefined;
    }
    throw error;
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

function show(): void {
  const seconds = (performance.now() - startedMs) / 1_000;
  for (const line of tally.lines(seconds)) console.log(line);
  for (const line of usageLines(members.map(({ usage }) => usage), seconds)) console.log(line);
  for (const loss of tally.losses.slice(0, 20)) console.log(`lost: ${loss}`);
  console.log(tally.losses.length === 0 ? "nothing was lost" : `${tally.losses.length} lost`);
}
