/**
 * How simulated nodes of the DHT ask each other: as natively a question is sent again until it is answered, who answers has
 * proven its id, and an answer counts only where it comes from whom was asked.
 *
 * @module
 */

import type { Timer } from "../clock.ts";
import { type Contact, isSameAddress } from "../dht/contact.ts";
import type { Answer, Asker, DhtWire, Gift, Question } from "../dht/questions.ts";
import { NotFoundError, PeerError, RemoteError, TimeoutError } from "../errors.ts";
import type { Address } from "../transport/transport.ts";
import type { AnswerLetter, Letter, Post, QuestionLetter } from "./dht_post.ts";
import type { SimHost } from "./host.ts";

/** How long an answer may take, the first pause before a question is sent again, and the longest, in milliseconds. */
const ASK_MS = 2_000;
const RETRY_MS = 200;
const MAX_RETRY_MS = 1_000;

/** What a {@linkcode SimDhtWire} needs. */
export interface SimDhtWireParts {
  /** Its end of the network. */
  readonly host: SimHost;
  /** Where letters lie. */
  readonly post: Post;
  /** The time of the whole network, in milliseconds. */
  readonly nowMs: () => number;
  /** Who it is. */
  readonly self: Contact;
  /** Answers a question. @returns `undefined` for silence. @throws {PeerError} to refuse. */
  readonly answer: (question: Question, asker: Asker) => Answer | undefined;
}

/** Answers that were not taken. */
export interface Ignored {
  /** Those to a question that is over: answered before, or given up. */
  late: number;
  /** Those from somebody who was not asked. */
  foreign: number;
}

/** Asks and answers; see the module. */
export class SimDhtWire implements DhtWire {
  /** What it ignored. */
  readonly ignored: Ignored = { late: 0, foreign: 0 };
  readonly #parts: SimDhtWireParts;
  readonly #open = new Map<number, Call>();
  #asked = 0;

  /** Asks nobody yet. */
  constructor(parts: SimDhtWireParts) {
    this.#parts = parts;
  }

  /** Questions that it asked, repetitions left out. */
  get asked(): number {
    return this.#asked;
  }

  /** Asks a node. @throws as {@linkcode DhtWire.ask}. */
  async ask(
    { address, key }: Contact,
    question: Question,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<Answer> {
    const { answer, by } = await this.#call(address, question, signal);
    if (by.key !== key) throw new NotFoundError("no-peer", "Another node is at that address");
    return answer;
  }

  /** Gives without an answer. */
  async give({ address }: Contact, gift: Gift): Promise<void> {
    const question = { type: "store", ...gift } as const;
    this.send({ kind: "question", call: undefined, question, by: this.#parts.self }, address);
    await Promise.resolve();
  }

  /** Asks who is at an address. @throws as {@linkcode DhtWire.ask}. */
  async meet(
    address: Address,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<Contact> {
    return (await this.#call(address, { type: "ping" }, signal)).by;
  }

  /** Takes a packet. */
  receive(packet: Uint8Array, from: Address): void {
    const letter = this.#parts.post.take(packet);
    if (letter === undefined) return void this.ignored.late++;
    if (letter.kind === "question") return this.#answer(letter, from);
    const call = this.#open.get(letter.call);
    if (call === undefined) this.ignored.late++;
    else if (!isSameAddress(call.to, from)) this.ignored.foreign++;
    else if (letter.kind === "answer") call.resolve(letter);
    else call.reject(new RemoteError(letter.error.code, letter.error.message));
  }

  /** Sends a letter, whatever it says. */
  send(letter: Letter, to: Address): void {
    const { host, post, nowMs } = this.#parts;
    host.send(post.packetOf(letter, nowMs()), to);
  }

  #answer({ call, question, by }: QuestionLetter, from: Address): void {
    const { self, answer } = this.#parts;
    const contact = by && (isSameAddress(by.address, from) ? by : { ...by, address: from });
    try {
      const said = answer(question, { address: from, contact });
      if (said === undefined || call === undefined) return;
      this.send({ kind: "answer", call, answer: said, by: self }, from);
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      if (call !== undefined) this.send({ kind: "refusal", call, error }, from);
    }
  }

  async #call(to: Address, question: Question, signal?: AbortSignal): Promise<AnswerLetter> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<AnswerLetter>();
    const number = this.#asked++;
    const onAbort = () => reject(signal?.reason);
    signal?.addEventListener("abort", onAbort);
    const call: Call = { to, resolve, reject, timer: undefined };
    this.#open.set(number, call);
    this.#repeat(call, { kind: "question", call: number, question, by: this.#parts.self });
    try {
      return await promise;
    } finally {
      call.timer?.cancel();
      this.#open.delete(number);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  #repeat(call: Call, letter: QuestionLetter, pauseMs = RETRY_MS, leftMs = ASK_MS): void {
    if (leftMs <= 0) return call.reject(new TimeoutError("The node has not answered"));
    this.send(letter, call.to);
    const waitMs = Math.min(pauseMs, leftMs);
    call.timer = this.#parts.host.clock.after(waitMs, () => {
      this.#repeat(call, letter, Math.min(2 * pauseMs, MAX_RETRY_MS), leftMs - waitMs);
    });
  }
}

interface Call {
  readonly to: Address;
  readonly resolve: (letter: AnswerLetter) => void;
  readonly reject: (error: unknown) => void;
  timer: Timer | undefined;
}
