import { assert, assertEquals, assertMatch } from "@std/assert";
import { netTransport } from "../../src/transport/net.ts";
import type { NativeMessage } from "../../src/wire/message.ts";
import { shakeHands, type Stranger as Native, through } from "../endpoint/fixture.ts";
import { concat } from "../fuzz/generate.ts";
import { padded, Stranger } from "./stranger.ts";
import { Up } from "./up.ts";

/** More than the longest line, frame or body by orders of magnitude. */
const GIGABYTE = 1_000_000_000;

/** What a server may need at most while it is flooded: far more than it does, far less than the flood. */
const MAX_RESIDENT_BYTES = 300_000_000;

const HELLO = padded("HELLO|peer_name=127.0.0.1:51515&data_type=json&strict=False");

/** A native connection with as many requests behind its hello. @param piecesOf How what follows the keys leaves. */
async function native(
  port: number,
  requests: number,
  piecesOf: (bytes: Uint8Array<ArrayBuffer>) => Iterable<Uint8Array>,
): Promise<Native> {
  const connection = await netTransport.connect({ hostname: "127.0.0.1", port });
  const writes: Uint8Array[] = [];
  const write = async (bytes: Uint8Array) => {
    for (const piece of piecesOf(new Uint8Array(bytes))) await connection.write(piece);
  };
  const native = await shakeHands(through(connection, async (bytes) => {
    if (writes.push(bytes.slice()) === 1) await write(bytes);
  }));
  for (let id = 1; id <= requests; id++) await native.send("echo", { data: `call ${id}` }, id);
  await write(concat(...writes.slice(1)));
  return native;
}

/** The next native message. */
async function message(native: Native): Promise<Partial<NativeMessage>> {
  const { header = "the end", msgId = 0, body = {} } = await native.receive() ?? {};
  return { header, msgId, body };
}

/** What a stranger writes, all that it gets until the connection ends, and the counter that tells. */
type Row = readonly [what: string, data: string | Uint8Array, answer: RegExp, counter: string];

const u32 = (bytes: number) => Uint8Array.of(bytes >>> 24, bytes >>> 16, bytes >>> 8, bytes);
const utf8 = (text: string) => new TextEncoder().encode(text);
const KITH = "KITH/1\n";
const ACCEPTED = /^ACCEPT\|{122}$/;

const ROWS: readonly Row[] = [
  ["garbage", Uint8Array.of(0xde, 0xad, 0xbe, 0xef), /^$/, "accept.refused.bad-frame"],
  ["a beginning that goes wrong", "KITH/2\n", /^$/, "accept.refused.bad-frame"],
  ["a beginning that stops", "KIT", /^$/, "accept.refused.closed"],
  [
    "a key that is too long",
    new Uint8Array([...utf8(KITH), 0xff, 0xff, 1, 2, 3]),
    /^$/,
    "accept.refused.bad-channel",
  ],
  ["a key that is too short", `${KITH}\0\u0003abc`, /^$/, "accept.refused.bad-channel"],
  [
    "a key that everybody agrees on the same with",
    new Uint8Array([...utf8(KITH), 0, 32, ...new Uint8Array(32)]),
    /^$/,
    "accept.refused.bad-channel",
  ],
  [
    "PeerConnect",
    new Uint8Array([...u32(5), 0x95, 1, 2, 3, 4]),
    /^$/,
    "accept.refused.bad-message",
  ],
  ["PeerConnect's probe", u32(0), /^$/, "accept.probes"],
  ["HTTP", "GET / HTTP/1.1\r\n\r\n", /^HTTP\/1\.1 421 .*on port \d+\.\n$/s, "accept.established"],
  [
    "a line that is no JSON",
    '{"request": ping}\n',
    /"message": "Unknown data format"/,
    "witch.malformed",
  ],
  [
    "JSON that is nested too deeply",
    `{"a":${"[".repeat(99)}\n`,
    /nesting exceeds MAX_JSON_DEPTH/,
    "witch.malformed",
  ],
  [
    "an unknown endpoint",
    '{"endpoint": "zzz"}\n',
    /"message": "Unknown endpoint: zzz"/,
    "witch.requests",
  ],
  [
    "a line that is too long",
    `{"${"x".repeat(1_100_000)}`,
    /exceeds maxLineBytes 1048576/,
    "witch.too-large",
  ],
  [
    "an unknown data type",
    padded("HELLO|peer_name=a:1&data_type=xml&strict=True"),
    /^$/,
    "accept.refused.bad-message",
  ],
  ["a hello of nobody", padded("HELLO|data_type=json"), /^$/, "accept.refused.bad-message"],
  [
    "a pickle",
    padded("HELLO|peer_name=a:1&data_type=raw&strict=True"),
    /^DENY\|{124}$/,
    "session.denied",
  ],
  [
    "a negative size",
    HELLO + padded("DATA|data_size=-5&data_type=json"),
    ACCEPTED,
    "session.failed.bad-message",
  ],
  [
    "a size of 1 GB",
    HELLO + padded(`DATA|data_size=${GIGABYTE}&data_type=json`),
    ACCEPTED,
    "session.failed.too-large",
  ],
  [
    "data of an unknown type",
    HELLO + padded("DATA|data_size=1&data_type=xml"),
    ACCEPTED,
    "session.failed.bad-message",
  ],
  [
    "data that is no JSON",
    `${HELLO}${padded("DATA|data_size=1&data_type=json")}{`,
    ACCEPTED,
    "session.failed.bad-message",
  ],
];

Deno.test("up answers or counts whatever comes on its port, and goes on", async (t) => {
  await using bob = await Up.start(["--name", "bob", "--dialect", "all"]);

  const assertHonest = async (what: string) => {
    const { code, events, stderr } = await bob.run(["call", bob.address, "echo", "1", "--json"]);
    assertEquals([code, events], [0, [{ result: 1 }]], `${what}: ${stderr}`);
  };

  for (const [what, data, answer] of ROWS) {
    await t.step(what, async () => {
      using stranger = await Stranger.connect(bob.tcp);
      await stranger.write(data);
      await stranger.closeWrite();
      const [got] = await Promise.all([stranger.rest(), assertHonest(what)]);
      assertMatch(got, answer);
    });
  }

  await t.step("a line of 1 GB, of which little is read and nothing kept", async () => {
    using stranger = await Stranger.connect(bob.tcp);
    await stranger.write('{"request": "');
    const piece = new Uint8Array(1_000_000).fill(0x61);
    let sent = 0;
    const flood = async () => {
      for (; sent < GIGABYTE; sent += piece.length) await stranger.write(piece);
    };
    const [end] = await Promise.allSettled([flood(), assertHonest("flood")]);
    assertEquals(end.status, "rejected", "nobody stopped it");
    assert(sent < GIGABYTE / 10, `${sent} bytes were taken`);
    assertMatch(await stranger.rest(), /^$|exceeds maxLineBytes 1048576/);
    const resident = residentBytes(bob.kith.pid);
    assert(resident < MAX_RESIDENT_BYTES, `${resident} bytes resident`);
  });

  await t.step("two requests in one write, of either kind", async () => {
    using witch = await Stranger.connect(bob.tcp);
    await witch.write('{"request": "echo", "data": 1}\n{"endpoint": "echo", "data": 2}\n');
    assertEquals([(await witch.json()).echo, (await witch.json()).data], [1, 2]);
    const kith = await native(bob.tcp, 2, (bytes) => [bytes]);
    const messages = [await message(kith), await message(kith), await message(kith)];
    kith.close();
    assertEquals(messages.map(({ header, msgId }) => [header, msgId]), [
      [":accept", 0],
      [":ok", 1],
      [":ok", 2],
    ]);
    assertEquals(messages[2]?.body, { result: "call 2" });
  });

  await t.step("no hello, from somebody who knows how to keep secrets", async () => {
    const connection = await netTransport.connect({ hostname: "127.0.0.1", port: bob.tcp });
    const kith = await shakeHands(connection, "stranger", { header: "echo", body: { data: 1 } });
    const [deny] = await Promise.all([kith.receive(), assertHonest("no hello")]);
    assertEquals([deny?.header, deny?.body.code], [":deny", "bad-message"]);
    assertEquals(await kith.receive(), undefined);
    kith.close();
  });

  await t.step("a byte at a time, in every protocol", async () => {
    const speak = async <T>(
      data: string | Uint8Array,
      hear: (stranger: Stranger) => Promise<T>,
    ) => {
      using stranger = await Stranger.connect(bob.tcp);
      await stranger.dribble(data);
      return await hear(stranger);
    };
    const [, ok, witch, peerpy, http, probe] = await Promise.all([
      assertHonest("dribble"),
      native(bob.tcp, 1, byteByByte).then(async (kith) => {
        const [, answer] = [await message(kith), await message(kith)];
        kith.close();
        return answer;
      }),
      speak('{"request": "echo", "data": "slow"}\n', (stranger) => stranger.json()),
      speak(
        `${HELLO}${padded("DATA|data_size=16&data_type=json")}{"data": "slow"}`,
        async (stranger) => {
          return new TextDecoder().decode(await stranger.read(128));
        },
      ),
      speak("GET / HTTP/1.1\r\n\r\n", (stranger) => stranger.line()),
      speak(new Uint8Array(4), (stranger) => stranger.rest()),
    ]);
    assertEquals(ok, { header: ":ok", msgId: 1, body: { result: "call 1" } });
    assertEquals([witch.echo, peerpy, probe], ["slow", padded("ACCEPT"), ""]);
    assertMatch(http, /^HTTP\/1\.1 421 /);
    await bob.kith.event("message", ({ data }) => data === "slow");
  });

  const { code, stderr, events } = await bob.kith.interrupt();
  assertEquals(code, 130, stderr);
  const { counters } = events.at(-1) as { counters: Record<string, number> };
  for (const [counter, rows] of Map.groupBy(ROWS, ([, , , counter]) => counter)) {
    assert(Number(counters[counter]) >= rows.length, `${counter} ${counters[counter]}`);
  }
});

function* byteByByte(bytes: Uint8Array<ArrayBuffer>): Generator<Uint8Array> {
  for (const byte of bytes) yield Uint8Array.of(byte);
}

/** The most memory that a process has had; nothing where the system does not tell. */
function residentBytes(pid: number): number {
  if (Deno.build.os !== "linux") return 0;
  const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`)) ??
    [];
  return Number(kilobytes) * 1024;
}
