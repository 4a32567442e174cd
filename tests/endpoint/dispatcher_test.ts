import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { Call } from "../../src/endpoint/call.ts";
import { Dispatcher, type Middleware } from "../../src/endpoint/dispatcher.ts";
import { AuthError, RemoteError } from "../../src/errors.ts";
import { decodeWireData, encodeWireData, wireData } from "../../src/wire/message.ts";
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
  const greeting = decodeWireData(encodeWireData(wireData("greet", {}, { msgId: 1 })));
  const arrival = { atMs: 0, bytes: 20 };
  const asked = new Call(pair.client.link, greeting, arrival);
  const { signal } = asked;
  assertEquals(signal.aborted, false);
  const reason = new Error("nobody waits");
  asked.cancel(reason);
  assertStrictEquals(asked.signal, signal);
  assertStrictEquals(signal.reason, reason);

  const late = new Call(pair.client.link, greeting, arrival);
  late.cancel(reason);
  assert(late.signal.aborted);
  assertStrictEquals(late.signal.reason, reason);
});

Deno.test("Dispatcher puts middleware around handlers, the first outermost, and takes it out again", async () => {
  await using pair = await linkPair();
  const { dispatcher } = pair.server;
  const seen: string[] = [];
  dispatcher.handle("greet", ({ name }) => `hello, ${name}`);
  const note = (name: string): Middleware => ({
    name,
    run: async (body, context, next) => {
      seen.push(`${name} ${context.header}`);
      return `${await next(body)} (${name})`;
    },
  });
  using _outer = dispatcher.use(note("outer"));
  const inner = dispatcher.use(note("inner"));
  assertEquals(dispatcher.middleware, ["outer", "inner"]);
  const { link } = pair.client;
  assertEquals(await link.request("greet", { name: "bob" }), "hello, bob (inner) (outer)");
  assertEquals(seen, ["outer greet", "inner greet"]);
  inner[Symbol.dispose]();
  assertEquals(await link.request("greet", { name: "bob" }), "hello, bob (outer)");
  assertEquals(dispatcher.middleware, ["outer"]);
});

Deno.test("Dispatcher's middleware may change the body, answer by itself, or refuse with a code", async () => {
  await using pair = await linkPair();
  const { dispatcher } = pair.server;
  dispatcher.handle("greet", ({ name }) => `hello, ${name}`);
  dispatcher.use({
    name: "door",
    run: ({ name }, _context, next) => {
      if (name === "mallory") throw new AuthError("not-allowed", "Not you");
      return name === "echo" ? "echo" : next({ name: `dear ${name}` });
    },
  });
  const { link } = pair.client;
  assertEquals(await link.request("greet", { name: "bob" }), "hello, dear bob");
  assertEquals(await link.request("greet", { name: "echo" }), "echo");
  const error = await assertRejects(() => link.request("greet", { name: "mallory" }), RemoteError);
  assertEquals([error.code, error.message], ["not-allowed", "Not you"]);
});
