/**
 * From what a person calls a peer to a connection with it.
 *
 * @module
 */

import { isIP } from "node:net";
import type { Discovery } from "./discovery/discovery.ts";
import type { Endpoint } from "./endpoint/endpoint.ts";
import type { PeerInfo } from "./endpoint/handshake.ts";
import type { Link } from "./endpoint/link.ts";
import type { RequestOptions } from "./endpoint/outgoing.ts";
import { DEFAULT_TCP_PORT } from "./endpoint/listen.ts";
import { UdpPort } from "./endpoint/udp_port.ts";
import { connectWeb } from "./endpoint/web.ts";
import { ClosedError, NotFoundError, PeerError } from "./errors.ts";
import { printable } from "./log.ts";
import {
  type Fits,
  fits,
  LATE,
  type LookBeyond,
  notFound,
  ReachSearch,
  throwUnlessLate,
} from "./reach_search.ts";
import {
  type Address,
  type Connection,
  formatAddress,
  parseAddress,
  type Transport,
} from "./transport/transport.ts";
import type { Trust } from "./secure/trust.ts";
import type { MessageBody } from "./wire/message.ts";

/** How long to look for a peer and connect to it unless told otherwise. */
export const CONNECT_TIMEOUT_MS = 10_000;

/** Said in handshakes by who will be somebody else the next time. */
export const EPHEMERAL_CAPABILITY = "ephemeral";

/** How to reach a peer. */
export interface ReachOptions {
  /** Time for finding it and connecting to it, in milliseconds. @default {10000} */
  timeoutMs?: number;
  /** Gives up when aborted. */
  signal?: AbortSignal;
  /** Ask at these addresses instead of looking around. */
  peers?: readonly Address[];
}

/** What {@linkcode Reach} needs. */
export interface ReachParts {
  /** Connects. */
  endpoint: Endpoint;
  /** Looks around. */
  discovery: Discovery;
  /** Connects to what is no kith peer. */
  transport: Transport;
  /** Asks over UDP. @default one that is opened when it is first wanted */
  udp: UdpPort | undefined;
  /** The address that one binds. */
  hostname: string | undefined;
  /** Whether who asks over UDP must prove its address. */
  proveAddresses: boolean;
  /** Which name belongs to whom. */
  trust: Trust;
}

/** Finds peers and connects to them. */
export class Reach implements AsyncDisposable {
  readonly #endpoint: Endpoint;
  readonly #search: ReachSearch;
  readonly #transport: Transport;
  readonly #hostname: string | undefined;
  readonly #proveAddresses: boolean;
  readonly #trust: Trust;
  readonly #udp: UdpPort | undefined;
  #ownUdp: Promise<UdpPort> | undefined;
  #closed = false;

  /** Looks with what it is given. */
  constructor(parts: ReachParts) {
    this.#endpoint = parts.endpoint;
    this.#search = new ReachSearch({ ...parts, clock: parts.endpoint.clock });
    this.#transport = parts.transport;
    this.#hostname = parts.hostname;
    this.#proveAddresses = parts.proveAddresses;
    this.#trust = parts.trust;
    this.#udp = parts.udp;
  }

  /** From now on peers are looked for with this help, too, where discovery does not find them. */
  lookWith(lookBeyond: LookBeyond): void {
    this.#search.lookBeyond = lookBeyond;
  }

  /**
   * Connects to a peer.
   *
   * @param target A peer id or an unambiguous beginning of one, a name, `host:port`, the address of a host where a peer
   * has its usual port, or a `ws:` address.
   * @throws {NotFoundError} `no-peer` when nobody fits, or more than one; `details.tried` says where we looked.
   * @throws {HandshakeError | LimitError | TimeoutError} when it is there and refuses, or answers too slowly.
   */
  async link(target: string, options: ReachOptions = {}): Promise<Link> {
    const { peers = [] } = options;
    return await this.#within(options, async (signal) => {
      if (/^wss?:\/\//.test(target)) return await this.#connectWeb(target, signal);
      const address = isIP(target) > 0
        ? { hostname: target, port: DEFAULT_TCP_PORT }
        : parseAddress(target);
      if (address !== undefined) {
        return await this.#connectTo(target, [address], () => true, signal);
      }
      // A name may have almost anything in it, but nobody looks around for a port that is none.
      if (/:\/\/|:\d+$/.test(target)) throw noAddress(target);
      // Whose the name is known to be is meant, and nobody whose name or id happens to fit.
      const holder = this.#trust.holderOf(target);
      const isMeant: Fits = holder === undefined ? fits : ({ peerId }) => peerId === holder;
      if (peers.length > 0) return await this.#connectBy(target, peers, isMeant, signal);
      const found = await this.#search.around(target, isMeant, signal);
      // What is announced is a claim: the peer itself must say that it is the one.
      const isFound: Fits = (peer) =>
        peer.peerId === found.peerId && (found.isFar || isMeant(peer, target));
      return await this.#connectTo(target, found.addresses, isFound, signal);
    });
  }

  /**
   * Connects to what is no kith peer.
   *
   * @param target `host:port`.
   * @throws {TypeError} when it is none. @throws {NotFoundError} `no-peer` when nobody answers there.
   */
  async dial(target: string, options: ReachOptions = {}): Promise<Connection> {
    const address = parseAddress(target);
    if (address === undefined) throw noAddress(target);
    return await this.#within(options, async (signal) => {
      try {
        return await this.#transport.connect(address, { signal });
      } catch (error) {
        throw this.#unreachable(target, signal, error);
      }
    });
  }

  /**
   * Asks over UDP, again and again until an answer comes.
   *
   * @param target `udp://host:port`.
   * @throws {TypeError} when it is none. Further as `DatagramCalls.request`.
   */
  async ask(
    target: string,
    header: string,
    body: MessageBody,
    options: RequestOptions = {},
  ): Promise<unknown> {
    const address = parseAddress(target.replace(/^udp:\/\//, ""));
    if (address === undefined) throw noAddress(target);
    const { timeoutMs, signal } = options;
    const udp = await this.openUdp();
    return await udp.request(address, header, body, {
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  /** Closes the UDP port, if there is one of its own. Harmless when closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await (await this.#ownUdp?.catch(() => undefined))?.close();
  }

  /**
   * The port to ask from: the peer's, or where it has none one that was opened for asking alone and answers nobody.
   *
   * @throws {ClosedError} when the peer is closed. Further as `UdpPort.open`.
   */
  async openUdp(): Promise<UdpPort> {
    if (this.#udp !== undefined) return this.#udp;
    if (this.#closed) throw new ClosedError("Cannot request: the peer is closed");
    const [transport, hostname] = [this.#transport, this.#hostname];
    const proveAddresses = this.#proveAddresses;
    const options = { transport, hostname, proveAddresses, clientOnly: true };
    this.#ownUdp ??= UdpPort.open(this.#endpoint, options);
    try {
      return await this.#ownUdp;
    } catch (error) {
      this.#ownUdp = undefined; // the next may fare better
      throw error;
    }
  }

  async #within<T>(options: ReachOptions, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { timeoutMs = CONNECT_TIMEOUT_MS } = options;
    const deadline = new AbortController();
    const timer = this.#endpoint.clock.after(timeoutMs, () => deadline.abort(LATE));
    const signal = options.signal === undefined
      ? deadline.signal
      : AbortSignal.any([deadline.signal, options.signal]);
    try {
      return await work(signal);
    } finally {
      timer.cancel();
    }
  }

  /** Connects to the peer at one of these addresses, or to one that those who are there know of. */
  async #connectBy(
    target: string,
    gateways: readonly Address[],
    isMeant: Fits,
    signal: AbortSignal,
  ): Promise<Link> {
    try {
      return await this.#connectTo(target, gateways, isMeant, signal);
    } catch (error) {
      if (!(error instanceof NotFoundError) || signal.aborted) throw error;
      const found = await this.#search.beyond(target, isMeant, gateways, signal);
      if (found === undefined) throw error;
      const isFound: Fits = (peer) => peer.peerId === found.peerId;
      return await this.#connectTo(target, found.addresses, isFound, signal);
    }
  }

  async #connectTo(
    target: string,
    addresses: readonly Address[],
    isMeant: Fits,
    signal: AbortSignal,
  ): Promise<Link> {
    const failures: string[] = [];
    let lastError: unknown;
    const expect = (peer: PeerInfo) => {
      if (!isMeant(peer, target)) throw ANOTHER;
    };
    for (const address of addresses) {
      try {
        const link = await this.#endpoint.connect(address, { signal, expect });
        const isLasting = !link.peer.capabilities.includes(EPHEMERAL_CAPABILITY);
        return isLasting && link.peer.name === target ? await this.#remember(link) : link;
      } catch (error) {
        throwUnlessLate(signal);
        if (error !== ANOTHER) lastError = error;
        const why = error === LATE ? "no answer in time" : (error as Error).message;
        failures.push(`${formatAddress(address)}: ${why}`);
      }
    }
    if (lastError instanceof PeerError && lastError.code !== "connect") throw lastError;
    throw notFound(target, failures, []);
  }

  /** Trust on first use: from now on the name that a peer was called by is that peer's. */
  async #remember(link: Link): Promise<Link> {
    try {
      this.#trust.meet(provenOf(link.peer));
      return link;
    } catch (error) {
      await link.close(); // nobody else has it
      throw error;
    }
  }

  async #connectWeb(url: string, signal: AbortSignal): Promise<Link> {
    try {
      return await connectWeb(this.#endpoint, url, { signal });
    } catch (error) {
      throw this.#unreachable(url, signal, error);
    }
  }

  /** The error for a single address that could not be connected to. */
  #unreachable(target: string, signal: AbortSignal, error: unknown): unknown {
    if (signal.aborted && signal.reason !== LATE) return signal.reason;
    if (error === LATE) return notFound(target, ["no answer in time"], []);
    const silent = error instanceof PeerError && error.code === "connect";
    return silent ? notFound(target, [error.message], []) : error;
  }
}

/** A peer as trust knows it. */
export function provenOf(
  { peerId, name, publicKey = "" }: PeerInfo,
): Parameters<Trust["check"]>[0] {
  return { peerId, name, publicKey };
}

/** Why a connection is given up that leads to somebody else. */
const ANOTHER = new Error("another peer is there");

function noAddress(target: string): TypeError {
  return new TypeError(`"${printable(target, 80)}" is no HOST:PORT`);
}
