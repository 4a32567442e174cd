/**
 * The links that one transfer goes out on: each step takes the one that has the most room, so that the faster carry more.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";
import type { Link } from "../endpoint/link.ts";
import { ClosedError, InvalidPacketError, TimeoutError } from "../errors.ts";
import type { MessageBody } from "../wire/message.ts";
import type { TransferSummary } from "./manifest.ts";
import { CHUNK_BYTES, integerOf } from "./steps.ts";

/** How long the receiver may say nothing before it is given up. */
export const STALL_MS = 60_000;

/** How long it may take nothing in although it says that it is there; and how long it may want a pause. */
const MAX_IDLE_MS = 600_000;
const MAX_PAUSE_MS = 3_600_000;

interface Lane {
  readonly link: Link;
  sent: number;
  taken: number;
}

/** See the module. */
export class Lanes implements Disposable {
  readonly #clock: Clock;
  readonly #lanes: Lane[] = [];
  readonly #stop = new AbortController();
  readonly #done = Promise.withResolvers<TransferSummary>();
  readonly #failed = Promise.withResolvers<never>();
  #failure: { readonly error: unknown } | undefined;
  #change = Promise.withResolvers<void>();
  #seq = 0;
  // Those who wait for the receiver, and when it last brought one of them on.
  #waiting = 0;
  #progressMs: number;
  #watch: Timer | undefined;
  #isPausedThere = false;
  #isPausedHere = false;

  /** Has no links yet. */
  constructor(clock: Clock) {
    this.#clock = clock;
    this.#progressMs = clock.now();
    this.#look();
    this.#done.promise.catch(() => {}); // those who post are told, too
    this.#failed.promise.catch(() => {});
  }

  /** Bytes that the receiver has taken. */
  get taken(): number {
    return this.#lanes.reduce((sum, { taken }) => sum + taken, 0);
  }

  /** Aborted once the transfer is over: by what ended it, where it failed. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Whether the receiver wants nothing for a while. */
  get isPausedThere(): boolean {
    return this.#isPausedThere;
  }

  /**
   * Uses one link more.
   *
   * @param header What the receiver is asked for news with: the first link's news say when everything is there.
   */
  add(link: Link, header: "transfer.run" | "transfer.lane", id: number): void {
    const lane = { link, sent: 0, taken: 0 };
    this.#lanes.push(lane);
    this.#listen(lane, header, id).catch((error) => this.fail(error));
  }

  /** Waits for something that the receiver owes us, but not for ever. @throws as {@linkcode Lanes.post}. */
  async expect<T>(work: Promise<T>): Promise<T> {
    this.#await();
    try {
      return await Promise.race([work, this.#failed.promise]);
    } finally {
      this.#waiting--;
      this.#progressMs = this.#clock.now();
    }
  }

  /** Sends nothing more until it is called again. */
  pause(paused: boolean, id: number): void {
    this.#isPausedHere = paused;
    this.stay(id);
    this.#wake();
  }

  /** Lets the receiver know that we are there although nothing comes. */
  stay(id: number): void {
    this.#lanes[0]?.link.post("transfer.pause", { id, paused: this.#isPausedHere });
  }

  /** Ends the transfer, if it is not over. */
  fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { error };
    this.#done.reject(error);
    this.#failed.reject(error);
    this.#stop.abort(error);
    this.#wake();
  }

  /**
   * Sends a step over the first link that has room for it.
   *
   * @param bodyOf Makes its body, given its number. @param bytes Bytes of files in it.
   * @throws what ended the transfer. @throws {TimeoutError} when the receiver takes nothing any more.
   */
  async post(header: string, bytes: number, bodyOf: (seq: number) => MessageBody): Promise<void> {
    const lane = this.#laneFor(bytes) ?? await this.#awaitLane(bytes);
    lane.sent += bytes;
    const room = this.#postOn(lane.link, header, bodyOf(this.#seq++));
    if (room !== undefined) await Promise.race([room, this.#failed.promise]);
  }

  /** Waits until the receiver says that it has everything. @throws as {@linkcode Lanes.post}. */
  async done(): Promise<TransferSummary> {
    const late = Promise.withResolvers<never>();
    let timer = this.#clock.after(STALL_MS, () => late.reject(stalled()));
    this.#await();
    try {
      for (;;) {
        const change = this.#change.promise;
        const summary = await Promise.race([this.#done.promise, change, late.promise]);
        if (summary !== undefined) return summary;
        timer.cancel();
        timer = this.#clock.after(STALL_MS, () => late.reject(stalled()));
      }
    } finally {
      this.#waiting--;
      timer.cancel();
    }
  }

  /** Asks for no more news; where the transfer is not over the receiver takes it for given up. */
  [Symbol.dispose](): void {
    this.#watch?.cancel();
    this.#stop.abort(new ClosedError("The transfer is over"));
  }

  /** Posts; where the link has ended, only who listens to it is told why. */
  #postOn(link: Link, header: string, body: MessageBody): Promise<void> | undefined {
    try {
      return link.post(header, body);
    } catch (error) {
      if (error instanceof ClosedError) return this.#failed.promise;
      throw error;
    }
  }

  async #awaitLane(bytes: number): Promise<Lane> {
    this.#await();
    try {
      for (;;) {
        await this.#changed();
        const lane = this.#laneFor(bytes);
        if (lane !== undefined) return lane;
      }
    } finally {
      this.#waiting--;
    }
  }

  /** From now on the receiver is waited for. */
  #await(): void {
    if (this.#waiting++ === 0) this.#progressMs = this.#clock.now();
  }

  /** The link with the most room. @throws what ended the transfer */
  #laneFor(bytes: number): Lane | undefined {
    if (this.#failure !== undefined) throw this.#failure.error;
    if (this.#isPausedHere || this.#isPausedThere) return undefined;
    let best: Lane | undefined;
    let least = Infinity;
    for (const lane of this.#lanes) {
      const outstanding = lane.sent - lane.taken;
      if (outstanding > 0 && outstanding + bytes > CHUNK_BYTES) continue;
      if (outstanding < least) [best, least] = [lane, outstanding];
    }
    return best;
  }

  async #listen(lane: Lane, header: string, id: number): Promise<void> {
    const options = { timeoutMs: Infinity, signal: this.#stop.signal };
    try {
      for await (const news of lane.link.stream(header, { id }, options)) {
        const { taken, paused, done } = parseNews(news, lane.sent);
        if (taken !== undefined && taken > lane.taken) {
          lane.taken = taken;
          this.#progressMs = this.#clock.now();
        }
        if (paused !== undefined) this.#isPausedThere = paused;
        if (done !== undefined) this.#done.resolve(done);
        this.#wake();
      }
      // Harmless where it is done.
      if (header === "transfer.run") this.fail(noSummary());
    } catch (error) {
      if (!this.#stop.signal.aborted) throw error;
    }
  }

  async #changed(): Promise<void> {
    const { promise } = this.#change;
    const late = Promise.withResolvers<never>();
    const isPaused = this.#isPausedHere || this.#isPausedThere;
    const timer = this.#clock.after(STALL_MS, () => {
      if (isPaused) late.resolve(undefined as never);
      else late.reject(stalled());
    });
    try {
      await Promise.race([promise, late.promise]);
    } finally {
      timer.cancel();
    }
  }

  /** Gives up a receiver that has us wait for ever, whatever it says. */
  #look(): void {
    const idleMs = this.#clock.now() - this.#progressMs;
    const most = this.#isPausedThere ? MAX_PAUSE_MS : MAX_IDLE_MS;
    if (this.#waiting > 0 && !this.#isPausedHere && idleMs > most) return this.fail(stalled(most));
    this.#watch = this.#clock.after(STALL_MS, () => this.#look());
  }

  #wake(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }
}

function parseNews(
  news: unknown,
  sent: number,
): { taken?: number; paused?: boolean; done?: TransferSummary } {
  const { taken, paused, done } = isObject(news) ? news : {};
  if (done !== undefined) return { done: parseSummary(done) };
  if (typeof paused === "boolean") return { paused };
  const bytes = integerOf(taken, "taken");
  if (bytes <= sent) return { taken: bytes };
  throw new InvalidPacketError("bad-message", "Cannot send: more was taken than sent", {
    details: { field: "taken" },
  });
}

function parseSummary(value: unknown): TransferSummary {
  const { files, bytes, sha256 } = isObject(value) ? value : {};
  if (typeof files === "number" && typeof bytes === "number" && typeof sha256 === "string") {
    return { files, bytes, sha256 };
  }
  throw noSummary();
}

function noSummary(): InvalidPacketError {
  return new InvalidPacketError("bad-message", "Cannot send: the receiver's summary is not one");
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function stalled(ms: number = STALL_MS): TimeoutError {
  const text = `Cannot send: the receiver has taken nothing for ${ms / 1000} s`;
  return new TimeoutError(text, { details: { limit: "stallMs", max: ms } });
}
