/**
 * The client of live-sync: connects to a hub, stays connected, and goes on where it was after every cut.
 *
 * @module
 */

import { type Clock, sleep, systemClock, type Timer } from "../clock.ts";
import { withinTime } from "../endpoint/within_time.ts";
import { ClosedError, PeerError, RemoteError } from "../errors.ts";
import { type Logger, silentLogger } from "../log.ts";
import { Metrics } from "../metrics.ts";
import { reconnectDelayMs } from "../rpc/reconnect.ts";
import type { MessageSocket } from "../transport/transport.ts";
import { connectWebSocket } from "../transport/websocket.ts";
import { MAX_JSON_BYTES } from "../wire/json.ts";
import { clockOffsetMs, folderLabel, isClientId, makeClientId } from "./client_id.ts";
import { type SyncClientOptions, syncUrl } from "./client_options.ts";
import { closeCodeFor, isFinal, SyncRefusal } from "./close_codes.ts";
import { errorFromData } from "./error_codes.ts";
import type { SyncScope } from "./gate.ts";
import { HEARTBEAT_MS, SILENCE_MS } from "./hub_options.ts";
import { INBOX, type LineTerms, MAX_SOCKET_BYTES, SyncLine } from "./line.ts";
import {
  type ConnectionResponse,
  MessageType,
  type ResumePoint,
  SERVER_ID,
  type WebSocketMessage,
} from "./message_types.ts";
import { connectMessage, disconnectMessage } from "./messages.ts";
import type { SyncPort } from "./port.ts";
import { CAPABILITIES, commonCapabilities, decodeMessage, encodeMessage } from "./protocol.ts";
import { SyncSession } from "./session.ts";

/** Time for a connection, and for the hub's answer. */
const CONNECT_MS = 10_000;

/** Messages of others that may come before the answer: a server of the original program sends them to anybody. */
const MAX_EARLY_MESSAGES = 1_000;

/** Looks in the shortest time that something is measured by. */
const TICKS = 6;

/** A connection that was agreed on. */
interface Agreed {
  readonly socket: MessageSocket;
  readonly terms: LineTerms;
}

/**
 * See the module.
 *
 * @example
 * ```ts
 * import { Endpoint, WebPort } from "@kith/kith/endpoint";
 * import { changeMessage, SyncClient, SyncHub } from "@kith/kith/sync";
 * import { netTransport } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const self = { name: "hub", capabilities: [], agent: "docs/1" };
 * await using endpoint = await Endpoint.open({ transport: netTransport, self, clientOnly: true });
 * await using web = await WebPort.open(endpoint, { hostname: "127.0.0.1", port: 0 });
 * await using _hub = SyncHub.open(web);
 *
 * const url = `ws://127.0.0.1:${web.address.port}`;
 * await using ann = await SyncClient.open(url, { name: "ann", folder: "/home/ann/docs" });
 * await using bob = await SyncClient.open(url, { name: "bob", folder: "/srv/docs" });
 * const change = { operation: "delete", file_path: "old.txt" } as const;
 * ann.port.send(changeMessage(ann.port.author, change));
 * const { value } = await bob.port.receive[Symbol.asyncIterator]().next();
 * assertEquals(value.message.data, { ...change, client_id: ann.clientId });
 * ```
 */
export class SyncClient implements AsyncDisposable {
  /** Our id. */
  readonly clientId: string;
  readonly #url: string;
  readonly #options: SyncClientOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #line: SyncLine;
  readonly #ending = new AbortController();
  #answer: ConnectionResponse | undefined;
  #offsetMs: number | undefined;
  #running: Promise<void> = Promise.resolve();
  #timer: Timer | undefined;
  #beatMs: number;
  #hasLostCount = false;

  private constructor(url: string, clientId: string, options: SyncClientOptions) {
    const { clock = systemClock, log = silentLogger, metrics = new Metrics() } = options;
    this.clientId = clientId;
    this.#url = url;
    this.#options = options;
    this.#clock = clock;
    this.#log = log;
    this.#metrics = metrics;
    this.#beatMs = clock.now();
    this.#line = this.#makeLine();
    void this.#line.closed.then(() => this.#ending.abort());
  }

  /**
   * Connects, and stays connected until it is closed or refused.
   *
   * @param url Such as `ws://127.0.0.1:3488/sync`, where `/sync` may be left out. A server of the original program wants
   * the id there, too: `{client_id}` in it stands for that.
   * @throws {RemoteError | ClosedError} when the hub refuses. @throws {TransportError} when there is none.
   * @throws {TimeoutError} when it does not answer. @throws {TypeError} for a URL or an id that is none.
   */
  static async open(url: string | URL, options: SyncClientOptions): Promise<SyncClient> {
    const { clock = systemClock, name, signal } = options;
    const { clientId = makeClientId(name, clock.wallMs()) } = options;
    if (!isClientId(clientId)) throw new TypeError("A client id is 1..128 of A-Z a-z 0-9 _ . -");
    const client = new SyncClient(syncUrl(String(url), clientId), clientId, options);
    signal?.throwIfAborted();
    signal?.addEventListener("abort", () => void client.close(), { signal: client.#ending.signal });
    try {
      client.#running = client.#run(await client.#connect());
    } catch (error) {
      client.#line.close();
      throw error;
    }
    return client;
  }

  /** The line to the hub, the same one for the client's life. */
  get port(): SyncPort {
    return this.#line;
  }

  /** Whether there is a connection. */
  get connected(): boolean {
    return this.#line.connected;
  }

  /** What the hub lets us do; a server of the original program does not say. */
  get scope(): SyncScope {
    return this.#answer?.scope ?? "write";
  }

  /** How far the hub's clock is ahead of ours, in milliseconds, for showing times to people. */
  get clockOffsetMs(): number | undefined {
    return this.#offsetMs;
  }

  /** Resolves, and never rejects, when it is over. @returns why, if it was not closed here. */
  get closed(): Promise<Error | undefined> {
    return this.#line.closed;
  }

  /** Says goodbye. Harmless when closed. */
  async close(): Promise<void> {
    this.#line.close();
    await this.#running;
  }

  /** The same as {@linkcode SyncClient.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #makeLine(): SyncLine {
    const { folder, room = folderLabel(folder), maxMessageBytes = MAX_JSON_BYTES } = this.#options;
    const label = () => typeof this.#answer?.room === "string" ? this.#answer.room : room;
    const capabilities = () => this.#line.capabilities;
    return new SyncLine({
      peer: {
        clientId: SERVER_ID,
        get label() {
          return label();
        },
        canWrite: true,
        get capabilities() {
          return capabilities();
        },
      },
      from: "server",
      clientId: this.clientId,
      clock: this.#clock,
      maxMessageBytes,
      writable: () => this.scope === "write",
      farewell: () => disconnectMessage(this.#line.author),
      onMessage: (message) => this.#take(message),
      onContent: () => {},
      onFault: (error) => {
        this.#count("faults");
        this.#log.warn("cannot understand the hub", { why: error.message });
      },
      onSent: (messages) => this.#count("sent", messages),
    });
  }

  /** @returns whether nobody else has to see it. */
  #take(message: WebSocketMessage): boolean {
    this.#count("received");
    const { type } = message;
    return type === MessageType.HEARTBEAT || type === MessageType.CLIENT_CONNECT;
  }

  /** Speaks until it is over, over one connection after another. */
  async #run(first: Agreed): Promise<void> {
    const { signal } = this.#ending;
    const { onConnection } = this.#options;
    this.#look();
    for (let next: Agreed | undefined = first; next !== undefined;) {
      if (next !== first && !signal.aborted) onConnection?.(true);
      // When all is over by now, this closes the socket and no more.
      const why = await this.#line.serve(next.socket, next.terms);
      if (signal.aborted) {
        await next.socket.closed; // or a program that ends now takes its goodbye along
        break;
      }
      this.#count("cuts");
      onConnection?.(false, why);
      this.#log.info("the connection to the hub has ended", { why: why?.message ?? "goodbye" });
      if (isFinal(why)) this.#line.close(why);
      else next = await this.#reconnect();
    }
    this.#timer?.cancel();
  }

  async #reconnect(): Promise<Agreed | undefined> {
    const { reconnectMs: delayMs = 1_000 } = this.#options;
    const { signal } = this.#ending;
    const phase = this.#clock.random();
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        await sleep(this.#clock, reconnectDelayMs(attempt, phase, { delayMs }), { signal });
        return await this.#connect();
      } catch (error) {
        if (signal.aborted) return undefined;
        if (!(error instanceof PeerError) || isFinal(error)) {
          this.#line.close(error as Error);
          return undefined;
        }
        this.#log.debug("cannot reach the hub again", { attempt, why: error.message });
      }
    }
    return undefined;
  }

  /** Connects and introduces itself. */
  async #connect(): Promise<Agreed> {
    const { caCerts = [] } = this.#options;
    const late = new AbortController();
    const signal = AbortSignal.any([late.signal, this.#ending.signal]);
    const connecting = { close: () => late.abort() };
    const socket = await withinTime(connecting, this.#clock, CONNECT_MS, () => {
      const maxMessageBytes = MAX_SOCKET_BYTES;
      return connectWebSocket(this.#url, { ...INBOX, maxMessageBytes, caCerts, signal });
    });
    const hangUp = () => socket.close();
    this.#ending.signal.addEventListener("abort", hangUp);
    try {
      return await withinTime(socket, this.#clock, CONNECT_MS, () => this.#introduce(socket));
    } catch (error) {
      socket.close(error instanceof SyncRefusal ? closeCodeFor(error) : 1000);
      throw error;
    } finally {
      this.#ending.signal.removeEventListener("abort", hangUp);
    }
  }

  async #introduce(socket: MessageSocket): Promise<Agreed> {
    const { name, folder, apiKey, room, capabilities = CAPABILITIES } = this.#options;
    const { clientId } = this;
    const { session } = this.#line;
    const sentMs = this.#clock.wallMs();
    const request = connectMessage({ clientId, wallMs: sentMs }, {
      name,
      folder,
      capabilities,
      ...(apiKey === undefined ? {} : { apiKey }),
      ...(room === undefined ? {} : { room }),
      ...(session === undefined ? {} : { resume: this.#pointOf(session) }),
    });
    await socket.send(encodeMessage(request));
    const answer = await this.#answerOn(socket);
    this.#offsetMs = clockOffsetMs(answer.server_time, sentMs, this.#clock.wallMs());
    const isFirst = this.#answer === undefined;
    this.#answer = answer;
    return { socket, terms: this.#termsOf(answer, isFirst) };
  }

  /** Where we stand. Who has said more than is kept claims what cannot be, and is given a new session. */
  #pointOf(session: SyncSession): ResumePoint {
    return this.#hasLostCount
      ? { ...session.point, received: Number.MAX_SAFE_INTEGER }
      : session.point;
  }

  async #answerOn(socket: MessageSocket): Promise<ConnectionResponse> {
    for (let early = 0; early < MAX_EARLY_MESSAGES; early++) {
      const frame = await socket.receive();
      if (frame === undefined) throw new ClosedError("The hub has closed the connection");
      const message = decodeMessage(frame, { from: "server" });
      if (message.type === MessageType.ERROR) throw errorFromData(message.data);
      if (message.type !== MessageType.CLIENT_CONNECT) continue;
      const answer = message.data as ConnectionResponse;
      if (answer.success) return answer;
      throw errorFromData({ error_code: "AUTHENTICATION_FAILED", ...message.data });
    }
    throw new RemoteError("bad-message", "The hub does not answer client_connect");
  }

  /** Goes on with the session, or begins the one that the hub has opened. */
  #termsOf(answer: ConnectionResponse, isFirst: boolean): LineTerms {
    const { capabilities: ours = CAPABILITIES } = this.#options;
    const capabilities = commonCapabilities(ours, answer.capabilities);
    const { resume } = answer;
    const { session } = this.#line;
    if (resume !== undefined && session?.name === resume.session) {
      if (session.resume(resume.received) !== undefined) {
        this.#count("resumed");
        return { capabilities, session, resumeFrom: resume.received, news: "resumed" };
      }
      this.#hasLostCount = true;
      throw new RemoteError("limit", "The hub has missed more than the session keeps");
    }
    this.#hasLostCount = false;
    if (!isFirst) this.#count("resynced");
    return {
      capabilities,
      ...(resume === undefined ? {} : { session: new SyncSession({ name: resume.session }) }),
      ...(isFirst ? {} : { news: "resync" }),
    };
  }

  /** Gives signs of life, and looks whether the hub does. */
  #look(): void {
    const { heartbeatMs = HEARTBEAT_MS, silenceMs = SILENCE_MS } = this.#options;
    const nowMs = this.#clock.now();
    const line = this.#line;
    if (line.connected && line.silentMs(nowMs) > silenceMs) {
      this.#count("timeouts");
      const why = `Nothing was heard for silenceMs ${silenceMs}`;
      line.disconnect(new SyncRefusal("HEARTBEAT_TIMEOUT", why));
    } else if (line.connected && nowMs - this.#beatMs >= heartbeatMs) {
      this.#beatMs = nowMs;
      line.beat();
    }
    const tickMs = Math.min(heartbeatMs, silenceMs) / TICKS;
    this.#timer = this.#clock.after(tickMs, () => this.#look());
  }
  #count(
    what: "sent" | "received" | "cuts" | "resumed" | "resynced" | "faults" | "timeouts",
    by = 1,
  ) {
    this.#metrics.counter(`sync.client.${what}`).add(by);
  }
}
