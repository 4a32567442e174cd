import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { Call } from "../../src/endpoint/calls.ts";
import { Dispatcher } from "../../src/endpoint/dispatcher.ts";
import { linkPair } from "./fixture.ts";

Deno.test("Dispatcher finds the handler of a header, until it is taken back", () => {
  const dispatcher = new Dispatcher();
  const first = () => 1;
  const registration = dispatcher.handle("greet", first, { inline: true });
  assertStrictEquals(dispatcher.find("greet")?.handler, first);
  assertEquals(dispatcher.find("greet")?.inline, true);
  registration[Symbol.dispose]();
  assertEquals(dispatcher.find("greet"), undefined);

  const second = () => 2;
  dispatcher.handle("greet", second);
  registration[Symbol.dispose](); // the first one's: the second stays
  assertStrictEquals(dispatcher.find("greet")?.handler, second);
  assertEquals(dispatcher.find("greet")?.inline, false);
});

Deno.test("Dispatcher refuses a second handler, no header and kith's own", () => {
  const dispatcher = new Dispatcher();
  dispatcher.handle("greet", () => {});
  assertThrows(() => dispatcher.handle("greet", () => {}), TypeError, "it has a handler");
  for (const header of ["", ":", ":ok", ":mine"]) {
    assertThrows(() => dispatcher.handle(header, () => {}), TypeError, "begins without");
  }
});

Deno.test("Dispatcher has no handlers but those it was given", () => {
  for (const header of ["constructor", "__proto__", "toString", "", ":ok"]) {
    assertEquals(new Dispatcher().find(header), undefined);
  }
});

Deno.test("Call gives the same signal before and after it is cancelled", async () => {
  await using pair = await linkPair();
  const asked = new Call(pair.client.link, "greet");
  const { signal } = asked;
  assertEquals(signal.aborted, false);
  const reason = new Error("nobody waits");
  asked.cancel(reason);
  assertStrictEquals(asked.signal, signal);
  assertStrictEquals(signal.reason, reason);

  const late = new Call(pair.client.link, "greet");
  late.cancel(reason);
  assert(late.signal.aborted);
  assertStrictEquals(late.signal.reason, reason);
});
