import { assert, assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { PREFACE } from "../../src/endpoint/handshake.ts";
import type { Link } from "../../src/endpoint/link.ts";
import { ClosedError } from "../../src/errors.ts";
import { type Address, type Connection, netTransport } from "../../src/transport/mod.ts";
import { identityOf, infoOf, shakeHands } from "../endpoint/fixture.ts";
import { concat } from "../fuzz/generate.ts";
import { PROJECT } from "./process.ts";

const MIB = 1024 * 1024;

/** Connections that are opened and say nothing. */
const HALF_OPEN = 10_000;

/** Most of them at once on our side: below the 1024 descriptors that a process may have. */
const AT_ONCE = 600;

/** What the server's memory may grow by beyond what it keeps on purpose: garbage that is not collected yet. */
const SLACK_BYTES = 128 * MIB;

/** What the server says of itself. */
interface State {
  readonly rssBytes: number;
  readonly links: number;
  readonly metrics: Readonly<Record<string, number>>;
}

/** A server in a process of its own, and somebody who uses it as it is meant. */
class Scene implements AsyncDisposable {
  readonly address: Address;
  readonly web: Address;
  readonly honest: Link;
  readonly #client: Endpoint;
  readonly #child: Deno.ChildProcess;

  private constructor(
    child: Deno.ChildProcess,
    ports: readonly number[],
    client: Endpoint,
    honest: Link,
  ) {
    const [tcp = 0, web = 0] = ports;
    this.#child = child;
    this.address = { hostname: "127.0.0.1", port: tcp };
    this.web = { hostname: "127.0.0.1", port: web };
    this.#client = client;
    this.honest = honest;
  }

  /** Starts a server that may have that many descriptors. */
  static async open(descriptors = 1_024): Promise<Scene> {
    const script = fileURLToPath(new URL("flood_server.ts", import.meta.url));
    const line = [Deno.execPath(), "run", "--no-prompt", "--allow-net=127.0.0.1", script];
    const child = new Deno.Command("sh", {
      args: ["-c", `ulimit -n ${descriptors} && exec "$@"`, "sh", ...line],
      cwd: PROJECT,
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const ports = (await firstLine(child.stdout)).split(" ").map(Number);
    const client = await newcomer("honest");
    const honest = await client.connect({ hostname: "127.0.0.1", port: ports[0] ?? 0 });
    return new Scene(child, ports, client, honest);
  }

  async state(): Promise<State> {
    return await this.honest.request("state", {}) as State;
  }

  /** Connects as somebody new, asks once, and leaves. @returns how long that took. */
  async comeAndGo(): Promise<number> {
    const startedMs = performance.now();
    await using client = await newcomer("late");
    const link = await client.connect(this.address);
    assertEquals(await link.request("echo", { n: 7 }), 7);
    return performance.now() - startedMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.close();
    await this.#child.stdin.close();
    const { success } = await this.#child.status;
    assert(success, "the server did not end in order");
  }
}

/** What those say who flood, and then no more. @param n Which of them it is. */
const FLOODS: Record<string, (n: number) => Uint8Array> = {
  "half-open connections": (n) => PREFACE.subarray(0, n % 4),
  // Costs the server as much as an honest one, up to its answer.
  "handshakes without an end": () => concat(PREFACE, Uint8Array.of(0, 32), randomKey()),
};

for (const [what, opening] of Object.entries(FLOODS)) {
  Deno.test(`10,000 ${what} keep no honest client waiting, and cost no memory`, async () => {
    await using scene = await Scene.open();
    const before = await scene.state();
    const open = new Set<Connection>();
    const ended: Promise<void>[] = [];
    const waitedMs: number[] = [];
    for (let opened = 1; opened <= HALF_OPEN; opened++) {
      while (open.size >= AT_ONCE) await Promise.race(ended.splice(0, 1));
      const connection = await netTransport.connect(scene.address);
      open.add(connection);
      ended.push(waitForEnd(connection, opening(opened)).finally(() => open.delete(connection)));
      if (opened % 1_000 === 0) waitedMs.push(await scene.comeAndGo());
    }
    assertEquals(await scene.honest.request("echo", { n: 1 }), 1);
    const after = await scene.state();
    assert(Math.max(...waitedMs) < 1_000, `honest clients waited ${waitedMs.map(Math.round)} ms`);
    assert(after.rssBytes - before.rssBytes < SLACK_BYTES, `${after.rssBytes - before.rssBytes}`);
    assertEquals(after.metrics["accept.established"], 1 + waitedMs.length);
    const evicted = after.metrics["accept.evicted"] ?? 0;
    assert(evicted >= HALF_OPEN - 256 - waitedMs.length, `${evicted} were evicted`);
    for (const connection of open) connection.close();
    await Promise.all(ended);
  });
}

Deno.test("A peer that asks for 100 MB and never reads is cut off, and nobody else is hurt", async () => {
  await using scene = await Scene.open();
  const { honest } = scene;
  const before = await scene.state();
  let most = before.rssBytes;
  const sleeper = await shakeHands(await netTransport.connect(scene.address), "sleeper");
  assertEquals((await sleeper.receive())?.header, ":accept");
  const asking = (async () => {
    for (let id = 1; id <= 100; id++) await sleeper.send("much", { bytes: MIB }, id);
  })().catch((error) => assert(error instanceof ClosedError));
  let isOver = false;
  const cutOff = honest.request("slow consumer", {}, { timeoutMs: 30_000 })
    .finally(() => isOver = true);
  const waitedMs: number[] = [];
  while (!isOver) {
    const startedMs = performance.now();
    most = Math.max(most, (await scene.state()).rssBytes);
    waitedMs.push(performance.now() - startedMs);
    await new Promise((resolve) => setTimeout(resolve, 10)); // whoever asks all the time slows the server down itself
  }
  assertEquals(await cutOff, "sleeper");
  await asking;
  const after = await scene.state();
  assertEquals([after.links, after.metrics["link.slow-consumer"]], [1, 1]);
  assert(
    most - before.rssBytes < 32 * MIB + SLACK_BYTES,
    `grew by ${(most - before.rssBytes) / MIB} MiB`,
  );
  const longestMs = waitedMs.reduce((longest, ms) => Math.max(longest, ms));
  assert(longestMs < 1_000, `somebody waited ${longestMs} ms`);
  assertEquals(await honest.request("echo", { n: 1 }), 1);
  sleeper.close();
});

Deno.test("A server whose web port is out of descriptors lives, and frees those of who says nothing", async () => {
  await using scene = await Scene.open(256);
  const silent: Connection[] = [];
  for (let opened = 0; opened < 400; opened++) {
    const connection = await netTransport.connect(scene.web).catch(() => undefined);
    if (connection !== undefined) silent.push(connection);
  }
  await Promise.all(silent.slice(0, 100).map((connection) => waitForEnd(connection)));
  assertEquals(await scene.honest.request("echo", { n: 1 }), 1);
  await scene.comeAndGo();
  for (const connection of silent) connection.close();
});

function newcomer(name: string): Promise<Endpoint> {
  return Endpoint.open({
    transport: netTransport,
    identity: identityOf(name),
    self: infoOf(name),
    clientOnly: true,
  });
}

/** Says that much, and waits until the server has had enough. */
async function waitForEnd(
  connection: Connection,
  opening: Uint8Array = new Uint8Array(),
): Promise<void> {
  try {
    await connection.write(opening);
    const waste = new Uint8Array(1_024);
    while (await connection.read(waste) !== null);
  } catch (error) {
    assert(error instanceof ClosedError);
  } finally {
    connection.close();
  }
}

function randomKey(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(32));
}

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (text.includes("\n")) return text;
  }
  throw new Error("the server ended before it began");
}
