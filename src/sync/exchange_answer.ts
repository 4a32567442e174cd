/**
 * A hub's side of a round: it says what there is to do, does its own part, and says when that is done.
 *
 * @module
 */

import { sleep } from "../clock.ts";
import { Backlog } from "./backlog.ts";
import { entryFromMessage, type SyncEntry } from "./entry.ts";
import type { SyncFolder } from "./folder.ts";
import type { SyncRequest, SyncResponse } from "./message_types.ts";
import { pagesOf } from "./pages.ts";
import { planSync, type SyncDelta, type SyncPlan } from "./plan.ts";

/** What the entries of one request may take of memory, in all of its pages: a million files. */
export const MAX_REQUEST_BYTES: number = 512 * 1024 * 1024;

/** What requests may take that wait for their turn: who gets contents from the other side answers it later. */
const MAX_WAITING_BYTES: number = 32 * 1024 * 1024;

/** A request, and nothing else that came with it. */
type HeardRequest =
  & Pick<SyncRequest, "replica" | "of_replica" | "since" | "round" | "more">
  & { readonly entries: readonly SyncEntry[] };

/** What an answer needs. */
export interface AnswerOptions {
  /** The folder. */
  readonly folder: SyncFolder;
  /** Sends a page; resolves when the next one may follow. */
  readonly send: (response: SyncResponse) => Promise<void>;
  /** Takes entries in that come from a replica. @returns how many were not taken in. */
  readonly take: (entries: readonly SyncEntry[], source: string) => Promise<number>;
  /** Whether changes of the other side are to be taken in. */
  readonly mayTake: () => boolean;
  /** Told at the moment of the plan: whatever changes from now on is told without being asked for. */
  readonly onPlan: (replica: string) => void;
  /** Told after each round how many entries were to be taken in, and how many were told of. */
  readonly onRound: (taken: number, told: number) => void;
  /** Told why a request could not be answered. */
  readonly onFailure: (error: unknown) => void;
}

/** Answers the requests of one other side, in their order. */
export class Answerer {
  readonly #options: AnswerOptions;
  readonly #waiting = new Backlog("maxWaitingBytes", MAX_WAITING_BYTES);
  readonly #told = new Backlog("maxRequestBytes", MAX_REQUEST_BYTES);
  #answering: Promise<void> = Promise.resolve();
  #entries: SyncEntry[] = [];
  #round: number | undefined;
  #tookMs = 0;
  #isOver = false;

  /** Was not asked yet. */
  constructor(options: AnswerOptions) {
    this.#options = options;
  }

  /** Has a request answered in its turn. @throws {LimitError} when too much waits. */
  take(request: SyncRequest): void {
    const heard = heardOf(request);
    this.#waiting.add(heard.entries);
    this.#answering = this.#answering.then(async () => {
      this.#waiting.remove(heard.entries);
      if (!this.#isOver) await this.#answer(heard);
    }).catch((error) => {
      if (!this.#isOver) this.#options.onFailure(error);
    });
  }

  /** Answers nothing more. @returns when what is being answered is. */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.#answering;
  }

  /** @throws {LimitError} when all pages of a request are too much. */
  async #answer(request: HeardRequest): Promise<void> {
    const { folder: { index }, onPlan, onRound } = this.#options;
    const { replica, since, round, entries, more = false } = request;
    const answered = round === undefined ? {} : { round };
    if (replica === undefined) {
      const { instructions } = await this.#plan(NOTHING);
      return await this.#send(instructions, answered);
    }
    const facts = { ...answered, replica: index.replica };
    if (since === undefined) return await this.#send([], { ...facts, index_seq: index.seq });
    this.#add(entries, round);
    if (more) return;
    const delta = this.#entries;
    this.#forget();
    const knownSince = request.of_replica === index.replica ? since : 0;
    const plan = await this.#plan({ replica, entries: delta, since: knownSince });
    onPlan(replica);
    const { instructions, takes, indexSeq } = plan;
    const done = { index_seq: indexSeq };
    if (takes.length === 0) await this.#send(instructions, facts, done);
    else {
      await this.#send(instructions, facts);
      await this.#send([], facts, { ...done, taken: await this.#takeAll(takes, replica) });
    }
    onRound(takes.length, instructions.length);
  }

  async #takeAll(takes: readonly SyncEntry[], replica: string): Promise<boolean> {
    const { take, mayTake } = this.#options;
    return mayTake() && await take(takes, replica) === 0;
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

  #add(entries: readonly SyncEntry[], round: number | undefined): void {
    // Pages of a request that was cut off are no part of another.
    if (round !== this.#round) this.#forget();
    this.#round = round;
    this.#told.add(entries);
    for (const entry of entries) this.#entries.push(entry);
  }

  #forget(): void {
    this.#entries = [];
    this.#told.clear();
  }
}

/** What a side without an index has told us. */
const NOTHING: SyncDelta = { replica: "", entries: [], since: 0 };

function heardOf(request: SyncRequest): HeardRequest {
  const { replica, of_replica, since, round, entries = [], more } = request;
  return {
    ...(replica === undefined ? {} : { replica }),
    ...(of_replica === undefined ? {} : { of_replica }),
    ...(since === undefined ? {} : { since }),
    ...(round === undefined ? {} : { round }),
    ...(more === undefined ? {} : { more }),
    entries: entries.map(entryFromMessage),
  };
}
