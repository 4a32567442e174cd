/**
 * Originals that call: bytes by hand against an endpoint that takes the dialect.
 */

import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import {
  ClosedError,
  HandshakeError,
  InvalidPacketError,
  PeerError,
  UnsupportedError,
} from "../../src/errors.ts";
import { connectSession } from "../../src/session/native.ts";
import type { SessionOffer } from "../../src/session/session.ts";
import { Sessions } from "../../src/session/sessions.ts";
import { UNPADDED_SILENCE_MS } from "../../src/session/text_reader.ts";
import { netTransport } from "../../src/transport/mod.ts";
import { identityOf, infoOf, isSettled, settle } from "../endpoint/fixture.ts";
import { bytesOf, feedGarbage, loadVector, loadVectors } from "../testdata/vectors.ts";
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
  Scene,
  take,
  takeAll,
  utf8,
} from "./fixture.ts";

const PEERPY = { dialects: ["peerpy"] } as const;
const PING = padded("PING");

/** Headers of the original that announce more than the 1000 bytes that a test lets through. */
const TOO_LARGE = [
  "2048 raw",
  "8192 json",
  "8193 json",
  "65536 bytes",
  "1000000000 raw",
  "9223372036854775808 bytes",
];

async function openMemory(
  terms?: string,
): Promise<{ scene: Scene; original: Original } & AsyncDisposable> {
  const scene = await Scene.open(PEERPY);
  const original = await new Original(await scene.served.stranger()).open(terms);
  return {
    scene,
    original,
    async [Symbol.asyncDispose]() {
      original.close();
      await scene[Symbol.asyncDispose]();
    },
  };
}

Deno.test("Sessions answers the original's HELLOs as it would, pickles excepted", async () => {
  const offers: SessionOffer[] = [];
  await using loopback = await Loopback.open({ accept: (offer) => offers.push(offer) > 0 });
  const seen: unknown[] = [];
  for (const vector of loadVectors("peerpy.hello")) {
    const { peer_name: name, data_type: dataType, ...flags } = vector.value as Record<
      string,
      unknown
    >;
    const original = await loopback.original();
    await original.write(bytesOf(vector));
    const answer = await original.read(128);
    if (dataType === "raw") {
      assertEquals([answer, await original.read(1)], [DENY, new Uint8Array(0)], vector.name);
      continue;
    }
    assertEquals(answer, ACCEPT, vector.name);
    const { address } = (await loopback.accepted()).from;
    assertEquals(address.hostname, "127.0.0.1");
    seen.push({ dialect: "peerpy", from: { name, address }, dataType, ...flags });
  }
  assertEquals(offers, seen);
  assertEquals([offers.length, loopback.endpoint.metrics.snapshot()["session.denied"]], [8, 2]);
});

Deno.test("Sessions denies what the application does not want, and closes", async () => {
  await using loopback = await Loopback.open({ accept: () => "no" });
  const original = await loopback.original();
  await original.write(padded("HELLO|peer_name=127.0.0.1:1&data_type=json&strict=True"));
  assertEquals(await original.read(256), DENY);
});

Deno.test("Session takes what the original wrote, however it is cut, and writes the same", async () => {
  let size: number | undefined;
  const accept = () => size === undefined ? true : { size };
  await using loopback = await Loopback.open({ accept });
  for (const { name, terms, bytes, size: fixed, attempts } of captures()) {
    size = fixed;
    const sent = attempts.filter(({ refusal }) => refusal === undefined).map(({ value }) => value);
    for (const whole of [true, false]) {
      const [original, session] = await loopback.pair(terms);
      if (whole) await original.write(bytes);
      else await original.dribble(bytes);
      original.close();
      assertEquals(await takeAll(session), sent, name);
      assertEquals(await session.closed, undefined);
    }
    const [original, session] = await loopback.pair(terms);
    for (const { value, refusal } of attempts) {
      if (refusal === undefined) await session.send(value);
      else await assertRejects(() => session.send(value), refusal);
    }
    const closing = session.close();
    assertEquals(await original.read(bytes.length + 1), bytes, name);
    original.close();
    await closing;
  }
});

Deno.test("Session takes large data whole, in segments of odd sizes", async () => {
  await using loopback = await Loopback.open();
  const [original, session] = await loopback.pair("data_type=bytes&strict=True");
  const body = new Uint8Array(3_000_000).map((_, at) => at * 31 >> 3);
  const bytes = joined(padded("DATA|data_size=3000000&data_type=bytes"), body);
  const writing = (async () => {
    for (let at = 0, size = 1; at < bytes.length; at += size, size = size * 7 % 99_991) {
      await original.write(bytes.subarray(at, at + size));
    }
    await original.data("bytes", "next");
  })();
  const [large, next] = await take(session, 2);
  await writing;
  assert(large instanceof Uint8Array);
  assertEquals(large.length, body.length);
  assertEquals(indexOfDifference(large, body), -1);
  assertEquals(next, utf8("next"));
  // And the other way: one header, the whole body.
  const sending = session.send(body);
  // On a slow machine a PING was due before.
  let header = await original.read(128);
  while (indexOfDifference(header, PING) === -1) header = await original.read(128);
  assertEquals(header, padded("DATA|data_size=3000000&data_type=bytes"));
  assertEquals(indexOfDifference(await original.read(body.length), body), -1);
  await sending;
});

Deno.test("Session takes what comes in one segment with the HELLO, and two headers in one", async () => {
  await using loopback = await Loopback.open();
  const original = await loopback.original();
  const data = joined(padded("DATA|data_size=11&data_type=json"), utf8('{"data": 5}'));
  const hello = padded("HELLO|peer_name=127.0.0.1:1&data_type=json&strict=True");
  await original.write(hello, PING, data, PING, data, padded("DATA|data_size= 13 &data_type=json"));
  await original.write('{"data": "x"}');
  assertEquals(await take(await loopback.accepted(), 3), [5, 5, "x"]);
});

Deno.test("Session takes a HELLO and data one byte at a time", async () => {
  await using loopback = await Loopback.open();
  const original = await loopback.original();
  await original.dribble(padded("HELLO|peer_name=127.0.0.1:1&data_type=bytes&strict=False"));
  assertEquals(await original.read(128), ACCEPT);
  await original.dribble(joined(padded("DATA|data_size=3&data_type=bytes"), utf8("xyz"), PING));
  await original.dribble(joined(padded("DATA|data_size=0&data_type=bytes")));
  assertEquals(await take(await loopback.accepted(), 2), [utf8("xyz"), new Uint8Array(0)]);
});

Deno.test("Sessions accepts a HELLO without padding, as the document shows it", async () => {
  await using scene = await Scene.open(PEERPY);
  const original = new Original(await scene.served.stranger());
  await original.write("HELLO|address_name=127.0.0.1:51515&data_type=json");
  await settle();
  await scene.served.clock.advance(UNPADDED_SILENCE_MS);
  assertEquals(await original.read(128), ACCEPT);
  const session = await scene.accepted();
  assertEquals(session.terms, { dataType: "json", strict: true, stream: false });
  assertEquals(session.from.name, "127.0.0.1:51515");
  await original.data("json", '{"data": 1}');
  assertEquals(await take(session, 1), [1]);
  original.close();
});

Deno.test("Sessions closes and counts openings that are none, and others go on", async () => {
  await using loopback = await Loopback.open();
  const [bystander, session] = await loopback.pair();
  const name = "peer_name=127.0.0.1:1";
  const openings: readonly (readonly [Uint8Array, string])[] = [
    [padded(`HELLO|${name}&data_type=pickle&strict=True`), "bad-message"],
    [padded(`HELLO|${name}&strict=True`), "bad-message"],
    [padded("HELLO|data_type=json&strict=True"), "bad-message"],
    [padded(`HELLO|${name}&data_type=json&strict=maybe`), "bad-message"],
    [padded(`HELLO|${name}&data_type=json&${name}`), "bad-message"],
    [padded("HELLO|peer_name=nobody&data_type=json"), "bad-message"],
    [padded("HELLO|"), "bad-message"],
    [padded(`HELLO|${name}=1=2&data_type=json`), "bad-message"],
    [joined(utf8("HELLO|"), new Uint8Array(122).fill(0xff)), "bad-message"],
    [joined(utf8("HELLO|"), new Uint8Array(200)), "bad-message"],
    [padded("DATA|data_size=3&data_type=json"), "bad-frame"],
    [padded("ACCEPT"), "bad-frame"],
  ];
  for (const [bytes] of openings) {
    const original = await loopback.original();
    await original.write(bytes);
    assertEquals(await ended(original), true);
    await bystander.data("json", '{"data": "still"}');
    assertEquals(await take(session, 1), ["still"]);
  }
  const counts = loopback.endpoint.metrics.snapshot();
  for (const code of ["bad-message", "bad-frame"]) {
    const expected = openings.filter(([, expected]) => expected === code).length;
    assertEquals(counts[`accept.refused.${code}`], expected, code);
  }
});

Deno.test("Sessions closes and counts who stays silent within a HELLO, and while it is decided about", async () => {
  await using scene = await Scene.open({
    ...PEERPY,
    accept: () => new Promise<never>(() => {}),
  });
  for (const text of ["HELLO|", "HELLO|peer_name=127.0.0.1:1&data_ty"]) {
    const original = new Original(await scene.served.stranger());
    await original.write(text);
    await scene.served.clock.advance(6_000);
    assertEquals(await original.read(1), new Uint8Array(0));
    original.close();
  }
  const original = new Original(await scene.served.stranger());
  await original.write(padded("HELLO|peer_name=127.0.0.1:1&data_type=json"));
  await scene.served.clock.advance(2_000);
  assertEquals(await original.read(256), DENY);
  original.close();
  const counts = scene.served.metrics.snapshot();
  assertEquals([counts["accept.refused.timeout"], counts["session.denied"]], [2, 1]);
});

Deno.test("Session ends for the right reason on data that is none, and others go on", async () => {
  const bad: readonly (readonly [Uint8Array, string])[] = [
    [padded("DATA|data_size=-5&data_type=json"), "bad-message"],
    [padded("DATA|data_size=x&data_type=json"), "bad-message"],
    [padded("DATA|data_type=json"), "bad-message"],
    [padded("DATA|data_size=5"), "bad-message"],
    [padded("DATA|data_size=5&data_type=xml"), "bad-message"],
    [padded("DATA|data_size=5&data_type"), "bad-message"],
    [padded("DATA|data_size=1001&data_type=bytes"), "too-large"],
    [padded("HELLO|peer_name=127.0.0.1:1&data_type=json"), "bad-message"],
    [new Uint8Array(128).fill(0xfe), "bad-message"],
    [joined(padded("DATA|data_size=4&data_type=json"), utf8("null")), "bad-message"],
    [joined(padded("DATA|data_size=20&data_type=raw"), new Uint8Array(20)), "unsupported"],
    ...TOO_LARGE.map((name) =>
      [bytesOf(loadVector("peerpy.data_header", name)), "too-large"] as const
    ),
    [bytesOf(loadVector("peerpy.data_header", "0 json")), "bad-message"],
    [bytesOf(loadVector("peerpy.data_header", "10 raw")), "unsupported"],
  ];
  await using loopback = await Loopback.open({ maxDataBytes: 1000 });
  const [bystander, other] = await loopback.pair();
  const counted: Record<string, number> = {};
  for (const [bytes, code] of bad) {
    const [original, session] = await loopback.pair();
    await original.data("json", '{"data": "before"}');
    await original.write(bytes);
    const failure = await session.closed;
    assert(failure instanceof PeerError, String(failure));
    assertEquals(failure.code, code, failure.message);
    assertEquals(await take(session, 1), ["before"]);
    await assertRejects(() => takeAll(session), PeerError, failure.message);
    assertEquals(await ended(original), true);
    await bystander.data("json", '{"data": "still"}');
    assertEquals(await take(other, 1), ["still"]);
    counted[`session.failed.${code}`] = (counted[`session.failed.${code}`] ?? 0) + 1;
  }
  const counts = Object.entries(loopback.endpoint.metrics.snapshot());
  assertEquals(Object.fromEntries(counts.filter(([name]) => name in counted)), counted);
});

Deno.test("Session reads the original's odd headers as it does, or ends for what is wrong", async () => {
  const outcomes: Record<string, string> = {
    "DATA|data_size=5&data_type=json|||": "stream ends after 0 of 5",
    "DATA|data_size=x&data_type=json": "data_size is not a non-negative integer",
    "DATA|data_size=5&data_type": "is not name=value",
    "A|a=1=2": 'type "A" is unknown',
    "||||": 'type "" is unknown',
    "ACCEPT||||": "it is ACCEPT instead of DATA",
    "DATA|data_size=-5&data_type=json": "data_size is not a non-negative integer",
    "DATA|data_size= 7 &data_type=json": "stream ends after 0 of 7",
    "noseparator=1": 'type "noseparator=1" is unknown',
    "HELLO|a=&b=2": "it is HELLO instead of DATA",
  };
  await using loopback = await Loopback.open();
  let compared = 0;
  for (const { name, value } of loadVectors("peerpy.split")) {
    if (typeof value !== "string") continue;
    compared++;
    if (outcomes[name] === undefined) {
      const original = await loopback.original();
      await original.write(padded(value));
      assertEquals(await original.read(128), ACCEPT);
      const { terms, from } = await loopback.accepted();
      assertEquals([terms.strict, from.name], [false, "a:1"]);
      continue;
    }
    const [original, session] = await loopback.pair();
    await original.write(padded(value));
    original.close();
    const failure = await session.closed;
    assert(failure instanceof InvalidPacketError, name);
    assertStringIncludes(failure.message, outcomes[name]);
  }
  assertEquals(compared, Object.keys(outcomes).length + 1);
});

Deno.test("Session meets garbage with data or an error of ours", async () => {
  const samples: Uint8Array[] = [];
  const written = captures().map(({ bytes }) => bytes).filter(({ length }) => length > 0);
  feedGarbage((bytes) => samples.push(bytes), written, { seed: 21, cases: 300 });
  await using scene = await Scene.open(PEERPY);
  const outcomes = new Map<string, number>();
  for (const [at, bytes] of samples.entries()) {
    const terms = at % 2 === 0 ? "data_type=json&strict=False" : "data_type=bytes&stream=True";
    const original = await new Original(await scene.served.stranger()).open(terms);
    const session = await scene.accepted();
    // Who is cut off cannot write the rest.
    await original.write(bytes).catch(() => {});
    original.close();
    await takeAll(session).catch(() => {});
    const failure = await session.closed;
    assert(failure === undefined || failure instanceof PeerError, `case ${at}: ${failure}`);
    const code = failure?.code ?? "none";
    outcomes.set(code, (outcomes.get(code) ?? 0) + 1);
  }
  for (const code of ["none", "bad-message", "bad-frame"]) assert(outcomes.has(code), code);
});

Deno.test("Session never decodes a pickle", async () => {
  await using loopback = await Loopback.open();
  const pickles = loadVectors("peerpy.payload").filter(({ name }) => name.startsWith("raw"));
  for (const vector of pickles) {
    const [original, session] = await loopback.pair();
    await original.data("raw", bytesOf(vector));
    const failure = await session.closed;
    assert(failure instanceof UnsupportedError);
    assertStringIncludes(failure.message, "pickle");
    await assertRejects(() => session.send("x"), UnsupportedError);
  }
  const [, session] = await loopback.pair();
  await assertRejects(() => session.send("x", { type: "raw" }), UnsupportedError, "pickle");
});

Deno.test("Session closes when strict is violated, and decodes by the header's type where it is not strict", async () => {
  await using loopback = await Loopback.open();
  const [strictly, strict] = await loopback.pair("data_type=json&strict=True");
  await strictly.data("bytes", "xyz");
  const failure = await strict.closed;
  assert(failure instanceof HandshakeError);
  assertEquals(failure.code, "strict-violation");
  assertEquals(await ended(strictly), true);
  await assertRejects(() => strict.send("x"), HandshakeError);

  const [laxly, lax] = await loopback.pair("data_type=json&strict=False");
  await laxly.data("bytes", "xyz");
  await laxly.data("json", '{"data": null}');
  assertEquals(await take(lax, 2), [utf8("xyz"), null]);
  await lax.send(utf8("abc"), { type: "bytes" });
  assertEquals(
    await laxly.read(131),
    joined(padded("DATA|data_size=3&data_type=bytes"), utf8("abc")),
  );
});

Deno.test("Session ignores a PING, and sends one whenever it is idle, but never on a stream", async () => {
  await using memory = await openMemory();
  const { scene, original } = memory;
  const session = await scene.accepted();
  for (const vector of loadVectors("peerpy.ping_pong")) {
    if ((vector.value as { pinger?: string }).pinger !== undefined) {
      await original.write(bytesOf(vector));
    }
  }
  await original.write(PING);
  await original.data("json", '{"data": 1}');
  assertEquals(await take(session, 1), [1]);

  await scene.served.clock.advance(1_999);
  const first = original.read(128);
  assertEquals(await isSettled(first), false);
  await scene.served.clock.advance(1);
  assertEquals(await first, PING);
  await scene.served.clock.advance(1_500);
  await session.send(2);
  assertEquals((await original.read(139)).subarray(128), utf8('{"data": 2}'));
  await scene.served.clock.advance(1_500);
  await original.data("json", '{"data": 3}');
  assertEquals(await take(session, 1), [3]);
  const second = original.read(128);
  await scene.served.clock.advance(1_999);
  assertEquals(await isSettled(second), false);
  await scene.served.clock.advance(1);
  assertEquals(await second, PING);

  await using stream = await openMemory("data_type=bytes&strict=True&stream=True");
  const streamed = await stream.scene.accepted();
  await stream.scene.served.clock.advance(10_000);
  await streamed.send(utf8("abcd"));
  await stream.scene.served.clock.advance(10_000);
  await streamed.send(utf8("efgh"));
  const bytes = joined(padded("DATA|data_size=4&data_type=bytes"), utf8("abcdefgh"));
  assertEquals(await stream.original.read(136), bytes);
});

Deno.test("Session has no headers on a stream once either side has fixed its size", async () => {
  await using loopback = await Loopback.open();
  const terms = "data_type=bytes&strict=True&stream=True";
  const header = padded("DATA|data_size=4&data_type=bytes");
  const [original, session] = await loopback.pair(terms);
  await original.write(header, "abcd", "efgh");
  assertEquals(await take(session, 2), [utf8("abcd"), utf8("efgh")]);
  await session.send(utf8("ijkl"));
  assertEquals(await original.read(4), utf8("ijkl"));
  await assertRejects(() => session.send(utf8("ijk")), RangeError, "4 bytes each");
  await original.dribble(utf8("mnopqr"));
  assertEquals(await take(session, 1), [utf8("mnop")]);
  original.close();
  assert(await session.closed instanceof InvalidPacketError);

  const [answering, other] = await loopback.pair(terms);
  await other.send(utf8("abcd"));
  assertEquals(await answering.read(132), joined(header, utf8("abcd")));
  await answering.write("DATE|PINGefgh");
  assertEquals(await take(other, 3), ["DATE", "|PIN", "Gefg"].map(utf8));

  const [empty, refusing] = await loopback.pair(terms);
  await empty.write(padded("DATA|data_size=0&data_type=bytes"));
  assertStringIncludes(String(await refusing.closed), "0 bytes in a stream of 1 byte or more");
});

Deno.test("Session understands that both sides have sent first on a stream", async () => {
  await using loopback = await Loopback.open();
  const terms = "data_type=bytes&strict=True&stream=True";
  for (const size of [20, 200]) {
    const header = padded(`DATA|data_size=${size}&data_type=bytes`);
    const [original, session] = await loopback.pair(terms);
    await session.send(new Uint8Array(size).fill(1));
    const [first, second] = [2, 3].map((byte) => new Uint8Array(size).fill(byte));
    await original.write(PING, header, first ?? "", second ?? "");
    assertEquals(await take(session, 2), [first, second]);
  }
  const [original, session] = await loopback.pair(terms);
  await session.send(new Uint8Array(20));
  await original.write(padded("DATA|data_size=21&data_type=bytes"), new Uint8Array(21));
  assertStringIncludes(String(await session.closed), "21 bytes in a stream of 20 bytes each");
});

Deno.test("Session tells how the connection ended", async () => {
  await using loopback = await Loopback.open();
  const [orderly, ended] = await loopback.pair();
  await orderly.data("json", '{"data": 1}');
  orderly.close();
  assertEquals(await ended.closed, undefined);
  assertEquals(await takeAll(ended), [1]);
  await assertRejects(() => ended.send(1), ClosedError);
  await ended.close();

  for (
    const [bytes, text] of [
      [padded("DATA|data_size=9&data_type=json").subarray(0, 100), "after 100 of 128 bytes"],
      [padded("DATA|data_size=9&data_type=json"), "after 0 of 9 bytes"],
      [joined(padded("DATA|data_size=9&data_type=json"), utf8("{")), "after 1 of 9 bytes"],
    ] as const
  ) {
    const [original, session] = await loopback.pair();
    await original.write(bytes);
    original.close();
    const failure = await session.closed;
    assert(failure instanceof InvalidPacketError);
    assertEquals(failure.code, "bad-frame");
    assertStringIncludes(failure.message, text);
    await assertRejects(() => takeAll(session), InvalidPacketError);
  }
});

Deno.test("Session.close writes everything, and does not wait for ever for an original to close", async () => {
  await using memory = await openMemory();
  const session = await memory.scene.accepted();
  void session.send("last");
  const closing = session.close();
  assertEquals((await memory.original.read(1000)).subarray(128), utf8('{"data": "last"}'));
  assertEquals(await isSettled(closing), false);
  await memory.scene.served.clock.advance(1_000);
  await closing;
  assertEquals(await session.closed, undefined);
  await session[Symbol.asyncDispose]();
});

Deno.test("Session holds an original back while nobody reads, and loses nothing", async () => {
  await using memory = await openMemory("data_type=bytes&strict=True");
  const session = await memory.scene.accepted();
  const count = 100;
  let written = 0;
  const writing = (async () => {
    for (; written < count; written++) {
      await memory.original.data("bytes", new Uint8Array(64 * 1024).fill(written));
    }
    memory.original.close();
  })();
  for (let before = -1; before !== written;) {
    before = written;
    await settle();
  }
  assert(written < 30, `${written} were taken although nobody read`);
  const values = await takeAll(session);
  await writing;
  assertEquals(
    values.map((value) => (value as Uint8Array)[0]),
    Array.from({ length: count }, (_, i) => i),
  );
});

Deno.test("Session ends with the endpoint", async () => {
  await using memory = await openMemory();
  const session = await memory.scene.accepted();
  await memory.scene.served.endpoint.close();
  assert(await session.closed instanceof ClosedError);
  assertEquals(await ended(memory.original), true);
});

Deno.test("Sessions leaves the dialect off unless it is asked for", async () => {
  await using loopback = await Loopback.open({ dialects: [] });
  const original = await loopback.original();
  await original.write(padded("HELLO|peer_name=127.0.0.1:1&data_type=json"));
  assertEquals(await ended(original), true);
  assertEquals(loopback.endpoint.metrics.snapshot()["accept.refused.unsupported"], 1);
});

Deno.test("Sessions.open leaves nothing behind when something is taken already", async () => {
  await using scene = await Scene.open();
  const { endpoint } = scene.served;
  const accept = () => true;
  assertThrows(() => Sessions.open(endpoint, { accept }), TypeError, "session.open");
  await scene.sessions.close();
  const taken = endpoint.take("peerpy", () => Promise.resolve());
  assertThrows(() => Sessions.open(endpoint, { accept, ...PEERPY }), TypeError, "peerpy");
  taken[Symbol.dispose]();
  await Sessions.open(endpoint, { accept, ...PEERPY }).close();
  await Sessions.open(endpoint, { accept, ...PEERPY }).close();
});

Deno.test("Sessions takes native sessions and those of originals on one port", async () => {
  await using loopback = await Loopback.open();
  const [original, accepted] = await loopback.pair();
  await using client = await clientOf(loopback);
  const native = await connectSession(client, await client.connect(loopback.address));
  const other = await loopback.accepted();
  await original.data("json", '{"data": "old"}');
  await native.send("new");
  assertEquals([await take(accepted, 1), await take(other, 1)], [["old"], ["new"]]);
  assertEquals([...loopback.sessions.active].map(({ dialect }) => dialect), ["peerpy", "native"]);
});

async function clientOf({ endpoint }: Loopback): Promise<Endpoint> {
  const { clock } = endpoint;
  return await Endpoint.open({
    transport: netTransport,
    identity: identityOf("client"),
    self: infoOf("client"),
    clientOnly: true,
    clock,
  });
}
