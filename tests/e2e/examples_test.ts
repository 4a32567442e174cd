/**
 * The programs in `examples/`, as somebody who reads about them would run them.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { dirname, resolve } from "node:path";
import { HOME_OF_NOBODY, importMap, loopback, PROJECT } from "./process.ts";
import { Scratch } from "./scratch.ts";

/** How long anything may take before a test fails: far more than it does, on a machine that is busy. */
const PATIENCE_MS = 20_000;

/** One of the programs, running; disposing kills it. */
class Program implements AsyncDisposable {
  /** What it has said so far, on stdout and stderr. */
  said = "";
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reading: Promise<unknown>;
  #isOver = false;
  #wake: () => void = () => {};

  constructor(name: string, args: readonly string[], home = HOME_OF_NOBODY) {
    const script = resolve(PROJECT, `examples/${name}.ts`);
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-prompt", ...importMap(), script, ...args],
      env: { NO_COLOR: "1", KITH_HOME: home },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#stdin = this.#child.stdin.getWriter();
    const { stdout, stderr } = this.#child;
    this.#reading = Promise.all([this.#read(stdout), this.#read(stderr)]).finally(() => {
      this.#isOver = true;
      this.#wake();
    });
  }

  /** Waits for text. @throws {Error} when it ends without, or takes too long. */
  async says(pattern: RegExp): Promise<RegExpMatchArray> {
    return await this.#until(String(pattern), () => this.said.match(pattern) ?? undefined);
  }

  /** Types a line. */
  async type(line: string): Promise<void> {
    await this.#stdin.write(new TextEncoder().encode(`${line}\n`));
  }

  /** ^D. @returns the exit status. */
  async hangUp(): Promise<number> {
    await this.#stdin.close();
    return await this.ended();
  }

  /** ^C. @returns the exit status. */
  async interrupt(): Promise<number> {
    this.#child.kill("SIGINT");
    return await this.ended();
  }

  /** Waits for its end. @returns the exit status. */
  async ended(): Promise<number> {
    await this.#until("end", () => this.#isOver || undefined);
    return (await this.#child.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await Promise.allSettled([this.#stdin.abort(), this.#reading, this.#child.status]);
  }

  async #until<T>(what: string, look: () => T | undefined): Promise<T> {
    const endMs = performance.now() + PATIENCE_MS;
    const timer = setTimeout(() => this.#wake(), PATIENCE_MS + 1);
    try {
      for (;;) {
        const isLast = this.#isOver || performance.now() > endMs;
        const found = look();
        if (found !== undefined) return found;
        if (isLast) throw new Error(`No ${what} in: ${this.said}`);
        await new Promise<void>((wake) => this.#wake = wake);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      this.said += text;
      this.#wake();
    }
  }
}

/** Runs a program to its end. */
async function run(
  name: string,
  args: readonly string[],
  home?: string,
): Promise<{ code: number; said: string }> {
  await using program = new Program(name, args, home);
  return { code: await program.ended(), said: program.said };
}

/** Drops a file that nobody has touched for a while. */
async function drop(dir: string, path: string, text: string): Promise<void> {
  await Deno.mkdir(dirname(`${dir}/${path}`), { recursive: true });
  await Deno.writeTextFile(`${dir}/.new`, text);
  await Deno.utime(`${dir}/.new`, 1_700_000_000, 1_700_000_000);
  await Deno.rename(`${dir}/.new`, `${dir}/${path}`);
}

Deno.test("each example says how it is run, and imports nothing but kith and the runtime", async () => {
  for (const name of ["chat", "poll", "folder_drop", "names"]) {
    const source = await Deno.readTextFile(resolve(PROJECT, `examples/${name}.ts`));
    const imports = [...source.matchAll(/from "([^"]+)"/g)].map(([, from = ""]) => from);
    assert(imports.includes("@kith/kith"));
    assertEquals(imports.filter((from) => !/^(@kith\/kith(\/\w+)?|node:\w+)$/.test(from)), []);
    const { code, said } = await run(name, ["--help"]);
    assertEquals(code, 0, said);
    assertStringIncludes(said, `  deno run -A examples/${name}.ts `);
    for (const [, option] of source.matchAll(/^ {6}"?([a-z-]+)"?: \{ type: /gm)) {
      if (option !== "help") assertStringIncludes(said, `--${option}`);
    }
  }
});

Deno.test("examples/chat.ts: who comes late is told, and what is typed reaches the other", async () => {
  const net = loopback();
  await using ann = new Program("chat", ["--name", "ann", ...net]);
  await ann.says(/^ann is in lounge, nobody else yet \(port \d+\)$/m);
  await ann.type("the kettle is on");
  await using bob = new Program("chat", ["--name", "bob", ...net]);
  await bob.says(/^bob is in lounge, next to 1 /m);
  await bob.says(/^\d\d:\d\d ann \([0-9a-f]{4}\): the kettle is on$/m);
  await bob.type("coming \x1b[2J");
  await ann.says(/^\d\d:\d\d bob \([0-9a-f]{4}\): coming \\u\{1b\}\[2J$/m);
  assertEquals(await ann.interrupt(), 0);
  assertEquals(await bob.hangUp(), 0);
});

Deno.test("examples/poll.ts: each key has one vote, and who watches sees them come", async () => {
  await using home = await Scratch.make();
  const net = loopback();
  await using asking = new Program("poll", ["ask", "Tea or coffee?", "tea", "coffee", ...net]);
  await asking.says(/^poll asks \(port \d+\): Tea or coffee\?$/m);
  await using watching = new Program("poll", ["watch", ...net], `${home.dir}/ann`);
  await watching.says(/tea 0, coffee 0$/m);
  const vote = (choice: string, who: string) => {
    return run("poll", ["vote", choice, ...net], `${home.dir}/${who}`);
  };
  const first = { code: 0, said: "Tea or coffee?  tea 1, coffee 0\n" };
  assertEquals(await vote("tea", "ann"), first);
  assertEquals(await vote("coffee", "bob"), {
    ...first,
    said: "Tea or coffee?  tea 1, coffee 1\n",
  });
  assertEquals(await vote("coffee", "ann"), {
    ...first,
    said: "Tea or coffee?  tea 0, coffee 2\n",
  });
  await watching.says(/tea 1, coffee 0\n.*tea 1, coffee 1\n.*tea 0, coffee 2\n/);
  assertEquals(await watching.interrupt(), 0);
  assertEquals(await asking.interrupt(), 0);
});

Deno.test("examples/folder_drop.ts: only an invite or a pin lets a file in", async () => {
  await using home = await Scratch.make();
  const [ann, bob] = [`${home.dir}/ann`, `${home.dir}/bob`];
  const net = loopback();
  const invite = await run("folder_drop", [ann, "--invite"]);
  assertEquals(invite.code, 0, invite.said);
  await drop(bob, "invites/ann", invite.said);
  await drop(bob, "outbox/ann/notes/one.txt", "one");
  await drop(ann, "outbox/bob/two.txt", "two");
  await using atAnn = new Program("folder_drop", [ann, "--name", "ann", ...net]);
  const [, id = ""] = await atAnn.says(/^ann is open \(port \d+, peer ([0-9a-f]{40})\)$/m);
  await using atBob = new Program("folder_drop", [bob, "--name", "bob", ...net]);

  await atBob.says(/^notes has arrived at ann, 1 verified$/m);
  await atAnn.says(/^notes\/one\.txt has come from bob$/m);
  assertEquals(await Deno.readTextFile(`${ann}/inbox/notes/one.txt`), "one");

  await atAnn.says(/^what is for bob waits: .* needs an invite for send$/m);
  assertEquals((await run("folder_drop", [bob, "--pin", id])).code, 0);
  await atAnn.says(/^two\.txt has arrived at bob, 1 verified$/m);
  assertEquals(await Deno.readTextFile(`${bob}/inbox/two.txt`), "two");
  assertEquals([...Deno.readDirSync(`${ann}/outbox/bob`)], []);
  const [sent] = Deno.readDirSync(`${ann}/sent/bob`);
  assertMatch(sent?.name ?? "", /^\d{4}-\d\d-\d\dT[\d.-]+Z two\.txt$/);
  assertEquals(await atAnn.interrupt(), 0);
  assertEquals(await atBob.interrupt(), 0);
});

Deno.test("examples/names.ts: a name is found by others, as its author's, until its time is over", async () => {
  await using home = await Scratch.make();
  const net = loopback();
  const names = (who: string, ...args: string[]) => {
    return run("names", [...args, ...net], `${home.dir}/${who}`);
  };
  await using keeper = new Program("names", ["keep", ...net], `${home.dir}/keeper`);
  await keeper.says(/^keeps names, and knows 0 who do \(port \d+\)$/m);
  const lamp = await names("ann", "register", "lamp", "10.0.0.5:80", "--ttl", "3");
  const lampMs = Date.now();
  const [, ann = ""] =
    lamp.said.match(/^lamp is 10\.0\.0\.5:80 for 3 s, says (\w+); kept by 1$/m) ?? [];
  assertEquals(ann.length, 40, lamp.said);
  await names("ann", "register", "printer", "10.0.0.7:631");
  await names("bob", "register", "printer", "10.6.6.6:631");

  const all = await names("carol", "resolve", "printer");
  assertEquals(all.said.split("\n").length, 3, all.said);
  const [mine, ...others] = (await names("bob", "resolve", "printer", "--by", ann)).said.split(
    "\n",
  );
  assertMatch(mine ?? "", new RegExp(`^10\\.0\\.0\\.7:631  until \\d{4}-\\S+Z  by ${ann}$`));
  assertEquals(others, [""]);

  await new Promise((resolve) => setTimeout(resolve, Math.max(0, lampMs + 3_000 - Date.now())));
  assertEquals(await names("bob", "resolve", "lamp"), {
    code: 5,
    said: "names: Nobody has registered lamp\n",
  });
  assertEquals(await keeper.interrupt(), 0);
});
