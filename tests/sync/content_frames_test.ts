import { assert, assertEquals, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { InvalidPacketError } from "../../src/errors.ts";
import { type ContentFrame, decodeContent, encodeContent } from "../../src/sync/content_frames.ts";
import { DEFLATED } from "../../src/sync/frames.ts";

const SHA256 = "00112233445566778899aabbccddeeff".repeat(2);

/** One of each, and the bytes that it is. */
const GOLDEN: readonly (readonly [frame: ContentFrame, hex: string])[] = [
  [
    {
      type: "want",
      id: 7,
      sha256: SHA256,
      size: 1_000_000,
      offset: 4096,
      blockBytes: 2048,
      signsBytes: 40,
    },
    `0200000007${SHA256}412e84800000000040b00000000000000000080000000028`,
  ],
  [{ type: "signs", id: 1, signs: Uint8Array.of(1, 2) }, "03000000010102"],
  [{ type: "data", id: 0xffffffff, data: Uint8Array.of(9) }, "04ffffffff09"],
  [{ type: "copy", id: 1, from: 65_536, length: 513 }, "050000000140f000000000000000000201"],
  [{ type: "end", id: 1, data: new Uint8Array() }, "0600000001"],
  [{ type: "none", id: 1 }, "0700000001"],
  [{ type: "grant", id: 1, bytes: 524_288 }, "080000000100080000"],
  [{ type: "drop", id: 1 }, "0900000001"],
  [{ type: "nothing", id: 0 }, "0a00000000"],
];

Deno.test("encodeContent and decodeContent agree on every kind, byte for byte", () => {
  for (const [frame, hex] of GOLDEN) {
    const bytes = encodeContent(frame);
    assertEquals(bytes.toHex(), hex, frame.type);
    assertEquals(decodeContent(bytes), frame);
    assert(bytes[0] !== DEFLATED);
  }
});

Deno.test("decodeContent refuses what is cut, and what is too long", () => {
  for (const [{ type }, hex] of GOLDEN) {
    const bytes = Uint8Array.fromHex(hex);
    const isOpen = type === "signs" || type === "data" || type === "end";
    for (let length = 0; length < (isOpen ? 5 : bytes.length); length++) {
      assertThrows(() => decodeContent(bytes.subarray(0, length)), InvalidPacketError);
    }
    if (!isOpen) assertThrows(() => decodeContent(Uint8Array.of(...bytes, 0)), InvalidPacketError);
  }
});

Deno.test("decodeContent refuses numbers that make no sense", () => {
  const [want, , , copy] = GOLDEN.map(([, hex]) => Uint8Array.fromHex(hex));
  const wrong = (bytes: Uint8Array | undefined, change: (view: DataView) => void, why: string) => {
    const copied = (bytes ?? new Uint8Array()).slice();
    change(new DataView(copied.buffer));
    assertThrows(() => decodeContent(copied), InvalidPacketError, why);
  };
  for (const size of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
    wrong(want, (view) => view.setFloat64(37, size), "no number of bytes at offset 37");
    wrong(copy, (view) => view.setFloat64(5, size), "no number of bytes at offset 5");
  }
  wrong(want, (view) => view.setFloat64(45, 1_000_001), "an offset beyond the size");
  wrong(want, (view) => view.setUint32(57, 4_000_001), "exceed maxSignsBytes 4000000");
  assertThrows(() => decodeContent(Uint8Array.of(11, 0, 0, 0, 0)), InvalidPacketError, "no code");
});

Deno.test("decodeContent reads garbage as frames, or refuses it", () => {
  const random = seededRandom(9);
  for (let round = 0; round < 5_000; round++) {
    const length = Math.floor(random() * 70);
    const bytes = Uint8Array.from({ length }, () => 256 * random());
    bytes[0] = Math.floor(random() * 12);
    try {
      assertEquals(encodeContent(decodeContent(bytes)), bytes);
    } catch (error) {
      assert(error instanceof InvalidPacketError, `${error}`);
    }
  }
});
