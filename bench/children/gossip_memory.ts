/**
 * A star of peers on the network in memory, nothing encrypted; see `gossip_star.ts` for what it is told to do.
 *
 * ```
 * SCRIPT LEAVES BYTES
 * ```
 *
 * @module
 */

import { MemoryNetwork } from "../../src/transport/memory.ts";
import { answer, answerCommands } from "./command_loop.ts";
import { joinAsLeaf } from "./gossip_leaves.ts";
import { Star } from "./gossip_star.ts";

const [leaves, dataBytes] = Deno.args.map(Number);
const network = new MemoryNetwork();
// Names that are loopback addresses: plain connections must not leave the machine.
const hostname = "127.1.0.1";
const star = await Star.open({
  transport: network.host(hostname),
  hostname,
  plain: true,
  leaves: leaves ?? 0,
  dataBytes: dataBytes ?? 0,
  join: async (to, count) => {
    for (let at = 1; at <= count; at++) {
      await joinAsLeaf(to, { transport: network.host(`127.2.0.${at}`), plain: true });
    }
  },
});
answer({ ready: true });
await answerCommands((command) => star.run(command));
Deno.exit();
