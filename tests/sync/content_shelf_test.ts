import { assert, assertEquals, assertRejects } from "@std/assert";
import { ClosedError } from "../../src/errors.ts";
import { sha256Aside } from "../../src/sync/aside.ts";
import { ContentShelf } from "../../src/sync/content_shelf.ts";
import { ReceiveRoot } from "../../src/transfer/receive_root.ts";

/** Parts that stay open at once: fewer than are made here. */
const MANY = 80;

Deno.test("ContentShelf keeps more whole parts than it keeps open, and closes those in the end", async () => {
  const dir = Deno.makeTempDirSync();
  const root = ReceiveRoot.open(dir);
  {
    using shelf = new ContentShelf(root);
    const hashes = await Promise.all(
      Array.from({ length: MANY }, (_, n) => sha256Aside(new Uint8Array([n]))),
    );
    for (const [n, sha256] of hashes.entries()) {
      const grown = await shelf.begin(sha256, 1);
      grown.part.file.writeSync(new Uint8Array([n]));
      await shelf.finish(sha256, grown, 1);
    }
    for (const [n, sha256] of hashes.slice(10).entries()) {
      const part = shelf.take(sha256);
      assert(part !== undefined);
      assertEquals([...Deno.readFileSync(part.partPath)], [n + 10]);
      root.discard(part);
    }
    shelf.clear(hashes.slice(0, 5));
    assertEquals(hashes.filter((sha256) => shelf.has(sha256)), hashes.slice(5, 10));
  }
  // The sanitizer sees what is still open.
  Deno.removeSync(dir, { recursive: true });
});

Deno.test("ContentShelf goes on with what was left, then and after a restart", async () => {
  const dir = Deno.makeTempDirSync();
  const root = ReceiveRoot.open(dir);
  const sha256 = await sha256Aside(new Uint8Array([1, 2, 3]));
  using before = new ContentShelf(root);
  const first = await before.begin(sha256, 3);
  first.part.file.writeSync(new Uint8Array([1]));
  before.leave(first);
  const second = await before.begin(sha256, 3);
  assertEquals(second.bytes, 1);
  second.part.file.writeSync(new Uint8Array([2]));
  before.leave(second);
  before[Symbol.dispose]();
  await assertRejects(() => before.begin(sha256, 3), ClosedError);
  using after = new ContentShelf(root);
  const third = await after.begin(sha256, 3);
  assertEquals(third.bytes, 2);
  after.discard(third);
  const fresh = await after.begin(sha256, 3);
  assertEquals(fresh.bytes, 0);
  after.discard(fresh);
  Deno.removeSync(dir, { recursive: true });
});

Deno.test("ContentShelf makes its folder again when somebody has removed it", async () => {
  const dir = Deno.makeTempDirSync();
  using shelf = new ContentShelf(ReceiveRoot.open(dir));
  const hashes = [await sha256Aside(new Uint8Array([1])), await sha256Aside(new Uint8Array([2]))];
  const [one = "", other = ""] = hashes;
  shelf.discard(await shelf.begin(one, 1));
  Deno.removeSync(`${dir}/.kith-partial`, { recursive: true });
  await assertRejects(() => shelf.begin(other, 1));
  shelf.discard(await shelf.begin(other, 1));
  Deno.removeSync(dir, { recursive: true });
});
