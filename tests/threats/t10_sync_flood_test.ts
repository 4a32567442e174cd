import { assert, assertEquals } from "@std/assert";
import { randomBytes } from "node:crypto";
import { deflateRawSync } from "node:zlib";
import { ManualClock } from "../../src/clock.ts";
import { heartbeatMessage } from "../../src/sync/messages.ts";
import { encodeMessage } from "../../src/sync/protocol.ts";
import { until } from "../endpoint/web_fixture.ts";
import { change, hello, Hub, type Plain } from "../sync/hub_fixture.ts";
import { RawSocket } from "../sync/raw_socket.ts";

const MIB = 1024 * 1024;

/** Whoever does no harm is served as before. */
async function assertServed(plain: Plain, id: string): Promise<void> {
  await plain.send(heartbeatMessage({ clientId: id, wallMs: 0 }));
  assertEquals((await plain.next()).type, "heartbeat");
}

Deno.test("T1 a message that is too large is answered with the limit, or ends its own connection", async () => {
  await using hub = await Hub.open();
  const honest = await hub.plain("honest");
  const large = await hub.plain("large");
  await large.send(`{"a":"${"a".repeat(MIB)}"}`);
  const { data } = await large.next();
  assertEquals([data.error_code, data.details], ["MESSAGE_TOO_LARGE", "limit maxBytes is 1048576"]);
  await assertServed(large, "large");
  await large.send("a".repeat(5 * MIB));
  assertEquals(await large.ending(), 1009);
  await assertServed(honest, "honest");
});

Deno.test("T1 of a message of 100 MB no more is read than its length", async () => {
  await using hub = await Hub.open();
  const honest = await hub.plain("honest");
  const { socket } = await RawSocket.open(hub.port);
  using _socket = socket;
  await socket.text(encodeMessage(hello("large")));
  await socket.read();
  await socket.begin(100_000_000);
  let sent = 0;
  try {
    for (const part = new Uint8Array(MIB); sent < 100; sent++) await socket.write(part);
  } catch {
    // The hub has hung up.
  }
  assert(sent < 32, `${sent} MiB were taken`);
  await until(() => hub.hub.status.clients.length === 1);
  await assertServed(honest, "honest");
});

Deno.test("T1 deflated bombs do not inflate", async () => {
  await using hub = await Hub.open();
  const plain = await hub.plain("bomber", { capabilities: ["deflate"] });
  const bomb = deflateRawSync(new Uint8Array(64 * MIB));
  await plain.send(new Uint8Array([1, ...bomb]));
  assertEquals((await plain.next()).data.error_code, "MESSAGE_TOO_LARGE");
  await plain.send(new Uint8Array([1, ...randomBytes(64)]));
  assertEquals((await plain.next()).data.error_code, "INVALID_MESSAGE");
  await plain.send(`${"[".repeat(1_000)}`);
  assertEquals((await plain.next()).data.error_code, "MESSAGE_TOO_LARGE");
});

Deno.test("T10 a flood ends its own connection with the limit's name, and nobody else's", async () => {
  const clock = new ManualClock();
  await using hub = await Hub.open({ clock, limits: { rate: { perSecond: 10, burst: 100 } } });
  const [honest, flood] = [await hub.plain("honest"), await hub.plain("flood")];
  const beat = heartbeatMessage({ clientId: "flood", wallMs: 0 });
  for (let n = 0; n < 1_000; n++) flood.send(beat).catch(() => {}); // it is cut off in between
  let last = await flood.next();
  for (let n = 0; last.type === "heartbeat" && n < 100; n++) last = await flood.next();
  assertEquals([last.data.error_code, last.data.details], [
    "RATE_LIMITED",
    "limit rate.burst is 100",
  ]);
  // It has a moment to stop in, or it would not get to see why.
  await clock.advance(1_000);
  assertEquals(await flood.ending(), 4429);
  await assertServed(honest, "honest");
});

for (
  const [what, frame, taken] of [
    ["empty batches", "[]", 5],
    ["contents that nobody asked for", new Uint8Array([2]), 100],
  ] as const
) {
  Deno.test(`T10 a flood of ${what} is one, too`, async () => {
    const clock = new ManualClock();
    let received = 0;
    await using hub = await Hub.open({
      clock,
      limits: { rate: { perSecond: 1, burst: 5 } },
      onPort: async ({ receive }) => {
        for await (const _input of receive) received++;
      },
    });
    const flood = await hub.plain("flood", { capabilities: ["batch"] });
    for (let n = 0; n < taken; n++) await flood.send(frame);
    await flood.send(frame);
    assertEquals((await flood.next()).data.error_code, "RATE_LIMITED");
    assertEquals(received, typeof frame === "string" ? 0 : taken);
    await clock.advance(1_000);
    assertEquals(await flood.ending(), 4429);
  });
}

Deno.test("T10 a reader that does not read is cut off before it costs much", async () => {
  await using hub = await Hub.open({ limits: { maxQueuedChars: 2 * MIB } });
  const [honest, writer] = [await hub.plain("honest"), await hub.plain("writer")];
  const { socket } = await RawSocket.open(hub.port);
  using _socket = socket;
  await socket.text(encodeMessage(hello("slow")));
  await until(() => hub.hub.status.clients.length === 3);
  const large = { ...change({ clientId: "writer", wallMs: 0 }, "a"), filler: "a".repeat(MIB / 2) };
  let most = 0;
  for (let n = 0; n < 100 && hub.hub.status.clients.length === 3; n++) {
    await writer.send(large);
    await honest.next();
    most = Math.max(most, ...hub.hub.status.clients.map(({ queuedChars }) => queuedChars));
  }
  assertEquals(hub.hub.status.clients.map(({ clientId }) => clientId), ["honest", "writer"]);
  assertEquals(hub.counters["sync.error.slow_consumer"], 1);
  assert(most <= 3 * MIB, `${most} waited`);
  await assertServed(honest, "honest");
});

Deno.test("T10 those who say nothing take no more than their places", async () => {
  await using hub = await Hub.open({ limits: { maxStrangers: 8 } });
  const honest = await hub.plain("honest");
  const answers = [];
  for (let n = 0; n < 10; n++) {
    const { status, socket } = await RawSocket.open(hub.port);
    answers.push(status);
    socket[Symbol.dispose]();
  }
  const silent = await Promise.all(Array.from({ length: 10 }, () => RawSocket.open(hub.port)));
  const refused = silent.filter(({ status }) => status === 503).length;
  for (const { socket } of silent) socket[Symbol.dispose]();
  assert(refused >= 2, `${refused} were refused`);
  assert(answers.includes(101));
  await until(() => hub.hub.status.strangers === 0);
  await assertServed(honest, "honest");
});
