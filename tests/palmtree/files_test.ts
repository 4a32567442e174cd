import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { StoredBytes } from "../../src/endpoint/resources.ts";
import { ClosedError, IntegrityError, LimitError, NotFoundError } from "../../src/errors.ts";
import { ChunkList } from "../../src/palmtree/chunk_list.ts";
import { ContentLayout } from "../../src/palmtree/content_layout.ts";
import { findChunks } from "../../src/palmtree/held_chunks.ts";
import { IncomingFiles } from "../../src/palmtree/incoming_files.ts";
import { OutgoingContent } from "../../src/palmtree/outgoing_content.ts";
import { buildManifest, type BuiltManifest } from "../../src/transfer/manifest.ts";
import { ReceiveRoot } from "../../src/transfer/receive_root.ts";
import { listing, noise } from "./town.ts";

const chunkBytes = 100;

class Folder implements Disposable {
  readonly dir = Deno.makeTempDirSync({ prefix: "kith-palm-" });

  async build(...sizes: number[]): Promise<BuiltManifest> {
    Deno.mkdirSync(`${this.dir}/out/f`, { recursive: true });
    sizes.forEach((size, at) => Deno.writeFileSync(this.file(at), noise(size, at)));
    return await buildManifest([`${this.dir}/out/f`]);
  }

  file(at: number): string {
    return `${this.dir}/out/f/${at}`;
  }

  incoming(
    { manifest }: BuiltManifest,
    chunks: ChunkList,
    more: { stored?: StoredBytes; failed?: (error: unknown) => void } = {},
  ): IncomingFiles {
    const { stored = new StoredBytes(), failed = () => {} } = more;
    const root = ReceiveRoot.open(`${this.dir}/in`);
    const placed = () => Promise.resolve();
    return new IncomingFiles(root, manifest, chunks, { owner: "o", stored, placed, failed });
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.dir, { recursive: true });
  }
}

Deno.test("OutgoingContent gives chunks of files one behind the other, with their hashes", async () => {
  using folder = new Folder();
  const built = await folder.build(150, 0, 33, 217);
  using content = await OutgoingContent.open(built, { chunkBytes });
  const whole = new Uint8Array([...noise(150, 0), ...noise(33, 2), ...noise(217, 3)]);
  assertEquals([content.chunks.count, content.summary.files, content.summary.bytes], [4, 4, 400]);
  for (let index = 0; index < 4; index++) {
    const chunk = content.read(index);
    assertEquals(chunk, whole.subarray(index * chunkBytes, (index + 1) * chunkBytes));
    assert(content.chunks.verify(index, chunk));
  }
});

Deno.test("OutgoingContent finds out what has changed", async () => {
  using folder = new Folder();
  const built = await folder.build(150, 90, 900);
  for (const [at, size] of [[0, 149], [0, 151], [2, 899]] as const) {
    Deno.writeFileSync(folder.file(at), noise(size));
    await assertRejects(
      () => OutgoingContent.open(built, { chunkBytes }),
      IntegrityError,
      `"f/${at}": it changed`,
    );
    Deno.writeFileSync(folder.file(at), noise(at === 0 ? 150 : 900, at));
  }
  using content = await OutgoingContent.open(built, { chunkBytes });
  Deno.writeFileSync(folder.file(2), noise(900, 77));
  assertThrows(() => content.read(5), IntegrityError, "it changed");
  Deno.removeSync(folder.file(1));
  await assertRejects(() => OutgoingContent.open(built, { chunkBytes }), NotFoundError);
});

Deno.test("IncomingFiles makes the files of chunks in any order, and reads them back", async () => {
  using folder = new Folder();
  const built = await folder.build(150, 0, 33, 1_217, 60);
  using content = await OutgoingContent.open(built, { chunkBytes });
  const { chunks, summary } = content;
  const files = folder.incoming(built, chunks);
  await files.begin();
  const order = Array.from({ length: chunks.count }, (_, at) => (at * 7 + 3) % chunks.count);
  assertEquals(new Set(order).size, chunks.count);
  for (const index of order) {
    const chunk = content.read(index);
    files.write(index, chunk);
    assertEquals(files.read(order[0] ?? 0), content.read(order[0] ?? 0));
  }
  assertEquals(await files.finish(), summary);
  for (const index of order) assertEquals(files.read(index), content.read(index));
  assertEquals(listing(`${folder.dir}/in/f`), ["0", "1", "2", "3", "4"]);
  for (const at of [0, 3]) {
    const path = `${folder.dir}/in/f/${at}`;
    assertEquals(Deno.readFileSync(path), Deno.readFileSync(folder.file(at)));
    // Whoever changes it is not passed on.
    Deno.writeFileSync(path, noise(at === 0 ? 150 : 1_217, 50));
  }
  assertThrows(() => files.read(order[0] ?? 0), IntegrityError, 'pass "f/3" on');
  await files.close();
});

Deno.test("IncomingFiles keeps what it has when it is closed, and goes on with it", async () => {
  using folder = new Folder();
  const built = await folder.build(150, 0, 33, 1_217, 60);
  using content = await OutgoingContent.open(built, { chunkBytes });
  const { chunks, summary } = content;
  const first = folder.incoming(built, chunks);
  await first.begin();
  assertEquals((await first.resume()).count, 0);
  const came = [0, 1, 2, 4, 7];
  for (const index of came) first.write(index, content.read(index));
  await first.close();
  await first.close();
  assertThrows(() => first.write(3, content.read(3)), ClosedError);
  await assertRejects(() => first.finish(), ClosedError, "given up");

  const second = folder.incoming(built, chunks);
  await second.begin();
  const have = await second.resume();
  assertEquals(came.filter((index) => !have.has(index)), []);
  assertEquals(have.count, came.length);
  for (let index = 0; index < chunks.count; index++) {
    if (!have.has(index)) second.write(index, content.read(index));
  }
  assertEquals(await second.finish(), summary);
  await second.close();
  assertEquals(listing(`${folder.dir}/in`).filter((path) => !path.startsWith("f/")), [
    ".kith-partial/",
  ]);
});

Deno.test("IncomingFiles believes nothing of what it finds", async () => {
  using folder = new Folder();
  const built = await folder.build(1_000);
  using content = await OutgoingContent.open(built, { chunkBytes });
  const first = folder.incoming(built, content.chunks);
  await first.begin();
  for (const index of [0, 1, 2]) first.write(index, content.read(index));
  await first.close();
  const partial = `${folder.dir}/in/.kith-partial`;
  for (const name of listing(partial)) {
    if (Deno.statSync(`${partial}/${name}`).size < 300) continue; // the note
    const bytes = Deno.readFileSync(`${partial}/${name}`);
    bytes[150] = ~(bytes[150] ?? 0);
    Deno.writeFileSync(`${partial}/${name}`, bytes);
  }
  const second = folder.incoming(built, content.chunks);
  await second.begin();
  const have = await second.resume();
  assertEquals([have.has(0), have.has(1), have.has(2)], [true, false, true]);
  for (let index = 0; index < 10; index++) {
    if (!have.has(index)) second.write(index, content.read(index));
  }
  assertEquals(await second.finish(), content.summary);
  await second.close();
});

Deno.test("IncomingFiles counts what it stores, and sets it free again", async () => {
  using folder = new Folder();
  const built = await folder.build(300, 200);
  using content = await OutgoingContent.open(built, { chunkBytes });
  const tooFew = folder.incoming(built, content.chunks, { stored: new StoredBytes(4_595) });
  await assertRejects(() => tooFew.begin(), LimitError, "Cannot store 4596 bytes"); // with the folder
  await tooFew.close();
  const stored = new StoredBytes(4_596);
  const files = folder.incoming(built, content.chunks, { stored });
  await files.begin();
  assertEquals(stored.used, 4_596);
  for (const index of [0, 1, 2]) files.write(index, content.read(index));
  await files.close();
  assertEquals(stored.used, 4_396);
});

Deno.test("findChunks takes a file in its place as a whole, or not at all", async () => {
  using folder = new Folder();
  const built = await folder.build(150, 100, 250);
  using content = await OutgoingContent.open(built, { chunkBytes });
  const layout = new ContentLayout(built.manifest);
  const held = (at: number, isWhole: boolean) => ({
    isWhole,
    read(offset: number, into: Uint8Array) {
      into.set(Deno.readFileSync(folder.file(at - 1)).subarray(offset, offset + into.length));
      return true;
    },
  });
  const find = async (...wholes: (boolean | undefined)[]) => {
    const files = wholes.flatMap((isWhole, at) => {
      return isWhole === undefined ? [] : [[at, held(at, isWhole)] as const];
    });
    const set = await findChunks(content.chunks, layout, new Map(files), () => {});
    return [0, 1, 2, 3, 4].filter((index) => set.has(index));
  };
  // Entry 0 is the folder. Chunk 1 has bytes of files 1 and 2, chunk 2 of 2 and 3.
  const none = undefined;
  assertEquals(await find(none, true, true, true), [0, 1, 2, 3, 4]);
  assertEquals(await find(none, false, none, false), [0, 3, 4]);
  assertEquals(await find(none, true, none, true), []);
  assertEquals(await find(none, true, false, none), [0, 1]);
  assertEquals(await find(none, true, true, none), [], "what goes takes its neighbour along");
  assertEquals(await find(), []);
});

Deno.test("findChunks looks again at the neighbours of what goes alone, however many files there are", async () => {
  const count = 4_000;
  // No file ends where a chunk does, so each shares one with the next.
  const entries = Array.from({ length: count }, (_, at) => {
    return {
      path: `d/${at}`,
      kind: "file",
      size: at === 0 ? 75 : 150,
      mode: 0,
      mtimeMs: 0,
    } as const;
  });
  const totalBytes = 150 * count - 75;
  const zeros = new Uint8Array(chunkBytes);
  const chunks = ChunkList.of(totalBytes, chunkBytes, {
    read: (index) => zeros.subarray(0, totalBytes - index * chunkBytes),
  });
  const layout = new ContentLayout({ entries, files: count, totalBytes });
  let looks = 0;
  const rangeOf = layout.rangeOf.bind(layout);
  layout.rangeOf = (file) => (looks++, rangeOf(file));
  const held = { isWhole: true, read: (_: number, into: Uint8Array) => into.fill(0).length > 0 };
  const find = async (without?: number) => {
    const there = [...entries.keys()].filter((at) => at !== without);
    const files = new Map(there.map((at) => [at, held]));
    return (await findChunks(chunks, layout, files, () => {})).count;
  };
  assertEquals([await find(), await find(count - 1)], [chunks.count, 0], "one takes all along");
  assert(looks <= 5 * count, `${looks}`);
});

Deno.test("IncomingFiles keeps few parts open, however many files a content begins", async () => {
  using folder = new Folder();
  const built = await folder.build(50, ...new Array<number>(200).fill(chunkBytes));
  using content = await OutgoingContent.open(built, { chunkBytes });
  const files = folder.incoming(built, content.chunks);
  await files.begin();
  await files.resume();
  const most = { open: 0 };
  const open = Deno.openSync;
  using opened = new DisposableStack();
  opened.defer(() => void (Deno.openSync = open));
  const alive = new Set<Deno.FsFile>();
  Deno.openSync = (...args) => {
    const file = open(...args);
    const close = file.close.bind(file);
    file.close = () => (alive.delete(file), close());
    most.open = Math.max(most.open, alive.add(file).size);
    return file;
  };
  const all = Array.from({ length: content.chunks.count }, (_, index) => index);
  const [even, odd] = [0, 1].map((rest) => all.filter((index) => index % 2 === rest));
  for (const index of even ?? []) files.write(index, content.read(index));
  for (const index of even ?? []) {
    assertEquals(files.read(index), content.read(index), "those that were closed are read, too");
  }
  for (const index of odd ?? []) files.write(index, content.read(index));
  assertEquals(await files.finish(), content.summary);
  await files.close();
  assert(most.open < 100, `${most.open}`);
});
