/**
 * Offers: what somebody wants to send, and what the receiver makes of it.
 *
 * @module
 */

import type { PeerInfo } from "../endpoint/handshake.ts";
import type { MessageBody } from "../wire/message.ts";
import { encodeRuns, parseRuns } from "./index_runs.ts";
import type { Manifest } from "./manifest.ts";
import { encodeManifest, type ManifestLimits, parseManifest } from "./manifest_codec.ts";
import { badField, integerOf } from "./steps.ts";

/** Bytes of what names a transfer over several attempts. */
export const TOKEN_BYTES = 16;

/** Somebody wants to send something. */
export interface Offer {
  /** Who. */
  readonly from: PeerInfo;
  /** Who and where, for people. Safe to print. */
  readonly label: string;
  /** What. Where somebody offers in a dialect that does not say beforehand, it is empty. */
  readonly manifest: Manifest;
  /** Whether files that are there are to be replaced by newer versions. @default {false} */
  readonly update?: boolean;
  /** Whether nobody knows how large the one file will be. @default {false} */
  readonly openEnded?: boolean;
  /** Whether nothing is to be sent yet, and the sender only asks what it would have to. @default {false} */
  readonly dryRun?: boolean;
}

/** What becomes of an offer: all of it, nothing, or the entries of the manifest with these indexes. */
export type Decision = boolean | Iterable<number>;

/** What an offer says on the wire. */
export interface OfferTerms {
  /** What is offered. */
  readonly manifest: Manifest;
  readonly update: boolean;
  readonly openEnded: boolean;
  readonly dryRun: boolean;
  /** Names the transfer: the next attempt at it has the same. */
  readonly token: Uint8Array;
}

/** What the receiver answers. */
export interface OfferAnswer {
  /** Names the transfer; `undefined` where nothing is to be sent yet. */
  readonly id: number | undefined;
  /** The entries that are to be sent, ascending. */
  readonly wanted: readonly number[];
  /** Those among them of which something is there. */
  readonly held: ReadonlySet<number>;
  /** Files that are there as they are offered, and are not sent. */
  readonly unchanged: number;
  /** Whether what has come of an interrupted transfer is kept, to be gone on with. @default {true} */
  readonly kept?: boolean;
}

/** An offer as a body. */
export function offerBody(terms: OfferTerms): MessageBody {
  const { manifest, update, openEnded, dryRun, token } = terms;
  return {
    manifest: encodeManifest(manifest),
    token,
    ...(update ? { update } : {}),
    ...(openEnded ? { openEnded } : {}),
    ...(dryRun ? { dryRun } : {}),
  };
}

/** Reads an offer. @throws as `parseManifest`, and {InvalidPacketError} when it is open-ended and not one empty file. */
export function parseOffer(body: MessageBody, limits: ManifestLimits): OfferTerms {
  const manifest = parseManifest(body.manifest, limits);
  const openEnded = body.openEnded === true;
  const { entries, files, totalBytes } = manifest;
  if (openEnded && (entries.length !== 1 || files !== 1 || totalBytes !== 0)) {
    throw badField("openEnded");
  }
  const { token } = body;
  if (!(token instanceof Uint8Array) || token.length !== TOKEN_BYTES) throw badField("token");
  const [update, dryRun] = [body.update === true, body.dryRun === true];
  return { manifest, openEnded, update, dryRun, token };
}

/** An answer as plain data. */
export function answerValue(
  { id, wanted, held, unchanged, kept = true }: OfferAnswer,
  entries: number,
): unknown {
  return {
    ...(id === undefined ? {} : { id }),
    ...(wanted.length === entries ? {} : { wanted: encodeRuns(wanted) }),
    ...(held.size === 0 ? {} : { held: encodeRuns(held) }),
    ...(unchanged === 0 ? {} : { unchanged }),
    ...(kept ? {} : { kept }),
  };
}

/** Reads an answer. @param entries How many were offered. @throws {InvalidPacketError} naming the field. */
export function parseAnswer(value: unknown, entries: number, dryRun: boolean): OfferAnswer {
  if (typeof value !== "object" || value === null) throw badField("answer");
  const { id, wanted, held = [], unchanged = 0, kept } = value as Record<string, unknown>;
  return {
    id: dryRun && id === undefined ? undefined : integerOf(id, "id"),
    wanted: wanted === undefined
      ? Array.from({ length: entries }, (_, index) => index)
      : [...parseRuns(wanted, entries, "wanted")],
    held: parseRuns(held, entries, "held"),
    unchanged: integerOf(unchanged, "unchanged"),
    ...(kept === false ? { kept } : {}),
  };
}
