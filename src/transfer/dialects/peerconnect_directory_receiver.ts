/**
 * A directory that a PeerConnect node sends, as it comes in.
 *
 * ```
 * sender     handshake          01 item size content       01 item size content       02 item  ...  00
 * receiver              01                             01                         01
 * ```
 *
 * Every file is confirmed before the next item comes; folders are not. A folder is listed before what is in it, which
 * bounds the folders that a sender can have made. When the connection breaks the directory is sent anew.
 *
 * Source: the PeerConnect transfer protocol, `DirReceiver`.
 *
 * @module
 */

import { ClosedError } from "../../errors.ts";
import { printable } from "../../log.ts";
import { Allowance, type AllowanceLimits, overLimit } from "./allowance.ts";
import {
  badField,
  encodeAnswer,
  LENGTH_BYTES,
  MARK,
  parseDirectoryItem,
  parseLength,
  parseSize,
  SIZE_BYTES,
} from "./peerconnect_records.ts";
import { type Run, Script, type Taking } from "./script.ts";

/** Most UTF-16 units in the paths of all folders together, which are remembered: what one native offer can list. */
const MAX_FOLDER_CHARS = 16 * 1024 * 1024;

/** What happens while a directory comes in. */
export type DirectoryEvent =
  | {
    /** A folder. */
    readonly type: "directory";
    /** Where it is below the directory: safe on every system. Its parent was listed before. */
    readonly path: string;
  }
  | {
    /** A file begins: its contents follow. */
    readonly type: "file";
    /** Where it is below the directory, likewise. */
    readonly path: string;
    /** Its size in bytes. */
    readonly size: number;
  }
  | {
    /** The next bytes of the file. */
    readonly type: "content";
    /** A view of what was pushed, valid until the next call. */
    readonly bytes: Uint8Array;
  }
  | {
    /** The file is complete: store it before the next call, which confirms it. */
    readonly type: "end";
  }
  | {
    /** These bytes are to be written. */
    readonly type: "reply";
    /** The bytes. */
    readonly bytes: Uint8Array;
  }
  | {
    /** That was the directory. */
    readonly type: "done";
  };

/** Receives one directory that was accepted, over one connection; used as `FileReceiver` is. */
export class DirectoryReceiver {
  readonly #script = new Script<DirectoryEvent>();
  readonly #allowance: Allowance;
  readonly #folders = new Set<string>();
  #folderChars = 0;
  #over = false;
  #file: { readonly path: string; readonly size: number; got: number } | undefined;

  /** Prepares to receive. */
  constructor(limits: AllowanceLimits = {}) {
    this.#allowance = new Allowance(limits);
    this.#script.begin(this.#receive());
  }

  /** Whether everything has come. */
  get over(): boolean {
    return this.#over;
  }

  /** Takes bytes in, a view: they are to be left alone until `next` has given nothing. */
  push(bytes: Uint8Array): void {
    this.#script.intake.push(bytes);
  }

  /**
   * What happens next, or `undefined` when more bytes have to come. The first is the reply that accepts.
   *
   * @throws {InvalidPacketError} for what breaks the format, a hostile name, or a parent that was not listed.
   * @throws {LimitError} when more is announced than may come. Either is the end of the connection.
   */
  next(): DirectoryEvent | undefined {
    return this.#script.next();
  }

  /** Says that the connection has ended. @throws {ClosedError} when not everything has come. */
  ended(): void {
    if (this.over) return;
    const file = this.#file;
    const where = file === undefined
      ? "between two items"
      : `within "${printable(file.path)}" at ${file.got} of ${file.size} bytes`;
    throw new ClosedError(`Cannot receive: the connection ended ${where}`, {
      details: file === undefined ? {} : { ...file, path: printable(file.path) },
    });
  }

  *#receive(): Run<DirectoryEvent> {
    const { intake } = this.#script;
    yield { type: "reply", bytes: encodeAnswer(true) };
    for (;;) {
      const [mark] = yield* intake.take(1);
      if (mark === MARK.end) break;
      if (mark !== MARK.file && mark !== MARK.directory) {
        throw badField("mark", `${mark} is neither a file, nor a directory, nor the end`);
      }
      const path = yield* this.#item();
      if (mark === MARK.file) yield* this.#contents(path);
      else {
        this.#list(path);
        yield { type: "directory", path };
      }
    }
    this.#over = true;
    yield { type: "done" };
  }

  #list(folder: string): void {
    this.#allowance.admit();
    this.#folderChars += folder.length;
    if (this.#folderChars > MAX_FOLDER_CHARS) throw overLimit("maxFolderChars", MAX_FOLDER_CHARS);
    this.#folders.add(folder);
  }

  *#item(): Taking<string> {
    const { intake } = this.#script;
    const length = parseLength(yield* intake.take(LENGTH_BYTES));
    const path = parseDirectoryItem(yield* intake.take(length));
    const slash = path.lastIndexOf("/");
    if (slash >= 0 && !this.#folders.has(path.slice(0, slash))) {
      throw badField("parent", `"${printable(path.slice(0, slash))}" was not listed`);
    }
    return path;
  }

  *#contents(path: string): Run<DirectoryEvent> {
    const { intake } = this.#script;
    const size = parseSize(yield* intake.take(SIZE_BYTES));
    this.#allowance.admit(size);
    const file = this.#file = { path, size, got: 0 };
    yield { type: "file", path, size };
    while (file.got < size) {
      const bytes = yield* intake.some(size - file.got);
      file.got += bytes.length;
      yield { type: "content", bytes };
    }
    yield { type: "end" };
    this.#file = undefined;
    yield { type: "reply", bytes: encodeAnswer(true) };
  }
}
