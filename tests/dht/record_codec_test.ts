import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  decodeRecord,
  type DecodeRecordOptions,
  encodeRecord,
  MAX_RECORD_BYTES,
  readRecord,
} from "../../src/dht/record_codec.ts";
import {
  type DhtRecord,
  immutableRecord,
  MAX_LIFETIME_S,
  MAX_VALUE_BYTES,
  plainKey,
  plainRecord,
  signedBytes,
} from "../../src/dht/record.ts";
import { IntegrityError, InvalidPacketError, PeerError } from "../../src/errors.ts";
import { concat } from "../../src/wire/concat.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { Generator } from "../fuzz/generate.ts";
import { bob, NOW_S, oneOfEach, signed } from "./record_fixture.ts";

const OPTIONS: DecodeRecordOptions = { nowS: NOW_S, allowPlain: true };

function decoded(bytes: Uint8Array, more: Partial<DecodeRecordOptions> = {}): DhtRecord {
  return decodeRecord(bytes, { ...OPTIONS, ...more });
}

/** The elements of a signed record as they stand, with some of them changed. */
function elements(changes: Readonly<Record<number, unknown>>): Uint8Array {
  const { name, value, publicKey, seq, expiresS, signature } = signed();
  const list = [1, 0, name, value, publicKey, seq, expiresS, signature];
  return encode(list.map((element, at) => at in changes ? changes[at] : element));
}

Deno.test("encodeRecord writes what the format says", () => {
  const value = Uint8Array.of(0xc3);
  const key = plainKey("a");
  assertEquals(encodeRecord(immutableRecord(value)).toHex(), "9200c401c3");
  assertEquals(encodeRecord(plainRecord(key, value)).toHex(), `9302c414${key.toHex()}c401c3`);
  const record = signed({ scope: "provider", name: "a", value, seq: 7, expiresS: 300 });
  const { publicKey, signature } = record;
  assertEquals(
    encodeRecord(record).toHex(),
    `980102a161c401c3c420${publicKey.toHex()}07cd012cc440${signature.toHex()}`,
  );
});

Deno.test("decodeRecord gives what was encoded, and nothing of the packet", () => {
  for (const record of oneOfEach()) {
    const bytes = encodeRecord(record);
    const read = decoded(bytes);
    bytes.fill(0);
    assertEquals(read, record);
  }
});

Deno.test("decodeRecord takes the largest record, and none that is larger", () => {
  const value = new Uint8Array(MAX_VALUE_BYTES);
  const most = signed({ value, name: "é".repeat(127) + "x", seq: 2 ** 53 - 1 });
  const bytes = encodeRecord({ ...most, expiresS: 2 ** 53 - 1 });
  assertEquals(readRecord(bytes).value.length, MAX_VALUE_BYTES);
  assert(bytes.length <= MAX_RECORD_BYTES && bytes.length >= MAX_RECORD_BYTES - 8);
  for (
    const [limit, tooLarge] of [
      ["maxRecordBytes", new Uint8Array(MAX_RECORD_BYTES + 1)],
      ["maxValueBytes", encode([0, new Uint8Array(MAX_VALUE_BYTES + 1)])],
      ["maxValueBytes", elements({ 3: new Uint8Array(MAX_VALUE_BYTES + 1) })],
      ["maxNameBytes", elements({ 2: "é".repeat(128) })],
    ] as const
  ) {
    const error = assertThrows(() => decoded(tooLarge), InvalidPacketError, limit);
    assertEquals([error.code, error.details.limit], ["too-large", limit]);
  }
});

Deno.test("decodeRecord takes nothing that ends early or late", () => {
  for (const bytes of oneOfEach().map(encodeRecord)) {
    for (let end = 0; end < bytes.length; end++) {
      assertThrows(() => decoded(bytes.subarray(0, end)), InvalidPacketError);
    }
    assertThrows(() => decoded(concat(bytes, Uint8Array.of(0))), InvalidPacketError);
  }
});

Deno.test("decodeRecord takes no signed record of which a bit was flipped", () => {
  const bytes = encodeRecord(signed({ scope: "shared" }));
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    const flipped = bytes.slice();
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ 1 << (bit & 7);
    assertThrows(() => decoded(flipped), PeerError, undefined, `bit ${bit}`);
  }
});

Deno.test("decodeRecord gives an immutable record of which a bit was flipped another key", () => {
  const record = immutableRecord(encode("hello"));
  const bytes = encodeRecord(record);
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  assert(decoded(bytes).key.toHex() !== record.key.toHex());
});

Deno.test("decodeRecord names the field that is wrong", () => {
  const cases: readonly (readonly [string, Uint8Array])[] = [
    ["record is no array", encode("x")],
    ["record is no array", encode({ a: 1 })],
    ["kind is none", encode([])],
    ["kind is none", encode([3, new Uint8Array()])],
    ["kind is none", encode([1.5, new Uint8Array()])],
    ["record has 3 elements instead of 2", encode([0, new Uint8Array(), 0])],
    ["record has 2 elements instead of 8", encode([1, new Uint8Array()])],
    ["value is not bin", encode([0, "hello"])],
    ["key is not 20 bytes", encode([2, new Uint8Array(19), new Uint8Array()])],
    ["scope is none", elements({ 1: 3 })],
    ["scope is none", elements({ 1: "own" })],
    ["name is not str", elements({ 2: text("page") })],
    ["name has control characters", elements({ 2: "a\x7f" })],
    ["publicKey is not 32 bytes", elements({ 4: new Uint8Array(31) })],
    ["seq is not an integer", elements({ 5: -1 })],
    ["seq is not an integer", elements({ 5: 0.5 })],
    ["seq is not an integer", elements({ 5: 2n ** 53n })],
    ["expires is not an integer", elements({ 6: null })],
    ["signature is not 64 bytes", elements({ 7: new Uint8Array(65) })],
  ];
  for (const [says, bytes] of cases) {
    const error = assertThrows(() => decoded(bytes), InvalidPacketError, says);
    assertEquals([error.code, error.details.field], ["bad-message", says.split(" ", 1)[0]]);
  }
});

Deno.test("decodeRecord takes only one spelling of a record", () => {
  for (
    const hex of ["9200c50001c3", "dc000200c401c3", "92cc00c401c3", "92cb0000000000000000c401c3"]
  ) {
    assertThrows(() => decoded(Uint8Array.fromHex(hex)), InvalidPacketError, "shortest form");
  }
});

Deno.test("decodeRecord takes no record that has ended or ends too late", () => {
  const endsIn = (seconds: number) => encodeRecord(signed({ expiresS: NOW_S + seconds }));
  const last = MAX_LIFETIME_S + 300;
  for (const seconds of [1, MAX_LIFETIME_S, last]) decoded(endsIn(seconds));
  assertThrows(() => decoded(endsIn(0)), InvalidPacketError, "expires is past");
  assertThrows(() => decoded(endsIn(-1)), InvalidPacketError, "expires is past");
  assertThrows(
    () => decoded(endsIn(last + 1)),
    InvalidPacketError,
    `expires is ${last + 1} s ahead, more than maxLifetimeS ${MAX_LIFETIME_S}`,
  );
  assertEquals(readRecord(endsIn(-1)), signed({ expiresS: NOW_S - 1 }));
});

Deno.test("decodeRecord takes plain records only where they are allowed", () => {
  const bytes = encodeRecord(plainRecord(plainKey("a"), encode(1)));
  decodeRecord(bytes, { nowS: NOW_S, allowPlain: true });
  for (const options of [{ nowS: NOW_S }, { nowS: NOW_S, allowPlain: false }]) {
    assertThrows(() => decodeRecord(bytes, options), InvalidPacketError, "kind is plain");
  }
});

Deno.test("decodeRecord looks at the signature last, and asks who it is told to ask", () => {
  let asked: readonly Uint8Array[] = [];
  const options = {
    verify: (...them: readonly Uint8Array[]) => (asked = them).length > 0,
    idOf: () => "07".repeat(20),
  };
  assertThrows(() => decoded(elements({ 6: NOW_S }), options), InvalidPacketError);
  assertThrows(() => decoded(elements({ 2: "\n" }), options), InvalidPacketError);
  assertEquals(asked, []);
  const record = signed();
  assertEquals(decoded(encodeRecord(record), options).slot, "07".repeat(20));
  assertEquals(asked, [record.publicKey, signedBytes(record), record.signature]);
});

Deno.test("decodeRecord refuses somebody else's signature", () => {
  const { signature } = signed({}, bob);
  const error = assertThrows(
    () => decoded(encodeRecord({ ...signed(), signature })),
    IntegrityError,
    "its signature is not by its author",
  );
  assertEquals(error.code, "bad-signature");
  // Under another key the record is another author's, whatever its key says.
  const { publicKey } = bob;
  assertThrows(() => decoded(encodeRecord({ ...signed(), publicKey })), IntegrityError);
});

Deno.test("decodeRecord refuses garbage with errors of its own", () => {
  const generator = new Generator(47);
  for (let i = 0; i < 5_000; i++) {
    const bytes = generator.bytes(generator.below(200));
    if (i % 2 === 0 && bytes.length > 1) bytes.set([0x98, 1]);
    assertThrows(() => decoded(bytes), PeerError);
  }
});

function text(said: string): Uint8Array {
  return new TextEncoder().encode(said);
}
