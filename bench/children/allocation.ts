/**
 * What a small message leaves on the heap; run with `--expose-gc` and a young generation in which everything that is
 * made between two collections has room.
 *
 * ```
 * SCRIPT retained | encoding | decoding     prints {"bytesPerMessage"}
 * ```
 *
 * @module
 */

import { HIGH_WATER_BYTES } from "../../src/transport/framed.ts";
import { Decoder } from "../../src/wire/decoder.ts";
import { FrameReader, FrameWriter } from "../../src/wire/frame.ts";
import { type NativeMessage, readMessage, writeMessage } from "../../src/wire/message.ts";
import { smallBody } from "../bodies.ts";
import { answer } from "./command_loop.ts";

const MESSAGES = 1_000_000;
const WARM_UP_MESSAGES = 300_000;
const HEADER = "note";

const body = smallBody();
const writer = new FrameWriter();
const reader = new FrameReader();
const decoder = new Decoder({ borrow: true });
/** Holds the last message, so that none is optimized away. */
const kept: { message?: unknown } = {};

const { gc } = globalThis as { gc?: () => void };
if (gc === undefined) throw new TypeError("This script needs --v8-flags=--expose-gc");

answer({ bytesPerMessage: measure(Deno.args[0]) });

function measure(what: string | undefined): number {
  switch (what) {
    case "retained":
      return heapGrowth(encodeAndDecode, { collect: true });
    case "encoding":
      return heapGrowth(encode, { collect: false });
    case "decoding": {
      // The same messages made by hand are what decoding may cost.
      const batch = new Uint8Array(writeFrames(1000));
      return heapGrowth((count) => decode(batch, count), { collect: false }) -
        heapGrowth(makeByHand, { collect: false });
    }
    default:
      throw new TypeError(`Cannot measure ${what}`);
  }
}

/** By how much the heap grows per message; with `collect` only what stays reachable counts. */
function heapGrowth(run: (count: number) => void, { collect }: { collect: boolean }): number {
  run(WARM_UP_MESSAGES);
  collectGarbage();
  const before = usedBytes();
  run(MESSAGES);
  if (collect) collectGarbage();
  return (usedBytes() - before) / MESSAGES;
}

/** Twice, because what the first finds dead outside the heap is only freed by the time of the second. */
function collectGarbage(): void {
  gc?.();
  gc?.();
}

function usedBytes(): number {
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

function encodeAndDecode(count: number): void {
  for (let id = 0; id < count; id++) {
    add(id);
    if (writer.pendingBytes >= HIGH_WATER_BYTES || id === count - 1) {
      for (const piece of writer.take()) readAll(piece);
    }
  }
}

/** Puts bytes into the reader's room and takes the frames out, piece by piece as a socket does. */
function readAll(piece: Uint8Array): void {
  for (let at = 0; at < piece.length;) {
    const room = reader.space();
    const part = piece.subarray(at, at + room.length);
    room.set(part);
    reader.commit(part.length);
    at += part.length;
    while (reader.advance()) kept.message = message(reader.buffer, reader.start, reader.stop);
  }
}

function encode(count: number): void {
  for (let id = 0; id < count; id++) {
    add(id);
    if (writer.pendingBytes >= HIGH_WATER_BYTES) writer.take();
  }
}

function writeFrames(count: number): Uint8Array {
  writer.take();
  for (let id = 0; id < count; id++) add(id);
  const [batch] = writer.take();
  return batch ?? new Uint8Array(0);
}

function decode(batch: Uint8Array, count: number): void {
  const view = new DataView(batch.buffer);
  for (let i = 0, at = 0; i < count; i++) {
    if (at === batch.length) at = 0;
    const start = at + 4;
    at = start + view.getUint32(at);
    kept.message = message(batch, start, at);
  }
}

function makeByHand(count: number): void {
  for (let id = 0; id < count; id++) {
    const made: Record<string, unknown> = {};
    for (const key in body) made[key] = body[key];
    kept.message = { header: HEADER, msgId: id & 0xffff, version: 1, body: made, peerId: null };
  }
}

function add(id: number): void {
  writer.begin();
  writeMessage(writer.encoder, HEADER, id & 0xffff, body);
  writer.end();
}

function message(bytes: Uint8Array, start: number, stop: number): NativeMessage {
  decoder.reset(bytes, start, stop);
  return readMessage(decoder);
}
