/**
 * Members, as others see them and as this node keeps them.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { Address } from "../transport/transport.ts";
import type { AliveClaim, Tags } from "./claims.ts";
import type { Suspicion } from "./suspicion.ts";

/**
 * What is known of a member: it answers; it was not heard of lately; nobody has heard of it for long enough; it said
 * that it goes.
 */
export type MemberState = "alive" | "suspect" | "dead" | "gone";

/** How a member answers: to us; to others whom we ask for it; or only over a stream, because packets get lost. */
export type MemberPath = "direct" | "relay" | "stream";

/** A member of the group. */
export interface MemberInfo {
  /** Who it is, 40 hexadecimal digits. */
  readonly peerId: string;
  /** A label; empty for none. */
  readonly name: string;
  /** What is known of it. */
  readonly state: MemberState;
  /** Why, in words. */
  readonly why: string;
  /** Who said so: the members that it did not answer. */
  readonly confirmedBy: readonly string[];
  /** Since when it is in that state, in milliseconds since 1970. */
  readonly since: number;
  /** How often it has said something new of itself; its start is in it. */
  readonly incarnation: number;
  /** Where it takes packets, best first. */
  readonly addresses: readonly Address[];
  /** Where it takes connections, best first. */
  readonly streamAddresses: readonly Address[];
  /** Its tags. */
  readonly tags: Tags;
  /** The last round trip in milliseconds, once one was measured. */
  readonly rttMs: number | undefined;
  /** How it answers; `undefined` before it has. */
  readonly path: MemberPath | undefined;
}

/** What can happen to a member: it came, was suspected, answered again, was given up, went, said something new of itself. */
export type MemberChange = "joined" | "suspect" | "alive" | "dead" | "left" | "updated";

/** Something that happened to a member, or to what we can see of the group. */
export type MemberEvent =
  | {
    /** What happened to it. */
    readonly type: MemberChange;
    /** It, as it is now. */
    readonly member: MemberInfo;
  }
  | {
    /** Packets do not get through, or do again; or another program has our identity, and this one takes part no more. */
    readonly type: "degraded" | "restored" | "usurped";
    /** Why, in words. */
    readonly why: string;
  };

/** A member as this node keeps it. */
export interface Member {
  readonly peerId: string;
  readonly key: Uint8Array;
  claim: AliveClaim;
  /** The claim as it was signed, to be passed on. */
  signed: Uint8Array;
  state: MemberState;
  why: string;
  confirmedBy: readonly string[];
  sinceMs: number;
  /** On the clock that never runs back. */
  changedMs: number;
  suspicion: Suspicion | undefined;
  /** Somebody's word, signed, that it does not answer: what it has to refute when it comes back. */
  accusation: Uint8Array | undefined;
  /** That it said it goes, signed. */
  leaving: Uint8Array | undefined;
  /** Hosts that packets have been seen from, before those that it names; best first. */
  hosts: string[];
  rttMs: number | undefined;
  path: MemberPath | undefined;
  /** Whether it has answered us itself, at the first of its hosts. */
  isReached: boolean;
  /** When it last answered us, by any way, on the clock that never runs back. */
  heardMs: number;
  /** Whom it accused, and was refuted, lately. */
  refuted: number;
  refutedSinceMs: number;
}

/** A member that has just shown that it is there. */
export function newMember(
  claim: AliveClaim,
  signed: Uint8Array,
  hosts: string[],
  clock: Pick<Clock, "now" | "wallMs">,
): Member {
  return {
    peerId: claim.subject,
    key: claim.key,
    claim,
    signed,
    state: "alive",
    why: "it answers",
    confirmedBy: [],
    sinceMs: clock.wallMs(),
    changedMs: clock.now(),
    suspicion: undefined,
    accusation: undefined,
    leaving: undefined,
    hosts,
    rttMs: undefined,
    path: undefined,
    isReached: false,
    heardMs: clock.now(),
    refuted: 0,
    refutedSinceMs: clock.now(),
  };
}

/** What others are shown of a member. */
export function infoOf(member: Member): MemberInfo {
  const { claim, state, why, confirmedBy, suspicion, sinceMs, rttMs, path } = member;
  const { subject, name, incarnation, tags } = claim;
  return {
    peerId: subject,
    name,
    state,
    why,
    confirmedBy: suspicion?.accusers ?? confirmedBy,
    since: sinceMs,
    incarnation,
    addresses: packetAddresses(member),
    streamAddresses: streamAddresses(member),
    tags,
    rttMs,
    path,
  };
}

/** Where a member takes packets, best first. */
export function packetAddresses({ hosts, claim }: Member): Address[] {
  return hosts.map((hostname) => ({ hostname, port: claim.udpPort }));
}

/** Where a member takes connections, best first. */
export function streamAddresses({ hosts, claim }: Member): Address[] {
  return hosts.map((hostname) => ({ hostname, port: claim.tcpPort }));
}

/** What a member that is suspected or was given up has to refute, if it is. */
export function accusationOf({ suspicion, accusation }: Member): Uint8Array | undefined {
  return suspicion?.accusations[0] ?? accusation;
}

/** Whether a member says that it is where it was. */
export function isAtSamePlace(a: AliveClaim, b: AliveClaim): boolean {
  return a.tcpPort === b.tcpPort && a.udpPort === b.udpPort && a.hosts.join() === b.hosts.join();
}

/** Whether a member says the same of itself but for its incarnation. */
export function isSameDescription(a: AliveClaim, b: AliveClaim): boolean {
  return a.name === b.name && isAtSamePlace(a, b) &&
    JSON.stringify(a.tags) === JSON.stringify(b.tags);
}

/** Puts a host that packets came from first. */
export function preferHost(member: Member, hostname: string): void {
  if (member.hosts[0] === hostname) return;
  member.hosts = [hostname, ...member.hosts.filter((known) => known !== hostname)].slice(0, 6);
}

/** Whether others are told of a member and it is asked how it does. */
export function isPresent({ state }: { readonly state: MemberState }): boolean {
  return state === "alive" || state === "suspect";
}
