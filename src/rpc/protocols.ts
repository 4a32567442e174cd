/**
 * Tags of protocols, such as `v1`: how a server says which it serves, and how a client chooses.
 *
 * A peer that serves `v1` and `v2` lists `rpc/v1` and `rpc/v2` among its capabilities, the preferred first. Whoever
 * connects takes the first of its own that is among them.
 *
 * @module
 */

import { HandshakeError } from "../errors.ts";
import { printable } from "../log.ts";

/** Before a tag in what a peer says it can do. */
const PREFIX = "rpc/";

/** Longest tag in UTF-16 units; with the prefix it fits into a capability. */
const MAX_TAG_CHARS = 32;

/** Most offered tags that an error shows. */
const SHOWN_TAGS = 16;

/**
 * The capability by which a peer says that it serves a protocol.
 *
 * @example
 * ```ts
 * import { capabilityOf, chooseProtocol } from "@kith/kith/rpc";
 * import { assertEquals } from "@std/assert";
 *
 * const capabilities = ["v1", "v2"].map(capabilityOf);
 * assertEquals(capabilities, ["rpc/v1", "rpc/v2"]);
 * assertEquals(chooseProtocol(["v2"], capabilities), "v2");
 * ```
 */
export function capabilityOf(tag: string): string {
  return PREFIX + tag;
}

/**
 * Chooses what to speak with a peer.
 *
 * @example
 * ```ts
 * import { chooseProtocol } from "@kith/kith/rpc";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const capabilities = ["transfer/1", "rpc/v2", "rpc/v1"];
 * assertEquals(chooseProtocol(["v1", "v2"], capabilities), "v1");
 * assertEquals(chooseProtocol(undefined, capabilities), "v2");
 * assertThrows(() => chooseProtocol(["v3"], capabilities), Error, "it serves v2, v1");
 * ```
 *
 * @param ours Tags that are spoken here, the preferred first. `undefined`: whatever the peer prefers.
 * @param capabilities What the peer says it can do.
 * @returns `undefined` where neither side has tags: names are then called without one.
 * @throws {HandshakeError} `incompatible` with both lists in its details.
 */
export function chooseProtocol(
  ours: readonly string[] | undefined,
  capabilities: readonly string[],
): string | undefined {
  const theirs = capabilities
    .filter((capability) => capability.startsWith(PREFIX))
    .map((capability) => capability.slice(PREFIX.length));
  if (ours === undefined) return theirs[0];
  const common = ours.find((tag) => theirs.includes(tag));
  if (common !== undefined) return common;
  const offered = theirs.slice(0, SHOWN_TAGS).map((tag) => printable(tag, MAX_TAG_CHARS));
  throw new HandshakeError(
    "incompatible",
    `No common protocol: it serves ${offered.join(", ") || "none"}, ` +
      `spoken here is ${ours.join(", ")}`,
    { details: { ours, theirs: offered } },
  );
}

/** Checks a list of tags. @throws {TypeError} when it is empty, has one twice, or one that is no tag. */
export function checkProtocols(tags: readonly string[]): void {
  if (tags.length === 0) throw new TypeError("Protocols must name at least one");
  if (new Set(tags).size < tags.length) {
    throw new TypeError(`Protocols must differ: current value is ${tags.join(", ")}`);
  }
  const bad = tags.find((tag) => tag.length > MAX_TAG_CHARS || !/^[^\s/:]+$/.test(tag));
  if (bad === undefined) return;
  throw new TypeError(
    `Protocol must have 1 to ${MAX_TAG_CHARS} characters, no blank, "/" or ":": ` +
      `current value is "${bad}"`,
  );
}
