import { assert, assertEquals } from "@std/assert";
import { descriptorLimit, SPARE_DESCRIPTORS } from "../../src/sync/descriptors.ts";
import { Hub } from "../sync/hub_fixture.ts";
import { PROJECT } from "./process.ts";

const CLIENTS = 1_000;
const PROCESSES = 2;
const MESSAGES = 20;

/** What the hub may grow by: 166 MB were measured of the sockets alone. */
const MOST_BYTES = 500e6;

const limit = descriptorLimit();
const isLow = limit !== undefined && limit < CLIENTS + SPARE_DESCRIPTORS + 100;
const why = isLow ? ` (not run: the limit of ${limit} open files is too low, see ulimit -n)` : "";

/** A process of clients, and what it says, line by line. */
class Crowd implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #rest = "";

  constructor(url: string) {
    const map = Deno.env.get("KITH_IMPORT_MAP");
    this.#process = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--no-check",
        ...map === undefined ? [] : [`--import-map=${map}`],
        "tests/e2e/sync_crowd.ts",
        url,
        String(CLIENTS / PROCESSES),
        String(MESSAGES),
      ],
      cwd: PROJECT,
      stdin: "null",
      stdout: "piped",
    }).spawn();
    this.#lines = this.#process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  async line(): Promise<string> {
    while (!this.#rest.includes("\n")) {
      const { value, done } = await this.#lines.read();
      if (done) throw new Error("The clients have ended");
      this.#rest += value;
    }
    const end = this.#rest.indexOf("\n");
    const line = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + 1);
    return line;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#lines.cancel();
    await this.#process.status;
  }
}

Deno.test({
  name: `SyncHub reaches ${CLIENTS} clients of ${PROCESSES} processes, in bounded memory${why}`,
  ignore: isLow,
  fn: async () => {
    await using hub = await Hub.open();
    const before = Deno.memoryUsage().rss;
    await using parts = new AsyncDisposableStack();
    const crowds = Array.from({ length: PROCESSES }, () => parts.use(new Crowd(hub.url)));
    for (const crowd of crowds) assertEquals(await crowd.line(), "ready");
    assertEquals(hub.hub.status.clients.length, CLIENTS);
    for (let n = 0; n < MESSAGES; n++) {
      assertEquals(hub.hub.broadcast("docs", { type: "notice", data: { n } }), CLIENTS);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    const whole = await Promise.all(crowds.map((crowd) => crowd.line()));
    assertEquals(whole, crowds.map(() => String(CLIENTS / PROCESSES)));
    const grown = Deno.memoryUsage().rss - before;
    assert(grown < MOST_BYTES, `${grown} bytes more`);
  },
});

Deno.test("SyncHub stays below the limit of open files, and says that it is the limit", async () => {
  const script = `
    const { Hub } = await import("${PROJECT}tests/sync/hub_fixture.ts");
    const hub = await Hub.open();
    const got = [];
    for (let n = 0; n < 70; n++) {
      try { await hub.plain("c" + n); got.push(n); } catch { break; }
    }
    console.log(JSON.stringify({ got: got.length, warned: hub.log.lines.find(({ level }) => level === "warn")?.fields }));
    Deno.exit();
  `;
  const map = Deno.env.get("KITH_IMPORT_MAP");
  const flags = ["-A", "--no-check", ...map === undefined ? [] : [`--import-map=${map}`]];
  const shell = `ulimit -n 128 && exec "$0" run ${flags.join(" ")} -`;
  const child = new Deno.Command("sh", {
    args: ["-c", shell, Deno.execPath()],
    cwd: PROJECT,
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(script));
  await writer.close();
  const { stdout } = await child.output();
  const { got, warned } = JSON.parse(new TextDecoder().decode(stdout));
  assertEquals(got, 128 - SPARE_DESCRIPTORS);
  assertEquals(warned, { limit: "the limit of 128 open files, see ulimit -n", max: got });
});
