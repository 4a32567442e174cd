/**
 * What a newcomer runs into: each says what is wrong and what to try, with the exit status of the table and no trace of
 * where in the program.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Kith, loopback, type Outcome, run, type StartOptions } from "./process.ts";
import { Scratch } from "./scratch.ts";

const IS_ROOT_ON_LINUX = Deno.build.os === "linux" && Deno.uid() === 0;

async function command(program: string, ...args: string[]): Promise<boolean> {
  try {
    const { success } = await new Deno.Command(program, { args, stdout: "null", stderr: "null" })
      .output();
    return success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** A test that needs the machine to be changed; where that cannot be, it says why it is skipped. */
function rootTest(name: string, fn: () => Promise<void>): void {
  // deno-lint-ignore no-console -- who reads the results shall know
  if (!IS_ROOT_ON_LINUX) console.log(`skipped, because mounts and namespaces need root: ${name}`);
  Deno.test({ name, ignore: !IS_ROOT_ON_LINUX, fn });
}

/** A small disk of its own. */
class Disk implements AsyncDisposable {
  private constructor(readonly dir: string) {}

  static async mount(dir: string, options: string): Promise<Disk> {
    await Deno.mkdir(dir);
    assert(await command("mount", "-t", "tmpfs", "-o", options, "tmpfs", dir));
    return new Disk(dir);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await command("umount", this.dir);
  }
}

function assertTold({ code, stderr }: Outcome, status: number, ...says: RegExp[]): void {
  assertEquals(code, status, stderr);
  for (const said of says) assertMatch(stderr, said);
  assert(!/^ +at /m.test(stderr), `there is a stack trace: ${stderr}`);
}

Deno.test("without permissions a verb says which flag it lacks and where all are listed", async () => {
  await using scratch = await Scratch.make();
  const all = ["--allow-env", "--allow-sys", `--allow-read=${scratch.dir}`];
  const cases: readonly (readonly [line: string[], permissions: string[], says: RegExp])[] = [
    [["id"], [], /^kith id: Cannot find the home folder: run with --allow-env/],
    [["id"], all, /^kith id: Cannot use home folder .* run with --allow-read and --allow-write/],
    [["up", "--ephemeral", ...loopback()], all, /not permitted, run again with --allow-net=/],
  ];
  const env = { KITH_HOME: scratch.path("home") };
  const outcomes = await Promise.all(cases.map(([line, permissions]) => {
    return run(line, { permissions, env });
  }));
  for (const [at, outcome] of outcomes.entries()) {
    const [[verb] = [], , says = /^$/] = cases[at] ?? [];
    assertTold(outcome, 1, says, new RegExp(`"kith ${verb} --help" shows the permissions`));
  }
});

Deno.test("a home that cannot be written to is named, and where it failed is for --log debug", async () => {
  await using scratch = await Scratch.make();
  const env = { KITH_HOME: `${await scratch.write("file")}/home` };
  const [plain, debug] = await Promise.all([
    run(["id", "--json"], { env }),
    run(["id", "--log", "debug"], { env }),
  ]);
  assertTold(plain, 1, /Cannot use home folder .*; make it writable or name another folder with/);
  assertEquals(plain.events.map(({ event, code }) => [event, code]), [["error", "unsupported"]]);
  assertEquals(debug.code, 1);
  assertMatch(debug.stderr, /^ +at .*home\.ts:\d+/m);
});

rootTest("a disk that is full, or only to be read, is told with what to do", async () => {
  await using scratch = await Scratch.make();
  await using full = await Disk.mount(scratch.path("full"), "size=64k");
  await using fixed = await Disk.mount(scratch.path("fixed"), "ro");
  await Deno.writeFile(`${full.dir}/all`, new Uint8Array(64 * 1024));
  const [onFull, onFixed] = await Promise.all(
    [full, fixed].map(({ dir }) => run(["id"], { env: { KITH_HOME: `${dir}/home` } })),
  );
  assertTold(onFull as Outcome, 1, /no space left on device; make room on that disk or name/);
  assertTold(onFixed as Outcome, 1, /read-only file system; make it writable or name/);
});

rootTest("where no network interface is up, up says so and call ends with 5", async () => {
  const name = `kith-${crypto.randomUUID().slice(0, 8)}`;
  assert(await command("ip", "netns", "add", name));
  try {
    const within = ["ip", "netns", "exec", name];
    const options: StartOptions = { within };
    await using bob = Kith.start(["up", "--ephemeral"], options);
    await bob.says(/is up/);
    await bob.says(/No network interface is up: nobody can find this peer; kith doctor says more/);
    const call = await run(["call", "bob", "echo", "--ephemeral", "--timeout", "0.3"], options);
    assertTold(call, 5, /Cannot reach peer "bob": there was no way to look\nkith doctor says/);
    assertEquals((await bob.interrupt()).code, 130);
  } finally {
    await command("ip", "netns", "del", name);
  }
});

Deno.test("settings that cannot be are named by their line or variable, and flags win over them", async () => {
  await using scratch = await Scratch.make();
  const env = { KITH_HOME: scratch.dir };
  const set = await run(["config", "set", "id.json", "true"], { env });
  assertEquals([set.code, set.stderr], [0, ""]);
  const id = await run(["id"], { env });
  assertEquals(JSON.parse(id.stdout).home, scratch.dir);
  const people = await run(["id", "--json=false"], { env });
  assertStringIncludes(people.stdout, "peer id ");

  const variable = await run(["id"], { env: { ...env, KITH_EPHEMERAL: "maybe" } });
  assertTold(variable, 2, /Variable KITH_EPHEMERAL must be 1 or 0: it is maybe\n"kith id --help"/);
  await scratch.write("config.json", '{\n  "ephemeral": true,\n  "nmae": "bob"\n}');
  const line = await run(["id"], { env });
  assertTold(line, 2, /config\.json: line 3: Unknown setting "nmae"; did you mean name\?\n/);
});

const hasTerminal = await command("script", "--version");

Deno.test({
  name: "colours are for terminals, unless NO_COLOR or FORCE_COLOR say otherwise",
  ignore: Deno.build.os !== "linux" || !hasTerminal,
  async fn() {
    // script gives what it runs a terminal.
    const terminal = ["bash", "-c", `exec script -qec "$(printf '%q ' "$@")" /dev/null`, "bash"];
    const [shown, plain, forced] = await Promise.all([
      run(["frob"], { within: terminal, env: { NO_COLOR: "" } }),
      run(["frob"], { within: terminal, env: { NO_COLOR: "1" } }),
      run(["frob"], { env: { NO_COLOR: "1", FORCE_COLOR: "1" } }),
    ]);
    const RED = "\u001b[31mUnknown verb frob";
    assertStringIncludes(shown.stdout, RED);
    assert(!plain.stdout.includes("\u001b"), plain.stdout);
    assertStringIncludes(forced.stderr, RED);
  },
});
