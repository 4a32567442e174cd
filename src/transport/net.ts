/**
 * Real sockets as one {@linkcode Transport}.
 *
 * @module
 */

import { connectTcp, listenTcp } from "./tcp.ts";
import type { Transport } from "./transport.ts";
import { openDatagram } from "./udp.ts";

/** The network of this machine: TCP and UDP. */
export const netTransport: Transport = {
  listen: listenTcp,
  connect: connectTcp,
  datagram: openDatagram,
};
