/**
 * Looking for the nodes that are nearest to an id, by asking ever nearer ones.
 *
 * The generator asks when it is iterated over, so who leaves the loop asks nobody any more and what is open is cancelled.
 * There are no rounds: whenever a question is settled, or takes longer than its share, the next is asked. Who is asked is
 * up to {@linkcode LookupPlan}; here is what takes time.
 *
 * Source: Maymounkov and Mazières, "Kademlia: A Peer-to-Peer Information System Based on the XOR Metric", 2002,
 * section 2.3.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";
import { ClosedError, PeerError, TimeoutError } from "../errors.ts";
import { printable } from "../log.ts";
import type { Contact } from "./contact.ts";
import type { LookupEvent } from "./lookup_events.ts";
import { LookupPlan, type LookupPlanOptions, type LookupStep } from "./lookup_plan.ts";
import type { NodeId } from "./node_id.ts";
import type { Answer } from "./questions.ts";

/** A question has so long at the least, however fast the node was before: a busy machine is no reason to ask more. */
const LEAST_PATIENCE_MS = 20;

/** What a lookup needs, and how it goes about it. */
export interface LookupOptions extends LookupPlanOptions {
  /** Asks a node. What it rejects with is a {@linkcode PeerError}, or the signal's reason when that is aborted. */
  readonly ask: (contact: Contact, signal: AbortSignal) => Promise<Answer>;
  /** Time and timers. */
  readonly clock: Clock;
  /**
   * A question that is open for so long, in milliseconds, frees its place for another one, though it may still be answered.
   * Where a node's round trip is known, twice that, if it is less. @default {500}
   */
  readonly patienceMs?: number;
  /** Gives up when aborted. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Looks for the nodes that are nearest to an id. It is over when the `settle` nearest known have answered, or nobody is left
 * to ask; for a value the caller leaves the loop when it came.
 *
 * What others name is bounded: of an answer k nodes, of a network two, of nodes 8 k on each path.
 *
 * @example
 * ```ts
 * import { ManualClock } from "@kith/kith";
 * import { contactOf, lookup, type LookupOptions } from "@kith/kith/dht";
 * import { assertEquals } from "@std/assert";
 *
 * // Each of four nodes knows the one that is next nearer.
 * const target = new Uint8Array(20);
 * const address = { hostname: "10.0.0.1", port: 3486 };
 * const nodes = [8, 4, 2, 1].map((far) => contactOf(target.with(19, far), address));
 * const ask: LookupOptions["ask"] = ({ key }) => {
 *   const next = nodes.findIndex((node) => node.key === key) + 1;
 *   return Promise.resolve({ nodes: nodes.slice(next, next + 1), records: [] });
 * };
 * const seeds = nodes.slice(0, 1);
 * const events = await Array.fromAsync(lookup(target, { ask, seeds, clock: new ManualClock() }));
 * const done = events.find((event) => event.type === "done");
 * assertEquals([done?.closest, done?.hops], [nodes.toReversed(), 4]);
 * ```
 *
 * @returns what happens, each thing as soon as it does. To end it while it waits abort the signal.
 * @throws {RangeError} at once, when a count is not a whole number of 1 or more, or the patience not above 0.
 * @throws the signal's reason; what `ask` rejects with when that is no {@linkcode PeerError}, for it is our own fault.
 */
export function lookup(
  target: NodeId,
  options: LookupOptions,
): AsyncGenerator<LookupEvent, void, void> {
  const { patienceMs = 500 } = options;
  if (!(patienceMs > 0)) {
    throw new RangeError(`patienceMs must be above 0: current value is ${patienceMs}`);
  }
  return follow(new LookupPlan(target, options), { ...options, patienceMs });
}

async function* follow(
  plan: LookupPlan,
  options: OpenQuestionsOptions,
): AsyncGenerator<LookupEvent, void, void> {
  const { clock, signal } = options;
  const open = new OpenQuestions(options);
  const startMs = clock.now();
  const answered = new Set<string>();
  let [asked, failed] = [0, 0];
  try {
    for (;;) {
      signal?.throwIfAborted();
      const steps: LookupStep[] = [];
      for (let step = plan.next(); step !== undefined; step = plan.next()) {
        open.ask(step);
        steps.push(step);
      }
      asked += steps.length;
      for (const { contact, depth, path, by } of steps) {
        yield { type: "asked", contact, depth, path, by };
      }
      if (plan.isOver) break;
      for (const outcome of await open.outcomes()) {
        const { step } = outcome;
        const { contact, depth, path } = step;
        switch (outcome.type) {
          case "stalled":
            plan.stalled(step);
            break;
          case "answered": {
            const { answer, rttMs } = outcome;
            const nearer = plan.answered(step, answer.nodes);
            answered.add(contact.key);
            yield { type: "answered", contact, depth, path, rttMs, answer, nearer };
            break;
          }
          case "failed": {
            const { error } = outcome;
            if (!(error instanceof PeerError)) throw error;
            plan.failed(step, { isSilent: error instanceof TimeoutError });
            failed++;
            const [why, code] = [printable(error.message), printable(error.code)];
            yield { type: "failed", contact, depth, path, why, code };
            break;
          }
          default:
            outcome satisfies never;
        }
      }
    }
    const { closest, hops } = plan.result();
    yield { type: "done", closest, answered, hops, asked, failed, ms: clock.now() - startMs };
  } finally {
    open.cancel();
  }
}

interface OpenQuestionsOptions extends LookupOptions {
  readonly patienceMs: number;
}

/** What became of a question. */
type Outcome =
  | { readonly type: "stalled"; readonly step: LookupStep }
  | {
    readonly type: "answered";
    readonly step: LookupStep;
    readonly answer: Answer;
    readonly rttMs: number;
  }
  | { readonly type: "failed"; readonly step: LookupStep; readonly error: unknown };

interface Question {
  readonly step: LookupStep;
  /** When it has taken longer than its share; `Infinity` once it was told that it has. */
  stallMs: number;
}

/** Questions that are open, and what became of others. */
class OpenQuestions {
  readonly #options: OpenQuestionsOptions;
  readonly #cancel = new AbortController();
  readonly #open = new Set<Question>();
  readonly #onAbort = () => this.#abort();
  #outcomes: Outcome[] = [];
  #wake: (() => void) | undefined;
  // One for all: it fires when the first of them stalls, or earlier.
  #timer: Timer | undefined;
  #timerMs = Infinity;

  constructor(options: OpenQuestionsOptions) {
    this.#options = options;
    options.signal?.addEventListener("abort", this.#onAbort);
  }

  ask(step: LookupStep): void {
    const nowMs = this.#options.clock.now();
    const question = { step, stallMs: nowMs + this.#patienceMs(step.contact) };
    this.#open.add(question);
    this.#watch(question.stallMs, nowMs);
    void this.#wait(question, nowMs);
  }

  /** What happened since it was called last, or next. @throws the signal's reason. */
  async outcomes(): Promise<readonly Outcome[]> {
    if (this.#outcomes.length === 0) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    this.#options.signal?.throwIfAborted();
    const outcomes = this.#outcomes;
    this.#outcomes = [];
    return outcomes;
  }

  /** Nothing is waited for any more. */
  cancel(): void {
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#timer?.cancel();
    if (this.#open.size === 0) return;
    this.#open.clear();
    this.#cancel.abort(new ClosedError("The lookup is over"));
  }

  #abort(): void {
    this.#cancel.abort(this.#options.signal?.reason);
    this.#wake?.();
  }

  #patienceMs(contact: Contact): number {
    const { rttOf, patienceMs } = this.#options;
    const rttMs = rttOf?.(contact);
    return rttMs === undefined
      ? patienceMs
      : Math.min(patienceMs, Math.max(LEAST_PATIENCE_MS, 2 * rttMs));
  }

  async #wait(question: Question, startMs: number): Promise<void> {
    const { ask, clock } = this.#options;
    const { step } = question;
    let outcome: Outcome;
    try {
      const answer = await ask(step.contact, this.#cancel.signal);
      outcome = { type: "answered", step, answer, rttMs: clock.now() - startMs };
    } catch (error) {
      outcome = { type: "failed", step, error };
    }
    if (this.#open.delete(question)) this.#tell(outcome); // else nobody listens any more
  }

  #tell(outcome: Outcome): void {
    this.#outcomes.push(outcome);
    this.#wake?.();
  }

  #watch(atMs: number, nowMs: number): void {
    if (atMs >= this.#timerMs) return;
    this.#timer?.cancel();
    this.#timerMs = atMs;
    this.#timer = this.#options.clock.after(atMs - nowMs, () => this.#tellStalled());
  }

  #tellStalled(): void {
    const nowMs = this.#options.clock.now();
    this.#timerMs = Infinity;
    for (const question of this.#open) {
      if (question.stallMs > nowMs) {
        this.#watch(question.stallMs, nowMs);
        continue;
      }
      question.stallMs = Infinity;
      this.#tell({ type: "stalled", step: question.step });
    }
  }
}
