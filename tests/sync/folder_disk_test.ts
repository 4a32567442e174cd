import { assertEquals } from "@std/assert";
import { ReceiveRoot } from "../../src/transfer/receive_root.ts";
import { ContentShelf } from "../../src/sync/content_shelf.ts";
import { FolderDisk } from "../../src/sync/folder_disk.ts";
import type { DiskAction } from "../../src/sync/steps.ts";
import { sha256Aside } from "../../src/sync/aside.ts";
import { statOf } from "../../src/sync/rescan.ts";
import { fileEntry } from "./index_contract.ts";
import { LONG_AGO, Scratch, treeOf, write } from "./folder_fixture.ts";

/** The disk of a folder with one file, which somebody writes to once it was found to be as known. */
async function actWhileWritten(scratch: Scratch, doIt: DiskAction["do"], path: string) {
  const folder = await scratch.folder("ann");
  write(folder.dir, "note.txt", "old", LONG_AGO);
  await folder.scan();
  const { index } = folder;
  let looks = 0;
  const lastLook = doIt === "remove" ? 2 : 5;
  const root = ReceiveRoot.open(folder.dir, {
    // The disk was asked already, and nobody looks again before the step is done.
    afterCheck: (at) => {
      if (at === folder.dir && ++looks === lastLook) write(folder.dir, path, "edited");
    },
  });
  const shelf = scratch.use(new ContentShelf(root));
  using disk = new FolderDisk(root, index, shelf, Date.now);
  const known = index.get("note.txt");
  if (known === undefined) throw new Error("nothing is known");
  const entry = { ...known, path };
  const action = doIt === "remove" ? { do: doIt, path } : { do: "write" as const, path, entry };
  const outcome = await disk.carryOut(action, () => {});
  return { outcome, tree: treeOf(folder.dir).map((line) => line.replace(/[0-9a-f]{8}/, "HASH")) };
}

Deno.test("FolderDisk keeps what is written to a file in the moment in which it is replaced", async () => {
  await using scratch = new Scratch();
  const { outcome, tree } = await actWhileWritten(scratch, "write", "note.txt");
  assertEquals(outcome.done, true);
  assertEquals(tree, ["note (conflict HASH).txt = edited", "note.txt = old"]);
});

Deno.test("FolderDisk does not remove a file that is written to in that moment", async () => {
  await using scratch = new Scratch();
  const { outcome, tree } = await actWhileWritten(scratch, "remove", "note.txt");
  assertEquals(outcome, { done: false, reason: "it was changed just now" });
  assertEquals(tree, ["note.txt = edited"]);
});

Deno.test("FolderDisk removes what no index knows only as it was found", async () => {
  await using scratch = new Scratch();
  const folder = await scratch.folder("ann");
  const root = ReceiveRoot.open(folder.dir);
  const shelf = scratch.use(new ContentShelf(root));
  using disk = new FolderDisk(root, folder.index, shelf, Date.now);
  for (const size of [4, 5 * 1024 * 1024]) {
    const bytes = new Uint8Array(size).fill(1);
    const found = fileEntry("note.txt", { sha256: await sha256Aside(bytes), size });
    const remove = { do: "remove", path: "note.txt", found } as const;
    write(folder.dir, "note.txt", bytes.with(1, 2), LONG_AGO);
    const refused = { done: false, reason: "it was changed just now" };
    assertEquals(await disk.carryOut(remove, () => {}), refused);
    assertEquals(Deno.readFileSync(`${folder.dir}/note.txt`)[1], 2);
    const unseen = { do: "remove", path: "note.txt" } as const;
    assertEquals(await disk.carryOut(unseen, () => {}), refused);
    write(folder.dir, "note.txt", bytes, LONG_AGO);
    assertEquals(await disk.carryOut(remove, () => {}), { done: true });
    assertEquals(treeOf(folder.dir), []);
  }
});

Deno.test("FolderDisk leaves a file alone that it does not know, and keeps the contents that were to come", async () => {
  await using scratch = new Scratch();
  const folder = await scratch.folder("ann");
  const root = ReceiveRoot.open(folder.dir);
  const shelf = scratch.use(new ContentShelf(root));
  using disk = new FolderDisk(root, folder.index, shelf, Date.now);
  const sha256 = await sha256Aside(new TextEncoder().encode("theirs"));
  const grown = await shelf.begin(sha256, 6);
  grown.part.file.writeSync(new TextEncoder().encode("theirs"));
  await shelf.finish(sha256, grown, 6);
  const entry = fileEntry("note.txt", { sha256, size: 6 });
  const action = { do: "write", path: "note.txt", entry } as const;
  const stats: (string | undefined)[] = [];
  write(folder.dir, "note.txt", "ours");
  const refused = disk.carryOutNow(action, (stat) => void stats.push(stat));
  assertEquals(refused, { done: false, reason: "it was changed just now" });
  assertEquals([treeOf(folder.dir), shelf.has(sha256)], [["note.txt = ours"], true]);
  Deno.removeSync(`${folder.dir}/note.txt`);
  disk.carryOutNow(action, (stat) => void stats.push(stat));
  assertEquals(treeOf(folder.dir), ["note.txt = theirs"]);
  // What the disk says of it now is what it said of it before it had its name.
  assertEquals(stats, [statOf(Deno.lstatSync(`${folder.dir}/note.txt`))]);
  assertEquals(disk.carryOutNow(action, () => {}), undefined);
});
