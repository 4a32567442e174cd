import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { systemClock } from "../../../src/clock.ts";
import { ClosedError, HandshakeError, IntegrityError, PeerError } from "../../../src/errors.ts";
import {
  type PeerConnectConnect,
  type PeerConnectSendOptions,
  sendPeerConnectFiles,
} from "../../../src/transfer/dialects/peerconnect_driver_send.ts";
import { buildManifest } from "../../../src/transfer/manifest.ts";
import type { SendEvent } from "../../../src/transfer/send_options.ts";
import { paths, sha256Of } from "../../e2e/scratch.ts";
import { StrangeServer } from "../../e2e/stranger.ts";
import {
  bytes,
  connectTo,
  CuttingProxy,
  NODE,
  pattern,
  Scene,
} from "./peerconnect_driver_fixture.ts";

/** A clock on which nobody waits for long before trying again. */
const HASTY = {
  ...systemClock,
  after: (ms: number, callback: () => void) => systemClock.after(ms / 50, callback),
};

type Done = Extract<SendEvent, { type: "done" }>;

/** Sends files of ours to the end. */
async function send(
  connect: PeerConnectConnect,
  paths: readonly string[],
  options: Partial<PeerConnectSendOptions> = {},
): Promise<Done> {
  const built = await buildManifest(paths);
  for await (
    const event of sendPeerConnectFiles(connect, built, { peerId: NODE.hex, ...options })
  ) {
    if (event.type === "done") return event;
  }
  throw new Error("Nothing is done");
}

/** What is in the folder that receives, but for what is incomplete. */
function arrived(scene: Scene): string[] {
  return paths(scene.path("in")).filter((path) => !path.startsWith(".kith-partial/"));
}

Deno.test("sendPeerConnectFiles brings files and folders to another endpoint", async () => {
  await using scene = await Scene.receiving();
  const large = scene.write("out/large.bin", pattern(3_000_000));
  const empty = scene.write("out/empty", new Uint8Array(0));
  scene.write("out/фото/été/日本.txt", pattern(1000));
  scene.write("out/фото/empty", new Uint8Array(0));
  Deno.mkdirSync(scene.path("out/фото/nothing here/at all"), { recursive: true });
  const built = await buildManifest([large, empty, scene.path("out/фото")]);
  const events: SendEvent[] = [];
  for await (const event of sendPeerConnectFiles(scene.connect, built, { peerId: NODE.hex })) {
    events.push(event);
  }
  assertEquals(arrived(scene), paths(scene.path("out")));
  assertEquals(scene.read("large.bin"), pattern(3_000_000));
  assertEquals(scene.read("фото/été/日本.txt"), pattern(1000));
  assertEquals(events.filter(({ type }) => type === "accepted").length, 1);
  const progress = events.flatMap((event) => event.type === "progress" ? [event.bytes] : []);
  assertEquals(progress, progress.toSorted((a, b) => a - b));
  assertEquals(progress.at(-1), 3_001_000);
  const done = events.at(-1);
  assert(done?.type === "done");
  assertEquals([done.files, done.bytes, done.resentBytes], [4, 3_001_000, 0]);
  await scene.desk.told("done", 2);
  assertEquals(scene.desk.types, [
    ...["received", "received", "done"],
    ...["received", "received", "done"],
  ]);
  assertEquals(scene.desk.stored.used, 3_001_000);
  assertEquals(scene.desk.atWork, 0);
  const [offer] = scene.desk.offers;
  assertEquals([offer?.from.peerId, offer?.manifest.entries], [NODE.hex, []]);
  assertStringIncludes(offer?.label ?? "", "unproven");
});

Deno.test("sendPeerConnectFiles has the receiver's hash when it is done, of one file its own", async () => {
  await using scene = await Scene.receiving();
  const content = pattern(200_000);
  const { sha256: sent } = await send(scene.connect, [scene.write("out/a.bin", content)]);
  assertEquals(sent, sha256Of(content));
  const received = await scene.desk.told("received");
  assertEquals([received.path, received.bytes, received.sha256], ["a.bin", 200_000, sent]);
  assertEquals((await scene.desk.told("done")).sha256, sent);
  await send(scene.connect, [scene.path("out/a.bin")]);
  assertEquals((await scene.desk.told("received", 2)).path, "a (1).bin");
});

Deno.test("sendPeerConnectFiles goes on over another connection where the receiver says", async () => {
  await using scene = await Scene.receiving();
  const sizes = { "a.bin": 400_000, "b.bin": 900_000, "c.bin": 30 };
  const paths = Object.entries(sizes).map(([name, size]) =>
    scene.write(`out/${name}`, pattern(size))
  );
  await using proxy = new CuttingProxy(scene.tcp, [300_000, 500_000]);
  const done = await send(() => connectTo(proxy.port), paths, { clock: HASTY });
  for (const [name, size] of Object.entries(sizes)) assertEquals(scene.read(name), pattern(size));
  assertEquals([done.files, done.bytes], [3, 1_300_030]);
  assertEquals((await scene.desk.told("done")).sha256, done.sha256);
  assertEquals(scene.desk.offers.length, 1);
  assert(proxy.connections >= 3, `${proxy.connections} connections`);
  assertEquals(scene.desk.types.includes("failed"), false);
});

Deno.test("sendPeerConnectFiles gives up when no connection brings it forward", async () => {
  await using scene = await Scene.receiving();
  const path = scene.write("out/a.bin", pattern(500_000));
  await using proxy = new CuttingProxy(scene.tcp, [200_000, ...Array(20).fill(150)]);
  await assertRejects(
    () => send(() => connectTo(proxy.port), [path], { clock: HASTY }),
    ClosedError,
  );
  assert(proxy.connections <= 7, `${proxy.connections} connections`);
});

Deno.test("sendPeerConnectFiles tells that the receiver refuses, is silent, or answers nonsense", async () => {
  await using scene = await Scene.receiving();
  scene.desk.accepts = false;
  const path = scene.write("out/a", pattern(10));
  await assertRejects(() => send(scene.connect, [path]), HandshakeError, "refused");
  assertEquals(scene.counters["peerconnect.refused"], 1);
  assertEquals(scene.desk.events, []);
  const answers:
    readonly (readonly [answer: Uint8Array | undefined, code: string, text: string])[] = [
      [undefined, "timeout", "acceptTimeoutMs 50"],
      [bytes(7), "bad-message", "neither yes nor no"],
      [bytes(1, 1, 1), "bad-frame", "2 bytes"],
      [bytes(), "closed", "closed the connection"],
    ];
  for (const [answer, code, text] of answers) {
    await using server = new StrangeServer(async (stranger) => {
      if (answer !== undefined && answer.length === 0) return;
      if (answer !== undefined) await stranger.write(answer);
      await stranger.rest();
    });
    const port = Number(server.address.split(":")[1]);
    const sending = () => send(() => connectTo(port), [path], { acceptTimeoutMs: 50 });
    assertEquals((await assertRejects(sending, PeerError, text)).code, code, text);
  }
});

Deno.test("sendPeerConnectFiles notices a file that changes, and ends when it is told to", async () => {
  await using scene = await Scene.receiving();
  for (const [name, change] of [["less", 60_000], ["more", 200_000]] as const) {
    const path = scene.write(`out/${name}`, pattern(100_000));
    const built = await buildManifest([path]);
    Deno.truncateSync(path, change);
    const sending = Array.fromAsync(
      sendPeerConnectFiles(scene.connect, built, { peerId: NODE.hex }),
    );
    await assertRejects(() => sending, IntegrityError, "changed");
  }
  const path = scene.write("out/a", pattern(4_000_000));
  const stop = new AbortController();
  const stopped = async () => {
    const built = await buildManifest([path]);
    const options = { peerId: NODE.hex, signal: stop.signal };
    for await (const event of sendPeerConnectFiles(scene.connect, built, options)) {
      if (event.type === "progress") stop.abort(new DOMException("Enough", "AbortError"));
    }
  };
  await assertRejects(stopped, DOMException, "Enough");
  // Leaving the loop ends it as well.
  const built = await buildManifest([path]);
  for await (const event of sendPeerConnectFiles(scene.connect, built, { peerId: NODE.hex })) {
    if (event.type === "progress") break;
  }
  assertEquals(arrived(scene).includes("a"), false);
});
