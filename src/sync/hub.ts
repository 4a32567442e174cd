/**
 * The hub of live-sync: clients come in over WebSocket, say who they are, and get what the others in their room change.
 *
 * ```
 *   WebSocket at /sync     Origin, address, how many there are           door.ts, reception.ts
 *   client_connect         key, room, id; a new session or an old one    registry.ts
 *   then                   messages to the room, or to whoever keeps its folder (`onPort`)
 * ```
 *
 * A client whose connection breaks stays a member while its session waits; what is said meanwhile is kept for it.
 *
 * @module
 */

import { type Clock, systemClock, type Timer } from "../clock.ts";
import { ConnectionLimiter, rateError, TokenBuckets } from "../endpoint/limits.ts";
import { ClosedError, type PeerError } from "../errors.ts";
import { type Logger, printable, silentLogger } from "../log.ts";
import { Metrics } from "../metrics.ts";
import { parseOrigins } from "../page/admission.ts";
import type { Address, MessageSocket } from "../transport/transport.ts";
import { SyncAudit } from "./audit.ts";
import { dataOf, errorCodeFor, SyncRefusal } from "./close_codes.ts";
import { isRoom, openGate } from "./gate.ts";
import { SyncHealth } from "./health.ts";
import {
  type HubLimits,
  type HubOptions,
  type HubStatus,
  limitsOf,
  type SyncWeb,
} from "./hub_options.ts";
import type { Member, MemberEvents } from "./member.ts";
import { MessageType, SERVER_ID, type WebSocketMessage } from "./message_types.ts";
import { errorMessage, heartbeatMessage, welcomeMessage } from "./messages.ts";
import { CAPABILITIES, encodeMessage } from "./protocol.ts";
import { logOwnFault, Reception } from "./reception.ts";
import { type Entry, Registry } from "./registry.ts";
import { unnumbered } from "./session.ts";

/** Longest time between two looks at who is silent. */
const MAX_TICK_MS = 5_000;

/** Looks in the shortest time that something is measured by. */
const TICKS = 6;

/**
 * What contents cost of a client's rate, in messages: they come as far as whoever keeps the folder has asked for them,
 * and a small file takes several.
 */
const CONTENT_COST = 0.05;

/**
 * See the module.
 *
 * @example
 * ```ts
 * import { Endpoint, WebPort } from "@kith/kith/endpoint";
 * import { SyncClient, SyncHub } from "@kith/kith/sync";
 * import { netTransport } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const self = { name: "hub", capabilities: [], agent: "docs/1" };
 * await using endpoint = await Endpoint.open({ transport: netTransport, self, clientOnly: true });
 * await using web = await WebPort.open(endpoint, { hostname: "127.0.0.1", port: 0 });
 * await using hub = SyncHub.open(web, { rooms: ["docs"] });
 *
 * const url = `ws://127.0.0.1:${web.address.port}`;
 * await using _ann = await SyncClient.open(url, { name: "ann", folder: "/home/ann/docs" });
 * assertEquals(hub.status.clients.map(({ name, room }) => [name, room]), [["ann", "docs"]]);
 * ```
 */
export class SyncHub implements AsyncDisposable {
  readonly #options: HubOptions;
  readonly #limits: Required<HubLimits>;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #audit: SyncAudit;
  readonly #health: SyncHealth;
  readonly #rate: TokenBuckets;
  readonly #registry: Registry;
  readonly #reception: Reception;
  #timer: Timer | undefined;
  #closed = false;

  private constructor(web: SyncWeb, options: HubOptions) {
    const { clock = systemClock, log = silentLogger, audit = log, origins = [] } = options;
    this.#options = options;
    this.#clock = clock;
    this.#log = log;
    this.#limits = limitsOf(options.limits);
    this.#audit = new SyncAudit(log, audit);
    this.#health = new SyncHealth(clock, options.metrics ?? new Metrics());
    this.#rate = new TokenBuckets(clock, this.#limits.rate);
    const { gate = openGate, rooms, capabilities = CAPABILITIES } = options;
    const { maxClients, maxAway, resumeMs } = this.#limits;
    this.#registry = new Registry({
      gate,
      rooms,
      capabilities,
      maxClients,
      maxAway,
      resumes: resumeMs > 0,
      events: (member) => this.#eventsOf(member),
      onGone: (member, why) => this.#gone(member, why),
    });
    const door = {
      origins: parseOrigins(origins),
      allowRemote: options.gate !== undefined,
      failures: new ConnectionLimiter(clock),
    };
    this.#reception = new Reception(web, {
      door,
      limits: this.#limits,
      clock,
      log,
      audit: this.#audit,
      health: this.#health,
      connected: () => this.#registry.connected,
      enter: (request, isLocal) => this.#registry.enter(request, isLocal),
      serve: (...client) => this.#serve(...client),
    });
    this.#look();
  }

  /**
   * Lets clients in from now on.
   *
   * @param web Where: a `WebPort`.
   * @throws {TypeError} for a room or an origin that is none, and when the port's path is taken.
   */
  static open(web: SyncWeb, options: HubOptions = {}): SyncHub {
    const wrong = options.rooms?.find((room) => !isRoom(room));
    if (wrong === undefined) return new SyncHub(web, options);
    throw new TypeError(`Room must be a label: current value is "${printable(wrong, 80)}"`);
  }

  /** How it fares. */
  get status(): HubStatus {
    const nowMs = this.#clock.now();
    const clients = this.#registry.members.map((member) => {
      const { clientId, name, room, scope, line } = member;
      const { connected, queuedChars } = line;
      return {
        clientId,
        name,
        room,
        scope,
        connected,
        silentMs: line.silentMs(nowMs),
        queuedChars,
      };
    });
    const rates = this.#health.rates();
    return { clients, rooms: this.#registry.rooms, strangers: this.#reception.waiting, rates };
  }

  /**
   * Sends a message to everybody in a room, as the server's own.
   *
   * @returns how many get it, now or when they are back.
   */
  broadcast(room: string, message: Pick<WebSocketMessage, "type" | "data">): number {
    const body = encodeMessage({ ...message, ...this.#envelope() });
    return this.#pass(body, room);
  }

  /** Says goodbye to everybody and lets nobody in any more. Harmless when closed. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.cancel();
    const why = new SyncRefusal("SHUTTING_DOWN", "The hub stops");
    this.#reception.close(why);
    for (const { line } of this.#registry.members) line.close(why);
    await this.#reception.empty();
  }

  /** The same as {@linkcode SyncHub.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #serve(entry: Entry, socket: MessageSocket, from: Address): Promise<void> {
    const { member, terms, answer } = entry;
    // If it does not arrive, nothing does: whoever reads the socket is told.
    socket.send(encodeMessage(welcomeMessage(this.#author, answer))).catch(() => {});
    const serving = member.line.serve(socket, terms);
    if (terms.news === "resumed") this.#resumed(member, from);
    else this.#came(member, from);
    const why = await serving;
    if (!member.line.connected) this.#lost(member, why);
  }

  #eventsOf(member: Member): MemberEvents {
    const { maxMessageBytes, maxQueuedChars } = this.#limits;
    return {
      clock: this.#clock,
      maxMessageBytes,
      maxQueuedChars,
      onMessage: (message) => this.#take(member, message),
      onContent: () => this.#takeContent(),
      onFault: (error) => this.#fault(member, error),
      onFrame: (messages) => this.#charge(member, messages),
      onSent: (messages) => this.#health.count("messages.out", messages),
    };
  }

  #came(member: Member, from: Address): void {
    const { clientId: client_id, name, room, scope = "read" } = member;
    this.#health.count("connected");
    this.#audit.came(member, { name, scope, from });
    this.#announce(member, "client_joined", { client_id, name });
    this.#options.onPort?.(member.line, room);
  }

  #resumed(member: Member, from: Address): void {
    this.#health.count("resumed");
    this.#audit.resumed(member, from);
  }

  /** A connection has ended. */
  #lost(member: Member, why: Error | undefined): void {
    this.#health.count("lost");
    this.#audit.lost(member, why);
    const isOwn = why !== undefined && !(why instanceof ClosedError);
    if (isOwn) this.#health.error(errorCodeFor(why));
    logOwnFault(this.#log, why);
    this.#registry.leave(member, this.#clock.now(), why);
  }

  #gone(member: Member, why: Error | undefined): void {
    this.#audit.left(member, why);
    this.#announce(member, "client_left", { client_id: member.clientId });
  }

  #announce(member: Member, type: string, data: WebSocketMessage["data"]): void {
    if (this.#options.announces !== true || this.#closed) return;
    this.#pass(encodeMessage({ type, data, ...this.#envelope() }), member.room, member);
  }

  #charge({ clientId }: Member, messages: number | undefined): void {
    const { burst } = this.#limits.rate;
    const cost = messages === undefined ? CONTENT_COST : Math.max(1, messages);
    if (this.#rate.take(clientId, cost)) return;
    throw rateError("Cannot take messages: the messages of this client", "rate.burst", burst);
  }

  /** @returns whether nobody else has to see it. */
  #take(member: Member, message: WebSocketMessage): boolean {
    const { line, clientId } = member;
    this.#health.count("messages.in");
    if (message.client_id !== clientId) {
      throw new SyncRefusal("INVALID_MESSAGE", "client_id is not the one that has connected");
    }
    this.#audit.took(member, message);
    switch (message.type) {
      case MessageType.HEARTBEAT:
        line.say(heartbeatMessage(this.#author));
        return true;
      case MessageType.CLIENT_DISCONNECT:
        line.close();
        return true;
      case MessageType.CLIENT_CONNECT:
        throw new SyncRefusal("INVALID_MESSAGE", "client_connect has come already");
      case MessageType.FILE_CHANGED:
        this.#mustWrite(member);
    }
    if (this.#options.onPort !== undefined) return false;
    this.#relay(member, message);
    return true;
  }

  /** Who may only read asks for contents in the same way; what nobody asked for is the port's to refuse. */
  #takeContent(): void {
    this.#health.count("contents.in");
    if (this.#options.onPort === undefined) {
      throw new SyncRefusal("INVALID_MESSAGE", "This hub keeps no folder and takes no contents");
    }
  }

  #mustWrite({ scope }: Member): void {
    if (scope !== "write") throw new SyncRefusal("NOT_ALLOWED", "This client may only read");
  }

  /** Without a folder of its own a hub passes changes on, and what it does not know, for newer clients. */
  #relay(member: Member, message: WebSocketMessage): void {
    switch (message.type) {
      case MessageType.ERROR:
        return; // for the log
      case MessageType.SYNC_REQUEST:
      case MessageType.SYNC_RESPONSE:
        throw new SyncRefusal("UNKNOWN_TYPE", "This hub keeps no folder to compare with");
    }
    this.#mustWrite(member);
    const data = { ...message.data, client_id: member.clientId };
    const passed = { ...unnumbered(message), data, client_id: SERVER_ID };
    this.#pass(JSON.stringify(passed), member.room, member);
  }

  /** Sends what is encoded once to everybody in a room. @returns to how many. */
  #pass(body: string, room: string, author?: Member): number {
    let count = 0;
    for (const member of this.#registry.inRoom(room)) {
      if (member !== author && member.line.push(body)) count++;
    }
    return count;
  }

  #fault(member: Member, error: PeerError): void {
    const { maxFaults } = this.#limits;
    this.#health.count("violations");
    this.#health.error(errorCodeFor(error));
    this.#audit.fault(member, error);
    if (++member.faults > maxFaults) return member.line.disconnect(error);
    member.line.say(errorMessage(this.#author, dataOf(error)));
  }

  /** Gives signs of life, and looks who gives none. */
  #look(): void {
    const { heartbeatMs, silenceMs, resumeMs } = this.#limits;
    const nowMs = this.#clock.now();
    this.#health.tick();
    for (const member of this.#registry.members) {
      const { line, scope, awaySinceMs } = member;
      if (scope === undefined) {
        line.close(new SyncRefusal("AUTHENTICATION_FAILED", "The key works no more"));
      } else if (!line.connected) {
        if (nowMs - (awaySinceMs ?? nowMs) >= resumeMs) line.close();
      } else if (line.silentMs(nowMs) > silenceMs) {
        this.#health.count("timeouts");
        const why = `Nothing was heard for silenceMs ${silenceMs}`;
        line.disconnect(new SyncRefusal("HEARTBEAT_TIMEOUT", why));
      } else if (line.quietMs(nowMs) >= heartbeatMs) line.beat();
    }
    const tickMs = Math.min(MAX_TICK_MS, Math.min(heartbeatMs, silenceMs) / TICKS);
    this.#timer = this.#clock.after(tickMs, () => this.#look());
  }

  get #author(): { wallMs: number } {
    return { wallMs: this.#clock.wallMs() };
  }

  #envelope(): { client_id: string; timestamp: string } {
    return { client_id: SERVER_ID, timestamp: new Date(this.#clock.wallMs()).toISOString() };
  }
}
