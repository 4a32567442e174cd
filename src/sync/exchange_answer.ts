/**
 * A hub's side of a round: it says what there is to do, does its own part, and says when that is done.
 *
 * @module
 */

import { LimitError } from "../errors.ts";
import { entryFromMessage, type SyncEntry } from "./entry.ts";
import type { SyncFolder } from "./folder.ts";
import type { SyncRequest, SyncResponse } from "./message_types.ts";
import { pagesOf } from "./pages.ts";
import { planSync } from "./plan.ts";

/** Most entries of one request, in all of its pages. */
export const MAX_REQUEST_ENTRIES = 1_000_000;

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
}

/** Answers the requests of one other side. */
export class Answerer {
  readonly #options: AnswerOptions;
  #entries: SyncEntry[] = [];
  #round: number | undefined;

  /** Was not asked yet. */
  constructor(options: AnswerOptions) {
    this.#options = options;
  }

  /** Takes a request. @throws {LimitError} when all of its pages are too much. */
  async answer(request: SyncRequest): Promise<void> {
    const { folder: { index }, onPlan } = this.#options;
    const { replica, since, round, entries = [], more = false } = request;
    const answered = round === undefined ? {} : { round };
    if (replica === undefined) {
      return await this.#send(planSync(index, NOTHING).instructions, answered);
    }
    const facts = { ...answered, replica: index.replica };
    if (since === undefined) return await this.#send([], { ...facts, index_seq: index.seq });
    this.#add(entries.map(entryFromMessage), round);
    if (more) return;
    const delta = this.#entries;
    this.#entries = [];
    const knownSince = request.of_replica === index.replica ? since : 0;
    const plan = planSync(index, { replica, entries: delta, since: knownSince });
    onPlan(replica);
    const { instructions, takes, indexSeq } = plan;
    const done = { index_seq: indexSeq };
    if (takes.length === 0) return await this.#send(instructions, facts, done);
    await this.#send(instructions, facts);
    await this.#send([], facts, { ...done, taken: await this.#takeAll(takes, replica) });
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

  #add(entries: readonly SyncEntry[], round: number | undefined): void {
    // Pages of a request that was cut off are no part of another.
    if (round !== this.#round) this.#entries = [];
    this.#round = round;
    if (this.#entries.length + entries.length > MAX_REQUEST_ENTRIES) {
      this.#entries = [];
      throw new LimitError("limit", `Cannot answer: more than ${MAX_REQUEST_ENTRIES} entries`, {
        details: { limit: "maxRequestEntries", max: MAX_REQUEST_ENTRIES },
      });
    }
    for (const entry of entries) this.#entries.push(entry);
  }
}

/** What a side without an index has told us. */
const NOTHING = { replica: "", entries: [], since: 0 } as const;
