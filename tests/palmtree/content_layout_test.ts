import { assertEquals } from "@std/assert";
import { MAX_CHUNKS } from "../../src/palmtree/chunk_list.ts";
import { chunkBytesFor, ContentLayout } from "../../src/palmtree/content_layout.ts";
import type { Manifest, ManifestEntry } from "../../src/transfer/manifest.ts";

const KIB = 1024;
const GIB = KIB ** 3;

function manifest(...sizes: (number | "folder")[]): Manifest {
  const entries = sizes.map((size, at): ManifestEntry => ({
    path: `${at}`,
    kind: size === "folder" ? "directory" : "file",
    size: size === "folder" ? 0 : size,
    mode: 0o644,
    mtimeMs: 0,
  }));
  const totalBytes = entries.reduce((sum, { size }) => sum + size, 0);
  return { entries, files: entries.filter(({ kind }) => kind === "file").length, totalBytes };
}

Deno.test("ContentLayout says what of which files a range is", () => {
  const layout = new ContentLayout(manifest("folder", 5, 0, 3, 1, 9));
  const pieces = (start: number, length: number) =>
    layout.pieces(start, length).map((piece) => {
      const { file, fileOffset, from, length } = piece;
      return [file, fileOffset, from, length];
    });
  assertEquals(layout.totalBytes, 18);
  assertEquals(pieces(0, 5), [[1, 0, 0, 5]]);
  assertEquals(pieces(4, 6), [[1, 4, 0, 1], [3, 0, 1, 3], [4, 0, 4, 1], [5, 0, 5, 1]]);
  assertEquals(pieces(8, 1), [[4, 0, 0, 1]]);
  assertEquals(pieces(15, 16), [[5, 6, 0, 3]]);
  assertEquals(pieces(18, 16), []);
  assertEquals(layout.rangeOf(3), { start: 5, end: 8 });
  assertEquals(layout.rangeOf(2), { start: 0, end: 0 });
});

Deno.test("ContentLayout of no bytes has no pieces", () => {
  assertEquals(new ContentLayout(manifest(0, "folder")).pieces(0, 10), []);
});

Deno.test("chunkBytesFor gives larger chunks to more content, and never too many", () => {
  assertEquals(chunkBytesFor(0), 256 * KIB);
  assertEquals(chunkBytesFor(512 * KIB * KIB), 256 * KIB);
  assertEquals(chunkBytesFor(GIB), 512 * KIB);
  assertEquals(chunkBytesFor(100 * GIB), KIB * KIB);
  assertEquals(chunkBytesFor(1024 * GIB), 8 * KIB * KIB);
  for (const total of [GIB, 300 * GIB, 1500 * GIB]) {
    assertEquals(total / chunkBytesFor(total) <= MAX_CHUNKS, true);
  }
});
