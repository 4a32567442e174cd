/**
 * Who may do what because of an invite or an API key that this peer has given away: made, listed, revoked and checked.
 *
 * What was given away is noted in `access.json` of the home folder (of an API key only a hash), and what is not noted
 * there grants nothing: a lost file locks out, it does not let in. An expired or revoked credential stops working where
 * it is in use already, because every question looks at the note again; what was begun under it, such as a session or a
 * transfer, goes on to its end.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { NotFoundError, PeerError } from "../errors.ts";
import { layerLog, type Logger, printable, silentLogger } from "../log.ts";
import type { Home } from "../state/home.ts";
import {
  type AccessRecord,
  forgetOld,
  isPeerId,
  parseRecord,
  type StoredRecord,
  withoutHash,
} from "./access_record.ts";
import {
  type ApiKeyClaim,
  hasHash,
  type InviteClaim,
  isSignedBy,
  MAX_CREDENTIALS,
  newApiKey,
  newCredentialId,
  parseCredential,
  signInvite,
} from "./credential.ts";
import type { Identity } from "./identity.ts";
import { RecordFile } from "./record_file.ts";
import { covers, parseScope, type Scope } from "./scope.ts";

/** Least digits of an id that are enough to revoke by it. */
export const MIN_ID_DIGITS = 4;

/** Longest life of a credential that ends, in milliseconds: ten years. */
export const MAX_LIFE_MS: number = 3_650 * 86_400_000;

/** How long a revocation by another process may go unnoticed, in milliseconds. */
const RECHECK_MS = 1_000;

const FILE = "access.json";

/** A credential that was just made. */
export interface IssuedCredential extends AccessRecord {
  /** The secret to give away. It is kept nowhere. */
  readonly token: string;
}

/** Why a credential grants nothing. */
export type RefusalReason = "expired" | "revoked" | "unknown" | "malformed" | "not-yours";

/** What a caller's credentials amount to. */
export interface AccessDecision {
  /** What they allow together, at this moment. */
  readonly scopes: readonly Scope[];
  /** Those that allow nothing, by their place in the list. */
  readonly refused: readonly { readonly index: number; readonly reason: RefusalReason }[];
}

/** Who shows credentials. */
export interface Caller {
  /** Its peer id, which it has proven. */
  readonly peerId: string;
}

/** How to open an {@linkcode Access}. */
export interface AccessOptions {
  /** Who gives away and checks. */
  identity: Identity;
  /** Where to keep the notes. @default in memory */
  home?: Home | undefined;
  /** Where the time comes from. @default {systemClock} */
  clock?: Clock;
  /** Told when the notes cannot be read. @default {silentLogger} */
  log?: Logger;
}

/** What an API key is to be. */
export interface ApiKeyOptions {
  /** What it allows: one scope or more. */
  scopes: readonly Scope[];
  /** How long, in milliseconds, up to ten years. @default for ever */
  expiresMs?: number | undefined;
  /** The peer id of who alone may use it. @default anybody */
  to?: string | undefined;
}

/** What an invite is to be. */
export interface InviteOptions extends ApiKeyOptions {
  /** How long, in milliseconds, up to ten years. */
  expiresMs: number;
}

type Claim = InviteClaim | ApiKeyClaim;

/**
 * The invites and API keys of one peer.
 *
 * @example
 * ```ts
 * import { Access, Identity } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const access = new Access({ identity: Identity.generate() });
 * const invite = access.createInvite({ scopes: ["call:greet"], expiresMs: 3_600_000 });
 *
 * // Whoever has it shows it.
 * const [tokens, caller] = [[invite.token], { peerId: Identity.generate().peerId }];
 * assertEquals(access.granted(tokens, caller, "call:greet"), true);
 * assertEquals(access.granted(tokens, caller, "send"), false);
 * access.revoke(invite.id);
 * assertEquals(access.check(tokens, caller).refused, [{ index: 0, reason: "revoked" }]);
 * ```
 */
export class Access {
  readonly #identity: Identity;
  readonly #file: RecordFile<StoredRecord>;
  readonly #clock: Clock;
  readonly #log: Logger;
  // What was read and verified of the lists that connections hold: as long as they do, and no longer.
  readonly #claims = new WeakMap<readonly string[], readonly (Claim | undefined)[]>();
  readonly #proofs = new WeakMap<Claim, boolean>();
  #fault: unknown;

  /** Reads nothing yet. */
  constructor(options: AccessOptions) {
    const { identity, home, clock = systemClock, log = silentLogger } = options;
    this.#identity = identity;
    this.#clock = clock;
    this.#log = layerLog(log, "secure");
    this.#file = new RecordFile({
      home,
      name: FILE,
      what: "access file",
      parse: parseRecord,
      keyOf: ({ id }) => id,
      clock,
      recheckMs: RECHECK_MS,
    });
  }

  /**
   * Makes an invite.
   *
   * @throws {TypeError} for a scope or a peer id that is none, or no scope.
   * @throws {RangeError} for a life that is none or too long, and for scopes that make it longer than 1,024 characters.
   * @throws {LimitError} when 4096 credentials are there. @throws as {@linkcode Access.list}.
   */
  createInvite(options: InviteOptions): IssuedCredential {
    const created = this.#now();
    const expires = created + checkedLife(options.expiresMs);
    const terms = { id: newCredentialId(), ...checkedGrant(options), expires };
    const record = { ...terms, kind: "invite" as const, created };
    const token = signInvite(this.#identity, terms);
    this.#keep(record);
    return { ...record, token };
  }

  /**
   * Makes an API key.
   *
   * @throws {TypeError} for a scope or a peer id that is none, or no scope.
   * @throws {RangeError} for a life that is none or too long.
   * @throws {LimitError} when 4096 credentials are there. @throws as {@linkcode Access.list}.
   */
  createApiKey(options: ApiKeyOptions): IssuedCredential {
    const { expiresMs } = options;
    const created = this.#now();
    const end = expiresMs === undefined ? {} : { expires: created + checkedLife(expiresMs) };
    const { id, token, hash } = newApiKey(this.#identity.peerId);
    const record = { id, kind: "api-key" as const, ...checkedGrant(options), created, ...end };
    this.#keep({ ...record, hash });
    return { ...record, token };
  }

  /**
   * Revokes what has that id, or the only one that begins so; again if need be.
   *
   * @throws {NotFoundError} `no-key` when there is none, or more than one.
   * @throws as {@linkcode Access.list}.
   */
  revoke(idOrPrefix: string): AccessRecord {
    const wanted = idOrPrefix.toLowerCase();
    return this.#file.update((records) => {
      forgetOld(records, this.#now());
      const found = [...records.values()].filter(({ id }) => id.startsWith(wanted));
      const [record, ...others] = wanted.length < MIN_ID_DIGITS ? [] : found;
      if (record === undefined || others.length > 0) throw notFound(idOrPrefix, others.length);
      const revoked = { ...record, revoked: record.revoked ?? this.#now() };
      records.set(record.id, revoked);
      return withoutHash(revoked);
    });
  }

  /**
   * What was given away and can be used, and what could be until a day ago, in the order it was made.
   *
   * @throws {InvalidPacketError} when `access.json` cannot be understood; it is left as it is.
   * @throws {UnsupportedError} when it cannot be read.
   */
  list(): readonly AccessRecord[] {
    const records = new Map(this.#file.records);
    forgetOld(records, this.#now());
    return [...records.values()].map(withoutHash);
  }

  /**
   * What a caller's credentials allow at this moment; those after the eighth are not looked at.
   *
   * @param tokens What it shows. What is read and verified of a list is remembered with it: do not change it afterwards.
   */
  check(tokens: readonly string[], caller: Caller): AccessDecision {
    const verdicts = this.#claimsOf(tokens).map((claim) => this.#judge(claim, caller));
    const scopes = new Set<Scope>();
    const refused: AccessDecision["refused"][number][] = [];
    for (const [index, verdict] of verdicts.entries()) {
      if (typeof verdict === "string") refused.push({ index, reason: verdict });
      else for (const scope of verdict) scopes.add(scope);
    }
    return { scopes: [...scopes], refused };
  }

  /**
   * Whether a caller's credentials allow something at this moment. To be asked at every call: it costs a few lookups,
   * and once a second a look at the folder.
   *
   * @param tokens The same list every time, as for {@linkcode Access.check}.
   */
  granted(tokens: readonly string[], caller: Caller, scope: Scope): boolean {
    return tokens.length > 0 && this.#claimsOf(tokens).some((claim) => {
      const verdict = this.#judge(claim, caller);
      return typeof verdict !== "string" && covers(verdict, scope);
    });
  }

  /**
   * Why a credential of ours that a caller shows is no longer good, where one is not. Whoever cannot prove that we made it
   * learns nothing about it.
   *
   * @param tokens The same list every time, as for {@linkcode Access.check}.
   */
  lapsed(tokens: readonly string[], caller: Caller): "expired" | "revoked" | undefined {
    for (const { reason } of this.check(tokens, caller).refused) {
      if (reason === "expired" || reason === "revoked") return reason;
    }
    return undefined;
  }

  #claimsOf(tokens: readonly string[]): readonly (Claim | undefined)[] {
    let claims = this.#claims.get(tokens);
    if (claims === undefined) {
      claims = tokens.slice(0, MAX_CREDENTIALS).map(parseCredential);
      this.#claims.set(tokens, claims);
    }
    return claims;
  }

  /** What a credential allows now, or why it allows nothing. Whoever cannot prove it learns nothing about it. */
  #judge(claim: Claim | undefined, { peerId }: Caller): readonly Scope[] | RefusalReason {
    if (claim === undefined) return "malformed";
    if (claim.by !== this.#identity.peerId) return "unknown";
    // What was made a moment ago, by another process, is not known yet.
    const record = this.#recordsOrNone().get(claim.id) ?? this.#recordsOrNone(true).get(claim.id);
    const now = this.#now();
    if (record?.kind !== claim.kind) {
      // Nothing is noted any more of what ended long ago.
      const isOver = claim.kind === "invite" && claim.expires <= now && this.#isProven(claim);
      return isOver ? "expired" : "unknown";
    }
    if (!this.#isProven(claim, record)) return claim.kind === "invite" ? "malformed" : "unknown";
    if (record.revoked !== undefined) return "revoked";
    if (record.expires !== undefined && record.expires <= now) return "expired";
    return record.to === undefined || record.to === peerId ? record.scopes : "not-yours";
  }

  #isProven(claim: Claim, record?: StoredRecord): boolean {
    let proven = this.#proofs.get(claim);
    if (proven === undefined) {
      proven = claim.kind === "invite"
        ? isSignedBy(this.#identity.publicKey, claim)
        : hasHash(claim, record?.hash ?? "");
      this.#proofs.set(claim, proven);
    }
    return proven;
  }

  #recordsOrNone(latest = false): ReadonlyMap<string, StoredRecord> {
    try {
      return latest ? this.#file.latest : this.#file.records;
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      // The same one until the file changes: said once, not at every call.
      if (error !== this.#fault) {
        this.#log.error("no invite and no API key works", { why: printable(error.message, 800) });
      }
      this.#fault = error;
      return new Map();
    }
  }

  #keep(record: StoredRecord): void {
    this.#file.update((records) => {
      forgetOld(records, record.created);
      records.set(record.id, record);
    });
  }

  #now(): number {
    return Math.floor(this.#clock.wallMs());
  }
}

function checkedLife(lifeMs: number): number {
  if (Number.isSafeInteger(lifeMs) && lifeMs > 0 && lifeMs <= MAX_LIFE_MS) return lifeMs;
  throw new RangeError(
    `The life of an invite or API key is 1..${MAX_LIFE_MS} ms: current value is ${lifeMs}`,
  );
}

function checkedGrant({ scopes, to }: ApiKeyOptions): Pick<AccessRecord, "scopes" | "to"> {
  if (scopes.length === 0) throw new TypeError("An invite or API key needs a scope");
  const unique = [...new Set(scopes.map(parseScope))];
  if (to === undefined) return { scopes: unique };
  if (isPeerId(to)) return { scopes: unique, to };
  throw new TypeError("The holder of an invite or API key is a peer id of 40 hexadecimal digits");
}

function notFound(wanted: string, others: number): NotFoundError {
  const why = others > 0
    ? `${others + 1} ids begin so`
    : `it is no id, nor the first ${MIN_ID_DIGITS} digits or more of one`;
  return new NotFoundError(
    "no-key",
    `Cannot find invite or API key "${printable(wanted, 40)}": ${why}`,
  );
}
