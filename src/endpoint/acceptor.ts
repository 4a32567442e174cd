/**
 * Who speaks what on an accepted connection: its first bytes tell, and whoever registered for that protocol takes it.
 *
 * | first bytes                  | protocol      |
 * |------------------------------|---------------|
 * | `KITH/1\n`                   | `native`      |
 * | `{`                          | `witch`       |
 * | `HELLO\|`                    | `peerpy`      |
 * | 0 or 1: the length of a frame | `peerconnect` |
 * | `GET `, `POST `, ...         | `http`        |
 *
 * Everything until the first record is whole has one time limit, kept by one timer for all connections. When too many
 * are at that stage the oldest goes: who has something to say has said it long before, and a flood of silent
 * connections pushes out itself.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";
import {
  ClosedError,
  InvalidPacketError,
  LimitError,
  PeerError,
  UnsupportedError,
} from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import { type Connection, formatAddress } from "../transport/transport.ts";
import type { Via } from "./dispatcher.ts";
import { PREFACE } from "./handshake.ts";
import type { ConnectionLimiter } from "./limits.ts";
import { countRefusal } from "./resources.ts";
import { tookTooLong } from "./within_time.ts";

/** What a connection can begin with. */
export type Protocol = "native" | "witch" | "peerpy" | "peerconnect" | "http";

/** A connection whose protocol is known. */
export interface Accepted {
  /** The connection. Whoever takes it closes it. */
  readonly connection: Connection;
  /** What was read from it already. */
  readonly first: Uint8Array<ArrayBuffer>;
  /** What carries it. */
  readonly via: Via;
  /** Fires when the endpoint closes. */
  readonly signal: AbortSignal;
  /**
   * Says that the first record is whole and right. Until then the time for the handshake runs, and an error of the
   * taker is a refusal; from then on the connection is one like any other.
   */
  established(): void;
}

/**
 * Takes a connection, until it is done with it or somebody else is in charge of it. When it rejects, the connection is
 * closed; before `established()` that is also counted as `accept.refused.CODE`.
 */
export type Taker = (accepted: Accepted) => Promise<void>;

/** What an {@linkcode Acceptor} needs. */
export interface AcceptorOptions {
  /** Where time comes from. */
  clock: Clock;
  /** Where to say who was refused. */
  log: Logger;
  /** Counts `accept.*`. */
  metrics: Metrics;
  /** Refuses those whose handshakes fail too often. */
  limiter: ConnectionLimiter;
  /** Counts one that speaks another protocol as connected until disposed of; throws where no more may be. */
  hold: (connection: Connection) => Disposable;
  /** Tells one whose handshakes fail too often so, unheard, and closes the connection. */
  turnAway: (connection: Connection, why: LimitError) => Promise<void>;
  /** Connections whose first record is not there yet, at most. */
  maxPendingHandshakes: number;
  /** Time for the first record in milliseconds. */
  handshakeMs: number;
}

/** First bytes shown in an error, at most. */
const SHOWN_BYTES = 8;

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Waited for before a PeerConnect connection is told apart from the probe that is an empty frame. */
const FRAME_LENGTH_BYTES = 4;

const HTTP_VERBS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "PRI"];

const BEGINNINGS: readonly (readonly [Protocol, Uint8Array])[] = [
  ["native", PREFACE],
  ["witch", ascii("{")],
  ["peerpy", ascii("HELLO|")],
  // The first byte of a length below 32 MiB.
  ["peerconnect", Uint8Array.of(0)],
  ["peerconnect", Uint8Array.of(1)],
  ...HTTP_VERBS.map((verb) => ["http", ascii(`${verb} `)] as const),
];

/**
 * Tells protocols apart and keeps the time; see the module.
 *
 * @example The one of an endpoint, which takes other protocols too
 * ```ts
 * import { Endpoint } from "@kith/kith/endpoint";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const self = { name: "bob", capabilities: [], agent: "example" };
 * await using bob = await Endpoint.open({ transport: network.host("bob"), self, port: 1 });
 * const heard = Promise.withResolvers<string>();
 * using taken = bob.take("peerpy", async ({ connection, first, established }) => {
 *   established();
 *   heard.resolve(new TextDecoder().decode(first));
 *   connection.close();
 * });
 *
 * const connection = await network.host("alice").connect({ hostname: "bob", port: 1 });
 * await connection.write(new TextEncoder().encode("HELLO|json"));
 * assertEquals(await heard.promise, "HELLO|json");
 * connection.close();
 * ```
 */
export class Acceptor {
  readonly #options: AcceptorOptions;
  readonly #takers = new Map<Protocol, Taker>();
  // In the order of their deadlines, which is the order in which they came.
  readonly #pending = new Map<Connection, Pending>();
  readonly #taken = new Map<Connection, Promise<void>>();
  readonly #closing = new AbortController();
  #timer: Timer | undefined;

  /** An acceptor that takes nothing yet. */
  constructor(options: AcceptorOptions) {
    this.#options = options;
  }

  /** Connections whose first record is not there yet. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Registers who takes a protocol. @returns what takes it back. @throws {TypeError} when somebody does already. */
  take(protocol: Protocol, taker: Taker): Disposable {
    if (this.#takers.has(protocol)) throw new TypeError(`Cannot take ${protocol}: it is taken`);
    this.#takers.set(protocol, taker);
    return {
      [Symbol.dispose]: () => {
        if (this.#takers.get(protocol) === taker) this.#takers.delete(protocol);
      },
    };
  }

  /** Takes a connection in. It never throws: what goes wrong is counted and logged. */
  accept(connection: Connection, via: Via): void {
    if (this.#closing.signal.aborted) return connection.close();
    const refusal = this.#options.limiter.admit(connection.remote);
    if (refusal !== undefined) {
      this.#options.metrics.counter("accept.refused.rate").add();
      countRefusal(this.#options.metrics, refusal);
      return this.#track(connection, this.#options.turnAway(connection, refusal));
    }
    if (this.#pending.size >= this.#options.maxPendingHandshakes) this.#evictOldest();
    const pending = { deadlineMs: this.#options.clock.now() + this.#options.handshakeMs };
    this.#pending.set(connection, pending);
    this.#arm();
    this.#track(connection, this.#meet(connection, via, pending));
  }

  /** Closes every connection that somebody still works on, and waits for them. */
  async close(): Promise<void> {
    this.#closing.abort(new ClosedError("The endpoint is closed"));
    this.#timer?.cancel();
    for (const connection of this.#taken.keys()) connection.close();
    await Promise.all(this.#taken.values());
  }

  #track(connection: Connection, work: Promise<void>): void {
    this.#taken.set(connection, work.finally(() => this.#taken.delete(connection)));
  }

  async #meet(connection: Connection, via: Via, pending: Pending): Promise<void> {
    const settled = () => this.#pending.delete(connection);
    try {
      const { protocol, first } = await identify(connection);
      if (protocol === "peerconnect" && isEmptyFrame(first)) return this.#answerProbe(connection);
      const taker = this.#takers.get(protocol);
      if (taker === undefined) throw isOff(protocol);
      const { signal } = this.#closing;
      const established = () => {
        if (settled()) this.#options.metrics.counter("accept.established").add();
      };
      // A native one is counted once it has proven who it is, as a link.
      using _held = isDialect(protocol) ? this.#options.hold(connection) : undefined;
      await taker({ connection, first, via, signal, established });
    } catch (error) {
      connection.close();
      const refused = pending.reason !== undefined || this.#pending.has(connection);
      if (this.#closing.signal.aborted) return;
      if (refused) this.#refuse(connection, pending.reason ?? error);
      else this.#options.log.debug("a connection ended", fields(connection, error));
    } finally {
      settled();
    }
  }

  /** A PeerConnect node that asks whether anybody is here has its answer: it was accepted. */
  #answerProbe(connection: Connection): void {
    this.#options.metrics.counter("accept.probes").add();
    connection.close();
  }

  #refuse(connection: Connection, error: unknown): void {
    const { metrics, limiter, log } = this.#options;
    const code = error instanceof PeerError ? error.code : "connect";
    metrics.counter(`accept.refused.${code}`).add();
    // Who is right and comes when there is no room has done nothing wrong.
    if (code !== "limit") limiter.failed(connection.remote);
    log.warn("refused a connection", { ...fields(connection, error), code });
  }

  #evictOldest(): void {
    const [oldest] = this.#pending.keys();
    if (oldest === undefined) return;
    const { metrics, maxPendingHandshakes: max } = this.#options;
    const text = `There are ${max} handshakes already (maxPendingHandshakes)`;
    const details = { limit: "maxPendingHandshakes", max };
    this.#giveUp(oldest, countRefusal(metrics, new LimitError("rate", text, { details })));
    metrics.counter("accept.evicted").add();
  }

  #giveUp(connection: Connection, reason: PeerError): void {
    const pending = this.#pending.get(connection);
    if (pending !== undefined) pending.reason = reason;
    this.#pending.delete(connection);
    connection.close();
  }

  #arm(): void {
    if (this.#timer !== undefined) return;
    const [first] = this.#pending.values();
    if (first === undefined) return;
    const { clock } = this.#options;
    this.#timer = clock.after(Math.max(0, first.deadlineMs - clock.now()), () => this.#sweep());
  }

  #sweep(): void {
    this.#timer = undefined;
    const { clock, handshakeMs } = this.#options;
    // A timer may fire a fraction of a millisecond early.
    const nowMs = clock.now() + 1;
    for (const [connection, { deadlineMs }] of this.#pending) {
      if (deadlineMs > nowMs) break;
      this.#giveUp(connection, tookTooLong(handshakeMs));
    }
    this.#arm();
  }
}

/** A connection whose first record is not there yet. */
interface Pending {
  readonly deadlineMs: number;
  /** Why it was given up. */
  reason?: PeerError;
}

/**
 * Reads a connection's first bytes until they are a protocol's or cannot become one.
 *
 * @throws {InvalidPacketError} `bad-frame` at the first byte that fits no protocol.
 * @throws {ClosedError} when the connection ends before it has begun.
 */
export async function identify(
  connection: Connection,
): Promise<{ protocol: Protocol; first: Uint8Array<ArrayBuffer> }> {
  const buffer = new Uint8Array(256);
  let count = 0;
  for (;;) {
    const read = await connection.read(buffer.subarray(count));
    if (read === null) {
      throw new ClosedError(`Cannot accept a connection: it ended after ${count} bytes`);
    }
    count += read;
    const first = buffer.subarray(0, count);
    const possible = BEGINNINGS.filter(([, beginning]) => agree(first, beginning));
    if (possible.length === 0) throw unknownProtocol(first);
    const found = possible.find(([protocol, beginning]) => {
      return count >= (protocol === "peerconnect" ? FRAME_LENGTH_BYTES : beginning.length);
    });
    if (found !== undefined) return { protocol: found[0], first };
  }
}

function isDialect(protocol: Protocol): boolean {
  return protocol !== "native" && protocol !== "http";
}

function isEmptyFrame(first: Uint8Array): boolean {
  return first.length === FRAME_LENGTH_BYTES && first.every((byte) => byte === 0);
}

/** Whether two byte strings are equal as far as the shorter goes. */
function agree(a: Uint8Array, b: Uint8Array): boolean {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function unknownProtocol(bytes: Uint8Array): InvalidPacketError {
  const shown = bytes.subarray(0, SHOWN_BYTES).toHex().replace(/../g, "$& ").trimEnd();
  return new InvalidPacketError(
    "bad-frame",
    `Cannot accept a connection: it begins with ${shown}, which is no protocol spoken here`,
    { details: { first: shown } },
  );
}

function isOff(protocol: Protocol): UnsupportedError {
  return new UnsupportedError(`Cannot accept a connection: dialect ${protocol} is off (dialects)`, {
    details: { dialect: protocol },
  });
}

function fields(connection: Connection, error: unknown): Record<string, unknown> {
  return {
    from: formatAddress(connection.remote),
    why: error instanceof Error ? error.message : String(error),
  };
}
