/**
 * A hub of live-sync that keeps folders alike with its clients.
 *
 * Each line of stdin is a folder to keep, with its index beside it, in place of the one before; answered by `{ port }` once
 * it has been looked at. An empty line keeps none. Ends with stdin.
 *
 * @module
 */

import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { WebPort } from "../../src/endpoint/web.ts";
import { Identity } from "../../src/secure/identity.ts";
import { Exchange } from "../../src/sync/exchange.ts";
import { SyncHub } from "../../src/sync/hub.ts";
import type { SyncPort } from "../../src/sync/port.ts";
import { netTransport } from "../../src/transport/net.ts";
import { answer, answerCommands } from "./command_loop.ts";
import { KeptFolder } from "./kept_folder.ts";

const endpoint = await Endpoint.open({
  transport: netTransport,
  identity: Identity.generate(),
  self: { name: "hub", capabilities: [], agent: "bench" },
  clientOnly: true,
});
const web = await WebPort.open(endpoint, { hostname: "127.0.0.1", port: 0 });

let kept: KeptFolder | undefined;
const exchanges = new Set<Exchange>();
SyncHub.open(web, { onPort: (port) => void keepWith(port) });

answer({});
await answerCommands(keep);
Deno.exit();

async function keep(dir: string): Promise<{ port: number }> {
  for (const exchange of exchanges) await exchange.close();
  await kept?.[Symbol.asyncDispose]();
  kept = dir === "" ? undefined : await KeptFolder.open(dir);
  return { port: web.address.port };
}

async function keepWith(port: SyncPort): Promise<void> {
  if (kept === undefined) return port.close();
  const exchange = Exchange.open(kept.folder, port, { role: "hub" });
  exchanges.add(exchange);
  await exchange.closed;
  exchanges.delete(exchange);
}
