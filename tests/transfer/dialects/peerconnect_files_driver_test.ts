import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ManualClock } from "../../../src/clock.ts";
import { ClosedError, PeerError, TimeoutError } from "../../../src/errors.ts";
import { RESUME_MS } from "../../../src/transfer/dialects/peerconnect_transfers.ts";
import { until } from "../../e2e/process.ts";
import { paths, sha256Of } from "../../e2e/scratch.ts";
import {
  bytes,
  fileRecord,
  filesHandshake,
  frame,
  NODE,
  pattern,
  Scene,
  unsigned,
} from "./peerconnect_driver_fixture.ts";

/** What is in the folder that receives, but for what is incomplete. */
function arrived(scene: Scene): string[] {
  return paths(scene.path("in")).filter((path) => !path.startsWith(".kith-partial/"));
}

/** Waits until nothing is under way, and nothing is left of what was incomplete. */
async function settled(scene: Scene): Promise<void> {
  await until("the end of transfers", () => scene.desk.atWork === 0);
}

Deno.test("PeerConnectPort receives files of a node, byte by byte and all at once", async () => {
  await using scene = await Scene.receiving();
  const content = pattern(300);
  const all = bytes(fileRecord("a b.txt", 300), content, fileRecord("empty", 0), 0);
  using slow = await scene.node(new Uint8Array(0));
  await slow.dribble(filesHandshake());
  assertEquals(await slow.read(1), bytes(1));
  await slow.dribble(all);
  assertEquals(await slow.rest(), "");
  assertEquals(scene.read("a b.txt"), content);
  assertEquals(scene.read("empty"), bytes());
  // A node that waits for no answer.
  using fast = await scene.node(bytes(filesHandshake("2"), all));
  assertEquals(await fast.read(1), bytes(1));
  assertEquals(await fast.rest(), "");
  assertEquals(scene.read("a b (1).txt"), content);
  assertEquals((await scene.desk.told("done", 2)).files, 2);
  assertEquals(scene.desk.events[0]?.from.peerId, NODE.hex);
});

Deno.test("PeerConnectPort says to a node that comes back where to go on", async () => {
  await using scene = await Scene.receiving();
  const content = pattern(5000);
  {
    using node = await scene.node(filesHandshake("7"));
    await node.read(1);
    await node.write(bytes(fileRecord("first", 2), "ok", fileRecord("a.bin", 5000)));
    await node.write(content.subarray(0, 3000));
  }
  await until("the interruption", () => scene.counters["peerconnect.interrupted"] === 1);
  assertEquals(scene.desk.atWork, 1);
  // Neither another transfer nor another node gets it.
  for (const other of [filesHandshake("8"), filesHandshake("7", "12345")]) {
    using node = await scene.node(other);
    assertEquals(await node.read(1), bytes(1));
  }
  using node = await scene.node(filesHandshake("7"));
  assertEquals(await node.read(8), unsigned(3000, 8));
  await node.write(bytes(fileRecord("a.bin", 5000, 3000), content.subarray(3000), 0));
  assertEquals(await node.rest(), "");
  assertEquals(scene.read("a.bin"), content);
  assertEquals((await scene.desk.told("received", 2)).sha256, sha256Of(content));
  assertEquals((await scene.desk.told("done")).files, 2);
  assertEquals(scene.desk.offers.length, 3);
  assertEquals(scene.counters["peerconnect.resumed"], 1);
  await settled(scene);
});

Deno.test("PeerConnectPort goes on with a file of which nothing has come yet", async () => {
  await using scene = await Scene.receiving();
  {
    using node = await scene.node(filesHandshake());
    await node.read(1);
    await node.write(bytes(fileRecord("first", 2), "ok", fileRecord("second", 3)));
    await until("both", () => scene.desk.stored.used === 5);
  }
  await until("the interruption", () => scene.counters["peerconnect.interrupted"] === 1);
  using node = await scene.node(filesHandshake());
  assertEquals(await node.read(8), unsigned(0, 8));
  await node.write(bytes(fileRecord("second", 3), "abc", 0));
  await node.rest();
  assertEquals((await scene.desk.told("done")).files, 2);
  assertEquals(arrived(scene), ["first", "second"]);
  assertEquals([...Deno.readDirSync(scene.path("in/.kith-partial"))], []);
  assertEquals(scene.desk.stored.used, 5);
});

Deno.test("PeerConnectPort takes a node that comes back before its old connection is known to be dead", async () => {
  await using scene = await Scene.receiving();
  using old = await scene.node(filesHandshake());
  await old.read(1);
  await old.write(bytes(fileRecord("a", 4), "ab"));
  await until("half of it", () => scene.desk.stored.used === 4);
  using node = await scene.node(filesHandshake());
  const has = Number(new DataView((await node.read(8)).buffer).getBigUint64(0));
  await node.write(bytes(fileRecord("a", 4, has), "abcd".slice(has), 0));
  assertEquals([await node.rest(), await old.rest()], ["", ""]);
  assertEquals(scene.read("a"), bytes("abcd"));
});

Deno.test("PeerConnectPort lets a node try another file when it goes on with the wrong one", async () => {
  await using scene = await Scene.receiving();
  {
    using node = await scene.node(filesHandshake());
    await node.read(1);
    await node.write(bytes(fileRecord("a", 6), "abc"));
  }
  await until("the interruption", () => scene.counters["peerconnect.interrupted"] === 1);
  for (const wrong of [fileRecord("b", 6, 3), fileRecord("a", 6, 0), fileRecord("a", 7, 3)]) {
    using node = await scene.node(filesHandshake());
    assertEquals(await node.read(8), unsigned(3, 8));
    await node.write(wrong);
    assertEquals(await node.rest(), "");
  }
  using node = await scene.node(filesHandshake());
  assertEquals(await node.read(8), unsigned(3, 8));
  await node.write(bytes(fileRecord("a", 6, 3), "def", 0));
  await node.rest();
  assertEquals(scene.read("a"), bytes("abcdef"));
});

Deno.test("PeerConnectPort forgets a transfer whose node does not know it any more", async () => {
  await using scene = await Scene.receiving();
  {
    using node = await scene.node(filesHandshake());
    await node.read(1);
    await node.write(bytes(fileRecord("a", 6), "abc"));
  }
  await until("the interruption", () => scene.counters["peerconnect.interrupted"] === 1);
  {
    using node = await scene.node(filesHandshake());
    await node.read(8); // its first byte is a no to a node that begins
  }
  assert((await scene.desk.told("failed")).error instanceof ClosedError);
  using node = await scene.node(filesHandshake());
  assertEquals(await node.read(1), bytes(1));
  await node.write(bytes(fileRecord("a", 2), "ok", 0));
  await node.rest();
  assertEquals(arrived(scene), ["a"]);
});

Deno.test("PeerConnectPort ends what is hostile, and stores nothing of it", async () => {
  await using scene = await Scene.receiving({ maxStoredBytes: 1000 });
  const rows: readonly (readonly [sent: Uint8Array, text: string])[] = [
    [fileRecord("../evil", 1), "dot segment"],
    [fileRecord("/etc/passwd", 1), "absolute path"],
    [fileRecord("a/b", 1), "leads into a folder"],
    [fileRecord("C:\\evil", 1), "absolute path"],
    [fileRecord("a\u0000b", 1), "control character"],
    [fileRecord(".kith-partial", 1), "reserved folder"],
    [fileRecord("x".repeat(300), 1), "maxSegmentBytes"],
    [fileRecord("a", 1001), "1001 bytes"],
    [fileRecord("a", Number.MAX_SAFE_INTEGER), "bytes are coming"],
    [fileRecord("a", 5, 3), "seeked"],
    [bytes(fileRecord("a", 2), "abc"), "mark"],
    [bytes(fileRecord("a", 1), "a", 0, "more"), "after the end"],
    [bytes(1, unsigned(20_000, 4)), "maxRecordBytes"],
    [bytes(2), "mark"],
  ];
  for (const [index, [sent, text]] of rows.entries()) {
    using node = await scene.node(filesHandshake(`${index}`));
    await node.read(1);
    await node.write(sent);
    assertEquals(await node.rest(), "");
    const { error } = await scene.desk.told("failed", index + 1);
    assert(error instanceof PeerError, String(error));
    assertStringIncludes(error.message, text);
  }
  const kept = arrived(scene);
  assert(kept.every((path) => /^a( \(1\))?$/.test(path)), String(kept)); // those that were whole
  assertEquals(paths(scene.dir).filter((path) => path.startsWith("evil")), []);
  assertEquals(scene.desk.atWork, 0);
  assert(scene.desk.stored.used <= 3, `${scene.desk.stored.used}`);
});

Deno.test("PeerConnectPort gives up who stays silent, and who does not come back", async () => {
  const clock = new ManualClock();
  await using scene = await Scene.receiving({ clock });
  using silent = await scene.node(filesHandshake().subarray(0, 10));
  await until("the connection", () => scene.endpoint.resources.describe().length > 0);
  using node = await scene.node(filesHandshake());
  await node.read(1);
  await node.write(bytes(fileRecord("a", 1000), "abc"));
  await until("the file", () => scene.desk.stored.used === 1000);
  await until("the connections", () => scene.counters["accept.established"] === 1);
  await clock.advance(60_000);
  assertEquals([await silent.rest(), await node.rest()], ["", ""]);
  await until("the interruption", () => scene.counters["peerconnect.interrupted"] === 1);
  assertEquals(scene.counters["accept.refused.timeout"], 1);
  assertEquals(scene.desk.events, []);
  await clock.advance(RESUME_MS);
  assert((await scene.desk.told("failed")).error instanceof TimeoutError);
  assertEquals([scene.desk.atWork, scene.desk.stored.used], [0, 0]);
  assertEquals(paths(scene.path("in")).filter((path) => path.endsWith(".part")), []);
});

Deno.test("PeerConnectPort refuses files that nobody wants, or not from those who prove nothing", async () => {
  await using idle = await Scene.open();
  using unwanted = await idle.node(filesHandshake());
  assertEquals(await unwanted.read(1), bytes(0));
  assertEquals(await unwanted.rest(), "");
  await until("the count", () => idle.counters["accept.refused.unsupported"] === 1);
  await using closed = await Scene.receiving({ access: "private" });
  using stranger = await closed.node(filesHandshake());
  assertEquals(await stranger.read(1), bytes(0));
  assertEquals(closed.desk.offers, []);
  await until("the count", () => closed.counters["peerconnect.refused"] === 1);
});

Deno.test("PeerConnectPort refuses first frames that are none of a service", async () => {
  await using scene = await Scene.receiving();
  const { decimal: peerId } = NODE;
  const frames = [
    frame("connection for fire transfer", { peerId }, { file_id: "1" }),
    frame("connection for file transfer", { peerId: "me" }, { file_id: "1" }),
    frame("connection for file transfer", {}, { file_id: "1" }),
    frame("connection for file transfer", { peerId }, {}),
    frame("cmd to recv dir ", { peerId }, { transfer_id: "1", dir_name: "../evil" }),
    bytes(unsigned(5000, 4), 0),
    bytes(unsigned(3, 4), "abc"),
    bytes(unsigned(0, 4), 1, 2, 3),
  ];
  for (const [index, first] of frames.entries()) {
    using node = await scene.node(first);
    assertEquals(await node.rest(), "");
    await until("the count", () => {
      const { "accept.refused.bad-message": bad = 0, "accept.refused.too-large": large = 0 } =
        scene.counters;
      const { "accept.refused.bad-frame": frames = 0 } = scene.counters;
      return bad + large + frames === index + 1;
    });
  }
  assertEquals(scene.desk.offers, []);
});

Deno.test("PeerConnectPort ends transfers that are under way when it is disposed of", async () => {
  await using scene = await Scene.receiving();
  using node = await scene.node(filesHandshake());
  await node.read(1);
  await node.write(bytes(fileRecord("a", 1000), "abc"));
  await until("the file", () => scene.desk.stored.used === 1000);
  scene.port[Symbol.dispose]();
  scene.port[Symbol.dispose]();
  assertEquals(await node.rest(), "");
  assert((await scene.desk.told("failed")).error instanceof ClosedError);
  await settled(scene);
  assertEquals(scene.desk.stored.used, 0);
});
