/**
 * One receiver of a broadcast as its sender sees it: reached, informed, and waited for until it confirms.
 *
 * @module
 */

import type { Link } from "../endpoint/link.ts";
import {
  AuthError,
  HandshakeError,
  IntegrityError,
  InvalidPacketError,
  RemoteError,
  UnsupportedError,
} from "../errors.ts";
import type { MessageBody } from "../wire/message.ts";
import type { TransferSummary } from "../transfer/manifest.ts";
import type { BroadcastTarget, RecipientProgress, RecipientSummary } from "./broadcast_options.ts";
import type { Participant } from "./participant.ts";
import { parseInformResponse } from "./session.ts";
import { decimalOf } from "./stream_links.ts";

/** Most sources that a receiver may name. */
const MAX_SOURCES = 4_096;

const PEER_ID = /^[0-9a-f]{40}$/;

/** What somebody who takes part has answered. */
export interface Joined {
  /** Where it takes packets and links. */
  readonly participant: Participant;
  /** How fast it sends, in bytes a second, where that was measured. */
  readonly uplink: number | undefined;
}

/** See the module. */
export class Recipient {
  /** What it is called. */
  readonly name: string;
  /** Who it is, once it was reached. */
  peerId: string | undefined;
  /** What it has answered, once it has. */
  joined: Joined | undefined;
  /** Bytes that it has, as far as is known. */
  bytes = 0;
  /** Since when it says that it has everything. */
  fullMs: number | undefined;
  /** Who gives to it, as far as is known. */
  parent: string | undefined;
  /** The connection with it. */
  link: Link | undefined;
  /** Whom it blames for wrong chunks. */
  blamed: readonly string[] = [];
  readonly #target: BroadcastTarget;
  #state: RecipientSummary["state"] | undefined;
  #sha256: string | undefined;
  #seconds = 0;
  #sources: RecipientSummary["sources"] = [];
  #error: unknown;

  /** Is not reached yet. */
  constructor(target: BroadcastTarget) {
    this.name = target.name;
    this.#target = target;
  }

  /** Whether nothing more is to come of it. */
  get isSettled(): boolean {
    return this.#state !== undefined;
  }

  /** How far it is. */
  get progress(): RecipientProgress {
    const { name, peerId, bytes, parent } = this;
    const open = this.joined === undefined ? "asked" : "receiving";
    return { name, peerId, state: this.#state ?? open, bytes, parent };
  }

  /** What became of it. @throws {TypeError} before that is known */
  get summary(): RecipientSummary {
    if (this.#state === undefined) throw new TypeError("It is not settled");
    const { name, peerId, bytes, parent } = this;
    return {
      name,
      peerId,
      state: this.#state,
      bytes,
      sha256: this.#sha256,
      seconds: this.#seconds,
      parent,
      sources: this.#sources,
      error: this.#error,
    };
  }

  /** Connects to it. @param check Throws where it is not to take part. @throws what keeps it from that */
  async reach(signal: AbortSignal, check: (peerId: string) => void): Promise<string> {
    const link = await this.#target.connect(signal);
    const { peerId } = link.peer;
    try {
      signal.throwIfAborted();
      check(peerId);
    } catch (error) {
      await link.close();
      throw error;
    }
    this.link = link;
    return this.peerId = peerId;
  }

  /**
   * Informs it, and waits until it accepts.
   *
   * @throws {RemoteError} with its code: `not-allowed` when it does not want it.
   * @throws {UnsupportedError} when others could not connect to it.
   */
  async inform(body: MessageBody, timeoutMs: number, signal: AbortSignal): Promise<Joined> {
    const { link } = this;
    if (link === undefined) throw new TypeError("It was not reached");
    const answer = await link.request("palm.inform", body, { timeoutMs, signal }).catch((error) => {
      if (!(error instanceof RemoteError && error.code === "no-endpoint")) throw error;
      throw new HandshakeError("denied", `Cannot send: ${link.label} takes no broadcasts`);
    });
    return this.joined = readJoined(answer, link);
  }

  /** Waits until it has everything. @throws {RemoteError} with its code when it fails @throws {ClosedError} */
  async confirm(
    session: string,
    expected: TransferSummary,
    signal: AbortSignal,
  ): Promise<{ bytes: number; sha256: string }> {
    const { link } = this;
    if (link === undefined) throw new TypeError("It was not reached");
    const answer = await link.request("palm.run", { session }, { timeoutMs: Infinity, signal });
    const { bytes, sha256, sources, blamed } = isRecord(answer) ? answer : {};
    this.blamed = listOf(blamed, MAX_SOURCES).filter(isPeerId);
    if (bytes !== expected.bytes || sha256 !== expected.sha256) {
      throw new IntegrityError("bad-hash", `What ${link.label} has is not what was sent`);
    }
    this.#sources = listOf(sources, MAX_SOURCES).flatMap((source) => {
      const [id, count]: readonly unknown[] = Array.isArray(source) ? source : [];
      return isPeerId(id) && typeof count === "number" ? [[id, count] as const] : [];
    });
    return { bytes: expected.bytes, sha256: expected.sha256 };
  }

  /** It has everything. */
  done({ bytes, sha256 }: { bytes: number; sha256: string }, seconds: number): void {
    this.#state = "done";
    this.bytes = bytes;
    this.#sha256 = sha256;
    this.#seconds = seconds;
    const [most] = this.#sources.toSorted(([, a], [, b]) => b - a);
    this.parent = most?.[0] ?? this.parent;
  }

  /** Nothing comes of it. */
  fail(error: unknown): void {
    const wasAsked = this.link !== undefined && this.joined === undefined;
    const isRefusal = (error instanceof RemoteError || error instanceof AuthError) &&
      error.code === "not-allowed";
    this.#state = wasAsked && isRefusal ? "refused" : "failed";
    this.#error = error;
  }

  /** Tells it that it is over, and closes the connection. @param error Why, where not because everybody is done */
  async over(session: string, error?: { code: string; message: string }): Promise<void> {
    const { link } = this;
    if (link === undefined) return;
    if (this.joined !== undefined && link.open) link.post("palm.over", { session, ...error });
    await link.close();
  }
}

/** Reads the answer to an inform; addresses are as they are from here. */
function readJoined(answer: unknown, link: Link): Joined {
  const { answer: bytes, uplink } = isRecord(answer) ? answer : {};
  if (!(bytes instanceof Uint8Array)) throw bad("answer", "it is not bin");
  const { peerId, passive, active } = parseInformResponse(bytes);
  if (peerId !== decimalOf(link)) throw bad("peer_id", "it is not that of who answers");
  if (link.via === "websocket") {
    throw new UnsupportedError(`${link.label} cannot be reached by the others: connect over TCP`);
  }
  const { hostname } = link.remote;
  return {
    participant: {
      peerId,
      passive: { hostname, port: passive.port },
      active: { hostname, port: active.port },
      isKith: true,
    },
    uplink: typeof uplink === "number" && uplink > 0 && uplink < Infinity ? uplink : undefined,
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function listOf(value: unknown, most: number): unknown[] {
  return Array.isArray(value) ? value.slice(0, most) : [];
}

function isPeerId(value: unknown): value is string {
  return typeof value === "string" && PEER_ID.test(value);
}

function bad(field: string, why: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot broadcast: ${field}: ${why}`, {
    details: { field },
  });
}
