import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import type { Link } from "../../src/endpoint/link.ts";
import { PeerError, RemoteError } from "../../src/errors.ts";
import { Peer } from "../../src/peer.ts";
import { freeBytes } from "../../src/transfer/disk.ts";
import { Secret, Swapper } from "../threats/swap.ts";
import { freshToken, parts, run, Steps, wholes } from "../transfer/fixture.ts";
import { Kith, loopback } from "./process.ts";
import { paths, Scratch } from "./scratch.ts";

/** Swaps that a receiver has to stand while files come in. */
const SWAPS = 2_000;

/** More than that takes, on a machine that is busy. */
const PATIENCE_MS = 20_000;

/** What `kith recv --help` says that it needs, for a folder. */
function leastPermissions(dir: string): string[] {
  const folders = `${dir},/dev/null/no-home`;
  return ["--unstable-net", "--allow-net", "--allow-sys=networkInterfaces,statfs", "--allow-env"]
    .concat(`--allow-read=${folders}`, `--allow-write=${folders}`);
}

/** A receiver that accepts everything, and a way to it. */
class Recv implements AsyncDisposable {
  readonly kith: Kith;
  readonly address: string;

  private constructor(kith: Kith, address: string) {
    this.kith = kith;
    this.address = address;
  }

  static async start(dir: string, permissions: readonly string[] = ["-A"]): Promise<Recv> {
    const args = ["recv", "--dir", dir, "--yes", "--json", "--port", "0", "--ephemeral"];
    const kith = Kith.start([...args, ...loopback()], { permissions });
    try {
      const { tcp } = await kith.event("ready");
      return new Recv(kith, `127.0.0.1:${tcp}`);
    } catch (error) {
      await kith[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kith[Symbol.asyncDispose]();
  }
}

/** Sends a folder again and again until the swapper has had its swaps. @returns how often that went well, and badly. */
async function sendUnderAttack(
  address: string,
  folder: string,
  swapper: Swapper,
): Promise<{ done: number; failed: number }> {
  await using peer = await Peer.open({ hostname: "127.0.0.1", clientOnly: true });
  const tally = { done: 0, failed: 0 };
  const endMs = performance.now() + PATIENCE_MS;
  while (swapper.swaps < SWAPS && performance.now() < endMs) {
    try {
      await peer.send([folder], { to: address });
      tally.done++;
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      tally.failed++;
    }
  }
  return tally;
}

interface Attack {
  readonly scratch: Scratch;
  readonly secret: Secret;
  readonly tally: { readonly done: number; readonly failed: number };
}

/** Sends to a receiver while a folder of its inbox is swapped for a link to a secret, until that has been tried enough. */
async function attack(
  target: string,
  permissions: (dir: string) => readonly string[],
  look: (attack: Attack) => Promise<void> | void,
): Promise<void> {
  await using scratch = await Scratch.make();
  using secret = new Secret(scratch.path("secret"));
  for (const name of ["a.txt", "b.txt", "deep/c.txt", "deep/er/d.txt"]) {
    await scratch.write(`album/${name}`, "not for others".repeat(1_000));
  }
  await Deno.mkdir(scratch.path("inbox/.kith-partial"), { recursive: true });
  await using recv = await Recv.start(scratch.path("inbox"), permissions(scratch.path("inbox")));
  let tally: { done: number; failed: number };
  {
    await using swapper = await Swapper.start(scratch.path(target), secret.dir);
    tally = await sendUnderAttack(recv.address, scratch.path("album"), swapper);
    assert(swapper.swaps >= SWAPS, `only ${swapper.swaps} swaps`);
  }
  const { code } = await recv.kith.interrupt();
  assertEquals(code, 130);
  await look({ scratch, secret, tally });
  assertEquals(await Deno.readTextFile(`${secret.dir}/canary`), "alive");
}

for (const target of ["inbox/.kith-partial", "inbox"]) {
  Deno.test(
    `recv lets nothing out while ${target} is swapped for a link thousands of times`,
    { ignore: Deno.build.os !== "linux" },
    async () => {
      await attack(target, () => ["-A"], async ({ secret, tally }) => {
        assertEquals(await secret.touched(), []);
        assertGreater(tally.failed, 0);
      });
    },
  );

  Deno.test(`recv with the least permissions leaves no contents outside while ${target} is swapped`, async () => {
    await attack(target, leastPermissions, ({ secret, tally }) => {
      const outside = paths(secret.dir).filter((path) => !path.endsWith("/") && path !== "canary");
      const sizes = outside.map((path) => Deno.lstatSync(`${secret.dir}/${path}`).size);
      assertEquals(sizes.filter((size) => size > 0), [], outside.join());
      assertGreater(tally.failed, 0);
    });
  });
}

/** Offers what may be no manifest. */
function offerManifest(link: Link, manifest: unknown): Promise<unknown> {
  return link.request("transfer.offer", { manifest, token: freshToken() });
}

/** Begins a transfer of one file. */
async function begin(link: Link, size: number): Promise<{ id: number; run: Promise<unknown> }> {
  const manifest = { entries: [["film", false, size, 0o644, 0]] };
  const { id } = await offerManifest(link, manifest) as { id: number };
  const running = run(link, id);
  running.catch(() => {}); // looked at later
  return { id, run: running };
}

Deno.test("recv refuses a sender that claims 1 TB, cuts one off that never stops, and serves the others", async () => {
  await using scratch = await Scratch.make();
  const dir = scratch.path("inbox");
  await using recv = await Recv.start(dir);
  await using evil = await Peer.open({ hostname: "127.0.0.1", clientOnly: true });
  const link = await evil.link(recv.address);
  const free = freeBytes(dir) ?? 0;
  for (const claimed of [Math.max(1e12, 2 * free), Number.MAX_SAFE_INTEGER]) {
    const error = await assertRejects(() => begin(link, claimed), RemoteError, "free");
    assertEquals([error.code, paths(dir)], ["limit", []]);
  }

  const chunk = new Uint8Array(256 * 1024).fill(7);
  const announced = 8 * chunk.length + 1;
  const { id, run } = await begin(link, announced);
  const cutOff = assertRejects(() => run, RemoteError, `${announced} bytes announced`);
  const steps = new Steps(link, id);
  let ended = false;
  const endless = (async () => {
    while (!ended) await steps.data(0, chunk);
  })();
  assertEquals((await cutOff).code, "too-large");
  assertEquals(Object.values(parts(dir)), [announced - 1]); // what was right is kept

  // It goes on, and somebody else gets through.
  const file = await scratch.write("notes.txt", "hello");
  await using alice = await Peer.open({ hostname: "127.0.0.1", clientOnly: true });
  assertEquals((await alice.send([file], { to: recv.address })).bytes, 5);
  ended = true;
  await endless;
  const { code, events } = await recv.kith.interrupt();
  assertEquals([code, wholes(dir)], [130, ["notes.txt"]]);
  assertEquals(events.map(({ event }) => event), [
    ...["ready", "refused", "refused", "failed", "received", "closed"],
  ]);
});

Deno.test("recv outlives a thousand offers that cannot be, and still receives", async () => {
  await using scratch = await Scratch.make();
  const dir = scratch.path("inbox");
  await using recv = await Recv.start(dir);
  await using evil = await Peer.open({ hostname: "127.0.0.1", clientOnly: true });
  const link = await evil.link(recv.address);
  const sizes: readonly unknown[] = [
    -1,
    NaN,
    Infinity,
    0.5,
    2 ** 53,
    2n ** 64n - 1n,
    "1",
    null,
    [],
    {},
  ];
  const manifests: readonly unknown[] = [
    ...sizes.map((size) => ({ entries: [["f", false, size, 0o644, 0]] })),
    ...sizes.map((mode) => ({ entries: [["f", false, 1, mode, 0]] })),
    ...sizes.map((mtime) => ({ entries: [["f", false, 1, 0o644, mtime]] })),
    ...[null, 1, "x", [], {}, { entries: {} }, { entries: [[]] }, { entries: [["f"]] }],
    { entries: new Array(260_000).fill(null) },
    { entries: [["f", false, 1, 0, 0], ["f", false, 1, 0, 0]] },
  ];
  let refused = 0;
  for (let round = 0; refused < 1_000; round++) {
    const manifest = manifests[round % manifests.length];
    const error = await assertRejects(() => offerManifest(link, manifest), RemoteError);
    assert(["bad-message", "limit"].includes(error.code), `${error.code}: ${error}`);
    refused++;
  }
  assertEquals(paths(dir), []);
  const file = await scratch.write("notes.txt", "hello");
  assertEquals((await evil.send([file], { to: recv.address })).bytes, 5);
  const { code } = await recv.kith.interrupt();
  assertEquals([code, paths(dir)], [130, ["notes.txt"]]);
});
