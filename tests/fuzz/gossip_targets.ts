/**
 * The decoders of topics and rumors.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { ManualClock } from "../../src/clock.ts";
import { readContact, readContacts, writeContact } from "../../src/gossip/contact.ts";
import { Cursor } from "../../src/gossip/cursor.ts";
import {
  encodeGossip,
  encodeSearch,
  encodeSearchReply,
  parseGossip,
} from "../../src/gossip/dialects/peerconnect_gossip_packets.ts";
import { parseDigest } from "../../src/gossip/digest.ts";
import {
  EnvelopeReader,
  peekEnvelope,
  signEnvelopes,
  topicKeyOf,
} from "../../src/gossip/envelope.ts";
import { MAX_IDS, readIds, writeIds } from "../../src/gossip/id_list.ts";
import {
  encodePacket,
  GOSSIP_HEADERS,
  type GossipPacket,
  readPacket,
  topicOf,
} from "../../src/gossip/packets.ts";
import { readRanges, writeRanges } from "../../src/gossip/range_list.ts";
import {
  encodeRumor,
  encodeRumorPacket,
  readRumor,
  RumorEnvelopes,
} from "../../src/gossip/rumor_packets.ts";
import { Identity, peerIdOf, verify } from "../../src/secure/identity.ts";
import { concat } from "../../src/wire/concat.ts";
import { decodeDatagram } from "../../src/wire/datagram.ts";
import { decodeWireData, type MessageBody } from "../../src/wire/message.ts";
import { decode, encode } from "../../src/wire/msgpack.ts";
import type { FuzzTarget } from "./decoders.ts";

const TOPIC = topicKeyOf("news");
const WALL_MS = 1_760_000_000_000;

const key = Identity.fromSeed(new Uint8Array(32).fill(1));
const self = {
  ...{
    id: key.id,
    username: "bob",
    ip: "192.0.2.7",
    tcpPort: 3485,
    udpPort: 3486,
    status: 1,
  } as const,
};

// One reader for many inputs, as in a topic. The other takes every signature, to get behind it.
const strict = new EnvelopeReader({ verify, idOf: peerIdOf, maxBytes: 1024 });
const trusting = new EnvelopeReader({ verify: () => true, idOf: peerIdOf, maxBytes: 1024 });
const rumors = new RumorEnvelopes({
  key,
  peerId: key.peerId,
  clock: new ManualClock(),
  verify: () => true,
  idOf: peerIdOf,
});

/** What peers of a topic say to each other, what they sign, and what they tell those who do not take part. */
export const GOSSIP_TARGETS: readonly FuzzTarget[] = [
  {
    name: "topic's message",
    corpus: envelopes(),
    decode: (input) => strict.read(input, TOPIC),
  },
  {
    name: "topic's message, unchecked",
    corpus: envelopes(),
    decode: (input) => {
      const { author, seq } = trusting.read(input, TOPIC);
      const peeked = peekEnvelope(input, peerIdOf);
      if (peeked.author === author && peeked.seq === seq) return peeked;
      throw new Error("peekEnvelope saw another message than EnvelopeReader");
    },
  },
  {
    name: "topic's packet",
    corpus: packets().map((packet) => encodePacket(packet, TOPIC)),
    decode: (input) => {
      const { header, body } = decodeWireData(input);
      return takeAndTell(readPacket(header, body), topicOf(body));
    },
  },
  {
    // Of each kind as many, and no header that breaks.
    name: "topic's packet's body",
    corpus: packets().map((packet) => {
      const { header, body } = decodeWireData(encodePacket(packet, TOPIC));
      return concat(Uint8Array.of(GOSSIP_HEADERS.indexOf(header)), encode(body));
    }),
    decode: (input) => {
      const [nth = 0] = input;
      const header = GOSSIP_HEADERS[nth % GOSSIP_HEADERS.length] ?? "";
      const body = decode(input.subarray(1)) as MessageBody;
      return takeAndTell(readPacket(header, Object(body)), undefined);
    },
  },
  {
    name: "topic's contacts",
    corpus: [contacts().map(writeContact), ...contacts().map(writeContact)].map((one) =>
      encode(one)
    ),
    decode: (input) => {
      const value = decode(input);
      const isOne = Array.isArray(value) && value[0] instanceof Uint8Array;
      return isOne ? readContact(value) : readContacts(value);
    },
  },
  {
    name: "topic's ids",
    corpus: [true, false].map((withHops) => encode(writeIds(ids(), withHops))),
    decode: (input) => readIds(decode(input), MAX_IDS),
  },
  {
    name: "topic's ranges",
    corpus: [encode(writeRanges(ranges()))],
    decode: (input) => readRanges(decode(input)),
  },
  {
    name: "topic's digest",
    corpus: [encode(digest()), encode([])],
    decode: (input) => parseDigest(decode(input)),
  },
  {
    name: "subscriber's cursor",
    corpus: [new TextEncoder().encode(cursor().toString())],
    decode: (input) => Cursor.parse(new TextDecoder("latin1").decode(input)).toString(),
  },
  {
    name: "subscriber's cursor behind its hash",
    corpus: [Uint8Array.fromBase64(cursor().toString(), { alphabet: "base64url" }).slice(0, -4)],
    decode: (input) => {
      const hash = createHash("sha256").update(input).digest().subarray(0, 4);
      const bytes = concat(input, new Uint8Array(hash));
      return Cursor.parse(bytes.toBase64({ alphabet: "base64url", omitPadding: true })).toString();
    },
  },
  {
    name: "rumor",
    corpus: rumorPackets(),
    decode: (input) => {
      const { payload } = decodeDatagram(input, { code: true, exact: true });
      const { kind, envelope } = readRumor(decodeWireData(payload));
      if (kind !== ":found") return rumors.read(kind, envelope);
      return [rumors.peekAnswer(envelope), rumors.readAnswer(envelope)];
    },
  },
  {
    name: "gossip of PeerConnect",
    corpus: [
      encodeGossip({ id: "1", message: "hello", ttl: 6, created: 1_760_000_000.5 }),
      encodeSearch("2", "bob", 1_760_000_000.5),
      encodeSearchReply("3", self, 1_760_000_000.5),
    ],
    decode: (input) => {
      const { payload } = decodeDatagram(input, { code: true, exact: true });
      return parseGossip(decodeWireData(payload, { dialect: "peerconnect" }));
    },
  },
];

/** What is taken from one is told to others: they must take it too. */
function takeAndTell(packet: GossipPacket, topic: string | undefined): GossipPacket {
  const { header, body } = decodeWireData(encodePacket(packet, TOPIC));
  const told = readPacket(header, body);
  if (told.kind === packet.kind && topicOf(body) === TOPIC.toHex()) return told;
  throw new Error(`a ${packet.kind} became a ${told.kind} of ${topic}`);
}

function envelopes(): Uint8Array[] {
  return [1, 3, 64].flatMap((count) => {
    const drafts = Array.from({ length: count }, (_, at) => {
      const data = new Uint8Array(at * 9).fill(at);
      return { seq: 2 ** 51 + at, createdMs: WALL_MS, data };
    });
    return signEnvelopes(key, TOPIC, drafts).slice(0, 3);
  });
}

function contacts() {
  return [["10.0.0.1", "fd00::1"], ["127.0.0.1"], []].map((hosts, nth) => {
    return { peerId: `${nth}a`.repeat(20), hosts, port: 3_485 * nth };
  });
}

function ids() {
  return [0, 7, 300, 2 ** 51, 2 ** 53 - 1].map((seq, nth) => {
    return { author: `${nth % 2}b`.repeat(20), seq, hops: 50 * nth };
  });
}

function ranges() {
  return [["0a".repeat(20), [1, 3, 7, 7, 2 ** 51, 2 ** 53 - 1]], ["0b".repeat(20), [
    0,
    1e15,
  ]]] as const;
}

function digest() {
  return [[0, 1, 7], [176_000_000, 300, 2 ** 48 - 1], [2 ** 53 - 1, 1, 0]] as const;
}

function packets(): GossipPacket[] {
  const [contact = { peerId: "", hosts: [], port: 0 }, ...others] = contacts();
  const [wallMs, echoMs, left] = [WALL_MS, 2 ** 41, 6];
  const told = { contact, wallMs, echoMs, contacts: others };
  return [
    ...envelopes().map((envelope, hops) => ({ kind: "push", envelope, hops }) as const),
    { kind: "have", ids: ids() },
    { kind: "graft" },
    { kind: "dont", ids: ids() },
    { kind: "want", ids: ids() },
    { kind: "prune" },
    { kind: "neighbor", priority: "join", contact, wallMs },
    { kind: "neighbor", priority: "swap", contact, wallMs },
    { kind: "welcome", refusal: undefined, ...told },
    { kind: "welcome", refusal: "not-allowed", ...told },
    { kind: "walk", contact, left },
    { kind: "leave", isGone: true },
    { kind: "shuffle", contact, contacts: others, left, nonce: 2 ** 48 },
    { kind: "shuffled", contacts: contacts(), nonce: 7 },
    { kind: "compare", digest: digest() },
    { kind: "offer", ranges: ranges(), buckets: [0, 5, 2 ** 53 - 1], isAll: true },
    { kind: "offer", ranges: [], buckets: undefined, isAll: false },
    { kind: "ping", wallMs },
    { kind: "pong", wallMs, echoMs },
  ];
}

function cursor(): Cursor {
  const cursor = new Cursor(WALL_MS);
  for (const { author: from, seq } of ids()) cursor.add({ from, seq });
  return cursor;
}

function rumorPackets(): Uint8Array[] {
  const question = rumors.write(":search", "bob");
  const told = rumors.write(":rumor", "hello ☃");
  return [
    encodeRumor({ kind: ":rumor", ttl: 6, envelope: told.bytes }),
    encodeRumor({ kind: ":search", ttl: 2 ** 31, envelope: question.bytes }),
    encodeRumor({ kind: ":found", ttl: 0, envelope: rumors.writeAnswer(question, self) }),
  ].map(encodeRumorPacket);
}
