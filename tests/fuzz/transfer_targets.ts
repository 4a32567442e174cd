/**
 * The decoders of file transfer between kith peers.
 *
 * @module
 */

import { deflateRawSync } from "node:zlib";
import { InvalidPacketError } from "../../src/errors.ts";
import { matchBlocks, parseBlocks } from "../../src/transfer/block_match.ts";
import { parseHeld } from "../../src/transfer/held.ts";
import { parseRuns } from "../../src/transfer/index_runs.ts";
import { manifestOf } from "../../src/transfer/manifest.ts";
import { parseManifest } from "../../src/transfer/manifest_codec.ts";
import { answerValue, offerBody, parseAnswer, parseOffer } from "../../src/transfer/offer.ts";
import {
  HASH_BYTES,
  parseCopy,
  parseFiles,
  parsePiece,
  parseWhole,
  type Step,
} from "../../src/transfer/steps.ts";
import { decode, encode } from "../../src/wire/msgpack.ts";
import type { MessageBody } from "../../src/wire/message.ts";
import type { FuzzTarget } from "./decoders.ts";

/** How many entries an offer had, for what refers to them. */
const ENTRIES = 40;

const digest = new Uint8Array(HASH_BYTES).fill(5);
const data = new Uint8Array(300).fill(7);
const entries = Array.from({ length: 3 }, (_, at) => {
  return {
    path: `f/${at}`,
    kind: "file",
    size: at,
    mode: 0o644,
    mtimeMs: 1_700_000_000_000,
  } as const;
});
const terms = { token: new Uint8Array(16), update: true, openEnded: false, dryRun: false };
const answer = { id: 3, wanted: [0, 1, 5, 6, 7], held: new Set([1, 7]), unchanged: 4 };
const signs = new Uint8Array(5 * 20).fill(9);
const held = [
  { kind: "part", index: 1, bytes: 70_000, digests: digest },
  { kind: "whole", index: 2, bytes: 0, digests: digest },
  { kind: "older", index: 3, blockBytes: 2048, signs },
];
const raw = { data: new Uint8Array(deflateRawSync(data)), raw: data.length };

/** What a sender and a receiver of files say to each other. */
export const TRANSFER_TARGETS: readonly FuzzTarget[] = [
  {
    name: "packed manifest",
    corpus: [1, 50].map((count) => packedList(count)),
    decode: (packed) => parseManifest({ packed }),
  },
  {
    name: "offer",
    corpus: [encode(offerBody({ ...terms, manifest: manifestOf(entries) }))],
    decode: (input) => parseOffer(decodeBody(input), {}),
  },
  {
    name: "answer to an offer",
    corpus: [encode(answerValue(answer, ENTRIES)), encode({ id: 1 })],
    decode: (input) => {
      const { held, ...rest } = parseAnswer(decode(input), ENTRIES, false);
      return { ...rest, held: [...held] };
    },
  },
  {
    name: "runs of indexes",
    corpus: [[], [0, 1], [0, 3, 5, 1, 30, 10]].map((runs) => encode(runs)),
    decode: (input) => [...parseRuns(decode(input), ENTRIES, "wanted")],
  },
  {
    name: "what is held",
    corpus: held.map((one) => encode(one)),
    decode: (input) => parseHeld(decode(input)),
  },
  {
    name: "blocks of an older version",
    corpus: [encode({ blockBytes: 2048, signs })],
    decode: (input) => {
      const { blockBytes, signs } = decodeBody(input);
      return [...matchBlocks(parseBlocks(blockBytes, signs), readerOf(input))].length;
    },
  },
  step("piece", parsePiece, [
    { index: 1, offset: 5, data, digest },
    { index: 1, offset: 5, ...raw, digest, last: true },
  ]),
  step("copy", parseCopy, [{ index: 1, offset: 5, from: 9, length: 4096, digest }]),
  step("small files", parseFiles, [{ files: [[1, data, digest], [2, data, digest]] }]),
  step("whole", parseWhole, [{ index: 1, digest }]),
];

function step(
  name: string,
  parse: (body: MessageBody) => Step,
  bodies: readonly MessageBody[],
): FuzzTarget {
  const corpus = bodies.map((body) => encode({ id: 1, seq: 2, ...body }));
  return { name: `step: ${name}`, corpus, decode: (input) => parse(decodeBody(input)) };
}

/** A body as a message's decoder gives it: a map with text for keys. */
function decodeBody(input: Uint8Array): MessageBody {
  const value = decode(input);
  const isPlain = typeof value === "object" && value !== null && !Array.isArray(value) &&
    !(value instanceof Map) && !(value instanceof Uint8Array);
  if (isPlain) return value as MessageBody;
  throw new InvalidPacketError("bad-message", "It is no body");
}

function packedList(count: number): Uint8Array {
  const rows = Array.from({ length: count }, (_, at) => [`d/${at}`, false, at, 0o644, 0]);
  return new Uint8Array(deflateRawSync(encode({ entries: rows })));
}

/** Gives bytes once. */
function readerOf(bytes: Uint8Array): (into: Uint8Array) => number {
  let at = 0;
  return (into) => {
    const some = bytes.subarray(at, at + into.length);
    into.set(some);
    at += some.length;
    return some.length;
  };
}
