/**
 * Packets of rpcudp, the calls that plain Kademlia is made of:
 *
 * ```
 * 0    1            21
 * +----+------------+------------------------------+
 * | 00 | id, random | [method, [argument, ...]]    |     a request
 * | 01 | the same   | result                       |     its answer
 * +----+------------+------------------------------+
 * ```
 *
 * Arguments and results are handed on in MessagePack, as they stand: what somebody stores is given back byte for byte,
 * whatever MessagePack has that JavaScript has not.
 *
 * Source: rpcudp 5, `RPCProtocol`.
 *
 * @module
 */

import { InvalidPacketError } from "../../errors.ts";
import { Decoder } from "../../wire/decoder.ts";
import { encode } from "../../wire/msgpack.ts";

/** Bytes of a call's id. */
export const RPC_ID_BYTES = 20;

/** Most bytes of a method with its arguments, and of a result unless a dialect has longer ones. */
export const MAX_RPC_BYTES = 8_192;

/** Most arguments of a method. */
export const MAX_RPC_ARGUMENTS = 15;

/** Type and id. */
const HEADER_BYTES = 1 + RPC_ID_BYTES;

/** The shortest request: a method of no letters without arguments. */
const MIN_REQUEST_BYTES = HEADER_BYTES + 3;

const REQUEST = 0;
const RESPONSE = 1;

/** What the content of a request begins with in MessagePack: an array of two. */
const PAIR = 0x92;

/** An array of none; one of up to fifteen is that much more. */
const EMPTY_ARRAY = 0x90;

/** A call. */
export interface RpcRequest {
  /** Which of the two it is. */
  readonly type: "request";
  /** What its answer repeats. */
  readonly id: Uint8Array;
  /** What is called. */
  readonly method: string;
  /** With what, each in MessagePack. */
  readonly args: readonly Uint8Array[];
}

/** The answer to a call. */
export interface RpcResponse {
  /** Which of the two it is. */
  readonly type: "response";
  /** That of the call. */
  readonly id: Uint8Array;
  /** The result in MessagePack. */
  readonly result: Uint8Array;
}

/** A packet that was understood. */
export type RpcPacket = RpcRequest | RpcResponse;

// Decoding calls nobody back, so one is enough.
const decoder = new Decoder();

/**
 * A call, as a packet.
 *
 * @param id 20 bytes. @param args Each in MessagePack.
 * @throws {InvalidPacketError} `too-large` for more than 8,192 bytes, which no original reads.
 */
export function encodeRequest(
  id: Uint8Array,
  method: string,
  args: readonly Uint8Array[],
): Uint8Array<ArrayBuffer> {
  if (args.length > MAX_RPC_ARGUMENTS) {
    throw new RangeError(
      `args must be at most ${MAX_RPC_ARGUMENTS}: current length ${args.length}`,
    );
  }
  const parts = [
    Uint8Array.of(PAIR),
    encode(method),
    Uint8Array.of(EMPTY_ARRAY + args.length),
    ...args,
  ];
  const bytes = parts.reduce((sum, { length }) => sum + length, 0);
  if (bytes > MAX_RPC_BYTES) throw tooLarge("encode", bytes, MAX_RPC_BYTES);
  return packetOf(REQUEST, id, parts, bytes);
}

/** The answer to a call, as a packet. @param result In MessagePack. */
export function encodeResponse(id: Uint8Array, result: Uint8Array): Uint8Array<ArrayBuffer> {
  return packetOf(RESPONSE, id, [result], result.length);
}

/**
 * Takes a packet apart; everything in it is a copy. What follows the content is ignored, as the originals do.
 *
 * @param options How long the content may be. @default 8,192 bytes
 * @throws {InvalidPacketError} `bad-frame` for what is neither a call nor an answer, `bad-message` for one that breaks the
 * format, `too-large` naming the limit.
 */
export function decodeRpc(
  packet: Uint8Array,
  { maxBytes = MAX_RPC_BYTES }: { readonly maxBytes?: number | undefined } = {},
): RpcPacket {
  const [type] = packet;
  if (type !== REQUEST && type !== RESPONSE || packet.length <= HEADER_BYTES) {
    throw new InvalidPacketError(
      "bad-frame",
      `Cannot decode rpcudp: ${packet.length} bytes that begin with ${type} are no call`,
      { details: { got: packet.length } },
    );
  }
  const bytes = packet.length - HEADER_BYTES;
  if (bytes > maxBytes) throw tooLarge("decode", bytes, maxBytes);
  const id = packet.slice(1, HEADER_BYTES);
  decoder.reset(packet, HEADER_BYTES);
  try {
    return type === REQUEST ? readRequest(packet, id) : readResponse(packet, id);
  } finally {
    decoder.release();
  }
}

/** Whether a packet looks like a call. A random one that is none does once in 2^16 times. */
export function isRpcRequest(packet: Uint8Array): boolean {
  const isLongEnough = packet.length >= MIN_REQUEST_BYTES;
  return packet[0] === REQUEST && isLongEnough && packet[HEADER_BYTES] === PAIR;
}

/** Whether a packet looks like the answer to a call. */
export function isRpcResponse(packet: Uint8Array): boolean {
  return packet[0] === RESPONSE && packet.length > HEADER_BYTES;
}

/** The id of a packet that looks like a call or an answer: a view. */
export function rpcIdOf(packet: Uint8Array): Uint8Array {
  return packet.subarray(1, HEADER_BYTES);
}

/**
 * A new id, which nobody can guess. Its first byte is not 0: as the length of a packet of PeerConnect it would be far too
 * large, so that no answer to us can be taken for one.
 */
export function newRpcId(): Uint8Array<ArrayBuffer> {
  const id = crypto.getRandomValues(new Uint8Array(RPC_ID_BYTES));
  id[0] ||= 1;
  return id;
}

function readRequest(packet: Uint8Array, id: Uint8Array): RpcRequest {
  if (decoder.arrayHeader() !== 2) throw bad("the content is not [method, arguments]");
  const method = decoder.value();
  if (typeof method !== "string") throw bad("the method is not text");
  const count = decoder.arrayHeader();
  if (count < 0) throw bad("the arguments are not an array");
  if (count > MAX_RPC_ARGUMENTS) {
    throw bad(`${count} arguments exceed MAX_RPC_ARGUMENTS ${MAX_RPC_ARGUMENTS}`);
  }
  const args = Array.from({ length: count }, () => nextOf(packet));
  return { type: "request", id, method, args };
}

function readResponse(packet: Uint8Array, id: Uint8Array): RpcResponse {
  return { type: "response", id, result: nextOf(packet) };
}

/** The next value as it stands, checked. */
function nextOf(packet: Uint8Array): Uint8Array {
  const { at } = decoder;
  decoder.value();
  return packet.slice(at, decoder.at);
}

function packetOf(
  type: number,
  id: Uint8Array,
  parts: readonly Uint8Array[],
  bytes: number,
): Uint8Array<ArrayBuffer> {
  if (id.length !== RPC_ID_BYTES) {
    throw new RangeError(`id must be ${RPC_ID_BYTES} bytes: current length is ${id.length}`);
  }
  const packet = new Uint8Array(HEADER_BYTES + bytes);
  packet[0] = type;
  packet.set(id, 1);
  let at = HEADER_BYTES;
  for (const part of parts) {
    packet.set(part, at);
    at += part.length;
  }
  return packet;
}

function bad(why: string): InvalidPacketError {
  const offset = decoder.at;
  return new InvalidPacketError("bad-message", `Cannot decode rpcudp: ${why}, at byte ${offset}`, {
    details: { offset },
  });
}

function tooLarge(verb: string, got: number, max: number): InvalidPacketError {
  return new InvalidPacketError(
    "too-large",
    `Cannot ${verb} rpcudp: ${got} bytes exceed MAX_RPC_BYTES ${max}`,
    { details: { limit: "MAX_RPC_BYTES", max, got } },
  );
}
