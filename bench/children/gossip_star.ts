/**
 * A peer in the middle of a star: neighbours that it passes messages on to, and publishes to; and the same links used
 * without gossip.
 *
 * | command   | does, for each message                                                                             |
 * |-----------|----------------------------------------------------------------------------------------------------|
 * | `forward` | what the handler of a `push` does: reads the packet, checks who signed it, keeps it, passes it on   |
 * | `pass`    | passes on what was taken already: the trees and the queues of the links alone                       |
 * | `send`    | the same packets, ready, to each link by `forward`                                                  |
 * | `publish` | publishes a structured value: encodes, signs, keeps and sends it                                    |
 * | `anew`    | the same for each neighbour on its own: encodes, signs 64 together, and sends                       |
 * | `post`    | the same value to each link by `post`, which encodes it and nothing else                            |
 *
 * Messages come 64 at a time, as one read of a busy connection brings them, and as their author signed them together; what
 * they lead to has left before the next come. Each command prints `{ perSecond }`, by the processor time of this process,
 * kernel included: what others do on the machine, and how fast the leaves read, does not count.
 *
 * @module
 */

import process from "node:process";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import type { Handler, RequestContext } from "../../src/endpoint/dispatcher.ts";
import type { Link } from "../../src/endpoint/link.ts";
import { MAX_BATCH, signEnvelopes, topicKeyOf } from "../../src/gossip/envelope.ts";
import { Gossip } from "../../src/gossip/gossip.ts";
import { GOSSIP_DEFAULTS } from "../../src/gossip/options.ts";
import { encodePush } from "../../src/gossip/packets.ts";
import { PeerLinks } from "../../src/gossip/peer_links.ts";
import { type Passing, Plumtree } from "../../src/gossip/plumtree.ts";
import { Identity } from "../../src/secure/identity.ts";
import type { Address, Transport } from "../../src/transport/transport.ts";
import { Decoder } from "../../src/wire/decoder.ts";
import { Encoder } from "../../src/wire/encoder.ts";
import { type MessageBody, readMessage } from "../../src/wire/message.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { blobBody, statusBody } from "../bodies.ts";
import { TOPIC } from "./gossip_leaves.ts";

/** Batches of a round: fewer messages than a new author may send at once. */
const BATCHES = 128;

/** Who wrote what was taken already. */
const AUTHOR = "ab".repeat(20);

/** How long nobody has to say anything. */
const FOREVER_MS = 1e9;

const { gc } = globalThis as { gc?: () => void };

/** Messages in a second of processor time. */
interface Rate {
  readonly perSecond: number;
}

/** How a star is made. */
export interface StarOptions {
  /** The network. */
  readonly transport: Transport;
  /** Where the peer in the middle listens. */
  readonly hostname: string;
  /** Whether nothing is encrypted. */
  readonly plain: boolean;
  /** Neighbours that messages are sent to. */
  readonly leaves: number;
  /** Bytes that the data of a message that is passed on has. */
  readonly dataBytes: number;
  /** Makes so many neighbours, of which one is where messages come from. */
  readonly join: (to: Address, count: number) => Promise<void>;
}

/** See the module. */
export class Star {
  readonly #endpoint: Endpoint;
  readonly #gossip: Gossip;
  readonly #source: Link;
  readonly #leaves: readonly Link[];
  readonly #data: Uint8Array;
  readonly #push: Handler;
  readonly #tree: Plumtree;
  readonly #identity: Identity;
  #seq = 0;

  private constructor(endpoint: Endpoint, gossip: Gossip, identity: Identity, data: Uint8Array) {
    const [source, ...leaves] = [...endpoint.links].filter(({ peer }) => peer.name === "leaf");
    const push = endpoint.dispatcher.find("gossip.push")?.handler;
    if (source === undefined || push === undefined) throw new Error("Cannot measure: no leaves");
    this.#endpoint = endpoint;
    this.#gossip = gossip;
    this.#identity = identity;
    this.#source = source;
    this.#leaves = leaves;
    this.#data = data;
    this.#push = push;
    this.#tree = treeOver(endpoint, leaves);
  }

  /** Opens the peer and waits for its neighbours. */
  static async open(options: StarOptions): Promise<Star> {
    const { transport, hostname, plain, leaves, dataBytes, join } = options;
    const identity = Identity.generate();
    const self = { name: "hub", capabilities: [], agent: "bench" };
    const limits = { heartbeatMs: Infinity };
    const endpoint = await Endpoint.open({
      transport,
      identity,
      self,
      hostname,
      plain,
      limits,
      port: 0,
    });
    const silence = { pingMs: FOREVER_MS, aloneMs: FOREVER_MS, goneMs: FOREVER_MS };
    const tuning = { activeSize: leaves + 1, ...silence };
    const gossip = new Gossip({ endpoint, identity, hosts: () => [] }, { tuning });
    gossip.subscribe(TOPIC);
    if (endpoint.address === undefined) throw new Error("Cannot measure: it does not listen");
    await join(endpoint.address, leaves + 1);
    const [status] = gossip.topics();
    if (status?.eager.length !== leaves + 1) throw new Error("Cannot measure: a leaf is missing");
    return new Star(endpoint, gossip, identity, encode(blobBody(dataBytes)));
  }

  /** Does what a command says. */
  async run(command: string): Promise<Rate> {
    switch (command) {
      case "forward":
        return await this.#forward();
      case "pass":
        return await this.#pass();
      case "send":
        return await this.#send();
      case "publish":
        return await this.#publish();
      case "anew":
        return await this.#anew();
      case "post":
        return await this.#post();
      default:
        throw new TypeError(`Cannot measure ${command}`);
    }
  }

  async #forward(): Promise<Rate> {
    const bodies = bodiesIn(newPackets(this.#data));
    const link = this.#source;
    const about = { header: "gossip.push", endpoint: "gossip.push", peer: link.peer, link };
    const before = this.#accepted;
    const rate = await this.#measure((at) => {
      void this.#push(bodies[at] as MessageBody, about as RequestContext);
    });
    const accepted = this.#accepted - before;
    if (accepted !== bodies.length) throw new Error(`Cannot measure: ${accepted} were accepted`);
    return rate;
  }

  async #pass(): Promise<Rate> {
    const bodies = bodiesIn(newPackets(this.#data));
    const messages = bodies.map(({ m }) => ({
      author: AUTHOR,
      seq: this.#seq++,
      bytes: m as Uint8Array,
      hops: 1,
    }));
    const { peerId: from } = this.#source.peer;
    return await this.#measure((at) => this.#tree.pass(messages[at] as Passing, from));
  }

  async #send(): Promise<Rate> {
    const packets = newPackets(this.#data);
    return await this.#measure((at) => {
      for (const link of this.#leaves) void link.forward(packets[at] as Uint8Array);
    });
  }

  async #publish(): Promise<Rate> {
    const body = statusBody();
    return await this.#measure(() => void this.#gossip.publish(TOPIC, body));
  }

  async #anew(): Promise<Rate> {
    const body = statusBody();
    const key = topicKeyOf(TOPIC);
    return await this.#measure((at) => {
      if (at % MAX_BATCH !== 0) return; // all of a batch at its first
      for (const link of this.#leaves) {
        const drafts = Array.from({ length: MAX_BATCH }, () => {
          return { seq: this.#seq++, createdMs: Date.now(), data: encode(body) };
        });
        for (const envelope of signEnvelopes(this.#identity, key, drafts)) {
          void link.forward(encodePush(envelope, 0, key));
        }
      }
    });
  }

  async #post(): Promise<Rate> {
    const body = statusBody();
    return await this.#measure(() => {
      for (const link of this.#leaves) void link.post("note", body);
    });
  }

  async #measure(one: (at: number) => void): Promise<Rate> {
    gc?.();
    const before = process.cpuUsage();
    for (let batch = 0; batch < BATCHES; batch++) {
      for (let at = 0; at < MAX_BATCH; at++) one(batch * MAX_BATCH + at);
      await undefined; // what is published is signed at the end of the turn
      await Promise.all(this.#leaves.map((link) => link.flush()));
    }
    const { user, system } = process.cpuUsage(before);
    this.#check();
    return { perSecond: BATCHES * MAX_BATCH / (user + system) * 1e6 };
  }

  /** Everybody was sent everything. */
  #check(): void {
    const [status] = this.#gossip.topics();
    const count = this.#leaves.length;
    if (status?.eager.length === count + 1 && this.#tree.eager.length === count) return;
    throw new Error("Cannot measure: a neighbour is not sent messages any more");
  }

  get #accepted(): number {
    return this.#endpoint.metrics.counter("gossip.accepted").value;
  }
}

/** The trees and the queues of the links, as gossip has them, without all that is done to take a message. */
function treeOver(endpoint: Endpoint, leaves: readonly Link[]): Plumtree {
  const { clock } = endpoint;
  const links = new PeerLinks({ endpoint, isNeighbor: () => true, gone: () => {} });
  const contacts = new Map(leaves.map((link) => [link.peer.peerId, links.heard(link)]));
  const tree = new Plumtree(topicKeyOf(TOPIC), {
    clock,
    send: (packet, to, kind) => {
      const contact = contacts.get(to);
      if (contact !== undefined) links.send(packet, contact, kind);
    },
    hasRoom: (peerId) => links.hasRoom(peerId),
    isSeen: () => false,
    isSilent: () => false,
    blame: () => {},
  }, GOSSIP_DEFAULTS);
  for (const peerId of contacts.keys()) tree.up(peerId);
  return tree;
}

/** Packets that bring the messages of a new author, as a neighbour passes them on; side by side, as in a read buffer. */
function newPackets(data: Uint8Array): Uint8Array[] {
  const author = Identity.generate();
  const key = topicKeyOf(TOPIC);
  const createdMs = Date.now();
  const all = Array.from({ length: BATCHES }, (_, batch) => {
    const drafts = Array.from({ length: MAX_BATCH }, (_, at) => {
      return { seq: createdMs * 2_048 + batch * MAX_BATCH + at, createdMs, data };
    });
    return signEnvelopes(author, key, drafts).map((envelope) => encodePush(envelope, 1, key));
  }).flat();
  const buffer = new Encoder();
  for (const packet of all) buffer.raw(packet);
  let end = 0;
  return all.map(({ length }) => buffer.bytes.subarray(end, end += length));
}

/** The bodies of packets, as a connection gives them to a handler that reads at once: with views. */
function bodiesIn(packets: readonly Uint8Array[]): MessageBody[] {
  const decoder = new Decoder({ borrow: true });
  return packets.map((packet) => {
    decoder.reset(packet);
    return readMessage(decoder).body;
  });
}
