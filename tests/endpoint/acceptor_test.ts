import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { identify, type Protocol } from "../../src/endpoint/acceptor.ts";
import { withinTime } from "../../src/endpoint/within_time.ts";
import { PREFACE } from "../../src/endpoint/handshake.ts";
import { ClosedError, InvalidPacketError, TimeoutError } from "../../src/errors.ts";
import { connectionPair } from "./fixture.ts";

Deno.test("identify finds the preface, in one piece or in single bytes, and hands on the rest", async () => {
  for (const pieceBytes of [1, 2, 3, 100]) {
    const [raw, accepted] = await connectionPair();
    const bytes = Uint8Array.of(...PREFACE, 0, 0, 0, 1, 9);
    const writing = (async () => {
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        await raw.write(bytes.subarray(at, at + pieceBytes));
      }
      raw.close();
    })();
    const { protocol, first } = await identify(accepted);
    assertEquals(protocol, "native");
    const into = new Uint8Array(16);
    let seen = [...first.subarray(PREFACE.length)];
    for (let read = await accepted.read(into); read !== null; read = await accepted.read(into)) {
      seen = [...seen, ...into.subarray(0, read)];
    }
    assertEquals(seen, [0, 0, 0, 1, 9]);
    await writing;
  }
});

Deno.test("identify refuses at the first byte that fits no protocol, and shows it harmless", async () => {
  const cases: readonly (readonly [Uint8Array, string])[] = [
    [Uint8Array.of(0xff, 0xff, 0xff, 0xff), "ff ff ff ff"],
    [new TextEncoder().encode("GOT / HTTP/1.1\r\n\r\n"), "47 4f 54 20 2f 20 48 54"],
    [new TextEncoder().encode("HELP|"), "48 45 4c 50 7c"],
    [new TextEncoder().encode("KITH/2\n"), "4b 49 54 48 2f 32 0a"],
    [new TextEncoder().encode("KITH/1\r\n"), "4b 49 54 48 2f 31 0d 0a"],
  ];
  for (const [bytes, shown] of cases) {
    const [raw, accepted] = await connectionPair();
    await raw.write(bytes);
    const error = await assertRejects(() => identify(accepted), InvalidPacketError, shown);
    assertEquals([error.code, error.details.first], ["bad-frame", shown]);
    raw.close();
    accepted.close();
  }
});

Deno.test("identify tells protocols apart by their first bytes, in one piece or in single bytes", async () => {
  const beginnings: readonly (readonly [string, Protocol])[] = [
    ["KITH/1\n", "native"],
    ["{", "witch"],
    ["HELLO|", "peerpy"],
    ["\0\0\0\x09", "peerconnect"],
    ["\x01\xff\xff\xff", "peerconnect"],
    ["GET ", "http"],
    ["HEAD ", "http"],
    ["POST ", "http"],
    ["PUT ", "http"],
    ["PATCH ", "http"],
    ["PRI ", "http"],
  ];
  for (const [text, wanted] of beginnings) {
    for (const pieceBytes of [1, 100]) {
      const [raw, accepted] = await connectionPair();
      const bytes = Uint8Array.from(text, (char) => char.charCodeAt(0));
      const writing = (async () => {
        for (let at = 0; at < bytes.length; at += pieceBytes) {
          await raw.write(bytes.subarray(at, at + pieceBytes));
        }
      })();
      const { protocol, first } = await identify(accepted);
      assertEquals([protocol, first], [wanted, bytes]);
      await writing;
      raw.close();
      accepted.close();
    }
  }
});

Deno.test("identify names how far a connection came that ended too soon", async () => {
  for (const count of [0, 6]) {
    const [raw, accepted] = await connectionPair();
    await raw.write(PREFACE.subarray(0, count));
    raw.close();
    await assertRejects(() => identify(accepted), ClosedError, `after ${count} bytes`);
  }
});

Deno.test("withinTime gives what the work gives, and leaves no timer", async () => {
  const clock = new ManualClock();
  let closed = 0;
  const connection = { close: () => void closed++ };
  assertEquals(await withinTime(connection, clock, 100, () => Promise.resolve("done")), "done");
  await clock.advance(1_000);
  assertEquals(closed, 0);
});

Deno.test("withinTime closes what fails, and passes the failure on", async () => {
  const clock = new ManualClock();
  let closed = 0;
  const connection = { close: () => void closed++ };
  const failure = new InvalidPacketError("bad-frame", "Not that");
  const failed = withinTime(connection, clock, 100, () => Promise.reject(failure));
  assertStrictEquals(await assertRejects(() => failed), failure);
  assertEquals(closed, 1);
  await clock.advance(1_000);
  assertEquals(closed, 1);
});

Deno.test("withinTime closes what takes too long, and names the limit", async () => {
  const clock = new ManualClock();
  const { promise, reject } = Promise.withResolvers<never>();
  const connection = { close: () => reject(new ClosedError("Connection was closed")) };
  const late = assertRejects(
    () => withinTime(connection, clock, 100, () => promise),
    TimeoutError,
    "handshakeMs 100",
  );
  await clock.advance(100);
  assertEquals((await late).details, { limit: "handshakeMs", max: 100 });
});
