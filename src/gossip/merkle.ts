/**
 * Trees of hashes, so that one signature stands for up to 64 messages and each can still be checked alone.
 *
 * ```
 *             1                 leaf  = SHA-256( 0x00 | what it stands for )
 *         /       \             inner = SHA-256( 0x01 | left | right )
 *       2           3           none  = 32 zero bytes: no message, or a parent of none
 *      / \         / \
 *     4   5       6   7         path of leaf 2, which is node 6: nodes 7 and 2
 *   leaf 0, 1   leaf 2, none
 * ```
 *
 * Nodes are numbered as in a heap: the parent of `n` is `n >> 1`, its sibling `n ^ 1`, and leaf `i` of a tree of depth
 * `d` is node `2 ** d + i`. All leaves lie equally deep, so a path's length and an index say where a leaf is. The bytes
 * 0x00 and 0x01 keep an inner node from passing for a leaf (RFC 9162, section 2.1.1). One signature over a tree of
 * replies is the idea of Roughtime.
 *
 * Hashes are lower-case hexadecimal here: comparing and keeping strings costs less than a small array of bytes does,
 * which lies outside the heap.
 *
 * @module
 */

import { createHash, hash } from "node:crypto";

/** Bytes of a hash. */
export const HASH_BYTES = 32;

/** Longest path: the depth of a tree of 64 leaves. */
export const MAX_PATH = 6;

/** Most leaves of a tree. */
export const MAX_LEAVES: number = 2 ** MAX_PATH;

const ROOT = 1;
const NONE = "00".repeat(HASH_BYTES);

/** What is hashed goes through one buffer; what does not fit goes in two parts, which costs a microsecond more. */
const scratch = new Uint8Array(4096);

// The one of inner nodes, whose first byte stays what it is.
const pair = new Uint8Array(1 + 2 * HASH_BYTES).fill(1, 0, 1);
const left = pair.subarray(1, 1 + HASH_BYTES);
const right = pair.subarray(1 + HASH_BYTES);

/** The hash of a leaf that stands for `head` and, behind it, `data`. `head` begins with the byte 0x00. */
export function leafHash(head: Uint8Array, data: Uint8Array): string {
  const length = head.length + data.length;
  if (length > scratch.length) return createHash("sha256").update(head).update(data).digest("hex");
  scratch.set(head);
  scratch.set(data, head.length);
  return hash("sha256", scratch.subarray(0, length), "hex");
}

/** All nodes over the leaves, by number; the root is node 1. Of one leaf the root is that leaf. */
export function treeOver(leaves: readonly string[]): readonly string[] {
  const width = 2 ** Math.ceil(Math.log2(leaves.length));
  const nodes = new Array<string>(2 * width).fill(NONE);
  leaves.forEach((leaf, at) => nodes[width + at] = leaf);
  for (let at = width - 1; at >= ROOT; at--) {
    const [one, other] = [nodes[2 * at] ?? NONE, nodes[2 * at + 1] ?? NONE];
    nodes[at] = one === NONE && other === NONE ? NONE : parentOf(one, other);
  }
  return nodes;
}

/** The root of a tree. */
export function rootIn(tree: readonly string[]): string {
  return tree[ROOT] ?? NONE;
}

/** What leads from leaf `index` to the root: the sibling of every node on the way, the leaf's own first. */
export function pathIn(tree: readonly string[], index: number): string[] {
  const path: string[] = [];
  for (let at = tree.length / 2 + index; at > ROOT; at >>= 1) path.push(tree[at ^ 1] ?? NONE);
  return path;
}

/** Where a path leads to from leaf `index`, which must be below `2 ** path.length`. */
export function rootOf(leaf: string, index: number, path: readonly string[]): string {
  return path.reduce((node, sibling, level) => climb(index >> level, node, sibling), leaf);
}

/**
 * A tree whose root is known to be right, and what has followed from that: every node is hashed once however many of
 * its leaves are looked at, so that a leaf costs two hashes and not seven.
 */
export class ProvenTree {
  // A node that is known has a known sibling and parent: they come together, or it is the root.
  readonly #nodes: (string | undefined)[];

  /** Begins with the root of a tree whose leaves lie `depth` below. */
  constructor(root: string, depth: number) {
    this.#nodes = new Array<string | undefined>(2 * 2 ** depth).fill(undefined);
    this.#nodes[ROOT] = root;
  }

  /** Whether the tree has the leaf in place `index`, and the path is the one from there. */
  has(leaf: string, index: number, path: readonly string[]): boolean {
    const width = 2 ** path.length;
    return this.#nodes.length === 2 * width && this.#follows(width + index, leaf, path, 0);
  }

  // Remembers on the way back only, when everything above has turned out to be right.
  #follows(at: number, node: string, path: readonly string[], level: number): boolean {
    const known = this.#nodes[at];
    if (known !== undefined && known !== node) return false;
    const sibling = path[level];
    if (at === ROOT || sibling === undefined) return at === ROOT;
    if (known !== undefined && this.#nodes[at ^ 1] !== sibling) return false;
    const parent = (known && this.#nodes[at >> 1]) ?? climb(at, node, sibling);
    if (!this.#follows(at >> 1, parent, path, level + 1)) return false;
    this.#nodes[at] = node;
    this.#nodes[at ^ 1] = sibling;
    return true;
  }
}

/** The parent of a node and its sibling; the lowest bit of `at` says which of them is on the right. */
function climb(at: number, node: string, sibling: string): string {
  return (at & 1) === 0 ? parentOf(node, sibling) : parentOf(sibling, node);
}

function parentOf(one: string, other: string): string {
  left.setFromHex(one);
  right.setFromHex(other);
  return hash("sha256", pair, "hex");
}
