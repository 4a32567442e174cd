import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { createHash } from "node:crypto";
import { seededRandom } from "../../src/clock.ts";
import {
  AuthError,
  InvalidPacketError,
  LimitError,
  NotFoundError,
  UnsupportedError,
} from "../../src/errors.ts";
import { buildManifest, type Manifest, manifestRoot } from "../../src/transfer/manifest.ts";
import { encodeManifest, parseManifest } from "../../src/transfer/manifest_codec.ts";

const MTIME = new Date("2024-02-03T04:05:06.789Z");

/** Runs in a scratch folder that holds the given files (text) and folders (no text, path ends in `/`). */
async function inFolder(
  tree: Record<string, string>,
  run: (dir: string) => Promise<void>,
): Promise<void> {
  const dir = await Deno.realPath(await Deno.makeTempDir());
  try {
    for (const [path, text] of Object.entries(tree)) {
      await Deno.mkdir(`${dir}/${path.slice(0, path.lastIndexOf("/") + 1)}`, { recursive: true });
      if (!path.endsWith("/")) await Deno.writeTextFile(`${dir}/${path}`, text);
    }
    await run(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

function paths(manifest: Manifest): string[] {
  return manifest.entries.map(({ path, kind }) => kind === "directory" ? `${path}/` : path);
}

const ROW: readonly unknown[] = ["a", false, 1, 0o644, 0];

Deno.test("buildManifest lists a folder under its own name, parents first", async () => {
  const tree = {
    "photos/b/2.jpg": "22",
    "photos/a.jpg": "1",
    "photos/b-1.jpg": "333",
    "photos/empty/": "",
  };
  await inFolder(tree, async (dir) => {
    await Deno.chmod(`${dir}/photos/a.jpg`, 0o640);
    await Deno.utime(`${dir}/photos/a.jpg`, MTIME, MTIME);
    await Deno.chmod(`${dir}/photos/empty`, 0o1750);
    for (
      const named of [`${dir}/photos`, `${dir}/photos/`, `${dir}/photos/.`, `${dir}/photos/b/..`]
    ) {
      const { manifest, source, skipped } = await buildManifest([named]);
      assertEquals(paths(manifest), [
        "photos/",
        "photos/a.jpg",
        "photos/b/",
        "photos/b-1.jpg",
        "photos/b/2.jpg",
        "photos/empty/",
      ]);
      assertEquals([manifest.files, manifest.totalBytes, skipped.length], [3, 6, 0]);
      assertEquals(manifest.entries[1], {
        path: "photos/a.jpg",
        kind: "file",
        size: 1,
        mode: 0o640,
        mtimeMs: MTIME.getTime(),
      });
      assertEquals([manifest.entries[5]?.size, manifest.entries[5]?.mode], [0, 0o750]);
      assertEquals(await Deno.readTextFile(source(4)), "22");
      assertThrows(() => source(6), RangeError, "no entry 6");
    }
  });
});

Deno.test("buildManifest gives . and .. the folder's real name", async () => {
  await inFolder({ "top/inner/x": "" }, async (dir) => {
    const cwd = Deno.cwd();
    Deno.chdir(`${dir}/top/inner`);
    try {
      assertEquals(paths((await buildManifest(["."])).manifest), ["inner/", "inner/x"]);
      assertEquals(paths((await buildManifest([".."])).manifest), [
        "top/",
        "top/inner/",
        "top/inner/x",
      ]);
    } finally {
      Deno.chdir(cwd);
    }
  });
});

Deno.test("buildManifest has no name for the root of the file system", async () => {
  await assertRejects(
    () => buildManifest(["/"]),
    InvalidPacketError,
    'Cannot send "/": empty path',
  );
});

Deno.test("buildManifest sorts by code point and is the same whatever the order", async () => {
  const names = ["Z", "a", "é", "\ue000", "🦕", "a b", "a!", "B"];
  await inFolder(Object.fromEntries(names.map((name) => [name, name])), async (dir) => {
    const sources = names.map((name) => `${dir}/${name}`);
    const { manifest } = await buildManifest(sources);
    assertEquals(paths(manifest), ["B", "Z", "a", "a b", "a!", "é", "\ue000", "🦕"]);
    assertEquals((await buildManifest(sources.toReversed())).manifest, manifest);
  });
});

Deno.test("buildManifest skips links and special files inside folders and says so", async () => {
  await inFolder({ "d/file": "x", "d/sub/": "", "outside": "secret" }, async (dir) => {
    await Deno.symlink("../outside", `${dir}/d/link`);
    await Deno.symlink("..", `${dir}/d/sub/up`);
    await Deno.symlink("nowhere", `${dir}/d/broken`);
    using listener = Deno.listen({ transport: "unix", path: `${dir}/d/socket` });
    assertEquals(listener.addr.transport, "unix");
    const { manifest, skipped } = await buildManifest([`${dir}/d`]);
    assertEquals(paths(manifest), ["d/", "d/file", "d/sub/"]);
    assertEquals(skipped.map(({ path, reason }) => [path.slice(dir.length), reason]).sort(), [
      ["/d/broken", "symbolic link"],
      ["/d/link", "symbolic link"],
      ["/d/socket", "special file"],
      ["/d/sub/up", "symbolic link"],
    ]);
  });
});

Deno.test("buildManifest follows a link that the user names, under the link's name", async () => {
  await inFolder({ "real/x": "1" }, async (dir) => {
    await Deno.symlink("real", `${dir}/alias`);
    const { manifest } = await buildManifest([`${dir}/alias`]);
    assertEquals(paths(manifest), ["alias/", "alias/x"]);
  });
});

Deno.test({
  name: "buildManifest skips a file whose name is not Unicode",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await inFolder({ "d/ok": "" }, async (dir) => {
      const script = `open(b"${dir}/d/\\xff.txt", "w")`;
      const made = await new Deno.Command("python3", { args: ["-c", script] }).output().catch(() =>
        undefined
      );
      if (made?.success !== true) return;
      const { manifest, skipped } = await buildManifest([`${dir}/d`]);
      assertEquals(paths(manifest), ["d/", "d/ok"]);
      assertEquals(skipped.map(({ reason }) => reason), ["gone, or its name is not Unicode"]);
    });
  },
});

Deno.test("buildManifest names a path that is not there", async () => {
  await inFolder({ "a": "" }, async (dir) => {
    const error = await assertRejects(
      () => buildManifest([`${dir}/a`, `${dir}/typo\u001b`]),
      NotFoundError,
      `${dir}/typo\\u{1b}`,
    );
    assertEquals(error.code, "no-path");
  });
});

Deno.test({
  name: "buildManifest names the permission that Deno lacks",
  permissions: { read: false },
  fn: async () => {
    await assertRejects(() => buildManifest(["/tmp"]), UnsupportedError, "--allow-read=/tmp");
  },
});

Deno.test("buildManifest refuses a named path that is neither file nor folder", async () => {
  const error = await assertRejects(() => buildManifest(["/dev/null"]), NotFoundError, "neither");
  assertEquals(error.code, "no-path");
});

Deno.test({
  name: "buildManifest fails on a folder that may not be read",
  // The superuser may read everything.
  ignore: Deno.build.os === "windows" || Deno.uid() === 0,
  fn: async () => {
    await inFolder({ "d/x": "" }, async (dir) => {
      await Deno.chmod(`${dir}/d`, 0);
      await assertRejects(() => buildManifest([`${dir}/d`]), AuthError, `${dir}/d`);
      await Deno.chmod(`${dir}/d`, 0o700);
    });
  },
});

Deno.test("buildManifest tells names that are not portable, by the local path", async () => {
  for (const [name, reason] of [["aux.txt", "device"], ["a:b", "character"], ["x.", "trailing"]]) {
    await inFolder({ [`d/sub/${name}`]: "" }, async (dir) => {
      const error = await assertRejects(
        () => buildManifest([`${dir}/d`]),
        InvalidPacketError,
        `Cannot send "${dir}/d/sub/${name}": `,
      );
      assert(String(error.details.reason).includes(reason ?? ""), error.message);
    });
  }
});

Deno.test("buildManifest tells names that collide, by the local paths", async () => {
  await inFolder({ "one/x": "", "two/x": "", "two/X": "" }, async (dir) => {
    for (const pair of [[`${dir}/one/x`, `${dir}/two/x`], [`${dir}/two/X`, `${dir}/one/x`]]) {
      const error = await assertRejects(
        () => buildManifest(pair),
        InvalidPacketError,
        "store both",
      );
      assertEquals(error.details.paths, pair);
    }
    await assertRejects(() => buildManifest([`${dir}/two`]), InvalidPacketError, `${dir}/two/X`);
  });
});

Deno.test("buildManifest stops at maxEntries and when aborted", async () => {
  await inFolder({ "d/a": "", "d/b": "" }, async (dir) => {
    assertEquals((await buildManifest([`${dir}/d`], { maxEntries: 3 })).manifest.files, 2);
    const error = await assertRejects(
      () => buildManifest([`${dir}/d`], { maxEntries: 2 }),
      LimitError,
    );
    assertEquals(error.details, { limit: "maxEntries", max: 2 });
    const reason = new Error("enough");
    const signal = AbortSignal.abort(reason);
    assertEquals(await assertRejects(() => buildManifest([`${dir}/d`], { signal })), reason);
  });
});

Deno.test("buildManifest keeps times that a manifest can carry", async () => {
  await inFolder({ "old": "", "new": "" }, async (dir) => {
    await Deno.utime(`${dir}/old`, -86_400, -86_400);
    const { manifest } = await buildManifest([`${dir}/old`, `${dir}/new`]);
    assertEquals(manifest.entries[1]?.mtimeMs, 0);
    assertEquals(parseManifest(encodeManifest(manifest)), manifest);
  });
});

Deno.test("encodeManifest and parseManifest agree", async () => {
  assertEquals(parseManifest({ entries: [] }), { entries: [], files: 0, totalBytes: 0 });
  await inFolder({ "d/a": "12", "d/e/": "", "d/é": "3" }, async (dir) => {
    const { manifest } = await buildManifest([`${dir}/d`]);
    assertEquals(parseManifest(encodeManifest(manifest)), manifest);
    assertEquals(parseManifest(JSON.parse(JSON.stringify(encodeManifest(manifest)))), manifest);
  });
});

Deno.test("encodeManifest has the documented form", () => {
  const entries = [
    { path: "d", kind: "directory", size: 0, mode: 0o755, mtimeMs: 1 },
    { path: "d/f", kind: "file", size: 9, mode: 0o600, mtimeMs: 2 },
  ] as const;
  const encoded = { entries: [["d", true, 0, 0o755, 1], ["d/f", false, 9, 0o600, 2]] };
  assertEquals(encodeManifest({ entries, files: 1, totalBytes: 9 }), encoded);
  assertEquals(parseManifest(encoded), { entries: [...entries], files: 1, totalBytes: 9 });
});

Deno.test("parseManifest drops the bits beyond the permissions", () => {
  const modes = [0o4755, 0o2755, 0o1777, 0o100644, 0xffffffff].map((mode) =>
    parseManifest({ entries: [["a", false, 1, mode, 0]] }).entries[0]?.mode
  );
  assertEquals(modes, [0o755, 0o755, 0o777, 0o644, 0o777]);
});

Deno.test("parseManifest refuses every field that is not what it must be", () => {
  const bad: [rows: unknown, why: string][] = [
    [undefined, "entries is not an array"],
    [{ 0: ROW, length: 1 }, "entries is not an array"],
    [[ROW, null], "entry 1 is not an array of 5"],
    [["a"], "entry 0 is not an array of 5"],
    [[ROW.slice(0, 4)], "entry 0 is not an array of 5"],
    [[[...ROW, 0]], "entry 0 is not an array of 5"],
    [[ROW.with(0, 7)], "path of entry 0 is not a string"],
    [[ROW.with(0, new Uint8Array(1))], "path of entry 0"],
    [[ROW.with(0, "../x")], "dot segment"],
    [[ROW.with(0, "x".repeat(256))], "maxSegmentBytes"],
    [[ROW.with(1, 0)], "kind of entry 0 is not a boolean"],
    [[ROW.with(1, true)], "size of entry 0 is not an integer of 0..0"],
  ];
  for (const value of [-1, 0.5, NaN, Infinity, 2 ** 53, "1", null, undefined, 1n, {}, [1]]) {
    bad.push([[ROW.with(2, value)], "size of entry 0 is not an integer"]);
    bad.push([[ROW.with(3, value)], "mode of entry 0 is not an integer"]);
    bad.push([[ROW.with(4, value)], "mtimeMs of entry 0 is not an integer"]);
  }
  bad.push([[ROW.with(3, 2 ** 32)], "mode of entry 0"]);
  bad.push([[ROW.with(4, 253_402_300_800_000)], "mtimeMs of entry 0"]);
  for (const [entries, why] of bad) {
    assertThrows(() => parseManifest({ entries }), InvalidPacketError, why);
  }
  for (const value of [undefined, null, 0, "entries", [], new Map([["entries", []]])]) {
    assertThrows(() => parseManifest(value), InvalidPacketError, "entries is not an array");
  }
});

Deno.test("parseManifest refuses paths that are listed twice or collide", () => {
  for (const [a, b] of [["a", "a"], ["a", "A"], ["é", "e\u0301"], ["a", "a/b"], ["d/x", "D/y"]]) {
    const entries = [ROW.with(0, a ?? ""), ROW.with(0, b ?? "")];
    assertThrows(() => parseManifest({ entries }), InvalidPacketError, "store both");
  }
});

Deno.test("parseManifest caps entries before it looks at them, and bytes", () => {
  const many = { entries: Array.from({ length: 4 }, (_, n) => ROW.with(0, `f${n}`)) };
  assertEquals(parseManifest(many, { maxEntries: 4, maxTotalBytes: 4 }).totalBytes, 4);
  const entries = assertThrows(() => parseManifest(many, { maxEntries: 3 }), LimitError);
  assertEquals(entries.details, { limit: "maxEntries", max: 3 });
  const bytes = assertThrows(() => parseManifest(many, { maxTotalBytes: 3 }), LimitError);
  assertEquals(bytes.details, { limit: "maxTotalBytes", max: 3 });
  assertThrows(
    () => parseManifest({ entries: new Array(250_001) }),
    LimitError,
    "maxEntries 250000",
  );
});

Deno.test("parseManifest refuses a sum that is not a safe integer", () => {
  const huge = ["a", "b"].map((path) => [path, false, Number.MAX_SAFE_INTEGER, 0, 0]);
  assertThrows(() => parseManifest({ entries: huge }), LimitError, "maxTotalBytes");
  const exact = [["a", false, Number.MAX_SAFE_INTEGER, 0, 0], ["b", false, 0, 0, 0]];
  assertEquals(parseManifest({ entries: exact }).totalBytes, Number.MAX_SAFE_INTEGER);
});

Deno.test("parseManifest answers random values with its own errors", () => {
  const random = seededRandom(11);
  const pick = <T>(values: readonly T[]): T | undefined =>
    values[Math.floor(random() * values.length)];
  const leaves = [
    0,
    1,
    -1,
    0o644,
    NaN,
    2 ** 60,
    "a",
    "b/c",
    "..",
    "",
    true,
    false,
    null,
    undefined,
    5n,
  ];
  const value = (depth: number): unknown => {
    const kind = random();
    if (depth === 0 || kind < 0.3) return pick(leaves);
    const items = Array.from({ length: Math.floor(random() * 6) }, () => value(depth - 1));
    return kind < 0.85 ? items : { entries: items };
  };
  let passed = 0;
  for (let round = 0; round < 20_000; round++) {
    const rows = value(2);
    const row = [pick(leaves), pick([true, false, 0]), pick(leaves), pick(leaves), pick(leaves)];
    try {
      const manifest = parseManifest({ entries: round % 2 === 0 ? rows : [row] });
      assert(manifest.entries.every(({ size, mode }) => size >= 0 && mode <= 0o777));
      passed++;
    } catch (error) {
      assert(error instanceof InvalidPacketError || error instanceof LimitError, `${error}`);
    }
  }
  assert(passed > 100, `${passed}`);
});

Deno.test("manifestRoot is the SHA-256 of the documented bytes", () => {
  const hash = (hex: string) => createHash("sha256").update(Uint8Array.fromHex(hex)).digest("hex");
  const domain = "6b697468206d616e69666573742031";
  assertEquals(manifestRoot([]), hash(domain + "00000000"));
  const files = [
    { path: "a", size: 5, sha256: "11".repeat(32) },
    { path: "é/b", size: Number.MAX_SAFE_INTEGER, sha256: "22".repeat(32) },
  ];
  const first = "00000001" + "61" + "0000000000000005" + "11".repeat(32);
  const second = "00000004" + "c3a92f62" + "001fffffffffffff" + "22".repeat(32);
  assertEquals(manifestRoot(files), hash(domain + "00000002" + first + second));
  assertEquals(
    manifestRoot(files),
    "cf56ea13f1e48e75875803f9d1050af9f7fe111da4c0df36c917a201b99adf64",
  );
});

Deno.test("manifestRoot changes with the order, the borders, the sizes and the hashes", () => {
  const file = (path: string, size = 0, byte = "00") => ({ path, size, sha256: byte.repeat(32) });
  const lists = [
    [],
    [file("a")],
    [file("b")],
    [file("a", 1)],
    [file("a", 0, "01")],
    [file("a"), file("b")],
    [file("b"), file("a")],
    [file("ab")],
    [file("a"), file("a")],
  ];
  assertEquals(new Set(lists.map(manifestRoot)).size, lists.length);
  assertNotEquals(manifestRoot([file("é")]), manifestRoot([file("e\u0301")]));
});

Deno.test("manifestRoot refuses what it could not tell apart", () => {
  const good = { path: "a", size: 1, sha256: "ab".repeat(32) };
  assertThrows(() => manifestRoot([{ ...good, path: "\ud800" }]), TypeError, "lone surrogates");
  for (const sha256 of ["", "AB".repeat(32), "ab".repeat(31), "ab".repeat(33), "zz".repeat(32)]) {
    assertThrows(() => manifestRoot([{ ...good, sha256 }]), TypeError, "64 lower-case");
  }
  for (const size of [-1, 0.5, NaN, 2 ** 53]) {
    assertThrows(() => manifestRoot([{ ...good, size }]), RangeError, `${size}`);
  }
});
