import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { MAX_IN_FLIGHT } from "../../src/endpoint/inflight.ts";
import { MAX_ACTIVE_REQUESTS, REQUEST_TIMEOUT_MS } from "../../src/endpoint/link.ts";
import {
  ClosedError,
  InvalidPacketError,
  LimitError,
  NotFoundError,
  PeerError,
  RemoteError,
  TimeoutError,
} from "../../src/errors.ts";
import { HIGH_WATER_BYTES } from "../../src/transport/mod.ts";
import { linkAndStranger, linkPair, settle } from "./fixture.ts";

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

Deno.test("Link gives inline handlers views, in order, and reads no more until they are done", async () => {
  await using pair = await linkPair();
  const { client, server } = pair;
  const log: string[] = [];
  const gate = Promise.withResolvers<void>();
  const buffers = new Set<ArrayBufferLike>();
  server.dispatcher.handle("data", async ({ n, bytes }) => {
    assert(bytes instanceof Uint8Array);
    buffers.add(bytes.buffer);
    log.push(`begin ${n}`);
    if (n === 0) await gate.promise;
    assert(bytes.every((byte) => byte === n), "the view has changed while it was in use");
    log.push(`end ${n}`);
  }, { inline: true });
  for (const n of [0, 1, 2]) client.link.post("data", { n, bytes: new Uint8Array(2_000).fill(n) });
  const flood = Array.from(
    { length: 50 },
    (_, at) => client.link.post("data", { n: 7, bytes: new Uint8Array(9_000).fill(7), at }),
  );
  await settle();
  assertEquals(log, ["begin 0"]);
  gate.resolve();
  await Promise.all(flood);
  await settle();
  assertEquals(log.length, 106);
  assertEquals(log.slice(0, 5), ["begin 0", "end 0", "begin 1", "end 1", "begin 2"]);
  assert(buffers.size < 8, `${buffers.size} buffers: these are copies`);
});

Deno.test("Link gives other handlers copies that stay as they are", async () => {
  await using pair = await linkPair();
  const { client, server } = pair;
  const kept: Uint8Array[] = [];
  const keep = (value: unknown): void => {
    if (value instanceof Uint8Array) kept.push(value);
    else if (value instanceof Map) value.forEach(keep);
    else if (typeof value === "object" && value !== null) Object.values(value).forEach(keep);
  };
  server.dispatcher.handle("keep", (body) => keep(body));
  for (let n = 0; n < 40; n++) {
    const bytes = new Uint8Array(3_000).fill(n);
    client.link.post("keep", { bytes, list: [{ bytes }], map: new Map([[n, bytes]]) });
    await client.link.flush();
  }
  await settle();
  assertEquals(kept.length, 120);
  kept.forEach((bytes, at) => assert(bytes.every((byte) => byte === Math.floor(at / 3))));
});

Deno.test("Link answers with what an inline handler saw, not with what came after it", async () => {
  await using pair = await linkPair({ bufferBytes: 16 * 1024 });
  const { client, server } = pair;
  server.dispatcher.handle("echo", ({ bytes }) => bytes, { inline: true });
  server.dispatcher.handle("later", ({ bytes }) => Promise.resolve({ bytes }), { inline: true });
  const answers = Array.from({ length: 12 }, async (_, n) => {
    const bytes = new Uint8Array(100_000).fill(n);
    const answer = await client.link.request(n % 2 === 0 ? "echo" : "later", { bytes });
    const back = answer instanceof Uint8Array ? answer : (answer as { bytes: Uint8Array }).bytes;
    assertEquals(back.length, 100_000);
    assert(back.every((byte) => byte === n), `answer ${n} has changed`);
  });
  await Promise.all(answers);
});

Deno.test("Link keeps what it sends from piling up for a peer that sleeps", async () => {
  await using pair = await linkAndStranger({ bufferBytes: 64 * 1024 });
  const { end, stranger } = pair;
  const bytes = new Uint8Array(10_000);
  let sent = 0;
  const sending = (async () => {
    while (sent < 200) {
      sent++;
      await end.link.post("data", { bytes });
    }
    await end.link.flush();
  })();
  await settle();
  const slept = sent;
  assert(slept * bytes.length < 2 * HIGH_WATER_BYTES + 64 * 1024, `${slept} were sent to nobody`);
  for (let read = 0; read < 200; read++) {
    assertEquals((await stranger.receive())?.header, "data");
  }
  await sending;
});

Deno.test("Link cuts off a peer that asks and never reads the answers", async () => {
  await using pair = await linkAndStranger({ bufferBytes: 64 * 1024 });
  const { end, stranger } = pair;
  const bytes = new Uint8Array(1024 * 1024);
  end.dispatcher.handle("much", () => bytes);
  const asking = assertRejects(async () => {
    for (let id = 1; id < 200; id++) await stranger.send("much", {}, id);
    await stranger.raw(new Uint8Array(1e6));
  }, ClosedError);
  const error = await end.link.closed;
  assert(error instanceof LimitError);
  assertEquals([error.code, error.details.limit], ["slow-consumer", "maxUnreadBytes"]);
  assertEquals(end.metrics.snapshot(), { "link.slow-consumer": 1 });
  await asking;
});

Deno.test("Link refuses more requests at work than MAX_ACTIVE_REQUESTS, and goes on with the others", async () => {
  await using pair = await linkPair();
  const { client, server } = pair;
  const gate = Promise.withResolvers<string>();
  server.dispatcher.handle("wait", () => gate.promise);
  const ask = () => client.link.request("wait", {}, { timeoutMs: Infinity });
  const waiting = Array.from({ length: MAX_ACTIVE_REQUESTS }, ask);
  await settle();
  const error = await assertRejects(ask, RemoteError, "maxActiveRequests");
  assertEquals([error.code, error.details.max], ["limit", MAX_ACTIVE_REQUESTS]);
  gate.resolve("now");
  assertEquals(new Set(await Promise.all(waiting)), new Set(["now"]));
  assertEquals(await ask(), "now");
});

Deno.test("Link.request refuses the 65,537th in flight, and the link lives", async () => {
  await using pair = await linkAndStranger();
  const { end, stranger } = pair;
  const reading = (async () => {
    while (await stranger.receive() !== undefined);
  })();
  const waiting = Array.from(
    { length: MAX_IN_FLIGHT },
    () => end.link.request("x", {}, { timeoutMs: Infinity }).catch((error) => error),
  );
  await assertRejects(() => end.link.request("x", {}), LimitError, "maxInFlight");
  const closed = end.link.close();
  assert((await Promise.all(waiting)).every((error) => error instanceof ClosedError));
  await reading;
  stranger.close();
  await closed;
});

Deno.test("Link rejects a body that cannot be encoded or is too large, and sends nothing of it", async () => {
  await using pair = await linkPair({ maxFrameBytes: 1_000 });
  const { client, server } = pair;
  client.dispatcher.handle("echo", ({ n }) => n);
  await assertRejects(() => server.link.request("x", { f() {} }), TypeError, "function");
  const large = { bytes: new Uint8Array(1_001) };
  await assertRejects(
    () => server.link.request("x", large),
    InvalidPacketError,
    "maxFrameBytes 1000",
  );
  await assertRejects(() => Promise.try(() => server.link.post("x", large)), InvalidPacketError);
  assertEquals(await server.link.request("echo", { n: 5 }), 5);
});

Deno.test("Link tells the caller that an answer cannot be sent, and lives", async () => {
  await using pair = await linkPair({ maxFrameBytes: 1_000 });
  const { client, server } = pair;
  server.dispatcher.handle("function", () => () => {});
  server.dispatcher.handle("inline", () => [new Uint8Array(1), () => {}], { inline: true });
  server.dispatcher.handle("large", () => new Uint8Array(2_000));
  server.dispatcher.handle("details", () => {
    throw new PeerError("limit", "Too many", { details: { f: () => {} } });
  });
  const codes = {
    function: "internal",
    inline: "internal",
    large: "too-large",
    details: "internal",
  };
  for (const [header, code] of Object.entries(codes)) {
    const error = await assertRejects(() => client.link.request(header, {}), RemoteError);
    assertEquals(error.code, code, header);
  }
  assertEquals(server.log.lines.filter(({ level }) => level === "error").length, 4);
});

Deno.test("Link.close rejects what waits on both sides, cancels handlers, and is harmless twice", async () => {
  await using pair = await linkPair();
  const { client, server } = pair;
  const began = Promise.withResolvers<AbortSignal>();
  server.dispatcher.handle("wait", (_, { signal }) => {
    began.resolve(signal);
    return new Promise(() => {});
  });
  const ours = assertRejects(() => client.link.request("wait", {}), ClosedError);
  client.dispatcher.handle("wait", () => new Promise(() => {}));
  const theirs = assertRejects(() => server.link.request("wait", {}), ClosedError);
  const signal = await began.promise;
  await Promise.all([client.link.close(), client.link.close()]);
  await client.link.close();
  await ours;
  await theirs;
  assertEquals([await client.link.closed, await server.link.closed], [undefined, undefined]);
  assertEquals(signal.aborted, true);
  assert(signal.reason instanceof ClosedError);
});

Deno.test("Link.close lets what was sent arrive first", async () => {
  await using pair = await linkPair({ bufferBytes: 10_000 });
  const { client, server } = pair;
  const seen: unknown[] = [];
  server.dispatcher.handle("note", ({ n }) => seen.push(n));
  for (let n = 0; n < 500; n++) client.link.post("note", { n, bytes: new Uint8Array(100) });
  await client.link.close();
  await server.link.closed;
  assertEquals(seen, Array.from({ length: 500 }, (_, n) => n));
});

Deno.test("Link.close does not wait for a peer that reads no more", async () => {
  await using pair = await linkAndStranger({ bufferBytes: 1_000 });
  const { end, clock } = pair;
  end.link.post("data", { bytes: new Uint8Array(100_000) });
  const closing = end.link.close();
  await clock.advance(999);
  assertEquals(await isSettled(closing), false);
  await clock.advance(1);
  await closing;
});

Deno.test("Link.close does not wait for an inline handler, not even when that is who closes", async () => {
  await using pair = await linkPair();
  const { client, server } = pair;
  const stuck = Promise.withResolvers<void>();
  server.dispatcher.handle("stuck", () => stuck.promise, { inline: true });
  client.link.post("stuck", {});
  await settle();
  const asking = assertRejects(() => server.link.request("x", {}, { timeoutMs: 1e9 }), Error);
  await server.link.close();
  await asking;
  stuck.resolve();

  await using other = await linkPair();
  other.server.dispatcher.handle("leave", (_, { link }) => link.close(), { inline: true });
  const left = assertRejects(() => other.client.link.request("leave", {}), ClosedError);
  assertEquals(await other.server.link.closed, undefined);
  await left;
});

Deno.test("Link refuses everything once it has ended, and sets no timer for it", async () => {
  await using pair = await linkPair();
  const { link } = pair.client;
  await link.close();
  const text = 'Cannot send "x": the link has ended';
  await assertRejects(() => link.request("x", {}, { timeoutMs: 60_000 }), ClosedError, text);
  await assertRejects(() => Promise.try(() => link.post("x", {})), ClosedError, text);
  await assertRejects(() => link.flush(), ClosedError);
  const fired: number[] = [];
  const { after } = pair.clock;
  pair.clock.after = (ms, callback) => (fired.push(ms), after.call(pair.clock, ms, callback));
  await assertRejects(() => link.request("x", {}), ClosedError);
  assertEquals(fired, []);
});

Deno.test("Link ends where the other side says why, and handles nothing behind that", async () => {
  await using pair = await linkAndStranger();
  const { end, stranger } = pair;
  const seen: unknown[] = [];
  end.dispatcher.handle("note", ({ n }) => seen.push(n), { inline: true });
  const asking = assertRejects(() => end.link.request("x", {}), RemoteError, "Go away");
  await Promise.all([
    stranger.send("note", { n: 1 }),
    stranger.send(":error", { code: "rate", message: "Go away", details: { max: 3 } }),
    stranger.send("note", { n: 2 }),
  ]);
  const error = await end.link.closed;
  assert(error instanceof RemoteError);
  assertEquals([error.code, error.details, seen], ["rate", { max: 3 }, [1]]);
  await asking;
});

Deno.test("Link tells the other side of a broken protocol, counts it, and ends alone", async () => {
  const broken: readonly (readonly [string, Uint8Array, string])[] = [
    ["too large", Uint8Array.of(0, 0, 4, 0), "too-large"],
    ["largest length", Uint8Array.of(255, 255, 255, 255), "too-large"],
    ["no MessagePack", Uint8Array.of(0, 0, 0, 2, 0xc1, 0), "bad-message"],
    ["no message", Uint8Array.of(0, 0, 0, 1, 7), "bad-message"],
    ["empty frame", Uint8Array.of(0, 0, 0, 0), "bad-message"],
    ["id -1", Uint8Array.of(0, 0, 0, 7, 0x95, 0xa1, 0x61, 0xff, 1, 0x80, 0xc0), "bad-message"],
    ["version 2", Uint8Array.of(0, 0, 0, 7, 0x95, 0xa1, 0x61, 0, 2, 0x80, 0xc0), "bad-version"],
  ];
  await using other = await linkPair();
  other.server.dispatcher.handle("echo", ({ n }) => n);
  for (const [what, bytes, code] of broken) {
    await using pair = await linkAndStranger({ maxFrameBytes: 1_000 });
    const { end, stranger } = pair;
    const asking = assertRejects(() => end.link.request("x", {}), ClosedError, "has ended");
    assertEquals((await stranger.receive())?.header, "x");
    await stranger.raw(bytes);
    const last = await stranger.receive();
    assertEquals([last?.header, last?.msgId, last?.body.code], [":error", 0, code], what);
    assertEquals(await stranger.receive(), undefined);
    stranger.close();
    const error = await end.link.closed;
    assert(error instanceof InvalidPacketError);
    assertEquals(error.code, code);
    assertEquals(end.metrics.snapshot(), { [`link.${code}`]: 1 });
    await asking;
    assertEquals(await other.client.link.request("echo", { n: 1 }), 1);
  }
});

Deno.test("Link learns from the other side which limit its frame broke", async () => {
  await using pair = await linkPair({ maxFrameBytes: 1_000 });
  const { client, server } = pair;
  const asking = assertRejects(
    () => client.link.request("x", { bytes: new Uint8Array(1e6) }),
    RemoteError,
    "maxFrameBytes 1000",
  );
  assertEquals((await asking).code, "too-large");
  const error = await client.link.closed;
  assert(error instanceof RemoteError);
  assertEquals(error.details.limit, "maxFrameBytes");
  assert(await server.link.closed instanceof InvalidPacketError);
});

Deno.test("Link ends when its peer dies, inside a message or between two", async () => {
  for (const cut of [false, true]) {
    await using pair = await linkAndStranger();
    const { end, stranger } = pair;
    const asking = assertRejects(() => end.link.request("x", {}), ClosedError);
    if (cut) await stranger.raw(Uint8Array.of(0, 0, 0, 9, 1));
    stranger.close();
    await asking;
    const error = await end.link.closed;
    if (cut) assertEquals((error as InvalidPacketError).code, "bad-frame");
    else assertEquals(error, undefined);
  }
});

Deno.test("Link counts what a later version may send, and goes on", async () => {
  await using pair = await linkAndStranger();
  const { end, stranger } = pair;
  end.dispatcher.handle("echo", ({ n }) => n);
  await stranger.send(":new", { anything: 1 }, 5);
  await stranger.send(":cancel", {}, 12345);
  await stranger.send("echo", { n: 1, more: "fields" }, 6);
  assertEquals((await stranger.receive())?.body, { result: 1 });
  assertEquals(end.metrics.snapshot(), { "link.unknown-control": 1 });
});

Deno.test("Link survives handlers that answer when nobody is there any more", async () => {
  await using pair = await linkPair();
  const gate = Promise.withResolvers<void>();
  pair.server.dispatcher.handle("late", async () => {
    await gate.promise;
    return "too late";
  });
  pair.server.dispatcher.handle("late error", async () => {
    await gate.promise;
    throw new Error("too late");
  });
  const asked = ["late", "late error"].map((header) =>
    assertRejects(() => pair.client.link.request(header, {}), ClosedError)
  );
  await settle();
  await pair.client.link.close();
  await Promise.all(asked);
  gate.resolve();
  await settle();
});

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.then(() => settled = true, () => settled = true);
  await settle();
  return settled;
}
