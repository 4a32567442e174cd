/**
 * Keeps a folder alike with the one on the other side of a port.
 *
 * Whatever is done to the folder is told at once; a round (see `exchange_round.ts`) finds what was not heard, and notes how
 * far both have come, so that the next one is about what changed since. Rounds are the client's business: at the beginning,
 * when messages were lost, when something could not be done, and some time after something was done.
 *
 * @module
 */

import { Channel } from "../channel.ts";
import {
  ClosedError,
  LimitError,
  PeerError,
  type RemoteError,
  TimeoutError,
  UnsupportedError,
} from "../errors.ts";
import { printable } from "../log.ts";
import { encodeContent } from "./content_frames.ts";
import { ContentLink } from "./content_link.ts";
import { changedEntries } from "./entry.ts";
import { errorData, errorFromData } from "./error_codes.ts";
import { Answerer } from "./exchange_answer.ts";
import { Changes } from "./exchange_changes.ts";
import { messageFor } from "./exchange_messages.ts";
import { type PlannedStep, planRound } from "./exchange_plan.ts";
import { doRound, type RoundOptions, type RoundResult } from "./exchange_round.ts";
import { Rounds } from "./exchange_rounds.ts";
import { Taker } from "./exchange_taker.ts";
import type { FolderChange, SyncFolder } from "./folder.ts";
import type { FileChanged, SyncRequest, SyncResponse, WebSocketMessage } from "./message_types.ts";
import { errorMessage, syncRequestMessage, syncResponseMessage } from "./messages.ts";
import type { SyncInput, SyncPort } from "./port.ts";
import { Silence } from "./silence.ts";
import { makeReplica } from "./version_vector.ts";
import { type LeftBehind, TheirPart } from "./withheld.ts";

/** More changes at once are not told one by one: a round says them in less. */
const MAX_TOLD = 256;

/** Answers of a hub that may wait to be read. */
const MAX_ANSWERS = 64;

/** Nothing came for so long: the hub does not answer the round any more. */
const MAX_SILENCE_MS = 10 * 60_000;

/** So long after something was done a round notes it. */
const CONFIRM_MS = 2_000;

/** So long after a round in which something was done the next one looks whether that was all. */
const SETTLE_MS = 100;

/** Rounds until nothing more is to be done: what a conflict makes is told in the next. */
const MAX_ROUNDS = 20;

/** How to exchange. */
export interface ExchangeOptions {
  /** Who begins: a client does, a hub answers. */
  readonly role: "client" | "hub";
  /** Only looks: nothing is changed here or there. See {@linkcode Exchange.plan}. @default {false} */
  readonly dryRun?: boolean;
}

/**
 * The exchange with one other side, from now until its port ends.
 *
 * @example
 * ```ts
 * import { Peer } from "@kith/kith";
 * import { Exchange, MemoryIndex, SyncClient, SyncFolder } from "@kith/kith/sync";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * await Deno.writeTextFile(`${dir}/a.txt`, "one");
 * const hub = await Peer.open({ hostname: "127.0.0.1", port: 0, web: true, httpPort: 0 });
 * (await hub.folder(dir)).serve();
 *
 * const folder = await SyncFolder.open({ dir: `${dir}-copy`, index: new MemoryIndex() });
 * const url = `ws://127.0.0.1:${hub.httpAddress?.port}`;
 * const client = await SyncClient.open(url, { name: "ann", folder: folder.dir });
 * const exchange = Exchange.open(folder, client.port, { role: "client" });
 * assertEquals(await exchange.sync(), true);
 * assertEquals(await Deno.readTextFile(`${dir}-copy/a.txt`), "one");
 * for (const part of [exchange, client, folder, hub]) await part.close();
 * for (const place of [dir, folder.dir]) await Deno.remove(place, { recursive: true });
 * ```
 */
export class Exchange implements AsyncDisposable {
  /** Resolves, and never rejects, once all is over. @returns why, if something went wrong. */
  readonly closed: Promise<Error | undefined>;
  readonly #folder: SyncFolder;
  readonly #port: SyncPort;
  readonly #isClient: boolean;
  readonly #dryRun: boolean;
  readonly #contents: ContentLink;
  readonly #taker: Taker;
  readonly #answerer: Answerer;
  readonly #listening = new DisposableStack();
  readonly #changes: Changes;
  /**
   * What a hub's index says of what has come from this client: another name for each connection, as a client could say that
   * it is another, which then would not be told of it.
   */
  readonly #source = makeReplica();
  #theirs: string | undefined;
  #tells = false;
  #answers: Channel<SyncResponse> | undefined;
  #refused: Error | undefined;
  #silence: Silence | undefined;
  readonly #rounds: Rounds;
  #round = 0;
  #isOver = false;
  readonly #theirPart = new TheirPart();
  /** What was changed here by the other side, and there by us, since both were alike before. */
  #moved = { taken: 0, told: 0 };
  /** What of that the other side was not told yet. */
  #unsaid = 0;
  /** What it was told to be left behind when both were alike before; `undefined` when they are not known to be. */
  #saidLeft: string | undefined;

  private constructor(folder: SyncFolder, port: SyncPort, options: ExchangeOptions) {
    const { role, dryRun = false } = options;
    this.#folder = folder;
    this.#port = port;
    this.#isClient = role === "client";
    this.#dryRun = dryRun;
    this.#contents = new ContentLink({
      folder,
      send: (bytes) => port.sendContent(bytes),
      nudges: !this.#isClient,
      onBytes: (bytes) => this.#taker.addBytes(bytes),
    });
    const count = (changes: number) => {
      this.#moved.taken += changes;
      this.#unsaid += changes;
    };
    this.#taker = new Taker(folder, this.#contents.fetcher, port.peer.clientId, count);
    this.#answerer = new Answerer({
      folder,
      send: (response) => {
        return this.#send(syncResponseMessage(port.author, { ...response, ...this.#sayTook() }));
      },
      source: this.#source,
      take: (entries) => this.#taker.take(entries, this.#source),
      mayTake: () => this.#mayTake,
      onPlan: () => this.#begin(this.#source),
      onRound: (taken, told) => this.#noteRound(taken, told),
      onFailure: (error, round) => this.#refuse(error, round),
    });
    this.#changes = new Changes({
      take: (entries, source) => this.#taker.take(entries, source),
      onTaken: (failed) => failed === 0 ? this.#schedule(CONFIRM_MS) : this.#retry(),
      onDropped: () => this.#schedule(0),
      onFailure: (error) => this.#fail(error),
    });
    this.#rounds = new Rounds(folder.clock, async () => {
      await this.#doRound().catch((error) => {
        // A cut is told as such, and the round is done again.
        if (!this.#isOver && !(error instanceof ClosedError)) this.#fail(error);
      });
    });
    this.#listening.use(folder.onChange((changes) => this.#tell(changes)));
    this.#listening.use(folder.onRules(() => this.#tells && this.#ask()));
    this.closed = this.#run();
  }

  /** Begins. A client that is no dry run does its first round at once. */
  static open(folder: SyncFolder, port: SyncPort, options: ExchangeOptions): Exchange {
    const exchange = new Exchange(folder, port, options);
    if (exchange.#isClient && !exchange.#dryRun) exchange.#schedule(0);
    return exchange;
  }

  /** Bytes of contents that have come and gone. */
  get contentBytes(): { readonly received: number; readonly sent: number } {
    const { received, sent } = this.#contents;
    return { received, sent };
  }

  /**
   * Does rounds until both sides have what the other has. A client's.
   *
   * @returns whether they have; not when something can be done on neither side.
   * @throws {ClosedError} when the port ends first. @throws {UnsupportedError} when the hub keeps no index.
   */
  async sync(): Promise<boolean> {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const { taken, told, isWhole } = await this.#doRound();
      if (taken === 0 && told === 0) return true;
      if (!isWhole && round > 2) return false;
    }
    return false;
  }

  /** What a round would do; also told as events. A client's. @throws as {@linkcode Exchange.sync}. */
  async plan(): Promise<PlannedStep[]> {
    const steps = await this.#inRound(() => planRound(this.#roundOptions()));
    for (const step of steps) this.#folder.tell({ type: "plan", ...step });
    return steps;
  }

  /** Ends it and its port. @param why What the other side is told. @default goodbye */
  async close(why?: Error): Promise<void> {
    this.#port.close(why);
    await this.closed;
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  get #mayTake(): boolean {
    return this.#port.peer.canWrite && !this.#folder.readOnly && !this.#dryRun;
  }

  async #run(): Promise<Error | undefined> {
    let failure: Error | undefined;
    try {
      for await (const input of this.#port.receive) this.#take(input);
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error));
      this.#folder.log.warn("exchange ended", { reason: printable(failure.message, 400) });
      this.#port.close(failure);
    }
    this.#isOver = true;
    this.#listening[Symbol.dispose]();
    this.#contents.close();
    this.#answers?.close();
    await Promise.allSettled([this.#rounds.end(), this.#changes.end(), this.#answerer.end()]);
    return failure ?? await this.#port.closed;
  }

  #take(input: SyncInput): void {
    this.#silence?.heard();
    switch (input.type) {
      case "content":
        return this.#contents.take(input.bytes);
      case "message":
        return this.#takeMessage(input.message);
      case "resumed":
        return this.#contents.restart();
      case "resync":
        this.#contents.restart();
        return this.#resync();
      default:
        input satisfies never;
    }
  }

  #takeMessage({ type, data }: WebSocketMessage): void {
    switch (type) {
      case "file_changed":
        return this.#takeChange(data as FileChanged);
      case "sync_request":
        return this.#takeRequest(data as SyncRequest);
      case "sync_response":
        this.#moved.told += (data as SyncResponse).took ?? 0;
        // What was cut off may still be answered.
        if (data.round === this.#round) this.#takeAnswer(data as SyncResponse);
        return;
      case "error":
        return this.#takeError(errorFromData(data), data.round);
      default: // what a later version added
    }
  }

  #takeAnswer(response: SyncResponse): void {
    // A hub waits with each page until the one before is on its way, and we take them as they come.
    if (this.#answers?.push(response) === undefined) return;
    throw new LimitError("limit", `Cannot sync: more than ${MAX_ANSWERS} answers wait`, {
      details: { limit: "maxAnswers", max: MAX_ANSWERS },
    });
  }

  #takeError(error: RemoteError, round: unknown): void {
    // That of a goodbye is why the connection ends then, and no failure.
    if (error.code === "closed") return;
    // What could not even be read is refused without its number.
    const isOfRound = this.#answers !== undefined && (round ?? this.#round) === this.#round;
    if (!isOfRound) return this.#folder.tell({ type: "failed", reason: error.message });
    this.#refused = error;
    this.#answers?.close();
  }

  #takeRequest(request: SyncRequest): void {
    this.#moved.told += request.took ?? 0;
    // The hub has more to say than it would say unasked.
    if (this.#isClient) return this.#schedule(0);
    this.#answerer.take(request);
  }

  /** Something that was asked for could not be answered. */
  #refuse(error: unknown, round: number | undefined): void {
    if (error instanceof ClosedError) return;
    this.#fail(error);
    const answered = round === undefined ? {} : { round };
    this.#port.send(errorMessage(this.#port.author, { ...errorData(error), ...answered }));
    if (error instanceof PeerError) this.#port.close(error);
  }

  #takeChange(change: FileChanged): void {
    if (!this.#mayTake) return;
    const entries = changedEntries(change);
    if (entries.length === 0) {
      const path = printable(change.file_path);
      this.#folder.log.debug("change without an entry", { path });
    }
    this.#changes.add(entries);
  }

  /** Tells the other side what was done here. */
  #tell(changes: readonly FolderChange[]): void {
    if (!this.#tells) return;
    const news = changes.filter(({ source }) => source === "" || source !== this.#theirs);
    if (news.length === 0) return;
    // Not given, which a round finds out and says.
    if (!this.#port.writable) return this.#schedule(CONFIRM_MS);
    if (news.length > MAX_TOLD) return this.#ask();
    for (const { change } of news) this.#port.send(messageFor(change, this.#port));
    this.#schedule(CONFIRM_MS);
  }

  /** Has a round done soon, by us or by the client. */
  #ask(): void {
    if (this.#isClient) return this.#schedule(0);
    const { author } = this.#port;
    const { replica } = this.#folder.index;
    this.#port.send(syncRequestMessage(author, { replica }));
  }

  #resync(): void {
    this.#tells = false;
    this.#answers?.close();
    this.#ask();
  }

  /** From here on everything is told. */
  #begin(theirs: string): void {
    this.#theirs = this.#changes.source = theirs;
    this.#tells = !this.#dryRun;
  }

  /** Has a round done after some time, unless one is due before. */
  #schedule(delayMs: number): void {
    if (this.#isClient && !this.#dryRun) this.#rounds.schedule(delayMs);
  }

  #doRound(): Promise<RoundResult> {
    return this.#inRound(async () => {
      const result = await doRound(this.#roundOptions());
      const { taken, told, isWhole, left } = result;
      if (!isWhole) this.#retry();
      else {
        this.#rounds.settle();
        this.#noteRound(taken, told, left);
        if (taken > 0 || told > 0) this.#schedule(SETTLE_MS);
      }
      return result;
    });
  }

  /** Both sides are alike once a round has found nothing to do; said once for all that was done before. */
  #noteRound(taken: number, told: number, left: LeftBehind = {}): void {
    if (taken + told > 0) this.#saidLeft = undefined;
    else {
      const nowLeft = JSON.stringify(left);
      const hasMoved = this.#moved.taken + this.#moved.told > 0;
      if (!hasMoved && this.#saidLeft === nowLeft) return;
      const { clientId: peer, canWrite } = this.#port.peer;
      const readsOnly = canWrite ? {} : { readsOnly: true } as const;
      this.#folder.tell({ type: "synced", peer, ...this.#moved, ...left, ...readsOnly });
      this.#saidLeft = nowLeft;
      this.#moved = { taken: 0, told: 0 };
    }
  }

  #sayTook(): { took?: number } {
    const took = this.#unsaid;
    this.#unsaid = 0;
    return took === 0 ? {} : { took };
  }

  #inRound<T>(work: () => Promise<T>): Promise<T> {
    return this.#rounds.inTurn(async () => {
      if (this.#isOver) throw new ClosedError("Cannot sync: the exchange has ended");
      if (!this.#port.peer.capabilities.includes("index")) {
        throw new UnsupportedError("Cannot sync: the hub keeps no index");
      }
      this.#answers = new Channel(MAX_ANSWERS);
      this.#refused = undefined;
      this.#round++;
      // A hub that takes contents in asks for them.
      using silence = new Silence(this.#folder.clock, MAX_SILENCE_MS, () => {
        this.#refused = new TimeoutError("Cannot sync: the hub has not answered for 10 minutes");
        this.#answers?.close();
      });
      this.#silence = silence;
      try {
        return await work();
      } catch (error) {
        this.#theirs = this.#changes.source = undefined; // maybe another by now
        this.#retry();
        throw this.#refused ?? error;
      } finally {
        this.#answers.close();
        this.#answers = undefined;
      }
    });
  }

  #retry(): void {
    if (this.#isClient && !this.#dryRun) this.#rounds.retry();
  }

  #roundOptions(): RoundOptions {
    const answers = this.#answers?.[Symbol.asyncIterator]();
    const round = this.#round;
    return {
      folder: this.#folder,
      theirs: this.#theirs,
      tells: this.#port.writable,
      theirPart: this.#theirPart,
      send: (request) => {
        const whole = { ...request, ...this.#sayTook(), round };
        return this.#send(syncRequestMessage(this.#port.author, whole));
      },
      next: async () => (await answers?.next())?.value ?? undefined,
      take: (entries, source) => this.#taker.take(entries, source),
      onAsk: (replica) => this.#begin(replica),
    };
  }

  /** Sends a message, and waits until it is on its way. */
  async #send(message: WebSocketMessage): Promise<void> {
    if (!this.#port.send(message)) throw new ClosedError("Cannot sync: there is no connection");
    if (!this.#port.peer.capabilities.includes("index")) return;
    // Cut off or not, the message arrives, or we are told.
    await this.#port.sendContent(encodeContent({ type: "nothing", id: 0 })).catch(() => {});
  }

  #fail(error: unknown): void {
    const reason = printable(error instanceof Error ? error.message : String(error), 400);
    this.#folder.log.warn("exchange failed", { reason });
    this.#folder.tell({ type: "failed", reason });
  }
}
