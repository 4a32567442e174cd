/**
 * Gets contents from the other side of a connection, several at once, and verifies them.
 *
 * What is here of them is gone on with: a part from before, and blocks of an older version of the file. The hash of the
 * whole decides; when it is wrong, something that was here was not what it was taken for, and all is asked for once more.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";
import { InvalidPacketError } from "../errors.ts";
import { type BlockList, listBlocks } from "../transfer/block_match.ts";
import { writeAll } from "../transfer/disk.ts";
import { MIN_ASIDE_BYTES, sha256Aside, writeAllAside } from "./aside.ts";
import { type ContentFrame, encodeContent, PAYLOAD_BYTES, WINDOW_BYTES } from "./content_frames.ts";
import type { ContentShelf, GrowingPart } from "./content_shelf.ts";
import type { SyncEntry } from "./entry.ts";
import { Slots } from "./slots.ts";

/** Files that are got at once on one connection: enough small ones to keep the other side busy while they are put away. */
const MAX_FETCHES = { small: 32, large: 16 } as const;

/** From so many bytes on it is worth while to look for blocks of an older version. */
const MIN_MATCHED_BYTES = 64 * 1024;

/**
 * Who waits for contents of a client says something so soon, and again after twice as long each time.
 *
 * The runtime's WebSocket client leaves Nagle's algorithm on, and writes the head of a message of more than a kilobyte on
 * its own: what is in it waits until the head is acknowledged, which the other side's system puts off for 40 ms unless
 * there is something to send with it.
 */
const NUDGE_MS = { first: 1, last: 32 } as const;

/** Nothing was heard for so long: the other side has forgotten us. */
const STALL_MS = 60_000;

/** Why contents are not got where there is no connection, and is another one for them. */
export const LET_GO = "another connection gets it";

const READ_BYTES = 256 * 1024;

/** What a fetcher needs. */
export interface ContentFetcherOptions {
  /** Where contents grow. */
  readonly shelf: ContentShelf;
  /** Opens the older version of a file, if there is one. */
  readonly openOlder: (path: string) => Deno.FsFile | undefined;
  /** Sends a message. */
  readonly send: (bytes: Uint8Array) => Promise<void>;
  /** Where time comes from. */
  readonly clock: Clock;
  /** Whether to keep what comes from being held back, see {@linkcode NUDGE_MS}. @default {false} */
  readonly nudges?: boolean;
  /** Told of bytes that are here. @default nobody */
  readonly onBytes?: (bytes: number) => void;
}

/** Why an attempt came to its end. */
type End = "whole" | "wrong" | { readonly reason: string };

/** Contents that are on their way. */
interface Fetching {
  readonly entry: SyncEntry;
  readonly grown: GrowingPart;
  readonly older: { readonly file: Deno.FsFile; readonly blocks: BlockList } | undefined;
  readonly ended: PromiseWithResolvers<End>;
  id: number;
  bytes: number;
  ungranted: number;
  heardMs: number;
}

/** Gets contents on one connection. */
export class ContentFetcher {
  readonly #options: ContentFetcherOptions;
  readonly #fetchings = new Map<number, Fetching>();
  readonly #small = new Slots(MAX_FETCHES.small);
  readonly #large = new Slots(MAX_FETCHES.large);
  readonly #buffer = new Uint8Array(READ_BYTES);
  /** What others wait for since the connection was cut, should we come to it. */
  readonly #lettingGo = new Set<string>();
  #ids = 0;
  #watching: Timer | undefined;
  #nudge: { readonly timer: Timer; readonly delayMs: number } | undefined;
  #closed = false;
  /** Bytes of messages with contents that have come. */
  receivedBytes = 0;

  /** Gets nothing yet. */
  constructor(options: ContentFetcherOptions) {
    this.#options = options;
  }

  /** Whether nothing comes any more. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Puts the contents of a file onto the shelf.
   *
   * @returns `undefined` when they are there; else why not.
   */
  fetch(entry: SyncEntry): Promise<string | undefined> {
    const { shelf } = this.#options;
    const slots = entry.size < MIN_ASIDE_BYTES ? this.#small : this.#large;
    return shelf.only(entry.sha256, () => {
      return slots.use(() => shelf.growing.use(() => this.#fetch(entry)));
    }, () => this.#letGo(entry));
  }

  /** A client that has begun anew waits for nothing that its connection from before, which was cut, was getting. */
  #letGo({ sha256 }: SyncEntry): void {
    this.#options.send(encodeContent({ type: "nothing", id: 0 })).catch(() => {
      this.#lettingGo.add(sha256);
      for (const { entry, ended } of this.#fetchings.values()) {
        if (entry.sha256 === sha256) ended.resolve({ reason: LET_GO });
      }
    });
  }

  /** Takes a message that has come. @throws {InvalidPacketError} when it is none that was asked for. */
  take(frame: ContentFrame): void {
    const fetching = this.#fetchings.get(frame.id);
    if (fetching === undefined) return; // it was dropped
    fetching.heardMs = this.#options.clock.now();
    this.#nudgeLater();
    try {
      this.#take(fetching, frame);
    } catch (error) {
      this.#drop(fetching);
      fetching.ended.resolve({ reason: error instanceof Error ? error.message : String(error) });
      if (error instanceof InvalidPacketError) throw error;
    }
  }

  /** Asks for the rest of all of it: the connection was cut, and what was on its way is lost. */
  restart(): void {
    this.#lettingGo.clear();
    for (const fetching of [...this.#fetchings.values()]) {
      this.#fetchings.delete(fetching.id);
      this.#ask(fetching);
    }
  }

  /** Gets nothing more: there will be no connection. */
  close(): void {
    this.#closed = true;
    this.#nudge?.timer.cancel();
    this.#unwatch();
    const end = { reason: "the connection ended" };
    for (const { ended } of this.#fetchings.values()) ended.resolve(end);
    this.#fetchings.clear();
  }

  async #fetch(entry: SyncEntry): Promise<string | undefined> {
    for (const isClean of [false, true]) {
      const end = await this.#attempt(entry, isClean);
      if (end === "whole") return undefined;
      if (end !== "wrong") return end.reason;
    }
    return "the other side sent other contents than it told of";
  }

  async #attempt(entry: SyncEntry, isClean: boolean): Promise<End> {
    const { shelf, clock, onBytes } = this.#options;
    const { sha256, size, mode } = entry;
    const grown = await shelf.begin(sha256, isClean ? -1 : size, mode);
    let end: End = { reason: "it was interrupted" };
    let fetching: Fetching | undefined;
    try {
      const older = isClean ? undefined : await this.#openOlder(entry);
      const facts = { id: 0, bytes: grown.bytes, ungranted: 0, heardMs: clock.now() };
      const ended = Promise.withResolvers<End>();
      fetching = { entry, grown, older, ended, ...facts };
      onBytes?.(grown.bytes);
      end = await this.#getRest(fetching);
      if (end === "wrong") onBytes?.(-fetching.bytes);
      return end;
    } finally {
      fetching?.older?.file.close();
      if (end === "whole") await shelf.finish(sha256, grown, size);
      else if (end === "wrong") shelf.discard(grown);
      else shelf.leave(grown);
    }
  }

  async #getRest(fetching: Fetching): Promise<End> {
    const { entry, grown, ended } = fetching;
    try {
      if (this.#closed) ended.resolve({ reason: "the connection ended" });
      else if (this.#lettingGo.has(entry.sha256)) ended.resolve({ reason: LET_GO });
      else if (grown.bytes === entry.size) this.#end(fetching);
      else this.#ask(fetching);
      return await ended.promise;
    } finally {
      this.#fetchings.delete(fetching.id);
      if (this.#fetchings.size === 0) this.#unwatch();
    }
  }

  async #openOlder(entry: SyncEntry): Promise<Fetching["older"]> {
    if (entry.size < MIN_MATCHED_BYTES) return undefined;
    const file = this.#options.openOlder(entry.path);
    if (file === undefined) return undefined;
    try {
      const { size } = file.statSync();
      const blocks = size < MIN_MATCHED_BYTES ? undefined : await listBlocks(file, size);
      if (blocks !== undefined && blocks.signs.length > 0) return { file, blocks };
      file.close();
      return undefined;
    } catch (error) {
      file.close();
      throw error;
    }
  }

  #ask(fetching: Fetching): void {
    const { entry: { sha256, size }, bytes: offset, older } = fetching;
    const id = fetching.id = this.#ids = (this.#ids + 1) >>> 0;
    this.#fetchings.set(id, fetching);
    const signs = older?.blocks.signs ?? new Uint8Array();
    const [blockBytes, signsBytes] = [older?.blocks.blockBytes ?? 0, signs.length];
    fetching.ungranted = 0;
    fetching.heardMs = this.#options.clock.now();
    this.#send({ type: "want", id, sha256, size, offset, blockBytes, signsBytes });
    for (let at = 0; at < signs.length; at += PAYLOAD_BYTES) {
      this.#send({ type: "signs", id, signs: signs.subarray(at, at + PAYLOAD_BYTES) });
    }
    if (this.#watching === undefined) this.#watch();
    this.#nudgeLater();
  }

  /** Says something soon if contents are waited for still. */
  #nudgeLater(delayMs: number = NUDGE_MS.first): void {
    const { nudges = false, clock } = this.#options;
    if (!nudges || this.#closed || this.#nudge?.delayMs === delayMs) return;
    this.#nudge?.timer.cancel();
    const timer = clock.after(delayMs, () => {
      this.#nudge = undefined;
      if (this.#fetchings.size === 0) return;
      this.#send({ type: "nothing", id: 0 });
      if (delayMs < NUDGE_MS.last) this.#nudgeLater(2 * delayMs);
    });
    this.#nudge = { timer, delayMs };
  }

  #take(fetching: Fetching, frame: ContentFrame): void {
    switch (frame.type) {
      case "data":
        this.#add(fetching, frame.data);
        this.#grant(fetching, frame.data.length);
        return;
      case "copy":
        this.#copy(fetching, frame.from, frame.length);
        this.#grant(fetching, 12);
        return;
      case "end":
        if (fetching.bytes === 0 && frame.data.length >= MIN_ASIDE_BYTES) {
          return this.#addWhole(fetching, frame.data);
        }
        this.#add(fetching, frame.data);
        return this.#end(fetching);
      case "none":
        this.#fetchings.delete(fetching.id);
        fetching.ended.resolve({ reason: "it was changed or removed there in the meantime" });
        return;
      default:
        throw new InvalidPacketError("bad-message", `Cannot receive contents: ${frame.type}`);
    }
  }

  /** Contents in one piece are written and hashed by other threads, while the next ones come in. */
  #addWhole(fetching: Fetching, data: Uint8Array): void {
    const { entry, grown: { part }, ended } = fetching;
    this.#accept(fetching, data);
    this.#fetchings.delete(fetching.id);
    this.#count(fetching, data.length);
    Promise.all([sha256Aside(data), writeAllAside(part.file, data)]).then(
      ([sha256]) => ended.resolve(sha256 === entry.sha256 ? "whole" : "wrong"),
      (error) => ended.resolve({ reason: String(error) }),
    );
  }

  #add(fetching: Fetching, data: Uint8Array): void {
    this.#accept(fetching, data);
    this.#put(fetching, fetching.grown, data);
  }

  #accept({ bytes, entry }: Fetching, data: Uint8Array): void {
    if (bytes + data.length > entry.size) {
      throw new InvalidPacketError("bad-message", "Cannot receive contents: more than announced");
    }
    this.receivedBytes += data.length;
  }

  #put(fetching: Fetching, { part, hash }: GrowingPart, data: Uint8Array): void {
    writeAll(part.file, data);
    hash.update(data);
    this.#count(fetching, data.length);
  }

  #count(fetching: Fetching, bytes: number): void {
    fetching.bytes += bytes;
    this.#options.onBytes?.(bytes);
  }

  #copy(fetching: Fetching, from: number, length: number): void {
    const { older, entry, grown } = fetching;
    if (older === undefined || fetching.bytes + length > entry.size) {
      throw new InvalidPacketError("bad-message", "Cannot receive contents: nothing to copy");
    }
    older.file.seekSync(from, Deno.SeekMode.Start);
    for (let left = length; left > 0;) {
      const room = this.#buffer.subarray(0, Math.min(left, this.#buffer.length));
      const count = older.file.readSync(room);
      // Shorter by now: the hash will say so.
      if (count === null) return;
      this.#put(fetching, grown, room.subarray(0, count));
      left -= count;
    }
  }

  #end(fetching: Fetching): void {
    const { grown, entry, bytes, ended } = fetching;
    this.#fetchings.delete(fetching.id);
    const isWhole = bytes === entry.size && grown.hash.digest("hex") === entry.sha256;
    ended.resolve(isWhole ? "whole" : "wrong");
  }

  #grant(fetching: Fetching, bytes: number): void {
    fetching.ungranted += bytes;
    if (fetching.ungranted < WINDOW_BYTES / 2) return;
    this.#send({ type: "grant", id: fetching.id, bytes: fetching.ungranted });
    fetching.ungranted = 0;
  }

  #drop(fetching: Fetching): void {
    this.#fetchings.delete(fetching.id);
    this.#send({ type: "drop", id: fetching.id });
  }

  // What cannot be sent is asked for again when there is a connection, or ends with it.
  #send(frame: ContentFrame): void {
    this.#options.send(encodeContent(frame)).catch(() => {});
  }

  #unwatch(): void {
    this.#watching?.cancel();
    this.#watching = undefined;
  }

  /** Looks when the one that was heard of longest ago should have been heard of again. */
  #watch(): void {
    const { clock } = this.#options;
    const heardMs = Math.min(...Array.from(this.#fetchings.values(), ({ heardMs }) => heardMs));
    this.#watching = clock.after(heardMs + STALL_MS - clock.now(), () => {
      this.#watching = undefined;
      for (const fetching of [...this.#fetchings.values()]) {
        if (clock.now() - fetching.heardMs < STALL_MS) continue;
        this.#drop(fetching);
        fetching.ended.resolve({ reason: "the other side does not send it" });
      }
      if (this.#fetchings.size > 0) this.#watch();
    });
  }
}
