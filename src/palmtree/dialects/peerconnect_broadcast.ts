/**
 * Files for many nodes of PeerConnect, who pass them on to each other along a palm tree.
 *
 * ```
 * inform everybody -> answers -> neighbours -> tree checks -> links -> list of files -> contents
 * ```
 *
 * Nothing confirms that anything has come. Who is linked to us has taken everything once all of it was written; who is further
 * down is believed to have it when it has said whose child it is. Folders are not known: files lose theirs.
 *
 * @module
 */

import { basename } from "node:path";
import { Channel } from "../../channel.ts";
import { type Clock, systemClock } from "../../clock.ts";
import { unlessAborted } from "../../endpoint/within_time.ts";
import { ClosedError, LimitError, NotFoundError } from "../../errors.ts";
import type { FileRecord } from "../../transfer/dialects/peerconnect_records.ts";
import { firstName } from "../../transfer/free_name.ts";
import { type BuiltManifest, manifestOf, type SkippedPath } from "../../transfer/manifest.ts";
import { foldPath } from "../../transfer/safe_path.ts";
import { type Address, formatAddress } from "../../transport/transport.ts";
import { idToDecimal } from "../../wire/remote_peer.ts";
import type { BroadcastEvent, BroadcastSummary } from "../broadcast_options.ts";
import type { ControlMessage } from "../control.ts";
import { MAX_PARTICIPANTS } from "../hypercube.ts";
import { Informer } from "../informer.ts";
import { OutgoingContent } from "../outgoing_content.ts";
import type { Participant } from "../participant.ts";
import { encodeMetadata, MAX_RAW_FILES } from "../raw_stream.ts";
import { DEFAULT_FANOUT, DEFAULT_LINK_WAIT_MS, type PalmTreeSession } from "../session.ts";
import { TreeHost } from "../tree_host.ts";
import { InformSockets } from "./peerconnect_informs.ts";
import { Recipients } from "./peerconnect_recipients.ts";
import {
  type PeerConnectPalmPorts,
  PeerConnectRelay,
  RAW_CHUNK_BYTES,
  SAID_CHUNK_BYTES,
} from "./peerconnect_relay.ts";

/** How long children may take to hang up once all was written, in milliseconds: nothing else says that they have it. */
const FINISH_MS = 4_000;

/** Time between two questions to who is further down whose child it is, in milliseconds. */
const ASK_MS = 300;

/** How long those may still say that they have lost their parents once all was written, in milliseconds. */
const CHECK_MS = 1_000;

/** Events that wait to be read before progress is no longer told. */
const EVENT_CAPACITY = 256;

/** Somebody who shall have it. */
export interface PeerConnectTarget {
  /** What it is called. */
  readonly name: string;
  /** Where it takes requests (UDP). */
  readonly address: Address;
}

/** How to send. */
export interface PeerConnectBroadcastOptions {
  /** Most children of anybody. @default {5} */
  readonly fanout?: number | undefined;
  /** How long the others may take to answer, in milliseconds; they give up after 30 s. @default {3000} */
  readonly answerMs?: number | undefined;
  /** Gives up. */
  readonly signal?: AbortSignal | undefined;
}

interface Tree {
  readonly node: PeerConnectRelay;
  readonly host: TreeHost;
}

/**
 * A broadcast under way: iterate over it to learn what happens, or wait for `done`. It begins at once; progress that nobody
 * reads is dropped.
 *
 * @example
 * ```ts
 * import { Peer } from "@kith/kith";
 * import { PeerConnectBroadcast } from "@kith/kith/palmtree";
 * import { buildManifest } from "@kith/kith/transfer";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * await Deno.writeTextFile(`${dir}/song.txt`, "la la la");
 * const network = new MemoryNetwork();
 * await using bob = await Peer.open({ transport: network.host("bob"), dialects: ["peerconnect"] });
 * const inbox = bob.receive({ dir: `${dir}/bob`, accept: () => true });
 *
 * const ports = { transport: network.host("alice"), peerId: "ab".repeat(20), hostname: "alice" };
 * const built = await buildManifest([`${dir}/song.txt`]);
 * const address = { hostname: "bob", port: bob.udpAddress?.port ?? 0 };
 * await using sending = new PeerConnectBroadcast(ports, built, [{ name: "bob", address }]);
 * const { receivers } = await sending.done;
 * assertEquals(receivers.map(({ state }) => state), ["done"]);
 * for await (const { type } of inbox) if (type === "done") break;
 * await Deno.remove(dir, { recursive: true });
 * ```
 */
export class PeerConnectBroadcast implements AsyncIterable<BroadcastEvent>, AsyncDisposable {
  /**
   * What became of it. Who is `done` in it was given everything, by us or by others, and has confirmed nothing.
   *
   * Rejects with {IntegrityError} when a file changes while it is sent, with {LimitError} when there are too many, and with
   * the signal's reason.
   */
  readonly done: Promise<BroadcastSummary>;
  /** What was found in folders and is neither file nor folder. */
  readonly skipped: readonly SkippedPath[];
  /** Folders, which are left out: their files are sent without them. */
  readonly folders: readonly string[];
  readonly #ports: PeerConnectPalmPorts;
  readonly #options: PeerConnectBroadcastOptions;
  readonly #clock: Clock;
  readonly #self: string;
  readonly #targets: readonly PeerConnectTarget[];
  readonly #recipients: Recipients;
  readonly #participants: Participant[] = [];
  readonly #events = new Channel<BroadcastEvent>(EVENT_CAPACITY);
  readonly #closing = new AbortController();
  readonly #finished = Promise.withResolvers<void>();
  #isFull = false;
  #tree: Tree | undefined;
  #startedMs: number | undefined;
  #writtenMs: number | undefined;
  #askedMs = 0;

  /** Sends to them. @throws {RangeError} when nobody is named, or too many are, or an option is out of bounds. */
  constructor(
    ports: PeerConnectPalmPorts,
    built: BuiltManifest,
    targets: readonly PeerConnectTarget[],
    options: PeerConnectBroadcastOptions = {},
  ) {
    const { clock = systemClock, peerId } = ports;
    checkOptions(targets, options);
    this.skipped = built.skipped;
    this.folders = built.manifest.entries.flatMap(({ path, kind }) => {
      return kind === "directory" ? [path] : [];
    });
    this.#ports = ports;
    this.#options = options;
    this.#clock = clock;
    this.#self = idToDecimal(Uint8Array.fromHex(peerId));
    this.#targets = targets;
    const names = targets.map(({ name }) => name);
    this.#recipients = new Recipients(names, this.#self, (event) => this.#tell(event));
    this.done = this.#run(built).finally(() => this.#events.close());
    this.done.catch(() => {}); // who only iterates need not wait for it
  }

  /** What happens, until it is over; leaving the loop stops the events, not the broadcast. */
  [Symbol.asyncIterator](): AsyncIterator<BroadcastEvent> {
    return this.#events[Symbol.asyncIterator]();
  }

  /** Gives up, unless it is over. Harmless when repeated. */
  async close(): Promise<void> {
    this.#closing.abort(new ClosedError("The broadcast was given up"));
    await Promise.allSettled([this.done]);
  }

  /** The same as {@linkcode PeerConnectBroadcast.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #run(built: BuiltManifest): Promise<BroadcastSummary> {
    const { signal: outer } = this.#options;
    const signal = AbortSignal.any([this.#closing.signal, ...(outer === undefined ? [] : [outer])]);
    const { files, records } = filesOf(built);
    await using stack = new AsyncDisposableStack();
    const chunkBytes = RAW_CHUNK_BYTES;
    const content = stack.use(await OutgoingContent.open(files, { signal, chunkBytes }));
    const session = this.#newSession(records.length);
    const node = stack.use(await this.#open(session, content));
    const { chunks, summary } = content;
    node.announce(records, chunks);
    await this.#inform(session, signal);
    this.#begin(node, chunks.count, chunks.totalBytes);
    await unlessAborted(this.#finished.promise, signal);
    const nowMs = this.#clock.now();
    return {
      ...summary,
      egressBytes: node.children.writtenBytes,
      resentBytes: 0, // nobody says so
      seconds: (nowMs - (this.#startedMs ?? nowMs)) / 1_000,
      receivers: this.#recipients.summaries,
    };
  }

  #newSession(fileCount: number): PalmTreeSession {
    return {
      originateId: this.#self,
      sessionId: crypto.randomUUID(),
      key: crypto.randomUUID(),
      fanout: this.#options.fanout ?? DEFAULT_FANOUT,
      linkWaitMs: DEFAULT_LINK_WAIT_MS,
      adjacentPeers: [], // who they are is not known before they answer
      chunkSize: SAID_CHUNK_BYTES,
      fileCount,
    };
  }

  async #open(session: PalmTreeSession, content: OutgoingContent): Promise<PeerConnectRelay> {
    const recipients = this.#recipients;
    return await PeerConnectRelay.open({
      ...this.#ports,
      session,
      self: this.#self,
      activePort: 0, // nobody links to the sender
      content: content.chunks,
      source: content,
      keep: () => {},
      take: () => {},
      room: () => undefined,
      emit: ({ type, ...event }) => {
        if (type === "child" && "peerId" in event) recipients.placed(event.peerId, this.#self);
        if (type === "lost-child" && "peerId" in event) {
          recipients.lost(event.peerId, this.#clock.now());
        }
      },
      unreadable: (error) => this.#closing.abort(error),
      delivered: (peerId) => recipients.delivered(peerId, this.#clock.now()),
      receive: (message, { address }) => this.#hear(message, address),
      tick: (nowMs) => this.#tick(nowMs),
    });
  }

  /** Informs everybody, and waits until all have answered, or the time is over. */
  async #inform(session: PalmTreeSession, signal: AbortSignal): Promise<void> {
    const { answerMs: linkWaitMs = DEFAULT_LINK_WAIT_MS } = this.#options;
    const clock = this.#clock;
    const over = Promise.withResolvers<readonly string[]>();
    const addresses = new Map(this.#targets.map(({ address }, at) => [String(at), address]));
    const made: { informer?: Informer } = {};
    await using sockets = await InformSockets.open({
      ...this.#ports,
      session,
      addresses,
      answered: (response, asked) => void made.informer?.answered(response, asked, clock.now()),
      tick: () => made.informer?.tick(clock.now()),
    });
    made.informer = new Informer({ key: session.key, linkWaitMs }, {
      inform: (asked) => sockets.inform(asked),
      isMeant: () => true, // who is there is not known before; by the key it knows of the inform
      joined: ({ peerId, passive, active }, asked) => {
        if (!this.#recipients.joined(Number(asked), peerId)) return;
        this.#participants.push({ peerId, passive, active, isKith: false });
      },
      done: (silent) => over.resolve(silent),
    });
    made.informer.invite([...addresses.keys()], clock.now());
    for (const asked of await unlessAborted(over.promise, signal)) {
      const target = this.#targets[Number(asked)];
      if (target !== undefined) this.#recipients.fail(Number(asked), silent(target, linkWaitMs));
    }
  }

  #begin(node: PeerConnectRelay, chunks: number, totalBytes: number): void {
    const { self, relay } = node;
    const messageId = crypto.randomUUID();
    const host = new TreeHost({ self, relay, chunks, messageId }, {
      send: (message, to) => node.send(message, to),
      changed: () => {}, // originals do not say how far they are
      settled: () => {},
    });
    const nowMs = this.#clock.now();
    this.#tree = { node, host };
    this.#startedMs = nowMs;
    this.#recipients.begin(totalBytes, nowMs);
    if (this.#participants.length === 0) return;
    host.begin(this.#participants, nowMs);
    relay.know(this.#participants); // who loses its parent may ask us
  }

  #tick(nowMs: number): void {
    if (this.#tree === undefined) return;
    const { node, host } = this.#tree;
    const recipients = this.#recipients;
    host.tick(nowMs);
    for (const peerId of recipients.children) {
      recipients.given(peerId, node.children.bytesTo(peerId), nowMs);
    }
    recipients.tick(nowMs);
    this.#ask(node, nowMs);
    if (!recipients.isComplete || node.children.isGiving) {
      this.#writtenMs = undefined;
      return;
    }
    this.#writtenMs ??= nowMs;
    const writtenMs = nowMs - this.#writtenMs;
    if (node.children.size > 0 && writtenMs < FINISH_MS) return;
    if (recipients.others.length > 0 && writtenMs < CHECK_MS) return;
    recipients.finish(nowMs);
    this.#finished.resolve();
  }

  /** Takes the word of who says whose child it is. @returns whether it was that */
  #hear(message: ControlMessage, { hostname, port }: Address): boolean {
    if (message.type !== "gather" || this.#tree === undefined) return false;
    const { relay } = this.#tree.node;
    const from = this.#participants.find(({ passive }) => {
      return passive.port === port && passive.hostname === hostname;
    });
    const { parent } = message;
    // Of our own children we know better.
    if (from === undefined || relay.children.includes(from.peerId)) return true;
    if (parent === null) this.#recipients.lost(from.peerId, this.#clock.now());
    else if (parent !== this.#self) this.#recipients.placed(from.peerId, parent);
    return true;
  }

  /** Asks whose children those are who are not ours; questions that go down the tree reach them late. */
  #ask(node: PeerConnectRelay, nowMs: number): void {
    if (nowMs - this.#askedMs < ASK_MS) return;
    this.#askedMs = nowMs;
    const others = new Set(this.#recipients.others);
    const question = { type: "gather", root: this.#self, level: 0, parent: null } as const;
    for (const participant of this.#participants) {
      if (!others.has(participant.peerId)) continue;
      node.send({ ...question, replyAddr: node.self.passive }, participant);
    }
  }

  #tell(event: BroadcastEvent): void {
    if (event.type === "progress" && this.#isFull) return;
    const room = this.#events.push(event);
    if (room === undefined) return;
    this.#isFull = true;
    void room.then(() => this.#isFull = false);
  }
}

function checkOptions(
  { length }: readonly PeerConnectTarget[],
  { fanout = DEFAULT_FANOUT }: PeerConnectBroadcastOptions,
): void {
  if (length === 0 || length >= MAX_PARTICIPANTS) {
    throw new RangeError(`Targets must be 1..${MAX_PARTICIPANTS - 1}: there are ${length}`);
  }
  if (!Number.isInteger(fanout) || fanout < 1) {
    throw new RangeError(`Fan-out must be a whole number from 1: current value is ${fanout}`);
  }
}

/** The files of a manifest, without their folders, under names that no two of them share on any system. */
function filesOf(built: BuiltManifest): { files: BuiltManifest; records: FileRecord[] } {
  const { entries } = built.manifest;
  const indexes = [...entries.keys()].filter((index) => entries[index]?.kind === "file");
  if (indexes.length > MAX_RAW_FILES) {
    throw tooMany("files", indexes.length, "maxRawFiles", MAX_RAW_FILES);
  }
  const taken = new Set<string>();
  const files = indexes.flatMap((index) => entries[index] ?? []).map((entry) => {
    const path = firstName(basename(entry.path), (name) => !taken.has(foldPath(name)));
    taken.add(foldPath(path));
    return { ...entry, path };
  });
  const records = files.map(({ path: name, size }) => ({ name, size, seeked: 0 }));
  const { length } = encodeMetadata(records);
  if (length > SAID_CHUNK_BYTES) {
    throw tooMany("bytes of names", length, "chunkSize", SAID_CHUNK_BYTES);
  }
  const source = (index: number) => built.source(indexes[index] ?? -1);
  return { files: { manifest: manifestOf(files), skipped: built.skipped, source }, records };
}

function tooMany(what: string, got: number, limit: string, max: number): LimitError {
  return new LimitError("limit", `Cannot broadcast ${got} ${what}: ${limit} is ${max}`, {
    details: { limit, max, got },
  });
}

function silent({ name, address }: PeerConnectTarget, waitMs: number): NotFoundError {
  return new NotFoundError(
    "no-peer",
    `"${name}" did not answer within ${waitMs / 1_000} s: it is not there, or does not want it`,
    { details: { tried: [formatAddress(address)] } },
  );
}
