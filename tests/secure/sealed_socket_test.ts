import { assert, assertEquals, assertRejects } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { ClosedError, InvalidPacketError, TransportError } from "../../src/errors.ts";
import { Metrics } from "../../src/metrics.ts";
import { sealedBytes } from "../../src/secure/datagram_seal.ts";
import { Network } from "../../src/secure/network.ts";
import { SealedSocket, sealTransport } from "../../src/secure/sealed_socket.ts";
import { Sealer } from "../../src/secure/sealer.ts";
import { MemoryNetwork } from "../../src/transport/memory.ts";
import { netTransport } from "../../src/transport/net.ts";
import type { DatagramSocket, Transport } from "../../src/transport/transport.ts";
import { gossip, KEY } from "./seal_fixture.ts";

const GROUP = "239.1.11.11";
const LOOPBACK = { hostname: "127.0.0.1" };

// On a clock that stands still nobody's first packet is older than the other's memory.
function member(transport: Transport): { metrics: Metrics; transport: Transport } {
  const metrics = new Metrics();
  const clock = new ManualClock();
  const sealer = new Sealer({ network: new Network("home", [KEY]), clock, metrics });
  return { metrics, transport: sealTransport(transport, sealer) };
}

async function receiveText(socket: DatagramSocket): Promise<string> {
  const datagram = await socket.receive();
  assert(datagram);
  return new TextDecoder().decode(datagram.data.subarray(5));
}

Deno.test("SealedSocket carries native packets both ways, from the first on, over UDP", async () => {
  const [alice, bob] = [member(netTransport), member(netTransport)];
  const a = await alice.transport.datagram(LOOPBACK);
  const b = await bob.transport.datagram(LOOPBACK);
  await a.send(gossip("hello"), b.address);
  const heard = await b.receive();
  assertEquals(heard?.data, gossip("hello"));
  assertEquals(heard?.from, a.address);
  await b.send(gossip("and hello to you"), a.address);
  assertEquals(await receiveText(a), "and hello to you");
  for (let i = 0; i < 100; i++) await a.send(gossip(`${i}`), b.address);
  for (let i = 0; i < 100; i++) assertEquals(await receiveText(b), `${i}`);
  assertEquals(bob.metrics.snapshot(), { "seal.challenged": 1 });
  a.close();
  b.close();
});

Deno.test("SealedSocket carries the largest packet, and refuses a larger one before it leaves", async () => {
  const [alice, bob] = [member(netTransport), member(netTransport)];
  const a = await alice.transport.datagram(LOOPBACK);
  const b = await bob.transport.datagram(LOOPBACK);
  const largest = gossip("x".repeat(64_512));
  await a.send(largest, b.address);
  assertEquals((await b.receive())?.data, largest);
  const tooLarge = new Uint8Array(65_467).fill(0x12);
  await assertRejects(() => a.send(tooLarge, b.address), InvalidPacketError, "65466");
  a.close();
  b.close();
});

Deno.test("SealedSocket passes dialects as they are, and drops native packets that nobody sealed", async () => {
  const network = new MemoryNetwork();
  const { metrics, transport } = member(network.host("bob"));
  const bob = await transport.datagram({ port: 1 });
  const stranger = await network.host("stranger").datagram();
  for (let code = 0x10; code <= 0x1f; code++) {
    await stranger.send(new Uint8Array([code, 0, 0, 0, 0]), bob.address);
  }
  const first = new Uint8Array([0x02, 7, 8]);
  await stranger.send(first, bob.address);
  await stranger.send(new Uint8Array([0x00, 9]), bob.address);
  await stranger.send(new Uint8Array(), bob.address);
  const heard = await bob.receive();
  assertEquals(heard?.data, first);
  assertEquals((await bob.receive())?.data, new Uint8Array([0x00, 9]));
  assertEquals((await bob.receive())?.data, new Uint8Array());
  assertEquals(heard?.data, first, "what waited is a copy");
  assertEquals(metrics.snapshot(), { "seal.malformed": 1, "seal.plain": 15 });
  await bob.send(first, stranger.address);
  assertEquals((await stranger.receive())?.data, first);
  await bob.send(gossip("hello"), stranger.address);
  assertEquals((await stranger.receive())?.data.length, sealedBytes(10));
  network.close();
});

Deno.test("SealedSocket asks from a socket of its own what came in on one that is shared", async () => {
  const network = new MemoryNetwork();
  const groups = [{ group: GROUP, interfaceAddress: "0.0.0.0" }];
  // Two peers on one host: only the one that came last hears what is for the shared port alone.
  const peers = await Promise.all([1, 2].map(async () => {
    const { metrics, transport } = member(network.host("home"));
    const shared = await transport.datagram({ port: 3486, shared: true, groups });
    const own = await transport.datagram();
    return { metrics, shared, own };
  }));
  const alice = member(network.host("alice"));
  const asker = await alice.transport.datagram();
  await asker.send(gossip("who is there?"), { hostname: GROUP, port: 3486 });
  for (const { shared, own } of peers) {
    const question = await shared.receive();
    assertEquals(question?.data, gossip("who is there?"));
    assertEquals(question?.from, asker.address);
    await own.send(gossip("me"), asker.address);
    assertEquals(await receiveText(asker), "me");
  }
  assertEquals(alice.metrics.snapshot(), { "seal.answered": 2 });
  network.close();
});

Deno.test("SealedSocket hands a packet on once when two sockets of a peer share a port", async () => {
  const network = new MemoryNetwork();
  const groups = [{ group: GROUP, interfaceAddress: "0.0.0.0" }];
  const { metrics, transport } = member(network.host("bob"));
  (await transport.datagram()).close(); // what is closed asks nobody
  const own = await transport.datagram();
  const first = await transport.datagram({ port: 3486, shared: true, groups });
  const second = await transport.datagram({ port: 3486, shared: true, groups });
  const alice = await member(network.host("alice")).transport.datagram();
  for (const text of ["one", "two"]) {
    await alice.send(gossip(text), { hostname: GROUP, port: 3486 });
    assertEquals(await receiveText(first), text);
  }
  assertEquals(metrics.snapshot(), { "seal.challenged": 1, "seal.replayed": 2 });
  for (const socket of [own, first, second]) socket.close();
  assertEquals(await second.receive(), undefined);
  network.close();
});

Deno.test("SealedSocket proves itself on a socket that nobody receives on", async () => {
  const network = new MemoryNetwork();
  const bob = await member(network.host("bob")).transport.datagram();
  const silent = await member(network.host("alice")).transport.datagram();
  await silent.send(gossip("I only send"), bob.address);
  assertEquals(await receiveText(bob), "I only send");
  network.close();
});

Deno.test("SealedSocket gets what a lossy, reordering, doubling network lets through, each once", async () => {
  const clock = new ManualClock();
  const options = {
    clock,
    loss: 0.1,
    duplication: 0.2,
    reordering: 0.2,
    latencyMs: [1, 5],
  } as const;
  using network = new MemoryNetwork({ ...options, seed: 9 });
  const seal = (name: string) =>
    sealTransport(
      network.host(name),
      new Sealer({ network: new Network("home", [KEY]), clock }),
    );
  const alice = await seal("alice").datagram();
  const bob = await seal("bob").datagram();
  const heard: string[] = [];
  const receiving = (async () => {
    for (;;) {
      const datagram = await bob.receive();
      if (datagram === undefined) return;
      heard.push(new TextDecoder().decode(datagram.data.subarray(5)));
    }
  })();
  for (let i = 0; i < 500; i++) {
    await alice.send(gossip(`${i}`), bob.address);
    await clock.advance(2);
  }
  await clock.advance(100);
  alice.close();
  bob.close();
  await receiving;
  assertEquals(new Set(heard).size, heard.length);
  assert(heard.length > 400 && heard.length < 490, `${heard.length} of 500`);
});

Deno.test("SealedSocket keeps what waits, and what leaves, out of reach of later packets", async () => {
  const buffer = new Uint8Array(4);
  const arrivals = [[0x00, 1], [0x02, 2], [0x00, 3]];
  const leaving: Uint8Array[] = [];
  const departure = Promise.withResolvers<void>();
  const inner: DatagramSocket = {
    address: { hostname: "127.0.0.1", port: 1 },
    joinErrors: [],
    dropped: 0,
    send: (data) => {
      leaving.push(data);
      return leaving.length === 1 ? Promise.resolve() : departure.promise;
    },
    receive: () => {
      const bytes = arrivals.shift();
      if (bytes === undefined) return Promise.resolve(undefined);
      buffer.set(bytes); // as a socket of the runtime does
      return Promise.resolve({ data: buffer.subarray(0, 2), from: inner.address });
    },
    close: () => {},
  };
  const metrics = new Metrics();
  const network = new Network("home", [KEY]);
  const socket = new SealedSocket(inner, new Sealer({ network, metrics }));
  assertEquals((await socket.receive())?.data, new Uint8Array([0x00, 1]));
  await socket.send(gossip("first"), inner.address);
  const sends = ["one", "two", "three"].map((text) => socket.send(gossip(text), inner.address));
  const counters = leaving.slice(1).map((packet) => packet.subarray(17, 25).toHex());
  assertEquals(new Set(counters).size, 3);
  departure.resolve();
  await Promise.all(sends);
  socket.close();
});

Deno.test("SealedSocket closes once, ends who waits, and refuses to send then", async () => {
  const { transport } = member(netTransport);
  const socket = await transport.datagram(LOOPBACK);
  const waiting = socket.receive();
  await assertRejects(() => socket.receive(), TypeError, "another receive");
  socket.close();
  socket.close();
  assertEquals(await waiting, undefined);
  assertEquals(await socket.receive(), undefined);
  await assertRejects(() => socket.send(gossip("late"), socket.address), ClosedError);
});

Deno.test("SealedSocket gives nothing more once it is closed, not even what waits", async () => {
  const network = new MemoryNetwork();
  const bob = await member(network.host("bob")).transport.datagram();
  const alice = await member(network.host("alice")).transport.datagram();
  for (const text of ["taken", "left"]) await alice.send(gossip(text), bob.address);
  assertEquals(await receiveText(bob), "taken");
  bob.close();
  assertEquals(await bob.receive(), undefined);
  network.close();
});

Deno.test("SealedSocket survives an error of its socket, and ends when that does", async () => {
  const clock = new ManualClock();
  const metrics = new Metrics();
  const sealer = new Sealer({ network: new Network("home", [KEY]), clock, metrics });
  const events: (() => undefined)[] = [
    () => {
      throw new TransportError("Cannot receive on 127.0.0.1:1: broken");
    },
    () => undefined,
  ];
  const broken: DatagramSocket = {
    address: { hostname: "127.0.0.1", port: 1 },
    joinErrors: [new TransportError("Cannot join multicast group 239.1.11.11: no such interface")],
    dropped: 3,
    send: () => Promise.reject(new TransportError("Cannot send to 127.0.0.1:2: no route")),
    receive: () => Promise.try(() => events.shift()?.()),
    close: () => {},
  };
  const socket = new SealedSocket(broken, sealer);
  assertEquals([socket.dropped, socket.joinErrors.length, socket.shared], [3, 1, false]);
  const waiting = socket.receive();
  await clock.advance(99);
  assertEquals([events.length, metrics.snapshot()], [1, { "seal.receive-errors": 1 }]);
  await clock.advance(1);
  assertEquals(await waiting, undefined);
  await assertRejects(
    () => socket.send(gossip("hello"), socket.address),
    TransportError,
    "no route",
  );
  socket.transmit(new Uint8Array(1), socket.address);
  await clock.advance(1);
  assertEquals(metrics.snapshot()["seal.send-errors"], 1);
});

Deno.test("sealTransport leaves connections as they are", async () => {
  const network = new MemoryNetwork();
  const { transport } = member(network.host("bob"));
  const listener = await transport.listen({ port: 1 });
  const connecting = network.host("alice").connect({ hostname: "bob", port: 1 });
  const accepted = await listener.accept();
  const connection = await connecting;
  await connection.write(new Uint8Array([1, 2]));
  const into = new Uint8Array(8);
  assertEquals(await accepted?.read(into), 2);
  (await transport.connect({ hostname: "bob", port: 1 })).close();
  network.close();
});
