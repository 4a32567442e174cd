import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { ClosedError, HandshakeError, PeerError } from "../../../src/errors.ts";
import { sendPeerConnectFiles } from "../../../src/transfer/dialects/peerconnect_driver_send.ts";
import { buildManifest } from "../../../src/transfer/manifest.ts";
import { until } from "../../e2e/process.ts";
import { paths } from "../../e2e/scratch.ts";
import {
  bytes,
  connectTo,
  CuttingProxy,
  directoryHandshake,
  item,
  NODE,
  pattern,
  Scene,
} from "./peerconnect_driver_fixture.ts";

Deno.test("PeerConnectPort receives a directory of a node, and confirms each file", async () => {
  await using scene = await Scene.receiving();
  for (const name of ["фото", "фото (1)"]) {
    using node = await scene.node(directoryHandshake("фото"));
    assertEquals(await node.read(1), bytes(1));
    await node.write(item(".", "été"));
    await node.write(bytes(item("été", "a.txt", 3), "abc"));
    assertEquals(await node.read(1), bytes(1));
    await node.dribble(bytes(item(".", "empty", 0)));
    assertEquals(await node.read(1), bytes(1));
    await node.write(bytes(item("été", "日本"), 0));
    assertEquals(await node.rest(), "");
    assertEquals(scene.read(`${name}/été/a.txt`), bytes("abc"));
  }
  const inside = ["", "empty", "été/", "été/a.txt", "été/日本/"];
  const all = ["фото/", "фото (1)/"].flatMap((top) => inside.map((path) => top + path));
  const found = paths(scene.path("in")).filter((path) => !path.startsWith(".kith-partial/"));
  assertEquals(found, all.sort());
  assertEquals((await scene.desk.told("done", 2)).files, 2);
  assertEquals(scene.desk.types.filter((type) => type === "received").length, 4);
  assertEquals(scene.desk.stored.used, 6);
});

Deno.test("PeerConnectPort keeps what is complete of a directory whose connection breaks", async () => {
  await using scene = await Scene.receiving();
  {
    using node = await scene.node(directoryHandshake("docs"));
    await node.read(1);
    await node.write(bytes(item(".", "a", 2), "ok", item(".", "b", 100), "half"));
    await node.read(1);
    await until("the second file", () => scene.desk.stored.used === 102);
  }
  const { error } = await scene.desk.told("failed");
  assert(error instanceof ClosedError);
  assertStringIncludes(error.message, 'within "b" at 4 of 100');
  assertEquals(paths(scene.path("in/docs")), ["a"]);
  assertEquals([scene.desk.stored.used, scene.desk.atWork], [2, 0]);
});

Deno.test("PeerConnectPort ends a directory that leads elsewhere", async () => {
  await using scene = await Scene.receiving({ maxStoredBytes: 100 });
  const rows: readonly (readonly [sent: Uint8Array, text: string])[] = [
    [item("..", "evil", 1), "dot segment"],
    [item("/tmp", "evil", 1), "absolute path"],
    [item("not/listed", "evil"), "was not listed"],
    [item(".", "..", 1), "dot segment"],
    [item(".", "a/b", 1), "leads into a folder"],
    [item(".", "nul", 1), "reserved device name"],
    [item(".", "large", 101), "101 bytes"],
    [bytes(item(".", "a"), item(".", "a", 0), item("a", "b", 0), 7), "mark"],
    [bytes(3), "mark"],
  ];
  for (const [index, [sent, text]] of rows.entries()) {
    using node = await scene.node(directoryHandshake("d"));
    assertEquals(await node.read(1), bytes(1));
    await node.write(sent);
    await node.rest();
    const { error } = await scene.desk.told("failed", index + 1);
    assert(error instanceof PeerError, String(error));
    assertStringIncludes(error.message, text);
  }
  assertEquals(paths(scene.dir).filter((path) => path.includes("evil")), []);
  assertEquals(scene.desk.atWork, 0);
});

Deno.test("sendPeerConnectFiles sends a directory once, and says when it was refused or broke", async () => {
  await using scene = await Scene.receiving();
  for (let n = 0; n < 50; n++) scene.write(`out/docs/${n}`, pattern(20_000));
  const built = await buildManifest([scene.path("out/docs")]);
  await using proxy = new CuttingProxy(scene.tcp, [500_000]);
  const send = (port: number) => {
    const options = { peerId: NODE.hex };
    return Array.fromAsync(sendPeerConnectFiles(() => connectTo(port), built, options));
  };
  await assertRejects(() => send(proxy.port), ClosedError);
  assertEquals(proxy.connections, 1);
  await scene.desk.told("failed");
  const [accepted, ...rest] = await send(scene.tcp);
  assertEquals([accepted?.type, rest.at(-1)?.type], ["accepted", "done"]);
  assertEquals(paths(scene.path("in/docs (1)")), paths(scene.path("out/docs")));
  scene.desk.accepts = false;
  await assertRejects(() => send(scene.tcp), HandshakeError, "refused");
});
