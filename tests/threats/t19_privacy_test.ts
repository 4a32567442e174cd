/**
 * What others on the network learn of a peer that nobody gave a name: no host, no user, nothing to follow it by but its
 * key; and in a closed network not even that.
 */

import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { homedir, userInfo } from "node:os";
import { ManualClock, systemClock } from "../../src/clock.ts";
import { DISCOVERY_PORT, MULTICAST_V4 } from "../../src/discovery/discovery.ts";
import { INSTANCE_MS } from "../../src/discovery/instance.ts";
import { encodeQuestion, parseQuestion } from "../../src/discovery/packets.ts";
import { PREFACE } from "../../src/endpoint/handshake.ts";
import { Peer } from "../../src/peer.ts";
import { acceptChannel, dialChannel } from "../../src/secure/channel_handshake.ts";
import { Identity } from "../../src/secure/identity.ts";
import { Network } from "../../src/secure/network.ts";
import { DhKey } from "../../src/secure/noise.ts";
import { MemoryNetwork } from "../../src/transport/memory.ts";
import { netTransport } from "../../src/transport/net.ts";
import { type Connection, formatAddress } from "../../src/transport/transport.ts";
import { openDatagram } from "../../src/transport/udp.ts";
import { decodeDatagram } from "../../src/wire/datagram.ts";
import { decodeWireData } from "../../src/wire/message.ts";
import { Kith } from "../e2e/process.ts";
import { Scratch } from "../e2e/scratch.ts";
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

/** Shakes hands with whoever listens there. @returns what it says of itself, decrypted. */
async function helloOf(connection: Connection): Promise<Uint8Array> {
  const heard = Promise.withResolvers<Uint8Array>();
  const dialling = dialChannel(connection, {
    ...STRANGER,
    staticKey: DhKey.generate(),
    preface: PREFACE,
    answer: (_, payload) => {
      heard.resolve(payload.slice());
      return new Uint8Array(0);
    },
  });
  const [hello] = await Promise.all([heard.promise, dialling]);
  connection.close();
  return hello;
}

/** Shakes hands with whoever connects. @returns what it says of itself, decrypted. */
async function greetingOf(connection: Connection, answer: Uint8Array): Promise<Uint8Array> {
  const buffer = new Uint8Array(1_024);
  let count = 0;
  while (count < PREFACE.length) count += await connection.read(buffer.subarray(count)) ?? 0;
  const rest = buffer.subarray(PREFACE.length, count);
  const options = { ...STRANGER, staticKey: DhKey.generate(), rest, payload: () => answer };
  const { payload } = await acceptChannel(connection, options);
  connection.close();
  return payload;
}

const STRANGER = { prologue: PREFACE, clock: systemClock };

Deno.test("T19 neither announcements nor handshakes of kith tell host or user, nor does what it answers", async () => {
  await using scratch = await Scratch.make();
  const port = await freeUdpPort();
  const network = ["--host", LOOPBACK, "--discovery-port", `${port}`];
  const home = scratch.path("helga-the-home");
  const env = { ...NAMES, KITH_HOME: home };
  const groups = [{ group: MULTICAST_V4, interfaceAddress: LOOPBACK }];
  const listening = await openDatagram({ hostname: "0.0.0.0", port, shared: true, groups });
  const up = ["up", "--port", "0", "--http-port", "0", "--project", "p", "--json", ...network];
  await using bob = Kith.start(up, { env });
  const { tcp } = await bob.event("ready");
  await using relay = Relay.to(Number(tcp));

  const question = (await listening.receive())?.data.slice() ?? new Uint8Array(0);
  assertEquals(parseQuestion(question).via, "multicast4");
  const asking = await openDatagram({ hostname: LOOPBACK });
  await asking.send(
    encodeQuestion({ id: 7, from: new Uint8Array(8), via: "multicast4" }),
    { hostname: MULTICAST_V4, port },
  );
  const answer = (await asking.receive())?.data.slice() ?? new Uint8Array(0);
  const said = decodeWireData(decodeDatagram(answer, { code: true, exact: true }).payload).body;
  assertEquals([said.name, Object.keys(said).length], ["", 8]);
  const hello = await helloOf(await netTransport.connect(relay.address));
  assertEquals(decodeWireData(hello).body.name, "");
  assertAnonymous([question, answer, hello, ...relay.seen], "kith up");
  // And what is searched for would be found: a name that is given is there.
  assert(Buffer.from(hello).includes("kith/"));

  const listener = await netTransport.listen({ hostname: LOOPBACK });
  const at = formatAddress(listener.address);
  await using ping = Kith.start(["ping", at, "--timeout", "5", ...network], { env });
  const connection = await listener.accept();
  assert(connection !== undefined);
  const greeting = await greetingOf(connection, hello).catch((error) => error);
  // It has nothing to say to somebody who shows another's hello.
  assert(!(greeting instanceof Uint8Array), "it told a liar who it is");
  assertEquals((await ping.ended()).code, 6);

  await using alice = await Peer.open({ hostname: LOOPBACK, clientOnly: true });
  for (const name of ["status", "info", "describe", "peers", "ping"]) {
    const result = JSON.stringify(await alice.call(`${LOOPBACK}:${tcp}`, name));
    assertAnonymous([new TextEncoder().encode(result.padEnd(50))], name);
  }
  for (const socket of [listening, asking, listener]) socket.close();
});

Deno.test("T19 who connects tells neither host nor user", async () => {
  const server = Identity.generate();
  const stranger = await Peer.open({
    identity: server,
    hostname: LOOPBACK,
    port: 0,
    announce: false,
  });
  await using _stranger = stranger;
  const heard: unknown[] = [];
  stranger.endpoint.guard((peer) => void heard.push(peer));
  await using scratch = await Scratch.make();
  const env = { ...NAMES, KITH_HOME: scratch.path("helga-the-home") };
  const line = ["ping", `${LOOPBACK}:${stranger.address?.port}`, "--host", LOOPBACK];
  await using ping = Kith.start(line, { env });
  assertEquals((await ping.ended()).code, 0);
  assertEquals(heard.length, 1);
  assertAnonymous([new TextEncoder().encode(JSON.stringify(heard))], "kith ping");
});

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
        const { body } = decodeWireData(decodeDatagram(data, { code: true, exact: true }).payload);
        const id = (body[field] as Uint8Array).toHex();
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

/** A peer's whole day: found, asked, connected to. @returns all that left it, and all that passed on its connections. */
async function dayOf(identity: Identity, network: Network): Promise<{
  packets: readonly Uint8Array[];
  streams: readonly Uint8Array[];
}> {
  await using scene = new Scene();
  await scene.clock.advance(Math.floor(Math.random() * 1e6));
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

/** All runs of eight bytes. */
function eights(pieces: readonly Uint8Array[]): Set<string> {
  const found = new Set<string>();
  for (const piece of pieces) {
    const text = new TextDecoder("latin1").decode(piece);
    for (let at = 0; at + 8 <= text.length; at++) found.add(text.slice(at, at + 8));
  }
  return found;
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
  const day = async (of: Identity) => {
    const { packets, streams } = await dayOf(of, new Network());
    assert(packets.some((packet) => Buffer.from(packet).includes(of.publicKey)));
    assert(streams.every((bytes) => !Buffer.from(bytes).includes(of.publicKey)));
    return eights(without(of.publicKey, [...packets, ...streams]));
  };
  const [first, second, other] = [
    await day(identity),
    await day(identity),
    await day(Identity.generate()),
  ];
  const common = [...first].filter((piece) => second.has(piece));
  assertEquals(common.filter((piece) => !other.has(piece)), []);
  assert(first.size > 20_000 && common.length < 500, `${common.length} of ${first.size}`);
});

Deno.test("T19 two runs of a peer in a closed network have nothing in common but the network's key id", async () => {
  const identity = Identity.generate();
  for (const network of [new Network("home", [new Uint8Array(32).fill(7)]), new Network("home")]) {
    const day = async () => {
      const { packets, streams } = await dayOf(identity, network);
      const keyId = network.keys[0]?.id ?? new Uint8Array(0);
      // In the clear: code, length and the network's key id; the first line of a connection.
      assert(
        packets.every((packet) =>
          packet[0] === 0x1f && packet.subarray(5, 9).every((byte, at) => byte === keyId[at])
        ),
      );
      const rest = streams.map((bytes) => {
        return Buffer.from(bytes).indexOf(PREFACE) === 0 ? bytes.subarray(PREFACE.length) : bytes;
      });
      return eights([...packets.map((packet) => packet.subarray(9)), ...rest]);
    };
    const [first, second] = [await day(), await day()];
    assertEquals([...first].filter((piece) => second.has(piece)), []);
    assert(first.size > 20_000, `${first.size}`);
  }
});
