/**
 * The `error_code`s of live-sync, in the seed's four categories, and what they are in kith's own table of errors.
 *
 * @module
 */

import { type ErrorCode, PeerError, RemoteError } from "../errors.ts";
import { printable } from "../log.ts";
import type { ErrorMessage, JsonObject } from "./message_types.ts";

/** The seed's categories: the network and who one is, the messages, the files, the server. */
export type ErrorCategory = "connection" | "protocol" | "operation" | "system";

/** What an `error_code` says. */
export interface ErrorCodeFacts {
  /** Where the fault lies. */
  readonly category: ErrorCategory;
  /** The code of our own that comes closest, which decides the exit status; `internal` where none does. */
  readonly code: ErrorCode | "internal";
}

/** Longest text of an error that is sent or kept, in characters. */
const MAX_ERROR_CHARS = 500;

/** Each `error_code` that kith sends. */
export const ERROR_CODES = {
  /** The key or invite is missing or wrong. */
  AUTHENTICATION_FAILED: { category: "connection", code: "not-authenticated" },
  /** Another client has this id now. */
  CLIENT_ID_IN_USE: { category: "connection", code: "denied" },
  /** Something else came before `client_connect`. */
  NOT_CONNECTED: { category: "connection", code: "denied" },
  /** No version is spoken by both. */
  VERSION_UNSUPPORTED: { category: "connection", code: "incompatible" },
  /** The server has no folder of that name for this client. */
  UNKNOWN_ROOM: { category: "connection", code: "denied" },
  /** Nothing was heard for too long. */
  HEARTBEAT_TIMEOUT: { category: "connection", code: "timeout" },
  /** There are too many connections. */
  CONNECTION_LIMIT: { category: "connection", code: "limit" },
  /** It is not JSON. */
  INVALID_JSON: { category: "protocol", code: "bad-message" },
  /** Fields are missing or wrong; the text names them. */
  INVALID_MESSAGE: { category: "protocol", code: "bad-message" },
  /** A type that nobody here knows. */
  UNKNOWN_TYPE: { category: "protocol", code: "unsupported" },
  /** Larger than a limit, which the text names. */
  MESSAGE_TOO_LARGE: { category: "protocol", code: "too-large" },
  /** More messages in a second than are taken. */
  RATE_LIMITED: { category: "protocol", code: "rate" },
  /** A number was left out in a session. */
  OUT_OF_SEQUENCE: { category: "protocol", code: "bad-message" },
  /** This client may only read. */
  NOT_ALLOWED: { category: "operation", code: "not-allowed" },
  /** There is no such file. */
  FILE_NOT_FOUND: { category: "operation", code: "no-path" },
  /** The contents are not what was announced. */
  HASH_MISMATCH: { category: "operation", code: "bad-hash" },
  /** No room for it, or a limit of the folder is reached. */
  LIMIT_REACHED: { category: "operation", code: "limit" },
  /** The client reads more slowly than others write. */
  SLOW_CONSUMER: { category: "system", code: "slow-consumer" },
  /** The server stops. */
  SHUTTING_DOWN: { category: "system", code: "closed" },
  /** A fault of the server's own, of which nothing else is told. */
  INTERNAL_ERROR: { category: "system", code: "internal" },
} as const satisfies Readonly<Record<string, ErrorCodeFacts>>;

/** An `error_code` that kith sends. */
export type SyncErrorCode = keyof typeof ERROR_CODES;

const CODE_OF: ReadonlyMap<string, SyncErrorCode> = new Map<ErrorCode, SyncErrorCode>([
  ["bad-frame", "INVALID_MESSAGE"],
  ["bad-message", "INVALID_MESSAGE"],
  ["too-large", "MESSAGE_TOO_LARGE"],
  ["bad-version", "VERSION_UNSUPPORTED"],
  ["incompatible", "VERSION_UNSUPPORTED"],
  ["denied", "AUTHENTICATION_FAILED"],
  ["not-authenticated", "AUTHENTICATION_FAILED"],
  ["not-allowed", "NOT_ALLOWED"],
  ["limit", "LIMIT_REACHED"],
  ["rate", "RATE_LIMITED"],
  ["slow-consumer", "SLOW_CONSUMER"],
  ["timeout", "HEARTBEAT_TIMEOUT"],
  ["no-path", "FILE_NOT_FOUND"],
  ["bad-hash", "HASH_MISMATCH"],
  ["closed", "SHUTTING_DOWN"],
]);

/**
 * What the other side is told of an error. Of one that is not ours only that it happened: its text may name a folder or
 * hold a stack.
 *
 * @param errorCode The code, where it is better known than by the error. @default by the error's own code
 */
export function errorData(error: unknown, errorCode?: SyncErrorCode): ErrorMessage {
  if (!(error instanceof PeerError)) {
    return { error_code: errorCode ?? "INTERNAL_ERROR", message: "The server failed", details: "" };
  }
  const { limit, max } = error.details;
  return {
    error_code: errorCode ?? errorCodeOf(error),
    message: printable(error.message, MAX_ERROR_CHARS),
    details: typeof limit === "string" ? `limit ${limit} is ${max}` : "",
  };
}

/**
 * The error that another side's message stands for, in the seed's form or in the original program's.
 *
 * @example
 * ```ts
 * import { errorFromData } from "@kith/kith/sync";
 * import { assertEquals } from "@std/assert";
 *
 * const error = errorFromData({ error_code: "UNKNOWN_ROOM", message: "There is no folder x" });
 * assertEquals([error.code, error.message], ["denied", "There is no folder x"]);
 * assertEquals(error.details, { errorCode: "UNKNOWN_ROOM", category: "connection" });
 * ```
 */
export function errorFromData(data: JsonObject): RemoteError {
  const { error_code: errorCode, error: plain } = data;
  const { message = plain, details } = data;
  const known = typeof errorCode === "string" ? factsOf(errorCode) : undefined;
  const text = typeof message === "string" ? message : "The other side has met with an error";
  return new RemoteError(known?.code ?? "internal", printable(text, MAX_ERROR_CHARS), {
    details: {
      ...(typeof errorCode === "string" ? { errorCode: printable(errorCode, 40) } : {}),
      ...(known === undefined ? {} : { category: known.category }),
      ...(typeof details === "string" && details !== ""
        ? { details: printable(details, MAX_ERROR_CHARS) }
        : {}),
    },
  });
}

/** What an `error_code` says; `undefined` for one that is none of ours. */
export function factsOf(errorCode: string): ErrorCodeFacts | undefined {
  return Object.hasOwn(ERROR_CODES, errorCode)
    ? ERROR_CODES[errorCode as SyncErrorCode]
    : undefined;
}

/** The `error_code` for an error of ours. `details.errorCode` is a more exact one that its thrower knew. */
function errorCodeOf({ code, details }: PeerError): SyncErrorCode {
  const { errorCode } = details;
  const isExact = code === "bad-message" && typeof errorCode === "string" &&
    factsOf(errorCode) !== undefined;
  return isExact ? errorCode as SyncErrorCode : CODE_OF.get(code) ?? "INTERNAL_ERROR";
}
