import { assert, assertEquals, assertThrows } from "@std/assert";
import { createHash } from "node:crypto";
import { seededRandom } from "../../src/clock.ts";
import { InvalidPacketError } from "../../src/errors.ts";
import { agreeOn, hashFile, parseHeld } from "../../src/transfer/held.ts";
import { CHUNK_BYTES, HASH_BYTES } from "../../src/transfer/steps.ts";
import { pattern } from "./fixture.ts";

/** Runs with a file of those contents, open for reading. */
async function withFile(
  contents: Uint8Array,
  work: (file: Deno.FsFile) => Promise<void>,
): Promise<void> {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeFile(path, contents);
    using file = await Deno.open(path);
    await work(file);
  } finally {
    await Deno.remove(path);
  }
}

function hex(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

const contents = pattern(4 * CHUNK_BYTES + 5);

Deno.test("hashFile has a checkpoint after every chunk, and one at the end", async () => {
  const cases: readonly (readonly [bytes: number, checkpoints: number[]])[] = [
    [0, [0]],
    [1, [1]],
    [CHUNK_BYTES, [CHUNK_BYTES]],
    [CHUNK_BYTES + 1, [CHUNK_BYTES, CHUNK_BYTES + 1]],
    [2 * CHUNK_BYTES, [CHUNK_BYTES, 2 * CHUNK_BYTES]],
  ];
  for (const [size, checkpoints] of cases) {
    await withFile(contents.subarray(0, size), async (file) => {
      const { bytes, hash, digests } = await hashFile(file);
      const expected = checkpoints.map((end) => hex(contents.subarray(0, end)));
      assertEquals([bytes, hash.digest("hex")], [size, expected.at(-1)]);
      assertEquals(digests.toHex(), expected.join(""));
    });
  }
  await withFile(contents, async (file) => {
    const { bytes, hash } = await hashFile(file, 1_000);
    assertEquals([bytes, hash.digest("hex")], [1_000, hex(contents.subarray(0, 1_000))]);
  });
});

Deno.test("agreeOn finds how far a part is right: all of it, or whole chunks", async () => {
  const random = seededRandom(9);
  const flips: readonly (readonly [held: number, flip: number | undefined, agreed: number])[] = [
    [contents.length, undefined, contents.length],
    [3 * CHUNK_BYTES + 7, undefined, 3 * CHUNK_BYTES + 7],
    [3 * CHUNK_BYTES, undefined, 3 * CHUNK_BYTES],
    [0, undefined, 0],
    [contents.length, 2 * CHUNK_BYTES, 2 * CHUNK_BYTES], // the first byte of the third chunk
    [contents.length, 3 * CHUNK_BYTES - 1, 2 * CHUNK_BYTES], // and its last
    [contents.length, contents.length - 1, 4 * CHUNK_BYTES],
    [3 * CHUNK_BYTES + 7, 3 * CHUNK_BYTES + 6, 3 * CHUNK_BYTES],
    [contents.length, 0, 0],
    [5, 4, 0],
  ];
  for (const [size, flip, agreed] of flips) {
    const part = contents.slice(0, size);
    if (flip !== undefined) part[flip] = (part[flip] ?? 0) ^ (1 << Math.floor(random() * 8));
    await withFile(part, async (theirs) => {
      const held = await hashFile(theirs);
      await withFile(contents, async (ours) => {
        const { bytes, hash } = await agreeOn(ours, held);
        assertEquals(bytes, agreed, `${size} bytes, ${flip} flipped`);
        assertEquals(hash.digest("hex"), hex(contents.subarray(0, agreed)));
        assertEquals(await ours.seek(0, Deno.SeekMode.Current), agreed);
      });
    });
  }
});

Deno.test("agreeOn agrees on whole chunks where the part is longer than the file", async () => {
  await withFile(contents, async (theirs) => {
    const held = await hashFile(theirs);
    await withFile(contents.subarray(0, 2 * CHUNK_BYTES + 9), async (ours) => {
      assertEquals((await agreeOn(ours, held)).bytes, 2 * CHUNK_BYTES);
    });
  });
});

Deno.test("agreeOn says how far it is, and can be stopped", async () => {
  await withFile(contents, async (theirs) => {
    const held = await hashFile(theirs);
    await withFile(contents, async (ours) => {
      const seen: number[] = [];
      const reason = new Error("enough");
      const stopping = agreeOn(ours, held, (nth) => {
        seen.push(nth);
        if (nth === 3) throw reason;
      });
      assertEquals(await stopping.catch((error) => error), reason);
      assertEquals(seen, [1, 2, 3]);
    });
  });
});

Deno.test("parseHeld reads parts and older versions, and refuses what is neither", () => {
  const digests = new Uint8Array(2 * HASH_BYTES);
  const bytes = CHUNK_BYTES + 1;
  for (const kind of ["part", "whole"]) {
    const held = { kind, index: 3, bytes, digests };
    assertEquals(parseHeld(held) as unknown, held);
    const wrong: Record<string, unknown>[] = [
      ...[-1, 0.5, "3", undefined].map((index) => ({ index })),
      ...[-1, CHUNK_BYTES, 2 * CHUNK_BYTES + 1, 2 ** 52, 2 ** 53, null].map((bytes) => ({ bytes })),
      ...[digests.subarray(1), new Uint8Array(0), [...digests], "x", null].map((digests) => {
        return { digests };
      }),
      ...["", "none", "older", null].map((kind) => ({ kind })),
    ];
    for (const fields of wrong) {
      assertThrows(() => parseHeld({ ...held, ...fields }), InvalidPacketError);
    }
  }
  for (const value of [null, undefined, 1, "part"]) {
    assertThrows(() => parseHeld(value), InvalidPacketError, "bad held");
  }
  const older = parseHeld({
    kind: "older",
    index: 0,
    blockBytes: 4096,
    signs: digests.subarray(4),
  });
  assert(older.kind === "older" && older.blocks.signs.length === 60);
});
