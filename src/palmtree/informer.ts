/**
 * The sender's first step: informs everybody, again while somebody does not answer, and gathers who takes part. A state
 * machine without I/O.
 *
 * An answer counts once, whenever it comes; who answers after the session has begun is a late joiner. The other side answers
 * every inform alike.
 *
 * @module
 */

import type { PalmTreeInformResponse } from "./session.ts";

/** When an inform is sent again, in milliseconds after the first; the originals send one and wait. */
const AGAIN_MS = [250, 750, 1_750] as const;

/** What the informer does to the world. */
export interface InformerPorts {
  /** Sends the inform to somebody, from a socket of its own that the answer comes back to. */
  inform(peerId: string): void;
  /** Whether an answer is from who was informed. @default its id is what that is called */
  isMeant?(response: PalmTreeInformResponse, asked: string): boolean;
  /** Somebody takes part. @param asked What it was called */
  joined(response: PalmTreeInformResponse, asked: string): void;
  /** Everybody has answered, or the time is over. @param silent Who has not answered. */
  done(silent: readonly string[]): void;
}

interface Invited {
  readonly sinceMs: number;
  sent: number;
}

/** Informs the receivers of one session. */
export class Informer {
  readonly #key: string;
  readonly #linkWaitMs: number;
  readonly #ports: InformerPorts;
  readonly #waiting = new Map<string, Invited>();
  readonly #joined = new Set<string>();
  readonly #silent = new Set<string>();
  #isDone = false;

  /** Informs nobody yet. @param linkWaitMs How long an answer may take, in milliseconds. */
  constructor(
    session: { readonly key: string; readonly linkWaitMs: number },
    ports: InformerPorts,
  ) {
    this.#key = session.key;
    this.#linkWaitMs = session.linkWaitMs;
    this.#ports = ports;
  }

  /** Who has answered. */
  get joined(): ReadonlySet<string> {
    return this.#joined;
  }

  /** Informs somebody; later than the others, too. */
  invite(peerIds: readonly string[], nowMs: number): void {
    for (const peerId of peerIds) {
      if (this.#joined.has(peerId) || this.#waiting.has(peerId)) continue;
      this.#waiting.set(peerId, { sinceMs: nowMs, sent: 1 });
      this.#ports.inform(peerId);
    }
  }

  /**
   * Takes an answer.
   *
   * @param asked Who was informed over the socket that it came to.
   * @returns whether it counts: it is that peer's, has the session's key, and is the first.
   */
  answered(response: PalmTreeInformResponse, asked: string, nowMs: number): boolean {
    const isMeant = this.#ports.isMeant?.(response, asked) ?? response.peerId === asked;
    if (!isMeant || response.sessionKey !== this.#key || this.#joined.has(asked)) return false;
    this.#waiting.delete(asked);
    this.#silent.delete(asked);
    this.#joined.add(asked);
    this.#ports.joined(response, asked);
    this.tick(nowMs);
    return true;
  }

  /** Informs again who is silent, and sees whether that is all: to be called every 100 milliseconds or so. */
  tick(nowMs: number): void {
    for (const [peerId, invited] of this.#waiting) {
      const waitedMs = nowMs - invited.sinceMs;
      if (waitedMs >= this.#linkWaitMs) {
        this.#waiting.delete(peerId);
        this.#silent.add(peerId);
      } else if (waitedMs >= (AGAIN_MS[invited.sent - 1] ?? Infinity)) {
        invited.sent++;
        this.#ports.inform(peerId);
      }
    }
    if (this.#isDone || this.#waiting.size > 0) return;
    this.#isDone = true;
    this.#ports.done([...this.#silent]);
  }
}
