/**
 * The witch-core servers that were heard of, and what they say of themselves.
 *
 * A server is known by its id and by where its packets come from: nobody can change what another host said. It may be
 * heard in two forms. `node` is the richer; while it is there, `presence` only says that the server still is.
 *
 * @module
 */

import type { Clock } from "../../clock.ts";
import { InvalidPacketError } from "../../errors.ts";
import type { Address } from "../../transport/transport.ts";
import { formatAddress } from "../../transport/transport.ts";
import type {
  WitchLedger,
  WitchLedgerNode,
  WitchNode,
  WitchPresence,
} from "../../wire/witch_announcement.ts";
import { isSamePeer } from "./broadcasts_findings.ts";
import type { ForeignPeer } from "../foreign.ts";
import { MAX_WITCH_ID_CHARS } from "./witch_announcer.ts";

/** A server that was not heard of for so long is forgotten, as in the original. */
export const WITCH_FORGET_MS = 15 * 60_000;

/** Most servers listed; beyond, the one not heard of for the longest goes. All say every 5 s that they are there. */
const MAX_LISTED = 1_024;
/** Most that are not listed, each of which a single forged packet makes. */
const MAX_CLAIMS = 256;
/** Most nodes kept of what ledgers say. */
const MAX_HINTS = 256;
/** Longest label and protocol in UTF-16 units, and most protocols of a server. */
const MAX_TEXT_CHARS = 128;
const MAX_PROTOCOLS = 32;

/** What a packet says of a server. */
export interface WitchClaim {
  /** In which form. */
  readonly form: "presence" | "node";
  /** The server. */
  readonly peer: ForeignPeer;
}

interface Entry {
  claim: WitchClaim;
  heardMs: number;
}

/** Remembers servers; see the module. */
export class WitchNodes {
  readonly #clock: Pick<Clock, "now">;
  // Both in the order in which they were last heard of.
  readonly #listed = new Map<string, Entry>();
  readonly #claims = new Map<string, WitchClaim>();
  readonly #hints = new Map<string, WitchLedgerNode>();

  /** Nobody was heard of yet. */
  constructor(clock: Pick<Clock, "now">) {
    this.#clock = clock;
  }

  /** The servers that are listed. */
  get listed(): ForeignPeer[] {
    this.#forget();
    return [...this.#listed.values()].map(({ claim }) => claim.peer);
  }

  /** What was said and is not listed, newest last. */
  get claims(): WitchClaim[] {
    return [...this.#claims.values()];
  }

  /** What others say of third parties. */
  get hints(): WitchLedgerNode[] {
    return [...this.#hints.values()];
  }

  /** Takes in what a server says of itself. @returns what that means for who looks. */
  hear(claim: WitchClaim): "unlisted" | "known" | "changed" {
    this.#forget();
    const key = keyOf(claim.peer);
    const entry = this.#listed.get(key);
    if (entry === undefined) {
      const newest = better(this.#claims.get(key), claim);
      this.#claims.delete(key);
      makeRoom(this.#claims, MAX_CLAIMS);
      this.#claims.set(key, newest);
      return "unlisted";
    }
    const newest = better(entry.claim, claim);
    this.#setListed(key, newest);
    return isSamePeer(entry.claim.peer, newest.peer) ? "known" : "changed";
  }

  /** Lists a server that was heard of, as it describes itself by now. @returns the server. */
  list(claim: WitchClaim): ForeignPeer {
    const key = keyOf(claim.peer);
    const newest = this.#claims.get(key) ?? claim;
    this.#claims.delete(key);
    makeRoom(this.#listed, MAX_LISTED);
    this.#setListed(key, newest);
    return newest.peer;
  }

  /**
   * Takes in a ledger: of two entries for one id the later wins. Whatever addresses are in it are somebody else's word,
   * and nobody is contacted for it.
   */
  hearLedger({ nodes }: WitchLedger): void {
    for (const node of nodes) {
      if (node.id.length > MAX_WITCH_ID_CHARS) continue;
      const known = this.#hints.get(node.id);
      if (known === undefined ? this.#hints.size >= MAX_HINTS : known.updated >= node.updated) {
        continue;
      }
      const protocols = boundedTexts(node.protocols);
      this.#hints.set(node.id, { ...node, name: bounded(node.name), protocols });
    }
  }

  #setListed(key: string, claim: WitchClaim): void {
    this.#listed.delete(key);
    this.#listed.set(key, { claim, heardMs: this.#clock.now() });
  }

  #forget(): void {
    const oldestMs = this.#clock.now() - WITCH_FORGET_MS;
    for (const [key, { heardMs }] of this.#listed) {
      if (heardMs > oldestMs) return;
      this.#listed.delete(key);
    }
  }
}

/** A server's key: its id, at where it is. */
export function keyOf({ id, address }: ForeignPeer): string {
  return `${formatAddress(address)} ${id}`;
}

/**
 * What a packet says of its sender, at the address that it came from.
 *
 * @returns `undefined` for a `presence` without a port to connect to, which the original sends where it has no server.
 * @throws {InvalidPacketError} `bad-message` for an id that is too long.
 */
export function claimOf(
  announcement: WitchPresence | WitchNode,
  { hostname }: Address,
): WitchClaim | undefined {
  const { kind: form, nodeId: id } = announcement;
  if (id.length > MAX_WITCH_ID_CHARS) {
    throw new InvalidPacketError(
      "bad-message",
      `Cannot decode witch announcement node_id: ${id.length} characters exceed ${MAX_WITCH_ID_CHARS}`,
      { details: { field: "node_id", max: MAX_WITCH_ID_CHARS, got: id.length } },
    );
  }
  const { name, port, protocols } = form === "node" ? announcement : announcement.serviceInfo;
  if (typeof port !== "number" || !Number.isInteger(port) || port < 1 || port > 65535) {
    return undefined;
  }
  const peer: ForeignPeer = {
    dialect: "witch",
    id,
    name: typeof name === "string" ? bounded(name) : "",
    address: { hostname, port },
    protocols: Array.isArray(protocols) ? boundedTexts(protocols) : [],
  };
  return { form, peer };
}

function better(known: WitchClaim | undefined, heard: WitchClaim): WitchClaim {
  return known?.form === "node" && heard.form === "presence" ? known : heard;
}

/** Forgets the first of a map where there are too many for another. */
function makeRoom(map: Map<string, unknown>, max: number): void {
  if (map.size < max) return;
  for (const key of map.keys()) {
    map.delete(key);
    return;
  }
}

function bounded(text: string): string {
  return text.slice(0, MAX_TEXT_CHARS).toWellFormed();
}

function boundedTexts(values: readonly unknown[]): string[] {
  const texts = values.filter((value) => typeof value === "string");
  return texts.slice(0, MAX_PROTOCOLS).map(bounded);
}
