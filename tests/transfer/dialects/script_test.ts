import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../../src/errors.ts";
import { type ByteIntake, type Run, Script } from "../../../src/transfer/dialects/script.ts";
import { bytewise, drain, feed } from "./peerconnect_fixture.ts";

type Item = readonly number[];

/** A length and so many bytes, until the length is 0. */
function* portions(intake: ByteIntake): Run<Item> {
  for (;;) {
    const [length = 0] = yield* intake.take(1);
    if (length === 0) return;
    yield [...yield* intake.take(length)];
  }
}

function begun(): {
  script: Script<Item>;
  push(bytes: Uint8Array): void;
  next(): Item | undefined;
} {
  const script = new Script<Item>();
  script.begin(portions(script.intake));
  return { script, push: (bytes) => script.intake.push(bytes), next: () => script.next() };
}

const BYTES = Uint8Array.of(2, 7, 8, 1, 9, 0);
const ITEMS = [[7, 8], [9]];

Deno.test("Script gives the same items for whole input and byte by byte", () => {
  for (const pieces of [[BYTES], bytewise(BYTES)]) {
    const machine = begun();
    assertEquals([...feed(machine, pieces)], ITEMS);
    assert(machine.script.over);
    assertEquals(machine.next(), undefined);
  }
});

Deno.test("Script takes several pushes before it goes on", () => {
  const machine = begun();
  for (const piece of bytewise(BYTES)) machine.push(piece.slice());
  assertEquals([...drain(machine)], ITEMS);
});

Deno.test("Script gives nothing before it has begun", () => {
  const script = new Script<Item>();
  assertEquals(script.next(), undefined);
  assert(!script.over);
});

Deno.test("Script refuses bytes behind its end, at once and later", () => {
  const atOnce = begun();
  atOnce.push(Uint8Array.of(0, 5));
  assertThrows(() => atOnce.next(), InvalidPacketError, "1 bytes after the end");
  const later = begun();
  later.push(Uint8Array.of(0));
  assertEquals(later.next(), undefined);
  later.push(Uint8Array.of(5));
  assertThrows(() => later.next(), InvalidPacketError, "after the end");
});

Deno.test("Script throws the same again after a fault, until it begins anew", () => {
  const script = new Script<Item>();
  const fault = new Error("fault");
  script.begin((function* (): Run<Item> {
    yield [1];
    throw fault;
  })());
  assertEquals(script.next(), [1]);
  for (let i = 0; i < 2; i++) assertEquals(assertThrows(() => script.next()), fault);
  script.intake.push(BYTES);
  script.begin(portions(script.intake));
  assertEquals(script.next(), undefined); // what was left is forgotten
  script.intake.push(BYTES);
  assertEquals([...drain(script)], ITEMS);
});

Deno.test("ByteIntake.some gives what has come, no more than asked for", () => {
  const script = new Script<Item>();
  const { intake } = script;
  script.begin((function* (): Run<Item> {
    for (;;) yield [...yield* intake.some(3)];
  })());
  intake.push(Uint8Array.of(1, 2, 3, 4));
  assertEquals([...drain(script)], [[1, 2, 3], [4]]);
});
