/**
 * A protocol written down in the order in which it happens, run over bytes that come in any pieces.
 *
 * A {@linkcode Script} runs a generator. The generator takes what it needs from the {@linkcode ByteIntake}, which yields
 * nothing as long as that has not come, and yields by itself what its owner has to do. No socket and no promise is
 * involved: whoever owns the connection pushes what was read and asks for the next item until there is none.
 *
 * @module
 */

import { InvalidPacketError } from "../../errors.ts";
import { concat } from "../../wire/concat.ts";

/** What a script is: items for its owner, and `undefined` wherever it waits for bytes. */
export type Run<Item> = Generator<Item | undefined, void, void>;

/** A part of a script that needs bytes, and what it makes of them. */
export type Taking<T> = Generator<undefined, T, void>;

const NOTHING = new Uint8Array(0);

/** Bytes that have come and were not taken. */
export class ByteIntake {
  #bytes: Uint8Array = NOTHING;

  /** How many there are. */
  get length(): number {
    return this.#bytes.length;
  }

  /** The first of them. */
  get first(): number | undefined {
    return this.#bytes[0];
  }

  /** Adds what has come; a view, as long as nothing is left from before. */
  push(bytes: Uint8Array): void {
    this.#bytes = this.#bytes.length === 0 ? bytes : concat(this.#bytes, bytes);
  }

  /** Copies what is left, so that the buffer it came in can be used again. */
  keep(): void {
    this.#bytes = this.#bytes.length === 0 ? NOTHING : this.#bytes.slice();
  }

  /** Forgets what is left. */
  clear(): void {
    this.#bytes = NOTHING;
  }

  /** Waits for a byte and leaves it there. */
  *peek(): Taking<number> {
    while (this.first === undefined) yield;
    return this.first;
  }

  /**
   * Exactly `count` bytes, once they have come. What has come of them is kept meanwhile, so the caller bounds `count`
   * before. @returns a view, valid until more is taken in.
   */
  *take(count: number): Taking<Uint8Array> {
    while (this.#bytes.length < count) yield;
    return this.#cut(count);
  }

  /** What has come, at least one byte, at most `most`. @returns a view, valid until more is taken in. */
  *some(most: number): Taking<Uint8Array> {
    yield* this.peek();
    return this.#cut(Math.min(most, this.#bytes.length));
  }

  #cut(count: number): Uint8Array {
    const cut = this.#bytes.subarray(0, count);
    this.#bytes = this.#bytes.subarray(count);
    return cut;
  }
}

/** Runs a script; see the module. */
export class Script<Item> {
  /** What the other side sent. */
  readonly intake: ByteIntake = new ByteIntake();
  #run: Run<Item> | undefined;
  #fault: { readonly error: unknown } | undefined;
  #over = false;

  /** Whether it has come to its end. */
  get over(): boolean {
    return this.#over;
  }

  /** Starts at the beginning of a connection; what was left of an earlier one is forgotten. */
  begin(run: Run<Item>): void {
    this.intake.clear();
    this.#run = run;
    this.#fault = undefined;
    this.#over = false;
  }

  /**
   * Goes on to the next item.
   *
   * @returns `undefined` when bytes have to come first, when it is over and before it has begun.
   * @throws what the script threw, from then on.
   * @throws {InvalidPacketError} `bad-frame` for bytes behind its end.
   */
  next(): Item | undefined {
    if (this.#fault !== undefined) throw this.#fault.error;
    try {
      return this.#advance();
    } catch (error) {
      this.#fault = { error };
      throw error;
    }
  }

  #advance(): Item | undefined {
    const { value, done = false } = this.#run?.next() ?? {};
    this.#over ||= done;
    if (this.#over && this.intake.length > 0) throw unasked(this.intake.length, "after the end");
    if (value) return value;
    this.intake.keep();
    return undefined;
  }
}

/** The other side sent what is not its turn to send. */
export function unasked(got: number, when: string): InvalidPacketError {
  return new InvalidPacketError(
    "bad-frame",
    `Cannot read PeerConnect transfer: ${got} bytes ${when}`,
    {
      details: { got },
    },
  );
}
