/**
 * What a command line shows to get in: invites and API keys from a file or the environment.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { printable } from "../log.ts";
import { MAX_CREDENTIALS, parseCredential } from "../secure/credential.ts";
import {
  type ReadEnv,
  readEnv,
  readSecretFile,
  type SecretLine,
  secretLines,
} from "../secure/secret_file.ts";
import type { Options } from "./options.ts";

/**
 * The invites and API keys that `--invite-file` holds, one on a line, or else `KITH_INVITE`; at most eight.
 *
 * @throws {AuthError} `not-allowed` when others can read the file. @throws {NotFoundError} when it is not there.
 * @throws {InvalidPacketError} `bad-message` when something in it is neither an invite nor an API key.
 */
export function presentedTokens(options: Options, env: ReadEnv = readEnv): readonly string[] {
  const path = options.text("invite-file");
  if (path === undefined) return tokensOf(env("KITH_INVITE") ?? "", "KITH_INVITE");
  const what = `invite file ${printable(path, 400)}`;
  const tokens = tokensOf(readSecretFile(path, "invite file"), what);
  if (tokens.length > 0) return tokens;
  throw refuse(what, "it holds no invite");
}

function tokensOf(text: string, what: string): readonly string[] {
  const lines = secretLines(text);
  if (lines.length > MAX_CREDENTIALS) {
    throw refuse(what, `it holds ${lines.length} lines, at most ${MAX_CREDENTIALS} can be shown`);
  }
  const isWrong = (line: SecretLine) => parseCredential(line.text) === undefined;
  const wrong = lines.find(isWrong);
  if (wrong === undefined) return lines.map((line) => line.text);
  throw refuse(what, `line ${wrong.number} is neither an invite nor an API key`);
}

function refuse(what: string, why: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot use ${what}: ${why}`);
}
