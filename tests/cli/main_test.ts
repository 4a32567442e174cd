import { assertEquals, assertMatch } from "@std/assert";
import { main } from "../../src/cli/main.ts";

/** What a command line printed, and its exit status. */
interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command line; nobody reads the streams that are named as closed. */
async function run(line: string, ...closed: readonly ("stdout" | "stderr")[]): Promise<Ran> {
  const texts = { stdout: "", stderr: "" };
  const decoder = new TextDecoder();
  const taker = (to: keyof typeof texts) => (bytes: Uint8Array) => {
    if (closed.includes(to)) throw new Deno.errors.BrokenPipe("Broken pipe (os error 32)");
    texts[to] += decoder.decode(bytes);
    return bytes.length;
  };
  const [stdout, stderr] = [Deno.stdout.writeSync, Deno.stderr.writeSync];
  [Deno.stdout.writeSync, Deno.stderr.writeSync] = [taker("stdout"), taker("stderr")];
  try {
    const code = await main(line.split(" ").filter((word) => word !== ""));
    return { code, out: texts.stdout, err: texts.stderr };
  } finally {
    [Deno.stdout.writeSync, Deno.stderr.writeSync] = [stdout, stderr];
  }
}

Deno.test("main ends with 1 and without a word where nobody reads what it prints", async () => {
  for (const line of ["help", "--help", "id --help", "version", "version --json"]) {
    assertEquals(await run(line, "stdout"), { code: 1, out: "", err: "" }, line);
  }
});

Deno.test("main keeps the exit status of what failed where nobody reads that", async () => {
  const { code, err } = await run("wire frob --json", "stdout");
  assertEquals(code, 2);
  assertMatch(err, /^kith wire: One of decode, encode and vectors is missing\n/);
  for (const line of ["", "frob", "wire frob --json", "version --log loud"]) {
    assertEquals((await run(line, "stdout", "stderr")).code, 2, line);
  }
});

Deno.test("main --json prints an error event where there is no such verb, or none", async () => {
  const rows = [
    ["nosuch --json", 'Unknown verb nosuch; "kith help" lists them'],
    ["toString --json", 'Unknown verb toString; "kith help" lists them'],
    ["--json", "Options come behind a verb: kith VERB --json"],
  ] as const;
  for (const [line, message] of rows) {
    const { code, out, err } = await run(line);
    assertEquals([code, err], [2, `${message}\n`]);
    assertEquals(JSON.parse(out), { event: "error", code: "usage", message, details: {} });
  }
  assertEquals((await run("nosuch")).out, "");
});
