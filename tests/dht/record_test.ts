import { assert, assertEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import {
  immutableKey,
  immutableRecord,
  isNewer,
  MAX_VALUE_BYTES,
  plainKey,
  plainRecord,
  signedBytes,
  signedKey,
  signedRecord,
} from "../../src/dht/record.ts";
import { peerIdOf, verify } from "../../src/secure/identity.ts";
import { ann, bob, NOW_S, signed } from "./record_fixture.ts";

const text = (said: string) => new TextEncoder().encode(said);

function hash(...parts: Uint8Array[]): string {
  return createHash("sha256").update(Buffer.concat(parts)).digest().subarray(0, 20).toHex();
}

Deno.test("keys are what the table of the format says", () => {
  const value = text("hello");
  const id = Uint8Array.fromHex(ann.peerId);
  assertEquals(immutableKey(value).toHex(), hash(text("kith dht value\n"), value));
  assertEquals(plainKey("é").toHex(), hash(text("kith dht plain\né")));
  const keyOf = (scope: "own" | "shared" | "provider") => signedKey(scope, "é", ann.peerId).toHex();
  assertEquals(keyOf("own"), hash(text("kith dht own\n"), id, text("é")));
  assertEquals(keyOf("shared"), hash(text("kith dht shared\né")));
  assertEquals(keyOf("provider"), hash(text("kith dht provider\né")));
  // As sha256sum says.
  assertEquals(plainKey("page").toHex(), "30aea589f587d7d047f50b73361298ebee869289");
});

Deno.test("keys of the scope own differ by author, the others do not", () => {
  const ofAuthor = (scope: "own" | "shared" | "provider", { peerId } = ann) =>
    signedKey(scope, "page", peerId).toHex();
  assert(ofAuthor("own") !== ofAuthor("own", bob));
  assertEquals(ofAuthor("shared"), ofAuthor("shared", bob));
  assertEquals(ofAuthor("provider"), ofAuthor("provider", bob));
});

Deno.test("signedRecord is signed over its scope, name, seq, end and value", () => {
  const record = signed({ name: "a", value: Uint8Array.of(0xc0), seq: 300, expiresS: 70_000 });
  assertEquals(record.slot, ann.peerId);
  assertEquals(record.key, signedKey("own", "a", ann.peerId));
  assertEquals(
    signedBytes(record).toHex(),
    text("kith dht\n").toHex() + "95" + "00" + "a161" + "cd012c" + "ce00011170" + "c401c0",
  );
  assert(verify(record.publicKey, signedBytes(record), record.signature));
  for (
    const other of [{ scope: "shared" }, { name: "b" }, { seq: 301 }, { expiresS: 70_001 }, {
      value: Uint8Array.of(0xc1),
    }] as const
  ) {
    assert(!verify(record.publicKey, signedBytes({ ...record, ...other }), record.signature));
  }
});

Deno.test("signedRecord takes a way to name authors", () => {
  const idOf = (key: Uint8Array) => peerIdOf(key).split("").reverse().join("");
  const draft = { scope: "own", name: "x", value: text("v"), seq: 0, expiresS: NOW_S } as const;
  assertEquals(signedRecord(draft, ann, { idOf }).slot, idOf(ann.publicKey));
});

Deno.test("records of what is too long or no number are refused", () => {
  const long = new Uint8Array(MAX_VALUE_BYTES + 1);
  const most = new Uint8Array(MAX_VALUE_BYTES);
  assertEquals(immutableRecord(most).value, most);
  const says = `A value has at most ${MAX_VALUE_BYTES} bytes: it has ${MAX_VALUE_BYTES + 1}`;
  assertThrows(() => immutableRecord(long), RangeError, says);
  assertThrows(() => plainRecord(plainKey("a"), long), RangeError, says);
  assertThrows(() => plainRecord(new Uint8Array(19), most), RangeError, "20 bytes: it has 19");
  assertThrows(() => signed({ value: long }), RangeError, says);
  assertEquals(signed({ name: "é".repeat(127) + "x" }).name.length, 128);
  assertThrows(
    () => signed({ name: "é".repeat(128) }),
    RangeError,
    "at most 255 bytes: it has 256",
  );
  assertThrows(() => signed({ name: "a\nb" }), TypeError, "control characters");
  assertThrows(() => signed({ name: "\ud800" }), TypeError, "text");
  for (const number of [-1, 0.5, NaN, 2 ** 53]) {
    assertThrows(() => signed({ seq: number }), RangeError, "seq must be");
    assertThrows(() => signed({ expiresS: number }), RangeError, "expiresS must be");
  }
});

Deno.test("isNewer puts all versions of a record into one order", () => {
  const inOrder = [
    signed({ seq: 1, value: text("z") }),
    signed({ seq: 2, value: text("a") }),
    signed({ seq: 2, value: text("aa") }),
    signed({ seq: 2, value: text("b"), expiresS: NOW_S + 9 }),
    signed({ seq: 2, value: text("b"), expiresS: NOW_S + 10 }),
    signed({ seq: 3, value: text("") }),
  ];
  for (const [i, one] of inOrder.entries()) {
    for (const [j, other] of inOrder.entries()) assertEquals(isNewer(one, other), i > j);
  }
});
