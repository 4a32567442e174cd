/**
 * What web pages on this machine see of a peer, and have it do: the seed's DataWeaver messages over WebSockets.
 *
 * A page opens two WebSockets at {@linkcode PAGE_PATH} of the web port, or at `/` as the pages of the original program
 * do; the first message on each chooses the channel that it serves, by the first character of its header: `0` data, `1`
 * signal. `page_headers.ts` says what a page can ask for. Without being asked it gets:
 *
 * | header                                  | content                                             | `peerId` |
 * |-----------------------------------------|-----------------------------------------------------|----------|
 * | `1new peer`, `1remove peer`             | `{name, ip}`                                        | who      |
 * | `0received text`                        | the text                                            | from     |
 * | `1transfer update`                      | as for what is sent; `item_path` as it was received | from     |
 * | `0a file recv request has been arrived` | `{name, files, bytes, paths}`: a question           | from     |
 * | `0messages dropped`, `1messages dropped`| `{count}`: of those that waited for a page          |          |
 *
 * A question's answer has the same `msgId`; this one's is `{"accept": true}`, and everything else a refusal.
 *
 * @module
 */

import type { Timer } from "../clock.ts";
import { limitError, rateError, TokenBuckets } from "../endpoint/limits.ts";
import type { Upgrade } from "../endpoint/web.ts";
import { NotFoundError, PeerError } from "../errors.ts";
import { printable } from "../log.ts";
import { type Address, formatAddress } from "../transport/transport.ts";
import { MAX_JSON_BYTES } from "../wire/json.ts";
import type { DataWeaver, DataWeaverId } from "../wire/weaver.ts";
import { type AdmissionRules, parseOrigins, refusalOf } from "./admission.ts";
import type { PageOptions, PageParts } from "./options.ts";
import { Outlet } from "./outlet.ts";
import { PageChannel } from "./page_channel.ts";
import type { PageDesk } from "./page_desk.ts";
import { PAGE_SERVICES, shownPeer } from "./page_headers.ts";
import { isFields, msgIdIn, readPageMessage } from "./page_message.ts";
import { Presence } from "./presence.ts";
import { Questions } from "./questions.ts";
import { ReceivedTransfers, type TransferNews } from "./received.ts";
import { SharedFolder } from "./shared_folder.ts";

/** Where pages come in. */
export const PAGE_PATH = "/page";

/** Where those of the original program come in, whose port has no paths. */
const ORIGINAL_PATH = "/";

/** WebSockets at the same time unless told otherwise: four pages. */
export const MAX_PAGE_SOCKETS = 8;

/** Messages that wait for a page on each channel unless told otherwise, as the original program has it. */
export const MAX_WAITING_MESSAGES = 1_000;

/** Messages that one socket may send: far more than people click, far fewer than keep the peer busy. */
export const PAGE_RATE = { perSecond: 50, burst: 200 } as const;

/**
 * Time between two looks at who is there, in milliseconds. Events would also show whoever connects for a moment, as
 * members do to compare what they know; and of a list nothing can be missed.
 */
export const LOOK_MS = 500;

/** How long a page may take to answer unless told otherwise: as long as a person thinks, and less than a sender waits. */
export const ANSWER_MS = 90_000;

/** Messages from one page that may wait to be read. */
const MAX_INBOX_MESSAGES = 256;

/** Paths that a page is shown of what somebody wants to send. */
const MAX_SHOWN_PATHS = 16;

/** Somebody wants to send files. */
export interface PageOffer {
  /** Who. */
  readonly from: { readonly peerId: string; readonly name: string };
  /** What. */
  readonly manifest: {
    /** How many files. */
    readonly files: number;
    /** Their size together. */
    readonly totalBytes: number;
    /** Their paths. */
    readonly entries: readonly { readonly path: string }[];
  };
}

/** How to ask a page. */
export interface PageAskOptions {
  /** The peer that it is about. @default none */
  peerId?: string;
  /** How long the answer may take, in milliseconds. @default {90000} */
  timeoutMs?: number;
  /** Gives up when aborted. */
  signal?: AbortSignal;
}

/**
 * Serves pages; see the module.
 *
 * @example
 * ```ts
 * import { Peer } from "@kith/kith";
 * import { PAGE_PATH } from "@kith/kith/page";
 * import { connectWebSocket } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * await using peer = await Peer.open({ hostname: "127.0.0.1", port: 0, web: true, httpPort: 0 });
 * peer.page().tell("0weather", "fair"); // waits for a page
 * const socket = await connectWebSocket(`ws://127.0.0.1:${peer.httpAddress?.port}${PAGE_PATH}`);
 * await socket.send('{"header":"0hello"}'); // this socket is for data
 * assertEquals(JSON.parse(String(await socket.receive())).content, "fair");
 * socket.close();
 * ```
 */
export class Page implements AsyncDisposable {
  readonly #parts: PageParts;
  readonly #rules: AdmissionRules;
  readonly #maxSockets: number;
  readonly #outlet: Outlet;
  readonly #desk: PageDesk;
  readonly #rate: TokenBuckets;
  readonly #questions: Questions;
  readonly #presence = new Presence();
  readonly #received = new ReceivedTransfers(() => this.#desk.newTransferId());
  readonly #atWork = new Map<string, number>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #closing = new AbortController();
  readonly #paths: DisposableStack;
  #timer: Timer | undefined;
  #transfers = 0;

  /**
   * Serves pages from now on.
   *
   * @throws {TypeError} for an origin that is none, and when the web port's path is taken.
   */
  constructor(parts: PageParts, options: PageOptions = {}) {
    const { style = "kith", origins = [], shareFrom, allowRemote = false } = options;
    const { maxSockets = MAX_PAGE_SOCKETS, maxWaiting = MAX_WAITING_MESSAGES } = options;
    const { clock, metrics } = parts;
    this.#parts = parts;
    this.#rules = { origins: parseOrigins(origins), allowRemote };
    this.#maxSockets = maxSockets;
    this.#outlet = new Outlet({ style, maxWaiting, metrics });
    this.#desk = {
      parts,
      style,
      folder: shareFrom === undefined ? undefined : new SharedFolder(shareFrom),
      signal: this.#closing.signal,
      tell: (message) => this.#outlet.send(message),
      newTransferId: () => String(this.#transfers++),
    };
    this.#rate = new TokenBuckets(clock, PAGE_RATE);
    this.#questions = new Questions(clock);
    using paths = new DisposableStack();
    for (const path of [PAGE_PATH, ORIGINAL_PATH]) {
      paths.use(parts.web.take(path, (request, remote, upgrade) => {
        return this.#visit(request, remote, upgrade);
      }));
    }
    this.#paths = paths.move();
    this.#look();
  }

  /** WebSockets there are. */
  get sockets(): number {
    return this.#outlet.sockets;
  }

  /** Messages that wait for a page. */
  get waiting(): number {
    return this.#outlet.waiting;
  }

  /**
   * Tells every page on the header's channel; where there is none the message waits. One that is longer than 1 MiB is
   * replaced by an error that says so.
   *
   * @throws {TypeError} when the header begins with neither 0 nor 1, or JSON cannot carry the content.
   */
  tell(header: string, content: unknown, options: { peerId?: string } = {}): void {
    this.#outlet.send({ header, content, peerId: options.peerId });
  }

  /**
   * Asks the pages on the header's channel; the first answer counts.
   *
   * @returns the content of the answer. @throws {RemoteError} when that is an error.
   * @throws {TimeoutError} when there is none in time. @throws {LimitError} when too many questions wait.
   * @throws {ClosedError} when pages are served no more. @throws {TypeError} as {@linkcode Page.tell}.
   */
  async ask(header: string, content: unknown, options: PageAskOptions = {}): Promise<unknown> {
    const { peerId, timeoutMs = ANSWER_MS, signal } = options;
    const send = (msgId: string) => this.#outlet.send({ header, content, peerId, msgId });
    return await this.#questions.ask(send, { timeoutMs, signal });
  }

  /** Shows a text message that came. @param from Who sent it; who is no kith peer has no id. */
  showText(from: { readonly peerId?: string }, text: string): void {
    this.#outlet.send({ header: "0received text", content: text, peerId: from.peerId });
  }

  /** Shows what a receiver says of files that come. */
  showTransfer(news: TransferNews): void {
    const content = this.#received.describe(news);
    this.#outlet.send({ header: "1transfer update", content, peerId: news.from.peerId });
  }

  /** Asks a page whether files may come: what a receiver takes as its `accept`. Where no page is there, they may not. */
  async decide({ from, manifest }: PageOffer): Promise<boolean> {
    const { log } = this.#parts;
    const { peerId } = from;
    if (!this.#outlet.has("data")) return false;
    const { files, totalBytes, entries } = manifest;
    const paths = entries.slice(0, MAX_SHOWN_PATHS).map(({ path }) => path);
    const content = { name: from.name, files, bytes: totalBytes, paths };
    try {
      const answer = await this.ask("0a file recv request has been arrived", content, { peerId });
      return isFields(answer) && answer.accept === true;
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      log.info("no page has accepted an offer", { from: peerId, why: error.message });
      return false;
    }
  }

  /** Gives up what pages have asked for and closes their WebSockets. Harmless when closed. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#paths.dispose();
    this.#timer?.cancel();
    this.#questions.close();
    this.#outlet.close();
    await Promise.all(this.#tasks);
  }

  /** The same as {@linkcode Page.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #visit(request: Request, remote: Address, upgrade: Upgrade): Response {
    const { log, metrics } = this.#parts;
    const [host, origin] = [request.headers.get("host"), request.headers.get("origin")];
    const why = refusalOf({ remote, host, origin }, this.#rules);
    if (why !== undefined) {
      metrics.counter(`page.refused.${why}`).add();
      const shown = { host: printable(host ?? "", 80), origin: printable(origin ?? "", 80) };
      log.debug("turned a page away", { why, from: formatAddress(remote), ...shown });
      return new Response(`This page may not connect: ${why}\n`, { status: 403 });
    }
    if (this.#outlet.sockets >= this.#maxSockets) {
      metrics.counter("page.refused.limit").add();
      const text = `There are ${this.#maxSockets} page sockets (maxSockets)\n`;
      return new Response(text, { status: 503 });
    }
    const { socket, response } = upgrade({
      maxMessageBytes: MAX_JSON_BYTES,
      maxInboxMessages: MAX_INBOX_MESSAGES,
    });
    const channel = new PageChannel(socket, this.#parts);
    this.#outlet.add(channel);
    this.#track(this.#serve(channel));
    return response;
  }

  async #serve(channel: PageChannel): Promise<void> {
    const kind = await channel.choose();
    if (kind === undefined) return;
    this.#outlet.welcome(channel, kind);
    for (;;) {
      const input = await channel.receive();
      if (input === undefined) return;
      this.#take(channel, input);
    }
  }

  #take(channel: PageChannel, input: string | Uint8Array): void {
    if (!this.#rate.take(channel.source)) {
      const what = "Cannot take page message: messages of one socket";
      return this.#fail(channel, null, rateError(what, "pageMessages", PAGE_RATE.burst));
    }
    let message: DataWeaver;
    try {
      message = readPageMessage(input);
    } catch (error) {
      return this.#fail(channel, msgIdIn(input), error);
    }
    if (!this.#questions.settle(message)) this.#track(this.#answer(channel, message));
  }

  async #answer(channel: PageChannel, message: DataWeaver): Promise<void> {
    const { header, msgId } = message;
    try {
      const service = header === null ? undefined : PAGE_SERVICES.get(header);
      if (header === null || service === undefined) throw unknown(header);
      using _place = this.#hold(header, service.most);
      const reply = (header: string, content: unknown, peerId?: string) => {
        this.#outlet.send({ header, content, peerId, msgId }, channel);
      };
      await service.serve({ message, reply }, this.#desk);
    } catch (error) {
      this.#fail(channel, msgId, error);
    }
  }

  /** Counts a message of that header as at work. @throws {LimitError} when there are too many. */
  #hold(header: string, most: number): Disposable {
    const count = this.#atWork.get(header) ?? 0;
    if (count >= most) {
      throw limitError(`Cannot serve "${header}": ${most} are at work`, "pageRequests", most);
    }
    this.#atWork.set(header, count + 1);
    const release = () => this.#atWork.set(header, (this.#atWork.get(header) ?? 1) - 1);
    return { [Symbol.dispose]: () => void release() };
  }

  #fail(channel: PageChannel, msgId: DataWeaverId, error: unknown): void {
    const { log, metrics } = this.#parts;
    metrics.counter("page.errors").add();
    if (!(error instanceof PeerError) && !this.#closing.signal.aborted) {
      log.error("cannot serve a page's message", { why: printable(String(error)) });
    }
    this.#outlet.fail(channel, msgId, error);
  }

  /** Tells who came and went since the look before. */
  #look(): void {
    const { came, went } = this.#presence.look(this.#parts.peers());
    for (const peer of went) this.tell("1remove peer", shownPeer(peer), { peerId: peer.peerId });
    for (const peer of came) this.tell("1new peer", shownPeer(peer), { peerId: peer.peerId });
    this.#timer = this.#parts.clock.after(LOOK_MS, () => this.#look());
  }

  #track(task: Promise<void>): void {
    this.#tasks.add(task);
    void task.finally(() => this.#tasks.delete(task));
  }
}

function unknown(header: string | null): NotFoundError {
  const shown = header === null ? "null" : `"${printable(header, 64)}"`;
  return new NotFoundError("no-endpoint", `There is no page header ${shown}`);
}
