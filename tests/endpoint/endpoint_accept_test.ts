import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { ClosedError, LimitError } from "../../src/errors.ts";
import type { Connection } from "../../src/transport/transport.ts";
import {
  type GuestHello,
  identityOf,
  infoOf,
  isSettled,
  Served,
  SERVER,
  settle,
  shakeHands,
  Stranger,
  through,
} from "./fixture.ts";

/** Bytes after which a handshake may stop: in the preface, the first message, before the second, in the third. */
const STOPS = [0, 3, 7, 8, 20, 40, 41, 43, 100, 250] as const;

Deno.test("Endpoint accepts a handshake that comes one byte at a time", async () => {
  await using served = await Served.open();
  const connection = await served.stranger();
  const stranger = await shakeHands(through(connection, async (bytes) => {
    for (const byte of bytes) await connection.write(Uint8Array.of(byte));
  }));
  const accept = await stranger.receive();
  assertEquals([accept?.header, accept?.body], [":accept", { version: 1 }]);
  assertEquals(served.endpoint.links.size, 1);
  stranger.close();
});

Deno.test("Endpoint takes messages that come together with the HELLO, once the link is made", async () => {
  await using served = await Served.open();
  const closed = Promise.withResolvers<unknown>();
  served.endpoint.handle("early", (_, { link }) => {
    assert(link !== undefined && served.endpoint.links.has(link), "the link is not known yet");
    void link.closed.then(closed.resolve);
    return "fine";
  }, { inline: true });
  const connection = await served.stranger();
  const writes: Uint8Array[] = [];
  const stranger = await shakeHands(through(connection, async (bytes) => {
    // All that follows the first message is kept, to leave in one piece.
    if (writes.push(bytes.slice()) === 1) await connection.write(bytes);
  }));
  await stranger.send("early", {}, 7);
  assertEquals(writes.length, 3);
  await connection.write(Uint8Array.from(writes.slice(1).flatMap((bytes) => [...bytes])));
  assertEquals((await stranger.receive())?.header, ":accept");
  const answer = await stranger.receive();
  assertEquals([answer?.header, answer?.msgId, answer?.body], [":ok", 7, { result: "fine" }]);
  stranger.close();
  assertEquals(await closed.promise, undefined);
});

Deno.test("Endpoint closes and counts garbage, and other links go on", async () => {
  await using served = await Served.open();
  served.endpoint.handle("echo", ({ text }) => text);
  const link = await (await served.client()).connect(SERVER);
  const garbage = [
    Uint8Array.of(0xff, 0xff, 0xff, 0xff),
    "HELP|",
    "TRACEROUTE",
    "KITH/9\n",
  ];
  for (const [at, bytes] of garbage.entries()) {
    const stranger = new Stranger(await served.stranger());
    await stranger.raw(bytes);
    assertEquals(await stranger.receive(), undefined);
    stranger.close();
    assertEquals(await link.request("echo", { text: `still ${at}` }), `still ${at}`);
  }
  const byteWise = new Stranger(await served.stranger());
  await byteWise.raw("K", "I", "T", "H", "?");
  assertEquals(await byteWise.receive(), undefined);
  byteWise.close();
  const count = garbage.length + 1;
  assertEquals(served.metrics.snapshot(), {
    "accept.established": 1,
    "accept.refused.bad-frame": count,
  });
  const refusals = served.log.lines.filter(({ message }) => message === "refused a connection");
  assertEquals(refusals.length, count);
});

Deno.test("Endpoint closes and counts who stays silent, at any point of the handshake", async () => {
  await using served = await Served.open({ limits: { handshakeMs: 500 } });
  for (const count of STOPS) {
    const ended = assertRejects(() => halfAHandshake(served, count), ClosedError);
    await served.clock.advance(499);
    assertEquals(await isSettled(ended), false, `after ${count} bytes`);
    await served.clock.advance(1);
    await ended;
  }
  assertEquals(served.metrics.snapshot(), { "accept.refused.timeout": STOPS.length });
});

Deno.test("Endpoint counts who leaves during the handshake", async () => {
  await using served = await Served.open();
  for (const count of STOPS) {
    const leave = (connection: Connection) => connection.close();
    await assertRejects(() => halfAHandshake(served, count, leave), ClosedError);
    await settle();
  }
  assertEquals(served.metrics.snapshot(), { "accept.refused.closed": STOPS.length });
});

Deno.test("Endpoint tells a dialer what is wrong with its HELLO, counts it, and logs it harmless", async () => {
  await using served = await Served.open();
  const cases: readonly (readonly [Partial<GuestHello>, string, string])[] = [
    [{ body: { key: "x" } }, "bad-message", "key: it is not 32 bytes"],
    [{ body: { name: 7 } }, "bad-message", "name: it is not a string"],
    [{ header: ":accept" }, "bad-message", '":accept" came instead of ":hello"'],
    [{ header: "\u001b[2J" + "x".repeat(999) }, "bad-message", '"\\u{1b}[2Jxxx'],
    [{ body: { min: 2, max: 3 } }, "incompatible", "2..3 was offered, 1..1"],
    [{ body: { sig: new Uint8Array(64) } }, "bad-signature", "does not have the key of peer"],
    [{ body: { key: identityOf("bob").publicKey } }, "bad-signature", infoOf("bob").peerId],
  ];
  for (const [hello, code, text] of cases) {
    const stranger = await served.guest("stranger", hello);
    const deny = await stranger.receive();
    assertEquals([deny?.header, deny?.body.code], [":deny", code]);
    assertStringIncludes(String(deny?.body.reason), text);
    assertEquals(await stranger.receive(), undefined);
    stranger.close();
    await settle();
    const { fields: logged } = served.log.lines.at(-1) ?? {};
    assertStringIncludes(String(logged?.why), text);
    // deno-lint-ignore no-control-regex -- it must not be there
    assert(!/[\u0000-\u001f]/.test(String(logged?.why)) && String(logged?.why).length < 200);
  }
  assertEquals(served.metrics.snapshot(), {
    "accept.refused.bad-message": 4,
    "accept.refused.incompatible": 1,
    "accept.refused.bad-signature": 2,
  });
  assertEquals(served.endpoint.links.size, 0);
});

Deno.test("Endpoint closes and counts a HELLO that is too long, and names the limit", async () => {
  await using served = await Served.open();
  const stranger = await served.guest("stranger", { body: { pad: new Uint8Array(16_384) } });
  await assertRejects(() => stranger.receive(), ClosedError);
  stranger.close();
  assertEquals(served.metrics.snapshot(), { "accept.refused.bad-channel": 1 });
  const { fields: logged } = served.log.lines.at(-1) ?? {};
  assertStringIncludes(String(logged?.why), "exceeds maxHandshakeBytes 16384");
});

Deno.test("Endpoint takes a DENY's time from who does not leave, and no more", async () => {
  await using served = await Served.open();
  const stranger = await served.guest("stranger", { body: { key: null } });
  assertEquals((await stranger.receive())?.header, ":deny");
  assertEquals(served.metrics.snapshot(), {});
  await served.clock.advance(1_000);
  assertEquals(served.metrics.snapshot(), { "accept.refused.bad-message": 1 });
  stranger.close();
});

Deno.test("Endpoint closes and counts a dialect that is off, and answers a probe by closing", async () => {
  await using served = await Served.open();
  for (const bytes of ["{}\n", "HELLO|peer_name=a:1", Uint8Array.of(0, 0, 0, 1, 7)]) {
    const stranger = new Stranger(await served.stranger());
    await stranger.raw(bytes);
    assertEquals(await stranger.receive(), undefined);
    stranger.close();
  }
  assertEquals(served.metrics.snapshot(), { "accept.refused.unsupported": 3 });
  const probe = new Stranger(await served.stranger());
  for (const _ of [1, 2, 3, 4]) await probe.raw(Uint8Array.of(0));
  assertEquals(await probe.receive(), undefined);
  probe.close();
  assertEquals(served.metrics.snapshot(), {
    "accept.refused.unsupported": 3,
    "accept.probes": 1,
  });
});

Deno.test("Endpoint tells who speaks HTTP to it where the web port is", async () => {
  await using served = await Served.open();
  for (const webPort of [undefined, 3488]) {
    served.endpoint.webPort = webPort;
    const browser = await served.stranger();
    await browser.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: server\r\n\r\n"));
    const answer = new TextDecoder().decode(await readAll(browser));
    assert(answer.startsWith("HTTP/1.1 421 Misdirected Request\r\n"), answer);
    assertStringIncludes(answer, webPort === undefined ? "no web port" : "on port 3488");
    const [head = "", body = ""] = answer.split("\r\n\r\n");
    assertStringIncludes(head, `Content-Length: ${body.length}`);
    browser.close();
  }
});

Deno.test("Endpoint makes room for a newcomer when too many handshakes hang, and the oldest goes", async () => {
  await using served = await Served.open({ limits: { maxPendingHandshakes: 3, handshakeMs: 500 } });
  const silent: Connection[] = [];
  for (let at = 0; at < 3; at++) silent.push(await served.stranger());
  await settle();
  const client = await served.client();
  await (await client.connect(SERVER)).close();
  const [first, second] = silent;
  assertEquals(await first?.read(new Uint8Array(1)), null);
  assertEquals(served.metrics.snapshot(), {
    "accept.established": 1,
    "accept.evicted": 1,
    "accept.refused.rate": 1,
    "limits.maxPendingHandshakes": 1,
  });
  const left = second?.read(new Uint8Array(1));
  await served.clock.advance(500);
  assertEquals(await left, null);
  assertEquals(served.metrics.snapshot()["accept.refused.timeout"], 2);
  for (const connection of silent) connection.close();
});

Deno.test("Endpoint refuses an address whose handshakes fail too often, and says so, until time has passed", async () => {
  await using served = await Served.open();
  const client = await served.client("stranger");
  for (let at = 0; at < 32; at++) {
    const stranger = new Stranger(await served.stranger());
    await stranger.raw("garbage");
    assertEquals(await stranger.receive(), undefined);
    stranger.close();
  }
  const error = await assertRejects(() => client.connect(SERVER), LimitError, "failuresPerAddress");
  assertEquals(error.code, "rate");
  assertEquals(served.metrics.snapshot()["accept.refused.rate"], 1);
  const other = await served.client("other");
  await (await other.connect(SERVER)).close();
  await served.clock.advance(1_000);
  await (await client.connect(SERVER)).close();
});

Deno.test("Endpoint accepts an honest client at once in the middle of 10,000 silent connections", async () => {
  await using served = await Served.open();
  const silent: Connection[] = [];
  for (let at = 0; at < 10_000; at++) {
    silent.push(await served.stranger());
    if (at !== 9_000) continue;
    const link = await (await served.client()).connect(SERVER);
    assertEquals(served.endpoint.links.size, 1);
    await link.close();
  }
  await settle();
  const { "accept.evicted": evicted = 0, "accept.refused.rate": refused = 0 } = served.metrics
    .snapshot();
  assert(evicted >= 32 && refused >= 10_000 - 256, `${evicted} ${refused}`);
  for (const connection of silent) connection.close();
});

Deno.test("Endpoint refuses links beyond maxLinks, also when all come at once, and names the limit", async () => {
  await using served = await Served.open({ limits: { maxLinks: 3 } });
  const clients = await Promise.all(
    Array.from({ length: 8 }, (_, at) => served.client(`client ${at}`)),
  );
  const results = await Promise.allSettled(clients.map((client) => client.connect(SERVER)));
  const refused = results.flatMap((result) => result.status === "rejected" ? [result.reason] : []);
  assertEquals([refused.length, served.endpoint.links.size], [5, 3]);
  for (const error of refused) {
    assert(error instanceof LimitError);
    assertStringIncludes(error.message, "3 links already (maxLinks)");
  }
  await settle();
  assertEquals(served.metrics.snapshot()["accept.refused.limit"], 5);
  const [link] = served.endpoint.links;
  await link?.close();
  await (await clients[7]?.connect(SERVER))?.close();
});

async function readAll(connection: Connection): Promise<Uint8Array> {
  const into = new Uint8Array(4096);
  let count = 0;
  for (;;) {
    const read = await connection.read(into.subarray(count));
    if (read === null) return into.subarray(0, count);
    count += read;
  }
}

/**
 * As many bytes of a handshake as that, then silence.
 *
 * @param then Called instead of the write that is cut short. @default nothing
 * @returns never: it rejects when the connection ends.
 */
async function halfAHandshake(
  served: Served,
  count: number,
  then: (connection: Connection) => void = () => {},
): Promise<void> {
  const connection = await served.stranger();
  let left = count;
  try {
    const stranger = await shakeHands(through(connection, async (bytes) => {
      const part = bytes.subarray(0, left);
      left -= part.length;
      if (part.length > 0) await connection.write(part);
      if (part.length < bytes.length) then(connection);
    }));
    await stranger.receive();
  } finally {
    connection.close();
  }
}
