/**
 * Every decoder that meets bytes from strangers, with what its corpus is grown from.
 *
 * @module
 */

import {
  encodeAnswer,
  encodeQuestion,
  parseAnswer,
  parseQuestion,
} from "../../src/discovery/packets.ts";
import { helloBody } from "../../src/endpoint/handshake.ts";
import { retryTokenOf } from "../../src/endpoint/address_proofs.ts";
import { termsOf, tokenOf } from "../../src/endpoint/terms.ts";
import { InvalidPacketError, PeerError } from "../../src/errors.ts";
import { parseIntroduction } from "../../src/rpc/mesh_introduction.ts";
import { schema } from "../../src/rpc/schema.ts";
import { Identity } from "../../src/secure/identity.ts";
import {
  DatagramSeal,
  encodeFreshnessCheck,
  parseFreshnessCheck,
  readInnerPacket,
  readSealedHeader,
  sealedBytes,
  senderKey,
} from "../../src/secure/datagram_seal.ts";
import { Network } from "../../src/secure/network.ts";
import { parseTerms } from "../../src/session/native.ts";
import { checkPath } from "../../src/transfer/safe_path.ts";
import { parseManifest } from "../../src/transfer/manifest_codec.ts";
import { decodeDatagram, encodeDatagram } from "../../src/wire/datagram.ts";
import { Decoder } from "../../src/wire/decoder.ts";
import { FrameReader, FrameWriter } from "../../src/wire/frame.ts";
import { encodeLine, LineReader } from "../../src/wire/line.ts";
import { decodeWireData, peekHeader } from "../../src/wire/message.ts";
import { decode, encode } from "../../src/wire/msgpack.ts";
import { parseRemotePeer } from "../../src/wire/remote_peer.ts";
import * as textHeader from "../../src/wire/text_header.ts";
import { decodeWeaver } from "../../src/wire/weaver.ts";
import { decodeWitchAnnouncement } from "../../src/wire/witch_announcement.ts";
import { loadVectors } from "../testdata/vectors.ts";
import { HANDSHAKE_TARGETS, STREAM_TARGETS } from "./channel_targets.ts";
import { DHT_DIALECT_TARGETS } from "./dht_dialect_targets.ts";
import { DHT_TARGETS } from "./dht_targets.ts";
import { concat, Generator } from "./generate.ts";
import { GOSSIP_TARGETS } from "./gossip_targets.ts";
import { MEMBERSHIP_TARGETS } from "./membership_targets.ts";
import { PALMTREE_TARGETS } from "./palmtree_targets.ts";
import { SYNC_TARGETS } from "./sync_targets.ts";
import { TRANSFER_DIALECT_TARGETS } from "./transfer_dialect_targets.ts";
import { TRANSFER_TARGETS } from "./transfer_targets.ts";

/** A decoder under fire. */
export interface FuzzTarget {
  readonly name: string;
  readonly corpus: readonly Uint8Array[];
  /** Decodes an input, or throws; where it reads a connection, later. */
  decode(input: Uint8Array): unknown;
}

/** What a run found. */
export interface FuzzResult {
  readonly cases: number;
  /** Cases that a decoder took; the others were refused with an error of the tree. */
  readonly accepted: number;
  /** Largest growth of memory outside the heap that was seen, in bytes. */
  readonly externalBytes: number;
}

/** The most memory outside the heap that decoding small inputs may pile up between two garbage collections. */
const MAX_EXTERNAL_BYTES = 256 * 1024 * 1024;

const closed = new Network("home", [new Uint8Array(32).fill(7)]);
const info = {
  peerId: "ab".repeat(20),
  publicKey: "cd".repeat(32),
  name: "bob",
  capabilities: ["x"],
  agent: "kith/0.1.0",
};

// One decoder for many inputs, as on a connection: what it remembers of one must not hurt the next.
const borrowing = new Decoder({ borrow: true });

const INPUT = schema.object({
  a: schema.number(),
  b: schema.optional(schema.array(schema.oneOf(schema.string(), schema.bytes()))),
  c: schema.optional(schema.record(schema.anything())),
});

/** Those that give a value at once. */
export const FUZZ_TARGETS: readonly FuzzTarget[] = [
  {
    name: "msgpack",
    corpus: [...corpusOf("peerconnect.wiredata"), ...generated()],
    decode: (input) => decode(input, { allowTrailing: true }),
  },
  {
    name: "msgpack, one decoder",
    corpus: [...corpusOf("peerconnect.wiredata"), ...generated()],
    decode: (input) => {
      borrowing.reset(input);
      return borrowing.value();
    },
  },
  { name: "message", corpus: nativeMessages(), decode: (input) => decodeWireData(input) },
  {
    name: "message, peerconnect",
    corpus: [...corpusOf("peerconnect.wiredata"), ...corpusOf("peerconnect.wiredata.invalid")],
    decode: (input) => decodeWireData(input, { dialect: "peerconnect" }),
  },
  { name: "peekHeader", corpus: nativeMessages(), decode: peekHeader },
  {
    name: "frames",
    corpus: [...corpusOf("peerconnect.stream_frame"), frames()],
    decode: readFrames,
  },
  {
    name: "datagram, exact",
    corpus: corpusOf("peerconnect.requests_datagram"),
    decode: (input) => decodeDatagram(input, { code: true, exact: true }),
  },
  {
    name: "datagram, as the originals",
    corpus: corpusOf("peerconnect.datagram"),
    decode: (input) => decodeDatagram(input, { code: false, exact: false }),
  },
  {
    name: "remote peer",
    corpus: corpusOf("peerconnect.remotepeer"),
    decode: (input) => parseRemotePeer(decode(input)),
  },
  {
    name: "weaver",
    corpus: corpusOf("peerconnect.dataweaver"),
    decode: (input) => decodeWeaver(input),
  },
  {
    name: "lines",
    corpus: [...corpusOf("witch.request"), encodeLine({ a: [1, { b: null }] })],
    decode: (input) => {
      const reader = new LineReader({ maxLineBytes: 2048 });
      reader.push(input);
      while (reader.next() !== undefined);
      reader.end();
    },
  },
  {
    name: "text header",
    corpus: [
      ...corpusOf("peerpy.hello"),
      ...corpusOf("peerpy.data_header"),
      ...corpusOf("peerpy.ping_pong"),
    ],
    decode: (input) => {
      const header = textHeader.decodeTextHeader(input);
      if (header.type === "HELLO") return textHeader.parseHello(header);
      if (header.type === "DATA") return textHeader.parseData(header, 1 << 20);
      if (header.type === "PING") return textHeader.parsePing(header);
      return header.type === "PONG" ? textHeader.parsePong(header) : header;
    },
  },
  {
    name: "discovery question",
    corpus: [encodeQuestion({ id: 7, from: new Uint8Array(8), via: "broadcast" })],
    decode: parseQuestion,
  },
  {
    name: "discovery answer",
    corpus: [encodeAnswer(
      {
        id: 7,
        instance: new Uint8Array(8),
        seq: 300,
        validMs: 120_000,
        name: "bob",
        tcpPort: 1,
        via: "multicast4",
      },
      Identity.fromSeed(new Uint8Array(32)),
    )],
    decode: (input) => parseAnswer(input, 7),
  },
  ...MEMBERSHIP_TARGETS,
  ...GOSSIP_TARGETS,
  ...DHT_TARGETS,
  ...DHT_DIALECT_TARGETS,
  ...TRANSFER_TARGETS,
  ...TRANSFER_DIALECT_TARGETS,
  ...PALMTREE_TARGETS,
  ...SYNC_TARGETS,
  ...HANDSHAKE_TARGETS,
  {
    name: "manifest",
    corpus: [encode({ entries: [["a", true, 0, 0o755, 1], ["a/b.txt", false, 5, 0o644, 1e12]] })],
    decode: (input) => parseManifest(decode(input)),
  },
  {
    name: "witch announcement",
    corpus: [...corpusOf("witch.discovery"), ...corpusOf("witch.broadcast")],
    decode: (input) => decodeWitchAnnouncement(input),
  },
  {
    name: "terms of a call",
    corpus: [
      encode({ ":": { timeout: 250, credit: 32 }, a: 1 }),
      encode({
        ":": { timeout: 9, trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" },
      }),
      encode({ ":": { token: new Uint8Array(16), pad: new Uint8Array(3) } }),
      encode({ t: new Uint8Array(16) }),
    ],
    decode: (input) => {
      const body = bodyOf(input);
      retryTokenOf(body);
      tokenOf(body);
      return termsOf(body);
    },
  },
  {
    name: "terms of a session",
    corpus: [encode({ type: "json", strict: true, stream: true, size: 9 })],
    decode: (input) => parseTerms(bodyOf(input)),
  },
  {
    name: "introduction to a mesh",
    corpus: [encode({ project: "p", hash: "ab".repeat(8), name: "bob" })],
    decode: (input) => parseIntroduction(decode(input)),
  },
  {
    name: "input of an endpoint",
    corpus: [encode({ a: 1, b: ["x", new Uint8Array(3)], c: { d: null } }), ...generated()],
    decode: (input) => INPUT.check(decode(input)),
  },
  {
    name: "sealed packet",
    corpus: sealedPackets(),
    decode: (input) => {
      const { sender } = readSealedHeader(input);
      for (const key of closed.keys) {
        const plaintext = new DatagramSeal(closed.name).open(input, senderKey(key, sender));
        if (plaintext !== undefined) return readInnerPacket(plaintext);
      }
      return undefined;
    },
  },
  {
    name: "freshness check",
    corpus: freshnessChecks(),
    decode: (input) => parseFreshnessCheck(readInnerPacket(input)),
  },
  {
    name: "path",
    corpus: ["a/b c.txt", "日本/é.txt", "../x", "C:\\x", "con.txt"].map((path) =>
      new TextEncoder().encode(path)
    ),
    decode: (input) => checkPath(new TextDecoder().decode(input)),
  },
];

/** All of them, with those that read a connection. */
export const ALL_TARGETS: readonly FuzzTarget[] = [...FUZZ_TARGETS, ...STREAM_TARGETS];

/**
 * Feeds every decoder its share of `cases` inputs: mutated vectors, mutated inputs of other decoders, random bytes.
 *
 * @throws {Error} naming seed, decoder and input when a decoder throws anything but an error of the tree, or memory
 * grows beyond the bound.
 */
export async function fuzz(cases: number, seed: number): Promise<FuzzResult> {
  const generator = new Generator(seed);
  const everything = ALL_TARGETS.flatMap(({ corpus }) => corpus);
  const before = Deno.memoryUsage().external;
  let accepted = 0;
  let externalBytes = 0;
  for (let i = 0; i < cases; i++) {
    const target = ALL_TARGETS[i % ALL_TARGETS.length] as FuzzTarget;
    const kind = generator.below(10);
    const input = kind === 0
      ? generator.bytes(generator.below(64))
      : generator.mutate(generator.pick(kind === 1 ? everything : target.corpus));
    try {
      await target.decode(input);
      accepted++;
    } catch (error) {
      if (!(error instanceof PeerError)) throw failure(target, seed, i, input, error);
    }
    if (i % 1000 === 0) {
      externalBytes = Math.max(externalBytes, Deno.memoryUsage().external - before);
      if (externalBytes > MAX_EXTERNAL_BYTES) {
        throw failure(target, seed, i, input, new Error(`${externalBytes} bytes outside the heap`));
      }
    }
  }
  return { cases, accepted, externalBytes };
}

function failure(
  target: FuzzTarget,
  seed: number,
  i: number,
  input: Uint8Array,
  cause: unknown,
): Error {
  const shown = input.slice(0, 512).toHex();
  return new Error(`${target.name} failed: seed ${seed}, case ${i}, input ${shown}: ${cause}`, {
    cause,
  });
}

function corpusOf(family: string): Uint8Array[] {
  return loadVectors(family).flatMap(({ hex }) => hex ? [Uint8Array.fromHex(hex)] : []);
}

function generated(): Uint8Array[] {
  const generator = new Generator(5);
  return Array.from({ length: 40 }, () => encode(generator.value()));
}

function nativeMessages(): Uint8Array[] {
  return [
    encode([":hello", 0, 1, helloBody(info, { signature: new Uint8Array(64) }), null]),
    encode(["greet", 65536, 1, { name: "bob", list: [1, "x", new Uint8Array(9)] }, null]),
    encode([":error", 65536, 1, { code: "x", details: { a: 1 } }, new Uint8Array(20)]),
  ];
}

function sealedPackets(): Uint8Array[] {
  const requests = nativeMessages().map((message) => encodeDatagram(0x14, message));
  const seal = new DatagramSeal(closed.name);
  return closed.keys.flatMap((key) =>
    [...requests, ...freshnessChecks()].map((packet, at) => {
      const header = { keyId: key.id, sender: 5n, counter: BigInt(at) };
      const into = new Uint8Array(sealedBytes(packet.length));
      return seal.seal(into, header, senderKey(key, header.sender), packet);
    })
  );
}

function freshnessChecks(): Uint8Array[] {
  const check = { to: 1n, counter: 2n, code: new Uint8Array(16).fill(3) };
  return (["challenge", "response"] as const).map((kind) =>
    encodeFreshnessCheck({ ...check, kind })
  );
}

/** A body as a message's decoder gives it: a map with text for keys. */
function bodyOf(input: Uint8Array): Record<string, unknown> {
  const value = decode(input);
  if (
    typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Map)
  ) {
    return value as Record<string, unknown>;
  }
  throw new InvalidPacketError("bad-message", "It is no body");
}

function frames(): Uint8Array {
  const writer = new FrameWriter();
  for (const size of [0, 1, 300, 2]) writer.frame(new Uint8Array(size));
  return concat(...writer.take());
}

function readFrames(input: Uint8Array): void {
  const reader = new FrameReader({ maxFrameBytes: 1 << 20 });
  const half = input.length >> 1;
  for (const part of [input.subarray(0, half), input.subarray(half)]) {
    reader.push(part);
    while (reader.next() !== undefined);
  }
  reader.end();
}
