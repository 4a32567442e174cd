/**
 * Putting records of a peer: versions that were overtaken by another of ours are put again, and what is to last is kept.
 *
 * @module
 */

import { NotFoundError, PeerError, RemoteError } from "../errors.ts";
import { type Logger, printable } from "../log.ts";
import { assertWon, type Author, versionAfter } from "./author.ts";
import type { DhtPut, DhtPutOptions } from "./dht_options.ts";
import type { DhtNode } from "./dht_node.ts";
import { toKey } from "./node_id.ts";
import { place, type Placed } from "./placing.ts";
import type { DhtRecord } from "./record.ts";

/** How to put a record. */
export type Publishing = Omit<DhtPutOptions, "cas"> & {
  readonly cas?: number | undefined;
  /** Whether it is put again for as long as we are there. */
  readonly isRenewed: boolean;
  /** Whether it was put before, and somebody had a newer version. */
  readonly isLast?: boolean;
};

/** Whether a node refused a version because it has a newer one. */
function isOvertaken(error: unknown): error is RemoteError {
  return error instanceof RemoteError && error.code === "not-allowed" &&
    Number(error.details.seq) > 0;
}

/** What a {@linkcode Publisher} needs. */
export interface PublisherParts {
  /** Puts it. */
  readonly node: DhtNode;
  /** Signs what has to be put again. */
  readonly author: Author;
  /** How long a record is kept unless somebody says so, in seconds. */
  readonly ttlS: number;
  /** Whether others will ask this node, so that what nobody else keeps is well kept by it. */
  readonly serves: () => boolean;
  /** Hears what cannot be kept. */
  readonly log: Logger;
}

/** Puts records; see the module. */
export class Publisher {
  readonly #parts: PublisherParts;

  /** Has put nothing yet. */
  constructor(parts: PublisherParts) {
    this.#parts = parts;
  }

  /**
   * Puts a record at the nodes that are to keep it; where this one is the only one, it keeps it until others come.
   *
   * @throws as `place`. @throws {RemoteError} `not-allowed` where another version is there than `cas` says.
   */
  async publish(record: DhtRecord, options: Publishing): Promise<DhtPut> {
    const { node, ttlS: usualS } = this.#parts;
    const { ttlS = usualS, cas, signal, isRenewed } = options;
    let placed: Placed;
    try {
      placed = await place(node, record, { ttlS, cas, signal });
    } catch (error) {
      if (this.#isAlone(error) && cas === undefined) return this.#keepAlone(record, options);
      if (cas !== undefined || options.isLast || !isOvertaken(error)) throw error;
      return await this.#overtake(record, [error], options);
    }
    const { holders, unconfirmed, silent, refusals, hops } = placed;
    if (cas !== undefined && refusals.length > 0) assertWon(record, placed, cas);
    const isBehind = cas !== undefined ? refusals.length > 0 : refusals.some(isOvertaken);
    if (isBehind && !options.isLast) return await this.#overtake(record, refusals, options);
    if (isRenewed) this.#keepOwn(record, ttlS);
    return {
      key: toKey(record.key),
      seq: record.kind === "signed" ? record.seq : undefined,
      holders: holders.length,
      unconfirmed,
      refused: refusals.length,
      silent,
      hops,
    };
  }

  /**
   * Some have another version of ours, which is newer: that of who was slower in a race, or of a time when our clock was
   * ahead. A newer one still ends that.
   */
  async #overtake(
    record: DhtRecord,
    refusals: readonly RemoteError[],
    options: Publishing,
  ): Promise<DhtPut> {
    const again = { ...options, cas: undefined, isLast: true };
    if (record.kind !== "signed") return await this.publish(record, again);
    const { scope, name, value, seq } = record;
    const { node, author, ttlS: usualS } = this.#parts;
    const { ttlS = usualS } = options;
    const atLeast = versionAfter(seq, refusals, node.clock.wallMs());
    return await this.publish(author.sign(scope, name, value, { ttlS, atLeast }), again);
  }

  /** Whether there is no node but this one, which serves. */
  #isAlone(error: unknown): boolean {
    return error instanceof NotFoundError && error.details.silent === 0 && this.#parts.serves();
  }

  /** Keeps what it is the only one to keep. @throws what the keeper throws. */
  #keepAlone(record: DhtRecord, { ttlS = this.#parts.ttlS, isRenewed }: Publishing): DhtPut {
    this.#parts.node.keeper.put(record, { source: "", subnet: undefined, ttlS, own: isRenewed });
    const seq = record.kind === "signed" ? record.seq : undefined;
    const nobody = { holders: 0, unconfirmed: 0, refused: 0, silent: 0, hops: 0 };
    return { key: toKey(record.key), seq, ...nobody };
  }

  /** What we put we keep, so that it is put again. */
  #keepOwn(record: DhtRecord, ttlS: number): void {
    try {
      this.#parts.node.keeper.put(record, { source: "", subnet: undefined, ttlS, own: true });
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      this.#parts.log.warn("what was put will not be put again", {
        why: printable(error.message),
      });
    }
  }
}
