/**
 * Sockets: the ports that everything above is written against, and their adapters.
 *
 * {@linkcode netTransport} is the network of this machine, {@linkcode MemoryNetwork} one in memory. WebSockets carry
 * messages ({@linkcode connectWebSocket}, {@linkcode upgradeWebSocket}), and bytes too ({@linkcode asConnection}).
 *
 * @module
 */

export {
  type Address,
  type Connection,
  type ConnectOptions,
  type Datagram,
  type DatagramOptions,
  type DatagramSocket,
  formatAddress,
  isWildcard,
  type Listener,
  type ListenOptions,
  type MessageSocket,
  type MulticastGroup,
  parseAddress,
  type Transport,
} from "./transport.ts";
export {
  FramedConnection,
  type FramedOptions,
  HIGH_WATER_BYTES,
  type ReceiveOptions,
} from "./framed.ts";
export { isDomainName, type ResolveOptions, resolveTxt } from "./dns.ts";
export { isHostAddress } from "./ip_address.ts";
export {
  type HttpHandler,
  type HttpServer,
  serveHttp,
  type ServeHttpOptions,
  type TlsIdentity,
} from "./http.ts";
export { MemoryNetwork, type MemoryNetworkOptions } from "./memory.ts";
export { asConnection } from "./message_connection.ts";
export { type MessageSocketOptions } from "./message_socket.ts";
export { netTransport } from "./net.ts";
export { connectTcp, listenTcp } from "./tcp.ts";
export { openDatagram } from "./udp.ts";
export { connectUnix, listenUnix, type ListenUnixOptions, MAX_UNIX_PATH_BYTES } from "./unix.ts";
export {
  connectWebSocket,
  type ConnectWebSocketOptions,
  type UpgradedWebSocket,
  upgradeWebSocket,
  type UpgradeWebSocketOptions,
} from "./websocket.ts";
