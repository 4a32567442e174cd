import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import type { Dialect, Peer, PeerOptions } from "../src/peer.ts";
import { ClosedError, InvalidPacketError, NotFoundError, PeerError } from "../src/errors.ts";
import type { FoundPeer } from "../src/gossip/rumor_search.ts";
import { encodeFindReply } from "../src/discovery/dialects/peerconnect_packets.ts";
import { Neighbors } from "../src/peer_neighbors.ts";
import { OriginalGossip, packetOf } from "./gossip/dialects/peerconnect_gossip_fixture.ts";
import { ORIGINAL_ID } from "./discovery/dialects/peerconnect_fixture.ts";
import { FAST } from "./membership/group_fixture.ts";
import { Tap } from "./threats/tap.ts";
import { Town } from "./town.ts";

const [A, B, C, D] = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"] as const;
const PEERCONNECT: readonly Dialect[] = ["peerconnect"];

/** Peers that tell each other rumors, on a network in memory. */
class Market extends Town {
  /** Lets time pass until something is so. */
  async until(holds: () => boolean, limitMs = 20_000): Promise<void> {
    const endMs = this.clock.now() + limitMs;
    while (!holds()) {
      if (this.clock.now() >= endMs) throw new Error(`It did not come to that: ${holds}`);
      await this.clock.advance(20);
    }
  }

  /** Lets time pass until something is done. */
  async run<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    const done = () => isDone = true;
    work.then(done, done);
    await this.until(() => isDone);
    return await work;
  }

  /** A peer on a host, whose connections are not looked after all the time. */
  async peer(host: string, options: PeerOptions = {}): Promise<Peer> {
    return await this.open(host, { name: host, limits: { heartbeatMs: Infinity }, ...options });
  }

  /** Peers that are a group. */
  async group(...hosts: string[]): Promise<Peer[]> {
    const peers = await Promise.all(hosts.map((host) => this.peer(host)));
    for (const peer of peers) peer.join({ tuning: FAST });
    await this.until(() =>
      peers.every(({ membership }) => {
        const there = membership?.members().filter(({ state, path }) => {
          return state === "alive" && path === "direct";
        });
        return there?.length === peers.length;
      })
    );
    return peers;
  }

  /** Who answers a search. */
  async search(peer: Peer, text: string, dialect?: Dialect): Promise<FoundPeer[]> {
    const rumors = dialect === "peerconnect" ? peer.rumors(dialect) : peer.rumors();
    return await this.run(Array.fromAsync(rumors.search(text)));
  }
}

/** What somebody hears, as it comes. */
function listen<T>(rumors: { watch(): AsyncIterable<T> }): T[] {
  const heard: T[] = [];
  void (async () => {
    for await (const rumor of rumors.watch()) heard.push(rumor);
  })();
  return heard;
}

function namesOf(found: readonly FoundPeer[]): string[] {
  return found.map(({ peer }) => String(peer.username)).sort();
}

Deno.test("Peer.rumors gives the same object each time, and none to a client or for a dialect that is off", async () => {
  await using market = new Market();
  const peer = await market.peer(A);
  assertStrictEquals(peer.rumors(), peer.rumors("native"));
  assertThrows(() => peer.rumors("peerconnect"), TypeError, "does not speak peerconnect");
  const client = await market.peer(B, { clientOnly: true, dialects: PEERCONNECT });
  for (const dialect of ["native", "peerconnect"] as const) {
    assertThrows(() => client.rumors(dialect), TypeError, "a client cannot be reached");
  }
  const spoken = await market.peer(C, { dialects: PEERCONNECT });
  assertStrictEquals(spoken.rumors("peerconnect"), spoken.rumors("peerconnect"));
});

Deno.test("Rumors reach every member of a group once, signed by who told them", async () => {
  await using market = new Market();
  const [ann, bob, carol] = await market.group(A, B, C);
  assert(ann && bob && carol);
  const heard = [ann, bob, carol].map((peer) => listen(peer.rumors()));
  assertEquals(await market.run(ann.rumors().tell("hé ☃")), 2);
  await market.clock.advance(1_000);
  const all = heard.map((rumors) => rumors.map(({ author, message }) => [author, message]));
  assertEquals(all, [[], [[ann.peerId, "hé ☃"]], [[ann.peerId, "hé ☃"]]]);
});

Deno.test("Rumors find the members whose name has the text, and nobody who gave none or is not to be found", async () => {
  await using market = new Market();
  const peers = [
    await market.peer(A, { name: "ann" }),
    await market.peer(B, { name: "bob" }),
    await market.peer(C, { name: "" }),
    await market.peer(D, { name: "bobby", announce: false }),
  ] as const;
  const seeds = [market.addressOf(A)];
  for (const peer of peers) {
    peer.join({ tuning: FAST, ...(peer === peers[0] ? {} : { seeds }) });
    peer.rumors();
  }
  await market.until(() => {
    return peers[0].membership?.members().filter(({ path }) => path === "direct").length === 4;
  });
  assertEquals(namesOf(await market.search(peers[0], "bob")), ["bob"]);
  const [found, ...others] = await market.search(peers[0], "");
  assertEquals([others.length, found?.peerId], [0, peers[1].peerId]);
  const { ip, tcpPort, udpPort, status } = found?.peer ?? {};
  assertEquals([ip, tcpPort, udpPort, status], [
    B,
    market.addressOf(B).port,
    peers[1].udpAddress?.port,
    1,
  ]);
});

Deno.test("Rumors go to peers that discovery finds where no group was joined, both ways, as long as they are connected", async () => {
  await using market = new Market();
  const [ann, bob] = [await market.peer(A), await market.peer(B)];
  const [atAnn, atBob] = [listen(ann.rumors()), listen(bob.rumors())];
  assertEquals(await market.run(ann.rumors().tell("hello")), 1);
  await market.until(() => atBob.length === 1);
  assertEquals(await market.run(bob.rumors().tell("hello yourself")), 1);
  await market.until(() => atAnn.length === 1);
  assertEquals([atBob[0]?.author, atAnn[0]?.author], [ann.peerId, bob.peerId]);
  // Both have looked for the other again, and kept what they had.
  await market.clock.advance(65_000);
  assertEquals([ann.endpoint.links.size, bob.endpoint.links.size], [2, 2]);
  assertEquals(await market.run(ann.rumors().tell("still there?")), 1);
  await market.until(() => atBob.length === 2);
  const long = "x".repeat(9_000);
  await market.run(bob.rumors().tell(long));
  await market.until(() => atAnn.length === 2);
  assertEquals(atAnn[1]?.message, long);
  await market.run(ann.close());
  await market.clock.advance(1_000);
  assertEquals(await market.run(bob.rumors().tell("is anybody there?")), 0);
});

Deno.test("Rumors of who joined no group reach a group, whose members answer it by name", async () => {
  await using market = new Market();
  const peers = await market.group(A, B);
  const heard = peers.map((peer) => listen(peer.rumors()));
  const stranger = await market.peer(C, { announce: false, name: "" });
  assertEquals(namesOf(await market.search(stranger, "10.0.0.")), [A, B]);
  assertEquals(await market.run(stranger.rumors().tell("hello")), 2);
  await market.until(() => heard.every(({ length }) => length === 1));
  assertEquals(heard[0]?.[0]?.author, stranger.peerId);
});

Deno.test("Rumors.tell looks for three seconds where nobody is, no longer than the signal lets it, and not when closed", async () => {
  await using market = new Market();
  const ann = await market.peer(A);
  const startMs = market.clock.now();
  assertEquals(await market.run(ann.rumors().tell("hello")), 0);
  const tookMs = market.clock.now() - startMs;
  assert(tookMs >= 2_900 && tookMs < 3_500, `${tookMs} ms`);
  const leaving = new AbortController();
  const telling = ann.rumors().tell("hello", { signal: leaving.signal });
  const searching = Array.fromAsync(ann.rumors().search("bob", { signal: leaving.signal }));
  leaving.abort(new Error("enough"));
  await assertRejects(() => telling, Error, "enough");
  assertEquals(await searching, []);
  const tooLong = assertRejects(() => ann.rumors().tell("x".repeat(20_000)), InvalidPacketError);
  await market.run(tooLong);
  const rumors = ann.rumors();
  await market.run(ann.close());
  await assertRejects(() => rumors.tell("hello"), ClosedError);
});

Deno.test("Rumors of who is denied are not heard", async () => {
  await using market = new Market();
  const [ann, bob, carol] = await market.group(A, B, C);
  assert(ann && bob && carol);
  const heard = [bob, carol].map((peer) => listen(peer.rumors()));
  bob.trust.add(ann.peerId, { policy: "deny" });
  await market.clock.advance(1_500);
  await market.run(ann.rumors().tell("hello"));
  await market.until(() => heard[1]?.length === 1);
  await market.clock.advance(1_000);
  assertEquals(heard[0], []);
});

Deno.test("rumor.neighbor and rumor.bring refuse what is none, naming it, and callers that prove nothing", async () => {
  await using market = new Market();
  const bob = await market.peer(B);
  bob.rumors();
  const client = await market.peer(A, { clientOnly: true });
  await using link = await market.run(client.link(market.at(B)));
  const refused = async (header: string, body: Record<string, unknown>, says: string) => {
    const error = await market.run(assertRejects(() => link.request(header, body), PeerError));
    assertEquals([error.code, error.message.includes(says)], ["bad-message", true], error.message);
  };
  for (const udpPort of [undefined, 0, 65_536, 1.5, "5"]) {
    await refused("rumor.neighbor", { udpPort }, "udpPort must be 1..65535");
  }
  await refused("rumor.bring", { payload: "x" }, "payload is not bin");
  const garbage = { payload: Uint8Array.of(1, 2, 3) };
  const error = await market.run(
    assertRejects(() => link.request("rumor.bring", garbage), PeerError),
  );
  assert(["bad-message", "too-large"].includes(error.code), error.code);
  const udp = market.udpAt(B);
  for (const header of ["rumor.neighbor", "rumor.bring"]) {
    const plain = assertRejects(() => client.request(udp, header, { udpPort: 1 }), PeerError);
    assertEquals((await market.run(plain)).code, "not-authenticated");
  }
});

Deno.test("PeerConnect rumors are heard and passed on from the start where the dialect is on", async () => {
  await using market = new Market();
  const dialects = PEERCONNECT;
  const [ann, bob] = [await market.peer(A, { dialects }), await market.peer(B, { dialects })];
  await market.clock.advance(1_000);
  const heard = [ann, bob].map((peer) => listen(peer.rumors("peerconnect")));
  assertEquals(await market.run(ann.rumors("peerconnect").tell("hé ☃")), 1);
  await market.until(() => heard[1]?.length === 1);
  const [rumor] = heard[1] ?? [];
  assertEquals([rumor?.message, rumor?.from], [
    "hé ☃",
    ann.udpAddress && { ...ann.udpAddress, hostname: A },
  ]);
  await using original = await OriginalGossip.open("original", market.network.host(C), market);
  const created = market.clock.wallMs() / 1_000;
  const said = { header: 0, id: "m1", message: "from an original", ttl: 3, created };
  await original.send(packetOf(said), { hostname: A, port: ann.udpAddress?.port ?? 0 });
  await market.until(() => heard.every((rumors) => rumors.at(-1)?.message === said.message));
  assertEquals(heard[1]?.at(-1)?.from.hostname, A);
});

Deno.test("PeerConnect rumors find nodes by name, and are told our id and where we are; who has no name says nothing", async () => {
  await using market = new Market();
  const dialects = PEERCONNECT;
  const [ann, bob] = [
    await market.peer(A, { dialects, name: "" }),
    await market.peer(B, { dialects, name: "bob" }),
  ];
  const [found, ...others] = await market.search(ann, "bo", "peerconnect");
  assertEquals([found?.peerId, others], [bob.peerId, []]);
  const { username, ip, tcpPort, udpPort, status } = found?.peer ?? {};
  assertEquals([username, ip, tcpPort, udpPort, status], [
    "bob",
    B,
    market.addressOf(B).port,
    bob.udpAddress?.port,
    1,
  ]);
  assertEquals(await market.search(bob, "", "peerconnect"), []);
});

Deno.test("PeerConnect rumors go to nobody who was only named by a reply to a find", async () => {
  await using market = new Market();
  const tap = new Tap(market.network.host(A));
  const ann = await market.peer(A, { dialects: PEERCONNECT, transport: tap });
  const liar = await market.network.host(C).datagram();
  const reply = encodeFindReply(ORIGINAL_ID, { hostname: C, port: liar.address.port });
  const answer = async () => {
    await liar.send(reply, { hostname: A, port: ann.udpAddress?.port ?? 0 });
    return await market.run(ann.rumors("peerconnect").tell("hello"));
  };
  assertEquals(await answer(), 0);
  assert(tap.dialled.some(({ hostname }) => hostname === C), "it was not looked at");
  await market.clock.advance(30_000);
  // Originals do not answer probes, and accept connections.
  const listener = await market.network.host(C).listen({ port: 3_485 });
  assertEquals(await answer(), 1);
  listener.close();
  liar.close();
});

Deno.test("Neighbors brings nothing to who is not known, and says so at once", async () => {
  await using market = new Market();
  const bob = await market.peer(B);
  const neighbors = new Neighbors({
    endpoint: bob.endpoint,
    udpAddress: bob.udpAddress ?? { hostname: B, port: 1 },
    membership: () => undefined,
    receive: () => {},
  });
  const bringing = neighbors.bring("0a".repeat(20), new Uint8Array(1));
  await assertRejects(() => bringing, NotFoundError, "it is not known here");
  await neighbors.close();
});
