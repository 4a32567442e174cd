/**
 * Authors and records for tests.
 *
 * @module
 */

import {
  type DhtRecord,
  immutableRecord,
  plainKey,
  plainRecord,
  type RecordAuthor,
  type SignedDraft,
  type SignedRecord,
  signedRecord,
} from "../../src/dht/record.ts";
import type { StoredItem } from "../../src/dht/storage.ts";
import { ITEM_OVERHEAD } from "../../src/dht/storage.ts";
import { Identity } from "../../src/secure/identity.ts";
import { encode } from "../../src/wire/msgpack.ts";

/** Two authors. */
export const ann: Identity = Identity.fromSeed(new Uint8Array(32).fill(1));
export const bob: Identity = Identity.fromSeed(new Uint8Array(32).fill(2));

/** The time in these tests, in seconds since 1970: that at which a `ManualClock` begins. */
export const NOW_S: number = Date.UTC(2026, 0, 1) / 1_000;

/** A small signed record, of ann unless said otherwise. */
export function signed(draft: Partial<SignedDraft> = {}, author: RecordAuthor = ann): SignedRecord {
  const { scope = "own", name = "page", value = encode("hello"), seq = 1 } = draft;
  const { expiresS = NOW_S + 3_600 } = draft;
  return signedRecord({ scope, name, value, seq, expiresS }, author);
}

/** A signed record that nobody signed, for tests that make thousands: each number is an author. */
export function unproven(author: number, draft: Partial<SignedDraft> = {}): SignedRecord {
  const publicKey = new Uint8Array(32);
  new DataView(publicKey.buffer).setUint32(0, author);
  return signed(draft, { publicKey, sign: () => new Uint8Array(64) });
}

/** One of each kind. */
export function oneOfEach(): DhtRecord[] {
  return [
    immutableRecord(encode("hello")),
    signed(),
    signed({ scope: "shared", seq: 2 ** 53 - 1, name: "" }),
    signed({ scope: "provider", value: new Uint8Array() }),
    plainRecord(plainKey("page"), encode("hello")),
  ];
}

/** A plain record of so many bytes: every number has a key of its own. */
export function numbered(n: number, size = 0): DhtRecord {
  return plainRecord(plainKey(`${n}`), new Uint8Array(size));
}

/** An item as the keeper makes it. */
export function itemOf(record: DhtRecord, more: Partial<StoredItem> = {}): StoredItem {
  return {
    record,
    key: record.key.toHex(),
    slot: record.slot,
    source: "10.0.0.1",
    subnet: undefined,
    bytes: record.value.length + ITEM_OVERHEAD,
    expiresMs: 2_000,
    dueMs: 1_000,
    own: false,
    ...more,
  };
}
