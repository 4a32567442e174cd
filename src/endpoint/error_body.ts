/**
 * Errors as they travel: the body of `:error`.
 *
 * @module
 */

import { PeerError, RemoteError } from "../errors.ts";
import { printable } from "../log.ts";
import type { MessageBody } from "../wire/message.ts";

/** Most facts that are kept of another peer's error, in each of two levels. */
const MAX_DETAILS = 16;

/** What the other side is told of an error: of one that is not ours only that it happened, its text may be private. */
export function errorBody(error: unknown): MessageBody {
  if (!(error instanceof PeerError)) return { code: "internal", message: "The handler failed" };
  return { code: error.code, message: error.message, details: error.details };
}

/** The error that another side's body stands for, bounded and safe to print. */
export function remoteError(body: MessageBody): RemoteError {
  const code = typeof body.code === "string" ? printable(body.code, 40) : "internal";
  const text = typeof body.message === "string" ? printable(body.message, 500) : "no message";
  return new RemoteError(code, text, { details: isPlain(body.details) ? facts(body.details) : {} });
}

function facts(details: Record<string, unknown>, levels = 2): Record<string, unknown> {
  const rows = Object.entries(details).slice(0, MAX_DETAILS);
  return Object.fromEntries(rows.map(([key, value]) => [printable(key, 40), fact(value, levels)]));
}

function fact(value: unknown, levels: number): unknown {
  if (typeof value === "string") return printable(value);
  if (typeof value !== "object" || value === null) return value;
  if (levels > 1 && isPlain(value)) return facts(value, levels - 1);
  if (levels > 1 && Array.isArray(value)) {
    return value.slice(0, MAX_DETAILS).map((item) => fact(item, levels - 1));
  }
  return "…";
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null &&
    Object.getPrototypeOf(value) === Object.prototype;
}
