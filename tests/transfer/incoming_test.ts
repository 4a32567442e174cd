import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { IntegrityError, InvalidPacketError } from "../../src/errors.ts";
import { Incoming, summarize } from "../../src/transfer/incoming.ts";
import { type Manifest, manifestRoot, parseManifest } from "../../src/transfer/manifest.ts";
import { ReceiveRoot } from "../../src/transfer/receive_root.ts";
import { listing, pattern, sha256 } from "./fixture.ts";

const MTIME_MS = 1_700_000_000_000;

Deno.test("Incoming takes files of a manifest in its order, in whatever pieces", async () => {
  await inRoot(async (root) => {
    const bytes = pattern(1_000);
    const manifest = manifestOf({ "a.bin": 1_000, "empty": 0, "f/b.bin": 3 }, ["f", "g"]);
    const incoming = begun(root, manifest);
    assertEquals(listing(root.dir), ["f/", "g/"]);
    for (let at = 0; at < 1_000; at += 300) incoming.write(0, bytes.subarray(at, at + 300));
    const first = await incoming.end(0, sha256(bytes));
    assertEquals(first, { path: "a.bin", bytes: 1_000, sha256: sha256(bytes).toHex() });
    await incoming.end(1, sha256(new Uint8Array(0)));
    assertEquals(incoming.over, false);
    incoming.write(2, pattern(3));
    await incoming.end(2, sha256(pattern(3)));
    assertEquals([incoming.over, incoming.bytes], [true, 1_003]);
    root.tidy();
    assertEquals(listing(root.dir), ["a.bin", "empty", "f/", "f/b.bin", "g/"]);
    assertEquals(Deno.readFileSync(`${root.dir}/a.bin`), bytes);
    assertEquals(Deno.statSync(`${root.dir}/a.bin`).mtime?.getTime(), MTIME_MS);
    const { files, bytes: total, sha256: rootHash } = incoming.summary();
    assertEquals([files, total, rootHash.length], [3, 1_003, 64]);
  });
});

Deno.test("Incoming of no files is over at once", async () => {
  await inRoot((root) => {
    assertEquals(begun(root, manifestOf({})).over, true);
    assertEquals(begun(root, manifestOf({}, ["a", "a/b"])).over, true);
    assertEquals(listing(root.dir), ["a/", "a/b/"]);
  });
});

Deno.test("Incoming refuses a file whose turn it is not", async () => {
  await inRoot(async (root) => {
    const incoming = begun(root, manifestOf({ a: 1, b: 1, "f/c": 1 }, ["f"]));
    const byte = Uint8Array.of(7);
    for (const index of [1, 2, 3, 4, 99]) {
      assertThrows(() => incoming.write(index, byte), InvalidPacketError, `file ${index} is out`);
    }
    incoming.write(0, byte);
    assertThrows(() => incoming.write(1, byte), InvalidPacketError, "out of turn");
    await assertRejects(() => incoming.end(1, sha256(byte)), InvalidPacketError, "out of turn");
    await incoming.end(0, sha256(byte));
    assertThrows(() => incoming.write(0, byte), InvalidPacketError, "out of turn");
    await assertRejects(() => incoming.end(0, sha256(byte)), InvalidPacketError, "out of turn");
    incoming.write(1, byte);
    incoming.abort();
  });
});

Deno.test("Incoming refuses a byte more than was announced, before it is written", async () => {
  await inRoot((root) => {
    const incoming = begun(root, manifestOf({ "a\u0301": 10 }));
    incoming.write(0, pattern(10));
    const error = assertThrows(() => incoming.write(0, Uint8Array.of(1)), InvalidPacketError);
    assertEquals([error.code, error.details], ["too-large", { limit: "size", max: 10 }]);
    incoming.abort();
    const whole = begun(root, manifestOf({ b: 3 }));
    assertThrows(() => whole.write(0, pattern(4)), InvalidPacketError, "3 bytes announced");
    assertEquals(whole.bytes, 0);
    whole.abort();
  });
});

Deno.test("Incoming keeps nothing of a file that is not what it claims to be", async () => {
  const good = sha256(pattern(10));
  const claims: readonly (readonly [number, unknown])[] = [
    [9, good],
    [10, sha256(pattern(11))],
    [10, good.subarray(0, 31)],
    [10, good.toHex()],
    [10, undefined],
    [0, sha256(new Uint8Array(0))],
  ];
  for (const [count, claimed] of claims) {
    await inRoot(async (root) => {
      const incoming = begun(root, manifestOf({ a: 10 }));
      incoming.write(0, pattern(count));
      const error = await assertRejects(() => incoming.end(0, claimed), IntegrityError);
      assertEquals([error.code, error.details], ["bad-hash", { bytes: count, announced: 10 }]);
      incoming.abort();
      root.tidy();
      assertEquals(listing(root.dir), []);
    });
  }
});

Deno.test("Incoming.abort removes what is incomplete and keeps what is complete, and is harmless twice", async () => {
  await inRoot(async (root) => {
    const incoming = begun(root, manifestOf({ a: 1, b: 10 }));
    incoming.write(0, Uint8Array.of(1));
    await incoming.end(0, sha256(Uint8Array.of(1)));
    incoming.write(1, pattern(5));
    incoming.abort();
    incoming.abort();
    assertEquals(incoming.over, true);
    root.tidy();
    assertEquals(listing(root.dir), ["a"]);
  });
});

Deno.test("Incoming.abort is harmless at the moment in which a file gets its name", async () => {
  await inRoot(async (root) => {
    const incoming = begun(root, manifestOf({ a: 1, b: 1 }));
    const commit = root.commit.bind(root);
    root.commit = async (...args) => {
      const path = await commit(...args);
      incoming.abort();
      return path;
    };
    incoming.write(0, Uint8Array.of(1));
    await incoming.end(0, sha256(Uint8Array.of(1)));
    root.tidy();
    assertEquals(listing(root.dir), ["a"]);
  });
});

Deno.test("Incoming puts everything below a taken name at the top into name (1)", async () => {
  await inRoot(async (root) => {
    Deno.mkdirSync(`${root.dir}/photos`);
    Deno.writeTextFileSync(`${root.dir}/photos/mine.txt`, "mine");
    Deno.writeTextFileSync(`${root.dir}/a.txt`, "mine");
    const incoming = begun(root, manifestOf({ "a.txt": 0, "photos/mine.txt": 0 }, ["photos"]));
    const empty = sha256(new Uint8Array(0));
    const { entries } = incoming.manifest;
    const places: string[] = [];
    for (const [index, { kind }] of entries.entries()) {
      if (kind === "file") places.push((await incoming.end(index, empty)).path);
    }
    assertEquals(places, ["a (1).txt", "photos (1)/mine.txt"]);
    assertEquals(Deno.readTextFileSync(`${root.dir}/photos/mine.txt`), "mine");
    assertEquals(Deno.readTextFileSync(`${root.dir}/a.txt`), "mine");
  });
});

Deno.test("Incoming never mixes two folders that come under one name, listed or not", async () => {
  await inRoot(async (root) => {
    const empty = sha256(new Uint8Array(0));
    // Folders that no entry lists are only made when their first file is there.
    const [one, two] = [
      begun(root, manifestOf({ "f/a": 0 })),
      begun(root, manifestOf({ "f/b": 0 })),
    ];
    assertEquals((await two.end(0, empty)).path, "f (1)/b");
    assertEquals((await one.end(0, empty)).path, "f/a");

    // One that exists moves to a name that another of the same transfer has.
    const both = begun(root, manifestOf({ "f/x": 0, "f (2)/x": 0 }));
    assertEquals((await both.end(0, empty)).path, "f (2)/x");
    assertEquals((await both.end(1, empty)).path, "f (2) (1)/x");
    root.tidy();
    assertEquals(listing(root.dir), [
      "f (1)/",
      "f (1)/b",
      "f (2) (1)/",
      "f (2) (1)/x",
      "f (2)/",
      "f (2)/x",
      "f/",
      "f/a",
    ]);
  });
});

Deno.test("Incoming gives two files that get the same free name a name each", async () => {
  await inRoot(async (root) => {
    Deno.writeTextFileSync(`${root.dir}/a.txt`, "mine");
    const incoming = begun(root, manifestOf({ "a.txt": 0, "a (1).txt": 0 }));
    const empty = sha256(new Uint8Array(0));
    const places = [(await incoming.end(0, empty)).path, (await incoming.end(1, empty)).path];
    assertEquals(places, ["a (1).txt", "a (1) (1).txt"]);
  });
});

Deno.test("summarize gives the file's hash for one file and the root for none or more", () => {
  const one = { path: "a", size: 3, sha256: "ab".repeat(32) };
  assertEquals(summarize([one]), { files: 1, bytes: 3, sha256: one.sha256 });
  const two = [one, { ...one, path: "b" }];
  assertEquals(summarize(two), { files: 2, bytes: 6, sha256: manifestRoot(two) });
  assertEquals(summarize([]), { files: 0, bytes: 0, sha256: manifestRoot([]) });
});

async function inRoot(run: (root: ReceiveRoot) => Promise<void> | void): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await run(ReceiveRoot.open(dir));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

function begun(root: ReceiveRoot, manifest: Manifest): Incoming {
  const incoming = new Incoming(root, manifest);
  incoming.begin();
  return incoming;
}

/** A manifest of folders, then files, as a stranger may write it. */
function manifestOf(files: Record<string, number>, folders: readonly string[] = []): Manifest {
  const entries = [
    ...Object.entries(files).map(([path, size]) => [path, false, size, 0o644, MTIME_MS]),
    ...folders.map((path) => [path, true, 0, 0o755, MTIME_MS]),
  ];
  const manifest = parseManifest({ entries });
  assert(manifest.files === Object.keys(files).length);
  return manifest;
}
