/**
 * What simulated nodes of the DHT write each other. A packet of theirs has only the number of a letter, which lies at a
 * {@linkcode Post} for a while: so packets are late, lost and doubled as all are, and ten thousand nodes need not spend
 * their time on encoding.
 *
 * @module
 */

import type { Contact } from "../dht/contact.ts";
import type { Answer, Question } from "../dht/questions.ts";
import type { PeerError } from "../errors.ts";

/** How long letters lie, in milliseconds: longer than any packet is under way. At most twice that. */
const KEPT_MS = 1_000;

/** A question. */
export interface QuestionLetter {
  /** What it is. */
  readonly kind: "question";
  /** What the asker calls it; `undefined` where no answer is wanted. */
  readonly call: number | undefined;
  /** What is asked. */
  readonly question: Question;
  /** Who asks, where it serves others. */
  readonly by: Contact | undefined;
}

/** An answer. */
export interface AnswerLetter {
  /** What it is. */
  readonly kind: "answer";
  /** What the asker calls the question. */
  readonly call: number;
  /** What is answered. */
  readonly answer: Answer;
  /** Who answers: nobody can say that it is somebody else, for natively it has to prove it. */
  readonly by: Contact;
}

/** A refusal. */
export interface RefusalLetter {
  /** What it is. */
  readonly kind: "refusal";
  /** What the asker calls the question. */
  readonly call: number;
  /** Why. */
  readonly error: PeerError;
}

/** What a packet stands for. */
export type Letter = QuestionLetter | AnswerLetter | RefusalLetter;

/** Where letters lie while their packets are under way; one for a whole network. */
export class Post {
  // What was written lately, and what was before that.
  #letters = new Map<number, Letter>();
  #older = new Map<number, Letter>();
  #sinceMs = 0;
  #written = 0;
  readonly #packet = new DataView(new ArrayBuffer(4));
  readonly #bytes = new Uint8Array(this.#packet.buffer);

  /** Takes a letter. @returns the packet that stands for it, which is overwritten by the next one. */
  packetOf(letter: Letter, nowMs: number): Uint8Array {
    if (nowMs - this.#sinceMs > KEPT_MS) {
      this.#older = this.#letters;
      this.#letters = new Map();
      this.#sinceMs = nowMs;
    }
    const number = this.#written++;
    this.#letters.set(number, letter);
    this.#packet.setUint32(0, number);
    return this.#bytes;
  }

  /** Gives out the letter of a packet; `undefined` for a second copy of it, or when it is too late. */
  take(packet: Uint8Array): Letter | undefined {
    this.#bytes.set(packet);
    const number = this.#packet.getUint32(0);
    const letters = this.#letters.has(number) ? this.#letters : this.#older;
    const letter = letters.get(number);
    letters.delete(number);
    return letter;
  }
}
