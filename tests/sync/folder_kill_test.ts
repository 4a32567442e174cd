import { assert, assertEquals } from "@std/assert";
import { createHash } from "node:crypto";
import { seededRandom } from "../../src/clock.ts";
import { LONG_AGO, Scratch, treeOf, write } from "./folder_fixture.ts";

const CHILD = new URL("./apply_child.ts", import.meta.url).pathname;

const FILES = 60;
const FILE_BYTES = 300_000;

/** Contents of which every beginning can be told from the whole. */
function contentsOf(version: string, nth: number): string {
  const random = seededRandom(nth);
  const line = Array.from({ length: 20 }, () => random().toString(36)).join("");
  return `${version} ${nth} ${line.repeat(FILE_BYTES / line.length)} end`;
}

async function run(scratch: Scratch, killAfterMs: number): Promise<boolean> {
  const args = ["home", "hub", "ann"].map((name) => `${scratch.dir}/${name}`);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", ...importMap(), CHILD, ...args],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let said = "";
  let timer: ReturnType<typeof setTimeout> | undefined;
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    said += text;
    if (said.includes("begun")) timer ??= setTimeout(() => child.kill("SIGKILL"), killAfterMs);
  }
  clearTimeout(timer);
  await child.status;
  return said.includes("done");
}

function importMap(): string[] {
  const path = Deno.env.get("KITH_IMPORT_MAP");
  return path === undefined ? [] : [`--import-map=${path}`];
}

Deno.test("a process that is killed while it takes files in leaves no half of a file, and goes on", async () => {
  await using scratch = new Scratch();
  const whole = new Set<string>();
  for (let nth = 0; nth < FILES; nth++) {
    const [before, after] = [contentsOf("old", nth), contentsOf("new", nth)];
    for (const contents of [before, after]) whole.add(hashOf(contents));
    const path = `${nth % 4}/${nth}`;
    const later = new Date(LONG_AGO.getTime() + 60_000);
    // Half of them are there in an older version.
    if (nth % 2 === 0) write(`${scratch.dir}/ann`, path, before, LONG_AGO);
    write(`${scratch.dir}/hub`, path, after, later);
  }
  const killAfterMs = 20 + 100 * Math.random();
  let runs = 0;
  for (let isDone = false; !isDone; runs++) {
    assert(runs < 10, "it never ends");
    isDone = await run(scratch, runs === 0 ? killAfterMs : 60_000);
    for (const line of treeOf(`${scratch.dir}/ann`)) {
      const [path, contents] = line.split(" = ");
      if (contents === undefined) continue;
      assert(whole.has(hashOf(contents)), `half of ${path}, killed after ${killAfterMs} ms`);
    }
  }
  assertEquals(hashedTree(`${scratch.dir}/ann`), hashedTree(`${scratch.dir}/hub`));
  assert(runs > 1, "it was never killed");
  // What was begun is no longer there; the mark of the folder is.
  assertEquals([...Deno.readDirSync(`${scratch.dir}/ann/.kith-partial`)].map(({ name }) => name), [
    "index",
  ]);
});

function hashedTree(dir: string): string[] {
  return treeOf(dir).map((line) => line.replace(/(?<= = ).*/s, hashOf));
}

function hashOf(contents: string): string {
  return createHash("sha256").update(contents).digest("hex");
}
