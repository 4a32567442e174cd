/**
 * One broadcast as one of its receivers sees it.
 *
 * @module
 */

import type { PeerInfo } from "../endpoint/handshake.ts";
import type { Link } from "../endpoint/link.ts";
import { ClosedError, LimitError, PeerError, TimeoutError } from "../errors.ts";
import type { StoredBytes } from "../endpoint/resources.ts";
import { layerLog } from "../log.ts";
import type { Manifest, TransferSummary } from "../transfer/manifest.ts";
import type { Offer } from "../transfer/offer.ts";
import type { Admission, ReceiveEvent } from "../transfer/receive.ts";
import type { ReceiveRoot } from "../transfer/receive_root.ts";
import type { ChunkList } from "./chunk_list.ts";
import { IncomingFiles } from "./incoming_files.ts";
import type { Participant } from "./participant.ts";
import { type PalmPorts, RelayDriver } from "./relay_driver.ts";
import type { Relay } from "./relay.ts";
import { RELAY_STATE, type RelayEvent } from "./relay_options.ts";
import type { PalmTreeSession } from "./session.ts";
import { hexOf } from "./stream_links.ts";

/** How long a way to the sender is looked for once its own connection has ended, in milliseconds. */
const SENDER_GONE_MS = 5_000;

/** So long after the sender has gone is who has everything there for others, in milliseconds. */
const LINGER_MS = 5_000;

/** How long after our answer the tree may take to begin, in milliseconds: the sender may wait for others to accept. */
const BEGIN_MS = 150_000;

/** For so long may nothing come, and nothing be taken once everything is here, in milliseconds: whatever the link does. */
const IDLE_MS = 300_000;

/** What takes files in: decides about offers, keeps what comes, and tells of it. */
export interface ReceivingDesk {
  /** Where files go. */
  readonly root: ReceiveRoot;
  /** What they count for. */
  readonly stored: StoredBytes;
  /** Decides about an offer. @returns what ends it. @throws {AuthError} `not-allowed` @throws {LimitError} */
  admit(offer: Offer, signal?: AbortSignal): Promise<Admission>;
  /** Tells what happened; it may slow down what comes. */
  tell(event: ReceiveEvent): Promise<void>;
}

/** A broadcast under way. */
export interface ReceivingProgress {
  /** Who sends. */
  readonly from: PeerInfo;
  /** Bytes that are there, verified. */
  readonly bytes: number;
  /** Bytes in all. */
  readonly totalBytes: number;
  /** The way it comes: the sender first, we last; empty while nobody gives to us. */
  readonly path: readonly string[];
  /** Whom we give to. */
  readonly children: readonly string[];
}

/** What a receiver tells the sender once it has everything. */
export interface Confirmation extends TransferSummary {
  /** Bytes of chunks that came from each peer. */
  readonly sources: readonly (readonly [peerId: string, bytes: number])[];
  /** Who gave something else than what was announced. */
  readonly blamed: readonly string[];
}

/** What one broadcast is received with. */
export interface ReceivingOptions extends PalmPorts {
  /** What takes files in. */
  readonly desk: ReceivingDesk;
  /** The connection that the sender informed us over. */
  readonly link: Link;
  /** The session. */
  readonly session: PalmTreeSession;
  /** The sender. */
  readonly root: Participant;
  /** The key that only the sender and we have. */
  readonly seal: Uint8Array;
  /** What comes. */
  readonly manifest: Manifest;
  /** Its chunks. */
  readonly chunks: ChunkList;
  /** How long a way to the sender is looked for once its own connection has ended, in milliseconds. @default {5000} */
  readonly senderGoneMs?: number | undefined;
  /** For tests: changes a chunk before it is given, as a relay would that lies. */
  readonly beforeGive?: ((chunk: Uint8Array) => void) | undefined;
}

/** See the module. */
export class Receiving {
  /** Resolves when it is over, whatever came of it, and everything is let go of. */
  readonly ended: Promise<void>;
  /** What it comes to; rejects when it fails. */
  readonly confirmed: Promise<Confirmation>;
  readonly #options: ReceivingOptions;
  readonly #files: IncomingFiles;
  readonly #confirmed = Promise.withResolvers<Confirmation>();
  readonly #ended = Promise.withResolvers<void>();
  readonly #startedMs: number;
  #driver: RelayDriver | undefined;
  #state: "receiving" | "done" | "over" = "receiving";
  #aloneMs: number | undefined;
  // When something came, or was taken, last; and how much had by then.
  #activeMs: number;
  #moved = 0;
  #hasBegun = false;
  #summary: TransferSummary | undefined;
  #seconds = 0;

  private constructor(options: ReceivingOptions) {
    const { desk, link, manifest, chunks, endpoint } = options;
    this.#options = options;
    this.confirmed = this.#confirmed.promise;
    this.confirmed.catch(() => {}); // the sender may never ask
    this.ended = this.#ended.promise;
    this.#startedMs = this.#activeMs = endpoint.clock.now();
    this.#files = new IncomingFiles(desk.root, manifest, chunks, {
      owner: link.peer.peerId,
      stored: desk.stored,
      placed: (file) => desk.tell({ type: "received", from: link.peer, ...file }),
      failed: (error) => this.fail(error),
    });
  }

  /** Begins: the socket is bound when it returns. @throws as `IncomingFiles.begin` and `RelayDriver.open` */
  static async open(options: ReceivingOptions): Promise<Receiving> {
    const receiving = new Receiving(options);
    const files = receiving.#files;
    try {
      await files.begin();
      const have = await files.resume();
      receiving.#driver = await RelayDriver.open({
        ...options,
        content: options.chunks,
        have,
        source: { read: (index) => receiving.#read(index) },
        keyWith: (peerId) => peerId === options.root.peerId ? options.seal : undefined,
        borrowed: (peerId) => peerId === options.root.peerId ? options.link : undefined,
        keep: (index, data) => files.write(index, data),
        room: () => files.room(),
        emit: (event) => receiving.#hear(event),
        unreadable: (error) => receiving.#unreadable(error),
        tick: (nowMs) => receiving.#tick(nowMs),
      });
    } catch (error) {
      await files.close();
      throw error;
    }
    return receiving;
  }

  /** Where it takes packets and links. */
  get self(): Participant {
    if (this.#driver === undefined) throw new TypeError("It is not open");
    return this.#driver.self;
  }

  /** Which connection the sender has with us. */
  get link(): Link {
    return this.#options.link;
  }

  /** How far it is. */
  get progress(): ReceivingProgress {
    const { link, manifest, chunks } = this.#options;
    const { totalBytes } = manifest;
    const { have, path = [], children = [] } = this.#driver?.relay ?? {};
    const bytes = Math.min(totalBytes, (have?.count ?? 0) * chunks.chunkBytes);
    const way = { path: path.map(hexOf), children: children.map(hexOf) };
    return { from: link.peer, bytes, totalBytes, ...way };
  }

  /** The sender says that it is over. @param error Why, where not because everybody is done */
  over(error?: unknown): void {
    if (this.#state === "receiving") this.fail(error ?? gone());
    else if (this.#state === "done") void this.#end("over");
  }

  /** Gives up; the sender learns why. Parts of files stay for another time. */
  fail(error: unknown): void {
    if (this.#state === "done") return void this.#end("leaving");
    if (this.#state === "over") return;
    this.#state = "over";
    this.#confirmed.reject(asPeerError(error));
    const { link, endpoint } = this.#options;
    layerLog(endpoint.log, "palmtree").warn("a broadcast failed here", {
      from: link.label,
      why: String(error),
    });
    void this.#end("failed", error);
  }

  #hear(event: RelayEvent): void {
    const log = layerLog(this.#options.endpoint.log, "palmtree");
    if (event.type === "complete") void this.#complete();
    else if (event.type === "failed") this.fail(event.error);
    else if (event.type === "corrupt") {
      log.warn("a peer gave a wrong chunk and is cut off", { peer: hexOf(event.peerId) });
    } else log.debug(`palm tree: ${event.type}`, { peer: hexOf(event.peerId) });
  }

  async #complete(): Promise<void> {
    try {
      const summary = await this.#files.finish();
      const relay = this.#driver?.relay;
      if (this.#state !== "receiving" || relay === undefined) return;
      this.#state = "done";
      this.#summary = summary;
      this.#seconds = (this.#options.endpoint.clock.now() - this.#startedMs) / 1_000;
      const sources = [...relay.receivedFrom].map(([id, bytes]) => [hexOf(id), bytes] as const);
      this.#confirmed.resolve({ ...summary, sources, blamed: relay.report.blamed.map(hexOf) });
    } catch (error) {
      this.fail(error);
    }
  }

  #read(index: number): Uint8Array {
    const chunk = this.#files.read(index);
    const { beforeGive } = this.#options;
    if (beforeGive === undefined) return chunk;
    const changed = chunk.slice();
    beforeGive(changed);
    return changed;
  }

  /** What came here was changed under our hands: whoever has everything passes on nothing any more. */
  #unreadable(error: unknown): void {
    layerLog(this.#options.endpoint.log, "palmtree").warn("a chunk cannot be passed on", {
      why: String(error),
    });
    this.fail(error);
  }

  #tick(nowMs: number): void {
    const relay = this.#driver?.relay;
    if (relay === undefined) return;
    this.#watchActivity(relay, nowMs);
    this.#watchSender(relay, nowMs);
  }

  /** A sender that begins nothing, or never ends it, keeps no place and no socket for ever. */
  #watchActivity({ have, report, state }: Relay, nowMs: number): void {
    const hasBegun = state >= RELAY_STATE.linksKnown;
    const isDone = this.#state === "done";
    const moved = isDone ? report.egressBytes : have.count;
    if (hasBegun !== this.#hasBegun || moved !== this.#moved) this.#activeMs = nowMs;
    this.#hasBegun = hasBegun;
    this.#moved = moved;
    const idleMs = nowMs - this.#activeMs;
    if (isDone && idleMs > IDLE_MS) void this.#end("over");
    else if (this.#state === "receiving") {
      if (!hasBegun && idleMs > BEGIN_MS) this.fail(nothingComes("beginMs", BEGIN_MS));
      // What is all here may take long to be put into place.
      if (hasBegun && !have.isFull && idleMs > IDLE_MS) this.fail(nothingComes("idleMs", IDLE_MS));
    }
  }

  /** Without the sender's own connection others may still have what is missing, or miss what is here. */
  #watchSender(relay: Relay, nowMs: number): void {
    if (this.#options.link.open || this.#state === "over") return;
    const isDone = this.#state === "done";
    const isNeeded = isDone ? relay.children.length > 0 : relay.path !== undefined;
    if (isNeeded) this.#aloneMs = undefined;
    else this.#aloneMs ??= nowMs;
    const { senderGoneMs = SENDER_GONE_MS } = this.#options;
    const patienceMs = isDone ? LINGER_MS : senderGoneMs;
    if (nowMs - (this.#aloneMs ?? nowMs) < patienceMs) return;
    if (isDone) void this.#end("over");
    else this.fail(gone());
  }

  async #end(why: "over" | "leaving" | "failed", error?: unknown): Promise<void> {
    const isDone = this.#summary;
    this.#state = "over";
    await undefined; // the relay may be at work
    this.#driver?.relay.stop(why);
    await this.#driver?.[Symbol.asyncDispose]();
    await this.#files.close();
    const { desk, link: { peer: from } } = this.#options;
    this.#ended.resolve();
    if (isDone === undefined) await desk.tell({ type: "failed", from, error });
    else await desk.tell({ type: "done", from, seconds: this.#seconds, ...isDone });
  }
}

function gone(): ClosedError {
  return new ClosedError("The sender is gone");
}

function nothingComes(limit: string, max: number): TimeoutError {
  return new TimeoutError(`Cannot receive: nothing has come for ${max / 1_000} s`, {
    details: { limit, max },
  });
}

/** A full disk or a refused file is for the sender to know; where our folder is, is not. */
function asPeerError(error: unknown): PeerError {
  if (error instanceof PeerError) return error;
  const why = error instanceof Error ? error.name : "unknown";
  return new LimitError("limit", `The receiver could not store the file (${why})`, {
    cause: error,
  });
}
