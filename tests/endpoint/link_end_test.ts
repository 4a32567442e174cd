import { assert, assertEquals, assertRejects } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { Dispatcher } from "../../src/endpoint/dispatcher.ts";
import { Link } from "../../src/endpoint/link.ts";
import { ClosedError, InvalidPacketError, RemoteError } from "../../src/errors.ts";
import { type Connection, FramedConnection } from "../../src/transport/mod.ts";
import { decodeWireData, encodeWireData, wireData } from "../../src/wire/message.ts";
import { infoOf, isSettled, linkAndStranger, linkPair, SERVER, settle } from "./fixture.ts";

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
  other.server.dispatcher.handle("leave", (_, { link }) => link?.close(), { inline: true });
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

Deno.test("Link ends quietly when a broken protocol cannot be answered", async () => {
  const { link, feed, breakWrites } = linkByHand();
  breakWrites();
  const asking = assertRejects(() => link.request("x", {}), ClosedError);
  await settle(); // the write has failed
  feed(Uint8Array.of(0x93, 0, 0));
  await asking;
  await link.closed;
  await link.close();
});

Deno.test("Link takes the answer that is there although it can write no more", async () => {
  const { link, feed, breakWrites, written } = linkByHand();
  const asking = link.request("x", {});
  await settle();
  const id = decodeWireData(written[0]?.subarray(4) ?? new Uint8Array()).msgId;
  breakWrites();
  link.post("y", {});
  await settle();
  feed(encodeWireData(wireData(":ok", { result: "here" }, { msgId: id })));
  assertEquals(await asking, "here");
  await assertRejects(() => link.request("z", {}), ClosedError, "has ended");
  await link.close();
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

/** A link on a connection that reads what it is fed, notes what is written, and can be broken. */
function linkByHand() {
  const written: Uint8Array[] = [];
  let next = Promise.withResolvers<Uint8Array | null>();
  let broken = false;
  const connection: Connection = {
    local: SERVER,
    remote: SERVER,
    read: async (into) => {
      const bytes = await next.promise;
      if (bytes === null) return null;
      next = Promise.withResolvers();
      into.set(bytes);
      return bytes.length;
    },
    write: (bytes) => {
      if (broken) return Promise.reject(new ClosedError("Connection broke"));
      written.push(bytes.slice());
      return Promise.resolve();
    },
    closeWrite: () => Promise.resolve(),
    close: () => next.resolve(null),
  };
  const clock = new ManualClock();
  const framed = new FramedConnection(connection, { clock });
  const link = new Link({ framed, peer: infoOf("server"), dispatcher: new Dispatcher(), clock });
  const feed = (payload: Uint8Array) => {
    const frame = new Uint8Array(4 + payload.length);
    new DataView(frame.buffer).setUint32(0, payload.length);
    frame.set(payload, 4);
    next.resolve(frame);
  };
  return { link, feed, written, breakWrites: () => broken = true };
}
