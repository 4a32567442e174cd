/**
 * Who is in a group, without a server: each member asks another one now and then, and what it learns travels with what
 * it says anyway. A state machine without I/O: packets, answers and timers in; packets, questions and events out.
 *
 * Source: SWIM (Das, Gupta, Motivala 2002), Lifeguard (Dadgar, Phillips, Currey 2018), and memberlist for streams.
 * What is not in any of them: claims are signed, nobody is declared dead by others (`book.ts`), newcomers are asked before
 * they are believed (`newcomers.ts`), and those who were lost are looked for as long as there is anybody left.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { type RateOptions, TokenBuckets } from "../endpoint/limits.ts";
import type { Timer } from "../clock.ts";
import type { Address } from "../transport/transport.ts";
import type { MessageBody } from "../wire/message.ts";
import { SOFT_DATAGRAM_BYTES } from "../wire/datagram.ts";
import { Awareness } from "./awareness.ts";
import { Book, type Told } from "./book.ts";
import { peekClaim } from "./claims.ts";
import { infoOf, isPresent, type Member, type MemberInfo, packetAddresses } from "./member.ts";
import { preferHost, streamAddresses } from "./member.ts";
import { type Arrival, Newcomers } from "./newcomers.ts";
import { News } from "./news.ts";
import { type SelfDescription, SWIM_DEFAULTS, type SwimPorts, type SwimTuning } from "./options.ts";
import { encodePacket, type MemberPacket, PACKET_BYTES, readPacket } from "./packets.ts";
import { type Outgoing, Prober } from "./prober.ts";
import { Questions } from "./questions.ts";
import { Roster } from "./roster.ts";
import { Syncer } from "./syncer.ts";

/** The largest packet in bytes, with room for a seal around it. */
const MAX_PACKET_BYTES = SOFT_DATAGRAM_BYTES - 64;

/** To an address that has answered before, at most this many times what came from it. */
const MAX_AMPLIFICATION = 3;

/** Claims from one address that no member has answered from: each may cost the check of a signature. */
const UNKNOWN_CLAIMS: Readonly<RateOptions> = { perSecond: 32, burst: 256 };

/** Packets of one address that want an answer. */
const QUESTIONS: Readonly<RateOptions> = { perSecond: 64, burst: 256 };

/** Members in a row that only answered over a stream, after which packets are taken to be blocked. */
const DEGRADED_AFTER = 3;

/** Time between two tellings of news over streams, and two comparisons, where packets are blocked. */
const DEGRADED_NEWS_MS = 1_000;
const DEGRADED_SYNC_MS = 5_000;

/** How long somebody just given up still hears the news: it may have only been slow. */
const NEWS_TO_THE_DEAD_MS = 30_000;

/** Members that are looked for when one of those who were lost is back, and how soon: 20 a second while more come. */
const HURRIED = 4;
const HURRY_MS = 200;

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

/** One node; see the module. */
export class Swim {
  readonly #ports: SwimPorts;
  readonly #tuning: SwimTuning;
  readonly #project: string;
  readonly #roster: Roster;
  readonly #news = new News();
  readonly #awareness: Awareness;
  readonly #questions: Questions;
  readonly #newcomers: Newcomers;
  readonly #book: Book;
  readonly #prober: Prober;
  readonly #syncer: Syncer;
  readonly #claimRates: TokenBuckets;
  readonly #questionRates: TokenBuckets;
  readonly #timers = new Set<Timer>();
  #newsTimer: Timer | undefined;
  #absent: Address[] = [];
  #nextLost = 0;
  #streamOnly = 0;
  #hurrying = false;
  #degraded = false;
  #stopped = false;

  /** Takes part as soon as it is started. @throws {RangeError} when the description is too long. */
  constructor({ ports, project, self, incarnation, tuning = {} }: SwimOptions) {
    this.#ports = ports;
    this.#tuning = { ...SWIM_DEFAULTS, ...tuning };
    this.#project = project;
    this.#roster = new Roster(ports.clock);
    this.#awareness = new Awareness(this.#tuning.lifeguard);
    this.#questions = new Questions(ports.clock, ports.nonce);
    this.#claimRates = new TokenBuckets(ports.clock, UNKNOWN_CLAIMS);
    this.#questionRates = new TokenBuckets(ports.clock, QUESTIONS);
    const common = { ports, tuning: this.#tuning, project, roster: this.#roster };
    this.#newcomers = new Newcomers({
      clock: ports.clock,
      ask: (newcomer, done) => this.#prober.meet(newcomer, done),
      accept: ({ claim, signed, told, addresses }, arrival) => {
        const hosts = addresses.map(({ hostname }) => hostname);
        const wasLost = this.#roster.get(claim.subject)?.state === "dead";
        const member = this.#book.accept(claim, signed, hosts, told);
        if (member !== undefined) this.#answered(member, arrival);
        if (wasLost) this.#hurry();
        this.#wakeNews();
      },
    });
    this.#book = new Book({
      ...common,
      self,
      incarnation,
      news: this.#news,
      awareness: this.#awareness,
      verify: (claim, signed, told) => this.#newcomers.offer(claim, signed, told),
      usurped: () => this.#giveWay(),
      lastCall: (member) => this.#seek(member, "packet"),
      doubt: (member) => this.#doubt(member),
      isBeingVerified: (claim) => this.#newcomers.has(claim),
    });
    this.#syncer = new Syncer({ ...common, book: this.#book, synced: () => this.#wakeNews() });
    this.#prober = new Prober({
      ...common,
      awareness: this.#awareness,
      questions: this.#questions,
      send: (packet, to, budget) => this.#send(packet, to, budget),
      streamQuestion: (peerId) => this.#syncer.pingFor(peerId),
      answered: (member, arrival) => this.#answered(member, arrival),
      silent: (member) => {
        this.#book.accuse(member);
        this.#wakeNews();
      },
    });
  }

  /** Begins. */
  start(): void {
    const { repairMs, rememberMs } = this.#tuning;
    this.#prober.start();
    this.#every(
      () => this.#degraded ? DEGRADED_SYNC_MS : this.#syncer.intervalMs,
      () => this.#sync(),
    );
    this.#every(() => repairMs * (0.5 + this.#ports.clock.random()), () => this.#repair());
    this.#every(() => Math.min(60_000, rememberMs), () => this.#forget());
  }

  /** Joins whoever is at an address that takes connections. */
  join(address: Address, done: (ok: boolean) => void = () => {}): void {
    this.#syncer.compare(address, undefined, done);
  }

  /** Addresses where there were members once, looked at for ever at a low rate; replaces those before. */
  remember(addresses: readonly Address[]): void {
    this.#absent = [...addresses];
  }

  /** Says something new of ourselves. @throws {RangeError} when it is too long. */
  describe(self: SelfDescription): void {
    this.#book.describe(self);
    this.#wakeNews();
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
    return this.#book.incarnation;
  }

  /** How badly we keep up ourselves: 0 to 8. */
  get awareness(): number {
    return this.#awareness.score;
  }

  /** Whether packets do not get through, so that streams are used. */
  get degraded(): boolean {
    return this.#degraded;
  }

  /** Takes the message of a packet. What is malformed is counted and dropped. */
  receive(
    message: { readonly header: unknown; readonly msgId: unknown; readonly body: MessageBody },
    from: Address,
    packetBytes: number,
  ): void {
    if (this.#stopped) return;
    try {
      this.#receive(readPacket(message), from, packetBytes);
    } catch (error) {
      if (!(error instanceof InvalidPacketError)) throw error;
      this.#count("malformed");
    }
    this.#wakeNews();
  }

  /**
   * Answers a question that came over a stream. @param from Who asks, as the stream has proven. @param host Where from.
   *
   * @throws {InvalidPacketError} `bad-message` naming what is wrong.
   */
  answer(question: MessageBody, from: string, host?: string): MessageBody {
    const answer = this.#syncer.answer(question, from, host);
    this.#wakeNews();
    return answer;
  }

  /** Says goodbye to some, who tell the others. */
  leave(): void {
    this.#book.goodbye();
    for (const member of this.#roster.sample(GOODBYES)) {
      const [address] = packetAddresses(member);
      if (address !== undefined) this.#send({ kind: ":news", nonce: 0, to: "" }, address);
    }
    if (!this.#degraded) return;
    const claims = [this.#book.goodbye()];
    for (const member of this.#roster.sample(2)) this.#tell(member, claims);
  }

  /** Stops every timer; nothing is sent any more. */
  stop(): void {
    this.#stopped = true;
    this.#prober.stop();
    this.#questions.clear();
    this.#newcomers.clear();
    this.#book.stop();
    for (const timer of this.#timers) timer.cancel();
    this.#newsTimer?.cancel();
  }

  #receive(packet: MemberPacket, from: Address, packetBytes: number): void {
    const { kind, nonce, project, to, claims } = packet;
    if (kind === ":ack" || kind === ":nack") {
      if (kind === ":ack") this.#takeClaims(packet, from);
      if (!this.#questions.answer(packet, from)) this.#count("unasked");
      return;
    }
    if (project !== this.#project) return this.#count("other-projects");
    if (kind === ":ping" && to !== this.#ports.signer.peerId) return this.#count("not-for-us");
    this.#takeClaims(packet, from);
    if (kind === ":news") return void claims;
    if (!this.#questionRates.take(sourceOf(from))) return this.#count("rate");
    const isProven = this.#isProven(packet.from, from);
    if (kind === ":relay") {
      const member = this.#roster.get(to);
      // Whom we ask for somebody is a member we know, at the address where it answered us.
      if (isProven && member !== undefined) this.#prober.relay(nonce, member, from);
      return;
    }
    // Whoever suspects us shall have what refutes it with the answer.
    const isAccused = claims.some((claim) => peekClaim(claim)?.kind === "suspect");
    const most = isProven
      ? Math.min(MAX_PACKET_BYTES, MAX_AMPLIFICATION * packetBytes)
      : packetBytes;
    this.#send({ kind: ":ack", nonce, to: packet.from }, from, most, isAccused);
  }

  #takeClaims({ from: by, claims }: MemberPacket, from: Address): void {
    const isKnown = this.#isProven(by, from);
    const told: Told = { by, host: from.hostname, isOld: false };
    for (const claim of claims) {
      if (!isKnown && !this.#claimRates.take(sourceOf(from))) return this.#count("rate");
      this.#book.take(claim, told);
    }
  }

  /** Whether a member has answered us from that very address. */
  #isProven(peerId: string, from: Address): boolean {
    const member = this.#roster.get(peerId);
    return member?.path === "direct" && member.claim.udpPort === from.port &&
      member.hosts[0] === from.hostname;
  }

  /** Sends a packet with the claims that matter most to whom it is for, and then what is new. */
  #send(
    { kind, nonce, to }: Outgoing,
    address: Address,
    budget = MAX_PACKET_BYTES,
    introduces = false,
  ): void {
    if (this.#stopped) return;
    const names = kind === ":ping" || kind === ":relay" || kind === ":news";
    const member = this.#roster.get(to);
    const claims: Uint8Array[] = [];
    let left = budget - PACKET_BYTES;
    const add = (claim: Uint8Array | undefined) => {
      if (claim === undefined || claim.length + 3 > left) return;
      claims.push(claim);
      left -= claim.length + 3;
    };
    // Whom we ask for the first time does not know us; whom we suspect or gave up can refute it only when it knows.
    const isStranger = kind === ":ping" && (member === undefined || member.state === "dead");
    if (isStranger || introduces) add(this.#book.own);
    if (kind === ":ping" || kind === ":ack") {
      if (member !== undefined && (this.#tuning.lifeguard || member.state === "dead")) {
        add(this.#book.accusationOf(member));
      }
    }
    if (left > 80) claims.push(...this.#news.take(left, this.#passes));
    const project = names ? this.#project : "";
    const shownTo = kind === ":ping" || kind === ":relay" ? to : "";
    const { peerId: from } = this.#ports.signer;
    this.#ports.send(encodePacket({ kind, nonce, project, from, to: shownTo, claims }), address);
  }

  #answered(member: Member, { host, path, rttMs }: Arrival): void {
    if (host !== undefined) preferHost(member, host);
    if (rttMs !== undefined) member.rttMs = rttMs;
    [member.path, member.heardMs] = [path, this.#ports.clock.now()];
    this.#streamOnly = path === "stream" ? this.#streamOnly + 1 : 0;
    const isDegraded = this.#streamOnly >= DEGRADED_AFTER ||
      // In a small group everybody there is counts.
      (this.#streamOnly > 0 && this.#streamOnly >= this.#roster.present);
    if (path === "stream" ? isDegraded : true) this.#setDegraded(isDegraded);
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

  /** Two programs cannot be one member: this one is silent from now on. */
  #giveWay(): void {
    this.stop();
    const why = "another program with this identity is in the group; this one takes part no more";
    this.#ports.emit({ type: "usurped", why });
  }

  #setDegraded(degraded: boolean): void {
    if (degraded === this.#degraded) return;
    this.#degraded = degraded;
    const why = degraded
      ? "UDP does not get through: members answer over TCP only, which costs more and takes longer"
      : "UDP gets through again";
    this.#ports.emit({ type: degraded ? "degraded" : "restored", why });
  }

  /** How often a claim is passed on. */
  get #passes(): number {
    return this.#tuning.retransmit * Math.ceil(Math.log10(this.#roster.present + 2));
  }

  /** Sees to it that what is new leaves, also when nothing else is said. */
  #wakeNews(): void {
    if (this.#newsTimer !== undefined || this.#stopped || this.#news.size === 0) return;
    const delayMs = this.#degraded ? DEGRADED_NEWS_MS : this.#tuning.newsMs;
    this.#newsTimer = this.#ports.clock.after(delayMs, () => {
      this.#newsTimer = undefined;
      this.#spreadNews();
      this.#wakeNews();
    });
  }

  #spreadNews(): void {
    if (this.#degraded) {
      const [member] = this.#roster.sample(1);
      if (member !== undefined) this.#tell(member, this.#news.take(64 * 1024, this.#passes));
      return;
    }
    const nowMs = this.#ports.clock.now();
    const lately = this.#roster.lost.filter(({ changedMs }) => {
      return nowMs - changedMs < NEWS_TO_THE_DEAD_MS;
    });
    const chosen = this.#roster.sample(this.#tuning.fanout);
    // One of those just given up takes part as often as if it were present.
    const share = lately.length / (this.#roster.present + lately.length || 1);
    const dead = lately[Math.floor(this.#ports.clock.random() * lately.length)];
    if (dead !== undefined && this.#ports.clock.random() < share * this.#tuning.fanout) {
      chosen.push(dead);
    }
    for (const member of chosen) {
      if (this.#news.size === 0) return;
      const [address] = packetAddresses(member);
      if (address !== undefined) this.#send({ kind: ":news", nonce: 0, to: "" }, address);
    }
  }

  #tell(member: Member, claims: readonly Uint8Array[]): void {
    const [address] = streamAddresses(member);
    if (address !== undefined && claims.length > 0) {
      this.#syncer.tell(address, member.peerId, claims);
    }
  }

  #sync(): void {
    const [member] = this.#roster.sample(1);
    const [address] = member === undefined ? [] : streamAddresses(member);
    if (member !== undefined && address !== undefined) {
      this.#syncer.compare(address, member.peerId);
    }
  }

  /** Looks for one of those who were lost, and for one of those who were here in an earlier life. */
  #repair(): void {
    const lost = this.#roster.lost;
    const at = this.#nextLost++;
    const member = lost[at % lost.length];
    if (member !== undefined) this.#seek(member);
    const address = this.#absent[at % this.#absent.length];
    const isHere = (known: Member) => {
      return isPresent(known) &&
        streamAddresses(known).some(({ hostname, port }) => {
          return hostname === address?.hostname && port === address.port;
        });
    };
    if (address === undefined || [...this.#roster.all()].some(isHere)) return;
    this.#syncer.compare(address, undefined);
  }

  /** One of the lost is back: whatever was in the way of the others may be gone, too. */
  #hurry(): void {
    if (this.#hurrying) return;
    this.#hurrying = true;
    const timer = this.#ports.clock.after(HURRY_MS, () => {
      this.#timers.delete(timer);
      this.#hurrying = false;
      const lost = this.#roster.lost;
      for (let left = Math.min(lost.length, HURRIED); left > 0; left--) {
        const member = lost[this.#nextLost++ % lost.length];
        if (member !== undefined) this.#seek(member, "packet");
      }
    });
    this.#timers.add(timer);
  }

  /** A packet with what it has to refute; and a stream, for packets may be blocked. */
  #seek(member: Member, how: "packet" | "every way" = "every way"): void {
    const to = packetAddresses(member);
    const { probeTimeoutMs } = this.#tuning;
    const nonce = this.#questions.add({
      to,
      timeoutMs: probeTimeoutMs,
      answered: ({ kind }, { hostname: host }) => {
        // Those who were given up have to say something new: others have not heard this answer.
        if (isPresent(member)) this.#answered(member, { host, path: "direct", rttMs: undefined });
        return kind === ":ack";
      },
    });
    if (nonce === undefined) return;
    for (const address of to) this.#send({ kind: ":ping", nonce, to: member.peerId }, address);
    if (how === "packet" && !this.#degraded) return;
    const [address] = streamAddresses(member);
    if (address !== undefined) this.#syncer.compare(address, member.peerId);
  }

  #forget(): void {
    const nowMs = this.#ports.clock.now();
    for (const member of [...this.#roster.all()]) {
      if (isPresent(member) || nowMs - member.changedMs < this.#tuning.rememberMs) continue;
      this.#roster.remove(member);
    }
  }

  #every(delayMs: () => number, work: () => void): void {
    const timer = this.#ports.clock.after(delayMs(), () => {
      this.#timers.delete(timer);
      if (this.#stopped) return;
      work();
      this.#every(delayMs, work);
    });
    this.#timers.add(timer);
  }

  #count(what: string): void {
    this.#ports.metrics.counter(`membership.${what}`).add();
  }
}

/** Who is counted together: what comes from one address; on this machine the ports are different programs. */
function sourceOf({ hostname, port }: Address): string {
  return hostname.startsWith("127.") || hostname === "::1" ? `${hostname}:${port}` : hostname;
}

/** An incarnation for a node that starts at that time: larger than all of its lives before, if its clock runs. */
export function incarnationAt(wallMs: number, before = 0): number {
  return Math.max(Math.floor(wallMs / 1_000) * 2 ** 20, before + 1);
}
