/**
 * Who is in a group, without a server: each member asks another one now and then, and what it learns travels with what
 * it says anyway. A state machine without I/O: packets, answers and timers in; packets, questions and events out.
 *
 * Source: SWIM (Das, Gupta, Motivala 2002), Lifeguard (Dadgar, Phillips, Currey 2018), and memberlist for streams.
 * What is not in any of them: claims are signed, nobody is declared dead by others (`book.ts`), newcomers are asked before
 * they are believed (`newcomers.ts`), and those who were lost are looked for as long as there is anybody left
 * (`repair.ts`).
 *
 * @module
 */

import type { Timer } from "../clock.ts";
import { ClosedError } from "../errors.ts";
import type { Address } from "../transport/transport.ts";
import type { MessageBody } from "../wire/message.ts";
import { Awareness } from "./awareness.ts";
import { Blame, type Told } from "./blame.ts";
import { Book } from "./book.ts";
import { type AliveClaim, MAX_INCARNATION } from "./claims.ts";
import { infoOf, isPresent, type Member, type MemberInfo, streamAddresses } from "./member.ts";
import { type Arrival, Newcomers } from "./newcomers.ts";
import { Intake } from "./intake.ts";
import { News } from "./news.ts";
import { type SelfDescription, SWIM_DEFAULTS, type SwimPorts, type SwimTuning } from "./options.ts";
import { Outbox } from "./outbox.ts";
import { OwnClaim } from "./own_claim.ts";
import { proofOf } from "./packets.ts";
import { Places } from "./places.ts";
import { Prober } from "./prober.ts";
import { Questions } from "./questions.ts";
import { Repair } from "./repair.ts";
import { Roster } from "./roster.ts";
import { Syncer } from "./syncer.ts";
import { Trials } from "./trials.ts";
import { Ways } from "./ways.ts";

/** Time between two comparisons where packets are blocked. */
const DEGRADED_SYNC_MS = 5_000;

/** How soon after it has joined a node compares again, each time twice as late: news may have passed it by. */
const EARLY_SYNC_MS = 500;
const EARLY_SYNCS = 6;

/** Members who hear a goodbye at once. */
const GOODBYES = 8;

/** How to take part. */
export interface SwimOptions {
  /** The world. */
  readonly ports: SwimPorts;
  /** The group's digest, 16 hexadecimal digits. */
  readonly project: string;
  /** What we say of ourselves. */
  readonly self: SelfDescription;
  /** Larger than any that this peer had before: see `incarnationAt`. */
  readonly incarnation: number;
  /** What differs from {@linkcode SWIM_DEFAULTS}. */
  readonly tuning?: Partial<SwimTuning>;
}

/**
 * One node; see the module.
 *
 * @example Two nodes where every packet is lost, and answers over streams are not
 * ```ts
 * import { Identity, ManualClock, Metrics, peerIdOf, silentLogger, verify } from "@kith/kith";
 * import { incarnationAt, Swim, type SwimPorts } from "@kith/kith/membership";
 * import { assertEquals } from "@std/assert";
 *
 * const [clock, log, metrics] = [new ManualClock(), silentLogger, new Metrics()];
 * const nodes = new Map<string, Swim>();
 * function start(host: string): Swim {
 *   const identity = Identity.generate();
 *   const { peerId, publicKey } = identity;
 *   const sign = (bytes: Uint8Array) => identity.sign(bytes);
 *   const signer = { peerId, publicKey, sign, verify, idOf: peerIdOf };
 *   const nonce = () => 1 + Math.floor(clock.random() * 2 ** 48);
 *   const ask: SwimPorts["ask"] = (question, { hostname }, _options, done) =>
 *     void clock.after(1, () => done(nodes.get(hostname)?.answer(question, peerId)));
 *   const ports = { clock, log, metrics, signer, nonce, ask, send: () => {}, emit: () => {} };
 *   const self = { name: "", hosts: [host], tcpPort: 1, udpPort: 1, tags: {} };
 *   const incarnation = incarnationAt(clock.wallMs());
 *   const node = new Swim({ ports, project: "0123456789abcdef", self, incarnation });
 *   nodes.set(host, node);
 *   node.start();
 *   return node;
 * }
 * const [alice, bob] = [start("10.0.0.1"), start("10.0.0.2")];
 * bob.join({ hostname: "10.0.0.1", port: 1 });
 * await clock.advance(2_000);
 * assertEquals(alice.members().map(({ state, path }) => [state, path]), [["alive", "stream"]]);
 * for (const node of [alice, bob]) node.stop();
 * ```
 */
export class Swim {
  readonly #ports: SwimPorts;
  readonly #tuning: SwimTuning;
  readonly #roster: Roster;
  readonly #awareness: Awareness;
  readonly #questions: Questions;
  readonly #newcomers: Newcomers;
  readonly #own: OwnClaim;
  readonly #trials: Trials;
  readonly #book: Book;
  readonly #outbox: Outbox;
  readonly #prober: Prober;
  readonly #syncer: Syncer;
  readonly #repair: Repair;
  readonly #intake: Intake;
  readonly #ways: Ways;
  readonly #timers = new Set<Timer>();
  #joined = false;
  #stopped = false;

  /** Takes part as soon as it is started. @throws {RangeError} when the description is too long. */
  constructor({ ports: world, project, self, incarnation, tuning: changes = {} }: SwimOptions) {
    const ports: SwimPorts = {
      ...world,
      ask: (question, to, how, done) => {
        if (this.#stopped) return;
        world.ask(question, to, how, (answer) => {
          if (!this.#stopped) done(answer);
        });
      },
    };
    const { clock, signer } = ports;
    const tuning = { ...SWIM_DEFAULTS, ...changes };
    const roster = new Roster(clock);
    const [news, awareness] = [new News(), new Awareness(tuning.lifeguard)];
    const [questions, blame] = [new Questions(clock, ports.nonce), new Blame(ports)];
    const own = new OwnClaim({ ports, project, self, incarnation, news });
    const places = new Places(clock);
    const common = {
      places,
      ports,
      tuning,
      project,
      roster,
      news,
      awareness,
      questions,
      blame,
      own,
    };
    const ways = new Ways(ports);
    const isDegraded = () => ways.degraded;
    const answered = (member: Member, arrival: Arrival) => ways.answered(member, arrival);
    this.#ports = ports;
    this.#tuning = tuning;
    this.#roster = roster;
    this.#awareness = awareness;
    this.#questions = questions;
    this.#own = own;
    this.#ways = ways;
    this.#outbox = new Outbox({ ...common, isDegraded, tell: (...news) => this.#tell(...news) });
    this.#newcomers = new Newcomers({
      clock,
      ask: (newcomer, done) => this.#prober.meet(newcomer, done),
      accept: ({ claim, signed, told, addresses }, arrival) => {
        const hosts = addresses.map(({ hostname }) => hostname);
        const wasLost = roster.get(claim.subject)?.state === "dead";
        const member = this.#book.accept(claim, signed, hosts, told);
        if (member !== undefined) answered(member, arrival);
        if (wasLost) this.#repair.hurry();
        this.#outbox.wake();
      },
    });
    this.#trials = new Trials({
      ...common,
      change: (...state) => this.#book.change(...state),
      doubt: (member) => this.#doubt(member),
      lastCall: (member) => this.#lastCall(member),
    });
    this.#book = new Book({
      ...common,
      trials: this.#trials,
      welcomes: (claim, told) => this.#newcomers.welcomes(claim, told),
      verify: (claim, signed, told) => this.#newcomers.offer(claim, signed, told),
      usurped: () => this.#giveWay(),
    });
    this.#syncer = new Syncer({ ...common, book: this.#book, synced: () => this.#synced() });
    this.#repair = new Repair({
      ...common,
      outbox: this.#outbox,
      syncer: this.#syncer,
      isDegraded,
      answered,
    });
    this.#intake = new Intake({
      ...common,
      book: this.#book,
      outbox: this.#outbox,
      relay: (...question) => this.#prober.relay(...question),
      isStopped: () => this.#stopped,
    });
    this.#prober = new Prober({
      ...common,
      send: (packet, to) => this.#outbox.send(packet, to),
      pingByStream: (...question) => this.#syncer.ping(...question),
      proves: (key, nonce, proof) => {
        return proof !== undefined && signer.verify(key, proofOf(project, nonce), proof);
      },
      answered,
      silent: (member) => {
        this.#trials.accuse(member);
        this.#outbox.wake();
      },
    });
  }

  /** Begins. */
  start(): void {
    const { repairMs, rememberMs } = this.#tuning;
    this.#prober.start();
    this.#every(
      () => this.#ways.degraded ? DEGRADED_SYNC_MS : this.#syncer.intervalMs,
      () => this.#compareWithOne(),
    );
    this.#every(
      () => repairMs * (0.5 + this.#ports.clock.random()),
      () => this.#repair.look(),
    );
    this.#every(() => Math.min(60_000, rememberMs), () => this.#forget());
  }

  /** Joins whoever is at an address that takes connections. */
  join(address: Address, done: (ok: boolean) => void = () => {}): void {
    this.#syncer.compare(address, undefined, done);
  }

  /** Addresses where there were members once, looked at for ever at a low rate; replaces those before. */
  remember(addresses: readonly Address[]): void {
    this.#repair.remember(addresses);
  }

  /**
   * Takes others for members that have answered from the first host they name, without asking them: where that is known,
   * as in a simulation that begins with a group that is there.
   */
  acquaint(members: Iterable<{ readonly claim: AliveClaim; readonly signed: Uint8Array }>): void {
    const { peerId: by } = this.#ports.signer;
    const told: Told = { by, isProven: true, host: undefined, isOld: true };
    for (const { claim, signed } of members) {
      if (claim.subject === by) continue;
      const member = this.#book.accept(claim, signed, [...claim.hosts], told);
      const host = claim.hosts[0];
      if (member !== undefined) {
        this.#ways.answered(member, { host, path: "direct", rttMs: undefined });
      }
    }
  }

  /** Says something new of ourselves. @throws {RangeError} when it is too long; nothing is changed then. */
  describe(self: SelfDescription): void {
    this.#own.describe(self);
    this.#outbox.wake();
  }

  /** The members that are known, ourselves not among them. */
  members(): MemberInfo[] {
    return [...this.#roster.all()].map(infoOf);
  }

  /** How many members are present, ourselves among them. */
  get present(): number {
    return this.#roster.present + 1;
  }

  /** Our own incarnation, which has to be kept. */
  get incarnation(): number {
    return this.#own.incarnation;
  }

  /** What we say of ourselves, signed. */
  get claim(): Uint8Array {
    return this.#own.signed;
  }

  /** How badly we keep up ourselves: 0 to 8. */
  get awareness(): number {
    return this.#awareness.score;
  }

  /** Whether packets do not get through, so that streams are used. */
  get degraded(): boolean {
    return this.#ways.degraded;
  }

  /** Takes the message of a packet. What is malformed is counted and dropped. */
  receive(
    message: { readonly header: unknown; readonly msgId: unknown; readonly body: MessageBody },
    from: Address,
    packetBytes: number,
  ): void {
    if (this.#stopped) return;
    this.#intake.take(message, from, packetBytes);
    this.#outbox.wake();
  }

  /**
   * Answers a question that came over a stream.
   *
   * @param from Who asks, as the stream has proven. @param host Where from.
   * @throws {InvalidPacketError} `bad-message` naming what is wrong. @throws {ClosedError} when it has stopped.
   */
  answer(question: MessageBody, from: string, host?: string): MessageBody {
    if (this.#stopped) throw new ClosedError("Cannot answer: this node takes part no more");
    const answer = this.#syncer.answer(question, from, host);
    this.#outbox.wake();
    return answer;
  }

  /** Says goodbye to some, who tell the others. */
  leave(): void {
    const goodbye = this.#own.goodbye();
    const isReached = (member: Member) => member.isReached;
    for (const member of this.#roster.sample(GOODBYES, isReached)) this.#outbox.sendNews(member);
    if (!this.#ways.degraded) return;
    for (const member of this.#roster.sample(2, isReached)) this.#tell(member, [goodbye]);
  }

  /** Stops every timer; nothing is sent any more. */
  stop(): void {
    this.#stopped = true;
    this.#prober.stop();
    this.#questions.clear();
    this.#newcomers.clear();
    this.#trials.stop();
    this.#repair.stop();
    this.#outbox.stop();
    for (const timer of this.#timers) timer.cancel();
  }

  /**
   * Somebody suspects a member. So that enough others have asked it soon, whether it answers them or not, some of us do
   * so out of turn: three times as many as it takes, chosen by lot.
   */
  #doubt(member: Member): void {
    const { confirmations, lifeguard } = this.#tuning;
    const share = 3 * (confirmations + 1) / this.#roster.present;
    if (lifeguard && this.#ports.clock.random() < share) this.#prober.check(member);
  }

  /** Nobody is given up before it was asked once more, by a packet and then over a stream. */
  #lastCall(member: Member): void {
    const askedMs = this.#ports.clock.now();
    const { probeTimeoutMs: timeoutMs } = this.#tuning;
    this.#repair.ask(member);
    this.#after(timeoutMs, () => {
      const [address] = streamAddresses(member);
      const isSettled = member.state !== "suspect" || member.heardMs > askedMs;
      if (isSettled || address === undefined || !member.isReached) return;
      this.#syncer.ping(address, member.peerId, timeoutMs, (isThere) => {
        if (!isThere || !isPresent(member)) return;
        this.#ways.answered(member, { host: undefined, path: "stream", rttMs: undefined });
      });
    });
  }

  /** Two programs cannot be one member: this one is silent from now on. */
  #giveWay(): void {
    this.stop();
    const why = "another program with this identity is in the group; this one takes part no more";
    this.#ports.emit({ type: "usurped", why });
  }

  #tell(member: Member, claims: readonly Uint8Array[]): void {
    const [address] = streamAddresses(member);
    if (address !== undefined && claims.length > 0) {
      this.#syncer.tell(address, member.peerId, claims);
    }
  }

  /** Somebody has told all it knows. */
  #synced(): void {
    this.#outbox.wake();
    if (this.#joined) return;
    this.#joined = true;
    for (let nth = 0; nth < EARLY_SYNCS; nth++) {
      const delayMs = EARLY_SYNC_MS * 2 ** nth * (0.5 + this.#ports.clock.random());
      this.#after(delayMs, () => this.#compareWithOne());
    }
  }

  #compareWithOne(): void {
    const [member] = this.#roster.sample(1, ({ isReached }) => isReached);
    const [address] = member === undefined ? [] : streamAddresses(member);
    if (member !== undefined && address !== undefined) {
      this.#syncer.compare(address, member.peerId);
    }
  }

  #forget(): void {
    const nowMs = this.#ports.clock.now();
    for (const member of [...this.#roster.all()]) {
      if (isPresent(member) || nowMs - member.changedMs < this.#tuning.rememberMs) continue;
      this.#roster.remove(member);
    }
  }

  #every(delayMs: () => number, work: () => void): void {
    this.#after(delayMs(), () => {
      work();
      this.#every(delayMs, work);
    });
  }

  #after(delayMs: number, work: () => void): void {
    if (this.#stopped) return;
    const timer = this.#ports.clock.after(delayMs, () => {
      this.#timers.delete(timer);
      if (!this.#stopped) work();
    });
    this.#timers.add(timer);
  }
}

/**
 * An incarnation for a node that starts at that time: larger than all of its lives before, if its clock runs.
 *
 * @example
 * ```ts
 * import { incarnationAt } from "@kith/kith/membership";
 * import { assert } from "@std/assert";
 *
 * const first = incarnationAt(Date.UTC(2026, 0, 2));
 * const second = incarnationAt(Date.UTC(2026, 0, 1), first); // the clock was set back
 * assert(second > first);
 * ```
 */
export function incarnationAt(wallMs: number, before = 0): number {
  const byClock = Math.floor(Math.max(0, wallMs) / 1_000 * 2 ** 20);
  return Math.max(byClock < MAX_INCARNATION ? byClock : 0, before + 1);
}
