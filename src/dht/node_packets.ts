/**
 * Questions and answers of the native DHT as the bodies of requests, which `datagram_calls.ts` and links carry.
 *
 * | header     | asks              | fields of the question                        |
 * |------------|-------------------|-----------------------------------------------|
 * | `dht.ping` | are you there     |                                               |
 * | `dht.find` | nodes near an id  | `t` id                                        |
 * | `dht.get`  | what is kept      | `t` key                                       |
 * | `dht.put`  | keep this         | `r` record, `l` seconds, `c` version that is kept now |
 * | `dht.copy` | keep these        | `r` records, `l` seconds for each; there is no answer |
 *
 * | field | in          | means                                                                              |
 * |-------|-------------|------------------------------------------------------------------------------------|
 * | `f`   | both        | who sends, where it serves others: `[id, TCP port]`                                |
 * | `q`   | question    | 16 random bytes: prove who you are                                                 |
 * | `a`   | question    | with `q`: `HOST:PORT` that is asked                                                |
 * | `x`   | question    | bytes that mean nothing: the answer may be three times as large as the question    |
 * | `n`   | answer      | nodes: `[id, host, UDP port, TCP port]` each                                       |
 * | `r`   | answer      | records                                                                            |
 * | `m`   | answer      | there are records that fit no packet: ask over a connection                        |
 * | `i`   | answer      | to `q`: public key and signature (`node_proof.ts`)                                 |
 * | `y`   | answer      | to `q`: `HOST:PORT` that the question came from                                    |
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { isHostAddress } from "../transport/ip_address.ts";
import { type Address, formatAddress } from "../transport/transport.ts";
import type { MessageBody } from "../wire/message.ts";
import { type Contact, contactOf } from "./contact.ts";
import { ID_BYTES, type NodeId } from "./node_id.ts";
import type { Question } from "./questions.ts";
import type { DhtRecord } from "./record.ts";
import { encodeRecord } from "./record_codec.ts";

/** Bytes of the number that an answer has to sign. */
export const NONCE_BYTES = 16;

/** Most nodes that an answer may name. */
export const MAX_NODES = 20;

/** Most records that an answer may have. */
export const MAX_RECORDS = 64;

/** Most records that are given to a node in one packet. */
export const MAX_COPIES = 32;

/** What gives a node some records, without an answer. */
export const COPY_HEADER = "dht.copy";

/** Bytes of records that are sent in a packet at most, so that no path fragments it. */
export const PACKET_RECORD_BYTES = 1_024;

/** Longest address as text, in UTF-16 units. */
const MAX_ADDRESS_CHARS = 270;

/** Longest life that may be asked for: a week. */
const MAX_TTL_S = 604_800;

/** What a question that may be answered with twenty nodes is filled up with; for those of IPv6 it is asked again. */
const PADDING = new Uint8Array(250);

/** The header of each kind of question. */
export const HEADERS = {
  "ping": "dht.ping",
  "find-node": "dht.find",
  "find-value": "dht.get",
  "store": "dht.put",
} as const;

/** Who sends a question or an answer, where it serves others. */
export interface Claim {
  readonly id: NodeId;
  readonly tcpPort: number;
}

/** What a question asks for besides. */
export interface Asking {
  /** Who asks. @default somebody who serves nobody */
  readonly claim?: Claim | undefined;
  /** Prove who you are. */
  readonly nonce?: Uint8Array | undefined;
  /** Where that is asked. */
  readonly at?: Address | undefined;
  /** Whether it goes in a packet, whose answer is bounded by its size. */
  readonly isPacket: boolean;
}

/** A question as it came. */
export interface Asked {
  readonly question: QuestionTerms;
  readonly claim: Claim | undefined;
  readonly nonce: Uint8Array | undefined;
  /** Where we are asked, as the asker writes it. */
  readonly at: string;
}

/** A question whose record is still encoded: to check it costs, and is for who keeps it. */
export type QuestionTerms =
  | Exclude<Question, { readonly type: "store" }>
  | {
    readonly type: "store";
    readonly record: Uint8Array;
    readonly ttlS: number;
    readonly cas: number | undefined;
  };

/** A record in a packet of copies, as it is written. */
export interface Copied {
  readonly record: Uint8Array;
  /** How long it is to be kept, in seconds. */
  readonly ttlS: number;
}

/** An answer as it is written. */
export interface AnswerTerms {
  readonly nodes: readonly Contact[];
  /** Each as {@linkcode encodeRecord} writes it. */
  readonly records: readonly Uint8Array[];
  readonly isMore: boolean;
  readonly claim: Claim | undefined;
  readonly proof: Proof | undefined;
  /** Where the question came from, as `HOST:PORT`; empty where that was not asked. */
  readonly seenAt: string;
}

/** What proves who answers. */
export interface Proof {
  readonly publicKey: Uint8Array;
  readonly signature: Uint8Array;
}

/** The body of a question. */
export function questionBody(question: Question, asking: Asking): MessageBody {
  const { claim, nonce, at, isPacket } = asking;
  const body: MessageBody = {};
  if (claim !== undefined) body.f = [claim.id, claim.tcpPort];
  if (nonce !== undefined && at !== undefined) {
    body.q = nonce;
    body.a = formatAddress(at);
  }
  if (question.type === "store") {
    body.r = encodeRecord(question.record);
    body.l = question.ttlS;
    if (question.cas !== undefined) body.c = question.cas;
  } else if (question.type !== "ping") {
    body.t = question.target;
    if (isPacket) body.x = PADDING;
  }
  return body;
}

/** Reads a question. @throws {InvalidPacketError} `bad-message` naming the field. */
export function readQuestion(type: Question["type"], body: MessageBody): Asked {
  const { f, q, a = "" } = body;
  return {
    question: readTerms(type, body),
    claim: f === undefined ? undefined : readClaim(f),
    nonce: q === undefined ? undefined : readBytes("q", q, NONCE_BYTES),
    at: readText("a", a),
  };
}

/** The body of a packet of copies. */
export function copiesBody(copies: readonly Copied[], claim: Claim | undefined): MessageBody {
  return {
    ...(claim === undefined ? {} : { f: [claim.id, claim.tcpPort] }),
    r: copies.map(({ record }) => record),
    l: copies.map(({ ttlS }) => ttlS),
  };
}

/** Reads a packet of copies. @throws {InvalidPacketError} `bad-message` or `too-large`, naming the field. */
export function readCopies(
  { f, r, l }: MessageBody,
): { readonly copies: Copied[]; readonly claim: Claim | undefined } {
  const lives = readList("l", l, MAX_COPIES);
  const copies = readList("r", r, MAX_COPIES).map((record, at) => {
    if (!(record instanceof Uint8Array)) throw invalid("r", "a record is not bin");
    return { record, ttlS: readNatural("l", lives[at], 1, MAX_TTL_S) };
  });
  return { copies, claim: f === undefined ? undefined : readClaim(f) };
}

/** The body of an answer. */
export function answerBody(answer: AnswerTerms): MessageBody {
  const { nodes, records, isMore, claim, proof, seenAt } = answer;
  const body: MessageBody = {};
  if (nodes.length > 0) body.n = nodes.map(writeNode);
  if (records.length > 0) body.r = records;
  if (isMore) body.m = true;
  if (claim !== undefined) body.f = [claim.id, claim.tcpPort];
  if (proof !== undefined) body.i = [proof.publicKey, proof.signature];
  if (seenAt !== "") body.y = seenAt;
  return body;
}

/**
 * Reads an answer.
 *
 * @param isUsable Whether an address may be asked; nodes at others are left out.
 * @throws {InvalidPacketError} `bad-message` or `too-large`, naming the field.
 */
export function readAnswer(
  value: unknown,
  isUsable: (address: Address) => boolean = ({ hostname }) => isHostAddress(hostname),
): AnswerTerms {
  const body = readMap(value);
  const { n = [], r = [], m, f, i, y = "" } = body;
  const nodes: Contact[] = [];
  for (const each of readList("n", n, MAX_NODES)) {
    const node = readNode(each);
    if (isUsable(node.address)) nodes.push(node);
  }
  return {
    nodes,
    records: readList("r", r, MAX_RECORDS).map((each) => {
      if (each instanceof Uint8Array) return each;
      throw invalid("r", "a record is not bin");
    }),
    isMore: m === true,
    claim: f === undefined ? undefined : readClaim(f),
    proof: i === undefined ? undefined : readProof(i),
    seenAt: readText("y", y),
  };
}

/** Whether a record may be sent in a packet. */
export function fitsPacket(record: DhtRecord): boolean {
  return record.value.length <= PACKET_RECORD_BYTES;
}

function readTerms(type: Question["type"], body: MessageBody): QuestionTerms {
  switch (type) {
    case "ping":
      return { type };
    case "find-node":
    case "find-value":
      return { type, target: readBytes("t", body.t, ID_BYTES).slice() };
    case "store": {
      const { r, l, c } = body;
      if (!(r instanceof Uint8Array)) throw invalid("r", "it is not bin");
      return {
        type,
        record: r,
        ttlS: readNatural("l", l, 1, MAX_TTL_S),
        cas: c === undefined ? undefined : readNatural("c", c, 0, Number.MAX_SAFE_INTEGER),
      };
    }
    default:
      return type satisfies never;
  }
}

function writeNode({ id, address: { hostname, port }, tcpPort }: Contact): unknown[] {
  return [id, hostname, port, tcpPort];
}

function readNode(value: unknown): Contact {
  if (!Array.isArray(value) || value.length !== 4) throw invalid("n", "a node is not four things");
  const [id, host, port, tcpPort]: unknown[] = value;
  const nodeId = readBytes("n", id, ID_BYTES).slice();
  const address = { hostname: readText("n", host), port: readNatural("n", port, 1, 65_535) };
  return contactOf(nodeId, address, { tcpPort: readNatural("n", tcpPort, 0, 65_535) });
}

function readClaim(value: unknown): Claim {
  if (!Array.isArray(value) || value.length !== 2) throw invalid("f", "it is not two things");
  const [id, tcpPort]: unknown[] = value;
  return {
    id: readBytes("f", id, ID_BYTES).slice(),
    tcpPort: readNatural("f", tcpPort, 0, 65_535),
  };
}

function readProof(value: unknown): Proof {
  if (!Array.isArray(value) || value.length !== 2) throw invalid("i", "it is not two things");
  const [publicKey, signature]: unknown[] = value;
  return {
    publicKey: readBytes("i", publicKey, 32),
    signature: readBytes("i", signature, 64),
  };
}

function readMap(value: unknown): MessageBody {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as MessageBody;
  }
  throw invalid("result", "it is not a map");
}

function readList(field: string, value: unknown, max: number): unknown[] {
  if (!Array.isArray(value)) throw invalid(field, "it is not an array");
  if (value.length <= max) return value;
  throw new InvalidPacketError(
    "too-large",
    `Cannot read a packet of the DHT: ${field} has ${value.length} entries, more than ${max}`,
    { details: { field, max, got: value.length } },
  );
}

function readBytes(field: string, value: unknown, length: number): Uint8Array {
  if (value instanceof Uint8Array && value.length === length) return value;
  throw invalid(field, `it is not ${length} bytes`);
}

function readText(field: string, value: unknown): string {
  if (typeof value === "string" && value.length <= MAX_ADDRESS_CHARS) return value;
  throw invalid(field, `it is not text of at most ${MAX_ADDRESS_CHARS} characters`);
}

function readNatural(field: string, value: unknown, min: number, max: number): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) {
    return value;
  }
  throw invalid(field, `it is not an integer ${min}..${max}`);
}

function invalid(field: string, why: string): InvalidPacketError {
  return new InvalidPacketError(
    "bad-message",
    `Cannot read a packet of the DHT: ${field}: ${why}`,
    {
      details: { field },
    },
  );
}
