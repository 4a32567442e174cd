/**
 * Ids of nodes and keys of values: 160 bits each, and how far apart two of them are.
 *
 * Source: Maymounkov and Mazières, "Kademlia", 2002, section 2.1: the distance is the exclusive or, as an unsigned
 * big-endian integer.
 *
 * @module
 */

/** 20 bytes. */
export type NodeId = Uint8Array;

/** Bytes of an id. */
export const ID_BYTES = 20;

/** Bits of an id. */
export const ID_BITS = 160;

/**
 * An id as maps are keyed by it: 40 lower-case hexadecimal digits.
 *
 * @example
 * ```ts
 * import { toKey } from "@kith/kith/dht";
 * import { assertEquals } from "@std/assert";
 *
 * const contacts = new Map([[toKey(new Uint8Array(20).fill(0xab)), "bob"]]);
 * assertEquals(contacts.get("ab".repeat(20)), "bob");
 * ```
 */
export function toKey(id: NodeId): string {
  return id.toHex();
}

/**
 * The id that has a key.
 *
 * @example
 * ```ts
 * import { fromKey } from "@kith/kith/dht";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * assertEquals(fromKey("ab".repeat(20)), new Uint8Array(20).fill(0xab));
 * assertThrows(() => fromKey("bob"), TypeError, "40 hexadecimal digits");
 * ```
 *
 * @throws {TypeError} for what is not 40 hexadecimal digits.
 */
export function fromKey(key: string): NodeId {
  if (/^[0-9A-Fa-f]{40}$/.test(key)) return Uint8Array.fromHex(key);
  throw new TypeError("Key must be 40 hexadecimal digits");
}

/** Whether two ids are the same. */
export function isSameId(a: NodeId, b: NodeId): boolean {
  return compareDistance(a, a, b) === 0;
}

/**
 * Which of two ids is nearer to a third: negative when `a` is, positive when `b` is, 0 when they are the same.
 *
 * @example
 * ```ts
 * import { compareDistance } from "@kith/kith/dht";
 * import { assertEquals } from "@std/assert";
 *
 * const idOf = (last: number) => new Uint8Array(20).with(19, last);
 * const ids = [0b001, 0b010, 0b100].map(idOf);
 * ids.sort((a, b) => compareDistance(idOf(0b110), a, b));
 * assertEquals(ids, [0b100, 0b010, 0b001].map(idOf));
 * ```
 */
export function compareDistance(target: NodeId, a: NodeId, b: NodeId): number {
  // The innermost loop of every search. The first byte that differs decides: the target's is not looked at before.
  for (let at = 0; at < ID_BYTES; at++) {
    const one = a[at] ?? 0;
    const other = b[at] ?? 0;
    if (one === other) continue;
    const of = target[at] ?? 0;
    return (one ^ of) - (other ^ of);
  }
  return 0;
}

/**
 * How far apart two ids are, as a number of 160 bits. For people and tests: comparing with it is slow.
 *
 * @example
 * ```ts
 * import { distanceOf } from "@kith/kith/dht";
 * import { assertEquals } from "@std/assert";
 *
 * const idOf = (last: number) => new Uint8Array(20).with(19, last);
 * assertEquals(distanceOf(idOf(0b110), idOf(0b101)), 0b011n);
 * ```
 */
export function distanceOf(a: NodeId, b: NodeId): bigint {
  return BigInt(`0x${a.map((byte, at) => byte ^ (b[at] ?? 0)).toHex()}`);
}

/**
 * How many bits two ids begin with in common: 0 to 160.
 *
 * @example
 * ```ts
 * import { commonBits } from "@kith/kith/dht";
 * import { assertEquals } from "@std/assert";
 *
 * const zero = new Uint8Array(20);
 * assertEquals(commonBits(zero, zero.with(1, 0b0001_0000)), 8 + 3);
 * assertEquals(commonBits(zero, zero), 160);
 * ```
 */
export function commonBits(a: NodeId, b: NodeId): number {
  for (let at = 0; at < ID_BYTES; at++) {
    const difference = (a[at] ?? 0) ^ (b[at] ?? 0);
    if (difference !== 0) return 8 * at + Math.clz32(difference) - 24;
  }
  return ID_BITS;
}

/** A bit of an id, the first being 0. */
export function bitOf(id: NodeId, bit: number): number {
  return (id[bit >> 3] ?? 0) >> (7 - (bit & 7)) & 1;
}

/** An id with one bit the other way. */
export function withBitFlipped(id: NodeId, bit: number): NodeId {
  return id.map((byte, at) => at === bit >> 3 ? byte ^ 0x80 >> (bit & 7) : byte);
}

/**
 * An id that begins with the first `bits` bits of another; chance has the others.
 *
 * @param bits 0 to 160.
 * @param random Gives numbers in [0, 1).
 * @throws {RangeError} when `bits` is out of range.
 */
export function randomIdUnder(id: NodeId, bits: number, random: () => number): NodeId {
  assertBits(bits, ID_BITS);
  return id.map((byte, at) => {
    const kept = 0xff00 >> Math.min(8, Math.max(0, bits - 8 * at)) & 0xff;
    return byte & kept | Math.floor(random() * 256) & ~kept;
  });
}

/**
 * An id that has exactly the first `bits` bits in common with another: one of those that are so far away from it.
 *
 * @example
 * ```ts
 * import { commonBits, randomIdIn } from "@kith/kith/dht";
 * import { assertEquals } from "@std/assert";
 *
 * const self = new Uint8Array(20);
 * assertEquals(commonBits(self, randomIdIn(self, 12, Math.random)), 12);
 * ```
 *
 * @param bits 0 to 159.
 * @param random Gives numbers in [0, 1).
 * @throws {RangeError} when `bits` is out of range.
 */
export function randomIdIn(id: NodeId, bits: number, random: () => number): NodeId {
  assertBits(bits, ID_BITS - 1);
  return randomIdUnder(withBitFlipped(id, bits), bits + 1, random);
}

function assertBits(bits: number, most: number): void {
  if (Number.isInteger(bits) && bits >= 0 && bits <= most) return;
  throw new RangeError(`bits must be a whole number from 0 to ${most}: current value is ${bits}`);
}
