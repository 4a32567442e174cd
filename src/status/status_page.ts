/**
 * The status page and `/metrics` on the web port: how a peer is, for whoever may see it, and nothing else.
 *
 * | request                         | answer                                                        |
 * |---------------------------------|---------------------------------------------------------------|
 * | `GET /`, `GET /status`          | the page, one file                                            |
 * | `GET /metrics`                  | counters and figures for Prometheus                           |
 * | WebSocket at `/status`          | DataWeaver messages, about one a second while somebody looks  |
 *
 * The WebSocket carries `0status` with all parts first, then `0status update` with those that have changed. Nothing is taken:
 * whoever sends something is closed, and no request changes anything. Who may see it is decided as for pages that have the peer
 * do things: callers of this machine, to whom it must be known by an address or `localhost`, and no page of another site.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";
import type { Upgrade, WebPort } from "../endpoint/web.ts";
import { PeerError } from "../errors.ts";
import { type Logger, printable } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import { type AdmissionRules, refusalOf } from "../page/admission.ts";
import { type Address, formatAddress, type MessageSocket } from "../transport/transport.ts";
import { encodeWeaver } from "../wire/weaver.ts";
import { STATUS_DOCUMENT } from "./document.ts";
import { StatusFeed, type StatusParts } from "./feed.ts";
import { METRICS_TYPE, writeMetrics } from "./metrics_text.ts";
import type { StatusSource } from "./source.ts";

/** Where the page and its WebSocket are. */
export const STATUS_PATH = "/status";

/** Where the page is, too: who types the port alone gets it. */
export const HOME_PATH = "/";

/** Where the counters are. */
export const METRICS_PATH = "/metrics";

/** Time between two messages to who looks, in milliseconds. */
export const LOOK_EVERY_MS = 1_000;

/** Who may look at the same time. */
export const MAX_VIEWERS = 16;

/** How long somebody may read nothing of what it is sent before it is cut off, in milliseconds. */
const STALLED_MS = 30_000;

/** Longest message that is sent: 16 parts of 64 Ki UTF-16 units each, which are at most three bytes of UTF-8. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/** Why this side closes a socket: codes that RFC 6455, section 7.4.2, leaves to programs. */
const CLOSE_CODES = { takesNothing: 4400, slow: 4413 } as const;

/** What a {@linkcode StatusPage} needs. */
export interface StatusPageParts {
  /** Where it is served. */
  readonly web: Pick<WebPort, "serve" | "take">;
  /** Where time comes from. */
  readonly clock: Clock;
  /** Where to say what happens. */
  readonly log: Logger;
  /** What `/metrics` shows, and where `status.*` is counted. */
  readonly metrics: Metrics;
}

/** How to serve the page. */
export interface StatusPageOptions {
  /** Answer callers of other machines too, who ask for it by address. @default {false} */
  allowRemote?: boolean;
  /** What it shows from the beginning. @default {[]} */
  sources?: readonly StatusSource[];
}

/**
 * Serves the page; see the module.
 *
 * @example With something more to show
 * ```ts
 * import { Peer } from "@kith/kith";
 * import { assertStringIncludes } from "@std/assert";
 *
 * await using peer = await Peer.open({ hostname: "127.0.0.1", port: 0, web: true, httpPort: 0 });
 * const page = peer.statusPage();
 * page.add({
 *   name: "garden",
 *   snapshot: () => ({ tomatoes: 7 }),
 *   figures: () => [{ name: "tomatoes", help: "Ripe tomatoes", type: "gauge", value: 7 }],
 * });
 *
 * const response = await fetch(`http://127.0.0.1:${peer.httpAddress?.port}/metrics`);
 * assertStringIncludes(await response.text(), "\nkith_tomatoes 7\n");
 * ```
 */
export class StatusPage implements Disposable {
  readonly #parts: StatusPageParts;
  readonly #rules: AdmissionRules;
  readonly #feed: StatusFeed;
  readonly #viewers = new Set<Viewer>();
  readonly #paths: DisposableStack;
  #timer: Timer | undefined;

  /**
   * Serves the page from now on.
   *
   * @throws {TypeError} when one of its paths is taken, and as {@linkcode StatusPage.add}.
   */
  constructor(parts: StatusPageParts, options: StatusPageOptions = {}) {
    const { allowRemote = false, sources = [] } = options;
    this.#parts = parts;
    this.#rules = { origins: new Set(), allowRemote };
    this.#feed = new StatusFeed(parts.log);
    using paths = new DisposableStack();
    for (const source of sources) this.#feed.add(source);
    const serve = (path: string, answer: () => Response) => {
      paths.use(parts.web.serve(path, (request, remote) => this.#answer(request, remote, answer)));
    };
    for (const path of [HOME_PATH, STATUS_PATH]) serve(path, documentResponse);
    serve(METRICS_PATH, () => this.#metrics());
    paths.use(parts.web.take(STATUS_PATH, (...visit) => this.#visit(...visit)));
    this.#paths = paths.move();
  }

  /** Who looks now. */
  get viewers(): number {
    return this.#viewers.size;
  }

  /**
   * Shows something more.
   *
   * @returns what ends that. @throws {TypeError} when there is a source of that name. @throws {RangeError} when there are 16.
   */
  add(source: StatusSource): Disposable {
    return this.#feed.add(source);
  }

  /** Serves it no more, and closes the WebSockets. Harmless when closed. */
  close(): void {
    this.#paths.dispose();
    this.#timer?.cancel();
    for (const viewer of this.#viewers) viewer.close(1000, "the status page is served no more");
  }

  /** The same as {@linkcode StatusPage.close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  #answer(request: Request, remote: Address, answer: () => Response): Response {
    const refusal = this.#refuse(request, remote);
    if (refusal !== undefined) return refusal;
    const { method } = request;
    if (method === "GET") return answer();
    if (method === "HEAD") return new Response(null, answer());
    const headers = { ...PLAIN_HEADERS, allow: "GET, HEAD" };
    return new Response("Only GET and HEAD are answered here\n", { status: 405, headers });
  }

  #refuse({ headers }: Request, remote: Address): Response | undefined {
    const { log, metrics } = this.#parts;
    const [host, origin] = [headers.get("host"), headers.get("origin")];
    const why = refusalOf({ remote, host, origin }, this.#rules);
    if (why === undefined) return undefined;
    metrics.counter(`status.refused.${why}`).add();
    const shown = { host: printable(host ?? "", 80), origin: printable(origin ?? "", 80) };
    log.debug("turned away from the status page", { why, from: formatAddress(remote), ...shown });
    return new Response(REFUSALS[why], { status: 403, headers: PLAIN_HEADERS });
  }

  #metrics(): Response {
    const text = writeMetrics(this.#parts.metrics.snapshot(), this.#feed.figures());
    return new Response(text, { headers: { ...PLAIN_HEADERS, "content-type": METRICS_TYPE } });
  }

  #visit(request: Request, remote: Address, upgrade: Upgrade): Response {
    const refusal = this.#refuse(request, remote);
    if (refusal !== undefined) return refusal;
    if (this.#viewers.size >= MAX_VIEWERS) {
      this.#parts.metrics.counter("status.refused.limit").add();
      const text = `${MAX_VIEWERS} look at the status page (maxViewers)\n`;
      return new Response(text, { status: 503, headers: PLAIN_HEADERS });
    }
    const { socket, response } = upgrade({
      maxMessageBytes: MAX_MESSAGE_BYTES,
      maxInboxMessages: 1,
      maxInboxBytes: MAX_MESSAGE_BYTES,
    });
    const viewer = new Viewer(socket, this.#parts);
    this.#viewers.add(viewer);
    void viewer.over.then(() => this.#viewers.delete(viewer));
    // Who has just come does not wait; the others get what is new since as well.
    this.#look();
    return response;
  }

  /** Tells everybody who looks how it is; nobody is asked while nobody does. */
  #look(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#viewers.size === 0) return;
    const { clock } = this.#parts;
    const changed = this.#feed.look();
    const atMs = clock.wallMs();
    const { all: parts, notShown } = this.#feed;
    const all = lazily(() => encodeStatus("0status", { atMs, parts, notShown }));
    const update = lazily(() => encodeStatus("0status update", { atMs, parts: changed, notShown }));
    for (const viewer of this.#viewers) viewer.tell(clock.now(), viewer.isBehind ? all : update);
    this.#timer = clock.after(LOOK_EVERY_MS, () => this.#look());
  }
}

/** One who looks: it is sent a message when it has taken the one before, so that hardly anything can wait for it. */
class Viewer {
  /** Resolves when it looks no more. */
  readonly over: Promise<void>;
  /** Whether it has to be told all: it has just come, or was not told what has changed. */
  isBehind = true;
  readonly #socket: MessageSocket;
  readonly #metrics: Metrics;
  // Since when it has not taken what it was sent.
  #sendingSinceMs: number | undefined;

  constructor(socket: MessageSocket, { log, metrics }: Pick<StatusPageParts, "log" | "metrics">) {
    this.#socket = socket;
    this.#metrics = metrics;
    this.over = this.#watch().catch((error: unknown) => {
      if (!(error instanceof PeerError)) throw error;
      log.debug("a viewer's socket broke", { why: error.message });
    });
  }

  tell(nowMs: number, text: () => string): void {
    if (this.#sendingSinceMs !== undefined) {
      this.isBehind = true;
      if (nowMs - this.#sendingSinceMs > STALLED_MS) this.#cut("slow", "slow-consumer");
      return;
    }
    this.#sendingSinceMs = nowMs;
    this.isBehind = false;
    this.#socket.send(text()).then(() => this.#sendingSinceMs = undefined, () => {}); // else it has gone
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  async #watch(): Promise<void> {
    if (await this.#socket.receive() !== undefined) {
      this.#cut("takesNothing", "the status page takes no messages");
    }
    await this.#socket.closed;
  }

  #cut(why: keyof typeof CLOSE_CODES, reason: string): void {
    this.#metrics.counter(`status.cut.${why}`).add();
    this.close(CLOSE_CODES[why], reason);
  }
}

/** Nothing may be kept, framed, guessed at, or read by pages of other sites. */
const PLAIN_HEADERS: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

const REFUSALS = {
  remote: "The status page is for callers of this machine\n",
  host: "The status page is asked for by address or as localhost\n",
  origin: "The status page is not for pages of other sites\n",
} as const;

function documentResponse(): Response {
  const { html, policy } = STATUS_DOCUMENT;
  const headers = {
    ...PLAIN_HEADERS,
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": policy,
    "cross-origin-opener-policy": "same-origin",
  };
  return new Response(html, { headers });
}

interface StatusContent {
  readonly atMs: number;
  readonly parts: StatusParts;
  readonly notShown: Readonly<Record<string, number>>;
}

function encodeStatus(header: string, content: StatusContent): string {
  return encodeWeaver({ header, content, peerId: null, msgId: null, type: "data" });
}

/** Makes it once, when it is asked for. */
function lazily(make: () => string): () => string {
  let text: string | undefined;
  return () => text ??= make();
}
