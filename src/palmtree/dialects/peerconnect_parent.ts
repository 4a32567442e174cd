/**
 * The link of a palm tree of originals that somebody's contents come over.
 *
 * A connection that breaks may be replaced by another one of the same parent, for a moment: it says in 8 bytes how many
 * chunks it has given, and goes on if that is what has come. Afterwards others are asked, whose links begin anew.
 *
 * @module
 */

import type { Clock, Timer } from "../../clock.ts";
import { sourceOf } from "../../endpoint/source.ts";
import { AuthError, ClosedError, InvalidPacketError } from "../../errors.ts";
import type { Logger } from "../../log.ts";
import { PatientStream } from "../../transfer/dialects/peerconnect_driver_stream.ts";
import {
  type FileRecord,
  parseSize,
  SIZE_BYTES,
} from "../../transfer/dialects/peerconnect_records.ts";
import type { Connection } from "../../transport/transport.ts";
import { concat } from "../../wire/concat.ts";
import type { ChunkList } from "../chunk_list.ts";
import type { StreamLink } from "../control.ts";
import { type RawEvent, RawReader } from "../raw_stream.ts";
import type { Relay } from "../relay.ts";
import { OK_FRAME } from "./peerconnect_children.ts";

/** How long a parent whose connection broke may take to come back, in milliseconds. */
const RETURN_MS = 300;

/** What a {@linkcode RawParent} needs. */
export interface RawParentOptions {
  /** Where time comes from. */
  readonly clock: Clock;
  /** Where to say what went wrong. */
  readonly log: Logger;
  /** Bytes of a chunk, as we count them. */
  readonly chunkBytes: number;
  /** Bytes of a chunk as the session says: a parent that comes back counts by it. */
  readonly saidBytes: number;
  /** Whom to tell what happens. */
  readonly relay: () => Relay;
  /** The host where a participant is, if it is known. */
  readonly hostOf: (peerId: string) => string | undefined;
  /** It is known which files come. @throws {PeerError} when they are others than before */
  readonly take: (files: readonly FileRecord[], chunks: ChunkList) => Promise<void> | void;
  /** What to wait for before more is read, if anything. */
  readonly room: () => Promise<void> | undefined;
}

interface Upper {
  readonly peerId: string;
  readonly reader: RawReader;
  stream: PatientStream;
  isTold: boolean;
  /** Runs while it may come back. */
  timer: Timer | undefined;
}

/** See the module. Peers are named in decimal here. */
export class RawParent implements Disposable {
  readonly #options: RawParentOptions;
  #upper: Upper | undefined;
  #isClosed = false;

  /** There is none. */
  constructor(options: RawParentOptions) {
    this.#options = options;
  }

  /**
   * Takes a link that somebody opens, until it ends.
   *
   * @throws {AuthError} when it is not wanted. @throws {PeerError} when what comes makes no sense, or it broke.
   */
  async link({ from }: StreamLink, connection: Connection): Promise<void> {
    const { clock, relay, hostOf } = this.#options;
    const host = hostOf(from);
    const isThere = host !== undefined && isSameHost(host, connection.remote.hostname);
    if (this.#isClosed || !isThere || !relay().linkOffered(from, clock.now())) {
      throw new AuthError("not-allowed", "The link is not wanted");
    }
    using stream = new PatientStream(connection, { clock });
    const before = this.#upper?.peerId === from ? this.#upper : undefined;
    this.#forget();
    const upper: Upper = {
      peerId: from,
      reader: before?.reader ?? new RawReader(this.#options.chunkBytes),
      stream,
      isTold: before?.isTold ?? false,
      timer: undefined,
    };
    this.#upper = upper;
    try {
      if (before === undefined) await stream.write(OK_FRAME);
      const first = before === undefined ? undefined : await this.#goOn(upper);
      await this.#read(upper, first);
      this.#ended(upper);
    } catch (error) {
      if (error instanceof ClosedError) this.#ended(upper);
      else this.#lose(upper);
      throw error;
    }
  }

  /** Closes the link with somebody. */
  close(peerId: string): void {
    if (this.#upper?.peerId === peerId) this.#forget();
  }

  /** Closes the link. Harmless when closed. */
  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#forget();
  }

  /** Reads where a parent that has come back goes on. @returns what came behind that */
  async #goOn({ reader, stream, isTold }: Upper): Promise<Uint8Array> {
    const { saidBytes } = this.#options;
    let bytes: Uint8Array = new Uint8Array(0);
    while (bytes.length < SIZE_BYTES) {
      const more = await stream.read();
      if (more === undefined) throw new ClosedError("The connection ended before it went on");
      bytes = concat(bytes, more);
    }
    const given = parseSize(bytes.subarray(0, SIZE_BYTES)) * saidBytes;
    if (isTold && given === reader.contentBytes) return bytes.subarray(SIZE_BYTES);
    throw new InvalidPacketError(
      "bad-message",
      `Cannot go on with palm tree link: ${given} bytes were given, ${reader.contentBytes} have come`,
      { details: { field: "chunks" } },
    );
  }

  async #read(upper: Upper, first: Uint8Array | undefined): Promise<void> {
    const { stream, reader } = upper;
    const { room } = this.#options;
    let bytes = first ?? await stream.read();
    while (bytes !== undefined && this.#upper === upper) {
      for (const event of reader.push(bytes)) await this.#hear(upper, event);
      await room();
      bytes = await stream.read();
    }
  }

  async #hear(upper: Upper, event: RawEvent): Promise<void> {
    const { relay, clock, take } = this.#options;
    if (this.#upper !== upper) return;
    if (event.type === "metadata") {
      upper.isTold = true;
      await take(event.files, event.chunks);
    } else relay().frame(upper.peerId, event, clock.now());
  }

  /** A connection has ended: who has not given everything may come back. */
  #ended(upper: Upper): void {
    if (this.#upper !== upper) return;
    const { clock, relay } = this.#options;
    if (relay().have.isFull) return this.#lose(upper);
    upper.timer = clock.after(RETURN_MS, () => this.#lose(upper));
  }

  #lose(upper: Upper): void {
    if (this.#upper !== upper) return;
    this.#forget();
    const { clock, relay } = this.#options;
    relay().linkDown(upper.peerId, clock.now());
  }

  #forget(): void {
    this.#upper?.timer?.cancel();
    this.#upper?.stream.close();
    this.#upper = undefined;
  }
}

/** Whether two addresses are of one host. */
export function isSameHost(one: string, other: string): boolean {
  return sourceOf(one).address === sourceOf(other).address;
}
