/**
 * Where those who open a WebSocket to a hub wait until they have said who they are: not long, and not many of them.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { isLoopback } from "../endpoint/limits.ts";
import type { Upgrade } from "../endpoint/web.ts";
import { PeerError } from "../errors.ts";
import { type Logger, printable } from "../log.ts";
import type { Address, MessageSocket } from "../transport/transport.ts";
import type { SyncAudit } from "./audit.ts";
import { closeCodeFor, dataOf, errorCodeFor, SyncRefusal } from "./close_codes.ts";
import { descriptorLimit, SPARE_DESCRIPTORS } from "./descriptors.ts";
import { type DoorRules, idAtOpen, type Rejection, rejectionOf } from "./door.ts";
import type { SyncHealth } from "./health.ts";
import { type HubLimits, SYNC_PATH, type SyncWeb } from "./hub_options.ts";
import { INBOX, MAX_SOCKET_BYTES } from "./line.ts";
import { type ConnectionRequest, MessageType, type WebSocketMessage } from "./message_types.ts";
import { errorMessage, refusalMessage } from "./messages.ts";
import { decodeMessage, encodeMessage } from "./protocol.ts";
import type { Entry } from "./registry.ts";

/** What a {@linkcode Reception} goes by. */
export interface ReceptionOptions {
  /** Who may open a socket at all. */
  readonly door: DoorRules;
  /** The hub's. */
  readonly limits: Required<HubLimits>;
  /** Where time comes from. */
  readonly clock: Clock;
  /** Told who is full, and what fails here. */
  readonly log: Logger;
  /** Told who was refused. */
  readonly audit: SyncAudit;
  /** Counts them. */
  readonly health: SyncHealth;
  /** How many clients are connected. */
  readonly connected: () => number;
  /** Lets a client in. @throws {SyncRefusal} when it may not come in. */
  readonly enter: (request: ConnectionRequest, isLocal: boolean) => Entry;
  /** Serves it until it has gone. */
  readonly serve: (entry: Entry, socket: MessageSocket, from: Address) => Promise<void>;
}

/** See the module. */
export class Reception {
  readonly #options: ReceptionOptions;
  readonly #waiting = new Set<MessageSocket>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #paths: DisposableStack;
  readonly #most: { readonly sockets: number; readonly limit: string };
  #isFull = false;
  #closed = false;

  /** Lets sockets in from now on. @throws {TypeError} when the path is taken. */
  constructor(web: SyncWeb, options: ReceptionOptions) {
    this.#options = options;
    this.#most = mostSockets(options.limits);
    using paths = new DisposableStack();
    for (const path of [SYNC_PATH, `${SYNC_PATH}/*`]) {
      paths.use(web.take(path, (...visit) => this.#visit(...visit)));
    }
    this.#paths = paths.move();
  }

  /** How many have not said who they are. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Lets nobody in any more, and sends away who waits. @param why What they are told. */
  close(why: SyncRefusal): void {
    this.#closed = true;
    this.#paths.dispose();
    for (const socket of this.#waiting) socket.close(closeCodeFor(why), why.errorCode);
  }

  /** Resolves when all who came have gone. */
  async empty(): Promise<void> {
    await Promise.all(this.#tasks);
  }

  #visit(request: Request, remote: Address, upgrade: Upgrade): Response {
    const { door, limits, health, log } = this.#options;
    const rejection = rejectionOf(request, remote, door) ?? this.#fullness();
    if (rejection !== undefined) {
      const { status, reason, text } = rejection;
      health.count("refused");
      log.debug("turned a sync client away", { reason, from: printable(remote.hostname) });
      return new Response(`${text}\n`, { status });
    }
    const { socket, response } = upgrade({
      ...INBOX,
      maxMessageBytes: Math.max(MAX_SOCKET_BYTES, limits.maxMessageBytes),
      idleTimeoutMs: 0, // the heartbeats do what the socket's own would
    });
    this.#waiting.add(socket);
    const task = this.#receive(socket, remote, idAtOpen(request, SYNC_PATH)).finally(() => {
      this.#tasks.delete(task);
    });
    this.#tasks.add(task);
    return response;
  }

  #fullness(): Rejection | undefined {
    const { limits, connected, log } = this.#options;
    const { sockets, limit } = this.#most;
    const isFull = connected() + this.#waiting.size >= sockets;
    if (isFull && !this.#isFull) log.warn("no more sync clients fit", { limit, max: sockets });
    this.#isFull = isFull;
    const full = (text: string) => ({ status: 503, reason: "limit", text }) as const;
    if (isFull) return full(`There are ${sockets} connections already (${limit})`);
    if (this.#waiting.size < limits.maxStrangers) return undefined;
    return full(`${limits.maxStrangers} connections have not said who they are (maxStrangers)`);
  }

  async #receive(
    socket: MessageSocket,
    from: Address,
    opened: string | undefined,
  ): Promise<void> {
    const entry = await this.#enter(socket, from, opened);
    this.#waiting.delete(socket);
    if (entry !== undefined) await this.#options.serve(entry, socket, from);
  }

  /** Waits until somebody has said who it is. @returns nothing when it is not let in. */
  async #enter(
    socket: MessageSocket,
    from: Address,
    opened: string | undefined,
  ): Promise<Entry | undefined> {
    const { clock, limits, enter } = this.#options;
    const { connectMs } = limits;
    let request: ConnectionRequest | undefined;
    const late = clock.after(connectMs, () => {
      const why = `client_connect did not come within connectMs ${connectMs}`;
      this.#turnAway(socket, from, new SyncRefusal("HEARTBEAT_TIMEOUT", why));
    });
    try {
      const frame = await socket.receive();
      if (frame === undefined || this.#closed) return undefined;
      request = requestIn(frame, opened, limits.maxMessageBytes);
      return enter(request, isLoopback(from.hostname));
    } catch (error) {
      this.#turnAway(socket, from, error, request);
      return undefined;
    } finally {
      late.cancel();
    }
  }

  /** Tells somebody why it is not let in. @param request What it has asked, if it got so far. */
  #turnAway(socket: MessageSocket, from: Address, why: unknown, request?: ConnectionRequest): void {
    const { audit, clock, door, health, log } = this.#options;
    const errorCode = errorCodeFor(why);
    logOwnFault(log, why);
    door.failures.failed(from);
    health.count("refused");
    health.error(errorCode);
    audit.refused(from, why, request?.client_id);
    const author = { wallMs: clock.wallMs() };
    const data = dataOf(why);
    const answer = request === undefined
      ? errorMessage(author, data)
      : withCode(refusalMessage(author, data.message), errorCode);
    socket.send(encodeMessage(answer)).catch(() => {}); // it has gone
    socket.close(closeCodeFor(why), errorCode);
  }
}

/** Logs what is no fault of a client's, of which nobody but the owner is told more than that it happened. */
export function logOwnFault(log: Logger, why: unknown): void {
  if (why === undefined || why instanceof PeerError) return;
  log.error("a sync hub failed with a client", { why: printable(String(why)) });
}

/** The `client_connect` in the first frame. @param opened The id that the socket was opened with, if any. */
function requestIn(
  frame: string | Uint8Array,
  opened: string | undefined,
  maxBytes: number,
): ConnectionRequest {
  if (typeof frame !== "string") {
    throw new SyncRefusal("NOT_CONNECTED", "Contents came before client_connect");
  }
  const message = decodeMessage(frame, { from: "client", maxBytes });
  if (message.type !== MessageType.CLIENT_CONNECT) {
    throw new SyncRefusal("NOT_CONNECTED", "The first message must be client_connect");
  }
  const request = message.data as ConnectionRequest;
  if (opened === undefined || opened === request.client_id) return request;
  throw new SyncRefusal("INVALID_MESSAGE", "client_id is not the one of the socket's address");
}

function withCode(message: WebSocketMessage, errorCode: string): WebSocketMessage {
  return { ...message, data: { ...message.data, error_code: errorCode } };
}

/** How many sockets there may be, and what sets the bound. */
function mostSockets({ maxClients, maxStrangers }: Required<HubLimits>): {
  sockets: number;
  limit: string;
} {
  const wanted = maxClients + maxStrangers;
  const descriptors = descriptorLimit();
  if (descriptors === undefined || descriptors - SPARE_DESCRIPTORS >= wanted) {
    return { sockets: wanted, limit: "maxClients and maxStrangers" };
  }
  const sockets = Math.max(1, descriptors - SPARE_DESCRIPTORS);
  return { sockets, limit: `the limit of ${descriptors} open files, see ulimit -n` };
}
