/**
 * Sends contents to who asks for them, several at once, and of a file that was changed a little only a little.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { ClosedError, InvalidPacketError, LimitError } from "../errors.ts";
import { matchBlocks } from "../transfer/block_match.ts";
import {
  blocksOf,
  ContentCode,
  encodeContent,
  framed,
  HEAD_BYTES,
  PAYLOAD_BYTES,
  type WantFrame,
  WINDOW_BYTES,
} from "./content_frames.ts";
import { Slots } from "./slots.ts";

/** Most that one asks for at once; who asks for more has not read what he may. */
const MAX_SENDINGS = 64;

/** Most bytes of signs that wait for their last ones. */
const MAX_WAITING_SIGNS = 16 * 1024 * 1024;

/** Bytes of a message with contents that were not compared with anything, unless one holds all that is left. */
const PLAIN_BYTES = 256 * 1024;

/** Buffers for messages that are kept for the next ones: memory that is new has to be cleared and collected. */
const MAX_KEPT_BUFFERS = 4;
const BUFFER_BYTES = HEAD_BYTES + WINDOW_BYTES;
/** A smaller file is not worth one. */
const MIN_BUFFERED_BYTES = 64 * 1024;

/** Files that are read at once for one connection, whatever it asks for. */
const MAX_READING = 32;

/** Too little was granted for so long: the other side has forgotten us. */
const STALL_MS = 60_000;

/** After so long without a grant a file is closed, and its slot is another connection's. */
const REST_MS = 1_000;

/** What a sender needs. */
export interface ContentSenderOptions {
  /** For files that are open, on all connections. */
  readonly slots: Slots;
  /** Where time comes from. */
  readonly clock: Clock;
  /** Opens contents; `undefined` when they are not here. */
  readonly open: (sha256: string) => Deno.FsFile | undefined;
  /** Sends a message; what it waits for is the back-pressure. */
  readonly send: (bytes: Uint8Array) => Promise<void>;
}

/** One file that somebody asked for. */
interface Sending {
  readonly want: WantFrame;
  readonly signs: Uint8Array;
  filled: number;
  credit: number;
  granted: PromiseWithResolvers<void>;
  isEnded: boolean;
}

/** Sends contents on one connection. */
export class ContentSender {
  readonly #options: ContentSenderOptions;
  readonly #sendings = new Map<number, Sending>();
  readonly #reading = new Slots(MAX_READING);
  readonly #buffers: Uint8Array[] = [];
  #signsBytes = 0;
  /** Bytes of contents that were sent. */
  sentBytes = 0;

  /** Sends nothing yet. */
  constructor(options: ContentSenderOptions) {
    this.#options = options;
  }

  /** Somebody wants contents. @throws {LimitError} when he wants too much at once. */
  want(want: WantFrame): void {
    const signsBytes = this.#signsBytes + want.signsBytes;
    if (this.#sendings.size >= MAX_SENDINGS) throw tooMuch("maxSendings", MAX_SENDINGS);
    if (signsBytes > MAX_WAITING_SIGNS) throw tooMuch("maxWaitingSigns", MAX_WAITING_SIGNS);
    if (this.#sendings.has(want.id)) throw unexpected("an id that is taken");
    this.#signsBytes = signsBytes;
    const signs = new Uint8Array(want.signsBytes);
    const granted = Promise.withResolvers<void>();
    const sending = { want, signs, filled: 0, credit: WINDOW_BYTES, granted, isEnded: false };
    this.#sendings.set(want.id, sending);
    if (signs.length === 0) this.#begin(sending);
  }

  /** Signs have come. @throws {InvalidPacketError} when they are more than was announced. */
  addSigns(id: number, signs: Uint8Array): void {
    const sending = this.#sendings.get(id);
    if (sending === undefined) return;
    if (signs.length === 0 || sending.filled + signs.length > sending.signs.length) {
      throw unexpected("signs that were not announced");
    }
    sending.signs.set(signs, sending.filled);
    sending.filled += signs.length;
    if (sending.filled === sending.signs.length) this.#begin(sending);
  }

  /** More may be sent. */
  grant(id: number, bytes: number): void {
    const sending = this.#sendings.get(id);
    if (sending === undefined) return;
    sending.credit = Math.min(sending.credit + bytes, WINDOW_BYTES);
    sending.granted.resolve();
  }

  /** Somebody wants contents no more. */
  drop(id: number): void {
    const sending = this.#sendings.get(id);
    if (sending !== undefined) this.#end(sending);
  }

  /** Ends all: the connection was cut. */
  reset(): void {
    for (const sending of [...this.#sendings.values()]) this.#end(sending);
  }

  #begin(sending: Sending): void {
    const { id } = sending.want;
    this.#reading.use(() => this.#run(sending)).catch(async (error) => {
      if (error instanceof ClosedError) return;
      await this.#options.send(encodeContent({ type: "none", id })).catch(() => {}); // cut: asked anew
    }).finally(() => this.#end(sending));
  }

  #end(sending: Sending): void {
    const { want } = sending;
    if (sending.isEnded) return;
    sending.isEnded = true;
    this.#signsBytes -= want.signsBytes;
    if (this.#sendings.get(want.id) === sending) this.#sendings.delete(want.id);
    sending.granted.resolve();
  }

  async #run(sending: Sending): Promise<void> {
    const { want } = sending;
    const { sha256, offset } = want;
    if (sending.isEnded) return;
    const { slots, open } = this.#options;
    using reader = new Reader(slots, () => open(sha256), offset);
    if (!await reader.resume()) return await this.#sendNone(sending);
    if (sending.isEnded) return;
    if (want.signsBytes > 0) return await this.#sendMatches(sending, reader);
    if (want.size - offset < MIN_BUFFERED_BYTES) return await this.#sendPlain(sending, reader);
    const buffer = this.#buffers.pop() ?? new Uint8Array(BUFFER_BYTES);
    await this.#sendPlain(sending, reader, buffer);
    // What was sent has been copied.
    if (this.#buffers.length < MAX_KEPT_BUFFERS) this.#buffers.push(buffer);
  }

  async #sendPlain(sending: Sending, reader: Reader, buffer?: Uint8Array): Promise<void> {
    const { id, size, offset } = sending.want;
    let left = size - offset;
    do {
      const length = left <= sending.credit ? left : Math.min(left, PLAIN_BYTES);
      const code = left === length ? ContentCode.END : ContentCode.DATA;
      const bytes = framed(code, id, length, buffer);
      for (let at = HEAD_BYTES; at < bytes.length;) {
        const count = reader.read(bytes.subarray(at));
        // Shorter by now than it was: these contents are not here any more.
        if (count === 0) return await this.#sendNone(sending);
        at += count;
      }
      if (!await this.#send(sending, reader, bytes)) return;
      left -= length;
    } while (left > 0);
  }

  async #sendMatches(sending: Sending, reader: Reader): Promise<void> {
    const { want, signs } = sending;
    const { id, size } = want;
    let left = size - want.offset;
    const read = (into: Uint8Array) => {
      const count = left === 0 ? 0 : reader.read(into.subarray(0, left));
      left -= count;
      return count;
    };
    for (const match of matchBlocks(blocksOf(want, signs), read)) {
      if (match.type === "copy") {
        const { from, length } = match;
        const copy = encodeContent({ type: "copy", id, from, length });
        if (!await this.#send(sending, reader, copy)) return;
        continue;
      }
      for (let at = 0; at < match.data.length; at += PAYLOAD_BYTES) {
        const data = match.data.subarray(at, at + PAYLOAD_BYTES);
        if (!await this.#send(sending, reader, encodeContent({ type: "data", id, data }))) return;
      }
    }
    await this.#send(sending, reader, encodeContent({ type: "end", id, data: new Uint8Array() }));
  }

  async #sendNone({ want: { id } }: Sending): Promise<void> {
    await this.#options.send(encodeContent({ type: "none", id }));
  }

  /** Waits until more may be sent, or it is ended; what was read already is sent then. */
  async #waitForCredit(sending: Sending, reader: Reader): Promise<void> {
    const { clock } = this.#options;
    // However often a little is granted: that alone keeps nothing open.
    const timers = [
      clock.after(REST_MS, () => reader.rest()),
      clock.after(STALL_MS, () => this.#end(sending)),
    ];
    while (sending.credit <= 0 && !sending.isEnded) {
      sending.granted = Promise.withResolvers();
      await sending.granted.promise;
    }
    for (const timer of timers) timer.cancel();
    if (!sending.isEnded && !await reader.resume()) throw new Error("The contents are gone");
  }

  /** @returns whether more is to be sent. */
  async #send(sending: Sending, reader: Reader, bytes: Uint8Array): Promise<boolean> {
    if (sending.credit <= 0) await this.#waitForCredit(sending, reader);
    if (sending.isEnded) return false;
    sending.credit -= bytes.length - HEAD_BYTES;
    this.sentBytes += bytes.length - HEAD_BYTES;
    await this.#options.send(bytes);
    return !sending.isEnded;
  }
}

/** Reads contents, in a slot as long as the file is open. */
class Reader implements Disposable {
  readonly #slots: Slots;
  readonly #open: () => Deno.FsFile | undefined;
  #at: number;
  #file: Deno.FsFile | undefined;

  /** Is at rest. @param at Where to begin. */
  constructor(slots: Slots, open: () => Deno.FsFile | undefined, at: number) {
    this.#slots = slots;
    this.#open = open;
    this.#at = at;
  }

  /** Goes on where it was, as soon as there is a slot. @returns whether the contents are there. */
  async resume(): Promise<boolean> {
    if (this.#file !== undefined) return true;
    await this.#slots.take();
    try {
      this.#file = this.#open();
      this.#file?.seekSync(this.#at, Deno.SeekMode.Start);
    } finally {
      if (this.#file === undefined) this.#slots.give();
    }
    return this.#file !== undefined;
  }

  /** @returns how many bytes; 0 at the end. */
  read(into: Uint8Array): number {
    const count = this.#file?.readSync(into) ?? 0;
    this.#at += count;
    return count;
  }

  /** Lets the file and the slot go for now. */
  rest(): void {
    if (this.#file === undefined) return;
    this.#file.close();
    this.#file = undefined;
    this.#slots.give();
  }

  [Symbol.dispose](): void {
    this.rest();
  }
}

function tooMuch(limit: string, max: number): LimitError {
  return new LimitError("limit", `Cannot send contents: it exceeds ${limit} ${max}`, {
    details: { limit, max },
  });
}

function unexpected(what: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot send contents: ${what}`);
}
