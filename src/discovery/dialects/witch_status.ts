/**
 * Asking a witch-core server for its status, the shortest way there is: a connection, one line, its answer.
 *
 * ```
 * -> {"request": "status"}
 * <- {"status": "success", "data": {"status": "running", ...}}
 * ```
 *
 * @module
 */

import type { Address, Connection, Transport } from "../../transport/transport.ts";
import { encodeLine, LineReader } from "../../wire/line.ts";

/** Longest answer that is read in bytes; an original's has some 300. */
const MAX_ANSWER_BYTES = 16 * 1024;

/**
 * Asks the server at an address whether it is up.
 *
 * @example
 * ```ts
 * import { askWitchStatus } from "@kith/kith/discovery";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const listener = await network.host("server").listen();
 * const asking = askWitchStatus(network.host("alice"), listener.address);
 * const connection = await listener.accept();
 * await connection?.write(new TextEncoder().encode('{"status": "success"}\n'));
 * assertEquals(await asking, true);
 * ```
 *
 * @returns whether it answered that it is; `false` when it hung up instead.
 * @throws {TransportError} when nobody listens there.
 * @throws {InvalidPacketError} when the answer is not a line of JSON or too long. Rejects with the signal's reason.
 */
export async function askWitchStatus(
  transport: Transport,
  address: Address,
  options: { signal?: AbortSignal } = {},
): Promise<boolean> {
  const { signal } = options;
  const connection = await transport.connect(address, options);
  const close = () => connection.close();
  signal?.addEventListener("abort", close, { once: true });
  try {
    signal?.throwIfAborted();
    await connection.write(encodeLine({ request: "status" }, { style: "python" }));
    return isSuccess(await readLine(connection));
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", close);
    connection.close();
  }
}

/** The first line; `undefined` where the connection ends without one. */
async function readLine(connection: Connection): Promise<unknown> {
  const reader = new LineReader({ maxLineBytes: MAX_ANSWER_BYTES });
  const into = new Uint8Array(4096);
  for (;;) {
    const line = reader.next();
    if (line !== undefined) return line;
    const count = await connection.read(into);
    if (count === null) return undefined;
    reader.push(into.subarray(0, count));
  }
}

function isSuccess(answer: unknown): boolean {
  return typeof answer === "object" && answer !== null && "status" in answer &&
    answer.status === "success";
}
