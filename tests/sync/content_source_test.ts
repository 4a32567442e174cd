import { assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { silentLogger } from "../../src/log.ts";
import { ContentSource } from "../../src/sync/content_source.ts";
import { ReceiveRoot } from "../../src/transfer/receive_root.ts";
import { LONG_AGO, Scratch, write } from "./folder_fixture.ts";

const OPEN_FILES = "/proc/self/fd";

/** A folder of two files in one folder, and what their contents are opened by. */
async function madeSource(scratch: Scratch) {
  const folder = await scratch.folder("ann");
  for (const name of ["one", "two"]) write(folder.dir, `docs/${name}`, name, LONG_AGO);
  await folder.scan();
  const { index, dir } = folder;
  const clock = new ManualClock();
  const root = ReceiveRoot.open(dir);
  const source = scratch.use(new ContentSource({ root, index, clock, log: silentLogger }));
  const hashes = ["one", "two"].map((name) => index.get(`docs/${name}`)?.sha256 ?? "");
  const read = (sha256 = "") => {
    using file = source.open(sha256);
    if (file === undefined) return undefined;
    const bytes = new Uint8Array(10);
    return new TextDecoder().decode(bytes.subarray(0, file.readSync(bytes) ?? 0));
  };
  return { folder, clock, source, hashes, read };
}

Deno.test("ContentSource finds contents where they are by now", async () => {
  await using scratch = new Scratch();
  const { folder, hashes, read } = await madeSource(scratch);
  assertEquals(hashes.map(read), ["one", "two"]);
  Deno.renameSync(`${folder.dir}/docs`, `${folder.dir}/texts`);
  await folder.scan();
  assertEquals(hashes.map(read), ["one", "two"]);
  Deno.writeTextFileSync(`${folder.dir}/texts/two`, "longer");
  assertEquals(hashes.map(read), ["one", undefined]);
});

Deno.test("ContentSource follows no link that has taken the place of a file", async () => {
  await using scratch = new Scratch();
  const { folder, hashes, read } = await madeSource(scratch);
  assertEquals(read(hashes[0]), "one");
  write(scratch.dir, "secret", "two");
  Deno.removeSync(`${folder.dir}/docs/two`);
  Deno.symlinkSync(`${scratch.dir}/secret`, `${folder.dir}/docs/two`);
  assertEquals(read(hashes[1]), undefined);
});

Deno.test({
  name: "ContentSource lets go of folders soon, and in the end",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await using scratch = new Scratch();
    const { clock, source, hashes, read } = await madeSource(scratch);
    const count = () => [...Deno.readDirSync(OPEN_FILES)].length;
    const before = count();
    assertEquals(read(hashes[0]), "one");
    assertEquals(count(), before + 2); // the root and the folder
    await clock.advance(1_000);
    assertEquals(count(), before);
    assertEquals(read(hashes[1]), "two");
    source[Symbol.dispose]();
    assertEquals(count(), before);
    assertEquals(read(hashes[1]), "two");
    assertEquals(count(), before);
  },
});
