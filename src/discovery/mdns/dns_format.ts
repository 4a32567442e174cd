/**
 * The bytes of DNS messages: where things are, and their numbers.
 *
 * ```
 * message:  id 2, flags 2, count of each section 2 2 2 2, questions, answers, authorities, additionals
 * question: name, type 2, class 2 (top bit: answer me alone)
 * record:   name, type 2, class 2 (top bit: what you knew before is void), TTL 4, length 2, data
 * name:     labels (length 1, UTF-8), then 0 or a pointer (11, offset in 14 bits) to the rest of another name
 * ```
 *
 * Source: RFC 1035 section 4 (messages), RFC 6762 section 18 (multicast DNS), RFC 2782 (SRV).
 *
 * @module
 */

import type { DnsQuestionType } from "./dns_record.ts";

/** Longest message in bytes (RFC 6762, 17). */
export const MAX_DNS_BYTES = 9_000;

/** Longest name in bytes, its lengths and its end included (RFC 1035, 2.3.4). */
export const MAX_DNS_NAME_BYTES = 255;

/** Longest label in bytes (RFC 1035, 2.3.4). */
export const MAX_DNS_LABEL_BYTES = 63;

/** What is before the questions. */
export const HEADER_BYTES = 12;

/** A first byte from here on begins a pointer. */
export const POINTER = 0xc0;

/** The classes: of the internet, and of a question any. */
export const CLASS = { in: 1, any: 255 } as const;

/** "Answer by unicast" of a question's class, "cache flush" of a record's (RFC 6762, 18.12 and 18.13). */
export const TOP_BIT = 0x8000;

/** The number of each type. */
export const TYPE_NUMBER: Readonly<Record<DnsQuestionType, number>> = {
  A: 1,
  PTR: 12,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  ANY: 255,
};
