import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { VERBS } from "../../src/cli/verbs.ts";
import { Kith, loopback, type Outcome, run, until } from "./process.ts";
import { Scratch } from "./scratch.ts";
import { allOf, Up } from "./up.ts";

/** A peer that is up with a home, somebody else whom it can speak to, and command lines of the same home. */
class Household implements AsyncDisposable {
  readonly home: string;
  readonly bob: Up;
  readonly scratch: Scratch;
  readonly #network: readonly string[];
  #alice: Kith | undefined;

  private constructor(scratch: Scratch, bob: Up) {
    this.scratch = scratch;
    this.home = scratch.path("home");
    this.bob = bob;
    this.#network = bob.network;
  }

  static async start(): Promise<Household> {
    await using stack = new AsyncDisposableStack();
    const scratch = stack.use(await Scratch.make());
    const dir = scratch.path("bobs");
    const network = loopback();
    const more = ["--name", "bob", "--topic", "news", "--dir", dir, "--yes"];
    const household = new Household(scratch, stack.use(await Up.start(more, { network })));
    stack.use(await household.up());
    stack.move();
    return household;
  }

  /** Has the peer of the home be up, with the permissions that its help states. */
  async up(): Promise<Kith> {
    const line = ["up", "--name", "alice", "--json", "--port", "0", "--http-port", "0"];
    const options = { permissions: this.needs("up"), env: { KITH_HOME: this.home } };
    const alice = Kith.start([...line, ...this.#network], options);
    this.#alice = alice;
    await alice.event("ready");
    return alice;
  }

  get alice(): Kith {
    assert(this.#alice !== undefined);
    return this.#alice;
  }

  /** The permissions that a verb's help states. */
  needs(verb: string): string[] {
    const flags = VERBS[verb]?.permissions.split(" ") ?? [];
    return flags.map((flag) => {
      return flag.replace(/=(unix:)?HOME/, `=$1${this.home}`)
        .replace(/=(DIR|PATH)$/, `=${this.scratch.path("files")}`);
    });
  }

  /** Runs a command line of the home that may speak to nobody but the running peer. */
  run(line: readonly string[], input = ""): Promise<Outcome> {
    const permissions = this.needs("status");
    return run([...line, ...this.#where(line)], { permissions, input, env: this.#env });
  }

  /** Runs one that may do what its help says. */
  runFreely(line: readonly string[]): Promise<Outcome> {
    const permissions = this.needs(line[0] ?? "");
    return run([...line, ...this.#where(line)], { permissions, env: this.#env });
  }

  /** Starts one. */
  start(line: readonly string[]): Kith {
    const permissions = this.needs("status");
    return Kith.start([...line, ...this.#where(line)], { permissions, env: this.#env });
  }

  get #env(): Record<string, string> {
    return { KITH_HOME: this.home };
  }

  #where([verb]: readonly string[]): readonly string[] {
    return verb === "status" ? [] : this.#network;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#alice?.[Symbol.asyncDispose]();
    await this.bob[Symbol.asyncDispose]();
    await this.scratch[Symbol.asyncDispose]();
  }
}

Deno.test("commands go through the peer that is up with their home, and print the same", async () => {
  await using household = await Household.start();
  const { bob, scratch } = household;
  await household.alice.event("member-joined");
  const at = bob.address;
  const rows = [
    [["call", at, "echo", "-"], 0, /^\{\n {2}"a": 1\n\}\n$/],
    [["ping", at, "--json"], 0, /^\{"rttMs":[\d.]+\}\n$/],
    [["msg", at, "hello"], 0, /^delivered to bob\n$/],
    [["pub", "news", "the kettle is on", "--json"], 0, /"confirmedBy":\["[0-9a-f]{40}"\]/],
    [["peers", "--json"], 0, /"name":"alice"[^]*"name":"bob"/],
    [["status", "--json"], 0, /^\{"peerId":.*"name":"bob".*"counters":\{.*\}\}\n$/],
    [["call", at, "nothing", "--json"], 5, /^\{"event":"error","code":"no-endpoint".*\}\n$/],
    [["call", at], 2, /^$/],
  ] as const;
  for (const [line, code, stdout] of rows) {
    const outcome = await household.run(line, '{"a":1}');
    assertEquals(outcome.code, code, `${line.join(" ")}: ${outcome.stderr}`);
    assertMatch(outcome.stdout, stdout);
  }
  const topic = await bob.kith.event("topic-message");
  assertEquals(topic.data, "the kettle is on");

  const failing = ["call", at, "nothing", "--json"];
  const [through, apart] = await allOf([
    household.run(failing),
    household.runFreely([...failing, "--no-daemon"]),
  ]);
  assertEquals([through.code, through.stdout, through.stderr], [
    ...[apart.code, apart.stdout, apart.stderr],
  ]);

  // The running peer may not read the files: who asks may, and sends them itself.
  await scratch.write("files/a.txt", "hello");
  const sent = await household.runFreely(["send", scratch.path("files"), "--to", at]);
  assertEquals([sent.code, sent.stderr], [0, ""]);
  assertEquals(await Deno.readTextFile(scratch.path("bobs", "files", "a.txt")), "hello");
});

Deno.test("^C ends a command in the peer that is up; one that is killed is replaced", async () => {
  await using household = await Household.start();
  await using watching = household.start(["peers", "--watch", "--json"]);
  await watching.event("member");
  assertEquals((await watching.interrupt()).code, 130);
  assertEquals((await household.run(["status"])).code, 0);

  const socket = `${household.home}/control/up.sock`;
  household.alice.signal("SIGKILL");
  assertEquals((await household.alice.ended()).code, 137);
  assert(Deno.lstatSync(socket).isSocket, "it is left behind");
  const none = await household.run(["status", "--json"]);
  assertEquals([none.code, none.events[0]?.code], [5, "no-peer"]);
  assertStringIncludes(none.stderr, "kith up runs one");

  await using alice = await household.up();
  const { code, events } = await household.run(["status", "--json"]);
  assertEquals([code, events[0]?.pid], [0, alice.pid]);
  assertEquals((await alice.interrupt()).code, 130);
  await until("the socket's end", () => !exists(socket));
});

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
