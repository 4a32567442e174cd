/**
 * Addresses that somebody writes into what he sends are not used for anything: an answer goes to where the packet came
 * from, and a peer is where its own packets come from.
 */

import { assert, assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { DISCOVERY_PORT, MULTICAST_V4 } from "../../src/discovery/discovery.ts";
import { encodeAnswer, parseQuestion } from "../../src/discovery/packets.ts";
import type { PeerOptions } from "../../src/peer.ts";
import { Identity } from "../../src/secure/identity.ts";
import { MemoryNetwork } from "../../src/transport/memory.ts";
import { type Address, type DatagramSocket, formatAddress } from "../../src/transport/transport.ts";
import { decodeDatagram, encodeDatagram, SERVICE_CODE } from "../../src/wire/datagram.ts";
import {
  decodeWireData,
  encodeWireData,
  type MessageBody,
  wireData,
} from "../../src/wire/message.ts";
import { Stranger } from "../endpoint/datagram_fixture.ts";
import {
  decimalOf,
  FIND_PORT,
  findOf,
  GROUP,
  interfaceOf,
  Node,
  probeOf,
  replyOf,
} from "../discovery/dialects/peerconnect_fixture.ts";
import { settle, shakeHands } from "../endpoint/fixture.ts";
import { Tap } from "./tap.ts";
import { TappedPeer } from "./tapped_peer.ts";

/** Every way of saying "answer there" or "I am there" that the original programs and their like have. */
const FORGED: MessageBody = {
  reply_addr: ["victim", 4_000],
  reply_to: "victim:4000",
  addr: "victim:4000",
  address: { hostname: "victim", port: 4_000 },
  addresses: [{ hostname: "victim", port: 4_000 }, "victim:4000"],
  uri: ["victim", 4_000],
  req_uri: "victim:4000",
  host: "victim",
  hostname: "victim",
  ip: "victim",
  udp: 4_000,
  port: 4_000,
  source: "victim:4000",
  peer: { name: "victim", ip: "victim", host: "victim", port: 4_000 },
};

/** A network in memory with a victim on it who hears everything that comes to its host. */
class Town implements AsyncDisposable {
  readonly network = new MemoryNetwork();
  readonly clock = new ManualClock();
  readonly #parts = new AsyncDisposableStack();
  readonly #heard: unknown[] = [];

  async open(host: string, options: PeerOptions = {}): Promise<TappedPeer> {
    return this.#parts.use(await TappedPeer.at(this.network, host, this.clock, options));
  }

  /** Somebody who speaks as PeerConnect's nodes do, and every packet that it sends. */
  async node(host: string): Promise<{ node: Node; tap: Tap }> {
    const tap = new Tap(this.network.host(host));
    const common = { transport: tap, clock: this.clock, interfaces: () => [interfaceOf(host)] };
    return { node: this.#parts.use(await Node.open(host, common)), tap };
  }

  /** A socket on a host of its own. */
  async socket(host: string, port = 0): Promise<DatagramSocket> {
    const groups = [{ group: MULTICAST_V4, interfaceAddress: host }];
    const socket = await this.network.host(host).datagram({ port, groups });
    return this.#parts.adopt(socket, () => socket.close());
  }

  /** Starts to listen at the victim's. */
  async watch(): Promise<void> {
    const socket = await this.socket("victim", 4_000);
    const listener = await this.network.host("victim").listen({ port: 4_000 });
    this.#parts.defer(() => listener.close());
    void listener.accept().then((got) => got !== undefined && this.#heard.push(got));
    void socket.receive().then((got) => got !== undefined && this.#heard.push(got));
  }

  /** @throws {AssertionError} when a peer sent anything to anybody but these, or anything came to the victim. */
  assertOnly(
    { tap }: { tap: Tap },
    packets: readonly Address[],
    connections: readonly Address[] = [],
  ) {
    const sent = new Set(tap.sent.map(({ to }) => formatAddress(to)));
    assertEquals([...sent].sort(), packets.map(formatAddress).sort());
    const dialled = new Set(tap.dialled.map(formatAddress));
    assertEquals([...dialled].sort(), connections.map(formatAddress).sort());
    assertEquals(this.#heard, []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
    this.network.close();
  }
}

/** The same packet with more in its body. */
function withMore(packet: Uint8Array, more: MessageBody): Uint8Array {
  const { code, payload } = decodeDatagram(packet, { code: true, exact: true });
  const { header, msgId, body } = decodeWireData(payload);
  return encodeDatagram(code, encodeWireData(wireData(header, { ...body, ...more }, { msgId })));
}

/** Answers questions as somebody whose answers name the victim. */
async function forge(socket: DatagramSocket, identity: Identity): Promise<void> {
  for (let got = await socket.receive(); got !== undefined; got = await socket.receive()) {
    const { id, via } = parseQuestion(got.data);
    const instance = new Uint8Array(8);
    const said = { id, instance, seq: 1, validMs: 60_000, name: "forger", tcpPort: 1_234, via };
    await socket.send(withMore(encodeAnswer(said, identity), FORGED), got.from);
  }
}

Deno.test("T4 a question is answered where it came from, whatever address it names", async () => {
  await using town = new Town();
  await town.watch();
  const bob = await town.open("bob");
  const asker = await town.socket("asker");
  const pad = new Uint8Array(400);
  const body = { from: new Uint8Array(8), via: "multicast4", pad, ...FORGED };
  const question = encodeWireData(wireData(":find", body, { msgId: 7 }));
  const packet = encodeDatagram(SERVICE_CODE.discovery, question);
  await asker.send(packet, { hostname: MULTICAST_V4, port: DISCOVERY_PORT });
  await bob.tap.handled(1);
  assertEquals(bob.tap.sent.length, 1);
  town.assertOnly(bob, [asker.address]);
});

Deno.test("T4 a request is answered where it came from, with and without proof of that address", async () => {
  await using town = new Town();
  await town.watch();
  const bob = await town.open("bob");
  bob.peer.handle("greet", ({ host }) => `hello, ${host}`);
  const asker = new Stranger(await town.socket("asker"));
  for (const header of ["greet", "nothing", ":ping", ":cancel", ":later"]) {
    await asker.send(bob.udp, header, 5, FORGED);
  }
  await asker.prove(bob.udp);
  for (const header of ["greet", "nothing", ":ping", ":cancel", ":later"]) {
    await asker.send(bob.udp, header, 6, FORGED);
    await asker.send(bob.udp, header, 0, FORGED);
  }
  await bob.tap.handled(16);
  assert(bob.tap.sent.length >= 7, `${bob.tap.sent.length} answers`);
  town.assertOnly(bob, [asker.address]);
});

Deno.test("T4 a peer is found where its answer came from, and nowhere that the answer names", async () => {
  await using town = new Town();
  await town.watch();
  const carol = await town.open("carol", { clientOnly: true });
  const forger = await town.socket("forger", DISCOVERY_PORT);
  const forging = forge(forger, Identity.generate());
  const found = Array.fromAsync(carol.peer.find({ timeoutMs: 1_000 }));
  await town.clock.advance(1_000);
  const addresses = (await found).flatMap(({ addresses }) => addresses);
  assert(addresses.length > 0);
  for (const address of addresses) assertEquals(address, { hostname: "forger", port: 1_234 });
  forger.close();
  await forging;
});

Deno.test("T4 servers that look for each other connect to nobody whom somebody else names", async () => {
  await using town = new Town();
  await town.watch();
  const carol = await town.open("carol");
  const forger = await town.socket("forger", DISCOVERY_PORT);
  const forging = forge(forger, Identity.generate());
  const mesh = carol.peer.mesh({ projectId: "p", findEveryMs: 1_000 });
  const dialling = await shakeHands(await town.network.host("guest").connect(carol.tcp), "guest", {
    body: { ...FORGED, shared: true },
  });
  assertEquals((await dialling.receive())?.header, ":accept");
  const introduction = { project: "p", hash: "", name: "guest", ...FORGED };
  await dialling.send("mesh.join", introduction, 65_536);
  assertEquals((await dialling.receive())?.header, ":ok");
  const [guest] = carol.peer.endpoint.peers.list();
  assertEquals(guest?.addresses.map(({ hostname }) => hostname), ["guest"]);
  assertEquals(mesh.peers().map(({ name }) => name), ["guest"]);
  await town.clock.advance(5_000);
  const questions = [MULTICAST_V4, "255.255.255.255"].map((hostname) => ({
    hostname,
    port: DISCOVERY_PORT,
  }));
  town.assertOnly(carol, questions, [{ hostname: "forger", port: 1_234 }]);
  dialling.close();
  forger.close();
  await forging;
});

Deno.test("T4 who asks over UDP goes on asking whom it asked, wherever that sends it", async () => {
  await using town = new Town();
  await town.watch();
  const alice = await town.open("alice", { clientOnly: true });
  const server = new Stranger(await town.socket("server"));
  const asking = alice.peer.request(`udp://${formatAddress(server.address)}`, "greet");
  const { message: { msgId } } = await server.receive();
  const to = alice.tap.sockets.at(-1)?.address ?? { hostname: "alice", port: 0 };
  const token = encodeWireData(wireData(":retry", { t: new Uint8Array(16).fill(7), ...FORGED }, {
    msgId,
  }));
  await server.socket.send(encodeDatagram(SERVICE_CODE.retryToken, token), to);
  assertEquals((await server.receive()).message.header, "greet");
  await server.send(to, ":pad", msgId, { bytes: 3_000, ...FORGED });
  assertEquals((await server.receive()).message.header, "greet");
  await town.clock.advance(1_000);
  await server.send(to, ":ok", msgId, { result: 1, ...FORGED });
  assertEquals(await asking, 1);
  town.assertOnly(alice, [server.address]);
});

Deno.test("T4 a find is answered at the host it came from or not at all, whatever address it names", async () => {
  await using town = new Town();
  await town.watch();
  const { node, tap } = await town.node("bob");
  const asker = await town.socket("asker");
  const other = await town.socket("asker");
  const group = { hostname: GROUP, port: FIND_PORT };
  for (const to of [group, { hostname: "bob", port: FIND_PORT }, node.address]) {
    for (const host of ["victim", "VICTIM", "", "0.0.0.0", "255.255.255.255", GROUP]) {
      await asker.send(findOf("7", host, 4_000), to);
    }
  }
  await settle();
  assertEquals(tap.sent, []);
  assertEquals(node.count("forged"), 18);
  await asker.send(findOf("7", "asker", other.address.port), group); // a node has more than one socket
  await tap.handled(19);
  town.assertOnly({ tap }, [other.address]);
});

Deno.test("T4 a probe is answered where it came from, and a node is where its reply came from", async () => {
  await using town = new Town();
  await town.watch();
  const { node, tap } = await town.node("bob");
  const asker = await town.socket("asker");
  const probe = wireData(new TextEncoder().encode("pinging peer for removal"), FORGED, {
    msgId: "7",
    dialect: "peerconnect",
  });
  const forged = encodeWireData(probe, { dialect: "peerconnect" });
  for (const code of [0, 1, 2, undefined]) {
    await asker.send(encodeDatagram(code, forged), node.address);
  }
  await tap.handled(4);
  assertEquals(tap.sent.length, 4);
  const stop = new AbortController();
  const looking = Array.fromAsync(node.discovery.find({ signal: stop.signal }));
  await asker.send(replyOf("7", "victim", 4_000), node.address);
  await town.clock.advance(4_000);
  stop.abort();
  assertEquals((await looking).map(({ address }) => address), [{ hostname: "asker", port: 4_000 }]);
  town.assertOnly({ tap }, [asker.address, { hostname: MULTICAST_V4, port: FIND_PORT }]);
});

Deno.test("T4 nodes that are made to answer each other do not go on", async () => {
  await using town = new Town();
  await town.watch();
  const [bob, carol] = [await town.node("bob"), await town.node("carol")];
  const packets = [0, 1, 2, undefined].map((code) => probeOf("7", code));
  packets.push(findOf(decimalOf("carol"), "carol", carol.node.address.port));
  packets.push(replyOf("7", "carol", carol.node.address.port));
  for (const packet of packets) {
    bob.tap.socket(bob.node.address.port).inject(packet, carol.node.address);
  }
  for (let turn = 0; turn < 20; turn++) await settle();
  assertEquals([bob.tap.sent.length, carol.tap.sent.length], [5, 0]);
});
