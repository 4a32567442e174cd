/**
 * Requests and replies over NATS: both processes are clients of its server.
 *
 * @module
 */

import { connectNats } from "./nats.ts";
import { runRequests } from "./requests.ts";

await runRequests({
  async serve(port) {
    const nats = await connectNats(port);
    nats.subscribe("echo", { callback: (_error, message) => message.respond(message.data) });
    await nats.flush();
    return port;
  },
  async connect(port) {
    const nats = await connectNats(port);
    return async (payload) => (await nats.request("echo", payload)).data;
  },
});
