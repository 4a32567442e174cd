import { assert, assertEquals, assertRejects } from "@std/assert";
import { RemoteError } from "../../src/errors.ts";
import { sendFiles } from "../../src/transfer/send.ts";
import { CHUNK_BYTES } from "../../src/transfer/steps.ts";
import { Events, Exchange, parts, pattern, same, sendAll, wholes } from "./fixture.ts";

const MIB = 1024 * 1024;

/** Runs `mount` or `umount`. @returns whether it worked. */
function mounting(program: string, ...args: string[]): boolean {
  try {
    return new Deno.Command(program, { args, stderr: "null", stdout: "null" }).outputSync().success;
  } catch {
    return false; // there is no such program
  }
}

/** A disk of its own size, in memory, where we may mount one. */
class SmallDisk implements AsyncDisposable {
  readonly dir = Deno.realPathSync(Deno.makeTempDirSync());
  readonly mounted: boolean;

  constructor(mib: number) {
    this.mounted = mounting("mount", "-t", "tmpfs", "-o", `size=${mib}m`, "tmpfs", this.dir);
  }

  /** Makes it one that can only be read, or one that can be written to. */
  remount(how: "ro" | "rw"): void {
    assert(mounting("mount", "-o", `remount,${how}`, this.dir));
  }

  [Symbol.asyncDispose](): Promise<void> {
    if (this.mounted) mounting("umount", "-l", this.dir);
    Deno.removeSync(this.dir);
    return Promise.resolve();
  }
}

async function canMount(): Promise<boolean> {
  await using disk = new SmallDisk(1);
  return disk.mounted;
}

/** As root on Linux, and not in every container. */
const ignore = !await canMount();

Deno.test("a disk that gets full ends the transfer on both sides; with room again it goes on", {
  ignore,
}, async () => {
  await using disk = new SmallDisk(20);
  await using exchange = await Exchange.open({ noReceiver: true });
  const dir = `${disk.dir}/in`;
  const receiver = exchange.receive({ dir });
  const events = new Events(receiver);
  const contents = pattern(3 * CHUNK_BYTES);
  const built = await exchange.build({ film: contents });
  const link = await exchange.link("alice");
  const error = await assertRejects(async () => {
    for await (const { type } of sendFiles(link, built)) {
      if (type === "accepted") Deno.writeFileSync(`${disk.dir}/other`, pattern(14 * MIB));
    }
  }, RemoteError);
  assertEquals(error.code, "limit");
  assertEquals(error.message, "The receiver could not store the file (its disk is full)");
  assert(String((await events.next("failed")).error).includes("No space left"));
  const [kept = 0] = Object.values(parts(dir));
  assert(kept > 0 && kept < contents.length, `${kept}`);

  // A new offer is told at once.
  const second = await exchange.build({ other: contents });
  const refused = await assertRejects(() => sendAll(link, second), RemoteError, "free space");
  assertEquals([refused.code, refused.details.limit], ["limit", "freeBytes"]);

  Deno.removeSync(`${disk.dir}/other`);
  const done = await sendAll(link, built);
  assert(done.sentBytes < contents.length, `${done.sentBytes}`);
  assert(same(Deno.readFileSync(`${dir}/film`), contents));
  await receiver[Symbol.asyncDispose]();
  await events.over;
});

Deno.test("small files end with a full disk, too, and none of them is there in part", {
  ignore,
}, async () => {
  await using disk = new SmallDisk(8);
  await using exchange = await Exchange.open({ noReceiver: true });
  const receiver = exchange.receive({ dir: disk.dir });
  const files = Object.fromEntries(
    Array.from({ length: 100 }, (_, at) => [`f/${String(at).padStart(2, "0")}`, pattern(50_000)]),
  );
  const built = await exchange.build(files);
  const link = await exchange.link("alice");
  const error = await assertRejects(
    async () => {
      for await (const { type } of sendFiles(link, built)) {
        if (type === "accepted") Deno.writeFileSync(`${disk.dir}/other`, pattern(5 * MIB));
      }
    },
    RemoteError,
    "its disk is full",
  );
  assertEquals(error.code, "limit");
  const there = wholes(disk.dir).filter((path) => path !== "other");
  assert(there.length > 10 && there.length < 90, `${there.length}`);
  for (const path of there) assertEquals(Deno.statSync(`${disk.dir}/${path}`).size, 50_000);
  Deno.removeSync(`${disk.dir}/other`);
  assertEquals((await sendAll(link, built)).sentBytes, (100 - there.length) * 50_000);
  assertEquals(wholes(disk.dir).length, 100);
  receiver.close();
});

Deno.test("a disk that can only be read is a clear error on both sides", { ignore }, async () => {
  await using disk = new SmallDisk(20);
  await using exchange = await Exchange.open({ noReceiver: true });
  const receiver = exchange.receive({ dir: disk.dir });
  const events = new Events(receiver);
  const link = await exchange.link("alice");
  const built = await exchange.build({ "film": pattern(2 * MIB) });
  const sending = async (readOnlyAt: string) => {
    for await (const { type } of sendFiles(link, built)) {
      if (type === readOnlyAt) disk.remount("ro");
    }
  };
  const text = "The receiver could not store the file (its disk can only be read)";
  const error = await assertRejects(() => sending("accepted"), RemoteError, text);
  assertEquals(error.code, "limit");
  const folder = await exchange.build({ "f/film": pattern(2 * MIB) });
  await assertRejects(() => sendAll(link, folder), RemoteError, text);
  await events.next("failed");
  disk.remount("rw");
  assertEquals((await sendAll(link, built)).bytes, 2 * MIB);
  await receiver[Symbol.asyncDispose]();
  await events.over;
});

Deno.test("what is there already takes no more room: an update, and what was interrupted", {
  ignore,
}, async () => {
  await using disk = new SmallDisk(20);
  await using exchange = await Exchange.open({ noReceiver: true });
  const receiver = exchange.receive({ dir: disk.dir, update: true });
  const link = await exchange.link("alice");
  const built = await exchange.build({ "f/film": pattern(3 * CHUNK_BYTES), "f/a": pattern(9) });
  await sendAll(link, built, { update: true });
  // 8 MiB are free now.
  const again = await sendAll(link, built, { update: true });
  assertEquals([again.unchanged, again.sentBytes], [2, 0]);
  const wide = await exchange.build({ "f/film": pattern(3 * CHUNK_BYTES + 1) });
  const update = () => sendAll(link, wide, { update: true });
  const error = await assertRejects(update, RemoteError, "free space");
  assertEquals(error.details.limit, "freeBytes");

  Deno.removeSync(`${disk.dir}/f`, { recursive: true });
  for (const path of ["film", "g/film"]) {
    const contents = pattern(3 * CHUNK_BYTES);
    const files = await exchange.build({ [path]: contents });
    const breaking = await exchange.link("bob");
    await assertRejects(async () => {
      for await (const event of sendFiles(breaking, files)) {
        if (event.type === "progress" && event.bytes > 2 * CHUNK_BYTES) await breaking.close();
      }
    });
    Deno.writeFileSync(`${disk.dir}/other`, pattern(6 * MIB));
    const done = await sendAll(await exchange.link("bob"), files);
    assert(done.sentBytes < CHUNK_BYTES, `${path}: ${done.sentBytes}`);
    assert(same(Deno.readFileSync(`${disk.dir}/${path}`), contents));
    for (const name of ["other", path]) Deno.removeSync(`${disk.dir}/${name}`);
  }
  receiver.close();
});
