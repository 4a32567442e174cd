/**
 * What a peer sends to an address that nobody has proven to be the asker's: never more than came from there, and never
 * anywhere else. On real sockets, counted where packets leave.
 */

import { assert, assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { type Dialect, Peer, type PeerOptions } from "../../src/peer.ts";
import { countCalls } from "../../src/rpc/middleware.ts";
import { Network } from "../../src/secure/network.ts";
import { SealedSocket } from "../../src/secure/sealed_socket.ts";
import { Sealer } from "../../src/secure/sealer.ts";
import { MemoryNetwork } from "../../src/transport/memory.ts";
import { type Address, type DatagramSocket, formatAddress } from "../../src/transport/transport.ts";
import { openDatagram } from "../../src/transport/udp.ts";
import { encodeDatagram, SERVICE_CODE } from "../../src/wire/datagram.ts";
import {
  findOf,
  interfaceOf,
  Node,
  ORIGINAL_ID,
  probeOf,
} from "../discovery/dialects/peerconnect_fixture.ts";
import { packetOf } from "../endpoint/datagram_fixture.ts";
import {
  type Kind,
  NO_QUESTIONS,
  OTHER_PROGRAMS,
  QUESTIONS,
  REMARKS,
  REQUESTS,
  RUBBISH,
} from "./stranger_packets.ts";
import { type Packet, Tap } from "./tap.ts";
import { LOOPBACK, TappedPeer } from "./tapped_peer.ts";

const KEY = new Uint8Array(32).fill(7);
const HOME = () => new Network("home", [KEY]);
const NATIVE = [...QUESTIONS, ...NO_QUESTIONS, ...REQUESTS, ...REMARKS];
/** Those that are spoken on connections: what PeerConnect answers by packet is bounded otherwise, see below. */
const CONNECTED: readonly Dialect[] = ["witch", "peerpy"];
const PLAIN = [...NATIVE, ...RUBBISH];

/** A peer that speaks all it can, under the longest name there is, with handlers that the kinds ask for. */
async function target(network: Network, options: PeerOptions = {}): Promise<TappedPeer> {
  const name = "\u65e5".repeat(64);
  const target = await TappedPeer.open({ network, name, dialects: CONNECTED, ...options });
  const { peer } = target;
  peer.serve();
  peer.sessions({ accept: () => true });
  peer.handle("known", () => 1);
  peer.handle("large", () => "x".repeat(9_000));
  peer.handle("failing", () => {
    throw new Error("x".repeat(400));
  });
  peer.endpoint.use(countCalls(peer.metrics));
  return target;
}

/**
 * Sends all packets of some kinds one by one, those of a kind from a socket that has sent nothing before. Bytes are those
 * of payloads; since no packet is answered by more than one, headers make the ratio no worse.
 *
 * @returns the kinds that were answered at all.
 * @throws {AssertionError} when more leaves than came, for any single packet, or anything to anybody else.
 */
async function measure(
  { tap }: TappedPeer,
  kinds: readonly Kind[],
  to: Address,
): Promise<readonly string[]> {
  const answered = new Set<string>();
  for (const { name, packets } of kinds) {
    assert(packets.length > 0, name);
    const socket = await openDatagram({ hostname: LOOPBACK });
    for (const packet of packets) {
      const [came, left] = [tap.received.length, tap.sent.length];
      await socket.send(packet, to);
      await tap.handled(came + 1);
      const answers = tap.sent.slice(left);
      const [bytesIn, bytesOut] = [packet.length, bytesOf(answers)];
      const what = `${name}: ${bytesOut} bytes for ${bytesIn}: ${packet.slice(0, 60).toHex()}`;
      assert(bytesOut <= bytesIn && answers.length <= 1, what);
      assert(answers.every(({ to }) => formatAddress(to) === formatAddress(socket.address)), what);
      if (bytesOut > 0) answered.add(name);
    }
    socket.close();
  }
  return [...answered];
}

function bytesOf(packets: readonly Packet[]): number {
  return packets.reduce((sum, { data }) => sum + data.length, 0);
}

const namesOf = (kinds: readonly Kind[]) => kinds.map(({ name }) => name);

Deno.test("T3 a peer of the open network sends no more to an unproven address than came from there, of any kind", async () => {
  await using bob = await target(new Network());
  assertEquals(await measure(bob, PLAIN, bob.udp), namesOf(REQUESTS));
  assertEquals(await measure(bob, PLAIN, bob.discovery), namesOf(QUESTIONS));
  const group = { hostname: "239.1.11.11", port: bob.discovery.port };
  assertEquals(await measure(bob, QUESTIONS.slice(0, 1), group), ["questions"]);
  assertEquals(bob.peer.metrics.counter("calls.total").value, 0, "a handler was reached");
});

Deno.test("T3 what other programs send over UDP is not answered by a peer that speaks to them on connections", async () => {
  await using bob = await target(new Network());
  for (const port of [bob.udp, bob.discovery]) {
    assertEquals(await measure(bob, OTHER_PROGRAMS, port), []);
  }
});

Deno.test("T3 a peer of a keyed network answers nobody who has no key, but asks who sealed it for a sign of life", async () => {
  await using bob = await target(HOME());
  const recorded = await conversation(bob, HOME());
  for (const port of [bob.udp, bob.discovery]) {
    assertEquals(await measure(bob, PLAIN, port), []);
    const unfresh = sealedBy(HOME());
    const wrong: Kind[] = [
      { name: "sealed with another key", packets: sealedBy(new Network("home", [KEY.slice(1)])) },
      { name: "sealed for another name", packets: sealedBy(new Network("work", [KEY])) },
      { name: "recorded, and played again", packets: recorded.map(({ data }) => data) },
      { name: "with a bit flipped", packets: recorded.flatMap(({ data }) => flips(data)) },
    ];
    assertEquals(await measure(bob, wrong, port), []);
    const right = { name: "right, and not vouched for", packets: unfresh };
    assertEquals(await measure(bob, [right], port), [right.name]);
  }
});

Deno.test("T3 who restarted is asked no more than was played to it of what is from before", async () => {
  await using bob = await target(HOME());
  const recorded = await conversation(bob, HOME());
  const [udpPort, discoveryPort] = [bob.udp.port, bob.discovery.port];
  await bob.peer.close();
  await using again = await target(HOME(), { udpPort, discoveryPort });
  const kind = { name: "recorded before the restart", packets: recorded.map(({ data }) => data) };
  assertEquals(await measure(again, [kind], again.udp), [kind.name]);
});

Deno.test("T3 who has guessed a network's name gets no more to an address that is not proven either", async () => {
  const network = () => new Network("home");
  await using bob = await target(network());
  await conversation(bob, network()); // who asks honestly is answered
  const sealer = new Sealer({ network: network() });
  const proven = new SealedSocket(await openDatagram({ hostname: LOOPBACK }), sealer);
  await proven.send(packetOf("known", 1, { ":": { token: new Uint8Array(16) } }), bob.udp);
  assertEquals((await proven.receive())?.data[0], SERVICE_CODE.retryToken);
  // Afresh for each port: what came once is old.
  const sealed = () =>
    NATIVE.map(({ name, packets }) => ({
      name,
      packets: packets.filter(({ length }) => length < 65_000).map((data) => sealer.seal(data)),
    }));
  assertEquals(await measure(bob, sealed(), bob.udp), namesOf(REQUESTS));
  assertEquals(await measure(bob, sealed(), bob.discovery), namesOf(QUESTIONS));
  proven.close();
});

/** Somebody who speaks as PeerConnect's nodes do, and a stranger. */
class Asked implements AsyncDisposable {
  readonly #parts: AsyncDisposableStack;
  readonly #tap: Tap;

  private constructor(
    readonly node: Node,
    readonly asker: DatagramSocket,
    readonly clock: ManualClock,
    parts: AsyncDisposableStack,
    tap: Tap,
  ) {
    this.#parts = parts;
    this.#tap = tap;
  }

  static async open(): Promise<Asked> {
    const parts = new AsyncDisposableStack();
    const [network, clock] = [new MemoryNetwork(), new ManualClock()];
    parts.defer(() => network.close());
    const tap = new Tap(network.host("bob"));
    const common = { transport: tap, clock, interfaces: () => [interfaceOf("bob")] };
    const node = parts.use(await Node.open("bob", common));
    const asker = await network.host("asker").datagram();
    parts.defer(() => asker.close());
    return new Asked(node, asker, clock, parts, tap);
  }

  /** Sends packets. @returns how many bytes came, how many left, and in how many packets. */
  async ask(packets: readonly Uint8Array[]) {
    const [came, left] = [this.#tap.received.length, this.#tap.sent.length];
    for (const packet of packets) await this.asker.send(packet, this.node.address);
    await this.#tap.handled(came + packets.length);
    const replies = this.#tap.sent.slice(left);
    const bytes = packets.reduce((sum, { length }) => sum + length, 0);
    return { came: bytes, left: bytesOf(replies), replies: replies.length };
  }

  /** Lets a find come from each of so many addresses. @returns how many were answered. */
  async flood(addresses: number): Promise<number> {
    const { port } = this.node.address;
    const [came, left] = [this.#tap.received.length, this.#tap.sent.length];
    for (let n = 0; n < addresses; n++) {
      const hostname = `10.0.${n >> 8}.${n & 0xff}`;
      this.#tap.socket(port).inject(findOf("7", hostname, 9), { hostname, port: 9 });
      if (n % 50 === 0) await this.#tap.handled(came + n + 1);
    }
    await this.#tap.handled(came + addresses);
    return this.#tap.sent.length - left;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}

Deno.test("T3 a sign of life is shorter than every probe that it answers", async () => {
  await using bob = await Asked.open();
  for (const id of ["", "x", ORIGINAL_ID, "\u65e5".repeat(80)]) {
    for (const code of [0, 1, 2, undefined]) {
      const { came, left, replies } = await bob.ask([probeOf(id, code)]);
      assert(replies === 1 && left < came, `${left} bytes for ${came}`);
    }
  }
});

Deno.test("T3 the reply to a find is no longer than the find where that names an address that is long enough", async () => {
  await using bob = await Asked.open();
  // "connect_uri" has one character more than "reply_addr", "asker" two more than "bob".
  const { came, left, replies } = await bob.ask([
    findOf(ORIGINAL_ID, "asker", bob.asker.address.port),
  ]);
  assertEquals(replies, 1);
  assert(left <= came, `${left} bytes for ${came}`);
});

Deno.test("T3 replies that are longer than the find are few: those to one address, and to all of them", async () => {
  await using bob = await Asked.open();
  const find = findOf("7", "asker", bob.asker.address.port);
  const single = await bob.ask([find]);
  assert(single.left > single.came, "it is no longer");
  await bob.clock.advance(60_000);
  const flood = await bob.ask(Array<Uint8Array>(100).fill(find));
  assertEquals(flood.replies, 16);
  assert(flood.left < flood.came / 2, `${flood.left} bytes for ${flood.came}`);
  await bob.clock.advance(1_000);
  assertEquals((await bob.ask(Array<Uint8Array>(100).fill(find))).replies, 4);
  await bob.clock.advance(60_000);
  assertEquals(await bob.flood(600), 200);
  await bob.clock.advance(1_000);
  assertEquals(await bob.flood(600), 100);
});

/** What a member and a peer send each other: all of it, both ways. */
async function conversation(
  target: TappedPeer,
  network: Network,
): Promise<readonly Packet[]> {
  const { tap, discovery } = target;
  const options = { hostname: LOOPBACK, discoveryPort: discovery.port, network };
  await using member = await Peer.open({ ...options, clientOnly: true });
  assertEquals(await member.request(`udp://${formatAddress(target.udp)}`, "known"), 1);
  for await (const { peerId } of member.find({ timeoutMs: 5_000 })) {
    if (peerId === target.peer.peerId) break;
  }
  await quiet(tap);
  return [...tap.received, ...tap.sent];
}

/** Waits until a member that has left has nothing under way any more. */
async function quiet(tap: Tap): Promise<void> {
  for (let before = -1; before !== tap.received.length;) {
    before = tap.received.length;
    await tap.handled(before);
  }
}

/** Packets of every size by a member who is asked whether they are fresh, and does not answer. */
function sealedBy(network: Network): Uint8Array[] {
  const sealer = new Sealer({ network });
  const sizes = [0, 1, 36, 37, 38, 100, 500, 1_400, 60_000];
  const packets = sizes.map((size) => encodeDatagram(SERVICE_CODE.requests, new Uint8Array(size)));
  const asked = [...QUESTIONS, ...REQUESTS].flatMap(({ packets }) => packets);
  return [...packets, ...asked.filter(({ length }) => length < 65_000)].map((packet) =>
    sealer.seal(packet)
  );
}

function flips(packet: Uint8Array): Uint8Array[] {
  return [0, 9, 20, 30, packet.length - 1].map((at) => {
    const flipped = packet.slice();
    flipped[at] = (flipped[at] ?? 0) ^ 0x20;
    return flipped;
  });
}
