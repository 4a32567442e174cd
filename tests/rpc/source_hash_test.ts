import { assertEquals, assertNotEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { NotFoundError } from "../../src/errors.ts";
import { EMPTY_SOURCE_HASH, hashSources, SOURCE_EXTENSIONS } from "../../src/rpc/source_hash.ts";
import { xxh3 } from "../../src/wire/xxh3.ts";
import { fromNotation, loadVectors, type Vector } from "../testdata/vectors.ts";

type Tree = Readonly<Record<string, Uint8Array | string>>;

const PYTHON = { extensions: [".py"] };

/** Runs in a scratch folder that holds the given files. */
async function inTree(tree: Tree, run: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.realPath(await Deno.makeTempDir());
  try {
    for (const [path, content] of Object.entries(tree)) {
      await Deno.mkdir(join(dir, dirname(path)), { recursive: true });
      const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
      await Deno.writeFile(join(dir, path), bytes);
    }
    await run(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

function hashOf(...contents: string[]): string {
  const encoder = new TextEncoder();
  return xxh3(encoder.encode(contents.map((text) => xxh3(encoder.encode(text))).join("")));
}

Deno.test("hashSources gives the original's hash of Python sources", async () => {
  type SourceVector = Vector & { total_hash?: string };
  const vectors: readonly SourceVector[] = loadVectors("witch.src_hash");
  assertEquals(vectors.length, 12);
  for (const { name, value, total_hash } of vectors) {
    const { files } = fromNotation(value) as { files: Tree };
    await inTree(files, async (dir) => {
      assertEquals(await hashSources(dir, PYTHON), total_hash, name);
      // With no other sources there, the default is the same.
      assertEquals(await hashSources(dir), total_hash, name);
    });
  }
});

Deno.test("hashSources gives EMPTY_SOURCE_HASH where nothing counts", async () => {
  await inTree({ "note.txt": "n", "__init__.py": "x", "py": "x" }, async (dir) => {
    assertEquals(await hashSources(dir), EMPTY_SOURCE_HASH);
    assertEquals(xxh3(new Uint8Array(0)), EMPTY_SOURCE_HASH);
  });
});

Deno.test("hashSources counts JavaScript, Python and TypeScript unless told otherwise", async () => {
  const tree = { "a.ts": "1", "b.js": "2", "c.py": "3", "d.rs": "4", "e.tsx": "5" };
  await inTree(tree, async (dir) => {
    assertEquals(SOURCE_EXTENSIONS, [".js", ".py", ".ts"]);
    assertEquals(await hashSources(dir), hashOf("1", "2", "3"));
    assertEquals(await hashSources(dir, { extensions: [".py"] }), hashOf("3"));
    assertEquals(await hashSources(dir, { extensions: [".rs", ".tsx"] }), hashOf("4", "5"));
  });
});

Deno.test("hashSources leaves out excluded folders at any depth, and nothing that only looks like them", async () => {
  const tree = {
    ".git/a.py": "no",
    "x/.svn/y/a.py": "no",
    "x/__pycache__/a.py": "no",
    "x/__init__.py": "no",
    "x/.git.py": "1",
    "x/.hidden/a.py": "2",
    "x/__pycache__2/a.py": "3",
    "x/node_modules/a.py": "4",
  };
  await inTree(tree, async (dir) => {
    assertEquals(await hashSources(dir, PYTHON), hashOf("1", "2", "3", "4"));
  });
});

Deno.test("hashSources orders paths by code point", async () => {
  // As UTF-16, U+1F600 comes before U+FF5E; by code point after it.
  const tree = { "\u{1f600}.py": "last", "\uff5e.py": "second", "z.py": "first" };
  await inTree(tree, async (dir) => {
    assertEquals(await hashSources(dir, PYTHON), hashOf("first", "second", "last"));
  });
});

Deno.test("hashSources takes a folder by path, with a slash, or by URL", async () => {
  await inTree({ "a b/%41.py": "1" }, async (dir) => {
    const folder = join(dir, "a b");
    for (
      const named of [folder, `${folder}/`, pathToFileURL(folder), pathToFileURL(folder + "/")]
    ) {
      assertEquals(await hashSources(named), hashOf("1"), String(named));
    }
  });
});

Deno.test({
  name: "hashSources follows no symbolic links below the folder",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await inTree({ "src/a.py": "1", "other/b.py": "2" }, async (dir) => {
      const src = join(dir, "src");
      await Deno.symlink(join(dir, "other"), join(src, "folder"));
      await Deno.symlink(join(dir, "other/b.py"), join(src, "file.py"));
      await Deno.symlink(src, join(src, "loop"));
      await Deno.symlink(join(dir, "nowhere"), join(src, "broken.py"));
      assertEquals(await hashSources(src), hashOf("1"));

      await Deno.symlink(src, join(dir, "named"));
      assertEquals(await hashSources(join(dir, "named")), hashOf("1"));
    });
  },
});

Deno.test("hashSources says so when there is no such folder", async () => {
  await inTree({ "a.py": "1" }, async (dir) => {
    for (const missing of [join(dir, "gone\n"), join(dir, "a.py")]) {
      const error = await assertRejects(() => hashSources(missing), NotFoundError);
      assertEquals(error.code, "no-path");
      assertStringIncludes(error.message, "Cannot hash the sources of");
      assertEquals(error.message.includes("\n"), false);
    }
  });
});

Deno.test("hashSources changes with every content", async () => {
  await inTree({ "a.py": "1", "b/c.py": "2" }, async (dir) => {
    const before = await hashSources(dir);
    await Deno.writeTextFile(join(dir, "b/c.py"), "3");
    assertNotEquals(await hashSources(dir), before);
  });
});

Deno.test("hashSources stops with the signal's reason", async () => {
  await inTree({ "a.py": "1" }, async (dir) => {
    const reason = new Error("enough");
    const signal = AbortSignal.abort(reason);
    assertEquals(await assertRejects(() => hashSources(dir, { signal })), reason);

    const controller = new AbortController();
    const hashing = hashSources(dir, { signal: controller.signal });
    controller.abort(reason);
    assertEquals(await assertRejects(() => hashing), reason);
  });
});

Deno.test("hashSources refuses extensions that would match by accident or not at all", async () => {
  for (const extensions of [[], [""], ["py"], [".py", "."]]) {
    await assertRejects(() => hashSources(".", { extensions }), RangeError);
  }
});
