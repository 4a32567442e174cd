import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { ClosedError, IntegrityError } from "../../src/errors.ts";
import { concat } from "../fuzz/generate.ts";
import {
  cipherPair,
  flipped,
  opened,
  pattern,
  Played,
  readAll,
  receiver,
  recordsOf,
  sealed,
  sender,
} from "./channel_fixture.ts";

const text = (value: string) => new TextEncoder().encode(value);

Deno.test("SecureConnection notices every bit of a record that is turned over, and gives nothing of it", async () => {
  const wire = await sealed([text("a first record"), text("and another")]);
  const [first = wire] = recordsOf(wire);
  for (let bit = 0; bit < first.length * 8; bit++) {
    const { bytes, error, inner } = await opened(flipped(wire, bit));
    assertEquals(bytes.length, 0);
    // A length that is too large may wait for what never comes.
    const mayBeCut = bit < 16;
    assert(error instanceof IntegrityError || (mayBeCut && error instanceof ClosedError), `${bit}`);
    if (!(error instanceof IntegrityError)) continue;
    assertEquals([error.code, error.details, inner.closed], ["bad-signature", { record: 0 }, true]);
    assert(error.message.startsWith("Cannot read from there:2: record 0 is not what was sent"));
  }
});

Deno.test("SecureConnection stays broken, and the record is named, once something was turned over", async () => {
  const records = recordsOf(await sealed([text("one"), text("two"), text("three")]));
  records[1] = flipped(records[1] ?? new Uint8Array(0), 40);
  const channel = receiver(new Played(concat(...records), 21)); // one record at a time
  const into = new Uint8Array(100);
  assertEquals(await channel.read(into), 3);
  for (const _ of [1, 2]) {
    const error = await assertRejects(() => channel.read(into), IntegrityError, "record 1 is not");
    assertEquals(error.details, { record: 1 });
  }
});

Deno.test("SecureConnection notices records that are left out, repeated or in another order", async () => {
  const plaintexts = ["one", "two", "three", "four"].map(text);
  const records = recordsOf(await sealed(plaintexts));
  const [one, two, three, four, ...end] = records as [Uint8Array, Uint8Array, ...Uint8Array[]];
  const wires: Record<string, Uint8Array[]> = {
    "the first left out": records.slice(1),
    "one left out": [one, ...records.slice(2)],
    "the last left out": [...records.slice(0, 3), ...end],
    "a part of the end left out": records.slice(0, 5),
    "all but the end left out": end,
    "the first repeated": [one, ...records],
    "one repeated": [one, two, two, three as Uint8Array, four as Uint8Array, ...end],
    "two exchanged": [two, one, ...records.slice(2)],
    "the end before the last": [...records.slice(0, 3), ...end, four as Uint8Array],
    "half an end repeated": [...records.slice(0, 5), ...records.slice(4, 5)],
  };
  for (const [what, wire] of Object.entries(wires)) {
    const { bytes, error } = await opened(concat(...wire));
    assert(error instanceof IntegrityError || error instanceof ClosedError, what);
    assert("onetwothreefour".startsWith(new TextDecoder().decode(bytes)), what);
  }
});

Deno.test("SecureConnection notices records of another connection, and its own sent back", async () => {
  const [first, second] = recordsOf(await sealed([text("one"), text("two")])) as [
    Uint8Array,
    Uint8Array,
  ];
  const [otherCiphers] = cipherPair(2);
  const [, foreign] = recordsOf(
    await sealed([text("one"), text("two")], { ciphers: otherCiphers }),
  );
  const replayed = await opened(concat(first, foreign ?? second));
  assertInstanceOf(replayed.error, IntegrityError);
  assertEquals(replayed.bytes.length, 0);
  const { error } = await readAll(sender(new Played(first)));
  assertInstanceOf(error, IntegrityError);
});

Deno.test("SecureConnection tells an end that was cut, after any byte, from one that was meant", async () => {
  const wire = await sealed([text("one"), text("two")]);
  for (let length = 0; length < wire.length; length++) {
    const { error } = await opened(wire.subarray(0, length));
    assertInstanceOf(error, ClosedError, `${length}`);
    assertEquals([error.details, error.message], [
      { cut: true },
      "The connection to there:2 was cut: nobody said that it ends",
    ]);
  }
  assertEquals((await opened(wire)).error, undefined);
  assertEquals((await opened(concat(wire, pattern(1_000)))).error, undefined); // no longer its own
});

Deno.test("SecureConnection refuses a record too short for its tag, and takes the longest", async () => {
  for (const length of [0, 1, 15]) {
    const wire = concat(Uint8Array.of(0, length), new Uint8Array(length));
    const { error } = await opened(wire);
    assertInstanceOf(error, IntegrityError);
    assert(error.message.endsWith(`it has only ${length} bytes`), error.message);
  }
  const { error } = await opened(concat(Uint8Array.of(255, 255), new Uint8Array(65_535)));
  assertInstanceOf(error, IntegrityError);
});
