/**
 * Invites and API keys on their way: what `:show` carries.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import {
  MAX_CREDENTIAL_CHARS as MAX_TOKEN_CHARS,
  MAX_CREDENTIALS as MAX_TOKENS,
} from "../secure/credential.ts";
import type { MessageBody } from "../wire/message.ts";

/** Nothing was shown. */
export const NO_TOKENS: readonly string[] = [];

/** The body of `:show`; those after the eighth are left out. */
export function showBody(tokens: readonly string[]): MessageBody {
  return { tokens: tokens.slice(0, MAX_TOKENS) };
}

/** Reads the body of `:show`. @throws {InvalidPacketError} naming what is wrong, without what was shown. */
export function parseShown({ tokens }: MessageBody): readonly string[] {
  const isToken = (token: unknown): token is string =>
    typeof token === "string" && token.length <= MAX_TOKEN_CHARS;
  if (Array.isArray(tokens) && tokens.length <= MAX_TOKENS && tokens.every(isToken)) {
    return [...new Set(tokens)]; // each costs a signature to check
  }
  throw new InvalidPacketError(
    "bad-message",
    `Cannot read ":show": tokens must be at most ${MAX_TOKENS} texts of ${MAX_TOKEN_CHARS} characters`,
    { details: { field: "tokens" } },
  );
}
