/**
 * What servers tell each other before they join, and why they do not: the body of `mesh.join` and of its answer.
 *
 * @module
 */

import type { Link } from "../endpoint/link.ts";
import { HandshakeError, InvalidPacketError, RemoteError } from "../errors.ts";
import { printable } from "../log.ts";
import { type Address, formatAddress } from "../transport/transport.ts";

/** Longest project id, hash or name, in UTF-16 units. */
export const MAX_TEXT_CHARS = 128;

/** Project ids and hashes in errors are cut after so many. */
const SHOWN_CHARS = 64;

/** The body of `mesh.join` and of its answer. */
export interface Introduction {
  /** The project id. */
  readonly project: string;
  /** The source hash, empty where there is none. */
  readonly hash: string;
  /** The server name. */
  readonly name: string;
}

/** Reads an introduction, whatever it is. @throws {InvalidPacketError} `bad-message` naming the field. */
export function parseIntroduction(value: unknown): Introduction {
  return {
    project: textOf(value, "project"),
    hash: textOf(value, "hash"),
    name: textOf(value, "name"),
  };
}

/** Why two servers do not belong together: `incompatible`, naming what differs. @returns nothing when they do. */
export function mismatchOf(ours: Introduction, theirs: Introduction): HandshakeError | undefined {
  if (theirs.project !== ours.project) return differ("Projects", ours.project, theirs.project);
  if (theirs.hash === ours.hash || theirs.hash === "" || ours.hash === "") return undefined;
  return differ("Source hashes", ours.hash, theirs.hash);
}

/** What to tell whoever wanted to join, of an error that asking ended with. */
export function joinError(link: Link, error: unknown): unknown {
  const isRemote = error instanceof RemoteError;
  if (isRemote && error.code === "no-endpoint") {
    return incompatible(link, "it takes part in no mesh", error);
  }
  if (error instanceof HandshakeError || (isRemote && error.code === "incompatible")) {
    return incompatible(link, error.message, error);
  }
  return error;
}

/** The error for who wants to join itself. */
export function isOurselves(address: Address): HandshakeError {
  const where = formatAddress(address);
  return new HandshakeError("incompatible", `Cannot join ${where}: that is this server itself`);
}

function textOf(body: unknown, field: keyof Introduction): string {
  const value = typeof body === "object" && body !== null ? Reflect.get(body, field) : undefined;
  if (typeof value === "string" && value.length <= MAX_TEXT_CHARS) return value;
  const why = `${field} is not a text of at most ${MAX_TEXT_CHARS} characters`;
  const details = { field, max: MAX_TEXT_CHARS };
  throw new InvalidPacketError("bad-message", `Cannot join: ${why}`, { details });
}

function differ(what: string, ours: string, theirs: string): HandshakeError {
  const [one, other] = [printable(ours, SHOWN_CHARS), printable(theirs, SHOWN_CHARS)];
  const details = { what, ours: one, theirs: other };
  return new HandshakeError("incompatible", `${what} differ: "${one}" and "${other}"`, { details });
}

function incompatible(
  link: Link,
  why: string,
  cause: HandshakeError | RemoteError,
): HandshakeError {
  const details = { ...cause.details, peerId: link.peer.peerId };
  const text = `Cannot join ${link.label}: ${why}`;
  return new HandshakeError("incompatible", text, { cause, details });
}
