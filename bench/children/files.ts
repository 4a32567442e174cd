/**
 * Files and folders between two endpoints; encrypted unless the last argument is `plain`.
 *
 * ```
 * SCRIPT receive FOLDER    takes everything into the folder
 * SCRIPT send PORT         sends the path that each line of stdin says, on one connection;
 *                          prints {"seconds", "files", "bytes", "sha256"}
 * ```
 *
 * The time is from the look at the path to the receiver's word that it has verified everything.
 *
 * @module
 */

import type { Link } from "../../src/endpoint/link.ts";
import { buildManifest, Receiver, type SendEvent, sendFiles } from "../../src/transfer/mod.ts";
import { openEndpoint, openLink } from "./endpoints.ts";
import { runServedPair } from "./served_pair.ts";

await runServedPair<Link>({ serve, connect: openLink }, send);

async function serve(): Promise<number> {
  const [, dir = ""] = Deno.args;
  const { endpoint, port } = await openEndpoint();
  void drain(Receiver.open(endpoint, { dir, accept: () => true }));
  return port;
}

/** Reads on: events that nobody reads slow the sender down. */
async function drain(receiver: Receiver): Promise<void> {
  for await (const event of receiver) {
    if (event.type === "failed") throw event.error;
  }
}

async function send(link: Link, path: string): Promise<unknown> {
  const startedAt = performance.now();
  const built = await buildManifest([path]);
  let last: SendEvent | undefined;
  for await (const event of sendFiles(link, built)) last = event;
  const seconds = (performance.now() - startedAt) / 1000;
  if (last?.type !== "done") throw new Error("Cannot measure: the transfer ended early");
  const { files, bytes, sha256 } = last;
  return { seconds, files, bytes, sha256 };
}
