/**
 * The native way of asking: requests over UDP, and over a connection what is too large for a packet.
 *
 * A node that is asked for the first time has to prove its id, which costs both a signature; what it answers from that
 * address counts as its own for ten minutes then. Who asks and serves others says so, and is asked back before it counts.
 *
 * @module
 */

import { randomBytes } from "node:crypto";
import type { RequestContext } from "../endpoint/dispatcher.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import {
  IntegrityError,
  InvalidPacketError,
  NotFoundError,
  PeerError,
  UnsupportedError,
} from "../errors.ts";
import { type Identity, peerIdOf, verify } from "../secure/identity.ts";
import { type Address, formatAddress } from "../transport/transport.ts";
import type { MessageBody } from "../wire/message.ts";
import { type Contact, contactOf } from "./contact.ts";
import {
  answerBody,
  type AnswerTerms,
  type Claim,
  copiesBody,
  COPY_HEADER,
  fitsPacket,
  HEADERS,
  MAX_RECORDS,
  NONCE_BYTES,
  PACKET_RECORD_BYTES,
  questionBody,
  readAnswer,
  readCopies,
  readQuestion,
} from "./node_packets.ts";
import { Copies } from "./copies.ts";
import { checkProof, prove } from "./node_proof.ts";
import { OwnAddresses } from "./own_addresses.ts";
import type { Answer, Asker, DhtWire, Gift, Question } from "./questions.ts";
import type { DhtRecord } from "./record.ts";
import { decodeRecord, encodeRecord } from "./record_codec.ts";
import { isUsable } from "./usable.ts";

/** What says in handshakes that a peer has a node of the DHT. */
export const DHT_CAPABILITY = "dht/1";

/** How long an answer may take, in milliseconds: a few repetitions of what got lost. */
const ASK_MS = 2_000;

/** How long a connection and an answer over it may take, in milliseconds. */
const STREAM_MS = 5_000;

/** How long a node that has proven its id at an address counts as being there, in milliseconds. */
const PROVEN_MS = 600_000;

/** Most addresses that are remembered to be proven. */
const MAX_PROVEN = 4_096;

/** Bytes that an answer in a packet may have for records of which there may be many. */
const MANY_RECORD_BYTES = PACKET_RECORD_BYTES + 256;

/** Asks over UDP. */
export interface DhtPort {
  /** Where packets leave and come in. */
  readonly address: Address;
  /** Sends a request, again and again until its answer comes. @throws {PeerError} when none does. */
  request(
    to: Address,
    header: string,
    body: MessageBody,
    options?: { readonly timeoutMs?: number; readonly signal?: AbortSignal },
  ): Promise<unknown>;
  /** Sends a message that wants no answer, once. @throws {PeerError} when it cannot leave. */
  notify(to: Address, header: string, body: MessageBody): Promise<void>;
}

/** What a {@linkcode NativeWire} needs. */
export interface NativeWireParts {
  /** Connections, handlers, clock. */
  readonly endpoint: Endpoint;
  /** Its UDP port, on which it is reached. */
  readonly udp: DhtPort;
  /** Who we are. */
  readonly identity: Identity;
  /** Addresses of the machine; none where that may not be asked. */
  readonly hosts: () => readonly string[];
  /** Whether others may ask us. */
  readonly isServer: () => boolean;
  /** Whether values that nobody vouches for are let in: in closed networks. */
  readonly allowPlain: boolean;
  /** Answers a question. @throws {PeerError} to refuse. */
  readonly answer: (question: Question, asker: Asker) => Answer;
}

/** What is asked of whom. */
interface Asking {
  readonly address: Address;
  /** Who is meant; `undefined` for whoever is there. */
  readonly key: string | undefined;
}

/** See the module. */
export class NativeWire implements DhtWire, Disposable {
  readonly #parts: NativeWireParts;
  readonly #own: OwnAddresses;
  // Who has proven to be at an address, in the order of that.
  readonly #proven = new Map<string, { readonly contact: Contact; readonly untilMs: number }>();
  readonly #copies: Copies;
  #encoded: { readonly record: DhtRecord; readonly bytes: Uint8Array } | undefined;
  #handlers: DisposableStack | undefined;

  /** Asks, and answers as soon as {@linkcode NativeWire.serve} says so. */
  constructor(parts: NativeWireParts) {
    this.#parts = parts;
    this.#own = new OwnAddresses(parts.hosts, () => parts.udp.address.port);
    const { clock, metrics } = parts.endpoint;
    const lost = metrics.counter("dht.copies-unsent");
    this.#copies = new Copies({
      clock,
      send: (to, copies) => {
        const body = copiesBody(copies, this.#claim);
        return parts.udp.notify(to, COPY_HEADER, body).catch(() => lost.add());
      },
    });
  }

  /** Answers others from now on. Harmless when it does. */
  serve(): void {
    if (this.#handlers !== undefined) return;
    const { endpoint } = this.#parts;
    using stack = new DisposableStack();
    for (const [type, header] of Object.entries(HEADERS) as [Question["type"], string][]) {
      stack.use(endpoint.handle(header, (body, context) => this.#serve(type, body, context)));
    }
    stack.use(endpoint.handle(COPY_HEADER, (body, context) => this.#takeCopies(body, context)));
    stack.use(endpoint.handle("dht.where", () => ({ udp: this.#parts.udp.address.port })));
    stack.use(endpoint.offer(DHT_CAPABILITY));
    this.#handlers = stack.move();
  }

  /** Asks a node. @throws as {@linkcode DhtWire.ask}. */
  async ask(
    to: Contact,
    question: Question,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<Answer> {
    if (question.type === "store" && !fitsPacket(question.record)) {
      return await this.#askByLink(to, question, options);
    }
    const terms = await this.#askByPacket(to, question, options);
    if (terms.isMore) return await this.#askByLink(to, question, options);
    return this.#answerOf(terms);
  }

  /** Gives a node a record, soon, without an answer; one that fits no packet is put as always. */
  async give(to: Contact, { record, ttlS }: Gift): Promise<void> {
    if (fitsPacket(record)) this.#copies.add(to.address, { record: this.#encode(record), ttlS });
    else await this.#askByLink(to, { type: "store", record, ttlS }, {});
  }

  /** Sends what waits to be given. @returns when it has left. */
  async flush(): Promise<void> {
    await this.#copies.flush();
  }

  /** A node as it has proven to be at its address, less than ten minutes ago. */
  proven({ address, key }: Pick<Contact, "address" | "key">): Contact | undefined {
    const { contact, untilMs = 0 } = this.#proven.get(formatAddress(address)) ?? {};
    return contact?.key === key && untilMs > this.#parts.endpoint.clock.now() ? contact : undefined;
  }

  /** Asks who is at an address. @throws as {@linkcode DhtWire.ask}. */
  async meet(address: Address, options: { readonly signal?: AbortSignal } = {}): Promise<Contact> {
    const { claim } = await this.#askByPacket(
      { address, key: undefined },
      { type: "ping" },
      options,
    );
    if (claim === undefined) throw new TypeError("A node that has proven its id has none");
    return contactOf(claim.id, address, { tcpPort: claim.tcpPort });
  }

  /** Answers nobody any more. Harmless when closed. */
  [Symbol.dispose](): void {
    this.#handlers?.dispose();
    this.#handlers = undefined;
  }

  async #askByPacket(
    { address, key }: Asking,
    question: Question,
    { signal }: { readonly signal?: AbortSignal },
  ): Promise<AnswerTerms> {
    const { udp } = this.#parts;
    const isProven = key !== undefined && this.proven({ address, key }) !== undefined;
    const nonce = isProven ? undefined : new Uint8Array(randomBytes(NONCE_BYTES));
    const body = questionBody(question, {
      claim: this.#claim,
      nonce,
      at: address,
      isPacket: true,
    });
    const result = await udp.request(address, HEADERS[question.type], body, {
      timeoutMs: ASK_MS,
      ...(signal === undefined ? {} : { signal }),
    });
    const terms = readAnswer(result, (node) => isUsable(node, address));
    if (nonce === undefined) return terms;
    const claim = checkProof(terms, { nonce, at: address, key }, { verify, idOf: peerIdOf });
    this.#keepProven(contactOf(claim.id, address, { tcpPort: claim.tcpPort }));
    this.#own.seen(terms.seenAt, address);
    return terms;
  }

  async #askByLink(
    to: Contact,
    question: Question,
    { signal }: { readonly signal?: AbortSignal },
  ): Promise<Answer> {
    const { key, address: { hostname }, tcpPort } = this.proven(to) ?? to;
    if (tcpPort === 0) throw new UnsupportedError("The node accepts no connections");
    const late = AbortSignal.timeout(STREAM_MS);
    const limits = { signal: signal === undefined ? late : AbortSignal.any([late, signal]) };
    const expect = ({ peerId }: { peerId: string }) => {
      if (peerId !== key) throw new NotFoundError("no-peer", "Another peer is at that address");
    };
    await using link = await this.#parts.endpoint.connect({ hostname, port: tcpPort }, {
      ...limits,
      expect,
    });
    const body = questionBody(question, { claim: this.#claim, isPacket: false });
    return this.#answerOf(readAnswer(await link.request(HEADERS[question.type], body, limits)));
  }

  #answerOf({ nodes, records }: AnswerTerms): Answer {
    return { nodes, records: records.flatMap((record) => this.#readUnlessOver(record)) };
  }

  #serve(type: Question["type"], body: MessageBody, context: RequestContext): MessageBody {
    const { remote, link } = context;
    const { question, claim, nonce, at } = readQuestion(type, body);
    const isPacket = link === undefined;
    const contact = isPacket && claim !== undefined
      ? contactOf(claim.id, remote, { tcpPort: claim.tcpPort })
      : undefined;
    const asked: Question = question.type === "store"
      ? { ...question, record: this.#read(question.record) }
      : question;
    const { nodes, records, isMore: isLarge = false } = this.#parts.answer(asked, {
      ...{ address: remote, contact },
      ...(isPacket ? { maxValueBytes: MANY_RECORD_BYTES } : {}),
    });
    const encoded = records.slice(0, MAX_RECORDS).map(encodeRecord);
    const isMore = isPacket && (isLarge || bytesOf(encoded) > MANY_RECORD_BYTES);
    const own = this.#claim;
    const isProving = isPacket && nonce !== undefined && own !== undefined && this.#own.has(at);
    return answerBody({
      nodes,
      records: isMore ? [] : encoded,
      isMore,
      claim: isProving ? own : undefined,
      proof: isProving
        ? prove({ nonce, at, tcpPort: own.tcpPort }, this.#parts.identity)
        : undefined,
      seenAt: isProving ? formatAddress(remote) : "",
    });
  }

  /** Keeps what it may of what was given; nobody waits to hear what it did not want. */
  #takeCopies(body: MessageBody, { remote, link }: RequestContext): void {
    const { copies, claim } = readCopies(body);
    const contact = link === undefined && claim !== undefined
      ? contactOf(claim.id, remote, { tcpPort: claim.tcpPort })
      : undefined;
    for (const { record, ttlS } of copies) {
      try {
        const question = { type: "store", record: this.#read(record), ttlS } as const;
        this.#parts.answer(question, { address: remote, contact });
      } catch (error) {
        if (!(error instanceof PeerError)) throw error;
        this.#parts.endpoint.metrics.counter("dht.copies-refused").add();
        if (error instanceof IntegrityError) return; // who sends a forged one is worth no further look
      }
    }
  }

  /** What is put is put to several in a row. */
  #encode(record: DhtRecord): Uint8Array {
    if (this.#encoded?.record !== record) {
      this.#encoded = { record, bytes: encodeRecord(record) };
    }
    return this.#encoded.bytes;
  }

  #read(bytes: Uint8Array) {
    const { endpoint, allowPlain } = this.#parts;
    return decodeRecord(bytes, { nowS: Math.floor(endpoint.clock.wallMs() / 1_000), allowPlain });
  }

  /** What has ended by our clock, and not yet by that of who answers, is nobody's fault. */
  #readUnlessOver(bytes: Uint8Array): DhtRecord[] {
    try {
      return [this.#read(bytes)];
    } catch (error) {
      if (error instanceof InvalidPacketError && error.details.field === "expires") return [];
      throw error;
    }
  }

  get #claim(): Claim | undefined {
    const { isServer, identity, endpoint } = this.#parts;
    if (!isServer()) return undefined;
    return { id: identity.id, tcpPort: endpoint.address?.port ?? 0 };
  }

  #keepProven(contact: Contact): void {
    const place = formatAddress(contact.address);
    this.#proven.delete(place);
    this.#proven.set(place, { contact, untilMs: this.#parts.endpoint.clock.now() + PROVEN_MS });
    const [oldest] = this.#proven.keys();
    if (this.#proven.size > MAX_PROVEN && oldest !== undefined) this.#proven.delete(oldest);
  }
}

function bytesOf(records: readonly Uint8Array[]): number {
  return records.reduce((sum, { length }) => sum + length, 0);
}
