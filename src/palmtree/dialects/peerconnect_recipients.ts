/**
 * What a sender knows of its receivers where nobody confirms anything: who has answered, whose child it is, and whether all
 * was written to those who are ours. Without I/O.
 *
 * @module
 */

import { TimeoutError } from "../../errors.ts";
import type { BroadcastEvent, RecipientSummary } from "../broadcast_options.ts";
import { hexOf } from "../stream_links.ts";

/** Who has not said whose child it is for so long has missed it, in milliseconds. */
const PLACE_MS = 8_000;

/** Time between two words about how far somebody is, in milliseconds. */
const PROGRESS_MS = 1_000;

interface Recipient {
  readonly name: string;
  /** Who it is, in decimal, once it has answered. */
  peerId: string | undefined;
  /** Who gives to it, in decimal; `undefined` while nobody is known to. */
  parent: string | undefined;
  /** Since when that is so. */
  lostMs: number;
  toldMs: number;
  bytes: number;
  summary: RecipientSummary | undefined;
}

/** The receivers, in the order in which they were named. */
export class Recipients {
  readonly #all: Recipient[];
  readonly #self: string;
  readonly #tell: (event: BroadcastEvent) => void;
  #totalBytes = 0;
  #beganMs = 0;

  /** Knows their names. @param self Who we are, in decimal. @param tell Hears what happens. */
  constructor(names: readonly string[], self: string, tell: (event: BroadcastEvent) => void) {
    this.#self = self;
    this.#tell = tell;
    this.#all = names.map((name) => ({
      ...{ name, peerId: undefined, parent: undefined, summary: undefined },
      ...{ lostMs: 0, toldMs: 0, bytes: 0 },
    }));
  }

  /** What became of them, as far as that is known. */
  get summaries(): RecipientSummary[] {
    return this.#all.flatMap(({ summary }) => summary ?? []);
  }

  /** Whether it is known of everybody who gives to it, or that nobody will. */
  get isComplete(): boolean {
    return this.#open.every(({ parent }) => parent !== undefined);
  }

  /** Those who have not everything by us, in decimal: it is of interest whose children they are. */
  get others(): string[] {
    return this.#open.flatMap(({ peerId, parent }) => parent === this.#self ? [] : peerId ?? []);
  }

  /** Our children that lack something, in decimal. */
  get children(): string[] {
    return this.#open.flatMap(({ peerId, parent }) => parent === this.#self ? peerId ?? [] : []);
  }

  /** Somebody has answered. @param at Its place in the order. @returns whether it is somebody else than all others */
  joined(at: number, peerId: string): boolean {
    const recipient = this.#all[at];
    if (recipient === undefined || recipient.summary !== undefined) return false;
    const { name } = recipient;
    const same = this.#find(peerId);
    if (peerId === this.#self || same !== undefined) {
      const why = same === undefined
        ? `"${name}" is this peer`
        : `"${name}" and "${same.name}" are the same peer`;
      this.#settle(recipient, { state: "failed", error: new TypeError(why) });
      return false;
    }
    recipient.peerId = peerId;
    this.#tell({ type: "accepted", name, peerId: hexOf(peerId) });
    return true;
  }

  /** Nothing comes of somebody. */
  fail(at: number, error: unknown): void {
    const recipient = this.#all[at];
    if (recipient?.summary === undefined && recipient !== undefined) {
      this.#settle(recipient, { state: "failed", error });
    }
  }

  /** The tree begins. */
  begin(totalBytes: number, nowMs: number): void {
    this.#totalBytes = totalBytes;
    this.#beganMs = nowMs;
    for (const recipient of this.#all) recipient.lostMs = nowMs;
  }

  /** It is known who gives to somebody. */
  placed(peerId: string, parent: string): void {
    const recipient = this.#find(peerId);
    if (recipient === undefined || recipient.parent === parent || recipient.summary) return;
    recipient.parent = parent;
    this.#tellParent(recipient);
  }

  /** Nobody gives to somebody any more. */
  lost(peerId: string, nowMs: number): void {
    const recipient = this.#find(peerId);
    if (recipient?.parent === undefined || recipient.summary !== undefined) return;
    recipient.parent = undefined;
    recipient.lostMs = nowMs;
    this.#tellParent(recipient);
  }

  /** So much was written to somebody. */
  given(peerId: string, bytes: number, nowMs: number): void {
    const recipient = this.#find(peerId);
    if (recipient === undefined || bytes <= recipient.bytes || recipient.summary) return;
    recipient.bytes = bytes;
    if (nowMs - recipient.toldMs < PROGRESS_MS) return;
    recipient.toldMs = nowMs;
    const { name } = recipient;
    const totalBytes = this.#totalBytes;
    this.#tell({ type: "progress", name, peerId: hexOf(peerId), bytes, totalBytes });
  }

  /** Everything was written to somebody. */
  delivered(peerId: string, nowMs: number): void {
    const recipient = this.#find(peerId);
    if (recipient !== undefined) this.#done(recipient, nowMs);
  }

  /** Sees who has not been heard of for too long. */
  tick(nowMs: number): void {
    for (const recipient of this.#open) {
      const { parent, lostMs, name } = recipient;
      if (parent !== undefined || nowMs - lostMs < PLACE_MS) continue;
      const error = new TimeoutError(`"${name}" did not say who gives to it`);
      this.#settle(recipient, { state: "failed", error });
    }
  }

  /** It is over: who has a parent is believed to have it. */
  finish(nowMs: number): void {
    for (const recipient of this.#open) this.#done(recipient, nowMs);
  }

  get #open(): Recipient[] {
    return this.#all.filter(({ summary }) => summary === undefined);
  }

  #find(peerId: string): Recipient | undefined {
    return this.#all.find((one) => one.peerId === peerId);
  }

  #tellParent({ name, peerId, parent }: Recipient): void {
    if (peerId === undefined) return;
    const by = parent === undefined ? undefined : hexOf(parent);
    this.#tell({ type: "parent", name, peerId: hexOf(peerId), parent: by });
  }

  #done(recipient: Recipient, nowMs: number): void {
    if (recipient.summary !== undefined) return;
    recipient.bytes = this.#totalBytes;
    this.#settle(recipient, { state: "done", seconds: (nowMs - this.#beganMs) / 1_000 });
  }

  #settle(
    recipient: Recipient,
    end: Pick<RecipientSummary, "state"> & { seconds?: number; error?: unknown },
  ): void {
    const { name, peerId, parent, bytes } = recipient;
    const summary: RecipientSummary = {
      ...{ name, bytes, sha256: undefined, sources: [], seconds: 0, error: undefined },
      peerId: peerId === undefined ? undefined : hexOf(peerId),
      parent: parent === undefined ? undefined : hexOf(parent),
      ...end,
    };
    recipient.summary = summary;
    this.#tell({ type: summary.state, ...summary });
  }
}
