/**
 * One-way messages over a link, to a handler of the endpoint.
 *
 * @module
 */

import { openEndpoint, openLink } from "./endpoints.ts";
import { Counter, runNotify } from "./notify.ts";

await runNotify({
  async serve() {
    const { endpoint, port } = await openEndpoint();
    const counter = new Counter();
    endpoint.handle("note", counter.add);
    endpoint.handle("taken", () => counter.take());
    return port;
  },
  async connect(port) {
    const link = await openLink(port);
    return {
      post: (payload) => link.post("note", { data: payload }),
      taken: () => link.request("taken", {}) as Promise<number>,
    };
  },
});
