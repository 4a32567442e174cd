import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../src/errors.ts";
import { decode, encode } from "../../src/wire/msgpack.ts";
import {
  idFromDecimal,
  idFromHex,
  idToDecimal,
  idToHex,
  MAX_IP_CHARS,
  MAX_USERNAME_CHARS,
  parsePeerId,
  parseRemotePeer,
  type RemotePeer,
  remotePeerToRecord,
} from "../../src/wire/remote_peer.ts";
import { bytesOf, feedGarbage, fromNotation, loadVectors } from "../testdata/vectors.ts";

const VECTORS = loadVectors("peerconnect.remotepeer");
const RECORD: unknown[] = [new Uint8Array(20).fill(1), "bob", "192.0.2.11", 3485, 3486, 1];

interface VectorValue {
  readonly fields: unknown[];
  readonly peer_id: string;
}

function assertInvalid(code: string, run: () => unknown): InvalidPacketError {
  const error = assertThrows(run, InvalidPacketError);
  assertEquals(error.code, code);
  return error;
}

// A good record with one field replaced.
function recordWith(index: number, value: unknown): unknown[] {
  return RECORD.with(index, value);
}

Deno.test("parseRemotePeer and remotePeerToRecord agree with the original's bytes", () => {
  for (const vector of VECTORS) {
    const { fields, peer_id } = fromNotation(vector.value) as VectorValue;
    const peer = parseRemotePeer(decode(bytesOf(vector)));
    const [, username, ip, tcpPort, udpPort, status] = fields;
    assertEquals(peer, { id: peer.id, username, ip, tcpPort, udpPort, status } as RemotePeer);
    assertEquals(idToDecimal(peer.id), peer_id, vector.name);
    assertEquals(idFromDecimal(peer_id), peer.id, vector.name);

    const written = encode(remotePeerToRecord(peer));
    // The record made without a profile has an id of one byte; ours always have 20.
    if (vector.name === "None") assertNotEquals(written, bytesOf(vector));
    else assertEquals(written, bytesOf(vector), vector.name);
    assertEquals(parseRemotePeer(decode(written)), peer, vector.name);
  }
});

Deno.test("parseRemotePeer puts zeros before a short id and copies a full one", () => {
  const short = parseRemotePeer(recordWith(0, new Uint8Array([5, 6])));
  assertEquals(idToHex(short.id), "00".repeat(18) + "0506");
  assertEquals(parseRemotePeer(recordWith(0, new Uint8Array(0))).id, new Uint8Array(20));

  const id = new Uint8Array(20).fill(9);
  const peer = parseRemotePeer(recordWith(0, id));
  id.fill(0);
  assertEquals(idToHex(peer.id), "09".repeat(20));
});

Deno.test("parseRemotePeer names the field that is wrong", () => {
  const wrong: [index: number, field: string, values: unknown[]][] = [
    [0, "id", ["text", 5, null, [1]]],
    [1, "username", [undefined, 5, new Uint8Array(2), {}]],
    [2, "ip", [null, 127, new Uint8Array(4)]],
    [3, "tcpPort", [-1, 65536, 1.5, "80", null, NaN, 80n]],
    [4, "udpPort", [-1, 65536, 1.5, "80", null, Infinity, 80n]],
    [5, "status", [2, -1, true, null, "1"]],
  ];
  for (const [index, field, values] of wrong) {
    for (const value of values) {
      const error = assertInvalid(
        "bad-message",
        () => parseRemotePeer(recordWith(index, value)),
      );
      assertEquals(error.details, { field }, `${field} = ${String(value)}`);
    }
  }
});

Deno.test("parseRemotePeer refuses what is not an array of six", () => {
  for (const value of [null, undefined, 5, "x", {}, new Map(), new Uint8Array(6)]) {
    assertInvalid("bad-message", () => parseRemotePeer(value));
  }
  for (let length = 0; length < RECORD.length; length++) {
    assertInvalid("bad-message", () => parseRemotePeer(RECORD.slice(0, length)));
  }
  const error = assertInvalid("bad-message", () => parseRemotePeer([...RECORD, 0]));
  assertEquals(error.message, "Cannot decode peer record: it has 7 fields instead of 6");
});

Deno.test("parseRemotePeer caps the id, the name and the address", () => {
  const atLimit = recordWith(1, "n".repeat(MAX_USERNAME_CHARS)).with(2, "a".repeat(MAX_IP_CHARS));
  assertEquals(parseRemotePeer(atLimit).username?.length, MAX_USERNAME_CHARS);

  const cases: [record: unknown[], limit: string, max: number][] = [
    [recordWith(0, new Uint8Array(21)), "PEER_ID_BYTES", 20],
    [recordWith(1, "n".repeat(257)), "maxUsernameChars", 256],
    [recordWith(2, "a".repeat(254)), "MAX_IP_CHARS", 253],
  ];
  for (const [record, limit, max] of cases) {
    const { details } = assertInvalid("too-large", () => parseRemotePeer(record));
    assertEquals([details.limit, details.max, details.got], [limit, max, max + 1]);
  }
  assertInvalid("too-large", () => parseRemotePeer(RECORD, { maxUsernameChars: 2 }));
});

Deno.test("idFromHex reads both cases and idToHex writes the lower", () => {
  const id = idFromHex("522B276a356bdf39013dfabea2cd43e141ecc9e8");
  assertEquals(idToHex(id), "522b276a356bdf39013dfabea2cd43e141ecc9e8");
  for (const text of ["", "0", "0".repeat(39), "0".repeat(41), "g".repeat(40), " ".repeat(40)]) {
    assertInvalid("bad-message", () => idFromHex(text));
  }
});

Deno.test("idFromDecimal reads 0..2^160-1 and nothing else", () => {
  assertEquals(idFromDecimal("0"), new Uint8Array(20));
  assertEquals(idToHex(idFromDecimal("256")), "00".repeat(18) + "0100");
  assertEquals(idFromDecimal(String(2n ** 160n - 1n)), new Uint8Array(20).fill(255));
  const refused = [
    String(2n ** 160n),
    "9".repeat(49),
    "1".repeat(50),
    "",
    "-1",
    "1.0",
    "0x1",
    " 1",
  ];
  for (const text of refused) assertInvalid("bad-message", () => idFromDecimal(text));
});

Deno.test("idToHex, idToDecimal and remotePeerToRecord refuse an id that is not 20 bytes", () => {
  const id = new Uint8Array(19);
  assertThrows(() => idToHex(id), RangeError, "19");
  assertThrows(() => idToDecimal(id), RangeError, "19");
  assertThrows(() => remotePeerToRecord({ ...parseRemotePeer(RECORD), id }), RangeError, "19");
});

Deno.test("parsePeerId reads bin, hex and decimal, and takes 40 hex digits for hex", () => {
  const decimal = "469099608771183077085495238363724627294301243880";
  const id = idFromDecimal(decimal);
  assertEquals(parsePeerId(id), id);
  assertEquals(parsePeerId(idToHex(id)), id);
  assertEquals(parsePeerId(decimal), id);
  assertEquals(parsePeerId(new Uint8Array([7])), idFromDecimal("7"));

  const ambiguous = "1".repeat(40);
  assertEquals(idToHex(parsePeerId(ambiguous)), ambiguous);
  assertNotEquals(idToHex(idFromDecimal(ambiguous)), ambiguous);

  for (const value of [null, 5, 5n, "", "bob", [1]]) {
    assertInvalid("bad-message", () => parsePeerId(value));
  }
  assertInvalid("too-large", () => parsePeerId(new Uint8Array(21)));
});

Deno.test("parsePeerId puts no more than a bounded, printable piece of the text into its error", () => {
  const { message } = assertInvalid("bad-message", () => parsePeerId("\u001b[2J".repeat(10000)));
  assert(message.length < 600);
  assert(!message.includes("\u001b"));
});

Deno.test("parseRemotePeer meets garbage with a value or a PeerError", () => {
  const outcome = feedGarbage(
    (bytes) => {
      const peer = parseRemotePeer(decode(bytes));
      assertEquals(peer.id.length, 20);
    },
    VECTORS.map(bytesOf),
    { seed: 12, cases: 4000 },
  );
  assert(outcome.decoded > 0 && outcome.refused > 0);
});

Deno.test("parsePeerId meets garbage with a value or a PeerError", () => {
  const samples = ["1".repeat(48), "ab".repeat(20)].map((text) => new TextEncoder().encode(text));
  const outcome = feedGarbage(
    (bytes) => {
      assertEquals(parsePeerId(new TextDecoder().decode(bytes)).length, 20);
      assertEquals(parsePeerId(bytes).length, 20);
    },
    samples,
    { seed: 13, cases: 4000 },
  );
  assert(outcome.refused > 0);
});
