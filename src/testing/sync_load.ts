/**
 * Load for a hub of live-sync: many clients on real sockets, and what they see of each other.
 *
 * @module
 */

import { sleep, systemClock } from "../clock.ts";
import { ClosedError, PeerError, TransportError } from "../errors.ts";
import { errorCodeFor } from "../sync/close_codes.ts";
import { errorFromData, factsOf } from "../sync/error_codes.ts";
import { isJsonObject } from "../sync/fields.ts";
import type { JsonObject } from "../sync/message_types.ts";
import { changeMessage, connectMessage, heartbeatMessage } from "../sync/messages.ts";
import { decodeMessage, encodeMessage } from "../sync/protocol.ts";
import type { MessageSocket } from "../transport/transport.ts";
import { connectWebSocket } from "../transport/websocket.ts";
import { decodeJson } from "../wire/json.ts";

/** Most clients of one run: each is a socket. */
const MAX_CLIENTS = 10_000;

/** Most messages of one run, and most bytes of each. */
const MAX_MESSAGES = 1_000_000;
const MAX_BYTES = 512 * 1024;

/** Clients that connect at once. */
const CONNECTING = 32;

/** Time between two looks at what has arrived. */
const LOOK_MS = 5;

/** What load to make. */
export interface SyncLoadOptions {
  /** Clients, 1..10,000. @default {10} */
  readonly clients?: number;
  /** Messages, by all clients in turn, 1..1,000,000. @default {1000} */
  readonly messages?: number;
  /** Least bytes of a message as text, 0..524,288: it is filled up. @default {200} */
  readonly bytes?: number;
  /** Messages in a second, by all clients; `Infinity` for as fast as the sockets take them. @default {Infinity} */
  readonly rate?: number;
  /**
   * What is said: changes, which a hub without a folder of its own passes on to everybody else in the room; or signs of
   * life, which every hub answers.
   *
   * @default {"changes"}
   */
  readonly kind?: "changes" | "heartbeats";
  /** The hub's folder. @default {"load"} */
  readonly room?: string;
  /** What clients prove themselves by. @default nothing */
  readonly apiKey?: string;
  /** The run ends when nothing arrives for so long, in milliseconds. @default {5000} */
  readonly silenceMs?: number;
  /** Ends the run when aborted. */
  readonly signal?: AbortSignal;
}

/** What a run has come to. */
export interface SyncLoadResult {
  /** Clients that got in. */
  readonly clients: number;
  /** Messages that were sent. */
  readonly sent: number;
  /** What should have arrived of them, by clients. */
  readonly expected: number;
  /** What did. */
  readonly delivered: number;
  /** Deliveries in a second, between the first message and the last delivery. */
  readonly perSecond: number;
  /** From the sending to the arrival, in milliseconds; 0 when nothing has arrived. */
  readonly latencyMs: {
    readonly p50: number;
    readonly p90: number;
    readonly p99: number;
    readonly max: number;
  };
  /** What clients were told or have met with, by `error_code`. */
  readonly errors: Readonly<Record<string, number>>;
  /** How long the messages took, in milliseconds. */
  readonly tookMs: number;
}

/**
 * Connects clients to a hub, has them say something, and measures what arrives. Clients are those of the seed, without
 * kith's additions.
 *
 * @example
 * ```ts
 * import { loadSync } from "@kith/kith/testing";
 * import { serveHttp, upgradeWebSocket } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * // A hub that only says what it has to.
 * const server = await serveHttp((request, remote) => {
 *   const { socket, response } = upgradeWebSocket(request, remote);
 *   (async () => {
 *     for (let text = await socket.receive(); text !== undefined; text = await socket.receive()) {
 *       const { type } = JSON.parse(String(text));
 *       const data = type === "heartbeat" ? { timestamp: "" } : { success: true, message: "in" };
 *       await socket.send(JSON.stringify({ type, data }));
 *     }
 *   })();
 *   return response;
 * }, { hostname: "127.0.0.1" });
 *
 * const url = `ws://127.0.0.1:${server.address.port}`;
 * const result = await loadSync(url, { clients: 3, messages: 30, kind: "heartbeats" });
 * assertEquals([result.clients, result.delivered, result.errors], [3, 30, {}]);
 * await server.close();
 * ```
 *
 * @param url The hub's WebSocket.
 * @throws {RangeError} for a number that is out of its range.
 */
export async function loadSync(
  url: string | URL,
  options: SyncLoadOptions = {},
): Promise<SyncLoadResult> {
  const load = new Load(String(url), options);
  return await load.run();
}

/** One client, and what it waits for. */
interface LoadClient {
  readonly clientId: string;
  readonly socket: MessageSocket;
  /** When the signs of life were given that were not answered yet. */
  readonly beatsMs: number[];
}

class Load {
  readonly #url: string;
  readonly #options: SyncLoadOptions & Required<Omit<SyncLoadOptions, "apiKey" | "signal">>;
  readonly #run: string = crypto.randomUUID().slice(0, 8);
  readonly #clients: LoadClient[] = [];
  readonly #errors: Record<string, number> = {};
  readonly #latenciesMs: number[] = [];
  readonly #over = new AbortController();
  #sent = 0;
  #heardMs = 0;

  constructor(url: string, options: SyncLoadOptions) {
    const { clients = 10, messages = 1_000, bytes = 200, rate = Infinity } = options;
    const { kind = "changes", room = "load", silenceMs = 5_000, signal } = options;
    inRange("clients", clients, 1, MAX_CLIENTS);
    inRange("messages", messages, 1, MAX_MESSAGES);
    inRange("bytes", bytes, 0, MAX_BYTES);
    inRange("silenceMs", silenceMs, 1, 3_600_000);
    if (!(rate > 0)) throw new RangeError(`rate must be above 0: current value is ${rate}`);
    this.#url = url;
    this.#options = { ...options, clients, messages, bytes, rate, kind, room, silenceMs };
    signal?.addEventListener("abort", () => this.#over.abort(), { signal: this.#over.signal });
    if (signal?.aborted) this.#over.abort();
  }

  async run(): Promise<SyncLoadResult> {
    const { clients } = this.#options;
    const numbers = Array.from({ length: clients }, (_, number) => number).values();
    const lane = async () => {
      for (const number of numbers) await this.#connect(number);
    };
    await Promise.all(Array.from({ length: CONNECTING }, lane));
    const startMs = this.#heardMs = performance.now();
    const reading = this.#clients.map((client) => this.#read(client));
    const waiting = this.#waitForAll();
    await this.#sayAll(startMs);
    await waiting;
    for (const { socket } of this.#clients) socket.close();
    await Promise.all([...reading, ...this.#clients.map(({ socket }) => socket.closed)]);
    return this.#result(this.#heardMs - startMs);
  }

  async #connect(number: number): Promise<void> {
    if (this.#over.signal.aborted) return;
    const { room, apiKey, silenceMs } = this.#options;
    const clientId = `load_${this.#run}_${number}`;
    const late = AbortSignal.timeout(silenceMs);
    const signal = AbortSignal.any([this.#over.signal, late]);
    let socket: MessageSocket | undefined;
    try {
      const { versions: _, capabilities: _none, ...data } = connectMessage(
        { clientId, wallMs: Date.now() },
        { name: clientId, folder: room, room, ...(apiKey === undefined ? {} : { apiKey }) },
      ).data;
      const hello = { type: "client_connect", data, ...this.#envelope(clientId) };
      socket = await connectWebSocket(this.#url, { signal });
      await socket.send(encodeMessage(hello));
      await this.#answer(socket, signal);
      this.#clients.push({ clientId, socket, beatsMs: [] });
    } catch (error) {
      socket?.close();
      this.#count(late.aborted ? "HEARTBEAT_TIMEOUT" : codeOf(error));
    }
  }

  /** Waits until the client is in; others may be spoken of before. @throws {PeerError} when it is not let in. */
  async #answer(socket: MessageSocket, signal: AbortSignal): Promise<void> {
    for (;;) {
      const frame = await socket.receive({ signal });
      if (frame === undefined) throw new ClosedError("The hub has closed the connection");
      const { type, data } = decodeMessage(frame, { from: "server" });
      if (type === "error" || (type === "client_connect" && data.success !== true)) {
        throw errorFromData({ error_code: "AUTHENTICATION_FAILED", ...data });
      }
      if (type === "client_connect") return;
    }
  }

  async #sayAll(startMs: number): Promise<void> {
    const { messages, rate } = this.#options;
    const { signal } = this.#over;
    for (let number = 0; number < messages && this.#clients.length > 0; number++) {
      const earlyMs = startMs + 1_000 * number / rate - performance.now();
      if (earlyMs > 1) await sleep(systemClock, earlyMs, { signal }).catch(() => {});
      const client = this.#clients[number % this.#clients.length];
      if (client === undefined || signal.aborted) return;
      try {
        const message = this.#message(client, number);
        client.beatsMs.push(performance.now());
        await client.socket.send(message);
        this.#sent++;
      } catch (error) {
        if (!(error instanceof ClosedError)) throw error; // whoever reads the socket has counted it
      }
    }
  }

  /** The text of one message, filled up to its length. */
  #message({ clientId }: LoadClient, number: number): string {
    const { kind, bytes } = this.#options;
    const author = { clientId, wallMs: Date.now() };
    const message = kind === "heartbeats" ? heartbeatMessage(author) : changeMessage(author, {
      operation: "update",
      file_path: `load/${number}`,
      client_id: clientId,
      load: { run: this.#run, sentMs: performance.now() },
    });
    const missing = bytes - encodeMessage({ ...message, filler: "" }).length;
    return encodeMessage(missing > 0 ? { ...message, filler: "x".repeat(missing) } : message);
  }

  async #read(client: LoadClient): Promise<void> {
    try {
      for (;;) {
        const frame = await client.socket.receive();
        if (frame === undefined) return;
        // Looking at every field would measure that more than the hub.
        const message = decodeJson(frame, { what: "sync message" });
        if (isJsonObject(message) && isJsonObject(message.data)) this.#take(client, message);
        else this.#count("INVALID_MESSAGE");
      }
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      this.#count(codeOf(error));
    }
  }

  #take({ beatsMs }: LoadClient, { type, data }: JsonObject): void {
    const nowMs = performance.now();
    const { kind } = this.#options;
    const { load } = data as { load?: { run?: unknown; sentMs?: unknown } };
    if (type === "error") return this.#count(codeOf(errorFromData(data as JsonObject)));
    const sentMs = type === "file_changed" && load?.run === this.#run
      ? load.sentMs
      : type === "heartbeat" && kind === "heartbeats"
      ? beatsMs.shift() // answers come in the order of what they answer
      : undefined;
    if (typeof sentMs !== "number") return;
    this.#heardMs = nowMs;
    this.#latenciesMs.push(nowMs - sentMs);
  }

  /** Waits until all has arrived, or nothing more does. */
  async #waitForAll(): Promise<void> {
    const { messages, silenceMs, rate } = this.#options;
    const { signal } = this.#over;
    const patienceMs = silenceMs + 1_000 / rate;
    while (!signal.aborted && this.#clients.length > 0) {
      const isAll = this.#sent === messages && this.#latenciesMs.length >= this.#expected;
      if (isAll || performance.now() - this.#heardMs > patienceMs) break;
      await sleep(systemClock, LOOK_MS, { signal }).catch(() => {});
    }
    this.#over.abort();
  }

  get #expected(): number {
    const { kind } = this.#options;
    return this.#sent * (kind === "heartbeats" ? 1 : this.#clients.length - 1);
  }

  #count(code: string): void {
    this.#errors[code] = (this.#errors[code] ?? 0) + 1;
  }

  #envelope(clientId: string): { client_id: string; timestamp: string } {
    return { client_id: clientId, timestamp: new Date().toISOString() };
  }

  #result(tookMs: number): SyncLoadResult {
    const sorted = Float64Array.from(this.#latenciesMs).sort();
    const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1] ?? 0;
    return {
      clients: this.#clients.length,
      sent: this.#sent,
      expected: this.#expected,
      delivered: sorted.length,
      perSecond: sorted.length === 0 ? 0 : 1_000 * sorted.length / Math.max(tookMs, 1),
      latencyMs: { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) },
      errors: this.#errors,
      tookMs,
    };
  }
}

/** What an error is counted as: one of the `error_code`s that there are. */
function codeOf(error: unknown): string {
  if (!(error instanceof PeerError)) throw error;
  const { errorCode, reason } = error.details;
  const code = errorCode ?? reason;
  if (typeof code === "string" && factsOf(code) !== undefined) return code;
  return error instanceof ClosedError || error instanceof TransportError
    ? "CLOSED"
    : errorCodeFor(error);
}

function inRange(name: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new RangeError(`${name} must be an integer of ${min}..${max}: current value is ${value}`);
}
