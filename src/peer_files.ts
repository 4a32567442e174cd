/**
 * How a peer sends files: over several links where that is faster, again where a link breaks, and anew where they change.
 *
 * @module
 */

import { basename } from "node:path";
import type { Clock } from "./clock.ts";
import type { Endpoint } from "./endpoint/endpoint.ts";
import type { Link } from "./endpoint/link.ts";
import {
  ClosedError,
  IntegrityError,
  NotFoundError,
  PeerError,
  TimeoutError,
  TransportError,
} from "./errors.ts";
import type { SendFilesOptions } from "./peer_options.ts";
import type { ReachOptions } from "./reach.ts";
import type { TransferBoard } from "./status/transfer_board.ts";
import { buildManifest, type BuiltManifest, type SkippedPath } from "./transfer/manifest.ts";
import { sendFiles, sendStream } from "./transfer/send.ts";
import { type SendEvent, type SendOptions, SentBefore } from "./transfer/send_options.ts";
import { watchFiles } from "./transfer/watch.ts";

/** From so many bytes on, over a way that takes so long, several links are faster than one. */
const MANY_BYTES = 32 * 1024 * 1024;
const LONG_WAY_MS = 5;

/** Links for such a transfer. */
const STREAMS = 4;

/** How long a way that is measured may take to answer. */
const PING_MS = 2_000;

/** Time between two attempts. */
const RETRY_EVERY_MS = 500;

/** What the peer gives. */
export interface FileSender {
  /** Its links. */
  readonly endpoint: Endpoint;
  /** Connects to whom it is asked to. */
  readonly link: (target: string, options: ReachOptions) => Promise<Link>;
  /** Where transfers at work are shown. */
  readonly board: TransferBoard;
}

/** What happens while files are sent: {@linkcode SendEvent}, and what is not sent. */
export type FilesEvent =
  | SendEvent
  | {
    /** Something that was found and is not sent. */
    readonly type: "skipped";
    /** What. */
    readonly skipped: SkippedPath;
  }
  | {
    /** The link broke, and it is tried again. */
    readonly type: "retry";
    /** Why. */
    readonly error: unknown;
  };

/** Sends files and folders; see `Peer.transfer`. */
export function transferFiles(
  sender: FileSender,
  paths: readonly string[],
  options: SendFilesOptions,
): AsyncGenerator<FilesEvent, void, void> {
  const about = { peer: options.to, what: titleOf(paths) };
  return sender.board.follow(about, sendPaths(sender, paths, options));
}

/** What files and folders are called together. */
export function titleOf(paths: readonly string[]): string {
  const [first = ""] = paths;
  return basename(first) + (paths.length > 1 ? ` and ${paths.length - 1} more` : "");
}

async function* sendPaths(
  sender: FileSender,
  paths: readonly string[],
  options: SendFilesOptions,
): AsyncGenerator<FilesEvent, void, void> {
  const { signal, watch = false } = options;
  const withSignal = signal === undefined ? {} : { signal };
  const { clock } = sender.endpoint;
  const changes = watch ? watchFiles(paths, { clock, ...withSignal }) : undefined;
  try {
    let built = await buildManifest(paths, withSignal);
    for (const skipped of built.skipped) yield { type: "skipped", skipped };
    let isSent = yield* unlessChanged(attempts(sender, built, options), watch);
    for await (const _ of changes ?? []) {
      try {
        const again = await buildManifest(paths, withSignal);
        if (isSent && isSame(built, again)) continue;
        built = again;
      } catch (error) {
        if (error instanceof NotFoundError) continue; // who saves a file may remove it first
        throw error;
      }
      isSent = yield* unlessChanged(attempts(sender, built, { ...options, update: true }), watch);
    }
  } finally {
    await changes?.return();
  }
}

/** Sends what comes from somewhere, as one file; see `Peer.transferStream`. */
export function transferStream(
  sender: FileSender,
  source: AsyncIterable<Uint8Array>,
  name: string,
  options: SendFilesOptions,
): AsyncGenerator<SendEvent, void, void> {
  const about = { peer: options.to, what: name };
  return sender.board.follow(about, sendSource(sender, source, name, options));
}

async function* sendSource(
  sender: FileSender,
  source: AsyncIterable<Uint8Array>,
  name: string,
  options: SendFilesOptions,
): AsyncGenerator<SendEvent, void, void> {
  await using link = await sender.link(options.to, options);
  yield* sendStream(link, source, name, sendOptions(options, sender.endpoint.clock));
}

/** A file that changes while it is sent is sent again once it has changed, where that is watched. @returns whether it was sent */
async function* unlessChanged(
  events: AsyncGenerator<FilesEvent, void, void>,
  isWatched: boolean,
): AsyncGenerator<FilesEvent, boolean, void> {
  try {
    yield* events;
    return true;
  } catch (error) {
    const isOurs = error instanceof IntegrityError || error instanceof NotFoundError;
    if (!isWatched || !isOurs || error.code === "no-peer") throw error;
    yield { type: "retry", error };
    return false;
  }
}

/** Tries until it is done, or the time for that is over. */
async function* attempts(
  sender: FileSender,
  built: BuiltManifest,
  options: SendFilesOptions,
): AsyncGenerator<FilesEvent, void, void> {
  const { retryMs = 0, signal } = options;
  const { clock } = sender.endpoint;
  const before = new SentBefore();
  let goodMs = clock.now();
  for (;;) {
    try {
      for await (const event of attempt(sender, built, options, before)) {
        goodMs = clock.now();
        yield event;
      }
      return;
    } catch (error) {
      if (!isPassing(error) || clock.now() - goodMs >= retryMs || signal?.aborted) throw error;
      yield { type: "retry", error };
      await pause(RETRY_EVERY_MS, clock, signal);
    }
  }
}

async function* attempt(
  sender: FileSender,
  built: BuiltManifest,
  options: SendFilesOptions,
  before: SentBefore,
): AsyncGenerator<SendEvent, void, void> {
  const { endpoint } = sender;
  const { totalBytes } = built.manifest;
  await using links = new AsyncDisposableStack();
  const link = links.use(await sender.link(options.to, options));
  const streams = options.streams ?? await streamsFor(link, totalBytes);
  const expect = ({ peerId }: { peerId: string }) => {
    if (peerId !== link.peer.peerId) throw new NotFoundError("no-peer", "Another peer answered");
  };
  const lanes: Link[] = [];
  while (lanes.length < streams - 1 && link.via === "tcp") {
    lanes.push(links.use(await endpoint.connect(link.remote, { expect })));
  }
  yield* sendFiles(link, built, { ...sendOptions(options, endpoint.clock), lanes, before });
}

/** How many links to use: one unless the way is long. */
async function streamsFor(link: Link, bytes: number): Promise<number> {
  if (bytes < MANY_BYTES) return 1;
  const rttMs = await link.ping({ timeoutMs: PING_MS }).catch(() => 0);
  return rttMs > LONG_WAY_MS ? STREAMS : 1;
}

function sendOptions(options: SendFilesOptions, clock: Clock): SendOptions {
  const { update = false, watch = false } = options;
  const { acceptTimeoutMs, dryRun, maxBytesPerSecond, compress, pause, signal } = options;
  return {
    clock,
    update: update || watch,
    ...(acceptTimeoutMs === undefined ? {} : { acceptTimeoutMs }),
    ...(dryRun === undefined ? {} : { dryRun }),
    ...(maxBytesPerSecond === undefined ? {} : { maxBytesPerSecond }),
    ...(compress === undefined ? {} : { compress }),
    ...(pause === undefined ? {} : { pause }),
    ...(signal === undefined ? {} : { signal }),
  };
}

/** Whether another attempt may do better: the link broke, or nobody was there. */
function isPassing(error: unknown): boolean {
  return error instanceof ClosedError || error instanceof TransportError ||
    error instanceof TimeoutError || (error instanceof PeerError && error.code === "no-peer");
}

function isSame({ manifest: a }: BuiltManifest, { manifest: b }: BuiltManifest): boolean {
  return a.entries.length === b.entries.length &&
    a.entries.every(({ path, size, mtimeMs, mode }, index) => {
      const other = b.entries[index];
      return path === other?.path && size === other.size && mtimeMs === other.mtimeMs &&
        mode === other.mode;
    });
}

async function pause(ms: number, clock: Clock, signal: AbortSignal | undefined): Promise<void> {
  const waited = Promise.withResolvers<void>();
  const timer = clock.after(ms, waited.resolve);
  signal?.addEventListener("abort", () => waited.resolve(), { once: true });
  await waited.promise;
  timer.cancel();
}
