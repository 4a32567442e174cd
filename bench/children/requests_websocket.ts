/**
 * Opaque bytes there and back over the runtime's own WebSocket, at both ends.
 *
 * @module
 */

import { runRequests, Turns } from "./requests.ts";
import { hostname } from "./served_pair.ts";

await runRequests({
  serve() {
    const { addr } = Deno.serve({ hostname, port: 0, onListen: () => {} }, (request) => {
      const { socket, response } = Deno.upgradeWebSocket(request);
      socket.binaryType = "arraybuffer";
      socket.onmessage = ({ data }) => socket.send(data);
      return response;
    });
    return addr.port;
  },
  async connect(port) {
    const socket = new WebSocket(`ws://${hostname}:${port}`);
    socket.binaryType = "arraybuffer";
    const turns = new Turns();
    socket.onmessage = ({ data }) => turns.settle(new Uint8Array(data));
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = reject;
    });
    return (payload) => {
      socket.send(payload);
      return turns.next();
    };
  },
});
