import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../src/errors.ts";
import { FrameReader, FrameWriter, SPLICE_FROM_BYTES } from "../../src/wire/frame.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { concat, Generator } from "../fuzz/generate.ts";
import { fromNotation, loadVectors } from "../testdata/vectors.ts";

function frameOf(payload: Uint8Array): Uint8Array {
  const writer = new FrameWriter();
  writer.frame(payload);
  return concat(...writer.take());
}

function drain(reader: FrameReader): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
    frames.push(frame.slice());
  }
  return frames;
}

Deno.test("FrameWriter and FrameReader agree with the original's frames", async () => {
  for (const { name, value, hex, ...rule } of loadVectors("peerconnect.stream_frame")) {
    const large = value as { repeat_byte?: string; count?: number };
    const payload = large.repeat_byte !== undefined
      ? new Uint8Array(large.count ?? 0).fill(parseInt(large.repeat_byte, 16))
      : fromNotation(value) as Uint8Array;
    const frame = frameOf(payload);
    if (hex !== undefined) {
      assertEquals(frame.toHex(), hex, name);
    } else {
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-1", frame.slice()));
      assertEquals(digest.toHex(), (rule as { frame_sha1?: string }).frame_sha1, name);
    }
    const reader = new FrameReader();
    reader.push(frame);
    assertEquals(drain(reader), [payload], name);
    reader.end();
  }
});

Deno.test("FrameReader gives the same frames for any split of the bytes", () => {
  const generator = new Generator(11);
  const sizes = [0, 1, 3, 4, 5, 100, 5000, 20_000, 70_000, 300_000];
  for (let round = 0; round < 25; round++) {
    const payloads = Array.from(
      { length: 12 },
      () => new Uint8Array(generator.pick(sizes)).fill(round),
    );
    const stream = concat(...payloads.map(frameOf));
    const reader = new FrameReader();
    const frames: Uint8Array[] = [];
    for (let at = 0; at < stream.length;) {
      const space = reader.space();
      assert(space.length > 0);
      const count = Math.min(
        space.length,
        1 + generator.below(generator.pick([3, 5000, 90_000])),
        stream.length - at,
      );
      space.set(stream.subarray(at, at + count));
      reader.commit(count);
      at += count;
      if (generator.below(3) > 0) frames.push(...drain(reader)); // sometimes frames pile up
    }
    frames.push(...drain(reader));
    reader.end();
    assertEquals(frames.map((frame) => frame.length), payloads.map((payload) => payload.length));
    assertEquals(frames, payloads);
  }
});

Deno.test("FrameReader reads frames that come one byte at a time", () => {
  const stream = concat(
    frameOf(encode("hello")),
    frameOf(new Uint8Array(0)),
    frameOf(encode([1, 2])),
  );
  const reader = new FrameReader();
  const frames: Uint8Array[] = [];
  for (const byte of stream) {
    reader.push(new Uint8Array([byte]));
    frames.push(...drain(reader));
  }
  assertEquals(frames, [encode("hello"), new Uint8Array(0), encode([1, 2])]);
});

Deno.test("FrameReader hands out views of its buffer, not copies", () => {
  const reader = new FrameReader();
  reader.push(frameOf(new Uint8Array([1, 2, 3])));
  const frame = reader.next();
  assert(frame?.buffer === reader.buffer.buffer);
});

Deno.test("FrameReader refuses a length over the limit as soon as it has come", () => {
  const reader = new FrameReader({ maxFrameBytes: 1000 });
  reader.push(new Uint8Array([0, 0, 3, 0xe8]));
  assertEquals(reader.next(), undefined); // 1000 is allowed
  const over = new FrameReader({ maxFrameBytes: 1000 });
  over.push(new Uint8Array([0, 0, 3, 0xe9]));
  const error = assertThrows(
    () => over.next(),
    InvalidPacketError,
    "1001 exceeds maxFrameBytes 1000",
  );
  assertEquals([error.code, error.details.limit], ["too-large", "maxFrameBytes"]);
});

Deno.test("FrameReader allocates by what has come, not by what a length claims", () => {
  const before = Deno.memoryUsage().external;
  const readers: FrameReader[] = [];
  for (let i = 0; i < 16; i++) {
    const reader = new FrameReader();
    reader.push(new Uint8Array([0, 0xff, 0xff, 0xff, 1])); // claims 16 MiB
    assertEquals(reader.next(), undefined);
    readers.push(reader);
  }
  assertEquals(readers.every((reader) => reader.buffer.length <= 64 * 1024), true);
  assert(Deno.memoryUsage().external - before < 4 * 1024 * 1024);
  const four = new FrameReader();
  four.push(new Uint8Array([0xff, 0xff, 0xff, 0xff]));
  assertThrows(() => four.next(), InvalidPacketError, "4294967295");
});

Deno.test("FrameReader gives back the memory of a large frame", () => {
  const reader = new FrameReader();
  reader.push(frameOf(new Uint8Array(3_000_000)));
  assertEquals(reader.next()?.length, 3_000_000);
  reader.space();
  assert(reader.buffer.length <= 1.1 * 1024 * 1024);
});

Deno.test("FrameReader tells an end inside a frame from an end between frames", () => {
  const between = new FrameReader();
  between.push(frameOf(encode("x")));
  between.next();
  between.end();
  const inHeader = new FrameReader();
  inHeader.push(new Uint8Array([0, 0]));
  assertThrows(() => inHeader.end(), InvalidPacketError, "2 of 4 bytes");
  const inPayload = new FrameReader();
  inPayload.push(new Uint8Array([0, 0, 0, 9, 1]));
  const error = assertThrows(() => inPayload.end(), InvalidPacketError, "5 of 13 bytes");
  assertEquals(error.code, "bad-frame");
});

Deno.test("FrameWriter puts many frames into one piece and leaves large payloads where they are", () => {
  const writer = new FrameWriter();
  const large = new Uint8Array(SPLICE_FROM_BYTES).fill(5);
  writer.frame(new Uint8Array([1]));
  writer.begin();
  writer.encoder.value({ data: large });
  writer.end();
  writer.frame(large);
  writer.frame(new Uint8Array([2]));
  assertEquals(writer.pendingBytes, 5 + 4 + 1 + 5 + 5 + large.length + 4 + large.length + 5);
  const pieces = writer.take();
  assertEquals(pieces.length, 5);
  assert(pieces[1]?.buffer === large.buffer && pieces[3]?.buffer === large.buffer);
  const reader = new FrameReader();
  reader.push(concat(...pieces));
  assertEquals(drain(reader), [
    new Uint8Array([1]),
    encode({ data: large }),
    large,
    new Uint8Array([2]),
  ]);
  assertEquals(writer.pendingBytes, 0);
});

Deno.test("FrameWriter drops a frame over the limit and keeps those before it", () => {
  const writer = new FrameWriter({ maxFrameBytes: 100 });
  writer.frame(new Uint8Array([1]));
  const error = assertThrows(
    () => writer.frame(new Uint8Array(101)),
    InvalidPacketError,
    "101 exceeds maxFrameBytes 100",
  );
  assertEquals(error.code, "too-large");
  assertThrows(() => writer.frame(new Uint8Array(SPLICE_FROM_BYTES)), InvalidPacketError);
  writer.begin();
  writer.encoder.value("half a message");
  writer.abort();
  writer.frame(new Uint8Array([2]));
  assertEquals(
    concat(...writer.take()),
    concat(frameOf(new Uint8Array([1])), frameOf(new Uint8Array([2]))),
  );
});

Deno.test("FrameWriter keeps a batch intact while the next one fills", () => {
  const writer = new FrameWriter();
  writer.frame(new Uint8Array([1]));
  const first = writer.take();
  writer.frame(new Uint8Array([2]));
  assertEquals(concat(...first), frameOf(new Uint8Array([1])));
  assertEquals(concat(...writer.take()), frameOf(new Uint8Array([2])));
});
