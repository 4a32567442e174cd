/**
 * The decoders of palm trees.
 *
 * @module
 */

import { ChunkList } from "../../src/palmtree/chunk_list.ts";
import { ChunkSet } from "../../src/palmtree/chunk_set.ts";
import {
  type ControlMessage,
  encodeControl,
  parseControl,
  parseStreamLink,
} from "../../src/palmtree/control.ts";
import { encodeLinkFrame, type LinkFrame, parseLinkFrame } from "../../src/palmtree/link_frames.ts";
import { encodeMetadata, RawReader } from "../../src/palmtree/raw_stream.ts";
import { encodeInform, parseInform, parseInformResponse } from "../../src/palmtree/session.ts";
import { SessionSeal } from "../../src/palmtree/session_seal.ts";
import { concat } from "../../src/wire/concat.ts";
import { decodeDatagram, encodeDatagram } from "../../src/wire/datagram.ts";
import { decode, encode } from "../../src/wire/msgpack.ts";
import { loadVectors } from "../testdata/vectors.ts";
import type { FuzzTarget } from "./decoders.ts";

const session = { sessionId: "s", key: "k" };
const sender = new SessionSeal({ ...session, self: "1000" });

const address = { hostname: "192.0.2.1", port: 50_000 };
const participant = { peerId: "7", passive: address, active: address, isKith: true };

/** What participants send to each other's sockets and over their links, and to originals. */
export const PALMTREE_TARGETS: readonly FuzzTarget[] = [
  {
    name: "palm tree's inform",
    corpus: corpusOf("peerconnect.palm.inform"),
    decode: (input) => {
      const parsed = parseInform(input);
      return parsed && sameAgain(parsed, parseInform(encodeInform(parsed)));
    },
  },
  {
    name: "palm tree's answer",
    corpus: corpusOf("peerconnect.palm.inform_response"),
    decode: parseInformResponse,
  },
  {
    name: "palm tree's packet",
    corpus: [...corpusOf("peerconnect.palm.control"), ...messages().map(encodeControl)],
    decode: (input) => {
      const parsed = parseControl(input);
      return parsed && sameAgain(parsed, parseControl(encodeControl(parsed)));
    },
  },
  {
    name: "palm tree's sealed datagram",
    corpus: messages().map((message) =>
      encodeDatagram(undefined, sender.seal(encodeControl(message), "1001"))
    ),
    decode: (input) => {
      const { payload } = decodeDatagram(input, { code: false, exact: false });
      const seal = new SessionSeal({ ...session, self: "1001" });
      return parseControl(seal.open(payload).payload);
    },
  },
  {
    name: "palm tree's stream link",
    corpus: corpusOf("peerconnect.palm.control").slice(-4),
    decode: parseStreamLink,
  },
  {
    name: "palm tree's frame",
    corpus: [...corpusOf("peerconnect.palm.chunk"), ...frames().map(encodeLinkFrame)],
    decode: (input) => {
      const parsed = parseLinkFrame(input);
      return sameAgain(parsed, parseLinkFrame(encodeLinkFrame(parsed)));
    },
  },
  {
    name: "palm tree's chunks",
    corpus: [encode([2_500, 1_000, new Uint8Array(96)]), encode([0, 1, new Uint8Array(0)])],
    decode: (input) => ChunkList.parse(decode(input)).root,
  },
  {
    name: "palm tree's set of chunks",
    corpus: [new Uint8Array(3), Uint8Array.of(255, 255, 3)],
    decode: (input) => {
      const set = ChunkSet.fromBytes(input, 18);
      if (set.toBytes().toHex() === input.toHex()) return set.count;
      throw new Error("ChunkSet reads something else than it writes");
    },
  },
  {
    name: "palm tree's stream of an original",
    corpus: [concat(encodeMetadata([{ name: "a", size: 9, seeked: 2 }]), new Uint8Array(7))],
    decode: (input) => {
      const reader = new RawReader(4);
      const half = input.length >> 1;
      const events = [
        ...reader.push(input.subarray(0, half)),
        ...reader.push(input.subarray(half)),
      ];
      return events.map((event) => {
        return event.type === "metadata" ? { ...event, chunks: event.chunks.totalBytes } : event;
      });
    },
  },
];

/** What is taken is written so that it is taken again, as the same. */
function sameAgain<T>(value: T, again: T | undefined): T {
  if (again !== undefined && encode(value).toHex() === encode(again).toHex()) return value;
  throw new Error(`${JSON.stringify(value)} became ${JSON.stringify(again)}`);
}

function corpusOf(family: string): Uint8Array[] {
  return loadVectors(family).flatMap(({ hex }) => hex ? [Uint8Array.fromHex(hex)] : []);
}

function messages(): ControlMessage[] {
  const report = { peerId: "7", chunks: 5, egressBytes: 2 ** 40, blamed: ["3"] };
  return [
    { type: "state-update", neighbors: [participant, participant], seq: 3, children: 1 },
    { type: "state-ack", from: "7", seq: 3 },
    { type: "upgrade", from: "7", active: address },
    { type: "gather", root: "1", level: 3, parent: "2", replyAddr: address, report },
    { type: "tree-check", from: "7", messageId: "m", sessionId: 2n ** 60n },
  ];
}

function frames(): LinkFrame[] {
  return [
    { type: "have", bits: Uint8Array.of(255, 1) },
    { type: "path", path: ["1000", "1"], chunks: 7, isLagging: false },
    { type: "path", path: undefined, chunks: 0, isLagging: true },
    { type: "beat", chunks: 9 },
    { type: "end", why: "bad-chunk" },
  ];
}
