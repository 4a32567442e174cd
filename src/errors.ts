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

/** Bytes or a message that break the format: `bad-frame`, `bad-message`, `too-large`, `bad-version`. */
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

/** The other side would not open a connection: `denied`, `incompatible`, `strict-violation`, `bad-channel`. */
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

/** Who asks is unknown or may not: `not-authenticated`, `not-allowed`, `key-changed`. */
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

/** A named limit was reached: `limit`, `slow-consumer`, `rate`. */
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

/** A deadline of ours passed (`timeout`). A caller's own `AbortSignal` rejects with its own reason instead. */
export class TimeoutError extends PeerError {
  /** Makes the error. */
  constructor(message: string, options?: PeerErrorOptions) {
    super("timeout", message, options);
  }
}

/** What was asked for is not there: `no-peer`, `no-endpoint`, `no-key`, `no-path`. */
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

/** Data is not what it claims to be: `bad-hash`, `bad-signature`. */
export class IntegrityError extends PeerError {
  /** Makes the error. */
  constructor(code: "bad-hash" | "bad-signature", message: string, options?: PeerErrorOptions) {
    super(code, message, options);
  }
}

/** The other side answered with an error; `code` and `details` are what it sent. */
export class RemoteError extends PeerError {}

/** A socket could not be opened or broke (`connect`). */
export class TransportError extends PeerError {
  /** Makes the error; `details.address` says where to. */
  constructor(message: string, options?: PeerErrorOptions) {
    super("connect", message, options);
  }
}

/** The thing was closed, by us or by the other side (`closed`). */
export class ClosedError extends PeerError {
  /** Makes the error. */
  constructor(message: string, options?: PeerErrorOptions) {
    super("closed", message, options);
  }
}

/** This runtime or build cannot do it (`unsupported`); the text names the flag or permission that is missing. */
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
