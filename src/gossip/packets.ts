/**
 * What peers of a topic say to each other: messages of the native wire that want no answer, header `gossip.` and a kind.
 *
 * | kind       | body          |                                                                             |
 * |------------|---------------|-----------------------------------------------------------------------------|
 * | `push`     | `t m h p`     | a message, that came by `h` hops; whether its sender had to ask for it      |
 * | `have`     | `t i`         | ids of messages that can be had, each with its hops                         |
 * | `graft`    | `t`           | send me whatever comes (Plumtree)                                           |
 * | `prune`    | `t`           | send me only ids from now on                                                |
 * | `dont`     | `t i`         | do not send me these: I have them (IDONTWANT)                               |
 * | `neighbor` | `t p c w`     | be my neighbour (HyParView), with a priority                                |
 * | `welcome`  | `t o c w e x` | yes or no; `w` of the question comes back as `e`; others that may           |
 * | `walk`     | `t c l`       | somebody has joined; `l` steps are left                                     |
 * | `leave`    | `t g`         | not your neighbour any more; whether gone for good                          |
 * | `shuffle`  | `t c x l n`   | contacts of `c`, for some of yours; `n` was drawn for this exchange         |
 * | `shuffled` | `t x n`       | these                                                                       |
 * | `compare`  | `t d`         | what is kept here, in short                                                 |
 * | `offer`    | `t i b a`     | ranges of ids that are kept here of the buckets `b`, in answer; or that you lack, without; whether these are all |
 * | `want`     | `t i`         | send me these                                                               |
 * | `ping`     | `w`           | are you there?                                                              |
 * | `pong`     | `w e`         | yes; `w` of the question comes back as `e`                                  |
 *
 * `t` is the topic's key, `w` what the sender's clock says, in milliseconds since 1970.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { Encoder } from "../wire/encoder.ts";
import { encodeWireData, type MessageBody, wireData, writeMessage } from "../wire/message.ts";
import { Slabs } from "../wire/slabs.ts";
import { type Contact, readContact, readContacts, writeContact } from "./contact.ts";
import { type DigestRow, parseDigest } from "./digest.ts";
import { TOPIC_KEY_BYTES } from "./envelope.ts";
import { type IdList, MAX_IDS, readIds, writeIds } from "./id_list.ts";
import { type RangeList, readRanges, writeRanges } from "./range_list.ts";

/** What headers of gossip begin with. */
export const GOSSIP_HEADER = "gossip.";

const PUSH_HEADER = `${GOSSIP_HEADER}push`;

/** Longest walk that is believed, in steps. */
const MAX_WALK = 16;

/** Most hops that are believed, which only decide who sends what. */
const MAX_HOPS = 255;

/** Most buckets that are compared at once. */
export const MAX_BUCKETS = 512;

/** How much somebody needs a neighbour: it has none yet; too few; another one for a change; or would like one more. */
export type NeighborPriority = "join" | "high" | "swap" | "low";

/** Why somebody is no neighbour: it has enough, does not know the topic, or does not let us in. */
export type Refusal = "full" | "unknown" | "not-allowed";

/** What can be said; see the module. */
export type GossipPacket =
  | {
    readonly kind: "push";
    readonly envelope: Uint8Array;
    readonly hops: number;
    /** Whether its sender had to ask for it: it does not come to that one otherwise. @default {false} */
    readonly wasAsked?: boolean;
  }
  | { readonly kind: "have" | "dont" | "want"; readonly ids: IdList }
  | { readonly kind: "graft" | "prune" }
  | {
    readonly kind: "neighbor";
    readonly priority: NeighborPriority;
    readonly contact: Contact;
    readonly wallMs: number;
  }
  | {
    readonly kind: "welcome";
    readonly refusal: Refusal | undefined;
    readonly contact: Contact;
    readonly wallMs: number;
    readonly echoMs: number;
    readonly contacts: readonly Contact[];
  }
  | { readonly kind: "walk"; readonly contact: Contact; readonly left: number }
  | { readonly kind: "leave"; readonly isGone: boolean }
  | {
    readonly kind: "shuffle";
    readonly contact: Contact;
    readonly contacts: readonly Contact[];
    readonly left: number;
    readonly nonce: number;
  }
  | { readonly kind: "shuffled"; readonly contacts: readonly Contact[]; readonly nonce: number }
  | { readonly kind: "compare"; readonly digest: readonly DigestRow[] }
  | {
    readonly kind: "offer";
    readonly ranges: RangeList;
    /** Those that were told in full; `undefined` where it is no answer. */
    readonly buckets: readonly number[] | undefined;
    /** Whether everything was told that differs. */
    readonly isAll: boolean;
  }
  | { readonly kind: "ping"; readonly wallMs: number }
  | { readonly kind: "pong"; readonly wallMs: number; readonly echoMs: number };

/** The kinds of packets. */
export type GossipKind = GossipPacket["kind"];

const KINDS: Readonly<Record<GossipKind, true>> = {
  push: true,
  have: true,
  graft: true,
  dont: true,
  want: true,
  prune: true,
  neighbor: true,
  welcome: true,
  walk: true,
  leave: true,
  shuffle: true,
  shuffled: true,
  compare: true,
  offer: true,
  ping: true,
  pong: true,
};

/** The headers of all kinds. */
export const GOSSIP_HEADERS: readonly string[] = Object.keys(KINDS).map((kind) => {
  return `${GOSSIP_HEADER}${kind}`;
});

/** Encodes a packet. @param topicKey Of its topic; none for `ping` and `pong`. */
export function encodePacket(packet: GossipPacket, topicKey?: Uint8Array): Uint8Array<ArrayBuffer> {
  const body = bodyOf(packet);
  if (topicKey !== undefined) body.t = topicKey;
  return encodeWireData(wireData(`${GOSSIP_HEADER}${packet.kind}`, body));
}

/** Longest packet that is put beside others in one buffer, and how large that is, in bytes. */
const SMALL_BYTES = 8_192;
const SLAB_BYTES = 65_536;

let encoder = new Encoder();

// Packets are gone in a moment, and an array of its own for each would cost more than all the rest of it.
const slabs = new Slabs(SLAB_BYTES);

/** Encodes a message that goes on, from somebody who got it by `hops` hops, by itself or not. Not to be kept for long. */
export function encodePush(
  envelope: Uint8Array,
  hops: number,
  topicKey: Uint8Array,
  wasAsked = false,
): Uint8Array<ArrayBuffer> {
  const body = pushBody({ envelope, hops: hops + 1, wasAsked });
  body.t = topicKey;
  writeMessage(encoder, PUSH_HEADER, 0, body);
  const { bytes, length } = encoder;
  const packet = length <= SMALL_BYTES ? slabs.copy(bytes, 0, length) : bytes.slice(0, length);
  if (bytes.length > SLAB_BYTES) encoder = new Encoder(); // a large one is rare
  else encoder.truncate(0);
  return packet;
}

/**
 * Reads a packet. The bytes of a `push` are a view of those of the body.
 *
 * @throws {InvalidPacketError} `bad-message` naming what is wrong.
 */
export function readPacket(header: string, body: MessageBody): GossipPacket {
  const kind = header.slice(GOSSIP_HEADER.length);
  if (!header.startsWith(GOSSIP_HEADER) || !Object.hasOwn(KINDS, kind)) {
    throw bad("header", "it is none of gossip");
  }
  return read(kind as GossipKind, body);
}

/** The key of a packet's topic, as hexadecimal digits. @throws {InvalidPacketError} when there is none. */
export function topicOf(body: MessageBody): string {
  const { t } = body;
  if (t instanceof Uint8Array && t.length === TOPIC_KEY_BYTES) return t.toHex();
  throw bad("t", `a topic's key is ${TOPIC_KEY_BYTES} bytes`);
}

function bodyOf(packet: GossipPacket): MessageBody {
  switch (packet.kind) {
    case "push":
      return pushBody(packet);
    case "have":
      return { i: writeIds(packet.ids, true) };
    case "dont":
    case "want":
      return { i: writeIds(packet.ids) };
    case "graft":
    case "prune":
      return {};
    case "neighbor":
      return { p: packet.priority, c: writeContact(packet.contact), w: packet.wallMs };
    case "welcome":
      return {
        o: packet.refusal ?? "",
        c: writeContact(packet.contact),
        w: packet.wallMs,
        e: packet.echoMs,
        x: packet.contacts.map(writeContact),
      };
    case "walk":
      return { c: writeContact(packet.contact), l: packet.left };
    case "leave":
      return { g: packet.isGone };
    case "shuffle":
      return {
        c: writeContact(packet.contact),
        x: packet.contacts.map(writeContact),
        l: packet.left,
        n: packet.nonce,
      };
    case "shuffled":
      return { x: packet.contacts.map(writeContact), n: packet.nonce };
    case "compare":
      return { d: packet.digest };
    case "offer":
      return { i: writeRanges(packet.ranges), b: packet.buckets ?? null, a: packet.isAll };
    case "ping":
      return { w: packet.wallMs };
    case "pong":
      return { w: packet.wallMs, e: packet.echoMs };
    default:
      return packet satisfies never;
  }
}

function pushBody(
  { envelope, hops, wasAsked }: Omit<GossipPacket & { kind: "push" }, "kind">,
): MessageBody {
  const body: MessageBody = { h: Math.min(hops, MAX_HOPS), m: envelope };
  if (wasAsked) body.p = true;
  return body;
}

function read(kind: GossipKind, body: MessageBody): GossipPacket {
  switch (kind) {
    case "push":
      return {
        kind,
        envelope: bytes(body.m),
        hops: whole("h", body.h, MAX_HOPS),
        ...(body.p === true && { wasAsked: true }),
      };
    case "have":
      return { kind, ids: readIds(body.i, MAX_IDS, true) };
    case "dont":
    case "want":
      return { kind, ids: readIds(body.i, MAX_IDS) };
    case "graft":
    case "prune":
      return { kind };
    case "neighbor":
      return {
        kind,
        priority: oneOf("p", body.p, PRIORITIES),
        contact: readContact(body.c),
        wallMs: timeOf("w", body.w),
      };
    case "welcome":
      return {
        kind,
        refusal: body.o === "" ? undefined : oneOf("o", body.o, REFUSALS),
        contact: readContact(body.c),
        wallMs: timeOf("w", body.w),
        echoMs: timeOf("e", body.e),
        contacts: readContacts(body.x),
      };
    case "walk":
      return { kind, contact: readContact(body.c), left: whole("l", body.l, MAX_WALK) };
    case "leave":
      return { kind, isGone: body.g === true };
    case "shuffle":
      return {
        kind,
        contact: readContact(body.c),
        contacts: readContacts(body.x),
        left: whole("l", body.l, MAX_WALK),
        nonce: whole("n", body.n, Number.MAX_SAFE_INTEGER),
      };
    case "shuffled":
      return {
        kind,
        contacts: readContacts(body.x),
        nonce: whole("n", body.n, Number.MAX_SAFE_INTEGER),
      };
    case "compare":
      return { kind, digest: parseDigest(body.d) };
    case "offer":
      return {
        kind,
        ranges: readRanges(body.i),
        buckets: body.b === null ? undefined : bucketsOf(body.b),
        isAll: body.a === true,
      };
    case "ping":
      return { kind, wallMs: timeOf("w", body.w) };
    case "pong":
      return { kind, wallMs: timeOf("w", body.w), echoMs: timeOf("e", body.e) };
    default:
      return kind satisfies never;
  }
}

const PRIORITIES: readonly NeighborPriority[] = ["join", "high", "swap", "low"];

const REFUSALS: readonly Refusal[] = ["full", "unknown", "not-allowed"];

function bytes(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw bad("m", "a message is bytes");
}

function whole(element: string, value: unknown, most: number): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most) {
    return value;
  }
  throw bad(element, `it is no whole number from 0 to ${most}`);
}

/** A time: what somebody's clock says, wherever it stands. */
function timeOf(element: string, value: unknown): number {
  return whole(element, value, Number.MAX_SAFE_INTEGER);
}

function oneOf<T extends string>(element: string, value: unknown, all: readonly T[]): T {
  const found = all.find((one) => one === value);
  if (found !== undefined) return found;
  throw bad(element, `it is none of ${all.join(", ")}`);
}

function bucketsOf(value: unknown): number[] {
  if (!Array.isArray(value) || value.length > MAX_BUCKETS) {
    throw bad("b", `there are not at most ${MAX_BUCKETS} in a list`);
  }
  return value.map((bucket) => whole("b", bucket, Number.MAX_SAFE_INTEGER));
}

function bad(element: string, why: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot decode gossip packet: ${element}: ${why}`, {
    details: { element },
  });
}
