import { assert, assertEquals, assertRejects } from "@std/assert";
import { ClosedError, InvalidPacketError, RemoteError, TimeoutError } from "../../src/errors.ts";
import { linkAndStranger, linkPair, settle } from "./fixture.ts";

async function* count(to: number): AsyncGenerator<number> {
  for (let n = 0; n < to; n++) yield n;
}

Deno.test("Link.stream gives the parts of an answer in order, however many", async () => {
  await using pair = await linkPair();
  pair.server.dispatcher.handle("count", ({ to }) => count(to as number));
  for (const to of [0, 1, 31, 32, 33, 1_000]) {
    const parts = await Array.fromAsync(pair.client.link.stream("count", { to }));
    assertEquals(parts, Array.from({ length: to }, (_, n) => n));
  }
  assertEquals(await Array.fromAsync(pair.client.link.stream("count", { to: 9 }, { window: 1 })), [
    ...Array(9).keys(),
  ]);
});

Deno.test("Link.stream gives an answer that is not in parts as the only one", async () => {
  await using pair = await linkPair();
  pair.server.dispatcher.handle("whole", () => ({ a: 1 }));
  pair.server.dispatcher.handle("nothing", () => {});
  assertEquals(await Array.fromAsync(pair.client.link.stream("whole", {})), [{ a: 1 }]);
  assertEquals(await Array.fromAsync(pair.client.link.stream("nothing", {})), []);
});

Deno.test("Link.stream lets the other side send no more than the window before parts are taken", async () => {
  await using pair = await linkPair();
  let made = 0;
  pair.server.dispatcher.handle("count", async function* () {
    for (;;) yield made++;
  });
  const stream = pair.client.link.stream("count", {}, { window: 8 });
  assertEquals((await stream.next()).value, 0);
  await settle();
  assert(made <= 9, `${made} parts were made for a reader that took one`);
  for (let n = 1; n < 100; n++) assertEquals((await stream.next()).value, n);
  await settle();
  assert(made <= 100 + 9, `${made}`);
  await stream.return();
});

Deno.test("Link.stream cancels when its loop is left, its signal aborts or the link ends", async () => {
  await using pair = await linkPair();
  const ended: unknown[] = [];
  pair.server.dispatcher.handle("count", async function* (_, { signal }) {
    signal.addEventListener("abort", () => ended.push(signal.reason));
    try {
      yield* count(1e9);
    } finally {
      ended.push("generator");
    }
  });
  const { link } = pair.client;
  for await (const n of link.stream("count", {})) if (n === 50) break;
  await settle();
  assertEquals(ended.length, 2);
  assert(ended[0] instanceof ClosedError);

  const controller = new AbortController();
  const reason = new Error("enough");
  const aborted = assertRejects(async () => {
    for await (const n of link.stream("count", {}, { signal: controller.signal })) {
      if (n === 50) controller.abort(reason);
    }
  });
  assertEquals(await aborted, reason);
  await settle();
  assertEquals(ended.length, 4);

  const cut = assertRejects(async () => {
    for await (const n of link.stream("count", {})) if (n === 50) void link.close();
  }, ClosedError);
  await cut;
  await settle();
  assertEquals(ended.length, 6);
});

Deno.test("Link.stream gives what came before an error, then throws it", async () => {
  await using pair = await linkPair();
  pair.server.dispatcher.handle("fail", async function* () {
    yield 1;
    yield 2;
    await Promise.reject(new InvalidPacketError("bad-message", "No more"));
  });
  const seen: unknown[] = [];
  const error = await assertRejects(
    async () => {
      for await (const part of pair.client.link.stream("fail", {})) seen.push(part);
    },
    RemoteError,
    "No more",
  );
  assertEquals([seen, error.code], [[1, 2], "bad-message"]);
});

Deno.test("Link.request says that an answer in parts wants a stream, and the generator is not run", async () => {
  await using pair = await linkPair();
  let ran = false;
  pair.server.dispatcher.handle("count", async function* () {
    ran = true;
    yield 1;
  });
  const error = await assertRejects(
    () => pair.client.link.request("count", {}),
    RemoteError,
    "ask with stream",
  );
  assertEquals([error.code, ran], ["unsupported", false]);
});

Deno.test("Link.stream gives up a silent side, but not while it is the reader who is slow", async () => {
  await using pair = await linkAndStranger();
  const { end, stranger, clock } = pair;
  const stream = end.link.stream("list", {}, { window: 2, timeoutMs: 1_000 });
  const first = stream.next();
  const request = await stranger.receive();
  const id = request?.msgId ?? 0;
  assertEquals(request?.body, { ":": { timeout: 1_000, credit: 2 } });
  await stranger.send(":item", { value: "a" }, id);
  await stranger.send(":item", { value: "b" }, id);
  assertEquals((await first).value, "a");
  await clock.advance(60_000); // both parts are here and one is not taken: nobody may send
  assertEquals((await stream.next()).value, "b");
  const third = assertRejects(() => stream.next(), TimeoutError);
  for (const _ of ["a", "b"]) assertEquals((await stranger.receive())?.body, { n: 1 });
  await clock.advance(1_001);
  await third;
  assertEquals((await stranger.receive())?.header, ":cancel");
});

Deno.test("Link closes a connection that sends parts without credit, and says why", async () => {
  await using pair = await linkAndStranger();
  const { end, stranger } = pair;
  const stream = end.link.stream("list", {}, { window: 1 });
  const first = stream.next();
  const id = (await stranger.receive())?.msgId ?? 0;
  await stranger.send(":item", { value: 1 }, id);
  await stranger.send(":item", { value: 2 }, id);
  assertEquals((await first).value, 1);
  const last = await stranger.receive();
  assertEquals([last?.header, last?.body.code], [":error", "bad-message"]);
  stranger.close();
  await assertRejects(() => stream.next());
});

Deno.test("Link refuses terms that are none, with an answer", async () => {
  await using pair = await linkAndStranger();
  const { end, stranger } = pair;
  end.dispatcher.handle("greet", () => "hi");
  const terms: unknown[] = [7, null, { timeout: -1 }, { credit: 1.5 }, { credit: 1e9 }, {
    timeout: "x",
  }];
  for (const [at, bad] of terms.entries()) {
    await stranger.send("greet", { ":": bad }, at + 1);
    const answer = await stranger.receive();
    assertEquals([answer?.header, answer?.msgId, answer?.body.code], [
      ":error",
      at + 1,
      "bad-message",
    ]);
  }
  await stranger.send("greet", {}, 99);
  assertEquals((await stranger.receive())?.body, { result: "hi" });
});
