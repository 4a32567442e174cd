import { assertEquals, assertThrows } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import {
  isMedia,
  MAX_MEDIA_STREAMS,
  mediaChunk,
  type MediaEvent,
  mediaObject,
  mediaPieces,
  MediaStreams,
} from "../../src/rpc/witch_media.ts";
import type { WitchMessage } from "../../src/rpc/witch_message.ts";
import { Float64 } from "../../src/wire/msgpack_types.ts";
import { pythonJson } from "../../src/wire/json.ts";
import { bytesOf, loadVector } from "../testdata/vectors.ts";
import { VECTOR_MS } from "./witch_fixture.ts";

function start(streamId: unknown, more: WitchMessage = {}): WitchMessage {
  return { action: "start_stream", stream_id: streamId, ...more };
}

function chunk(streamId: string, more: WitchMessage = {}): WitchMessage {
  return { stream_id: streamId, content: "AAEC", ...more };
}

/** Streams without a sink, and what the sink would have had. */
function streams(): { streams: MediaStreams; clock: ManualClock; events: MediaEvent[] } {
  const clock = new ManualClock();
  const events: MediaEvent[] = [];
  return { clock, events, streams: new MediaStreams(clock, (event) => void events.push(event)) };
}

function errorOf({ status, error }: WitchMessage): unknown {
  return status === "error" ? error : status;
}

Deno.test("mediaObject and mediaChunk are what the original makes", () => {
  const wallMs = VECTOR_MS;
  const made: [name: string, message: WitchMessage][] = [
    ["image 3 bytes", mediaObject(Uint8Array.of(0, 1, 2), { mediaType: "image", wallMs })],
    ["empty", mediaObject(new Uint8Array(0), { wallMs })],
    [
      "chunk",
      mediaChunk(new TextEncoder().encode("abc"), { streamId: "s", index: 0, total: 2, wallMs }),
    ],
    [
      "last chunk with metadata",
      mediaChunk(new Uint8Array(0), {
        mediaType: "video",
        streamId: "s",
        index: 1,
        total: 2,
        last: true,
        metadata: { w: 1 },
        wallMs,
      }),
    ],
  ];
  for (const [name, message] of made) {
    const text = new TextDecoder().decode(bytesOf(loadVector("witch.media_value", name)));
    assertEquals(pythonJson(message), text, name);
  }
});

Deno.test("mediaPieces cuts as the original does, and nothing is one piece", () => {
  const lengths = (...cut: Parameters<typeof mediaPieces>) =>
    [...mediaPieces(...cut)].map(({ length }) => length);
  const { value } = loadVector("witch.media_value", "chunk split of 150000 bytes at 65536");
  assertEquals({ lengths: lengths(new Uint8Array(150_000)) }, value);
  assertEquals(lengths(new Uint8Array(0)), [0]);
  assertEquals(lengths(new Uint8Array(6), 3), [3, 3]);
  assertEquals(lengths(new Uint8Array(7), 3), [3, 3, 1]);
  for (const size of [0, -1, NaN]) {
    assertThrows(() => lengths(new Uint8Array(6), size), RangeError, "chunkBytes");
  }
});

Deno.test("isMedia tests as the original does", () => {
  const media: WitchMessage[] = [
    { stream_id: 5 },
    { media_type: "image", content: "" },
    { action: "start_stream" },
    { action: "stream_anything" },
  ];
  for (const message of media) assertEquals(isMedia(message), true, JSON.stringify(message));
  const others: WitchMessage[] = [
    {},
    { media_type: "image" },
    { content: "" },
    { action: "start" },
    { action: 5 },
    { endpoint: "stream_id" },
  ];
  for (const message of others) assertEquals(isMedia(message), false, JSON.stringify(message));
});

Deno.test("MediaStreams counts a stream and hands it over piece by piece", async () => {
  const { streams: media, clock, events } = streams();
  await media.take(start("s", { media_type: "audio", metadata: { rate: 8000 } }));
  await clock.advance(1_500);
  const first = await media.take(chunk("s", { metadata: "{}" }));
  const about = { stream_id: "s" };
  assertEquals(first, {
    status: "success",
    data: { status: "chunk_received", ...about, chunk_index: 0, received_chunks: 1 },
  });
  const last = await media.take(chunk("s", { chunk_index: 7, is_last: true, content: "Aw==" }));
  const totals = { total_chunks: 2, total_bytes: 4, duration: new Float64(1.5) };
  assertEquals(last, {
    status: "success",
    data: { status: "stream_completed", ...about, ...totals },
  });
  const same = { streamId: "s", mediaType: "audio" };
  assertEquals(events, [
    { type: "started", ...same, metadata: { rate: 8000 } },
    {
      type: "chunk",
      ...same,
      index: 0,
      last: false,
      content: Uint8Array.of(0, 1, 2),
      metadata: "{}",
    },
    {
      type: "chunk",
      ...same,
      index: 7,
      last: true,
      content: Uint8Array.of(3),
      metadata: undefined,
    },
  ]);
});

Deno.test("MediaStreams does not count a piece that its sink refuses", async () => {
  let full = true;
  const media = new MediaStreams(new ManualClock(), ({ type }) => {
    if (type === "chunk" && full) throw new Error("full");
  });
  await media.take(start("s"));
  assertEquals(await media.take(chunk("s")).catch(({ message }) => message), "full");
  full = false;
  const { data } = await media.take(chunk("s")) as { data: WitchMessage };
  assertEquals(data.received_chunks, 1);
});

Deno.test("MediaStreams has room for the next stream when one is complete", async () => {
  const { streams: media } = streams();
  for (let n = 0; n < MAX_MEDIA_STREAMS; n++) {
    assertEquals(errorOf(await media.take(start(`s${n}`))), "success");
  }
  assertEquals(await media.take(start("more")), {
    status: "error",
    error: "limit",
    message: "There are 16 streams already (MAX_MEDIA_STREAMS)",
  });
  const took = async (message: WitchMessage) => errorOf(await media.take(message));
  assertEquals(await took(chunk("s3", { is_last: true })), "success");
  assertEquals(await took(chunk("s5", { is_last: true })), "success");
  assertEquals(await took(chunk("s5")), "success"); // one may follow the last
  assertEquals(await took(start("s3")), "success"); // begins again, and is the newest
  assertEquals(await took(chunk("s3", { is_last: true })), "success");
  assertEquals(await took(start("more")), "success");
  assertEquals(await took(chunk("s5")), "unknown_stream");
  assertEquals(await took(chunk("s3")), "success");
  assertEquals(await took(start("still more")), "success");
  assertEquals(await took(chunk("s3")), "unknown_stream");
  assertEquals(await took(start("too many")), "limit");
});

Deno.test("MediaStreams refuses what is malformed, and counts and hands over nothing of it", async () => {
  const { streams: media, events } = streams();
  await media.take(start("s"));
  const long = "x".repeat(201);
  const malformed: WitchMessage[] = [
    start(undefined),
    start(""),
    start(5),
    start(long),
    start("t", { media_type: long }),
    start("t", { media_type: null }),
    { action: "stream_stop" },
    { stream_id: "s" },
    chunk("s", { content: "=" }),
    chunk("s", { content: "AAEC", encoding: "hex" }),
    chunk("s", { content: [0, 1, 2] }),
    chunk("s", { chunk_index: -1 }),
    chunk("s", { chunk_index: 0.5 }),
    chunk("s", { chunk_index: "0" }),
    chunk("s", { is_last: 1 }),
    { media_type: "image", content: "AAE!" },
    { media_type: 5, content: "AAEC" },
  ];
  for (const message of malformed) {
    assertEquals(errorOf(await media.take(message)), "invalid_media", JSON.stringify(message));
  }
  assertEquals(events.map(({ type }) => type), ["started"]);
  const { data } = await media.take(chunk("s")) as { data: WitchMessage };
  assertEquals(data.received_chunks, 1);
});
