/**
 * The transfers at work, for whoever shows them. It only listens: nothing that it does can hold one up.
 *
 * @module
 */

import type { PeerInfo } from "../endpoint/handshake.ts";

/** A transfer at work. */
export interface TransferRow {
  /** Whether it is sent or comes in. */
  readonly direction: "out" | "in";
  /** The other side: as it was named by whoever sends, else its name or id. */
  readonly peer: string;
  /** What it is called; empty where that is not known. */
  readonly what: string;
  /** Bytes that the receiver has, verified. */
  readonly bytes: number;
  /** Bytes in all; 0 where that is not known. */
  readonly totalBytes: number;
  /** Whether either side has stopped it for a while. */
  readonly paused: boolean;
}

/** What takes files in, as far as it is shown. */
export interface ShownReceiver {
  /** Transfers under way. */
  readonly progress: readonly {
    readonly from: Pick<PeerInfo, "name" | "peerId">;
    readonly bytes: number;
    readonly totalBytes: number;
    readonly paused: boolean;
  }[];
}

/** What happens while something is sent, of which progress is shown. */
export type ShownEvent = { readonly type: string } | {
  readonly type: "progress";
  /** Bytes that the receiver has. */
  readonly bytes: number;
  /** Bytes in all. */
  readonly totalBytes: number;
  /** Whether either side has stopped it for a while. */
  readonly paused: boolean;
};

/**
 * See the module.
 *
 * @example
 * ```ts
 * import { TransferBoard } from "@kith/kith/status";
 * import { assertEquals } from "@std/assert";
 *
 * // Such as `sendFiles` gives.
 * async function* sending() {
 *   yield { type: "progress", bytes: 5, totalBytes: 10, paused: false };
 * }
 *
 * const board = new TransferBoard();
 * const seen: unknown[] = [];
 * for await (const _ of board.follow({ peer: "bob", what: "a.txt" }, sending())) {
 *   seen.push(board.rows.map(({ peer, bytes }) => [peer, bytes]));
 * }
 * assertEquals([seen, board.rows], [[[["bob", 5]]], []]);
 * ```
 */
export class TransferBoard {
  readonly #sending = new Set<TransferRow>();
  readonly #receivers = new Set<ShownReceiver>();

  /** The transfers at work, those that are sent first. */
  get rows(): TransferRow[] {
    const coming = [...this.#receivers].flatMap(({ progress }) => {
      return progress.map(({ from, bytes, totalBytes, paused }): TransferRow => ({
        direction: "in",
        peer: from.name || from.peerId,
        what: "",
        ...{ bytes, totalBytes, paused },
      }));
    });
    return [...this.#sending, ...coming];
  }

  /** Passes the events of what is sent on, and shows it until they end. */
  async *follow<E extends ShownEvent>(
    about: { readonly peer: string; readonly what: string },
    events: AsyncIterable<E>,
  ): AsyncGenerator<E, void, void> {
    const row = { direction: "out" as const, ...about, bytes: 0, totalBytes: 0, paused: false };
    this.#sending.add(row);
    try {
      for await (const event of events) {
        if ("bytes" in event && event.type === "progress") {
          const { bytes, totalBytes, paused } = event;
          Object.assign(row, { bytes, totalBytes, paused });
        }
        yield event;
      }
    } finally {
      this.#sending.delete(row);
    }
  }

  /** Shows what comes in. @returns what ends that. */
  watch(receiver: ShownReceiver): Disposable {
    this.#receivers.add(receiver);
    return { [Symbol.dispose]: () => void this.#receivers.delete(receiver) };
  }
}
