import { assert, assertEquals, assertThrows } from "@std/assert";
import { ClosedError, HandshakeError, InvalidPacketError } from "../../../src/errors.ts";
import {
  FileSender,
  type SendStep,
} from "../../../src/transfer/dialects/peerconnect_file_sender.ts";
import { loadVector } from "../../testdata/vectors.ts";
import { accepted, joined, NO, transcript, writes, YES } from "./peerconnect_files_fixture.ts";
import { drain, written } from "./peerconnect_fixture.ts";

Deno.test("FileSender writes what the originals write", () => {
  for (const name of ["one file", "two files"]) {
    const { files, sends } = transcript(name);
    const sender = accepted(files);
    assertEquals(writes(drain(sender), files), joined(sends), name);
    assert(sender.over && sender.accepted);
    sender.ended();
  }
});

Deno.test("FileSender cuts contents as the originals do", () => {
  const name = "200000 bytes of a5: chunk lengths";
  const vector = loadVector("peerconnect.file_transcript", name) as unknown as {
    send_lengths: number[];
    first_sends: string[];
  };
  const content = new Uint8Array(200_000).fill(0xa5);
  const steps = [...drain(accepted([{ name: "t3.bin", size: 200_000 }]))];
  const bytes = steps.map((step) => written(step, [content]));
  const [mark, announced, ...others] = vector.send_lengths;
  assertEquals(bytes.map(({ length }) => length), [(mark ?? 0) + (announced ?? 0), ...others]);
  assertEquals(bytes[0]?.toHex(), vector.first_sends.join(""));
});

Deno.test("FileSender starts anew with a receiver that has nothing", () => {
  const { files, sends } = transcript("two files");
  const sender = accepted(files);
  for (const _ of drain(sender));
  sender.connected();
  sender.push(YES);
  assertEquals(writes([sender.next() as SendStep], files), joined(sends).slice(0, 1));
  sender.connected();
  sender.push(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1)); // what it had got before does not count
  assertThrows(() => sender.next(), InvalidPacketError, "Cannot resume at 1 bytes");
  sender.connected();
  sender.push(YES);
  assertEquals(writes(drain(sender), files), joined(sends));
});

Deno.test("FileSender goes back a file each time the receiver is at another one", () => {
  const files = ["a", "b", "c", "d"].map((name) => ({ name, size: name === "b" ? 3 : 10 }));
  const sender = accepted(files);
  for (const _ of drain(sender));
  const offers: string[] = [];
  for (const has of [5, 5, 5, 5, 2, 2, 9]) {
    sender.connected();
    sender.push(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, has));
    const step = sender.next();
    assert(step?.type === "bytes");
    offers.push(new TextDecoder().decode(step.bytes.subarray(7, 8)) + step.bytes.at(-1));
  }
  // "b" is too short to be at 5.
  assertEquals(offers, ["d5", "c5", "a5", "d5", "d2", "c2", "d9"]);
});

Deno.test("FileSender does not go on where nothing was sent", () => {
  const sender = accepted([{ name: "a", size: 10 }, { name: "b", size: 100 }]);
  sender.next();
  sender.connected();
  sender.push(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1)); // "a" was announced, no more
  assertThrows(() => sender.next(), InvalidPacketError, "Cannot resume at 1 bytes");
});

Deno.test("FileSender is refused", () => {
  const sender = new FileSender([{ name: "a", size: 1 }]);
  sender.connected();
  sender.push(NO);
  assertEquals(assertThrows(() => sender.next(), HandshakeError).code, "denied");
  assert(!sender.accepted);

  const later = accepted([{ name: "a", size: 1 }]);
  later.next();
  later.connected();
  later.push(NO);
  assertEquals(later.next(), undefined); // it may be the point at which to resume
  assertEquals(assertThrows(() => later.ended(), HandshakeError).code, "denied");
});

Deno.test("FileSender refuses answers that are none, and bytes out of turn", () => {
  const file = { name: "a", size: 200_000 };
  const first = new FileSender([file]);
  first.connected();
  first.push(Uint8Array.of(2));
  assertThrows(() => first.next(), InvalidPacketError, "answer: 2 is neither");

  const late = accepted([file]);
  late.next();
  late.push(YES);
  assertThrows(() => late.next(), InvalidPacketError, "1 bytes out of turn");

  const behind = accepted([]);
  for (const _ of drain(behind));
  behind.push(YES);
  assertThrows(() => behind.next(), InvalidPacketError, "after the end");

  const flooded = accepted([file]);
  assertThrows(() => flooded.push(new Uint8Array(9)), InvalidPacketError, "at most 8");

  const beyond = accepted([file]);
  beyond.next();
  beyond.connected();
  beyond.push(Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0));
  assertThrows(() => beyond.next(), InvalidPacketError, "exceeds");

  const gone = accepted([file]);
  assertThrows(() => gone.ended(), ClosedError, "the receiver closed");
});

Deno.test("FileSender refuses files that it could not tell apart, and sizes that are none", () => {
  const file = (name: string, size = 1) => ({ name, size });
  assertThrows(() => new FileSender([file("\u00e9"), file("e\u0301")]), RangeError, "differ");
  assertThrows(() => new FileSender([file("")]), RangeError, "empty");
  for (const size of [-1, 0.5, NaN, 2 ** 53]) {
    assertThrows(() => new FileSender([file("a", size)]), RangeError, "Sizes");
  }
});
