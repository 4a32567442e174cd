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
import { systemClock } from "../../clock.ts";
import { unlessAborted } from "../../endpoint/within_time.ts";
import { ClosedError, LimitError, NotFoundError, TimeoutError } from "../../errors.ts";
import { firstName } from "../../transfer/free_name.ts";
import { type BuiltManifest, manifestOf, type SkippedPath } from "../../transfer/manifest.ts";
import { foldPath } from "../../transfer/safe_path.ts";
import type { Address } from "../../transport/transport.ts";
import { idToDecimal } from "../../wire/remote_peer.ts";
import type { BroadcastEvent, BroadcastSummary, RecipientSummary } from "../broadcast_options.ts";
import { MAX_PARTICIPANTS } from "../hypercube.ts";
import { Informer } from "../informer.ts";
import { OutgoingContent } from "../outgoing_content.ts";
import { encodeMetadata, MAX_METADATA_BYTES, MAX_RAW_FILES } from "../raw_stream.ts";
import {
  DEFAULT_FANOUT,
  DEFAULT_LINK_WAIT_MS,
  type PalmTreeInformResponse,
  type PalmTreeSession,
} from "../session.ts";
import { hexOf } from "../stream_links.ts";
import { type ReceiverStatus, TreeHost } from "../tree_host.ts";
import { InformSockets } from "./peerconnect_informs.ts";
import {
  type PeerConnectPalmPorts,
  PeerConnectRelay,
  RAW_CHUNK_BYTES,
  SAID_CHUNK_BYTES,
} from "./peerconnect_relay.ts";

/** Who has not said whose child it is for so long after the tree began, or after it lost us, has missed it, in milliseconds. */
const PLACE_MS = 8_000;

/** How long children may take to hang up once all was written, in milliseconds: nothing else says that they have it. */
const FINISH_MS = 4_000;

/** Time between two questions to who has not said where it is, in milliseconds. */
const ASK_MS = 300;

/** Time between two words about how far a child is, in milliseconds. */
const PROGRESS_MS = 1_000;

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
  fanout?: number;
  /** How long the others may take to answer, in milliseconds. @default {3000} */
  answerMs?: number;
  /** Gives up. */
  signal?: AbortSignal;
}

interface Recipient {
  readonly target: PeerConnectTarget;
  /** Who it is, in decimal, once it has answered. */
  peerId: string | undefined;
  /** Who gives to it, in decimal. */
  parent: string | undefined;
  /** Since when it is unknown where it is. */
  lostMs: number;
  toldMs: number;
  bytes: number;
  summary: RecipientSummary | undefined;
}

interface Tree {
  readonly node: PeerConnectRelay;
  readonly host: TreeHost;
}

/**
 * A broadcast under way: iterate over it to learn what happens, or wait for `done`. It begins at once; progress that nobody
 * reads is dropped.
 */
export class PeerConnectBroadcast implements AsyncIterable<BroadcastEvent>, AsyncDisposable {
  /**
   * What became of it. Who is `done` in it was given everything, by us or by others, and has confirmed nothing.
   *
   * Rejects with {IntegrityError} when a file changes while it is sent, with {LimitError} when there are too many files, and
   * with the signal's reason.
   */
  readonly done: Promise<BroadcastSummary>;
  /** What was found in folders and is neither file nor folder. */
  readonly skipped: readonly SkippedPath[];
  /** Folders, of which only the files are sent. */
  readonly folders: readonly string[];
  readonly #ports: PeerConnectPalmPorts;
  readonly #options: PeerConnectBroadcastOptions;
  readonly #recipients: readonly Recipient[];
  readonly #events = new Channel<BroadcastEvent>(EVENT_CAPACITY);
  readonly #closing = new AbortController();
  readonly #finished = Promise.withResolvers<void>();
  #isFull = false;
  #content: OutgoingContent | undefined;
  #tree: Tree | undefined;
  #beganMs: number | undefined;
  #writtenMs = 0;
  #askedMs = 0;

  /** Sends to them. @throws {RangeError} when nobody is named, or too many are, or an option is out of bounds. */
  constructor(
    ports: PeerConnectPalmPorts,
    built: BuiltManifest,
    targets: readonly PeerConnectTarget[],
    options: PeerConnectBroadcastOptions = {},
  ) {
    const { fanout = DEFAULT_FANOUT } = options;
    if (targets.length === 0 || targets.length >= MAX_PARTICIPANTS) {
      throw new RangeError(`Targets must be 1..${MAX_PARTICIPANTS - 1}: there are ${targets.length}`);
    }
    if (!Number.isInteger(fanout) || fanout < 1) {
      throw new RangeError(`Fan-out must be a whole number from 1: current value is ${fanout}`);
    }
    const { entries } = built.manifest;
    this.skipped = built.skipped;
    this.folders = entries.flatMap(({ path, kind }) => kind === "directory" ? [path] : []);
    this.#ports = ports;
    this.#options = options;
    this.#recipients = targets.map((target) => ({
      target,
      peerId: undefined,
      parent: undefined,
      lostMs: 0,
      toldMs: 0,
      bytes: 0,
      summary: undefined,
    }));
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
    const { files, records } = namedFiles(built);
    await using stack = new AsyncDisposableStack();
    const chunkBytes = RAW_CHUNK_BYTES;
    const content = stack.use(await OutgoingContent.open(files, { signal, chunkBytes }));
    const session = this.#newSession(records.length);
    this.#content = content;
    const node = stack.use(await this.#open(session, content));
    const { chunks } = content;
    node.announce(records, chunks);
    const { self, relay } = node;
    const messageId = crypto.randomUUID();
    const host = new TreeHost({ self, relay, chunks: chunks.count, messageId }, {
      send: (message, to) => node.send(message, to),
      changed: () => {}, // originals do not say how far they are
      settled: () => {},
    });
    this.#tree = { node, host };
    await this.#inform(session, signal);
    this.#begin();
    await unlessAborted(this.#finished.promise, signal);
    return {
      ...content.summary,
      egressBytes: node.children.writtenBytes,
      resentBytes: 0, // nobody says so
      seconds: this.#seconds,
      receivers: this.#recipients.flatMap(({ summary }) => summary ?? []),
    };
  }

  #newSession(fileCount: number): PalmTreeSession {
    const { fanout = DEFAULT_FANOUT } = this.#options;
    return {
      originateId: this.#self,
      sessionId: crypto.randomUUID(),
      key: crypto.randomUUID(),
      fanout,
      linkWaitMs: DEFAULT_LINK_WAIT_MS,
      adjacentPeers: [],
      chunkSize: SAID_CHUNK_BYTES,
      fileCount,
    };
  }

  async #open(session: PalmTreeSession, content: OutgoingContent): Promise<PeerConnectRelay> {
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
      emit: (event) => {
        if (event.type === "child") this.#place(event.peerId, this.#self);
        if (event.type === "lost-child") this.#lost(event.peerId);
      },
      unreadable: (error) => this.#closing.abort(error),
      delivered: (peerId) => this.#delivered(peerId),
      receive: (message, envelope) => {
        return this.#tree?.host.receive(message, envelope, this.#nowMs) ?? false;
      },
      tick: (nowMs) => this.#tick(nowMs),
    });
  }

  /** Informs everybody, and waits until all have answered, or the time is over. */
  async #inform(session: PalmTreeSession, signal: AbortSignal): Promise<void> {
    const { answerMs: linkWaitMs = DEFAULT_LINK_WAIT_MS } = this.#options;
    const { clock = systemClock } = this.#ports;
    const all = Promise.withResolvers<void>();
    const addresses = new Map(this.#recipients.map(({ target }, at) => [String(at), target.address]));
    await using sockets = await InformSockets.open({
      ...this.#ports,
      session,
      addresses,
      answered: (response, asked) => informer.answered(response, asked, clock.now()),
      tick: () => informer.tick(clock.now()),
    });
    const informer = new Informer({ key: session.key, linkWaitMs }, {
      inform: (asked) => sockets.inform(asked),
      isMeant: () => true, // who is there is not known before; the key says that it was informed
      joined: (response, asked) => this.#joined(response, asked),
      done: () => all.resolve(),
    });
    informer.invite([...addresses.keys()], clock.now());
    await unlessAborted(all.promise, signal);
  }

  #joined({ peerId, passive, active }: PalmTreeInformResponse, asked: string): void {
    const recipient = this.#recipients[Number(asked)];
    if (recipient === undefined || recipient.summary !== undefined) return;
    const { name } = recipient.target;
    const same = this.#find(peerId);
    const [who, ...others] = same === undefined ? [] : [same.target.name];
    if (peerId === this.#self) return this.#fail(recipient, new TypeError(`"${name}" is this peer`));
    if (who !== undefined) {
      return this.#fail(recipient, new TypeError(`"${name}" and "${who}" are the same peer`));
    }
    void others;
    recipient.peerId = peerId;
    this.#participants.push({ peerId, passive, active, isKith: false });
    this.#tell({ type: "accepted", name, peerId: hexOf(peerId) });
  }
}
