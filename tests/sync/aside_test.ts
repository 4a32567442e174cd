import { assertEquals } from "@std/assert";
import { DiskSync, MIN_ASIDE_BYTES } from "../../src/sync/aside.ts";

/** Notes how files are brought to a disk that takes so long. */
class NotingDisk {
  said = "";
  tookMs = 0;
  nowMs = 0;
  readonly file = {
    syncData: () => Promise.resolve(void (this.said += "aside ")),
    syncDataSync: () => {
      this.nowMs += this.tookMs;
      this.said += "here ";
    },
  };

  /** How so many files were brought there, since it was asked last. */
  async take(sync: DiskSync, files: number, bytes = 1): Promise<string> {
    this.said = "";
    for (let file = 0; file < files; file++) await sync.sync(this.file, bytes);
    return this.said.trim();
  }
}

Deno.test("DiskSync waits for a disk only as long as that answers at once", async () => {
  const disk = new NotingDisk();
  const sync = new DiskSync(() => disk.nowMs);
  assertEquals(await disk.take(sync, 3), "here here here");
  assertEquals(await disk.take(sync, 1, MIN_ASIDE_BYTES), "aside");
  disk.tookMs = 10;
  const tries = [];
  for (let file = 0; file < 1_000; file++) {
    if (await disk.take(sync, 1) === "here") tries.push(file);
  }
  // Less and less often.
  assertEquals(tries, [0, 65, 194, 451, 964]);
  disk.tookMs = 0;
  const later = await disk.take(sync, 2_000);
  assertEquals(later.endsWith("here here here"), true);
});
