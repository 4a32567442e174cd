/**
 * Topics on real connections: whoever publishes reaches everybody who takes part, over neighbours that each have.
 *
 * | header       | kind              |                                                                      |
 * |--------------|-------------------|----------------------------------------------------------------------|
 * | `gossip.*`   | messages          | see `packets.ts`                                                     |
 * | `gossip.has` | request, by peers | whether messages have come, one boolean for each of the ids `i` of topic `t` |
 *
 * @module
 */

import type { RequestContext } from "../endpoint/dispatcher.ts";
import { linkOf } from "../endpoint/dispatcher.ts";
import { ClosedError, InvalidPacketError, NotFoundError } from "../errors.ts";
import { layerLog, printable } from "../log.ts";
import { peerIdOf, verify } from "../secure/identity.ts";
import { isHostAddress } from "../transport/ip_address.ts";
import type { MessageBody } from "../wire/message.ts";
import { encode } from "../wire/msgpack.ts";
import { confirmed } from "./confirm.ts";
import { type Contact, MAX_CONTACT_HOSTS } from "./contact.ts";
import type {
  GossipOptions,
  GossipParts,
  Published,
  PublishOptions,
  SubscribeOptions,
  TopicOptions,
  TopicStatus,
} from "./gossip_options.ts";
import { readIds } from "./id_list.ts";
import { Overlay } from "./overlay.ts";
import { GOSSIP_HEADERS, topicOf } from "./packets.ts";
import { PeerLinks } from "./peer_links.ts";
import { Room, type RoomParts } from "./room.ts";
import { TopicSeeker } from "./topic_seeker.ts";
import type { TopicEvent } from "./topic_message.ts";
import type { TopicSubscription } from "./topic_subscription.ts";

/** What a peer that takes part in topics says it can do. */
export const GOSSIP_CAPABILITY = "gossip/1";

/** How long waiting for confirmations may take unless told otherwise, in milliseconds. */
const CONFIRM_MS = 10_000;

/** How long the last word may take to leave, in milliseconds. */
const LAST_WORD_MS = 500;

/** Most ids that somebody may ask after at once. */
const MAX_ASKED = 64;

/**
 * A program's topics; see the module.
 *
 * @example One publishes, the other reads
 * ```ts
 * import { Peer } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const local = { hostname: "127.0.0.1", port: 0, network: "at home" };
 * await using bob = await Peer.open(local);
 * const news = bob.gossip.subscribe("news");
 *
 * const seeds = bob.address === undefined ? [] : [bob.address];
 * await using alice = await Peer.open({ ...local, seeds });
 * await alice.gossip.publish("news", { text: "hello" }, { confirm: 1 });
 *
 * for await (const { from, data } of news) {
 *   assertEquals(from, alice.peerId);
 *   assertEquals(data, { text: "hello" });
 *   break;
 * }
 * ```
 */
export class Gossip implements AsyncDisposable {
  readonly #parts: GossipParts;
  readonly #overlay: Overlay;
  readonly #links: PeerLinks;
  readonly #seeker: TopicSeeker;
  readonly #rooms = new Map<string, Room>();
  readonly #settings = new Map<string, TopicOptions>();
  readonly #closing = new AbortController();
  readonly #registrations: DisposableStack;

  /** Takes part in no topic yet. @throws {TypeError} when the endpoint has gossip already. */
  constructor(parts: GossipParts, options: GossipOptions = {}) {
    const { endpoint, identity } = parts;
    const { clock, metrics } = endpoint;
    const log = layerLog(endpoint.log, "gossip");
    const { seeds = [], tuning = {} } = options;
    this.#parts = parts;
    this.#overlay = new Overlay({
      clock,
      author: identity,
      log,
      metrics,
      verify,
      idOf: peerIdOf,
      self: () => this.#self(),
      send: (packet, to, kind) => this.#links.send(packet, to, kind),
      hasRoom: (peerId) => this.#links.hasRoom(peerId),
      admits: (topic, peerId) => this.#admits(topic, peerId),
      released: () => {}, // its connection goes when it was of no use for a while
      emit: (topic, event) => this.#happened(topic, event),
    }, tuning);
    this.#registrations = this.#register();
    this.#links = new PeerLinks({
      endpoint,
      isNeighbor: (peerId) => this.#overlay.neighbors.includes(peerId),
      gone: (peerId) => this.#overlay.unreachable(peerId),
    });
    this.#seeker = new TopicSeeker({
      clock,
      log,
      seeds,
      directory: parts.directory,
      known: parts.known ?? (() => []),
      self: identity.peerId,
      topics: () => this.#overlay.topics,
      meet: (address, signal) => this.#links.meet(address, signal),
    });
  }

  /**
   * Says what a topic is like here, before it is used.
   *
   * @throws {TypeError} when it is in use, or for a name that is none: 1 to 128 characters without control characters.
   */
  configure(topic: string, options: TopicOptions): void {
    if (this.#overlay.topic(topic) !== undefined) {
      throw new TypeError(`Cannot configure topic "${printable(topic, 64)}": it is in use`);
    }
    this.#settings.set(topic, options);
  }

  /**
   * Reads a topic from this call on, until the signal aborts, this is closed or the loop is left.
   *
   * @throws {TypeError | RangeError} for a topic that is none. @throws {ClosedError} when this is closed.
   */
  subscribe(topic: string, options: SubscribeOptions = {}): TopicSubscription {
    return this.#room(topic).subscribe(options);
  }

  /**
   * Publishes something to everybody who takes part in a topic, and takes part itself for a while. What is published in
   * the same turn is signed together, at a fraction of the price.
   *
   * @param data What MessagePack can carry.
   * @returns when it is on its way, or as many neighbours have it as were asked for; where much waits for a slow
   * neighbour, when less does.
   * @throws {InvalidPacketError} `too-large`, when it exceeds `maxBytes` of the topic.
   * @throws {NotFoundError} `no-peer` when fewer neighbours than asked for were found in time.
   * @throws {TypeError | RangeError} for data that has no form in MessagePack, and for a topic that is none.
   * @throws {ClosedError} when this is closed.
   */
  async publish(topic: string, data: unknown, options: PublishOptions = {}): Promise<Published> {
    const { confirm = 0, timeoutMs = CONFIRM_MS, signal } = options;
    const room = this.#room(topic);
    const bytes = encode(data);
    const max = room.topic.maxBytes;
    if (bytes.length > max) throw tooLarge(topic, bytes.length, max);
    const { identity: { peerId: from }, endpoint: { clock } } = this.#parts;
    const seq = await room.publish(bytes);
    await this.#links.room();
    if (confirm === 0) return { topic, from, seq, confirmedBy: [] };
    const asked = { topic: room.topic, id: { author: from, seq }, count: confirm, clock };
    const closing = this.#closing.signal;
    const until = signal === undefined ? closing : AbortSignal.any([signal, closing]);
    const confirmedBy = await confirmed({
      ...asked,
      timeoutMs,
      signal: until,
      linkTo: (peerId) => this.#links.linkTo(peerId),
    });
    if (confirmedBy.length >= confirm) return { topic, from, seq, confirmedBy };
    throw nobody(topic, room, confirm, confirmedBy.length);
  }

  /** The topics that are taken part in. */
  topics(): TopicStatus[] {
    return [...this.#rooms.values()].map((room) => room.status);
  }

  /** Says goodbye, ends every subscription and takes part no more. Harmless when closed. */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(new ClosedError("Gossip is closed"));
    const seeking = this.#seeker.close();
    await this.#links.flushed(LAST_WORD_MS);
    for (const room of this.#rooms.values()) room.close();
    this.#rooms.clear();
    this.#overlay.stop();
    await this.#links.flushed(LAST_WORD_MS);
    this.#registrations.dispose();
    await Promise.all([seeking, this.#links.close()]);
  }

  /** The same as {@linkcode Gossip.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #room(name: string): Room {
    this.#closing.signal.throwIfAborted();
    const known = this.#rooms.get(name);
    if (known !== undefined) return known;
    const parts: RoomParts = {
      endpoint: this.#parts.endpoint,
      groupNow: () => this.#overlay.nowMs,
      firstLook: () => this.#seeker.look(),
      left: () => {
        this.#rooms.delete(name);
        this.#overlay.leave(name);
      },
    };
    const room = new Room(
      parts,
      (settings) => this.#overlay.join(name, settings),
      this.#settings.get(name),
    );
    this.#rooms.set(name, room);
    return room;
  }

  #happened(topic: string, event: TopicEvent): void {
    this.#rooms.get(topic)?.happened(event);
    if (event.type === "up") this.#seeker.found();
    if (event.type === "down" && event.neighbors === 0) this.#seeker.lost();
  }

  #register(): DisposableStack {
    const { endpoint } = this.#parts;
    using stack = new DisposableStack();
    const take = (body: MessageBody, call: RequestContext) => {
      this.#overlay.receive(call.header, body, this.#links.heard(linkOf(call)));
    };
    for (const header of GOSSIP_HEADERS) {
      stack.use(endpoint.handle(header, take, { inline: true, access: "private" }));
    }
    const has = (body: MessageBody, call: RequestContext) => this.#has(body, call);
    stack.use(endpoint.handle("gossip.has", has, { access: "private" }));
    stack.use(endpoint.offer(GOSSIP_CAPABILITY));
    return stack.move();
  }

  #has(body: MessageBody, call: RequestContext): { has: boolean[] } {
    const { peer: { peerId } } = linkOf(call);
    const key = topicOf(body);
    const topic = this.#overlay.topics.find((one) => one.key.toHex() === key);
    const ids = readIds(body.i, MAX_ASKED);
    const isAllowed = topic !== undefined && this.#admits(topic.name, peerId);
    return { has: ids.map((id) => isAllowed && topic.isSeen(id)) };
  }

  #admits(topic: string, peerId: string): boolean {
    const { isPrivate = false, isInvited = () => false } = this.#parts;
    const { access = isPrivate ? "invited" : "private" } = this.#settings.get(topic) ?? {};
    if (access === "private") return true;
    const link = this.#links.linkTo(peerId);
    return link !== undefined && isInvited(`topic:${topic}`, link);
  }

  #self(): Contact {
    const { endpoint, identity: { peerId }, hosts } = this.#parts;
    const port = endpoint.address?.port ?? 0;
    const all = port === 0 ? [] : hosts().filter(isHostAddress).slice(0, MAX_CONTACT_HOSTS);
    return { peerId, hosts: all, port };
  }
}

function tooLarge(topic: string, bytes: number, max: number): InvalidPacketError {
  return new InvalidPacketError(
    "too-large",
    `Cannot publish to "${
      printable(topic, 64)
    }": ${bytes} bytes exceed maxBytes ${max} of the topic`,
    { details: { limit: "maxBytes", max, got: bytes } },
  );
}

function nobody(topic: string, room: Room, wanted: number, got: number): NotFoundError {
  const refused = room.refusals > 0 ? `; ${room.refusals} did not let us in` : "";
  return new NotFoundError(
    "no-peer",
    `Nobody may have got it: ${got} of ${wanted} neighbours in topic "${
      printable(topic, 64)
    }" confirmed it in time${refused}`,
    { details: { topic: printable(topic, 64), wanted, got, refusals: room.refusals } },
  );
}
