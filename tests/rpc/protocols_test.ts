import { assertEquals, assertThrows } from "@std/assert";
import { HandshakeError } from "../../src/errors.ts";
import { capabilityOf, checkProtocols, chooseProtocol } from "../../src/rpc/protocols.ts";

Deno.test("chooseProtocol takes the first of ours that they have, else their first", () => {
  const theirs = ["mesh/1", capabilityOf("v3"), capabilityOf("v1")];
  assertEquals(chooseProtocol(["v2", "v1", "v3"], theirs), "v1");
  assertEquals(chooseProtocol(undefined, theirs), "v3");
  assertEquals(chooseProtocol(undefined, ["mesh/1"]), undefined);
});

Deno.test("chooseProtocol names both lists when nothing is in common, bounded and printable", () => {
  const theirs = Array.from(
    { length: 50 },
    (_, n) => capabilityOf(`\u001b[2J${n}${"x".repeat(50)}`),
  );
  const error = assertThrows(() => chooseProtocol(["v1"], theirs), HandshakeError);
  assertEquals([error.code, error.details.ours], ["incompatible", ["v1"]]);
  const shown = error.details.theirs as string[];
  assertEquals([shown.length, shown[0]?.startsWith("\\u{1b}[2J0x"), error.message.length < 1_000], [
    16,
    true,
    true,
  ]);
});

Deno.test("checkProtocols says which tag is none", () => {
  checkProtocols(["v1", "x".repeat(32), "PROJECT-1"]);
  for (const bad of ["", "a/b", "a:b", "a b", "x".repeat(33)]) {
    assertThrows(() => checkProtocols(["v1", bad]), TypeError, `"${bad}"`);
  }
  assertThrows(() => checkProtocols(["v1", "v1"]), TypeError, "must differ");
  assertThrows(() => checkProtocols([]), TypeError, "at least one");
});
