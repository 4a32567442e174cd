import { assert, assertEquals, assertThrows } from "@std/assert";
import { ManualClock } from "../../../src/clock.ts";
import { PeerConnectDiscovery } from "../../../src/discovery/dialects/peerconnect.ts";
import { ClosedError, InvalidPacketError } from "../../../src/errors.ts";
import type { PeerConnectRumor } from "../../../src/gossip/dialects/peerconnect_gossip.ts";
import { type Address, netTransport } from "../../../src/transport/mod.ts";
import { interfaceOf, probeOf } from "../../discovery/dialects/peerconnect_fixture.ts";
import { CountingClock, settle } from "../../endpoint/fixture.ts";
import {
  Gossiper,
  idOf,
  OriginalGossip,
  packetOf,
  readPacket,
  type Said,
  Village,
} from "./peerconnect_gossip_fixture.ts";

const ID = "7d7e0a31-0000-4000-8000-000000000001";

/** What somebody hears, as it comes. */
function listen({ gossip }: Gossiper): PeerConnectRumor[] {
  const heard: PeerConnectRumor[] = [];
  void (async () => {
    for await (const rumor of gossip.watch()) heard.push(rumor);
  })();
  return heard;
}

function nowS(clock: ManualClock): number {
  return clock.wallMs() / 1_000;
}

/** A message of somebody's, made now. */
function said(clock: ManualClock, change: Partial<Said> = {}): Said {
  return { header: 0, id: ID, message: "hello", ttl: 3, created: nowS(clock), ...change };
}

Deno.test("PeerConnectGossip and originals pass each other's messages on, over sockets of this machine", async () => {
  const hostname = "127.0.0.1";
  const clock = new ManualClock();
  await using alice = await Gossiper.open("alice", netTransport, { hostname, clock });
  await using bob = await Gossiper.open("bob", netTransport, { hostname, clock });
  await using middle = await OriginalGossip.open("middle", netTransport, { hostname, clock });
  await using far = await OriginalGossip.open("far", netTransport, { hostname, clock });
  // alice - middle - bob - far
  alice.nodes.push(middle.address);
  middle.nodes.push(alice.address, bob.address);
  bob.nodes.push(middle.address, far.address);
  far.nodes.push(bob.address);

  const [atBob, atAlice] = [bob.gossip.watch(), alice.gossip.watch()];
  assertEquals(alice.gossip.tell("hé ☃"), 1);
  const { value: heard } = await atBob.next();
  assertEquals([heard?.message, heard?.from], ["hé ☃", middle.address]);
  await far.until(({ accepted }) => accepted.length > 0);
  const [first] = far.accepted;
  assertEquals([first?.message, first?.bodyId], ["hé ☃", heard?.id]);
  assertEquals([first?.ttl, middle.accepted[0]?.ttl], [5, 6]); // an original counts nothing down

  // What an original tells has no id in its body, so originals drop it; from us on it travels.
  far.nodes.splice(0, 1, bob.address, middle.address);
  await far.tell(ID, "from an original");
  const { value: brought } = await atAlice.next();
  assertEquals([brought?.id, brought?.message, brought?.ttl], [ID, "from an original", 2]);
  assertEquals(middle.dropped.map(({ message }) => message), ["from an original"]);
  assertEquals(middle.accepted.at(-1)?.bodyId, ID);
});

Deno.test("PeerConnectGossip tells a text in a packet that originals pass on", async () => {
  await using village = new Village();
  const alice = await village.gossiper("alice");
  const bob = await village.socket("bob");
  assertEquals(alice.gossip.tell("nobody is there"), 0);
  alice.nodes.push(bob.address);
  assertEquals(alice.gossip.tell("hello"), 1);
  const packet = (await bob.receive())?.data ?? new Uint8Array();
  const { id, ...rest } = readPacket(packet) ?? said(village.clock);
  assertEquals(rest, {
    header: 0,
    message: "hello",
    ttl: 6,
    created: nowS(village.clock),
    bodyId: id,
  });
  assertEquals(id.length, 36);
});

Deno.test("PeerConnectGossip gives a message once, and passes it on with one hop less, not to its sender", async () => {
  await using village = new Village();
  const alice = await village.gossiper("alice");
  const heard = listen(alice);
  const [bob, carol] = [await village.socket("bob"), await village.socket("carol")];
  alice.nodes.push(bob.address, carol.address);
  const packet = packetOf(said(village.clock, { ttl: 3 }));
  for (let n = 0; n < 3; n++) await bob.send(packet, alice.address);
  await settle();
  assertEquals(heard.map(({ message, from }) => [message, from]), [["hello", bob.address]]);
  const passed = readPacket((await carol.receive())?.data ?? new Uint8Array());
  assertEquals([passed?.ttl, passed?.bodyId, passed?.created], [2, ID, nowS(village.clock)]);
  assertEquals([alice.count("heard"), alice.count("known")], [1, 2]);
  await carol.send(packet, bob.address); // the first that bob gets
  assertEquals((await bob.receive())?.from, carol.address);
});

Deno.test("PeerConnectGossip hears a message without ttl or hops, and keeps it to itself", async () => {
  await using village = new Village();
  const alice = await village.gossiper("alice");
  const heard = listen(alice);
  const [bob, carol] = [await village.original("bob"), await village.original("carol")];
  alice.nodes.push(carol.address);
  const ttls = [undefined, 0, 1, 0xff];
  for (const [n, ttl] of ttls.entries()) {
    await bob.send(packetOf(said(village.clock, { id: `m${n}`, ttl })), alice.address);
  }
  await settle();
  assertEquals(heard.map(({ ttl }) => ttl), [0, 0, 1, -1]);
  assertEquals([carol.accepted, carol.dropped], [[], []]);
});

Deno.test("PeerConnectGossip refuses what claims to be old, and is not deceived by what claims to be young", async () => {
  await using village = new Village();
  const { clock } = village;
  const alice = await village.gossiper("alice");
  const heard = listen(alice);
  const bob = await village.socket("bob");
  const send = (id: string, created: number) => {
    return bob.send(packetOf(said(clock, { id, created })), alice.address);
  };
  await send("an hour old", nowS(clock) - 3_600);
  await send("of 1970", 0);
  await send("of the future", 4e9);
  await settle();
  assertEquals([heard.map(({ id }) => id), alice.count("stale")], [["of the future"], 2]);
  await clock.advance(300_000);
  await send("of the future", 4e9);
  await settle();
  assertEquals([heard.length, alice.count("known")], [1, 1]);
});

Deno.test("PeerConnectGossip sends to who only spoke to it no more bytes than came from there", async () => {
  await using village = new Village();
  const alice = await village.gossiper("alice");
  const [victim, loud] = [await village.socket("victim"), await village.socket("loud")];
  let got = 0;
  const counting = (async () => {
    for (let one = await victim.receive(); one; one = await victim.receive()) {
      got += one.data.length;
    }
  })();
  // Its address on packets of somebody else, as far as anybody can tell.
  const forged = packetOf(said(village.clock, { message: "x".repeat(100) }));
  await victim.send(forged, alice.address);
  for (let n = 0; n < 30; n++) {
    const message = "y".repeat(n % 2 === 0 ? 900 : 50);
    await loud.send(packetOf(said(village.clock, { id: `m${n}`, message })), alice.address);
    await settle();
  }
  assert(got > 0 && got <= forged.length, `${got} bytes for ${forged.length}`);
  victim.close();
  await counting;
});

Deno.test("PeerConnectGossip learns who spoke to it, so that it can be told and asked", async () => {
  await using village = new Village();
  const alice = await village.gossiper("alice");
  const bob = await village.gossiper("bob");
  const heard = listen(bob);
  bob.nodes.push(alice.address);
  bob.gossip.tell("who is there? ".repeat(10));
  await settle();
  assertEquals(alice.gossip.tell("alice"), 1);
  await settle();
  assertEquals(heard.map(({ message }) => message), ["alice"]);
});

Deno.test("PeerConnectGossip searches for originals, and answers them at their source alone", async () => {
  await using village = new Village();
  const alice = await village.gossiper("alice in wonderland");
  const [bob, robert] = [await village.original("bob"), await village.original("robert")];
  alice.nodes.push(bob.address, robert.address, alice.address);
  bob.nodes.push(alice.address);
  const searching = Array.fromAsync(alice.gossip.search("ob"));
  await settle();
  await village.clock.advance(3_000);
  const found = await searching;
  const byName = new Map(found.map(({ peer, peerId, from }) => [peer.username, { peerId, from }]));
  assertEquals([found.length, byName.size], [2, 2]);
  for (const { name, address: from } of [bob, robert]) {
    assertEquals(byName.get(name), { peerId: idOf(name).toHex(), from });
  }
  for (const [id, text] of [["1", "wonder"], ["2", "Wonder"], ["3", ""], ["1", "alice"]] as const) {
    await bob.search(id, text);
  }
  await settle();
  assertEquals(bob.replies.map(({ id }) => id), ["1", "3"]);
  assertEquals(alice.count("answers"), 2);
  assertEquals(robert.replies, []);
});

Deno.test("PeerConnectGossip answers no more searches than its rates, and none that find an empty name", async () => {
  await using village = new Village();
  const alice = await village.gossiper("alice");
  const silent = await village.gossiper("silent", {
    self: ({ hostname: ip }: Address) => ({
      ...{ id: idOf("silent"), username: null, ip, tcpPort: 1, udpPort: 1, status: 1 },
    }),
  });
  const bob = await village.original("bob");
  bob.nodes.push(alice.address, silent.address);
  for (let n = 0; n < 50; n++) await bob.search(`search ${n}`, "");
  await settle();
  assertEquals([alice.count("answers"), alice.count("unanswered")], [16, 34]);
  assertEquals([silent.count("answers"), silent.count("unanswered"), bob.replies.length], [
    0,
    0,
    16,
  ]);
});

Deno.test("PeerConnectGossip believes nobody who was not asked, and each who was once", async () => {
  await using village = new Village();
  const alice = await village.gossiper("alice");
  const [bob, mallory] = [await village.socket("bob"), await village.socket("mallory")];
  alice.nodes.push(bob.address);
  const searching = Array.fromAsync(alice.gossip.search("b"));
  const { id } = readPacket((await bob.receive())?.data ?? new Uint8Array()) ?? { id: "" };
  const record = (n: number) =>
    Uint8Array.from([0x96, 0xc4, 20, ...idOf(`${n}`), 0xa1, 0x62, 0xa1, 0x78, 1, 2, 1]);
  const reply = (n: number, to = id) => {
    return packetOf({ header: 2, id: to, message: record(n), created: 1 });
  };
  await mallory.send(reply(1), alice.address);
  await bob.send(reply(2, "another"), alice.address);
  await bob.send(reply(3), alice.address);
  await bob.send(reply(4), alice.address);
  await settle();
  await village.clock.advance(3_000);
  assertEquals((await searching).map(({ peerId }) => peerId), [idOf("3").toHex()]);
  await bob.send(reply(5), alice.address);
  await settle();
  assertEquals(alice.count("unasked"), 4);
});

Deno.test("PeerConnectGossip asks no more than 64 nodes, each once", async () => {
  await using village = new Village();
  const alice = await village.gossiper("alice");
  const nobody = (n: number) => ({ hostname: `nobody ${n}`, port: 1 });
  for (const count of [3, 200]) {
    alice.nodes.splice(0);
    for (let n = 0; n < count; n++) alice.nodes.push(nobody(n), nobody(n));
    const stop = new AbortController();
    const searching = Array.fromAsync(alice.gossip.search("", { signal: stop.signal }));
    await settle();
    stop.abort();
    assertEquals(await searching, []);
  }
  assertEquals(alice.count("unsent"), 3 + 64);
});

Deno.test("PeerConnectGossip tells no text that does not fit a packet, and passes longer ones of others on", async () => {
  await using village = new Village();
  const alice = await village.gossiper("alice");
  const bob = await village.original("bob");
  alice.nodes.push(bob.address);
  const error = assertThrows(() => alice.gossip.tell("é".repeat(600)), InvalidPacketError);
  assertEquals(error.code, "too-large");
  assertEquals([error.details.limit, error.details.max], ["SOFT_DATAGRAM_BYTES", 1_200]);
  alice.gossip.tell("x".repeat(1_050));
  const carol = await village.socket("carol");
  const long = packetOf(said(village.clock, { message: "y".repeat(30_000) }));
  await carol.send(long, alice.address);
  await settle();
  assertEquals(bob.accepted.map(({ message }) => message.length), [1_050, 30_000]);
});

Deno.test("PeerConnectGossip hears what is too large to be passed on with its id added", async () => {
  await using village = new Village();
  const alice = await village.gossiper("alice");
  const heard = listen(alice);
  const bob = await village.original("bob");
  alice.nodes.push(bob.address);
  const carol = await village.socket("carol");
  const message = "y".repeat(64_500);
  await carol.send(packetOf(said(village.clock, { message })), alice.address);
  await settle();
  assertEquals([heard.length, bob.accepted.length, alice.count("too-large")], [1, 0, 1]);
});

Deno.test("PeerConnectGossip counts what is malformed or strange, and shows nothing of it raw", async () => {
  await using village = new Village();
  const alice = await village.gossiper("alice");
  const heard = listen(alice);
  const bob = await village.socket("bob");
  const evil = "\u001b[2J\nforged line";
  const binHeader = packetOf(said(village.clock)).toHex().replace("95a100", "95c40100");
  const packets: Uint8Array[] = [
    packetOf(said(village.clock, { bodyId: evil })),
    packetOf(said(village.clock, { id: evil.repeat(20) })),
    packetOf(said(village.clock, { message: Uint8Array.of(1) })),
    packetOf(said(village.clock, { created: NaN })),
    packetOf(said(village.clock, { header: 2, message: new TextEncoder().encode(evil) })),
    packetOf(said(village.clock, { header: 3 })),
    withLength(Uint8Array.fromHex(binHeader)),
  ];
  for (const packet of packets) await bob.send(packet, alice.address);
  await settle();
  assertEquals([alice.count("malformed"), alice.count("unknown"), heard.length], [5, 2, 0]);
  await bob.send(packetOf(said(village.clock, { message: evil })), alice.address);
  await settle();
  assertEquals(heard.length, 1);
  const shown = JSON.stringify(alice.log.lines);
  assert(shown.includes("the body has another"));
  assert(!shown.includes("\\u001b") && !shown.includes("\\n"), shown);
});

/** A packet whose length is put right. */
function withLength(packet: Uint8Array): Uint8Array {
  new DataView(packet.buffer).setUint32(1, packet.length - 5);
  return packet;
}

Deno.test("PeerConnectGossip reads no more packets of an address than its rate", async () => {
  await using village = new Village();
  const alice = await village.gossiper("alice");
  const bob = await village.socket("bob");
  for (let n = 0; n < 500; n++) {
    await bob.send(packetOf(said(village.clock, { id: `m${n}` })), alice.address);
    if (n % 50 === 49) await settle();
  }
  await settle();
  assertEquals([alice.count("heard"), alice.count("rate")], [400, 100]);
  const carol = await village.socket("carol");
  await carol.send(packetOf(said(village.clock)), alice.address);
  await settle();
  assertEquals(alice.count("heard"), 401);
});

Deno.test("PeerConnectGossip closes while it is watched and searches, and takes nothing after", async () => {
  await using village = new Village();
  const alice = await village.gossiper("alice");
  const bob = await village.socket("bob");
  alice.nodes.push(bob.address);
  const watching = Array.fromAsync(alice.gossip.watch());
  const searching = Array.fromAsync(alice.gossip.search("b"));
  alice.gossip.tell("hello");
  await Promise.all([alice.gossip.close(), alice.gossip.close()]);
  assertEquals([await watching, await searching, village.clock.timers], [[], [], 0]);
  assertThrows(() => alice.gossip.tell("hello"), ClosedError, "is closed");
  assertThrows(() => alice.gossip.search("b"), ClosedError, "is closed");
  await bob.send(packetOf(said(village.clock)), alice.address);
  await settle();
  assertEquals(alice.metrics.counter("requests.unknown-code").value, 1);
});

Deno.test("PeerConnectGossip survives that nothing can be sent", async () => {
  const clock = new CountingClock();
  await using village = new Village();
  const endpoint = await village.gossiper("closed", { clock });
  await endpoint.endpoint.close();
  endpoint.nodes.push({ hostname: "bob", port: 1 });
  assertEquals(endpoint.gossip.tell("hello"), 1);
  await settle();
  assertEquals(endpoint.count("unsent"), 1);
});

Deno.test("PeerConnectGossip shares its port and its code with discovery", async () => {
  await using village = new Village();
  const alice = await village.gossiper("alice");
  const { requests, endpoint, address } = alice;
  const heard = listen(alice);
  const discovery = await PeerConnectDiscovery.open({
    transport: village.network.host("alice"),
    udp: { address, requests, send: (packet, to) => endpoint.sendPacket(packet, to) },
    peerId: idOf("alice"),
    interfaces: () => [interfaceOf("alice")],
    clock: village.clock,
  });
  const bob = await village.socket("bob");
  const headerOf = async () => (await bob.receive())?.data.subarray(5, 9).toHex();
  await bob.send(probeOf(ID, 2), alice.address);
  assertEquals(await headerOf(), "95c400d9"); // a sign of life
  await bob.send(packetOf(said(village.clock)), alice.address);
  await settle();
  assertEquals(heard.map(({ id }) => id), [ID]);

  // What answers a probe of ours is a sign of life, whatever else it is.
  const asking = discovery.isAlive(bob.address);
  const probe = (await bob.receive())?.data ?? new Uint8Array();
  const id = new TextDecoder().decode(probe.subarray(-47, -11));
  await bob.send(packetOf(said(village.clock, { id })), alice.address);
  assertEquals(await asking, true);
  assertEquals([heard.length, alice.count("malformed"), alice.count("unknown")], [1, 0, 0]);
  await discovery.close();
  await bob.send(packetOf(said(village.clock, { id: "later" })), alice.address);
  await settle();
  assertEquals(heard.length, 2);
});
