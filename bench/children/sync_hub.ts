/**
 * A hub of live-sync that passes on what is changed. Prints `{ port }`, and ends with stdin.
 *
 * It is as it always is, but for the rate of its clients: one of them is to say more than a folder ever does.
 *
 * @module
 */

import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { WebPort } from "../../src/endpoint/web.ts";
import { Identity } from "../../src/secure/identity.ts";
import { SyncHub } from "../../src/sync/hub.ts";
import { netTransport } from "../../src/transport/net.ts";
import { answer, answerCommands } from "./command_loop.ts";

const endpoint = await Endpoint.open({
  transport: netTransport,
  identity: Identity.generate(),
  self: { name: "hub", capabilities: [], agent: "bench" },
  clientOnly: true,
});
const web = await WebPort.open(endpoint, { hostname: "127.0.0.1", port: 0 });
const rate = { perSecond: 1e9, burst: 1e9 };
SyncHub.open(web, { limits: { rate } });
answer({ port: web.address.port });
await answerCommands(() => Promise.resolve({}));
Deno.exit();
