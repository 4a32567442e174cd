/**
 * Two folders of one process that are kept alike until it is killed.
 *
 * @module
 */

import { Home } from "../../src/state/home.ts";
import { Exchange } from "../../src/sync/exchange.ts";
import { SyncFolder } from "../../src/sync/folder.ts";
import { SqliteIndex } from "../../src/sync/sqlite_index.ts";
import { portPair } from "./memory_ports.ts";

const [home = "", from = "", to = ""] = Deno.args;

const [hub, ann] = await Promise.all([["hub", from], ["ann", to]].map(([name, dir = ""]) => {
  const index = SqliteIndex.open(Home.open(home), `${name}.sqlite`);
  return SyncFolder.open({ dir, index });
})) as [SyncFolder, SyncFolder];
const [clientPort, hubPort] = portPair();
Exchange.open(hub, hubPort, { role: "hub" });
const exchange = Exchange.open(ann, clientPort, { role: "client" });
say("begun");
await exchange.sync();
say("done");
Deno.exit(0);

function say(word: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${word}\n`));
}
