/**
 * DNS messages, as multicast DNS needs them: bytes to values and back, without I/O.
 *
 * ```
 * message:  id 2, flags 2, count of each section 2 2 2 2, questions, answers, authorities, additionals
 * question: name, type 2, class 2 (top bit: answer me alone)
 * record:   name, type 2, class 2 (top bit: what you knew before is void), TTL 4, length 2, data
 * name:     labels (length 1, UTF-8), then 0 or a pointer (11, offset in 14 bits) to the rest of another name
 * ```
 *
 * Whatever a stranger's message claims, reading it takes memory and time in proportion to its bytes: pointers lead
 * backwards only, and nothing is allocated by a count. Records of other types and classes are left out.
 *
 * Source: RFC 1035 section 4 (messages), RFC 6762 section 18 (multicast DNS), RFC 2782 (SRV).
 *
 * @module
 */

import { InvalidPacketError } from "../../errors.ts";
import { ipv4Bytes, ipv6Bytes, ipv6Text } from "./dns_address.ts";
import type {
  DnsData,
  DnsMessage,
  DnsName,
  DnsQuestion,
  DnsQuestionType,
  DnsRecord,
} from "./dns_record.ts";

/** Longest message in bytes (RFC 6762, 17). */
export const MAX_DNS_BYTES = 9_000;

/** Longest name in bytes, its lengths and its end included (RFC 1035, 2.3.4). */
export const MAX_DNS_NAME_BYTES = 255;

/** Longest label in bytes (RFC 1035, 2.3.4). */
export const MAX_DNS_LABEL_BYTES = 63;

/** Most pointers followed in one name: each label of the longest name could be reached by one of its own. */
const MAX_JUMPS = 128;

const HEADER_BYTES = 12;
/** The root name, a type and a class. */
const MIN_QUESTION_BYTES = 5;
/** The same with a TTL and a length. */
const MIN_RECORD_BYTES = 11;
const POINTER = 0xc0;
const MAX_POINTER = 0x3fff;

const FLAG = { response: 0x8000, authoritative: 0x0400, truncated: 0x0200 } as const;
/** Operation and result, which are 0 in multicast DNS (RFC 6762, 18.3 and 18.11). */
const OPCODE_AND_RCODE = 0x780f;

const CLASS_IN = 1;
const CLASS_ANY = 255;
/** "Answer by unicast" of a question, "cache flush" of a record (RFC 6762, 18.12 and 18.13). */
const TOP_BIT = 0x8000;

const TYPE_NUMBER: Readonly<Record<DnsQuestionType, number>> = {
  A: 1,
  PTR: 12,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  ANY: 255,
};
const TYPES = new Map(
  Object.entries(TYPE_NUMBER).map(([type, number]) => [number, type]),
) as ReadonlyMap<number, DnsQuestionType>;

/**
 * Writes a message; names that end alike share their bytes.
 *
 * @throws {RangeError} for a name, text, address or number that has no place in a message, or a message above 9,000
 * bytes.
 */
export function encodeDnsMessage(message: Partial<DnsMessage>): Uint8Array<ArrayBuffer> {
  const { id = 0, response = false, truncated = false, questions = [] } = message;
  const { answers = [], authorities = [], additionals = [] } = message;
  const writer = new Writer();
  writer.uint(2, id);
  const flags = (response ? FLAG.response | FLAG.authoritative : 0) |
    (truncated ? FLAG.truncated : 0);
  writer.uint(2, flags);
  for (const { length } of [questions, answers, authorities, additionals]) writer.uint(2, length);
  for (const { name, type, unicast } of questions) {
    writer.name(name);
    writer.uint(2, TYPE_NUMBER[type]);
    writer.uint(2, CLASS_IN | (unicast ? TOP_BIT : 0));
  }
  for (const record of [...answers, ...authorities, ...additionals]) writer.record(record);
  return writer.bytes();
}

/**
 * Reads a message. Questions and records of types and classes that are not known here are left out, and so is text in
 * TXT records that is not UTF-8.
 *
 * @throws {InvalidPacketError} `too-large`, `bad-frame` where bytes are missing, `bad-message` where they make no sense.
 */
export function decodeDnsMessage(packet: Uint8Array): DnsMessage {
  if (packet.length > MAX_DNS_BYTES) {
    const text = `length ${packet.length} exceeds MAX_DNS_BYTES ${MAX_DNS_BYTES}`;
    throw new InvalidPacketError("too-large", `Cannot decode DNS message: ${text}`, {
      details: { limit: "MAX_DNS_BYTES", max: MAX_DNS_BYTES },
    });
  }
  const reader = new Reader(packet);
  const id = reader.uint(2);
  const flags = reader.uint(2);
  if ((flags & OPCODE_AND_RCODE) !== 0) throw fault(2, `flags ${flags} are none of multicast DNS`);
  const counts = [reader.uint(2), reader.uint(2), reader.uint(2), reader.uint(2)] as const;
  const [questions, ...records] = counts;
  const least = questions * MIN_QUESTION_BYTES +
    records.reduce((sum, count) => sum + count, 0) * MIN_RECORD_BYTES;
  if (least > packet.length - HEADER_BYTES) {
    const text = `${counts.join(" + ")} entries need ${least} bytes or more`;
    throw fault(4, `${text}, ${packet.length - HEADER_BYTES} follow`, "bad-frame");
  }
  return {
    id,
    response: (flags & FLAG.response) !== 0,
    truncated: (flags & FLAG.truncated) !== 0,
    questions: collect(questions, () => reader.question()),
    answers: collect(records[0] ?? 0, () => reader.record()),
    authorities: collect(records[1] ?? 0, () => reader.record()),
    additionals: collect(records[2] ?? 0, () => reader.record()),
  };
}

function collect<T>(count: number, read: () => T | undefined): T[] {
  const values: T[] = [];
  for (let i = 0; i < count; i++) {
    const value = read();
    if (value !== undefined) values.push(value);
  }
  return values;
}

class Reader {
  readonly #packet: Uint8Array;
  // By where they are: each of many names may lead to the same hundred labels.
  readonly #labels = new Map<number, string>();
  #at = 0;

  constructor(packet: Uint8Array) {
    this.#packet = packet;
  }

  uint(bytes: 1 | 2 | 4): number {
    let value = 0;
    for (let i = 0; i < bytes; i++) value = value * 256 + this.#byte(this.#at++);
    return value;
  }

  question(): DnsQuestion | undefined {
    const name = this.#name();
    const type = TYPES.get(this.uint(2));
    const classAndBit = this.uint(2);
    const asked = classAndBit & ~TOP_BIT;
    if (type === undefined || (asked !== CLASS_IN && asked !== CLASS_ANY)) return undefined;
    return { name, type, unicast: (classAndBit & TOP_BIT) !== 0 };
  }

  record(): DnsRecord | undefined {
    const name = this.#name();
    const type = TYPES.get(this.uint(2));
    const classAndBit = this.uint(2);
    const ttlS = this.uint(4);
    const length = this.uint(2);
    const startsAt = this.#at;
    const endsAt = startsAt + length;
    if (endsAt > this.#packet.length) throw missing(this.#packet.length);
    const known = (classAndBit & ~TOP_BIT) === CLASS_IN ? type : undefined;
    const data = this.#data(known, endsAt);
    if (data === undefined) this.#at = endsAt;
    if (this.#at !== endsAt) {
      throw fault(startsAt, `${type} data of ${length} bytes ends after ${this.#at - startsAt}`);
    }
    return data && { ...data, name, ttlS, flush: (classAndBit & TOP_BIT) !== 0 };
  }

  #data(type: DnsQuestionType | undefined, endsAt: number): DnsData | undefined {
    switch (type) {
      case "A":
        return { type, address: this.#take(4).join(".") };
      case "AAAA":
        return { type, address: ipv6Text(this.#take(16)) };
      case "PTR":
        return { type, target: this.#name() };
      case "TXT":
        return { type, strings: this.#strings(endsAt) };
      case "SRV":
        return {
          type,
          priority: this.uint(2),
          weight: this.uint(2),
          port: this.uint(2),
          target: this.#name(),
        };
      default:
        return undefined;
    }
  }

  #strings(endsAt: number): string[] {
    const strings: string[] = [];
    while (this.#at < endsAt) {
      const text = utf8(this.#take(this.uint(1)));
      if (text !== undefined && text !== "") strings.push(text);
    }
    return strings;
  }

  #name(): DnsName {
    const labels: string[] = [];
    const startsAt = this.#at;
    let [at, lowest] = [startsAt, startsAt];
    let endsAt: number | undefined;
    let bytes = 1;
    let jumps = 0;
    for (;;) {
      const length = this.#byte(at);
      if (length === 0) break;
      if (length >= POINTER) {
        const target = (length - POINTER) * 256 + this.#byte(at + 1);
        if (target >= lowest || target < HEADER_BYTES) {
          throw fault(at, `pointer to ${target} leads to no name before it`);
        }
        if (++jumps > MAX_JUMPS) throw fault(startsAt, `name has over ${MAX_JUMPS} pointers`);
        endsAt ??= at + 2;
        at = lowest = target;
        continue;
      }
      if (length > MAX_DNS_LABEL_BYTES) throw fault(at, `label type ${length >> 6} is unknown`);
      bytes += 1 + length;
      if (bytes > MAX_DNS_NAME_BYTES) {
        throw fault(startsAt, `name exceeds MAX_DNS_NAME_BYTES ${MAX_DNS_NAME_BYTES}`);
      }
      labels.push(this.#label(at + 1, length));
      at += 1 + length;
    }
    this.#at = endsAt ?? at + 1;
    return labels;
  }

  #label(at: number, length: number): string {
    const known = this.#labels.get(at);
    if (known !== undefined) return known;
    if (at + length > this.#packet.length) throw missing(this.#packet.length);
    const label = utf8(this.#packet.subarray(at, at + length));
    if (label === undefined) throw fault(at, "label is not UTF-8");
    this.#labels.set(at, label);
    return label;
  }

  #take(length: number): Uint8Array {
    const endsAt = this.#at + length;
    if (endsAt > this.#packet.length) throw missing(this.#packet.length);
    const taken = this.#packet.subarray(this.#at, endsAt);
    this.#at = endsAt;
    return taken;
  }

  #byte(at: number): number {
    const byte = this.#packet[at];
    if (byte === undefined) throw missing(this.#packet.length);
    return byte;
  }
}

class Writer {
  readonly #bytes = new Uint8Array(MAX_DNS_BYTES);
  readonly #suffixes = new Map<string, number>();
  #at = 0;

  bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#at);
  }

  uint(bytes: 1 | 2 | 4, value: number): void {
    if (!Number.isInteger(value) || value < 0 || value >= 256 ** bytes) {
      throw new RangeError(`Number must be of ${bytes} bytes: current value is ${value}`);
    }
    this.#put(Array.from({ length: bytes }, (_, i) => value / 256 ** (bytes - 1 - i) & 0xff));
  }

  name(name: DnsName): void {
    const labels = name.map((label) => new TextEncoder().encode(label));
    const total = labels.reduce((sum, { length }) => sum + 1 + length, 1);
    if (total > MAX_DNS_NAME_BYTES) {
      throw new RangeError(`Name must be of at most ${MAX_DNS_NAME_BYTES} bytes: it has ${total}`);
    }
    for (const [i, label] of labels.entries()) {
      if (label.length === 0 || label.length > MAX_DNS_LABEL_BYTES) {
        throw new RangeError(`Label must be of 1..63 bytes: it has ${label.length}`);
      }
      const suffix = JSON.stringify(name.slice(i));
      const known = this.#suffixes.get(suffix);
      if (known !== undefined) return this.uint(2, POINTER * 256 + known);
      if (this.#at <= MAX_POINTER) this.#suffixes.set(suffix, this.#at);
      this.uint(1, label.length);
      this.#put(label);
    }
    this.uint(1, 0);
  }

  record(record: DnsRecord): void {
    this.name(record.name);
    this.uint(2, TYPE_NUMBER[record.type]);
    this.uint(2, CLASS_IN | (record.flush ? TOP_BIT : 0));
    this.uint(4, record.ttlS);
    const lengthAt = this.#at;
    this.uint(2, 0);
    this.#data(record);
    const endsAt = this.#at;
    this.#at = lengthAt;
    this.uint(2, endsAt - lengthAt - 2);
    this.#at = endsAt;
  }

  #data(data: DnsData): void {
    switch (data.type) {
      case "A":
        return this.#put(ipv4Bytes(data.address));
      case "AAAA":
        return this.#put(ipv6Bytes(data.address));
      case "PTR":
        return this.name(data.target);
      case "TXT":
        // A record without any text holds one empty text (RFC 6763, 6.1).
        for (const text of data.strings.length === 0 ? [""] : data.strings) {
          const bytes = new TextEncoder().encode(text);
          this.uint(1, bytes.length);
          this.#put(bytes);
        }
        return;
      case "SRV":
        this.uint(2, data.priority);
        this.uint(2, data.weight);
        this.uint(2, data.port);
        return this.name(data.target);
      default:
        return data satisfies never;
    }
  }

  #put(bytes: ArrayLike<number>): void {
    if (this.#at + bytes.length > MAX_DNS_BYTES) {
      throw new RangeError(`Message must be of at most ${MAX_DNS_BYTES} bytes: it has more`);
    }
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }
}

const TEXT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function utf8(bytes: Uint8Array): string | undefined {
  // Nearly every label is short ASCII, for which the decoder takes ten times as long.
  if (bytes.every((byte) => byte < 0x80)) return String.fromCharCode(...bytes);
  try {
    return TEXT.decode(bytes);
  } catch {
    return undefined; // who asks says where it was
  }
}

function missing(length: number): InvalidPacketError {
  return fault(length, "bytes are missing", "bad-frame");
}

function fault(
  offset: number,
  what: string,
  code: "bad-frame" | "bad-message" = "bad-message",
): InvalidPacketError {
  return new InvalidPacketError(code, `Cannot decode DNS message: ${what} at offset ${offset}`, {
    details: { offset },
  });
}
