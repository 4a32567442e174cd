/**
 * `kith wire`
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { InvalidPacketError } from "../errors.ts";
import { printable } from "../log.ts";
import { decodeDatagram, encodeDatagram } from "../wire/datagram.ts";
import { Decoder } from "../wire/decoder.ts";
import { FRAME_HEADER_BYTES, FrameReader, FrameWriter, MAX_FRAME_BYTES } from "../wire/frame.ts";
import { encodeJson } from "../wire/json.ts";
import { LineReader } from "../wire/line.ts";
import { decode, encode } from "../wire/msgpack.ts";
import { fromNotation, toNotation } from "./notation.ts";
import { UsageError } from "./options.ts";
import type { Output } from "./output.ts";
import { VECTORS } from "./vectors.ts";
import type { Invocation } from "./verbs.ts";

/** Decodes, encodes, or lists the conformance vectors. */
export async function run({ options, output, signal }: Invocation): Promise<void> {
  // Nothing to put in order: an interrupt ends it at once, also while it waits for input.
  signal.addEventListener("abort", () => Deno.exit(130), { once: true });
  const [what, ...rest] = options.args;
  if (rest.length > 0) throw new UsageError("It reads from stdin: there is nothing else to name");
  const form = formOf(options.has("bare"), options.has("datagram"));
  if (what === "decode") return await decodeInput(form, options.has("hex"), output);
  if (what === "encode") return await encodeInput(form, options.has("hex"), output);
  if (what === "vectors") return showVectors(output);
  throw new UsageError("One of decode, encode and vectors is missing");
}

type Form = "frames" | "bare" | "datagram";

function formOf(bare: boolean, datagram: boolean): Form {
  if (bare && datagram) throw new UsageError("--bare and --datagram exclude each other");
  return bare ? "bare" : datagram ? "datagram" : "frames";
}

async function decodeInput(form: Form, hex: boolean, output: Output): Promise<void> {
  const show = (offset: number, bytes: number, value: unknown, more = {}) => {
    if (value === undefined) return output.result({ offset, bytes }, `${offset}: (empty)`);
    const data = toNotation(value);
    const text = printable(encodeJson(data), Infinity);
    output.result({ offset, bytes, ...more, value: data }, `${offset}: ${text}`);
  };
  if (form === "frames" && !hex) return await decodeFrames(stdin(), show);
  const input = hex ? await hexInput() : await allInput();
  if (form === "frames") return await decodeFrames([input], show);
  if (form === "datagram") {
    const { code, payload } = decodeDatagram(input, { code: true, exact: false });
    return show(0, input.length, decode(payload, { allowTrailing: true }), { code });
  }
  const decoder = new Decoder();
  decoder.reset(input);
  while (decoder.remaining > 0) {
    const at = decoder.at;
    const value = decoder.value();
    show(at, decoder.at - at, value);
  }
}

async function decodeFrames(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  show: (offset: number, bytes: number, value: unknown) => void,
): Promise<void> {
  const reader = new FrameReader();
  let offset = 0;
  for await (const chunk of chunks) {
    reader.push(chunk);
    for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
      const bytes = frame.length + FRAME_HEADER_BYTES;
      // PeerConnect's empty frame is its liveness probe.
      show(offset, bytes, frame.length === 0 ? undefined : decode(frame, { allowTrailing: true }));
      offset += bytes;
    }
  }
  reader.end();
}

async function encodeInput(form: Form, hex: boolean, output: Output): Promise<void> {
  const reader = new LineReader({ maxLineBytes: MAX_FRAME_BYTES });
  const write = (bytes: Uint8Array) => {
    if (hex) output.bytes(new TextEncoder().encode(bytes.toHex() + "\n"));
    else output.bytes(bytes);
  };
  for await (const chunk of endingWithLf(stdin())) {
    reader.push(chunk);
    for (let data = reader.next(); data !== undefined; data = reader.next()) {
      write(encodeOne(form, data));
    }
  }
  reader.end();
}

/** What the encoder refuses came from stdin, so it is bad input and not a mistake of the caller. */
function encodeOne(form: Form, data: unknown): Uint8Array {
  try {
    return encodeAs(form, data);
  } catch (cause) {
    if (!(cause instanceof TypeError || cause instanceof RangeError)) throw cause;
    throw new InvalidPacketError("bad-message", cause.message, { cause });
  }
}

function encodeAs(form: Form, data: unknown): Uint8Array {
  if (form === "bare") return encode(fromNotation(data));
  if (form === "frames") {
    const writer = new FrameWriter();
    writer.frame(encode(fromNotation(data)));
    return Buffer.concat(writer.take());
  }
  const { code, value } = typeof data === "object" && data !== null ? data as never : {} as never;
  if (typeof code !== "number") {
    throw new InvalidPacketError("bad-message", 'A datagram is {"code": 16, "value": [...]}');
  }
  return encodeDatagram(code, encode(fromNotation(value)));
}

function showVectors(output: Output): void {
  let failed = 0;
  for (const { name, hex, value } of VECTORS) {
    const encoded = encode(fromNotation(value)).toHex();
    const decoded = encodeJson(toNotation(decode(Uint8Array.fromHex(hex))));
    const ok = encoded === hex && decoded === encodeJson(toNotation(fromNotation(value)));
    if (!ok) failed++;
    const text = `${ok ? "ok " : "BAD"} ${name.padEnd(36)} ${hex}  ${encodeJson(value)}`;
    output.result({ name, hex, value, ok }, text);
  }
  if (failed > 0) {
    throw new InvalidPacketError("bad-message", `${failed} of ${VECTORS.length} vectors failed`);
  }
}

async function* stdin(): AsyncGenerator<Uint8Array, void, void> {
  const buffer = new Uint8Array(64 * 1024);
  for (;;) {
    const count = await Deno.stdin.read(buffer);
    if (count === null) return;
    yield buffer.subarray(0, count);
  }
}

async function* endingWithLf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* chunks;
  yield new Uint8Array([0x0a]); // the last line may lack its own
}

/** All of stdin, at most 32 MiB: hexadecimal text is twice as long as its frame. */
async function allInput(): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of stdin()) {
    length += chunk.length;
    if (length > 2 * MAX_FRAME_BYTES) {
      throw new InvalidPacketError(
        "too-large",
        `Cannot read input: more than ${2 * MAX_FRAME_BYTES} bytes`,
      );
    }
    chunks.push(chunk.slice());
  }
  const all = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

async function hexInput(): Promise<Uint8Array> {
  const text = new TextDecoder().decode(await allInput()).replace(/\s+/g, "");
  try {
    return Uint8Array.fromHex(text);
  } catch (cause) {
    throw new InvalidPacketError("bad-message", "Cannot read input: it is not hexadecimal", {
      cause,
    });
  }
}
