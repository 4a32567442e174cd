/**
 * A hub of `ws` on Node that passes each message on to all clients but its sender, as the documentation of `ws` shows it:
 * it neither looks at messages nor keeps them.
 *
 * Prints `{ port }`, and ends with stdin.
 *
 * @module
 */

import process from "node:process";

// Not before it runs: who only checks the types of the project has not installed it.
const { WebSocket, WebSocketServer } = await import("ws");

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
server.on("connection", (from) => {
  from.on("message", (data, binary) => {
    for (const client of server.clients) {
      if (client !== from && client.readyState === WebSocket.OPEN) client.send(data, { binary });
    }
  });
});
server.on("listening", () => process.stdout.write(`{"port":${server.address().port}}\n`));
process.stdin.on("end", () => process.exit()).resume();
