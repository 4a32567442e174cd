/**
 * One session of originals as one of its receivers sees it: from the inform to the last child that wants something.
 *
 * Nobody says beforehand what comes, nor proves that it is right: what is told is the hash of what came, and of its size no
 * more than that it is the one that was said. Nobody says either when it is over. Who has everything hangs up once its
 * children have it, too, and stays for a moment, for those who lose their parents.
 *
 * @module
 */

import { type Clock, systemClock } from "../../clock.ts";
import type { PeerInfo } from "../../endpoint/handshake.ts";
import { InvalidPacketError, LimitError, TimeoutError } from "../../errors.ts";
import { type Logger, silentLogger } from "../../log.ts";
import type { FileRecord } from "../../transfer/dialects/peerconnect_records.ts";
import { freeBytes } from "../../transfer/disk.ts";
import { firstName } from "../../transfer/free_name.ts";
import { type ManifestEntry, manifestOf } from "../../transfer/manifest.ts";
import { foldPath } from "../../transfer/safe_path.ts";
import type { Address, Connection } from "../../transport/transport.ts";
import { encodeDatagram } from "../../wire/datagram.ts";
import type { ChunkList } from "../chunk_list.ts";
import type { StreamLink } from "../control.ts";
import { IncomingFiles } from "../incoming_files.ts";
import type { ReceivingDesk } from "../receiving.ts";
import { RELAY_STATE, type RelayEvent } from "../relay_options.ts";
import { encodeInformResponse, type PalmTreeSession } from "../session.ts";
import { type PeerConnectPalmPorts, PeerConnectRelay } from "./peerconnect_relay.ts";

/** How long the tree may take to begin, in milliseconds: a person somewhere may have to say yes first. */
const START_MS = 30_000;

/** A session that brings nothing for so long is given up, in milliseconds, as any transfer. */
const IDLE_MS = 60_000;

/** How long who has everything is there for others, in milliseconds. */
const LINGER_MS = 3_000;

/** Bits of the permissions that files get, before the umask. */
const FILE_MODE = 0o666;

/** What one session is received with. */
export interface PeerConnectReceivingOptions extends PeerConnectPalmPorts {
  /** What takes files in. */
  readonly desk: ReceivingDesk;
  /** Who sends, by its own word. */
  readonly from: PeerInfo;
  /** Who that is to people. */
  readonly label: string;
  /** Where the inform came from. */
  readonly root: Address;
  /** The session. */
  readonly session: PalmTreeSession;
  /** Who we are, in decimal. */
  readonly self: string;
  /** Where we take links. */
  readonly activePort: number;
  /** Most bytes that may come. @default {Number.MAX_SAFE_INTEGER} */
  readonly maxTotalBytes?: number | undefined;
}

/** See the module. */
export class PeerConnectReceiving {
  /** Resolves once nothing more comes of it, whatever became of it: others may take its place. */
  readonly settled: Promise<void>;
  /** Resolves when everything is let go of. */
  readonly ended: Promise<void>;
  readonly #options: PeerConnectReceivingOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #settled = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  readonly #startedMs: number;
  #node: PeerConnectRelay | undefined;
  #files: IncomingFiles | undefined;
  #records: readonly FileRecord[] = [];
  #begun: Promise<void> | undefined;
  #state: "waiting" | "receiving" | "done" | "over" = "waiting";
  /** When something happened last. */
  #activeMs: number;

  private constructor(options: PeerConnectReceivingOptions) {
    const { clock = systemClock, log = silentLogger } = options;
    this.#options = options;
    this.#clock = clock;
    this.#log = log;
    this.settled = this.#settled.promise;
    this.ended = this.#ended.promise;
    this.#startedMs = this.#activeMs = clock.now();
  }

  /** Begins: the socket is bound when it returns. @throws as `PeerConnectRelay.open` */
  static async open(options: PeerConnectReceivingOptions): Promise<PeerConnectReceiving> {
    const receiving = new PeerConnectReceiving(options);
    receiving.#node = await PeerConnectRelay.open({
      ...options,
      source: { read: (index) => receiving.#current.read(index) },
      keep: (index, data) => receiving.#keep(index, data),
      room: () => receiving.#files?.room(),
      take: (files, chunks) => receiving.#take(files, chunks),
      emit: (event) => receiving.#hear(event),
      unreadable: (error) => receiving.fail(error),
      tick: (nowMs) => receiving.#tick(nowMs),
    });
    return receiving;
  }

  /** The session. */
  get session(): PalmTreeSession {
    return this.#options.session;
  }

  /** Where the inform came from. */
  get root(): Address {
    return this.#options.root;
  }

  /** What the inform is answered with, as a packet. */
  get answer(): Uint8Array<ArrayBuffer> {
    const { peerId, passive, active } = this.#relay.self;
    const sessionKey = this.#options.session.key;
    return encodeDatagram(undefined, encodeInformResponse({ peerId, passive, active, sessionKey }));
  }

  /** Takes a link that somebody opens, until it ends. @throws as `RawParent.link` */
  async link(link: StreamLink, connection: Connection): Promise<void> {
    await this.#relay.link(link, connection);
  }

  /** Gives up. Files that are complete stay, others are removed: nobody could go on with them. */
  fail(error: unknown): void {
    if (this.#state === "over") return;
    const { label } = this.#options;
    if (this.#state !== "done") {
      this.#log.warn("a broadcast failed here", { from: label, why: String(error) });
    }
    void this.#end(this.#state === "receiving" ? error : undefined);
  }

  get #relay(): PeerConnectRelay {
    if (this.#node === undefined) throw new TypeError("It is not open");
    return this.#node;
  }

  get #current(): IncomingFiles {
    if (this.#files === undefined) throw new TypeError("Nothing is known of files yet");
    return this.#files;
  }

  #keep(index: number, data: Uint8Array): void {
    this.#current.write(index, data);
    this.#activeMs = this.#clock.now();
  }

  /** A parent says what comes: the first decides, others have to agree. */
  async #take(records: readonly FileRecord[], chunks: ChunkList): Promise<void> {
    const isFirst = this.#begun === undefined;
    this.#begun ??= this.#begin(records, chunks);
    await this.#begun;
    if (isFirst) this.#relay.announce(records, chunks);
    else if (!isSame(records, this.#records)) {
      throw bad("other files come than from the parent before");
    }
  }

  async #begin(records: readonly FileRecord[], chunks: ChunkList): Promise<void> {
    this.#state = "receiving"; // the tree may be faster than our clock
    try {
      await this.#open(records, chunks);
    } catch (error) {
      this.fail(error);
      throw error;
    }
  }

  async #open(records: readonly FileRecord[], chunks: ChunkList): Promise<void> {
    const { desk, from, maxTotalBytes = Number.MAX_SAFE_INTEGER } = this.#options;
    const { totalBytes } = chunks;
    if (records.some(({ seeked }) => seeked > 0)) throw bad("a file begins in its middle");
    const free = freeBytes(desk.root.dir) ?? Number.MAX_SAFE_INTEGER;
    if (totalBytes > maxTotalBytes) throw tooMuch(totalBytes, "maxTotalBytes", maxTotalBytes);
    if (totalBytes > free) throw tooMuch(totalBytes, "freeBytes", free);
    const manifest = manifestOf(entriesOf(records, this.#clock.wallMs()));
    const files = new IncomingFiles(desk.root, manifest, chunks, {
      owner: from.peerId,
      stored: desk.stored,
      placed: (file) => desk.tell({ type: "received", from, ...file }),
      failed: (error) => this.fail(error),
      keepsParts: false,
    });
    this.#files = files;
    this.#records = records;
    this.#activeMs = this.#clock.now();
    await files.begin();
  }

  #hear(event: RelayEvent): void {
    if (event.type === "complete") void this.#complete();
    else if (event.type === "failed") this.fail(event.error);
    else this.#log.debug(`palm tree: ${event.type}`, { from: this.#options.label });
  }

  async #complete(): Promise<void> {
    try {
      const summary = await this.#current.finish();
      if (this.#state !== "receiving") return;
      this.#state = "done";
      const seconds = (this.#clock.now() - this.#startedMs) / 1_000;
      this.#activeMs = this.#clock.now();
      this.#settled.resolve();
      const { desk, from } = this.#options;
      await desk.tell({ type: "done", from, seconds, ...summary });
    } catch (error) {
      this.fail(error);
    }
  }

  #tick(nowMs: number): void {
    const node = this.#node;
    if (node === undefined || this.#state === "over") return;
    if (this.#state === "waiting" && node.relay.state >= RELAY_STATE.linksKnown) {
      this.#state = "receiving";
      this.#activeMs = nowMs;
    }
    const quietMs = nowMs - this.#activeMs;
    if (this.#state === "waiting") {
      if (quietMs > START_MS) this.fail(new TimeoutError("The sender did not begin"));
    } else if (this.#state === "receiving") {
      if (quietMs > IDLE_MS) this.fail(nothingComes());
    } else this.#linger(node, nowMs, quietMs);
  }

  #linger(node: PeerConnectRelay, nowMs: number, quietMs: number): void {
    if (node.children.isGiving) {
      this.#activeMs = nowMs;
      return;
    }
    const { parent } = node.relay;
    if (parent !== undefined) node.parent.close(parent); // by that it knows
    if (quietMs > LINGER_MS) void this.#end(undefined);
  }

  async #end(error: unknown): Promise<void> {
    this.#state = "over";
    await undefined; // the relay may be at work
    await this.#node?.[Symbol.asyncDispose]();
    await this.#files?.close();
    this.#settled.resolve();
    this.#ended.resolve();
    const { desk, from } = this.#options;
    if (error !== undefined) await desk.tell({ type: "failed", from, error });
  }
}

/** Files under names that no two of them share on any system. */
function entriesOf(records: readonly FileRecord[], wallMs: number): ManifestEntry[] {
  const taken = new Set<string>();
  return records.map(({ name, size }) => {
    const path = firstName(name, (candidate) => !taken.has(foldPath(candidate)));
    taken.add(foldPath(path));
    return { path, kind: "file", size, mode: FILE_MODE, mtimeMs: Math.floor(wallMs) };
  });
}

function isSame(some: readonly FileRecord[], others: readonly FileRecord[]): boolean {
  return some.length === others.length && some.every(({ name, size, seeked }, at) => {
    const other = others[at];
    return name === other?.name && size === other.size && seeked === other.seeked;
  });
}

function bad(why: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot take broadcast: files: ${why}`, {
    details: { field: "files" },
  });
}

function tooMuch(bytes: number, limit: string, max: number): LimitError {
  return new LimitError("limit", `Cannot take broadcast: ${bytes} bytes exceed ${limit} ${max}`, {
    details: { limit, max },
  });
}

function nothingComes(): TimeoutError {
  return new TimeoutError(`Nothing has come for ${IDLE_MS / 1_000} s`, {
    details: { limit: "idleMs", max: IDLE_MS },
  });
}
