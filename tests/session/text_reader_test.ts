import { assertEquals, assertRejects } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { ClosedError, InvalidPacketError } from "../../src/errors.ts";
import { TextReader, UNPADDED_SILENCE_MS } from "../../src/session/text_reader.ts";
import { parseHello, type TextHeader } from "../../src/wire/text_header.ts";
import { connectionPair, isSettled, settle } from "../endpoint/fixture.ts";
import { joined, Original, padded, utf8 } from "./fixture.ts";

interface Ends extends Disposable {
  readonly original: Original;
  readonly reader: TextReader;
  readonly clock: ManualClock;
}

async function open(first?: Uint8Array): Promise<Ends> {
  const [left, right] = await connectionPair();
  return {
    original: new Original(left),
    reader: new TextReader(right, first),
    clock: new ManualClock(),
    [Symbol.dispose]: () => [left, right].forEach((connection) => connection.close()),
  };
}

const typeOf = ({ type }: TextHeader) => type;
const UNPADDED = "HELLO|peer_name=10.0.0.1:5&data_type=json";

Deno.test("TextReader reads headers and bodies however they are cut", async () => {
  const body = new Uint8Array(40_000).map((_, at) => at * 7);
  const bytes = joined(padded("PING"), padded("DATA|data_size=40000"), body, padded("DENY"));
  for (const size of [1, 127, 129, 1000, 100_000]) {
    using ends = await open(bytes.slice(0, 100));
    const { original, reader } = ends;
    const writing = (async () => {
      for (let at = 100; at < bytes.length; at += size) {
        await original.write(bytes.subarray(at, at + size));
      }
      original.close();
    })();
    assertEquals((await reader.readHeader())?.type, "PING");
    assertEquals((await reader.readHeader())?.fields.data_size, "40000");
    const into = new Uint8Array(body.length);
    assertEquals(await reader.readInto(into), body.length);
    assertEquals(into, body);
    assertEquals((await reader.readHeader())?.type, "DENY");
    assertEquals(await reader.readHeader(), undefined);
    assertEquals(await reader.readInto(into), 0);
    await writing;
  }
});

Deno.test("TextReader says where a stream ends within something", async () => {
  using header = await open();
  await header.original.write(padded("PING").subarray(0, 127));
  header.original.close();
  await assertRejects(
    () => header.reader.readHeader(),
    InvalidPacketError,
    "after 127 of 128 bytes",
  );
  using body = await open(utf8("abc"));
  await body.original.write("de");
  body.original.close();
  assertEquals(await body.reader.readInto(new Uint8Array(100)), 5);
});

Deno.test("TextReader.readFirst takes a padded header at its end, one byte at a time too", async () => {
  const { length } = UNPADDED;
  for (const cut of [6, length, 128]) {
    using ends = await open(padded(UNPADDED).slice(0, cut));
    const reading = ends.reader.readFirst(ends.clock, parseHello);
    await ends.original.dribble(joined(padded(UNPADDED).slice(cut), utf8("DATA")));
    assertEquals((await reading).peerName, "10.0.0.1:5");
    assertEquals(await ends.reader.peek(4), utf8("DATA"));
  }
});

Deno.test("TextReader.readFirst takes a header without padding after a silence", async () => {
  using ends = await open(utf8("HELLO|"));
  const { original, reader, clock } = ends;
  const reading = reader.readFirst(clock, parseHello);
  // What makes no sense yet is waited for, however long it takes.
  for (const piece of ["address_name=10.0", ".0.1:51515", "&data_type=js"]) {
    await original.write(piece);
    await clock.advance(10 * UNPADDED_SILENCE_MS);
  }
  await original.write("on&strict=Fal");
  await clock.advance(10 * UNPADDED_SILENCE_MS);
  await original.write("se");
  await clock.advance(UNPADDED_SILENCE_MS - 1);
  assertEquals(await isSettled(reading), false);
  await clock.advance(1);
  const terms = { dataType: "json", strict: false, stream: false } as const;
  assertEquals(await reading, { peerName: "10.0.0.1:51515", ...terms });
  await original.write(padded("PING"));
  assertEquals((await reader.readHeader())?.type, "PING");
});

Deno.test("TextReader.readFirst waits for the rest of padding, or skips it when it comes late", async () => {
  using begun = await open(padded(UNPADDED).slice(0, 100));
  const waiting = begun.reader.readFirst(begun.clock, typeOf);
  await begun.clock.advance(10 * UNPADDED_SILENCE_MS);
  assertEquals(await isSettled(waiting), false);
  await begun.original.write(padded(UNPADDED).slice(100));
  assertEquals(await waiting, "HELLO");

  using late = await open(utf8(UNPADDED));
  const taken = late.reader.readFirst(late.clock, typeOf);
  await settle();
  await late.clock.advance(UNPADDED_SILENCE_MS);
  assertEquals(await taken, "HELLO");
  await late.original.dribble(padded(UNPADDED).slice(UNPADDED.length));
  await late.original.write(padded("PING"), padded("DENY"));
  assertEquals((await late.reader.readHeader())?.type, "PING");
  assertEquals((await late.reader.readHeader())?.type, "DENY");
  await late.original.write(padded("|PING"));
  await assertRejects(() => late.reader.readHeader(), InvalidPacketError, "type");
});

Deno.test("TextReader.readFirst refuses what is whole and wrong, and what ends too soon", async () => {
  for (const text of ["HELLO|peer_name=x&data_type=json", "GARBAGE|", "HELLO|data_type=json"]) {
    using ends = await open(padded(text));
    await assertRejects(() => ends.reader.readFirst(ends.clock, parseHello), InvalidPacketError);
  }
  using ends = await open(utf8(UNPADDED));
  const reading = assertRejects(
    () => ends.reader.readFirst(ends.clock, parseHello),
    ClosedError,
    `after ${UNPADDED.length} bytes`,
  );
  await settle();
  ends.original.close();
  await reading;
});
