/**
 * Whom a relay has asked to send to it: those who invited it, and, when it has lost its parent or nobody invites it, one
 * neighbour after the other, until somebody does.
 *
 * @module
 */

/**
 * How long a link is waited for after each of the upgrades to the same peer, in milliseconds; the originals' figures. Then
 * the next one is asked.
 */
const WAITS_MS = [100, 200, 400] as const;

/** How long after everybody was asked in vain all are asked again, in milliseconds; twice as long each time. */
const ROUND_MS = 400;
const LONGEST_ROUND_MS = 6_400;

/** What a search needs. */
export interface SearchPorts {
  /** Sends an upgrade. */
  ask(peerId: string): void;
  /** Whom to ask, the best first. */
  candidates(): readonly string[];
}

interface Question {
  readonly sinceMs: number;
  sent: number;
  dueMs: number;
}

/** The upgrades of one relay. */
export class ParentSearch {
  readonly #ports: SearchPorts;
  readonly #linkWaitMs: number;
  readonly #asked = new Map<string, Question>();
  #queue: string[] = [];
  #isSeeking = false;
  #roundMs = ROUND_MS;
  #nextMs = 0;
  #current: string | undefined;

  /** Asks nobody yet. @param linkWaitMs How long after a question a link is still taken, in milliseconds. */
  constructor(ports: SearchPorts, linkWaitMs: number) {
    this.#ports = ports;
    this.#linkWaitMs = linkWaitMs;
  }

  /** Whether neighbours are asked one after the other. */
  get isSeeking(): boolean {
    return this.#isSeeking;
  }

  /** Whether anybody was asked who may not have had the time to link. Later its link is welcome, but not waited for. */
  isWaiting(nowMs: number): boolean {
    const all = [...this.#asked.values()];
    return all.some(({ sent, dueMs }) => sent < WAITS_MS.length || nowMs < dueMs);
  }

  /** Whether somebody was asked, so that a link from there is welcome. */
  isAsked(peerId: string): boolean {
    return this.#asked.has(peerId);
  }

  /** Answers an invitation; also one that was answered before, because the answer may be lost. */
  answer(peerId: string, nowMs: number): void {
    const { sinceMs = nowMs } = this.#asked.get(peerId) ?? {};
    this.#asked.set(peerId, { sinceMs, sent: 1, dueMs: nowMs + WAITS_MS[0] });
    this.#ports.ask(peerId);
  }

  /** Begins to ask one neighbour after the other. */
  seek(nowMs: number): void {
    if (this.#isSeeking) return;
    this.#isSeeking = true;
    this.#roundMs = ROUND_MS;
    this.#queue = [...this.#ports.candidates()];
    this.#askNext(nowMs);
  }

  /** Somebody does not want to. */
  refused(peerId: string, nowMs: number): void {
    this.#asked.delete(peerId);
    if (this.#isSeeking && this.#current === peerId) this.#askNext(nowMs);
  }

  /** A parent was found, or is no longer wanted. */
  stop(): void {
    this.#asked.clear();
    this.#isSeeking = false;
    this.#current = undefined;
    this.#queue = [];
  }

  /** Repeats what was not answered, and asks the next one. */
  tick(nowMs: number): void {
    for (const [peerId, question] of this.#asked) {
      if (nowMs < question.dueMs) continue;
      const waitMs = WAITS_MS[question.sent];
      if (waitMs !== undefined) {
        question.sent++;
        question.dueMs = nowMs + waitMs;
        this.#ports.ask(peerId);
        continue;
      }
      // A link that comes late is still welcome.
      if (nowMs - question.sinceMs >= this.#linkWaitMs) this.#asked.delete(peerId);
      if (this.#current === peerId) this.#askNext(nowMs);
    }
    if (this.#isSeeking && this.#current === undefined && nowMs >= this.#nextMs) {
      this.#queue = [...this.#ports.candidates()];
      this.#askNext(nowMs);
    }
  }

  #askNext(nowMs: number): void {
    this.#current = this.#queue.shift();
    if (this.#current !== undefined) return this.answer(this.#current, nowMs);
    this.#nextMs = nowMs + this.#roundMs;
    this.#roundMs = Math.min(2 * this.#roundMs, LONGEST_ROUND_MS);
  }
}
