/**
 * Files that come, as a page is told of them.
 *
 * @module
 */

import { PeerError } from "../errors.ts";

/**
 * What a receiver says of files that come: of one that is there, of the end of a transfer, of its failure, of an offer that
 * there is no room for.
 */
export type TransferNews =
  | {
    readonly type: "received";
    /** Who sends. */
    readonly from: TransferSource;
    /** Where the file is, below the folder that receives. */
    readonly path: string;
    /** Its size. */
    readonly bytes: number;
  }
  | { readonly type: "done"; readonly from: TransferSource }
  | { readonly type: "failed"; readonly from: TransferSource; readonly error: unknown }
  | { readonly type: "refused"; readonly from: TransferSource; readonly error: unknown };

/** Who sends; the same object for all of one transfer, as it belongs to one connection. */
export interface TransferSource {
  /** 40 hexadecimal digits. */
  readonly peerId: string;
}

/** A transfer that comes in. */
interface Coming {
  readonly id: string;
  path: string;
  bytes: number;
}

/** Gives transfers that come in their ids. Two at once over one connection are shown as one. */
export class ReceivedTransfers {
  readonly #newId: () => string;
  readonly #coming = new WeakMap<TransferSource, Coming>();

  /** @param newId Makes an id. */
  constructor(newId: () => string) {
    this.#newId = newId;
  }

  /** The content of the message for it. */
  describe(news: TransferNews): Readonly<Record<string, unknown>> {
    const { from } = news;
    const coming = this.#coming.get(from) ?? this.#make();
    switch (news.type) {
      case "received":
        this.#coming.set(from, coming);
        coming.path = news.path;
        coming.bytes += news.bytes;
        return stateOf(coming);
      case "done":
        this.#coming.delete(from);
        return { confirmation: true, transferId: coming.id };
      case "failed":
        this.#coming.delete(from);
        return { ...stateOf(coming), cancelled: true, error: codeOf(news.error) };
      case "refused": // and what comes meanwhile goes on
        return { ...stateOf(this.#make()), cancelled: true, error: codeOf(news.error) };
      default:
        return news satisfies never;
    }
  }

  #make(): Coming {
    return { id: this.#newId(), path: "", bytes: 0 };
  }
}

function stateOf({ id, path, bytes }: Coming): Readonly<Record<string, unknown>> {
  return { item_path: path, received: bytes, transfer_id: id };
}

/** The error's own text may say where files are kept. */
function codeOf(error: unknown): string {
  return error instanceof PeerError ? error.code : "internal";
}
