/**
 * What happens in a mesh, on its way to whoever iterates over it.
 *
 * @module
 */

import type { PeerStatus } from "../endpoint/peer_table.ts";
import { LimitError } from "../errors.ts";
import type { Address } from "../transport/transport.ts";
import { decode, encode } from "../wire/msgpack.ts";

/** Events that may wait for their reader before the connections that they come on are held back. */
const WAITING_EVENTS = 256;

/** Bytes of messages that may wait: one of the largest still goes in when others wait. */
const WAITING_BYTES = 4 * 1024 * 1024;

/** Events that may wait in all: those of servers that come and go have no connection that could be held back. */
const MAX_WAITING_EVENTS = 1024;

/** A server of the same project that we are connected to. */
export interface MeshPeer {
  /** Who it is. */
  readonly peerId: string;
  /** Its server name, as it says: a label. */
  readonly name: string;
  /** Where it is. */
  readonly address: Address;
  /** Its source hash, empty where it has none. */
  readonly sourceHash: string;
  /** When it joined, in milliseconds since 1970. */
  readonly since: number;
  /** The round trip, once a heartbeat has measured it. */
  readonly rttMs: number | undefined;
  /** Whether it is alive, as the membership knows it, and why; `undefined` where we are in no group, or it is not. */
  readonly status: PeerStatus | undefined;
}

/** What happens in the mesh. */
export type MeshEvent =
  | { readonly type: "joined" | "left"; readonly peer: MeshPeer }
  | { readonly type: "message"; readonly peer: MeshPeer; readonly data: unknown };

/** An event that waits; a message as bytes, which have a weight and belong to nobody else. */
type Waiting =
  | { readonly type: "joined" | "left"; readonly peer: MeshPeer }
  | { readonly type: "message"; readonly peer: MeshPeer; readonly bytes: Uint8Array };

/** The events of one reader, from when it begins to read until it leaves. */
export class MeshEvents implements AsyncIterator<MeshEvent, undefined> {
  readonly #onReturn: () => void;
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #over = false;
  // One promise for all who wait to push, and one for the reader.
  #room: PromiseWithResolvers<void> | undefined;
  #arrival: PromiseWithResolvers<void> | undefined;

  /** No events yet. @param onReturn Called when the reader leaves. */
  constructor(onReturn: () => void) {
    this.#onReturn = onReturn;
  }

  /** Makes sure that one more server may come. @throws {LimitError} `limit` when too much waits. */
  checkRoom(): void {
    if (this.#waiting.length < MAX_WAITING_EVENTS) return;
    const text = `Cannot join: ${MAX_WAITING_EVENTS} events wait to be read (maxWaitingEvents)`;
    const details = { limit: "maxWaitingEvents", max: MAX_WAITING_EVENTS };
    throw new LimitError("limit", text, { details });
  }

  /** Adds that a server has come or gone. @returns what to wait for before more is taken in, if anything. */
  tell(type: "joined" | "left", peer: MeshPeer): Promise<void> | undefined {
    return this.#push({ type, peer });
  }

  /** Adds a message, whose data may be made of views. @returns what to wait for before more is taken in, if anything. */
  message(peer: MeshPeer, data: unknown): Promise<void> | undefined {
    return this.#push({ type: "message", peer, bytes: encode(data) });
  }

  /** The next event, or the end: after `close` what waits is still given. */
  async next(): Promise<IteratorResult<MeshEvent, undefined>> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next !== undefined) return { done: false, value: this.#open(next) };
      if (this.#over) return { done: true, value: undefined };
      await (this.#arrival ??= Promise.withResolvers()).promise;
    }
  }

  /** The reader leaves: what waits is forgotten, and nobody waits for it any more. */
  return(): Promise<IteratorResult<MeshEvent, undefined>> {
    this.#waiting.length = 0;
    this.close();
    this.#onReturn();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Nothing more will happen. */
  close(): void {
    this.#over = true;
    this.#arrival?.resolve();
    this.#room?.resolve();
  }

  get #isFull(): boolean {
    return this.#waiting.length >= WAITING_EVENTS || this.#waitingBytes >= WAITING_BYTES;
  }

  #push(event: Waiting): Promise<void> | undefined {
    if (this.#over) return undefined;
    this.#waiting.push(event);
    this.#waitingBytes += weightOf(event);
    this.#arrival?.resolve();
    this.#arrival = undefined;
    return this.#isFull ? (this.#room ??= Promise.withResolvers()).promise : undefined;
  }

  #open(event: Waiting): MeshEvent {
    this.#waitingBytes -= weightOf(event);
    if (!this.#isFull) {
      this.#room?.resolve();
      this.#room = undefined;
    }
    if (event.type !== "message") return event;
    const { type, peer, bytes } = event;
    return { type, peer, data: decode(bytes) };
  }
}

function weightOf(event: Waiting): number {
  return event.type === "message" ? event.bytes.length : 0;
}
