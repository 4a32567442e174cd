/**
 * XXH3 with 64 bits: the fast hash by which witch-core tells one version of a program from another.
 *
 * Written after the XXH3 chapters of the xxHash specification (Yann Collet, version 0.2.0), for seed 0 and the default
 * secret. It is no cryptographic hash: whoever wants two inputs with the same hash can make them.
 *
 * How an input is hashed depends on its length. Words of the input are always met by words of the secret:
 *
 * ```
 *   0 ..  16 bytes   one or two words, overlapping where they must
 *  17 .. 240 bytes   16 bytes a step, each a product of 128 bits folded to 64, summed up
 * 241 ..     bytes   stripes of 64 bytes into 8 accumulators, which are scrambled after every block of 16 stripes
 * ```
 *
 * @module
 */

const PRIME32_1 = 0x9e3779b1n;
const PRIME32_2 = 0x85ebca77n;
const PRIME32_3 = 0xc2b2ae3dn;
const PRIME64_1 = 0x9e3779b185ebca87n;
const PRIME64_2 = 0xc2b2ae3d27d4eb4fn;
const PRIME64_3 = 0x165667b19e3779f9n;
const PRIME64_4 = 0x85ebca77c2b2ae63n;
const PRIME64_5 = 0x27d4eb2f165667c5n;
const PRIME_MX1 = 0x165667919e3779f9n;
const PRIME_MX2 = 0x9fb21c651e98df25n;

/** What the accumulators begin with. */
const INITIAL = [
  PRIME32_3,
  PRIME64_1,
  PRIME64_2,
  PRIME64_3,
  PRIME64_4,
  PRIME32_2,
  PRIME64_5,
  PRIME32_1,
] as const;

/** The specification's default secret: 192 bytes. */
const SECRET = viewOf(Uint8Array.fromHex(
  "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f" +
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c" +
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8" +
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364" +
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e" +
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e",
));

const WORD_BYTES = 8;
const STEP_BYTES = 16;
const STRIPE_BYTES = 64;
/** Where in the secret the scrambling key is. Every stripe takes a key one word further on; here a block ends. */
const SCRAMBLE_KEY_AT = SECRET.byteLength - STRIPE_BYTES;
/** Where in the secret the last stripe's key is: unaligned, so that no other stripe has the same. */
const LAST_KEY_AT = SCRAMBLE_KEY_AT - 7;
const MERGE_KEY_AT = 11;

/**
 * The XXH3-64 hash of bytes with seed 0: 16 lower-case hexadecimal digits.
 *
 * @example
 * ```ts
 * import { xxh3 } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(xxh3(new Uint8Array(0)), "2d06800538d394c2");
 * assertEquals(xxh3(new TextEncoder().encode("x=1\n")), "eaa189c6c4e43d67");
 * ```
 */
export function xxh3(bytes: Uint8Array): string {
  return hash(viewOf(bytes)).toString(16).padStart(16, "0");
}

function hash(input: DataView): bigint {
  const length = input.byteLength;
  if (length === 0) return avalanche64(word(SECRET, 56) ^ word(SECRET, 64));
  if (length <= 3) return hashUpTo3(input);
  if (length <= 8) return hashUpTo8(input);
  if (length <= 16) return hashUpTo16(input);
  if (length <= 128) return hashUpTo128(input);
  if (length <= 240) return hashUpTo240(input);
  return hashLong(input);
}

function hashUpTo3(input: DataView): bigint {
  const length = input.byteLength;
  const first = input.getUint8(0);
  const middle = input.getUint8(length >> 1);
  const last = input.getUint8(length - 1);
  const combined = last | (length << 8) | (first << 16) | (middle << 24);
  const key = SECRET.getUint32(0, true) ^ SECRET.getUint32(4, true);
  return avalanche64(BigInt((combined ^ key) >>> 0));
}

function hashUpTo8(input: DataView): bigint {
  const length = input.byteLength;
  const first = BigInt(input.getUint32(0, true));
  const last = BigInt(input.getUint32(length - 4, true));
  let value = (first << 32n | last) ^ word(SECRET, 8) ^ word(SECRET, 16);
  value ^= rotateLeft(value, 49n) ^ rotateLeft(value, 24n);
  value = u64(value * PRIME_MX2);
  value ^= (value >> 35n) + BigInt(length);
  value = u64(value * PRIME_MX2);
  return value ^ (value >> 28n);
}

function hashUpTo16(input: DataView): bigint {
  const length = input.byteLength;
  const first = word(input, 0) ^ word(SECRET, 24) ^ word(SECRET, 32);
  const last = word(input, length - WORD_BYTES) ^ word(SECRET, 40) ^ word(SECRET, 48);
  // `first` with its bytes reversed.
  const reversed = input.getBigUint64(0) ^ SECRET.getBigUint64(24) ^ SECRET.getBigUint64(32);
  return avalanche(BigInt(length) + reversed + last + foldedProduct(first, last));
}

// From both ends inwards; the steps in the middle may overlap.
function hashUpTo128(input: DataView): bigint {
  const length = input.byteLength;
  let sum = BigInt(length) * PRIME64_1;
  for (let i = 0; 2 * STEP_BYTES * i < length; i++) {
    const key = 2 * STEP_BYTES * i;
    sum += mixStep(input, STEP_BYTES * i, key);
    sum += mixStep(input, length - STEP_BYTES * (i + 1), key + STEP_BYTES);
  }
  return avalanche(sum);
}

function hashUpTo240(input: DataView): bigint {
  const length = input.byteLength;
  let sum = BigInt(length) * PRIME64_1;
  for (let at = 0; at < 128; at += STEP_BYTES) sum += mixStep(input, at, at);
  sum = avalanche(sum);
  for (let at = 128; at + STEP_BYTES <= length; at += STEP_BYTES) {
    sum += mixStep(input, at, at - 128 + 3);
  }
  return avalanche(sum + mixStep(input, length - STEP_BYTES, 136 - 17));
}

function hashLong(input: DataView): bigint {
  const length = input.byteLength;
  const sums = new DataView(new ArrayBuffer(STRIPE_BYTES));
  INITIAL.forEach((prime, i) => sums.setBigUint64(WORD_BYTES * i, prime, true));

  // The last stripe is always the last 64 bytes, even where they overlap the one before.
  let key = 0;
  for (let at = 0; at + STRIPE_BYTES < length; at += STRIPE_BYTES) {
    addStripe(sums, input, at, key);
    key += WORD_BYTES;
    if (key === SCRAMBLE_KEY_AT) {
      scramble(sums);
      key = 0;
    }
  }
  addStripe(sums, input, length - STRIPE_BYTES, LAST_KEY_AT);

  let result = BigInt(length) * PRIME64_1;
  for (let at = 0; at < STRIPE_BYTES; at += STEP_BYTES) {
    result += mixStep(sums, at, MERGE_KEY_AT + at);
  }
  return avalanche(result);
}

// The inner loop. V8 keeps a result that is cut to 64 bits on the spot in a machine register instead of allocating a
// BigInt: over ten times as fast, and faster than halves of 32 bits. The cut must be written out for that: measured,
// the same through a function such as `u64` is as slow as none.
function addStripe(sums: DataView, input: DataView, at: number, key: number): void {
  for (let i = 0; i < STRIPE_BYTES; i += WORD_BYTES) {
    const value = word(input, at + i);
    const keyed = BigInt.asUintN(64, value ^ word(SECRET, key + i));
    const product = BigInt.asUintN(64, (keyed & 0xffffffffn) * (keyed >> 32n));
    const neighbour = i ^ WORD_BYTES;
    sums.setBigUint64(neighbour, BigInt.asUintN(64, word(sums, neighbour) + value), true);
    sums.setBigUint64(i, BigInt.asUintN(64, word(sums, i) + product), true);
  }
}

function scramble(sums: DataView): void {
  for (let i = 0; i < STRIPE_BYTES; i += WORD_BYTES) {
    const sum = word(sums, i);
    const keyed = sum ^ (sum >> 47n) ^ word(SECRET, SCRAMBLE_KEY_AT + i);
    sums.setBigUint64(i, u64(keyed * PRIME32_1), true);
  }
}

function mixStep(input: DataView, at: number, key: number): bigint {
  return foldedProduct(
    word(input, at) ^ word(SECRET, key),
    word(input, at + WORD_BYTES) ^ word(SECRET, key + WORD_BYTES),
  );
}

function foldedProduct(a: bigint, b: bigint): bigint {
  const product = a * b;
  return u64(product) ^ (product >> 64n);
}

function avalanche(value: bigint): bigint {
  let mixed = u64(value);
  mixed ^= mixed >> 37n;
  mixed = u64(mixed * PRIME_MX1);
  return mixed ^ (mixed >> 32n);
}

// The last mixing of XXH64, which XXH3 uses for the shortest inputs.
function avalanche64(value: bigint): bigint {
  let mixed = value ^ (value >> 33n);
  mixed = u64(mixed * PRIME64_2);
  mixed ^= mixed >> 29n;
  mixed = u64(mixed * PRIME64_3);
  return mixed ^ (mixed >> 32n);
}

function rotateLeft(value: bigint, bits: bigint): bigint {
  return u64(value << bits) | (value >> (64n - bits));
}

function u64(value: bigint): bigint {
  return BigInt.asUintN(64, value);
}

function word(view: DataView, at: number): bigint {
  return view.getBigUint64(at, true);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
