/**
 * Who a peer's native rumors go to: members of the group that have answered its packets, and peers that are neighbours by a
 * connection, for as long as that lasts. A connection proves who a peer is and on which host; at which port it takes
 * packets the peer says itself.
 *
 * | header             | kind              |                                                                   |
 * |--------------------|-------------------|-------------------------------------------------------------------|
 * | `rumor.neighbor` | request, by peers | the two tell each other rumors: `udpPort` of either, both ways    |
 * | `rumor.bring`     | request, by peers | what cannot go in a packet, as `payload`                          |
 *
 * @module
 */

import type { FoundPeer } from "./discovery/search.ts";
import { linkOf, type RequestContext } from "./endpoint/dispatcher.ts";
import type { Endpoint } from "./endpoint/endpoint.ts";
import type { PeerInfo } from "./endpoint/handshake.ts";
import { limitError } from "./endpoint/limits.ts";
import type { Link } from "./endpoint/link.ts";
import { ClosedError, InvalidPacketError, NotFoundError, PeerError } from "./errors.ts";
import type { RumorNeighbor } from "./gossip/rumor_mill_options.ts";
import type { MemberInfo } from "./membership/member.ts";
import type { Membership } from "./membership/membership.ts";
import { within } from "./peer_lookout.ts";
import type { Address } from "./transport/transport.ts";
import type { MessageBody } from "./wire/message.ts";

/** Neighbors that we asked to be it, and those that asked us: as many as answer a search. */
const MAX_LINKED = 64;

/** Rumors on their way over connections at the same time; more get lost. */
const MAX_STREAMS = 32;

/** How long it may take to bring a rumor, or to meet somebody, in milliseconds. */
const STREAM_MS = 3_000;

/** How old the list of members may be where packets are taken, in milliseconds: others tell how often it is looked at. */
const LISTED_MS = 500;

/** Addresses of one peer that are tried. */
const MAX_TRIED = 4;

/** What {@linkcode Neighbors} need. */
export interface NeighborsParts {
  /** Connects, and is connected to. */
  readonly endpoint: Endpoint;
  /** Where we take packets. */
  readonly udpAddress: Address;
  /** Who is in the group, once one was joined. */
  readonly membership: () => Membership | undefined;
  /** Takes what comes over a connection. @throws {PeerError} what is wrong with it. */
  readonly receive: (peerId: string, payload: Uint8Array) => void;
}

/** A neighbour by a connection. */
interface Linked extends RumorNeighbor {
  readonly link: Link;
}

/** The neighbours of a peer in native rumors; see the module. */
export class Neighbors implements AsyncDisposable {
  readonly #parts: NeighborsParts;
  readonly #linked = new Map<string, Linked>();
  /** Connections that we opened. Where both sides did at once, each keeps its own: the other may know it by that. */
  readonly #ours = new Set<Link>();
  readonly #registrations = new DisposableStack();
  readonly #closing = new AbortController();
  #members: readonly MemberInfo[] = [];
  #listedMs = -Infinity;
  #streams = 0;

  /** Has those of the group. @throws {TypeError} when there are neighbours already. */
  constructor(parts: NeighborsParts) {
    this.#parts = parts;
    const { endpoint } = parts;
    const greet = (body: MessageBody, call: RequestContext) => this.#welcome(body, linkOf(call));
    const take = (body: MessageBody, call: RequestContext) => this.#receive(body, linkOf(call));
    const access = "private";
    this.#registrations.use(endpoint.handle("rumor.neighbor", greet, { access }));
    this.#registrations.use(endpoint.handle("rumor.bring", take, { access }));
  }

  /** Whom to tell: members that have answered our packets, and who is connected for it. */
  all(): RumorNeighbor[] {
    const members = this.#listed().flatMap(({ peerId, addresses: [address] }) => {
      return address === undefined ? [] : [{ peerId, address }];
    });
    const linked = [...this.#linked.values()].filter(({ peerId }) => {
      return !members.some((member) => member.peerId === peerId);
    });
    return [...members, ...linked];
  }

  /** Looks at the group as it is now, not as it was a moment ago. */
  refresh(): void {
    this.#listedMs = -Infinity;
  }

  /** Connects to a peer and asks it to be a neighbour. @throws {PeerError} when that cannot be. */
  async meet({ peerId, addresses }: FoundPeer, signal: AbortSignal): Promise<void> {
    const { endpoint: { clock, self }, udpAddress } = this.#parts;
    const isKnown = peerId === self.peerId || this.#linked.has(peerId);
    if (isKnown || this.#ours.size >= MAX_LINKED) return;
    const until = AbortSignal.any([signal, this.#closing.signal]);
    await within(STREAM_MS, { clock, signal: until }, async (signal) => {
      const link = await this.#connect(peerId, addresses, signal);
      this.#ours.add(link);
      void link.closed.then(() => this.#ours.delete(link));
      try {
        const body = { udpPort: udpAddress.port };
        const answer = await link.request("rumor.neighbor", body, { signal });
        this.#add(link, readUdpPort(answer));
      } catch (error) {
        await link.close();
        throw error;
      }
    });
  }

  /**
   * Brings a rumor, or an answer, to a peer that is known: nobody is looked for because a stranger says so.
   *
   * @throws {NotFoundError} `no-peer` at once for who is not known. @throws {LimitError} where many are on their way.
   */
  async bring(peerId: string, payload: Uint8Array): Promise<void> {
    if (this.#streams >= MAX_STREAMS) {
      throw limitError("Cannot bring a rumor: enough are on their way", "MAX_STREAMS", MAX_STREAMS);
    }
    this.#streams++;
    const about = { clock: this.#parts.endpoint.clock, signal: this.#closing.signal };
    try {
      await within(STREAM_MS, about, (signal) => this.#bring(peerId, payload, signal));
    } finally {
      this.#streams--;
    }
  }

  /** Gives up what is on its way, and closes the connections that were opened here. Harmless when closed. */
  async close(): Promise<void> {
    this.#closing.abort(new ClosedError("Rumors are told no more"));
    this.#registrations.dispose();
    this.#linked.clear();
    await Promise.all([...this.#ours].map((link) => link.close()));
  }

  /** The same as {@linkcode Neighbors.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #listed(): readonly MemberInfo[] {
    const nowMs = this.#parts.endpoint.clock.now();
    if (nowMs - this.#listedMs < LISTED_MS) return this.#members;
    const [, ...others] = this.#parts.membership()?.members() ?? [];
    this.#members = others.filter(({ state, path }) => state === "alive" && path === "direct");
    this.#listedMs = nowMs;
    return this.#members;
  }

  #welcome(body: MessageBody, link: Link): MessageBody {
    const guests = [...this.#linked.values()].filter(({ link }) => !this.#ours.has(link));
    if (!this.#linked.has(link.peer.peerId) && guests.length >= MAX_LINKED) {
      throw limitError("Cannot be a neighbour: there are enough", "MAX_LINKED", MAX_LINKED);
    }
    this.#add(link, readUdpPort(body));
    return { udpPort: this.#parts.udpAddress.port };
  }

  /** The first connection counts. One to a host that our port sends nothing to is none of a neighbour. */
  #add(link: Link, port: number): void {
    const { peer: { peerId }, remote: { hostname } } = link;
    const isOurFamily = hostname.includes(":") === this.#parts.udpAddress.hostname.includes(":");
    if (this.#linked.has(peerId) || !isOurFamily || this.#closing.signal.aborted) return;
    this.#linked.set(peerId, { peerId, address: { hostname, port }, link });
    void link.closed.then(() => {
      if (this.#linked.get(peerId)?.link === link) this.#linked.delete(peerId);
    });
  }

  #receive({ payload }: MessageBody, { peer }: Link): void {
    if (!(payload instanceof Uint8Array)) {
      throw new InvalidPacketError("bad-message", "Cannot take a rumor: payload is not bin");
    }
    this.#parts.receive(peer.peerId, payload);
  }

  async #bring(peerId: string, payload: Uint8Array, signal: AbortSignal): Promise<void> {
    const linked = this.#linked.get(peerId)?.link;
    if (linked?.open) return void await linked.request("rumor.bring", { payload }, { signal });
    const member = this.#parts.membership()?.get(peerId);
    if (member?.state !== "alive") {
      throw new NotFoundError("no-peer", `Cannot bring a rumor to ${peerId}: it is not known here`);
    }
    await using link = await this.#connect(peerId, member.streamAddresses, signal);
    await link.request("rumor.bring", { payload }, { signal });
  }

  /** Connects to a peer at one of its addresses. @throws {PeerError} of the last that was tried. */
  async #connect(
    peerId: string,
    addresses: readonly Address[],
    signal: AbortSignal,
  ): Promise<Link> {
    let failure: unknown = new NotFoundError(
      "no-peer",
      `Cannot reach ${peerId}: it has no address`,
    );
    const expect = (peer: PeerInfo) => {
      if (peer.peerId === peerId) return;
      throw new NotFoundError("no-peer", `Cannot reach ${peerId}: another peer is there`);
    };
    for (const address of addresses.slice(0, MAX_TRIED)) {
      try {
        return await this.#parts.endpoint.connect(address, { signal, expect });
      } catch (error) {
        if (!(error instanceof PeerError)) throw error;
        failure = error;
      }
    }
    throw failure;
  }
}

function readUdpPort(value: unknown): number {
  const udpPort = typeof value === "object" && value !== null && "udpPort" in value
    ? value.udpPort
    : undefined;
  const isPort = typeof udpPort === "number" && Number.isInteger(udpPort);
  if (isPort && udpPort > 0 && udpPort <= 0xffff) return udpPort;
  throw new InvalidPacketError("bad-message", "Cannot be a neighbour: udpPort must be 1..65535");
}
