/**
 * One search for peers by multicast DNS.
 *
 * Asks the group who is there, and whoever was named without port or address for those. What is believed is bounded, and
 * only addresses of the network that an answer came from are: nobody far away can be named as a peer.
 *
 * Source: RFC 6762 section 5.2 (when to ask) and 7.1 (what is known already), RFC 6763 sections 4 and 5.
 *
 * @module
 */

import type { Clock, Timer } from "../../clock.ts";
import type { Metrics } from "../../metrics.ts";
import type { Address } from "../../transport/transport.ts";
import { encodeDnsMessage } from "./dns_message.ts";
import type { DnsMessage, DnsName, DnsQuestion, DnsRecord } from "./dns_record.ts";
import { type Cached, MdnsCache, type RecordOf, type Said } from "./mdns_cache.ts";
import type { MdnsLink } from "./mdns_links.ts";
import { isInNetwork } from "../interface_network.ts";
import { isServiceName, labelOf, readServiceText, SERVICE_NAME } from "./mdns_service.ts";
import { addressOn, platformOf } from "../platform.ts";

/** The first wait between questions and the longest, in milliseconds; each is twice the one before. */
const ASK_EVERY_MS = { first: 1_000, most: 60_000 };

/** How long to wait for the rest of an answer before asking for it, at random, in milliseconds. */
const RESOLVE_AFTER_MS = [20, 120] as const;

/** Most questions for ports and addresses in one message. */
const MAX_RESOLVED_AT_ONCE = 16;

/** Known answers in one message, which stays below a packet of Ethernet; more follow in others (RFC 6762, 7.2). */
const KNOWN_PER_MESSAGE = 14;
/** Most messages of known answers; who is not in them answers again. */
const MAX_KNOWN_MESSAGES = 8;

/** A peer that somebody on the network named, which proves nothing. */
export interface MdnsPeer {
  /** Where it is to take connections. */
  readonly address: Address;
  /** What it is listed under; changes every few minutes. */
  readonly label: string;
  /** Whose it is said to be: 40 hexadecimal digits. @default nobody said */
  readonly peerId?: string;
  /** What it is called, at most 192 characters of a stranger's text; empty for nothing. */
  readonly name: string;
}

/** What a {@linkcode MdnsBrowser} needs. */
export interface MdnsBrowserOptions {
  /** The links there are. */
  readonly links: () => readonly MdnsLink[];
  /** Whether a label is our own, or was. */
  readonly isOwn: (label: string) => boolean;
  /** Where time and chance come from. */
  readonly clock: Clock;
  /** Counts `mdns.questions` and `mdns.full`. */
  readonly metrics: Metrics;
}

/** A service somebody named. */
interface Service {
  /** The record that names it. */
  readonly ptr: Cached<RecordOf<"PTR">>;
  readonly label: string;
  readonly name: DnsName;
}

/** One search; see the module. */
export class MdnsBrowser {
  readonly #options: MdnsBrowserOptions;
  readonly #cache = new MdnsCache();
  // Where each named service was reported to be, and which were asked for; forgotten with the record that names it.
  readonly #reported = new WeakMap<Cached, Set<string>>();
  readonly #asked = new WeakSet<Cached>();
  #timer: Timer | undefined;
  #resolving: Timer | undefined;
  #changed = false;
  #stopped = false;
  #wake: () => void = () => {};

  /** Has asked nobody yet. */
  constructor(options: MdnsBrowserOptions) {
    this.#options = options;
  }

  /** Asks now, and again until stopped. */
  start(): void {
    let waitMs = ASK_EVERY_MS.first;
    const later = () => {
      this.#timer = this.#options.clock.after(waitMs, () => {
        this.ask({ unicast: false });
        later();
      });
      waitMs = Math.min(2 * waitMs, ASK_EVERY_MS.most);
    };
    if (this.#stopped) return;
    this.ask({ unicast: true });
    later();
  }

  /**
   * Asks on every link who is there. Answers by unicast come at once, those to the group up to a second later where
   * somebody else has just asked. But they reach only one of the programs that share the port: not always this one.
   */
  ask({ unicast }: { unicast: boolean }): void {
    this.#cache.purge(this.#options.clock.now());
    for (const link of this.#options.links()) {
      const who: DnsQuestion = { name: SERVICE_NAME, type: "PTR", unicast };
      const questions = [who, ...this.#missing(link.local.name)];
      const known = this.#known(link.local.name);
      this.#send(link, { questions, answers: known.shift() ?? [], truncated: known.length > 0 });
      for (const [i, answers] of known.entries()) {
        this.#send(link, { answers, truncated: i < known.length - 1 });
      }
    }
  }

  /** Takes an answer in. */
  take(response: DnsMessage, from: Address, link: MdnsLink): void {
    const nowMs = this.#options.clock.now();
    const said = { on: link.local.name, source: from.hostname, nowMs };
    this.#cache.purge(nowMs);
    const records = [...response.answers, ...response.additionals];
    // An address is of interest once it is known whose it is.
    for (const record of records) if (!isAddress(record) && isOurs(record)) this.#put(record, said);
    for (const record of records) {
      if (isAddress(record) && this.#cache.isTarget(said.on, record.name)) this.#put(record, said);
    }
    if (!this.#changed) return;
    this.#wake();
    this.#resolveSoon();
  }

  /** Who was named, until stopped; each address of each service once, and again after it was taken back. */
  async *results(): AsyncGenerator<MdnsPeer, void, void> {
    while (!this.#stopped) {
      this.#changed = false;
      yield* this.#unreported();
      if (this.#changed || this.#stopped) continue;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** Ends the search. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#resolving?.cancel();
    this.#wake();
  }

  #put(record: DnsRecord, said: Said): void {
    const outcome = this.#cache.put(record, said);
    if (outcome === "full") this.#options.metrics.counter("mdns.full").add();
    if (outcome === "new") this.#changed = true;
  }

  *#unreported(): Generator<MdnsPeer> {
    this.#cache.purge(this.#options.clock.now());
    const links = new Map(this.#options.links().map((link) => [link.local.name, link]));
    for (const [on, link] of links) {
      for (const service of this.#services(on)) {
        for (const peer of this.#peers(service, link)) {
          const reported = this.#reported.get(service.ptr) ?? new Set();
          this.#reported.set(service.ptr, reported);
          const key = `${peer.address.hostname} ${peer.address.port}`;
          if (reported.has(key)) continue;
          reported.add(key);
          yield peer;
        }
      }
    }
  }

  *#services(on: string): Generator<Service> {
    for (const ptr of this.#cache.get(on, "PTR", SERVICE_NAME)) {
      const name = ptr.record.target;
      const label = labelOf(name);
      if (label !== undefined && !this.#options.isOwn(label)) yield { ptr, label, name };
    }
  }

  *#peers({ label, name }: Service, link: MdnsLink): Generator<MdnsPeer> {
    const on = link.local.name;
    const [text] = this.#cache.get(on, "TXT", name).sort((a, b) => b.saidMs - a.saidMs);
    const said = text && readServiceText(text.record.strings);
    if (said === undefined) return;
    for (const { record: { port, target } } of this.#cache.get(on, "SRV", name)) {
      const addresses = [
        ...this.#cache.get(on, "A", target),
        ...this.#cache.get(on, "AAAA", target),
      ];
      for (const { record } of addresses) {
        const hostname = reachable(record, link);
        if (hostname !== undefined && port > 0) {
          yield { ...said, label, address: { hostname, port } };
        }
      }
    }
  }

  /** What is to be asked for about services on an interface, as far as they were never reported. */
  #missing(on: string, services: Iterable<Service> = this.#services(on)): DnsQuestion[] {
    const questions: DnsQuestion[] = [];
    for (const { ptr, name } of services) {
      if (!this.#reported.has(ptr)) questions.push(...this.#unknown(on, name));
      if (questions.length >= MAX_RESOLVED_AT_ONCE) break;
    }
    return questions.slice(0, MAX_RESOLVED_AT_ONCE);
  }

  /** What is not known about a service on an interface. */
  #unknown(on: string, name: DnsName): DnsQuestion[] {
    const ask = (name: DnsName, type: DnsQuestion["type"]) => ({ name, type, unicast: false });
    const questions: DnsQuestion[] = [];
    if (!this.#cache.has(on, "TXT", name)) questions.push(ask(name, "TXT"));
    const [srv] = this.#cache.get(on, "SRV", name);
    if (srv === undefined) return [...questions, ask(name, "SRV")];
    const { target } = srv.record;
    if (this.#cache.has(on, "A", target) || this.#cache.has(on, "AAAA", target)) return questions;
    return [...questions, ask(target, "A"), ask(target, "AAAA")];
  }

  /** Asks once, shortly, for what nobody said along with a service's name; from then on it waits for its turn. */
  #resolveSoon(): void {
    if (this.#resolving !== undefined || this.#stopped) return;
    const { clock, links } = this.#options;
    const [least, most] = RESOLVE_AFTER_MS;
    this.#resolving = clock.after(least + clock.random() * (most - least), () => {
      this.#resolving = undefined;
      const asked: Cached[] = [];
      for (const link of links()) {
        const services = [...this.#services(link.local.name)].filter(({ ptr }) =>
          !this.#asked.has(ptr)
        );
        const questions = this.#missing(link.local.name, services);
        if (questions.length > 0) this.#send(link, { questions });
        asked.push(...services.map(({ ptr }) => ptr));
      }
      for (const ptr of asked) this.#asked.add(ptr);
    });
  }

  /** Who need not answer, in as many parts as messages are needed (RFC 6762, 7.1). */
  #known(on: string): DnsRecord[][] {
    const nowMs = this.#options.clock.now();
    const known: DnsRecord[] = [];
    for (const { record, untilMs, ttlMs } of this.#cache.get(on, "PTR", SERVICE_NAME)) {
      const leftMs = untilMs - nowMs;
      if (leftMs > ttlMs / 2) {
        known.push({ ...record, ttlS: Math.floor(leftMs / 1_000), flush: false });
      }
    }
    const parts: DnsRecord[][] = [];
    while (known.length > 0 && parts.length < MAX_KNOWN_MESSAGES) {
      parts.push(known.splice(0, KNOWN_PER_MESSAGE));
    }
    return parts;
  }

  #send(link: MdnsLink, query: Partial<DnsMessage>): void {
    this.#options.metrics.counter("mdns.questions").add();
    void link.multicast(encodeDnsMessage(query));
  }
}

/** Whether a record is about services of ours. */
function isOurs({ type, name }: DnsRecord): boolean {
  if (type === "PTR") return isServiceName(name);
  return (type === "SRV" || type === "TXT") && labelOf(name) !== undefined;
}

function isAddress({ type }: DnsRecord): boolean {
  return type === "A" || type === "AAAA";
}

/** The address to connect to; `undefined` for one that is not on the network of that link's interface. */
function reachable(record: RecordOf<"A" | "AAAA">, { siblings }: MdnsLink): string | undefined {
  const family = record.type === "A" ? "IPv4" : "IPv6";
  const local = siblings.find((own) => {
    return own.family === family && isInNetwork(record.address, own);
  });
  return local && addressOn(platformOf(), record.address, local);
}
