/**
 * Being found, and finding, by multicast DNS: what the network's own tools (Avahi, Bonjour) list as `_kith._tcp`.
 *
 * Everybody on the network sees that somebody is there, where, and what the announcement says: nothing of the host or
 * its user, and a peer's id or name only where it is given. The label under which a peer is listed is random and changes
 * every ten minutes. What is found is a hint: anybody can say anything, so who is there has yet to prove it.
 *
 * Packets that leave have the lifetime (TTL) that the system gives to multicast, because the runtime cannot set
 * another; RFC 6762 asks receivers not to look at it.
 *
 * Source: RFC 6762 (multicast DNS), RFC 6763 (service discovery).
 *
 * @module
 */

import { randomBytes } from "node:crypto";
import { type Clock, systemClock, type Timer } from "../../clock.ts";
import { TokenBuckets } from "../../endpoint/limits.ts";
import { ClosedError, type UnsupportedError } from "../../errors.ts";
import { type Logger, silentLogger } from "../../log.ts";
import { Metrics } from "../../metrics.ts";
import type { Datagram, Transport } from "../../transport/transport.ts";
import { Attempts } from "../attempts.ts";
import { decodeDnsMessage } from "./dns_message.ts";
import { type DnsRecord, recordKey } from "./dns_record.ts";
import { type LocalInterface, localInterfaces } from "../interfaces.ts";
import { MdnsBrowser, type MdnsPeer } from "./mdns_browser.ts";
import { type MdnsLink, MdnsLinks } from "./mdns_links.ts";
import { MdnsResponder } from "./mdns_responder.ts";
import {
  assertAnnouncement,
  LABEL_MS,
  type MdnsAnnouncement,
  serviceRecords,
} from "./mdns_service.ts";

/** The port of multicast DNS (RFC 6762, 2). */
export const MDNS_PORT = 5353;

/**
 * Answers by unicast per address: an ordinary resolver asks for one service after another. An answer is up to fifteen
 * times as long as its question, so that whoever forges the address of a neighbour has it sent some 2.5 kB a second.
 */
const REPLIES_PER_ADDRESS = { perSecond: 5, burst: 20 };
/** The same to all addresses together. */
const REPLIES = { perSecond: 100, burst: 200 };

/** Conflicts after which a new label is taken at once; later ones wait (RFC 6762, 8.1: 15, then one in five seconds). */
const CONFLICTS = { perSecond: 0.2, burst: 15 };
const CONFLICT_WAIT_MS = 5_000;

/** Labels that are remembered as our own: what was said under one may be heard for a while. */
const OWN_LABELS = 8;

/** What multicast DNS needs. */
export interface MdnsOptions {
  /** The network. */
  transport: Transport;
  /** Whom to announce; without it, this end looks and cannot be found. */
  announce?: MdnsAnnouncement;
  /** The shared port. @default {5353} */
  port?: number;
  /** Lists the interfaces to use. @default {localInterfaces} */
  interfaces?: () => readonly LocalInterface[];
  /** Makes a label of 1..63 bytes, another each time. @default 16 random hexadecimal digits */
  newLabel?: () => string;
  /** Where time and chance come from. @default {systemClock} */
  clock?: Clock;
  /** Where to say what happens. @default {silentLogger} */
  log?: Logger;
  /** Counts `mdns.*`, and `discovery.failures` and `discovery.malformed`. @default {new Metrics()} */
  metrics?: Metrics;
}

/**
 * Multicast DNS on every interface; see the module.
 *
 * @example
 * ```ts
 * import { ManualClock } from "@kith/kith";
 * import { Mdns } from "@kith/kith/discovery";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const [network, clock] = [new MemoryNetwork(), new ManualClock()];
 * const lan = { name: "lan", family: "IPv4", broadcast: "10.0.0.255", index: undefined } as const;
 * const on = (address: string) => ({
 *   clock,
 *   transport: network.host(address),
 *   interfaces: () => [{ ...lan, address, loopback: false }],
 * });
 * await using bob = await Mdns.open({ ...on("10.0.0.2"), announce: { tcpPort: 3485 } });
 * await clock.advance(1_500); // first it finds out whether anybody has its label
 * await using alice = await Mdns.open(on("10.0.0.1"));
 * const end = new AbortController();
 * const looking = Array.fromAsync(alice.find({ signal: end.signal }));
 * await clock.advance(500);
 * end.abort();
 * const [peer] = await looking;
 * assertEquals([peer?.label, peer?.address], [bob.label, { hostname: "10.0.0.2", port: 3485 }]);
 * ```
 */
export class Mdns implements AsyncDisposable {
  /** The way of finding that it is. */
  readonly method = "mdns";
  readonly #options: Required<Omit<MdnsOptions, "announce">> & Pick<MdnsOptions, "announce">;
  readonly #attempts: Attempts;
  readonly #links: MdnsLinks;
  readonly #responders = new Map<string, Responding>();
  readonly #browsers = new Set<MdnsBrowser>();
  readonly #rates: TokenBuckets;
  readonly #all: TokenBuckets;
  readonly #conflicts: TokenBuckets;
  #labels: readonly string[] = [];
  #own: ReadonlySet<string> = new Set();
  #renewal: Timer | undefined;
  #closed = false;

  private constructor(options: MdnsOptions) {
    const defaults = {
      port: MDNS_PORT,
      interfaces: localInterfaces,
      newLabel: randomLabel,
      clock: systemClock,
      log: silentLogger,
      metrics: new Metrics(),
    };
    this.#options = { ...defaults, ...options };
    const { clock, log, metrics } = this.#options;
    this.#attempts = new Attempts(log, metrics);
    this.#rates = new TokenBuckets(clock, REPLIES_PER_ADDRESS);
    this.#all = new TokenBuckets(clock, REPLIES);
    this.#conflicts = new TokenBuckets(clock, CONFLICTS);
    this.#links = new MdnsLinks({
      ...this.#options,
      attempts: this.#attempts,
      take: (datagram, link) => this.#take(datagram, link),
      changed: () => {
        this.#relink();
        for (const browser of this.#browsers) browser.ask({ unicast: true });
      },
    });
  }

  /**
   * Opens it on every interface and, where there is somebody to announce, begins to. An interface on which it cannot be
   * done is tried again every two seconds.
   *
   * @throws {UnsupportedError} when interfaces may not be listed.
   * @throws {RangeError} for an announcement that has no place in the records.
   */
  static async open(options: MdnsOptions): Promise<Mdns> {
    if (options.announce !== undefined) assertAnnouncement(options.announce);
    const mdns = new Mdns(options);
    try {
      if (options.announce !== undefined) mdns.#renew();
      await mdns.#links.open();
      return mdns;
    } catch (error) {
      await mdns.close();
      throw error;
    }
  }

  /** What the peer is listed under now; `undefined` where none is announced. */
  get label(): string | undefined {
    return this.#labels[0];
  }

  /** The addresses it speaks from, each with its interface. */
  get links(): string[] {
    return this.#links.all.map(({ local }) => `${local.address} on ${local.name}`);
  }

  /** The permission or flag that was missing, if one was. */
  get obstacle(): UnsupportedError | undefined {
    return this.#attempts.obstacle;
  }

  /**
   * Looks for peers until the signal aborts, the loop is left or this is closed. Each address of a peer is given once,
   * and again after the peer was gone.
   *
   * @throws {ClosedError} when it was closed.
   */
  async *find(options: { signal?: AbortSignal } = {}): AsyncGenerator<MdnsPeer, void, void> {
    if (this.#closed) throw new ClosedError("Cannot look for peers: multicast DNS is closed");
    const { signal } = options;
    const { clock, metrics } = this.#options;
    const browser = new MdnsBrowser({
      links: () => this.#links.all,
      isOwn: (label) => this.#labels.includes(label.toLowerCase()),
      clock,
      metrics,
    });
    const stop = () => browser.stop();
    this.#browsers.add(browser);
    signal?.addEventListener("abort", stop, { once: true });
    try {
      if (signal?.aborted) return;
      browser.start();
      yield* browser.results();
    } finally {
      stop();
      signal?.removeEventListener("abort", stop);
      this.#browsers.delete(browser);
    }
  }

  /** Takes back what was announced, and stops looking. Harmless when closed. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#renewal?.cancel();
    for (const browser of this.#browsers) browser.stop();
    await this.#silence();
    await this.#links.close();
  }

  /** The same as {@linkcode Mdns.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #take({ data, from }: Datagram, link: MdnsLink): void {
    const message = decodeDnsMessage(data);
    const responder = this.#responders.get(link.key)?.responder;
    if (!message.response) return responder?.takeQuery(message, from);
    // Only who has the port may answer (RFC 6762, 6): everybody can send from another.
    if (from.port !== this.#options.port) return;
    responder?.takeResponse(message);
    for (const browser of this.#browsers) browser.take(message, from, link);
  }

  /** Takes another label: the one before has served its time, or is somebody else's too. */
  #renew(): void {
    if (this.#closed) return;
    const label = this.#options.newLabel().toLowerCase();
    this.#labels = [label, ...this.#labels].slice(0, OWN_LABELS);
    void this.#silence();
    this.#relink();
    this.#renewAfter(LABEL_MS);
  }

  #renewAfter(delayMs: number): void {
    this.#renewal?.cancel();
    this.#renewal = this.#options.clock.after(delayMs, () => this.#renew());
  }

  #conflict(): void {
    this.#options.metrics.counter("mdns.conflicts").add();
    if (this.#conflicts.take("")) return this.#renew();
    void this.#silence();
    this.#renewAfter(CONFLICT_WAIT_MS);
  }

  /** Stops announcing, and takes back what was announced. */
  async #silence(): Promise<void> {
    const responders = [...this.#responders.values()];
    this.#responders.clear();
    await Promise.all(responders.map(({ responder }) => responder.stop({ goodbye: true })));
  }

  /** Announces on the links that there are now; where the same is to be said as before, that goes on. */
  #relink(): void {
    const { announce } = this.#options;
    const label = this.label;
    if (announce === undefined || label === undefined || this.#closed) return;
    const wanted = new Map(this.#links.all.map(({ key, siblings }) => {
      const addresses = siblings.map(({ address }) => address);
      return [key, serviceRecords(announce, { label, addresses })];
    }));
    this.#own = new Set([...wanted.values()].flatMap((records) => records.map(recordKey)));
    for (const [key, { responder, said }] of this.#responders) {
      if (said === keyOf(wanted.get(key))) wanted.delete(key);
      else {
        void responder.stop({ goodbye: false }); // another takes over, or nobody hears it
        this.#responders.delete(key);
      }
    }
    for (const [key, records] of wanted) {
      const responder = this.#respond(key, records);
      this.#responders.set(key, { responder, said: keyOf(records) });
      responder.start();
    }
  }

  #respond(key: string, records: readonly DnsRecord[]): MdnsResponder {
    const { port, clock, metrics } = this.#options;
    return new MdnsResponder({
      records,
      isOwn: (record) => this.#own.has(recordKey(record)),
      // Looked up each time: a socket that broke has a successor.
      multicast: async (packet) => await this.#links.get(key)?.multicast(packet),
      reply: async (packet, to) => await this.#links.get(key)?.reply(packet, to),
      mayReply: ({ hostname }) => this.#rates.take(hostname) && this.#all.take(""),
      conflict: () => this.#conflict(),
      port,
      clock,
      metrics,
    });
  }
}

/** Who speaks on a link, and what it says. */
interface Responding {
  readonly responder: MdnsResponder;
  readonly said: string;
}

function keyOf(records: readonly DnsRecord[] = []): string {
  return records.map(recordKey).join();
}

/** A label that says nothing. */
function randomLabel(): string {
  return randomBytes(8).toString("hex");
}
