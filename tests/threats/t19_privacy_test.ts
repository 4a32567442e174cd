/**
 * What others on the network learn of a peer that nobody gave a name: no host, no user, nothing to follow it by but its
 * key; and in a closed network not even that.
 */

import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { homedir, userInfo } from "node:os";
import { ManualClock, systemClock } from "../../src/clock.ts";
import { MULTICAST_V4 } from "../../src/discovery/discovery.ts";
import { INSTANCE_MS } from "../../src/discovery/instance.ts";
import { encodeQuestion, parseQuestion } from "../../src/discovery/packets.ts";
import { PREFACE } from "../../src/endpoint/handshake.ts";
import { Introduction } from "../../src/endpoint/introduction.ts";
import { Peer } from "../../src/peer.ts";
import { acceptChannel, dialChannel } from "../../src/secure/channel_handshake.ts";
import { Identity } from "../../src/secure/identity.ts";
import { Network } from "../../src/secure/network.ts";
import { MemoryNetwork } from "../../src/transport/memory.ts";
import { netTransport } from "../../src/transport/net.ts";
import {
  type Connection,
  type DatagramSocket,
  formatAddress,
} from "../../src/transport/transport.ts";
import { openDatagram } from "../../src/transport/udp.ts";
import { decodeDatagram } from "../../src/wire/datagram.ts";
import { decodeWireData, type NativeMessage } from "../../src/wire/message.ts";
import { Kith } from "../e2e/process.ts";
import { Scratch } from "../e2e/scratch.ts";
import { identityOf, infoOf } from "../endpoint/fixture.ts";
import { Relay } from "./relay.ts";
import { freeUdpPort, LOOPBACK, TappedPeer } from "./tapped_peer.ts";

/** What a machine could call itself and its user, and what it really does. */
const NAMES = {
  USER: "ursula-the-user",
  LOGNAME: "lothar-the-logname",
  HOSTNAME: "hans-the-host",
  HOME: "/home/helga-the-home",
} as const;
const WORDS = [...Object.values(NAMES), Deno.hostname(), userInfo().username, homedir()]
  .map((word) => word.toLowerCase())
  .filter((word) => word.length >= 4); // shorter ones come up by chance

/** @throws {AssertionError} when a name of host or user is in any of the pieces. */
function assertAnonymous(pieces: readonly Uint8Array[], what: string): void {
  assert(pieces.some(({ length }) => length > 40), `${what}: nothing was seen`);
  for (const piece of pieces) {
    const text = new TextDecoder("latin1").decode(piece).toLowerCase();
    for (const word of WORDS) assert(!text.includes(word), `${what}: ${word} is in ${text}`);
  }
}

/** Somebody who is curious, and proves who he is as everybody does. */
const curious = () => new Introduction(identityOf("curious"), () => infoOf("curious"));

/** Shakes hands with whoever listens there. @returns what it says of itself, decrypted. */
async function helloOf(connection: Connection): Promise<Uint8Array> {
  const [introduction, heard] = [curious(), Promise.withResolvers<Uint8Array>()];
  await dialChannel(connection, {
    ...COMMON,
    staticKey: introduction.staticKey,
    preface: PREFACE,
    answer: (_, payload) => {
      heard.resolve(payload.slice());
      return introduction.hello();
    },
  });
  connection.close();
  return await heard.promise;
}

/** Shakes hands with whoever connects. @returns what it says of itself, decrypted. */
async function greetingOf(connection: Connection): Promise<Uint8Array> {
  const introduction = curious();
  const buffer = new Uint8Array(1_024);
  let count = 0;
  while (count < PREFACE.length) count += await connection.read(buffer.subarray(count)) ?? 0;
  const { payload } = await acceptChannel(connection, {
    ...COMMON,
    staticKey: introduction.staticKey,
    rest: buffer.subarray(PREFACE.length, count),
    payload: () => introduction.hello(),
  });
  connection.close();
  return payload;
}

const COMMON = { prologue: PREFACE, clock: systemClock };

Deno.test("T19 neither announcements nor handshakes of kith tell host or user, nor does what it answers", async () => {
  await using scratch = await Scratch.make();
  const port = await freeUdpPort();
  const network = ["--host", LOOPBACK, "--discovery-port", `${port}`];
  const env = { ...NAMES, KITH_HOME: scratch.path("helga-the-home") };
  const groups = [{ group: MULTICAST_V4, interfaceAddress: LOOPBACK }];
  const listening = await openDatagram({ hostname: "0.0.0.0", port, shared: true, groups });
  const up = ["up", "--port", "0", "--http-port", "0", "--project", "p", "--json", ...network];
  await using bob = Kith.start(up, { env });
  const { tcp } = await bob.event("ready");
  await using relay = Relay.to(Number(tcp));

  const question = await nextOf(listening);
  parseQuestion(question);
  const asking = await openDatagram({ hostname: LOOPBACK });
  const asked = encodeQuestion({ id: 7, from: new Uint8Array(8), via: "multicast4" });
  await asking.send(asked, { hostname: MULTICAST_V4, port });
  const answer = await nextOf(asking);
  assertEquals(messageOf(answer).body.name, "");
  const hello = await helloOf(await netTransport.connect(relay.address));
  assertEquals(decodeWireData(hello).body.name, "");

  const listener = await netTransport.listen({ hostname: LOOPBACK });
  await using _ping = Kith.start(["ping", formatAddress(listener.address), ...network], { env });
  const connection = await listener.accept();
  assert(connection !== undefined);
  const greeting = await greetingOf(connection);
  assertEquals(decodeWireData(greeting).body.name, "");
  // What is searched through is really in the clear here.
  for (const said of [hello, greeting]) assert(Buffer.from(said).includes("kith/"));
  assertAnonymous([question, answer, hello, greeting, ...relay.seen], "what passed");

  await using alice = await Peer.open({ hostname: LOOPBACK, clientOnly: true });
  for (const name of ["status", "info", "describe", "peers", "ping"]) {
    const result = JSON.stringify(await alice.call(`${LOOPBACK}:${tcp}`, name));
    assertAnonymous([new TextEncoder().encode(result.padEnd(50))], name);
  }
  for (const socket of [listening, asking, listener]) socket.close();
});

/** The next packet, copied. */
async function nextOf(socket: DatagramSocket): Promise<Uint8Array> {
  return (await socket.receive())?.data.slice() ?? new Uint8Array(0);
}

function messageOf(packet: Uint8Array): NativeMessage {
  return decodeWireData(decodeDatagram(packet, { code: true, exact: true }).payload);
}

/** Peers in memory, and what one of them lets the others see. */
class Scene implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly #network = new MemoryNetwork();
  readonly #open = new AsyncDisposableStack();

  async peer(host: string, identity: Identity, network: Network): Promise<TappedPeer> {
    const options = { identity, network };
    return this.#open.use(await TappedPeer.at(this.#network, host, this.clock, options));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#open.disposeAsync();
    this.#network.close();
  }
}

Deno.test("T19 the number under which a peer looks and is found is another one every ten minutes", async () => {
  await using scene = new Scene();
  const alice = await scene.peer("alice", Identity.generate(), new Network());
  const bob = await scene.peer("bob", Identity.generate(), new Network());
  const looking = Array.fromAsync(alice.peer.find({ timeoutMs: 6 * INSTANCE_MS }));
  const seen: [alice: Map<string, number>, bob: Map<string, number>] = [new Map(), new Map()];
  for (let minute = 0; minute < 60; minute++) {
    for (const { tap } of [alice, bob]) tap.sent.length = 0;
    await scene.clock.advance(60_000);
    for (const [who, field] of [[alice, "from"], [bob, "inst"]] as const) {
      for (const { data } of who.tap.sent) {
        const id = (messageOf(data).body[field] as Uint8Array).toHex();
        const numbers = seen[who === alice ? 0 : 1];
        numbers.set(id, numbers.get(id) ?? minute);
        assert(minute - (numbers.get(id) ?? 0) <= 10, `in use for more than ten minutes: ${id}`);
      }
    }
  }
  assertEquals(seen.map(({ size }) => size), [6, 6]);
  assertEquals(new Set(seen.flatMap((numbers) => [...numbers.keys()])).size, 12);
  assertEquals(new Set((await looking).map(({ peerId }) => peerId)), new Set([bob.peer.peerId]));
});

/** A day of a peer: found, asked, connected to. @returns all that left it, and all that passed on its connections. */
async function dayOf(identity: Identity, network: Network, startMs: number): Promise<{
  packets: readonly Uint8Array[];
  streams: readonly Uint8Array[];
}> {
  await using scene = new Scene();
  await scene.clock.advance(startMs);
  const bob = await scene.peer("bob", identity, network);
  const alice = await scene.peer("alice", Identity.generate(), network);
  bob.peer.handle("echo", ({ data }) => data);
  const [found, finding] = [
    Array.fromAsync(alice.peer.find({ timeoutMs: 1_000 })),
    Array.fromAsync(bob.peer.find({ timeoutMs: 1_000 })),
  ];
  await scene.clock.advance(1_000);
  assertEquals([(await found).length > 0, (await finding).length > 0], [true, true]);
  const data = "always the same ".repeat(1_000);
  const small = data.slice(0, 400);
  const asked = alice.peer.request(`udp://${formatAddress(bob.udp)}`, "echo", { data: small });
  assertEquals(await asked, small);
  const link = await alice.peer.link(formatAddress(bob.tcp));
  assertEquals(await link.request("echo", { data }), data);
  await link.close();
  return { packets: bob.tap.sent.map(({ data }) => data), streams: bob.tap.bytes };
}

/** All runs of so many bytes. */
function runsOf(length: number, pieces: readonly Uint8Array[]): Set<string> {
  const found = new Set<string>();
  for (const piece of pieces) {
    const text = new TextDecoder("latin1").decode(piece);
    for (let at = 0; at + length <= text.length; at++) found.add(text.slice(at, at + length));
  }
  return found;
}

function has(piece: Uint8Array, key: Uint8Array): boolean {
  return Buffer.from(piece).includes(Buffer.from(key));
}

/** The same pieces, with a key cut out of each. */
function without(key: Uint8Array, pieces: readonly Uint8Array[]): Uint8Array[] {
  return pieces.flatMap((piece) => {
    const at = Buffer.from(piece).indexOf(key);
    return at < 0 ? [piece] : [piece.subarray(0, at), piece.subarray(at + key.length)];
  });
}

Deno.test("T19 two runs of a peer have nothing in common but its key and what all peers say", async () => {
  const identity = Identity.generate();
  const day = async (of: Identity, startMs: number) => {
    const { packets, streams } = await dayOf(of, new Network(), startMs);
    assert(packets.some((packet) => has(packet, of.publicKey)));
    assert(!streams.some((bytes) => has(bytes, of.publicKey)));
    // What is said of eight bytes is said in words around them. Shorter runs meet by chance: those of sixteen hold a known
    // header and as little as one random byte of a message's id.
    return runsOf(20, without(of.publicKey, [...packets, ...streams]));
  };
  const [first, second] = [await day(identity, 0), await day(identity, 5_000)];
  const other = await day(Identity.generate(), 7_000);
  const common = [...first].filter((piece) => second.has(piece));
  assertEquals(common.filter((piece) => !other.has(piece)), []);
  assert(first.size > 20_000 && common.length < 500, `${common.length} of ${first.size}`);
});

Deno.test("T19 two runs of a peer in a closed network have nothing in common but the network's key id", async () => {
  const identity = Identity.generate();
  for (const network of [new Network("home", [new Uint8Array(32).fill(7)]), new Network("home")]) {
    const keyId = network.keys[0]?.id.toHex() ?? "";
    const day = async (startMs: number) => {
      const { packets, streams } = await dayOf(identity, network, startMs);
      // In the clear: code, length and key id of a packet; the first line of a connection.
      for (const packet of packets) {
        assertEquals([packet[0], packet.slice(5, 9).toHex()], [0x1f, keyId]);
      }
      const isFirst = (bytes: Uint8Array) => Buffer.from(bytes).indexOf(PREFACE) === 0;
      const rest = streams.map((bytes) => isFirst(bytes) ? bytes.subarray(PREFACE.length) : bytes);
      return runsOf(8, [...packets.map((packet) => packet.subarray(9)), ...rest]);
    };
    const [first, second] = [await day(0), await day(5_000)];
    assertEquals([...first].filter((piece) => second.has(piece)), []);
    assert(first.size > 20_000, `${first.size}`);
  }
});
