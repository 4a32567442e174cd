/**
 * Reading DNS messages, piece by piece.
 *
 * Whatever a stranger's message claims, reading it takes memory and time in proportion to its bytes: pointers lead
 * backwards only, and nothing is allocated by a count.
 *
 * @module
 */

import { InvalidPacketError } from "../../errors.ts";
import { ipv6Text } from "./dns_address.ts";
import {
  CLASS,
  HEADER_BYTES,
  MAX_DNS_LABEL_BYTES,
  MAX_DNS_NAME_BYTES,
  POINTER,
  TOP_BIT,
  TYPE_NUMBER,
} from "./dns_format.ts";
import type { DnsData, DnsName, DnsQuestion, DnsQuestionType, DnsRecord } from "./dns_record.ts";

/** Most pointers followed in one name: each label of the longest name could be reached by one of its own. */
const MAX_JUMPS = 128;

const TYPES = new Map(
  Object.entries(TYPE_NUMBER).map(([type, number]) => [number, type]),
) as ReadonlyMap<number, DnsQuestionType>;

/** Reads what is in a message, from its start on; see the module. */
export class DnsReader {
  readonly #packet: Uint8Array;
  // By where they are: each of many names may lead to the same hundred labels.
  readonly #labels = new Map<number, string>();
  #at = 0;

  /** Stands before the first byte. */
  constructor(packet: Uint8Array) {
    this.#packet = packet;
  }

  /** The next number. */
  uint(bytes: 1 | 2 | 4): number {
    let value = 0;
    for (let i = 0; i < bytes; i++) value = value * 256 + this.#byte(this.#at++);
    return value;
  }

  /** The next question; `undefined` for one of a type or class that is not known. */
  question(): DnsQuestion | undefined {
    const name = this.#name();
    const type = TYPES.get(this.uint(2));
    const classAndBit = this.uint(2);
    const asked = classAndBit & ~TOP_BIT;
    if (type === undefined || (asked !== CLASS.in && asked !== CLASS.any)) return undefined;
    return { name, type, unicast: (classAndBit & TOP_BIT) !== 0 };
  }

  /** The next record; `undefined` for one of a type or class that is not known. */
  record(): DnsRecord | undefined {
    const name = this.#name();
    const type = TYPES.get(this.uint(2));
    const classAndBit = this.uint(2);
    const ttlS = this.uint(4);
    const length = this.uint(2);
    const startsAt = this.#at;
    const endsAt = startsAt + length;
    if (endsAt > this.#packet.length) throw missing(this.#packet.length);
    const known = (classAndBit & ~TOP_BIT) === CLASS.in ? type : undefined;
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

/** What is wrong with a message, and where. */
export function fault(
  offset: number,
  what: string,
  code: "bad-frame" | "bad-message" = "bad-message",
): InvalidPacketError {
  return new InvalidPacketError(code, `Cannot decode DNS message: ${what} at offset ${offset}`, {
    details: { offset },
  });
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
