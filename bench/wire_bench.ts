/**
 * `deno bench`: the wire's parts one by one, each group with the plainest way as its baseline.
 *
 * @module
 */

import { decode as stdDecode, encode as stdEncode, type ValueType } from "@std/msgpack";
import { Packr } from "msgpackr";
import { Decoder } from "../src/wire/decoder.ts";
import { FRAME_HEADER_BYTES, FrameReader, FrameWriter } from "../src/wire/frame.ts";
import { type MessageBody, readMessage, WIRE_VERSION, writeMessage } from "../src/wire/message.ts";
import { blobBody, smallBody, statusBody } from "./bodies.ts";

/** Messages per batch: what one socket write carries. */
const BATCH = 100;

const packr = new Packr({ useRecords: false });
const bodies: Record<string, MessageBody> = {
  "3 small fields": smallBody(),
  "1 KiB bin": blobBody(1024),
  "64 KiB bin": blobBody(65_536),
  "50-key nested": statusBody(),
};

for (const [what, body] of Object.entries(bodies)) {
  const message: ValueType = ["status", 1000, WIRE_VERSION, body as ValueType, null];
  const bytes = stdEncode(message);

  const encoding = { group: `encode ${what}` };
  const writer = new FrameWriter();
  let pending = 0;
  Deno.bench(`@std/msgpack: encode ${what}`, { ...encoding, baseline: true }, () => {
    stdEncode(message);
  });
  Deno.bench(`msgpackr: encode ${what}`, encoding, () => {
    packr.pack(message);
  });
  Deno.bench(`kith: encode ${what} into the batch`, encoding, () => {
    writer.begin();
    writeMessage(writer.encoder, "status", 1000, body);
    writer.end();
    if (++pending % BATCH === 0) writer.take();
  });

  const decoding = { group: `decode ${what}` };
  const decoder = new Decoder({ borrow: true });
  Deno.bench(`@std/msgpack: decode ${what}`, { ...decoding, baseline: true }, () => {
    stdDecode(bytes);
  });
  Deno.bench(`msgpackr: decode ${what}`, decoding, () => {
    packr.unpack(bytes);
  });
  Deno.bench(`kith: decode ${what} in the read buffer`, decoding, () => {
    decoder.reset(bytes);
    readMessage(decoder);
  });
}

const payload = stdEncode(["status", 1000, WIRE_VERSION, smallBody() as ValueType, null]);
const batch = plainFrames();

Deno.bench(`copies: ${BATCH} small frames out`, { group: "frames out", baseline: true }, () => {
  plainFrames();
});
const out = new FrameWriter();
Deno.bench(`FrameWriter: ${BATCH} small frames out`, { group: "frames out" }, () => {
  for (let i = 0; i < BATCH; i++) out.frame(payload);
  out.take();
});

Deno.bench(`slices: ${BATCH} small frames in`, { group: "frames in", baseline: true }, () => {
  const view = new DataView(batch.buffer);
  for (let at = 0; at < batch.length;) {
    const start = at + FRAME_HEADER_BYTES;
    at = start + view.getUint32(at);
    batch.slice(start, at);
  }
});
const reader = new FrameReader();
Deno.bench(`FrameReader: ${BATCH} small frames in`, { group: "frames in" }, () => {
  reader.push(batch);
  while (reader.advance());
});

/** Frames as anyone would write them: one array each, joined in the end. */
function plainFrames(): Uint8Array<ArrayBuffer> {
  const frames = Array.from({ length: BATCH }, () => {
    const frame = new Uint8Array(FRAME_HEADER_BYTES + payload.length);
    new DataView(frame.buffer).setUint32(0, payload.length);
    frame.set(payload, FRAME_HEADER_BYTES);
    return frame;
  });
  const joined = new Uint8Array(frames.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const frame of frames) {
    joined.set(frame, at);
    at += frame.length;
  }
  return joined;
}
