/**
 * What a peer is to PeerConnect nodes, where it speaks their dialect: who takes their files and texts, sends some, and takes
 * part in their palm trees.
 *
 * @module
 */

import { sharedBits } from "./discovery/interface_network.ts";
import { isLoopback } from "./endpoint/limits.ts";
import { PeerConnectTrees } from "./palmtree/dialects/peerconnect_trees.ts";
import { hostsIfAllowed } from "./peer_discovery.ts";
import type { AllowanceLimits } from "./transfer/dialects/allowance.ts";
import { sendPeerConnectText } from "./transfer/dialects/peerconnect_chat_client.ts";
import type { PeerConnectText } from "./transfer/dialects/peerconnect_chat_server.ts";
import { type PalmLinkTaker, PeerConnectPort } from "./transfer/dialects/peerconnect_driver.ts";
import {
  type PeerConnectSendOptions,
  sendPeerConnectFiles,
} from "./transfer/dialects/peerconnect_driver_send.ts";
import type { ReceivingDesk } from "./transfer/dialects/peerconnect_driver_store.ts";
import type { BuiltManifest } from "./transfer/manifest.ts";
import type { Receiver } from "./transfer/receive.ts";
import type { SendEvent } from "./transfer/send_options.ts";
import { netTransport } from "./transport/net.ts";
import type { Address } from "./transport/transport.ts";
import type { PeerOptions } from "./peer_options.ts";
import type { PeerParts } from "./peer_parts.ts";
import type { ReachOptions } from "./reach.ts";

const LOOPBACK = "127.0.0.1";

/** What {@linkcode PeerConnectNode} needs. */
export interface PeerConnectNeeds
  extends Pick<PeerParts, "identity" | "endpoint" | "reach" | "udp"> {
  /** How the peer was opened. */
  readonly options: PeerOptions;
}

/**
 * The node; see the module. Nothing that passes is encrypted, and nobody proves who they are.
 *
 * @example
 * ```ts
 * import { ManualClock, Peer } from "@kith/kith";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const clock = new ManualClock();
 * const network = new MemoryNetwork({ clock });
 * const dialects = ["peerconnect"] as const;
 * await using bob = await Peer.open({ clock, transport: network.host("bob"), dialects });
 * const texts = bob.peerconnect.texts();
 *
 * await using alice = await Peer.open({ clock, transport: network.host("alice") });
 * const saying = alice.peerconnect.say(`bob:${bob.address?.port}`, "hello");
 * await Promise.all([saying, clock.advance(1_000)]); // it waits a while for a refusal
 * for await (const { from, text } of texts) {
 *   assertEquals([from, text], [alice.peerId, "hello"]);
 *   break;
 * }
 * ```
 */
export class PeerConnectNode implements AsyncDisposable {
  readonly #needs: PeerConnectNeeds;
  readonly #port: PeerConnectPort | undefined;
  #trees: PeerConnectTrees | undefined;

  /** Takes connections where the dialect is on. */
  constructor(needs: PeerConnectNeeds) {
    this.#needs = needs;
    const { dialects = [] } = needs.options;
    if (dialects.includes("peerconnect")) this.#port = new PeerConnectPort(needs.endpoint);
  }

  /** Whether the dialect is on. */
  get isOn(): boolean {
    return this.#port !== undefined;
  }

  /**
   * Receives files and directories from now on.
   *
   * @returns what ends that. @throws {TypeError} where the dialect is off, and when somebody receives already.
   */
  receiveInto(desk: ReceivingDesk, limits: AllowanceLimits = {}): Disposable {
    return this.#open().receiveInto(desk, limits);
  }

  /**
   * Takes part in palm trees from now on, where packets come in at all; of a peer's receivers the last one counts.
   *
   * @returns what ends that. @throws {TypeError} where the dialect is off, and when somebody takes links already.
   */
  takePart(
    desk: Receiver,
    limits: { maxTotalBytes?: number | undefined; maxBytesPerSecond?: number | undefined } = {},
  ): AsyncDisposable {
    const { endpoint, udp, options } = this.#needs;
    const port = this.#open();
    void this.#trees?.close(); // that of a receiver that was closed
    this.#trees = undefined;
    if (udp === undefined) return { [Symbol.asyncDispose]: () => Promise.resolve() };
    const { transport = netTransport, hostname } = options;
    return this.#trees = new PeerConnectTrees({
      ...{ endpoint, udp, desk, transport, hostname },
      linkWith: (taker) => port.linkWith(taker),
      hostFor: (remote) => ownHost(remote, hostsIfAllowed(options)),
      ...limits,
    });
  }

  /** The texts that people write. @throws {TypeError} where the dialect is off, and when somebody takes them already. */
  texts(options: { signal?: AbortSignal } = {}): AsyncIterable<PeerConnectText> {
    return this.#open().texts(options);
  }

  /** Takes links of palm trees. @returns what ends that. @throws {TypeError} likewise. */
  linkWith(taker: PalmLinkTaker): Disposable {
    return this.#open().linkWith(taker);
  }

  /**
   * Sends files to a node; the dialect need not be on.
   *
   * @param target `host:port`. @throws as `sendPeerConnectFiles` and `Reach.dial`.
   */
  send(
    target: string,
    built: BuiltManifest,
    options: ReachOptions & Omit<PeerConnectSendOptions, "peerId"> = {},
  ): AsyncGenerator<SendEvent, void, void> {
    const { identity: { peerId }, endpoint: { clock }, reach } = this.#needs;
    const connect = () => reach.dial(target, options);
    return sendPeerConnectFiles(connect, built, { clock, ...options, peerId });
  }

  /**
   * Sends a text to a node; the dialect need not be on. Nothing confirms it.
   *
   * @param target `host:port`. @throws as `sendPeerConnectText` and `Reach.dial`.
   */
  async say(target: string, text: string, options: ReachOptions = {}): Promise<void> {
    const { identity: { peerId }, endpoint: { clock }, reach } = this.#needs;
    const { signal } = options;
    const withSignal = signal === undefined ? {} : { signal };
    const connect = () => reach.dial(target, options);
    await sendPeerConnectText(connect, text, { clock, peerId, ...withSignal });
  }

  /** Takes no more connections, and ends those that there are. Harmless when closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#trees?.close();
    this.#port?.[Symbol.dispose]();
  }

  #open(): PeerConnectPort {
    if (this.#port !== undefined) return this.#port;
    throw new TypeError("Cannot take part: the peer does not speak peerconnect (dialects)");
  }
}

/** Of our addresses the one by which somebody is likely to reach us: it begins most like its own. */
export function ownHost({ hostname }: Address, hosts: readonly string[]): string {
  if (isLoopback(hostname)) return LOOPBACK;
  const likeness = (host: string) => sharedBits(host, hostname);
  const [best = LOOPBACK] = hosts.toSorted((one, other) => likeness(other) - likeness(one));
  return best;
}
