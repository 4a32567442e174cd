/**
 * Messages that were heard of and have not come: who can be asked for them, and when it is time to.
 *
 * What comes late by itself is not to be asked for, or a busy topic gets busier. So a message is waited for as long as
 * those that its author wrote before it are still arriving, and otherwise as long as messages lately took.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";
import { keyOf, type MessageId } from "./id_list.ts";

/** Messages that are waited for at most because one neighbour was the first to tell of them: it may have invented them. */
const MAX_MISSING = 4_096;

/** Neighbours of whom it is remembered that they can give the same message. */
const MAX_ANNOUNCERS = 5;

/** How long a message is waited for, in milliseconds, though others of its author arrive. */
const LONGEST_MS = 5_000;

/** Authors of whom it is remembered how far their messages have come. */
const MAX_AUTHORS = 256;

/** Who has a message, and by how many hops it would come from there. */
export interface Announcer {
  /** A neighbour. */
  readonly peerId: string;
  /** Hops. */
  readonly hops: number;
}

/** What {@linkcode Missing} needs. */
export interface MissingParts {
  /** Time and timers. */
  readonly clock: Clock;
  /** How long a message may take to come by itself, in milliseconds, as of now. */
  readonly patienceMs: () => number;
  /** How long it may take after it was asked for, before somebody else is asked, in milliseconds, as of now. */
  readonly againMs: () => number;
  /** Whether somebody is a neighbour. */
  readonly isNeighbor: (peerId: string) => boolean;
  /** Asks a neighbour for messages. */
  readonly ask: (peerId: string, ids: readonly MessageId[]) => void;
}

/** A message that was heard of. */
interface Entry {
  readonly id: MessageId;
  /** Who has it and was not asked yet, in the order in which they said so. */
  readonly announcers: Announcer[];
  readonly heardMs: number;
  /** Who was the first to tell of it. */
  readonly by: string;
  dueMs: number;
  wasAsked: boolean;
}

/** See the module. */
export class Missing {
  readonly #parts: MissingParts;
  readonly #entries = new Map<string, Entry>();
  // How many of them each neighbour was the first to tell of.
  readonly #counts = new Map<string, number>();
  // Those that may come by themselves, and those that were asked for; each more or less in the order of when they are due.
  #waiting: Entry[] = [];
  #asked: Entry[] = [];
  // How far the messages of an author have come, and when.
  readonly #progress = new Map<string, { seq: number; atMs: number }>();
  #timer: Timer | undefined;

  /** Nothing is missing. */
  constructor(parts: MissingParts) {
    this.#parts = parts;
  }

  /** How many there are. */
  get size(): number {
    return this.#entries.size;
  }

  /** A neighbour says that it has a message which has not come. @param patienceMs How long it may take to come by itself. */
  add(id: MessageId, announcer: Announcer, patienceMs: number = this.#parts.patienceMs()): void {
    const known = this.#entries.get(keyOf(id.author, id.seq));
    if (known !== undefined) {
      const isNew = known.announcers.every(({ peerId }) => peerId !== announcer.peerId);
      if (isNew && known.announcers.length < MAX_ANNOUNCERS) known.announcers.push(announcer);
      return;
    }
    const { peerId: by } = announcer;
    const count = this.#counts.get(by) ?? 0;
    if (count >= MAX_MISSING) return;
    this.#counts.set(by, count + 1);
    const heardMs = this.#parts.clock.now();
    const dueMs = heardMs + patienceMs;
    const entry = { id, announcers: [announcer], heardMs, by, dueMs, wasAsked: false };
    this.#entries.set(keyOf(id.author, id.seq), entry);
    this.#waiting.push(entry);
    this.#timer ??= this.#wake(dueMs);
  }

  /** A message has come. @returns who else has it and when it was first heard of, if it was. */
  came(id: MessageId, nowMs: number): Pick<Entry, "announcers" | "heardMs"> | undefined {
    const progress = this.#progress.get(id.author);
    if (progress !== undefined) {
      progress.seq = id.seq;
      progress.atMs = nowMs;
    } else this.#begin(id, nowMs);
    return this.drop(id);
  }

  /** A message is not wanted any more. @returns what was known of it. */
  drop({ author, seq }: MessageId): Pick<Entry, "announcers" | "heardMs"> | undefined {
    if (this.#entries.size === 0) return undefined;
    const entry = this.#entries.get(keyOf(author, seq));
    if (entry !== undefined) this.#remove(entry);
    return entry;
  }

  /** Nothing is missing any more. */
  stop(): void {
    this.#timer?.cancel();
    this.#entries.clear();
    this.#counts.clear();
    this.#waiting = [];
    this.#asked = [];
  }

  /** Takes note of an author of whom nothing came before, at the price of the one who began first. */
  #begin({ author, seq }: MessageId, atMs: number): void {
    this.#progress.set(author, { seq, atMs });
    if (this.#progress.size <= MAX_AUTHORS) return;
    const [first] = this.#progress.keys();
    if (first !== undefined) this.#progress.delete(first);
  }

  #remove({ id, by }: Entry): void {
    this.#entries.delete(keyOf(id.author, id.seq));
    const count = this.#counts.get(by) ?? 0;
    if (count > 1) this.#counts.set(by, count - 1);
    else this.#counts.delete(by);
  }

  #wake(dueMs: number): Timer {
    const { clock } = this.#parts;
    return clock.after(Math.max(1, dueMs - clock.now()), () => this.#askDue());
  }

  #askDue(): void {
    this.#timer = undefined;
    const nowMs = this.#parts.clock.now();
    const patienceMs = this.#parts.patienceMs();
    const againMs = this.#parts.againMs();
    const asked = new Map<string, MessageId[]>();
    for (const entry of [...takeDue(this.#waiting, nowMs), ...takeDue(this.#asked, nowMs)]) {
      if (this.#entries.get(keyOf(entry.id.author, entry.id.seq)) !== entry) continue;
      if (this.#isArriving(entry, nowMs, patienceMs)) {
        entry.dueMs = nowMs + patienceMs;
        this.#waiting.push(entry);
        continue;
      }
      const peerId = this.#nextFor(entry);
      if (peerId === undefined) {
        this.#remove(entry);
        continue;
      }
      const ids = asked.get(peerId);
      if (ids === undefined) asked.set(peerId, [entry.id]);
      else ids.push(entry.id);
      entry.wasAsked = true;
      entry.dueMs = nowMs + againMs;
      this.#asked.push(entry);
    }
    const dueMs = Math.min(this.#waiting[0]?.dueMs ?? Infinity, this.#asked[0]?.dueMs ?? Infinity);
    if (dueMs < Infinity) this.#timer = this.#wake(dueMs);
    for (const [peerId, ids] of asked) this.#parts.ask(peerId, ids);
  }

  /** Whether messages of its author are arriving that were written before it. */
  #isArriving({ id, heardMs, wasAsked }: Entry, nowMs: number, patienceMs: number): boolean {
    const progress = this.#progress.get(id.author);
    if (progress === undefined || wasAsked || nowMs - heardMs >= LONGEST_MS) return false;
    return progress.seq < id.seq && nowMs - progress.atMs < patienceMs;
  }

  #nextFor({ announcers }: Entry): string | undefined {
    for (let next = announcers.shift(); next !== undefined; next = announcers.shift()) {
      if (this.#parts.isNeighbor(next.peerId)) return next.peerId;
    }
    return undefined;
  }
}

/** Takes those out of a queue that are due. */
function takeDue(queue: Entry[], nowMs: number): Entry[] {
  const due = queue.findIndex(({ dueMs }) => dueMs > nowMs);
  return queue.splice(0, due < 0 ? Infinity : due);
}
