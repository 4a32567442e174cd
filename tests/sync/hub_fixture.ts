/**
 * A hub on real sockets of the loopback address, and those who come there.
 *
 * @module
 */

import { Metrics } from "../../src/metrics.ts";
import type { WebTaker } from "../../src/endpoint/web.ts";
import { SyncClient } from "../../src/sync/client.ts";
import type { SyncClientOptions } from "../../src/sync/client_options.ts";
import { SyncHub } from "../../src/sync/hub.ts";
import type { HubOptions, SyncWeb } from "../../src/sync/hub_options.ts";
import type { WebSocketMessage } from "../../src/sync/message_types.ts";
import { changeMessage, connectMessage, type ConnectOptions } from "../../src/sync/messages.ts";
import { encodeMessage } from "../../src/sync/protocol.ts";
import type { SyncInput, SyncPort } from "../../src/sync/port.ts";
import { type HttpServer, serveHttp, type TlsIdentity } from "../../src/transport/http.ts";
import type { MessageSocket } from "../../src/transport/transport.ts";
import { connectWebSocket, upgradeWebSocket } from "../../src/transport/websocket.ts";
import { Journal } from "../endpoint/fixture.ts";

/** A hub on a port of its own, and whoever was opened through it. */
export class Hub implements AsyncDisposable {
  readonly hub: SyncHub;
  readonly metrics: Metrics;
  readonly log: Journal;
  readonly #web: Web;
  readonly #parts = new AsyncDisposableStack();

  private constructor(web: Web, options: HubOptions) {
    this.#web = web;
    this.metrics = options.metrics ?? new Metrics();
    this.log = new Journal();
    this.hub = SyncHub.open(web, { metrics: this.metrics, log: this.log, ...options });
  }

  static async open(options: HubOptions = {}, tls?: TlsIdentity): Promise<Hub> {
    return new Hub(await Web.open(tls), options);
  }

  get port(): number {
    return this.#web.port;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}/sync`;
  }

  get counters(): Record<string, number> {
    return this.metrics.snapshot();
  }

  /** A client of kith's. */
  async client(
    name: string,
    options: Partial<SyncClientOptions> = {},
    url = this.url,
  ): Promise<SyncClient> {
    const common = { name, folder: "/home/somebody/docs", reconnectMs: 5 };
    return this.#parts.use(await SyncClient.open(url, { ...common, ...options }));
  }

  /** A socket that has said nothing. */
  async stranger(path = "/sync"): Promise<Plain> {
    const socket = await connectWebSocket(`ws://127.0.0.1:${this.port}${path}`);
    this.#parts.defer(() => socket.close());
    return new Plain(socket);
  }

  /** A client of the seed's, which is in. */
  async plain(id: string, options: Partial<ConnectOptions> = {}): Promise<Plain> {
    const plain = await this.stranger();
    await plain.send(hello(id, options));
    await plain.next();
    return plain;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
    await this.hub.close();
    await this.#web.close();
  }
}

/** A program that speaks by hand. */
export class Plain {
  readonly socket: MessageSocket;

  constructor(socket: MessageSocket) {
    this.socket = socket;
  }

  async send(message: WebSocketMessage | string | Uint8Array): Promise<void> {
    const isText = typeof message === "string" || message instanceof Uint8Array;
    await this.socket.send(isText ? message : encodeMessage(message));
  }

  /** The next message. */
  async next(): Promise<WebSocketMessage> {
    const text = await this.socket.receive();
    if (typeof text !== "string") throw new Error("Nothing came");
    return JSON.parse(text);
  }

  /** How it ended: the code of the close. */
  async ending(): Promise<unknown> {
    try {
      while (await this.socket.receive() !== undefined);
    } catch (error) {
      return (error as { details?: { code?: unknown } }).details?.code ?? error;
    }
    return 1000;
  }
}

/** A `client_connect` as the seed's clients send it. */
export function hello(id: string, options: Partial<ConnectOptions> = {}): WebSocketMessage {
  const about = { name: id, folder: "/data/docs", ...options };
  const message = connectMessage({ clientId: id, wallMs: 0 }, about);
  if (options.capabilities !== undefined) return message;
  const { versions: _versions, capabilities: _capabilities, ...data } = message.data;
  return { ...message, data };
}

/** A change of a file that says its number. */
export function change(author: SyncPort["author"], path: string): WebSocketMessage {
  return changeMessage(author, { operation: "update", file_path: path });
}

/** So many inputs of a port. */
export class Inputs {
  readonly #inputs: AsyncIterator<SyncInput>;

  constructor(port: SyncPort) {
    this.#inputs = port.receive[Symbol.asyncIterator]();
  }

  async next(): Promise<SyncInput> {
    const { value, done } = await this.#inputs.next();
    if (done) throw new Error("The port has ended");
    return value;
  }

  /** The path of the change that comes next. */
  async path(): Promise<unknown> {
    const input = await this.next();
    return input.type === "message" ? input.message.data.file_path : input.type;
  }
}

/** A web port without an endpoint. */
class Web implements SyncWeb {
  readonly #takers = new Map<string, WebTaker>();
  readonly #sockets = new Set<MessageSocket>();
  #server: HttpServer | undefined;

  static async open(tls?: TlsIdentity): Promise<Web> {
    const web = new Web();
    web.#server = await serveHttp((request, remote) => {
      const { pathname } = new URL(request.url);
      const above = `${pathname.slice(0, pathname.lastIndexOf("/"))}/*`;
      const taker = web.#takers.get(pathname) ?? web.#takers.get(above);
      if (taker === undefined) return new Response("", { status: 404 });
      return taker(request, remote, (options) => {
        const upgraded = upgradeWebSocket(request, remote, options);
        web.#sockets.add(upgraded.socket);
        return upgraded;
      });
    }, { hostname: "127.0.0.1", ...(tls && { tls }) });
    return web;
  }

  get port(): number {
    return this.#server?.address.port ?? 0;
  }

  take(path: string, taker: WebTaker): Disposable {
    this.#takers.set(path, taker);
    return { [Symbol.dispose]: () => void this.#takers.delete(path) };
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.close();
    await Promise.all([...this.#sockets].map(({ closed }) => closed));
    await this.#server?.close();
  }
}
