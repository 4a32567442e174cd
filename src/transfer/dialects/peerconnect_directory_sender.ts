/**
 * A directory for a PeerConnect node; `peerconnect_directory_receiver.ts` draws what goes over the connection.
 *
 * Source: the PeerConnect transfer protocol, `DirSender`.
 *
 * @module
 */

import { ClosedError, HandshakeError } from "../../errors.ts";
import { concat } from "../../wire/concat.ts";
import type { SendStep } from "./peerconnect_file_sender.ts";
import {
  badField,
  chunkBytesOf,
  encodeDirectoryItem,
  encodeSize,
  MARK,
  withLength,
} from "./peerconnect_records.ts";
import { type Run, Script, type Taking, unasked } from "./script.ts";

/** Something in a directory to send. */
export interface OutgoingItem {
  /** Where it is below the directory, with `/` between the segments. */
  readonly path: string;
  /** What it is. */
  readonly kind: "file" | "directory";
  /** Bytes of the file; of no meaning for a folder. */
  readonly size: number;
}

/** What a receiver accepts and confirms with. */
const YES = 1;
const NO = 0;

/** Sends one directory over one connection; used as `FileSender` is. */
export class DirectorySender {
  readonly #script = new Script<SendStep>();
  readonly #items: readonly OutgoingItem[];
  #accepted = false;
  #confirmed = 0;

  /**
   * Prepares to send.
   *
   * @throws {RangeError} when a folder is not listed before what is in it, or a size is no integer of 0 or more.
   */
  constructor(items: readonly OutgoingItem[]) {
    const folders = new Set<string>();
    for (const { path, kind, size } of items) {
      const slash = path.lastIndexOf("/");
      if (slash >= 0 && !folders.has(path.slice(0, slash))) {
        throw new RangeError(`Folders must be listed before what is in them: "${path}"`);
      }
      if (kind === "directory") folders.add(path);
      else if (!Number.isSafeInteger(size) || size < 0) {
        throw new RangeError(`Sizes of files must be integers of 0 or more: one is ${size}`);
      }
    }
    this.#items = items;
    this.#script.begin(this.#send());
  }

  /** Whether everything was handed out, and every file was confirmed. */
  get over(): boolean {
    return this.#script.over;
  }

  /** Whether the receiver has accepted. */
  get accepted(): boolean {
    return this.#accepted;
  }

  /** How many files the receiver has confirmed. */
  get confirmed(): number {
    return this.#confirmed;
  }

  /** Takes in what the receiver sent, a copy. @throws {InvalidPacketError} `bad-frame` for more than is ever due. */
  push(bytes: Uint8Array): void {
    const { intake } = this.#script;
    const length = intake.length + bytes.length;
    if (length > 1) throw unasked(length, "instead of at most 1");
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

  /** Says that the connection has ended. @throws {ClosedError} when it was not over. */
  ended(): void {
    if (this.over) return;
    throw new ClosedError("Cannot send: the receiver closed the connection", {
      details: { confirmed: this.#confirmed },
    });
  }

  *#send(): Run<SendStep> {
    const { intake } = this.#script;
    const answer = yield* this.#answer();
    if (answer === NO) throw new HandshakeError("denied", "Cannot send: the receiver refused");
    if (answer !== YES) throw badField("answer", `${answer} is neither yes nor no`);
    this.#accepted = true;
    for (const [index, { path, kind, size }] of this.#items.entries()) {
      const item = withLength(encodeDirectoryItem(path));
      if (kind === "directory") {
        yield { type: "bytes", bytes: concat(Uint8Array.of(MARK.directory), item) };
        continue;
      }
      const head = concat(concat(Uint8Array.of(MARK.file), item), encodeSize(size));
      yield { type: "bytes", bytes: head };
      for (let offset = 0; offset < size;) {
        if (intake.length > 0) throw unasked(intake.length, "out of turn");
        const length = Math.min(chunkBytesOf(size), size - offset);
        yield { type: "content", index, offset, length };
        offset += length;
      }
      const confirmation = yield* this.#answer();
      if (confirmation !== YES) throw badField("confirmation", `${confirmation} instead of 1`);
      this.#confirmed++;
    }
    yield { type: "bytes", bytes: Uint8Array.of(MARK.end) };
  }

  *#answer(): Taking<number | undefined> {
    const [answer] = yield* this.#script.intake.take(1);
    return answer;
  }
}
