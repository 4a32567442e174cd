/**
 * Comparing all that two nodes know, over a stream: what news have missed, and how separate groups become one.
 *
 * ```
 * question                                     answer
 * { t: "sync", p, from, d, c: [ own claim ] }  { d, c }     d: digest; c: all of the buckets that differ
 * { t: "push", p, from, c }                    { }          the same, the other way
 * { t: "ping", p, from, to, c }                { from, c }  are you there? c: what it has to refute, and does
 * ```
 *
 * Two that know the same exchange a digest of 256 bytes and nothing else, however many members there are. Source:
 * memberlist's push/pull, with a digest in front.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import type { Address } from "../transport/transport.ts";
import type { MessageBody } from "../wire/message.ts";
import type { Blame, Told } from "./blame.ts";
import type { Book } from "./book.ts";
import { accusationOf, isPresent, type Member } from "./member.ts";
import type { SwimPorts, SwimTuning } from "./options.ts";
import type { OwnClaim } from "./own_claim.ts";
import { claimsOf, hexOf } from "./packets.ts";
import { bucketOf, differences, DIGEST_BYTES, type Roster } from "./roster.ts";

/** How long a comparison may take in milliseconds. */
const TIMEOUT_MS = 5_000;

/** Claims that come with a question: whoever compares speaks of itself. */
const MAX_INTRODUCTIONS = 4;

/** What a {@linkcode Syncer} needs. */
export interface SyncerParts {
  readonly ports: SwimPorts;
  readonly tuning: SwimTuning;
  readonly project: string;
  readonly roster: Roster;
  readonly book: Book;
  readonly own: OwnClaim;
  readonly blame: Blame;
  /** Somebody has told us all it knows. */
  readonly synced: () => void;
}

/** Compares; see the module. */
export class Syncer {
  readonly #parts: SyncerParts;
  readonly #project: Uint8Array;
  readonly #self: Uint8Array;

  /** Compares nothing yet. */
  constructor(parts: SyncerParts) {
    this.#parts = parts;
    this.#project = Uint8Array.fromHex(parts.project);
    this.#self = Uint8Array.fromHex(parts.ports.signer.peerId);
  }

  /** How long until the next comparison: longer in larger groups, so that all together do not do more. */
  get intervalMs(): number {
    const { tuning: { syncMs }, roster, ports: { clock } } = this.#parts;
    const scale = Math.max(1, Math.ceil(Math.log2(roster.present + 1)) - 4);
    return syncMs * scale * (0.75 + clock.random() / 2);
  }

  /** Compares with whoever is at an address. @param peerId Who has to be there; `undefined` for anybody. */
  compare(
    address: Address,
    peerId: string | undefined,
    done: (ok: boolean) => void = () => {},
  ): void {
    const { ports, own } = this.#parts;
    const digest = this.#digest();
    const question = { ...this.#question("sync"), d: digest, c: [own.signed] };
    ports.ask(question, address, { peerId, timeoutMs: TIMEOUT_MS }, (answer) => {
      if (answer === undefined) return done(false);
      const theirs = this.#takeAll(answer, address);
      if (theirs === undefined) return done(false);
      const differing = differences(digest, theirs);
      if (differing.size > 0) this.#push(address, peerId, this.#claimsIn(differing));
      this.#parts.synced();
      done(true);
    });
  }

  /** Tells news over a stream, where packets do not get through. */
  tell(address: Address, peerId: string, claims: readonly Uint8Array[]): void {
    this.#push(address, peerId, claims);
  }

  /** Asks whether somebody is there, and tells it what it has to refute. */
  ping(
    address: Address,
    peerId: string,
    timeoutMs: number,
    done: (isThere: boolean) => void,
  ): void {
    const { ports, roster, book } = this.#parts;
    const member = roster.get(peerId);
    const accusation = member && accusationOf(member);
    const claims = accusation === undefined ? [] : [accusation];
    const question = { ...this.#question("ping"), to: Uint8Array.fromHex(peerId), c: claims };
    ports.ask(question, address, { peerId, timeoutMs }, (answer) => {
      if (answer === undefined) return done(false);
      this.#tolerate(address, () => {
        const told = { by: peerId, isProven: true, host: address.hostname, isOld: false };
        book.takeAll(claimsOf(answer.c ?? [], MAX_INTRODUCTIONS), told);
      });
      done(true);
    });
  }

  /**
   * Answers a question.
   *
   * @param from Who asks, as the stream has proven. @param host Where from.
   * @throws {InvalidPacketError} `bad-message` naming what is wrong.
   */
  answer(question: MessageBody, from: string, host: string | undefined): MessageBody {
    const { ports: { signer }, project, book, own } = this.#parts;
    if (hexOf(question, "p", project.length / 2) !== project) throw wrong("project");
    const self = { from: this.#self };
    const told: Told = { by: from, isProven: true, host, isOld: false };
    if (question.t === "ping") {
      if (hexOf(question, "to", 20) !== signer.peerId) throw wrong("member");
      const accusations = claimsOf(question.c ?? [], MAX_INTRODUCTIONS);
      book.takeAll(accusations, told);
      return { ...self, c: accusations.length > 0 ? [own.signed] : [] };
    }
    if (question.t === "push") {
      book.takeAll(claimsOf(question.c, this.#maxClaims), told);
      return self;
    }
    if (question.t !== "sync") throw wrong("question");
    const theirs = digestOf(question);
    const ours = this.#digest();
    const claims = this.#claimsIn(differences(ours, theirs));
    book.takeAll(claimsOf(question.c, MAX_INTRODUCTIONS), told);
    return { ...self, d: ours, c: claims };
  }

  get #maxClaims(): number {
    return 3 * this.#parts.tuning.maxMembers;
  }

  #digest(): Uint8Array {
    const { ports: { signer: { peerId } }, roster, own: { incarnation } } = this.#parts;
    return roster.digest({ peerId, incarnation });
  }

  #question(kind: string): MessageBody {
    return { t: kind, p: this.#project, from: this.#self };
  }

  #push(address: Address, peerId: string | undefined, claims: readonly Uint8Array[]): void {
    const question = { ...this.#question("push"), c: claims };
    this.#parts.ports.ask(question, address, { peerId, timeoutMs: TIMEOUT_MS }, () => {});
  }

  /** Takes an answer's claims. @returns the other side's digest, or `undefined` when it cannot be read. */
  #takeAll(answer: MessageBody, address: Address): Uint8Array | undefined {
    const { book } = this.#parts;
    return this.#tolerate(address, () => {
      const by = hexOf(answer, "from", 20);
      const digest = digestOf(answer);
      const told: Told = { by, isProven: true, host: address.hostname, isOld: true };
      book.takeAll(claimsOf(answer.c, this.#maxClaims), told);
      return digest;
    });
  }

  /** Does what a malformed answer may fail; whoever is there is named then. */
  #tolerate<T>({ hostname: host }: Address, work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof InvalidPacketError)) throw error;
      const told: Told = { by: host, isProven: false, host, isOld: true };
      this.#parts.blame.refused(told, error.message);
      return undefined;
    }
  }

  /** All that is known of the members in some buckets, what they would have to refute included. */
  #claimsIn(buckets: ReadonlySet<number>): Uint8Array[] {
    const { roster, own, ports: { signer } } = this.#parts;
    if (buckets.size === 0) return [];
    const claims: Uint8Array[] = [];
    if (buckets.has(bucketOf(signer.peerId))) claims.push(own.signed);
    for (const member of roster.all()) {
      if (buckets.has(bucketOf(member.peerId))) claims.push(...this.#known(member));
    }
    return claims;
  }

  #known(member: Member): Uint8Array[] {
    const { signed, leaving } = member;
    if (leaving !== undefined) return [leaving];
    const accusation = accusationOf(member);
    // Somebody who was given up here may be well there: it hears what it has to refute.
    return [
      ...(isPresent(member) ? [signed] : []),
      ...(accusation === undefined ? [] : [accusation]),
    ];
  }
}

function digestOf({ d }: MessageBody): Uint8Array {
  if (d instanceof Uint8Array && d.length === DIGEST_BYTES) return d;
  throw wrong("digest");
}

function wrong(what: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot answer membership question: wrong ${what}`, {
    details: { what },
  });
}
