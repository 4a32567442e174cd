/**
 * The map keys a decoder has seen, as a bounded trie of key sequences.
 *
 * Messages repeat the same keys in the same order. Each node is one key, as the bytes that stood on the wire and as
 * the string they mean; while a map follows a known path its keys cost one comparison of bytes each: no string is
 * built, and duplicates need no check, because the path was checked when it was first taken. A map that leaves the
 * trie is read key by key. A trie belongs to one decoder (one connection), so a stranger's odd keys slow nobody else.
 *
 * @module
 */

/** Keys remembered in all; a full trie starts over, so that no early stranger occupies it for good. */
const MAX_NODES = 1024;
/** Different keys remembered to follow one key. */
const MAX_FOLLOWERS = 16;
/** Longest key worth remembering, in bytes. */
const MAX_KEY_BYTES = 64;

/**
 * Maps of at least this many keys have their shape kept. V8 turns an object that gets more than 16 keys by assignment
 * into a hash table, which takes half as long again to fill (measured), unless an object that has got the same keys
 * otherwise is still around. Shorter maps need no help.
 */
export const MIN_SHAPE_KEYS = 17;
/** From here on V8 makes a hash table in any case. */
const MAX_SHAPE_KEYS = 128;

/** A key after the keys before it. */
export interface KeyNode {
  /** The key. */
  readonly key: string;
  /** The key as it stands on the wire, header included. */
  readonly bytes: Uint8Array;
  /** Assigning this key would change the object's prototype: it must be defined instead. */
  readonly special: boolean;
  /** The key that followed the last time. */
  next: KeyNode | undefined;
  /** Every key that has followed. */
  readonly followers: KeyNode[];
  /** An object with the keys up to this one, where a long map has ended here. */
  shape: Readonly<Record<string, null>> | undefined;
}

/** The trie; see the module. */
export class KeyTrie {
  /** Where every map starts. */
  root: KeyNode = newNode("", new Uint8Array(0));
  #nodes = 0;

  /** The known key that stands at `bytes[at]` after `node`, if one does. */
  follow(node: KeyNode, bytes: Uint8Array, at: number, end: number): KeyNode | undefined {
    const next = node.next;
    if (next === undefined) return undefined;
    if (standsAt(next.bytes, bytes, at, end)) return next;
    const followers = node.followers;
    for (let i = 0; i < followers.length; i++) {
      const follower = followers[i] as KeyNode;
      if (standsAt(follower.bytes, bytes, at, end)) return node.next = follower;
    }
    return undefined;
  }

  /** Adds `key`, which stood on the wire as `bytes`, after `node`, where there is room. */
  remember(node: KeyNode, key: string, bytes: Uint8Array): KeyNode | undefined {
    if (bytes.length > MAX_KEY_BYTES || node.followers.length >= MAX_FOLLOWERS) return undefined;
    if (this.#nodes >= MAX_NODES) {
      this.root = newNode("", new Uint8Array(0));
      this.#nodes = 0;
      return undefined;
    }
    this.#nodes++;
    const added = newNode(key, bytes.slice());
    node.next = added;
    node.followers.push(added);
    return added;
  }

  /** Keeps the shape of `object`, a map that ended with `node`. */
  keepShape(node: KeyNode, object: Readonly<Record<string, unknown>>): void {
    if (node.shape !== undefined) return;
    const keys = Object.keys(object).slice(0, MAX_SHAPE_KEYS);
    node.shape = Object.fromEntries(keys.map((key) => [key, null]));
  }
}

function newNode(key: string, bytes: Uint8Array): KeyNode {
  return {
    key,
    bytes,
    special: key === "__proto__",
    next: undefined,
    followers: [],
    shape: undefined,
  };
}

function standsAt(key: Uint8Array, bytes: Uint8Array, at: number, end: number): boolean {
  const count = key.length;
  if (at + count > end) return false;
  for (let i = 0; i < count; i++) {
    if (bytes[at + i] !== key[i]) return false;
  }
  return true;
}
