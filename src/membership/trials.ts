/**
 * Members that do not answer somebody: how long they are waited for, who accuses them, and who accuses wrongly.
 *
 * @module
 */

import { printable } from "../log.ts";
import type { Awareness } from "./awareness.ts";
import type { Blame } from "./blame.ts";
import { type SuspectClaim, writeClaim } from "./claims.ts";
import type { Member } from "./member.ts";
import type { News } from "./news.ts";
import type { SwimPorts, SwimTuning } from "./options.ts";
import type { Roster } from "./roster.ts";
import { Suspicion, type SuspicionTimes } from "./suspicion.ts";

/** Refuted accusations in ten minutes after which somebody is not listened to: its network, or it, is at fault. */
const MAX_REFUTED = 60;
const REFUTED_MS = 600_000;

/** What a small group is taken for, so that a suspicion lasts three seconds at least: networks pause now and then. */
const LEAST_LOG = 1.35;

/** How much later than due a timer may fire before we take it that we slept. */
const ASLEEP_MS = 1_000;

/** What {@linkcode Trials} need. */
export interface TrialsParts {
  readonly ports: SwimPorts;
  readonly tuning: SwimTuning;
  readonly project: string;
  readonly roster: Roster;
  readonly news: News;
  readonly awareness: Awareness;
  readonly blame: Blame;
  /** Takes note of a new state, and tells. */
  readonly change: (
    member: Member,
    state: "suspect" | "dead",
    why: string,
    confirmedBy: readonly string[],
  ) => void;
  /** Takes a member of whom somebody else had no answer: those who confirm that are not to be waited for. */
  readonly doubt: (member: Member) => void;
  /** Asks a member once more, who is about to be given up. */
  readonly lastCall: (member: Member) => void;
}

/** Suspicions; see the module. */
export class Trials {
  readonly #parts: TrialsParts;

  /** Nobody is suspected. */
  constructor(parts: TrialsParts) {
    this.#parts = parts;
  }

  /** A member did not answer us. */
  accuse(member: Member): void {
    const { ports: { signer }, project } = this.#parts;
    const [subject, incarnation] = [member.peerId, member.claim.incarnation];
    const claim: SuspectClaim = { kind: "suspect", subject, incarnation, accuser: signer.peerId };
    this.#accused(member, signer.peerId, writeClaim(claim, project, signer), "us");
  }

  /** A member did not answer another one, which signed that. */
  take(member: Member, accuser: Member, signed: Uint8Array): void {
    const isFirst = member.suspicion === undefined;
    const name = printable(accuser.claim.name, 64) || accuser.peerId.slice(0, 8);
    this.#accused(member, accuser.peerId, signed, name);
    if (isFirst) this.#parts.doubt(member);
  }

  /** A suspicion is over, because its subject says something new, or goes. @returns who accused it. */
  end(member: Member): readonly string[] {
    const accusers = member.suspicion?.accusers ?? [];
    member.suspicion?.stop();
    member.suspicion = undefined;
    for (const accuser of accusers) this.#parts.news.remove(`${member.peerId} ${accuser}`);
    return accusers;
  }

  /** Somebody was accused wrongly. */
  refuted(accuser: Member | undefined): void {
    if (accuser === undefined) return;
    const nowMs = this.#parts.ports.clock.now();
    if (nowMs - accuser.refutedSinceMs > REFUTED_MS) {
      [accuser.refuted, accuser.refutedSinceMs] = [0, nowMs];
    }
    if (++accuser.refuted === MAX_REFUTED) this.#parts.blame.muted(accuser.peerId, MAX_REFUTED);
  }

  /** Whether somebody accuses wrongly too often to be listened to. */
  isMuted({ refuted, refutedSinceMs }: Member): boolean {
    return refuted >= MAX_REFUTED && this.#parts.ports.clock.now() - refutedSinceMs <= REFUTED_MS;
  }

  /** Stops every timer. */
  stop(): void {
    for (const { suspicion } of this.#parts.roster.all()) suspicion?.stop();
  }

  #accused(member: Member, accuser: string, signed: Uint8Array, whom: string): void {
    const { ports: { clock, metrics }, news, change, lastCall } = this.#parts;
    const isFirst = member.suspicion === undefined;
    member.suspicion ??= new Suspicion(clock, this.#times(), {
      lastCall: () => lastCall(member),
      over: (lateMs) => this.#giveUp(member, lateMs),
    });
    if (!member.suspicion.confirm(accuser, signed)) return;
    news.add(`${member.peerId} ${accuser}`, signed);
    if (!isFirst) return;
    metrics.counter("membership.suspicions").add();
    change(member, "suspect", `it does not answer ${whom}`, []);
  }

  #times(): SuspicionTimes {
    const { tuning, roster } = this.#parts;
    const present = roster.present + 1;
    const minMs = tuning.suspicion * Math.max(LEAST_LOG, Math.log10(present)) * tuning.probeMs;
    if (!tuning.lifeguard) return { minMs, maxMs: minMs, confirmations: 0 };
    // Of a handful there are too few to confirm anything.
    const confirmations = present - 2 < tuning.confirmations ? 0 : tuning.confirmations;
    return { minMs, maxMs: minMs * tuning.suspicionMax, confirmations };
  }

  #giveUp(member: Member, lateMs: number): void {
    const { ports: { clock, metrics }, tuning, change } = this.#parts;
    const { suspicion } = member;
    if (suspicion === undefined) return;
    // Whoever slept has not heard the others refute it, and first does. Nor is anybody given up that answers us.
    const isAsleep = lateMs > ASLEEP_MS && tuning.lifeguard;
    if (isAsleep || member.heardMs > suspicion.sinceMs) return suspicion.extend();
    const { accusers } = suspicion;
    [member.accusation] = suspicion.accusations;
    member.suspicion = undefined;
    metrics.counter("membership.deaths").add();
    const seconds = Math.round((clock.now() - member.changedMs) / 100) / 10;
    change(member, "dead", `no answer and no refutation for ${seconds} s`, accusers);
  }
}
