/**
 * Trust that ends while a connection is open, and who gets in while there is an allow list.
 */

import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { AuthError, ClosedError, HandshakeError, RemoteError } from "../../src/errors.ts";
import { connectWitch } from "../../src/rpc/mod.ts";
import { Identity } from "../../src/secure/identity.ts";
import { Trust } from "../../src/secure/trust.ts";
import { ScratchHome } from "../secure/home_fixture.ts";
import { Town } from "../town.ts";
import { Served, SERVER, settle } from "./fixture.ts";

const HEARTBEAT_MS = 10_000;
const limits = { heartbeatMs: HEARTBEAT_MS };

/** Trusts everybody but those whose names are here. */
function except(names: ReadonlySet<string>): (peer: { name: string }) => void {
  return ({ name }) => {
    if (names.has(name)) throw new AuthError("not-allowed", `${name} is denied`);
  };
}

Deno.test("Endpoint closes within five seconds the links of who is trusted no longer, and no others", async () => {
  const denied = new Set<string>();
  await using served = await Served.open({ limits, trust: except(denied) });
  const { endpoint, clock, metrics, log } = served;
  const [eve, bob] = [await served.client("eve"), await served.client("bob")];
  const links = [await eve.connect(SERVER), await eve.connect(SERVER, { shared: true })];
  const other = await bob.connect(SERVER);
  const elsewhere = { hostname: "elsewhere", port: 1 };
  await served.open("elsewhere", elsewhere);
  links.push(await endpoint.connect(elsewhere)); // whoever opened it

  denied.add("eve").add("elsewhere");
  await clock.advance(5_000);
  assertEquals(await Promise.all(links.map(({ closed }) => closed)), Array(3).fill(undefined));
  assertEquals([...endpoint.links].map(({ peer }) => peer.name), ["bob"]);
  assertEquals([other.open, metrics.snapshot()["link.distrusted"]], [true, 3]);
  const warned = log.lines.filter(({ message }) => message.includes("trusted no longer"));
  assertEquals(warned.map(({ fields }) => fields.code), Array(3).fill("not-allowed"));
  assertStringIncludes(String(warned[0]?.fields.peer), "eve (");

  await assertRejects(() => eve.connect(SERVER), HandshakeError, "does not let this peer in");
  await clock.advance(2 * HEARTBEAT_MS);
  assertEquals([other.open, metrics.snapshot()["link.distrusted"]], [true, 3]);
});

Deno.test("Endpoint ends what is under way on a link to who is trusted no longer, at both ends", async () => {
  const denied = new Set<string>();
  await using served = await Served.open({ limits, trust: except(denied) });
  const stopped = Promise.withResolvers<unknown>();
  served.endpoint.handle("hang", (_, { signal }) => {
    signal.addEventListener("abort", () => stopped.resolve(signal.reason));
    return new Promise(() => {});
  });
  const link = await (await served.client("eve")).connect(SERVER);
  const asking = assertRejects(() => link.request("hang", {}), ClosedError);
  await settle();
  denied.add("eve");
  await served.clock.advance(HEARTBEAT_MS / 2);
  await asking;
  assertEquals((await stopped.promise) instanceof ClosedError, true);
});

Deno.test("Trust.add denies a peer that is connected, also from another process", async () => {
  using scratch = new ScratchHome();
  const ways: Record<string, (own: Trust) => Trust> = {
    "in the program": (own) => own,
    "from another process": () => new Trust({ home: scratch.home }),
  };
  for (const [way, trustOf] of Object.entries(ways)) {
    await using town = new Town();
    const bob = await town.open("bob", { home: scratch.home, limits });
    bob.handle("private", () => "for those he trusts", { access: "private" });
    const carl = await town.open("carl", { clientOnly: true });
    const link = await carl.link(town.at("bob"));
    await town.clock.advance(HEARTBEAT_MS);
    assertEquals(await link.request("private", {}), "for those he trusts");
    trustOf(bob.trust).add(carl.peerId, { policy: "deny" });
    await town.clock.advance(HEARTBEAT_MS / 2);
    assertEquals([await link.closed, bob.endpoint.links.size], [undefined, 0], way);
    await assertRejects(() => carl.link(town.at("bob")), HandshakeError);
    assertEquals(bob.metrics.snapshot()["link.distrusted"], 1);
  }
});

Deno.test("Trust.add with an allow list closes the links of everybody who is not on it", async () => {
  await using town = new Town();
  const bob = await town.open("bob", { limits });
  const [ann, eve] = [
    await town.open("ann", { clientOnly: true }),
    await town.open("eve", { clientOnly: true }),
  ];
  const links = [await ann.link(town.at("bob")), await eve.link(town.at("bob"))];
  bob.trust.add(ann.peerId, { policy: "allow" });
  await town.clock.advance(HEARTBEAT_MS / 2);
  await settle();
  assertEquals(links.map(({ open }) => open), [true, false]);
});

Deno.test("Peer lets in nobody who cannot prove who it is while there is an allow list", async () => {
  await using town = new Town();
  const bob = await town.open("bob", { dialects: ["witch"] });
  bob.serve().register("greet", () => "hello");
  const stranger = await town.open("stranger", { clientOnly: true });
  const friend = await town.open("friend", { clientOnly: true });
  const overUdp = () => stranger.request(town.udpAt("bob"), "greet");
  const inWitch = async () => {
    const connection = await town.network.host("original").connect(town.addressOf("bob"));
    await using client = connectWitch(connection, { clock: town.clock });
    return await client.call("greet", {});
  };
  const ways = [overUdp, inWitch];
  for (const ask of ways) assertEquals(await ask(), "hello");

  bob.trust.add(Identity.generate().peerId, { policy: "allow" });
  bob.trust.add(friend.peerId, { policy: "allow" });
  // It looks once a second.
  await town.clock.advance(1_000);
  for (const ask of ways) await assertRejects(ask, RemoteError, "prove who they are");
  const error = await assertRejects(overUdp, RemoteError);
  assertEquals(error.code, "not-authenticated");
  assertEquals(await friend.request(town.at("bob"), "greet"), "hello");

  for (const { peerId } of bob.trust.list()) bob.trust.remove(peerId);
  await town.clock.advance(999);
  await assertRejects(overUdp, RemoteError, "prove who they are");
  await town.clock.advance(1);
  for (const ask of ways) assertEquals(await ask(), "hello");
});

Deno.test("Peer lets in nobody who cannot prove who it is while its trust file cannot be used", async () => {
  using scratch = new ScratchHome();
  await using town = new Town();
  const bob = await town.open("bob", { home: scratch.home });
  bob.handle("greet", () => "hello");
  const stranger = await town.open("stranger", { clientOnly: true });
  scratch.write("trust.json", "{");
  const asking = () => stranger.request(town.udpAt("bob"), "greet");
  const error = await assertRejects(asking, RemoteError, "Nobody is let in");
  assertEquals([error.code, error.message.includes(scratch.home.dir)], ["not-allowed", false]);
});

Deno.test("Endpoint closes a link for which trust cannot be asked, and the program goes on", async () => {
  let broken = false;
  await using served = await Served.open({
    trust: () => {
      if (broken) throw new Error("the list cannot be read");
    },
  });
  const client = await served.client();
  const link = await client.connect(SERVER);
  broken = true;
  await served.clock.advance(5_000);
  assertEquals([await link.closed, served.endpoint.links.size], [undefined, 0]);
  const errors = served.log.lines.filter(({ level }) => level === "error");
  assertStringIncludes(String(errors[0]?.fields.why), "the list cannot be read");
  broken = false;
  await using again = await client.connect(SERVER);
  await served.clock.advance(20_000);
  assertEquals(again.open, true);
});

Deno.test("Endpoint asks for trust without heartbeats, too", async () => {
  const denied = new Set<string>();
  const never = { heartbeatMs: Infinity };
  await using served = await Served.open({ limits: never, trust: except(denied) });
  const client = await served.client("eve", { limits: never });
  const link = await client.connect(SERVER);
  denied.add("eve");
  await served.clock.advance(5_000);
  assertEquals([await link.closed, served.endpoint.links.size], [undefined, 0]);
});
