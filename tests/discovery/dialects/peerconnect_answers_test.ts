/**
 * Whom PeerConnectDiscovery answers and believes, and whom not.
 */

import { assertEquals } from "@std/assert";
import { encodeDatagram, SERVICE_CODE } from "../../../src/wire/datagram.ts";
import { settle } from "../../endpoint/fixture.ts";
import {
  coded,
  decimalOf,
  FIND_PORT,
  findOf,
  foreign,
  GROUP,
  interfaceOf,
  ORIGINAL_ID,
  readContact,
  replyOf,
  search,
  Village,
} from "./peerconnect_fixture.ts";

Deno.test("PeerConnectDiscovery answers a find that comes to its host or to its own port alone", async () => {
  await using village = new Village();
  const alice = await village.node("alice");
  const bob = await village.original("bob");
  await bob.find("alice");
  await bob.send(findOf(ORIGINAL_ID, "bob", bob.address.port), alice.address);
  await bob.received(2);
  assertEquals(bob.found.map(({ id }) => id), [decimalOf("alice"), decimalOf("alice")]);
});

Deno.test("PeerConnectDiscovery lists a node where its reply came from, whatever host it names", async () => {
  await using village = new Village();
  const alice = await village.node("alice");
  const forger = await village.socket("forger");
  const looking = alice.discovery.find();
  const first = looking.next();
  await forger.send(replyOf("7", "victim", 4_000), alice.address);
  assertEquals((await first).value, foreign("7", { hostname: "forger", port: 4_000 }));
  await looking.return();
});

Deno.test("PeerConnectDiscovery takes no reply while nobody looks", async () => {
  await using village = new Village();
  const alice = await village.node("alice");
  const stranger = await village.socket("stranger");
  await stranger.send(replyOf("7", "stranger", 4_000), alice.address);
  await settle();
  assertEquals(alice.count("unasked"), 1);
  assertEquals(await search(village, alice), []);
});

Deno.test("PeerConnectDiscovery answers no more finds of one address than its rate, and then others", async () => {
  await using village = new Village();
  const alice = await village.node("alice");
  const bob = await village.original("bob");
  const flood = findOf(ORIGINAL_ID, "bob", bob.address.port);
  for (let n = 0; n < 40; n++) await bob.send(flood, { hostname: GROUP, port: FIND_PORT });
  await settle();
  assertEquals([alice.count("replies"), alice.count("rate")], [16, 24]);
  const carol = await village.original("carol");
  await carol.find();
  await carol.received(1);
  await village.clock.advance(1_000);
  for (let n = 0; n < 10; n++) await bob.send(flood, { hostname: GROUP, port: FIND_PORT });
  await settle();
  assertEquals([alice.count("replies"), alice.count("rate")], [16 + 1 + 4, 24 + 6]);
});

Deno.test("PeerConnectDiscovery counts what is malformed, and leaves other packets to others", async () => {
  await using village = new Village();
  const alice = await village.node("alice");
  const stranger = await village.socket("stranger");
  const group = { hostname: GROUP, port: FIND_PORT };
  const find = findOf("7", "stranger", stranger.address.port);
  const malformed = [
    find.subarray(0, -1), // cut
    new Uint8Array([...find, 0]), // longer than it says
    findOf("seven", "stranger", 1),
    findOf("7", "stranger", 0),
    coded(1, [0x95, 0xc4, 1, 0, 0xc0, 0xc0, 0x80, 0xc0]), // says nothing
    coded(1, []),
  ];
  for (const packet of malformed) await stranger.send(packet, group);
  await settle();
  assertEquals(alice.count("malformed"), malformed.length);
  const line = alice.log.lines.find(({ fields }) => fields.why === "malformed");
  assertEquals([line?.level, line?.fields.from], ["debug", `stranger:${stranger.address.port}`]);
  const others = [
    new Uint8Array(0),
    encodeDatagram(SERVICE_CODE.discovery, new Uint8Array(400)),
    encodeDatagram(SERVICE_CODE.sealed, new Uint8Array(400)),
    encodeDatagram(0, new Uint8Array(40)),
    coded(1, [0x95, 0xa1, 0, 0xc0, 0xc0, 0x80, 0xc0]), // a header of the other kind
    // Finds that are no discovery's.
    ...[0, 2].map((code) => coded(code, [...find.subarray(5)])),
    find.subarray(1),
  ];
  for (const to of [group, alice.address]) {
    for (const packet of others) await stranger.send(packet, to);
  }
  await settle();
  assertEquals(alice.count("malformed"), malformed.length);
  assertEquals(alice.count("replies"), 0);
  await stranger.send(find, group);
  assertEquals(readContact((await stranger.receive())?.data ?? new Uint8Array())?.header, 1);
});

Deno.test("PeerConnectDiscovery for this machine alone answers nobody else, and only its interface is used", async () => {
  await using village = new Village();
  const bob = await village.original("bob");
  const loopback = [interfaceOf("127.0.0.1"), interfaceOf("alice")];
  const local = await village.node("alice", {
    hostname: "127.0.0.1",
    interfaces: () => loopback,
  });
  await bob.find();
  await search(village, local);
  assertEquals(local.count("replies"), 0);
  const carol = await village.node("carol", {
    hostname: "carol",
    interfaces: () => [interfaceOf("10.9.9.9"), interfaceOf("carol")],
  });
  assertEquals(await search(village, carol), [foreign(ORIGINAL_ID, bob.address)]);
  assertEquals(carol.count("finds"), 2);
});
