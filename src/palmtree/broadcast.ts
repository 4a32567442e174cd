/**
 * The sending side of broadcasts: the same files to many, who pass them on to each other along a palm tree. The messages are
 * described in `tree_receiver.ts`.
 *
 * @module
 */

import { Channel } from "../channel.ts";
import type { Timer } from "../clock.ts";
import { unlessAborted } from "../endpoint/within_time.ts";
import { ClosedError, PeerError, TimeoutError } from "../errors.ts";
import { layerLog } from "../log.ts";
import type { BuiltManifest, SkippedPath } from "../transfer/manifest.ts";
import { encodeManifest } from "../transfer/manifest_codec.ts";
import { idToDecimal } from "../wire/remote_peer.ts";
import type {
  BroadcastEvent,
  BroadcastOptions,
  BroadcastProgress,
  BroadcastSummary,
  BroadcastTarget,
} from "./broadcast_options.ts";
import { BroadcastTree } from "./broadcast_tree.ts";
import { OutgoingContent } from "./outgoing_content.ts";
import { Recipient } from "./recipient.ts";
import type { PalmPorts } from "./relay_driver.ts";
import { DEFAULT_FANOUT } from "./session.ts";
import { decimalOf, hexOf } from "./stream_links.ts";
import type { ReceiverStatus } from "./tree_host.ts";

/** How long a person may think about an offer. */
const ACCEPT_TIMEOUT_MS = 120_000;

/** How long the others are waited for once the first has accepted. */
const PATIENCE_MS = 3_000;
const MAX_PATIENCE_MS = 120_000;

/**
 * How long who has everything may take to confirm it, in milliseconds: files that did not come in order are hashed once more.
 */
const CONFIRM_MS = 30_000;
const CONFIRM_BYTES_PER_MS = 32 * 1024;

/** Events that wait to be read before progress is no longer told. */
const EVENT_CAPACITY = 256;

/** The parts of a broadcast that was prepared. */
interface Running {
  readonly content: OutgoingContent;
  readonly tree: BroadcastTree;
}

/**
 * Sends files to many. It begins at once.
 *
 * @example
 * ```ts
 * import { Peer } from "@kith/kith";
 * import { broadcast, type BroadcastTarget } from "@kith/kith/palmtree";
 * import { buildManifest } from "@kith/kith/transfer";
 * import { netTransport } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * await Deno.writeTextFile(`${dir}/song.txt`, "la la la");
 * const here = { hostname: "127.0.0.1", port: 0, announce: false };
 * await using bob = await Peer.open(here);
 * bob.receive({ dir: `${dir}/bob`, accept: () => true });
 *
 * await using alice = await Peer.open(here);
 * const at = `127.0.0.1:${bob.address?.port}`;
 * const target: BroadcastTarget = { name: "bob", connect: (signal) => alice.link(at, { signal }) };
 * const ports = { endpoint: alice.endpoint, transport: netTransport, hostname: "127.0.0.1" };
 * const sending = broadcast(ports, await buildManifest([`${dir}/song.txt`]), [target]);
 * const { receivers } = await sending.done;
 * assertEquals(receivers.map(({ name, state }) => [name, state]), [["bob", "done"]]);
 * await Deno.remove(dir, { recursive: true });
 * ```
 *
 * @param targets Who shall have them, in any order.
 * @throws {RangeError} when nobody is named or an option is out of bounds.
 */
export function broadcast(
  ports: PalmPorts,
  built: BuiltManifest,
  targets: readonly BroadcastTarget[],
  options: BroadcastOptions = {},
): Broadcast {
  return new Broadcast(ports, built, targets, options);
}

/**
 * A broadcast under way: iterate over it to learn what happens, or wait for `done`. Progress that nobody reads is dropped.
 *
 * @example
 * ```ts
 * import { Peer } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * await Deno.writeTextFile(`${dir}/song.txt`, "la la la");
 * const here = { hostname: "127.0.0.1", port: 0, announce: false };
 * await using bob = await Peer.open(here);
 * bob.receive({ dir: `${dir}/bob`, accept: () => true });
 *
 * await using alice = await Peer.open(here);
 * const to = [`127.0.0.1:${bob.address?.port}`];
 * await using sending = await alice.broadcast([`${dir}/song.txt`], { to });
 * const events = await Array.fromAsync(sending, ({ type }) => type);
 * assertEquals([events[0], events.at(-1)], ["accepted", "done"]);
 * assertEquals((await sending.done).egressBytes, 8);
 * await Deno.remove(dir, { recursive: true });
 * ```
 */
export class Broadcast implements AsyncIterable<BroadcastEvent>, AsyncDisposable {
  /**
   * What became of it, once nothing more is to come of anybody; who did not get it is in the summary.
   *
   * Rejects with {IntegrityError} when a file changes while it is sent, with {NotFoundError} when one has gone, and with the
   * signal's reason when that aborts.
   */
  readonly done: Promise<BroadcastSummary>;
  /** What was found in folders and is neither file nor folder. */
  readonly skipped: readonly SkippedPath[];
  readonly #ports: PalmPorts;
  readonly #options: BroadcastOptions;
  readonly #fanout: number;
  readonly #recipients: Recipient[];
  readonly #events = new Channel<BroadcastEvent>(EVENT_CAPACITY);
  readonly #closing = new AbortController();
  readonly #settled = Promise.withResolvers<void>();
  readonly #blamed = new Set<string>();
  // Those whom the tree knows.
  readonly #members = new Set<Recipient>();
  #isFull = false;
  #running: Running | undefined;
  #patience: Timer | undefined;

  /** As {@linkcode broadcast}. */
  constructor(
    ports: PalmPorts,
    built: BuiltManifest,
    targets: readonly BroadcastTarget[],
    options: BroadcastOptions = {},
  ) {
    const { fanout = DEFAULT_FANOUT, shape = "auto", patienceMs = PATIENCE_MS } = options;
    if (targets.length === 0) throw new RangeError("A broadcast needs somebody to send to");
    for (const count of [fanout, ...typeof shape === "number" ? [shape] : []]) {
      if (Number.isInteger(count) && count >= 1) continue;
      throw new RangeError(`Fan-out must be a whole number from 1: current value is ${count}`);
    }
    if (!(patienceMs >= 0 && patienceMs <= MAX_PATIENCE_MS)) {
      throw new RangeError(
        `patienceMs must be 0..${MAX_PATIENCE_MS}: current value is ${patienceMs}`,
      );
    }
    this.skipped = built.skipped;
    this.#ports = ports;
    this.#options = options;
    this.#fanout = shape === "auto" ? fanout : shape === "chain" ? 1 : shape;
    this.#recipients = targets.map((target) => new Recipient(target));
    this.done = this.#run(built).finally(() => this.#events.close());
    this.done.catch(() => {}); // who only iterates need not wait for it
  }

  /** How far it is. */
  get progress(): BroadcastProgress {
    const { content, tree } = this.#running ?? {};
    return {
      totalBytes: content?.chunks.totalBytes ?? 0,
      egressBytes: tree?.egressBytes ?? 0,
      seconds: tree?.seconds ?? 0,
      receivers: this.#recipients.map(({ progress }) => progress),
    };
  }

  /** What happens, until it is over; leaving the loop stops the events, not the broadcast. */
  [Symbol.asyncIterator](): AsyncIterator<BroadcastEvent> {
    return this.#events[Symbol.asyncIterator]();
  }

  /** Gives up, unless it is over: the receivers are told. Harmless when repeated. */
  async close(): Promise<void> {
    this.#closing.abort(new ClosedError("The broadcast was given up"));
    await Promise.allSettled([this.done]);
  }

  /** The same as {@linkcode Broadcast.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #run(built: BuiltManifest): Promise<BroadcastSummary> {
    const { chunkBytes } = this.#options;
    const signal = AbortSignal.any([this.#closing.signal, ...this.#outerSignals]);
    await using stack = new AsyncDisposableStack();
    const content = stack.use(
      await OutgoingContent.open(built, {
        signal,
        ...(chunkBytes === undefined ? {} : { chunkBytes }),
      }),
    );
    const tree = stack.use(await this.#open(content));
    stack.defer(() => this.#patience?.cancel());
    this.#running = { content, tree };
    const invitation = { ...tree.invitation, manifest: encodeManifest(built.manifest) };
    let why: { code: string; message: string } | undefined;
    try {
      for (const recipient of this.#recipients) {
        void this.#serve(recipient, this.#running, invitation, signal);
      }
      await unlessAborted(this.#settled.promise, signal);
      return this.#summarize(this.#running);
    } catch (error) {
      why = reasonOf(error);
      throw error;
    } finally {
      await Promise.all(this.#recipients.map((recipient) => recipient.over(tree.sessionId, why)));
    }
  }

  get #outerSignals(): AbortSignal[] {
    const { signal } = this.#options;
    return signal === undefined ? [] : [signal];
  }

  async #open(content: OutgoingContent): Promise<BroadcastTree> {
    const { shape = "auto", linkWaitMs } = this.#options;
    return await BroadcastTree.open({
      ...this.#ports,
      content,
      fanout: this.#fanout,
      shape,
      linkWaitMs,
      linkWith: (peerId) => this.#find(peerId)?.link,
      gone: (peerId) => {
        const recipient = this.#find(peerId);
        if (recipient !== undefined) this.#fail(recipient, silent(recipient));
      },
      unreadable: (error) => this.#closing.abort(error),
      tick: () => this.#running?.tree.receivers.forEach((status) => this.#note(status)),
    });
  }

  /** Sees one receiver through, from beginning to end. */
  async #serve(
    recipient: Recipient,
    { tree, content }: Running,
    invitation: Record<string, unknown>,
    signal: AbortSignal,
  ): Promise<void> {
    const { acceptTimeoutMs = ACCEPT_TIMEOUT_MS } = this.#options;
    const { name } = recipient;
    try {
      const peerId = await recipient.reach(signal, (id) => this.#checkNew(id, name));
      const seal = tree.sealFor(idToDecimal(Uint8Array.fromHex(peerId)));
      await recipient.inform({ ...invitation, seal }, acceptTimeoutMs, signal);
      this.#tell({ type: "accepted", name, peerId });
      this.#answered(recipient, tree);
      const confirmed = await recipient.confirm(tree.sessionId, content.summary, signal);
      if (recipient.isSettled) return;
      for (const blamed of recipient.blamed) this.#blame(blamed, peerId);
      recipient.done(confirmed, tree.seconds);
      this.#tell({ type: "done", ...recipient.summary });
      this.#settle();
    } catch (error) {
      this.#fail(recipient, error);
    }
  }

  #checkNew(peerId: string, name: string): void {
    if (peerId === this.#ports.endpoint.self.peerId) throw new TypeError(`"${name}" is this peer`);
    const same = this.#recipients.find((one) => one.peerId === peerId);
    if (same !== undefined) throw new TypeError(`"${name}" and "${same.name}" are the same peer`);
  }

  /** Somebody takes part: it begins when all have answered, or some time after the first. */
  #answered(recipient: Recipient, tree: BroadcastTree): void {
    const { joined } = recipient;
    if (joined === undefined || this.#members.has(recipient)) return;
    if (tree.hasBegun) {
      this.#members.add(recipient);
      return tree.join(joined);
    }
    const { patienceMs = PATIENCE_MS } = this.#options;
    this.#patience ??= this.#ports.endpoint.clock.after(patienceMs, () => this.#begin());
    this.#beginIfAll();
  }

  #beginIfAll(): void {
    const isOpen = ({ isSettled, joined }: Recipient) => !isSettled && joined === undefined;
    if (!this.#recipients.some(isOpen)) this.#begin();
  }

  #begin(): void {
    this.#patience?.cancel();
    const tree = this.#running?.tree;
    if (tree === undefined || tree.hasBegun) return;
    const all = this.#recipients.flatMap((recipient) => {
      const { joined, isSettled } = recipient;
      if (joined === undefined || isSettled) return [];
      this.#members.add(recipient);
      return [joined];
    });
    if (all.length > 0) tree.begin(all);
  }

  /** Tells what a receiver has said of itself. */
  #note({ peerId: id, state, parent, report }: ReceiverStatus): void {
    const recipient = this.#find(id);
    const running = this.#running;
    if (recipient === undefined || recipient.isSettled || running === undefined) return;
    if (state === "done" && this.#isOverdue(recipient, running)) {
      return this.#fail(recipient, silent(recipient));
    }
    const { name, peerId = hexOf(id) } = recipient;
    const givenBy = parent === undefined ? undefined : hexOf(parent);
    if (report !== undefined && givenBy !== recipient.parent) {
      recipient.parent = givenBy;
      this.#tell({ type: "parent", name, peerId, parent: givenBy });
    }
    for (const blamed of report?.blamed ?? []) this.#blame(hexOf(blamed), peerId);
    const { chunkBytes, totalBytes } = running.content.chunks;
    const bytes = Math.min((report?.chunks ?? 0) * chunkBytes, totalBytes);
    if (bytes <= recipient.bytes) return;
    recipient.bytes = bytes;
    if (!this.#isFull) this.#tell({ type: "progress", name, peerId, bytes, totalBytes });
  }

  /** Whether somebody has said that it has everything, and has not confirmed it for too long. */
  #isOverdue(recipient: Recipient, { content }: Running): boolean {
    const nowMs = this.#ports.endpoint.clock.now();
    recipient.fullMs ??= nowMs;
    const hashingMs = content.chunks.totalBytes / CONFIRM_BYTES_PER_MS;
    return nowMs - recipient.fullMs > CONFIRM_MS + hashingMs;
  }

  #blame(peerId: string, by: string): void {
    if (this.#blamed.has(peerId)) return;
    this.#blamed.add(peerId);
    layerLog(this.#ports.endpoint.log, "palmtree").warn(
      "a relay gave wrong chunks and is cut off",
      { peer: peerId, by },
    );
    this.#tell({ type: "corrupt", peerId, by });
  }

  #fail(recipient: Recipient, error: unknown): void {
    if (recipient.isSettled || this.#closing.signal.aborted) return;
    recipient.fail(error);
    const { summary } = recipient;
    this.#tell({ type: summary.state, ...summary });
    this.#beginIfAll();
    this.#settle();
  }

  #settle(): void {
    if (this.#recipients.every(({ isSettled }) => isSettled)) this.#settled.resolve();
  }

  #find(peerId: string): Recipient | undefined {
    return this.#recipients.find(({ link }) => link !== undefined && decimalOf(link) === peerId);
  }

  #tell(event: BroadcastEvent): void {
    const room = this.#events.push(event);
    if (room === undefined) return;
    this.#isFull = true;
    void room.then(() => this.#isFull = false);
  }

  #summarize({ content, tree }: Running): BroadcastSummary {
    const receivers = this.#recipients.map(({ summary }) => summary);
    const resent = receivers.map(({ sources, state, bytes }) => {
      const came = sources.reduce((sum, [, count]) => sum + count, 0);
      return state === "done" ? Math.max(0, came - bytes) : 0;
    });
    return {
      ...content.summary,
      egressBytes: tree.egressBytes,
      resentBytes: resent.reduce((sum, bytes) => sum + bytes, 0),
      seconds: tree.seconds,
      receivers,
    };
  }
}

function silent({ name }: Recipient): TimeoutError {
  return new TimeoutError(`"${name}" says nothing any more`);
}

/** What receivers are told: nothing of our paths. */
function reasonOf(error: unknown): { code: string; message: string } {
  const { code, message } = error instanceof PeerError
    ? error
    : new ClosedError("The sender has given up");
  return { code, message };
}
