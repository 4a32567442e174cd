/**
 * The ids of all nodes, cut into ranges: a binary tree with a {@linkcode Bucket} at each end.
 *
 * @module
 */

import { Bucket, type BucketOptions } from "./bucket.ts";
import { bitOf, ID_BYTES, type NodeId } from "./node_id.ts";

interface Branch {
  /** The bit that tells its halves apart. */
  readonly bit: number;
  zero: Tree;
  one: Tree;
}

type Tree = Bucket | Branch;

const LOWEST_ID: NodeId = new Uint8Array(ID_BYTES);

/** Buckets whose ranges are all ids together; see the module. */
export class BucketTree {
  #root: Tree;

  /** One bucket, of all ids. */
  constructor(options: BucketOptions) {
    this.#root = new Bucket(LOWEST_ID, 0, options);
  }

  /** The bucket that an id belongs to. */
  of(id: NodeId): Bucket {
    let tree = this.#root;
    while (!(tree instanceof Bucket)) tree = bitOf(id, tree.bit) === 0 ? tree.zero : tree.one;
    return tree;
  }

  /** Puts the two halves of one of its buckets in its place. @returns them, the lower one first. */
  split(bucket: Bucket): readonly Bucket[] {
    const [zero, one] = bucket.split();
    const branch = { bit: bucket.bits, zero, one };
    const parent = this.#parentOf(bucket);
    if (parent === undefined) this.#root = branch;
    else if (parent.zero === bucket) parent.zero = branch;
    else parent.one = branch;
    return [zero, one];
  }

  /** All buckets, the nearest first: of two halves, all of the one with the target's bit is nearer than any of the other. */
  *nearest(target: NodeId): Generator<Bucket> {
    const ahead: Tree[] = [this.#root];
    for (let tree = ahead.pop(); tree !== undefined; tree = ahead.pop()) {
      if (tree instanceof Bucket) yield tree;
      else if (bitOf(target, tree.bit) === 0) ahead.push(tree.one, tree.zero);
      else ahead.push(tree.zero, tree.one);
    }
  }

  /** All buckets, in the order of their ranges. */
  all(): Bucket[] {
    return [...this.nearest(LOWEST_ID)];
  }

  #parentOf({ prefix }: Bucket): Branch | undefined {
    let parent: Branch | undefined;
    let tree = this.#root;
    while (!(tree instanceof Bucket)) {
      parent = tree;
      tree = bitOf(prefix, tree.bit) === 0 ? tree.zero : tree.one;
    }
    return parent;
  }
}
