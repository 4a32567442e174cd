/**
 * Everything that a stranger may send to a UDP port, by kind.
 *
 * @module
 */

import { encodeAnswer, encodeQuestion } from "../../src/discovery/packets.ts";
import { Identity } from "../../src/secure/identity.ts";
import { encodeDatagram, SERVICE_CODE } from "../../src/wire/datagram.ts";
import { encodeWireData, type MessageBody, wireData } from "../../src/wire/message.ts";
import { packetOf } from "../endpoint/datagram_fixture.ts";
import { concat, Generator } from "../fuzz/generate.ts";
import { loadVectors } from "../testdata/vectors.ts";

/** Packets of one kind. */
export interface Kind {
  readonly name: string;
  readonly packets: readonly Uint8Array[];
}

const VIAS = ["multicast4", "multicast6", "broadcast"] as const;
const INSTANCE = new Uint8Array(8).fill(5);

/** Ids of every length. */
const IDS = [1, 200, 70_000, 2 ** 40, 2 ** 53 - 1];

/** What stands where the proof of an address would. */
const UNPROVEN: readonly MessageBody[] = [
  {},
  { token: new Uint8Array(16) },
  { token: new Uint8Array(16).fill(7) },
  { token: new Uint8Array(700) },
  { token: "x".repeat(16) },
];

/** What programs of other kinds send in packets. */
const DIALECTS = [
  "peerconnect.datagram",
  "peerconnect.requests_datagram",
  "peerconnect.gossip",
  "peerconnect.kademlia_rpc",
  "rpcudp.request",
  "rpcudp.response",
  "witch.discovery",
  "witch.broadcast",
  "peerpy.ping_pong",
];

/** Questions of discovery, right and whole. */
export const QUESTIONS: readonly Kind[] = [
  { name: "questions", packets: VIAS.map((via) => encodeQuestion({ id: 7, from: INSTANCE, via })) },
  {
    name: "long questions",
    packets: [400, 700, 1_200, 60_000].map((pad) => question({ pad: new Uint8Array(pad) })),
  },
  {
    name: "questions that name an address",
    packets: [question({ pad: new Uint8Array(400), reply_addr: ["127.0.0.1", 9], addr: "a:1" })],
  },
];

/** What is never a question: too short, or with something missing. */
export const NO_QUESTIONS: readonly Kind[] = [
  {
    name: "short questions",
    packets: Array.from({ length: 34 }, (_, n) => question({ pad: new Uint8Array(10 * n) })),
  },
  {
    name: "questions that lack something",
    packets: [
      { from: null },
      { from: new Uint8Array(7) },
      { via: "carrier pigeon" },
      { via: 7 },
    ].map((wrong) => question({ pad: new Uint8Array(400), ...wrong })),
  },
  {
    name: "answers that nobody asked for",
    packets: VIAS.map((via) => {
      const said = { id: 7, instance: INSTANCE, seq: 1, validMs: 1_000, name: "x", tcpPort: 1 };
      return encodeAnswer({ ...said, via }, Identity.generate());
    }),
  },
];

/** Requests and messages that want something, from an address that is not proven. */
export const REQUESTS: readonly Kind[] = [
  { name: "requests of what is there", packets: requests("known") },
  { name: "requests of what is not there", packets: requests("unknown") },
  { name: "requests whose answer is large", packets: requests("large") },
  { name: "requests that fail", packets: requests("failing") },
  { name: "requests with a long body", packets: requests("known", { pad: new Uint8Array(1_100) }) },
  { name: "pings", packets: requests(":ping") },
];

/** What wants no answer, or what only the other side of a request has to say. */
export const REMARKS: readonly Kind[] = [
  { name: "messages without an answer", packets: unproven((terms) => packetOf("known", 0, terms)) },
  { name: "cancels", packets: requests(":cancel") },
  ...[":ok", ":error", ":pad", ":item", ":later", ":"].map((header) => ({
    name: `"${header}" without a request`,
    packets: requests(header, { result: 1, bytes: 1e6, code: "x" }),
  })),
  {
    name: "tokens that nobody asked for",
    packets: IDS.map((msgId) => {
      const message = wireData(":retry", { t: new Uint8Array(16) }, { msgId });
      return encodeDatagram(SERVICE_CODE.retryToken, encodeWireData(message));
    }),
  },
];

/** Everything else: other codes, garbage. */
export const RUBBISH: readonly Kind[] = [
  ...Array.from({ length: 16 }, (_, n) => ({
    name: `garbage of code ${(0x10 + n).toString(16)}`,
    packets: garbage(0x10 + n),
  })),
  {
    name: "requests of other codes",
    packets: Array.from({ length: 256 }, (_, code) => {
      const packet = packetOf("known", 7, { ":": { token: new Uint8Array(16) } });
      packet[0] = code;
      return packet;
    }).filter(([code]) => code !== SERVICE_CODE.requests),
  },
  { name: "requests that are cut", packets: cut(packetOf("known", 7, {})) },
];

/** What programs of other kinds send. */
export const OTHER_PROGRAMS: readonly Kind[] = DIALECTS.map((family) => {
  return { name: family, packets: vectorsOf(family) };
});

/** A question with another body. */
function question(body: MessageBody): Uint8Array {
  const message = wireData(":find", { from: INSTANCE, via: "broadcast", ...body }, { msgId: 7 });
  return encodeDatagram(SERVICE_CODE.discovery, encodeWireData(message));
}

function requests(header: string, body: MessageBody = {}): Uint8Array[] {
  return IDS.flatMap((id) => unproven((terms) => packetOf(header, id, { ...body, ...terms })));
}

function unproven(make: (body: MessageBody) => Uint8Array): Uint8Array[] {
  return UNPROVEN.map((terms) => make({ ":": terms }));
}

function garbage(code: number): Uint8Array[] {
  const generator = new Generator(code);
  return [0, 1, 5, 20, 36, 37, 78, 100, 400, 1_200].flatMap((count) => {
    const noise = generator.bytes(count);
    return [encodeDatagram(code, noise), concat(Uint8Array.of(code), noise)];
  });
}

function cut(packet: Uint8Array): Uint8Array[] {
  return Array.from({ length: packet.length }, (_, count) => packet.subarray(0, count));
}

function vectorsOf(family: string): Uint8Array[] {
  const packets = loadVectors(family).flatMap(({ hex, request_hex, json }) => [
    ...(hex === undefined ? [] : [Uint8Array.fromHex(hex)]),
    ...(request_hex === undefined ? [] : [Uint8Array.fromHex(request_hex)]),
    ...(json === undefined ? [] : [new TextEncoder().encode(json)]),
  ]);
  if (packets.length === 0) throw new Error(`${family} has no bytes`);
  return packets;
}
