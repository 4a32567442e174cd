/**
 * How a connection of live-sync is closed: 1000 after a goodbye, else 4000 and the status that HTTP has for the like.
 *
 * @module
 */

import { ClosedError, PeerError } from "../errors.ts";
import { ERROR_CODES, errorData, factsOf, type SyncErrorCode } from "./error_codes.ts";
import type { ErrorMessage } from "./message_types.ts";

/** The close code of each `error_code` that ends a connection. */
export const CLOSE_CODES: Readonly<Partial<Record<SyncErrorCode, number>>> = {
  INVALID_JSON: 4400,
  INVALID_MESSAGE: 4400,
  AUTHENTICATION_FAILED: 4401,
  NOT_ALLOWED: 4403,
  UNKNOWN_ROOM: 4404,
  HEARTBEAT_TIMEOUT: 4408,
  CLIENT_ID_IN_USE: 4409,
  OUT_OF_SEQUENCE: 4412,
  MESSAGE_TOO_LARGE: 4413,
  NOT_CONNECTED: 4425,
  VERSION_UNSUPPORTED: 4426,
  RATE_LIMITED: 4429,
  INTERNAL_ERROR: 4500,
  SHUTTING_DOWN: 4503,
  SLOW_CONSUMER: 4508,
  CONNECTION_LIMIT: 4509,
};

/** Whoever gets one of these gets it again, however often it tries. */
const FINAL: ReadonlySet<string> = new Set<SyncErrorCode>([
  "AUTHENTICATION_FAILED",
  "NOT_ALLOWED",
  "UNKNOWN_ROOM",
  "VERSION_UNSUPPORTED",
]);

/**
 * Somebody is not let in, or not any longer.
 *
 * @example
 * ```ts
 * import { Endpoint, WebPort } from "@kith/kith/endpoint";
 * import { SyncClient, SyncHub, SyncRefusal } from "@kith/kith/sync";
 * import { netTransport } from "@kith/kith/transport";
 * import { assertStringIncludes } from "@std/assert";
 *
 * const self = { name: "hub", capabilities: [], agent: "docs/1" };
 * await using endpoint = await Endpoint.open({ transport: netTransport, self, clientOnly: true });
 * await using web = await WebPort.open(endpoint, { hostname: "127.0.0.1", port: 0 });
 * const why = new SyncRefusal("NOT_ALLOWED", "Nobody may look at night");
 * await using _hub = SyncHub.open(web, { onPort: (port) => port.close(why) });
 *
 * const url = `ws://127.0.0.1:${web.address.port}`;
 * await using ann = await SyncClient.open(url, { name: "ann", folder: "docs" });
 * assertStringIncludes(String(await ann.closed), "NOT_ALLOWED"); // it does not come again
 * ```
 */
export class SyncRefusal extends PeerError {
  /** What it is for. */
  readonly errorCode: SyncErrorCode;

  /** Makes the error. @param details Facts such as the limit; the `errorCode` is added. */
  constructor(errorCode: SyncErrorCode, message: string, details: Record<string, unknown> = {}) {
    super(ERROR_CODES[errorCode].code, message, { details: { ...details, errorCode } });
    this.errorCode = errorCode;
  }
}

/** The `error_code` that the other side is told of an error. */
export function errorCodeFor(error: unknown): SyncErrorCode {
  if (error instanceof SyncRefusal) return error.errorCode;
  return errorData(error).error_code as SyncErrorCode;
}

/** What the other side is told of an error. */
export function dataOf(error: unknown): ErrorMessage {
  return errorData(error, error instanceof SyncRefusal ? error.errorCode : undefined);
}

/** The close code for an error; 1000 for none. */
export function closeCodeFor(error: unknown): number {
  return error === undefined ? 1000 : CLOSE_CODES[errorCodeFor(error)] ?? 4400;
}

/**
 * Whether an error ends a client's attempts: it was refused for what stays as it is.
 *
 * @param error What an attempt or a connection has ended with. The hub's word comes in `client_connect` or, later, as
 * the reason of the close.
 */
export function isFinal(error: unknown): boolean {
  if (error instanceof ClosedError) {
    const { reason } = error.details;
    return typeof reason === "string" && FINAL.has(reason);
  }
  if (!(error instanceof PeerError)) return false;
  const { errorCode } = error.details;
  return typeof errorCode === "string" && factsOf(errorCode) !== undefined && FINAL.has(errorCode);
}
