/**
 * DNS messages, as multicast DNS needs them: bytes to values and back, without I/O.
 *
 * Source: RFC 1035 section 4 (messages), RFC 6762 section 18 (multicast DNS).
 *
 * @module
 */

import { InvalidPacketError } from "../../errors.ts";
import { CLASS, HEADER_BYTES, MAX_DNS_BYTES, TOP_BIT, TYPE_NUMBER } from "./dns_format.ts";
import { DnsReader, fault } from "./dns_reader.ts";
import type { DnsMessage } from "./dns_record.ts";
import { DnsWriter } from "./dns_writer.ts";

/** The root name, a type and a class. */
const MIN_QUESTION_BYTES = 5;
/** The same with a TTL and a length. */
const MIN_RECORD_BYTES = 11;

const FLAG = { response: 0x8000, authoritative: 0x0400, truncated: 0x0200 } as const;
/** Operation and result, which are 0 in multicast DNS (RFC 6762, 18.3 and 18.11). */
const OPCODE_AND_RCODE = 0x780f;

/**
 * Writes a message; names that end alike share their bytes.
 *
 * @throws {RangeError} for a name, text, address or number that has no place in a message, or a message above 9,000
 * bytes.
 */
export function encodeDnsMessage(message: Partial<DnsMessage>): Uint8Array<ArrayBuffer> {
  const { id = 0, response = false, truncated = false, questions = [] } = message;
  const { answers = [], authorities = [], additionals = [] } = message;
  const writer = new DnsWriter();
  writer.uint(2, id);
  const flags = (response ? FLAG.response | FLAG.authoritative : 0) |
    (truncated ? FLAG.truncated : 0);
  writer.uint(2, flags);
  for (const { length } of [questions, answers, authorities, additionals]) writer.uint(2, length);
  for (const { name, type, unicast } of questions) {
    writer.name(name);
    writer.uint(2, TYPE_NUMBER[type]);
    writer.uint(2, CLASS.in | (unicast ? TOP_BIT : 0));
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
  const reader = new DnsReader(packet);
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
