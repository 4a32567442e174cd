/**
 * How fast a message becomes bytes and bytes a message, in one process, against the codecs that others use.
 *
 * Ours goes the way of a connection: encoded between `begin` and `end` into the batch of a `FrameWriter`, which is taken
 * whenever a connection would write it; decoded by one `Decoder` out of a read buffer that holds many frames. (From
 * 64 KiB on a connection writes a `bin` from where it lies, so no copy of it is measured.) The others get the same five
 * elements, and on decoding a message that is already cut out for them.
 *
 * @module
 */

import { decode as stdDecode, encode as stdEncode, type ValueType } from "@std/msgpack";
import { Packr } from "msgpackr";
import { HIGH_WATER_BYTES } from "../../src/transport/framed.ts";
import { Decoder } from "../../src/wire/decoder.ts";
import { FRAME_HEADER_BYTES, FrameWriter } from "../../src/wire/frame.ts";
import {
  type MessageBody,
  readMessage,
  WIRE_VERSION,
  writeMessage,
} from "../../src/wire/message.ts";
import { blobBody, smallBody, statusBody } from "../bodies.ts";
import type { Contest, Race } from "../question.ts";

/** Long enough for the clock and a few garbage collections, short enough for many rounds. */
const SAMPLE_MS = 30;
/** What both sides do before the first sample, in samples: by then the compiler has settled. */
const WARM_UP_SAMPLES = 8;
/** Frames lie one after another in a read buffer of about this size. */
const READ_BYTES = 256 * 1024;

const HEADER = "status";

/** Does an operation `count` times. */
type Loop = (count: number) => void;
type Body = () => MessageBody;

const small: Body = smallBody;
const kilobyte: Body = () => blobBody(1024);
const large: Body = () => blobBody(65_536);
const nested: Body = statusBody;

/** Every codec question. */
export const codecQuestions: readonly Race[] = [
  encodes("3 small fields", small, "msgpackr", 1.1),
  encodes("1 KiB bin", kilobyte, "msgpackr", 1.8),
  encodes("64 KiB bin (not copied)", large, "msgpackr", 4),
  encodes("50-key nested", nested, "msgpackr", 1.05),
  decodes("3 small fields", small, "msgpackr", 1.1),
  decodes("1 KiB bin", kilobyte, "msgpackr", 1.5),
  decodes("64 KiB bin", large, "msgpackr", 1.5),
  decodes("50-key nested", nested, "msgpackr", 1.25),
  encodes("3 small fields", small, "@std/msgpack", 22),
  encodes("50-key nested", nested, "@std/msgpack", 28),
  decodes("3 small fields", small, "@std/msgpack", 3),
  decodes("50-key nested", nested, "@std/msgpack", 4),
];

type Rival = "msgpackr" | "@std/msgpack";

function encodes(what: string, body: Body, rival: Rival, atLeast: number): Race {
  const name = `encode ${what} vs ${rival}`;
  const open = () => contest(encodeLoop(body()), rivalEncodeLoop(rival, body()));
  return { type: "race", name, unit: "messages", atLeast, open };
}

function decodes(what: string, body: Body, rival: Rival, atLeast: number): Race {
  const name = `decode ${what} vs ${rival}`;
  const open = () => contest(decodeLoop(body()), rivalDecodeLoop(rival, body()));
  return { type: "race", name, unit: "messages", atLeast, open };
}

function encodeLoop(body: MessageBody): Loop {
  const writer = new FrameWriter();
  return (count) => {
    for (let id = 0; id < count; id++) {
      writer.begin();
      writeMessage(writer.encoder, HEADER, id & 0xffff, body);
      writer.end();
      if (writer.pendingBytes >= HIGH_WATER_BYTES) writer.take();
    }
  };
}

function rivalEncodeLoop(rival: Rival, body: MessageBody): Loop {
  const message = [HEADER, 0, WIRE_VERSION, body, null];
  const packr = new Packr({ useRecords: false });
  const encode = rival === "msgpackr"
    ? () => packr.pack(message)
    : () => stdEncode(message as ValueType);
  return (count) => {
    for (let id = 0; id < count; id++) {
      message[1] = id & 0xffff;
      encode();
    }
  };
}

function decodeLoop(body: MessageBody): Loop {
  const { batch, starts, stops } = framesOf(body);
  const decoder = new Decoder({ borrow: true });
  return (count) => {
    for (let i = 0, frame = 0; i < count; i++, frame++) {
      if (frame === starts.length) frame = 0;
      decoder.reset(batch, starts[frame], stops[frame]);
      readMessage(decoder);
    }
  };
}

function rivalDecodeLoop(rival: Rival, body: MessageBody): Loop {
  const bytes = stdEncode([HEADER, 1000, WIRE_VERSION, body as ValueType, null]);
  const packr = new Packr({ useRecords: false });
  const decode = rival === "msgpackr" ? () => packr.unpack(bytes) : () => stdDecode(bytes);
  return (count) => {
    for (let i = 0; i < count; i++) decode();
  };
}

/** A read buffer full of frames, as one read of the socket leaves it. */
function framesOf(body: MessageBody): { batch: Uint8Array; starts: number[]; stops: number[] } {
  const message = stdEncode([HEADER, 1000, WIRE_VERSION, body as ValueType, null]);
  const frameBytes = FRAME_HEADER_BYTES + message.length;
  const frames = Math.max(1, Math.floor(READ_BYTES / frameBytes));
  const batch = new Uint8Array(frames * frameBytes);
  const starts = Array.from({ length: frames }, (_, i) => i * frameBytes + FRAME_HEADER_BYTES);
  for (const start of starts) batch.set(message, start);
  return { batch, starts, stops: starts.map((start) => start + message.length) };
}

function contest(ours: Loop, baseline: Loop): Contest {
  const sides = [sampler(ours), sampler(baseline)] as const;
  for (let i = 0; i < WARM_UP_SAMPLES; i++) sides.forEach((sample) => sample());
  return { ours: sides[0], baseline: sides[1], [Symbol.asyncDispose]: () => Promise.resolve() };
}

/** Finds how many operations fill a sample; every sample then takes as many. */
function sampler(loop: Loop): () => number {
  let count = 1;
  while (elapsedMs(loop, count) < SAMPLE_MS) count *= 2;
  return () => count / elapsedMs(loop, count) * 1000;
}

function elapsedMs(loop: Loop, count: number): number {
  const startedAt = performance.now();
  loop(count);
  return performance.now() - startedAt;
}
