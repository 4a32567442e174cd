/**
 * One transfer that was accepted: steps from one link or several, put in order.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";
import type { PeerInfo } from "../endpoint/handshake.ts";
import type { Link } from "../endpoint/link.ts";
import {
  AuthError,
  ClosedError,
  InvalidPacketError,
  LimitError,
  PeerError,
  TimeoutError,
} from "../errors.ts";
import { describeHeld } from "./held.ts";
import type { Incoming } from "./incoming.ts";
import type { TransferSummary } from "./manifest.ts";
import type { Placement } from "./placement.ts";
import { badField, bytesOf, CHUNK_BYTES, costOf, owned, type Step } from "./steps.ts";

/** Links that one transfer may use. */
export const MAX_LANES = 8;

/** What steps that came before their turn may take for each link: twice what a sender has on its way there. */
const EARLY_BYTES_A_LANE = 2 * CHUNK_BYTES;
const MAX_EARLY_STEPS = 8192;

/** Bytes, or time, after which the sender is told what was taken: less than a chunk, or it would wait for that. */
const TELL_BYTES = 1024 * 1024;
const TELL_MS = 200;

/** A transfer that brings nothing for so long is given up; a person who moves between two networks takes less. */
export const STALL_MS = 60_000;

/** A sender that brings nothing for longer than this may as well begin again, whether it says that it is there or not. */
const MAX_PAUSE_MS = 3_600_000;

/** How long a sender may take to ask how it went. */
const ANSWER_MS = 5_000;

/** What a {@linkcode Reception} is made of. */
export interface ReceptionOptions {
  readonly id: number;
  /** Names it over several attempts. */
  readonly token: string;
  /** The link that it was offered on. */
  readonly link: Link;
  readonly incoming: Incoming;
  readonly placement: Placement;
  /** The entries of which something is there. */
  readonly held: ReadonlySet<number>;
  readonly clock: Clock;
  /** Told once it is over. */
  readonly onOver: (reception: Reception) => void;
}

interface Lane {
  /** Bytes of files that were taken from this link. */
  taken: number;
  /** What the other side was told of that, when, and of the pause. */
  told: number;
  toldMs: number;
  toldPaused: boolean;
}

/** See the module. */
export class Reception {
  /** Names it on its links. */
  readonly id: number;
  /** Names it over several attempts. */
  readonly token: string;
  /** Who sends. */
  readonly from: PeerInfo;
  /** What has come. */
  readonly incoming: Incoming;
  /** When it began. */
  readonly startedMs: number;
  readonly #options: ReceptionOptions;
  readonly #lanes = new Map<Link, Lane>();
  // By their numbers, with the links that they came over.
  readonly #early = new Map<number, { readonly link: Link; readonly step: Step }>();
  #earlyCost = 0;
  #next = 0;
  #busy: Promise<void> | undefined;
  #change = Promise.withResolvers<void>();
  #watch: Timer | undefined;
  #patience: Timer | undefined;
  readonly #answered = Promise.withResolvers<void>();
  #steps = 0;
  // Large files take long to hash: nothing can come before that.
  #describing = 0;
  #isHeldAsked = false;
  #pausedHere = false;
  #pausedThere = false;
  #progressMs: number;
  #outcome: { readonly summary: TransferSummary } | { readonly error: unknown } | undefined;

  /** Takes steps from now on. */
  constructor(options: ReceptionOptions) {
    const { id, link, incoming, clock } = options;
    this.#options = options;
    this.id = id;
    this.token = options.token;
    this.from = link.peer;
    this.incoming = incoming;
    this.startedMs = clock.now();
    this.#progressMs = this.startedMs;
    this.join(link);
    this.#look();
    if (incoming.complete) this.#finish(); // nothing but folders
  }

  /** How it ended; `undefined` while it goes on. */
  get outcome(): { readonly summary: TransferSummary } | { readonly error: unknown } | undefined {
    return this.#outcome;
  }

  /** Names that files have got, for the sender's next attempt; `undefined` for an update, which needs none. */
  get names(): ReadonlyMap<string, string> | undefined {
    const { placement } = this.#options;
    return placement.update ? undefined : new Map(placement.names);
  }

  /** Resolves once it is over and the sender was told, or does not ask. */
  get answered(): Promise<void> {
    return this.#answered.promise;
  }

  /** Whether either side has it paused. */
  get paused(): boolean {
    return this.#pausedHere || this.#pausedThere;
  }

  /** Whether it uses that link. */
  uses(link: Link): boolean {
    return this.#lanes.has(link);
  }

  /** Lets steps come over one link more. @throws {AuthError} for another peer's. @throws {LimitError} for too many. */
  join(link: Link): void {
    if (link.peer.peerId !== this.from.peerId) {
      throw new AuthError("not-allowed", "Cannot join: the transfer is another peer's");
    }
    if (this.#lanes.size >= MAX_LANES) {
      throw new LimitError("limit", `There are ${MAX_LANES} links already (maxLanes)`, {
        details: { limit: "maxLanes", max: MAX_LANES },
      });
    }
    this.#lanes.set(link, { taken: 0, told: 0, toldMs: this.startedMs, toldPaused: false });
    // A link may outlive many transfers, and is not to keep them.
    const self = new WeakRef(this);
    void link.closed.then(() => self.deref()?.leave(link));
  }

  /** Stops the sender for a while, or lets it go on. */
  pause(paused: boolean): void {
    this.#pausedHere = paused;
    this.#wake();
  }

  /** The sender has stopped for a while, or goes on. */
  pausedBySender(paused: boolean): void {
    this.#pausedThere = paused;
    this.#steps++;
  }

  /**
   * Takes a step from a link.
   *
   * @param read Reads it, when it is wanted. @returns what to wait for before the next is read from that link.
   */
  deliver(link: Link, read: () => Step): Promise<void> | undefined {
    if (this.#outcome !== undefined) return undefined; // given up: the rest still arrives
    try {
      const step = read();
      const { seq } = step;
      if (seq === this.#next && this.#busy === undefined) return this.#take(link, step);
      this.#keep(link, step);
    } catch (error) {
      this.fail(error);
    }
    return undefined;
  }

  /**
   * What is there of the files already, one after the other, no faster than it is asked for. Once for a transfer.
   *
   * @throws {InvalidPacketError} the second time.
   */
  async *held(indexes: Iterable<number>): AsyncGenerator<unknown, void, void> {
    const { placement, incoming } = this.#options;
    if (this.#isHeldAsked) throw badField("indexes"); // to hash it all takes a while
    this.#isHeldAsked = true;
    try {
      for (const index of indexes) {
        if (!this.#options.held.has(index)) throw badField("indexes");
        const outcome = this.#outcome;
        if (outcome !== undefined) throw "error" in outcome ? outcome.error : gone();
        this.#describing++;
        const described = await describeHeld(placement, index, (found) => {
          incoming.know(index, found);
        }).finally(() => {
          this.#describing--;
          this.#steps++;
          this.#progressMs = this.#options.clock.now();
        });
        yield described ?? { kind: "none", index };
      }
    } catch (error) {
      this.fail(error);
      throw asPeerError(error);
    }
  }

  /**
   * What the sender has to know, on one of the links: `{ taken }` bytes, `{ paused }`, and in the end `{ done }` on the link
   * that the transfer was offered on.
   *
   * @throws the error that ended it.
   */
  async *news(link: Link, signal: AbortSignal): AsyncGenerator<unknown, void, void> {
    const lane = this.#lanes.get(link);
    const isMain = link === this.#options.link;
    const wake = () => this.#wake();
    signal.addEventListener("abort", wake, { once: true });
    try {
      while (lane !== undefined && !signal.aborted) {
        const change = this.#change.promise;
        if (this.#isDue(lane)) {
          lane.toldMs = this.#options.clock.now();
          yield { taken: lane.told = lane.taken };
        }
        if (isMain && lane.toldPaused !== this.#pausedHere) {
          yield { paused: lane.toldPaused = this.#pausedHere };
        }
        const outcome = this.#outcome;
        if (outcome === undefined) await change;
        else if (!isMain) return;
        else if ("summary" in outcome) return yield { done: outcome.summary };
        else throw asPeerError(outcome.error);
      }
    } finally {
      signal.removeEventListener("abort", wake);
      if (isMain && this.#outcome === undefined) this.fail(signal.reason ?? gone());
      if (isMain) this.forget();
    }
  }

  /** Nobody asks how it went any more. Harmless when repeated. */
  forget(): void {
    this.#patience?.cancel();
    this.#answered.resolve();
  }

  /** Ends it, if it is not over: what has come of an incomplete file stays, the sender learns why. */
  fail(error: unknown): void {
    if (this.#outcome !== undefined) return;
    this.#outcome = { error };
    this.incoming.abort();
    this.#settle({ error });
  }

  #take(link: Link, step: Step): Promise<void> | undefined {
    const waiting = this.incoming.take(step);
    if (waiting === undefined) return this.#taken(link, step);
    return this.#busy = waiting.then(
      () => {
        this.#busy = undefined;
        return this.#taken(link, step);
      },
      (error) => {
        this.#busy = undefined;
        this.fail(error);
      },
    );
  }

  /** Counts a step, and takes those that came before their turn. */
  #taken(link: Link, step: Step): Promise<void> | undefined {
    this.#next = step.seq + 1;
    this.#steps++;
    this.#progressMs = this.#options.clock.now();
    const lane = this.#lanes.get(link);
    if (lane !== undefined) {
      lane.taken += bytesOf(step);
      if (this.#isDue(lane)) this.#wake();
    }
    if (this.incoming.complete) this.#finish();
    const next = this.#early.get(this.#next);
    if (next === undefined || this.#outcome !== undefined) return undefined;
    this.#early.delete(this.#next);
    this.#earlyCost -= costOf(next.step);
    try {
      return this.#take(next.link, next.step);
    } catch (error) {
      this.fail(error);
      return undefined;
    }
  }

  #keep(link: Link, step: Step): void {
    const cost = costOf(step);
    const max = EARLY_BYTES_A_LANE * this.#lanes.size;
    if (step.seq < this.#next || this.#early.has(step.seq)) throw twice(step.seq);
    if (this.#earlyCost + cost > max || step.seq > this.#next + MAX_EARLY_STEPS) {
      throw new LimitError("limit", "Steps came too long before their turn (maxEarlyBytes)", {
        details: { limit: "maxEarlyBytes", max },
      });
    }
    this.#early.set(step.seq, { link, step: owned(step) });
    this.#earlyCost += cost;
  }

  /** A link has ended. */
  leave(link: Link): void {
    this.#lanes.delete(link);
    // What was on its way on that link is lost, and nothing can be taken out of order.
    this.fail(gone());
    if (link === this.#options.link) this.forget();
  }

  /** Whether to say what was taken: each time would cost more than the step itself. */
  #isDue({ taken, told, toldMs }: Lane): boolean {
    if (taken - told >= TELL_BYTES) return true;
    return taken > told && this.#options.clock.now() - toldMs >= TELL_MS;
  }

  /** Waits for the disk, then it is over. */
  #finish(): void {
    this.incoming.settled().then(() => {
      if (this.#outcome !== undefined) return;
      this.incoming.finish();
      this.#settle({ summary: this.incoming.summary() });
    }).catch((error) => this.fail(error));
  }

  #settle(outcome: NonNullable<Reception["outcome"]>): void {
    this.#outcome = outcome;
    this.#watch?.cancel();
    this.#early.clear();
    this.#patience = this.#options.clock.after(ANSWER_MS, () => this.forget());
    this.#options.onOver(this);
    this.#wake();
  }

  #wake(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }

  /** Gives up a transfer that brings nothing any more: its sender may be gone without a word. */
  #look(before = -1): void {
    const steps = this.#steps;
    const isBusy = this.#busy !== undefined || this.#describing > 0;
    const isSilent = steps === before && !this.paused;
    const isIdle = this.#options.clock.now() - this.#progressMs > MAX_PAUSE_MS;
    if (!isBusy && (isSilent || isIdle)) {
      const text = `Nothing came for ${STALL_MS / 1000} s`;
      const details = { limit: "stallMs", max: STALL_MS };
      this.fail(new TimeoutError(text, { details }));
      return;
    }
    this.#watch = this.#options.clock.after(STALL_MS, () => this.#look(steps));
  }
}

/** The error for a transfer whose sender has gone. */
export function gone(): ClosedError {
  return new ClosedError("The transfer was given up");
}

/** The error for a transfer that whoever receives has ended. */
export function stopped(): ClosedError {
  return new ClosedError("The transfer was given up by the receiver");
}

/** A full disk or a refused file is for the sender to know; where our folder is, is not. */
export function asPeerError(error: unknown): PeerError {
  if (error instanceof PeerError) return error;
  return new LimitError("limit", `The receiver could not store the file (${whyNotStored(error)})`, {
    cause: error,
  });
}

function whyNotStored(error: unknown): string {
  const { code } = error as { code?: unknown };
  if (code === "ENOSPC" || code === "EDQUOT") return "its disk is full";
  if (code === "EROFS") return "its disk can only be read";
  if (error instanceof Deno.errors.PermissionDenied) return "it may not write there";
  if (error instanceof Deno.errors.NotFound) return "its folder is gone";
  return error instanceof Error ? error.name : "unknown";
}

function twice(seq: number): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot receive: step ${seq} came twice`, {
    details: { field: "seq" },
  });
}
