/**
 * The last incarnation that was used, in `membership.json` of a home folder, so that no life of a peer is taken for one
 * before it, also when the clock was set back.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { InvalidPacketError } from "../errors.ts";
import type { Home } from "../state/home.ts";
import { decodeJson, encodeJson } from "../wire/json.ts";
import { MAX_INCARNATION } from "./claims.ts";
import { incarnationAt } from "./swim.ts";

/** The file's name in the home folder. */
const FILE_NAME = "membership.json";

/** The version of the format. */
const VERSION = 1;

/**
 * The incarnation to begin with: later than any before. It is written down before it is used, so that a crash loses
 * nothing. A file that cannot be understood is set aside; the clock decides alone then.
 */
export function beginIncarnation(home: Home | undefined, clock: Pick<Clock, "wallMs">): number {
  const before = home === undefined ? 0 : read(home);
  const incarnation = incarnationAt(clock.wallMs(), before);
  keepIncarnation(home, incarnation);
  return incarnation;
}

/** Writes the incarnation that is used now. */
export function keepIncarnation(home: Home | undefined, incarnation: number): void {
  home?.writeAtomic(
    FILE_NAME,
    new TextEncoder().encode(`${encodeJson({ version: VERSION, incarnation })}\n`),
  );
}

function read(home: Home): number {
  const bytes = home.read(FILE_NAME);
  if (bytes === undefined) return 0;
  try {
    return parse(decodeJson(bytes, { what: FILE_NAME }));
  } catch (error) {
    if (!(error instanceof InvalidPacketError)) throw error;
    home.setAside(FILE_NAME, error.message);
    return 0;
  }
}

function parse(value: unknown): number {
  const { version, incarnation } = typeof value === "object" && value !== null
    ? value as Record<string, unknown>
    : {};
  const isGood = version === VERSION && typeof incarnation === "number" &&
    Number.isSafeInteger(incarnation) && incarnation >= 0 && incarnation < MAX_INCARNATION;
  if (isGood) return incarnation;
  throw new InvalidPacketError("bad-message", "Cannot read membership.json: bad incarnation");
}
