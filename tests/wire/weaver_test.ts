import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../src/errors.ts";
import { type DataWeaver, decodeWeaver, encodeWeaver } from "../../src/wire/weaver.ts";
import { bytesOf, feedGarbage, fromNotation, loadVectors } from "../testdata/vectors.ts";

const VECTORS = loadVectors("peerconnect.dataweaver");
const CHECKS = loadVectors("peerconnect.dataweaver.check");
const MESSAGE: DataWeaver = {
  header: "0x",
  content: { a: [1] },
  peerId: "2",
  msgId: 7,
  type: "data",
};

function assertInvalid(code: string, run: () => unknown): InvalidPacketError {
  const error = assertThrows(run, InvalidPacketError);
  assertEquals(error.code, code);
  return error;
}

Deno.test("encodeWeaver writes the original's bytes and decodeWeaver reads them", () => {
  for (const vector of VECTORS) {
    const value = fromNotation(vector.value) as Omit<DataWeaver, "type"> & { type: 0 | 1 };
    const message: DataWeaver = { ...value, type: value.type === 1 ? "signal" : "data" };
    const bytes = bytesOf(vector);
    assertEquals(decodeWeaver(bytes), message, vector.name);
    assertEquals(decodeWeaver(new TextDecoder().decode(bytes)), message, vector.name);
    const text = encodeWeaver(message, { style: "peerconnect" });
    assertEquals(text, vector.json, vector.name);
    assertEquals(new TextEncoder().encode(text), bytes, vector.name);
  }
});

Deno.test("decodeWeaver accepts what the original's check accepts", () => {
  for (const { name, value, result } of CHECKS) {
    const text = String(value);
    if (result === "ok") assertEquals(decodeWeaver(text).type, "signal", name);
    else assertInvalid("bad-message", () => decodeWeaver(text));
  }
  assertEquals(CHECKS.filter(({ result }) => result === "ok").length, 3);
});

Deno.test("decodeWeaver names every missing field, also where the original names none", () => {
  // The original refuses this one with an empty list of fields.
  const noPeer = assertInvalid(
    "bad-message",
    () => decodeWeaver('{"msgId":"1","content":{},"header":"0x"}'),
  );
  assertEquals(noPeer.details.missing, ["peerId"]);

  const nothing = assertInvalid("bad-message", () => decodeWeaver("{}"));
  assertEquals(nothing.details, { missing: ["header", "content", "peerId", "msgId"], wrong: [] });
  assertEquals(
    nothing.message,
    "Cannot decode page message: missing header, content, peerId, msgId",
  );
});

Deno.test("decodeWeaver names every field of a wrong type", () => {
  const { message, details } = assertInvalid(
    "bad-message",
    () => decodeWeaver('{"header":5,"content":1,"peerId":{},"type":"other"}'),
  );
  assertEquals(details, { missing: ["msgId"], wrong: ["header", "peerId", "type"] });
  assertEquals(
    message,
    "Cannot decode page message: missing msgId; wrong type of header, peerId, type",
  );
  for (const id of ["1.5", "1e30", "true", "[]"]) {
    const text = `{"header":"0x","content":1,"peerId":"1","msgId":${id}}`;
    assertEquals(assertInvalid("bad-message", () => decodeWeaver(text)).details.wrong, ["msgId"]);
  }
});

Deno.test("decodeWeaver reads both spellings of the type, and none as signal", () => {
  const read = (type: string) =>
    decodeWeaver(`{"header":"0x","content":1,"peerId":"1","msgId":"2"${type}}`).type;
  assertEquals([read(""), read(',"type":"signal"'), read(',"type":1')], Array(3).fill("signal"));
  assertEquals([read(',"type":"data"'), read(',"type":0')], ["data", "data"]);
  for (const type of ["null", "2", "true", '"Signal"', '"0"']) {
    assertInvalid("bad-message", () => read(`,"type":${type}`));
  }
});

Deno.test("encodeWeaver writes the seed's words in compact JSON", () => {
  const text = encodeWeaver({ ...MESSAGE, header: "é" });
  assertEquals(
    text,
    '{"header":"é","content":{"a":[1]},"peerId":"2","msgId":7,"type":"data"}',
  );
  assertEquals(decodeWeaver(text), { ...MESSAGE, header: "é" });
});

Deno.test("encodeWeaver refuses content that JSON would drop", () => {
  for (const style of ["kith", "peerconnect"] as const) {
    const message = { ...MESSAGE, content: { at: [undefined] } };
    assertThrows(() => encodeWeaver(message, { style }), TypeError, "$.content.at[0]");
  }
});

Deno.test("decodeWeaver checks the size in bytes before it parses", () => {
  const text = encodeWeaver({ ...MESSAGE, content: "é".repeat(100) });
  const size = new TextEncoder().encode(text).length;
  assert(size > text.length);
  for (const input of [text, new TextEncoder().encode(text)]) {
    assertEquals(decodeWeaver(input, { maxBytes: size }).header, "0x");
    const { details } = assertInvalid(
      "too-large",
      () => decodeWeaver(input, { maxBytes: size - 1 }),
    );
    assertEquals(details, { limit: "maxBytes", max: size - 1, got: size });
  }
  // Not JSON at all, and refused for its size.
  assertInvalid("too-large", () => decodeWeaver("x".repeat(1024 * 1024 + 1)));
});

Deno.test("decodeWeaver bounds the nesting", () => {
  const nested = (depth: number) =>
    `{"header":"0x","content":${"[".repeat(depth)}${"]".repeat(depth)},"peerId":"1","msgId":"2"}`;
  assertEquals(decodeWeaver(nested(63)).header, "0x");
  assertInvalid("too-large", () => decodeWeaver(nested(64)));
  assertInvalid("too-large", () => decodeWeaver(nested(100_000)));
});

Deno.test("decodeWeaver takes __proto__ for a key like any other", () => {
  const message = decodeWeaver(
    '{"__proto__":{"header":"evil"},"content":{"__proto__":{"x":1}},"peerId":"1","msgId":"2","header":"0x"}',
  );
  assertEquals(message.header, "0x");
  assertEquals((message.content as { x?: number }).x, undefined);
  const inherited = '{"__proto__":{"header":"evil"},"content":1,"peerId":"1","msgId":"2"}';
  assertEquals(assertInvalid("bad-message", () => decodeWeaver(inherited)).details.missing, [
    "header",
  ]);
});

Deno.test("decodeWeaver refuses every truncation and what is not an object", () => {
  const bytes = new TextEncoder().encode(encodeWeaver(MESSAGE));
  for (let length = 0; length < bytes.length; length++) {
    assertInvalid("bad-message", () => decodeWeaver(bytes.subarray(0, length)));
  }
  for (const text of ["null", "5", '"x"', "[]", "[1,2,3,4]"]) {
    assertInvalid("bad-message", () => decodeWeaver(text));
  }
});

Deno.test("decodeWeaver meets garbage with a value or a PeerError", () => {
  const outcome = feedGarbage(decodeWeaver, VECTORS.map(bytesOf), { seed: 14, cases: 4000 });
  assert(outcome.decoded > 0 && outcome.refused > 0);
});
