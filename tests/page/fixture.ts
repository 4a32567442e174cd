/**
 * Pages of a peer that does what a test tells it, on real sockets, and the programs that open them.
 *
 * @module
 */

import { ManualClock } from "../../src/clock.ts";
import { ClosedError } from "../../src/errors.ts";
import type { Logger } from "../../src/log.ts";
import type { PageOptions, PageParts, PagePeer, PageSendOptions } from "../../src/page/options.ts";
import { Page, PAGE_PATH } from "../../src/page/page.ts";
import type { MessageSocket } from "../../src/transport/mod.ts";
import { Journal, settle } from "../endpoint/fixture.ts";
import { until, WebPair } from "../endpoint/web_fixture.ts";

/** A message as it stands in JSON. */
export interface Shown {
  readonly header: string;
  readonly content: unknown;
  readonly peerId: unknown;
  readonly msgId: unknown;
  readonly type: unknown;
}

/** A peer of that id, which is forty times the same digit. */
export function peerOf(digit: string, name = `peer ${digit}`, ip = `192.0.2.${digit}`): PagePeer {
  return { peerId: digit.repeat(40), name, ip };
}

/** How to open a {@linkcode Scene}. */
export interface SceneOptions {
  readonly page?: PageOptions;
  readonly parts?: Partial<PageParts>;
}

/** A peer with a web port, and its page. */
export class Scene implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly journal = new Journal();
  /** Who is known. */
  peers: PagePeer[] = [];
  /** Who is around. */
  around: PagePeer[] = [];
  /** What the peer was told to do. */
  readonly done: unknown[] = [];
  readonly #pair: WebPair;
  readonly #page: Page;
  readonly #clients: PageClient[] = [];
  #taken = 0;

  private constructor(pair: WebPair, { page = {}, parts = {} }: SceneOptions) {
    this.#pair = pair;
    this.#page = new Page({ ...this.#parts(), ...parts }, page);
  }

  static async open(options: SceneOptions = {}): Promise<Scene> {
    await using parts = new AsyncDisposableStack();
    const scene = new Scene(parts.use(await WebPair.open()), options);
    parts.move();
    return scene;
  }

  get page(): Page {
    return this.#page;
  }

  get web(): WebPair {
    return this.#pair;
  }

  get counters(): Record<string, number> {
    return this.#pair.metrics.snapshot();
  }

  /** A page's socket, once it serves a channel. */
  async client(kind: "0" | "1", path: string = PAGE_PATH): Promise<PageClient> {
    const client = await this.stranger(path);
    client.send({ header: `${kind}hello` });
    await this.settled();
    return client;
  }

  /** Waits until the page has taken all that was sent to it. */
  async settled(): Promise<void> {
    await until(() => this.#clients.reduce((sum, { sent }) => sum + sent, 0) === this.#taken);
    await settle();
  }

  /** A socket that has said nothing. */
  async stranger(path: string = PAGE_PATH): Promise<PageClient> {
    const client = await PageClient.open(this.#pair.url + path);
    this.#clients.push(client);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#page.close();
    for (const client of this.#clients) client.close();
    await Promise.all(this.#clients.map(({ closed }) => closed));
    await this.#pair[Symbol.asyncDispose]();
  }

  /** Counts what is taken from a socket: to ask it would take longer, as small writes in a row wait for each other. */
  #counted(socket: MessageSocket): MessageSocket {
    return {
      remote: socket.remote,
      maxMessageBytes: socket.maxMessageBytes,
      closed: socket.closed,
      send: (message) => socket.send(message),
      receive: async (options) => {
        const message = await socket.receive(options);
        if (message !== undefined) this.#taken++;
        return message;
      },
      close: (code, reason) => socket.close(code, reason),
    };
  }

  #parts(): PageParts {
    const note = (...facts: unknown[]) => void this.done.push(facts);
    const log: Logger = this.journal;
    return {
      web: {
        take: (path, taker) => {
          return this.#pair.web.take(path, (request, remote, upgrade) => {
            return taker(request, remote, (options) => {
              const { socket, response } = upgrade(options);
              return { socket: this.#counted(socket), response };
            });
          });
        },
      },
      clock: this.clock,
      log,
      metrics: this.#pair.metrics,
      peers: () => this.peers,
      find: ({ signal }) => around(() => this.around, signal),
      connect: (peerId) => {
        note("connect", peerId);
        return Promise.resolve({ peerId, name: "found", ip: "192.0.2.9" });
      },
      sendText: (peerId, text) => Promise.resolve(note("text", peerId, text)),
      sendPaths: (peerId, paths, { onProgress }: PageSendOptions) => {
        note("paths", peerId, paths);
        onProgress(7);
        return Promise.resolve();
      },
    };
  }
}

async function* around(peers: () => readonly PagePeer[], signal: AbortSignal) {
  yield* peers();
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => resolve(), { once: true });
  await promise;
}

/** A program that opens a page's WebSocket. */
export class PageClient {
  /** How it was closed. */
  readonly closed: Promise<{ code: number; reason: string }>;
  /** Messages sent. */
  sent = 0;
  readonly #socket: WebSocket;
  readonly #texts: string[] = [];
  #waiting: PromiseWithResolvers<void> | undefined;
  #over = false;
  #count = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    const closed = Promise.withResolvers<{ code: number; reason: string }>();
    this.closed = closed.promise;
    socket.onmessage = ({ data }) => {
      this.#texts.push(data);
      this.#waiting?.resolve();
    };
    socket.onclose = ({ code, reason }) => {
      this.#over = true;
      this.#waiting?.resolve();
      closed.resolve({ code, reason });
    };
  }

  /** Connects. @throws {ClosedError} when that fails. */
  static async open(url: string): Promise<PageClient> {
    const socket = new WebSocket(url);
    const client = new PageClient(socket);
    const opened = new Promise<void>((resolve) => socket.onopen = () => resolve());
    await Promise.race([opened, client.closed]);
    if (client.#over) throw new ClosedError("The page was turned away");
    return client;
  }

  /** Sends a message; what it lacks is filled in. */
  send(message: Record<string, unknown>): void {
    this.raw(JSON.stringify({ content: null, peerId: null, msgId: null, ...message }));
  }

  /** Sends what may be no message. */
  raw(data: string | Uint8Array<ArrayBuffer>): void {
    this.#socket.send(data);
    this.sent++;
  }

  /** Sends a message and waits for what has its id. */
  async ask(message: Record<string, unknown>): Promise<Shown> {
    const msgId = `ask ${++this.#count}`;
    this.send({ ...message, msgId });
    for (;;) {
      const shown = await this.next();
      if (shown.msgId === msgId) return shown;
    }
  }

  /** The next message. */
  async next(): Promise<Shown> {
    return JSON.parse(await this.text());
  }

  /** The next message as it came. @throws {ClosedError} when there will be none. */
  async text(): Promise<string> {
    while (this.#texts.length === 0) {
      if (this.#over) throw new ClosedError("The page's socket is closed");
      this.#waiting = Promise.withResolvers();
      await this.#waiting.promise;
    }
    return this.#texts.shift() ?? "";
  }

  /** Waits until all that was sent before has been taken; what comes meanwhile is there to be read. */
  async settled(): Promise<void> {
    const msgId = `settled ${++this.#count}`;
    this.send({ header: "0settled", msgId });
    const kept: string[] = [];
    for (;;) {
      const text = await this.text();
      if (JSON.parse(text).msgId === msgId) break;
      kept.push(text);
    }
    this.#texts.unshift(...kept);
  }

  close(): void {
    this.#socket.close();
  }
}
