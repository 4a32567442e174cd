/**
 * The questions of the DHT as calls of rpcudp.
 *
 * | method | arguments | result |
 * |---|---|---|
 * | `ping` | caller | who answers |
 * | `store` | caller, key, value | true |
 * | `find_node` | caller, id | array of nodes, at most k |
 * | `find_value` | caller, key | `{"value": value}`, or as `find_node` |
 *
 * How callers and nodes are written is what the dialects differ in: their {@linkcode NodeNotation}.
 *
 * Where a value is refused the answer is `false`, which the original takes for an answer, too: of silence it would
 * conclude that nobody is there. Nil can be stored there and reads as absent; here it is not kept, so that nobody's value is
 * wiped out by it.
 *
 * Source: kademlia 2.2, `KademliaProtocol`.
 *
 * @module
 */

import { InvalidPacketError, RemoteError } from "../../errors.ts";
import type { Address } from "../../transport/transport.ts";
import { concat } from "../../wire/concat.ts";
import { decode, encode } from "../../wire/msgpack.ts";
import { type Contact, isSameAddress } from "../contact.ts";
import { ID_BYTES, isSameId, type NodeId } from "../node_id.ts";
import { type Answer, type Asker, HEARD, type Question } from "../questions.ts";
import { plainRecord } from "../record.ts";

/** Nodes that an answer names at most: the k of the originals. */
export const MAX_NAMED_NODES = 20;

/** How long the originals keep a value, in seconds: a week. */
export const KADEMLIA_TTL_S = 604_800;

/** What stands before a value: a map of one entry, and its key. */
const VALUE_HEAD = Uint8Array.of(0x81, ...encode("value"));

const NIL = 0xc0;
const TRUE = encode(true);
const FALSE = encode(false);

/** How a dialect writes who a node is. */
export interface NodeNotation {
  /** Who we are, in MessagePack, for whoever is there. */
  self(to: Address): Uint8Array;
  /** Who somebody says it is, and where its packets come from. @throws {InvalidPacketError} when it says nothing sound. */
  readCaller(packed: Uint8Array, from: Address): Contact;
  /** A node as it stands in a list. */
  node(contact: Contact): unknown;
  /** A node of a list that somebody gives; `undefined` for what is none that can be asked. */
  readNode(value: unknown, by: Address): Contact | undefined;
}

/** A call without its first argument, the caller. */
export interface RpcCall {
  /** What is called. */
  readonly method: string;
  /** With what, each in MessagePack. */
  readonly args: readonly Uint8Array[];
}

/** A question as a call. @throws {TypeError} for a record of another kind than `plain`: nobody there could check it. */
export function callOf(question: Question): RpcCall {
  switch (question.type) {
    case "ping":
      return { method: "ping", args: [] };
    case "find-node":
      return { method: "find_node", args: [encode(question.target)] };
    case "find-value":
      return { method: "find_value", args: [encode(question.target)] };
    case "store": {
      const { kind, key, value } = question.record;
      if (kind !== "plain") {
        throw new TypeError(`A record of kind ${kind} has no form in a dialect`);
      }
      return { method: "store", args: [encode(key), value] };
    }
    default:
      return question satisfies never;
  }
}

/**
 * The question in a call; `undefined` for a method that is none.
 *
 * @throws {InvalidPacketError} `bad-message` for wrong arguments.
 */
export function questionOf({ method, args }: RpcCall): Question | undefined {
  const [key, value] = args;
  switch (method) {
    case "ping":
      assertCount(method, args, 0);
      return { type: "ping" };
    case "find_node":
      assertCount(method, args, 1);
      return { type: "find-node", target: readId("target", key) };
    case "find_value":
      assertCount(method, args, 1);
      return { type: "find-value", target: readId("key", key) };
    case "store":
      assertCount(method, args, 2);
      return storing(readId("key", key), value ?? encode(null));
    default:
      return undefined;
  }
}

/** An answer as a result, in MessagePack. */
export function resultOf(
  question: Question,
  answer: Answer,
  { asker, notation }: { readonly asker: Asker; readonly notation: NodeNotation },
): Uint8Array {
  switch (question.type) {
    case "ping":
      return notation.self(asker.address);
    case "store":
      return TRUE;
    case "find-value": {
      const found = answer.records.find(({ kind }) => kind === "plain");
      if (found !== undefined) return concat(VALUE_HEAD, found.value);
      return nodeList(question.target, answer, asker, notation);
    }
    case "find-node":
      return nodeList(question.target, answer, asker, notation);
    default:
      return question satisfies never;
  }
}

/** What says that a value is not kept. */
export function refusalOf(question: Question): Uint8Array | undefined {
  return question.type === "store" ? FALSE : undefined;
}

/** Whether a question is to keep nothing; see the module. */
export function isStoringNil(question: Question): boolean {
  return question.type === "store" && question.record.value[0] === NIL;
}

/**
 * The answer in the result of a call other than `ping`.
 *
 * @throws {InvalidPacketError} `bad-message` for a result that is none. @throws {RemoteError} when a value was refused.
 */
export function answerOf(
  question: Question,
  result: Uint8Array,
  { by, notation }: { readonly by: Address; readonly notation: NodeNotation },
): Answer {
  if (question.type === "store") {
    if (decode(result) === true) return HEARD;
    throw new RemoteError("limit", "Cannot store: the node does not keep the value");
  }
  const value = question.type === "find-value" ? valueIn(result) : undefined;
  if (question.type === "find-value" && value !== undefined) {
    return { nodes: [], records: value[0] === NIL ? [] : [plainRecord(question.target, value)] };
  }
  return { nodes: readNodes(decode(result), { by, notation }), records: [] };
}

/** The value in the result of a search; `undefined` where it names nodes. */
export function valueIn(result: Uint8Array): Uint8Array | undefined {
  const isValue = VALUE_HEAD.every((byte, at) => result[at] === byte);
  return isValue ? result.slice(VALUE_HEAD.length) : undefined;
}

/** A value as the result of a search, in MessagePack. */
export function foundValue(value: unknown): Uint8Array {
  return encode({ value });
}

/** The nodes of a list that can be asked, the first 20 of them. @throws {InvalidPacketError} when it is no list. */
export function readNodes(
  value: unknown,
  { by, notation }: { readonly by: Address; readonly notation: NodeNotation },
): Contact[] {
  if (!Array.isArray(value)) throw bad("result", "it is not an array of nodes");
  const nodes = value.map((node) => notation.readNode(node, by));
  return nodes.filter((node) => node !== undefined).slice(0, MAX_NAMED_NODES);
}

/** The 20 bytes of an id. @throws {InvalidPacketError} `bad-message` naming the field when it is anything else. */
export function readId(field: string, packed: Uint8Array | undefined): NodeId {
  const id = packed === undefined ? undefined : decode(packed);
  if (id instanceof Uint8Array && id.length === ID_BYTES) return id;
  throw bad(field, `it is not bin of ${ID_BYTES} bytes`);
}

/** Refuses too many or too few arguments. @throws {InvalidPacketError} `bad-message`. */
export function assertCount(method: string, args: readonly Uint8Array[], count: number): void {
  if (args.length === count) return;
  throw bad("arguments", `${method} has ${args.length} behind the caller instead of ${count}`);
}

/** The error for a field that is wrong. */
export function bad(field: string, why: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot read Kademlia call: ${field}: ${why}`, {
    details: { field },
  });
}

/** The error for a value that no call could hold. */
export function valueTooLarge(got: number, max: number): InvalidPacketError {
  return new InvalidPacketError(
    "too-large",
    `Cannot store: a value of ${got} bytes exceeds MAX_VALUE_BYTES ${max}`,
    { details: { limit: "MAX_VALUE_BYTES", max, got } },
  );
}

// As the originals do: without the caller, who knows itself, and without the node that is looked for.
function nodeList(
  target: NodeId,
  { nodes }: Answer,
  { address }: Asker,
  notation: NodeNotation,
): Uint8Array {
  const named = nodes.filter((node) => {
    return !isSameAddress(node.address, address) && !isSameId(node.id, target);
  });
  return encode(named.slice(0, MAX_NAMED_NODES).map((node) => notation.node(node)));
}

function storing(key: NodeId, value: Uint8Array): Question {
  return { type: "store", record: plainRecord(key, value), ttlS: KADEMLIA_TTL_S };
}
