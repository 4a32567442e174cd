/**
 * One error tree for the library, the wire and the exit code.
 *
 * Every failure kith reports is a {@linkcode PeerError} with a `code`: the string that an error message carries to the
 * other side, that `--json` prints, and that decides the exit status. Bad *arguments* are `TypeError` or `RangeError`,
 * as everywhere in the platform; bad *input from others* is always in this tree.
 *
 * @module
 */

/** Exit status of the command line for each error code. */
export const EXIT_STATUS = {
  "bad-frame": 1,
  "bad-message": 1,
  "too-large": 1,
  "bad-version": 1,
  "denied": 4,
  "incompatible": 4,
  "strict-violation": 4,
  "bad-channel": 4,
  "not-authenticated": 4,
  "not-allowed": 4,
  "key-changed": 4,
  "limit": 4,
  "slow-consumer": 4,
  "rate": 4,
  "timeout": 3,
  "no-peer": 5,
  "no-endpoint": 5,
  "no-key": 5,
  "no-path": 5,
  "bad-hash": 6,
  "bad-signature": 6,
  "connect": 1,
  "closed": 1,
  "unsupported": 1,
} as const;

/** A code of the error table. */
export type ErrorCode = keyof typeof EXIT_STATUS;

/** What an error carries besides its text. */
export interface PeerErrorOptions {
  /** The error underneath, kept for debugging and never sent to another peer. */
  cause?: unknown;
  /** Facts for programs: the limit, the offset, what was tried. Plain data, safe to print and to send. */
  details?: Record<string, unknown>;
}

/**
 * The root of every error that kith raises about something other than a caller's arguments.
 *
 * @example Telling errors apart by code
 * ```ts
 * import { NotFoundError, PeerError } from "@kith/kith";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const error = new NotFoundError("no-peer", 'Cannot find peer "bob"');
 * assert(error instanceof PeerError);
 * assertEquals(error.code, "no-peer");
 * ```
 */
export class PeerError extends Error {
  /** The error's code, one of {@linkcode EXIT_STATUS} or, in a {@linkcode RemoteError}, whatever the other side sent. */
  readonly code: string;
  /** Facts for programs, safe to print. */
  readonly details: Readonly<Record<string, unknown>>;

  /** Makes an error with a code of the table, a text of one sentence without a final period, and facts. */
  constructor(code: string, message: string, options: PeerErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
    this.name = new.target.name;
  }
}

/**
 * Bytes or a message that break the format: `bad-frame`, `bad-message`, `too-large`, `bad-version`.
 *
 * @example
 * ```ts
 * import { InvalidPacketError } from "@kith/kith";
 * import { decode } from "@kith/kith/wire";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const cut = new Uint8Array([0xa5, 0x68]); // text of 5 bytes, and one of them
 * const error = assertThrows(() => decode(cut), InvalidPacketError);
 * assertEquals([error.code, error.details.offset], ["bad-message", 1]);
 * ```
 */
export class InvalidPacketError extends PeerError {
  /** Makes the error; `details` names the offset or the limit. */
  constructor(
    code: "bad-frame" | "bad-message" | "too-large" | "bad-version",
    message: string,
    options?: PeerErrorOptions,
  ) {
    super(code, message, options);
  }
}

/**
 * The other side would not open a connection: `denied`, `incompatible`, `strict-violation`, `bad-channel`.
 *
 * @example
 * ```ts
 * import { HandshakeError } from "@kith/kith";
 * import { chooseProtocol } from "@kith/kith/rpc";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const error = assertThrows(() => chooseProtocol(["v3"], ["rpc/v1"]), HandshakeError);
 * assertEquals([error.code, error.details], ["incompatible", { ours: ["v3"], theirs: ["v1"] }]);
 * ```
 */
export class HandshakeError extends PeerError {
  /** Makes the error; `details.reason` is the code the other side gave, where it gave one. */
  constructor(
    code: "denied" | "incompatible" | "strict-violation" | "bad-channel",
    message: string,
    options?: PeerErrorOptions,
  ) {
    super(code, message, options);
  }
}

/**
 * Who asks is unknown or may not: `not-authenticated`, `not-allowed`, `key-changed`.
 *
 * @example
 * ```ts
 * import { AuthError, Identity, Trust } from "@kith/kith";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const { peerId, publicKey } = Identity.generate();
 * const trust = new Trust();
 * trust.add(peerId, { policy: "deny" });
 * const mallory = { peerId, publicKey: publicKey.toHex(), name: "mallory" };
 * assertEquals(assertThrows(() => trust.check(mallory), AuthError).code, "not-allowed");
 * ```
 */
export class AuthError extends PeerError {
  /** Makes the error. */
  constructor(
    code: "not-authenticated" | "not-allowed" | "key-changed",
    message: string,
    options?: PeerErrorOptions,
  ) {
    super(code, message, options);
  }
}

/**
 * A named limit was reached: `limit`, `slow-consumer`, `rate`.
 *
 * @example
 * ```ts
 * import { LimitError } from "@kith/kith";
 * import { StoredBytes } from "@kith/kith/endpoint";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const error = assertThrows(() => new StoredBytes(1_000).check(1_001), LimitError);
 * assertEquals(error.details, { limit: "maxStoredBytes", max: 1_000 });
 * ```
 */
export class LimitError extends PeerError {
  /** Makes the error; `details.limit` names the limit and `details.max` is its value. */
  constructor(
    code: "limit" | "slow-consumer" | "rate",
    message: string,
    options?: PeerErrorOptions,
  ) {
    super(code, message, options);
  }
}

/**
 * A deadline of ours passed (`timeout`). A caller's own `AbortSignal` rejects with its own reason instead.
 *
 * @example
 * ```ts
 * import { ManualClock, TimeoutError } from "@kith/kith";
 * import { FramedConnection, MemoryNetwork } from "@kith/kith/transport";
 * import { assertRejects } from "@std/assert";
 *
 * const clock = new ManualClock();
 * using network = new MemoryNetwork();
 * await network.host("bob").listen({ port: 1 });
 * const connection = await network.host("alice").connect({ hostname: "bob", port: 1 });
 * const framed = new FramedConnection(connection, { clock });
 * const late = assertRejects(() => framed.receive({ timeoutMs: 500 }), TimeoutError);
 * await clock.advance(500);
 * await late; // bob said nothing
 * ```
 */
export class TimeoutError extends PeerError {
  /** Makes the error. */
  constructor(message: string, options?: PeerErrorOptions) {
    super("timeout", message, options);
  }
}

/**
 * What was asked for is not there: `no-peer`, `no-endpoint`, `no-key`, `no-path`.
 *
 * @example
 * ```ts
 * import { NotFoundError } from "@kith/kith";
 * import { hashSources } from "@kith/kith/rpc";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const error = await assertRejects(() => hashSources("no/such/folder"), NotFoundError);
 * assertEquals(error.code, "no-path");
 * ```
 */
export class NotFoundError extends PeerError {
  /** Makes the error; `details.tried` lists where we looked. */
  constructor(
    code: "no-peer" | "no-endpoint" | "no-key" | "no-path",
    message: string,
    options?: PeerErrorOptions,
  ) {
    super(code, message, options);
  }
}

/**
 * Data is not what it claims to be: `bad-hash`, `bad-signature`.
 *
 * @example
 * ```ts
 * import { Identity, IntegrityError } from "@kith/kith";
 * import { decodeRecord, encodeRecord, signedRecord } from "@kith/kith/dht";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const draft = { scope: "own", name: "", seq: 1, expiresS: 60 } as const;
 * const record = signedRecord({ ...draft, value: new Uint8Array([7]) }, Identity.generate());
 * const forged = encodeRecord({ ...record, value: new Uint8Array([8]) });
 * const error = assertThrows(() => decodeRecord(forged, { nowS: 0 }), IntegrityError);
 * assertEquals(error.code, "bad-signature");
 * ```
 */
export class IntegrityError extends PeerError {
  /** Makes the error. */
  constructor(code: "bad-hash" | "bad-signature", message: string, options?: PeerErrorOptions) {
    super(code, message, options);
  }
}

/**
 * The other side answered with an error; `code` and `details` are what it sent.
 *
 * @example
 * ```ts
 * import { NotFoundError, Peer, RemoteError } from "@kith/kith";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * await using bob = await Peer.open({ hostname: "127.0.0.1", port: 0, announce: false });
 * bob.handle("read", () => Promise.reject(new NotFoundError("no-path", "Nothing is there")));
 * await using alice = await Peer.open({ hostname: "127.0.0.1", clientOnly: true });
 * const asking = alice.request(`127.0.0.1:${bob.address?.port}`, "read");
 * assertEquals((await assertRejects(() => asking, RemoteError)).code, "no-path");
 * ```
 */
export class RemoteError extends PeerError {}

/**
 * A socket could not be opened or broke (`connect`).
 *
 * @example
 * ```ts
 * import { TransportError } from "@kith/kith";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const nobody = { hostname: "bob", port: 3485 };
 * const connecting = new MemoryNetwork().host("alice").connect(nobody);
 * const error = await assertRejects(() => connecting, TransportError);
 * assertEquals(error.details.address, "bob:3485");
 * ```
 */
export class TransportError extends PeerError {
  /** Makes the error; `details.address` says where to. */
  constructor(message: string, options?: PeerErrorOptions) {
    super("connect", message, options);
  }
}

/**
 * The thing was closed, by us or by the other side (`closed`).
 *
 * @example
 * ```ts
 * import { ClosedError } from "@kith/kith";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertRejects } from "@std/assert";
 *
 * const socket = await new MemoryNetwork().host("alice").datagram();
 * socket.close();
 * await assertRejects(() => socket.send(new Uint8Array(1), socket.address), ClosedError);
 * ```
 */
export class ClosedError extends PeerError {
  /** Makes the error. */
  constructor(message: string, options?: PeerErrorOptions) {
    super("closed", message, options);
  }
}

/**
 * This runtime or build cannot do it (`unsupported`); the text names the flag or permission that is missing.
 *
 * @example
 * ```ts
 * import { UnsupportedError } from "@kith/kith";
 * import { encodeData } from "@kith/kith/session";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const options = { dialect: "peerpy", maxDataBytes: 1024 } as const; // whose raw data are pickles
 * const error = assertThrows(() => encodeData("raw", [1], options), UnsupportedError);
 * assertEquals(error.details, { dataType: "raw", dialect: "peerpy" });
 * ```
 */
export class UnsupportedError extends PeerError {
  /** Makes the error. */
  constructor(message: string, options?: PeerErrorOptions) {
    super("unsupported", message, options);
  }
}

/**
 * The exit status of the command line for an error: by its code, 130 for an interrupt, 2 for bad arguments, else 1.
 *
 * @example
 * ```ts
 * import { exitStatus, TimeoutError } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(exitStatus(new TimeoutError("Cannot reach bob: no answer in 2 s")), 3);
 * assertEquals(exitStatus(new RangeError("Port must be 0..65535: current value is 70000")), 2);
 * ```
 */
export function exitStatus(error: unknown): number {
  if (error instanceof PeerError) {
    return Object.hasOwn(EXIT_STATUS, error.code) ? EXIT_STATUS[error.code as ErrorCode] : 1;
  }
  if (error instanceof TypeError || error instanceof RangeError) return 2;
  if (error instanceof DOMException && error.name === "AbortError") return 130;
  return 1;
}
