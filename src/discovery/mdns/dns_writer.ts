/**
 * Writing DNS messages, piece by piece.
 *
 * @module
 */

import { ipv4Bytes, ipv6Bytes } from "./dns_address.ts";
import {
  CLASS,
  MAX_DNS_BYTES,
  MAX_DNS_LABEL_BYTES,
  MAX_DNS_NAME_BYTES,
  POINTER,
  TOP_BIT,
  TYPE_NUMBER,
} from "./dns_format.ts";
import type { DnsData, DnsName, DnsRecord } from "./dns_record.ts";

/** Farthest that a pointer leads. */
const MAX_POINTER = 0x3fff;

/** Writes a message; names that end alike share their bytes. */
export class DnsWriter {
  readonly #bytes = new Uint8Array(MAX_DNS_BYTES);
  readonly #suffixes = new Map<string, number>();
  #at = 0;

  /** What was written, as a copy. */
  bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#at);
  }

  /** Writes a number. @throws {RangeError} when it is none of so many bytes. */
  uint(bytes: 1 | 2 | 4, value: number): void {
    if (!Number.isInteger(value) || value < 0 || value >= 256 ** bytes) {
      throw new RangeError(`Number must be of ${bytes} bytes: current value is ${value}`);
    }
    this.#put(Array.from({ length: bytes }, (_, i) => value / 256 ** (bytes - 1 - i) & 0xff));
  }

  /** Writes a name. @throws {RangeError} when it or one of its labels is too long, or a label is empty. */
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

  /** Writes a record. @throws {RangeError} for what has no place in one. */
  record(record: DnsRecord): void {
    this.name(record.name);
    this.uint(2, TYPE_NUMBER[record.type]);
    this.uint(2, CLASS.in | (record.flush ? TOP_BIT : 0));
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
