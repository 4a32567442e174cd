/**
 * Files and directories that PeerConnect nodes send, received into the folder of a receiver.
 *
 * ```
 * visit -> asked for at the desk -> machine without I/O -> store -> told at the desk
 *                 |                        |
 *            00 and out         connection broke: files wait for the next one
 * ```
 *
 * When the connection breaks within files, what is here waits for another one of the same sender (the id it claims, and the
 * host it comes from) and transfer, which goes on without being asked for again. Only a few wait, and not for long: nobody
 * proves anything, and each counts as a transfer. A directory cannot go on: what is complete of it stays.
 *
 * @module
 */

import type { Clock } from "../../clock.ts";
import { sourceOf } from "../../endpoint/source.ts";
import { unlessAborted } from "../../endpoint/within_time.ts";
import { AuthError, ClosedError, InvalidPacketError, TimeoutError } from "../../errors.ts";
import type { Logger } from "../../log.ts";
import type { Metrics } from "../../metrics.ts";
import type { Manifest } from "../manifest.ts";
import type { Offer } from "../offer.ts";
import type { AllowanceLimits } from "./allowance.ts";
import { type DirectoryEvent, DirectoryReceiver } from "./peerconnect_directory_receiver.ts";
import { Shelf } from "./peerconnect_driver_shelf.ts";
import { PeerConnectStore, type ReceivingDesk } from "./peerconnect_driver_store.ts";
import type { PatientStream } from "./peerconnect_driver_stream.ts";
import type { PeerConnectVisit } from "./peerconnect_driver_visit.ts";
import { type FileEvent, FileReceiver } from "./peerconnect_file_receiver.ts";
import { encodeAnswer } from "./peerconnect_records.ts";

/** How long files wait for their sender to come back, in milliseconds: for one that moves to another network. */
export const RESUME_MS = 120_000;

/** Transfers that wait for their senders; more, and the oldest is given up. A quarter of those there may be at all. */
export const MAX_INTERRUPTED = 4;

/** How long a sender may take to hang up, too, in milliseconds. */
const LINGER_MS = 1_000;

/** Nobody says beforehand what is coming. */
const NOTHING_SAID: Manifest = { entries: [], files: 0, totalBytes: 0 };

/** What {@linkcode PeerConnectTransfers} need. */
export interface PeerConnectTransfersOptions extends AllowanceLimits {
  /** Whether somebody may send who cannot prove who it is. */
  isPublic: () => boolean;
  /** Where time comes from. */
  clock: Clock;
  /** Where to say what happens. */
  log: Logger;
  /** Counts `peerconnect.refused`, `peerconnect.interrupted`, `peerconnect.resumed`. */
  metrics: Metrics;
}

/** A transfer that was accepted, until it is over. */
interface Coming {
  /** The connection that it comes over. */
  visit: PeerConnectVisit;
  readonly store: PeerConnectStore;
  readonly admission: Disposable;
  readonly startedMs: number;
}

/** Files of a transfer, which outlive a connection. */
interface ComingFiles extends Coming {
  readonly receiver: FileReceiver;
  /** Times that something came: while they grow, the sender is at work. */
  steps: number;
  /** When they have waited for long enough; `undefined` before the first time. */
  untilMs: number | undefined;
}

/** A connection that files come over. */
interface Running {
  readonly stream: PatientStream;
  readonly over: Promise<void>;
}

/** Takes what is sent; see the module. */
export class PeerConnectTransfers implements Disposable {
  readonly #desk: ReceivingDesk;
  readonly #options: PeerConnectTransfersOptions;
  // Both by sender and transfer.
  readonly #running = new Map<string, Running>();
  readonly #interrupted: Shelf<ComingFiles>;
  readonly #streams = new Set<PatientStream>();
  readonly #closing = new AbortController();

  /** Takes nothing yet. */
  constructor(desk: ReceivingDesk, options: PeerConnectTransfersOptions) {
    this.#desk = desk;
    this.#options = options;
    this.#interrupted = new Shelf({
      max: MAX_INTERRUPTED,
      clock: options.clock,
      onDrop: (files, why) => void this.#giveUp(files, why),
    });
  }

  /** Gives up what is under way, and what waits; incomplete files are removed. Harmless when closed. */
  [Symbol.dispose](): void {
    const why = new ClosedError("Files are received no more");
    this.#closing.abort(why);
    for (const stream of this.#streams) stream.close();
    this.#interrupted.clear(why);
  }

  /** Takes the files of a connection. @throws why it came to nothing, which its receiver was told, too. */
  async takeFiles(visit: PeerConnectVisit, transferId: string): Promise<void> {
    const { address } = sourceOf(visit.stream.remote.hostname);
    const key = JSON.stringify([visit.from.peerId, address, transferId]);
    // One that comes back has noticed before us that its old connection is dead.
    for (let old = this.#running.get(key); old !== undefined; old = this.#running.get(key)) {
      old.stream.close();
      await old.over;
    }
    const over = Promise.withResolvers<void>();
    this.#running.set(key, { stream: visit.stream, over: over.promise });
    using _held = this.#hold(visit.stream);
    try {
      await this.#runFiles(visit, key);
    } finally {
      this.#running.delete(key);
      over.resolve();
    }
  }

  /** Takes the directory of a connection. @throws as {@linkcode PeerConnectTransfers.takeFiles}. */
  async takeDirectory(visit: PeerConnectVisit, name: string): Promise<void> {
    using _held = this.#hold(visit.stream);
    const coming = await this.#accept(visit);
    const { root } = this.#desk;
    try {
      const machine = new DirectoryReceiver(this.#options);
      const top = root.freeName(name);
      root.createFolder(top); // an existing folder is never mixed with one from a stranger
      await this.#drive(machine, visit, (event) => this.#takeItem(event, top, coming));
      await this.#finish(coming);
    } catch (error) {
      await this.#giveUp(coming, error);
      throw error;
    }
  }

  /** Closes a connection when everything ends, and when it is done with. */
  #hold(stream: PatientStream): Disposable {
    this.#streams.add(stream);
    return {
      [Symbol.dispose]: () => {
        this.#streams.delete(stream);
        stream.close();
      },
    };
  }

  async #runFiles(visit: PeerConnectVisit, key: string): Promise<void> {
    const files = this.#resume(key, visit) ?? {
      ...await this.#accept(visit),
      receiver: new FileReceiver(this.#options),
      steps: 0,
      untilMs: undefined,
    };
    const { receiver, steps } = files;
    try {
      await visit.stream.write(receiver.connected());
      await this.#drive(receiver, visit, (event) => this.#takeFile(event, files));
      await this.#finish(files);
    } catch (error) {
      const advanced = files.steps > steps;
      if (this.#mayGoOn(files, error, advanced)) this.#keep(key, files, advanced);
      else await this.#giveUp(files, error);
      throw error;
    }
  }

  /** Whether what has come is worth keeping for another connection. */
  #mayGoOn({ visit, steps, untilMs }: ComingFiles, error: unknown, advanced: boolean): boolean {
    if (steps === 0 || this.#closing.signal.aborted || visit.signal.aborted) return false;
    const isFirst = untilMs === undefined;
    // Who was told where to go on and hangs up without a word does not know this transfer any more.
    if (isBreak(error)) return isFirst || visit.stream.bytesRead > 0;
    // A sender that went on with another file than ours may try the right one next.
    return !isFirst && !advanced && error instanceof InvalidPacketError;
  }

  /** Asks whether a transfer may come; says no where it may not. @throws why not. */
  async #accept(visit: PeerConnectVisit): Promise<Coming> {
    const { clock, metrics, isPublic } = this.#options;
    const { from, label, stream } = visit;
    const signal = AbortSignal.any([visit.signal, this.#closing.signal, stream.hungUp()]);
    signal.throwIfAborted();
    try {
      if (!isPublic()) {
        throw new AuthError("not-allowed", "Only peers that prove who they are send");
      }
      const admission = await this.#admit({ from, label, manifest: NOTHING_SAID }, signal);
      return { visit, store: new PeerConnectStore(this.#desk), admission, startedMs: clock.now() };
    } catch (error) {
      signal.throwIfAborted();
      metrics.counter("peerconnect.refused").add();
      await stream.write(encodeAnswer(false)).catch(() => {}); // it may have gone meanwhile
      throw error;
    }
  }

  async #admit(offer: Offer, signal: AbortSignal): Promise<Disposable> {
    const admitting = this.#desk.admit(offer, signal);
    try {
      return await unlessAborted(admitting, signal);
    } catch (error) {
      // A person may say yes to somebody who has gone.
      admitting.then((late) => late[Symbol.dispose](), () => {});
      throw error;
    }
  }

  async #drive<Event>(
    machine: Machine<Event>,
    { stream }: PeerConnectVisit,
    take: (event: Event) => Promise<void> | void,
  ): Promise<void> {
    for (;;) {
      for (let event = machine.next(); event !== undefined; event = machine.next()) {
        const taken = take(event);
        if (taken !== undefined) await taken; // contents are written at once
      }
      if (machine.over) return;
      this.#closing.signal.throwIfAborted();
      const bytes = await stream.read();
      if (bytes === undefined) return machine.ended();
      machine.push(bytes);
    }
  }

  #takeFile(event: FileEvent, files: ComingFiles): Promise<void> | void {
    const { store, visit } = files;
    if (event.type !== "file") files.steps++;
    switch (event.type) {
      case "file":
        return store.isOpen ? undefined : store.begin(event.name, event.size, event.name);
      case "content":
        return store.write(event.bytes);
      case "end":
        return this.#stored(store, visit);
      case "done":
        return;
      default:
        event satisfies never;
    }
  }

  #takeItem(
    event: DirectoryEvent,
    top: string,
    { store, visit }: Coming,
  ): Promise<void> | void {
    switch (event.type) {
      case "directory":
        return this.#desk.root.createFolder(`${top}/${event.path}`);
      case "file":
        return store.begin(event.path, event.size, `${top}/${event.path}`);
      case "content":
        return store.write(event.bytes);
      case "end":
        return this.#stored(store, visit);
      case "reply":
        return visit.stream.write(event.bytes);
      case "done":
        return;
      default:
        event satisfies never;
    }
  }

  async #stored(store: PeerConnectStore, { from }: PeerConnectVisit): Promise<void> {
    await this.#desk.tell({ type: "received", from, ...await store.end() });
  }

  async #finish({ visit, store, admission, startedMs }: Coming): Promise<void> {
    const { from, stream } = visit;
    admission[Symbol.dispose]();
    const seconds = (this.#options.clock.now() - startedMs) / 1000;
    // Nothing but the end says that everything was taken. The sender may have gone by itself.
    await stream.closeWrite().catch(() => {});
    await this.#desk.tell({ type: "done", from, seconds, ...store.summary() });
    await stream.read({ limitMs: LINGER_MS }).catch(() => {});
  }

  async #giveUp({ visit, store, admission }: Coming, error: unknown): Promise<void> {
    store.abort();
    admission[Symbol.dispose]();
    visit.stream.close();
    this.#options.log.warn("a transfer failed", { from: visit.label, why: String(error) });
    await this.#desk.tell({ type: "failed", from: visit.from, error });
  }

  /** Keeps files for the next connection; the whole time anew only if they have advanced. */
  #keep(key: string, files: ComingFiles, advanced: boolean): void {
    const { clock, log, metrics } = this.#options;
    const nowMs = clock.now();
    metrics.counter("peerconnect.interrupted").add();
    log.info("a transfer was interrupted", { from: files.visit.label });
    if (advanced || files.untilMs === undefined) files.untilMs = nowMs + RESUME_MS;
    this.#interrupted.put(key, files, files.untilMs - nowMs);
  }

  #resume(key: string, visit: PeerConnectVisit): ComingFiles | undefined {
    const files = this.#interrupted.take(key);
    if (files === undefined) return undefined;
    this.#options.metrics.counter("peerconnect.resumed").add();
    files.visit = visit;
    return files;
  }
}

/** Whatever takes bytes and says what comes of them. */
interface Machine<Event> {
  readonly over: boolean;
  push(bytes: Uint8Array): void;
  next(): Event | undefined;
  ended(): void;
}

/** Whether it is the connection's fault alone. */
function isBreak(error: unknown): boolean {
  return error instanceof ClosedError || error instanceof TimeoutError;
}
