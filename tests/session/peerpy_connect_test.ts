/**
 * Originals that are called: bytes by hand behind a listener of this machine.
 */

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import {
  ClosedError,
  HandshakeError,
  PeerError,
  TimeoutError,
  UnsupportedError,
} from "../../src/errors.ts";
import { connectPeerpy, type PeerpyOptions } from "../../src/session/peerpy.ts";
import type { Session } from "../../src/session/session.ts";
import { UNPADDED_SILENCE_MS } from "../../src/session/text_reader.ts";
import { type Connection, MemoryNetwork, netTransport } from "../../src/transport/mod.ts";
import { connectionPair, settle } from "../endpoint/fixture.ts";
import { bytesOf, loadVectors } from "../testdata/vectors.ts";
import {
  ACCEPT,
  captures,
  DENY,
  ended,
  indexOfDifference,
  joined,
  Loopback,
  Original,
  padded,
  take,
  takeAll,
  utf8,
} from "./fixture.ts";

const SELF = { peerName: "127.0.0.1:51515" };
const PING = padded("PING");

/** A call that the original has accepted but not answered. */
interface Called extends AsyncDisposable {
  readonly connecting: Promise<Session>;
  readonly original: Original;
}

/** Calls an original: on TCP, or in memory where there is a clock to move. */
async function call(options: PeerpyOptions = {}, self = SELF): Promise<Called> {
  const [left, right] = options.clock === undefined ? await tcpPair() : await connectionPair();
  const connecting = connectPeerpy(left, self, options);
  const original = new Original(right);
  return {
    connecting,
    original,
    async [Symbol.asyncDispose]() {
      original.close();
      const [session] = await Promise.allSettled([connecting]);
      if (session.status === "fulfilled") await session.value.close().catch(() => {});
    },
  };
}

async function tcpPair() {
  const listener = await netTransport.listen({ hostname: "127.0.0.1" });
  const [accepted, connected] = await Promise.all([
    listener.accept(),
    netTransport.connect(listener.address),
  ]);
  listener.close();
  if (accepted === undefined) throw new Error("The listener closed");
  return [connected, accepted] as const;
}

/** A session with an original that has accepted. */
async function open(options: PeerpyOptions = {}): Promise<Called & { session: Session }> {
  const called = await call(options);
  await called.original.read(128);
  await called.original.write(ACCEPT);
  return { ...called, session: await called.connecting };
}

Deno.test("connectPeerpy says HELLO as the original does, and refuses to offer pickles", async () => {
  let refused = 0;
  for (const vector of loadVectors("peerpy.hello")) {
    const { peer_name: peerName, data_type: dataType, ...flags } = vector.value as
      & { peer_name: string; data_type: "json" | "raw" }
      & { strict: boolean; stream: boolean };
    await using called = await call({ dataType, ...flags }, { peerName });
    if (dataType === "raw") {
      await assertRejects(() => called.connecting, UnsupportedError, "pickle");
      assertEquals(await called.original.read(1), new Uint8Array(0));
      refused++;
      continue;
    }
    assertEquals(await called.original.read(128), bytesOf(vector), vector.name);
    await called.original.write(ACCEPT);
    const session = await called.connecting;
    assertEquals(session.terms, { dataType, ...flags });
    assertEquals([session.dialect, session.from.address], ["peerpy", session.remote]);
  }
  assertEquals(refused, 2);
});

Deno.test("connectPeerpy takes an answer however it is cut, and without padding", async () => {
  await using called = await call();
  await called.original.read(128);
  await called.original.dribble(ACCEPT);
  const session = await called.connecting;
  await called.original.data("json", '{"data": 1}');
  assertEquals(await take(session, 1), [1]);

  await using early = await call();
  const data = joined(padded("DATA|data_size=11&data_type=json"), utf8('{"data": 2}'));
  await early.original.write(ACCEPT, data, data);
  assertEquals(await take(await early.connecting, 2), [2, 2]);

  const clock = new ManualClock();
  await using unpadded = await call({ clock });
  await unpadded.original.write("ACCEPT");
  await settle();
  await clock.advance(UNPADDED_SILENCE_MS);
  const plain = await unpadded.connecting;
  await unpadded.original.data("json", '{"data": 3}');
  assertEquals(await take(plain, 1), [3]);
});

Deno.test("connectPeerpy learns that it is denied, or not answered as it should be", async () => {
  const answers: readonly (readonly [Uint8Array, string, string])[] = [
    [DENY, "denied", "denied the session"],
    [PING, "bad-message", "PING came instead of ACCEPT or DENY"],
    [padded("HELLO|peer_name=a:1&data_type=json"), "bad-message", "HELLO came instead"],
    [padded("HTTP/1.1 400 Bad Request"), "bad-message", "type"],
    [new Uint8Array(128), "bad-message", "control character"],
    [new Uint8Array(0), "closed", "after 0 bytes of a header"],
    [utf8("ACC"), "closed", "after 3 bytes of a header"],
  ];
  for (const [bytes, code, text] of answers) {
    await using called = await call();
    await called.original.read(128);
    if (bytes.length > 0) await called.original.write(bytes);
    if (bytes.length < 128) called.original.close();
    const error = await assertRejects(() => called.connecting, PeerError, text);
    assertEquals(error.code, code);
    if (bytes.length === 128) assertEquals(await ended(called.original), true);
  }
});

Deno.test("connectPeerpy gives up an original that is silent, and when aborted", async () => {
  for (const piece of [new Uint8Array(0), utf8("ACC")]) {
    const clock = new ManualClock();
    await using called = await call({ clock });
    await called.original.read(128);
    await called.original.write(piece);
    const late = assertRejects(() => called.connecting, TimeoutError, "no answer in 2000 ms");
    await clock.advance(2_000);
    await late;
    assertEquals(await ended(called.original), true);
  }
  const controller = new AbortController();
  await using called = await call({ signal: controller.signal });
  await called.original.read(128);
  controller.abort(new Error("enough"));
  await assertRejects(() => called.connecting, Error, "enough");
  assertEquals(await ended(called.original), true);
  await using never = await call({ signal: controller.signal });
  await assertRejects(() => never.connecting, Error, "enough");
});

Deno.test("connectPeerpy refuses what it cannot say, and closes the connection", async () => {
  const bad: readonly (readonly [PeerpyOptions, string])[] = [
    [{ stream: true, size: 0 }, "127.0.0.1:1"],
    [{}, "a|b:1"],
    [{}, "x".repeat(200)],
  ];
  for (const [options, peerName] of bad) {
    await using called = await call(options, { peerName });
    await assertRejects(() => called.connecting);
    assertEquals(await called.original.read(1), new Uint8Array(0));
  }
});

Deno.test("Session that we opened takes what the original wrote, and writes the same", async () => {
  for (const { name, options, bytes, attempts } of captures()) {
    const sent = attempts.filter(({ refusal }) => refusal === undefined).map(({ value }) => value);
    await using taking = await open(options);
    await taking.original.dribble(bytes);
    taking.original.close();
    assertEquals(await takeAll(taking.session), sent, name);

    await using sending = await open(options);
    for (const { value, refusal } of attempts) {
      if (refusal === undefined) await sending.session.send(value);
      else await assertRejects(() => sending.session.send(value), refusal);
    }
    const closing = sending.session.close();
    assertEquals(await sending.original.read(bytes.length + 1), bytes, name);
    sending.original.close();
    await closing;
  }
});

Deno.test("Session that we opened writes each data in one piece, in the order of the calls", async () => {
  const [left, right] = await connectionPair();
  const original = new Original(right);
  const writes: Uint8Array[] = [];
  const connection: Connection = {
    local: left.local,
    remote: left.remote,
    read: (into) => left.read(into),
    write: (bytes) => {
      writes.push(bytes.slice());
      return left.write(bytes);
    },
    closeWrite: () => left.closeWrite(),
    close: () => left.close(),
  };
  await original.write(ACCEPT);
  await using session = await connectPeerpy(connection, SELF, { dataType: "bytes" });
  const bodies = [0, 1, 8192, 70_000].map((size) => new Uint8Array(size).fill(size % 251));
  await Promise.all(bodies.map((body) => session.send(body)));
  const expected = bodies.map((body) => [
    ...padded(`DATA|data_size=${body.length}&data_type=bytes`),
    ...body,
  ]);
  assertEquals(writes.length, 1 + bodies.length);
  for (const [at, bytes] of expected.entries()) {
    assertEquals(indexOfDifference(writes[at + 1] ?? ACCEPT, Uint8Array.from(bytes)), -1);
  }
  original.close();
});

Deno.test("Session that we closed ends in order whatever still comes", async () => {
  await using called = await open();
  const closing = called.session.close();
  assertEquals(await called.original.read(1), new Uint8Array(0));
  await called.original.write(padded("GARBAGE"));
  await closing;
  assertEquals(await called.session.closed, undefined);
});

Deno.test("Session that we opened notices the end, a reset and a violation", async () => {
  await using orderly = await open();
  orderly.original.close();
  assertEquals(await orderly.session.closed, undefined);

  await using violated = await open({ strict: true });
  await violated.original.data("bytes", "xyz");
  const failure = await violated.session.closed;
  assert(failure instanceof HandshakeError);
  assertEquals(failure.code, "strict-violation");
  assertEquals(await ended(violated.original), true);

  using network = new MemoryNetwork();
  const listener = await network.host("original").listen({ port: 1 });
  const connection = await network.host("we").connect({ hostname: "original", port: 1 });
  const accepted = await listener.accept();
  await accepted?.write(ACCEPT);
  await using broken = await connectPeerpy(connection, SELF);
  network.kill("original");
  const reset = await broken.closed;
  assert(reset instanceof ClosedError, String(reset));
  assertStringIncludes(reset.message, "broke");
});

Deno.test("Session that we opened sends a PING when it is idle", async () => {
  const clock = new ManualClock();
  await using called = await open({ clock, timeoutMs: 500 });
  await clock.advance(499);
  await called.session.send(1);
  await clock.advance(500);
  assertEquals((await called.original.read(139 + 128)).subarray(139), PING);
});

Deno.test("Session that we opened sends no PING to an original that does not read", async () => {
  const clock = new ManualClock();
  await using called = await open({ clock, dataType: "bytes" });
  const sending = called.session.send(new Uint8Array(1_000_000));
  await clock.advance(20_000);
  assertEquals((await called.original.read(1_000_128)).length, 1_000_128);
  await sending;
  const closing = called.session.close();
  assertEquals(await called.original.read(1), new Uint8Array(0));
  called.original.close();
  await closing;
});

Deno.test("Two kith peers speak the dialect with each other, both ways", async () => {
  await using loopback = await Loopback.open();
  for (const options of [{}, { strict: true }, { dataType: "bytes", stream: true }] as const) {
    const connection = await netTransport.connect(loopback.address);
    const opened = await connectPeerpy(connection, SELF, options);
    const accepted = await loopback.accepted();
    assertEquals(accepted.terms, opened.terms);
    const values = [1, 2, 3].map((n) => "stream" in options ? utf8(`abc${n}`) : { n });
    await Promise.all(values.flatMap((value) => [opened.send(value), accepted.send(value)]));
    assertEquals(await take(accepted, 3), values);
    assertEquals(await take(opened, 3), values);
    await opened.close();
    assertEquals([await opened.closed, await accepted.closed], [undefined, undefined]);
  }
  const dropped = await netTransport.connect(loopback.address);
  await using lost = await connectPeerpy(dropped, SELF);
  dropped.close();
  assert(await lost.closed instanceof ClosedError);
});

Deno.test("Session.close gives up an original that does not read", async () => {
  const clock = new ManualClock();
  await using called = await open({ clock, dataType: "bytes" });
  const stuck = assertRejects(() => called.session.send(new Uint8Array(1_000_000)), ClosedError);
  const closing = assertRejects(
    () => called.session.close("", { timeoutMs: 100 }),
    TimeoutError,
    "not all written in 100 ms",
  );
  await settle();
  await clock.advance(100);
  await Promise.all([stuck, closing]);
});
