import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { createHash } from "node:crypto";
import { seededRandom } from "../../src/clock.ts";
import { IntegrityError, InvalidPacketError } from "../../src/errors.ts";
import { Incoming, type IncomingOptions } from "../../src/transfer/incoming.ts";
import { type Manifest, manifestRoot, summarize } from "../../src/transfer/manifest.ts";
import { parseManifest } from "../../src/transfer/manifest_codec.ts";
import { Placement, type ReceivedFile } from "../../src/transfer/placement.ts";
import { ReceiveRoot } from "../../src/transfer/receive_root.ts";
import type { Step } from "../../src/transfer/steps.ts";
import { listing, parts, pattern, sha256, wholes } from "./fixture.ts";

const MTIME_MS = 1_700_000_000_001;

Deno.test("Incoming takes files of a manifest in its order, in whatever pieces", async () => {
  await inRoot(async (root) => {
    const bytes = pattern(1_000);
    const manifest = manifestOf({ "a.bin": 1_000, "empty": 0, "f/b.bin": 3 }, ["f", "g"]);
    const { incoming, files, take } = await begun(root, manifest);
    assertEquals(listing(root.dir).filter((path) => !path.startsWith(".")), ["f/", "g/"]);
    for (let at = 0; at < 1_000; at += 300) await take(0, bytes.subarray(at, at + 300));
    await take(1, new Uint8Array(0));
    assertEquals(incoming.complete, false);
    await take(2, pattern(3));
    assertEquals([incoming.complete, incoming.bytes, incoming.totalBytes], [true, 1_003, 1_003]);
    await incoming.settled();
    const film = files.find(({ bytes }) => bytes === 1_000); // whichever was on the disk first
    assertEquals(film, { path: "a.bin", bytes: 1_000, sha256: sha256(bytes).toHex() });
    assertEquals(incoming.over, true);
    incoming.finish();
    root.tidy();
    assertEquals(listing(root.dir), ["a.bin", "empty", "f/", "f/b.bin", "g/"]);
    assertEquals(Deno.readFileSync(`${root.dir}/a.bin`), bytes);
    const { files: count, bytes: total, sha256: rootHash } = incoming.summary();
    assertEquals([count, total, rootHash.length], [3, 1_003, 64]);
  });
});

Deno.test("Incoming gives files their times to the millisecond", async () => {
  const random = seededRandom(5);
  await inRoot(async (root) => {
    for (let n = 0; n < 100; n++) {
      const mtimeMs = Math.floor(random() * 2e12);
      const small = n % 2 === 0;
      const manifest = parseManifest({ entries: [[`f${n}`, false, 1, 0o644, mtimeMs]] });
      const { incoming, take } = await begun(root, manifest);
      if (small) await incoming.take(filesStep([[0, pattern(1)]]));
      else await take(0, pattern(1));
      await incoming.settled();
      incoming.finish();
      assertEquals(Deno.statSync(`${root.dir}/f${n}`).mtime?.getTime(), mtimeMs);
    }
  });
});

Deno.test("Incoming of no files is complete at once", async () => {
  await inRoot(async (root) => {
    for (const manifest of [manifestOf({}), manifestOf({}, ["a", "a/b"])]) {
      const { incoming } = await begun(root, manifest);
      assertEquals([incoming.complete, incoming.over], [true, true]);
      incoming.finish();
    }
    root.tidy();
    assertEquals(listing(root.dir), ["a/", "a/b/"]);
  });
});

Deno.test("Incoming takes only what is wanted", async () => {
  await inRoot(async (root) => {
    const manifest = manifestOf({ a: 1, b: 1, c: 1, "f/d": 1 }, ["f"]);
    const { incoming, take } = await begun(root, manifest, { wanted: [1, 2] });
    assertThrows(() => take(0, pattern(1)), InvalidPacketError, "file 0 is out of turn");
    await take(1, pattern(1));
    assertThrows(() => take(3, pattern(1)), InvalidPacketError, "file 3 is out of turn");
    await take(2, pattern(1));
    await incoming.settled();
    assertEquals([incoming.complete, incoming.summary().files], [true, 2]);
    incoming.finish();
    root.tidy();
    assertEquals(listing(root.dir), ["b", "c"]);
  });
});

Deno.test("Incoming refuses a file whose turn it is not", async () => {
  await inRoot(async (root) => {
    const { incoming, take } = await begun(root, manifestOf({ a: 1, b: 2, "f/c": 1 }, ["f"]));
    const byte = Uint8Array.of(7);
    for (const index of [1, 2, 3, 4, 99]) {
      assertThrows(() => take(index, byte), InvalidPacketError, `file ${index} is out`);
    }
    await take(0, byte);
    assertThrows(() => take(0, byte), InvalidPacketError, "out of turn");
    await take(1, byte);
    assertThrows(() => take(2, byte), InvalidPacketError, "out of turn");
    assertThrows(() => take(1, byte, { offset: 0 }), InvalidPacketError, "out of turn");
    assertThrows(() => take(1, byte, { offset: 2 }), InvalidPacketError, "out of turn");
    const small = filesStep([[2, byte]]);
    await assertRejects(async () => await incoming.take(small), InvalidPacketError, "out of turn");
    await incoming.settled();
    incoming.abort();
  });
});

Deno.test("Incoming refuses a byte more than was announced, before it is written", async () => {
  await inRoot(async (root) => {
    const { incoming, take } = await begun(root, manifestOf({ "a\u0301": 10 }));
    await take(0, pattern(9));
    const error = assertThrows(() => take(0, Uint8Array.of(1, 2)), InvalidPacketError);
    assertEquals([error.code, error.details], ["too-large", { limit: "size", max: 10 }]);
    incoming.abort();
    assertEquals(Object.values(parts(root.dir)), [9]);
    const whole = await begun(root, manifestOf({ b: 3 }));
    assertThrows(() => whole.take(0, pattern(4)), InvalidPacketError, "3 bytes announced");
    assertEquals(whole.incoming.bytes, 0);
    whole.incoming.abort();
    assertEquals(Object.values(parts(root.dir)), [9]); // nothing is left of what never came
  });
});

Deno.test("Incoming writes nothing that is not what it claims to be, whichever bit is wrong", async () => {
  await inRoot(async (root) => {
    const bytes = pattern(10);
    const good = sha256(bytes);
    for (let bit = 0; bit < 8 * (10 + 32); bit++) {
      const { incoming } = await begun(root, manifestOf({ a: 10 }));
      const both = Uint8Array.of(...bytes, ...good);
      const at = bit >> 3;
      both[at] = (both[at] ?? 0) ^ (1 << (bit & 7));
      const [data, digest] = [both.subarray(0, 10), both.subarray(10)];
      const step = { type: "piece", seq: 0, index: 0, offset: 0, data, digest } as const;
      const taking = () => incoming.take({ ...step, last: false });
      const error = assertThrows(taking, IntegrityError, "differs at byte 0");
      assertEquals([error.code, error.details], ["bad-hash", { offset: 0 }]);
      incoming.abort();
      assertEquals(parts(root.dir), {});
    }
    root.tidy();
    assertEquals(listing(root.dir), []);
  });
});

Deno.test("Incoming.abort keeps what came, and is harmless twice", async () => {
  await inRoot(async (root) => {
    const { incoming, take } = await begun(root, manifestOf({ a: 1, b: 10 }));
    await take(0, Uint8Array.of(1));
    await take(1, pattern(5));
    incoming.abort();
    incoming.abort();
    assertEquals(incoming.over, true);
    await incoming.settled(); // the file that is complete gets its name
    assertEquals(wholes(root.dir), ["a"]);
    assert(Object.values(parts(root.dir)).includes(5));
  });
});

Deno.test("Incoming.abort is harmless at the moment in which a file gets its name", async () => {
  await inRoot(async (root) => {
    const { incoming, take } = await begun(root, manifestOf({ a: 1, b: 1 }));
    const commit = root.commit.bind(root);
    root.commit = async (...args) => {
      const path = await commit(...args);
      incoming.abort();
      return path;
    };
    await take(0, Uint8Array.of(1));
    await incoming.settled();
    assertEquals(wholes(root.dir), ["a"]);
  });
});

Deno.test("Incoming leaves no folder open when it is given up while files get their names", {
  ignore: Deno.build.os !== "linux",
}, async () => {
  const open = () => [...Deno.readDirSync("/proc/self/fd")].length;
  await inRoot(async (root) => {
    const before = open();
    for (let round = 0; round < 5; round++) {
      const { incoming, take } = await begun(root, manifestOf({ "f/a": 1, "f/g/b": 1, "f/c": 9 }));
      await take(0, Uint8Array.of(1));
      await take(1, Uint8Array.of(1));
      incoming.abort();
      await incoming.settled();
      const small = await begun(root, manifestOf({ "f/a": 1, "f/b": 1 }), {
        received() {
          small.incoming.abort();
          return undefined;
        },
      });
      await small.incoming.take(filesStep([[0, pattern(1)], [1, pattern(1)]]));
    }
    assertEquals(open(), before);
  });
});

Deno.test("Incoming puts everything below a taken name at the top into name (1)", async () => {
  await inRoot(async (root) => {
    Deno.mkdirSync(`${root.dir}/photos`);
    Deno.writeTextFileSync(`${root.dir}/photos/mine.txt`, "mine");
    Deno.writeTextFileSync(`${root.dir}/a.txt`, "mine");
    const manifest = manifestOf({ "a.txt": 0, "photos/mine.txt": 0 }, ["photos"]);
    const { incoming, files, take } = await begun(root, manifest);
    for (const [index, { kind }] of manifest.entries.entries()) {
      if (kind === "file") await take(index, new Uint8Array(0));
    }
    await incoming.settled();
    assertEquals(files.map(({ path }) => path).sort(), ["a (1).txt", "photos (1)/mine.txt"]);
    assertEquals(Deno.readTextFileSync(`${root.dir}/photos/mine.txt`), "mine");
    assertEquals(Deno.readTextFileSync(`${root.dir}/a.txt`), "mine");
    incoming.finish();
  });
});

Deno.test("Incoming never mixes two folders that come under one name, listed or not", async () => {
  await inRoot(async (root) => {
    const empty = new Uint8Array(0);
    const [one, two] = [
      await begun(root, manifestOf({ "f/a": 0 })),
      await begun(root, manifestOf({ "f/b": 0 }), { owner: "bob" }),
    ];
    // One that exists moves to a name that another of the same transfer has.
    const both = await begun(root, manifestOf({ "f/x": 0, "f (1)/x": 0 }), { owner: "carol" });
    for (const { take } of [two, one]) await take(0, empty);
    for (const index of [0, 1]) await both.take(index, empty);
    for (const { incoming } of [one, two, both]) {
      await incoming.settled();
      incoming.finish();
    }
    assertEquals(one.files.map(({ path }) => path), ["f/a"]);
    assertEquals(two.files.map(({ path }) => path), ["f (1)/b"]);
    const places = both.files.map(({ path }) => path).sort();
    assertEquals(places, ["f (1) (1)/x", "f (2)/x"]);
    assertEquals(wholes(root.dir).length, 4);
  });
});

Deno.test("Incoming gives two files that get the same free name a name each", async () => {
  await inRoot(async (root) => {
    Deno.writeTextFileSync(`${root.dir}/a.txt`, "mine");
    const { incoming, files, take } = await begun(root, manifestOf({ "a.txt": 0, "a (1).txt": 0 }));
    for (const index of [0, 1]) await take(index, new Uint8Array(0));
    await incoming.settled();
    incoming.finish();
    assertEquals(new Set(files.map(({ path }) => path)).size, 2);
    assertEquals(wholes(root.dir).length, 3); // which of them is first is up to the disk
    assertEquals(Deno.readTextFileSync(`${root.dir}/a.txt`), "mine");
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

/** A transfer that has begun, the files that have come, and a way to give it the next bytes of one. */
interface Begun {
  readonly incoming: Incoming;
  readonly files: readonly ReceivedFile[];
  take(index: number, data: Uint8Array, wrong?: { offset?: number }): Promise<void> | undefined;
}

async function begun(
  root: ReceiveRoot,
  manifest: Manifest,
  options: Partial<IncomingOptions> & { owner?: string } = {},
): Promise<Begun> {
  const { owner = "alice", wanted, ...rest } = options;
  const placement = new Placement(root, manifest, { owner, wanted: wanted && new Set(wanted) });
  await placement.begin();
  const files: ReceivedFile[] = [];
  const received = (file: ReceivedFile): undefined => void files.push(file);
  const incoming = new Incoming({
    placement,
    received,
    ...(wanted === undefined ? {} : { wanted }),
    ...rest,
  });
  const hashes = new Map<number, { bytes: Uint8Array[]; offset: number }>();
  return {
    incoming,
    files,
    take(index, data, wrong = {}) {
      const sent = hashes.get(index) ?? { bytes: [], offset: 0 };
      const { offset } = sent;
      const bytes = [...sent.bytes, data];
      const hash = createHash("sha256");
      for (const piece of bytes) hash.update(piece);
      const step = { type: "piece", seq: 0, index, offset, data, digest: hash.digest() } as const;
      const waiting = incoming.take({ ...step, last: false, ...wrong });
      hashes.set(index, { bytes, offset: offset + data.length }); // what was refused was not sent
      return waiting;
    },
  };
}

function filesStep(rows: readonly (readonly [index: number, data: Uint8Array])[]): Step {
  const files = rows.map(([index, data]) => ({ index, data, digest: sha256(data) }));
  return { type: "files", seq: 0, files };
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
