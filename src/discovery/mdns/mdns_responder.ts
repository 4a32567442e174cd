/**
 * Says on one link what there is to say of a peer: first asks whether its names are free, then announces them, then
 * answers whoever asks.
 *
 * ```
 * probing --(3 questions in 750 ms, nobody objects)--> announced --(conflict, rotation, close)--> stopped
 * ```
 *
 * An answer goes to the group, each record at most once a second, or to where the question came from and nowhere else.
 * Whoever asks from another port is an ordinary resolver, to which one message must tell everything: its answer is
 * larger than its question, and rationed by who asks.
 *
 * Source: RFC 6762 sections 5 to 10. Left out, because names here are random: the comparison of simultaneous probes
 * (both take another name) and records that deny others (NSEC).
 *
 * @module
 */

import type { Clock, Timer } from "../../clock.ts";
import type { Metrics } from "../../metrics.ts";
import type { Address } from "../../transport/transport.ts";
import { encodeDnsMessage } from "./dns_message.ts";
import {
  type DnsMessage,
  type DnsQuestion,
  type DnsRecord,
  nameKey,
  recordKey,
} from "./dns_record.ts";

/** Probes, and the time between them in milliseconds (RFC 6762, 8.1). */
const PROBES = 3;
const PROBE_EVERY_MS = 250;

/** When names are announced, in milliseconds after they proved to be free (RFC 6762, 8.3). */
const ANNOUNCE_AT_MS = [0, 1_000];

/** How soon a record may be sent to the group again, in milliseconds (RFC 6762, 6). */
const MULTICAST_EVERY_MS = 1_000;

/** How long an answer waits, at random, so that not all answer at once (RFC 6762, 6). */
const ANSWER_AFTER_MS = [20, 120] as const;
/** The same where more known answers follow (RFC 6762, 7.2). */
const ANSWER_TRUNCATED_AFTER_MS = [400, 500] as const;

/** How long an ordinary resolver may keep an answer, in seconds: nobody takes it back there (RFC 6762, 6.7). */
const LEGACY_TTL_S = 10;

/** What a {@linkcode MdnsResponder} needs. */
export interface MdnsResponderOptions {
  /** What it says. What is only its own has `flush`. */
  readonly records: readonly DnsRecord[];
  /** Whether a record is one of this peer's, on whatever link: what is said on one is heard on another. */
  readonly isOwn: (record: DnsRecord) => boolean;
  /** Sends to the group. */
  readonly multicast: (packet: Uint8Array) => Promise<void>;
  /** Answers who asked. */
  readonly reply: (packet: Uint8Array, to: Address) => Promise<void>;
  /** Whether somebody may have one more answer. */
  readonly mayReply: (to: Address) => boolean;
  /** Told that somebody else has its names. */
  readonly conflict: () => void;
  /** The port of multicast DNS; who asks from another is an ordinary resolver. */
  readonly port: number;
  /** Where time and chance come from. */
  readonly clock: Clock;
  /** Counts `mdns.answers` and `mdns.rate`. */
  readonly metrics: Metrics;
}

/** Who wants a record, as long as it is only one: it may say next that it has it. */
type Asker = string | undefined;

/** A peer's records on one link; see the module. */
export class MdnsResponder {
  readonly #options: MdnsResponderOptions;
  readonly #byKey: ReadonlyMap<string, DnsRecord>;
  readonly #byName: ReadonlyMap<string, readonly DnsRecord[]>;
  readonly #ownNames: ReadonlySet<string>;
  readonly #pending = new Map<DnsRecord, Asker>();
  readonly #sentMs = new Map<DnsRecord, number>();
  readonly #timers = new Set<Timer>();
  #flush: { readonly atMs: number; readonly timer: Timer } | undefined;
  #state: "probing" | "announced" | "stopped" = "probing";

  /** Has said nothing yet. */
  constructor(options: MdnsResponderOptions) {
    const { records } = options;
    this.#options = options;
    this.#byKey = new Map(records.map((record) => [recordKey(record), record]));
    this.#byName = Map.groupBy(records, ({ name }) => nameKey(name));
    this.#ownNames = new Set(records.filter(({ flush }) => flush).map(({ name }) => nameKey(name)));
  }

  /** Probes, then announces. */
  start(): void {
    const startMs = this.#options.clock.random() * PROBE_EVERY_MS;
    for (let i = 0; i < PROBES; i++) this.#at(startMs + i * PROBE_EVERY_MS, () => this.#probe());
    const freeMs = startMs + PROBES * PROBE_EVERY_MS;
    for (const afterMs of ANNOUNCE_AT_MS) this.#at(freeMs + afterMs, () => this.#announce());
  }

  /** Takes a question in. */
  takeQuery(query: DnsMessage, from: Address): void {
    if (this.#state === "probing" && query.authorities.some((record) => this.#isRival(record))) {
      return this.#options.conflict();
    }
    if (this.#state !== "announced") return;
    const asker = `${from.hostname} ${from.port}`;
    const known = this.#known(query.answers);
    for (const record of known) {
      if (this.#pending.get(record) === asker) this.#pending.delete(record);
    }
    const isLegacy = from.port !== this.#options.port;
    const inPrivate: DnsQuestion[] = [];
    for (const question of query.questions) {
      if (isLegacy || question.unicast) inPrivate.push(question);
      else this.#enqueue(this.#answers([question], known), query.truncated, asker);
    }
    const answers = this.#answers(inPrivate, known);
    if (answers.length > 0) this.#reply(answers, query, from, isLegacy);
  }

  /** Takes an answer of somebody in: it may settle a question, or dispute a name. */
  takeResponse({ answers, additionals }: DnsMessage): void {
    if (this.#state === "stopped") return;
    for (const record of this.#known(answers)) this.#pending.delete(record);
    if ([...answers, ...additionals].some((record) => record.ttlS > 0 && this.#isRival(record))) {
      this.#options.conflict();
    }
  }

  /** Says no more; with `goodbye`, takes back what was said. */
  async stop(options: { goodbye: boolean }): Promise<void> {
    const wasAnnounced = this.#state === "announced";
    this.#state = "stopped";
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    this.#flush?.timer.cancel();
    if (!wasAnnounced || !options.goodbye) return;
    const about = this.#options.records.filter((record) => this.#isAboutUs(record));
    const answers = about.map((record) => ({ ...record, ttlS: 0 }));
    await this.#options.multicast(encodeDnsMessage({ response: true, answers }));
  }

  #probe(): void {
    const authorities = this.#options.records.filter(({ flush }) => flush);
    const names = new Map(authorities.map(({ name }) => [nameKey(name), name]));
    // Objections are wanted by multicast: an answer by unicast reaches only one of the programs that share the port.
    const questions = [...names.values()].map((name): DnsQuestion => {
      return { name, type: "ANY", unicast: false };
    });
    void this.#options.multicast(encodeDnsMessage({
      questions,
      authorities: authorities.map((record) => ({ ...record, flush: false })), // RFC 6762, 10.2
    }));
  }

  #announce(): void {
    this.#state = "announced";
    for (const record of this.#options.records) this.#pending.set(record, undefined);
    this.#send();
  }

  /** What answers these questions and is not known to who asks. */
  #answers(questions: readonly DnsQuestion[], known: ReadonlySet<DnsRecord>): DnsRecord[] {
    const answers = new Set<DnsRecord>();
    for (const { name, type } of questions) {
      for (const record of this.#byName.get(nameKey(name)) ?? []) {
        const isMeant = type === record.type || type === "ANY";
        if (isMeant && !known.has(record)) answers.add(record);
      }
    }
    return [...answers];
  }

  /** Our records that somebody knows, for at least half as long as we would say (RFC 6762, 7.1). */
  #known(records: readonly DnsRecord[]): ReadonlySet<DnsRecord> {
    const known = new Set<DnsRecord>();
    for (const record of records) {
      const own = this.#byKey.get(recordKey(record));
      if (own !== undefined && record.ttlS >= own.ttlS / 2) known.add(own);
    }
    return known;
  }

  /** Whether a record is about a name of ours and not from us. */
  #isRival(record: DnsRecord): boolean {
    return this.#ownNames.has(nameKey(record.name)) && !this.#options.isOwn(record);
  }

  #reply(answers: DnsRecord[], query: DnsMessage, from: Address, isLegacy: boolean): void {
    const { mayReply, reply, metrics } = this.#options;
    if (!mayReply(from)) return metrics.counter("mdns.rate").add();
    metrics.counter("mdns.answers").add();
    const adapt = (record: DnsRecord): DnsRecord => {
      return isLegacy
        ? { ...record, ttlS: Math.min(record.ttlS, LEGACY_TTL_S), flush: false }
        : record;
    };
    const message = {
      id: query.id,
      response: true,
      questions: isLegacy ? query.questions : [],
      answers: answers.map(adapt),
      additionals: this.#additionals(answers).map(adapt),
    };
    void reply(encodeDnsMessage(message), from);
  }

  #enqueue(records: readonly DnsRecord[], isTruncated: boolean, asker: string): void {
    if (records.length === 0) return;
    for (const record of records) {
      this.#pending.set(record, this.#pending.has(record) ? undefined : asker);
    }
    const [least, most] = isTruncated ? ANSWER_TRUNCATED_AFTER_MS : ANSWER_AFTER_MS;
    this.#sendAfter(least + this.#options.clock.random() * (most - least));
  }

  #sendAfter(delayMs: number): void {
    const { clock } = this.#options;
    const atMs = clock.now() + delayMs;
    if (this.#flush !== undefined) {
      if (this.#flush.atMs <= atMs) return;
      this.#flush.timer.cancel();
    }
    const timer = clock.after(delayMs, () => {
      this.#flush = undefined;
      this.#send();
    });
    this.#flush = { atMs, timer };
  }

  /** Sends what is wanted and was not sent in the last second; the rest when its second is over. */
  #send(): void {
    const { clock, metrics, multicast } = this.#options;
    const nowMs = clock.now();
    const waitMs = (record: DnsRecord) => {
      return (this.#sentMs.get(record) ?? -Infinity) + MULTICAST_EVERY_MS - nowMs;
    };
    const answers = [...this.#pending.keys()].filter((record) => waitMs(record) <= 0);
    if (answers.length > 0) {
      const additionals = this.#additionals(answers).filter((record) => waitMs(record) <= 0);
      for (const record of [...answers, ...additionals]) this.#sentMs.set(record, nowMs);
      for (const record of answers) this.#pending.delete(record);
      metrics.counter("mdns.answers").add();
      void multicast(encodeDnsMessage({ response: true, answers, additionals }));
    }
    if (this.#pending.size > 0) this.#sendAfter(Math.min(...[...this.#pending.keys()].map(waitMs)));
  }

  /** What who learns of the service or its host will ask for next. */
  #additionals(answers: readonly DnsRecord[]): DnsRecord[] {
    if (!answers.some((record) => this.#isAboutUs(record))) return [];
    return this.#options.records.filter((record) => record.flush && !answers.includes(record));
  }

  /** Whether a record of ours is about nobody else; what others say as well is not ours to take back. */
  #isAboutUs(record: DnsRecord): boolean {
    return record.flush || (record.type === "PTR" && this.#ownNames.has(nameKey(record.target)));
  }

  #at(delayMs: number, callback: () => void): void {
    const timer = this.#options.clock.after(delayMs, () => {
      this.#timers.delete(timer);
      callback();
    });
    this.#timers.add(timer);
  }
}
