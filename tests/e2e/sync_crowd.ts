/**
 * Many clients of a sync hub in a process of their own.
 *
 * ```
 * SCRIPT URL CLIENTS MESSAGES     prints "ready", then the number of those who got all messages, in order
 * ```
 *
 * @module
 */

import { SyncClient } from "../../src/sync/client.ts";

/** Clients that connect at the same time. */
const AT_ONCE = 25;

const [url = "", clients, messages] = Deno.args;
const all: SyncClient[] = [];
while (all.length < Number(clients)) {
  all.push(...await Promise.all(Array.from({ length: AT_ONCE }, open)));
}
const reading = Promise.all(all.map(read));
say("ready");
say(`${(await reading).filter((isWhole) => isWhole).length}`);
Deno.exit();

function open(): Promise<SyncClient> {
  return SyncClient.open(url, { name: "crowd", folder: "docs" });
}

async function read({ port }: SyncClient): Promise<boolean> {
  let count = 0;
  for await (const input of port.receive) {
    if (input.type !== "message" || input.message.data.n !== count) return false;
    if (++count === Number(messages)) break;
  }
  return count === Number(messages);
}

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}
