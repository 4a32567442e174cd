/**
 * Requests as kith sends them without a connection: sent again until they are answered, and handled once.
 *
 * @module
 */

import { UdpPort } from "../../src/endpoint/udp_port.ts";
import { netTransport } from "../../src/transport/net.ts";
import { openEndpoint } from "./endpoints.ts";
import { runRequests } from "./requests.ts";
import { hostname } from "./served_pair.ts";

await runRequests({
  async serve() {
    const udp = await openUdp();
    return udp.address.port;
  },
  async connect(port) {
    const udp = await openUdp();
    const to = { hostname, port };
    return (payload) => udp.request(to, "echo", { data: payload }) as Promise<Uint8Array>;
  },
});

async function openUdp(): Promise<UdpPort> {
  const { endpoint } = await openEndpoint();
  endpoint.handle("echo", (body) => body.data);
  return await UdpPort.open(endpoint, { transport: netTransport, hostname });
}
