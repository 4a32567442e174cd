/**
 * The steps of one transfer, from its files to its links.
 *
 * @module
 */

import { createHash, type Hash } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { Link } from "../endpoint/link.ts";
import type { MessageBody } from "../wire/message.ts";
import { LateBytes } from "../wire/msgpack_types.ts";
import { type BlockList, matchBlocks } from "./block_match.ts";
import { agreeOn, type HeldFile, parseHeld } from "./held.ts";
import { encodeRuns } from "./index_runs.ts";
import type { Lanes } from "./lanes.ts";
import type { BuiltManifest, HashedEntry, ManifestEntry } from "./manifest.ts";
import type { OfferAnswer } from "./offer.ts";
import { Pace, Squeezer } from "./pace.ts";
import { type SendOptions, SentBefore } from "./send_options.ts";
import { readSmall, SourceFile } from "./source_file.ts";
import { badField, HASH_BYTES, MAX_BATCH_FILES, PIECE_BYTES, SMALL_BYTES } from "./steps.ts";

/** Smallest piece, and its part of what a second's limit lets through. */
const MIN_PIECE_BYTES = 16 * 1024;
const PIECE_S = 0.25;

/** Time over which it is measured how much goes through. */
const MEASURE_MS = 500;

/** Chunks that are hashed, a second or so, before the receiver is told that we are still there. */
const STAY_CHUNKS = 64;

/** What there is of a file that is being sent. */
interface Sent {
  readonly index: number;
  readonly entry: ManifestEntry;
  readonly hash: Hash;
  offset: number;
}

/** Who sends what; see the module. */
export class Sending {
  /** What was sent, and its hashes, in the manifest's order. */
  readonly hashed: HashedEntry[] = [];
  /** Bytes of files that left. */
  sentBytes = 0;
  /** Bytes that did not have to. */
  spared = 0;
  readonly #link: Link;
  readonly #lanes: Lanes;
  readonly #built: BuiltManifest;
  readonly #id: number;
  readonly #answer: OfferAnswer;
  readonly #before: SentBefore;
  readonly #pace: Pace;
  readonly #squeezer: Squeezer;
  readonly #clock: Clock;
  readonly #pieceBytes: number;
  #held: AsyncGenerator<unknown, void, void> | undefined;
  #batch: [index: number, data: Uint8Array, digest: Uint8Array][] = [];
  #batchBytes = 0;
  #rate: { sinceMs: number; bytes: number; perSecond: number };

  /** Prepares to send what was accepted. */
  constructor(
    link: Link,
    lanes: Lanes,
    built: BuiltManifest,
    answer: OfferAnswer & { readonly id: number },
    options: SendOptions & { readonly clock: Clock },
  ) {
    const { before = new SentBefore(), compress = "auto", clock } = options;
    this.#link = link;
    this.#lanes = lanes;
    this.#built = built;
    this.#id = answer.id;
    this.#answer = answer;
    this.#before = before;
    this.#clock = clock;
    this.#pace = new Pace(clock, options.maxBytesPerSecond);
    this.#squeezer = new Squeezer(compress);
    const limited = this.#pace.bytesPerSecond;
    this.#pieceBytes = Math.min(
      PIECE_BYTES,
      Math.max(MIN_PIECE_BYTES, Math.floor(limited * PIECE_S)),
    );
    this.#rate = { sinceMs: clock.now(), bytes: 0, perSecond: limited };
  }

  /** Sends the files, one after the other; yields after every step. @throws as `Lanes.post` and `SourceFile`. */
  async *run(): AsyncGenerator<void, void, void> {
    const { manifest } = this.#built;
    const { wanted, held } = this.#answer;
    for (const index of wanted) {
      const entry = manifest.entries[index];
      if (entry?.kind !== "file") continue;
      const there = held.has(index) ? await this.#askHeld(index) : undefined;
      if (entry.size <= SMALL_BYTES && there?.kind !== "whole") {
        if (this.#add(index, entry)) yield await this.#flush();
        continue;
      }
      if (this.#batch.length > 0) yield await this.#flush();
      yield* this.#sendFile(index, entry, there);
    }
    if (this.#batch.length > 0) yield await this.#flush();
  }

  /** Sends what comes from somewhere, as the one file there is, until that ends. */
  async *runStream(source: AsyncIterable<Uint8Array>): AsyncGenerator<void, void, void> {
    const [entry] = this.#built.manifest.entries;
    if (entry === undefined) return;
    const sent: Sent = { index: 0, entry, hash: createHash("sha256"), offset: 0 };
    for await (const bytes of whileOpen(source, this.#lanes.signal)) {
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
        yield await this.#postBytes(sent, bytes.slice(at, at + PIECE_BYTES));
      }
    }
    await this.#postBytes(sent, new Uint8Array(0), { last: true });
    this.#end(sent);
  }

  async *#sendFile(
    index: number,
    entry: ManifestEntry,
    held: HeldFile | undefined,
  ): AsyncGenerator<void, void, void> {
    using source = new SourceFile(entry, this.#built.source(index));
    this.#squeezer.reset();
    if (held?.kind === "older") return yield* this.#sendChanges(index, source, held.blocks);
    const agreed = held && await agreeOn(source.file, held, (nth) => this.#onHashed(nth));
    const there = agreed?.bytes ?? 0;
    if (held?.kind === "whole" && agreed !== undefined && there === entry.size) {
      const digest = agreed.hash.copy().digest();
      await this.#post("whole", 0, { index, digest });
      this.spared += entry.size;
      return this.#end({ index, entry, hash: agreed.hash, offset: there });
    }
    const goesOn = held?.kind === "part" && agreed !== undefined;
    const hash = goesOn ? agreed.hash : createHash("sha256");
    const sent: Sent = { index, entry, hash, offset: goesOn ? there : 0 };
    if (!goesOn) await source.file.seek(0, Deno.SeekMode.Start);
    this.spared += sent.offset;
    this.#before.begin(index, sent.offset, held?.kind === "part" ? held.bytes : 0);
    do {
      yield await this.#postPiece(sent, source);
    } while (sent.offset < entry.size);
    source.check();
    this.#end(sent);
  }

  /** We are at it, before anything is sent of a large file. */
  #onHashed(chunks: number): void {
    this.#lanes.signal.throwIfAborted();
    if (chunks % STAY_CHUNKS === 0) this.#lanes.stay(this.#id);
  }

  /** Sends what the receiver's older version has not. */
  async *#sendChanges(
    index: number,
    source: SourceFile,
    blocks: BlockList,
  ): AsyncGenerator<void, void, void> {
    const sent: Sent = { index, entry: source.entry, hash: createHash("sha256"), offset: 0 };
    using again = new SourceFile(source.entry, this.#built.source(index));
    this.#before.begin(index, 0, 0);
    for (const match of matchBlocks(blocks, (into) => source.readSome(into))) {
      if (match.type === "data") {
        await again.file.seek(match.data.length, Deno.SeekMode.Current);
        yield await this.#postBytes(sent, match.data.slice());
        continue;
      }
      const { from, length } = match;
      const copied = new Uint8Array(length);
      again.read(copied);
      sent.hash.update(copied);
      const { offset } = sent;
      sent.offset += length;
      this.spared += length;
      const digest = sent.hash.copy().digest();
      yield await this.#post("copy", 0, { index, offset, from, length, digest });
    }
    source.check();
    this.#end(sent);
  }

  /** Sends the next bytes of a file: read straight into the outgoing batch, where they need not be made smaller. */
  async #postPiece(sent: Sent, source: SourceFile): Promise<void> {
    const count = Math.min(this.#pieceBytes, sent.entry.size - sent.offset);
    if (this.#squeezer.wants(this.#rate.perSecond)) {
      const data = new Uint8Array(count);
      source.read(data);
      return await this.#postBytes(sent, data);
    }
    const { index, hash, offset } = sent;
    const data = new LateBytes(count, (into) => {
      source.read(into);
      hash.update(into);
    });
    // Comes after the data, and so is asked for after it.
    const digest = new LateBytes(HASH_BYTES, (into) => into.set(hash.copy().digest()));
    sent.offset += count;
    await this.#pace.take(count, this.#lanes.signal);
    await this.#post("data", count, { index, offset, data, digest });
    this.#count(sent, count);
  }

  async #postBytes(sent: Sent, raw: Uint8Array, more: MessageBody = {}): Promise<void> {
    const { index, hash, offset } = sent;
    const small = raw.length > 0 && this.#squeezer.wants(this.#rate.perSecond)
      ? this.#squeezer.squeeze(raw)
      : undefined;
    hash.update(raw);
    const digest = hash.copy().digest();
    sent.offset += raw.length;
    const data = small === undefined ? { data: raw } : { data: small, raw: raw.length };
    await this.#pace.take(data.data.length, this.#lanes.signal);
    await this.#post("data", raw.length, { index, offset, ...data, digest, ...more });
    this.#count(sent, raw.length);
  }

  /** Adds a small file to those that leave together. @returns whether they are enough. */
  #add(index: number, entry: ManifestEntry): boolean {
    const data = readSmall(entry, this.#built.source(index));
    const digest = createHash("sha256").update(data).digest();
    this.#batch.push([index, data, digest]);
    this.#batchBytes += data.length;
    this.hashed.push({ path: entry.path, size: entry.size, sha256: digest.toString("hex") });
    this.#before.begin(index, 0, 0);
    this.#before.reach(index, entry.size);
    return this.#batchBytes >= this.#pieceBytes || this.#batch.length === MAX_BATCH_FILES;
  }

  async #flush(): Promise<void> {
    const [files, bytes] = [this.#batch, this.#batchBytes];
    [this.#batch, this.#batchBytes] = [[], 0];
    await this.#pace.take(bytes, this.#lanes.signal);
    await this.#post("files", bytes, { files });
    this.sentBytes += bytes;
    this.#measure(bytes);
  }

  #post(what: string, bytes: number, body: MessageBody): Promise<void> {
    return this.#lanes.post(`transfer.${what}`, bytes, (seq) => ({ id: this.#id, seq, ...body }));
  }

  #count({ index, offset }: Sent, bytes: number): void {
    this.#before.reach(index, offset);
    this.sentBytes += bytes;
    this.#measure(bytes);
  }

  #end({ entry, hash, offset }: Sent): void {
    this.hashed.push({ path: entry.path, size: offset, sha256: hash.digest("hex") });
  }

  #measure(bytes: number): void {
    const rate = this.#rate;
    rate.bytes += bytes;
    const nowMs = this.#clock.now();
    const tookMs = nowMs - rate.sinceMs;
    if (tookMs < MEASURE_MS) return;
    this.#rate = { sinceMs: nowMs, bytes: 0, perSecond: rate.bytes * 1000 / tookMs };
  }

  /** What the receiver has of a file. The answers come in the order of the manifest, and are asked for one by one. */
  async #askHeld(index: number): Promise<HeldFile | undefined> {
    this.#held ??= this.#openHeld();
    const { value, done } = await this.#lanes.expect(this.#held.next());
    if (done || typeof value !== "object" || value === null) throw badField("held");
    if ("kind" in value && value.kind === "none") return undefined;
    const held = parseHeld(value);
    if (held.index !== index) throw badField("held");
    return held;
  }

  #openHeld(): AsyncGenerator<unknown, void, void> {
    const indexes = encodeRuns([...this.#answer.held].sort((a, b) => a - b));
    const options = { timeoutMs: Infinity, signal: this.#lanes.signal, window: 4 };
    return this.#link.stream("transfer.held", { id: this.#id, indexes }, options);
  }
}

/** What comes from somewhere; ends with the signal's reason although it may wait for more. */
async function* whileOpen(
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  const iterator = source[Symbol.asyncIterator]();
  const over = Promise.withResolvers<never>();
  over.promise.catch(() => {}); // said where it is waited for
  const end = () => over.reject(signal.reason);
  signal.addEventListener("abort", end, { once: true });
  if (signal.aborted) end();
  try {
    for (;;) {
      const { value, done } = await Promise.race([iterator.next(), over.promise]);
      if (done) return;
      yield value;
    }
  } finally {
    signal.removeEventListener("abort", end);
    // Not waited for: it may be in the middle of waiting for more.
    iterator.return?.().catch(() => {});
  }
}
