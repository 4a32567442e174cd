import { assert, assertEquals, assertRejects } from "@std/assert";
import { PREFACE } from "../../src/endpoint/handshake.ts";
import { ClosedError, HandshakeError, PeerError } from "../../src/errors.ts";
import { Network } from "../../src/secure/network.ts";
import { settle } from "./fixture.ts";
import { Scene } from "./greeter_fixture.ts";

const KEY = new Uint8Array(32).fill(1);

Deno.test("Plain connections work between two of this machine who both ask for it", async () => {
  await using scene = await Scene.open({ plain: true }, { plain: true }, "127.0.0.1");
  scene.server.handle("echo", ({ n }) => n);
  const link = await scene.connect();
  assertEquals(await link.request("echo", { n: 7 }), 7);
  assertEquals([link.peer.name, (await scene.back()).peer.name], ["server", "client"]);
  assert(scene.saw("echo"), "it is not plain at all");
});

Deno.test("Plain connections are refused off this machine, by either side", async () => {
  await using scene = await Scene.open({ plain: true }, { plain: true });
  await assertRejects(() => scene.connect(), HandshakeError, "must stay on this machine");
  // A dialer that does not care.
  const connection = await scene.served.stranger();
  await connection.write(PREFACE);
  await assertRejects(async () => {
    if (await connection.read(new Uint8Array(1)) === null) throw new ClosedError("closed");
  }, ClosedError);
  connection.close();
  await settle();
  assertEquals(scene.served.metrics.snapshot()["accept.refused.bad-channel"], 1);
  scene.assertNothingLearnt();
});

Deno.test("Nobody is talked into a plain connection: it fails against a side that did not ask for it", async () => {
  await using dialer = await Scene.open({}, { plain: true }, "127.0.0.1");
  const late = assertRejects(() => dialer.connect(), HandshakeError, "was cut");
  await settle();
  await dialer.served.clock.advance(6_000);
  await late;
  assertEquals(dialer.served.metrics.snapshot()["accept.refused.timeout"], 1);
  dialer.assertNothingLearnt();

  await using acceptor = await Scene.open({ plain: true }, {}, "127.0.0.1");
  const error = await assertRejects(() => acceptor.connect(), HandshakeError);
  assertEquals(error.code, "bad-channel");
  assertEquals([acceptor.server.links.size, acceptor.client.links.size], [0, 0]);
});

Deno.test("Two peers who want a network do not meet in plain without it", async () => {
  const network = new Network("home", [KEY]);
  await using scene = await Scene.open({ plain: true, network }, { plain: true }, "127.0.0.1");
  await assertRejects(() => scene.connect(), PeerError);
  assertEquals([scene.server.links.size, scene.client.links.size], [0, 0]);
});
