import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { systemClock } from "../../src/clock.ts";
import { PREFACE } from "../../src/endpoint/handshake.ts";
import { Introduction } from "../../src/endpoint/introduction.ts";
import { AuthError, ClosedError, HandshakeError, PeerError } from "../../src/errors.ts";
import { dialChannel } from "../../src/secure/channel_handshake.ts";
import { Network } from "../../src/secure/network.ts";
import { decodeWireData, encodeWireData, wireData } from "../../src/wire/message.ts";
import { identityOf, infoOf, Served, SERVER, settle, takeHands } from "./fixture.ts";
import { Scene } from "./greeter_fixture.ts";

const KEY = new Uint8Array(32).fill(1);
const OTHER_KEY = new Uint8Array(32).fill(2);

const NETWORKS: Record<string, () => Network> = {
  "the open network": () => new Network(),
  "a network with a name": () => new Network("home"),
  "a network with a key": () => new Network("home", [KEY]),
};

for (const [where, make] of Object.entries(NETWORKS)) {
  Deno.test(`Both sides of a link have proven who they are, in ${where}`, async () => {
    await using scene = await Scene.open({ network: make() }, { network: make() });
    const link = await scene.connect();
    const back = await scene.back();
    for (const [{ peer }, name] of [[link, "server"], [back, "client"]] as const) {
      const { peerId, publicKey } = identityOf(name);
      assertEquals([peer.peerId, peer.publicKey], [peerId, publicKey.toHex()]);
      assertEquals([peer.name, peer.capabilities, peer.agent], [name, ["test/1"], "test/0"]);
      assertEquals(peer.instance?.length, 16);
    }
    assertEquals(scene.served.endpoint.peers.get(back.peer.peerId)?.name, "client");
  });

  Deno.test(`Nothing that is said can be read on the way, in ${where}`, async () => {
    await using scene = await Scene.open({ network: make() }, { network: make() });
    const { server, seen } = scene;
    server.handle("a-secret-endpoint", () => "a-secret-answer");
    const link = await scene.connect();
    assertEquals(
      await link.request("a-secret-endpoint", { arg: "a-secret-question" }),
      "a-secret-answer",
    );
    link.show(["an-invite-that-nobody-shall-see"]);
    assertEquals((await scene.back()).tokens, ["an-invite-that-nobody-shall-see"]);
    assertEquals(link.tokens, []);
    assert(seen.length > 4 && scene.saw("KITH/1\n"));
    for (const text of ["home", "server", "client", "test/", "secret", "invite", ":hello", "sig"]) {
      assert(!scene.saw(text), text);
    }
    for (const name of ["server", "client"]) {
      assert(!scene.saw(identityOf(name).publicKey) && !scene.saw(identityOf(name).id));
    }
  });
}

/** Who meets whom, and never becomes one with it. */
const STRANGERS: Record<string, [server: Network, client: Network]> = {
  "another name": [new Network("home"), new Network("away")],
  "another key": [new Network("home", [KEY]), new Network("home", [OTHER_KEY])],
  "another name with the same key": [new Network("home", [KEY]), new Network("away", [KEY])],
  "the name without the key": [new Network("home", [KEY]), new Network("home")],
  "the key without the name": [new Network("home", [KEY]), new Network("", [KEY])],
  "nothing, to who has a key": [new Network("home", [KEY]), new Network()],
  "a key, to who has nothing": [new Network(), new Network("home", [KEY])],
};

for (const [what, [ofServer, ofClient]] of Object.entries(STRANGERS)) {
  Deno.test(`Peers of two networks do not meet, and learn nothing of each other: ${what}`, async () => {
    await using scene = await Scene.open({ network: ofServer }, { network: ofClient });
    let asked = 0;
    scene.server.guard(() => void asked++);
    const error = await assertRejects(() => scene.connect(), HandshakeError);
    assertEquals(error.code, "bad-channel");
    assertStringIncludes(error.message, "another network");
    assertStringIncludes(error.message, "server:3485");
    await settle();
    const { metrics, log } = scene.served;
    assertEquals(metrics.snapshot(), { "accept.refused.bad-channel": 1 });
    const { fields } = log.lines.at(-1) ?? {};
    assertStringIncludes(String(fields?.why), "Cannot shake hands: ");
    assertEquals([asked, scene.server.links.size], [0, 0]);
    scene.assertNothingLearnt();
    const told = `${error.message} ${Deno.inspect(error.details)} ${Deno.inspect(log.lines)}`;
    for (const secret of ["home", "away"]) assert(!told.includes(secret), told);
  });
}

Deno.test("An acceptor of a closed network says nothing of itself before the dialer belongs to it", async () => {
  for (const network of [new Network("home"), new Network("home", [KEY])]) {
    await using served = await Served.open({ network });
    const outsider = new Introduction(identityOf("outsider"), () => infoOf("outsider"));
    const connection = await served.stranger();
    let heard: Uint8Array | undefined;
    const channel = await dialChannel(connection, {
      preface: PREFACE,
      prologue: PREFACE,
      // The key comes into the third message only: up to then anybody can follow.
      psks: [OTHER_KEY],
      staticKey: outsider.staticKey,
      clock: systemClock,
      answer: (remoteStatic, payload) => {
        heard = payload;
        assert(remoteStatic.toHex() !== identityOf("server").publicKey.toHex());
        return outsider.hello();
      },
    });
    assertEquals(heard, new Uint8Array(0));
    await assertRejects(() => channel.read(new Uint8Array(99)), ClosedError);
    channel.close();
    assertEquals(served.metrics.snapshot(), { "accept.refused.bad-channel": 1 });
  }
});

Deno.test("A member of a closed network hears who answers, proven, with the answer", async () => {
  const network = new Network("home", [KEY]);
  await using served = await Served.open({ network });
  const member = await served.guest("member", { network });
  const accept = await member.receive();
  assertEquals([accept?.header, accept?.body.version], [":accept", 1]);
  const { header, body } = decodeWireData(accept?.body.hello as Uint8Array);
  assertEquals([header, body.name, body.key], [":hello", "server", identityOf("server").publicKey]);
  member.close();
});

Deno.test("A dialer of a closed network takes no answer that proves nobody", async () => {
  const network = new Network("home", [KEY]);
  const member = new Introduction(identityOf("member"), () => infoOf("member"));
  const hello = { version: 1, hello: member.hello() };
  const answers: readonly (readonly [Record<string, unknown>, string])[] = [
    [{ version: 1 }, "bad-message"],
    [{ ...hello, hello: "server" }, "bad-message"],
    [{ ...hello, hello: encodeWireData(wireData(":deny", {})) }, "bad-message"],
    [hello, "bad-signature"], // of another channel
  ];
  for (const [body, code] of answers) {
    await using served = new Served();
    const listener = await served.network.host("server").listen({ port: SERVER.port });
    const client = await served.client("client", { network });
    const connecting = client.connect(SERVER);
    connecting.catch(() => {}); // looked at below
    const connection = await listener.accept();
    assert(connection !== undefined);
    const stranger = await takeHands(connection, "member", { network });
    await stranger.send(":accept", body);
    assertEquals((await assertRejects(() => connecting, PeerError)).code, code);
    assertEquals(client.links.size, 0);
    stranger.close();
    listener.close();
  }
});

Deno.test("The keys of a network change without a gap, and what is connected stays", async () => {
  const [ofServer, ofClient] = [new Network("home", [KEY]), new Network("home", [KEY])];
  await using scene = await Scene.open({ network: ofServer }, { network: ofClient });
  const first = await scene.connect();
  const steps: readonly (readonly [Network, Uint8Array[]])[] = [
    [ofServer, [KEY, OTHER_KEY]],
    [ofClient, [KEY, OTHER_KEY]],
    [ofClient, [OTHER_KEY, KEY]],
    [ofServer, [OTHER_KEY, KEY]],
    [ofServer, [OTHER_KEY]],
    [ofClient, [OTHER_KEY]],
  ];
  for (const [network, keys] of steps) {
    network.setKeys(keys);
    await (await scene.connect()).close();
  }
  assert(first.open && await first.ping() >= 0);
  ofClient.setKeys([KEY]);
  await assertRejects(() => scene.connect(), HandshakeError, "another network");
});

Deno.test("Endpoint.connect looks at whom it reached on a shared link, too, old or new", async () => {
  await using served = await Served.open();
  const client = await served.client();
  const expect = () => {
    throw new AuthError("key-changed", "Not the one that was meant");
  };
  for (const _ of ["new", "old"]) {
    await assertRejects(() => client.connect(SERVER, { shared: true, expect }), AuthError);
  }
  const link = await client.connect(SERVER, { shared: true });
  assertEquals([link.open, client.links.size], [true, 1]); // others may want it
});

Deno.test("Whom somebody does not trust he neither lets in nor stays with, and tells nothing of why", async () => {
  const trust = () => {
    throw new AuthError("key-changed", "bob has another key: drum-face-half, not tree-moon-wall");
  };
  await using wary = await Scene.open({ trust });
  const denied = await assertRejects(
    () => wary.connect(),
    HandshakeError,
    "does not let this peer in",
  );
  assertEquals([denied.code, denied.details], ["denied", { reason: "not-allowed" }]);
  assert(!denied.message.includes("drum"));
  await settle();
  assertEquals(wary.served.metrics.snapshot(), { "accept.refused.key-changed": 1 });
  assertStringIncludes(Deno.inspect(wary.served.log.lines), "drum-face-half");

  await using careful = await Scene.open({}, { trust });
  const refused = await assertRejects(() => careful.connect(), AuthError, "drum-face-half");
  assertEquals(refused.code, "key-changed");
  await settle();
  assertEquals(careful.served.metrics.snapshot(), { "accept.refused.closed": 1 });
});

Deno.test("A closed network's dialer asks whom it trusts before it uses the link", async () => {
  const trust = () => {
    throw new AuthError("not-allowed", "mallory is on the deny list");
  };
  const network = new Network("home", [KEY]);
  await using scene = await Scene.open({ network }, { network, trust });
  await assertRejects(() => scene.connect(), AuthError, "deny list");
  assertEquals([...scene.client.links], []);
});
