/**
 * Publish and subscribe over NATS: both processes are clients of its server.
 *
 * @module
 */

import { connectNats } from "./nats.ts";
import { Counter, runNotify } from "./notify.ts";

await runNotify({
  async serve(port) {
    const nats = await connectNats(port);
    const counter = new Counter();
    nats.subscribe("note", { callback: counter.add });
    nats.subscribe("taken", {
      callback: (_error, message) => message.respond(countAsBytes(counter.take())),
    });
    await nats.flush();
    return port;
  },
  async connect(port) {
    const nats = await connectNats(port);
    return {
      post: (payload) => void nats.publish("note", payload),
      taken: async () => Number(new TextDecoder().decode((await nats.request("taken")).data)),
    };
  },
});

function countAsBytes(count: number): Uint8Array {
  return new TextEncoder().encode(String(count));
}
