/**
 * Whom `call` and `ping` speak to: a peer over TCP, WebSocket or UDP, or a server of another program.
 *
 * @module
 */

import { PeerConnectDiscovery } from "../discovery/dialects/peerconnect.ts";
import { NotFoundError, TransportError } from "../errors.ts";
import type { RequestOptions } from "../endpoint/outgoing.ts";
import { printable } from "../log.ts";
import { Client } from "../rpc/client.ts";
import { type Address, formatAddress, parseAddress } from "../transport/transport.ts";
import { whomOf } from "./control/host.ts";
import { openPeer, reachOptions, usePeer } from "./open_peer.ts";
import { UsageError } from "./options.ts";
import type { Invocation } from "./verbs.ts";

/** Somebody who can be called. */
export interface Callee extends AsyncDisposable {
  /** Who and where, safe to print. */
  readonly label: string;
  /** Calls an endpoint. */
  call(name: string, data: unknown, options: RequestOptions): Promise<unknown>;
  /** Calls an endpoint that answers in parts. */
  stream(name: string, data: unknown, options: RequestOptions): AsyncIterable<unknown>;
  /** Measures a round trip in milliseconds. */
  ping(options: RequestOptions): Promise<number>;
}

/** Connects to whom the command line names. @throws as `Peer.link` and `Client.open`. */
export async function openCallee(invocation: Invocation, target: string): Promise<Callee> {
  const { options, signal } = invocation;
  const dialect = options.choice("dialect", ["native", "witch", "peerconnect"]) ?? "native";
  if (dialect === "witch") return await openWitch(invocation, target);
  if (dialect === "peerconnect") return await openPeerConnect(invocation, target);
  if (target.startsWith("udp://")) return await openUdp(invocation, target);
  const reach = reachOptions(options, signal);
  const used = await usePeer(invocation, { clientOnly: true });
  const { peer } = used;
  try {
    const link = await peer.link(whomOf(target, invocation.host), reach);
    const bodyOf = (data: unknown) => data === undefined ? {} : { data };
    return {
      label: link.label,
      call: (name, data, options) => link.request(name, bodyOf(data), options),
      stream: (name, data, options) => link.stream(name, bodyOf(data), options),
      ping: (options) => link.ping(options),
      async [Symbol.asyncDispose]() {
        await link.close();
        await used[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await used[Symbol.asyncDispose]();
    throw error;
  }
}

async function openUdp(invocation: Invocation, target: string): Promise<Callee> {
  if (parseAddress(target.slice("udp://".length)) === undefined) {
    throw new UsageError(`The peer must be udp://HOST:PORT: it is ${printable(target, 60)}`);
  }
  const used = await usePeer(invocation, { clientOnly: true });
  const { peer } = used;
  return {
    label: printable(target, 80),
    call: (name, data, options) => peer.call(target, name, data, options),
    stream: () => {
      throw new UsageError("Answers in parts need a connection: ask over TCP");
    },
    async ping(options) {
      const startedMs = performance.now();
      await peer.call(target, "ping", undefined, options);
      return performance.now() - startedMs;
    },
    [Symbol.asyncDispose]: () => used[Symbol.asyncDispose](),
  };
}

async function openWitch({ options, signal }: Invocation, target: string): Promise<Callee> {
  const { hostname: host, port } = addressOf(target);
  const timeoutMs = options.milliseconds("timeout");
  const client = await Client.open({
    host,
    port,
    dialect: "witch",
    autoReconnect: false,
    signal,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  }).catch((error: unknown) => {
    if (!(error instanceof TransportError)) throw error;
    throw new NotFoundError("no-peer", `Cannot reach "${printable(target, 80)}": ${error.message}`);
  });
  return {
    label: formatAddress({ hostname: host, port }),
    call: (name, data, options) => client.call(name, data, options),
    stream: (name, data, options) => client.stream(name, data, options),
    async ping(options) {
      const startedMs = performance.now();
      await client.call("ping", undefined, options);
      return performance.now() - startedMs;
    },
    [Symbol.asyncDispose]: () => client.close(),
  };
}

/** A PeerConnect node, which can only be asked whether it is alive, on its UDP port. */
async function openPeerConnect(invocation: Invocation, target: string): Promise<Callee> {
  const address = addressOf(target);
  const label = formatAddress(address);
  const peer = await openPeer(invocation, { clientOnly: true });
  const [finder] = peer.foreign;
  if (!(finder instanceof PeerConnectDiscovery)) throw new TypeError("No PeerConnect discovery");
  const notSo = () => {
    throw new UsageError("PeerConnect nodes have no endpoints to call; ping is all they answer");
  };
  return {
    label,
    call: notSo,
    stream: notSo,
    async ping({ signal, timeoutMs }) {
      const startedMs = performance.now();
      // What accepts connections on that host may be anything: what is pinged is this port.
      const how = {
        tcpPort: 0,
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
        ...(signal === undefined ? {} : { signal }),
      };
      if (await finder.isAlive(address, how)) return performance.now() - startedMs;
      signal?.throwIfAborted();
      throw new NotFoundError("no-peer", `No PeerConnect node answers at ${label}`);
    },
    [Symbol.asyncDispose]: () => peer.close(),
  };
}

/** The address of somebody who cannot be looked for. @throws {UsageError} when it is none. */
export function addressOf(target: string): Address {
  const address = parseAddress(target);
  if (address !== undefined) return address;
  throw new UsageError(`With --dialect the peer must be HOST:PORT: it is ${printable(target, 60)}`);
}
