/**
 * Questions by packet that wait for an answer: each has a nonce that nobody can guess, and only those who were asked may
 * answer it.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";
import { type Address, formatAddress } from "../transport/transport.ts";
import type { MemberPacket } from "./packets.ts";

/** Most questions that wait at a time; whoever would ask one more goes without. */
const MAX_WAITING = 4_096;

/** A question. */
export interface Question {
  /** Whom it goes to. */
  readonly to: readonly Address[];
  /** How long it waits in milliseconds. */
  readonly timeoutMs: number;
  /** Called with each answer until it says that this was enough. */
  readonly answered: (packet: MemberPacket, from: Address) => boolean;
  /** Called once, when the time is over and no answer was enough; told by how much the timer was late. */
  readonly unanswered?: (lateMs: number) => void;
}

interface Waiting {
  readonly question: Question;
  readonly from: Set<string>;
  readonly timer: Timer;
}

/** Questions that wait; see the module. */
export class Questions {
  readonly #clock: Clock;
  readonly #nonce: () => number;
  readonly #waiting = new Map<number, Waiting>();

  /** Nothing waits. */
  constructor(clock: Clock, nonce: () => number) {
    this.#clock = clock;
    this.#nonce = nonce;
  }

  /** Begins to wait. @returns the nonce to ask with, or `undefined` when too many wait. */
  add(question: Question): number | undefined {
    if (this.#waiting.size >= MAX_WAITING) return undefined;
    const nonce = this.#nonce();
    const dueMs = this.#clock.now() + question.timeoutMs;
    const timer = this.#clock.after(question.timeoutMs, () => {
      this.#waiting.delete(nonce);
      question.unanswered?.(this.#clock.now() - dueMs);
    });
    const from = new Set(question.to.map(formatAddress));
    this.#waiting.set(nonce, { question, from, timer });
    return nonce;
  }

  /** Whether an answer from there is waited for. */
  expects({ nonce }: MemberPacket, from: Address): boolean {
    return this.#waiting.get(nonce)?.from.has(formatAddress(from)) ?? false;
  }

  /** Takes an answer. @returns whether it was asked for. */
  answer(packet: MemberPacket, from: Address): boolean {
    const waiting = this.#waiting.get(packet.nonce);
    if (waiting === undefined || !waiting.from.has(formatAddress(from))) return false;
    if (waiting.question.answered(packet, from)) {
      waiting.timer.cancel();
      this.#waiting.delete(packet.nonce);
    }
    return true;
  }

  /** Forgets what waits. */
  clear(): void {
    for (const { timer } of this.#waiting.values()) timer.cancel();
    this.#waiting.clear();
  }
}
