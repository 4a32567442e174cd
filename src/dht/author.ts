/**
 * What a peer signs: its records, each version newer than the one before.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { RemoteError } from "../errors.ts";
import type { Identity } from "../secure/identity.ts";
import { toKey } from "./node_id.ts";
import type { Placed } from "./placing.ts";
import { type DhtRecord, MAX_LIFETIME_S, type Scope, signedRecord } from "./record.ts";

/** How long what says that somebody provides something lasts, in seconds. */
export const PROVIDER_TTL_S = 7_200;

/** How far ahead of the time a version may be for others to follow it, in milliseconds: clocks differ by less. */
const MAX_AHEAD_MS = 86_400_000;

/** How a record is signed. */
export interface SignOptions {
  /** How long it may be kept, in seconds. */
  readonly ttlS: number;
  /** The least version that it may have. @default {0} */
  readonly atLeast?: number;
}

/** Signs records; see the module. */
export class Author {
  readonly #identity: Identity;
  readonly #clock: Pick<Clock, "wallMs">;
  readonly #ttlS: number;
  #lastSeq = 0;

  /** Has signed nothing yet. @param ttlS How long what it renews lasts, in seconds. */
  constructor(identity: Identity, clock: Pick<Clock, "wallMs">, ttlS: number) {
    this.#identity = identity;
    this.#clock = clock;
    this.#ttlS = ttlS;
  }

  /** A record of ours. Its version is the time in milliseconds, or one more than the last. @throws as `signedRecord`. */
  sign(
    scope: Scope,
    name: string,
    value: Uint8Array,
    { ttlS, atLeast = 0 }: SignOptions,
  ): DhtRecord {
    const wallMs = Math.floor(this.#clock.wallMs());
    const next = Math.max(wallMs, this.#lastSeq + 1);
    const seq = Math.max(next, atLeast);
    const expiresS = Math.ceil(wallMs / 1_000) + ttlS;
    const record = signedRecord({ scope, name, value, seq, expiresS }, this.#identity);
    // Others may say of one name that any version is there: the versions of other names do not follow it far.
    this.#lastSeq = seq - wallMs <= MAX_AHEAD_MS ? seq : next;
    return record;
  }

  /** The same again, to last longer; what we have not signed stays as it is. */
  renew(record: DhtRecord): DhtRecord {
    if (record.kind !== "signed" || record.slot !== this.#identity.peerId) return record;
    const { scope, name, value, seq } = record;
    const ttlS = scope === "provider" ? PROVIDER_TTL_S : this.#ttlS;
    return this.sign(scope, name, value, { ttlS, atLeast: seq + 1 });
  }
}

/**
 * Of several who put something else at once, where one version was there, at most one is told that it succeeded: who has
 * more nodes than refused it.
 *
 * @throws {RemoteError} `not-allowed` for the others.
 */
export function assertWon(
  record: DhtRecord,
  { holders, refusals }: Placed,
  cas: number,
): void {
  if (holders.length > refusals.length) return;
  const [first] = refusals;
  const seq = first?.details.seq;
  throw new RemoteError(
    "not-allowed",
    `Somebody else was faster: version ${cas} is not there any more`,
    { details: { key: toKey(record.key), ...(seq === undefined ? {} : { seq }) } },
  );
}

/**
 * The least version that is newer than ours and than those that nodes refused it for. What they say is not proven, and nothing
 * is believed that no clock has made.
 */
export function versionAfter(
  seq: number,
  refusals: readonly RemoteError[],
  wallMs: number,
): number {
  const kept = refusals.flatMap(({ details }) => {
    const { seq: said } = details;
    return Number.isSafeInteger(said) && Number(said) - wallMs <= MAX_AHEAD_MS ? Number(said) : [];
  });
  return Math.max(seq, ...kept) + 1;
}

/** Checks the version that is to be there. @throws {RangeError} */
export function assertCas(cas: number): void {
  if (Number.isInteger(cas) && cas >= 0 && cas < Number.MAX_SAFE_INTEGER) return;
  throw new RangeError(`cas must be a whole number of 0..2^53 - 2: current value is ${cas}`);
}

/** Checks how long something is to be kept. @throws {RangeError} */
export function assertTtl(ttlS: number): void {
  if (Number.isInteger(ttlS) && ttlS >= 1 && ttlS <= MAX_LIFETIME_S) return;
  throw new RangeError(
    `ttlS must be a whole number of 1 to ${MAX_LIFETIME_S}: current value is ${ttlS}`,
  );
}
