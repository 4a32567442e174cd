import { assertEquals, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../src/errors.ts";
import { Encoder } from "../../src/wire/encoder.ts";
import {
  decodeWireData,
  encodeWireData,
  peekHeader,
  PEERCONNECT_RESERVED_KEYS,
  type WireData,
  wireData,
  writeMessage,
} from "../../src/wire/message.ts";
import { decode, encode } from "../../src/wire/msgpack.ts";
import { Float64 } from "../../src/wire/msgpack_types.ts";
import { bytesOf, fromNotation, loadVectors } from "../testdata/vectors.ts";

type Fields = Omit<WireData, "msgId" | "peerId"> & {
  msg_id: WireData["msgId"];
  peer_id: WireData["peerId"];
};

function messageOf(fields: Fields): WireData {
  const { header, msg_id, version, body, peer_id } = fields;
  return { header, msgId: msg_id, version, body, peerId: peer_id };
}

Deno.test("decodeWireData and encodeWireData agree with the original, byte for byte", () => {
  for (const vector of loadVectors("peerconnect.wiredata")) {
    const { name } = vector;
    const bytes = bytesOf(vector);
    const exact = fromNotation(vector.value, { float: (value) => new Float64(value) }) as Fields;
    assertEquals(encode(Object.values(exact)).toHex(), bytes.toHex(), name);
    const { version } = exact;
    const plain = version instanceof Float64 ? version.value : version;
    const written = messageOf({ ...exact, version: plain });
    assertEquals(encodeWireData(written, { dialect: "peerconnect" }).toHex(), bytes.toHex(), name);
    const decoded = decodeWireData(bytes, { dialect: "peerconnect" });
    assertEquals(decoded, messageOf(fromNotation(vector.value) as Fields), name);
  }
});

Deno.test("decodeWireData refuses what the original refuses and reads what it reads", () => {
  for (const vector of loadVectors("peerconnect.wiredata.invalid")) {
    const accepted = (vector as { unpack_datagram?: string }).unpack_datagram === "accepted";
    const read = () => decodeWireData(bytesOf(vector), { dialect: "peerconnect" });
    if (accepted) read();
    else assertThrows(read, InvalidPacketError, undefined, vector.name);
  }
});

Deno.test("encodeWireData refuses body keys that the original cannot decode, natively they are fine", () => {
  for (const key of PEERCONNECT_RESERVED_KEYS) {
    const message = wireData("h", { [key]: 1 }, { dialect: "peerconnect" });
    assertThrows(() => encodeWireData(message, { dialect: "peerconnect" }), TypeError, `"${key}"`);
    assertEquals(decodeWireData(encodeWireData(wireData("h", { [key]: 1 }))).body, { [key]: 1 });
  }
});

Deno.test("writeMessage writes what decodeWireData reads natively", () => {
  const encoder = new Encoder();
  const peerId = new Uint8Array(20).fill(3);
  writeMessage(encoder, "greet", 70_000, { name: "bob" }, peerId);
  const bytes = encoder.take();
  assertEquals(decodeWireData(bytes), {
    header: "greet",
    msgId: 70_000,
    version: 1,
    body: { name: "bob" },
    peerId,
  });
  assertEquals(decode(bytes), ["greet", 70_000, 1, { name: "bob" }, peerId]);
});

Deno.test("decodeWireData natively names the element that is wrong", () => {
  const cases: [unknown, string, string][] = [
    [["h", 1, 1, {}], "bad-message", "4 elements instead of 5"],
    [{ header: "h" }, "bad-message", "not an array"],
    [[new Uint8Array(1), 1, 1, {}, null], "bad-message", "header"],
    [["h", "1", 1, {}, null], "bad-message", "msg_id"],
    [["h", -1, 1, {}, null], "bad-message", "msg_id"],
    [["h", 1.5, 1, {}, null], "bad-message", "msg_id"],
    [["h", 1n << 60n, 1, {}, null], "bad-message", "msg_id"],
    [["h", 1, 2, {}, null], "bad-version", "version 2 instead of 1"],
    [["h", 1, "x".repeat(1000), {}, null], "bad-version", "version string instead of 1"],
    [["h", 1, 1, [], null], "bad-message", "body"],
    [["h", 1, 1, null, null], "bad-message", "body"],
    [["h", 1, 1, new Map([[1, 1]]), null], "bad-message", "body"],
    [["h", 1, 1, new Uint8Array(1), null], "bad-message", "body"],
    [["h", 1, 1, {}, new Uint8Array(19)], "bad-message", "peer_id"],
    [["h", 1, 1, {}, "name"], "bad-message", "peer_id"],
    [["h", 1, 1, {}, 5], "bad-message", "peer_id"],
  ];
  for (const [value, code, text] of cases) {
    const error = assertThrows(() => decodeWireData(encode(value)), InvalidPacketError, text);
    assertEquals(error.code, code);
  }
  const trailing = new Uint8Array([...encodeWireData(wireData("h")), 0]);
  assertThrows(() => decodeWireData(trailing), InvalidPacketError, "1 bytes after");
});

Deno.test("peekHeader reads header and id and leaves the body alone", () => {
  const whole = encodeWireData(wireData("greet", { data: new Uint8Array(1000) }, { msgId: 9 }));
  assertEquals(peekHeader(whole), { header: "greet", msgId: 9 });
  assertEquals(peekHeader(whole.subarray(0, 12)), { header: "greet", msgId: 9 }); // the body need not be there
  assertThrows(() => peekHeader(whole.subarray(0, 5)), InvalidPacketError);
  assertThrows(() => peekHeader(new Uint8Array(0)), InvalidPacketError, "not an array");
});
