import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { covers, isScope, parseScope, type Scope } from "../../src/secure/scope.ts";

const GOOD = [
  "send",
  "msg",
  "mesh",
  "call:echo",
  "call:*",
  "call:a:b c",
  "topic:news/é",
  "topic:*",
  "folder:photos",
  "folder:*",
  "folder:" + "x".repeat(128),
];

const BAD = [
  "",
  "call",
  "call:",
  ":",
  ":echo",
  "sends",
  "send:",
  "send:x",
  "Call:echo",
  " call:echo",
  "call:a*",
  "call:**",
  "call:a\nb",
  "call:\u0000",
  "*",
  "files:x",
  "toString",
  "folder:" + "x".repeat(129),
];

Deno.test("parseScope takes every kind of scope as it is", () => {
  for (const text of GOOD) assertEquals(parseScope(text), text);
});

Deno.test("parseScope says what a scope can be, and shows the wrong one short and harmless", () => {
  for (const text of [...BAD, "\u001b[2J" + "x".repeat(9_999)]) {
    assert(!isScope(text), text);
    const { message } = assertThrows(() => parseScope(text), TypeError);
    assertStringIncludes(message, "send, msg, mesh, call:NAME, topic:NAME, folder:NAME");
    assert(message.length < 300 && !message.includes("\n") && !message.includes("\u001b"), message);
  }
  for (const value of [undefined, null, 1, {}, ["send"]]) assert(!isScope(value));
});

Deno.test("covers allows what is named, and all of a kind where the scope says so", () => {
  const cases: readonly (readonly [scopes: Scope[], wanted: Scope, allowed: boolean])[] = [
    [[], "send", false],
    [["send"], "send", true],
    [["send"], "msg", false],
    [["call:echo"], "call:echo", true],
    [["call:echo"], "call:echo2", false],
    [["call:echo2"], "call:echo", false],
    [["call:echo"], "topic:echo", false],
    [["call:*"], "call:echo", true],
    [["call:*"], "call:a:b", true],
    [["call:*"], "topic:echo", false],
    [["call:*", "topic:*", "folder:*"], "send", false],
    [["call:echo"], "call:*", false],
    [["msg", "topic:a", "topic:b"], "topic:b", true],
  ];
  for (const [scopes, wanted, allowed] of cases) {
    assertEquals(covers(scopes, wanted), allowed, `${scopes} ${wanted}`);
  }
});
