/**
 * What a page was asked and has not answered yet: bounded in number and in time.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { limitError } from "../endpoint/limits.ts";
import { ClosedError, RemoteError, TimeoutError } from "../errors.ts";
import { printable } from "../log.ts";
import type { DataWeaver } from "../wire/weaver.ts";
import { isFields } from "./page_message.ts";

/** Questions that wait for their answers: a person answers few at a time. */
export const MAX_QUESTIONS = 16;

/** A question's id begins with this, so that no page counts its own messages by the same ids. */
const ID_PREFIX = "kith ";

/** Headers by which a page says that it cannot answer. */
const ERROR_HEADERS: readonly (string | null)[] = ["0error", "1error"];

/** How long and until when to wait. */
export interface QuestionOptions {
  /** Milliseconds until it is given up. */
  readonly timeoutMs: number;
  /** Gives up when aborted. */
  readonly signal?: AbortSignal | undefined;
}

/** The pending questions. */
export class Questions {
  readonly #clock: Pick<Clock, "after">;
  readonly #pending = new Map<string, PromiseWithResolvers<unknown>>();
  #count = 0;
  #closed = false;

  /** Nothing was asked. */
  constructor(clock: Pick<Clock, "after">) {
    this.#clock = clock;
  }

  /** How many wait. */
  get size(): number {
    return this.#pending.size;
  }

  /**
   * Asks, and waits for the answer.
   *
   * @param send Sends the question under the id that it is given.
   * @returns the content of the answer. @throws {RemoteError} when the answer is an error.
   * @throws {LimitError} when too many wait. @throws {TimeoutError} when there is none in time.
   */
  async ask(send: (msgId: string) => void, options: QuestionOptions): Promise<unknown> {
    const { timeoutMs, signal } = options;
    if (this.#closed) throw closed();
    if (this.#pending.size >= MAX_QUESTIONS) {
      const what = `Cannot ask the page: ${MAX_QUESTIONS} questions wait already`;
      throw limitError(what, "maxQuestions", MAX_QUESTIONS);
    }
    signal?.throwIfAborted();
    const msgId = `${ID_PREFIX}${++this.#count}`;
    const answer = Promise.withResolvers<unknown>();
    const abort = () => answer.reject(signal?.reason);
    const timer = this.#clock.after(timeoutMs, () => answer.reject(unanswered(timeoutMs)));
    signal?.addEventListener("abort", abort, { once: true });
    this.#pending.set(msgId, answer);
    try {
      send(msgId);
      return await answer.promise;
    } finally {
      this.#pending.delete(msgId);
      timer.cancel();
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Takes a message that may be an answer. @returns whether it was one. */
  settle({ header, content, msgId }: DataWeaver): boolean {
    const answer = typeof msgId === "string" ? this.#pending.get(msgId) : undefined;
    if (answer === undefined) return false;
    if (ERROR_HEADERS.includes(header)) answer.reject(refused(content));
    else answer.resolve(content);
    return true;
  }

  /** Gives up all of them, and whatever is asked later. */
  close(): void {
    this.#closed = true;
    for (const { reject } of this.#pending.values()) reject(closed());
  }
}

function refused(content: unknown): RemoteError {
  const { code, message } = isFields(content) ? content : {};
  return new RemoteError(
    typeof code === "string" ? printable(code, 40) : "internal",
    typeof message === "string" ? printable(message) : "The page cannot answer",
  );
}

function unanswered(timeoutMs: number): TimeoutError {
  return new TimeoutError(`No page has answered in ${timeoutMs} ms`, {
    details: { limit: "timeoutMs", max: timeoutMs },
  });
}

function closed(): ClosedError {
  return new ClosedError("Cannot ask a page: it is served no more");
}
