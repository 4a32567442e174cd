import { assertEquals } from "@std/assert";
import { gateOf, isRoom, openGate } from "../../src/sync/gate.ts";
import type { Scope } from "../../src/secure/scope.ts";
import { covers } from "../../src/secure/scope.ts";

function gateWith(...scopes: readonly Scope[]) {
  return gateOf({ granted: (_tokens, _caller, scope) => covers(scopes, scope) });
}

for (
  const [scope, room, expected] of [
    ["folder:docs", "docs", "write"],
    ["folder:docs", "photos", undefined],
    ["folder:docs:read", "docs", "read"],
    ["folder:docs:read", "photos", undefined],
    ["folder:*", "docs", "write"],
    ["send", "docs", undefined],
  ] as const
) {
  Deno.test(`gateOf lets who has ${scope} ${expected ?? "do nothing"} in ${room}`, () => {
    assertEquals(gateWith(scope).scopeOf(["key"], room, true), expected);
  });
}

Deno.test("gateOf prefers to let write", () => {
  assertEquals(
    gateWith("folder:docs:read", "folder:docs").scopeOf(["key"], "docs", false),
    "write",
  );
  assertEquals(openGate.scopeOf([], "docs", false), "write");
});

Deno.test("isRoom takes labels, none of which is another's read scope", () => {
  assertEquals(["docs", "my docs", "docs.old"].filter(isRoom).length, 3);
  assertEquals(
    ["", "docs:read", "../docs", "a/b", "a\u202eb", ".", "a".repeat(65)].filter(isRoom),
    [],
  );
});
