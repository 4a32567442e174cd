/**
 * Plain Kademlia, both ways: nodes of the well-known Python library and ours in one network.
 *
 * Nobody there proves who it is or what a value is worth, and everything is readable on the way: it is spoken only when
 * asked for. Answers count only from where the question went, which the original does not check.
 *
 * Source: kademlia 2.2, `KademliaProtocol`.
 *
 * @module
 */

import type { Address, Datagram } from "../../transport/transport.ts";
import { decode, encode } from "../../wire/msgpack.ts";
import { type Contact, contactOf } from "../contact.ts";
import { ID_BYTES, type NodeId } from "../node_id.ts";
import type { Answer, DhtWire, Question } from "../questions.ts";
import { isRpcRequest, isRpcResponse } from "./rpcudp.ts";
import { assertCount, bad, type NodeNotation, readId } from "./rpcudp_questions.ts";
import { type AskOptions, type DialectParts, RpcWire } from "./rpcudp_wire.ts";
import { isUsable } from "../usable.ts";

/** Most bytes of a value in MessagePack: what the largest call has beside its method, its caller and the key. */
export const MAX_KADEMLIA_VALUE_BYTES = 8_140;

/** The peer's UDP port, as far as plain Kademlia needs it. */
export interface KademliaPort {
  /** Gives packets that are no messages to who takes them. @returns what ends that. */
  takeBare(handler: (datagram: Datagram) => boolean): Disposable;
  /** Sends one packet. */
  send(packet: Uint8Array, to: Address): Promise<void>;
}

/** What a {@linkcode KademliaWire} needs. */
export interface KademliaWireParts extends DialectParts {
  /** The peer's port; it is not closed with this. */
  readonly udp: KademliaPort;
  /** The node's id, 20 bytes. */
  readonly self: NodeId;
}

/**
 * Asks and answers in plain Kademlia; see the module. It counts `kademlia.*`.
 *
 * @example
 * ```ts
 * import { Peer } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const here = { hostname: "127.0.0.1", port: 0, announce: false };
 * await using bob = await Peer.open({ ...here, dialects: ["kademlia"] });
 * await using alice = await Peer.open({ ...here, dialects: ["kademlia"] });
 *
 * const { wire } = alice.kademlia();
 * const there = { hostname: "127.0.0.1", port: bob.udpAddress?.port ?? 0 };
 * assertEquals((await wire.meet(there)).key, bob.peerId);
 * assertEquals(await wire.whereAmI(there), alice.udpAddress);
 * ```
 */
export class KademliaWire implements DhtWire, Disposable {
  /** Most bytes of a value in MessagePack. */
  readonly maxValueBytes: number = MAX_KADEMLIA_VALUE_BYTES;
  readonly #rpc: RpcWire;
  readonly #registration: Disposable;

  /**
   * Asks, and answers from now on.
   *
   * @throws {TypeError} when somebody else takes such packets on that port. @throws {RangeError} when the time is not above
   * 0.
   */
  constructor(parts: KademliaWireParts) {
    const { udp, self } = parts;
    this.#rpc = new RpcWire({
      ...parts,
      name: "kademlia",
      notation: kademliaNotation(self),
      send: (packet, to) => udp.send(packet, to),
      methods: new Map([["stun", stun]]),
      maxValueBytes: this.maxValueBytes,
    });
    this.#registration = udp.takeBare(({ data, from }) => {
      if (!isRpcRequest(data) && !isRpcResponse(data)) return false;
      this.#rpc.take(data, from);
      return true;
    });
  }

  /** Asks a node. @throws as {@linkcode DhtWire.ask}. @throws {TypeError} for a record that is not `plain`. */
  ask(to: Contact, question: Question, options: AskOptions = {}): Promise<Answer> {
    return this.#rpc.ask(to, question, options);
  }

  /** Asks who is at an address. @throws as {@linkcode DhtWire.ask}. */
  meet(address: Address, options: AskOptions = {}): Promise<Contact> {
    return this.#rpc.meet(address, options);
  }

  /** Asks where our packets come from. It is the node's word and no more. @throws as {@linkcode DhtWire.ask}. */
  async whereAmI(address: Address, options: AskOptions = {}): Promise<Address> {
    const seen = addressOf(decode(await this.#rpc.call(address, "stun", [], options)));
    if (seen === undefined) throw bad("result", "it is not [ip, port]");
    return seen;
  }

  /** Answers nobody any more, and rejects what waits for answers. Harmless when closed. */
  [Symbol.dispose](): void {
    this.#registration[Symbol.dispose]();
    this.#rpc[Symbol.dispose]();
  }
}

/** A node is [id, ip, port], a caller its id alone. */
export function kademliaNotation(self: NodeId): NodeNotation {
  const own = encode(self);
  return {
    self: () => own,
    readCaller: (packed, from) => contactOf(readId("caller", packed), from),
    node: ({ id, address: { hostname, port } }) => [id, hostname.replace(/%.*/, ""), port],
    readNode(value, by) {
      if (!Array.isArray(value) || value.length !== 3) return undefined;
      const [id, ...place]: unknown[] = value;
      const address = addressOf(place);
      const isId = id instanceof Uint8Array && id.length === ID_BYTES;
      return isId && address && isUsable(address, by) ? contactOf(id, address) : undefined;
    },
  };
}

function addressOf(value: unknown): Address | undefined {
  if (!Array.isArray(value) || value.length !== 2) return undefined;
  const [hostname, port]: unknown[] = value;
  return typeof hostname === "string" && typeof port === "number" ? { hostname, port } : undefined;
}

function stun(args: readonly Uint8Array[], { address }: { readonly address: Address }): Uint8Array {
  assertCount("stun", args, 0);
  return encode([address.hostname, address.port]);
}
