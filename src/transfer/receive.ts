/**
 * The receiving side of file transfer.
 *
 * | message           | body                                           | answer                                             |
 * |-------------------|------------------------------------------------|----------------------------------------------------|
 * | `transfer.offer`  | `{ manifest, token, update, openEnded, dryRun }` | `{ id, wanted, held, unchanged }`, once accepted   |
 * | `transfer.run`    | `{ id }`                                       | in parts: `{ taken }`, `{ paused }`, then `{ done }` |
 * | `transfer.lane`   | `{ id }`, on another link                      | in parts: `{ taken }`                              |
 * | `transfer.held`   | `{ id }`                                       | in parts: what is there of each file of `held`     |
 * | `transfer.data`   | `{ id, seq, index, offset, data, digest }`     | none: bytes of the file of that index              |
 * | `transfer.copy`   | `{ id, seq, index, offset, from, length, digest }` | none: bytes of its older version               |
 * | `transfer.files`  | `{ id, seq, files: [[index, data, digest]] }`  | none: whole small files                            |
 * | `transfer.whole`  | `{ id, seq, index, digest }`                   | none: what is there of the file is all of it       |
 * | `transfer.pause`  | `{ id, paused }`                               | none                                               |
 *
 * `wanted` and `held` are runs of indexes in the manifest. Digests are SHA-256 of the file from its beginning on, so that
 * every piece is verified before it is written, and the last one is the file's. Steps are numbered by `seq` and taken in
 * order, over however many links they come. A sender has no more on its way on a link than a chunk that was not `taken`.
 *
 * `transfer.run` lasts from the first byte to the last, so that a failure on either side reaches the other at once: as its
 * error, or as its cancellation.
 *
 * @module
 */

import { Channel } from "../channel.ts";
import { type Clock, systemClock } from "../clock.ts";
import {
  type Handler,
  type HandlerOptions,
  linkOf,
  type RequestContext,
} from "../endpoint/dispatcher.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { PeerInfo } from "../endpoint/handshake.ts";
import type { Link } from "../endpoint/link.ts";
import type { StoredBytes } from "../endpoint/resources.ts";
import { AuthError, LimitError } from "../errors.ts";
import { type Logger, silentLogger } from "../log.ts";
import type { MessageBody } from "../wire/message.ts";
import { Incoming, type Writer } from "./incoming.ts";
import type { Manifest, TransferSummary } from "./manifest.ts";
import { parseRuns } from "./index_runs.ts";
import { answerValue, type Decision, type Offer, type OfferTerms, parseOffer } from "./offer.ts";
import { Placement, type ReceivedFile, type Survey } from "./placement.ts";
import { ReceiveRoot } from "./receive_root.ts";
import { freeBytes } from "./disk.ts";
import { asPeerError, gone, Reception, stopped } from "./reception.ts";
import { badField, parseCopy, parseFiles, parsePiece, parseWhole, type Step } from "./steps.ts";

/** Transfers that come in at the same time; each has a file open. More are refused with `limit`. */
export const MAX_TRANSFERS = 16;

/** The limit that a full disk is. */
const FREE_BYTES = "freeBytes";

/** What a sender hears that would replace files; what lets it is up to the receiver. */
const NO_UPDATES = "The receiver lets nobody update its files (recv --update does)";

/** Events that wait to be read before the senders are slowed down; of those that nobody reads the oldest are dropped. */
const EVENT_CAPACITY = 256;

/** Transfers that are remembered when they are over: their senders may not know, and try again. */
const MAX_REMEMBERED = 256;

/** What there is of an incomplete file is kept for a week. */
const KEPT_MS = 7 * 24 * 3_600_000;

/** What happens while receiving. */
export type ReceiveEvent =
  | ({ readonly type: "received"; readonly from: PeerInfo } & ReceivedFile)
  | ({ readonly type: "done"; readonly from: PeerInfo; readonly seconds: number } & TransferSummary)
  | { readonly type: "failed"; readonly from: PeerInfo; readonly error: unknown }
  /** An offer that was not taken because the disk is too full for it. */
  | { readonly type: "refused"; readonly from: PeerInfo; readonly error: LimitError };

/** How to receive. */
export interface ReceiverOptions {
  /** The folder; made where it is missing. */
  dir: string;
  /** Decides about an offer; the signal fires when the sender has gone. @default refuses everything */
  accept?: (offer: Offer, signal?: AbortSignal) => Decision | Promise<Decision>;
  /** Lets senders replace files that are there by newer versions, where an offer asks for it. @default {false} */
  update?: boolean;
  /** Takes the contents of single files instead of the folder. @default the folder does */
  writer?: Writer;
  /** Most bytes of one transfer. @default no limit but the free space */
  maxTotalBytes?: number;
  /** What all that is stored counts for. @default that of the endpoint, by its `maxStoredBytes` */
  stored?: StoredBytes;
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
  /** Where to say what happens. @default {silentLogger} */
  log?: Logger;
}

/** A transfer under way. */
export interface IncomingTransfer {
  /** Who sends. */
  readonly from: PeerInfo;
  /** Bytes that are there, verified. */
  readonly bytes: number;
  /** Bytes in all. */
  readonly totalBytes: number;
  /** Whether either side has stopped it for a while. */
  readonly paused: boolean;
  /** Has the sender stop for a while. */
  pause(): void;
  /** Has it go on. */
  resume(): void;
  /** Gives it up: complete files stay, and what there is of others can be gone on with. */
  cancel(): void;
}

/** An offer that was accepted, and counts as a transfer until it is disposed of. */
export interface Admission extends Disposable {
  /** The entries of the manifest that are wanted; `undefined` for all. */
  readonly wanted: ReadonlySet<number> | undefined;
}

/**
 * Receives files into a folder. Iterate over it to learn what comes: a slow reader slows the senders down. Where nobody
 * reads, files come all the same, and the last 256 events wait.
 *
 * @example
 * ```ts
 * import { Peer } from "@kith/kith";
 * import type { Offer } from "@kith/kith/transfer";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * await Deno.writeTextFile(`${dir}/cat.txt`, "meow");
 * await using bob = await Peer.open({ hostname: "127.0.0.1", port: 0, announce: false });
 * const accept = ({ manifest }: Offer) => manifest.totalBytes < 1_000;
 * const inbox = bob.receive({ dir: `${dir}/inbox`, accept });
 *
 * await using alice = await Peer.open({ hostname: "127.0.0.1", clientOnly: true });
 * const to = `127.0.0.1:${bob.address?.port}`;
 * const sent = Array.fromAsync(alice.transfer([`${dir}/cat.txt`], { to }));
 * const paths: string[] = [];
 * for await (const event of inbox) {
 *   if (event.type === "received") paths.push(event.path);
 *   if (event.type === "done") break;
 * }
 * assertEquals(paths, ["cat.txt"]);
 * await sent;
 * await Deno.remove(dir, { recursive: true });
 * ```
 */
export class Receiver implements AsyncIterable<ReceiveEvent>, AsyncDisposable {
  /** The folder. */
  readonly root: ReceiveRoot;
  /** What all that is stored counts for. */
  readonly stored: StoredBytes;
  readonly #options: ReceiverOptions;
  readonly #maxTotalBytes: number;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #events = new Channel<ReceiveEvent>(EVENT_CAPACITY, { unread: "drop-oldest" });
  readonly #handlers = new DisposableStack();
  readonly #active = new Map<number, Reception>();
  // Over, but the sender may still ask how it went.
  readonly #over = new Map<number, Reception>();
  readonly #told = new WeakSet<Reception>();
  readonly #others = new Set<Admission>();
  // By their tokens, the names that files got.
  readonly #names = new Map<string, ReadonlyMap<string, string>>();
  // Who sent files that are on their way to their names, although the transfer is over.
  readonly #settling = new Map<Promise<void>, string>();
  #deciding = 0;
  #lastId = 0;

  private constructor(stored: StoredBytes, options: ReceiverOptions) {
    const { clock = systemClock, log = silentLogger } = options;
    this.root = ReceiveRoot.open(options.dir);
    this.root.forgetParts(KEPT_MS);
    this.stored = stored;
    this.#options = options;
    this.#maxTotalBytes = options.maxTotalBytes ?? Number.MAX_SAFE_INTEGER;
    this.#clock = clock;
    this.#log = log;
  }

  /** Starts to take offers that come in on an endpoint. @throws {TypeError} when the endpoint has a receiver. */
  static open(endpoint: Endpoint, options: ReceiverOptions): Receiver {
    const { stored = endpoint.resources.stored } = options;
    const receiver = new Receiver(stored, options);
    receiver.#handle(endpoint);
    return receiver;
  }

  /** Transfers under way. */
  get progress(): IncomingTransfer[] {
    return [...this.#active.values()].filter(({ outcome }) => outcome === undefined).map(
      asTransfer,
    );
  }

  /** What happens, until the receiver is closed; leaving the loop stops the events, not the receiver. */
  [Symbol.asyncIterator](): AsyncIterator<ReceiveEvent> {
    return this.#events[Symbol.asyncIterator]();
  }

  /**
   * Asks whether an offer is wanted, and whether there is room for it. For offers that come another way than over links.
   *
   * @throws {AuthError} `not-allowed` when it is refused. @throws {LimitError} when there is no room.
   */
  async admit(offer: Offer, signal?: AbortSignal): Promise<Admission> {
    const admission = await this.#decide(offer, signal);
    this.#others.add(admission);
    return admission;
  }

  /** Tells whoever iterates. @returns once there is room for more. */
  async tell(event: ReceiveEvent): Promise<void> {
    await this.#events.push(event);
  }

  /** Takes no more offers and gives up what is under way; what there is of incomplete files can be gone on with. */
  close(): void {
    this.#handlers.dispose();
    for (const reception of [...this.#active.values()]) {
      reception.fail(stopped());
    }
    for (const reception of this.#over.values()) {
      reception.forget();
      this.#tellEnd(reception);
    }
    this.root.tidy();
    this.#events.close();
  }

  /** The same as {@linkcode Receiver.close}; waits until files that are complete have their names. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await Promise.all(this.#settling.keys());
    this.root.tidy();
  }

  #handle(endpoint: Endpoint): void {
    // Whoever may offer may do the rest: it belongs to an offer that was accepted.
    const open = { access: "public" } as const;
    const on = (name: string, handler: Handler, options: HandlerOptions) => {
      this.#handlers.use(endpoint.handle(`transfer.${name}`, handler, options));
    };
    on("offer", (body, call) => this.#offerOrTell(body, call), { scope: "send" });
    on("run", ({ id }, call) => this.#find(id, linkOf(call)).news(linkOf(call), call.signal), open);
    on("lane", ({ id }, call) => this.#join(id, call), open);
    on("held", ({ id, indexes }, call) => this.#held(id, indexes, linkOf(call)), open);
    on("pause", ({ id, paused }, call) => {
      this.#find(id, linkOf(call)).pausedBySender(paused === true);
    }, open);
    const steps: Record<string, (body: MessageBody) => Step> = {
      data: parsePiece,
      copy: parseCopy,
      files: parseFiles,
      whole: parseWhole,
    };
    for (const [name, parse] of Object.entries(steps)) {
      on(name, (body, call) => this.#step(body, linkOf(call), parse), { ...open, inline: true });
    }
  }

  /** Who has room to make should know of it; of other refusals it has decided itself. */
  async #offerOrTell(body: MessageBody, call: RequestContext): Promise<unknown> {
    try {
      return await this.#offer(body, call);
    } catch (error) {
      if (error instanceof LimitError && error.details.limit === FREE_BYTES) {
        await this.#events.push({ type: "refused", from: linkOf(call).peer, error });
      }
      throw error;
    }
  }

  async #offer(body: MessageBody, call: RequestContext): Promise<unknown> {
    const link = linkOf(call);
    const terms = parseOffer(body, { maxTotalBytes: this.#maxTotalBytes });
    const { manifest, update, openEnded, token } = terms;
    this.#check(terms);
    await this.#giveUpBefore(link, terms);
    const offer: Offer = { from: link.peer, label: link.label, ...terms };
    using admission = await this.#decide(offer, call.signal);
    const { wanted } = admission;
    const placement = new Placement(this.root, manifest, {
      ...{ owner: link.peer.peerId, stored: this.stored, wanted, update },
      names: this.#names.get(nameOf(link.peer, token.toHex())),
    });
    const isStored = this.#options.writer === undefined;
    const { length } = manifest.entries;
    const survey = await orGiveUp(placement, async () => {
      if (!isStored || openEnded) return all(manifest, wanted);
      const found = await placement.survey(() => call.signal.aborted);
      if (terms.dryRun) return found;
      this.#checkFree(found.missing);
      await placement.begin(found);
      call.signal.throwIfAborted();
      return found;
    });
    if (isStored && openEnded) await orGiveUp(placement, () => placement.begin(survey));
    const { indexes, held, unchanged } = survey;
    const answer = { wanted: indexes, held, unchanged, kept: isStored };
    if (terms.dryRun) {
      placement[Symbol.dispose]();
      return answerValue({ id: undefined, ...answer }, length);
    }
    const incoming = new Incoming({
      ...{ placement, openEnded, maxBytes: this.#room(), writer: this.#options.writer },
      wanted: indexes,
      received: (file) => this.#events.push({ type: "received", from: link.peer, ...file }),
    });
    const id = this.#begin(link, incoming, placement, { token, held });
    return answerValue({ id, ...answer }, length);
  }

  /** An attempt that the sender knows to have failed, and we may not yet, makes way for the next. */
  async #giveUpBefore({ peer: { peerId } }: Link, { token }: OfferTerms): Promise<void> {
    for (const reception of [...this.#active.values()]) {
      if (reception.from.peerId !== peerId || reception.token !== token.toHex()) continue;
      reception.fail(gone());
    }
    // What is about to get its name is no part to go on with.
    const settling = [...this.#settling].filter(([, owner]) => owner === peerId);
    await Promise.all(settling.map(([settled]) => settled));
  }

  /** What may not be asked for at all. */
  #check({ manifest, update }: OfferTerms): void {
    if (update && this.#options.update !== true) {
      throw new AuthError("not-allowed", NO_UPDATES);
    }
    if (this.#options.writer !== undefined && (manifest.entries.length !== 1 || update)) {
      throw new AuthError("not-allowed", "The receiver takes one file at a time");
    }
  }

  async #decide(offer: Offer, signal?: AbortSignal): Promise<Admission> {
    this.#checkRoom(offer);
    this.#deciding++;
    let decision: Decision;
    try {
      const deciding = (this.#options.accept ?? refuse)(offer, signal);
      decision = await (signal === undefined ? deciding : unlessAborted(deciding, signal));
    } finally {
      this.#deciding--;
    }
    if (decision === false) throw new AuthError("not-allowed", "The offer was refused");
    // Much may have happened while a person was thinking.
    signal?.throwIfAborted();
    if (this.#handlers.disposed) throw stopped();
    this.#checkRoom(offer);
    const admission: Admission = {
      wanted: decision === true ? undefined : new Set(decision),
      [Symbol.dispose]: () => void this.#others.delete(admission),
    };
    return admission;
  }

  #checkRoom(offer: Offer): void {
    if (this.#active.size + this.#others.size + this.#deciding >= MAX_TRANSFERS) {
      throw new LimitError("limit", `There are ${MAX_TRANSFERS} transfers already (maxTransfers)`, {
        details: { limit: "maxTransfers", max: MAX_TRANSFERS },
      });
    }
    if (this.#options.writer !== undefined) return;
    // What is there already takes no more room; how much that is nobody is told who is not accepted.
    if (offer.update || this.root.hasParts()) return;
    this.stored.check(offer.manifest.totalBytes);
    this.#checkFree(offer.manifest.totalBytes);
  }

  #checkFree(bytes: number): void {
    const free = this.#free();
    if (bytes <= free) return;
    const text = `Not enough free space: ${bytes} bytes are offered, ${free} are free`;
    throw new LimitError("limit", text, { details: { limit: FREE_BYTES, max: free } });
  }

  /** Bytes that are free and not promised to anybody; as many as there can be where that cannot be found out. */
  #free(): number {
    const free = freeBytes(this.root.dir);
    if (free === undefined) return Number.MAX_SAFE_INTEGER;
    const promised = this.progress.map(({ bytes, totalBytes }) => Math.max(0, totalBytes - bytes));
    return Math.max(0, promised.reduce((left, bytes) => left - bytes, free));
  }

  /** Most bytes of a file whose size nobody knows. */
  #room(): number {
    if (this.#options.writer !== undefined) return this.#maxTotalBytes;
    return Math.min(this.#maxTotalBytes, this.#free(), this.stored.left);
  }

  #begin(
    link: Link,
    incoming: Incoming,
    placement: Placement,
    { token, held }: { token: Uint8Array; held: ReadonlySet<number> },
  ): number {
    const id = ++this.#lastId;
    const clock = this.#clock;
    const onOver = (over: Reception) => this.#end(over);
    const reception = new Reception({
      ...{ id, link, incoming, placement, held, clock, onOver },
      token: token.toHex(),
    });
    this.#active.set(id, reception);
    return id;
  }

  #join(id: unknown, call: RequestContext): AsyncIterable<unknown> {
    const link = linkOf(call);
    const reception = typeof id === "number" ? this.#active.get(id) : undefined;
    if (reception === undefined) throw badField("id");
    reception.join(link);
    return reception.news(link, call.signal);
  }

  #held(id: unknown, indexes: unknown, link: Link): AsyncIterable<unknown> {
    const reception = this.#find(id, link);
    const { entries } = reception.incoming.manifest;
    return reception.held(parseRuns(indexes, entries.length, "indexes"));
  }

  #step(
    body: MessageBody,
    link: Link,
    parse: (body: MessageBody) => Step,
  ): Promise<void> | undefined {
    const { id } = body;
    const reception = typeof id === "number" ? this.#active.get(id) : undefined;
    return reception?.uses(link) ? reception.deliver(link, () => parse(body)) : undefined;
  }

  /** A transfer is over: it takes no place any more. */
  #end(reception: Reception): void {
    const { id, from, outcome } = reception;
    if (outcome === undefined || !this.#active.delete(id)) return;
    this.#remember(reception);
    this.#over.set(id, reception);
    const settled = reception.incoming.settled().catch(() => {}) // said by the outcome
      .finally(() => this.#settling.delete(settled));
    this.#settling.set(settled, from.peerId);
    // Who stops at `done` must not close the link before the sender has its answer.
    if ("error" in outcome) this.#tellEnd(reception);
    void reception.answered.then(() => {
      this.#tellEnd(reception);
      this.#over.delete(id);
    });
  }

  /** Tells how a transfer ended, once. */
  #tellEnd(reception: Reception): void {
    const { from, outcome, startedMs } = reception;
    if (outcome === undefined || this.#told.has(reception)) return;
    this.#told.add(reception);
    if ("error" in outcome) {
      const { error } = outcome;
      this.#log.warn("a transfer failed", { from: from.peerId, why: String(error) });
      void this.#events.push({ type: "failed", from, error });
    } else {
      const seconds = (this.#clock.now() - startedMs) / 1000;
      void this.#events.push({ type: "done", from, seconds, ...outcome.summary });
    }
  }

  #remember({ from, token, names }: Reception): void {
    if (names === undefined) return;
    this.#names.set(nameOf(from, token), names);
    const [oldest] = this.#names.keys();
    if (this.#names.size > MAX_REMEMBERED && oldest !== undefined) this.#names.delete(oldest);
  }

  #find(id: unknown, link: Link): Reception {
    const reception = typeof id === "number"
      ? this.#active.get(id) ?? this.#over.get(id)
      : undefined;
    if (reception?.uses(link)) return reception;
    throw badField("id");
  }
}

function nameOf({ peerId }: PeerInfo, token: string): string {
  return `${peerId} ${token}`;
}

async function orGiveUp<T>(placement: Placement, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    placement[Symbol.dispose]();
    throw asPeerError(error);
  }
}

/** What is to be sent where nothing can be there. */
function all({ entries }: Manifest, wanted: ReadonlySet<number> | undefined): Survey {
  const indexes = entries.map((_, index) => index).filter((index) => wanted?.has(index) ?? true);
  return { indexes, held: new Set(), unchanged: 0, missing: 0 };
}

function asTransfer(reception: Reception): IncomingTransfer {
  const { from, incoming } = reception;
  return {
    from,
    bytes: incoming.bytes,
    totalBytes: incoming.totalBytes,
    paused: reception.paused,
    pause: () => reception.pause(true),
    resume: () => reception.pause(false),
    cancel: () => reception.fail(new AuthError("not-allowed", "The receiver has given it up")),
  };
}

/** Waits for a decision, as long as somebody waits for it. @throws the signal's reason */
async function unlessAborted(
  deciding: Decision | Promise<Decision>,
  signal: AbortSignal,
): Promise<Decision> {
  const gone = Promise.withResolvers<never>();
  const stop = () => gone.reject(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await Promise.race([deciding, gone.promise]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

function refuse(): boolean {
  return false;
}
