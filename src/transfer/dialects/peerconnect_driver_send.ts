/**
 * Files and folders for a PeerConnect node, over connections that may break.
 *
 * Files that were named themselves go over one connection; when it breaks another one goes on where the receiver says.
 * Each folder has a connection of its own, and no second one: the dialect would send it anew, beside what has come.
 *
 * @module
 */

import { type Clock, sleep, systemClock } from "../../clock.ts";
import { ClosedError, NotFoundError, TimeoutError, TransportError } from "../../errors.ts";
import type { Connection } from "../../transport/transport.ts";
import { idFromHex, idToDecimal } from "../../wire/remote_peer.ts";
import type { BuiltManifest, Manifest, ManifestEntry } from "../manifest.ts";
import type { SendEvent } from "../send_options.ts";
import { DirectorySender } from "./peerconnect_directory_sender.ts";
import { OutgoingContents } from "./peerconnect_driver_contents.ts";
import { PatientStream } from "./peerconnect_driver_stream.ts";
import { FileSender } from "./peerconnect_file_sender.ts";
import { encodeHandshake, type PeerConnectHandshake } from "./peerconnect_handshake.ts";

/** How long an original waits for the answer to its handshake, in milliseconds. */
const ACCEPT_TIMEOUT_MS = 4_000;

/** Connections in a row that brought nothing forward before a transfer is given up. */
const MAX_FUTILE = 5;

/** The wait before another connection in milliseconds; doubles with each one that brought nothing forward. */
const RETRY_MS = 100;

/** How long a receiver that has everything may take to hang up, in milliseconds: nothing else says that it has. */
const FINISH_MS = 4_000;

/** Bytes read at a time: answers. */
const READ_BYTES = 64;

/** Connects to the node that is meant. */
export type PeerConnectConnect = (signal?: AbortSignal) => Promise<Connection>;

/** How to send. */
export interface PeerConnectSendOptions {
  /** Who we say we are, 40 hexadecimal digits. An original takes files only of nodes that it knows. */
  peerId: string;
  /** How long the other side may take to accept. @default {4000} */
  acceptTimeoutMs?: number;
  /** Gives up when aborted: the connection is closed. */
  signal?: AbortSignal;
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
}

/** What goes over one connection at a time. */
interface Parcel {
  readonly handshake: PeerConnectHandshake;
  readonly sender: FileSender | DirectorySender;
  /** Which entry of the manifest each of the sender's items is. */
  readonly indexes: readonly number[];
}

/**
 * Sends what a manifest lists. The events are those of a native transfer, but nobody verifies anything: `done` says that
 * the receiver took everything in, and its hash is that of what was sent. Leaving the loop before ends the transfer.
 *
 * @param connect Called for every connection.
 * @throws {HandshakeError} `denied` when the receiver refuses.
 * @throws {TimeoutError} when it does not answer in time, or takes nothing for 60 s.
 * @throws {ClosedError} when the connection breaks, and another one does not help.
 * @throws {InvalidPacketError} when the receiver breaks the format.
 * @throws {IntegrityError} when a file changes while it is being read. @throws {NotFoundError} when one has gone.
 */
export async function* sendPeerConnectFiles(
  connect: PeerConnectConnect,
  built: BuiltManifest,
  options: PeerConnectSendOptions,
): AsyncGenerator<SendEvent, void, void> {
  const { clock = systemClock, peerId } = options;
  const { manifest } = built;
  const self = idToDecimal(idFromHex(peerId));
  using contents = new OutgoingContents(built);
  let startedMs: number | undefined;
  for (const parcel of parcelsOf(manifest, self)) {
    for await (const _ of new Delivery(connect, parcel, contents, options).run()) {
      if (startedMs === undefined) {
        startedMs = clock.now();
        yield { type: "accepted", files: manifest.files, unchanged: 0 };
      }
      const { bytes } = contents;
      yield { type: "progress", bytes, totalBytes: manifest.totalBytes, paused: false };
    }
  }
  const seconds = startedMs === undefined ? 0 : (clock.now() - startedMs) / 1000;
  const { resentBytes, sentBytes } = contents;
  yield { type: "done", resentBytes, sentBytes, unchanged: 0, seconds, ...contents.summary() };
}

/** Brings one parcel there, over as many connections as it takes. */
class Delivery {
  readonly #connect: PeerConnectConnect;
  readonly #parcel: Parcel;
  readonly #contents: OutgoingContents;
  readonly #clock: Clock;
  readonly #signal: AbortSignal | undefined;
  readonly #acceptTimeoutMs: number;

  constructor(
    connect: PeerConnectConnect,
    parcel: Parcel,
    contents: OutgoingContents,
    options: PeerConnectSendOptions,
  ) {
    const { clock = systemClock, signal, acceptTimeoutMs = ACCEPT_TIMEOUT_MS } = options;
    this.#connect = connect;
    this.#parcel = parcel;
    this.#contents = contents;
    this.#clock = clock;
    this.#signal = signal;
    this.#acceptTimeoutMs = acceptTimeoutMs;
  }

  /** Yields when it is accepted, and after each piece. */
  async *run(): AsyncGenerator<void, void, void> {
    for (let futile = 0;;) {
      const { bytes } = this.#contents;
      try {
        return yield* this.#send();
      } catch (error) {
        this.#signal?.throwIfAborted();
        futile = this.#contents.bytes > bytes ? 1 : futile + 1;
        if (!this.#mayGoOn(error) || futile > MAX_FUTILE) throw error;
      }
      const signal = this.#signal;
      const waitMs = RETRY_MS * 2 ** (futile - 1);
      await sleep(this.#clock, waitMs, signal === undefined ? {} : { signal });
    }
  }

  /** Whether it was the network's fault, and the receiver can say where to go on. */
  #mayGoOn(error: unknown): boolean {
    const { sender } = this.#parcel;
    const isBreak = error instanceof ClosedError || error instanceof TransportError ||
      (error instanceof NotFoundError && error.code === "no-peer");
    return isBreak && sender instanceof FileSender && sender.accepted;
  }

  /** Sends over one connection. */
  async *#send(): AsyncGenerator<void, void, void> {
    const { handshake, sender } = this.#parcel;
    const connection = await this.#connect(this.#signal);
    const [clock, signal] = [this.#clock, this.#signal];
    using stream = new PatientStream(connection, { clock, signal, readBytes: READ_BYTES });
    await stream.write(encodeHandshake(handshake));
    if (sender instanceof FileSender) sender.connected();
    let wasAccepted = false;
    for (let step = sender.next(); !sender.over; step = sender.next()) {
      if (sender.accepted && !wasAccepted) {
        wasAccepted = true;
        yield;
      }
      stream.readAhead();
      // It is the receiver's turn, or it has something against what comes.
      if (step === undefined || stream.hasArrived) await this.#hear(stream);
      if (step?.type === "bytes") await stream.write(step.bytes);
      if (step?.type === "content") {
        const index = this.#parcel.indexes[step.index] as number; // there are as many as items
        await stream.write(this.#contents.read(index, step.offset, step.length));
        yield;
      }
    }
    await untilTaken(stream);
  }

  /** Waits for what the receiver has to say. */
  async #hear(stream: PatientStream): Promise<void> {
    const { sender } = this.#parcel;
    // Who has accepted a folder confirms each file, which may take as long as writing it.
    const isConfirming = sender instanceof DirectorySender && sender.accepted;
    const answer = { limit: "acceptTimeoutMs", limitMs: this.#acceptTimeoutMs };
    const bytes = await stream.read(isConfirming ? {} : answer);
    if (bytes === undefined) sender.ended();
    else sender.push(bytes);
  }
}

/**
 * Waits until the receiver hangs up, which it does when it has everything. Some stay: they have it, too.
 *
 * @throws {ClosedError} when it does so without having read all of it.
 */
async function untilTaken(stream: PatientStream): Promise<void> {
  try {
    await stream.read({ limitMs: FINISH_MS });
  } catch (error) {
    if (error instanceof TimeoutError) return;
    throw error;
  }
  // Closed on what was not read yet, a connection reads as if it had ended in order; only writing tells (measured).
  await stream.write(new Uint8Array(0));
}

/** What goes over which connection: all files that lie at the top, then each folder. */
function* parcelsOf({ entries }: Manifest, peerId: string): Generator<Parcel, void, void> {
  const numbered = entries.map((entry, index) => ({ ...entry, index }));
  const tops = [...Map.groupBy(numbered, ({ path }) => path.split("/", 1)[0] ?? path)];
  const files = tops.flatMap(([, entries]) => entries[0]?.kind === "file" ? entries : []);
  if (files.length > 0) {
    yield {
      handshake: { type: "files", peerId, transferId: newTransferId() },
      sender: new FileSender(files.map(({ path, size }) => ({ name: path, size }))),
      indexes: files.map(({ index }) => index),
    };
  }
  for (const [name, [top, ...inside]] of tops) {
    if (top?.kind !== "directory") continue;
    const below = ({ path, kind, size }: ManifestEntry) => {
      return { path: path.slice(name.length + 1), kind, size };
    };
    yield {
      handshake: { type: "directory", peerId, transferId: newTransferId(), name },
      sender: new DirectorySender(inside.map(below)),
      indexes: inside.map(({ index }) => index),
    };
  }
}

/** A number as the originals count them; one that nobody else uses, because receivers go on by it. */
function newTransferId(): string {
  const [id] = crypto.getRandomValues(new BigUint64Array(1));
  return String(id);
}
