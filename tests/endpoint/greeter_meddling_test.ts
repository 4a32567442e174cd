import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { Buffer } from "node:buffer";
import { type PeerInfo, PREFACE } from "../../src/endpoint/handshake.ts";
import { Introduction } from "../../src/endpoint/introduction.ts";
import {
  AuthError,
  ClosedError,
  HandshakeError,
  IntegrityError,
  PeerError,
} from "../../src/errors.ts";
import { dialChannel } from "../../src/secure/channel_handshake.ts";
import { flipped } from "../secure/channel_fixture.ts";
import { identityOf, infoOf, Served, SERVER, settle, takeHands } from "./fixture.ts";
import { acceptAs, altered, common, heard, readAnswer, Scene } from "./greeter_fixture.ts";

Deno.test("A relay that changes anything that is said of a peer is noticed: a bit anywhere in a hello", async () => {
  for (const way of ["out", "back"] as const) {
    for (const at of [60, 100, 150, 200, 250, 280]) {
      await using scene = await Scene.open();
      scene.meddle = (bytes, goes, offset) => {
        if (goes !== way || at < offset || at >= offset + bytes.length) return bytes;
        return flipped(bytes, 8 * (at - offset) + 3);
      };
      const error = await assertRejects(() => scene.connect(), HandshakeError);
      assertEquals(error.code, "bad-channel");
      await settle();
      const { "accept.refused.bad-channel": bad = 0, "accept.refused.closed": closed = 0 } = scene
        .served.metrics.snapshot();
      assertEquals([bad, closed], way === "out" ? [1, 0] : [0, 1]);
      assertEquals(scene.server.links.size, 0);
    }
  }
});

Deno.test("A relay that changes the preface is refused as what it is", async () => {
  for (const preface of ["KITH/0\n", "KITH/2\n", "kith/1\n"]) {
    await using scene = await Scene.open();
    scene.meddle = (bytes, way, offset) => {
      if (way === "out" && offset === 0) bytes.set(new TextEncoder().encode(preface));
      return bytes;
    };
    await assertRejects(() => scene.connect(), HandshakeError, "no kith peer");
    assertEquals(scene.served.metrics.snapshot(), { "accept.refused.bad-frame": 1 });
  }
});

Deno.test("Who stands between two peers with a key of his own cannot pass on who they are, unchanged or with less", async () => {
  const changes: readonly Record<string, unknown>[] = [
    {},
    { caps: [] },
    { min: 0, max: 0 },
    { sig: new Uint8Array(64) },
    { key: identityOf("mallory").publicKey },
  ];
  for (const change of changes) {
    await using served = await Served.open();
    const listener = await served.network.host("between").listen({ port: 9 });
    const client = await served.client();
    const dialing = assertRejects(
      () => client.connect({ hostname: "between", port: 9 }),
      IntegrityError,
      "does not have the key of peer",
    );
    const near = await listener.accept();
    assert(near !== undefined);
    const mallory = new Introduction(identityOf("mallory"), () => infoOf("mallory"));
    // First he learns what the server says, then he says it.
    let ofServer = new Uint8Array();
    const far = await dialChannel(await served.stranger(), {
      ...common(mallory),
      preface: PREFACE,
      answer: (_, payload) => {
        ofServer = payload.slice();
        return mallory.hello();
      },
    });
    const said = altered(ofServer, change);
    await assertRejects(() => acceptAs(near, mallory, () => said), ClosedError);
    assertEquals((await dialing).code, "bad-signature");
    assertEquals(client.links.size, 0);
    far.close();
    listener.close();
  }
});

Deno.test("Who learnt what a dialer says cannot say it himself", async () => {
  await using served = await Served.open();
  const listener = await served.network.host("between").listen({ port: 9 });
  const client = await served.client();
  const dialing = assertRejects(() => client.connect({ hostname: "between", port: 9 }), PeerError);
  const near = await listener.accept();
  assert(near !== undefined);
  const mallory = new Introduction(identityOf("mallory"), () => infoOf("mallory"));
  const { payload: ofClient } = await acceptAs(near, mallory, () => mallory.hello());
  near.close();
  await dialing;
  for (const change of [{}, { caps: ["admin"] }, { shared: true }]) {
    const channel = await dialChannel(await served.stranger(), {
      ...common(mallory),
      preface: PREFACE,
      answer: () => altered(ofClient, change),
    });
    assertEquals((await readAnswer(channel)).body.code, "bad-signature");
    channel.close();
  }
  await settle();
  assertEquals(served.metrics.snapshot(), { "accept.refused.bad-signature": 3 });
  assertEquals(served.endpoint.links.size, 0);
  listener.close();
});

Deno.test("Who answers in a peer's place as himself is seen for who he is, and learns nothing", async () => {
  await using served = new Served();
  const listener = await served.network.host("server").listen({ port: SERVER.port });
  const client = await served.client();
  const seen: string[] = [];
  const expect = ({ peerId }: PeerInfo) => {
    seen.push(peerId);
    if (peerId !== identityOf("server").peerId) {
      throw new AuthError("key-changed", "Not the server");
    }
  };
  const dialing = assertRejects(
    () => client.connect(SERVER, { expect }),
    AuthError,
    "Not the server",
  );
  const connection = await listener.accept();
  assert(connection !== undefined);
  const got: Uint8Array[] = [];
  await assertRejects(() => takeHands(heard(connection, got), "mallory"), ClosedError);
  assertEquals((await dialing).code, "key-changed");
  assertEquals(seen, [identityOf("mallory").peerId]);
  // The preface and a key of one use: nothing else was said.
  assertEquals(Buffer.concat(got).length, 41);
  listener.close();
});

Deno.test("A link ends at the first bit that is turned over on the way, which is counted and delivers nothing", async () => {
  for (const way of ["out", "back"] as const) {
    await using scene = await Scene.open();
    const { server, served } = scene;
    const delivered: unknown[] = [];
    const other: unknown[] = [];
    server.handle("note", ({ n }) => void delivered.push(n));
    server.handle("ask", () => "answer");
    const link = await scene.connect();
    const back = await scene.back();
    await link.request("ask", {});
    scene.meddle = (bytes, goes) => goes === way ? flipped(bytes, 8 * 9) : bytes;
    if (way === "out") link.post("note", { n: 1 });
    else back.post("note", { n: 1 });
    scene.client.handle("note", ({ n }) => void other.push(n));
    const [near, far] = way === "out" ? [back, link] : [link, back];
    const why = await near.closed;
    assertInstanceOf(why, IntegrityError);
    assertEquals([why.code, await far.closed], ["bad-signature", undefined]);
    assertEquals([delivered, other], [[], []]);
    const counted = (way === "out" ? served.metrics : scene.client.metrics).snapshot();
    assertEquals(counted["link.bad-signature"], 1);
    const warned = served.log.lines.filter(({ message }) => message.includes("tampered"));
    assertEquals(warned.map(({ fields }) => fields.code), ["bad-signature"]);
  }
});

Deno.test("A link that is cut is counted, one that ends in order is not, and both end without an error", async () => {
  await using scene = await Scene.open();
  const counted = () => {
    const [there, here] = [scene.served.metrics, scene.client.metrics];
    return [there, here].map((metrics) => metrics.snapshot()["link.cut"] ?? 0);
  };
  for (const closes of ["near", "far"]) {
    const link = await scene.connect();
    const back = await scene.back();
    await (closes === "near" ? link : back).close();
    assertEquals(await Promise.all([link.closed, back.closed]), [undefined, undefined]);
  }
  assertEquals(counted(), [0, 0]);
  const link = await scene.connect();
  const back = await scene.back();
  const asked = assertRejects(() => link.request("never", {}), ClosedError);
  scene.served.network.kill("client");
  assertEquals(await Promise.all([link.closed, back.closed]), [undefined, undefined]);
  await asked;

  const stranger = await scene.served.guest();
  assertEquals((await stranger.receive())?.header, ":accept");
  const [cut] = scene.server.links;
  stranger.close();
  assertEquals(await cut?.closed, undefined);
  assertEquals(counted()[0], 1);
});
