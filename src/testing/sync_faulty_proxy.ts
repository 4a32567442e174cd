/**
 * A way to a hub of live-sync on which things go wrong: between real WebSockets.
 *
 * @module
 */

import { type Clock, sleep, systemClock } from "../clock.ts";
import { ClosedError, PeerError } from "../errors.ts";
import { DEFLATED, unpackMessages } from "../sync/frames.ts";
import { CAPABILITIES } from "../sync/protocol.ts";
import { type HttpServer, serveHttp } from "../transport/http.ts";
import type { Address, MessageSocket } from "../transport/transport.ts";
import { connectWebSocket, upgradeWebSocket } from "../transport/websocket.ts";
import { type SyncFateCounts, type SyncFaults, SyncFortune } from "./sync_faults.ts";
import type { TranscriptLine } from "./sync_transcript.ts";

/** How to open a {@linkcode FaultySyncProxy}. */
export interface FaultySyncProxyOptions extends SyncFaults {
  /** Decides what happens to which frame. @default {1} */
  readonly seed?: number;
  /** Where delays come from. @default {systemClock} */
  readonly clock?: Clock;
  /** Keeps the first so many messages for {@linkcode FaultySyncProxy.transcript}. @default {100_000} */
  readonly maxLines?: number;
}

/** What a cut connection is closed with. */
const CUT_CODE = 4_999;

/** Two sockets that lead to each other. */
interface Pair {
  readonly client: MessageSocket;
  readonly server: MessageSocket;
}

/**
 * Forwards WebSockets on a loopback port of its own to a hub, frame by frame, but for what goes wrong.
 *
 * @example
 * ```ts
 * import { FaultySyncProxy } from "@kith/kith/testing";
 * import { connectWebSocket, serveHttp, upgradeWebSocket } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const server = await serveHttp((request, remote) => {
 *   const { socket, response } = upgradeWebSocket(request, remote);
 *   socket.send("hello").catch(() => {}); // gone already
 *   return response;
 * }, { hostname: "127.0.0.1" });
 *
 * const target = `ws://127.0.0.1:${server.address.port}`;
 * const proxy = await FaultySyncProxy.open(target, { duplicate: 1 });
 * const socket = await connectWebSocket(proxy.url);
 * assertEquals([await socket.receive(), await socket.receive()], ["hello", "hello"]);
 * assertEquals(proxy.cut(), 1);
 * await socket.closed;
 * await proxy.close();
 * await server.close();
 * ```
 */
export class FaultySyncProxy implements AsyncDisposable {
  readonly #target: string;
  readonly #clock: Clock;
  readonly #fortune: SyncFortune;
  readonly #maxLines: number;
  readonly #lines: TranscriptLine[] = [];
  readonly #pairs = new Set<Pair>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #ending = new AbortController();
  #server: HttpServer | undefined;
  #isDown = false;

  private constructor(target: string, options: FaultySyncProxyOptions) {
    const { seed = 1, clock = systemClock, maxLines = 100_000, ...faults } = options;
    this.#target = target;
    this.#clock = clock;
    this.#maxLines = maxLines;
    this.#fortune = new SyncFortune(faults, seed);
  }

  /**
   * Listens on a free port of 127.0.0.1.
   *
   * @param target Where it leads: a `ws:` or `wss:` URL.
   * @throws {RangeError} for what is no probability or time.
   */
  static async open(
    target: string,
    options: FaultySyncProxyOptions = {},
  ): Promise<FaultySyncProxy> {
    const proxy = new FaultySyncProxy(target, options);
    proxy.#server = await serveHttp((...visit) => proxy.#visit(...visit), {
      hostname: "127.0.0.1",
    });
    return proxy;
  }

  /** Where to connect instead of the target. */
  get url(): string {
    const { pathname, search } = new URL(this.#target);
    return `ws://127.0.0.1:${this.#server?.address.port}${pathname}${search}`;
  }

  /** What became of frames so far. */
  get counts(): SyncFateCounts {
    return { ...this.#fortune.counts };
  }

  /** What both sides have said, as they said it, of one client: see `checkTranscript`. Contents are left out. */
  get transcript(): readonly TranscriptLine[] {
    return [...this.#lines];
  }

  /** Connections that there are. */
  get connections(): number {
    return this.#pairs.size;
  }

  /** Other things go wrong from now on. @throws {RangeError} for what is no probability or time. */
  set faults(faults: SyncFaults) {
    this.#fortune.faults = faults;
  }

  /** Whether nothing passes, either way, and nobody is told. */
  set silent(isSilent: boolean) {
    this.#fortune.isSilent = isSilent;
  }

  /** Whether nobody can connect; connections that there are stay. */
  set down(isDown: boolean) {
    this.#isDown = isDown;
  }

  /** Breaks every connection; what is on its way is lost. @returns how many there were. */
  cut(): number {
    const count = this.#pairs.size;
    for (const pair of this.#pairs) this.#break(pair);
    return count;
  }

  /** Breaks every connection, and lets nobody in any more. Harmless when closed. */
  async close(): Promise<void> {
    this.#isDown = true;
    this.#ending.abort(new ClosedError("The proxy was closed"));
    this.cut();
    await Promise.all(this.#tasks);
    await this.#server?.close();
  }

  /** The same as {@linkcode FaultySyncProxy.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #visit(request: Request, remote: Address): Response {
    if (this.#isDown) return new Response("Down\n", { status: 503 });
    const { socket, response } = upgradeWebSocket(request, remote, { idleTimeoutMs: 0 });
    const { pathname, search } = new URL(request.url);
    const task = this.#lead(socket, new URL(pathname + search, this.#target)).finally(() => {
      this.#tasks.delete(task);
    });
    this.#tasks.add(task);
    return response;
  }

  async #lead(client: MessageSocket, target: URL): Promise<void> {
    let server: MessageSocket;
    try {
      server = await connectWebSocket(target, { signal: this.#ending.signal });
    } catch {
      // Nobody is there, or we are closed: the client finds out by the end of its connection.
      client.close(CUT_CODE, "cut");
      return await client.closed;
    }
    const pair = { client, server };
    this.#pairs.add(pair);
    await Promise.all([
      this.#forward(pair, "client", client, server),
      this.#forward(pair, "server", server, client),
    ]);
    await Promise.all([client.closed, server.closed]);
  }

  async #forward(
    pair: Pair,
    from: "client" | "server",
    source: MessageSocket,
    target: MessageSocket,
  ): Promise<void> {
    try {
      for (;;) {
        const frame = await source.receive();
        if (frame === undefined) return this.#end(pair, () => target.close());
        if (this.#pairs.has(pair)) this.#note(...linesOf(from, frame));
        const { delayMs } = this.#fortune;
        if (delayMs > 0) await sleep(this.#clock, delayMs, this.#ending);
        const kind = isContents(frame) ? "contents" : "messages";
        const passing = this.#fortune.of(kind, frame, (frame) => this.#garbled(frame));
        if (passing === undefined) return this.#break(pair);
        for (const one of passing) await target.send(one);
      }
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      // The end of one side is that of the other, with what it was ended for.
      const { code, reason } = error.details;
      const isTheirs = typeof code === "number" && code >= 3_000 && code <= 4_999;
      const why = isTheirs && typeof reason === "string" ? reason : "cut";
      this.#end(pair, () => target.close(isTheirs ? code : CUT_CODE, why));
    }
  }

  #garbled(frame: string | Uint8Array): string | Uint8Array {
    return typeof frame === "string"
      ? this.#fortune.garbledText(frame)
      : this.#fortune.garbledBytes(frame);
  }

  #break(pair: Pair): void {
    this.#end(pair, () => {
      pair.client.close(CUT_CODE, "cut");
      pair.server.close(CUT_CODE, "cut");
    });
  }

  /** From here on, what comes is of another connection. */
  #end(pair: Pair, close: () => void): void {
    if (this.#pairs.delete(pair)) this.#note({ from: "network", cut: true });
    close();
  }

  #note(...lines: readonly TranscriptLine[]): void {
    this.#lines.push(...lines.slice(0, this.#maxLines - this.#lines.length));
  }
}

function isContents(frame: string | Uint8Array): boolean {
  return typeof frame !== "string" && frame[0] !== DEFLATED;
}

/** The messages of a frame; what cannot be read as it is. */
function linesOf(from: "client" | "server", frame: string | Uint8Array): TranscriptLine[] {
  if (isContents(frame)) return [];
  try {
    const messages = unpackMessages(frame, { capabilities: CAPABILITIES });
    return messages.map((message) => ({ from, message }));
  } catch (error) {
    if (error instanceof PeerError) return [{ from, message: frame }];
    throw error;
  }
}
