/**
 * Messages of topics as they travel: signed by their author, passed on by others byte for byte.
 *
 * ```
 * alone       [ publicKey bin 32, seq uint, created uint (ms), data bin, signature bin 64 ]
 * in a batch  [ publicKey, seq, created, data, signature, index uint, path: 1..6 of bin 32 ]
 *
 * leaf   = SHA-256( 0x00 | topicKey 16 | publicKey 32 | seq u64 | created u64 | data )
 * signed = "kith gossip\n" | root of the tree over the leaves
 * ```
 *
 * MessagePack, and only in its shortest forms: whoever passes a message on cannot write it in another way, so a message
 * has one spelling. A signature costs 25 us and its check 60, a hash less than one: an author signs what it publishes
 * in one turn together (see `merkle.ts`), and a reader checks one signature for all of that. The topic is hashed and
 * not sent: a message of one topic is none in another.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { IntegrityError } from "../errors.ts";
import { concat } from "../wire/concat.ts";
import { encode } from "../wire/msgpack.ts";
import { Elements, type Place } from "./envelope_elements.ts";
import {
  HASH_BYTES,
  leafHash,
  MAX_LEAVES,
  pathIn,
  ProvenTree,
  rootIn,
  rootOf,
  treeOver,
} from "./merkle.ts";

/** Bytes of a topic's key. */
export const TOPIC_KEY_BYTES = 16;

/** Longest name of a topic in UTF-16 units. */
export const MAX_TOPIC_CHARS = 128;

/** Most messages under one signature. */
export const MAX_BATCH: number = MAX_LEAVES;

/** Most bytes an envelope has besides the data. */
export const MAX_ENVELOPE_OVERHEAD = 330;

const PUBLIC_KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;

/** Where the public key stands: behind the array's header and its own. */
const KEY_AT = 3;

/** Bytes that are hashed before the data. */
const HEAD_BYTES: number = 1 + TOPIC_KEY_BYTES + PUBLIC_KEY_BYTES + 8 + 8;

/** Signatures that a reader remembers: the batches that are under way at one time. */
const MAX_SIGNATURES = 256;

/** Keys whose id a reader remembers. */
const MAX_IDS = 1024;

/** What signatures begin with, so that one over something else is never one over messages. */
const SIGNED_AS = new TextEncoder().encode("kith gossip\n");

/** Who signs: {@linkcode Identity} is one. */
export interface AuthorKey {
  /** The public key, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** The Ed25519 signature over bytes, 64 bytes. */
  sign(bytes: Uint8Array): Uint8Array;
}

/** A message before it is signed. */
export interface Draft {
  /** Its number among the author's, 0..2^53 - 1. */
  readonly seq: number;
  /** When the author made it, in milliseconds since 1970 by the author's clock. */
  readonly createdMs: number;
  /** What it says. */
  readonly data: Uint8Array;
}

/** A message that its author signed. */
export interface Envelope {
  /** The author's peer id, 40 hexadecimal digits. */
  readonly author: string;
  /** The author's public key: a view of `bytes`, leave it as it is. */
  readonly publicKey: Uint8Array;
  /** Its number among the author's. */
  readonly seq: number;
  /** When the author says it made it, in milliseconds since 1970. */
  readonly createdMs: number;
  /** What it says: a view of `bytes`. */
  readonly data: Uint8Array;
  /** The whole envelope, to be passed on: a copy. */
  readonly bytes: Uint8Array;
  /** The first 48 bits of the leaf's hash: tells two messages apart that an author gave the same number. */
  readonly mark: number;
}

/** What an {@linkcode EnvelopeReader} needs. */
export interface EnvelopeReaderOptions {
  /** Whether a signature over bytes is the key's; false also for keys that are none. */
  readonly verify: (key: Uint8Array, bytes: Uint8Array, signature: Uint8Array) => boolean;
  /** The peer id of a public key. */
  readonly idOf: (publicKey: Uint8Array) => string;
  /** Longest data of a message, in bytes; the envelope around it is not counted. */
  readonly maxBytes: number;
}

/**
 * The key of a topic on the wire: the first 16 bytes of SHA-256 of `"kith topic\n"` and its name.
 *
 * @param name 1..128 UTF-16 units. Names that look alike but are written with other code points are other topics.
 * @throws {TypeError} when it is empty, has control characters or half a surrogate pair.
 * @throws {RangeError} when it is longer.
 */
export function topicKeyOf(name: string): Uint8Array {
  if (name.length > MAX_TOPIC_CHARS) {
    throw new RangeError(
      `A topic's name has at most ${MAX_TOPIC_CHARS} characters: it has ${name.length}`,
    );
  }
  if (name === "" || /\p{Cc}/u.test(name) || !name.isWellFormed()) {
    throw new TypeError("A topic's name must be text without control characters, and not empty");
  }
  const digest = createHash("sha256").update(`kith topic\n${name}`).digest();
  return new Uint8Array(digest.subarray(0, TOPIC_KEY_BYTES));
}

/**
 * Signs messages with one signature, and writes each so that it can be read without the others.
 *
 * @param drafts 1..64 messages; the envelopes come in their order.
 * @throws {RangeError} for more or no drafts, numbers that are no whole ones of 0..2^53 - 1, and keys of other lengths.
 */
export function signEnvelopes(
  key: AuthorKey,
  topicKey: Uint8Array,
  drafts: readonly Draft[],
): Uint8Array[] {
  const { publicKey } = key;
  const signer = { publicKey, sign: (bytes: Uint8Array) => key.sign(bytes), peerId: "" };
  return signMessages(signer, topicKey, drafts).map(({ bytes }) => bytes);
}

/** Signs as {@linkcode signEnvelopes}, and gives what a reader would read. @throws the same */
export function signMessages(
  author: AuthorKey & { readonly peerId: string },
  topicKey: Uint8Array,
  drafts: readonly Draft[],
): Envelope[] {
  const { peerId, publicKey } = author;
  assertLength("A topic's key", topicKey, TOPIC_KEY_BYTES);
  assertLength("A public key", publicKey, PUBLIC_KEY_BYTES);
  if (drafts.length < 1 || drafts.length > MAX_BATCH) {
    throw new RangeError(`A batch has 1..${MAX_BATCH} messages: it has ${drafts.length}`);
  }
  for (const { seq, createdMs } of drafts) {
    assertUint("seq", seq);
    assertUint("createdMs", createdMs);
  }
  const leaves = drafts.map((draft) => leafOf(topicKey, publicKey, draft));
  const tree = treeOver(leaves);
  const signature = author.sign(signedOf(rootIn(tree)));
  const nodes = bytesOf(tree);
  return drafts.map(({ seq, createdMs, data }, index) => {
    const path = pathIn(tree, index).map((node) => nodes.get(node));
    const place = path.length === 0 ? [] : [index, path];
    const bytes = encode([publicKey, seq, createdMs, data, signature, ...place]);
    const placeBytes = path.length === 0 ? 0 : 2 + path.length * (2 + HASH_BYTES);
    const dataEnd = bytes.length - placeBytes - (2 + SIGNATURE_BYTES);
    return {
      author: peerId,
      publicKey: bytes.subarray(KEY_AT, KEY_AT + PUBLIC_KEY_BYTES),
      seq,
      createdMs,
      data: bytes.subarray(dataEnd - data.length, dataEnd),
      bytes,
      mark: markOf(leaves[index] ?? ""),
    };
  });
}

/**
 * Whose message it claims to be, without checking anything but what it reads: enough to see that it is known already.
 *
 * @param idOf The peer id of a public key, which it is given as a view; {@linkcode EnvelopeReader.idOf} is a quick one.
 * @throws {InvalidPacketError} `bad-message` when it does not begin as envelopes do.
 */
export function peekEnvelope(
  bytes: Uint8Array,
  idOf: (publicKey: Uint8Array) => string,
): { author: string; seq: number; createdMs: number } {
  const elements = new Elements(bytes);
  elements.count();
  const publicKey = elements.exactly(PUBLIC_KEY_BYTES, "publicKey");
  const seq = elements.uint("seq");
  const createdMs = elements.uint("created");
  return { author: idOf(publicKey), seq, createdMs };
}

/**
 * Reads envelopes and checks who signed them. It remembers the last 256 signatures that were right, with what followed
 * from them, in about 3 MB; one that was wrong, or was another key's, is checked each time.
 */
export class EnvelopeReader {
  /** The peer id of a public key; those of 1,024 keys are remembered. */
  readonly idOf: (publicKey: Uint8Array) => string;
  readonly #verify: EnvelopeReaderOptions["verify"];
  readonly #maxBytes: number;
  readonly #signed = new Map<string, Signed>();
  // Also at hand, because most messages are signed together with the one before.
  #latest: Signed | undefined;

  /** Makes a reader that remembers nothing yet. @throws {RangeError} when `maxBytes` is no whole number. */
  constructor(options: EnvelopeReaderOptions) {
    const { verify, idOf, maxBytes } = options;
    assertUint("maxBytes", maxBytes);
    this.#verify = verify;
    this.#maxBytes = maxBytes;
    this.idOf = remembering(idOf);
  }

  /**
   * Reads a message of a topic.
   *
   * @param bytes The envelope; what is returned is a copy.
   * @throws {InvalidPacketError} `bad-message` naming the element, `too-large` naming the limit.
   * @throws {IntegrityError} `bad-signature` when its author did not sign this, in this topic.
   * @throws {RangeError} when `topicKey` has not 16 bytes.
   */
  read(bytes: Uint8Array, topicKey: Uint8Array): Envelope {
    assertLength("A topic's key", topicKey, TOPIC_KEY_BYTES);
    const fields = parse(bytes, this.#maxBytes);
    const { publicKey, seq, createdMs, data } = fields;
    const leaf = leafOf(topicKey, publicKey, fields);
    if (!this.#isSigned(fields, leaf)) {
      throw new IntegrityError(
        "bad-signature",
        "Cannot accept gossip message: its signature is not by its author for this topic",
        { details: { seq } },
      );
    }
    // Not `slice`, which in a `Buffer` gives a view.
    const copy = new Uint8Array(bytes);
    const dataAt = data.byteOffset - bytes.byteOffset;
    return {
      author: this.idOf(publicKey),
      publicKey: copy.subarray(KEY_AT, KEY_AT + PUBLIC_KEY_BYTES),
      seq,
      createdMs,
      data: copy.subarray(dataAt, dataAt + data.length),
      bytes: copy,
      mark: markOf(leaf),
    };
  }

  // What is known is found by the signature, not by the root: that is known only after all the hashing. A signature
  // that is known but does not fit is looked at as if it were not. Whose it is must be asked: an author may put leaves
  // of others' keys into a tree that only it has signed.
  #isSigned({ publicKey, signature, index, path }: Fields, leaf: string): boolean {
    const known = this.#signedWith(signature);
    if (known !== undefined && isSame(known.publicKey, publicKey)) {
      if (known.tree.has(leaf, index, path)) return true;
    }
    const root = rootOf(leaf, index, path);
    if (!this.#verify(publicKey, signedOf(root), signature)) return false;
    this.#latest = {
      publicKey: new Uint8Array(publicKey),
      signature: new Uint8Array(signature),
      tree: new ProvenTree(root, path.length),
    };
    keep(this.#signed, signature.toHex(), this.#latest, MAX_SIGNATURES);
    return true;
  }

  #signedWith(signature: Uint8Array): Signed | undefined {
    if (this.#latest === undefined || !isSame(this.#latest.signature, signature)) {
      this.#latest = this.#signed.get(signature.toHex());
    }
    return this.#latest;
  }
}

/** A signature that was right, and what followed from it. */
interface Signed {
  readonly publicKey: Uint8Array;
  readonly signature: Uint8Array;
  readonly tree: ProvenTree;
}

/** An envelope's elements; bytes are views. */
interface Fields extends Draft, Place {
  readonly publicKey: Uint8Array;
  readonly signature: Uint8Array;
}

const ALONE: Place = { index: 0, path: [] };

function parse(bytes: Uint8Array, maxBytes: number): Fields {
  const elements = new Elements(bytes);
  const isBatch = elements.count() === 7;
  const fields = {
    publicKey: elements.exactly(PUBLIC_KEY_BYTES, "publicKey"),
    seq: elements.uint("seq"),
    createdMs: elements.uint("created"),
    data: elements.atMost(maxBytes, "data"),
    signature: elements.exactly(SIGNATURE_BYTES, "signature"),
    ...(isBatch ? elements.place() : ALONE),
  };
  elements.end();
  return fields;
}

/** One buffer for all: what is hashed is hashed before anything else happens. */
const head = new Uint8Array(HEAD_BYTES);
const headView = new DataView(head.buffer);

function leafOf(topicKey: Uint8Array, publicKey: Uint8Array, draft: Draft): string {
  head.set(topicKey, 1);
  head.set(publicKey, 1 + TOPIC_KEY_BYTES);
  setUint64(HEAD_BYTES - 16, draft.seq);
  setUint64(HEAD_BYTES - 8, draft.createdMs);
  return leafHash(head, draft.data);
}

function setUint64(at: number, value: number): void {
  headView.setUint32(at, Math.floor(value / 2 ** 32));
  headView.setUint32(at + 4, value >>> 0);
}

function markOf(leaf: string): number {
  return Number.parseInt(leaf.slice(0, 12), 16);
}

/** The nodes of a tree as bytes, each once: they lie in one buffer, for many small ones cost far more. */
function bytesOf(tree: readonly string[]): Map<string, Uint8Array> {
  const buffer = new Uint8Array(tree.length * HASH_BYTES);
  return new Map(tree.map((node, at) => {
    const bytes = buffer.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES);
    bytes.setFromHex(node);
    return [node, bytes];
  }));
}

function signedOf(root: string): Uint8Array {
  return concat(SIGNED_AS, Uint8Array.fromHex(root));
}

function remembering(idOf: (publicKey: Uint8Array) => string): (publicKey: Uint8Array) => string {
  const ids = new Map<string, string>();
  // Also at hand, because most messages are of the same author as the one before.
  let latest = { publicKey: new Uint8Array(), id: "" };
  return (publicKey) => {
    if (isSame(latest.publicKey, publicKey)) return latest.id;
    const key = publicKey.toHex();
    const id = ids.get(key) ?? idOf(publicKey);
    if (!ids.has(key)) keep(ids, key, id, MAX_IDS);
    latest = { publicKey: new Uint8Array(publicKey), id };
    return id;
  };
}

// A loop of our own: making text of them to compare costs several times as much.
function isSame(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  for (let at = 0; at < one.length; at++) if (one[at] !== other[at]) return false;
  return true;
}

/** Puts something into a map of at most `max` entries, in place of the oldest where there is no room. */
function keep<Value>(map: Map<string, Value>, key: string, value: Value, max: number): void {
  for (const oldest of map.keys()) {
    if (map.size < max) break;
    map.delete(oldest);
  }
  map.set(key, value);
}

function assertLength(what: string, bytes: Uint8Array, count: number): void {
  if (bytes.length === count) return;
  throw new RangeError(`${what} has ${count} bytes: it has ${bytes.length}`);
}

function assertUint(what: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 0) return;
  throw new RangeError(`${what} must be a whole number of 0..2^53 - 1: current value is ${value}`);
}
