import { assertEquals, assertThrows } from "@std/assert";
import { HandshakeError, InvalidPacketError } from "../../src/errors.ts";
import { checkType, sessionTerms, StreamSize, typeToSend } from "../../src/session/terms.ts";

Deno.test("sessionTerms fills in the defaults and refuses what is no term", () => {
  assertEquals(sessionTerms({}), { dataType: "json", strict: false, stream: false });
  const stream = { dataType: "bytes", strict: true, stream: true, size: 4 } as const;
  assertEquals(sessionTerms(stream), stream);
  assertThrows(() => sessionTerms({ dataType: "pickle" as "raw" }), TypeError, "pickle");
  assertThrows(() => sessionTerms({ size: 4 }), TypeError, "stream");
  for (const size of [0, -1, 1.5, NaN]) {
    assertThrows(() => sessionTerms({ stream: true, size }), RangeError, `${size}`);
  }
});

Deno.test("typeToSend lets another type through only where nothing forbids it", () => {
  const lax = sessionTerms({});
  assertEquals([typeToSend(lax), typeToSend(lax, "bytes")], ["json", "bytes"]);
  for (const terms of [sessionTerms({ strict: true }), sessionTerms({ stream: true })]) {
    assertEquals(typeToSend(terms, "json"), "json");
    assertThrows(() => typeToSend(terms, "bytes"), TypeError, "json only");
  }
  assertThrows(() => typeToSend(lax, "text" as "json"), TypeError, "text");
});

Deno.test("checkType finds the violation of strict, and nothing else", () => {
  checkType(sessionTerms({}), "bytes");
  checkType(sessionTerms({ strict: true }), "json");
  const strict = sessionTerms({ strict: true });
  const { code, details } = assertThrows(() => checkType(strict, "raw"), HandshakeError, "raw");
  assertEquals([code, details], ["strict-violation", { agreed: "json", got: "raw" }]);
});

Deno.test("StreamSize is fixed by the first data or the terms, and is never 0", () => {
  const size = new StreamSize(sessionTerms({ stream: true }));
  assertEquals(size.bytes, undefined);
  assertThrows(() => size.sending(0), RangeError, "1 byte or more");
  size.sending(4);
  size.received(4);
  assertEquals(size.bytes, 4);
  assertThrows(() => size.sending(5), RangeError, "must be 4 bytes each: current value is 5");
  const error = assertThrows(() => size.received(3), InvalidPacketError, "stream of 4 bytes");
  assertEquals(error.code, "bad-message");
  assertThrows(
    () => new StreamSize({ ...sessionTerms({ stream: true }), size: 2 }).sending(1),
    RangeError,
  );

  const none = new StreamSize(sessionTerms({}));
  for (const got of [0, 1, 2]) none.sending(got);
  none.received(9);
  assertEquals(none.bytes, undefined);
});
