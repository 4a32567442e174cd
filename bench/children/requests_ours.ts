/**
 * Requests as kith sends them: over a link, to a handler of the endpoint.
 *
 * @module
 */

import { openEndpoint, openLink } from "./endpoints.ts";
import { runRequests } from "./requests.ts";

await runRequests({
  async serve() {
    const { endpoint, port } = await openEndpoint();
    endpoint.handle("echo", (body) => body.data);
    return port;
  },
  async connect(port) {
    const link = await openLink(port);
    return (payload) => link.request("echo", { data: payload }) as Promise<Uint8Array>;
  },
});
