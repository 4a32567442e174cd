/**
 * Where the files of one PeerConnect transfer go: into the folder of the receiver, one after another, by its rules.
 *
 * @module
 */

import { createHash, type Hash } from "node:crypto";
import type { PeerInfo } from "../../endpoint/handshake.ts";
import type { Reservation, StoredBytes } from "../../endpoint/resources.ts";
import { LimitError } from "../../errors.ts";
import { type HashedEntry, summarize, type TransferSummary } from "../manifest.ts";
import type { Offer } from "../offer.ts";
import type { ReceivedFile } from "../placement.ts";
import type { ReceiveEvent } from "../receive.ts";
import { freeBytes } from "../disk.ts";
import type { Part, ReceiveRoot } from "../receive_root.ts";

/** What those are called who say who they are and prove nothing. */
const UNPROVEN_AGENT = "peerconnect";

/** What a receiver lends to a dialect. */
export interface ReceivingDesk {
  /** The folder that receives. */
  readonly root: ReceiveRoot;
  /** What all that is stored counts for. */
  readonly stored: StoredBytes;
  /**
   * Asks whether something may come, and counts it as a transfer until what is returned is disposed of.
   *
   * @throws {AuthError} `not-allowed`. @throws {LimitError} where there is no room.
   */
  admit(offer: Offer, signal?: AbortSignal): Promise<Disposable>;
  /** Tells whoever iterates over the receiver, once there is room for that. */
  tell(event: ReceiveEvent): Promise<void>;
}

interface Arriving {
  /** What it is called in the transfer. */
  readonly path: string;
  /** What it is to be called in the folder. */
  readonly place: string;
  readonly size: number;
  readonly part: Part;
  readonly hash: Hash;
  readonly reserved: Reservation;
}

/** Stores what comes. Nothing in this dialect tells a hash: what is told is that of what came. */
export class PeerConnectStore {
  readonly #desk: Pick<ReceivingDesk, "root" | "stored">;
  readonly #hashed: HashedEntry[] = [];
  #file: Arriving | undefined;

  /** Nothing has come. */
  constructor(desk: Pick<ReceivingDesk, "root" | "stored">) {
    this.#desk = desk;
  }

  /** Whether a file is incomplete. */
  get isOpen(): boolean {
    return this.#file !== undefined;
  }

  /**
   * Begins a file.
   *
   * @param path What it is called in the transfer. @param place What it is to be called in the folder.
   * @throws {LimitError} when there is no room for `size` bytes. @throws {AuthError} when something is in the way.
   */
  begin(path: string, size: number, place: string): void {
    const { root, stored } = this.#desk;
    const free = freeBytes(root.dir);
    if (free !== undefined && size > free) throw noSpace(size, free);
    const reserved = stored.reserve(size);
    try {
      const part = root.createPart(place);
      this.#file = { path, place, size, part, hash: createHash("sha256"), reserved };
    } catch (error) {
      reserved.release();
      throw error;
    }
  }

  /** Takes the next bytes of the file; they are written before it returns. */
  write(bytes: Uint8Array): void {
    const { part, hash } = this.#current;
    for (let at = 0; at < bytes.length;) at += part.file.writeSync(bytes.subarray(at));
    hash.update(bytes);
  }

  /** Gives the file its name, or the next one that is free. */
  async end(): Promise<ReceivedFile> {
    const { path, place, size, part, hash, reserved } = this.#current;
    const taken = await this.#desk.root.commit(part, place, { rename: true });
    this.#file = undefined;
    reserved.keep(size);
    const sha256 = hash.digest("hex");
    this.#hashed.push({ path, size, sha256 });
    return { path: taken, bytes: size, sha256 };
  }

  /** What has come. */
  summary(): TransferSummary {
    return summarize(this.#hashed);
  }

  /** Removes the file that is incomplete; those that are complete stay. Harmless when there is none. */
  abort(): void {
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    this.#desk.root.discard(file.part);
    file.reserved.release();
  }

  get #current(): Arriving {
    if (this.#file === undefined) throw new TypeError("Cannot store: no file has begun");
    return this.#file;
  }
}

/** Who sends, as far as anybody can tell. @param peerId 40 hexadecimal digits that nobody has proven. */
export function unprovenPeer(peerId: string): PeerInfo {
  return { peerId, name: "", capabilities: [], agent: UNPROVEN_AGENT };
}

/** Whether nobody has proven who sends, or that what came is what was sent. */
export function isUnproven({ agent }: Pick<PeerInfo, "agent">): boolean {
  return agent === UNPROVEN_AGENT;
}

function noSpace(size: number, free: number): LimitError {
  return new LimitError(
    "limit",
    `Not enough free space: ${size} bytes are coming, ${free} are free`,
    { details: { limit: "freeBytes", max: free } },
  );
}
