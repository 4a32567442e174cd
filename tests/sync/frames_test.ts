import { assert, assertEquals, assertThrows } from "@std/assert";
import { deflateRawSync } from "node:zlib";
import { seededRandom } from "../../src/clock.ts";
import { InvalidPacketError } from "../../src/errors.ts";
import {
  DEFLATED,
  MAX_BATCH_MESSAGES,
  packMessages,
  unpackMessages,
} from "../../src/sync/frames.ts";
import { feedGarbage } from "../testdata/vectors.ts";

const all = { capabilities: ["batch", "deflate"] } as const;

function texts(count: number, chars: number): string[] {
  return Array.from({ length: count }, (_, n) => JSON.stringify({ n, text: "é".repeat(chars) }));
}

function deflated(text: string): Uint8Array {
  return Uint8Array.from([DEFLATED, ...deflateRawSync(text)]);
}

Deno.test("packMessages sends each message by itself to who can nothing else", () => {
  const some = texts(3, 2_000);
  assertEquals(packMessages(some), some);
  assertEquals(packMessages([]), []);
});

Deno.test("unpackMessages gives back what packMessages packed, in order and within the limit", () => {
  const random = seededRandom(5);
  for (let i = 0; i < 50; i++) {
    const some = texts(Math.floor(random() * 40), Math.floor(random() * 900));
    const maxBytes = 2_000 + Math.floor(random() * 20_000);
    for (const capabilities of [[], ["batch"], ["deflate"], ["batch", "deflate"]] as const) {
      const frames = packMessages(some, { capabilities, maxBytes });
      const found = frames.flatMap((frame) => unpackMessages(frame, { capabilities, maxBytes }));
      assertEquals(found.map((value) => JSON.stringify(value)), some);
    }
  }
  assertEquals(packMessages(texts(1_500, 0), all).length, 2);
  assertEquals(packMessages(texts(1_500, 100), all).every((one) => one.length < 20_000), true);
});

Deno.test("packMessages leaves alone what deflating does not make smaller", () => {
  assertEquals(packMessages(texts(1, 10), all), texts(1, 10));
  const noise = JSON.stringify(crypto.getRandomValues(new Uint8Array(2_000)).toBase64());
  assert(packMessages([noise], all)[0] instanceof Uint8Array); // six bits of eight
});

Deno.test("unpackMessages stops at the limit, however small the frame", () => {
  const bomb = deflated(`"${" ".repeat(20_000_000)}"`);
  assert(bomb.length < 30_000);
  // Said by the inflater, which stopped there, and not by who reads what it has made.
  const refusal = "it exceeds maxBytes 1048576";
  const error = assertThrows(() => unpackMessages(bomb, all), InvalidPacketError, refusal);
  assertEquals([error.code, error.details.limit], ["too-large", "maxBytes"]);
  const fits = deflated(`"${" ".repeat(98)}"`);
  assertEquals(unpackMessages(fits, { ...all, maxBytes: 100 }).length, 1);
  assertThrows(
    () => unpackMessages(fits, { ...all, maxBytes: 99 }),
    InvalidPacketError,
    "maxBytes 99",
  );
  const many = `[${Array(MAX_BATCH_MESSAGES + 1).fill("{}").join()}]`;
  assertThrows(() => unpackMessages(many, all), InvalidPacketError, "maxBatchMessages 1000");
});

Deno.test("unpackMessages refuses what was not agreed on", () => {
  assertThrows(() => unpackMessages("[{}]"), InvalidPacketError, "batches were not agreed on");
  assertThrows(
    () => unpackMessages(deflated("{}"), { capabilities: ["batch"] }),
    InvalidPacketError,
    "binary messages were not agreed on",
  );
  assertThrows(() => unpackMessages(Uint8Array.of(9, 1), all), InvalidPacketError, "no code");
  assertThrows(() => unpackMessages(new Uint8Array(0), all), InvalidPacketError, "no code");
});

Deno.test("unpackMessages meets any damage with values or an error of ours", () => {
  const samples = [deflated(JSON.stringify(texts(3, 9).map((text) => JSON.parse(text))))];
  for (let end = 0; end < (samples[0]?.length ?? 0); end++) {
    assertThrows(
      () => unpackMessages((samples[0] ?? []).slice(0, end) as Uint8Array, all),
      InvalidPacketError,
    );
  }
  feedGarbage((bytes) => unpackMessages(bytes, all), samples, { seed: 4, cases: 2_000 });
});
