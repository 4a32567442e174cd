import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { seededRandom } from "../../src/clock.ts";
import { InvalidPacketError } from "../../src/errors.ts";
import {
  blockBytesFor,
  type BlockList,
  listBlocks,
  matchBlocks,
  parseBlocks,
} from "../../src/transfer/block_match.ts";
import { CHUNK_BYTES, PIECE_BYTES } from "../../src/transfer/steps.ts";

const SIGN_BYTES = 20;

type Random = () => number;

/** As many signs as there may be, with these checksums and hashes of nothing. */
function signsOf(weakOf: (nth: number) => number): Uint8Array {
  const signs = new Uint8Array(200_000 * SIGN_BYTES);
  const view = new DataView(signs.buffer);
  for (let nth = 0; nth < 200_000; nth++) view.setUint32(nth * SIGN_BYTES, weakOf(nth));
  return signs;
}

/** Bytes that do not repeat. */
function noise(random: Random, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  const words = new Uint32Array(bytes.buffer, 0, length >> 2);
  for (let at = 0; at < words.length; at++) words[at] = random() * 2 ** 32;
  return bytes;
}

async function blocksOf(bytes: Uint8Array): Promise<BlockList> {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeFile(path, bytes);
    using file = await Deno.open(path);
    return await listBlocks(file, bytes.length);
  } finally {
    await Deno.remove(path);
  }
}

/** Gives bytes in pieces of any size. */
function reader(bytes: Uint8Array, random: Random = () => 1): (into: Uint8Array) => number {
  let at = 0;
  return (into) => {
    const most = Math.min(into.length, bytes.length - at);
    const count = most === 0 ? 0 : Math.max(1, Math.floor(most * random()));
    into.set(bytes.subarray(at, at + count));
    at += count;
    return count;
  };
}

/** Puts a newer version together from an older one. @returns bytes that had to be sent, too. */
function rebuilt(
  older: Uint8Array,
  newer: Uint8Array,
  blocks: BlockList,
  random?: Random,
): { bytes: Uint8Array; sent: number } {
  const bytes = new Uint8Array(newer.length);
  let [end, sent] = [0, 0];
  for (const match of matchBlocks(blocks, reader(newer, random))) {
    const data = match.type === "data"
      ? match.data
      : older.subarray(match.from, match.from + match.length);
    if (match.type === "copy") {
      assert(match.from >= 0 && match.from + match.length <= older.length, "outside the older one");
      assert(match.length > 0 && match.length <= CHUNK_BYTES + blocks.blockBytes);
      assertEquals(data.length, match.length);
    } else {
      assert(data.length > 0 && data.length <= PIECE_BYTES, `${data.length}`);
      sent += data.length;
    }
    bytes.set(data, end);
    end += data.length;
  }
  assertEquals(end, newer.length);
  return { bytes, sent };
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

Deno.test("matchBlocks finds the older version's blocks wherever they have moved to", async () => {
  const random = seededRandom(41);
  for (let round = 0; round < 15; round++) {
    const older = noise(random, Math.floor(random() ** 3 * 600_000));
    const blocks = await blocksOf(older);
    let newer = older.slice();
    const edits = Math.floor(random() * 5);
    for (let edit = 0; edit < edits; edit++) {
      const at = Math.floor(random() * newer.length);
      const removed = random() < 0.5 ? 0 : Math.floor(random() * 3_000);
      const added = noise(random, random() < 0.3 ? 0 : Math.floor(random() * 3_000));
      newer = Uint8Array.from([
        ...newer.subarray(0, at),
        ...added,
        ...newer.subarray(at + removed),
      ]);
    }
    if (random() < 0.2) newer = Uint8Array.from([...newer.subarray(newer.length >> 1), ...newer]);
    const { bytes, sent } = rebuilt(older, newer, blocks, random);
    assert(equal(bytes, newer), `round ${round}`);
    const most = edits * (3_000 + 2 * blocks.blockBytes) + 3 * blocks.blockBytes;
    assert(sent <= most, `round ${round}: ${sent} of ${newer.length} sent for ${edits} edits`);
  }
});

Deno.test("matchBlocks sends little for an insertion at the start, a change, growth and truncation", async () => {
  const random = seededRandom(5);
  const older = noise(random, 1024 * 1024 + 77);
  const blocks = await blocksOf(older);
  const changed = older.slice();
  changed[500_000] = (changed[500_000] ?? 0) ^ 1;
  const versions: Record<string, Uint8Array> = {
    "the same": older,
    "an insertion at the start": Uint8Array.from([1, ...older]),
    "a byte in the middle": changed,
    "growth": Uint8Array.from([...older, 1, 2, 3]),
    "truncation": older.subarray(0, 700_001),
  };
  for (const [what, newer] of Object.entries(versions)) {
    const { bytes, sent } = rebuilt(older, newer, blocks);
    assert(equal(bytes, newer), what);
    assertLess(sent, 3 * blocks.blockBytes, what);
  }
});

Deno.test("matchBlocks copes with nothing, with less than a block, and with what has nothing in common", async () => {
  const random = seededRandom(6);
  const sizes = [0, 1, 2047, 2048, 2049, PIECE_BYTES, PIECE_BYTES + 2049, 3 * PIECE_BYTES + 5];
  for (const size of sizes) {
    for (const olderSize of [0, 1, 2048, 5_000]) {
      const [older, newer] = [noise(random, olderSize), noise(random, size)];
      const { bytes, sent } = rebuilt(older, newer, await blocksOf(older));
      assert(equal(bytes, newer), `${size}`);
      assertEquals(sent, size);
    }
  }
  const zeros = new Uint8Array(2_000_000);
  const { bytes, sent } = rebuilt(zeros, zeros, await blocksOf(zeros));
  assert(equal(bytes, zeros));
  assertLess(sent, 10_000);
});

Deno.test("blockBytesFor grows with the root of the size, between its limits", () => {
  const sizes = [0, 1e6, 1e9, 1e12, Number.MAX_SAFE_INTEGER];
  assertEquals(sizes.map(blockBytesFor), [2048, 2048, 65_536, 524_288, 524_288]);
});

Deno.test("parseBlocks refuses what is no list of blocks", () => {
  const signs = new Uint8Array(3 * SIGN_BYTES);
  assertEquals(parseBlocks(2048, signs), { blockBytes: 2048, signs });
  const wrong: readonly (readonly [unknown, unknown])[] = [
    ...[2047, 0, -1, 2048.5, 524_289, NaN, "2048", null].map((size) => [size, signs] as const),
    ...[signs.subarray(1), new Uint8Array(200_001 * SIGN_BYTES), [], "x", null].map((list) => {
      return [2048, list] as const;
    }),
  ];
  for (const [blockBytes, list] of wrong) {
    const error = assertThrows(() => parseBlocks(blockBytes, list), InvalidPacketError);
    assertEquals([error.code, error.details], ["bad-message", { field: "blocks" }]);
  }
});

Deno.test("matchBlocks takes bounded time for lists that were made to be slow", () => {
  const random = seededRandom(8);
  const zeros = new Uint8Array(512 * 1024 + 1);
  const lists: Record<string, Uint8Array> = {
    // Every position of a file of zeros has the weak sum 0, and no hash fits.
    "all the same weak sum": signsOf(() => 0),
    // The filter lets everything through.
    "every weak sum": signsOf((nth) => nth),
  };
  for (const [what, signs] of Object.entries(lists)) {
    for (const newer of [zeros, noise(random, zeros.length)]) {
      for (const blockBytes of [2048, 512 * 1024]) {
        const startedMs = performance.now();
        let total = 0;
        for (const match of matchBlocks(parseBlocks(blockBytes, signs), reader(newer))) {
          total += match.type === "data" ? match.data.length : 0;
        }
        assertEquals(total, newer.length, what);
        const tookMs = performance.now() - startedMs;
        assertLess(tookMs, 3_000, `${what}, ${blockBytes}: ${tookMs} ms`);
      }
    }
  }
});
