/**
 * Members and what happens to them as others are told on request: plain data, which `kith peers` prints.
 *
 * @module
 */

import { formatAddress } from "../transport/transport.ts";
import type { MemberEvent, MemberInfo } from "./member.ts";

/** A member as plain data. */
export interface MemberDescription {
  /** Who it is. */
  readonly peerId: string;
  /** A label; empty for none. */
  readonly name: string;
  /** `alive`, `suspect`, `dead` or `gone`. */
  readonly state: string;
  /** Why. */
  readonly why: string;
  /** Who said so. */
  readonly confirmedBy: readonly string[];
  /** Since when, in milliseconds since 1970. */
  readonly since: number;
  /** Where it takes connections, as `host:port`. */
  readonly addresses: readonly string[];
  /** Its tags. */
  readonly tags: Readonly<Record<string, string>>;
  /** The last round trip in milliseconds, or `null`. */
  readonly rttMs: number | null;
  /** `direct`, `relay` or `stream`; `null` before it has answered. */
  readonly path: string | null;
}

/** What happened, as plain data. */
export type EventDescription =
  | ({ readonly event: string } & MemberDescription)
  | { readonly event: string; readonly why: string };

/**
 * A member as plain data.
 *
 * @example
 * ```ts
 * import { Peer } from "@kith/kith";
 * import { describeMember } from "@kith/kith/membership";
 * import { assertEquals } from "@std/assert";
 *
 * await using bob = await Peer.open({ name: "bob", hostname: "127.0.0.1", port: 0, announce: false });
 * const members = await bob.join({ tags: { room: "2" } });
 * const { name, state, tags } = describeMember(members.self);
 * assertEquals([name, state, tags], ["bob", "alive", { room: "2" }]);
 * ```
 */
export function describeMember(member: MemberInfo): MemberDescription {
  const { peerId, name, state, why, confirmedBy, since, streamAddresses, tags } = member;
  return {
    peerId,
    name,
    state,
    why,
    confirmedBy,
    since,
    addresses: streamAddresses.map(formatAddress),
    tags,
    rttMs: member.rttMs === undefined ? null : Math.round(member.rttMs * 1_000) / 1_000,
    path: member.path ?? null,
  };
}

/**
 * An event as plain data.
 *
 * @example
 * ```ts
 * import { describeEvent } from "@kith/kith/membership";
 * import { assertEquals } from "@std/assert";
 *
 * const why = "packets do not get through";
 * assertEquals(describeEvent({ type: "degraded", why }), { event: "degraded", why });
 * ```
 */
export function describeEvent(event: MemberEvent): EventDescription {
  const { type } = event;
  if ("member" in event) return { event: type, ...describeMember(event.member) };
  return { event: type, why: event.why };
}
