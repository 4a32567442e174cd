/**
 * Files that a PeerConnect node sends, as they come in.
 *
 * ```
 * sender     handshake          01 record content  01 record content  ...  00
 * receiver              01
 *
 * sender     handshake                01 record rest-of-content  ...  00        after the connection broke
 * receiver              bytes it has
 * ```
 *
 * Nothing confirms a file, so a sender whose connection breaks does not know which one the receiver was at: what was
 * still under way is lost. The receiver says only how many bytes it has of that file. An original goes on with the file
 * it was at itself; when that is another one, the record that follows tells, and nothing is taken then.
 *
 * Source: the PeerConnect transfer protocol, `Receiver`.
 *
 * @module
 */

import { ClosedError, InvalidPacketError } from "../../errors.ts";
import { printable } from "../../log.ts";
import { Allowance, type AllowanceLimits } from "./allowance.ts";
import {
  badField,
  encodeAnswer,
  encodeSize,
  type FileRecord,
  LENGTH_BYTES,
  MARK,
  parseFileRecord,
  parseLength,
} from "./peerconnect_records.ts";
import { type Run, Script } from "./script.ts";

/** What happens while files come in. */
export type FileEvent =
  | {
    /** A file begins, or goes on: its contents follow. */
    readonly type: "file";
    /** Its name: one segment, safe below a folder on every system. */
    readonly name: string;
    /** Its size in bytes. */
    readonly size: number;
    /** Where what follows belongs: 0, or as far as it had come when the connection broke. */
    readonly offset: number;
  }
  | {
    /** The next bytes of the file. */
    readonly type: "content";
    /** A view of what was pushed, valid until the next call. */
    readonly bytes: Uint8Array;
  }
  | {
    /** The file is complete, as far as anybody can tell. */
    readonly type: "end";
  }
  | {
    /** There are no more files. */
    readonly type: "done";
  };

/** A file as far as it has come. */
export interface PartialFile {
  /** Its name, as in the event. */
  readonly name: string;
  /** Its size in bytes. */
  readonly size: number;
  /** Bytes of it that are here. */
  readonly got: number;
}

/** How to receive. */
export interface FileReceiverOptions extends AllowanceLimits {
  /** What is here of the file that was coming when an earlier receiver of this transfer was given up. */
  partial?: PartialFile;
}

interface ComingFile {
  readonly name: string;
  readonly size: number;
  /** Counts what was handed out as an event. */
  got: number;
  /** Whether its end was handed out. */
  isWhole: boolean;
}

/**
 * Receives files from the connections of one transfer; see the module. It is for a transfer that was accepted.
 *
 * For every connection: write what {@linkcode FileReceiver.connected} gives, then
 * {@linkcode FileReceiver.push} what is read and take {@linkcode FileReceiver.next} until it gives nothing.
 */
export class FileReceiver {
  readonly #script = new Script<FileEvent>();
  readonly #allowance: Allowance;
  // The last one that was announced: it may be whole.
  #file: ComingFile | undefined;
  #over = false;

  /** Prepares to receive. @throws {LimitError} when the partial file alone is more than may come. */
  constructor(options: FileReceiverOptions = {}) {
    const { partial } = options;
    this.#allowance = new Allowance(options);
    if (partial === undefined) return;
    this.#allowance.admit(partial.size);
    this.#file = { ...partial, isWhole: false };
  }

  /** Whether everything has come. */
  get over(): boolean {
    return this.#over;
  }

  /** The file that is incomplete. */
  get partial(): PartialFile | undefined {
    if (this.#file === undefined || this.#file.isWhole) return undefined;
    const { name, size, got } = this.#file;
    return { name, size, got };
  }

  /**
   * Says that there is a connection, the first one or another after one that broke: what was half read is forgotten.
   *
   * @returns what to write there first: that the transfer is accepted, or where to go on.
   */
  connected(): Uint8Array<ArrayBuffer> {
    const before = this.#file;
    this.#over = false;
    this.#script.begin(this.#receive(before));
    // Who has nothing asks for everything: a sender that went on with the third file would never send the first.
    return before === undefined ? encodeAnswer(true) : encodeSize(before.got);
  }

  /** Takes bytes in, a view: they are to be left alone until `next` has given nothing. */
  push(bytes: Uint8Array): void {
    this.#script.intake.push(bytes);
  }

  /**
   * What happens next, or `undefined` when more bytes have to come.
   *
   * @throws {InvalidPacketError} for what breaks the format, a hostile name or another file than the one to go on with.
   * @throws {LimitError} when more is announced than may come. Either is the end of the connection.
   */
  next(): FileEvent | undefined {
    return this.#script.next();
  }

  /** Says that the connection has ended. @throws {ClosedError} when not everything has come. */
  ended(): void {
    if (this.over) return;
    const { partial } = this;
    const where = partial === undefined ? "between two files" : `within ${describe(partial)}`;
    throw new ClosedError(`Cannot receive: the connection ended ${where}`, {
      details: partial === undefined ? {} : { ...partial, name: printable(partial.name) },
    });
  }

  *#receive(before: ComingFile | undefined): Run<FileEvent> {
    const { intake } = this.#script;
    let expected = before;
    for (;;) {
      const [mark] = yield* intake.take(1);
      if (mark === MARK.end) break;
      if (mark !== MARK.file) throw badField("mark", `${mark} is neither a file nor the end`);
      const length = parseLength(yield* intake.take(LENGTH_BYTES));
      const record = parseFileRecord(yield* intake.take(length));
      const file = this.#file = expected === undefined
        ? this.#admit(record)
        : theSame(expected, record);
      expected = undefined;
      if (file.isWhole) continue;
      const { name, size } = file;
      yield { type: "file", name, size, offset: file.got };
      while (file.got < size) {
        const bytes = yield* intake.some(size - file.got);
        file.got += bytes.length;
        yield { type: "content", bytes };
      }
      file.isWhole = true;
      yield { type: "end" };
    }
    this.#over = true;
    yield { type: "done" };
  }

  #admit({ name, size, seeked }: FileRecord): ComingFile {
    if (seeked !== 0) throw badField("seeked", `${seeked}, but nothing of the file is here`);
    this.#allowance.admit(size);
    return { name, size, got: 0, isWhole: false };
  }
}

/** The file to go on with. @throws {InvalidPacketError} when the record is of another one. */
function theSame(expected: ComingFile, { name, size, seeked }: FileRecord): ComingFile {
  if (name === expected.name && size === expected.size && seeked === expected.got) return expected;
  const other = describe({ name, size, got: seeked });
  throw new InvalidPacketError(
    "bad-message",
    `Cannot resume ${describe(expected)}: the sender goes on with ${other}`,
    { details: { name: printable(expected.name), got: expected.got, size: expected.size } },
  );
}

function describe({ name, size, got }: PartialFile): string {
  return `"${printable(name)}" at ${got} of ${size} bytes`;
}
