import { assert, assertEquals, assertThrows } from "@std/assert";
import { BroadcastLan } from "../../../src/discovery/dialects/broadcasts_lan.ts";
import { InvalidPacketError, UnsupportedError } from "../../../src/errors.ts";
import { BroadcastTown, everybody, interfaceOf } from "./broadcasts_fixture.ts";

const PORT = 7;

Deno.test("BroadcastLan sends by each interface what is made for it", async () => {
  await using town = new BroadcastTown();
  const ear = await town.ear("ear", PORT);
  const lan = new BroadcastLan("witch", town.on("alice"));
  using senders = await lan.openSenders();
  await senders.send(PORT, ({ address }) => new TextEncoder().encode(address.hostname));
  await town.clock.advance(0);
  assertEquals(ear.heard.map(({ data, from }) => [new TextDecoder().decode(data), from]), [
    ["alice", senders.sockets[0]?.address],
  ]);
});

Deno.test("BroadcastLan uses the interfaces it may, those of IPv4", async () => {
  await using town = new BroadcastTown();
  const v6 = { ...interfaceOf("fe80::1"), family: "IPv6" as const, index: 2 };
  const interfaces = () => [interfaceOf("10.0.0.1"), interfaceOf("127.0.0.1"), v6];
  const used = (hostname?: string) =>
    new BroadcastLan("witch", { ...town.on("alice"), interfaces, hostname })
      .interfaces().map(({ address }) => address);
  for (const hostname of [undefined, "0.0.0.0", "::"]) {
    assertEquals(used(hostname), ["10.0.0.1", "127.0.0.1"]);
  }
  assertEquals(used("localhost"), ["127.0.0.1"]);
  assertEquals(used("10.0.0.1"), ["10.0.0.1"]);
  assertEquals(used("10.0.0.2"), []);
  const missing = () => {
    throw new UnsupportedError("Cannot list network interfaces");
  };
  const without = new BroadcastLan("witch", { ...town.on("alice"), interfaces: missing });
  assertThrows(() => without.interfaces(), UnsupportedError);
});

Deno.test("BroadcastLan counts what cannot be dealt with, and takes the next packet", async () => {
  await using town = new BroadcastTown();
  const lan = new BroadcastLan("peerpy", town.on("alice"));
  const taken: number[] = [];
  await using _listener = await lan.listen(PORT, async ({ data }) => {
    await Promise.resolve();
    if (data[0] === 0) throw new InvalidPacketError("bad-message", "Cannot decode: \u001b[2J");
    if (data[0] === 1) throw new TypeError("a fault of ours");
    taken.push(data[0] ?? -1);
  });
  await town.shout("bob", PORT, ...[0, 1, 2].map((byte) => Uint8Array.of(byte)));
  assertEquals(taken, [2]);
  assertEquals([town.count("peerpy-malformed"), town.count("peerpy-failures")], [1, 1]);
  const { why } = town.log.lines[0]?.fields ?? {};
  assertEquals(why, "Cannot decode: \\u{1b}[2J");
});

Deno.test("BroadcastLan of this machine alone hears nobody else", async () => {
  await using town = new BroadcastTown();
  let taken = 0;
  const lan = new BroadcastLan("witch", { ...town.on("home"), hostname: "127.0.0.1" });
  await using _listener = await lan.listen(PORT, () => void taken++);
  await town.shout("bob", PORT, Uint8Array.of(1));
  assertEquals(taken, 0);
});

Deno.test("BroadcastLan hears nobody on a network that is left out, unless it cannot be told", async () => {
  await using town = new BroadcastTown();
  const home = { ...interfaceOf("10.0.0.1"), name: "eth0", prefixBits: 24 };
  const cafe = { ...interfaceOf("10.0.1.1"), name: "wlan0", prefixBits: 24 };
  let locals = [home, cafe];
  const options = { ...town.on("alice"), interfaces: () => locals, only: ["eth0"] };
  const lan = new BroadcastLan("peerpy", options);
  const heard: string[] = [];
  await using _listener = await lan.listen(PORT, ({ from }) => void heard.push(from.hostname));
  for (const host of ["10.0.0.7", "10.0.1.7", "10.9.9.9"]) {
    await town.shout(host, PORT, Uint8Array.of(1));
  }
  assertEquals(heard.splice(0), ["10.0.0.7", "10.9.9.9"]);
  locals = [home, { ...cafe, address: "10.9.9.1" }];
  await town.clock.advance(2_000);
  for (const host of ["10.0.1.7", "10.9.9.9"]) await town.shout(host, PORT, Uint8Array.of(1));
  assertEquals(heard, ["10.0.1.7"]);
  assertThrows(() => new BroadcastLan("peerpy", { ...options, only: ["!"] }), TypeError);
});

Deno.test("BroadcastListener.close waits for the packet that is being dealt with, and is harmless twice", async () => {
  await using town = new BroadcastTown();
  const dealing = Promise.withResolvers<void>();
  let dealt = false;
  const lan = new BroadcastLan("witch", town.on("home"));
  const listener = await lan.listen(PORT, async () => {
    await dealing.promise;
    dealt = true;
  });
  await town.shout("bob", PORT, Uint8Array.of(1));
  const closing = Promise.all([listener.close(), listener.close()]);
  dealing.resolve();
  await closing;
  assert(dealt);
  const socket = await town.network.host("bob").datagram();
  await socket.send(Uint8Array.of(1), everybody(PORT)); // to nobody
  socket.close();
});
