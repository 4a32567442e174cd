/**
 * Announcing a server on the local networks, and listening for servers that are announced: witch-core's two functions,
 * which need no peer.
 *
 * What is announced is plain text that everybody on the network can read and forge. A server that is heard of is asked
 * for its status before it is given; that shows that something like it is there, not who it is.
 *
 * Source: the witch-core network module, "Discovery".
 *
 * @module
 */

import { netTransport } from "../../transport/net.ts";
import { reasonOf } from "../attempts.ts";
import { BroadcastLan, type BroadcastOptions } from "./broadcasts_lan.ts";
import type { ForeignPeer } from "../foreign.ts";
import {
  WITCH_NODE_PORT,
  WITCH_PRESENCE_PORT,
  WitchAnnouncer,
  type WitchPorts,
} from "./witch_announcer.ts";
import type { AskStatus } from "./witch_checks.ts";
import { WitchDiscovery } from "./witch_discovery.ts";
import { askWitchStatus } from "./witch_status.ts";

/** Which server to announce, and how. */
export interface BroadcastServerOptions extends BroadcastOptions {
  /** What people call it. */
  serverName: string;
  /** The TCP port it listens on. */
  port: number;
  /** What it speaks. @default {[]} */
  protocols?: readonly string[];
  /** Its project: servers of one find each other. @default {"default"} */
  projectId?: string;
  /** Its source hash, lower-case hex: servers of the same program find each other. @default none, and so they do not */
  sourceHash?: string;
  /** What it is told apart by, 1 to 128 characters. @default {crypto.randomUUID()} */
  nodeId?: string;
  /** How many times to announce it, 5 s apart. @default {Infinity} */
  repeat?: number;
  /** Stops announcing when aborted. */
  signal?: AbortSignal;
  /** Where to. @default {{ presence: 8889, node: 8890 }} */
  ports?: WitchPorts;
}

/** A server that is being announced. */
export interface ServerBroadcast extends AsyncDisposable {
  /** What the server is told apart by. */
  readonly nodeId: string;
  /** Resolves, and never rejects, when nothing more is announced. */
  readonly done: Promise<void>;
  /** Stops announcing. Harmless when closed. */
  close(): Promise<void>;
}

/** How to listen for servers. */
export interface ListenForServersOptions extends BroadcastOptions {
  /** Stops listening when aborted. */
  signal?: AbortSignal;
  /**
   * Asks a server that was heard of whether it is up, at most 16 at once and each at most once in 30 s; `false` takes
   * every announcement at its word. @default its status is asked for over TCP
   */
  verify?: AskStatus | false;
  /** Where to listen. @default {{ presence: 8889, node: 8890 }} */
  ports?: WitchPorts;
}

/** A server that was found. Every text in it is that server's own and must be shown with care. */
export interface FoundServer {
  /** What people call it, at most 128 characters; empty for none. */
  readonly name: string;
  /** The address that it announced itself from. */
  readonly ip: string;
  /** The TCP port it listens on. */
  readonly port: number;
  /** What it speaks. */
  readonly protocols: readonly string[];
  /** What it is told apart by, at most 128 characters. */
  readonly id: string;
}

/** Told about a server; the next is not before this is done. What it throws is logged, and listening goes on. */
export type OnServer = (server: FoundServer) => void | Promise<void>;

/** Somebody who is told about servers. */
export interface ServerListener extends AsyncDisposable {
  /** Resolves, and never rejects, when nobody is told any more. */
  readonly done: Promise<void>;
  /** Stops listening and waits for the callback, which therefore must not wait for this. Harmless when closed. */
  close(): Promise<void>;
}

/**
 * Announces a server by UDP broadcast on every network, every 5 s until it is closed.
 *
 * @example
 * ```ts
 * import { broadcastServerInfo } from "@kith/kith/discovery";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const listener = await network.host("alice").datagram({ port: 8889, shared: true });
 * const lan = { name: "lan", address: "bob", family: "IPv4", loopback: false } as const;
 * const interfaces = () => [{ ...lan, broadcast: undefined, index: undefined }];
 * await using broadcast = await broadcastServerInfo({
 *   transport: network.host("bob"),
 *   interfaces,
 *   serverName: "sums",
 *   port: 8888,
 * });
 * const packet = await listener.receive();
 * const { node_id, service_info } = JSON.parse(new TextDecoder().decode(packet?.data));
 * assertEquals([node_id, service_info.name], [broadcast.nodeId, "sums"]);
 * ```
 *
 * @throws {TypeError | RangeError} for a port, an id or a hash that is none.
 * @throws {InvalidPacketError} `too-large` for more than fits into a packet of 1024 bytes.
 * @throws {UnsupportedError} when interfaces may not be listed (`--allow-sys=networkInterfaces`). Rejects with the
 * signal's reason when that is aborted already.
 */
// deno-lint-ignore require-await -- bad arguments reject, as everything that opens
export async function broadcastServerInfo(
  options: BroadcastServerOptions,
): Promise<ServerBroadcast> {
  const { serverName, port, protocols = [], projectId, sourceHash, signal } = options;
  const { nodeId = crypto.randomUUID(), repeat = Infinity } = options;
  signal?.throwIfAborted();
  const announcer = WitchAnnouncer.open(new BroadcastLan("witch", options), {
    announce: {
      nodeId,
      name: serverName,
      port,
      protocols,
      ...(sourceHash !== undefined && { hash: sourceHash }),
      ...(projectId !== undefined && { projectId }),
    },
    ports: { presence: WITCH_PRESENCE_PORT, node: WITCH_NODE_PORT, ...options.ports },
    repeat,
  });
  const stop = () => void announcer.close();
  signal?.addEventListener("abort", stop, { once: true });
  const done = announcer.done.finally(() => signal?.removeEventListener("abort", stop));
  const close = async () => {
    await announcer.close();
    await done;
  };
  return { nodeId, done, close, [Symbol.asyncDispose]: close };
}

/**
 * Listens for servers that are announced by UDP broadcast, and gives each once it has answered that it is up; again
 * when its name or protocols change.
 *
 * @example
 * ```ts
 * import {
 *   broadcastServerInfo,
 *   type FoundServer,
 *   listenForServerBroadcasts,
 * } from "@kith/kith/discovery";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const lan = { name: "lan", family: "IPv4", broadcast: undefined, index: undefined } as const;
 * const on = (address: string) => ({
 *   transport: network.host(address),
 *   interfaces: () => [{ ...lan, address, loopback: false }],
 * });
 * const { promise, resolve } = Promise.withResolvers<FoundServer>();
 * await using listener = await listenForServerBroadcasts(resolve, { ...on("alice"), verify: false });
 * await using server = await broadcastServerInfo({ ...on("bob"), serverName: "sums", port: 8888 });
 * const { name, ip, port } = await promise;
 * assertEquals([name, ip, port], ["sums", "bob", 8888]);
 * ```
 *
 * @throws {TransportError} when both ports are taken by programs that do not share them (`details.inUse`).
 * @throws {UnsupportedError} when UDP is not to be had.
 */
export function listenForServerBroadcasts(
  options?: ListenForServersOptions,
): AsyncGenerator<FoundServer, void, void>;
/** The same, told to a callback until the listener is closed. */
export function listenForServerBroadcasts(
  callback: OnServer,
  options?: ListenForServersOptions,
): Promise<ServerListener>;
export function listenForServerBroadcasts(
  first?: OnServer | ListenForServersOptions,
  options: ListenForServersOptions = {},
): AsyncGenerator<FoundServer, void, void> | Promise<ServerListener> {
  return typeof first === "function" ? tellAll(first, options) : giveAll(first ?? {});
}

async function* giveAll(
  options: ListenForServersOptions,
): AsyncGenerator<FoundServer, void, void> {
  await using discovery = await openListener(options);
  for await (const peer of findIn(discovery, options)) yield serverOf(peer);
}

async function tellAll(
  callback: OnServer,
  options: ListenForServersOptions,
): Promise<ServerListener> {
  const discovery = await openListener(options);
  const done = listen(discovery, callback, options);
  const close = async () => {
    await discovery.close();
    await done;
  };
  return { done, close, [Symbol.asyncDispose]: close };
}

async function listen(
  discovery: WitchDiscovery,
  callback: OnServer,
  options: ListenForServersOptions,
): Promise<void> {
  for await (const peer of findIn(discovery, options)) {
    try {
      await callback(serverOf(peer));
    } catch (error) {
      options.log?.error("who is told about servers failed", { why: reasonOf(error) });
    }
  }
  await discovery.close();
}

function openListener(options: ListenForServersOptions): Promise<WitchDiscovery> {
  const { transport = netTransport, verify, ports = {} } = options;
  const ask: AskStatus = verify ||
    ((address, { signal }) => askWitchStatus(transport, address, { signal }));
  return WitchDiscovery.open({ ...options, ports, ...(verify !== false && { ask }) });
}

function findIn(
  discovery: WitchDiscovery,
  { signal }: ListenForServersOptions,
): AsyncGenerator<ForeignPeer, void, void> {
  return discovery.find(signal === undefined ? {} : { signal });
}

function serverOf({ id, name, address, protocols }: ForeignPeer): FoundServer {
  return { name, ip: address.hostname, port: address.port, protocols, id };
}
