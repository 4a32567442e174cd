/**
 * What a relay needs from outside, what it tells, and how it is tuned.
 *
 * @module
 */

import type { Address } from "../transport/transport.ts";
import type { ChunkList } from "./chunk_list.ts";
import type { ChunkSet } from "./chunk_set.ts";
import type { ControlMessage } from "./control.ts";
import type { LinkFrame } from "./link_frames.ts";
import type { Participant } from "./participant.ts";
import type { PalmTreeSession } from "./session.ts";

/** How far a relay is; the originals' numbers. */
export const RELAY_STATE = { initial: 1, ready: 2, linksKnown: 3, treeChecked: 4 } as const;

/** A state of {@linkcode RELAY_STATE}. */
export type RelayState = typeof RELAY_STATE[keyof typeof RELAY_STATE];

/** Everything that a relay does to the world. None of these may call it back before it returns. */
export interface RelayPorts {
  /** Sends a packet, which may get lost: sealed to one of ours, plain to an original. */
  send(message: ControlMessage, to: Participant): void;
  /** Opens a link to a child; `linkUp` or `linkFailed` is called once it is known. */
  connect(to: Participant): void;
  /** Closes the link with somebody, once what was told is written; `linkDown` need not be called. */
  close(peerId: string): void;
  /** Sends a small frame over a link, before chunks that wait. Links to originals get none. */
  tell(peerId: string, frame: LinkFrame): void;
  /** Sends a chunk over a link; `sent` is called once it is written. */
  give(peerId: string, index: number): void;
  /** Keeps a verified chunk: when it returns the chunk can be given. @throws whatever keeps it from that */
  keep(index: number, data: Uint8Array): void;
  /** Tells what happened. */
  emit(event: RelayEvent): void;
}

/** What happens to a relay. */
export type RelayEvent =
  | {
    /** Somebody sends to us, or takes what we send. */
    readonly type: "parent" | "child";
    /** Who. */
    readonly peerId: string;
  }
  | {
    /** Somebody sends to us, or takes what we send, no more. */
    readonly type: "lost-parent" | "lost-child";
    /** Who. */
    readonly peerId: string;
    /** Why, in a word or two. */
    readonly why: string;
  }
  | {
    /** Somebody gave something else than the chunk that was announced, and is cut off. */
    readonly type: "corrupt";
    /** Who. */
    readonly peerId: string;
    /** Which chunk. */
    readonly index: number;
  }
  | {
    /** A child takes what is sent too slowly, or does no more. */
    readonly type: "lagging" | "caught-up";
    /** Who. */
    readonly peerId: string;
  }
  | {
    /** Everything is there, verified. */
    readonly type: "complete";
  }
  | {
    /** A chunk could not be kept, or the sender is gone: the session is over here. */
    readonly type: "failed";
    /** What was thrown, or a `TimeoutError`. */
    readonly error: unknown;
  };

/** Where a packet came from. */
export interface Envelope {
  /** Its source. */
  readonly address: Address;
  /** Who sealed it, in decimal; `undefined` where it has no seal. */
  readonly sealedBy: string | undefined;
}

/** How a relay is tuned. */
export interface RelayTuning {
  /** Chunks that are on the way to a child at once. @default {4} */
  readonly windowChunks: number;
  /** A child that takes longer than this for a chunk is lagging, in milliseconds. @default {3000} */
  readonly lagMs: number;
  /** Children are compared whenever the best of them took so many chunks: who took less than half lags. @default {32} */
  readonly lagChunks: number;
  /** But not more often than this, in milliseconds: everybody is late for a moment. @default {2000} */
  readonly lagEveryMs: number;
  /** A child that takes longer than this for a chunk is gone, in milliseconds. @default {15000} */
  readonly deadMs: number;
  /** Time between two signs of life on a link, in milliseconds. @default {1000} */
  readonly beatMs: number;
  /** How long whoever knows its neighbours waits to be asked before it asks, in milliseconds. @default {1000} */
  readonly joinMs: number;
  /** How long a parent may give nothing, in milliseconds, and a beat more for every step from the sender. @default {10000} */
  readonly stallMs: number;
  /** How long a parent may be without a way to the sender, in milliseconds. @default {3000} */
  readonly rootlessMs: number;
  /** How long a relay looks for a way to the sender before it fails, in milliseconds. @default {60000} */
  readonly giveUpMs: number;
  /** Children beyond the fan-out for those who lost their parent; the sender has none. @default {1} */
  readonly spare: number;
}

/** See {@linkcode RelayTuning}. */
export const RELAY_DEFAULTS: RelayTuning = {
  windowChunks: 4,
  lagMs: 3_000,
  lagChunks: 32,
  lagEveryMs: 2_000,
  deadMs: 15_000,
  beatMs: 1_000,
  joinMs: 1_000,
  stallMs: 10_000,
  rootlessMs: 3_000,
  giveUpMs: 60_000,
  spare: 1,
};

/** Who a relay is and what it passes on. */
export interface RelayOptions {
  /** Who we are. */
  readonly self: Participant;
  /** The session. */
  readonly session: PalmTreeSession;
  /** What the content is. @default it is said later, by `announce`: links of originals begin with it */
  readonly content?: ChunkList | undefined;
  /** What is there already; the relay adds to it. @default nothing, for the sender everything */
  readonly have?: ChunkSet;
  /** Where the inform came from, and whether one of ours sent it. @default it is ourselves */
  readonly root?: { readonly hostname: string; readonly isKith: boolean };
  /** How it is tuned. */
  readonly tuning?: Partial<RelayTuning>;
}
