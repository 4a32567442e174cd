/**
 * An endpoint in a process of its own, for those who flood it: says its ports, and ends with its standard input.
 *
 * @module
 */

import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { WebPort } from "../../src/endpoint/web.ts";
import { netTransport } from "../../src/transport/net.ts";

const endpoint = await Endpoint.open({
  transport: netTransport,
  self: { name: "flooded", capabilities: [], agent: "test/0" },
  hostname: "127.0.0.1",
  port: 0,
});
const web = await WebPort.open(endpoint, { hostname: "127.0.0.1", port: 0 });

const over = new AbortController();
const cutOff = Promise.withResolvers<string>();
const watching = watch();

endpoint.handle("echo", ({ n }) => n);
endpoint.handle("much", ({ bytes }) => new Uint8Array(Number(bytes)).fill(1));
endpoint.handle("slow consumer", () => cutOff.promise);
endpoint.handle("state", () => ({
  rssBytes: Deno.memoryUsage().rss,
  links: endpoint.links.size,
  metrics: endpoint.metrics.snapshot(),
}));

// deno-lint-ignore no-console -- whoever started it has to know
console.log(endpoint.address?.port, web.address.port);
await Deno.stdin.readable.pipeTo(new WritableStream());
over.abort();
await web.close();
await Promise.all([watching, endpoint.close()]);

async function watch(): Promise<void> {
  for await (const { type, peer } of endpoint.peers.watch({ signal: over.signal })) {
    if (type === "slow-consumer") cutOff.resolve(peer.name);
  }
}
