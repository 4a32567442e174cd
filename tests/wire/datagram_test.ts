import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../src/errors.ts";
import {
  decodeDatagram,
  encodeDatagram,
  MAX_DATAGRAM_IN_BYTES,
  MAX_DATAGRAM_OUT_BYTES,
  SERVICE_CODE,
  SOFT_DATAGRAM_BYTES,
} from "../../src/wire/datagram.ts";
import {
  bytesOf,
  feedGarbage,
  fromNotation,
  loadVector,
  loadVectors,
} from "../testdata/vectors.ts";

const PALM = { code: false, exact: false };
const PALM_EXACT = { code: false, exact: true };
const NATIVE = { code: true, exact: true };

function assertInvalid(code: string, run: () => unknown): InvalidPacketError {
  const error = assertThrows(run, InvalidPacketError);
  assertEquals(error.code, code);
  return error;
}

Deno.test("datagram sizes and native service codes are fixed for ever", () => {
  assertEquals([MAX_DATAGRAM_IN_BYTES, MAX_DATAGRAM_OUT_BYTES, SOFT_DATAGRAM_BYTES], [
    65507,
    64512,
    1200,
  ]);
  assertEquals(SERVICE_CODE, {
    peerconnectKademlia: 0x00,
    peerconnectDiscovery: 0x01,
    peerconnectGossip: 0x02,
    discovery: 0x10,
    membership: 0x11,
    gossip: 0x12,
    dht: 0x13,
    requests: 0x14,
    freshness: 0x1d,
    retryToken: 0x1e,
    sealed: 0x1f,
  });
});

Deno.test("encodeDatagram and decodeDatagram agree with the original on packets without a code", () => {
  const vectors = loadVectors("peerconnect.datagram").filter((vector) =>
    vector.hex !== undefined && vector.value !== null
  );
  assertEquals(vectors.length, 5);
  for (const vector of vectors) {
    const payload = fromNotation(vector.value) as Uint8Array;
    assertEquals(encodeDatagram(undefined, payload), bytesOf(vector), vector.name);
    for (const options of [PALM, PALM_EXACT]) {
      assertEquals(decodeDatagram(bytesOf(vector), options), { code: undefined, payload });
    }
  }
});

Deno.test("encodeDatagram and decodeDatagram agree with the original on the requests port", () => {
  for (const vector of loadVectors("peerconnect.requests_datagram")) {
    const packet = bytesOf(vector);
    const { code } = vector.value as { code: number | null };
    const decoded = decodeDatagram(packet, { code: code !== null, exact: true });
    assertEquals(decoded.code, code ?? undefined, vector.name);
    assertEquals(decoded.payload, packet.subarray(code === null ? 4 : 5), vector.name);
    // Every payload is a WireData: an array of five.
    assertEquals(decoded.payload[0], 0x95, vector.name);
    assertEquals(encodeDatagram(decoded.code, decoded.payload), packet, vector.name);
  }
});

Deno.test("decodeDatagram reads a wrong length as the original does, unless it must be exact", () => {
  const vectors = loadVectors("peerconnect.datagram").filter((vector) =>
    vector.hex !== undefined && vector.value === null
  );
  const refused: string[] = [];
  for (const vector of vectors) {
    const { payload } = fromNotation(vector.result) as { payload?: Uint8Array };
    if (payload !== undefined) {
      assertEquals(decodeDatagram(bytesOf(vector), PALM).payload, payload, vector.name);
      if (bytesOf(vector).length === 4) continue;
    } else {
      assertInvalid("bad-frame", () => decodeDatagram(bytesOf(vector), PALM));
    }
    assertInvalid("bad-frame", () => decodeDatagram(bytesOf(vector), PALM_EXACT));
    refused.push(vector.name);
  }
  assertEquals([vectors.length, refused.length], [5, 4]);
});

Deno.test("encodeDatagram refuses a payload above 64512 bytes, as the original does", () => {
  const vector = loadVector("peerconnect.datagram", "limit: payload of 64512 bytes");
  const expected = vector.result as { sent_len: number; prefix_hex: string };
  const packet = encodeDatagram(undefined, new Uint8Array(64512).fill(0x71));
  assertEquals(packet.length, expected.sent_len);
  assertEquals(packet.subarray(0, 4).toHex(), expected.prefix_hex);

  const error = assertInvalid("too-large", () => encodeDatagram(0x10, new Uint8Array(64513)));
  assertEquals(
    error.message,
    "Cannot encode datagram: 64513 bytes exceed maxPayloadBytes 64512",
  );
  assertEquals(error.details, { limit: "maxPayloadBytes", max: 64512, got: 64513 });
});

Deno.test("encodeDatagram takes a smaller limit", () => {
  assertEquals(encodeDatagram(0x10, new Uint8Array(3), { maxPayloadBytes: 3 }).length, 8);
  assertInvalid("too-large", () => encodeDatagram(0x10, new Uint8Array(4), { maxPayloadBytes: 3 }));
});

Deno.test("encodeDatagram refuses a service code that is no byte", () => {
  for (const code of [-1, 256, 1.5, NaN]) {
    assertThrows(() => encodeDatagram(code, new Uint8Array(0)), RangeError, "Service code");
  }
});

Deno.test("decodeDatagram gives a view, also of a packet that is itself a view", () => {
  const buffer = new Uint8Array(64).fill(0xee);
  buffer.set(encodeDatagram(SERVICE_CODE.dht, new Uint8Array([1, 2, 3])), 7);
  const { payload } = decodeDatagram(buffer.subarray(7, 15), NATIVE);
  assertEquals(payload, new Uint8Array([1, 2, 3]));
  assert(payload.buffer === buffer.buffer);
});

Deno.test("decodeDatagram refuses every truncation and every excess of an exact packet", () => {
  const packet = encodeDatagram(SERVICE_CODE.membership, new Uint8Array(20));
  for (let length = 0; length < packet.length; length++) {
    assertInvalid("bad-frame", () => decodeDatagram(packet.subarray(0, length), NATIVE));
  }
  const error = assertInvalid(
    "bad-frame",
    () => decodeDatagram(new Uint8Array([...packet, 0]), NATIVE),
  );
  assertStringIncludes(error.message, "length 20 at offset 1 is not the 21 present");
});

Deno.test("decodeDatagram refuses what no UDP socket can have received", () => {
  const largest = new Uint8Array(MAX_DATAGRAM_IN_BYTES);
  assertEquals(decodeDatagram(largest, PALM).payload.length, 0);
  assertInvalid("too-large", () => decodeDatagram(new Uint8Array(65508), PALM));
});

Deno.test("decodeDatagram meets garbage with a value or a PeerError", () => {
  const samples = loadVectors("peerconnect.requests_datagram").map(bytesOf);
  for (const code of [true, false]) {
    for (const exact of [true, false]) {
      const outcome = feedGarbage(
        (bytes) => {
          const { payload } = decodeDatagram(bytes, { code, exact });
          assert(payload.length <= bytes.length - 4);
        },
        samples,
        { seed: 11, cases: 1000 },
      );
      assert(outcome.decoded > 0 && outcome.refused > 0);
    }
  }
});
