import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { REQUEST_TIMEOUT_MS } from "../../src/endpoint/terms.ts";
import {
  ClosedError,
  LimitError,
  NotFoundError,
  RemoteError,
  TimeoutError,
} from "../../src/errors.ts";
import { isSettled, linkAndStranger, linkPair, settle } from "./fixture.ts";

Deno.test("Link carries requests and answers of every kind, both ways", async () => {
  await using pair = await linkPair();
  const { client, server } = pair;
  server.dispatcher.handle("echo", ({ value }) => value);
  client.dispatcher.handle("echo", ({ value }) => value);
  const values = [
    null,
    0,
    -1,
    2 ** 40,
    1.5,
    "ä",
    true,
    [1, [2]],
    { a: { b: 1 } },
    new Uint8Array(9),
  ];
  for (const value of values) {
    assertEquals(await client.link.request("echo", { value }), value);
    assertEquals(await server.link.request("echo", { value }), value);
  }
  server.dispatcher.handle("nothing", () => {});
  assertEquals(await client.link.request("nothing", {}), null);
});

Deno.test("Link matches answers with requests, in whatever order they come", async () => {
  await using pair = await linkPair();
  const waiting = new Map<unknown, PromiseWithResolvers<string>>();
  pair.server.dispatcher.handle("wait", ({ n }) => {
    const answer = Promise.withResolvers<string>();
    waiting.set(n, answer);
    return answer.promise;
  });
  const answers = Array.from({ length: 100 }, (_, n) => pair.client.link.request("wait", { n }));
  await settle();
  for (const [n, { resolve }] of [...waiting].reverse()) resolve(`answer ${n}`);
  assertEquals(await Promise.all(answers), answers.map((_, n) => `answer ${n}`));
});

Deno.test("Link answers 10,000 requests, many at a time", async () => {
  await using pair = await linkPair();
  pair.server.dispatcher.handle("double", ({ n }) => Number(n) * 2);
  for (let batch = 0; batch < 20; batch++) {
    const asked = Array.from({ length: 500 }, (_, at) => batch * 500 + at);
    const answers = await Promise.all(
      asked.map((n) => pair.client.link.request("double", { n })),
    );
    assertEquals(answers, asked.map((n) => n * 2));
  }
});

Deno.test("Link.request gives up in time, tells the handler, and ignores a late answer", async () => {
  await using pair = await linkPair();
  const { client, server, clock } = pair;
  const answer = Promise.withResolvers<string>();
  const gone = Promise.withResolvers<unknown>();
  server.dispatcher.handle("slow", (_, { signal }) => {
    signal.addEventListener("abort", () => gone.resolve(signal.reason));
    return answer.promise;
  });
  const asking = assertRejects(() => client.link.request("slow", {}), TimeoutError);
  await clock.advance(REQUEST_TIMEOUT_MS - 2);
  assertEquals(await isSettled(asking), false);
  await clock.advance(2);
  const error = await asking;
  assertStringIncludes(error.message, 'Cannot call "slow" of server (server:3485)');
  assertStringIncludes(String(await gone.promise), "cancelled");
  // The next request takes the same slot; the answer to the first must not be taken for its own.
  const next = client.link.request("slow", {}, { timeoutMs: Infinity });
  server.dispatcher.handle("quick", () => "quick");
  answer.resolve("late");
  assertEquals(await client.link.request("quick", {}), "quick");
  assertEquals(await next, "late");
});

Deno.test("Link ignores answers to nothing, and twice the same", async () => {
  await using pair = await linkAndStranger();
  const { end, stranger } = pair;
  const asking = end.link.request("what", {});
  const id = (await stranger.receive())?.msgId ?? 0;
  for (const other of [0, 1, id + 1, id - 1, Number.MAX_SAFE_INTEGER]) {
    await stranger.send(":ok", { result: "wrong" }, other);
  }
  await stranger.send(":error", { code: "no-peer", message: "wrong" }, id + 1);
  await stranger.send(":ok", { result: "right" }, id);
  await stranger.send(":ok", { result: "again" }, id);
  assertEquals(await asking, "right");
  const next = end.link.request("what", {});
  const nextId = (await stranger.receive())?.msgId ?? 0;
  await stranger.send(":ok", { result: "stale" }, id);
  await stranger.send(":ok", {}, nextId);
  assertEquals(await next, undefined);
});

Deno.test("Link.request tells the handler when the caller's signal aborts", async () => {
  await using pair = await linkPair();
  const { client, server } = pair;
  const began = Promise.withResolvers<AbortSignal>();
  server.dispatcher.handle("slow", (_, { signal }) => {
    began.resolve(signal);
    return new Promise((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
    });
  });
  const controller = new AbortController();
  const { signal } = controller;
  const reason = new Error("changed my mind");
  const asking = assertRejects(() => client.link.request("slow", {}, { signal }));
  const theirs = await began.promise;
  assertEquals(theirs.aborted, false);
  controller.abort(reason);
  assertStrictEquals(await asking, reason);
  await settle();
  assertEquals(theirs.aborted, true);
  assert(theirs.reason instanceof ClosedError);
  const before = assertRejects(() => client.link.request("slow", {}, { signal }));
  assertStrictEquals(await before, reason);
});

Deno.test("Link cancels nothing that was answered already", async () => {
  await using pair = await linkAndStranger();
  const { end, stranger } = pair;
  const signals: AbortSignal[] = [];
  end.dispatcher.handle("keep", (_, { signal }) => void signals.push(signal));
  for (const id of [5, 5]) {
    await stranger.send("keep", {}, id);
    assertEquals((await stranger.receive())?.header, ":ok");
    await stranger.send(":cancel", {}, id);
  }
  await stranger.send("nobody", {}, 6);
  await stranger.receive();
  assertEquals(signals.map(({ aborted }) => aborted), [false, false]);
});

Deno.test("Link.request leaves no listener on a signal that outlives it", async () => {
  await using pair = await linkPair();
  pair.server.dispatcher.handle("echo", ({ n }) => n);
  pair.server.dispatcher.handle("fail", () => {
    throw new NotFoundError("no-key", "Not here");
  });
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    listeners++;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    listeners--;
    removeEventListener.apply(signal, args);
  };
  await pair.client.link.request("echo", { n: 1 }, { signal });
  await assertRejects(() => pair.client.link.request("fail", {}, { signal }), RemoteError);
  await assertRejects(() => pair.client.link.request("x", { f() {} }, { signal }), TypeError);
  assertEquals(listeners, 0);
});

Deno.test("Link passes a PeerError on with code, text and facts", async () => {
  await using pair = await linkPair();
  pair.server.dispatcher.handle("fail", () => {
    const details = { limit: "maxThings", max: 3, tried: ["a", "b"], at: { x: 1 } };
    throw new LimitError("limit", "Too many things", { details, cause: new Error("secret") });
  });
  const error = await assertRejects(() => pair.client.link.request("fail", {}), RemoteError);
  assertEquals([error.code, error.message], ["limit", "Too many things"]);
  const details = { limit: "maxThings", max: 3, tried: ["a", "b"], at: { x: 1 } };
  assertEquals(error.details, details);
  assertEquals(pair.server.metrics.snapshot(), { "link.handler-errors": 1 });
});

Deno.test("Link says of any other error only that it happened", async () => {
  await using pair = await linkPair();
  const { dispatcher, log } = pair.server;
  const fail = () => {
    throw new Error("open /home/bob/secret: denied");
  };
  dispatcher.handle("sync", fail);
  dispatcher.handle("async", () => Promise.try(fail));
  dispatcher.handle("inline", fail, { inline: true });
  dispatcher.handle("inline async", () => Promise.try(fail), { inline: true });
  dispatcher.handle("not even an error", () => Promise.reject("secret"));
  const headers = ["sync", "async", "inline", "inline async", "not even an error"];
  for (const header of headers) {
    const error = await assertRejects(() => pair.client.link.request(header, {}), RemoteError);
    assertEquals([error.code, error.message, error.details], [
      "internal",
      "The handler failed",
      {},
    ]);
  }
  assertEquals(log.lines.length, headers.length);
  assertStringIncludes(String(log.lines[0]?.fields.error), "secret"); // for us to know
});

Deno.test("Link makes another peer's error bounded and safe to print", async () => {
  await using pair = await linkAndStranger();
  const { end, stranger } = pair;
  const bodies = [
    { code: "\u001b[2J" + "c".repeat(1e4), message: "\u202e" + "m".repeat(1e5) },
    { code: 7, message: null, details: "none" },
    { code: "x", message: "y", details: [1] },
    {
      code: "x",
      message: "y",
      details: {
        ["\u001b" + "k".repeat(1e4)]: "\u001b" + "v".repeat(1e5),
        bytes: new Uint8Array(1e5),
        deep: { deeper: { deepest: "text" } },
        many: Array.from({ length: 1e4 }, () => "w".repeat(1_000)),
        ...Object.fromEntries(Array.from({ length: 1_000 }, (_, at) => [`key ${at}`, at])),
      },
    },
  ];
  for (const body of bodies) {
    const asking = assertRejects(() => end.link.request("x", {}), RemoteError);
    await stranger.send(":error", body, (await stranger.receive())?.msgId);
    const { code, message, details } = await asking;
    const shown = JSON.stringify({ code, message, details });
    assert(shown.length < 20_000, `${shown.length}`);
    assert(!shown.includes("\\u001b") && !shown.includes("\u202e"), shown.slice(0, 100));
  }
});

Deno.test("Link refuses a header that nobody handles, and goes on", async () => {
  await using pair = await linkPair();
  const { client, server } = pair;
  for (const header of ["nobody", "", "__proto__", "\u001b[2J" + "x".repeat(1_000)]) {
    const error = await assertRejects(
      () => client.link.request(header, {}),
      RemoteError,
      "No endpoint",
    );
    assertEquals(error.code, "no-endpoint");
    // deno-lint-ignore no-control-regex -- it must not be there
    assert(error.message.length < 120 && !/[\u0000-\u001f]/.test(error.message));
  }
  client.link.post("nobody", {});
  await settle();
  assertEquals(server.metrics.snapshot(), { "link.no-endpoint": 5 });
});

Deno.test("Link.post is handled like a request and never answered", async () => {
  await using pair = await linkAndStranger();
  const { end, stranger } = pair;
  const seen: unknown[] = [];
  end.dispatcher.handle("note", ({ n }) => seen.push(n));
  end.dispatcher.handle("fail", () => {
    throw new Error("nobody shall know");
  });
  for (const n of [1, 2, 3]) await stranger.send("note", { n });
  await stranger.send("fail", {});
  await stranger.send("nobody", {});
  await stranger.send("note", { n: 4 }, 99);
  const first = await stranger.receive();
  assertEquals([first?.header, first?.msgId], [":ok", 99]);
  assertEquals(seen, [1, 2, 3, 4]);
});
