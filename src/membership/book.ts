/**
 * What this node believes of whom, and what makes it change its mind.
 *
 * | it hears                          | it believes it when                                                            |
 * |-----------------------------------|--------------------------------------------------------------------------------|
 * | a new member, a new address       | the subject signed it, and answers a nonce there (`newcomers.ts`)               |
 * | a new incarnation                 | the subject signed it                                                           |
 * | a member goes                     | the subject signed it                                                           |
 * | a member does not answer          | a present member signed it: that is a suspicion, and no more                     |
 * | a member is dead                  | never; it gives up whom it suspected long enough, and could not reach since       |
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { type RateOptions, TokenBuckets } from "../endpoint/limits.ts";
import { printable } from "../log.ts";
import {
  type AliveClaim,
  type Claim,
  isSigned,
  type LeftClaim,
  MAX_INCARNATION,
  peekClaim,
  readClaim,
  type SuspectClaim,
  writeClaim,
} from "./claims.ts";
import type { Awareness } from "./awareness.ts";
import { infoOf, isPresent, type Member, type MemberChange } from "./member.ts";
import type { News } from "./news.ts";
import type { SelfDescription, SwimPorts, SwimTuning } from "./options.ts";
import type { Roster } from "./roster.ts";
import { Suspicion } from "./suspicion.ts";

/** Refuted accusations in ten minutes after which somebody is not listened to: its network, or it, is at fault. */
const MAX_REFUTED = 60;
const REFUTED_MS = 600_000;

/** How often those whom nobody knows may make us refute something. */
const STRANGERS: Readonly<RateOptions> = { perSecond: 1, burst: 5 };

/** How often something newer than what we say may be heard in our name, before we take it that there are two of us. */
const RIVALS: Readonly<RateOptions> = { perSecond: 1 / 20, burst: 3 };

/** How often one and the same liar is named in the log. */
const BLAME: Readonly<RateOptions> = { perSecond: 1 / 60, burst: 1 };

/** What a small group is taken for, so that a suspicion lasts three seconds at least: networks pause now and then. */
const LEAST_LOG = 1.2;

/** How much later than due a timer may fire before we take it that we slept. */
const ASLEEP_MS = 1_000;

/** Where a claim came from. */
export interface Told {
  /** Who passed it on, as it says. */
  readonly by: string;
  /** The host that its packet came from; `undefined` for a stream. */
  readonly host: string | undefined;
  /** Whether it is part of all that somebody knows, and not news. */
  readonly isOld: boolean;
}

/** What a {@linkcode Book} needs. */
export interface BookParts {
  readonly ports: SwimPorts;
  readonly tuning: SwimTuning;
  readonly project: string;
  readonly self: SelfDescription;
  readonly incarnation: number;
  readonly roster: Roster;
  readonly news: News;
  readonly awareness: Awareness;
  /** Takes whoever has to show first that it answers; the signature has been checked. */
  readonly verify: (claim: AliveClaim, signed: Uint8Array, told: Told) => void;
  /** Takes a member of whom somebody else had no answer: those who confirm that are not to be waited for. */
  readonly doubt: (member: Member) => void;
  /** Another program has our key and takes part, too. */
  readonly usurped: () => void;
  /** Asks a member once more, who is about to be given up. */
  readonly lastCall: (member: Member) => void;
  /** Whether that incarnation of a newcomer is being looked at already. */
  readonly isBeingVerified: (claim: AliveClaim) => boolean;
}

/** Beliefs; see the module. */
export class Book {
  readonly #parts: BookParts;
  readonly #strangers: TokenBuckets;
  readonly #blame: TokenBuckets;
  readonly #rivals: TokenBuckets;
  #self: SelfDescription;
  #incarnation: number;
  #own: Uint8Array;

  /** Believes only in itself. @throws {RangeError} when the description is too long. */
  constructor(parts: BookParts) {
    const { clock } = parts.ports;
    this.#parts = parts;
    this.#self = parts.self;
    this.#incarnation = parts.incarnation;
    this.#strangers = new TokenBuckets(clock, STRANGERS);
    this.#blame = new TokenBuckets(clock, BLAME);
    this.#rivals = new TokenBuckets(clock, RIVALS);
    this.#own = this.#writeOwn();
  }

  /** Our own incarnation. */
  get incarnation(): number {
    return this.#incarnation;
  }

  /** What we say of ourselves, signed. */
  get own(): Uint8Array {
    return this.#own;
  }

  /** Says something new of ourselves. @throws {RangeError} when it is too long; nothing is changed then. */
  describe(self: SelfDescription): void {
    const before = this.#self;
    this.#self = self;
    try {
      this.#raise(this.#incarnation + 1);
    } catch (error) {
      this.#self = before;
      throw error;
    }
  }

  /** Our goodbye, signed. */
  goodbye(): Uint8Array {
    const { ports: { signer }, project, news } = this.#parts;
    const [subject, incarnation] = [signer.peerId, this.#incarnation];
    const claim = writeClaim({ kind: "left", subject, incarnation }, project, signer);
    news.add(subject, claim);
    return claim;
  }

  /** Takes what somebody says. What is malformed or forged changes nothing, and whoever passed it on is named. */
  take(signed: Uint8Array, told: Told): void {
    if (this.#isOld(signed)) return;
    let claim: Claim;
    try {
      claim = readClaim(signed);
    } catch (error) {
      if (!(error instanceof InvalidPacketError)) throw error;
      return this.blame(told, error.message);
    }
    if (claim.subject === this.#parts.ports.signer.peerId) this.#takeOwn(claim, signed, told);
    else if (claim.kind === "alive") this.#takeAlive(claim, signed, told);
    else if (claim.kind === "left") this.#takeLeft(claim, signed, told);
    else this.#takeSuspicion(claim, signed, told);
  }

  /** A member has shown that it is there as it says. */
  accept(claim: AliveClaim, signed: Uint8Array, hosts: string[], told: Told): Member | undefined {
    const { roster, ports: { clock }, tuning } = this.#parts;
    const known = roster.get(claim.subject);
    if (known !== undefined) {
      if (claim.incarnation <= known.claim.incarnation) return known; // it said something newer since
      if (hosts.length > 0) known.hosts = hosts;
      this.#renew(known, claim, signed, told);
      return known;
    }
    if (roster.size >= tuning.maxMembers) {
      this.#count("full");
      return undefined;
    }
    const member: Member = {
      peerId: claim.subject,
      key: claim.key,
      claim,
      signed,
      state: "alive",
      why: "it answers",
      confirmedBy: [],
      sinceMs: clock.wallMs(),
      changedMs: clock.now(),
      suspicion: undefined,
      accusation: undefined,
      leaving: undefined,
      hosts,
      rttMs: undefined,
      path: undefined,
      heardMs: clock.now(),
      refuted: 0,
      refutedSinceMs: clock.now(),
    };
    roster.put(member);
    if (!told.isOld) this.#spread(member);
    this.#emit("joined", member);
    return member;
  }

  /** A member did not answer us. */
  accuse(member: Member): void {
    const { ports: { signer }, project } = this.#parts;
    const [subject, incarnation] = [member.peerId, member.claim.incarnation];
    const claim: SuspectClaim = { kind: "suspect", subject, incarnation, accuser: signer.peerId };
    this.#suspect(member, claim, writeClaim(claim, project, signer), "it does not answer us");
  }

  /** What a member that is suspected or was given up has to refute, if it is. */
  accusationOf(member: Member): Uint8Array | undefined {
    return member.suspicion?.accusations[0] ?? member.accusation;
  }

  /** Somebody passed on what is wrong. */
  blame({ by, host = "a stream" }: Told, why: string): void {
    this.#count("refused-claims");
    if (!this.#blame.take(by)) return;
    this.#parts.ports.log.warn("a member's claim was refused", {
      from: by,
      host: printable(host, 60),
      why: printable(why, 200),
    });
  }

  /** Stops every timer. */
  stop(): void {
    for (const { suspicion } of this.#parts.roster.all()) suspicion?.stop();
  }

  /** Whether a claim can be seen to change nothing before it is read: most have been heard many times. */
  #isOld(signed: Uint8Array): boolean {
    const head = peekClaim(signed);
    const member = head && this.#parts.roster.get(head.subject);
    if (head === undefined || member === undefined) return false;
    if (head.kind === "alive") return head.incarnation <= member.claim.incarnation;
    if (head.kind === "left") return member.state === "gone";
    return head.incarnation < member.claim.incarnation || !isPresent(member) ||
      (head.incarnation === member.claim.incarnation && member.suspicion?.isConfirmed === true);
  }

  // What we have said ourselves, in a life before perhaps, or what others say of us.
  #takeOwn(claim: Claim, signed: Uint8Array, told: Told): void {
    const { ports: { signer }, project } = this.#parts;
    if (claim.kind === "suspect") return this.#refute(claim, signed, told);
    if (claim.incarnation < this.#incarnation) return;
    if (claim.kind === "alive" && claim.incarnation === this.#incarnation) return;
    if (!isSigned(signed, signer.publicKey, signer.peerId, project, signer)) {
      return this.blame(told, "bad signature in our name");
    }
    // Our own past is answered once. Whoever answers back is there now, with our key.
    if (claim.kind === "alive" && !this.#rivals.take("")) return this.#parts.usurped();
    this.#raise(claim.incarnation + 1);
  }

  #refute(claim: SuspectClaim, signed: Uint8Array, told: Told): void {
    if (claim.incarnation < this.#incarnation) return; // refuted already
    if (claim.incarnation > this.#incarnation) return this.#unproven(claim, told);
    const accuser = this.#parts.roster.get(claim.accuser);
    const isKnown = accuser !== undefined && this.#isBy(signed, accuser);
    if (accuser !== undefined && !isKnown) return this.blame(told, "bad signature of an accuser");
    if (!isKnown && !this.#strangers.take("")) return;
    this.#parts.awareness.add(1);
    this.#count("refutations");
    this.#raise(this.#incarnation + 1);
  }

  #takeAlive(claim: AliveClaim, signed: Uint8Array, told: Told): void {
    const { roster, ports: { signer, admits }, project, isBeingVerified, verify } = this.#parts;
    if (admits?.(claim.subject) === false) return this.#count("unwanted");
    const known = roster.get(claim.subject);
    const isNews = known === undefined || claim.incarnation > known.claim.incarnation;
    if (!isNews || isBeingVerified(claim)) return;
    if (!isSigned(signed, claim.key, claim.subject, project, signer)) {
      return this.blame(told, "bad signature of a member");
    }
    if (known !== undefined && isPresent(known) && isAtSamePlace(known.claim, claim)) {
      this.#renew(known, claim, signed, told);
    } else {
      verify(claim, signed, told);
    }
  }

  #takeLeft(claim: LeftClaim, signed: Uint8Array, told: Told): void {
    const { roster, news } = this.#parts;
    const member = roster.get(claim.subject);
    if (member === undefined || member.state === "gone") return;
    if (claim.incarnation < member.claim.incarnation) return;
    if (!this.#isBy(signed, member)) return this.blame(told, "bad signature of a goodbye");
    this.#endSuspicion(member);
    member.leaving = signed;
    this.#change(member, "gone", "it said that it goes", []);
    news.add(member.peerId, signed);
    this.#emit("left", member);
  }

  #takeSuspicion(claim: SuspectClaim, signed: Uint8Array, told: Told): void {
    const { roster, ports: { signer } } = this.#parts;
    const member = roster.get(claim.subject);
    const accuser = roster.get(claim.accuser);
    if (claim.accuser === signer.peerId || member === undefined || !isPresent(member)) return;
    if (claim.incarnation < member.claim.incarnation) return;
    if (claim.incarnation > member.claim.incarnation) return this.#unproven(claim, told);
    if (accuser === undefined || !isPresent(accuser)) return;
    if (member.suspicion?.accusers.includes(claim.accuser)) return;
    if (!this.#isBy(signed, accuser)) return this.blame(told, "bad signature of an accuser");
    if (this.#isMuted(accuser)) return this.#count("muted");
    const isFirst = member.suspicion === undefined;
    const name = accuser.claim.name || accuser.peerId.slice(0, 8);
    this.#suspect(member, claim, signed, `it does not answer ${name}`);
    if (isFirst) this.#parts.doubt(member);
  }

  #suspect(member: Member, claim: SuspectClaim, signed: Uint8Array, why: string): void {
    const { ports: { clock }, news } = this.#parts;
    const isFirst = member.suspicion === undefined;
    member.suspicion ??= new Suspicion(clock, this.#suspicionTimes(), {
      lastCall: () => this.#parts.lastCall(member),
      over: (lateMs) => this.#giveUp(member, lateMs),
    });
    if (!member.suspicion.confirm(claim.accuser, signed)) return;
    news.add(`${member.peerId} ${claim.accuser}`, signed);
    if (!isFirst) return;
    this.#change(member, "suspect", why, []);
    this.#count("suspicions");
    this.#emit("suspect", member);
  }

  #suspicionTimes() {
    const { tuning, roster } = this.#parts;
    const present = roster.present + 1;
    const minMs = tuning.suspicion * Math.max(LEAST_LOG, Math.log10(present)) * tuning.probeMs;
    if (!tuning.lifeguard) return { minMs, maxMs: minMs, confirmations: 0 };
    // Of a handful there are too few to confirm anything.
    const confirmations = present - 2 < tuning.confirmations ? 0 : tuning.confirmations;
    return { minMs, maxMs: minMs * tuning.suspicionMax, confirmations };
  }

  #giveUp(member: Member, lateMs: number): void {
    const { suspicion } = member;
    if (suspicion === undefined) return;
    // Whoever slept has not heard the others refute it, and first does. Nor is anybody given up that answers us.
    const isAsleep = lateMs > ASLEEP_MS && this.#parts.tuning.lifeguard;
    if (isAsleep || member.heardMs > suspicion.startMs) return suspicion.extend();
    const { accusers } = suspicion;
    [member.accusation] = suspicion.accusations;
    member.suspicion = undefined;
    const seconds = Math.round((this.#parts.ports.clock.now() - member.changedMs) / 100) / 10;
    this.#change(member, "dead", `no answer and no refutation for ${seconds} s`, accusers);
    this.#count("deaths");
    this.#emit("dead", member);
  }

  /** Takes over what a member has said of itself since. */
  #renew(member: Member, claim: AliveClaim, signed: Uint8Array, told: Told): void {
    const before = member.state;
    const isOther = !isSameDescription(member.claim, claim);
    const accusers = this.#endSuspicion(member);
    [member.claim, member.signed] = [claim, signed];
    [member.accusation, member.leaving] = [undefined, undefined];
    // What it says when it is back concerns everybody, also when it is heard from one who knew.
    if (!told.isOld || before !== "alive") this.#spread(member);
    if (before === "alive") {
      if (isOther) this.#emit("updated", member);
      return;
    }
    for (const accuser of accusers) this.#wasRefuted(accuser);
    this.#change(
      member,
      "alive",
      before === "suspect" ? "it refuted the suspicion" : "it is back",
      [],
    );
    this.#emit(before === "gone" ? "joined" : "alive", member);
  }

  #endSuspicion(member: Member): readonly string[] {
    const { news } = this.#parts;
    const accusers = member.suspicion?.accusers ?? [];
    member.suspicion?.stop();
    member.suspicion = undefined;
    for (const accuser of accusers) news.remove(`${member.peerId} ${accuser}`);
    return accusers;
  }

  #wasRefuted(peerId: string): void {
    const accuser = this.#parts.roster.get(peerId);
    if (accuser === undefined) return;
    const nowMs = this.#parts.ports.clock.now();
    if (nowMs - accuser.refutedSinceMs > REFUTED_MS) {
      [accuser.refuted, accuser.refutedSinceMs] = [0, nowMs];
    }
    if (++accuser.refuted !== MAX_REFUTED) return;
    this.#parts.ports.log.warn(
      "a member accuses others wrongly and is not listened to for a while",
      {
        peerId,
        refuted: accuser.refuted,
      },
    );
  }

  #isMuted({ refuted, refutedSinceMs }: Member): boolean {
    return refuted >= MAX_REFUTED && this.#parts.ports.clock.now() - refutedSinceMs <= REFUTED_MS;
  }

  /** Nobody but the subject can raise an incarnation, and we have not heard it do so. */
  #unproven({ incarnation, accuser, subject }: SuspectClaim, told: Told): void {
    this.#count("unproven-incarnations");
    const known = this.#parts.roster.get(subject)?.claim.incarnation ?? this.#incarnation;
    // One that is a little ahead has only overtaken the news.
    if (incarnation - known < 2 ** 20) return;
    this.blame({ ...told, by: accuser }, `incarnation ${incarnation} is not one of ${subject}`);
  }

  #raise(incarnation: number): void {
    this.#incarnation = Math.min(incarnation, MAX_INCARNATION);
    this.#own = this.#writeOwn();
    this.#parts.news.add(this.#parts.ports.signer.peerId, this.#own);
  }

  #writeOwn(): Uint8Array {
    const { ports: { signer }, project } = this.#parts;
    const { peerId: subject, publicKey: key } = signer;
    const incarnation = this.#incarnation;
    return writeClaim({ kind: "alive", subject, incarnation, key, ...this.#self }, project, signer);
  }

  #isBy(signed: Uint8Array, { key, peerId }: Member): boolean {
    const { ports: { signer }, project } = this.#parts;
    return isSigned(signed, key, peerId, project, signer);
  }

  #spread({ peerId, signed }: Member): void {
    this.#parts.news.add(peerId, signed);
  }

  #change(member: Member, state: Member["state"], why: string, by: readonly string[]): void {
    const { ports: { clock }, roster } = this.#parts;
    [member.state, member.why, member.confirmedBy] = [state, why, by];
    [member.sinceMs, member.changedMs] = [clock.wallMs(), clock.now()];
    roster.put(member);
  }

  #emit(type: MemberChange, member: Member): void {
    this.#parts.ports.emit({ type, member: infoOf(member) });
  }

  #count(what: string): void {
    this.#parts.ports.metrics.counter(`membership.${what}`).add();
  }
}

function isAtSamePlace(a: AliveClaim, b: AliveClaim): boolean {
  return a.tcpPort === b.tcpPort && a.udpPort === b.udpPort && a.hosts.join() === b.hosts.join();
}

function isSameDescription(a: AliveClaim, b: AliveClaim): boolean {
  return a.name === b.name && isAtSamePlace(a, b) &&
    JSON.stringify(a.tags) === JSON.stringify(b.tags);
}
