import { assert, assertEquals, assertMatch } from "@std/assert";
import { Cables, type Host, whyNoNamespaces } from "./netns.ts";
import { type Event, Kith, loopback, type Outcome, run } from "./process.ts";
import { paths, Scratch, sha256Of } from "./scratch.ts";
import { Shell } from "./shell.ts";

const MB = 1_000_000;

const noNamespaces = await whyNoNamespaces();

/** Receivers on the loopback address, all of which accept but the one called `no`. */
class Crowd implements AsyncDisposable {
  readonly members: { readonly kith: Kith; readonly ready: Event; readonly dir: string }[] = [];
  readonly network = loopback();
  readonly #scratch: Scratch;

  private constructor(scratch: Scratch) {
    this.#scratch = scratch;
  }

  /** Starts them all at once: most of the time of these tests is theirs. */
  static async start(scratch: Scratch, names: readonly string[]): Promise<Crowd> {
    const crowd = new Crowd(scratch);
    const started = names.map((name) => {
      const dir = scratch.path(name);
      const line = ["recv", "--dir", dir, "--name", name, "--json", "--port", "0", "--ephemeral"];
      const yes = name === "no" ? [] : ["--yes"];
      return { kith: Kith.start([...line, ...yes, ...crowd.network]), dir };
    });
    for (const { kith, dir } of started) {
      crowd.members.push({ kith, dir, ready: await kith.event("ready") });
    }
    return crowd;
  }

  /** A command line that broadcasts to some of them. */
  line(paths: readonly string[], to: readonly number[], ...more: string[]): string[] {
    const targets = to.flatMap((at) => ["--to", `127.0.0.1:${this.members[at]?.ready.tcp}`]);
    const home = ["--home", this.#scratch.path("home")];
    return ["broadcast", ...paths, ...targets, "--json", ...home, ...more, ...this.network];
  }

  member(at: number) {
    const member = this.members[at];
    if (member === undefined) throw new RangeError(`No member ${at}`);
    return member;
  }

  /** Which member that is; -1 for nobody. */
  at(peerId: unknown): number {
    return this.members.findIndex(({ ready }) => ready.peerId === peerId);
  }

  idOf(at: number): string {
    return String(this.member(at).ready.peerId);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.members.map(({ kith }) => kith[Symbol.asyncDispose]()));
  }
}

function noise(bytes: number): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += 65_536) crypto.getRandomValues(data.subarray(at, at + 65_536));
  return data;
}

function peersOf({ events }: Outcome): Map<string, Event> {
  const lines = events.filter(({ event }) => event === "peer");
  return new Map(lines.map((line) => [String(line.peerId), line]));
}

Deno.test("broadcast gives to many, though one refuses, one dies, one is slow, and the sender may go", async () => {
  await using scratch = await Scratch.make();
  const names = ["a", "b", "c", "d", "e", "f", "g", "h", "no"];
  const [song, folder] = await Promise.all([
    scratch.write("song.ogg", noise(10 * MB)),
    scratch.write("folder/in/notes.txt", "hello").then(() => scratch.path("folder")),
  ]);
  await using crowd = await Crowd.start(scratch, names);
  const everyone = [0, 1, 2, 3, 4, 5, 6, 7];
  const assertHave = (member: readonly number[], name: string, file: string) => {
    const wanted = sha256Of(Deno.readFileSync(file));
    for (const at of member) {
      assertEquals(sha256Of(Deno.readFileSync(`${crowd.member(at).dir}/${name}`)), wanted);
    }
  };

  // One of eight refuses.
  const seven = everyone.slice(1);
  const first = await run(crowd.line([song, folder], [...seven, 8]));
  assertEquals(first.code, 1, first.stderr);
  const states = peersOf(first);
  for (const at of seven) assertEquals(states.get(crowd.idOf(at))?.state, "done");
  const refused = states.get(crowd.idOf(8));
  assertEquals([refused?.state, refused?.code], ["refused", "not-allowed"]);
  const done = first.events.at(-1);
  assertEquals([done?.event, done?.done, done?.failed, done?.files], ["done", 7, 1, 2]);
  assert(Number(done?.egressBytes) <= 5 * 10.1 * MB, `${done?.egressBytes}`);
  assertHave(seven, "song.ogg", song);
  assertHave(seven, "folder/in/notes.txt", scratch.path("folder/in/notes.txt"));

  // In a chain somebody in the middle dies on the way, and the last is stopped for a while.
  const line = crowd.line([song], everyone, "--fanout", "1", "--limit", "6M");
  await using second = Kith.start(line);
  const child = await second.event("parent", ({ parent }) => crowd.at(parent) >= 0);
  const inner = crowd.at(child.parent);
  await second.event("progress", ({ peerId }) => peerId === child.peerId);
  crowd.member(inner).kith.signal("SIGKILL");
  const parents = new Set(second.events.map(({ parent }) => parent));
  const last = everyone.findLast((at) => at !== inner && !parents.has(crowd.idOf(at))) ?? -1;
  crowd.member(last).kith.signal("SIGSTOP");
  await second.event("peer", ({ state }) => state === "done");
  crowd.member(last).kith.signal("SIGCONT");
  const outcome = await second.ended();
  assertEquals(outcome.code, 1, outcome.stderr);
  const { done: count, failed } = outcome.events.at(-1) ?? {};
  assertEquals([count, failed], [7, 1]);
  assertEquals(peersOf(outcome).get(crowd.idOf(inner))?.state, "failed");
  const alive = everyone.filter((at) => at !== inner);
  for (const at of alive) assertHave([at], at === 0 ? "song.ogg" : "song (1).ogg", song);

  // The sender dies, or is interrupted: what there is is kept.
  const [one = -1, two = -1, three = -1, four = -1] = alive;
  await using third = Kith.start(crowd.line([song], [one, two], "--limit", "3M"));
  await using fourth = Kith.start(crowd.line([song], [three, four], "--limit", "3M"));
  await third.event("progress");
  third.signal("SIGKILL");
  await fourth.event("progress");
  assertEquals((await fourth.interrupt()).code, 130);
  for (const at of [three, four, one, two]) {
    const { kith, dir } = crowd.member(at);
    const gone = await kith.event("failed");
    const isKilled = at === one || at === two;
    const message = isKilled ? "The sender is gone" : "The sender has given up";
    assertEquals([gone.code, gone.message], ["closed", message]);
    assertEquals(paths(dir).filter((path) => path.endsWith(".part")).length, 1);
  }
});

Deno.test("broadcast says what is wrong by its exit status, and speaks to people", async () => {
  await using scratch = await Scratch.make();
  const song = await scratch.write("song.ogg", noise(MB));
  await using crowd = await Crowd.start(scratch, ["a", "b", "no"]);
  const { network } = crowd;
  await using shell = new Shell();
  const own = ["--ephemeral", ...network];
  const [everybody, nobody, both, missing] = await Promise.all([
    shell.run(["broadcast", song, "--all", ...own]),
    shell.run(crowd.line([song], [2])),
    shell.run(["broadcast", song, "--all", "--to", "bob", ...own]),
    shell.run(["broadcast", scratch.path("none"), "--to", "127.0.0.1:9", ...own]),
  ]);
  assertEquals(everybody.code, 1, everybody.stderr);
  assertMatch(everybody.stdout, /^done {4}a .* 1\.0 MB {2}in \d+\.\d\d s, verified\ndone {4}b /);
  assertMatch(everybody.stdout, /\nrefused no .*\nsent 1 file, 1\.0 MB, to 2 of 3 in /);
  assertEquals(nobody.code, 4);
  assertEquals(nobody.events.at(-1)?.failed, 1);
  assertEquals(both.code, 2);
  assertEquals(missing.code, 5);
  for (const more of [["--limit", "fast"], ["--fanout", "0"], ["--fanout", "65"]]) {
    assertEquals((await shell.run(["broadcast", song, "--to", "bob", ...more, ...own])).code, 2);
  }
});

Deno.test({
  name: "broadcast reaches two who cannot reach each other, over all addresses of a host",
  ignore: noNamespaces !== undefined,
  async fn() {
    await using scratch = await Scratch.make();
    await using cables = await Cables.lay();
    const song = await scratch.write("song.ogg", noise(8 * MB));
    const start = (name: Host) => {
      const line = ["recv", "--dir", scratch.path(name), "--yes", "--json", "--ephemeral"];
      return Kith.start([...line, "--name", name], { within: cables.within(name) });
    };
    await using bob = start("bob");
    await using carol = start("carol");
    await bob.event("ready");
    await carol.event("ready");
    const { code, stderr, events } = await run(
      [
        "broadcast",
        song,
        "--to",
        "bob",
        "--to",
        "carol",
        "--json",
        "--ephemeral",
        "--limit",
        "6M",
      ],
      { within: cables.within("ann") },
    );
    assertEquals([code, stderr], [0, ""]);
    const done = events.at(-1);
    assertEquals([done?.done, done?.failed, done?.egressBytes], [2, 0, 16 * MB]);
    const told = events.filter(({ event }) => event === "progress").map(({ peerId }) => peerId);
    assertEquals(new Set(told).size, 2, "both say where they are");
    for (const name of ["bob", "carol"]) {
      assertEquals(
        sha256Of(Deno.readFileSync(`${scratch.path(name)}/song.ogg`)),
        sha256Of(Deno.readFileSync(song)),
      );
    }
  },
});
