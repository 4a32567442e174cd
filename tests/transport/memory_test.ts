import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { ClosedError, TransportError } from "../../src/errors.ts";
import {
  type Address,
  type Connection,
  type DatagramSocket,
  MemoryNetwork,
  type MemoryNetworkOptions,
} from "../../src/transport/mod.ts";

Deno.test("MemoryNetwork gives the same events for the same seed, others for another", async () => {
  const first = await recordEvents(1);
  assertEquals(await recordEvents(1), first);
  const second = await recordEvents(2);
  assert(first.length > 100);
  assert(JSON.stringify(first) !== JSON.stringify(second));
});

Deno.test("MemoryNetwork loses, doubles and reorders datagrams as often as told", async () => {
  const lossy = await sendNumbers(10_000, { loss: 0.2 });
  assertNear(lossy.length, 8_000, 200);
  assertEquals(lossy, lossy.toSorted((a, b) => a - b));

  const doubled = await sendNumbers(10_000, { duplication: 0.1 });
  assertNear(doubled.length, 11_000, 200);
  assertEquals(new Set(doubled).size, 10_000);

  const reordered = await sendNumbers(10_000, { reordering: 0.1 });
  assertEquals(reordered.length, 10_000);
  const late = reordered.filter((number, at) => number < (reordered[at - 1] ?? 0)).length;
  assert(late > 0);
  assertEquals(reordered.toSorted((a, b) => a - b), Array.from({ length: 10_000 }, (_, n) => n));
});

Deno.test("MemoryNetwork delays datagrams within the range, and not on one host", async () => {
  const clock = new ManualClock();
  const network = new MemoryNetwork({ clock, latencyMs: [10, 20] });
  const { a, b } = await twoSockets(network);
  const arrivals: number[] = [];
  const receiving = forEachDatagram(b, () => arrivals.push(clock.now()));
  for (let sent = 0; sent < 100; sent++) await a.send(new Uint8Array(1), b.address);
  await clock.advance(9.9);
  assertEquals(arrivals.length, 0);
  await clock.advance(10.1);
  assertEquals(arrivals.length, 100);
  assert(new Set(arrivals).size > 50);
  await b.send(new Uint8Array(1), b.address);
  await clock.advance(0);
  assertEquals(arrivals.length, 101);
  b.close();
  await receiving;
});

Deno.test("MemoryNetwork takes multicast to members and broadcast to everybody on the port", async () => {
  const network = new MemoryNetwork();
  const groups = [{ group: "ff02::1:6", interfaceIndex: 1 }];
  const [member, other, elsewhere] = await Promise.all([
    network.host("a").datagram({ port: 5, groups }),
    network.host("b").datagram({ port: 5 }),
    network.host("b").datagram({ port: 6, groups }),
  ]);
  const heard: string[] = [];
  const listening = [
    forEachDatagram(member, ([mark]) => heard.push(`member ${mark}`)),
    forEachDatagram(other, ([mark]) => heard.push(`other ${mark}`)),
    forEachDatagram(elsewhere, ([mark]) => heard.push(`elsewhere ${mark}`)),
  ];
  await other.send(Uint8Array.of(1), { hostname: "FF02::1:6%eth0", port: 5 });
  await member.send(Uint8Array.of(2), { hostname: "255.255.255.255", port: 5 });
  for (const socket of [member, other, elsewhere]) {
    await socket.send(Uint8Array.of(9), { hostname: "127.0.0.1", port: socket.address.port });
  }
  network.close();
  await Promise.all(listening);
  assertEquals(heard.filter((line) => !line.endsWith("9")), ["member 1", "member 2", "other 2"]);
});

Deno.test("MemoryNetwork gives each receiver its own bytes", async () => {
  const { a, b } = await twoSockets(new MemoryNetwork());
  const sent = Uint8Array.of(1);
  await a.send(sent, b.address);
  sent[0] = 9;
  assertEquals((await b.receive())?.data, Uint8Array.of(1));
});

Deno.test("MemoryNetwork drops the oldest datagrams when nobody receives, and counts", async () => {
  const { a, b } = await twoSockets(new MemoryNetwork());
  for (let sent = 0; sent < 1_030; sent++) await a.send(Uint8Array.of(sent & 255), b.address);
  assertEquals(b.dropped, 6);
  assertEquals((await b.receive())?.data, Uint8Array.of(6));
});

Deno.test("MemoryNetwork finds hosts by name only", async () => {
  const network = new MemoryNetwork();
  const socket = await network.host("a").datagram();
  const nowhere = { hostname: "nobody", port: 1 };
  await assertRejects(
    () => socket.send(new Uint8Array(1), nowhere),
    TransportError,
    "no such host",
  );
  await assertRejects(() => network.host("a").connect(nowhere), TransportError, "no such host");
  assertStrictEquals(network.host("a"), network.host("a"));
});

Deno.test("MemoryNetwork loses datagrams between parts, and delivers again when healed", async () => {
  const network = new MemoryNetwork();
  const { a, b } = await twoSockets(network);
  const receiving = b.receive();
  network.partition([["a"], ["b"]]);
  await a.send(Uint8Array.of(1), b.address);
  network.partition([["a"]]);
  await a.send(Uint8Array.of(2), b.address);
  network.partition([["a", "b"], ["c"]]);
  await a.send(Uint8Array.of(3), b.address);
  assertEquals((await receiving)?.data, Uint8Array.of(3));
});

Deno.test("MemoryNetwork loses datagrams that a partition meets on the way", async () => {
  const clock = new ManualClock();
  const network = new MemoryNetwork({ clock, latencyMs: 10 });
  const { a, b } = await twoSockets(network);
  await a.send(Uint8Array.of(1), b.address);
  network.partition([["a"], ["b"]]);
  await clock.advance(10);
  network.heal();
  await a.send(Uint8Array.of(2), b.address);
  await clock.advance(10);
  assertEquals((await b.receive())?.data, Uint8Array.of(2));
});

Deno.test("MemoryNetwork stops streams at a partition, and goes on where they stopped", async () => {
  const network = new MemoryNetwork();
  const { client, server } = await connectTwo(network);
  await client.write(Uint8Array.of(1));
  network.partition([["client"], ["server"]]);
  await client.write(Uint8Array.of(2));
  client.close();
  const into = new Uint8Array(10);
  assertEquals(await server.read(into), 1);
  let ended = false;
  const rest = readAll(server).then((bytes) => {
    ended = true;
    return bytes;
  });
  await turn();
  assertEquals(ended, false);
  network.heal();
  assertEquals(await rest, Uint8Array.of(2));
});

Deno.test("MemoryNetwork connects across a partition when it heals, unless aborted", async () => {
  const network = new MemoryNetwork();
  const listener = await network.host("server").listen({ port: 1 });
  network.partition([["client"]]);
  const waiting = network.host("client").connect(listener.address);
  const abort = new AbortController();
  const given = network.host("client").connect(listener.address, { signal: abort.signal });
  abort.abort(new Error("enough"));
  await assertRejects(() => given, Error, "enough");
  network.heal();
  const connection = await waiting;
  assertEquals(connection.remote, { hostname: "server", port: 1 });
  network.close();
});

Deno.test("MemoryNetwork takes a round trip to connect, and one way for every byte", async () => {
  const clock = new ManualClock();
  const network = new MemoryNetwork({ clock, latencyMs: 10 });
  const listener = await network.host("server").listen({ port: 1 });
  let connectedMs = 0;
  const connecting = network.host("client").connect(listener.address).then((connection) => {
    connectedMs = clock.now();
    return connection;
  });
  await clock.advance(30);
  assertEquals(connectedMs, 20);
  const [client, server] = [await connecting, await listener.accept()];
  let readMs = 0;
  const reading = server?.read(new Uint8Array(1)).then(() => readMs = clock.now());
  await client.write(new Uint8Array(1));
  await clock.advance(30);
  await reading;
  assertEquals(readMs, 40);
  network.close();
});

Deno.test("MemoryNetwork shares a host's uplink among its connections", async () => {
  const clock = new ManualClock();
  const network = new MemoryNetwork({ clock, uplinkBytesPerSecond: 1_000_000 });
  const pairs = await Promise.all(["x", "y"].map(async (name) => {
    const listener = await network.host(name).listen({ port: 1 });
    const client = await network.host("source").connect(listener.address);
    return { client, server: await listener.accept() as Connection };
  }));
  const finishedMs = await timed(clock, pairs, 500_000);
  assertEquals(Math.max(...finishedMs), 1000);
});

Deno.test("MemoryNetwork bounds what is under way by bufferBytes", async () => {
  const clock = new ManualClock();
  const network = new MemoryNetwork({ clock, latencyMs: 10, bufferBytes: 1000 });
  const pending = connectTwo(network);
  await clock.advance(20);
  const { client, server } = await pending;
  // A window of 1000 bytes each 10 ms.
  const [finishedMs] = await timed(clock, [{ client, server }], 10_000);
  assertEquals(finishedMs, 20 + 100);
});

Deno.test("MemoryNetwork breaks connections of a host that is killed, which may start again", async () => {
  const network = new MemoryNetwork();
  const { client, server } = await connectTwo(network);
  const listener = await network.host("server").listen({ port: 7 });
  const socket = await network.host("server").datagram({ port: 7 });
  await client.write(new Uint8Array(3));
  const reading = assertRejects(() => client.read(new Uint8Array(1)), ClosedError, "broke");
  const [accepting, receiving] = [listener.accept(), socket.receive()];
  network.kill("server");
  await reading;
  assertEquals([await accepting, await receiving], [undefined, undefined]);
  await assertRejects(() => server.read(new Uint8Array(1)), ClosedError, "was closed");
  await assertRejects(() => client.write(new Uint8Array(1)), ClosedError, "broke");
  await assertRejects(() => network.host("client").connect(listener.address), TransportError);

  const again = await network.host("server").listen({ port: 7 });
  await network.host("client").connect(again.address);
  network.close();
});

Deno.test("MemoryNetwork tells of a death only when the network can", async () => {
  const clock = new ManualClock();
  const network = new MemoryNetwork({ clock, latencyMs: 10 });
  const pending = connectTwo(network);
  await clock.advance(20);
  const { client } = await pending;
  let brokeMs = 0;
  const reading = assertRejects(() => client.read(new Uint8Array(1)), ClosedError)
    .then(() => brokeMs = clock.now());
  network.partition([["client"]]);
  network.kill("server");
  await clock.advance(100);
  assertEquals(brokeMs, 0);
  network.heal();
  await reading;
  assertEquals(brokeMs, 120);
});

Deno.test("MemoryNetwork rejects connects that are under way when the host is killed", async () => {
  const network = new MemoryNetwork();
  const listener = await network.host("server").listen({ port: 1 });
  network.partition([["client"]]);
  const connecting = network.host("client").connect(listener.address);
  network.kill("client");
  await assertRejects(() => connecting, ClosedError, "killed");
});

Deno.test("MemoryNetwork works on the system clock, and leaves no timer when closed", async () => {
  using network = new MemoryNetwork({ latencyMs: 1 });
  const { client, server } = await connectTwo(network);
  const { a, b } = await twoSockets(network);
  await a.send(Uint8Array.of(1), b.address);
  assertEquals((await b.receive())?.data, Uint8Array.of(1));
  await client.write(Uint8Array.of(2));
  assertEquals(await server.read(new Uint8Array(9)), 1);
  // Under way when the network closes.
  await a.send(Uint8Array.of(3), b.address);
  await client.write(Uint8Array.of(4));
  network.close();
});

Deno.test("MemoryNetwork resets connections that nobody accepted", async () => {
  const network = new MemoryNetwork();
  const listener = await network.host("server").listen({ port: 1 });
  const connection = await network.host("client").connect(listener.address);
  listener.close();
  await assertRejects(() => connection.read(new Uint8Array(1)), ClosedError);
});

Deno.test("MemoryNetwork refuses options that make no sense", () => {
  for (
    const options of [
      { loss: 1.1 },
      { duplication: -0.1 },
      { reordering: NaN },
      { latencyMs: -1 },
      { latencyMs: [5, 4] as const },
      { reorderMs: -1 },
      { bufferBytes: 0 },
      { uplinkBytesPerSecond: 0 },
    ]
  ) {
    assertThrows(() => new MemoryNetwork(options), RangeError);
  }
});

// Everything that happens to two hosts that exchange datagrams and a stream over a bad network.
async function recordEvents(seed: number): Promise<[number, string][]> {
  const clock = new ManualClock({ seed });
  const network = new MemoryNetwork({
    seed,
    clock,
    latencyMs: [1, 30],
    loss: 0.1,
    duplication: 0.1,
    reordering: 0.1,
  });
  const events: [number, string][] = [];
  const { a, b } = await twoSockets(network);
  const pending = connectTwo(network);
  await clock.advance(100);
  const { client, server } = await pending;
  const loops = [
    forEachDatagram(b, ([mark]) => events.push([clock.now(), `datagram ${mark}`])),
    readAll(server, (length) => events.push([clock.now(), `stream ${length}`])),
  ];
  for (let mark = 0; mark < 100; mark++) {
    await a.send(Uint8Array.of(mark), b.address);
    await client.write(new Uint8Array(1 + mark));
    await clock.advance(3);
  }
  client.close();
  await clock.advance(100);
  b.close();
  await Promise.all(loops);
  return events;
}

async function sendNumbers(count: number, options: MemoryNetworkOptions): Promise<number[]> {
  const clock = new ManualClock();
  const network = new MemoryNetwork({ clock, ...options });
  const { a, b } = await twoSockets(network);
  const received: number[] = [];
  const receiving = forEachDatagram(b, ([high = 0, low = 0]) => received.push(high * 256 + low));
  for (let number = 0; number < count; number++) {
    await a.send(Uint8Array.of(number >> 8, number & 255), b.address);
    if (number % 100 === 99) await clock.advance(1);
  }
  await clock.advance(100);
  b.close();
  await receiving;
  return received;
}

async function timed(
  clock: ManualClock,
  pairs: readonly { client: Connection; server: Connection }[],
  length: number,
): Promise<number[]> {
  const finished = Promise.all(pairs.map(async ({ client, server }) => {
    const all = readAll(server);
    await client.write(new Uint8Array(length));
    await client.closeWrite();
    assertEquals((await all).length, length);
    return Math.round(clock.now());
  }));
  await clock.advance(5_000);
  return await finished;
}

async function twoSockets(
  network: MemoryNetwork,
): Promise<{ a: DatagramSocket; b: DatagramSocket }> {
  return { a: await network.host("a").datagram(), b: await network.host("b").datagram() };
}

async function connectTwo(
  network: MemoryNetwork,
): Promise<{ client: Connection; server: Connection }> {
  const listener = await network.host("server").listen();
  const to: Address = listener.address;
  const [server, client] = await Promise.all([
    listener.accept(),
    network.host("client").connect(to),
  ]);
  listener.close();
  if (server === undefined) throw new Error("The listener closed");
  return { client, server };
}

async function forEachDatagram(
  socket: DatagramSocket,
  callback: (data: Uint8Array) => void,
): Promise<void> {
  for (let next = await socket.receive(); next !== undefined; next = await socket.receive()) {
    callback(next.data);
  }
}

async function readAll(
  connection: Connection,
  onRead: (length: number) => void = () => {},
): Promise<Uint8Array> {
  const pieces: number[] = [];
  const into = new Uint8Array(4096);
  for (;;) {
    const length = await connection.read(into);
    if (length === null) return Uint8Array.from(pieces);
    onRead(length);
    for (const byte of into.subarray(0, length)) pieces.push(byte);
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

function assertNear(actual: number, expected: number, tolerance: number): void {
  assert(Math.abs(actual - expected) <= tolerance, `${actual} is not near ${expected}`);
}
