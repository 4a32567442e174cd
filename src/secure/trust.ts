/**
 * Whom a person trusts: peers that are let in, kept out, or known by a name.
 *
 * A name belongs to the first peer that was chosen by it, as a host's key does in ssh: from then on nobody else gets in
 * under that name. Whoever compares fingerprints says so beforehand ("pin"). A deny list keeps peers out whatever they
 * are called; an allow list, once there is somebody on it, keeps out everybody else.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { AuthError, NotFoundError, PeerError } from "../errors.ts";
import { layerLog, type Logger, printable, silentLogger } from "../log.ts";
import type { Home } from "../state/home.ts";
import { Watchers } from "../watchers.ts";
import { fingerprintOf } from "./identity.ts";
import { RecordFile } from "./record_file.ts";
import {
  asPeerId,
  isKeyOf,
  isName,
  keyOf,
  MAX_NAME_CHARS,
  parseEntry,
  type TrustEntry,
  type TrustPolicy,
} from "./trust_entry.ts";

const FILE = "trust.json";

/** Least digits of a peer id that are enough to say which peer is meant. */
const MIN_ID_DIGITS = 4;

/** How long nothing more is said of a name that was refused, in milliseconds: who has it tries again every few seconds. */
const REFUSED_AGAIN_MS = 600_000;

/** A peer that has proven its key. */
export interface ProvenPeer {
  /** The peer id. */
  readonly peerId: string;
  /** The public key, 64 hexadecimal digits; what is not the key of that id counts as not known. */
  readonly publicKey: string;
  /** What it calls itself; may be empty. */
  readonly name: string;
}

/** How to open a {@linkcode Trust}. */
export interface TrustOptions {
  /** Where to keep it. @default in memory */
  home?: Home | undefined;
  /** Where the time comes from. @default {systemClock} */
  clock?: Clock;
  /** Told when the file cannot be read, or what was learnt cannot be kept. @default {silentLogger} */
  log?: Logger;
}

/** A peer that did not pass because its name belongs to another one. */
export interface RefusedName {
  /** What it calls itself: its own words. */
  readonly name: string;
  /** Whose the name is, who came, and what to do. */
  readonly why: string;
}

/** What to say of a peer. */
export interface TrustAddOptions {
  /** A name that belongs to it from now on. @default those it has */
  name?: string | undefined;
  /** What is said of it. @default what was said before, `pin` where that is nothing or `seen` */
  policy?: TrustPolicy | undefined;
}

/**
 * The peers that a person named, let in or keeps out, in `trust.json` of a home folder. Changes of other processes are
 * seen at the next question.
 *
 * @example
 * ```ts
 * import { AuthError, Trust } from "@kith/kith";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const trust = new Trust();
 * const bob = { peerId: "0b".repeat(20), publicKey: "", name: "bob" };
 * trust.meet(bob);
 * trust.check(bob);
 * const impostor = { ...bob, peerId: "0c".repeat(20) };
 * const error = assertThrows(() => trust.check(impostor), AuthError);
 * assertEquals(error.code, "key-changed");
 * ```
 */
export class Trust {
  readonly #file: RecordFile<TrustEntry>;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #refusals = new Watchers<RefusedName>();
  /** When each name was refused that was told of; only names that are known are in it. */
  readonly #refusedMs = new Map<string, number>();
  /** Who was refused last by each of these names, and when. */
  readonly #refused = new Map<string, { readonly peer: ProvenPeer; readonly atMs: number }>();
  #fault: unknown;

  /** Reads nothing yet. */
  constructor(options: TrustOptions = {}) {
    const { home, clock = systemClock, log = silentLogger } = options;
    const what = "trust file";
    this.#file = new RecordFile({ home, name: FILE, what, clock, parse: parseEntry, keyOf });
    this.#clock = clock;
    this.#log = layerLog(log, "secure");
  }

  /**
   * Lets a peer pass or says why not. One that was entered by hand gets its key here, when it is first met.
   *
   * @throws {AuthError} `not-allowed` when it is denied, when others are on the allow list and it is not, or when
   * `trust.json` is corrupt: then nobody passes. `key-changed` when its name belongs to another peer.
   */
  check(peer: ProvenPeer): void {
    const entries = this.#entriesOrNobody();
    const policy = policyAmong(entries, peer.peerId);
    if (policy === "deny") throw denied(peer);
    // Before the name: a stranger that is not let in learns nothing about which names are known.
    const hasAllowList = entries.some((entry) => entry.policy === "allow");
    if (hasAllowList && policy !== "allow") throw notOnList(peer);
    const entity = toEntity(peer);
    const taken = takenError(entries, peer.name, entity);
    if (taken !== undefined) {
      this.#refused.set(peer.name, { peer, atMs: this.#clock.now() });
      this.#tellRefused(peer.name, taken.why);
      throw taken.error;
    }
    this.#learnKey(entries, entity);
  }

  /**
   * Peers that do not pass because their name belongs to another one, from now on until the signal aborts or the loop is
   * left. Each name is told of once in ten minutes. Overflow policy: the oldest are dropped.
   */
  refusedNames(options: { signal?: AbortSignal } = {}): AsyncGenerator<RefusedName, void, void> {
    return this.#refusals.watch(options);
  }

  /** Peers that did not pass in the last ten minutes, and still would not, because their name belongs to another one. */
  get refused(): readonly RefusedName[] {
    const sinceMs = this.#clock.now() - REFUSED_AGAIN_MS;
    return [...this.#refused.values()].flatMap(({ peer, atMs }) => {
      const refused = atMs > sinceMs ? this.refusalOf(peer) : undefined;
      return refused === undefined ? [] : [refused];
    });
  }

  /** Why a peer would not pass because of its name; `undefined` where that is not in its way. */
  refusalOf(peer: ProvenPeer): RefusedName | undefined {
    const taken = takenError(this.#entriesOrNobody(), peer.name, toEntity(peer));
    return taken === undefined ? undefined : { name: peer.name, why: taken.why };
  }

  /**
   * What was said of a peer; `undefined` where nothing was.
   *
   * @throws {AuthError} `not-allowed` when `trust.json` is corrupt.
   */
  policyOf(peerId: string): TrustPolicy | undefined {
    return policyAmong(this.#entriesOrNobody(), peerId);
  }

  /**
   * Whose a name is.
   *
   * @throws {AuthError} `not-allowed` when `trust.json` is corrupt.
   */
  holderOf(name: string): string | undefined {
    return holderOf(this.#entriesOrNobody(), name)?.peerId;
  }

  /** Whether there is an allow list: then nobody else gets in. @throws as {@linkcode Trust.holderOf}. */
  get isExclusive(): boolean {
    return this.#entriesOrNobody().some(({ policy }) => policy === "allow");
  }

  /**
   * Remembers that a name belongs to a peer, if it is nobody's yet. For a peer that we chose by that name, and that
   * {@linkcode Trust.check} let pass; one without a name, or whose name looks like a peer id, is not remembered.
   *
   * @throws {AuthError} `key-changed` when it belongs to another peer.
   * @throws {LimitError} when 4096 entries are there. @throws as {@linkcode Trust.list}.
   */
  meet(peer: ProvenPeer): void {
    const { name } = peer;
    if (!isName(name) || this.list().some((entry) => isNamed(entry, peer.peerId, name))) return;
    this.#file.update((records) => {
      const policy = policyAmong(records.values(), peer.peerId) ?? "seen";
      this.#put(records, toEntity(peer), name, policy);
    });
  }

  /**
   * Says something of a peer.
   *
   * @param target Its id, a name that is known here, or the first four digits or more of an id that is.
   * @returns its entries.
   * @throws {NotFoundError} `no-peer` for a name that is not known, and where several peers may be meant.
   * @throws {AuthError} `key-changed` when its name belongs to another peer.
   * @throws {RangeError} for a name that is empty, longer than 64 characters, or one that looks like a peer id.
   * @throws {LimitError} when 4096 entries are there. @throws as {@linkcode Trust.list}.
   */
  add(target: string, options: TrustAddOptions = {}): readonly TrustEntry[] {
    const { name, policy } = options;
    if (name !== undefined && !isName(name)) {
      const wanted = `1 to ${MAX_NAME_CHARS} characters and is no peer id`;
      throw new RangeError(`A name has ${wanted}: current value is "${printable(name, 80)}"`);
    }
    return this.#file.update((records) => {
      const peerId = asPeerId(target) ?? meantBy([...records.values()], target)[0].peerId;
      const before = policyAmong(records.values(), peerId) ?? "seen";
      this.#put(records, { peerId }, name ?? "", policy ?? (before === "seen" ? "pin" : before));
      return entriesOf(records, peerId);
    });
  }

  /**
   * Forgets a peer (given by its id or the first four digits or more of it, with all its names) or one name.
   *
   * @returns what was forgotten.
   * @throws {NotFoundError} `no-peer` when there is nothing to forget, or it may be several. @throws as
   * {@linkcode Trust.list}.
   */
  remove(target: string): readonly TrustEntry[] {
    return this.#file.update((records) => {
      const peerId = asPeerId(target);
      const removed = peerId === undefined
        ? meantBy([...records.values()], target)
        : entriesOf(records, peerId);
      if (removed.length === 0) throw unknown(target);
      for (const entry of removed) records.delete(keyOf(entry));
      return removed;
    });
  }

  /**
   * All entries, in the order they were made.
   *
   * @throws {InvalidPacketError} when `trust.json` cannot be understood; it is left as it is, because an empty one in its
   * place would let in who is denied. @throws {UnsupportedError} when it cannot be read.
   */
  list(): readonly TrustEntry[] {
    return [...this.#file.records.values()];
  }

  /** The entries; when they cannot be read nobody passes, and only the log says why: others may read the error. */
  #entriesOrNobody(): readonly TrustEntry[] {
    try {
      return this.list();
    } catch (cause) {
      if (!(cause instanceof PeerError)) throw cause;
      if (cause !== this.#fault) {
        this.#log.error("nobody is let in", { why: printable(cause.message, 800) });
      }
      this.#fault = cause;
      throw new AuthError("not-allowed", "Nobody is let in: the trust file cannot be used", {
        cause,
      });
    }
  }

  #tellRefused(name: string, why: string): void {
    const nowMs = this.#clock.now();
    if (nowMs - (this.#refusedMs.get(name) ?? -Infinity) < REFUSED_AGAIN_MS) return;
    this.#refusedMs.set(name, nowMs);
    this.#refusals.push({ name, why });
  }

  #learnKey(entries: readonly TrustEntry[], { peerId, key }: Entity): void {
    const lacksKey = (entry: TrustEntry) => entry.peerId === peerId && entry.key === undefined;
    if (key === undefined || !entries.some(lacksKey)) return;
    try {
      this.#file.update((records) => {
        const policy = policyAmong(records.values(), peerId);
        if (policy !== undefined) this.#put(records, { peerId, key }, "", policy);
      });
    } catch (error) {
      // What it is needed for is a text: no reason to refuse the peer.
      const why = printable(error instanceof Error ? error.message : String(error), 400);
      this.#log.warn("key of a peer not kept", { peerId, why });
    }
  }

  /** Writes a peer's entries anew: one for each of its names, all of the same policy. */
  #put(records: Map<string, TrustEntry>, peer: Entity, name: string, policy: TrustPolicy): void {
    const own = entriesOf(records, peer.peerId);
    const names = new Set(own.map((entry) => entry.name)).add(name);
    if (names.size > 1) names.delete("");
    const key = peer.key ?? own.find((entry) => entry.key !== undefined)?.key;
    for (const label of names) {
      if (policy !== "deny") refuseTaken([...records.values()], label, peer);
    }
    for (const entry of own) records.delete(keyOf(entry));
    for (const label of names) {
      const said = own.find((entry) => entry.name === label && entry.policy === policy);
      const since = said?.since ?? Math.floor(this.#clock.wallMs());
      const { peerId } = peer;
      const entry = { peerId, name: label, policy, since, ...(key === undefined ? {} : { key }) };
      records.set(keyOf(entry), entry);
    }
  }
}

/** Who somebody is, as far as it is known. */
type Entity = Pick<TrustEntry, "peerId" | "key">;

function toEntity({ peerId, publicKey }: ProvenPeer): Entity {
  return isKeyOf(publicKey, peerId) ? { peerId, key: publicKey } : { peerId };
}

function isNamed(entry: TrustEntry, peerId: string, name: string): boolean {
  return entry.peerId === peerId && entry.name === name;
}

function entriesOf(records: ReadonlyMap<string, TrustEntry>, peerId: string): TrustEntry[] {
  return [...records.values()].filter((entry) => entry.peerId === peerId);
}

/** What was said of a peer: where somebody wrote several things into the file, the strictest. */
function policyAmong(entries: Iterable<TrustEntry>, peerId: string): TrustPolicy | undefined {
  let found: TrustPolicy | undefined;
  for (const entry of entries) {
    if (entry.peerId !== peerId) continue;
    if (entry.policy === "deny") return "deny";
    if (found !== "allow") found = entry.policy;
  }
  return found;
}

/** The entry that a name belongs to. */
function holderOf(entries: readonly TrustEntry[], name: string): TrustEntry | undefined {
  if (name === "") return undefined;
  return entries.find((entry) => entry.name === name && entry.policy !== "deny");
}

/** The entries that a name is in: that of its holder, else those of the denied peers that it was given to. */
function namedBy(entries: readonly TrustEntry[], name: string): readonly TrustEntry[] {
  const holder = holderOf(entries, name);
  if (holder !== undefined) return [holder];
  return entries.filter((entry) => entry.name === name && name !== "");
}

/** The entry that a person means by a name, or the peer's by the beginning of its id. @throws {NotFoundError} */
function meantBy(
  entries: readonly TrustEntry[],
  target: string,
): readonly [TrustEntry, ...TrustEntry[]] {
  const named = namedBy(entries, target);
  if (named.length > 1) throw unknown(target, `${named.length} denied peers have that name`);
  const start = target.toLowerCase();
  const isStart = start.length >= MIN_ID_DIGITS && /^[0-9a-f]+$/.test(start);
  const begun = entries.filter(({ peerId }) => isStart && peerId.startsWith(start));
  const [first, ...rest] = named.length === 0 ? begun : named;
  if (first === undefined) throw unknown(target);
  const { size } = new Set([...named, ...begun].map(({ peerId }) => peerId));
  if (size === 1) return [first, ...rest];
  throw unknown(target, `${size} peers are called that, or have an id that begins so`);
}

function refuseTaken(entries: readonly TrustEntry[], name: string, peer: Entity): void {
  const taken = takenError(entries, name, peer);
  if (taken !== undefined) throw taken.error;
}

/** The error for a name that belongs to somebody else, and the part of its text that says so. */
function takenError(
  entries: readonly TrustEntry[],
  name: string,
  peer: Entity,
): { readonly error: AuthError; readonly why: string } | undefined {
  const holder = holderOf(entries, name);
  if (holder === undefined || holder.peerId === peer.peerId) return undefined;
  // Safe to paste into a shell, whatever somebody calls himself.
  const plain = /^[A-Za-z0-9._-]+$/.test(name) && !name.startsWith("-");
  const [known, got] = [describe(holder), describe(peer)];
  const why = `that name belongs to ${known.text}, and this is ${got.text}; ` +
    `if you know why, run: kith trust rm ${plain ? name : holder.peerId}`;
  const text = `Cannot trust "${printable(name, MAX_NAME_CHARS)}": ${why}`;
  const details = { name, known: known.facts, got: got.facts };
  return { error: new AuthError("key-changed", text, { details }), why };
}

/** A peer by its fingerprint, or by its id where the key is not known. */
function describe({ peerId, key }: Entity): { text: string; facts: Record<string, string> } {
  if (key === undefined) return { text: `peer ${peerId}`, facts: { peerId } };
  const fingerprint = fingerprintOf(Uint8Array.fromHex(key));
  return { text: fingerprint, facts: { peerId, fingerprint } };
}

function denied({ peerId }: ProvenPeer): AuthError {
  const remedy = `to let it in, run: kith trust rm ${peerId}`;
  return new AuthError("not-allowed", `Peer ${peerId} is denied; ${remedy}`, {
    details: { peerId },
  });
}

function notOnList({ peerId }: ProvenPeer): AuthError {
  const remedy = `to let it in, run: kith trust add ${peerId} --allow`;
  return new AuthError(
    "not-allowed",
    `Peer ${peerId} is not on the allow list, which lets in nobody else; ${remedy}`,
    { details: { peerId } },
  );
}

/** The error for a peer that is not known. @param several What there is too much of, where that is why. */
function unknown(target: string, several?: string): NotFoundError {
  const why = several === undefined
    ? "it is neither the id of a peer (40 hexadecimal digits), nor the first " +
      `${MIN_ID_DIGITS} or more of one that is known here, nor a name that is; ` +
      "call it by that name once, or give its id with --name"
    : `${several}: use the peer id`;
  return new NotFoundError("no-peer", `Cannot find "${printable(target, 80)}": ${why}`);
}
