/**
 * Files for a PeerConnect node; `peerconnect_file_receiver.ts` draws what goes over the connection.
 *
 * Contents do not pass through here: a step says which bytes of which file are to be written next, and whoever owns
 * the connection brings them there.
 *
 * Source: the PeerConnect transfer protocol, `Sender`.
 *
 * @module
 */

import { ClosedError, HandshakeError, InvalidPacketError } from "../../errors.ts";
import { concat } from "../../wire/concat.ts";
import {
  badField,
  chunkBytesOf,
  encodeFileRecord,
  MARK,
  parseSize,
  SIZE_BYTES,
  withLength,
} from "./peerconnect_records.ts";
import { type Run, Script, type Taking, unasked } from "./script.ts";

/** A file to send. */
export interface OutgoingFile {
  /** Its name, without a folder. */
  readonly name: string;
  /** Its size in bytes. */
  readonly size: number;
}

/** What to write next. */
export type SendStep =
  | {
    /** These bytes, in one write. */
    readonly type: "bytes";
    /** The bytes. */
    readonly bytes: Uint8Array;
  }
  | {
    /** Contents of a file: exactly so many, since nothing else tells the receiver where they end. */
    readonly type: "content";
    /** Which one of those to send. */
    readonly index: number;
    /** From where in it. */
    readonly offset: number;
    /** How many bytes. */
    readonly length: number;
  };

/** What a receiver of files answers first. */
const ACCEPTED = 1;

/**
 * Sends files over the connections of one transfer.
 *
 * For every connection: write the handshake, call {@linkcode FileSender.connected}, then write the steps that
 * {@linkcode FileSender.next} gives until it gives nothing, and {@linkcode FileSender.push} what is read.
 */
export class FileSender {
  readonly #script = new Script<SendStep>();
  readonly #files: readonly OutgoingFile[];
  // Of each file that was announced, how much was handed out at most: the receiver cannot have more.
  readonly #sent: number[] = [];
  // Files that were gone on with since the receiver first said `has`: it was none of them, or nothing has come since.
  readonly #tried = { has: -1, indexes: new Set<number>() };
  #accepted = false;
  #index = 0;
  #offset = 0;

  /**
   * Prepares to send.
   *
   * @throws {RangeError} when two names are the same: after a connection broke nothing else tells the files apart. Also
   * for a name that is empty, and a size that is no integer of 0 or more.
   */
  constructor(files: readonly OutgoingFile[]) {
    const names = new Set<string>();
    for (const { name, size } of files) {
      if (name === "") throw new RangeError("Names of files must not be empty");
      if (!Number.isSafeInteger(size) || size < 0) {
        throw new RangeError(`Sizes of files must be integers of 0 or more: one is ${size}`);
      }
      names.add(name.normalize("NFC"));
    }
    if (names.size < files.length) throw new RangeError("Names of files must differ");
    this.#files = files;
  }

  /** Whether everything was handed out. That it has come is not confirmed by anybody. */
  get over(): boolean {
    return this.#script.over;
  }

  /** Whether the receiver has accepted, on this connection or an earlier one. */
  get accepted(): boolean {
    return this.#accepted;
  }

  /** Says that there is a connection with the handshake on it, the first one or another after one that broke. */
  connected(): void {
    this.#script.begin(this.#send());
  }

  /** Takes in what the receiver sent, a copy. @throws {InvalidPacketError} `bad-frame` for more than is ever due. */
  push(bytes: Uint8Array): void {
    const { intake } = this.#script;
    const length = intake.length + bytes.length;
    if (length > SIZE_BYTES) throw unasked(length, `instead of at most ${SIZE_BYTES}`);
    intake.push(bytes.slice());
  }

  /**
   * What to write next, or `undefined` when the receiver has to answer first, or it is over.
   *
   * @throws {HandshakeError} `denied` when the receiver refuses.
   * @throws {InvalidPacketError} when it sends what is no answer, or is out of turn.
   */
  next(): SendStep | undefined {
    return this.#script.next();
  }

  /**
   * Says that the connection has ended.
   *
   * @throws {HandshakeError} `denied` when the receiver does not want to go on.
   * @throws {ClosedError} when not everything was handed out.
   */
  ended(): void {
    if (this.over) return;
    // The whole point at which to resume would have begun the same way.
    const { length, first } = this.#script.intake;
    if (length === 1 && first === MARK.end) throw denied();
    throw new ClosedError("Cannot send: the receiver closed the connection", {
      details: { file: this.#index, offset: this.#offset },
    });
  }

  *#send(): Run<SendStep> {
    const { intake } = this.#script;
    if (this.#accepted) yield* this.#resume();
    else yield* this.#begin();
    for (; this.#index < this.#files.length; this.#index++, this.#offset = 0) {
      const index = this.#index;
      const { name, size } = this.#files[index] as OutgoingFile;
      this.#reach(index, this.#offset);
      const record = encodeFileRecord({ name, size, seeked: this.#offset });
      yield { type: "bytes", bytes: concat(Uint8Array.of(MARK.file), withLength(record)) };
      while (this.#offset < size) {
        if (intake.length > 0) throw unasked(intake.length, "out of turn");
        const offset = this.#offset;
        const length = Math.min(chunkBytesOf(size), size - offset);
        this.#reach(index, this.#offset += length);
        yield { type: "content", index, offset, length };
      }
    }
    yield { type: "bytes", bytes: Uint8Array.of(MARK.end) };
  }

  *#begin(): Taking<void> {
    const [answer] = yield* this.#script.intake.take(1);
    if (answer === MARK.end) throw denied();
    if (answer !== ACCEPTED) throw badField("answer", `${answer} is neither yes nor no`);
    this.#accepted = true;
  }

  *#resume(): Taking<void> {
    const { intake } = this.#script;
    // No file is so large that the point at which to resume begins with a one: the receiver begins anew.
    if ((yield* intake.peek()) === ACCEPTED) {
      yield* intake.take(1);
      this.#index = this.#offset = 0;
      this.#sent.length = 0;
      return;
    }
    const has = parseSize(yield* intake.take(SIZE_BYTES));
    this.#index = this.#fileAt(has);
    this.#offset = has;
  }

  /**
   * Which file the receiver is at that has so many bytes of it: the last one that fits and was not tried yet. The
   * receiver refuses any other, because name and size differ; then the connection ends and the next attempt is with the
   * one before.
   *
   * @throws {InvalidPacketError} when there is none.
   */
  #fileAt(has: number): number {
    const fits = [...this.#sent.keys()].filter((index) => has <= (this.#sent[index] ?? -1));
    if (fits.length === 0) {
      throw new InvalidPacketError(
        "bad-message",
        `Cannot resume at ${has} bytes: no file was sent so far`,
        { details: { got: has } },
      );
    }
    const { indexes } = this.#tried;
    if (this.#tried.has !== has || fits.every((index) => indexes.has(index))) indexes.clear();
    this.#tried.has = has;
    const index = fits.findLast((index) => !indexes.has(index)) as number;
    indexes.add(index);
    return index;
  }

  #reach(index: number, offset: number): void {
    this.#sent[index] = Math.max(this.#sent[index] ?? 0, offset);
  }
}

function denied(): HandshakeError {
  return new HandshakeError("denied", "Cannot send: the receiver refused");
}
