/**
 * A client of live-sync that keeps a folder alike with that of a hub.
 *
 * ```
 * SCRIPT DIR PORT once    until both are alike; prints { seconds, files } and ends
 * SCRIPT DIR PORT         the same, and stays: each line of stdin has it look at the folder and compare the indexes again
 * ```
 *
 * The time begins with the look at the folder.
 *
 * @module
 */

import { SyncClient } from "../../src/sync/client.ts";
import { Exchange } from "../../src/sync/exchange.ts";
import { answer, answerCommands } from "./command_loop.ts";
import { KeptFolder } from "./kept_folder.ts";

const [dir = "", port, once] = Deno.args;
const startedAt = performance.now();
const kept = await KeptFolder.open(dir, { watch: once === undefined });
const { folder } = kept;
const client = await SyncClient.open(`ws://127.0.0.1:${port}/sync`, {
  name: "bench",
  folder: "bench",
});
const exchange = Exchange.open(folder, client.port, { role: "client" });
await sync();
answer(secondsSince(startedAt));
if (once === undefined) await answerCommands(again);
await exchange.close();
await client.close();
await kept[Symbol.asyncDispose]();
Deno.exit();

async function again(): Promise<{ seconds: number }> {
  const startedAt = performance.now();
  await folder.scan();
  await sync();
  return secondsSince(startedAt);
}

async function sync(): Promise<void> {
  if (!await exchange.sync()) throw new Error("Cannot measure: the folders are not alike");
}

function secondsSince(startedAt: number): { seconds: number } {
  return { seconds: (performance.now() - startedAt) / 1000 };
}
