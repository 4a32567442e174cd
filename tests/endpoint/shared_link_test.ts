import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import type { Endpoint } from "../../src/endpoint/endpoint.ts";
import type { Link } from "../../src/endpoint/link.ts";
import { isSettled, Served, SERVER, settle, shakeHands, type Stranger } from "./fixture.ts";

/** Longer than what counts as simultaneous: two handshakes of 6 s. */
const LATER_MS = 12_001;

const ALICE = { hostname: "alice", port: 9 };

/** Alice, who listens and has had a shared link to the server for a while. */
async function oldLink(served: Served): Promise<{ alice: Endpoint; old: Link }> {
  const alice = await served.open("alice", { ...ALICE, limits: { heartbeatMs: Infinity } });
  const old = await alice.connect(SERVER, { shared: true });
  await served.clock.advance(LATER_MS);
  return { alice, old };
}

/** The server once more, which connects to Alice from elsewhere. @param name Whose key it really has. */
async function again(served: Served, name = "server"): Promise<Stranger> {
  const { instance = "", publicKey = "" } = served.endpoint.self;
  const [inst, key] = [Uint8Array.fromHex(instance), Uint8Array.fromHex(publicKey)];
  const connection = await served.network.host("elsewhere").connect(ALICE);
  return await shakeHands(connection, name, { body: { shared: true, inst, key } });
}

Deno.test("Who claims to be a peer and has not its key takes no shared link's place", async () => {
  await using served = await Served.open({ limits: { heartbeatMs: Infinity } });
  served.endpoint.handle("hi", () => "hi");
  const { alice, old } = await oldLink(served);
  served.network.partition([["server"], ["alice", "elsewhere"]]); // the best time for a liar
  const liar = await again(served, "liar");
  const deny = await liar.receive();
  assertEquals([deny?.header, deny?.body.code], [":deny", "bad-signature"]);
  assertEquals(await liar.receive(), undefined);
  liar.close();
  await served.clock.advance(2_000);
  served.network.heal();
  assertStrictEquals(alice.peers.shared(old.peer), old);
  assertEquals([old.open, await old.request("hi", {})], [true, "hi"]);
  const { "accept.refused.bad-signature": refused, "link.replaced": replaced } = alice.metrics
    .snapshot();
  assertEquals([refused, replaced, alice.links.size], [1, undefined, 1]);
});

Deno.test("An old shared link that answers stays, and a second one of the same peer is drained", async () => {
  await using served = await Served.open({ limits: { heartbeatMs: Infinity } });
  served.endpoint.handle("hi", () => "hi");
  const { alice, old } = await oldLink(served);
  const newcomer = await again(served);
  assertEquals((await newcomer.receive())?.header, ":accept");
  assertEquals((await newcomer.receive())?.header, ":drain");
  assertStrictEquals(alice.peers.shared(old.peer), old);
  assertEquals([old.open, await old.request("hi", {})], [true, "hi"]);
  await newcomer.send(":drain", {});
  assertEquals(await newcomer.receive(), undefined);
  newcomer.close();
  assertEquals(alice.metrics.snapshot()["link.replaced"], undefined);
});

Deno.test("An old shared link that does not answer within 2 s is replaced by the newcomer", async () => {
  await using served = await Served.open({ limits: { heartbeatMs: Infinity } });
  const { alice, old } = await oldLink(served);
  served.network.partition([["server"], ["alice", "elsewhere"]]);
  const newcomer = await again(served);
  assertEquals((await newcomer.receive())?.header, ":accept");
  await served.clock.advance(1_999);
  assertStrictEquals(alice.peers.shared(old.peer), old);
  await served.clock.advance(1);
  const kept = alice.peers.shared(old.peer);
  assertEquals([old.open, kept?.remote.hostname], [false, "elsewhere"]);
  await served.clock.advance(1_000); // the time for its last words, which nobody reads
  assert(await isSettled(old.closed));
  assertEquals(alice.metrics.snapshot()["link.replaced"], 1);
  served.network.heal();
  newcomer.close();
});

Deno.test("Endpoint.connect makes a new shared link while the one there is drains", async () => {
  await using served = await Served.open();
  const client = await served.client();
  const { draining, finish } = await drainingLink(served, client);
  const fresh = await client.connect(SERVER, { shared: true });
  assert(fresh !== draining);
  assertEquals(await fresh.request("hi", {}), "hi");
  await finish();
  assertStrictEquals(await client.connect(SERVER, { shared: true }), fresh);
});

Deno.test("Endpoint.attach keeps a new shared link while the one there is drains", async () => {
  await using served = await Served.open();
  const client = await served.client();
  const { draining, finish } = await drainingLink(served, client);
  assertEquals(client.peers.shared(draining.peer), undefined);
  const connection = await served.network.host("client").connect(SERVER);
  const fresh = await client.attach(connection, { shared: true });
  assertEquals([fresh.open, await fresh.request("hi", {})], [true, "hi"]);
  await finish();
  assertStrictEquals(client.peers.shared(fresh.peer), fresh);
});

Deno.test("A shared link of an endpoint to itself stays", async () => {
  await using served = await Served.open();
  const { endpoint } = served;
  endpoint.handle("hi", () => "hi");
  const link = await endpoint.connect(SERVER, { shared: true });
  await settle();
  assertEquals([link.open, await link.request("hi", {})], [true, "hi"]);
  assertStrictEquals(await endpoint.connect(SERVER, { shared: true }), link);
  assertEquals(endpoint.links.size, 2); // its two ends
});

/** A shared link to the server that drains as long as one request has no answer. */
async function drainingLink(
  served: Served,
  client: Endpoint,
): Promise<{ draining: Link; finish: () => Promise<void> }> {
  const gate = Promise.withResolvers<void>();
  served.endpoint.handle("slow", () => gate.promise);
  served.endpoint.handle("hi", () => "hi");
  const draining = await client.connect(SERVER, { shared: true });
  const answer = draining.request("slow", {});
  const drained = draining.drain();
  assertEquals(await isSettled(drained), false);
  return {
    draining,
    finish: async () => {
      gate.resolve();
      await Promise.all([answer, drained]);
    },
  };
}
