/**
 * Nodes of the Python library `kademlia`, where its sources are at hand.
 *
 * @module
 */

import { assert } from "@std/assert";
import type { Address } from "../../../src/transport/mod.ts";
import { LineReader } from "../../../src/wire/line.ts";

/** The folder with the packages `kademlia`, `rpcudp` and `umsgpack`. */
const FOLDER = Deno.env.get("KITH_PYTHON_KADEMLIA");

/** Why there are no such nodes here. */
export const whyNoPython: string | undefined = FOLDER === undefined
  ? "KITH_PYTHON_KADEMLIA does not name a folder with the sources of kademlia, rpcudp and umsgpack"
  : undefined;

/** Nodes of one Python process. */
export class PythonNodes implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #output: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;
  readonly #lines = new LineReader();
  #addresses: readonly Address[] = [];

  private constructor(count: number, k: number) {
    assert(FOLDER !== undefined, whyNoPython);
    this.#child = new Deno.Command("python3", {
      args: [new URL("python_nodes.py", import.meta.url).pathname, String(count), String(k)],
      env: { PYTHONPATH: FOLDER, PYTHONDONTWRITEBYTECODE: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#output = this.#child.stdout.getReader();
  }

  static async start(count: number, { k = 20 } = {}): Promise<PythonNodes> {
    const nodes = new PythonNodes(count, k);
    const { ports } = await nodes.#next() as { ports: number[] };
    nodes.#addresses = ports.map((port) => ({ hostname: "127.0.0.1", port }));
    return nodes;
  }

  /** Where they take packets. */
  get addresses(): readonly Address[] {
    return this.#addresses;
  }

  /** Has a node do something. */
  async tell(node: number, order: Record<string, unknown>): Promise<unknown> {
    await this.#input.write(new TextEncoder().encode(JSON.stringify({ node, ...order }) + "\n"));
    const answer = await this.#next() as { result?: unknown; error?: string };
    assert(answer.error === undefined, answer.error);
    return answer.result;
  }

  /** Has a node join those at some addresses. @returns how many it knows. */
  async bootstrap(node: number, addresses: readonly Address[]): Promise<unknown> {
    const pairs = addresses.map(({ hostname, port }) => [hostname, port]);
    return await this.tell(node, { do: "bootstrap", addresses: pairs });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close();
    await this.#child.status;
    await this.#output.cancel();
  }

  async #next(): Promise<unknown> {
    for (;;) {
      const line = this.#lines.next();
      if (line !== undefined) return line;
      const { value, done } = await this.#output.read();
      assert(!done, "Python has ended");
      this.#lines.push(value);
    }
  }
}
