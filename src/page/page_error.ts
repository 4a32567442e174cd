/**
 * Errors, as a page is told of them.
 *
 * @module
 */

import { PeerError } from "../errors.ts";
import { printable } from "../log.ts";

/** Longest text of an error. */
const MAX_ERROR_CHARS = 500;

/** The content of an error message. */
export interface PageErrorContent {
  /** A code of the error table, `internal`, or what another peer sent. */
  readonly code: string;
  /** One sentence, safe to print. */
  readonly message: string;
}

/** What a page is told of an error: of one that is not of the table, nothing. */
export function errorContent(error: unknown): PageErrorContent {
  if (!(error instanceof PeerError)) return { code: "internal", message: "It failed" };
  const { code, message } = error;
  return { code: printable(code, 40), message: printable(message, MAX_ERROR_CHARS) };
}
