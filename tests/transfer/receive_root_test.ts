import { dirname } from "node:path";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { AuthError, InvalidPacketError, LimitError, PeerError } from "../../src/errors.ts";
import { freeBytes, makeError } from "../../src/transfer/disk.ts";
import { ReceiveRoot } from "../../src/transfer/receive_root.ts";
import { checkPath, findCollision } from "../../src/transfer/safe_path.ts";
import corpus from "../testdata/hostile_names.json" with { type: "json" };
import { fill, inScene, listing } from "./root_fixture.ts";

const hostile = Object.values(corpus.hostile).flat();

Deno.test("ReceiveRoot writes nothing for a hostile name", async () => {
  await inScene(async ({ top, root }) => {
    for (const name of hostile) {
      assertThrows(() => root.createPart(name), InvalidPacketError);
      assertThrows(() => root.createFolder(name), InvalidPacketError);
      assertThrows(() => root.freeName(name), InvalidPacketError);
    }
    assertEquals(listing(top), ["canary", "outside/", "outside/canary", "root/"]);
    const part = root.createPart("fine");
    for (const name of hostile) {
      await assertRejects(() => root.commit(part, name), InvalidPacketError);
      await assertRejects(() => root.commit(part, name, { rename: true }), InvalidPacketError);
    }
    root.discard(part);
    root.tidy();
    assertEquals(listing(top), ["canary", "outside/", "outside/canary", "root/"]);
  });
});

Deno.test("ReceiveRoot stores every good name below the root and nothing elsewhere", async () => {
  const files = corpus.good.map((path) => ({ path, kind: "file" as const }));
  assertEquals(findCollision(files), undefined);
  await inScene(async ({ top, root }) => {
    for (const name of corpus.good) {
      await root.commit(await fill(root.createPart(name), name), name);
      assertEquals(await Deno.readTextFile(`${root.dir}/${checkPath(name)}`), name);
    }
    const elsewhere = listing(top).filter((path) => !path.startsWith("root/"));
    assertEquals(elsewhere, ["canary", "outside/", "outside/canary"]);
  });
});

Deno.test("ReceiveRoot shows a file under its name only when it is complete", async () => {
  await inScene(async ({ root }) => {
    const part = await fill(root.createPart("a/b.txt", { mode: 0o4640 }), "hello");
    assertEquals(listing(root.dir).length, 2);
    assertEquals(dirname(part.partPath), `${root.dir}/.kith-partial`);
    assertEquals(await root.commit(part, "a/b.txt", { mtimeMs: 1_700_000_000_000 }), "a/b.txt");
    assertEquals(listing(root.dir), [".kith-partial/", "a/", "a/b.txt"]);
    const info = await Deno.stat(`${root.dir}/a/b.txt`);
    assertEquals(info.mtime?.getTime(), 1_700_000_000_000);
    assertEquals(info.nlink, 1);
    assertEquals((info.mode ?? 0) & 0o7777, 0o640);
    const partials = await Deno.stat(`${root.dir}/.kith-partial`);
    assertEquals((partials.mode ?? 0) & 0o777, 0o700);
  });
});

Deno.test("ReceiveRoot.discard leaves nothing, tidy removes the empty folder only", async () => {
  await inScene(({ root }) => {
    root.tidy();
    const [one, two] = [root.createPart("a"), root.createPart("a")];
    root.discard(one);
    root.tidy();
    assertEquals(listing(root.dir).length, 2);
    root.discard(two);
    root.tidy();
    assertEquals(listing(root.dir), []);
  });
});

Deno.test("ReceiveRoot.discard is harmless twice, and leaves a committed file alone", async () => {
  await inScene(async ({ root }) => {
    const [gone, kept] = [root.createPart("gone"), await fill(root.createPart("kept"), "hello")];
    root.discard(gone);
    root.discard(gone);
    await root.commit(kept, "kept");
    root.discard(kept);
    assertEquals(await Deno.readTextFile(`${root.dir}/kept`), "hello");
    assertEquals(listing(root.dir), [".kith-partial/", "kept"]);
  });
});

Deno.test("ReceiveRoot.commit never overwrites, and the part can go elsewhere", async () => {
  await inScene(async ({ root }) => {
    await Deno.writeTextFile(`${root.dir}/a.txt`, "mine");
    const part = await fill(root.createPart("a.txt"), "theirs");
    const error = await assertRejects(() => root.commit(part, "a.txt"), AuthError, "exists");
    assertEquals(error.details, { path: "a.txt", reason: "exists" });
    assertEquals(await root.commit(part, "a.txt", { rename: true }), "a (1).txt");
    assertEquals(await Deno.readTextFile(`${root.dir}/a.txt`), "mine");
    assertEquals(await Deno.readTextFile(`${root.dir}/a (1).txt`), "theirs");
  });
});

Deno.test("ReceiveRoot.commit gives one name to one of two that want it", async () => {
  await inScene(async ({ root }) => {
    const parts = [root.createPart("a"), root.createPart("a")];
    const results = await Promise.allSettled(parts.map((part) => root.commit(part, "a")));
    assertEquals(results.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
    for (const [index, part] of parts.entries()) {
      if (results[index]?.status === "rejected") root.discard(part);
    }
  });
});

Deno.test("ReceiveRoot.commit does not overwrite where there are no hard links either", async () => {
  const { linkSync } = Deno;
  Deno.linkSync = () => {
    throw new Deno.errors.NotSupported("no hard links here");
  };
  try {
    await inScene(async ({ root }) => {
      await Deno.writeTextFile(`${root.dir}/a`, "mine");
      const part = await fill(root.createPart("a"), "theirs");
      await assertRejects(() => root.commit(part, "a"), AuthError, "exists");
      assertEquals(await root.commit(part, "b"), "b");
      root.tidy();
      assertEquals(listing(root.dir), ["a", "b"]);
      assertEquals(await Deno.readTextFile(`${root.dir}/a`), "mine");
      assertEquals(await Deno.readTextFile(`${root.dir}/b`), "theirs");
    });
  } finally {
    Deno.linkSync = linkSync;
  }
});

Deno.test("ReceiveRoot.reopenPart goes on where a part ended", async () => {
  await inScene(async ({ root }) => {
    const before = await fill(root.createPart("a"), "one ");
    before.file.close();
    const part = ReceiveRoot.open(root.dir).reopenPart(before.partPath);
    await part.file.seek(0, Deno.SeekMode.End);
    await root.commit(await fill(part, "two"), "a");
    assertEquals(await Deno.readTextFile(`${root.dir}/a`), "one two");
  });
});

Deno.test("ReceiveRoot.reopenPart opens nothing but parts", async () => {
  await inScene(async ({ root, outside }) => {
    root.discard(root.createPart("a"));
    await Deno.writeTextFile(`${root.dir}/file`, "");
    await Deno.symlink(`${outside}/canary`, `${root.dir}/.kith-partial/link.part`);
    await Deno.mkdir(`${root.dir}/.kith-partial/folder.part`);
    for (
      const path of [
        `${outside}/canary`,
        `${root.dir}/file`,
        `${root.dir}/.kith-partial/../file`,
        `${root.dir}/.kith-partial/link.part`,
        `${root.dir}/.kith-partial/folder.part`,
        `${root.dir}/.kith-partial/missing.part`,
      ]
    ) assertThrows(() => root.reopenPart(path), AuthError, "not a partial file");
  });
});

Deno.test("ReceiveRoot.freeName counts before the extension", async () => {
  await inScene(async ({ root }) => {
    const taken = ["a.txt", "a (1).txt", ".rc", "d/b.tar.gz", "c", "x.not an extension!"];
    for (const name of taken) await root.commit(root.createPart(name), name);
    assertEquals(root.freeName("new.txt"), "new.txt");
    assertEquals(root.freeName("a.txt"), "a (2).txt");
    assertEquals(root.freeName(".rc"), ".rc (1)");
    assertEquals(root.freeName("d/b.tar.gz"), "d/b.tar (1).gz");
    assertEquals(root.freeName("c"), "c (1)");
    assertEquals(root.freeName("x.not an extension!"), "x.not an extension! (1)");
    assertEquals(root.freeName("c/below a file"), "c/below a file");
  });
});

Deno.test("ReceiveRoot.freeName stays within 255 bytes and whole characters", async () => {
  await inScene(async ({ root }) => {
    const name = "é".repeat(125) + ".jpeg";
    await root.commit(root.createPart(name), name);
    assertEquals(root.freeName(name), "é".repeat(123) + " (1).jpeg");
  });
});

Deno.test("ReceiveRoot.freeName gives up after 1000 names", async () => {
  await inScene(async ({ root }) => {
    await Deno.writeTextFile(`${root.dir}/a`, "");
    for (let n = 1; n < 1000; n++) Deno.writeTextFileSync(`${root.dir}/a (${n})`, "");
    const error = assertThrows(() => root.freeName("a"), LimitError, "1000 names are taken");
    assertEquals(error.details, { path: "a", limit: "maxNameTries", max: 1000 });
  });
});

Deno.test("ReceiveRoot.commit leaves nothing when a finished part cannot be taken out of its folder", async () => {
  const { removeSync } = Deno;
  await inScene(async ({ root }) => {
    const part = await fill(root.createPart("x"), "secret");
    Deno.removeSync = (path) => {
      Deno.removeSync = removeSync;
      throw new Deno.errors.PermissionDenied(`remove ${path}`);
    };
    await assertRejects(() => root.commit(part, "x"), Deno.errors.PermissionDenied);
    root.discard(part);
    root.tidy();
    assertEquals(listing(root.dir), []);
  });
});

Deno.test("ReceiveRoot.commit leaves a finished part whole that cannot be given its name", async () => {
  const { linkSync, renameSync } = Deno;
  await inScene(async ({ root }) => {
    const part = await fill(root.createPart("x"), "verified");
    const refuse = () => {
      throw new Deno.errors.PermissionDenied("the folder cannot be written to");
    };
    Object.assign(Deno, { linkSync: refuse, renameSync: refuse });
    try {
      await assertRejects(() => root.commit(part, "x"), Deno.errors.PermissionDenied);
    } finally {
      Object.assign(Deno, { linkSync, renameSync });
    }
    assertEquals(await Deno.readTextFile(part.partPath), "verified");
    root.discard(part);
  });
});

Deno.test("ReceiveRoot.tidy removes no file that has the name of its folder", async () => {
  await inScene(async ({ root }) => {
    await Deno.writeTextFile(`${root.dir}/.kith-partial`, "mine");
    assertThrows(() => root.createPart("x"), AuthError, "is not a folder");
    root.tidy();
    assertEquals(listing(root.dir), [".kith-partial"]);
  });
});

Deno.test("ReceiveRoot.commit refuses a part that is no longer the file that was written", async () => {
  await inScene(async ({ root, outside }) => {
    const part = await fill(root.createPart("x"), "checked");
    await Deno.remove(part.partPath);
    await Deno.symlink(`${outside}/canary`, part.partPath);
    await assertRejects(() => root.commit(part, "x"), AuthError, "replaced by a link");
    await Deno.remove(part.partPath);
    await Deno.writeTextFile(part.partPath, "something else");
    await assertRejects(() => root.commit(part, "x"), AuthError, "replaced by a link");
    root.discard(part);
    root.tidy();
    assertEquals(listing(root.dir), []);
  });
});

Deno.test("ReceiveRoot.createFolder makes folders and accepts those that are there", async () => {
  await inScene(({ root }) => {
    root.createFolder("a/b/c");
    root.createFolder("a/b");
    assertEquals(listing(root.dir), ["a/", "a/b/", "a/b/c/"]);
  });
});

Deno.test("freeBytes measures a folder and says undefined where it cannot", async () => {
  const bytes = freeBytes(".");
  assert(bytes !== undefined && bytes > 0 && Number.isFinite(bytes));
  await inScene(({ top }) => assertEquals(freeBytes(`${top}/missing`), undefined));
});

Deno.test("a folder that cannot be made or used is named, with what is in the way", () => {
  const error = (code: string, text: string) => Object.assign(new Error(text), { code });
  const readOnly = error("EROFS", "Read-only file system (os error 30): mkdir '/x'");
  const other = error("ELOOP", "Too many links (os error 40): mkdir '/x'");
  const rows: readonly (readonly [cause: Error, text: string])[] = [
    [readOnly, 'Cannot make folder "/x": the disk can only be read'],
    [other, 'Cannot make folder "/x": Too many links (os error 40)'],
    [new Deno.errors.NotFound("?"), 'Cannot make folder "/x": there can be no such folder'],
    [
      new Deno.errors.PermissionDenied("?"),
      'Cannot make folder "/x": no right to make a folder there',
    ],
    [new Deno.errors.AlreadyExists("?"), 'Cannot use folder "/x": it is no folder'],
    [
      new Deno.errors.NotCapable("?"),
      'Cannot use folder "/x": run with --allow-read=/x --allow-write=/x',
    ],
  ];
  for (const [cause, text] of rows) {
    const made = makeError("/x", cause);
    assertEquals([made instanceof PeerError, (made as Error).message], [true, text]);
  }
});
