/**
 * Rumors between kith's own peers: signed by who wrote them, passed on in packets of service code 12.
 *
 * They go to neighbors, who are known by somebody else (membership, which has heard from the addresses it gives). A
 * message that does not fit a packet of 1,200 bytes goes over a connection where there is a way for that.
 *
 * **Searches** travel like rumors, so a question reaches peers that have never heard of the asker. Its answer is larger
 * and there may be many, so it never goes to an address only because a packet came from there or names it: it goes to the
 * asker's address as we know it from our neighbors, or else over a connection to the asker's peer id, which the asker's
 * key opens and nobody else's. The question is signed: who asks in another's name cannot, and who asks much implodes at
 * its own door. Both ways are rationed for each asker and for all together.
 *
 * **What was seen** is remembered by author and number for a day, of 4,096 authors. So one that is dated in the future,
 * which no age refuses, is not heard twice for as long.
 *
 * **What a stranger costs**: a signature takes 130 us to check, so packets are rationed for each source and for all before
 * that, and what an author may have passed on after it.
 *
 * @module
 */

import { systemClock } from "../clock.ts";
import { packetSource, type RateOptions, TokenBuckets } from "../endpoint/limits.ts";
import { ClosedError, IntegrityError, InvalidPacketError } from "../errors.ts";
import { type Logger, printable, silentLogger } from "../log.ts";
import { Metrics } from "../metrics.ts";
import { peerIdOf, verify } from "../secure/identity.ts";
import { type Address, formatAddress } from "../transport/transport.ts";
import { Watchers } from "../watchers.ts";
import { SERVICE_CODE, SOFT_DATAGRAM_BYTES } from "../wire/datagram.ts";
import { decodeWireData, type WireData } from "../wire/message.ts";
import { AuthorRates } from "./author_rates.ts";
import { type GossipMessage, Rumor } from "./rumor.ts";
import type { HeardRumor, RumorMillOptions, RumorNeighbor } from "./rumor_mill_options.ts";
import {
  encodeRumor,
  encodeRumorPacket,
  readRumor,
  RumorEnvelopes,
  type RumorPacket,
  type SignedText,
} from "./rumor_packets.ts";
import {
  type FoundPeer,
  RumorSearches,
  SearchAnswers,
  type SearchOptions,
} from "./rumor_search.ts";
import { assertFits, RumorSends } from "./rumor_sends.ts";
import { Seen } from "./seen.ts";

export type { HeardRumor, RumorMillOptions, RumorNeighbor } from "./rumor_mill_options.ts";

/** Packets of one source whose signature is checked: each message comes a few times, from whoever passes it on. */
const PACKETS_PER_SOURCE: Readonly<RateOptions> = { perSecond: 200, burst: 400 };

/** Packets of all sources together, which can be forged: at most an eighth of a processor. */
const PACKETS: Readonly<RateOptions> = { perSecond: 1_000, burst: 2_000 };

/**
 * Messages of one author that are heard and passed on: words, not data. And new authors: those invented to have the known
 * ones forgotten take longer for it than a message can claim to be young.
 */
const MESSAGES = {
  perAuthor: { perSecond: 20, burst: 100 },
  newcomers: { perSecond: 50, burst: 1_000 },
};

/** Answers to askers who are no neighbors: a connection each. */
const STREAMED_ANSWERS: Readonly<RateOptions> = { perSecond: 4, burst: 16 };

/** How long authors are remembered of whom nothing new comes, in milliseconds: a clock may be a day ahead. */
const REMEMBER_MS = 24 * 3_600_000;

/** Time between two looks whom to forget, in milliseconds. */
const FORGET_EVERY_MS = 600_000;

/**
 * Tells and hears rumors; see the module.
 *
 * @example
 * ```ts
 * import { Identity } from "@kith/kith";
 * import { RequestsDispatcher } from "@kith/kith/endpoint";
 * import { RumorMill } from "@kith/kith/gossip";
 * import { assertEquals } from "@std/assert";
 *
 * const identity = Identity.generate();
 * const record = { id: identity.id, username: "ann", ip: "192.0.2.1", tcpPort: 0, udpPort: 0 };
 * const bob = { peerId: "bb".repeat(20), address: { hostname: "192.0.2.7", port: 3486 } };
 * const told: unknown[] = [];
 * await using mill = new RumorMill({
 *   // A UdpPort is one, too.
 *   udp: { requests: new RequestsDispatcher(), send: async (_, to) => void told.push(to) },
 *   identity,
 *   self: () => ({ ...record, status: 1 }),
 *   neighbors: () => [bob],
 * });
 * assertEquals([mill.tell("the kettle is on"), told], [1, [bob.address]]);
 * ```
 */
export class RumorMill implements AsyncDisposable {
  readonly #options: RumorMillOptions;
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #envelopes: RumorEnvelopes;
  readonly #rumor: Rumor<SignedText, RumorNeighbor>;
  readonly #seen = new Seen();
  readonly #searches: RumorSearches;
  readonly #answers: SearchAnswers;
  readonly #sources: TokenBuckets;
  readonly #allSources: TokenBuckets;
  readonly #authors: AuthorRates;
  readonly #streamed: TokenBuckets;
  readonly #watchers: Watchers<HeardRumor>;
  readonly #sends: RumorSends;
  readonly #registration: Disposable;
  #forgotMs: number;
  #closed = false;

  /**
   * Takes part from now on.
   *
   * @throws {TypeError} when somebody else takes packets of code 12 on that port. @throws {RangeError} for a tuning out of
   * range.
   */
  constructor(options: RumorMillOptions) {
    const { udp, identity, neighbors, tuning = {}, clock = systemClock } = options;
    const { log = silentLogger, metrics = new Metrics() } = options;
    this.#options = options;
    this.#log = log;
    this.#metrics = metrics;
    const { peerId } = identity;
    this.#envelopes = new RumorEnvelopes({ key: identity, peerId, clock, verify, idOf: peerIdOf });
    this.#rumor = new Rumor({
      clock,
      remember: ({ message }, nowMs) => this.#remember(message, nowMs),
      peers: neighbors,
      keyOf: (neighbour) => neighbour.peerId,
      send: (message, to) => this.#pass(message, to),
    }, tuning);
    this.#searches = new RumorSearches(clock);
    this.#answers = new SearchAnswers(clock);
    this.#sources = new TokenBuckets(clock, PACKETS_PER_SOURCE);
    this.#allSources = new TokenBuckets(clock, PACKETS);
    this.#authors = new AuthorRates(clock, MESSAGES);
    this.#streamed = new TokenBuckets(clock, STREAMED_ANSWERS);
    this.#watchers = new Watchers({ onDrop: () => this.#count("lost") });
    this.#sends = new RumorSends({ port: udp, unsent: metrics.counter("rumor.unsent"), log });
    this.#forgotMs = clock.now();
    this.#registration = udp.requests.register(SERVICE_CODE.gossip, ({ request, fromAddr }) => {
      this.#takePacket(request, fromAddr);
    });
  }

  /**
   * Tells a text to a few neighbors, who tell others.
   *
   * @returns how many it was sent to; 0 when there is no neighbour.
   * @throws {InvalidPacketError} `too-large` for more than 16 KiB; where nothing can be sent over connections, for what does
   * not fit a packet of 1,200 bytes, which leaves about 1,040 for it. @throws {ClosedError} when closed.
   */
  tell(text: string): number {
    this.#assertOpen();
    return this.#spread(this.#write(":rumor", text));
  }

  /**
   * The messages that come from now on, each once, until the signal aborts, this is closed or the loop is left. Overflow
   * policy: where 1,024 wait the oldest are dropped, and counted as `rumor.lost`.
   */
  watch(options: { signal?: AbortSignal } = {}): AsyncGenerator<HeardRumor, void, void> {
    return this.#watchers.watch(options);
  }

  /**
   * Looks for peers whose name contains a text: the question goes around as a rumor does, and each answer is given as it
   * comes, at most 64 and one of a peer. Upper and lower case differ, and every name contains the empty text.
   *
   * @throws {ClosedError} when closed. @throws {LimitError} `limit` when there are 32 searches already.
   * @throws {InvalidPacketError} `too-large` as in {@linkcode RumorMill.tell}.
   */
  search(text: string, options: SearchOptions = {}): AsyncGenerator<FoundPeer, void, void> {
    this.#assertOpen();
    const question = this.#write(":search", text);
    const ask = () => void this.#spread(question);
    return this.#searches.search({ ...options, id: idOf(question), ask });
  }

  /**
   * Takes what came over a connection.
   *
   * @param peerId Who the connection proves the other end to be.
   * @param payload What its {@linkcode RumorMillOptions.stream} was given.
   * @throws {InvalidPacketError | IntegrityError} naming what is wrong with it.
   */
  receive(peerId: string, payload: Uint8Array): void {
    if (this.#closed) return;
    if (!this.#sources.take(peerId)) return this.#drop("rate", peerId);
    this.#take(readRumor(decodeWireData(payload)), peerId, undefined);
  }

  /** Takes part no more. Harmless when closed. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#registration[Symbol.dispose]();
    this.#searches.close();
    this.#watchers.close();
    await this.#sends.settled();
  }

  /** The same as {@linkcode RumorMill.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** A text of ours. @throws {InvalidPacketError} `too-large` when it cannot be brought to anybody. */
  #write(kind: SignedText["kind"], text: string): SignedText {
    const written = this.#envelopes.write(kind, text);
    const payload = encodeRumor({ kind, ttl: this.#rumor.hops, envelope: written.bytes });
    if (this.#options.stream === undefined) assertFits(encodeRumorPacket(payload));
    return written;
  }

  #spread(message: SignedText): number {
    this.#count("told");
    return this.#rumor.tell(gossipOf(message, this.#rumor.hops));
  }

  #takePacket(request: WireData, from: Address): void {
    const source = packetSource(from);
    if (!this.#sources.take(source) || !this.#allSources.take("")) {
      return this.#drop("rate", formatAddress(from));
    }
    const { neighbors } = this.#options;
    const neighbor = neighbors().find(({ address }) => isSame(address, from));
    const bringer = neighbor?.peerId ?? formatAddress(from);
    try {
      this.#take(readRumor(request), bringer, from);
    } catch (error) {
      if (error instanceof InvalidPacketError) {
        return this.#drop("malformed", bringer, error.message);
      }
      if (error instanceof IntegrityError) return this.#drop("forged", bringer, error.message);
      throw error;
    }
  }

  #take({ kind, ttl, envelope }: RumorPacket, bringer: string, from: Address | undefined): void {
    if (kind === ":found") return this.#noteFound(envelope, bringer, from);
    const message = this.#envelopes.read(kind, envelope);
    const { author, text } = message;
    const { identity, admits } = this.#options;
    if (author === identity.peerId) return this.#drop("own", bringer);
    if (admits?.(author) === false) return this.#drop("not-admitted", bringer);
    const gossip = gossipOf(message, ttl);
    const verdict = this.#rumor.hear(gossip, bringer, author);
    if (verdict === "stale") return this.#drop("stale", bringer);
    this.#count(verdict);
    if (verdict !== "heard") return;
    if (kind === ":search") this.#answer(message);
    else this.#watchers.push({ ...gossip, message: text, author });
  }

  /** Whether a message is to be heard: it is new, and its author has not said too much. */
  #remember({ author, seq }: SignedText, nowMs: number): boolean {
    if (nowMs - this.#forgotMs > FORGET_EVERY_MS) {
      this.#seen.forgetBefore(nowMs - REMEMBER_MS);
      this.#forgotMs = nowMs;
    }
    if (this.#seen.has(author, seq)) return false;
    const isOwn = author === this.#options.identity.peerId;
    if (isOwn || this.#authors.take(author, "")) return this.#seen.add(author, seq, nowMs);
    this.#count("author-rate");
    return false;
  }

  #pass(
    { message: { kind, bytes }, ttl }: GossipMessage<SignedText>,
    to: readonly RumorNeighbor[],
  ): void {
    const payload = encodeRumor({ kind, ttl, envelope: bytes });
    const packet = encodeRumorPacket(payload);
    for (const { peerId, address } of to) this.#bring(peerId, address, packet, payload);
  }

  /** In a packet where it fits one and the address is known, else over a connection. @returns whether there is a way. */
  #bring(
    peerId: string,
    address: Address | undefined,
    packet: Uint8Array,
    payload: Uint8Array,
  ): boolean {
    const { stream } = this.#options;
    if (address !== undefined && packet.length <= SOFT_DATAGRAM_BYTES) {
      this.#sends.packet(packet, address);
      return true;
    }
    if (stream === undefined) this.#count("unreachable");
    else this.#sends.track(Promise.try(stream, peerId, payload));
    return stream !== undefined;
  }

  #answer(question: SignedText): void {
    const { self, neighbors } = this.#options;
    const { author: asker, text } = question;
    const own = self();
    if (!own.username?.includes(text)) return;
    if (!this.#answers.take(idOf(question), asker)) return this.#drop("unanswered", asker);
    const address = neighbors().find(({ peerId }) => peerId === asker)?.address;
    if (address === undefined && !this.#streamed.take("")) return this.#drop("unanswered", asker);
    const envelope = this.#envelopes.writeAnswer(question, own);
    const payload = encodeRumor({ kind: ":found", ttl: 0, envelope });
    if (this.#bring(asker, address, encodeRumorPacket(payload), payload)) this.#count("answers");
  }

  #noteFound(envelope: Uint8Array, bringer: string, from: Address | undefined): void {
    const { identity } = this.#options;
    const question = { author: identity.peerId, seq: this.#envelopes.peekAnswer(envelope) };
    // Before its signature costs anything.
    if (!this.#searches.has(idOf(question))) return this.#drop("unasked", bringer);
    const { asker: author, seq, peer } = this.#envelopes.readAnswer(envelope);
    const found: FoundPeer = { peerId: peer.id.toHex(), peer, from };
    const isTaken = this.#searches.take(idOf({ author, seq }), bringer, found);
    if (!isTaken) this.#drop("unasked", bringer);
  }

  #assertOpen(): void {
    if (this.#closed) throw new ClosedError("Cannot tell or search: gossip is closed");
  }

  #count(
    what: "answers" | "author-rate" | "heard" | "known" | "lost" | "told" | "unreachable",
  ): void {
    this.#metrics.counter(`rumor.${what}`).add();
  }

  #drop(
    why:
      | "forged"
      | "malformed"
      | "not-admitted"
      | "own"
      | "rate"
      | "stale"
      | "unanswered"
      | "unasked",
    from: string,
    detail = "",
  ): void {
    this.#metrics.counter(`rumor.${why}`).add();
    this.#log.debug("dropped a rumor", { from: printable(from, 100), why, detail });
  }
}

function gossipOf(message: SignedText, ttl: number): GossipMessage<SignedText> {
  return { id: idOf(message), message, ttl, created: message.createdMs / 1_000 };
}

function idOf({ author, seq }: Pick<SignedText, "author" | "seq">): string {
  return `${author}:${seq}`;
}

function isSame(a: Address, b: Address): boolean {
  return a.port === b.port && a.hostname === b.hostname;
}
