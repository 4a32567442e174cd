import { assert, assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { PREFACE } from "../../src/endpoint/handshake.ts";
import { netTransport } from "../../src/transport/net.ts";
import type { Address, Connection } from "../../src/transport/transport.ts";
import { PROJECT } from "../e2e/process.ts";

/** Handshakes that are begun and left there, each of which makes the server compute its answer. */
const FLOOD = 10_000;

/** Most of them at once on our side: below the 1024 descriptors that a process may have. */
const AT_ONCE = 500;

Deno.test(`T10 ${FLOOD} handshakes that are begun and left keep no honest peer waiting for a second`, async () => {
  await using server = await Server.start();
  const waitedMs: number[] = [];
  const open: Connection[] = [];
  for (let begun = 1; begun <= FLOOD; begun++) {
    if (open.length >= AT_ONCE) open.shift()?.close();
    const connection = await netTransport.connect(server.address);
    open.push(connection);
    // It may have been pushed out by others before it could say this.
    connection.write(beginning()).catch(() => {});
    if (begun % 1_000 === 0) waitedMs.push(await server.comeAndGo());
  }
  for (const connection of open) connection.close();
  assertEquals(waitedMs.length, 10);
  assert(Math.max(...waitedMs) < 1_000, `honest peers waited ${waitedMs.map(Math.round)} ms`);
});

/** What a dialer sends first: the preface, and a key that nobody has. */
function beginning(): Uint8Array {
  return Uint8Array.from([...PREFACE, 0, 32, ...crypto.getRandomValues(new Uint8Array(32))]);
}

/** A server in a process of its own. */
class Server implements AsyncDisposable {
  readonly address: Address;
  readonly #child: Deno.ChildProcess;

  private constructor(child: Deno.ChildProcess, port: number) {
    this.#child = child;
    this.address = { hostname: "127.0.0.1", port };
  }

  static async start(): Promise<Server> {
    const script = fileURLToPath(new URL("../e2e/flood_server.ts", import.meta.url));
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--allow-net=127.0.0.1", script],
      cwd: PROJECT,
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    let said = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      said += text;
      if (said.includes("\n")) break;
    }
    return new Server(child, Number(said.split(" ")[0]));
  }

  /** Connects as an honest peer, asks once, and leaves. @returns how long that took in milliseconds. */
  async comeAndGo(): Promise<number> {
    const startedMs = performance.now();
    await using client = await Endpoint.open({
      transport: netTransport,
      self: { name: "honest", capabilities: [], agent: "test/0" },
      clientOnly: true,
    });
    await using link = await client.connect(this.address);
    assertEquals(await link.request("echo", { n: 7 }), 7);
    return performance.now() - startedMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stdin.close();
    assert((await this.#child.status).success, "the server did not end in order");
  }
}
