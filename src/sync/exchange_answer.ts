/**
 * A hub's side of a round: it says what there is to do, does its own part, and says when that is done.
 *
 * @module
 */

import { sleep } from "../clock.ts";
import { Backlog } from "./backlog.ts";
import { entryFromMessage, type SyncEntry } from "./entry.ts";
import type { SyncFolder } from "./folder.ts";
import type { SyncIndex } from "./index.ts";
import type { IndexPointMessage, SyncRequest, SyncResponse } from "./message_types.ts";
import { pagesOf } from "./pages.ts";
import { planSync, type SyncDelta, type SyncPlan } from "./plan.ts";

/** What the entries of one request may take of memory, in all of its pages: a million files. */
export const MAX_REQUEST_BYTES: number = 1024 * 1024 * 1024;

/** What requests may take that wait for their turn: who gets contents from the other side answers it later. */
const MAX_WAITING_BYTES: number = 32 * 1024 * 1024;

/** A request, and nothing else that came with it. */
type HeardRequest =
  & Pick<SyncRequest, "replica" | "of_replica" | "since" | "at" | "round" | "more">
  & { readonly entries: readonly SyncEntry[]; readonly isLeftOut: boolean };

/** What an answer needs. */
export interface AnswerOptions {
  /** The folder. */
  readonly folder: SyncFolder;
  /** Sends a page; resolves when the next one may follow. */
  readonly send: (response: SyncResponse) => Promise<void>;
  /** What entries are said to come from that the other side has told of. */
  readonly source: string;
  /** Takes entries in. @returns how many were not taken in. */
  readonly take: (entries: readonly SyncEntry[]) => Promise<number>;
  /** Whether changes of the other side are to be taken in. */
  readonly mayTake: () => boolean;
  /** Told at the moment of the plan: whatever changes from now on is told without being asked for. */
  readonly onPlan: () => void;
  /** Told after each round how many entries were to be taken in, and how many were told of. */
  readonly onRound: (taken: number, told: number) => void;
  /** Told why a request could not be answered, and its number. */
  readonly onFailure: (error: unknown, round: number | undefined) => void;
}

/** Answers the requests of one other side, in their order. */
export class Answerer {
  readonly #options: AnswerOptions;
  readonly #waiting: Backlog;
  readonly #told: Backlog;
  #answering: Promise<void> = Promise.resolve();
  #entries: SyncEntry[] = [];
  #isLeftOut = false;
  #round: number | undefined;
  #tookMs = 0;
  #isOver = false;

  /** Was not asked yet. */
  constructor(options: AnswerOptions) {
    this.#options = options;
    const whole = wholeOf(options.folder);
    this.#waiting = new Backlog("maxWaitingBytes", MAX_WAITING_BYTES, whole);
    this.#told = new Backlog("maxRequestBytes", MAX_REQUEST_BYTES, whole);
  }

  /** Has a request answered in its turn. @throws {LimitError} when too much waits. */
  take(request: SyncRequest): void {
    // Who may only read is not asked what it has.
    const heard = heardOf(request, this.#options.mayTake());
    this.#waiting.add(heard.entries);
    this.#answering = this.#answering.then(async () => {
      this.#waiting.remove(heard.entries);
      if (!this.#isOver) await this.#answer(heard);
    }).catch((error) => {
      if (!this.#isOver) this.#options.onFailure(error, heard.round);
    });
  }

  /** Answers nothing more. @returns when what is being answered is. */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.#answering;
    this.#waiting.clear();
    this.#forget();
  }

  /** @throws {LimitError} when all pages of a request are too much. */
  async #answer(request: HeardRequest): Promise<void> {
    const { folder, source, onPlan, onRound } = this.#options;
    const { index } = folder;
    const { replica, since, round, more = false } = request;
    const answered = round === undefined ? {} : { round };
    if (replica === undefined) {
      const { instructions } = await this.#plan(NOTHING);
      return await this.#send(instructions, answered);
    }
    const facts = { ...answered, replica: index.replica, rules: folder.rulesNumber };
    if (since === undefined) return await this.#send([], { ...facts, ...this.#self(replica) });
    this.#add(request);
    if (more) return;
    const [delta, isLeftOut] = [this.#entries, this.#isLeftOut];
    this.#forget();
    const knownSince = request.of_replica === index.replica ? since : 0;
    const plan = await this.#plan({ source, entries: delta, since: knownSince });
    onPlan();
    if (request.at !== undefined) this.#note(replica, request.at);
    const { instructions, takes, indexSeq } = plan;
    const taken = isLeftOut ? { taken: false } : {};
    const done = { index_seq: indexSeq, ...openingOf(index), ...taken };
    if (takes.length === 0) await this.#send(instructions, facts, done);
    else {
      await this.#send(instructions, facts);
      await this.#send([], facts, { ...done, taken: await this.#takeAll(takes) });
    }
    onRound(takes.length, instructions.length);
  }

  async #takeAll(takes: readonly SyncEntry[]): Promise<boolean> {
    const { take, mayTake } = this.#options;
    return mayTake() && await take(takes) === 0;
  }

  /** Who we are, and how far our index and that of who asks have come, so that it sees whether one was set back. */
  #self(replica: string): Omit<SyncResponse, "instructions"> {
    const { index } = this.#options.folder;
    const { opening, theirs: seq } = index.mark(heardBy(replica));
    const heard = opening === undefined ? {} : { heard: { opening, seq } };
    const openings = index.openings.map(({ name, began }) => ({ name, began }));
    return { index_seq: index.seq, openings, ...heard };
  }

  /** Notes what we have heard of, whether or not it is taken in then. */
  #note(replica: string, { opening, seq }: IndexPointMessage): void {
    const { folder: { index }, mayTake } = this.#options;
    const before = index.mark(heardBy(replica));
    if (!mayTake() || (before.opening === opening && before.theirs === seq)) return;
    index.setMark(heardBy(replica), { ours: 0, theirs: seq, opening });
  }

  /** Sends instructions in pages. @param done What the last one says besides. */
  async #send(
    instructions: SyncResponse["instructions"],
    facts: Omit<SyncResponse, "instructions">,
    done: Omit<SyncResponse, "instructions"> = {},
  ): Promise<void> {
    for (const { items, more } of pagesOf(instructions)) {
      await this.#options.send({ instructions: items, ...facts, ...more ? { more } : done });
    }
  }

  /** Takes time that a few bytes ask for: whoever asks again waits as long, so that others get their turns. */
  async #plan(delta: SyncDelta): Promise<SyncPlan> {
    const { clock, index } = this.#options.folder;
    if (this.#tookMs > 0) await sleep(clock, this.#tookMs);
    const startMs = clock.now();
    const plan = planSync(index, delta);
    this.#tookMs = clock.now() - startMs;
    return plan;
  }

  #add({ entries, round, isLeftOut }: HeardRequest): void {
    // Pages of a request that was cut off are no part of another.
    if (round !== this.#round) this.#forget();
    this.#round = round;
    this.#told.add(entries);
    this.#isLeftOut ||= isLeftOut;
    for (const entry of entries) this.#entries.push(entry);
  }

  #forget(): void {
    this.#entries = [];
    this.#isLeftOut = false;
    this.#told.clear();
  }
}

const wholes = new WeakMap<SyncFolder, Backlog>();

/** What all connections of a folder may take together. */
function wholeOf(folder: SyncFolder): Backlog {
  const whole = wholes.get(folder) ?? new Backlog("maxAllRequestBytes", MAX_REQUEST_BYTES);
  wholes.set(folder, whole);
  return whole;
}

/** What a side without an index has told us. */
const NOTHING: SyncDelta = { source: "", entries: [], since: 0 };

/** What is noted under a replica's name of how far its index was, as it has said. */
function heardBy(replica: string): string {
  return `${replica} heard`;
}

function openingOf({ openings }: SyncIndex): { opening?: string } {
  const opening = openings.at(-1)?.name;
  return opening === undefined ? {} : { opening };
}

function heardOf(request: SyncRequest, withEntries: boolean): HeardRequest {
  const { replica, of_replica, since, at, round, entries = [], more } = request;
  return {
    ...(replica === undefined ? {} : { replica }),
    ...(of_replica === undefined ? {} : { of_replica }),
    ...(since === undefined ? {} : { since }),
    ...(at === undefined ? {} : { at }),
    ...(round === undefined ? {} : { round }),
    ...(more === undefined ? {} : { more }),
    entries: withEntries ? entries.map(entryFromMessage) : [],
    isLeftOut: !withEntries && entries.length > 0,
  };
}
