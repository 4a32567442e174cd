/**
 * A star of peers on encrypted connections over loopback, its leaves in another process; see `gossip_star.ts` for what it
 * is told to do.
 *
 * ```
 * SCRIPT receive                    the leaves
 * SCRIPT send PORT LEAVES BYTES     the peer in the middle
 * ```
 *
 * @module
 */

import { netTransport } from "../../src/transport/net.ts";
import { openEndpoint, openLink } from "./endpoints.ts";
import { joinAsLeaf } from "./gossip_leaves.ts";
import { Star } from "./gossip_star.ts";
import { hostname, runServedPair } from "./served_pair.ts";

const transport = netTransport;

await runServedPair<Star>({
  async serve() {
    const { endpoint, port } = await openEndpoint();
    endpoint.handle("join", async ({ hub, count }) => {
      for (let at = 0; at < Number(count); at++) {
        await joinAsLeaf({ hostname, port: Number(hub) }, { transport, plain: false });
      }
    });
    return port;
  },
  async connect(port) {
    const link = await openLink(port);
    return await Star.open({
      transport,
      hostname,
      plain: false,
      leaves: Number(Deno.args[2]),
      dataBytes: Number(Deno.args[3]),
      join: async ({ port: hub }, count) => void await link.request("join", { hub, count }),
    });
  },
}, (star, command) => star.run(command));
