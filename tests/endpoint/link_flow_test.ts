import { assert, assertEquals, assertRejects } from "@std/assert";
import { MAX_IN_FLIGHT } from "../../src/endpoint/inflight.ts";
import { MAX_ACTIVE_REQUESTS } from "../../src/endpoint/calls.ts";
import {
  ClosedError,
  InvalidPacketError,
  LimitError,
  PeerError,
  RemoteError,
} from "../../src/errors.ts";
import { HIGH_WATER_BYTES } from "../../src/transport/mod.ts";
import { isSettled, linkAndStranger, linkPair, settle } from "./fixture.ts";

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

Deno.test("Link reads no more requests of a peer than it takes answers, so whoever reads has them all", async () => {
  await using pair = await linkPair({ bufferBytes: 64 * 1024 });
  const { client, server } = pair;
  const bytes = new Uint8Array(1024 * 1024);
  server.dispatcher.handle("much", () => bytes);
  const asked = Array.from({ length: 200 }, () => client.link.request("much", {}));
  const answers = await Promise.all(asked);
  assert(answers.every((answer) => (answer as Uint8Array).length === bytes.length));
  assertEquals(server.metrics.snapshot(), {});
});

Deno.test("Link cuts off a peer that asks and never reads the answers", async () => {
  await using pair = await linkAndStranger({ bufferBytes: 64 * 1024 });
  const { end, stranger, clock } = pair;
  const bytes = new Uint8Array(1024 * 1024);
  end.dispatcher.handle("much", () => bytes);
  const asking = assertRejects(async () => {
    for (let id = 1; id < 200; id++) await stranger.send("much", {}, id);
    await stranger.raw(new Uint8Array(1e6));
  }, ClosedError);
  await settle();
  await clock.advance(9_999);
  assertEquals(await isSettled(end.link.closed), false);
  await clock.advance(1);
  const error = await end.link.closed;
  assert(error instanceof LimitError);
  assertEquals([error.code, error.details.limit], ["slow-consumer", "maxUnreadBytes"]);
  const counted = { "limits.maxUnreadBytes": 1, "link.slow-consumer": 1 };
  assertEquals(end.metrics.snapshot(), counted);
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
