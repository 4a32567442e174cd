/**
 * The sending side of file transfer; the messages are described in `receive.ts`.
 *
 * @module
 */

import { createHash, type Hash } from "node:crypto";
import { type Clock, systemClock } from "../clock.ts";
import type { Link } from "../endpoint/link.ts";
import {
  ClosedError,
  HandshakeError,
  IntegrityError,
  InvalidPacketError,
  RemoteError,
  TimeoutError,
} from "../errors.ts";
import { printable } from "../log.ts";
import type { MessageBody } from "../wire/message.ts";
import { LateBytes } from "../wire/msgpack_types.ts";

import { summarize, type TransferSummary } from "./incoming.ts";
import {
  type BuiltManifest,
  encodeManifest,
  type HashedEntry,
  type ManifestEntry,
  readError,
} from "./manifest.ts";

/**
 * Bytes per message: enough for one socket write to be worth it, few enough to stay in a core's cache from the file to
 * the hash to the socket (measured).
 */
export const CHUNK_BYTES = 512 * 1024;

/** How long a person may think about an offer. */
const ACCEPT_TIMEOUT_MS = 120_000;

/** How long the receiver may take to say that everything is there once it has all been sent. */
const FINISH_TIMEOUT_MS = 60_000;

/** How long the receiver may take nothing in before it is given up. */
const STALL_MS = 60_000;

/** How to send. */
export interface SendOptions {
  /** How long the other side may take to accept. @default {120000} */
  acceptTimeoutMs?: number;
  /** Gives up when aborted; the other side is told. */
  signal?: AbortSignal;
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
}

/** What happens while sending. */
export type SendEvent =
  | { readonly type: "accepted" }
  | { readonly type: "progress"; readonly bytes: number; readonly totalBytes: number }
  | ({
    readonly type: "done";
    /** Bytes that had to be sent again. */
    readonly resentBytes: number;
    /** From acceptance to the receiver's confirmation. */
    readonly seconds: number;
  } & TransferSummary);

/**
 * Offers files over a link and sends them once accepted. The last event is `done`, after the receiver has verified
 * everything. Leaving the loop before cancels the transfer.
 *
 * @throws {RemoteError} with the receiver's code: `not-allowed` when it refuses, `limit` when it has no room.
 * @throws {TimeoutError} when it does not answer the offer in time.
 * @throws {IntegrityError} when a file changes while it is being read. @throws {NotFoundError} when one has gone.
 * @throws {ClosedError} when the link breaks.
 */
export async function* sendFiles(
  link: Link,
  built: BuiltManifest,
  options: SendOptions = {},
): AsyncGenerator<SendEvent, void, void> {
  const { acceptTimeoutMs = ACCEPT_TIMEOUT_MS, signal, clock = systemClock } = options;
  const { manifest } = built;
  const offer = { manifest: encodeManifest(manifest) };
  const id = await request(link, "transfer.offer", offer, acceptTimeoutMs, signal);
  const startedMs = clock.now();
  yield { type: "accepted" };

  const stop = new AbortController();
  const stopping = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal]);
  const run = link.request("transfer.run", { id }, { timeoutMs: Infinity, signal: stopping });
  const failed = new AbortController();
  run.catch((error) => failed.abort(error));
  try {
    const hashed: HashedEntry[] = [];
    let bytes = 0;
    for (const [index, entry] of manifest.entries.entries()) {
      if (entry.kind !== "file") continue;
      const hash = createHash("sha256");
      const file = { head: { id, index }, entry, source: built.source(index), hash };
      for await (const sent of sendFile(link, file, failed.signal, clock)) {
        bytes += sent;
        yield { type: "progress", bytes, totalBytes: manifest.totalBytes };
      }
      const sha256 = hash.digest();
      await unlessAborted(
        link.post("transfer.end", { ...file.head, sha256 }),
        failed.signal,
        clock,
      );
      hashed.push({ path: entry.path, size: entry.size, sha256: sha256.toString("hex") });
    }
    await unlessAborted(link.flush(), failed.signal, clock);
    const summary = summarize(hashed);
    if (parseSummary(await confirmed(run, clock)).sha256 !== summary.sha256) throw different();
    const seconds = (clock.now() - startedMs) / 1000;
    yield { type: "done", resentBytes: 0, seconds, ...summary };
  } catch (error) {
    // That the link has ended is known to both; only `transfer.run` was told why.
    if (error instanceof ClosedError) await run;
    throw error;
  } finally {
    stop.abort(); // harmless once the answer has come
  }
}

interface Outgoing {
  readonly head: { readonly id: number; readonly index: number };
  readonly entry: ManifestEntry;
  readonly source: string;
  readonly hash: Hash;
}

/** Sends the bytes of one file; yields the size of each message. @throws what `failed` is aborted with. */
async function* sendFile(
  link: Link,
  { head, entry, source, hash }: Outgoing,
  failed: AbortSignal,
  clock: Clock,
): AsyncGenerator<number, void, void> {
  using file = open(source);
  for (let left = entry.size; left > 0;) {
    const count = Math.min(left, CHUNK_BYTES);
    // Read straight into the outgoing batch: no copy, and one write for the whole message.
    const data = new LateBytes(count, (into) => {
      if (readInto(file, into) < count) throw changed(entry);
      hash.update(into);
    });
    await unlessAborted(link.post("transfer.data", { ...head, data }), failed, clock);
    left -= count;
    yield count;
  }
  if (readInto(file, new Uint8Array(1)) > 0) throw changed(entry);
}

function open(source: string): Deno.FsFile {
  try {
    return Deno.openSync(source);
  } catch (error) {
    throw readError(source, error);
  }
}

/** Waits for `work`, but not when the transfer has failed, and not for ever: a peer may read no more without a word. */
async function unlessAborted(
  work: Promise<void> | undefined,
  signal: AbortSignal,
  clock: Clock,
): Promise<void> {
  work?.catch(() => {}); // also when nobody waits for it any more
  signal.throwIfAborted();
  if (work === undefined) return;
  const given = Promise.withResolvers<never>();
  const onAbort = () => given.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  const timer = clock.after(STALL_MS, () => given.reject(stalled()));
  try {
    await Promise.race([work, given.promise]);
  } finally {
    timer.cancel();
    signal.removeEventListener("abort", onAbort);
  }
}

/** Reads until the buffer is full or the file ends. */
function readInto(file: Deno.FsFile, buffer: Uint8Array): number {
  let count = 0;
  while (count < buffer.length) {
    const read = file.readSync(buffer.subarray(count));
    if (read === null) break;
    count += read;
  }
  return count;
}

async function request(
  link: Link,
  header: string,
  body: MessageBody,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  const options = signal === undefined ? { timeoutMs } : { timeoutMs, signal };
  const answer = await link.request(header, body, options).catch((error) => {
    if (!(error instanceof RemoteError && error.code === "no-endpoint")) throw error;
    throw new HandshakeError("denied", `Cannot send: ${link.label} takes no files`);
  });
  const id = isObject(answer) ? answer.id : undefined;
  if (typeof id === "number") return id;
  throw new InvalidPacketError("bad-message", `Cannot send: the answer to ${header} has no id`);
}

async function confirmed(run: Promise<unknown>, clock: Clock): Promise<unknown> {
  const late = Promise.withResolvers<never>();
  const timer = clock.after(FINISH_TIMEOUT_MS, () => {
    late.reject(new TimeoutError("Cannot send: the receiver did not confirm the files in time"));
  });
  try {
    return await Promise.race([run, late.promise]);
  } finally {
    timer.cancel();
  }
}

function parseSummary(value: unknown): TransferSummary {
  const { files, bytes, sha256 } = isObject(value) ? value : {};
  if (typeof files !== "number" || typeof bytes !== "number" || typeof sha256 !== "string") {
    throw new InvalidPacketError("bad-message", "Cannot send: the receiver's summary is not one");
  }
  return { files, bytes, sha256 };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function changed({ path }: ManifestEntry): IntegrityError {
  return new IntegrityError(
    "bad-hash",
    `Cannot send "${printable(path)}": it changed while it was being read`,
  );
}

function different(): IntegrityError {
  return new IntegrityError("bad-hash", "Cannot send: what the receiver has is not what was sent");
}

function stalled(): TimeoutError {
  const text = `Cannot send: the receiver has taken nothing for ${STALL_MS / 1000} s`;
  return new TimeoutError(text, { details: { limit: "stallMs", max: STALL_MS } });
}
