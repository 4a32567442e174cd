/**
 * Five clients of a NATS server in one process: each publishes, all others read; as `gossip_group.ts`.
 *
 * ```
 * SCRIPT PORT     publishes as many messages with each client as each line of stdin says, prints { seconds }
 * ```
 *
 * @module
 */

import { answer, answerCommands } from "./command_loop.ts";
import { type Member, publishToAll } from "./gossip_members.ts";
import { connectNats } from "./nats.ts";

const SUBJECT = "bench";
const CLIENTS = 5;

const members: Member[] = [];
for (let at = 0; at < CLIENTS; at++) members.push(await join(Number(Deno.args[0])));
answer({ ready: true });
await answerCommands((count) => publishToAll(members, Number(count)));
Deno.exit();

async function join(port: number): Promise<Member> {
  const nats = await connectNats(port);
  let left = 0;
  let done: (() => void) | undefined;
  nats.subscribe(SUBJECT, {
    callback: () => {
      if (--left === 0) done?.();
    },
  });
  await nats.flush();
  return {
    publish: (payload) => Promise.resolve(nats.publish(SUBJECT, payload)),
    // The server sends to all who subscribe, who publishes included.
    read: (count) => {
      left = count * CLIENTS / (CLIENTS - 1);
      return new Promise((resolve) => done = resolve);
    },
  };
}
