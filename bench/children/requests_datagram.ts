/**
 * Bare datagrams there and back: one buffer for all that is received, nothing that says which answer is whose, nothing
 * sent again. Loopback loses none as long as few are under way.
 *
 * @module
 */

import { runRequests, Turns } from "./requests.ts";
import { hostname } from "./served_pair.ts";

const BUFFER_BYTES = 2048;

await runRequests({
  serve() {
    const socket = bind();
    void receiveAll(socket, async (data, from) => void await socket.send(data, from));
    return (socket.addr as Deno.NetAddr).port;
  },
  connect(port) {
    const socket = bind();
    const turns = new Turns();
    void receiveAll(socket, (data) => turns.settle(data));
    return async (payload) => {
      const echo = turns.next();
      await socket.send(payload, { transport: "udp", hostname, port });
      return await echo;
    };
  },
});

function bind(): Deno.DatagramConn {
  return Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
}

async function receiveAll(
  socket: Deno.DatagramConn,
  take: (data: Uint8Array, from: Deno.Addr) => Promise<void> | void,
): Promise<void> {
  const buffer = new Uint8Array(BUFFER_BYTES);
  for (;;) await take(...await socket.receive(buffer));
}
