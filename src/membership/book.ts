/**
 * What this node believes of whom, and what makes it change its mind.
 *
 * | it hears                    | it believes it when                                                            |
 * |-----------------------------|--------------------------------------------------------------------------------|
 * | a new member, a new address | the subject signed it, and answers there (`newcomers.ts`)                      |
 * | a new incarnation           | the subject signed it                                                          |
 * | a member goes               | the subject signed it                                                          |
 * | a member does not answer    | a present member signed it: that is a suspicion, and no more (`trials.ts`)     |
 * | a member is dead            | never; it gives up whom it suspected long enough, and could not reach since    |
 *
 * @module
 */

import { type RateOptions, TokenBuckets } from "../endpoint/limits.ts";
import { InvalidPacketError } from "../errors.ts";
import type { Awareness } from "./awareness.ts";
import type { Blame, Told } from "./blame.ts";
import {
  type AliveClaim,
  type Claim,
  isSigned,
  type LeftClaim,
  peekClaim,
  readClaim,
  type SuspectClaim,
} from "./claims.ts";
import {
  infoOf,
  isAtSamePlace,
  isPresent,
  isSameDescription,
  type Member,
  type MemberChange,
  newMember,
} from "./member.ts";
import type { News } from "./news.ts";
import type { SwimPorts, SwimTuning } from "./options.ts";
import type { OwnClaim } from "./own_claim.ts";
import type { Roster } from "./roster.ts";
import type { Trials } from "./trials.ts";

/** Signatures that are checked for one teller: each costs some 50 us. A large group that comes back takes thousands. */
const SIGNATURES: Readonly<RateOptions> = { perSecond: 500, burst: 2_000 };
/** The same for whoever has proven nothing, by host. */
const STRANGERS_SIGNATURES: Readonly<RateOptions> = { perSecond: 32, burst: 256 };

/** An incarnation that is further ahead of the known one has not overtaken the news: it is made up. */
const AHEAD = 2 ** 20;

/** What a {@linkcode Book} needs. */
export interface BookParts {
  readonly ports: SwimPorts;
  readonly tuning: SwimTuning;
  readonly project: string;
  readonly roster: Roster;
  readonly news: News;
  readonly awareness: Awareness;
  readonly own: OwnClaim;
  readonly trials: Trials;
  readonly blame: Blame;
  /** Whether there is room to ask a newcomer, and whether it is asked already. */
  readonly welcomes: (claim: AliveClaim, told: Told) => boolean;
  /** Takes whoever has to show first that it answers; the signature has been checked. */
  readonly verify: (claim: AliveClaim, signed: Uint8Array, told: Told) => void;
  /** Another program has our key and takes part, too. */
  readonly usurped: () => void;
}

/** Beliefs; see the module. */
export class Book {
  readonly #parts: BookParts;
  readonly #signatures: TokenBuckets;
  readonly #strangersSignatures: TokenBuckets;
  readonly #mutedRefutations: TokenBuckets;

  /** Believes in nobody. */
  constructor(parts: BookParts) {
    const { ports: { clock }, tuning: { probeMs } } = parts;
    this.#parts = parts;
    // Sooner again than a suspicion can be over: others may still listen to whom we do not.
    this.#mutedRefutations = new TokenBuckets(clock, { perSecond: 500 / probeMs, burst: 1 });
    this.#signatures = new TokenBuckets(clock, SIGNATURES);
    this.#strangersSignatures = new TokenBuckets(clock, STRANGERS_SIGNATURES);
  }

  /**
   * Takes claims until one is malformed or forged, which changes nothing and has whoever passed it on named, or shows
   * that another program has our key.
   */
  takeAll(claims: readonly Uint8Array[], told: Told): void {
    for (const signed of claims) {
      if (!this.#take(signed, told)) return;
    }
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
    const member = newMember(claim, signed, hosts, clock);
    roster.put(member);
    if (!told.isOld) this.#spread(member);
    this.#emit("joined", member);
    return member;
  }

  /** Takes note that a member is in another state, and tells. */
  change(member: Member, state: Member["state"], why: string, by: readonly string[]): void {
    const { ports: { clock }, roster } = this.#parts;
    [member.state, member.why, member.confirmedBy] = [state, why, by];
    [member.sinceMs, member.changedMs] = [clock.wallMs(), clock.now()];
    roster.put(member);
    if (state === "suspect" || state === "dead") this.#emit(state, member);
  }

  #take(signed: Uint8Array, told: Told): boolean {
    if (this.#isOld(signed)) return true;
    let claim: Claim;
    try {
      claim = readClaim(signed);
    } catch (error) {
      if (!(error instanceof InvalidPacketError)) throw error;
      return this.#refuse(told, error.message);
    }
    if (claim.subject === this.#parts.ports.signer.peerId) {
      return this.#takeOwn(claim, signed, told);
    }
    if (claim.kind === "alive") return this.#takeAlive(claim, signed, told);
    if (claim.kind === "left") return this.#takeLeft(claim, signed, told);
    return this.#takeSuspicion(claim, signed, told);
  }

  /** Whether a claim can be seen to change nothing before it is read: most have been heard many times. */
  #isOld(signed: Uint8Array): boolean {
    const head = peekClaim(signed);
    const member = head && this.#parts.roster.get(head.subject);
    if (head === undefined || member === undefined) return false;
    const { incarnation } = member.claim;
    if (head.kind === "alive") return head.incarnation <= incarnation;
    if (head.kind === "left") return member.state === "gone";
    return head.incarnation < incarnation || !isPresent(member) ||
      (head.incarnation === incarnation && member.suspicion?.isConfirmed === true);
  }

  // What we have said ourselves, in a life before perhaps, or what others say of us.
  #takeOwn(claim: Claim, signed: Uint8Array, told: Told): boolean {
    const { ports: { signer }, own } = this.#parts;
    if (own.isGoing) return true; // it would be taking it back
    if (claim.kind === "suspect") return this.#refute(claim, signed, told);
    if (claim.incarnation < own.incarnation) return true;
    if (claim.kind === "alive" && claim.incarnation === own.incarnation) return true;
    const checked = this.#check(signed, signer.publicKey, signer.peerId, told);
    if (checked !== "right") {
      return checked === "dropped" || this.#refuse(told, "forged in our name");
    }
    // Our own past is outdone once. Whoever answers back is there now, with our key.
    const isOurs = own.outdo(claim.incarnation);
    if (!isOurs) this.#parts.usurped();
    return isOurs;
  }

  /** We are accused: whoever signed that hears that we are there, and so does everybody else. */
  #refute(claim: SuspectClaim, signed: Uint8Array, told: Told): boolean {
    const { own, roster, trials, awareness } = this.#parts;
    const accuser = roster.get(claim.accuser);
    // A stranger's word concerns nobody, and one from before has been refuted.
    if (accuser === undefined || claim.incarnation < own.incarnation) return true;
    const checked = this.#check(signed, accuser.key, accuser.peerId, told);
    if (checked !== "right") {
      return checked === "dropped" || this.#refuse(told, "forged accusation");
    }
    if (claim.incarnation > own.incarnation) return this.#unproven(claim, own.incarnation);
    if (trials.isMuted(accuser)) {
      if (!this.#mutedRefutations.take("")) return true;
    } else {
      trials.refuted(accuser);
      awareness.add(1);
    }
    this.#count("refutations");
    own.raiseAbove(own.incarnation);
    return true;
  }

  #takeAlive(claim: AliveClaim, signed: Uint8Array, told: Told): boolean {
    const { roster, ports: { admits }, welcomes, verify } = this.#parts;
    const known = roster.get(claim.subject);
    if (known !== undefined && claim.incarnation <= known.claim.incarnation) return true;
    if (admits?.(claim.subject) === false) {
      this.#count("unwanted");
      return true;
    }
    const isAsBefore = known !== undefined && isPresent(known) && isAtSamePlace(known.claim, claim);
    if (!isAsBefore && !welcomes(claim, told)) return true;
    const checked = this.#check(signed, claim.key, claim.subject, told);
    if (checked !== "right") return checked === "dropped" || this.#refuse(told, "forged claim");
    if (isAsBefore) this.#renew(known, claim, signed, told);
    else verify(claim, signed, told);
    return true;
  }

  #takeLeft(claim: LeftClaim, signed: Uint8Array, told: Told): boolean {
    const { roster, news, trials } = this.#parts;
    const member = roster.get(claim.subject);
    if (member === undefined || member.state === "gone") return true;
    if (claim.incarnation < member.claim.incarnation) return true;
    const checked = this.#check(signed, member.key, member.peerId, told);
    if (checked !== "right") return checked === "dropped" || this.#refuse(told, "forged goodbye");
    trials.end(member);
    member.leaving = signed;
    this.change(member, "gone", "it said that it goes", []);
    news.add(member.peerId, signed);
    this.#emit("left", member);
    return true;
  }

  #takeSuspicion(claim: SuspectClaim, signed: Uint8Array, told: Told): boolean {
    const { roster, ports: { signer }, trials } = this.#parts;
    const member = roster.get(claim.subject);
    const accuser = roster.get(claim.accuser);
    if (claim.accuser === signer.peerId || member === undefined || !isPresent(member)) return true;
    if (accuser === undefined || !isPresent(accuser)) return true;
    if (claim.incarnation < member.claim.incarnation) return true;
    if (member.suspicion?.accusers.includes(claim.accuser)) return true;
    const checked = this.#check(signed, accuser.key, accuser.peerId, told);
    if (checked !== "right") {
      return checked === "dropped" || this.#refuse(told, "forged accusation");
    }
    const { incarnation } = member.claim;
    if (claim.incarnation > incarnation) return this.#unproven(claim, incarnation);
    if (trials.isMuted(accuser)) this.#count("muted");
    else trials.take(member, accuser, signed);
    return true;
  }

  /** Takes over what a member has said of itself since. */
  #renew(member: Member, claim: AliveClaim, signed: Uint8Array, told: Told): void {
    const { trials, roster } = this.#parts;
    const before = member.state;
    const isOther = !isSameDescription(member.claim, claim);
    const accusers = trials.end(member);
    [member.claim, member.signed] = [claim, signed];
    [member.accusation, member.leaving] = [undefined, undefined];
    roster.put(member);
    // What it says when it is back concerns everybody, also when it is heard from one who knew.
    if (!told.isOld || before !== "alive") this.#spread(member);
    if (before === "alive") {
      if (isOther) this.#emit("updated", member);
      return;
    }
    for (const accuser of accusers) trials.refuted(roster.get(accuser));
    const why = before === "suspect" ? "it refuted the suspicion" : "it is back";
    this.change(member, "alive", why, []);
    this.#emit(before === "gone" ? "joined" : "alive", member);
  }

  /** Whether a claim is its author's; `dropped` where whoever passed it on has had enough checked. */
  #check(
    signed: Uint8Array,
    key: Uint8Array,
    author: string,
    { by, host = "", isProven }: Told,
  ): "right" | "wrong" | "dropped" {
    const { ports: { signer }, project } = this.#parts;
    const hasRoom = isProven ? this.#signatures.take(by) : this.#strangersSignatures.take(host);
    if (!hasRoom) {
      this.#count("rate");
      return "dropped";
    }
    return isSigned(signed, key, author, project, signer) ? "right" : "wrong";
  }

  #refuse(told: Told, why: string): false {
    this.#parts.blame.refused(told, why);
    return false;
  }

  /** Nobody but the subject can raise an incarnation, and we have not heard it do so. */
  #unproven({ incarnation, accuser, subject }: SuspectClaim, known: number): true {
    this.#count("unproven-incarnations");
    if (incarnation - known >= AHEAD) {
      const told: Told = { by: accuser, isProven: true, host: undefined, isOld: false };
      this.#refuse(told, `incarnation ${incarnation} is none of ${subject}`);
    }
    return true;
  }

  #spread({ peerId, signed }: Member): void {
    this.#parts.news.add(peerId, signed);
  }

  #emit(type: MemberChange, member: Member): void {
    this.#parts.ports.emit({ type, member: infoOf(member) });
  }

  #count(what: string): void {
    this.#parts.ports.metrics.counter(`membership.${what}`).add();
  }
}
