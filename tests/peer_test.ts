import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import {
  ClosedError,
  HandshakeError,
  LimitError,
  NotFoundError,
  RemoteError,
  TransportError,
} from "../src/errors.ts";
import { Peer } from "../src/peer.ts";
import { Identity } from "../src/secure/identity.ts";
import { type Address, formatAddress, openDatagram } from "../src/transport/mod.ts";
import { infoOf, isSettled, Journal, settle, Stranger } from "./endpoint/fixture.ts";
import { SEARCH_MS, Town } from "./town.ts";
import { listing, pattern, sha256 } from "./transfer/fixture.ts";

Deno.test("Peer reaches another by name, by id, by the beginning of its id and by address", async () => {
  await using town = new Town();
  const bob = await town.open("bob", { name: "Bob" });
  await town.open("carol", { name: "Carol" });
  bob.handle("greet", ({ from }) => `hello, ${from}`);
  const alice = await town.open("alice", { clientOnly: true });
  const { peerId } = bob;
  for (const target of ["Bob", peerId, peerId.slice(0, 4), peerId.slice(0, 20), town.at("bob")]) {
    const asking = alice.request(target, "greet", { from: "alice" });
    await town.clock.advance(SEARCH_MS);
    assertEquals(await asking, "hello, alice", target);
  }
  await settle();
  assertEquals([alice.endpoint.links.size, bob.endpoint.links.size], [0, 0]);
  assertEquals([alice.address, alice.name, bob.name], [undefined, "", "Bob"]);
});

Deno.test("Peer takes the whole id at once, and waits for a second one of a name", async () => {
  await using town = new Town();
  const bob = await town.open("bob", { name: "Bob" });
  const alice = await town.open("alice");
  await (await alice.link(bob.peerId)).close(); // nobody moves the clock
  const connecting = alice.link("Bob");
  await town.clock.advance(199);
  assertEquals(await isSettled(connecting), false);
  await town.clock.advance(1);
  await (await connecting).close();
});

Deno.test("Peer does not guess between two of one name, and names both", async () => {
  await using town = new Town();
  const bobs = [
    await town.open("here", { name: "Bob" }),
    await town.open("there", { name: "Bob" }),
  ];
  const alice = await town.open("alice");
  const error = await town.cannotReach(alice, "Bob");
  assertEquals(error.code, "no-peer");
  assertStringIncludes(error.message, '"Bob" is not one peer but 2');
  const found = bobs.map(({ peerId }) => peerId);
  for (const peerId of found) assertStringIncludes(error.message, peerId);
  assertEquals((error.details.found as string[]).toSorted(), found.toSorted());
});

Deno.test("Peer names no more than eight of those who share a name, however many there are", async () => {
  await using town = new Town();
  for (let n = 0; n < 12; n++) await town.open(`bob ${n}`, { name: "Bob" });
  const alice = await town.open("alice");
  const { message, details } = await town.cannotReach(alice, "Bob");
  assertStringIncludes(message, '"Bob" is not one peer but more than 8');
  assertEquals([message.match(/[0-9a-f]{40}/g)?.length, (details.found as string[]).length], [
    8,
    8,
  ]);
});

Deno.test("Peer does not guess between a name and an id, nor between two ids", async () => {
  await using town = new Town();
  const [one, two] = identitiesThatBeginAlike();
  const beginning = one.peerId.slice(0, 4);
  await town.open("one", { identity: one, name: "One" });
  const alice = await town.open("alice");
  const connecting = alice.link(beginning);
  await town.clock.advance(SEARCH_MS);
  assertEquals((await connecting).peer.name, "One");
  await town.open("two", { identity: two, name: "Two" });
  assertStringIncludes((await town.cannotReach(alice, beginning)).message, "not one peer but 2");

  await town.open("three", { name: one.peerId.slice(0, 7) });
  const mixed = await town.cannotReach(alice, one.peerId.slice(0, 7));
  assertStringIncludes(mixed.message, "not one peer but 2");

  // Eight digits and more are an id, whatever somebody calls itself.
  await town.open("four", { name: one.peerId.slice(0, 8) });
  const meant = alice.link(one.peerId.slice(0, 8));
  await town.clock.advance(SEARCH_MS);
  assertEquals((await meant).peer.name, "One");
});

Deno.test("Peer takes one identity that runs twice for one peer", async () => {
  await using town = new Town();
  const identity = Identity.generate();
  for (const host of ["here", "there"]) await town.open(host, { identity, name: "Bob" });
  const alice = await town.open("alice");
  const connecting = alice.link("Bob");
  await town.clock.advance(SEARCH_MS);
  assertEquals((await connecting).peer.peerId, identity.peerId);
});

Deno.test("Peer says where it looked and who else is there when nobody fits", async () => {
  await using town = new Town();
  const bob = await town.open("bob", { name: "Bob\u001b[2J" });
  const unnamed = await town.open("unnamed");
  const alice = await town.open("alice");
  for (const target of ["Bo", "bob", bob.peerId.slice(0, 3)]) {
    const { message, details, code } = await town.cannotReach(alice, target, 1_000);
    assertEquals(code, "no-peer");
    assertStringIncludes(message, `Cannot reach peer "${target}"`);
    assertStringIncludes(message, "tried multicast4 to 239.1.11.11 from alice");
    assertStringIncludes(message, "Bob\\u{1b}[2J");
    assertStringIncludes(message, unnamed.peerId);
    assertEquals((details.tried as string[]).length, 2);
  }
});

Deno.test("Peer says that there was no way to look", async () => {
  await using town = new Town();
  const alice = await town.open("alice", { interfaces: () => [] });
  const error = await town.cannotReach(alice, "Bob", 1_000);
  assertStringIncludes(error.message, "there was no way to look");
});

Deno.test("Peer refuses at once what is no HOST:PORT, and looks for nobody", async () => {
  await using town = new Town();
  const alice = await town.open("alice");
  for (const target of ["bob:65536", "a:b:1", "http://bob:80", "\u001b[2J:1"]) {
    const error = await assertRejects(() => alice.link(target), TypeError, "is no HOST:PORT");
    // deno-lint-ignore no-control-regex -- it must not be there
    assert(!/[\u0000-\u001f]/.test(error.message));
  }
  for (const target of ["udp://bob", "udp://", "udp://bob:65536"]) {
    await assertRejects(() => alice.request(target, "greet"), TypeError, "is no HOST:PORT");
  }
  assertEquals(alice.metrics.snapshot(), {});
});

Deno.test("Peer.request asks over UDP, without a connection", async () => {
  await using town = new Town();
  const bob = await town.open("bob");
  bob.handle("greet", ({ from }, { via }) => `hello, ${from}, over ${via}`);
  for (const clientOnly of [false, true]) {
    const alice = await town.open(`alice ${clientOnly}`, { clientOnly });
    const answer = await alice.request(town.udpAt("bob"), "greet", { from: "alice" });
    assertEquals(answer, "hello, alice, over udp");
    assertEquals([alice.endpoint.links.size, bob.endpoint.links.size], [0, 0]);
  }
});

Deno.test("Peer that only asks over UDP answers nobody there", async () => {
  await using town = new Town();
  const bob = await town.open("bob");
  const asked = Promise.withResolvers<Address>();
  bob.handle("who", (_, { remote }) => asked.resolve(remote));
  const alice = await town.open("alice", { clientOnly: true });
  alice.handle("secret", () => "served");
  await alice.request(town.udpAt("bob"), "who");
  const target = `udp://${formatAddress(await asked.promise)}`;
  const carol = await town.open("carol", { clientOnly: true });
  const error = await assertRejects(() => carol.request(target, "secret"), RemoteError);
  assertEquals([error.code, alice.udpAddress], ["no-endpoint", undefined]);
});

Deno.test("Peer.request over UDP is refused once the peer is closed, whether or not it had asked before", async () => {
  await using town = new Town();
  const bob = await town.open("bob");
  bob.handle("greet", () => "hello");
  const target = town.udpAt("bob");
  const never = await town.open("never", { clientOnly: true });
  const before = await town.open("before", { clientOnly: true });
  await before.request(target, "greet");
  for (const peer of [never, before, await town.open("listening")]) {
    await peer.close();
    await assertRejects(() => peer.request(target, "greet"), ClosedError);
  }
});

Deno.test("Peer asks the addresses it is given, in order, until the right peer answers", async () => {
  await using town = new Town();
  await town.open("mallory", { name: "Mallory" });
  await town.open("bob", { name: "Bob" });
  const alice = await town.open("alice");
  const nobody: Address = { hostname: "nobody", port: 1 };
  const mallory = town.addressOf("mallory");
  const link = await alice.link("Bob", { peers: [nobody, mallory, town.addressOf("bob")] });
  assertEquals(link.peer.name, "Bob");
  await settle();
  assertEquals(alice.endpoint.links.size, 1); // the one to Mallory is closed again

  const asking = alice.link("Bob", { peers: [nobody, mallory] });
  const error = await assertRejects(() => asking, NotFoundError);
  assertStringIncludes(error.message, `${town.at("mallory")}: another peer is there`);
  assertStringIncludes(error.message, "nobody:1: ");
  assertEquals((error.details.tried as string[]).length, 2);
});

Deno.test("Peer tells why a peer that is there cannot be connected to", async () => {
  await using town = new Town();
  await town.open("full", { name: "Full", limits: { maxLinks: 0 } });
  const alice = await town.open("alice");
  const refused = assertRejects(() => alice.link("Full"), LimitError, "maxLinks");
  await town.clock.advance(SEARCH_MS);
  await refused;

  const listener = await town.network.host("web").listen({ port: 80 });
  const connecting = assertRejects(() => alice.link("web:80"), HandshakeError, "no kith peer");
  const connection = await listener.accept();
  assert(connection !== undefined);
  const server = new Stranger(connection);
  await server.raw("HTTP/1.1 400 Bad Request\r\n\r\n");
  await connecting;
  server.close();
  listener.close();
  const error = await assertRejects(() => alice.link("web:80"), NotFoundError, "refused");
  assertStringIncludes(error.message, "web:80");
});

Deno.test("Peer gives up looking and connecting in time, and says what it tried", async () => {
  await using town = new Town();
  const alice = await town.open("alice");
  const looking = assertRejects(() => alice.link("Bob", { timeoutMs: 300 }), NotFoundError);
  await town.clock.advance(300);
  assertStringIncludes((await looking).message, "tried multicast4");

  const listener = await town.network.host("deaf").listen({ port: 80 });
  const options = { timeoutMs: 300 };
  const waiting = assertRejects(() => alice.link("deaf:80", options), NotFoundError);
  await settle();
  await town.clock.advance(300);
  assertStringIncludes((await waiting).message, "deaf:80: no answer in time");
  listener.close();
});

Deno.test("Peer rejects with its caller's reason, looking or connecting, and leaves nothing behind", async () => {
  await using town = new Town();
  const alice = await town.open("alice");
  const listener = await town.network.host("deaf").listen({ port: 80 });
  const reason = new Error("changed my mind");
  for (const target of ["Bob", "deaf:80"]) {
    const controller = new AbortController();
    const { signal } = controller;
    const connecting = assertRejects(() => alice.link(target, { signal }));
    await settle();
    controller.abort(reason);
    assertStrictEquals(await connecting, reason);
    assertStrictEquals(await assertRejects(() => alice.link(target, { signal })), reason);
  }
  assertEquals(alice.endpoint.links.size, 0);
  listener.close();
});

Deno.test("Peer waits for ever when it may", async () => {
  // On the real clock, where setTimeout takes what is too long for it as 1 ms.
  await using town = new Town();
  const { clock: _, ...options } = town.options("alice");
  await using alice = await Peer.open(options);
  const listener = await town.network.host("slow").listen({ port: 80 });
  const connecting = alice.link("slow:80", { timeoutMs: Infinity });
  connecting.catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, 20));
  assertEquals(await isSettled(connecting), false);
  await alice.close();
  await assertRejects(() => connecting, ClosedError);
  listener.close();
});

Deno.test("Peer.send sends to a peer by name and tells how far it is", async () => {
  await using town = new Town();
  const dir = await Deno.makeTempDir();
  try {
    const bytes = pattern(700_000);
    Deno.writeFileSync(`${dir}/a.bin`, bytes);
    Deno.mkdirSync(`${dir}/f`);
    Deno.symlinkSync("/etc/passwd", `${dir}/f/link`);
    const bob = await town.open("bob", { name: "Bob" });
    const receiver = bob.receive({ dir: `${dir}/in`, accept: () => true });
    const log = new Journal();
    const alice = await town.open("alice", { clientOnly: true, log });
    const progress: number[] = [];
    const sending = alice.send([`${dir}/a.bin`, `${dir}/f`], {
      to: "Bob",
      onProgress: (sent, total) => progress.push(sent / total),
    });
    await settleUntil(() => town.clock.advance(SEARCH_MS), sending);
    const { files, bytes: total, resentBytes } = await sending;
    assertEquals([files, total, resentBytes], [1, 700_000, 0]);
    assertEquals(progress.at(-1), 1);
    assertEquals(progress, progress.toSorted((a, b) => a - b));
    assertEquals(sha256(Deno.readFileSync(`${dir}/in/a.bin`)), sha256(bytes));
    const skipped = log.lines.filter(({ message }) => message === "not sent: symbolic link");
    assertEquals(skipped.map(({ fields }) => fields.path), [`${dir}/f/link`]);
    receiver.close();
    assertEquals(listing(`${dir}/in`), ["a.bin", "f/"]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("Peer.send looks for nobody when a path is not there, and passes a refusal on", async () => {
  await using town = new Town();
  const bob = await town.open("bob", { name: "Bob" });
  const alice = await town.open("alice");
  const missing = alice.send(["/nowhere/at/all"], { to: "Bob" });
  assertEquals((await assertRejects(() => missing, NotFoundError)).code, "no-path");
  assertEquals(alice.metrics.snapshot(), {});
  const dir = await Deno.makeTempDir();
  bob.receive({ dir });
  const refused = alice.send([dir], { to: town.at("bob") });
  assertEquals((await assertRejects(() => refused, RemoteError)).code, "not-allowed");
  await Deno.remove(dir, { recursive: true });
});

Deno.test("Peer.open refuses a name that is too long, and leaves nothing open when a port is taken", async () => {
  await using town = new Town();
  await assertRejects(() => town.open("alice", { name: "x".repeat(65) }), RangeError, "65");
  await town.open("alice", { name: "é".repeat(64), port: 4_000 });
  await assertRejects(() => town.open("alice", { port: 4_000 }), TransportError, "in use");
  const taken = await town.network.host("bob").datagram({ port: 5_000 });
  const options = { port: 4_000, udpPort: 5_000 };
  await assertRejects(() => town.open("bob", options), TransportError, "in use");
  taken.close();
  await town.open("bob", options); // its TCP port was free again
});

Deno.test("Peer.close ends everything, twice and while busy", async () => {
  await using town = new Town();
  const dir = await Deno.makeTempDir();
  const bob = await town.open("bob", { name: "Bob" });
  const receiver = bob.receive({ dir });
  const events = (async () => {
    for await (const _ of receiver);
  })();
  const alice = await town.open("alice");
  const link = await alice.link(town.at("bob"));
  const finding = (async () => {
    for await (const _ of bob.find());
  })();
  const connecting = assertRejects(() => bob.link("nobody"), Error);
  await settle();
  await Promise.all([bob.close(), bob.close()]);
  await bob.close();
  await bob[Symbol.asyncDispose]();
  await Promise.all([finding, events, connecting]);
  assertEquals(await link.closed, undefined);
  await assertRejects(() => bob.link(town.at("alice")), Error);
  await assertRejects(() => alice.link(town.at("bob")), NotFoundError, "refused");
  await Deno.remove(dir, { recursive: true });
});

Deno.test("Peer says in its handshake who it is and what it can do", async () => {
  await using town = new Town();
  const bob = await town.open("bob", { name: "Bob" });
  const alice = await town.open("alice", { name: "Alice" });
  const { peer } = await alice.link(town.at("bob"));
  assertEquals([peer.peerId, peer.name], [bob.peerId, "Bob"]);
  assertEquals(peer.capabilities, ["transfer/2", "ephemeral", "gossip/1"]);
  assert(/^kith\/\d+\.\d+\.\d+$/.test(peer.agent), peer.agent);
  assertNotEquals(bob.peerId, alice.peerId);
  assertNotEquals(bob.peerId, infoOf("bob").peerId);
});

Deno.test("Peers on real sockets of this machine find each other and pass a file on", async () => {
  const dir = await Deno.makeTempDir();
  const discoveryPort = await freeUdpPort();
  const common = { hostname: "127.0.0.1", port: 0, discoveryPort };
  try {
    await using bob = await Peer.open({ ...common, name: "Bob" });
    await using alice = await Peer.open({ ...common, name: "Alice", clientOnly: true });
    const receiver = bob.receive({ dir: `${dir}/in`, accept: ({ from }) => from.name === "Alice" });
    Deno.writeFileSync(`${dir}/a.bin`, pattern(1_000_000));
    const { sha256: sum } = await alice.send([`${dir}/a.bin`], { to: "Bob" });
    assertEquals(sum, sha256(pattern(1_000_000)).toHex());
    for await (const event of receiver) {
      if (event.type === "done") break;
      assert(event.type === "received");
      assertEquals([event.path, event.from.peerId], ["a.bin", alice.peerId]);
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

/** Two identities whose ids begin with the same four digits, and no more: one among some hundred pairs. */
function identitiesThatBeginAlike(): [Identity, Identity] {
  const seen = new Map<string, Identity>();
  for (;;) {
    const identity = Identity.generate();
    const other = seen.get(identity.peerId.slice(0, 4));
    if (other !== undefined && other.peerId[4] !== identity.peerId[4]) return [other, identity];
    seen.set(identity.peerId.slice(0, 4), identity);
  }
}

/** Moves on, again and again, until a promise is settled. */
async function settleUntil(move: () => Promise<void>, promise: Promise<unknown>): Promise<void> {
  while (!await isSettled(promise)) await move();
}

async function freeUdpPort(): Promise<number> {
  const socket = await openDatagram({ hostname: "127.0.0.1" });
  socket.close();
  return socket.address.port;
}

Deno.test("Peer.open refuses what is no port", async () => {
  for (
    const ports of [{ port: -1 }, { udpPort: 1.5 }, { httpPort: 65_536 }, { discoveryPort: 0 }]
  ) {
    const [name = ""] = Object.keys(ports);
    await assertRejects(() => Peer.open({ clientOnly: true, ...ports }), RangeError, name);
  }
  await assertRejects(() => Peer.open({ discoveryPort: NaN }), RangeError, "NaN");
});
