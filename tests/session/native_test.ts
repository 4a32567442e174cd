import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  ClosedError,
  HandshakeError,
  InvalidPacketError,
  PeerError,
  RemoteError,
  TimeoutError,
} from "../../src/errors.ts";
import { connectSession, parseTerms } from "../../src/session/native.ts";
import type { SessionOffer } from "../../src/session/session.ts";
import { infoOf, isSettled, Served, SERVER, settle } from "../endpoint/fixture.ts";
import { Scene, take, takeAll } from "./fixture.ts";

const BYTES = { dataType: "bytes" } as const;

async function failureOf(closed: Promise<unknown>): Promise<PeerError> {
  const failure = await closed;
  assert(failure instanceof PeerError, String(failure));
  return failure;
}

Deno.test("connectSession opens a session on the terms that were offered, both ways", async () => {
  const offers: SessionOffer[] = [];
  await using scene = await Scene.open({ accept: (offer) => offers.push(offer) > 0 });
  const stream = { dataType: "raw", strict: true, stream: true, size: 3 } as const;
  const [opened, accepted] = await scene.pair(stream);
  const [plain] = await scene.pair();
  const from = { peerId: infoOf("client").peerId, name: "client", address: accepted.remote };
  assertEquals(offers, [
    { dialect: "native", from, ...stream },
    {
      dialect: "native",
      from: { ...from, address: offers[1]?.from.address ?? from.address },
      dataType: "json",
      strict: false,
      stream: false,
    },
  ]);
  assertEquals([opened.terms, accepted.terms], [stream, stream]);
  assertEquals(plain.terms, { dataType: "json", strict: false, stream: false });
  assertEquals([opened.dialect, opened.from.name, opened.remote], ["native", "server", SERVER]);
  assertEquals(accepted.from, from);
});

Deno.test("Session carries data of each type in order, both ways", async () => {
  await using scene = await Scene.open();
  const values = {
    json: [{ text: "é" }, null, [1, 2.5]],
    bytes: [Uint8Array.of(1), new Uint8Array(0), new Uint8Array(100_000).fill(7)],
    raw: [{ bin: Uint8Array.of(1, 2) }, 2n ** 60n, "text"],
  };
  for (const dataType of ["json", "bytes", "raw"] as const) {
    const [opened, accepted] = await scene.pair({ dataType });
    for (const session of [opened, accepted]) {
      await Promise.all(values[dataType].map((value) => session.send(value)));
    }
    assertEquals(await take(accepted, 3), values[dataType]);
    assertEquals(await take(opened, 3), values[dataType]);
    await opened.close();
  }
});

Deno.test("Session decodes data by its own type where it is not strict", async () => {
  await using scene = await Scene.open();
  const [opened, accepted] = await scene.pair();
  await opened.send(Uint8Array.of(1, 2), { type: "bytes" });
  await opened.send(new Map([[1, 2]]), { type: "raw" });
  await opened.send({ a: 1 });
  assertEquals(await take(accepted, 3), [Uint8Array.of(1, 2), new Map([[1, 2]]), { a: 1 }]);
});

Deno.test("connectSession learns that, and why, the offer is denied", async () => {
  const reasons: (string | boolean)[] = ["not \u001b[2J now", false];
  await using scene = await Scene.open({ accept: () => reasons.shift() ?? true });
  for (const reason of ["not \\u{1b}[2J now", "No reason given"]) {
    const link = await scene.link();
    const error = await assertRejects(() => connectSession(scene.client, link), HandshakeError);
    assertEquals([error.code, error.details.reason], ["denied", reason]);
    assertStringIncludes(error.message, `server (server:3485) denied the session: ${reason}`);
    await link.closed;
  }
  assertEquals(scene.served.metrics.snapshot()["session.denied"], 2);
  await scene.pair();
});

Deno.test("connectSession fails with a code where sessions are not taken, or deciding fails", async () => {
  await using served = await Served.open();
  const client = await served.client();
  const link = await client.connect(SERVER);
  const error = await assertRejects(() => connectSession(client, link), HandshakeError);
  assertEquals([error.code, error.details.reason], ["denied", "no sessions"]);
  await link.closed;

  await using scene = await Scene.open({
    accept: () => {
      throw new Error("secret");
    },
  });
  const other = await scene.link();
  const internal = await assertRejects(() => connectSession(scene.client, other), RemoteError);
  assertEquals([internal.code, internal.message], ["internal", "The handler failed"]);
});

Deno.test("connectSession gives up after its time, and when aborted", async () => {
  const decision = Promise.withResolvers<boolean>();
  await using scene = await Scene.open({ accept: () => decision.promise, timeoutMs: 60_000 });
  const link = await scene.link();
  const late = assertRejects(() => connectSession(scene.client, link), TimeoutError);
  await scene.served.clock.advance(2_000);
  await late;
  await link.closed;

  const controller = new AbortController();
  const { signal } = controller;
  const second = await scene.link();
  const aborted = assertRejects(
    () => connectSession(scene.client, second, { signal }),
    Error,
    "enough",
  );
  await settle();
  controller.abort(new Error("enough"));
  await aborted;
  await second.closed;
  decision.resolve(true);
  await settle();
  assertEquals(scene.sessions.active.size, 0);
  assertEquals(scene.served.metrics.snapshot()["session.denied"], 2);
});

Deno.test("Sessions denies what is not decided in time", async () => {
  await using scene = await Scene.open({ accept: () => new Promise<never>(() => {}) });
  const link = await scene.link();
  const connecting = connectSession(scene.client, link, { timeoutMs: 60_000 });
  const denied = assertRejects(() => connecting, HandshakeError, "no decision in 2000 ms");
  await scene.served.clock.advance(2_000);
  await denied;
});

Deno.test("connectSession wants a link of its own, and one session on it", async () => {
  await using scene = await Scene.open();
  const shared = await scene.client.connect(SERVER, { shared: true });
  await assertRejects(() => connectSession(scene.client, shared), TypeError, "shared");
  const link = await scene.link();
  const session = await connectSession(scene.client, link);
  await assertRejects(() => connectSession(scene.client, link), TypeError, "has one");
  for (const [sharedLink, text] of [[shared, "shared"], [link, "has a session"]] as const) {
    const request = sharedLink.request("session.open", { type: "json" });
    const error = await assertRejects(() => request, RemoteError, text);
    assertEquals(error.code, "denied");
  }
  await session.close();
  await shared.close();
});

Deno.test("parseTerms refuses what is no term, by its field", async () => {
  const right = { type: "bytes", strict: true, stream: true, size: 8 };
  assertEquals(parseTerms(right), { dataType: "bytes", strict: true, stream: true, size: 8 });
  assertEquals(parseTerms({ type: "raw", more: 1 }), {
    dataType: "raw",
    strict: false,
    stream: false,
  });
  const bad = [
    { type: "pickle" },
    { strict: 1 },
    { stream: "yes" },
    { size: 0 },
    { size: 1.5 },
    { stream: false },
  ];
  await using scene = await Scene.open();
  const link = await scene.link();
  for (const fields of bad) {
    const request = link.request("session.open", { ...right, ...fields });
    const error = await assertRejects(() => request, RemoteError);
    const field = "stream" in fields && fields.stream === false ? "size" : Object.keys(fields)[0];
    assertEquals([error.code, error.details.field], ["bad-message", field]);
  }
  await link.close();
});

Deno.test("Session ends with a reason at both ends when strict is violated", async () => {
  await using scene = await Scene.open();
  const link = await scene.link();
  const opened = await connectSession(scene.client, link, { strict: true });
  const accepted = await scene.accepted();
  await assertRejects(() => opened.send(Uint8Array.of(1), { type: "bytes" }), TypeError, "strict");
  await opened.send("fine");
  link.post("session.data", { type: "bytes", data: Uint8Array.of(1) });

  const here = await failureOf(accepted.closed);
  assertEquals([here.name, here.code], ["HandshakeError", "strict-violation"]);
  const there = await failureOf(opened.closed);
  assertEquals([there.name, there.code], ["HandshakeError", "strict-violation"]);
  assertEquals(there.details.reason, "Data of type bytes came on a strict session for json");

  assertEquals(await take(accepted, 1), ["fine"]);
  await assertRejects(() => takeAll(accepted), HandshakeError, "strict session");
  for (const session of [opened, accepted]) {
    assertEquals(
      (await assertRejects(() => session.send("x"), HandshakeError)).code,
      "strict-violation",
    );
    await assertRejects(() => session.close(), HandshakeError);
  }
  assertEquals(scene.served.metrics.snapshot()["session.failed.strict-violation"], 1);
});

Deno.test("Session ends with a reason at both ends when data is no data", async () => {
  const bad = [
    [{ type: "json", data: new TextEncoder().encode("{") }, "bad-message"],
    [{ type: "pickle", data: new Uint8Array(1) }, "bad-message"],
    [{ type: "json", data: "text" }, "bad-message"],
    [{}, "bad-message"],
    [{ type: "bytes", data: new Uint8Array(101) }, "too-large"],
  ] as const;
  await using scene = await Scene.open({ maxDataBytes: 100 });
  for (const [body, code] of bad) {
    const link = await scene.link();
    const opened = await connectSession(scene.client, link);
    const accepted = await scene.accepted();
    link.post("session.data", body);
    assertEquals((await failureOf(accepted.closed)).code, code);
    const there = await failureOf(opened.closed);
    assertEquals([there.name, there.code], ["RemoteError", code]);
  }
  const opened = await connectSession(scene.client, await scene.link(), {
    maxDataBytes: 3,
    ...BYTES,
  });
  await assertRejects(() => opened.send(new Uint8Array(4)), InvalidPacketError, "maxDataBytes 3");
  await opened.send(new Uint8Array(3));
  assertEquals(await take(await scene.accepted(), 1), [new Uint8Array(3)]);
  assertEquals(scene.served.metrics.snapshot()["session.failed.bad-message"], 4);
});

Deno.test("Session keeps a stream to the size of its first data, in each direction", async () => {
  await using scene = await Scene.open();
  const link = await scene.link();
  const opened = await connectSession(scene.client, link, { ...BYTES, stream: true });
  const accepted = await scene.accepted();
  await Promise.all([opened.send(new Uint8Array(4)), accepted.send(new Uint8Array(2))]);
  await assertRejects(() => opened.send(new Uint8Array(5)), RangeError, "4 bytes each");
  await opened.send(new Uint8Array(4));
  assertEquals((await take(accepted, 2)).length, 2);
  assertEquals(await take(opened, 1), [new Uint8Array(2)]);
  link.post("session.data", { type: "bytes", data: new Uint8Array(5) });
  assertEquals((await failureOf(accepted.closed)).code, "bad-message");
  assertStringIncludes((await failureOf(opened.closed)).message, "5 bytes in a stream of 4 bytes");

  const [sized] = await scene.pair({ ...BYTES, stream: true, size: 3 });
  await assertRejects(() => sized.send(new Uint8Array(4)), RangeError, "3 bytes each");
});

Deno.test("Session.close waits until a reader that sleeps has room for everything", async () => {
  await using scene = await Scene.open();
  const [opened, accepted] = await scene.pair(BYTES);
  const sending = (async () => {
    for (let i = 0; i < 40; i++) await opened.send(new Uint8Array(100_000).fill(i));
    await opened.close("done");
  })();
  await settle();
  assertEquals(await isSettled(sending), false);
  await scene.served.clock.advance(25_000);
  const values = await takeAll(accepted);
  await sending;
  assertEquals(values, Array.from({ length: 40 }, (_, i) => new Uint8Array(100_000).fill(i)));
  assertEquals([await opened.closed, await accepted.closed], [undefined, undefined]);
  assertEquals([accepted.closeReason, opened.closeReason], ["done", ""]);
  await accepted.close();
  await assertRejects(() => accepted.send(Uint8Array.of(1)), ClosedError, "closed");
  await assertRejects(() => opened.send(Uint8Array.of(1)), ClosedError, "closed");
});

Deno.test("Session.close gives up a reader that sleeps on, and says so", async () => {
  await using scene = await Scene.open();
  const [opened] = await scene.pair(BYTES);
  void (async () => {
    for (;;) await opened.send(new Uint8Array(100_000));
  })().catch(() => {});
  await settle();
  const closing = assertRejects(
    () => opened.close("", { timeoutMs: 3_000 }),
    TimeoutError,
    "3000 ms",
  );
  await scene.served.clock.advance(3_000);
  await scene.served.clock.advance(1_000);
  await closing;
  await assertRejects(() => opened.close(), TimeoutError);
  assertEquals(await failureOf(opened.closed), await opened.closed);
});

Deno.test("Session says to who sends that not all of it was taken when it was closed", async () => {
  await using scene = await Scene.open();
  const [opened, accepted] = await scene.pair();
  await opened.send(1);
  assertEquals(await take(accepted, 1), [1]);
  const [, sent] = await Promise.all([accepted.close("enough"), opened.send(2), opened.send(3)]);
  assertEquals(sent, undefined);
  const failure = await failureOf(opened.closed);
  assertEquals([failure.code, failure.details], ["closed", { taken: 1, sent: 3 }]);
  assertEquals(opened.closeReason, "enough");
  await assertRejects(() => opened.close(), ClosedError, "1 of 3");
  assertEquals(await takeAll(opened), []);
});

Deno.test("Session ends in order when both sides close it at the same time", async () => {
  await using scene = await Scene.open();
  const [opened, accepted] = await scene.pair();
  await Promise.all([opened.close(), accepted.close(), opened.close()]);
  assertEquals([await opened.closed, await accepted.closed], [undefined, undefined]);
  await opened[Symbol.asyncDispose]();
});

Deno.test("Session gives what had come when it is closed by its own side", async () => {
  await using scene = await Scene.open();
  const [opened, accepted] = await scene.pair();
  await opened.send("last");
  await settle();
  await accepted.close();
  assertEquals(await takeAll(accepted), ["last"]);
  assertEquals(await opened.closed, undefined);
});

Deno.test("Session tells a connection that breaks from one that is closed", async () => {
  await using scene = await Scene.open();
  const link = await scene.link();
  const opened = await connectSession(scene.client, link);
  const accepted = await scene.accepted();
  await opened.send("first");
  await link.close();
  assertEquals((await failureOf(opened.closed)).code, "closed");
  assertEquals((await failureOf(accepted.closed)).code, "closed");
  assertEquals(await take(accepted, 1), ["first"]);
  await assertRejects(() => takeAll(accepted), ClosedError, "ended within a session");
  await assertRejects(() => opened.close(), ClosedError);
  await opened[Symbol.asyncDispose]();
  assertEquals(scene.served.metrics.snapshot()["session.failed.closed"], 1);
});

Deno.test("Session holds who sends back while nobody reads, loses nothing, and harms no others", async () => {
  await using scene = await Scene.open();
  scene.served.endpoint.handle("echo", ({ text }) => text);
  const [opened, accepted] = await scene.pair(BYTES);
  const [others, otherSide] = await scene.pair();
  const chunk = 64 * 1024;
  const count = 1024;
  let sent = 0;
  const sending = (async () => {
    for (let i = 0; i < count; i++) {
      await opened.send(new Uint8Array(chunk).fill(i));
      sent++;
    }
    await opened.close();
  })();
  for (let before = -1; before !== sent;) {
    before = sent;
    await settle();
  }
  // The intake, the network's 256 KiB, and what a link keeps of each way.
  assert(sent * chunk < 4 * 1024 * 1024, `${sent} were sent although nobody read`);
  assert(sent * chunk > 1024 * 1024, `only ${sent} were sent`);
  await others.send("still");
  assertEquals(await take(otherSide, 1), ["still"]);

  let read = 0;
  for await (const data of accepted) {
    assert(data instanceof Uint8Array && data.length === chunk);
    assertEquals(data[0], read++ & 0xff);
  }
  await sending;
  assertEquals([read, sent], [count, count]);
});

Deno.test("Sessions has room for so many, those that nobody has taken yet included", async () => {
  await using scene = await Scene.open({ maxSessions: 2 });
  const connect = async () => await connectSession(scene.client, await scene.link());
  const [first, second] = [await connect(), await connect()];
  const full = await assertRejects(connect, RemoteError, "maxSessions");
  assertEquals([full.code, full.details.limit], ["limit", "maxSessions"]);
  await first.send("kept");
  await first.close();
  await assertRejects(connect, RemoteError, "maxSessions");
  const taken = await scene.accepted();
  assertEquals(await takeAll(taken), ["kept"]);
  const third = await connect();
  assertEquals(scene.sessions.active.size, 2);
  await Promise.all([second.close(), third.close()]);
});

Deno.test("Sessions.close takes no more offers and ends the sessions there are", async () => {
  await using scene = await Scene.open();
  const [opened, accepted] = await scene.pair();
  await opened.send("last");
  await settle();
  await scene.sessions.close();
  await scene.sessions.close();
  assertEquals([await opened.closed, await accepted.closed], [undefined, undefined]);
  assertEquals(await takeAll(accepted), ["last"]);
  await assertRejects(() => scene.accepted(), Error, "No more sessions");
  const link = await scene.link();
  const error = await assertRejects(() => connectSession(scene.client, link), HandshakeError);
  assertEquals(error.details.reason, "no sessions");
});

Deno.test("Sessions.close denies what is being decided about", async () => {
  const decision = Promise.withResolvers<boolean>();
  await using scene = await Scene.open({ accept: () => decision.promise });
  const connecting = connectSession(scene.client, await scene.link());
  await settle();
  await scene.sessions.close();
  decision.resolve(true);
  const error = await assertRejects(() => connecting, RemoteError, "No more sessions");
  assertEquals([error.code, scene.sessions.active.size], ["closed", 0]);
});

Deno.test("Session ends with the endpoint, at both ends", async () => {
  await using scene = await Scene.open();
  const [opened, accepted] = await scene.pair();
  await scene.served.endpoint.close();
  for (const session of [opened, accepted]) {
    assertEquals((await failureOf(session.closed)).code, "closed");
  }
});
